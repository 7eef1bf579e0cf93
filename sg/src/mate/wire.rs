//! What the two gateways say to each other: one SCTP association, [`PPID`], everything in order on [`STREAM`] but the beats.
//! Big-endian. Both ends are of one version of this program, or they say so and part.
//!
//! ```text
//! HELLO    1, u8 version, u8 gateway, u8 role, u8 ready, u32 term, u32 hash of the [[as]] tables
//! OPS      2, u64 number of the first, then operations to the end
//! ACK      3, u64 operations mirrored
//! FORWARD  4, u64 number (from 1), the M3UA DATA of the network
//! BEAT     5, u64 anything      BEAT ACK  6, the same
//! ```

use super::numbers::Numbers;
use crate::msu::Msu;
use bytes::{Buf, BufMut, Bytes};
use m3ua_lite::session::{CorrelationId, GroupKey};

/// Not specified (RFC 9260 section 14.5): what is inside concerns the two gateways alone.
pub(crate) const PPID: u32 = 0;
/// Of everything that is in order.
pub(crate) const STREAM: u16 = 1;
const VERSION: u8 = 2;

/// What a gateway is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Role {
    /// It has no state, and looks for the other one.
    Joining,
    /// It acts.
    Lead,
    /// It mirrors the other one.
    Follower,
}

/// The first message of each end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Hello {
    pub(crate) gateway: u8,
    pub(crate) role: Role,
    /// It follows, knows nothing yet, and wants to be told everything.
    pub(crate) ready: bool,
    pub(crate) term: u32,
    pub(crate) tables: u32,
}

/// A message of the other gateway.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum MateMessage {
    Hello(Hello),
    /// Number of the first operation, and all of them ([`Op::take`]).
    Ops(u64, Bytes),
    Ack(u64),
    Forward(u64, Bytes),
    Beat(u64),
    BeatAck(u64),
}

/// It means nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Malformed;

impl MateMessage {
    pub(crate) fn encode(&self) -> Bytes {
        let mut out = Vec::new();
        match self {
            Self::Hello(Hello { gateway, role, ready, term, tables }) => {
                let role = match role {
                    Role::Joining => 0,
                    Role::Lead => 1,
                    Role::Follower => 2,
                };
                out.extend([1, VERSION, *gateway, role, (*ready).into()]);
                out.put_u32(*term);
                out.put_u32(*tables);
            }
            Self::Ops(first, ops) => numbered(&mut out, 2, *first, ops),
            Self::Ack(upto) => numbered(&mut out, 3, *upto, &[]),
            Self::Forward(number, data) => numbered(&mut out, 4, *number, data),
            Self::Beat(any) => numbered(&mut out, 5, *any, &[]),
            Self::BeatAck(any) => numbered(&mut out, 6, *any, &[]),
        }
        out.into()
    }

    pub(crate) fn decode(payload: &Bytes) -> Result<Self, Malformed> {
        let mut rest = payload.clone();
        let kind = rest.try_get_u8().map_err(|_| Malformed)?;
        if kind == 1 {
            return hello(&mut rest).map(Self::Hello);
        }
        let number = rest.try_get_u64().map_err(|_| Malformed)?;
        match kind {
            2 => Ok(Self::Ops(number, rest)),
            4 => Ok(Self::Forward(number, rest)),
            3 if rest.is_empty() => Ok(Self::Ack(number)),
            5 if rest.is_empty() => Ok(Self::Beat(number)),
            6 if rest.is_empty() => Ok(Self::BeatAck(number)),
            _ => Err(Malformed),
        }
    }
}

fn numbered(out: &mut Vec<u8>, kind: u8, number: u64, rest: &[u8]) {
    out.reserve(9 + rest.len());
    out.push(kind);
    out.put_u64(number);
    out.extend_from_slice(rest);
}

fn hello(rest: &mut Bytes) -> Result<Hello, Malformed> {
    if rest.len() != 12 || rest.get_u8() != VERSION {
        return Err(Malformed);
    }
    let gateway = rest.get_u8();
    let role = match rest.get_u8() {
        0 => Role::Joining,
        1 => Role::Lead,
        2 => Role::Follower,
        _ => return Err(Malformed),
    };
    let ready = rest.get_u8() != 0;
    Ok(Hello { gateway, role, ready, term: rest.get_u32(), tables: rest.get_u32() })
}

/// A group as it is, for one that begins to mirror.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct GroupState {
    /// Its last Correlation Id toward the pool.
    pub(crate) last: CorrelationId,
    /// The network's own numbers.
    pub(crate) source: Numbers,
    /// Those toward the network.
    pub(crate) down: Numbers,
    /// PE identifier of the owner; 0: nobody.
    pub(crate) owner: u32,
    pub(crate) cookie: Option<Bytes>,
    /// How old it is, ms.
    pub(crate) age_ms: u32,
}

/// One step of the one that leads. All but `Taken`, `Delivered` and `Complete` are of a group, named by the number of its `[[as]]`
/// table and its key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Op {
    /// The group as it is; its messages follow as `Offered`, its unconfirmed output as `Output` and `Released`.
    Group(u8, GroupKey, GroupState),
    /// A message was accepted from the network.
    Offered { server: u8, key: GroupKey, sls: u8, id: CorrelationId, source: CorrelationId, forward: u64, data: Bytes },
    /// Output that counts with the next `Committed` or `Released` of its group.
    Output(u8, GroupKey, Msu),
    /// A transaction counts.
    Committed { server: u8, key: GroupKey, pe: u32, incarnation: u32, transaction: u32, cookie: Bytes },
    /// Output without a transaction counts.
    Released(u8, GroupKey),
    /// Output that counted before this gateway mirrored; of any group.
    Sent(Msu),
    /// Messages up to this one are out of the group's queue: confirmed, or discarded.
    Confirmed(u8, GroupKey, CorrelationId),
    /// The group has this owner.
    Owner(u8, GroupKey, u32),
    /// This forwarded message, and all before it, are dealt with.
    Taken(u64),
    /// So many messages to the network, counted from the last `Complete`, have arrived there.
    Delivered(u64),
    /// That was everything: from here on each step is told as it happens.
    Complete,
}

impl Op {
    pub(crate) fn encode(&self, out: &mut Vec<u8>) {
        match self {
            Self::Group(server, key, GroupState { last, source, down, owner, cookie, age_ms }) => {
                head(out, 1, *server, key);
                out.put_u32(last.0);
                out.put_u32(*owner);
                put_numbers(out, source);
                put_numbers(out, down);
                out.put_u32(*age_ms);
                out.put_u8(cookie.is_some().into());
                put_bytes(out, cookie.as_deref().unwrap_or_default());
            }
            Self::Offered { server, key, sls, id, source, forward, data } => {
                head(out, 2, *server, key);
                out.push(*sls);
                out.put_u32(id.0);
                out.put_u32(source.0);
                out.put_u64(*forward);
                put_bytes(out, data);
            }
            Self::Output(server, key, msu) => {
                head(out, 3, *server, key);
                put_msu(out, msu);
            }
            Self::Committed { server, key, pe, incarnation, transaction, cookie } => {
                head(out, 4, *server, key);
                for word in [*pe, *incarnation, *transaction] {
                    out.put_u32(word);
                }
                put_bytes(out, cookie);
            }
            Self::Released(server, key) => head(out, 5, *server, key),
            Self::Confirmed(server, key, upto) => {
                head(out, 6, *server, key);
                out.put_u32(upto.0);
            }
            Self::Owner(server, key, pe) => {
                head(out, 7, *server, key);
                out.put_u32(*pe);
            }
            Self::Taken(forward) => numbered(out, 8, *forward, &[]),
            Self::Delivered(count) => numbered(out, 9, *count, &[]),
            Self::Complete => out.push(10),
            Self::Sent(msu) => {
                out.push(11);
                put_msu(out, msu);
            }
        }
    }

    /// The next operation of these; data stays a slice of them.
    pub(crate) fn take(rest: &mut Bytes) -> Result<Self, Malformed> {
        let kind = rest.try_get_u8().map_err(|_| Malformed)?;
        match kind {
            8 => return rest.try_get_u64().map(Self::Taken).map_err(|_| Malformed),
            9 => return rest.try_get_u64().map(Self::Delivered).map_err(|_| Malformed),
            10 => return Ok(Self::Complete),
            11 => return take_msu(rest).map(Self::Sent),
            _ => {}
        }
        let server = rest.try_get_u8().map_err(|_| Malformed)?;
        let key = take_key(rest)?;
        let mut word = || rest.try_get_u32().map_err(|_| Malformed);
        Ok(match kind {
            1 => {
                let (last, owner) = (CorrelationId(word()?), word()?);
                let (source, down) = (take_numbers(rest)?, take_numbers(rest)?);
                let age_ms = rest.try_get_u32().map_err(|_| Malformed)?;
                let known = rest.try_get_u8().map_err(|_| Malformed)? != 0;
                let cookie = Some(take_bytes(rest)?).filter(|_| known);
                Self::Group(server, key, GroupState { last, source, down, owner, cookie, age_ms })
            }
            2 => {
                let sls = rest.try_get_u8().map_err(|_| Malformed)?;
                let mut word = || rest.try_get_u32().map_err(|_| Malformed);
                let [id, source] = [word()?, word()?].map(CorrelationId);
                let forward = rest.try_get_u64().map_err(|_| Malformed)?;
                Self::Offered { server, key, sls, id, source, forward, data: take_bytes(rest)? }
            }
            3 => Self::Output(server, key, take_msu(rest)?),
            4 => {
                let (pe, incarnation, transaction) = (word()?, word()?, word()?);
                Self::Committed { server, key, pe, incarnation, transaction, cookie: take_bytes(rest)? }
            }
            5 => Self::Released(server, key),
            6 => Self::Confirmed(server, key, CorrelationId(word()?)),
            7 => Self::Owner(server, key, word()?),
            _ => return Err(Malformed),
        })
    }
}

fn head(out: &mut Vec<u8>, kind: u8, server: u8, key: &GroupKey) {
    out.extend([kind, server]);
    out.put_u32(key.opc);
    out.put_u32(key.dpc);
    out.extend([key.si, key.sls]);
    out.put_u16(key.cic_block);
}

fn take_key(rest: &mut Bytes) -> Result<GroupKey, Malformed> {
    if rest.len() < 12 {
        return Err(Malformed);
    }
    let (opc, dpc) = (rest.get_u32(), rest.get_u32());
    Ok(GroupKey { opc, dpc, si: rest.get_u8(), sls: rest.get_u8(), cic_block: rest.get_u16() })
}

fn put_numbers(out: &mut Vec<u8>, numbers: &Numbers) {
    // One for each SLS at most.
    out.put_u16(numbers.iter().len() as u16);
    for (sls, id) in numbers.iter() {
        out.push(sls);
        out.put_u32(id.0);
    }
}

fn take_numbers(rest: &mut Bytes) -> Result<Numbers, Malformed> {
    let mut numbers = Numbers::default();
    for _ in 0..rest.try_get_u16().map_err(|_| Malformed)? {
        let sls = rest.try_get_u8().map_err(|_| Malformed)?;
        numbers.set(sls, CorrelationId(rest.try_get_u32().map_err(|_| Malformed)?));
    }
    Ok(numbers)
}

fn put_msu(out: &mut Vec<u8>, msu: &Msu) {
    out.put_u32(msu.id.0);
    out.put_u32(msu.opc);
    out.put_u32(msu.dpc);
    out.extend([msu.si, msu.ni, msu.mp, msu.sls]);
    out.put_u8(msu.network.is_some().into());
    out.put_u32(msu.network.unwrap_or_default());
    put_bytes(out, &msu.user_data);
}

fn take_msu(rest: &mut Bytes) -> Result<Msu, Malformed> {
    let mut word = || rest.try_get_u32().map_err(|_| Malformed);
    let (id, opc, dpc) = (CorrelationId(word()?), word()?, word()?);
    let [si, ni, mp, sls] = word()?.to_be_bytes();
    let known = rest.try_get_u8().map_err(|_| Malformed)? != 0;
    let network = Some(rest.try_get_u32().map_err(|_| Malformed)?).filter(|_| known);
    Ok(Msu { opc, dpc, si, ni, mp, sls, user_data: take_bytes(rest)?, id, network })
}

fn put_bytes(out: &mut Vec<u8>, bytes: &[u8]) {
    // Messages of SCTP are shorter than 4 GiB.
    out.put_u32(bytes.len() as u32);
    out.extend_from_slice(bytes);
}

fn take_bytes(rest: &mut Bytes) -> Result<Bytes, Malformed> {
    let length = rest.try_get_u32().map_err(|_| Malformed)? as usize;
    if rest.len() < length {
        return Err(Malformed);
    }
    Ok(rest.split_to(length))
}

#[cfg(test)]
mod tests {
    use super::*;

    const KEY: GroupKey = GroupKey { opc: 1, dpc: 2, si: 5, sls: 0, cic_block: 9 };

    fn all_ops() -> Vec<Op> {
        let id = CorrelationId(0x1010_0001);
        let user_data = Bytes::from_static(b"acm");
        let msu = Msu { opc: 2, dpc: 1, si: 5, ni: 2, mp: 0, sls: 3, user_data, id, network: Some(8) };
        let mut numbers = Numbers::default();
        numbers.set(200, CorrelationId(7));
        numbers.set(3, CorrelationId(8));
        let state = GroupState { last: id, source: numbers.clone(), down: numbers, owner: 9, cookie: None, age_ms: 7 };
        vec![
            Op::Group(0, KEY, GroupState { cookie: Some(Bytes::new()), ..state.clone() }),
            Op::Group(1, KEY, state),
            Op::Offered { server: 0, key: KEY, sls: 3, id, source: id, forward: 4, data: Bytes::from_static(b"iam") },
            Op::Output(0, KEY, msu.clone()),
            Op::Sent(Msu { network: None, ..msu }),
            Op::Committed {
                server: 0,
                key: KEY,
                pe: 1,
                incarnation: 2,
                transaction: 3,
                cookie: Bytes::from_static(b"c"),
            },
            Op::Released(0, KEY),
            Op::Confirmed(0, KEY, id),
            Op::Owner(0, KEY, 0xbeef),
            Op::Taken(77),
            Op::Delivered(78),
            Op::Complete,
        ]
    }

    #[test]
    fn operations_both_ways() {
        let mut octets = Vec::new();
        all_ops().iter().for_each(|op| op.encode(&mut octets));
        let mut rest = Bytes::from(octets);
        for op in all_ops() {
            assert_eq!(Op::take(&mut rest), Ok(op));
        }
        assert!(rest.is_empty());
    }

    #[test]
    fn messages_both_ways() {
        let hello = Hello { gateway: 1, role: Role::Follower, ready: true, term: 3, tables: 4 };
        for message in [
            MateMessage::Hello(hello),
            MateMessage::Ops(7, Bytes::from_static(b"ops")),
            MateMessage::Ack(8),
            MateMessage::Forward(9, Bytes::from_static(b"data")),
            MateMessage::Beat(10),
            MateMessage::BeatAck(11),
        ] {
            assert_eq!(MateMessage::decode(&message.encode()), Ok(message));
        }
    }

    #[test]
    fn what_is_cut_short_means_nothing_and_costs_nothing() {
        for op in all_ops() {
            let mut octets = Vec::new();
            op.encode(&mut octets);
            for cut in 0..octets.len() {
                assert!(Op::take(&mut Bytes::copy_from_slice(&octets[..cut])).is_err(), "{op:?} cut to {cut}");
            }
        }
        let mut lie = vec![7, 0];
        lie.extend([0xff; 40]);
        lie[0] = 2;
        assert!(Op::take(&mut Bytes::from(lie)).is_err(), "a length beyond the end");
        assert!(
            MateMessage::decode(&Bytes::from_static(&[1, 3, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0])).is_err(),
            "version 3"
        );
        assert!(MateMessage::decode(&Bytes::from_static(&[9, 0, 0, 0, 0, 0, 0, 0, 0])).is_err());
    }
}
