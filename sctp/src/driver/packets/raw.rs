//! Raw IP, protocol 132: how its sockets differ from UDP's.
//!
//! A raw socket gets every SCTP packet that comes to its address. So only one process may have an address ([`Claim`]), and the kernel
//! must have no SCTP of its own, which would answer the same packets with ABORT.

use nix::errno::Errno;
use nix::sys::socket::{AddressFamily, SockFlag, SockProtocol, SockType, SockaddrIn, SockaddrIn6, bind, socket};
use std::io;
use std::net::{IpAddr, SocketAddrV4, SocketAddrV6};
use std::os::fd::{AsRawFd, OwnedFd};
use std::os::linux::net::SocketAddrExt;
use std::os::unix::net::{SocketAddr as UnixAddr, UnixDatagram};
use std::path::Path;

/// The kernel's SCTP shows itself here, in each network namespace.
const KERNEL_SCTP: &str = "/proc/net/sctp";

/// Keeps other processes of ours from the same address: a name in the network namespace that ends with the process.
#[derive(Debug)]
pub(super) struct Claim {
    _name: UnixDatagram,
}

impl Claim {
    fn new(ip: IpAddr) -> io::Result<Self> {
        let name = UnixAddr::from_abstract_name(format!("sigpool-sctp-{ip}"))?;
        Ok(Self { _name: UnixDatagram::bind_addr(&name)? })
    }
}

/// Opens a socket for all SCTP packets of this address.
pub(super) fn open(ip: IpAddr) -> io::Result<(OwnedFd, Claim)> {
    if kernel_in_the_way() {
        return Err(io::ErrorKind::ResourceBusy.into());
    }
    let fd = raw_socket(ip)?;
    match ip {
        IpAddr::V4(v4) => bind(fd.as_raw_fd(), &SockaddrIn::from(SocketAddrV4::new(v4, 0)))?,
        IpAddr::V6(v6) => bind(fd.as_raw_fd(), &SockaddrIn6::from(SocketAddrV6::new(v6, 0, 0, 0)))?,
    }
    Ok((fd, Claim::new(ip)?))
}

fn raw_socket(ip: IpAddr) -> Result<OwnedFd, Errno> {
    let family = match ip {
        IpAddr::V4(_) => AddressFamily::Inet,
        IpAddr::V6(_) => AddressFamily::Inet6,
    };
    socket(family, SockType::Raw, SockFlag::SOCK_CLOEXEC, SockProtocol::Sctp)
}

/// Whether the kernel has SCTP of its own. Asking for a socket of it instead would load the module where there is one.
pub(in crate::driver) fn kernel_in_the_way() -> bool {
    Path::new(KERNEL_SCTP).exists()
}

/// Whether this process may open raw sockets (CAP_NET_RAW).
pub(in crate::driver) fn permitted() -> bool {
    raw_socket(IpAddr::from([127, 0, 0, 1])).is_ok()
}

/// What to do about an error of [`open`]; `None` when it is not special to raw IP.
pub(super) fn remedy(error: &io::Error) -> Option<String> {
    let text = if error.kind() == io::ErrorKind::PermissionDenied {
        "raw IP needs CAP_NET_RAW: run as root, or `setcap cap_net_raw+ep` on the program, or set transport = \"udp\""
    } else if error.kind() == io::ErrorKind::ResourceBusy {
        "the kernel's own SCTP is loaded (/proc/net/sctp) and would answer our packets with ABORT: set transport = \"kernel\" or \
         \"udp\", or unload it (`rmmod sctp`)"
    } else if error.kind() == io::ErrorKind::AddrInUse {
        "another process carries SCTP by raw IP on this address, and a raw socket gets all of an address's packets: end it, or give \
         each process an address of its own"
    } else {
        return None;
    };
    Some(text.to_owned())
}

/// The SCTP packet in what a raw socket delivers: IPv4 with its header (RFC 791), IPv6 without.
pub(super) fn payload(local: IpAddr, received: &[u8]) -> Option<&[u8]> {
    match local {
        IpAddr::V4(_) => {
            let first = *received.first()?;
            let header = usize::from(first & 0x0f) * 4;
            if first >> 4 != 4 || header < 20 { None } else { received.get(header..) }
        }
        IpAddr::V6(_) => Some(received),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_ipv4_header_is_taken_off_with_its_options() {
        let v4 = IpAddr::from([127, 0, 0, 1]);
        let mut packet = vec![0x45; 1];
        packet.resize(20, 0);
        packet.extend_from_slice(b"sctp");
        assert_eq!(payload(v4, &packet), Some(&b"sctp"[..]));
        packet[0] = 0x46;
        assert_eq!(payload(v4, &packet), Some(&b""[..]));
        for first in [0x44, 0x47, 0x65, 0x00] {
            packet[0] = first;
            assert_eq!(payload(v4, &packet), None, "{first:x}");
        }
        assert_eq!(payload(v4, &[]), None);
        assert_eq!(payload("::1".parse().unwrap(), b"sctp"), Some(&b"sctp"[..]));
    }

    #[test]
    fn an_address_is_claimed_once() {
        let ip = IpAddr::from([127, 83, 2, 1]);
        let first = Claim::new(ip).unwrap();
        let error = Claim::new(ip).unwrap_err();
        assert!(remedy(&error).unwrap().contains("an address of its own"));
        drop(first);
        Claim::new(ip).unwrap();
    }

    #[test]
    fn who_may_not_is_told_how_he_may() {
        let text = remedy(&io::Error::from(Errno::EPERM)).unwrap();
        assert!(text.contains("CAP_NET_RAW") && text.contains("transport = \"udp\""), "{text}");
        assert!(remedy(&io::ErrorKind::ResourceBusy.into()).unwrap().contains("rmmod sctp"));
        assert_eq!(remedy(&io::ErrorKind::AddrNotAvailable.into()), None);
    }
}
