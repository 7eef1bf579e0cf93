//! ICMP errors: the socket's error queue (IP_RECVERR), read with `recvmsg(MSG_ERRQUEUE)`.
//!
//! Five traps, all met in practice (the numbers are used in comments of this module's siblings):
//! 1. On an unconnected socket a pending error is returned by the next send *to whomever*, and that datagram was not sent:
//!    drain the queue, send again.
//! 2. An undrained queue is charged to the receive buffer and ends reception: drain it before receiving.
//! 3. After an error tokio's `writable()` is true for ever: writability comes from our own epoll.
//! 4. The error's own address (`SO_EE_OFFENDER`) has no port: the message name is where our packet went, and the message
//!    data is our packet (with the verification tag that RFC 6951 section 5.5 wants checked).
//! 5. No ICMP comes when nobody sends, when the peer is stopped, or when its port was bound again: heartbeats stay necessary.

use super::DriverCounters;
use crate::Unreachable;
use bytes::Bytes;
use nix::cmsg_space;
use nix::errno::Errno;
use nix::libc;
use nix::sys::socket::{ControlMessageOwned, MsgFlags, SockaddrStorage, recvmsg};
use std::io::IoSliceMut;
use std::net::{SocketAddr, SocketAddrV4, SocketAddrV6};
use std::os::fd::{AsRawFd, BorrowedFd};

/// Entries read in one go. The queue cannot hold many more: it shares the receive buffer.
const DRAIN_MAX: usize = 4_096;
/// An ICMP error quotes at most 576 bytes (v4) or 1,280 bytes (v6) of a packet of ours.
const QUOTE_BYTES: usize = 1_280;
/// How much of the quote the node gets. The SCTP common header with the verification tag is 12 bytes, an INIT's tag ends at
/// byte 20; the rest would only cost.
const QUOTE_KEPT_BYTES: usize = 64;

/// Buffers to read a socket's error queue with.
#[derive(Debug)]
pub(super) struct ErrorQueue {
    data: Vec<u8>,
    control: Vec<u8>,
}

impl ErrorQueue {
    pub(super) fn new() -> Self {
        // Room for the error with its offender, and for what the other socket options add (time stamp, packet info, TOS).
        Self { data: vec![0; QUOTE_BYTES], control: cmsg_space!([u8; 256]) }
    }

    /// Empties the queue. Unreachable errors go to `out`, others are counted. Returns the number of entries read; reading them
    /// also clears the socket's pending error (trap 1).
    pub(super) fn drain(
        &mut self,
        socket: BorrowedFd<'_>,
        out: &mut Vec<Unreachable>,
        counters: &DriverCounters,
    ) -> usize {
        for entries in 0..DRAIN_MAX {
            match self.read_one(socket) {
                Ok(Some(error)) => {
                    counters.icmp_unreachable.add(1);
                    out.push(error);
                }
                Ok(None) => counters.icmp_other.add(1),
                Err(Errno::EINTR) => {}
                Err(Errno::EAGAIN) => return entries,
                Err(error) => {
                    tracing::debug!("error queue: {error}");
                    return entries;
                }
            }
        }
        DRAIN_MAX
    }

    /// One entry; `None` for one that does not mean unreachable.
    fn read_one(&mut self, socket: BorrowedFd<'_>) -> Result<Option<Unreachable>, Errno> {
        let mut buffers = [IoSliceMut::new(&mut self.data)];
        let flags = MsgFlags::MSG_ERRQUEUE | MsgFlags::MSG_DONTWAIT;
        let message = recvmsg::<SockaddrStorage>(socket.as_raw_fd(), &mut buffers, Some(&mut self.control), flags)?;
        let verdict = message.cmsgs().ok().and_then(|mut all| all.find_map(|control| verdict(&control)));
        let to = message.address.as_ref().and_then(socket_address);
        let bytes = message.bytes;
        let (Some(port), Some(to)) = (verdict, to) else {
            return Ok(None);
        };
        let kept = bytes.min(QUOTE_KEPT_BYTES);
        Ok(Some(Unreachable { to, quoted: Bytes::copy_from_slice(&self.data[..kept]), port }))
    }
}

/// Whether a control message says unreachable, and if so whether it is the port or protocol (no socket there).
fn verdict(control: &ControlMessageOwned) -> Option<bool> {
    // nix's enum has a variant for every control message there is; only two are of interest.
    if let ControlMessageOwned::Ipv4RecvErr(error, _) | ControlMessageOwned::Ipv6RecvErr(error, _) = control {
        unreachable(error.ee_origin, error.ee_type, error.ee_code)
    } else {
        None
    }
}

/// Destination unreachable of RFC 792 (type 3) and RFC 4443 (type 1), and parameter problem "unrecognized next header"
/// (type 4 code 1), which is IPv6's protocol unreachable. "Fragmentation needed" and "packet too big" are none.
fn unreachable(origin: u8, icmp_type: u8, code: u8) -> Option<bool> {
    const FRAGMENTATION_NEEDED: u8 = 4;
    match (origin, icmp_type, code) {
        (libc::SO_EE_ORIGIN_ICMP, 3, FRAGMENTATION_NEEDED) => None,
        (libc::SO_EE_ORIGIN_ICMP, 3, 2 | 3) => Some(true),
        (libc::SO_EE_ORIGIN_ICMP, 3, _) => Some(false),
        (libc::SO_EE_ORIGIN_ICMP6, 1, 4) | (libc::SO_EE_ORIGIN_ICMP6, 4, 1) => Some(true),
        (libc::SO_EE_ORIGIN_ICMP6, 1, _) => Some(false),
        _ => None,
    }
}

fn socket_address(address: &SockaddrStorage) -> Option<SocketAddr> {
    let v4 = address.as_sockaddr_in().map(|a| SocketAddr::V4(SocketAddrV4::from(*a)));
    v4.or_else(|| address.as_sockaddr_in6().map(|a| SocketAddr::V6(SocketAddrV6::from(*a))))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn which_icmp_means_what() {
        let (v4, v6) = (libc::SO_EE_ORIGIN_ICMP, libc::SO_EE_ORIGIN_ICMP6);
        assert_eq!(unreachable(v4, 3, 3), Some(true));
        assert_eq!(unreachable(v4, 3, 2), Some(true));
        assert_eq!(unreachable(v4, 3, 0), Some(false));
        assert_eq!(unreachable(v4, 3, 1), Some(false));
        assert_eq!(unreachable(v4, 3, 4), None);
        assert_eq!(unreachable(v4, 11, 0), None);
        assert_eq!(unreachable(v6, 1, 4), Some(true));
        assert_eq!(unreachable(v6, 1, 0), Some(false));
        assert_eq!(unreachable(v6, 4, 1), Some(true));
        assert_eq!(unreachable(v6, 2, 0), None);
        assert_eq!(unreachable(libc::SO_EE_ORIGIN_LOCAL, 3, 3), None);
    }
}
