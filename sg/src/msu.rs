//! One MTP3 message with its label, and M3UA messages as bytes.

use bytes::Bytes;
use m3ua_lite::session::CorrelationId;
use m3ua_lite::wire::{Message, ProtocolData};
use std::time::{Duration, Instant};

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
    /// Its number in its group, for peers of the network that understand it; none without a second gateway.
    pub(crate) id: CorrelationId,
    /// Network Appearance of its application server.
    pub(crate) network: Option<u32>,
}

impl Msu {
    /// Keeps what was decoded from `payload`; the user data stays a slice of it. It has no number yet.
    pub(crate) fn from_slice_of(payload: &Bytes, pd: &ProtocolData<'_>, network: Option<u32>) -> Self {
        let ProtocolData { opc, dpc, si, ni, mp, sls, user_data } = *pd;
        let user_data = if user_data.is_empty() { Bytes::new() } else { payload.slice_ref(user_data) };
        Self { opc, dpc, si, ni, mp, sls, user_data, id: CorrelationId::NONE, network }
    }

    /// As it goes into M3UA.
    pub(crate) fn protocol_data(&self) -> ProtocolData<'_> {
        let Self { opc, dpc, si, ni, mp, sls, ref user_data, id: _, network: _ } = *self;
        ProtocolData { opc, dpc, si, ni, mp, sls, user_data }
    }
}

/// Whether a service indicator is MTP3's own management, which is not carried in DATA (RFC 4666 section 1.4.3.2): signalling network
/// management, and testing and maintenance.
pub(crate) fn is_mtp_management(si: u8) -> bool {
    si < 3
}

/// Encodes an M3UA message; `None` when a value does not fit the format.
pub(crate) fn encode(message: &Message<'_>) -> Option<Bytes> {
    let mut octets = vec![0; message.encoded_len().ok()?];
    message.encode(&mut octets).ok()?;
    Some(octets.into())
}

/// ERR to one peer in a second: garbage must not be answered piece by piece.
const ERRORS_PER_SECOND: u32 = 10;

/// Limits the ERR to one peer, and what else answers messages that should not have come.
#[derive(Debug)]
pub(crate) struct ErrorLimit {
    since: Instant,
    sent: u32,
    per_second: u32,
}

impl ErrorLimit {
    pub(crate) fn new(now: Instant) -> Self {
        Self::of(now, ERRORS_PER_SECOND)
    }

    /// So many in a second.
    pub(crate) fn of(now: Instant, per_second: u32) -> Self {
        Self { since: now, sent: 0, per_second }
    }

    /// False: this is an ERR too many.
    pub(crate) fn allows(&mut self, now: Instant, message: &Message<'_>) -> bool {
        !matches!(message, Message::Error(_)) || self.take(now)
    }

    /// False: there were as many in this second already.
    pub(crate) fn take(&mut self, now: Instant) -> bool {
        if now.saturating_duration_since(self.since) >= Duration::from_secs(1) {
            *self = Self::of(now, self.per_second);
        }
        self.sent = self.sent.saturating_add(1);
        self.sent <= self.per_second
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use m3ua_lite::wire::{AspDown, ErrorCode, ErrorMessage};

    #[test]
    fn so_many_errors_a_second_and_no_more() {
        let t = Instant::now();
        let mut limit = ErrorLimit::new(t);
        let error = Message::Error(ErrorMessage::new(ErrorCode::ProtocolError));
        assert_eq!((0..50).filter(|_| limit.allows(t, &error)).count(), 10);
        assert!(limit.allows(t, &Message::AspDownAck(AspDown::default())), "only ERR is limited");
        assert!(limit.allows(t + Duration::from_secs(1), &error));
    }
}
