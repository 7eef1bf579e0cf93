//! The packets of a pcap or pcapng file, one at a time.

use pcap_parser::pcapng::{OptionCode, PcapNGOption};
use pcap_parser::{Block, PcapBlockOwned, PcapError, create_reader};
use serde::Serialize;
use std::io::Read;

/// Bytes of the reader's buffer: the largest block that can be read.
const BLOCK_BYTES_MAX: usize = 4 << 20;
/// Interfaces of one file.
const INTERFACES_MAX: usize = 4_096;
/// Characters kept of a name or a comment.
const TEXT_MAX: usize = 200;

/// One packet of a capture.
#[derive(Debug, Clone, Copy)]
pub(super) struct Packet<'a> {
    /// From 1, as Wireshark counts.
    pub(super) number: u64,
    /// Since 1970.
    pub(super) time_ns: u64,
    /// `None`: its interface is not described.
    pub(super) link_type: Option<i32>,
    pub(super) data: &'a [u8],
    /// The file has less of it than was on the wire.
    pub(super) is_cut: bool,
}

/// An interface of the capture.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Interface {
    /// Name, if the file says it.
    pub name: Option<String>,
    /// Link type: <https://www.tcpdump.org/linktypes.html>.
    pub link_type: i32,
    /// Packets are cut at this length; 0: not at all.
    pub snap_len: u32,
    #[serde(skip)]
    ticks_per_s: u64,
    #[serde(skip)]
    offset_s: i64,
}

/// What the file says about itself.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct FileInfo {
    /// `pcap` or `pcapng`.
    pub format: String,
    /// The program that wrote it, if it says so.
    pub application: Option<String>,
    /// Comment of the file's section.
    pub comment: Option<String>,
    /// Interfaces in order of their number (of the last section).
    pub interfaces: Vec<Interface>,
    /// Packets read.
    pub packets: u64,
    /// Why the file could not be read to its end, if so.
    pub damage: Option<String>,
}

/// Reads a capture and gives each packet.
///
/// # Errors
/// It is no capture from its beginning on. Damage further on ends the reading and is in [`FileInfo::damage`].
pub(super) fn read<R: Read + Send>(input: R, give: &mut dyn FnMut(Packet<'_>)) -> Result<FileInfo, String> {
    let mut reader = create_reader(BLOCK_BYTES_MAX, input).map_err(|_| {
        "neither pcap nor pcapng at its beginning; write it with Wireshark, tcpdump or sigpool".to_owned()
    })?;
    let mut file = FileInfo::default();
    loop {
        let before = reader.data().len();
        let problem = match reader.next() {
            Ok((used, block)) => {
                file.block(&block, give);
                reader.consume(used);
                continue;
            }
            Err(PcapError::Eof) => return Ok(file),
            Err(PcapError::Incomplete(_)) => {
                let read = reader.refill().is_ok();
                if read && (reader.data().len() != before || reader.reader_exhausted()) {
                    continue;
                }
                "cannot be read".to_owned()
            }
            Err(PcapError::UnexpectedEof) => "cut off; `editcap FILE NEWFILE` repairs it".to_owned(),
            Err(PcapError::BufferTooSmall) => format!("damaged: a block of more than {BLOCK_BYTES_MAX} bytes"),
            Err(error) => format!("damaged: {}", words(&error)),
        };
        file.damage = Some(format!("after packet {}: {problem}", file.packets));
        return Ok(file);
    }
}

/// The error without the octets that it drags along.
fn words(error: &PcapError<&[u8]>) -> String {
    let text = format!("{error:?}");
    text.chars().take_while(|c| c.is_alphanumeric()).collect()
}

fn text_option(options: &[PcapNGOption<'_>], code: OptionCode) -> Option<String> {
    let option = options.iter().find(|option| option.code == code)?;
    let text = String::from_utf8_lossy(option.as_bytes().unwrap_or_default());
    Some(text.chars().filter(|c| !c.is_control()).take(TEXT_MAX).collect())
}

impl FileInfo {
    fn block(&mut self, block: &PcapBlockOwned<'_>, give: &mut dyn FnMut(Packet<'_>)) {
        match block {
            PcapBlockOwned::LegacyHeader(header) => {
                "pcap".clone_into(&mut self.format);
                let ticks_per_s = if header.is_nanosecond_precision() { 1_000_000_000 } else { 1_000_000 };
                let (link_type, snap_len) = (header.network.0, header.snaplen);
                self.interfaces = vec![Interface { name: None, link_type, snap_len, ticks_per_s, offset_s: 0 }];
            }
            PcapBlockOwned::Legacy(packet) => {
                let tick_ns = self.interfaces.first().map_or(0, |interface| 1_000_000_000 / interface.ticks_per_s);
                let fraction = u64::from(packet.ts_usec) * tick_ns;
                let time_ns = u64::from(packet.ts_sec) * 1_000_000_000 + fraction;
                self.packet(0, time_ns, packet.data, packet.origlen, give);
            }
            PcapBlockOwned::NG(block) => self.ng_block(block, give),
        }
    }

    fn ng_block(&mut self, block: &Block<'_>, give: &mut dyn FnMut(Packet<'_>)) {
        match block {
            Block::SectionHeader(section) => {
                "pcapng".clone_into(&mut self.format);
                self.interfaces.clear();
                self.application = text_option(&section.options, OptionCode::ShbUserAppl);
                self.comment = text_option(&section.options, OptionCode::Comment);
            }
            Block::InterfaceDescription(description) if self.interfaces.len() < INTERFACES_MAX => {
                let offset_s = description.options.iter().find(|o| o.code == OptionCode::IfTsoffset);
                let offset_s = offset_s.and_then(|o| o.value.get(..8)?.try_into().ok()).map_or(0, i64::from_le_bytes);
                self.interfaces.push(Interface {
                    name: text_option(&description.options, OptionCode::IfName),
                    link_type: description.linktype.0,
                    snap_len: description.snaplen,
                    ticks_per_s: description.ts_resolution().unwrap_or(1_000_000).max(1),
                    offset_s,
                });
            }
            Block::EnhancedPacket(packet) => {
                let id = packet.if_id as usize;
                let (ticks_per_s, offset_s) =
                    self.interfaces.get(id).map_or((1_000_000, 0), |i| (i.ticks_per_s, i.offset_s));
                let ticks = u128::from(packet.ts_high) << 32 | u128::from(packet.ts_low);
                let ns = u64::try_from(ticks * 1_000_000_000 / u128::from(ticks_per_s)).unwrap_or(u64::MAX);
                let time_ns = ns.saturating_add_signed(offset_s.saturating_mul(1_000_000_000));
                let data = packet.data.get(..packet.caplen as usize).unwrap_or(packet.data);
                self.packet(id, time_ns, data, packet.origlen, give);
            }
            // It has no time stamp; the order is all there is.
            Block::SimplePacket(packet) => self.packet(0, 0, packet.data, packet.origlen, give),
            // Names, statistics, journals, vendors' blocks: nothing to send.
            Block::InterfaceDescription(_)
            | Block::NameResolution(_)
            | Block::InterfaceStatistics(_)
            | Block::SystemdJournalExport(_)
            | Block::DecryptionSecrets(_)
            | Block::ProcessInformation(_)
            | Block::Custom(_)
            | Block::Unknown(_) => {}
        }
    }

    fn packet(&mut self, interface: usize, time_ns: u64, data: &[u8], original: u32, give: &mut dyn FnMut(Packet<'_>)) {
        self.packets += 1;
        let link_type = self.interfaces.get(interface).map(|interface| interface.link_type);
        give(Packet { number: self.packets, time_ns, link_type, data, is_cut: data.len() < original as usize });
    }
}
