//! Opening sockets, and what to say when that fails.

use super::socket::Socket;
use super::{Errno, KernelSockets, options};
use crate::driver::BindError;
use nix::sys::socket::{setsockopt, sockopt};
use std::io;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};

const WHAT: &str = "SCTP";

impl KernelSockets {
    fn v6(&self) -> bool {
        self.addresses.iter().any(IpAddr::is_ipv6)
    }

    /// Opens and binds a socket for nothing, to know before anything begins that it can be done.
    pub(super) fn probe(&self) -> Result<(), BindError> {
        let first = self.addresses.first().copied().unwrap_or(IpAddr::V4(Ipv4Addr::UNSPECIFIED));
        let address = SocketAddr::new(first, 0);
        let error =
            |address, source: io::Error| BindError { what: WHAT, address, remedy: remedy(&source, address), source };
        if self.addresses.is_empty() || self.addresses.iter().any(IpAddr::is_unspecified) {
            return Err(error(address, io::ErrorKind::InvalidInput.into()));
        }
        let socket = Socket::open(self.v6()).map_err(|source| error(address, source))?;
        options::configure(&socket, self.v6(), &self.settings).map_err(|source| error(address, source))?;
        for ip in &self.addresses {
            let alone = Socket::open(self.v6()).map_err(|source| error(address, source))?;
            options::bind(&alone, &[*ip], 0).map_err(|source| error(SocketAddr::new(*ip, 0), source))?;
        }
        Ok(())
    }

    /// A socket with all settings, bound to the own addresses, and its port.
    pub(super) fn open(&self, port: u16) -> io::Result<(Socket, u16)> {
        let socket = Socket::open(self.v6())?;
        options::configure(&socket, self.v6(), &self.settings)?;
        // Past the system's limits only with CAP_NET_ADMIN.
        if setsockopt(&socket, sockopt::RcvBufForce, &self.config.receive_buffer_bytes).is_err() {
            setsockopt(&socket, sockopt::RcvBuf, &self.config.receive_buffer_bytes)?;
        }
        if setsockopt(&socket, sockopt::SndBufForce, &self.config.send_buffer_bytes).is_err() {
            setsockopt(&socket, sockopt::SndBuf, &self.config.send_buffer_bytes)?;
        }
        let port = options::bind(&socket, &self.addresses, port)?;
        Ok((socket, port))
    }

    /// An error that ends the program, with what to do about it.
    pub(super) fn explain(&self, what: &str, port: u16, error: &io::Error) -> io::Error {
        let address = SocketAddr::new(self.addresses.first().copied().unwrap_or(Ipv4Addr::UNSPECIFIED.into()), port);
        io::Error::new(error.kind(), format!("cannot {what} SCTP {address}: {error}; {}", remedy(error, address)))
    }
}

fn remedy(error: &io::Error, address: SocketAddr) -> String {
    let (ip, port) = (address.ip(), address.port());
    let no_sctp = "this kernel has no SCTP: load it (`modprobe sctp`) or set transport = \"udp\"";
    // Only some errors have a remedy of their own; the rest is rare.
    match error.raw_os_error().map(Errno::from_raw) {
        Some(Errno::EPROTONOSUPPORT | Errno::ESOCKTNOSUPPORT | Errno::EAFNOSUPPORT) => no_sctp.to_owned(),
        Some(Errno::EADDRINUSE) => {
            format!("another process has SCTP port {port} on {ip} (`cat /proc/net/sctp/eps` lists them): end it, or give another address")
        }
        Some(Errno::EADDRNOTAVAIL) => {
            format!("{ip} is not an address of this machine: add it (`ip address add {ip} dev ...`) or configure one that is")
        }
        Some(Errno::ENOSYS) => {
            "the kernel lacks the algorithm of its state cookie: `sysctl -w net.sctp.cookie_hmac_alg=none`, or load its module".to_owned()
        }
        Some(Errno::EACCES | Errno::EPERM) => format!("port {port} needs privileges: give a port from 1024 on"),
        _ if error.kind() == io::ErrorKind::InvalidInput => {
            "name each own address by itself in `addresses`; 0.0.0.0 and :: stand for all".to_owned()
        }
        _ => "see the system's message, or set transport = \"udp\"".to_owned(),
    }
}
