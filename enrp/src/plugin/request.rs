//! What a plug-in is given: a block in its memory, little endian. `enrp/plugins/README.md` describes it for those who write one.

use super::Question;
use crate::handlespace::Element;
use asap::wire::{HINT_BYTES_MAX, PeId, Policy, Transport};
use std::net::IpAddr;

/// Version of the layout, in its first word.
const VERSION: u32 = 1;
/// Bytes in front of hint, handle and records.
const HEADER_BYTES: usize = 64;
/// Bytes in one element's record.
const RECORD_BYTES: usize = 48;
/// Rank of an element that is not to be used.
pub(super) const NOT_TO_BE_USED: u32 = u32::MAX;

/// What users measured at an element, as a record has it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Reported {
    /// 0xffffffff is 100 %.
    pub(crate) load: u32,
    /// In microseconds.
    pub(crate) round_trip_us: Option<u32>,
    /// How old the newest report is.
    pub(crate) age_ms: u32,
}

/// Whom a record is about, for rows of tables.
#[derive(Debug, Clone, Copy)]
pub(super) struct Subject {
    pub(super) pe: PeId,
    pub(super) address: Option<IpAddr>,
}

/// A question as bytes. Used again for the next one.
#[derive(Debug, Default)]
pub(super) struct Request {
    pub(super) bytes: Vec<u8>,
    pub(super) subjects: Vec<Subject>,
    records_at: usize,
}

impl Request {
    /// The room a question about so many elements may need.
    pub(super) fn bytes_max(elements: usize) -> usize {
        HEADER_BYTES + HINT_BYTES_MAX + crate::server::HANDLE_BYTES_WIRE + 8 + elements * RECORD_BYTES
    }

    /// Begins a question; elements follow with [`Request::push`].
    pub(super) fn begin(&mut self, question: &Question<'_>, random: u64) {
        let (handle, hint) = (question.handle.as_bytes(), question.hint);
        let bare = hint.unwrap_or_default();
        let hint_at = HEADER_BYTES;
        let handle_at = hint_at + bare.len();
        self.records_at = (handle_at + handle.len()).next_multiple_of(8);
        self.subjects.clear();
        self.bytes.clear();
        for word in [
            VERSION,
            0, // The number of elements, known at the end.
            word(self.records_at),
            word(RECORD_BYTES),
            word(question.items),
            question.policy.policy_type(),
            word(hint_at),
            word(bare.len()),
            word(handle_at),
            word(handle.len()),
            u32::from(hint.is_some()),
            0,
        ] {
            self.word(word);
        }
        self.bytes.extend_from_slice(&random.to_le_bytes());
        self.bytes.resize(HEADER_BYTES, 0);
        self.bytes.extend_from_slice(bare);
        self.bytes.extend_from_slice(handle);
        self.bytes.resize(self.records_at, 0);
    }

    /// One more element.
    pub(super) fn push(&mut self, element: &Element, selections: u64, reported: Option<Reported>) {
        let registered = element.registered();
        let (value, degradation) = values(&registered.policy);
        let round_trip = reported.and_then(|reported| reported.round_trip_us);
        let flags = u32::from(reported.is_some()) | u32::from(round_trip.is_some()) << 1;
        for word in [
            0,
            registered.id.0,
            registered.policy.policy_type(),
            value,
            degradation,
            flags,
            reported.map_or(0, |reported| reported.load),
            round_trip.unwrap_or(0),
            reported.map_or(0, |reported| reported.age_ms),
            (selections & u64::from(u32::MAX)) as u32,
            0,
            0,
        ] {
            self.word(word);
        }
        self.subjects.push(Subject { pe: registered.id, address: address(&registered.user_transport) });
        let count = word(self.subjects.len());
        self.bytes[4..8].copy_from_slice(&count.to_le_bytes());
    }

    /// The rank that the plug-in gave each element, from the bytes of the block after the call.
    pub(super) fn ranks<'a>(&'a self, block: &'a [u8]) -> impl Iterator<Item = (u32, PeId)> + 'a {
        let records = block.get(self.records_at..).unwrap_or_default().as_chunks::<RECORD_BYTES>().0;
        records.iter().zip(&self.subjects).filter_map(|(record, subject)| {
            let rank = u32::from_le_bytes([record[0], record[1], record[2], record[3]]);
            (rank != NOT_TO_BE_USED).then_some((rank, subject.pe))
        })
    }

    fn word(&mut self, word: u32) {
        self.bytes.extend_from_slice(&word.to_le_bytes());
    }
}

fn word(number: usize) -> u32 {
    u32::try_from(number).unwrap_or(u32::MAX)
}

/// Weight, priority or load, and degradation.
fn values(policy: &Policy) -> (u32, u32) {
    match *policy {
        Policy::RoundRobin | Policy::Random | Policy::Other { .. } => (0, 0),
        Policy::WeightedRoundRobin { weight } | Policy::WeightedRandom { weight } => (weight, 0),
        Policy::Priority { priority } => (priority, 0),
        Policy::LeastUsed { load } | Policy::RandomizedLeastUsed { load } | Policy::MostUsed { load } => (load, 0),
        Policy::LeastUsedDegradation { load, degradation } | Policy::PriorityLeastUsed { load, degradation } => {
            (load, degradation)
        }
    }
}

/// Its first address.
fn address(transport: &Transport) -> Option<IpAddr> {
    match transport {
        Transport::Sctp(sctp) => sctp.addresses.first().copied(),
        Transport::Tcp(ip) | Transport::Udp(ip) | Transport::UdpLite(ip) => Some(ip.address),
        Transport::Dccp(dccp) => Some(dccp.address),
        Transport::Opaque(_) => None,
    }
}
