//! Reads M3UA messages out of pcap and pcapng captures: IP/SCTP and SCTP over UDP (RFC 6951); RFC 4666 and the Draft 6 framing.

use std::path::Path;

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
    /// User data after the routing label.
    pub data: Vec<u8>,
}

/// What a capture held.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Capture {
    /// The DATA messages, in order.
    pub messages: Vec<Captured>,
    /// Packets that are not SCTP, and M3UA messages that are not DATA.
    pub other: u64,
    /// Packets or messages that could not be decoded.
    pub malformed: u64,
    /// DATA chunks seen again (retransmissions), left out.
    pub retransmitted: u64,
}

/// Why a capture cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum CaptureError {
    /// It cannot be opened or read.
    #[error("{path}: {source}")]
    Io {
        /// The file.
        path: String,
        /// What the system said.
        source: std::io::Error,
    },
    /// It is no capture, or cut.
    #[error("{path}: {what}")]
    Format {
        /// The file.
        path: String,
        /// What is wrong and where.
        what: String,
    },
}

/// Reads a whole capture.
///
/// # Errors
/// The file is missing, or is not a capture.
pub fn read(path: &Path) -> Result<Capture, CaptureError> {
    Err(CaptureError::Format { path: path.display().to_string(), what: "import is not there yet".into() })
}
