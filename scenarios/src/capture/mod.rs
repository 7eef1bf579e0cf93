//! Reads M3UA messages out of pcap and pcapng captures: IP/SCTP and SCTP over UDP (RFC 6951); RFC 4666 and the Draft 6 framing.

mod hops;
mod packet;
mod sctp_data;

use m3ua_lite::mtp3::decode_draft_data;
use m3ua_lite::wire::{Message, ProtocolData};
use pcap_parser::pcapng::OptionCode;
use pcap_parser::{Block, PcapBlockOwned, PcapError, create_reader};
use rustc_hash::FxHashMap;
use sctp_data::Reassembly;
use std::fs::File;
use std::net::SocketAddr;
use std::path::Path;

/// PPID of M3UA (RFC 4666 section 7.1).
const PPID_M3UA: u32 = 3;
/// Messages taken from one capture at most (some 100 bytes each).
const MESSAGES_MAX: usize = 5_000_000;
/// Bytes of the reader's buffer: the largest block that can be read.
const BLOCK_BYTES_MAX: usize = 4 << 20;

/// One MTP3 user message found in a capture.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Captured {
    /// Time of capture, ns since the epoch.
    pub time_ns: u64,
    /// Originating point code.
    pub opc: u32,
    /// Destination point code.
    pub dpc: u32,
    /// Service indicator.
    pub si: u8,
    /// Network indicator.
    pub ni: u8,
    /// Message priority.
    pub mp: u8,
    /// Signalling link selection.
    pub sls: u8,
    /// The association it was on: its index in [`Capture::associations`].
    pub association: usize,
    /// User data after the routing label.
    pub data: Vec<u8>,
}

/// Two SCTP endpoints with DATA messages between them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Association {
    /// Its ends: addresses and SCTP ports, the lower address first.
    pub ends: (SocketAddr, SocketAddr),
    /// DATA messages found on it.
    pub messages: usize,
    /// False: its messages are left out, since they are the same as those of the other associations, on another hop.
    pub taken: bool,
}

/// What a capture held.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Capture {
    /// The DATA messages of the associations taken, in order.
    pub messages: Vec<Captured>,
    /// Where they were found, in order of the first one.
    pub associations: Vec<Association>,
    /// Packets that are not SCTP, and SCTP user messages that are not M3UA DATA.
    pub other: u64,
    /// Packets or messages that could not be decoded.
    pub malformed: u64,
    /// DATA chunks seen again (retransmissions, or captured twice), left out.
    pub retransmitted: u64,
}

/// Why a capture cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum CaptureError {
    /// It cannot be opened or read: the environment.
    #[error("{path}: {source}; give the name of a pcap or pcapng file that can be read")]
    Io {
        /// The file.
        path: String,
        /// What the system said.
        source: std::io::Error,
    },
    /// It is no capture, cut, or of a kind that is not known.
    #[error("{path}: {what}")]
    Format {
        /// The file.
        path: String,
        /// What is wrong and where.
        what: String,
    },
}

/// An interface of the capture.
#[derive(Debug, Clone, Copy)]
struct Interface {
    link_type: i32,
    /// Ticks of a second in a packet's time stamp.
    ticks_per_s: u64,
    offset_s: i64,
    /// Packets are cut at this length; 0: not at all.
    snap_len: u32,
}

/// Reads a whole capture.
///
/// # Errors
/// The file is missing, or is not a capture.
pub fn read(path: &Path) -> Result<Capture, CaptureError> {
    let name = path.display().to_string();
    let file = File::open(path).map_err(|source| CaptureError::Io { path: name.clone(), source })?;
    let format = |what: String| CaptureError::Format { path: name.clone(), what };
    let mut reader = create_reader(BLOCK_BYTES_MAX, file).map_err(|_| {
        format("neither pcap nor pcapng at its beginning; write it with Wireshark, tcpdump or sigpool".into())
    })?;
    let mut import = Import::default();
    let mut packets = 0_u64;
    loop {
        match reader.next() {
            Ok((used, block)) => {
                packets +=
                    u64::from(import.block(&block).map_err(|what| format(format!("packet {}: {what}", packets + 1)))?);
                reader.consume(used);
            }
            Err(PcapError::Eof) => return Ok(import.one_hop()),
            Err(PcapError::Incomplete(_)) => {
                reader.refill().map_err(|_| format(format!("cannot be read after packet {packets}")))?;
            }
            Err(PcapError::UnexpectedEof) => {
                return Err(format(format!("cut off after packet {packets}; repair it with `editcap FILE NEWFILE`")));
            }
            Err(error) => return Err(format(format!("damaged after packet {packets}: {error:?}"))),
        }
    }
}

#[derive(Default)]
struct Import {
    capture: Capture,
    interfaces: Vec<Interface>,
    reassembly: Reassembly,
    /// The index of each association by its ends.
    by_ends: FxHashMap<(SocketAddr, SocketAddr), usize>,
}

impl Import {
    /// The capture, each message of it once.
    fn one_hop(mut self) -> Capture {
        let taken = hops::taken(&self.capture.associations, &self.capture.messages);
        self.capture.messages.retain(|message| taken[message.association]);
        for (association, taken) in self.capture.associations.iter_mut().zip(taken) {
            association.taken = taken;
        }
        self.capture
    }

    /// Takes a block of the file; true when it was a packet.
    fn block(&mut self, block: &PcapBlockOwned<'_>) -> Result<bool, String> {
        match block {
            PcapBlockOwned::LegacyHeader(header) => {
                let ticks_per_s = if header.is_nanosecond_precision() { 1_000_000_000 } else { 1_000_000 };
                let interface =
                    Interface { link_type: header.network.0, ticks_per_s, offset_s: 0, snap_len: header.snaplen };
                self.interfaces = vec![interface];
                Ok(false)
            }
            PcapBlockOwned::Legacy(packet) => {
                let interface = self.interface(0)?;
                let fraction = u64::from(packet.ts_usec) * (1_000_000_000 / interface.ticks_per_s);
                let time_ns = u64::from(packet.ts_sec) * 1_000_000_000 + fraction;
                self.packet(time_ns, interface, packet.data)?;
                Ok(true)
            }
            PcapBlockOwned::NG(block) => self.ng_block(block),
        }
    }

    fn ng_block(&mut self, block: &Block<'_>) -> Result<bool, String> {
        match block {
            Block::SectionHeader(_) => self.interfaces.clear(),
            Block::InterfaceDescription(description) => {
                let ticks_per_s = description.ts_resolution().ok_or("an interface with an unknown time resolution")?;
                let offset_s = description.options.iter().find(|o| o.code == OptionCode::IfTsoffset);
                let offset_s = offset_s.and_then(|o| o.value.get(..8)?.try_into().ok()).map_or(0, i64::from_le_bytes);
                let interface = Interface {
                    link_type: description.linktype.0,
                    ticks_per_s,
                    offset_s,
                    snap_len: description.snaplen,
                };
                self.interfaces.push(interface);
            }
            Block::EnhancedPacket(packet) => {
                let interface = self.interface(packet.if_id as usize)?;
                let ticks = u128::from(packet.ts_high) << 32 | u128::from(packet.ts_low);
                let ns = ticks * 1_000_000_000 / u128::from(interface.ticks_per_s.max(1));
                let time_ns = (ns as u64).saturating_add_signed(interface.offset_s.saturating_mul(1_000_000_000));
                let data = packet.data.get(..packet.caplen as usize).unwrap_or(packet.data);
                self.packet(time_ns, interface, data)?;
                return Ok(true);
            }
            Block::SimplePacket(packet) => {
                let interface = self.interface(0)?;
                // It has no time stamp; the order is all there is.
                self.packet(0, interface, packet.data)?;
                return Ok(true);
            }
            // Names, statistics, journals, vendors' blocks: nothing to send.
            Block::NameResolution(_)
            | Block::InterfaceStatistics(_)
            | Block::SystemdJournalExport(_)
            | Block::DecryptionSecrets(_)
            | Block::ProcessInformation(_)
            | Block::Custom(_)
            | Block::Unknown(_) => {}
        }
        Ok(false)
    }

    fn interface(&self, id: usize) -> Result<Interface, String> {
        self.interfaces
            .get(id)
            .copied()
            .ok_or_else(|| format!("it belongs to interface {id}, which the file does not describe"))
    }

    fn packet(&mut self, time_ns: u64, interface: Interface, data: &[u8]) -> Result<(), String> {
        match packet::sctp(interface.link_type, data) {
            packet::Found::Sctp { from, to, octets } => {
                let Self { capture, reassembly, by_ends, .. } = self;
                let ends = packet::ends(from, to, octets);
                let before = (reassembly.malformed, reassembly.repeated);
                reassembly.packet(from, to, octets, &mut |ppid, message| {
                    if let Some(data) = take(capture, ppid, message) {
                        let association = *by_ends.entry(ends).or_insert_with(|| {
                            capture.associations.push(Association { ends, messages: 0, taken: true });
                            capture.associations.len() - 1
                        });
                        capture.associations[association].messages += 1;
                        capture.messages.push(captured(time_ns, association, &data));
                    }
                });
                capture.malformed += reassembly.malformed - before.0;
                capture.retransmitted += reassembly.repeated - before.1;
            }
            packet::Found::Other => self.capture.other += 1,
            packet::Found::Malformed => self.capture.malformed += 1,
            packet::Found::UnknownLink => {
                let link = interface.link_type;
                return Err(format!(
                    "link type {link} is not known here; Ethernet, Linux cooked, raw IP and loopback are"
                ));
            }
        }
        if self.capture.messages.len() > MESSAGES_MAX {
            return Err(format!("more than {MESSAGES_MAX} messages; part the capture with `editcap -c`"));
        }
        let snap_len = interface.snap_len;
        if snap_len != 0 && data.len() >= snap_len as usize {
            self.capture.malformed += 1;
        }
        Ok(())
    }
}

/// The DATA in one SCTP user message; what is none is counted.
fn take<'a>(capture: &mut Capture, ppid: u32, message: &'a [u8]) -> Option<ProtocolData<'a>> {
    if ppid != PPID_M3UA {
        capture.other += 1;
        return None;
    }
    match (Message::decode(message), decode_draft_data(message)) {
        (Ok(Message::Data(data)), _) => return Some(data.protocol_data),
        (_, Some(data)) => return Some(data),
        (Ok(_), None) => capture.other += 1,
        (Err(_), None) => capture.malformed += 1,
    }
    None
}

fn captured(time_ns: u64, association: usize, m: &ProtocolData<'_>) -> Captured {
    let data = m.user_data.to_vec();
    Captured { time_ns, opc: m.opc, dpc: m.dpc, si: m.si, ni: m.ni, mp: m.mp, sls: m.sls, association, data }
}

#[cfg(test)]
mod tests;
