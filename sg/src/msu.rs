//! One MTP3 message with its label, and M3UA messages as bytes.

use bytes::Bytes;
use m3ua_lite::wire::{Message, ProtocolData};

/// A message whose user data is kept without copying.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Msu {
    pub(crate) opc: u32,
    pub(crate) dpc: u32,
    pub(crate) si: u8,
    pub(crate) ni: u8,
    pub(crate) mp: u8,
    pub(crate) sls: u8,
    pub(crate) user_data: Bytes,
}

impl Msu {
    /// Keeps what was decoded from `payload`; the user data stays a slice of it.
    pub(crate) fn from_slice_of(payload: &Bytes, pd: &ProtocolData<'_>) -> Self {
        let ProtocolData { opc, dpc, si, ni, mp, sls, user_data } = *pd;
        let user_data = if user_data.is_empty() { Bytes::new() } else { payload.slice_ref(user_data) };
        Self { opc, dpc, si, ni, mp, sls, user_data }
    }

    /// As it goes into M3UA.
    pub(crate) fn protocol_data(&self) -> ProtocolData<'_> {
        let Self { opc, dpc, si, ni, mp, sls, ref user_data } = *self;
        ProtocolData { opc, dpc, si, ni, mp, sls, user_data }
    }
}

/// Encodes an M3UA message; `None` when a value does not fit the format.
pub(crate) fn encode(message: &Message<'_>) -> Option<Bytes> {
    let mut octets = vec![0; message.encoded_len().ok()?];
    let len = message.encode(&mut octets).ok()?;
    octets.truncate(len);
    Some(octets.into())
}
