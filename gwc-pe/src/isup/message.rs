//! What call control needs of an ISUP message (ITU-T Q.763), both directions.
//!
//! The crate `itu-isup` does the pointers and the numbers; the few message types it does not model (SAM, COT, UCIC, CQM,
//! CQR, CFN, UPT, UPA) have one mandatory field at most and are read and written here.

use itu_isup::{CauseIndicators, IsupError, MessageType, Number, Parameter, ParameterType, RangeAndStatus};

/// Circuits in one group (`CIC / 32`), and the most a group reset may name (Q.763 3.43: range 31 or less).
pub const GROUP_CIRCUITS: u8 = 32;

/// Cause values (Q.850) that the controller sends.
pub(super) mod cause {
    /// 16, normal call clearing.
    pub(in crate::isup) const NORMAL: u8 = 16;
    /// 17, user busy.
    pub(in crate::isup) const BUSY: u8 = 17;
    /// 31, normal, unspecified.
    pub(in crate::isup) const UNSPECIFIED: u8 = 31;
    /// 41, temporary failure.
    pub(in crate::isup) const TEMPORARY_FAILURE: u8 = 41;
    /// 97, message type non-existent or not implemented.
    pub(in crate::isup) const UNKNOWN_MESSAGE: u8 = 97;
    /// 102, recovery on timer expiry.
    pub(in crate::isup) const TIMER_EXPIRY: u8 = 102;
}

/// Circuits named by a group message: `range + 1` circuits from the CIC on, with a bit each where the message has them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Range {
    /// The range octet (1 to 255): one less than the number of circuits.
    pub range: u8,
    /// Status bits of the first 32 circuits, bit 0 for the CIC itself. All ones where the message has none (GRS, CQM).
    pub status: u32,
}

/// What CQR says of the circuits from its CIC on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CircuitStates {
    /// The range octet (1 to 31): one less than the number of circuits.
    pub range: u8,
    states: [u8; GROUP_CIRCUITS as usize],
}

impl CircuitStates {
    /// Circuit state indicators (Q.763 3.14), one for each circuit.
    #[must_use]
    pub fn octets(&self) -> &[u8] {
        &self.states[..=usize::from(self.range)]
    }
}

/// Circuit group supervision message type indicator (Q.763 3.13): the two kinds of blocking.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Blocking {
    /// 0: maintenance oriented; calls go on.
    Maintenance,
    /// 1: hardware failure oriented; calls are cleared.
    Hardware,
}

/// A received message, as far as call control looks into it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Message {
    /// Of the call on the circuit.
    Call(CallMessage),
    /// Of the circuit: reset, blocking.
    Circuit(CircuitMessage),
    /// Of several circuits.
    Group(GroupMessage, Range),
    /// CQR, the answer to our CQM.
    QueryAnswer(CircuitStates),
    /// UPT, user part test: answered by UPA.
    UserPartTest,
    /// Nothing to act on and nothing to answer: CFN, UPA, LPA, OLM, NRM, PAM.
    Ignored,
    /// A type that Q.763 does not know: answered by CFN.
    Unknown(u8),
}

/// A message of the call on one circuit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CallMessage {
    /// Initial address.
    Iam {
        /// A continuity check comes first (Q.763 3.35, bits DC 01 or 10): ACM waits for COT.
        continuity: bool,
    },
    /// Subsequent address.
    Sam,
    /// Continuity (Q.763 3.18).
    Cot {
        /// The check was successful.
        successful: bool,
    },
    /// Address complete.
    Acm,
    /// Call progress.
    Cpg,
    /// Connect.
    Con,
    /// Answer.
    Anm,
    /// Release.
    Rel,
    /// Release complete.
    Rlc,
    /// Suspend.
    Sus,
    /// Resume.
    Res,
    /// Continuity check request.
    Ccr,
    /// Any other of a call; nothing that call control acts on (INR, INF, FOT, FAC, USR, APM, ...).
    Other,
}

/// A message of one circuit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CircuitMessage {
    /// Reset circuit.
    Rsc,
    /// Blocking.
    Blo,
    /// Blocking acknowledgement.
    Bla,
    /// Unblocking.
    Ubl,
    /// Unblocking acknowledgement.
    Uba,
    /// Unequipped circuit.
    Ucic,
    /// Group blocking or unblocking acknowledgement.
    GroupBlockingAck,
}

/// A message of the circuits in its [`Range`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum GroupMessage {
    /// GRS, group reset.
    Reset,
    /// GRA, its acknowledgement; a set bit: the circuit is blocked for maintenance at the other end.
    ResetAck,
    /// CGB, group blocking.
    Block(Blocking),
    /// CGU, group unblocking.
    Unblock(Blocking),
    /// CQM, group query.
    Query,
}

/// A message that cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum DecodeError {
    /// The codec refused it.
    #[error(transparent)]
    Codec(#[from] IsupError),
    /// A group message whose range is 0 (reserved, Q.763 3.43), over 31 in a reset or query, or longer than its status bits.
    #[error("range {0} is reserved or does not fit its status bits")]
    Range(u8),
    /// A supervision type that is neither maintenance nor hardware.
    #[error("circuit group supervision type {0} is reserved")]
    Supervision(u8),
    /// Too short for the type's mandatory part.
    #[error("message ends before its mandatory part")]
    Short,
}

/// Reads CIC and message.
///
/// # Errors
/// The mandatory part is missing or out of bounds.
pub fn decode(bytes: &[u8]) -> Result<(u16, Message), DecodeError> {
    let [low, high, kind, rest @ ..] = bytes else {
        return Err(DecodeError::Short);
    };
    let cic = itu_isup::decode_cic([*low, *high]);
    #[expect(clippy::wildcard_enum_match_arm, reason = "a foreign enum of 60 kinds; those in no arm nobody needs")]
    let message = match MessageType::from_u8(*kind) {
        MessageType::Sam => {
            variable_parameter(rest)?;
            Message::Call(CallMessage::Sam)
        }
        MessageType::Cot => {
            Message::Call(CallMessage::Cot { successful: rest.first().ok_or(DecodeError::Short)? & 1 == 1 })
        }
        MessageType::Ccr => Message::Call(CallMessage::Ccr),
        MessageType::Ucic => Message::Circuit(CircuitMessage::Ucic),
        MessageType::Cqm => {
            let octets = variable_parameter(rest)?;
            let range = *octets.first().ok_or(DecodeError::Short)?;
            Message::Group(GroupMessage::Query, reset_range(range)?)
        }
        MessageType::Cqr => Message::QueryAnswer(circuit_states(rest)?),
        MessageType::Upt => Message::UserPartTest,
        MessageType::Cfn
        | MessageType::Upa
        | MessageType::Lpa
        | MessageType::Olm
        | MessageType::Pam
        | MessageType::Nrm => Message::Ignored,
        MessageType::Other(value) => Message::Unknown(value),
        known if is_modelled(known) => modelled(&itu_isup::Message::decode(bytes)?)?,
        _ => Message::Call(CallMessage::Other),
    };
    Ok((cic, message))
}

/// The types `itu_isup::Message::decode` reads.
fn is_modelled(kind: MessageType) -> bool {
    use MessageType as T;
    matches!(
        kind,
        T::Iam
            | T::Acm
            | T::Con
            | T::Anm
            | T::Cpg
            | T::Rel
            | T::Rlc
            | T::Sus
            | T::Res
            | T::Fot
            | T::Inr
            | T::Inf
            | T::Blo
            | T::Bla
            | T::Ubl
            | T::Uba
            | T::Rsc
            | T::Grs
            | T::Gra
            | T::Cgb
            | T::Cgu
            | T::Cgba
            | T::Cgua
    )
}

fn modelled(message: &itu_isup::Message) -> Result<Message, DecodeError> {
    use MessageType as T;
    use {CallMessage as C, CircuitMessage as K, GroupMessage as G, Message as M};
    #[expect(clippy::wildcard_enum_match_arm, reason = "a foreign enum of 60 kinds; those in no arm nobody needs")]
    Ok(match message.message_type {
        T::Iam => {
            let nature = message.mandatory_fixed.first().map_or(Ok(0), Parameter::as_u8)?;
            // A called number that cannot be read makes the IAM useless.
            message.mandatory_variable.first().ok_or(DecodeError::Short)?.as_number()?;
            // Bits DC: 01 check on this circuit, 10 check on a previous one; either way COT follows.
            M::Call(C::Iam { continuity: matches!((nature >> 2) & 3, 1 | 2) })
        }
        T::Rel => {
            message.mandatory_variable.first().ok_or(DecodeError::Short)?.as_cause_indicators()?;
            M::Call(C::Rel)
        }
        T::Acm => M::Call(C::Acm),
        T::Con => M::Call(C::Con),
        T::Anm => M::Call(C::Anm),
        T::Cpg => M::Call(C::Cpg),
        T::Rlc => M::Call(C::Rlc),
        T::Sus => M::Call(C::Sus),
        T::Res => M::Call(C::Res),
        T::Blo => M::Circuit(K::Blo),
        T::Bla => M::Circuit(K::Bla),
        T::Ubl => M::Circuit(K::Ubl),
        T::Uba => M::Circuit(K::Uba),
        T::Rsc => M::Circuit(K::Rsc),
        T::Cgba | T::Cgua => M::Circuit(K::GroupBlockingAck),
        T::Grs => M::Group(G::Reset, reset_range(range_and_status(message)?.range)?),
        T::Gra => M::Group(G::ResetAck, status_range(message)?),
        T::Cgb => M::Group(G::Block(blocking(message)?), status_range(message)?),
        T::Cgu => M::Group(G::Unblock(blocking(message)?), status_range(message)?),
        _ => M::Call(C::Other),
    })
}

/// The value of the mandatory variable parameter whose pointer `rest` begins with.
fn variable_parameter(rest: &[u8]) -> Result<&[u8], DecodeError> {
    let pointer = usize::from(*rest.first().ok_or(DecodeError::Short)?);
    let length = usize::from(*rest.get(pointer).ok_or(DecodeError::Short)?);
    if pointer == 0 {
        return Err(DecodeError::Short);
    }
    rest.get(pointer + 1..pointer + 1 + length).ok_or(DecodeError::Short)
}

/// The two parameters of CQR: range, and as many circuit state indicators.
fn circuit_states(rest: &[u8]) -> Result<CircuitStates, DecodeError> {
    let range = reset_range(*variable_parameter(rest)?.first().ok_or(DecodeError::Short)?)?.range;
    let octets = variable_parameter(rest.get(1..).ok_or(DecodeError::Short)?)?;
    let mut states = [0; GROUP_CIRCUITS as usize];
    let named = &mut states[..=usize::from(range)];
    named.copy_from_slice(octets.get(..named.len()).ok_or(DecodeError::Range(range))?);
    Ok(CircuitStates { range, states })
}

fn range_and_status(message: &itu_isup::Message) -> Result<RangeAndStatus, DecodeError> {
    Ok(message.mandatory_variable.first().ok_or(DecodeError::Short)?.as_range_and_status()?)
}

/// Range of a message without status bits.
fn reset_range(range: u8) -> Result<Range, DecodeError> {
    if range == 0 || range >= GROUP_CIRCUITS {
        return Err(DecodeError::Range(range));
    }
    Ok(Range { range, status: u32::MAX })
}

fn status_range(message: &itu_isup::Message) -> Result<Range, DecodeError> {
    let RangeAndStatus { range, status } = range_and_status(message)?;
    if range == 0 || status.len() < (usize::from(range) + 1).div_ceil(8) {
        return Err(DecodeError::Range(range));
    }
    let mut bits = [0; 4];
    for (bit, octet) in bits.iter_mut().zip(&status) {
        *bit = *octet;
    }
    let bits = u32::from_le_bytes(bits);
    let named = if range >= 31 { u32::MAX } else { (1 << (range + 1)) - 1 };
    Ok(Range { range, status: bits & named })
}

fn blocking(message: &itu_isup::Message) -> Result<Blocking, DecodeError> {
    match message.mandatory_fixed.first().ok_or(DecodeError::Short)?.as_u8()? & 3 {
        0 => Ok(Blocking::Maintenance),
        1 => Ok(Blocking::Hardware),
        other => Err(DecodeError::Supervision(other)),
    }
}

impl Blocking {
    fn indicator(self) -> u8 {
        match self {
            Self::Maintenance => 0,
            Self::Hardware => 1,
        }
    }
}

/// Backward call indicators of ACM and CON: charge, subscriber free, ordinary subscriber; ISUP all the way, ISDN access.
const BACKWARD_INDICATORS: u16 = 0x1614;
/// Forward call indicators of IAM: ISUP preferred and used all the way (bits F and HG of Q.763 3.23: F = 1), ISDN access.
const FORWARD_INDICATORS: u16 = 0x2001;
/// Location of our causes (Q.850 2.2.3): public network serving the local user.
const LOCATION: u8 = 2;

fn bytes(message: &itu_isup::Message) -> Vec<u8> {
    message.encode().expect("invariant: itu-isup's constructors fill every mandatory part")
}

/// CIC and message type alone: the messages without parameters that the codec does not model.
fn bare(cic: u16, kind: MessageType) -> Vec<u8> {
    let [low, high] = itu_isup::encode_cic(cic);
    vec![low, high, kind.value()]
}

/// IAM to `digits` (decimal).
pub(super) fn iam(cic: u16, digits: &str) -> Vec<u8> {
    // Nature of address 3, national; numbering plan 1, E.164. ST (`f`) ends the number: en bloc.
    let called = Number::called(3, 1, false, &format!("{digits}f"));
    let speech = itu_isup::transmission_medium_requirement::SPEECH;
    let ordinary = itu_isup::calling_party_category::ORDINARY;
    let message = itu_isup::Message::iam(cic, 0, FORWARD_INDICATORS, ordinary, speech, &called);
    bytes(&message.expect("invariant: configuration takes digits only"))
}

pub(super) fn acm(cic: u16) -> Vec<u8> {
    bytes(&itu_isup::Message::acm(cic, BACKWARD_INDICATORS))
}

/// CPG, event alerting.
pub(super) fn cpg(cic: u16) -> Vec<u8> {
    bytes(&itu_isup::Message::cpg(cic, itu_isup::event_information::ALERTING))
}

pub(super) fn anm(cic: u16) -> Vec<u8> {
    bytes(&itu_isup::Message::anm(cic))
}

pub(super) fn rel(cic: u16, cause: u8) -> Vec<u8> {
    bytes(&itu_isup::Message::release(cic, &CauseIndicators::new(LOCATION, cause)))
}

pub(super) fn rlc(cic: u16) -> Vec<u8> {
    bytes(&itu_isup::Message::release_complete(cic))
}

pub(super) fn rsc(cic: u16) -> Vec<u8> {
    bytes(&itu_isup::Message::reset_circuit(cic))
}

pub(super) fn blo(cic: u16) -> Vec<u8> {
    bytes(&itu_isup::Message::blocking(cic))
}

pub(super) fn bla(cic: u16) -> Vec<u8> {
    bytes(&itu_isup::Message::blocking_ack(cic))
}

pub(super) fn ubl(cic: u16) -> Vec<u8> {
    bytes(&itu_isup::Message::unblocking(cic))
}

pub(super) fn uba(cic: u16) -> Vec<u8> {
    bytes(&itu_isup::Message::unblocking_ack(cic))
}

pub(super) fn grs(cic: u16, range: u8) -> Vec<u8> {
    bytes(&itu_isup::Message::circuit_group_reset(cic, &RangeAndStatus::range_only(range)))
}

/// GRA with a bit for each circuit that we block for maintenance.
pub(super) fn gra(cic: u16, range: Range) -> Vec<u8> {
    bytes(&itu_isup::Message::circuit_group_reset_ack(cic, &with_status(range)))
}

pub(super) fn cgba(cic: u16, kind: Blocking, range: Range) -> Vec<u8> {
    bytes(&itu_isup::Message::circuit_group_blocking_ack(cic, kind.indicator(), &with_status(range)))
}

pub(super) fn cgua(cic: u16, kind: Blocking, range: Range) -> Vec<u8> {
    bytes(&itu_isup::Message::circuit_group_unblocking_ack(cic, kind.indicator(), &with_status(range)))
}

fn with_status(range: Range) -> RangeAndStatus {
    let octets = (usize::from(range.range) + 1).div_ceil(8);
    RangeAndStatus::with_status(range.range, range.status.to_le_bytes().into_iter().take(octets).collect())
}

pub(super) fn ucic(cic: u16) -> Vec<u8> {
    bare(cic, MessageType::Ucic)
}

/// UPA: the answer to UPT; its optional part is absent (pointer 0).
pub(super) fn upa(cic: u16) -> Vec<u8> {
    let mut message = bare(cic, MessageType::Upa);
    message.push(0);
    message
}

/// CFN, cause 97 with the unknown type as diagnostic (Q.764 2.9.5.3).
pub(super) fn cfn(cic: u16, kind: u8) -> Vec<u8> {
    let mut cause = CauseIndicators::new(LOCATION, cause::UNKNOWN_MESSAGE);
    cause.diagnostics.push(kind);
    let cause = Parameter::new(ParameterType::CauseIndicators, cause.encode()).value;
    let mut message = bare(cic, MessageType::Cfn);
    // Pointer to cause indicators, pointer to the optional part (none).
    message.extend([2, 0, octets(&cause)]);
    message.extend(cause);
    message
}

/// CQM: its variable parameter is the range.
pub(super) fn cqm(cic: u16, range: u8) -> Vec<u8> {
    let mut message = bare(cic, MessageType::Cqm);
    message.extend([1, 1, range]);
    message
}

/// CQR: two variable parameters, range (one octet) and a circuit state octet for each circuit (Q.763 3.14).
pub(super) fn cqr(cic: u16, range: u8, states: &[u8]) -> Vec<u8> {
    let mut message = bare(cic, MessageType::Cqr);
    // Pointers, each from its own octet: range at +2, states behind the two octets of range at +3.
    message.extend([2, 3, 1, range, octets(states)]);
    message.extend(states);
    message
}

fn octets(value: &[u8]) -> u8 {
    u8::try_from(value.len()).expect("invariant: at most 32 circuits and 3 cause octets")
}
