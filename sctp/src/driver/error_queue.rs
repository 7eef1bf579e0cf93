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
use super::packet::Framing;
use crate::{Input, TooBig, Unreachable};
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
    framing: Framing,
    /// What our own device takes, as the last packet that was too long for it was told.
    device_mtu: Option<u32>,
}

/// An entry of the queue.
enum Entry {
    Unreachable(Unreachable),
    TooBig(TooBig),
    /// Our own device refused a packet; the send says which.
    Device(u32),
    Other,
}

/// What an error means.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Verdict {
    /// `port`: no socket there, by port or protocol.
    Unreachable { port: bool },
    /// The MTU of a link on the way.
    TooBig(u32),
    /// The MTU of our own device.
    Device(u32),
}

impl ErrorQueue {
    pub(super) fn new(framing: Framing) -> Self {
        // Room for the error with its offender, and for what the other socket options add (time stamp, packet info, TOS).
        Self { data: vec![0; QUOTE_BYTES], control: cmsg_space!([u8; 256]), framing, device_mtu: None }
    }

    /// Empties the queue. Errors that mean something go to `out`, others are counted. Returns the number of entries read; reading
    /// them also clears the socket's pending error (trap 1).
    pub(super) fn drain(&mut self, socket: BorrowedFd<'_>, out: &mut Vec<Input>, counters: &DriverCounters) -> usize {
        for entries in 0..DRAIN_MAX {
            match self.read_one(socket) {
                Ok(Entry::Unreachable(error)) => {
                    counters.icmp_unreachable.add(1);
                    out.push(error.into());
                }
                Ok(Entry::TooBig(error)) => {
                    counters.icmp_too_big.add(1);
                    out.push(error.into());
                }
                Ok(Entry::Device(mtu)) => self.device_mtu = Some(mtu),
                Ok(Entry::Other) => counters.icmp_other.add(1),
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

    /// A send was refused as too long (EMSGSIZE), and the queue drained since: what the node is told.
    pub(super) fn too_big(&mut self, to: SocketAddr, payload: &[u8]) -> TooBig {
        // What does not explain the refusal is not believed: the search would go on with what was refused.
        let largest =
            self.device_mtu.take().map(|mtu| self.largest(to, mtu)).filter(|largest| *largest < payload.len());
        let kept = payload.len().min(QUOTE_KEPT_BYTES);
        TooBig { to, quoted: Bytes::copy_from_slice(&payload[..kept]), largest }
    }

    /// The longest SCTP packet in an IP packet of so many bytes.
    fn largest(&self, to: SocketAddr, mtu: u32) -> usize {
        let ip = if to.is_ipv4() { 20 } else { 40 };
        let udp = match self.framing {
            Framing::Udp => 8,
            Framing::Ip => 0,
        };
        usize::try_from(mtu).unwrap_or(usize::MAX).saturating_sub(ip + udp)
    }

    fn read_one(&mut self, socket: BorrowedFd<'_>) -> Result<Entry, Errno> {
        let mut buffers = [IoSliceMut::new(&mut self.data)];
        let flags = MsgFlags::MSG_ERRQUEUE | MsgFlags::MSG_DONTWAIT;
        let message = recvmsg::<SockaddrStorage>(socket.as_raw_fd(), &mut buffers, Some(&mut self.control), flags)?;
        let verdict = message.cmsgs().ok().and_then(|mut all| all.find_map(|control| verdict(&control)));
        let to = message.address.as_ref().and_then(socket_address);
        let bytes = message.bytes;
        let quoted = Bytes::copy_from_slice(&self.data[..bytes.min(QUOTE_KEPT_BYTES)]);
        Ok(match (verdict, to) {
            (Some(Verdict::Device(mtu)), _) => Entry::Device(mtu),
            (Some(Verdict::Unreachable { port }), Some(to)) => Entry::Unreachable(Unreachable { to, quoted, port }),
            (Some(Verdict::TooBig(mtu)), Some(to)) => {
                Entry::TooBig(TooBig { to, quoted, largest: Some(self.largest(to, mtu)) })
            }
            (Some(Verdict::Unreachable { .. } | Verdict::TooBig(_)), None) | (None, _) => Entry::Other,
        })
    }
}

/// What a control message says.
fn verdict(control: &ControlMessageOwned) -> Option<Verdict> {
    // nix's enum has a variant for every control message there is; only two are of interest.
    if let ControlMessageOwned::Ipv4RecvErr(error, _) | ControlMessageOwned::Ipv6RecvErr(error, _) = control {
        means(error.ee_origin, error.ee_type, error.ee_code, error.ee_errno, error.ee_info)
    } else {
        None
    }
}

/// Destination unreachable of RFC 792 (type 3) and RFC 4443 (type 1), and parameter problem "unrecognized next header"
/// (type 4 code 1), which is IPv6's protocol unreachable; "fragmentation needed" (RFC 1191) and "packet too big".
fn means(origin: u8, icmp_type: u8, code: u8, errno: u32, info: u32) -> Option<Verdict> {
    const FRAGMENTATION_NEEDED: u8 = 4;
    match (origin, icmp_type, code) {
        (libc::SO_EE_ORIGIN_LOCAL, _, _) if errno == libc::EMSGSIZE as u32 => Some(Verdict::Device(info)),
        (libc::SO_EE_ORIGIN_ICMP, 3, FRAGMENTATION_NEEDED) | (libc::SO_EE_ORIGIN_ICMP6, 2, _) => {
            Some(Verdict::TooBig(info))
        }
        (libc::SO_EE_ORIGIN_ICMP, 3, 2 | 3) => Some(Verdict::Unreachable { port: true }),
        (libc::SO_EE_ORIGIN_ICMP, 3, _) => Some(Verdict::Unreachable { port: false }),
        (libc::SO_EE_ORIGIN_ICMP6, 1, 4) | (libc::SO_EE_ORIGIN_ICMP6, 4, 1) => {
            Some(Verdict::Unreachable { port: true })
        }
        (libc::SO_EE_ORIGIN_ICMP6, 1, _) => Some(Verdict::Unreachable { port: false }),
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
        let unreachable = |origin, icmp_type, code| match means(origin, icmp_type, code, 0, 0) {
            Some(Verdict::Unreachable { port }) => Some(port),
            Some(Verdict::TooBig(_) | Verdict::Device(_)) | None => None,
        };
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
        assert_eq!(means(v4, 3, 4, 0, 1_400), Some(Verdict::TooBig(1_400)));
        assert_eq!(means(v6, 2, 0, 0, 1_280), Some(Verdict::TooBig(1_280)));
        let local = means(libc::SO_EE_ORIGIN_LOCAL, 0, 0, libc::EMSGSIZE as u32, 1_300);
        assert_eq!(local, Some(Verdict::Device(1_300)));
    }

    #[test]
    fn headers_are_taken_off_an_mtu() {
        let (v4, v6) = ("10.0.0.1:9899".parse().unwrap(), "[fd98::1]:9899".parse().unwrap());
        let largest = |framing, to| ErrorQueue::new(framing).largest(to, 1_500);
        assert_eq!((largest(Framing::Udp, v4), largest(Framing::Udp, v6)), (1_472, 1_452));
        assert_eq!((largest(Framing::Ip, v4), largest(Framing::Ip, v6)), (1_480, 1_460));
        assert_eq!(ErrorQueue::new(Framing::Udp).largest(v4, 20), 0);
    }
}
