//! The sockets: one for each own address, UDP or raw IP.

use super::raw;
use crate::driver::error_queue::ErrorQueue;
use crate::driver::packet::Framing;
use crate::driver::{BindError, DriverConfig, DriverCounters};
use crate::{Input, Transmit};
use nix::sys::socket::{getsockopt, setsockopt, sockopt};
use quinn_udp::{UdpSockRef, UdpSocketState};
use std::collections::VecDeque;
use std::io;
use std::net::{IpAddr, SocketAddr, UdpSocket};
use std::os::fd::{AsFd, OwnedFd};

/// One bound socket with what waits for it.
#[derive(Debug)]
pub(super) struct Socket {
    pub(super) fd: OwnedFd,
    /// Batches, and for UDP segmentation: what the kernel can do with this socket.
    pub(super) state: UdpSocketState,
    pub(super) framing: Framing,
    pub(super) local: SocketAddr,
    /// Datagrams the kernel had no room for, in order.
    pub(super) backlog: VecDeque<Transmit>,
    /// Errors of datagrams that were sent, for the node.
    pub(super) errors: Vec<Input>,
    pub(super) error_queue: ErrorQueue,
    /// Of a raw socket: keeps others from the address.
    _claim: Option<raw::Claim>,
}

/// One socket for each address of the configuration.
pub(super) fn bind(framing: Framing, config: &DriverConfig) -> Result<Vec<Socket>, BindError> {
    let what = match framing {
        Framing::Udp => "UDP",
        Framing::Ip => "IP protocol 132 on",
    };
    if config.addresses.is_empty() {
        return Err(BindError {
            what,
            address: SocketAddr::from(([0, 0, 0, 0], config.port)),
            source: io::ErrorKind::InvalidInput.into(),
            remedy: "the configuration names no address; name at least one in `addresses`".to_owned(),
        });
    }
    let bind = |ip: &IpAddr| {
        let address = SocketAddr::new(*ip, config.port);
        Socket::bind(framing, address, config).map_err(|source| {
            let remedy = match framing {
                Framing::Udp => remedy(&source, address),
                Framing::Ip => raw::remedy(&source).unwrap_or_else(|| remedy(&source, address)),
            };
            BindError { what, address, remedy, source }
        })
    };
    config.addresses.iter().map(bind).collect()
}

impl Socket {
    fn bind(framing: Framing, address: SocketAddr, config: &DriverConfig) -> io::Result<Self> {
        if address.ip().is_unspecified() {
            // Replies must leave from the address the peer knows (RFC 9260 section 6.4), so each own address has its socket.
            return Err(io::ErrorKind::InvalidInput.into());
        }
        let (fd, local, claim) = match framing {
            Framing::Udp => {
                let udp = UdpSocket::bind(address)?;
                let local = udp.local_addr()?;
                (OwnedFd::from(udp), local, None)
            }
            Framing::Ip => {
                let (fd, claim) = raw::open(address.ip())?;
                (fd, address, Some(claim))
            }
        };
        // Non-blocking, GRO, don't-fragment; finds out about GSO.
        let state = UdpSocketState::new(UdpSockRef::from(&fd))?;
        if framing == Framing::Udp && !config.gro {
            setsockopt(&fd, sockopt::UdpGroSegment, &false)?;
        }
        set_buffers(&fd, local, config)?;
        if config.icmp {
            match local.ip() {
                IpAddr::V4(_) => setsockopt(&fd, sockopt::Ipv4RecvErr, &true)?,
                IpAddr::V6(_) => setsockopt(&fd, sockopt::Ipv6RecvErr, &true)?,
            }
        }
        let (backlog, errors, error_queue) = (VecDeque::new(), Vec::new(), ErrorQueue::new(framing));
        Ok(Self { fd, state, framing, local, backlog, errors, error_queue, _claim: claim })
    }

    /// Reads the socket's error queue: what the node is to know goes to `errors`. Returns how many entries there were.
    pub(super) fn drain_errors(&mut self, counters: &DriverCounters) -> usize {
        let before = self.errors.len();
        let entries = self.error_queue.drain(self.fd.as_fd(), &mut self.errors, counters);
        if self.framing == Framing::Ip {
            // IP has no ports; those of peers are written with ours.
            for error in &mut self.errors[before..] {
                match error {
                    Input::Unreachable(error) => error.to.set_port(self.local.port()),
                    Input::TooBig(error) => error.to.set_port(self.local.port()),
                    Input::Packet(_) | Input::Kernel(_) => {}
                }
            }
        }
        entries
    }
}

/// Sets the buffer sizes and says so when the kernel gave less. The kernel doubles what it is asked for (its own overhead) and
/// tells the doubled value.
fn set_buffers(socket: &OwnedFd, local: SocketAddr, config: &DriverConfig) -> io::Result<()> {
    // Past rmem_max only with CAP_NET_ADMIN; most have none, and the limit is then the system's.
    if setsockopt(socket, sockopt::RcvBufForce, &config.receive_buffer_bytes).is_err() {
        setsockopt(socket, sockopt::RcvBuf, &config.receive_buffer_bytes)?;
    }
    setsockopt(socket, sockopt::SndBuf, &config.send_buffer_bytes)?;
    let got = [
        ("receive", "rmem_max", config.receive_buffer_bytes, getsockopt(socket, sockopt::RcvBuf)? / 2),
        ("send", "wmem_max", config.send_buffer_bytes, getsockopt(socket, sockopt::SndBuf)? / 2),
    ];
    for (which, sysctl, asked, got) in got {
        if got < asked {
            tracing::warn!(
                "{local}: the {which} buffer is {got} bytes instead of {asked}; bursts may be lost (sysctl -w net.core.{sysctl}={asked})"
            );
        }
    }
    Ok(())
}

fn remedy(error: &io::Error, address: SocketAddr) -> String {
    let (ip, port) = (address.ip(), address.port());
    // Only some kinds have a remedy of their own; the rest is rare.
    if error.kind() == io::ErrorKind::AddrInUse {
        format!(
            "another process has this port (`ss -ulpn 'sport = :{port}'` shows which): end it, or give another address or port"
        )
    } else if error.kind() == io::ErrorKind::AddrNotAvailable {
        format!(
            "{ip} is not an address of this machine: add it (`ip address add {ip} dev ...`) or configure one that is"
        )
    } else if error.kind() == io::ErrorKind::PermissionDenied {
        format!("port {port} needs privileges: give a port from 1024 on")
    } else if error.kind() == io::ErrorKind::InvalidInput {
        format!("{ip} stands for all addresses: name each own address by itself")
    } else {
        "see the system's message".to_owned()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn config(address: &str, port: u16) -> DriverConfig {
        DriverConfig { addresses: vec![address.parse().unwrap()], port, ..DriverConfig::default() }
    }

    #[test]
    fn a_port_in_use_says_what_to_do() {
        let first = bind(Framing::Udp, &config("127.83.1.1", 0)).unwrap();
        let port = first[0].local.port();
        let error = bind(Framing::Udp, &config("127.83.1.1", port)).unwrap_err().to_string();
        assert!(error.contains(&format!("127.83.1.1:{port}")) && error.contains("ss -ulpn"), "{error}");
    }

    #[test]
    fn foreign_and_unspecified_addresses_are_refused() {
        let error = bind(Framing::Udp, &config("192.0.2.1", 0)).unwrap_err().to_string();
        assert!(error.contains("not an address of this machine"), "{error}");
        let error = bind(Framing::Udp, &config("0.0.0.0", 0)).unwrap_err().to_string();
        assert!(error.contains("name each own address"), "{error}");
        let none = DriverConfig { addresses: Vec::new(), ..DriverConfig::default() };
        assert!(bind(Framing::Udp, &none).unwrap_err().to_string().contains("names no address"));
    }

    #[test]
    fn buffers_are_what_was_asked_for_or_the_systems_limit() {
        let sockets = bind(Framing::Udp, &config("127.83.1.2", 0)).unwrap();
        let limit: usize = std::fs::read_to_string("/proc/sys/net/core/rmem_max").unwrap().trim().parse().unwrap();
        let got = getsockopt(&sockets[0].fd, sockopt::RcvBuf).unwrap() / 2;
        assert!(got >= limit.min(4 << 20), "{got}");
    }
}
