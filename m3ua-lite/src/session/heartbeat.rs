//! Our Heartbeat Data.

use crate::session::GroupKey;

/// Room for the longest of our Heartbeat Data.
pub const HEARTBEAT_MAX: usize = 20;

const BARRIER: &[u8; 4] = b"SPBR";
const LIVENESS: &[u8; 4] = b"SPLV";
const LEASE: &[u8; 4] = b"SPLS";
const RELEASE: &[u8; 4] = b"SPRL";
const LEAD: &[u8; 4] = b"SPLD";

/// A controller's lease: it acts only before `sent_ns` + `lease_ms`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Lease {
    /// When the controller sent it, ns of its own monotonic clock.
    pub sent_ns: u64,
    /// How long it lasts, ms.
    pub lease_ms: u32,
}

/// What a BEAT or BEAT ACK between gateway and controller is about, by its Heartbeat Data:
/// ```text
/// 'S' 'P' 'B' 'R' | u64 id                        barrier
/// 'S' 'P' 'L' 'V' | u64 id                        liveness
/// 'S' 'P' 'L' 'S' | u64 sent_ns | u32 lease_ms    lease
/// 'S' 'P' 'L' 'D' | u32 term                      lead
/// 'S' 'P' 'R' 'L' | u8 0 | u8 SI | u8 0 | u8 SLS | u32 OPC | u32 DPC | u16 CIC block | u16 0    release
/// ```
/// The group of a release lies as in the cookie envelope.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Heartbeat<'a> {
    /// Ordered behind DATA; its echo says that what came before is applied and recorded.
    Barrier(u64),
    /// Unordered; echoed at once.
    Liveness(u64),
    /// The controller's, echoed by the gateway to renew the lease.
    Lease(Lease),
    /// Ordered behind DATA on the group's stream; its echo says that the controller committed what came before, and forgot the group.
    Release(GroupKey),
    /// The gateway's: it leads, of two, with this term; echoed by a controller that agrees. The controller's, in place of an echo: it does
    /// not agree, and knows this term.
    Lead(u32),
    /// Somebody else's; opaque, echoed at once.
    Foreign(&'a [u8]),
}

impl<'a> Heartbeat<'a> {
    /// The meaning of Heartbeat Data; what is not exactly ours is foreign.
    #[must_use]
    pub fn decode(data: &'a [u8]) -> Self {
        let known = data.split_first_chunk::<4>().and_then(|(magic, rest)| match magic {
            BARRIER => Some(Heartbeat::Barrier(u64::from_be_bytes(rest.try_into().ok()?))),
            LIVENESS => Some(Heartbeat::Liveness(u64::from_be_bytes(rest.try_into().ok()?))),
            LEASE => {
                let (sent_ns, lease_ms) = rest.split_first_chunk::<8>()?;
                let lease_ms = u32::from_be_bytes(lease_ms.try_into().ok()?);
                Some(Heartbeat::Lease(Lease { sent_ns: u64::from_be_bytes(*sent_ns), lease_ms }))
            }
            LEAD => Some(Heartbeat::Lead(u32::from_be_bytes(rest.try_into().ok()?))),
            RELEASE => {
                let rest: &[u8; 16] = rest.try_into().ok()?;
                let word = |at: usize| u32::from_be_bytes([rest[at], rest[at + 1], rest[at + 2], rest[at + 3]]);
                let group = GroupKey {
                    opc: word(4),
                    dpc: word(8),
                    si: rest[1],
                    sls: rest[3],
                    cic_block: (word(12) >> 16) as u16,
                };
                // What is zero must be, so that an echo gives back what was sent.
                (release(&group) == *rest).then_some(Heartbeat::Release(group))
            }
            _ => None,
        });
        known.unwrap_or(Heartbeat::Foreign(data))
    }

    /// The octets, written to `room` (a foreign beat's octets are its own).
    ///
    /// ```
    /// use m3ua_lite::session::Heartbeat;
    /// use m3ua_lite::wire::{Beat, Message};
    ///
    /// let mut room = [0; 20];
    /// let beat = Message::Beat(Beat { data: Some(Heartbeat::Barrier(9).encode(&mut room)) });
    /// assert_eq!(beat.encoded_len(), Ok(24));
    /// ```
    pub fn encode<'b>(&self, room: &'b mut [u8; HEARTBEAT_MAX]) -> &'b [u8]
    where
        'a: 'b,
    {
        let len = match self {
            Heartbeat::Barrier(id) => number(room, BARRIER, *id),
            Heartbeat::Liveness(id) => number(room, LIVENESS, *id),
            Heartbeat::Lease(lease) => {
                let at = number(room, LEASE, lease.sent_ns);
                room[at..at + 4].copy_from_slice(&lease.lease_ms.to_be_bytes());
                at + 4
            }
            Heartbeat::Lead(term) => {
                room[..4].copy_from_slice(LEAD);
                room[4..8].copy_from_slice(&term.to_be_bytes());
                8
            }
            Heartbeat::Release(group) => {
                room[..4].copy_from_slice(RELEASE);
                room[4..].copy_from_slice(&release(group));
                HEARTBEAT_MAX
            }
            Heartbeat::Foreign(data) => return data,
        };
        &room[..len]
    }
}

/// Writes a magic and a number; gives where they end.
fn number(room: &mut [u8; HEARTBEAT_MAX], magic: &[u8; 4], number: u64) -> usize {
    room[..4].copy_from_slice(magic);
    room[4..12].copy_from_slice(&number.to_be_bytes());
    12
}

/// A group as the first 16 octets of the cookie envelope have it.
fn release(group: &GroupKey) -> [u8; 16] {
    let mut octets = [0; 16];
    octets[..4].copy_from_slice(&[0, group.si, 0, group.sls]);
    octets[4..8].copy_from_slice(&group.opc.to_be_bytes());
    octets[8..12].copy_from_slice(&group.dpc.to_be_bytes());
    octets[12..14].copy_from_slice(&group.cic_block.to_be_bytes());
    octets
}
