//! One SCTP socket of the kernel: the system calls that `nix` has no safe form of. The only file of the workspace with unsafe code.
//!
//! What the options and control messages contain is bytes, made and read in `options` and `notification`: nothing here
//! depends on what they mean, only on their length.

use bytes::Bytes;
use nix::libc;
use nix::sys::socket::{AddressFamily, Backlog, SockFlag, SockProtocol, SockType, listen, socket};
use std::io;
use std::mem::size_of;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};

/// `SOL_SCTP`.
pub(super) const SOL_SCTP: libc::c_int = 132;
/// Control message with an `sctp_sndinfo`, an `sctp_rcvinfo` (RFC 6458 sections 5.3.4, 5.3.5).
const SCTP_SNDINFO: libc::c_int = 2;
const SCTP_RCVINFO: libc::c_int = 3;
/// `getsockopt` that connects and tells the association's id at once, as a non-blocking `sctp_connectx` must.
const SCTP_SOCKOPT_CONNECTX3: libc::c_int = 111;
/// `MSG_NOTIFICATION`.
const MSG_NOTIFICATION: libc::c_int = 0x8000;

/// Bytes of an `sctp_sndinfo`.
pub(super) const SNDINFO_BYTES: usize = 16;
/// Bytes of an `sctp_rcvinfo`.
pub(super) const RCVINFO_BYTES: usize = 28;
/// A control message with an `sctp_sndinfo`: `cmsghdr` (length, level, type) and content.
const SEND_CONTROL_BYTES: usize = size_of::<libc::cmsghdr>() + SNDINFO_BYTES;
/// Messages sent or received by one call.
pub(super) const BATCH: usize = 16;
/// Bytes taken of one message; longer ones come in pieces.
const BUFFER_BYTES: usize = 1 << 16;
/// Room for control messages: 16 bytes of header, the RCVINFO, and what other options could add.
const CONTROL_BYTES: usize = 128;
/// Bytes of a `sockaddr_storage`.
const NAME_BYTES: usize = 128;

/// Control messages must begin where a `cmsghdr` may.
#[repr(C, align(8))]
struct Control([u8; CONTROL_BYTES]);

/// A name of any family.
#[repr(C, align(8))]
struct Name([u8; NAME_BYTES]);

/// `sctp_getaddrs_old`, as SCTP_SOCKOPT_CONNECTX3 takes it: `addr_num` is the length of `addrs` in bytes.
#[repr(C)]
struct ConnectAddresses {
    assoc_id: i32,
    addr_num: libc::c_int,
    addrs: *const u8,
}

/// A message, piece of a message, or notification.
#[derive(Debug)]
pub(super) struct Received {
    /// Bytes in the buffer.
    pub(super) len: usize,
    /// It is a notification (RFC 6458 section 6), not user data.
    pub(super) notification: bool,
    /// The message, or notification, ends here.
    pub(super) end: bool,
    /// The peer's address, as a `sockaddr`; for a notification its primary.
    pub(super) name: [u8; 28],
    /// The `sctp_rcvinfo`, for user data.
    pub(super) info: Option<[u8; RCVINFO_BYTES]>,
}

/// A one-to-many socket (RFC 6458 section 3), not blocking.
#[derive(Debug)]
pub(super) struct Socket(OwnedFd);

impl AsFd for Socket {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}

impl Socket {
    /// Opens one; `v6`: for IPv6 addresses too.
    pub(super) fn open(v6: bool) -> io::Result<Self> {
        let family = if v6 { AddressFamily::Inet6 } else { AddressFamily::Inet };
        let flags = SockFlag::SOCK_NONBLOCK | SockFlag::SOCK_CLOEXEC;
        Ok(Self(socket(family, SockType::SeqPacket, flags, SockProtocol::Sctp)?))
    }

    /// Takes associations (`true`), or no more (`false`).
    pub(super) fn listen(&self, wanted: bool) -> io::Result<()> {
        let backlog = if wanted { Backlog::MAXALLOWABLE } else { Backlog::new(0)? };
        Ok(listen(&self.0, backlog)?)
    }

    /// `setsockopt`.
    pub(super) fn set(&self, level: libc::c_int, option: libc::c_int, value: &[u8]) -> io::Result<()> {
        let len = libc::socklen_t::try_from(value.len()).map_err(|_| io::ErrorKind::InvalidInput)?;
        // SAFETY: the descriptor is open as long as `self`; the kernel reads `len` bytes from `value`, which has them.
        let result = unsafe { libc::setsockopt(self.0.as_raw_fd(), level, option, value.as_ptr().cast(), len) };
        if result < 0 { Err(io::Error::last_os_error()) } else { Ok(()) }
    }

    /// `getsockopt`: `value` goes in (most options want an association's id there) and comes out; the length it has then.
    pub(super) fn get(&self, option: libc::c_int, value: &mut [u8]) -> io::Result<usize> {
        let mut len = libc::socklen_t::try_from(value.len()).map_err(|_| io::ErrorKind::InvalidInput)?;
        let fd = self.0.as_raw_fd();
        // SAFETY: the descriptor is open as long as `self`; the kernel reads and writes at most `len` bytes of `value`, which is
        // borrowed mutably and has them, and stores the new length in `len`, a live local.
        let result = unsafe { libc::getsockopt(fd, SOL_SCTP, option, value.as_mut_ptr().cast(), &raw mut len) };
        if result < 0 {
            return Err(io::Error::last_os_error());
        }
        Ok((len as usize).min(value.len()))
    }

    /// Starts an association to all these addresses (packed `sockaddr`s, RFC 6458 section 9.9) and tells its id.
    pub(super) fn connect(&self, addresses: &[u8]) -> io::Result<i32> {
        let addr_num = libc::c_int::try_from(addresses.len()).map_err(|_| io::ErrorKind::InvalidInput)?;
        let mut value = ConnectAddresses { assoc_id: 0, addr_num, addrs: addresses.as_ptr() };
        let mut len = size_of::<ConnectAddresses>() as libc::socklen_t;
        let (fd, pointer) = (self.0.as_raw_fd(), &raw mut value);
        // SAFETY: the descriptor is open as long as `self`; `value` is a live local laid out as the kernel's
        // `sctp_getaddrs_old` (repr(C)) and `len` is its size; `addrs` points to `addr_num` bytes that the kernel only reads.
        let result = unsafe { libc::getsockopt(fd, SOL_SCTP, SCTP_SOCKOPT_CONNECTX3, pointer.cast(), &raw mut len) };
        if result < 0 {
            let error = io::Error::last_os_error();
            if error.raw_os_error() != Some(libc::EINPROGRESS) {
                return Err(error);
            }
        }
        Ok(value.assoc_id)
    }

    /// Hands the kernel messages for associations that their `info` (an `sctp_sndinfo`) names, at most [`BATCH`]; how many it took.
    /// `more`: another one follows at once (MSG_MORE), so that all can go in one packet. An error means that the first was not taken.
    pub(super) fn send(&self, messages: &[Outgoing], more: bool) -> io::Result<usize> {
        let mut controls: [Control; BATCH] = std::array::from_fn(|_| Control([0; CONTROL_BYTES]));
        let mut parts = [NO_PART; BATCH];
        // SAFETY: an `mmsghdr` is integers and pointers; all of them may be zero.
        let mut headers: [libc::mmsghdr; BATCH] = unsafe { std::mem::zeroed() };
        let count = messages.len().min(BATCH);
        for (i, message) in messages.iter().take(count).enumerate() {
            controls[i].0[..SEND_CONTROL_BYTES].copy_from_slice(&send_control(&message.info));
            let payload: &[u8] = &message.payload;
            parts[i] = libc::iovec { iov_base: payload.as_ptr().cast_mut().cast(), iov_len: payload.len() };
            let header = &mut headers[i].msg_hdr;
            (header.msg_iov, header.msg_iovlen) = (&raw mut parts[i], 1);
            (header.msg_control, header.msg_controllen) = (controls[i].0.as_mut_ptr().cast(), SEND_CONTROL_BYTES);
        }
        let flags = libc::MSG_DONTWAIT | libc::MSG_NOSIGNAL | if more { libc::MSG_MORE } else { 0 };
        // SAFETY: the descriptor is open as long as `self`; the first `count` of `headers` point to `parts`, `controls` and the
        // payloads, which live to the end of this function, do not move, and have the lengths told; the kernel only reads them and
        // writes the lengths into `headers`.
        let result = unsafe { libc::sendmmsg(self.0.as_raw_fd(), headers.as_mut_ptr(), count as libc::c_uint, flags) };
        usize::try_from(result).map_err(|_| io::Error::last_os_error())
    }

    /// Takes the next messages, pieces of messages, or notifications, as many as the batch has room for; how many. `WouldBlock` when
    /// there is none.
    pub(super) fn receive(&self, batch: &mut Batch) -> io::Result<usize> {
        let mut parts = [NO_PART; BATCH];
        // SAFETY: an `mmsghdr` is integers and pointers; all of them may be zero.
        let mut headers: [libc::mmsghdr; BATCH] = unsafe { std::mem::zeroed() };
        let buffers = batch.bytes.chunks_exact_mut(BUFFER_BYTES);
        let room = buffers.zip(batch.controls.iter_mut()).zip(batch.names.iter_mut());
        for (((buffer, control), name), (header, part)) in room.zip(headers.iter_mut().zip(parts.iter_mut())) {
            *part = libc::iovec { iov_base: buffer.as_mut_ptr().cast(), iov_len: buffer.len() };
            let header = &mut header.msg_hdr;
            (header.msg_iov, header.msg_iovlen) = (part, 1);
            (header.msg_control, header.msg_controllen) = (control.0.as_mut_ptr().cast(), CONTROL_BYTES);
            (header.msg_name, header.msg_namelen) = (name.0.as_mut_ptr().cast(), NAME_BYTES as libc::socklen_t);
        }
        let (fd, flags) = (self.0.as_raw_fd(), libc::MSG_DONTWAIT);
        // SAFETY: the descriptor is open as long as `self`; the `BATCH` headers point to `parts` and to the buffers, control and name
        // room of the mutably borrowed `batch`, which live to the end of this function, do not move, and have the lengths told; the
        // kernel writes no further. There is no timeout.
        let result =
            unsafe { libc::recvmmsg(fd, headers.as_mut_ptr(), BATCH as libc::c_uint, flags, std::ptr::null_mut()) };
        let count = usize::try_from(result).map_err(|_| io::Error::last_os_error())?;
        batch.received.clear();
        for (i, header) in headers.iter().take(count).enumerate() {
            let filled = header.msg_hdr.msg_controllen.min(CONTROL_BYTES);
            batch.received.push(Received {
                len: (header.msg_len as usize).min(BUFFER_BYTES),
                notification: header.msg_hdr.msg_flags & MSG_NOTIFICATION != 0,
                end: header.msg_hdr.msg_flags & libc::MSG_EOR != 0,
                name: batch.names[i].0.first_chunk().copied().expect("invariant: a name has 128 bytes"),
                info: receive_info(&batch.controls[i].0[..filled]),
            });
        }
        Ok(count)
    }
}

const NO_PART: libc::iovec = libc::iovec { iov_base: std::ptr::null_mut(), iov_len: 0 };

/// A message to hand to the kernel.
#[derive(Debug)]
pub(super) struct Outgoing {
    pub(super) payload: Bytes,
    /// An `sctp_sndinfo`.
    pub(super) info: [u8; SNDINFO_BYTES],
}

/// Room for what one call receives, and what the last one did.
pub(super) struct Batch {
    bytes: Vec<u8>,
    controls: Vec<Control>,
    names: Vec<Name>,
    received: Vec<Received>,
}

impl Batch {
    pub(super) fn new() -> Self {
        Self {
            bytes: vec![0; BATCH * BUFFER_BYTES],
            controls: (0..BATCH).map(|_| Control([0; CONTROL_BYTES])).collect(),
            names: (0..BATCH).map(|_| Name([0; NAME_BYTES])).collect(),
            received: Vec::with_capacity(BATCH),
        }
    }

    /// What the last call brought, with its bytes.
    pub(super) fn received(&self) -> impl Iterator<Item = (&Received, &[u8])> {
        self.received.iter().zip(self.bytes.chunks_exact(BUFFER_BYTES)).map(|(r, bytes)| (r, &bytes[..r.len]))
    }
}

impl std::fmt::Debug for Batch {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Batch").field("received", &self.received).finish_non_exhaustive()
    }
}

/// A control message (`cmsghdr` and content) with this `sctp_sndinfo`.
fn send_control(info: &[u8; SNDINFO_BYTES]) -> [u8; SEND_CONTROL_BYTES] {
    let mut control = [0; SEND_CONTROL_BYTES];
    control[..8].copy_from_slice(&SEND_CONTROL_BYTES.to_ne_bytes());
    control[8..12].copy_from_slice(&SOL_SCTP.to_ne_bytes());
    control[12..16].copy_from_slice(&SCTP_SNDINFO.to_ne_bytes());
    control[16..].copy_from_slice(info);
    control
}

/// The `sctp_rcvinfo` among the control messages.
fn receive_info(mut control: &[u8]) -> Option<[u8; RCVINFO_BYTES]> {
    const HEADER: usize = size_of::<libc::cmsghdr>();
    while let Some((header, _)) = control.split_at_checked(HEADER) {
        let len = usize::from_ne_bytes(header[..8].try_into().ok()?);
        let level = libc::c_int::from_ne_bytes(header[8..12].try_into().ok()?);
        let kind = libc::c_int::from_ne_bytes(header[12..16].try_into().ok()?);
        let content = control.get(HEADER..len)?;
        if (level, kind) == (SOL_SCTP, SCTP_RCVINFO) {
            return content.first_chunk().copied();
        }
        control = control.get(len.next_multiple_of(8)..)?;
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_receive_info_is_found_behind_others_and_nonsense_is_not_followed() {
        let cmsg = |kind: i32, content: &[u8]| {
            let mut bytes = (16 + content.len()).to_ne_bytes().to_vec();
            bytes.extend_from_slice(&SOL_SCTP.to_ne_bytes());
            bytes.extend_from_slice(&kind.to_ne_bytes());
            bytes.extend_from_slice(content);
            bytes.resize(bytes.len().next_multiple_of(8), 0);
            bytes
        };
        let both = [cmsg(1, &[1; 5]), cmsg(SCTP_RCVINFO, &[7; RCVINFO_BYTES])].concat();
        assert_eq!(receive_info(&both), Some([7; RCVINFO_BYTES]));
        assert_eq!(receive_info(&cmsg(SCTP_RCVINFO, &[7; 4])), None);
        assert_eq!(receive_info(&[]), None);
        let mut long = both.clone();
        long[0] = 255;
        assert_eq!(receive_info(&long), None);
        let mut short = both;
        short[..8].copy_from_slice(&3_usize.to_ne_bytes());
        assert_eq!(receive_info(&short), None);
    }
}
