//! An ENRP message to bytes.

use super::{Body, Entry, FLAG, MORE, Message, Presence, UpdateAction, message_type as mt};
use asap::wire::{EncodeError, MESSAGE_BYTES_MAX, PoolElement, PoolHandle, ServerId, Writer};
use bytes::Bytes;

impl Message {
    /// The bytes, padded. The Length does not count the final padding (RFC 5354 section 2).
    ///
    /// # Errors
    /// Longer than 65,535 bytes, or a value the format does not allow.
    pub fn encode(&self) -> Result<Bytes, EncodeError> {
        let mut writer = begin(self.kind(), self.flags(), self.sender, self.receiver);
        match &self.body {
            Body::Presence(presence) => write_presence(&mut writer, presence),
            Body::HandleTableRequest { .. } | Body::ListRequest => {}
            Body::HandleTableResponse { entries, .. } => {
                let mut handle = None;
                for entry in entries {
                    write_entry(&mut writer, &mut handle, entry);
                }
            }
            Body::HandleUpdate { action, entry } => {
                writer.u16(match action {
                    UpdateAction::Add => 0,
                    UpdateAction::Delete => 1,
                });
                writer.u16(0);
                write_entry(&mut writer, &mut None, entry);
            }
            Body::ListResponse { servers, .. } => servers.iter().for_each(|server| writer.server_information(server)),
            Body::InitTakeover { target } | Body::InitTakeoverAck { target } | Body::TakeoverServer { target } => {
                writer.u32(target.0)
            }
            Body::Error { error } => writer.operation_error(error),
        }
        writer.finish()
    }

    fn kind(&self) -> u8 {
        match self.body {
            Body::Presence(_) => mt::PRESENCE,
            Body::HandleTableRequest { .. } => mt::HANDLE_TABLE_REQUEST,
            Body::HandleTableResponse { .. } => mt::HANDLE_TABLE_RESPONSE,
            Body::HandleUpdate { .. } => mt::HANDLE_UPDATE,
            Body::ListRequest => mt::LIST_REQUEST,
            Body::ListResponse { .. } => mt::LIST_RESPONSE,
            Body::InitTakeover { .. } => mt::INIT_TAKEOVER,
            Body::InitTakeoverAck { .. } => mt::INIT_TAKEOVER_ACK,
            Body::TakeoverServer { .. } => mt::TAKEOVER_SERVER,
            Body::Error { .. } => mt::ERROR,
        }
    }

    fn flags(&self) -> u8 {
        let (flag, more) = match &self.body {
            Body::Presence(presence) => (presence.reply, false),
            Body::HandleTableRequest { own } => (*own, false),
            Body::HandleTableResponse { reject, more, .. } => (*reject, *more),
            Body::ListResponse { reject, .. } => (*reject, false),
            Body::HandleUpdate { .. }
            | Body::ListRequest
            | Body::InitTakeover { .. }
            | Body::InitTakeoverAck { .. }
            | Body::TakeoverServer { .. }
            | Body::Error { .. } => (false, false),
        };
        (if flag { FLAG } else { 0 }) | if more { MORE } else { 0 }
    }
}

fn begin(kind: u8, flags: u8, sender: ServerId, receiver: ServerId) -> Writer {
    let mut writer = Writer::new(kind, flags);
    writer.u32(sender.0);
    writer.u32(receiver.0);
    writer
}

/// Our parameters stand before the server information: rsplib skips unknown ones only on its way to one it wants.
fn write_presence(writer: &mut Writer, presence: &Presence) {
    writer.pe_checksum(presence.checksum);
    if let Some(version) = presence.extensions {
        writer.extensions(version);
    }
    if presence.probe {
        writer.probe();
    }
    if let Some(server) = &presence.server {
        writer.server_information(server);
    }
}

fn write_entry<'a>(writer: &mut Writer, last: &mut Option<&'a PoolHandle>, entry: &'a Entry) {
    if *last != Some(&entry.handle) {
        writer.pool_handle(&entry.handle);
        *last = Some(&entry.handle);
    }
    write_element(writer, &entry.element, entry.claim);
}

fn write_element(writer: &mut Writer, element: &PoolElement, claim: Option<u32>) {
    if let Some(claim) = claim {
        writer.claim(claim);
    }
    writer.pool_element(element);
}

/// Builds an ENRP_HANDLE_TABLE_RESPONSE from elements as they are held, until it is full.
#[derive(Debug)]
pub struct TableWriter {
    writer: Writer,
    handle: Option<PoolHandle>,
    bytes_max: usize,
}

impl TableWriter {
    /// An answer without elements. It holds at most `bytes_max` bytes, and [`MESSAGE_BYTES_MAX`] in any case, but one element always.
    #[must_use]
    pub fn new(sender: ServerId, receiver: ServerId, bytes_max: usize) -> Self {
        let writer = begin(mt::HANDLE_TABLE_RESPONSE, 0, sender, receiver);
        Self { writer, handle: None, bytes_max: bytes_max.min(MESSAGE_BYTES_MAX) }
    }

    /// Adds an element; its handle stands before it when it is another than the last one's. False: it has no room, and was not
    /// added.
    pub fn push(&mut self, handle: &PoolHandle, element: &PoolElement, claim: Option<u32>) -> bool {
        let before = self.writer.position();
        let other = self.handle.as_ref() != Some(handle);
        if other {
            self.writer.pool_handle(handle);
        }
        write_element(&mut self.writer, element, claim);
        let (after, alone) = (self.writer.position(), self.handle.is_none());
        if after > MESSAGE_BYTES_MAX || (after > self.bytes_max && !alone) {
            self.writer.truncate(before);
            return false;
        }
        if other {
            self.handle = Some(handle.clone());
        }
        true
    }

    /// Whether nothing was added.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.handle.is_none()
    }

    /// The message. `more`: M bit.
    ///
    /// # Errors
    /// An element has a value the format does not allow.
    pub fn finish(self, more: bool) -> Result<Bytes, EncodeError> {
        let bytes = self.writer.finish()?;
        if !more {
            return Ok(bytes);
        }
        // The flag is known only at the end.
        let mut bytes = Vec::from(bytes);
        bytes[1] |= MORE;
        Ok(Bytes::from(bytes))
    }
}
