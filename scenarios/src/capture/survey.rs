//! What is in a capture: the first pass over it. Counts and first places, no messages.

use super::file::FileInfo;
use super::hops::{Contents, Place, content_hash};
use super::walk::{Event, Trouble, Walked};
use super::{PPID_M3UA, data_of};
use m3ua_lite::wire::Message;
use serde::Serialize;
use std::collections::{BTreeMap, BTreeSet};

/// PPIDs told apart on one association.
const PPIDS_MAX: usize = 16;
/// First places kept of each kind of trouble.
const PLACES_MAX: usize = 5;

/// Messages and their bytes.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct Amount {
    /// How many.
    pub messages: u64,
    /// Bytes of user data.
    pub bytes: u64,
}

/// Two SCTP endpoints with packets between them.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Association {
    /// From 1, in the order of the first packet; `--association` takes it.
    pub number: usize,
    /// Its ends: address and SCTP port, the lower address first.
    pub ends: [String; 2],
    /// SCTP packets.
    pub packets: u64,
    /// Bytes of SCTP packets.
    pub bytes: u64,
    /// Streams with DATA chunks, both directions.
    pub streams: usize,
    /// DATA chunks by PPID (3 M3UA, 11 ASAP, 12 ENRP); further ones than 16 are counted under 4294967295.
    pub ppids: BTreeMap<u32, Amount>,
    /// M3UA DATA messages (RFC 4666 section 3.3.1).
    pub data: u64,
    /// DATA chunks seen again: retransmissions, or captured twice.
    pub repeated: u64,
    /// Chunks that never were in the capture, though later ones were.
    pub missing: u64,
    /// Fragments of messages that were never whole.
    pub incomplete: u64,
    /// First packet, s since 1970.
    pub first_s: f64,
    /// Last packet, s since 1970.
    pub last_s: f64,
    /// Its M3UA DATA is taken; else it is the same as that of the associations taken, on another hop, or not wanted.
    pub taken: bool,
    /// It has what only the way from a gateway to its controllers has: ASAP beside M3UA, or Correlation Ids.
    pub to_controllers: bool,
}

/// Something of no use in a capture.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Useless {
    /// What it is.
    pub what: String,
    /// How often.
    pub count: u64,
    /// Numbers of the first packets with it, as Wireshark counts.
    pub first_packets: Vec<u64>,
}

/// See the module.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub struct Survey {
    /// The file itself.
    pub file: FileInfo,
    /// First packet, s since 1970.
    pub first_s: f64,
    /// From the first packet to the last.
    pub span_s: f64,
    /// SCTP packets by encapsulation: `SCTP in UDP, IPv4` and so on.
    pub encapsulation: BTreeMap<String, u64>,
    /// Associations in the order of their first packet.
    pub associations: Vec<Association>,
    /// M3UA messages by class and type, on all associations.
    pub m3ua: BTreeMap<String, u64>,
    /// ASAP messages by type (RFC 5352 section 2.2).
    pub asap: BTreeMap<String, u64>,
    /// ENRP messages (RFC 5353).
    pub enrp: u64,
    /// User messages of other PPIDs.
    pub other_ppids: u64,
    /// What is of no use.
    pub useless: Vec<Useless>,
}

/// A survey while it is made.
#[derive(Debug, Default)]
pub(super) struct Surveyor {
    survey: Survey,
    streams: Vec<BTreeSet<u16>>,
    pub(super) contents: Contents,
    trouble: BTreeMap<Trouble, (u64, Vec<u64>)>,
    undecodable: BTreeMap<&'static str, (u64, Vec<u64>)>,
    times: Option<(u64, u64)>,
}

fn note<K: Ord>(book: &mut BTreeMap<K, (u64, Vec<u64>)>, key: K, packet: u64) {
    let (count, places) = book.entry(key).or_default();
    *count += 1;
    if places.len() < PLACES_MAX && places.last() != Some(&packet) {
        places.push(packet);
    }
}

fn seconds(ns: u64) -> f64 {
    ns as f64 / 1e9
}

impl Surveyor {
    pub(super) fn event(&mut self, packet: u64, time_ns: u64, event: Event<'_>) {
        let (first, last) = self.times.unwrap_or((time_ns, time_ns));
        self.times = Some((first.min(time_ns), last.max(time_ns)));
        match event {
            Event::Packet { association, bytes, over_udp, ipv6 } => {
                let sctp = if over_udp { "SCTP in UDP" } else { "SCTP" };
                let ip = if ipv6 { "IPv6" } else { "IPv4" };
                *self.survey.encapsulation.entry(format!("{sctp}, {ip}")).or_default() += 1;
                let entry = self.association(association, time_ns);
                entry.packets += 1;
                entry.bytes += bytes as u64;
                entry.last_s = entry.last_s.max(seconds(time_ns));
            }
            Event::Chunk { association, stream, ppid, bytes, again } => {
                let entry = self.association(association, time_ns);
                if again {
                    entry.repeated += 1;
                    return;
                }
                let known = entry.ppids.len() < PPIDS_MAX || entry.ppids.contains_key(&ppid);
                let amount = entry.ppids.entry(if known { ppid } else { u32::MAX }).or_default();
                amount.messages += 1;
                amount.bytes += bytes as u64;
                self.streams[association].insert(stream);
            }
            Event::Message { association, ppid, octets } => self.message(packet, association, ppid, octets),
            Event::Trouble(trouble) => note(&mut self.trouble, trouble, packet),
        }
    }

    fn association(&mut self, index: usize, time_ns: u64) -> &mut Association {
        while self.survey.associations.len() <= index {
            let number = self.survey.associations.len() + 1;
            self.streams.push(BTreeSet::new());
            self.survey.associations.push(Association {
                number,
                ends: Default::default(),
                packets: 0,
                bytes: 0,
                streams: 0,
                ppids: BTreeMap::new(),
                data: 0,
                repeated: 0,
                missing: 0,
                incomplete: 0,
                first_s: seconds(time_ns),
                last_s: seconds(time_ns),
                taken: false,
                to_controllers: false,
            });
        }
        &mut self.survey.associations[index]
    }

    fn message(&mut self, packet: u64, association: usize, ppid: u32, octets: &[u8]) {
        match ppid {
            PPID_M3UA => self.m3ua(packet, association, octets),
            sctp::ppid::ASAP => {
                let kind = octets.first().map_or("empty", |kind| asap_name(*kind));
                *self.survey.asap.entry(kind.to_owned()).or_default() += 1;
                // Cookies come on the association of the DATA.
                self.survey.associations[association].to_controllers = true;
            }
            sctp::ppid::ENRP => self.survey.enrp += 1,
            _ => self.survey.other_ppids += 1,
        }
    }

    fn m3ua(&mut self, packet: u64, association: usize, octets: &[u8]) {
        let decoded = Message::decode(octets);
        if let Ok(message) = &decoded {
            *self.survey.m3ua.entry(message.message_type().name().to_owned()).or_default() += 1;
        }
        let entry = &mut self.survey.associations[association];
        if let Some((data, is_draft)) = data_of(octets) {
            entry.data += 1;
            entry.to_controllers |= matches!(decoded, Ok(Message::Data(data)) if data.correlation_id.is_some());
            if is_draft {
                *self.survey.m3ua.entry("DATA (Internet-Draft)".to_owned()).or_default() += 1;
            }
            let place = Place { opc: data.opc, dpc: data.dpc, si: data.si, sls: data.sls };
            self.contents.add(association, content_hash(place, data.user_data));
        } else if decoded.is_err() {
            note(&mut self.undecodable, "M3UA messages that cannot be decoded", packet);
        }
    }

    /// The survey; which associations are taken is not in it yet.
    pub(super) fn finish(mut self, walked: Walked) -> (Survey, Contents) {
        let (first, last) = self.times.unwrap_or_default();
        (self.survey.first_s, self.survey.span_s) = (seconds(first), seconds(last - first));
        // An association whose packets had nothing that counts is in the list all the same.
        if let Some(index) = walked.ends.len().checked_sub(1) {
            self.association(index, first);
        }
        let ends = walked.ends.iter().zip(walked.missing).zip(&self.streams);
        for (entry, (((one, other), (missing, incomplete)), streams)) in self.survey.associations.iter_mut().zip(ends) {
            entry.ends = [one.to_string(), other.to_string()];
            (entry.missing, entry.incomplete, entry.streams) = (missing, incomplete, streams.len());
            entry.to_controllers &= entry.data > 0;
        }
        self.survey.file = walked.file;
        let troubles = Trouble::ALL.iter().filter_map(|kind| Some((kind.text(), self.trouble.remove(kind)?)));
        let all = troubles.chain(self.undecodable);
        self.survey.useless =
            all.map(|(what, (count, first_packets))| Useless { what: what.to_owned(), count, first_packets }).collect();
        (self.survey, self.contents)
    }
}

/// Names of RFC 5352 section 2.2.
fn asap_name(kind: u8) -> &'static str {
    match kind {
        0x01 => "REGISTRATION",
        0x02 => "DEREGISTRATION",
        0x03 => "REGISTRATION_RESPONSE",
        0x04 => "DEREGISTRATION_RESPONSE",
        0x05 => "HANDLE_RESOLUTION",
        0x06 => "HANDLE_RESOLUTION_RESPONSE",
        0x07 => "ENDPOINT_KEEP_ALIVE",
        0x08 => "ENDPOINT_KEEP_ALIVE_ACK",
        0x09 => "ENDPOINT_UNREACHABLE",
        0x0a => "SERVER_ANNOUNCE",
        0x0b => "COOKIE",
        0x0c => "COOKIE_ECHO",
        0x0d => "BUSINESS_CARD",
        0x0e => "ERROR",
        _ => "unknown",
    }
}
