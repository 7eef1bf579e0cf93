//! One SCTP socket of the kernel: the system calls that `nix` has no safe form of. The only file of the workspace with unsafe code.
//!
//! What the options and control messages contain is bytes, made and read in `options` and `notification`: nothing here
//! depends on what they mean, only on their length.

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

/// What one `recvmsg` brought.
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

    /// Hands the kernel a message for the association that `info` (an `sctp_sndinfo`) names. `more`: another one follows at once
    /// (MSG_MORE), so that both can go in one packet. An error means that nothing was taken.
    pub(super) fn send(&self, payload: &[u8], info: &[u8; SNDINFO_BYTES], more: bool) -> io::Result<()> {
        let mut control = Control([0; CONTROL_BYTES]);
        let header = libc::cmsghdr {
            cmsg_len: size_of::<libc::cmsghdr>() + SNDINFO_BYTES,
            cmsg_level: SOL_SCTP,
            cmsg_type: SCTP_SNDINFO,
        };
        // SAFETY: `control` is aligned for a `cmsghdr` (8) and larger than one.
        unsafe { control.0.as_mut_ptr().cast::<libc::cmsghdr>().write(header) };
        let (start, end) = (size_of::<libc::cmsghdr>(), size_of::<libc::cmsghdr>() + SNDINFO_BYTES);
        control.0[start..end].copy_from_slice(info);
        let mut part = libc::iovec { iov_base: payload.as_ptr().cast_mut().cast(), iov_len: payload.len() };
        // SAFETY: a `msghdr` is integers and pointers; all of them may be zero.
        let mut message: libc::msghdr = unsafe { std::mem::zeroed() };
        (message.msg_iov, message.msg_iovlen) = (&raw mut part, 1);
        (message.msg_control, message.msg_controllen) = (control.0.as_mut_ptr().cast(), end);
        let flags = libc::MSG_DONTWAIT | libc::MSG_NOSIGNAL | if more { libc::MSG_MORE } else { 0 };
        // SAFETY: the descriptor is open as long as `self`; `message` points to `part`, `control` and `payload`, which live to the end
        // of this function and have the lengths told; the kernel only reads them.
        let result = unsafe { libc::sendmsg(self.0.as_raw_fd(), &raw const message, flags) };
        if result < 0 { Err(io::Error::last_os_error()) } else { Ok(()) }
    }

    /// Takes the next message, piece of a message, or notification. `WouldBlock` when there is none.
    pub(super) fn receive(&self, buffer: &mut [u8]) -> io::Result<Received> {
        let (mut control, mut name) = (Control([0; CONTROL_BYTES]), Name([0; NAME_BYTES]));
        let mut part = libc::iovec { iov_base: buffer.as_mut_ptr().cast(), iov_len: buffer.len() };
        // SAFETY: a `msghdr` is integers and pointers; all of them may be zero.
        let mut message: libc::msghdr = unsafe { std::mem::zeroed() };
        (message.msg_iov, message.msg_iovlen) = (&raw mut part, 1);
        (message.msg_control, message.msg_controllen) = (control.0.as_mut_ptr().cast(), CONTROL_BYTES);
        (message.msg_name, message.msg_namelen) = (name.0.as_mut_ptr().cast(), NAME_BYTES as libc::socklen_t);
        // SAFETY: the descriptor is open as long as `self`; `message` points to `part`, `control`, `name` and the mutably borrowed
        // `buffer`, which live to the end of this function and have the lengths told; the kernel writes no further.
        let result = unsafe { libc::recvmsg(self.0.as_raw_fd(), &raw mut message, libc::MSG_DONTWAIT) };
        let len = usize::try_from(result).map_err(|_| io::Error::last_os_error())?;
        let filled = message.msg_controllen.min(CONTROL_BYTES);
        Ok(Received {
            len: len.min(buffer.len()),
            notification: message.msg_flags & MSG_NOTIFICATION != 0,
            end: message.msg_flags & libc::MSG_EOR != 0,
            name: name.0.first_chunk().copied().expect("invariant: a name has 128 bytes"),
            info: receive_info(&control.0[..filled]),
        })
    }
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
