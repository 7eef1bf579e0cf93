//! One pass over a capture: each packet's way from the frame to the user message.

use super::file::{self, FileInfo, Packet};
use super::packet::{self, Found};
use super::sctp_data::{Ends, Reassembly, Seen};
use std::fs::File;
use std::io;
use std::path::Path;

/// Why a packet, or a part of it, is of no use.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Trouble {
    /// Nothing of SCTP in it.
    NotSctp,
    /// A link type that is not known here.
    UnknownLink,
    /// Fragment of an IP packet.
    IpFragment,
    /// Shorter in the file than on the wire (snap length).
    Cut,
    /// Lengths that do not fit.
    Malformed,
    /// No room for another association, or for another fragment of a message.
    NoRoom,
}

impl Trouble {
    pub(super) const ALL: [Self; 6] =
        [Self::NotSctp, Self::UnknownLink, Self::IpFragment, Self::Cut, Self::Malformed, Self::NoRoom];

    pub(super) fn text(self) -> &'static str {
        match self {
            Self::NotSctp => "packets that are not SCTP",
            Self::UnknownLink => {
                "packets of a link type that is not known (Ethernet, Linux cooked, raw IP, loopback are)"
            }
            Self::IpFragment => "fragments of IP packets (they are not put together)",
            Self::Cut => "packets cut off by the snap length; capture with snap length 0",
            Self::Malformed => "packets with lengths that do not fit",
            Self::NoRoom => "packets and fragments past the limits of this reader",
        }
    }
}

/// What is met on the way, in the order of the file.
#[derive(Debug)]
pub(super) enum Event<'a> {
    /// An SCTP packet of an association (its index).
    Packet { association: usize, bytes: usize, over_udp: bool, ipv6: bool },
    /// A DATA chunk.
    Chunk { association: usize, stream: u16, ppid: u32, bytes: usize, again: bool },
    /// A whole user message.
    Message { association: usize, ppid: u32, octets: &'a [u8] },
    /// Something of no use.
    Trouble(Trouble),
}

/// What is known after the pass.
#[derive(Debug)]
pub(super) struct Walked {
    pub(super) file: FileInfo,
    /// Ends of each association.
    pub(super) ends: Vec<Ends>,
    /// TSNs never seen and fragments never whole, of each association.
    pub(super) missing: Vec<(u64, u64)>,
}

/// Why a file cannot be walked.
#[derive(Debug)]
pub(super) enum WalkError {
    Io(io::Error),
    Format(String),
}

/// Walks through a file; the events come with their packet's number and time.
pub(super) fn walk(path: &Path, give: &mut dyn FnMut(u64, u64, Event<'_>)) -> Result<Walked, WalkError> {
    let file = File::open(path).map_err(WalkError::Io)?;
    // A directory opens, and only fails to be read.
    if file.metadata().map_err(WalkError::Io)?.is_dir() {
        return Err(WalkError::Io(io::ErrorKind::IsADirectory.into()));
    }
    walk_in(file, give).map_err(WalkError::Format)
}

/// The same with any source of octets.
pub(super) fn walk_in<R: io::Read + Send>(
    input: R,
    give: &mut dyn FnMut(u64, u64, Event<'_>),
) -> Result<Walked, String> {
    let mut reassembly = Reassembly::default();
    let file = file::read(input, &mut |packet| one(&mut reassembly, &packet, give))?;
    Ok(Walked { file, missing: reassembly.missing(), ends: reassembly.ends })
}

fn one(reassembly: &mut Reassembly, packet: &Packet<'_>, give: &mut dyn FnMut(u64, u64, Event<'_>)) {
    let Packet { number, time_ns, link_type, data, is_cut } = *packet;
    let found = link_type.map_or(Found::UnknownLink, |link_type| packet::sctp(link_type, data));
    let trouble = match found {
        Found::Sctp { from, to, octets, over_udp } => {
            let association = reassembly.packet(from, to, octets, &mut |association, seen| {
                let event = match seen {
                    Seen::Chunk { stream, ppid, bytes, again } => {
                        Event::Chunk { association, stream, ppid, bytes, again }
                    }
                    Seen::Message { ppid, octets } => Event::Message { association, ppid, octets },
                    Seen::Malformed if is_cut => Event::Trouble(Trouble::Cut),
                    Seen::Malformed => Event::Trouble(Trouble::Malformed),
                    Seen::NoRoom => Event::Trouble(Trouble::NoRoom),
                };
                give(number, time_ns, event);
            });
            match association {
                Some(association) => {
                    let bytes = octets.len();
                    give(number, time_ns, Event::Packet { association, bytes, over_udp, ipv6: from.is_ipv6() });
                    return;
                }
                None if octets.len() < 12 => Trouble::Malformed,
                None => Trouble::NoRoom,
            }
        }
        Found::Malformed if is_cut => Trouble::Cut,
        Found::Malformed => Trouble::Malformed,
        Found::Fragment => Trouble::IpFragment,
        Found::Other => Trouble::NotSctp,
        Found::UnknownLink => Trouble::UnknownLink,
    };
    give(number, time_ns, Event::Trouble(trouble));
}
