//! Notifications of the kernel (RFC 6458 section 6) from bytes: the layouts of linux/sctp.h.

use super::options::{STORAGE_BYTES, read_address};
use std::net::IpAddr;

/// Types (`enum sctp_sn_type`).
pub(super) const ASSOC_CHANGE: u16 = 0x8001;
pub(super) const PEER_ADDR_CHANGE: u16 = 0x8002;
pub(super) const SHUTDOWN: u16 = 0x8005;
pub(super) const PARTIAL_DELIVERY: u16 = 0x8006;
pub(super) const SENDER_DRY: u16 = 0x8009;
pub(super) const SEND_FAILED: u16 = 0x800d;

/// What became of an association (`sac_state`).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Change {
    Up,
    Lost,
    Restart,
    ShutdownComplete,
    CannotStart,
}

/// A notification.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Notification {
    Assoc {
        assoc: i32,
        change: Change,
        /// Cause code of the ABORT, 0 for none.
        cause: u16,
        /// An ABORT of the peer is quoted.
        quoted: bool,
        outbound_streams: u16,
        inbound_streams: u16,
    },
    /// `state` is a `spc_state`.
    Path { assoc: i32, address: IpAddr, state: i32 },
    /// The peer began a shutdown.
    Shutdown { assoc: i32 },
    /// The rest of a message that was handed out in part will not come.
    PartialAborted { assoc: i32 },
    /// Everything sent is acknowledged.
    Dry { assoc: i32 },
    /// A fragment of so many bytes was not acknowledged.
    SendFailed { assoc: i32, context: u32, bytes: usize, sent: bool },
}

/// Bytes with bounds.
struct Layout<'a>(&'a [u8]);

impl Layout<'_> {
    fn u16(&self, at: usize) -> Option<u16> {
        self.0.get(at..)?.first_chunk().map(|b| u16::from_ne_bytes(*b))
    }
    fn u32(&self, at: usize) -> Option<u32> {
        self.0.get(at..)?.first_chunk().map(|b| u32::from_ne_bytes(*b))
    }
    fn i32(&self, at: usize) -> Option<i32> {
        self.u32(at).map(u32::cast_signed)
    }
}

/// Reads a notification; `None` for one that is short or was not asked for.
pub(super) fn parse(bytes: &[u8]) -> Option<Notification> {
    /// `sizeof(struct sctp_assoc_change)`, `sizeof(struct sctp_send_failed_event)`.
    const ASSOC_CHANGE_BYTES: usize = 20;
    const SEND_FAILED_BYTES: usize = 32;
    let at = Layout(bytes);
    Some(match at.u16(0)? {
        ASSOC_CHANGE => Notification::Assoc {
            change: match at.u16(8)? {
                0 => Change::Up,
                1 => Change::Lost,
                2 => Change::Restart,
                3 => Change::ShutdownComplete,
                4 => Change::CannotStart,
                _ => return None,
            },
            // As it is on the wire.
            cause: u16::from_be(at.u16(10)?),
            outbound_streams: at.u16(12)?,
            inbound_streams: at.u16(14)?,
            assoc: at.i32(16)?,
            quoted: bytes.len() > ASSOC_CHANGE_BYTES,
        },
        PEER_ADDR_CHANGE => {
            let (address, _) = read_address(bytes.get(8..8 + STORAGE_BYTES)?)?;
            Notification::Path { assoc: at.i32(144)?, address: address.ip(), state: at.i32(136)? }
        }
        SHUTDOWN => Notification::Shutdown { assoc: at.i32(8)? },
        PARTIAL_DELIVERY => Notification::PartialAborted { assoc: at.i32(12)? },
        SENDER_DRY => Notification::Dry { assoc: at.i32(8)? },
        SEND_FAILED => Notification::SendFailed {
            assoc: at.i32(28)?,
            // `ssfe_info` begins at 12.
            context: at.u32(20)?,
            bytes: bytes.len().checked_sub(SEND_FAILED_BYTES)?,
            sent: at.u16(2)? == 1,
        },
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::super::options::push_address;
    use super::*;

    fn bytes(parts: &[&[u8]]) -> Vec<u8> {
        parts.concat()
    }

    #[test]
    fn each_kind_is_read() {
        let change = bytes(&[
            &ASSOC_CHANGE.to_ne_bytes(),
            &[0; 2],
            &20_u32.to_ne_bytes(),
            &1_u16.to_ne_bytes(),
            &12_u16.to_be_bytes(),
            &17_u16.to_ne_bytes(),
            &64_u16.to_ne_bytes(),
            &9_i32.to_ne_bytes(),
            &[0, 12, 0, 4],
        ]);
        let lost = |quoted| Notification::Assoc {
            assoc: 9,
            change: Change::Lost,
            cause: 12,
            quoted,
            outbound_streams: 17,
            inbound_streams: 64,
        };
        assert_eq!(parse(&change), Some(lost(true)));
        assert_eq!(parse(&change[..20]), Some(lost(false)));

        let failed = bytes(&[
            &SEND_FAILED.to_ne_bytes(),
            &1_u16.to_ne_bytes(),
            &37_u32.to_ne_bytes(),
            &[0; 4],
            &[0; 8],
            &77_u32.to_ne_bytes(),
            &9_i32.to_ne_bytes(),
            &9_i32.to_ne_bytes(),
            b"hello",
        ]);
        assert_eq!(parse(&failed), Some(Notification::SendFailed { assoc: 9, context: 77, bytes: 5, sent: true }));

        let mut path = bytes(&[&PEER_ADDR_CHANGE.to_ne_bytes(), &[0; 6]]);
        push_address(&mut path, "10.0.0.3:2905".parse().unwrap());
        path.resize(136, 0);
        path.extend_from_slice(&6_i32.to_ne_bytes());
        path.extend_from_slice(&[0; 4]);
        path.extend_from_slice(&9_i32.to_ne_bytes());
        let address = "10.0.0.3".parse().unwrap();
        assert_eq!(parse(&path), Some(Notification::Path { assoc: 9, address, state: 6 }));

        let dry = bytes(&[&SENDER_DRY.to_ne_bytes(), &[0; 6], &9_i32.to_ne_bytes()]);
        assert_eq!(parse(&dry), Some(Notification::Dry { assoc: 9 }));
    }

    #[test]
    fn short_and_unknown_ones_are_none() {
        let kinds = [ASSOC_CHANGE, PEER_ADDR_CHANGE, SHUTDOWN, PARTIAL_DELIVERY, SENDER_DRY, SEND_FAILED];
        for kind in kinds {
            for len in 0..8 {
                assert_eq!(parse(&bytes(&[&kind.to_ne_bytes(), &vec![0; len]])), None, "{kind:#x} {len}");
            }
        }
        assert_eq!(parse(&bytes(&[&0x8003_u16.to_ne_bytes(), &[0; 200]])), None);
        assert_eq!(parse(&[]), None);
    }
}
