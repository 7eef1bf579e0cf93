//! Reads M3UA messages out of pcap and pcapng captures: IP/SCTP and SCTP over UDP (RFC 6951); RFC 4666 and the Draft 6 framing.
//!
//! Two passes: [`survey`] counts what is there and finds the hop to take, [`read`] takes the messages of that hop.

mod file;
mod hops;
pub mod info;
mod packet;
pub(crate) mod parts;
mod sctp_data;
mod survey;
mod walk;

pub use file::{FileInfo, Interface};
pub use survey::{Amount, Association, Survey, Useless};

use bytes::Bytes;
use hops::Contents;
use m3ua_lite::mtp3::decode_draft_data;
use m3ua_lite::wire::{Message, ProtocolData};
use std::path::Path;
use survey::Surveyor;
use walk::{Event, WalkError, walk};

/// PPID of M3UA (RFC 4666 section 7.1).
const PPID_M3UA: u32 = sctp::ppid::M3UA;
/// Messages taken from one capture at most (48 bytes each, and their user data).
const MESSAGES_MAX: usize = 5_000_000;
/// User data taken from one capture at most.
const USER_DATA_MAX: usize = 1 << 30;

/// One MTP3 user message found in a capture.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
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
    /// Length of the user data.
    length: u16,
    /// Where the user data is in [`Capture::user_data`].
    start: u32,
}

/// What a capture held.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Capture {
    /// What the file has in it.
    pub survey: Survey,
    /// The DATA messages of the associations taken, in order.
    pub messages: Vec<Captured>,
    /// User data of all messages, one behind the other.
    user_data: Bytes,
}

impl Capture {
    /// User data of a message, after the routing label.
    #[must_use]
    pub fn user_data(&self, message: &Captured) -> Bytes {
        let start = message.start as usize;
        self.user_data.slice(start..start + usize::from(message.length))
    }

    /// A capture of messages `(time in ns, OPC, DPC, SI, user data)`.
    #[cfg(test)]
    pub(crate) fn of(messages: impl IntoIterator<Item = (u64, u32, u32, u8, Vec<u8>)>) -> Self {
        let mut capture = Self::default();
        let mut all = Vec::new();
        for (time_ns, opc, dpc, si, user_data) in messages {
            let data = ProtocolData { opc, dpc, si, ni: 2, mp: 0, sls: 0, user_data: &user_data };
            capture.messages.push(captured(time_ns, all.len(), &data));
            all.extend_from_slice(&user_data);
        }
        capture.user_data = all.into();
        capture
    }

    /// The same without a count of references.
    #[must_use]
    pub fn octets(&self, message: &Captured) -> &[u8] {
        let start = message.start as usize;
        &self.user_data[start..start + usize::from(message.length)]
    }
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
    /// It is no capture, of a kind that is not known, or too large.
    #[error("{path}: {what}")]
    Format {
        /// The file.
        path: String,
        /// What is wrong and where.
        what: String,
    },
}

impl CaptureError {
    fn new(path: &Path, error: WalkError) -> Self {
        let path = path.display().to_string();
        match error {
            WalkError::Io(source) => Self::Io { path, source },
            WalkError::Format(what) => Self::Format { path, what },
        }
    }
}

/// Counts what is in a capture and finds the associations to take; `chosen` are numbers of associations to take instead.
///
/// # Errors
/// The file is missing, or is no capture; a number that no association has.
pub fn survey(path: &Path, chosen: &[usize]) -> Result<Survey, CaptureError> {
    let mut surveyor = Surveyor::default();
    let walked = walk(path, &mut |packet, time_ns, event| surveyor.event(packet, time_ns, event))
        .map_err(|error| CaptureError::new(path, error))?;
    let (mut survey, contents) = surveyor.finish(walked);
    choose(&mut survey, &contents, chosen).map_err(|what| CaptureError::new(path, WalkError::Format(what)))?;
    Ok(survey)
}

fn choose(survey: &mut Survey, contents: &Contents, chosen: &[usize]) -> Result<(), String> {
    let count = survey.associations.len();
    if let Some(number) = chosen.iter().find(|number| !(1..=count).contains(*number)) {
        return Err(format!("--association {number}: `sigpool capture info` shows 1 to {count}"));
    }
    let taken = contents.taken(&survey.associations);
    for (association, taken) in survey.associations.iter_mut().zip(taken) {
        association.taken = if chosen.is_empty() { taken } else { chosen.contains(&association.number) };
    }
    Ok(())
}

/// Reads a capture: what is in it, and the messages of the associations taken.
///
/// # Errors
/// As [`survey`], and more messages than fit.
pub fn read(path: &Path, chosen: &[usize]) -> Result<Capture, CaptureError> {
    let survey = survey(path, chosen)?;
    let mut messages = Vec::new();
    let mut user_data = Vec::new();
    let mut is_full = false;
    let result = walk(path, &mut |_, time_ns, event| {
        let Event::Message { association, ppid: PPID_M3UA, octets } = event else { return };
        // A file that grows under our eyes has associations that the survey did not see.
        if survey.associations.get(association).is_none_or(|association| !association.taken) {
            return;
        }
        let Some((data, _)) = data_of(octets) else { return };
        if messages.len() >= MESSAGES_MAX || user_data.len() >= USER_DATA_MAX {
            is_full = true;
            return;
        }
        messages.push(captured(time_ns, user_data.len(), &data));
        user_data.extend_from_slice(data.user_data);
    });
    result.map_err(|error| CaptureError::new(path, error))?;
    if is_full {
        let what = format!("more than {MESSAGES_MAX} messages; part the capture with `editcap -c`");
        return Err(CaptureError::new(path, WalkError::Format(what)));
    }
    Ok(Capture { survey, messages, user_data: user_data.into() })
}

/// The DATA in one M3UA message, and whether it is of the Internet-Draft.
fn data_of(message: &[u8]) -> Option<(ProtocolData<'_>, bool)> {
    match Message::decode(message) {
        Ok(Message::Data(data)) => Some((data.protocol_data, false)),
        // Nothing else is DATA of a draft either.
        Ok(_) | Err(_) => decode_draft_data(message).map(|data| (data, true)),
    }
}

fn captured(time_ns: u64, start: usize, m: &ProtocolData<'_>) -> Captured {
    let length = u16::try_from(m.user_data.len()).expect("invariant: an M3UA parameter has less than 64 KiB");
    let start = u32::try_from(start).expect("invariant: USER_DATA_MAX is less than 4 GiB");
    Captured { time_ns, opc: m.opc, dpc: m.dpc, si: m.si, ni: m.ni, mp: m.mp, sls: m.sls, length, start }
}

#[cfg(test)]
mod tests;
