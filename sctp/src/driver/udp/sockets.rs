//! The UDP sockets: one for each own address.

use crate::driver::error_queue::ErrorQueue;
use crate::driver::{BindError, DriverConfig, DriverCounters};
use crate::{Transmit, Unreachable};
use nix::sys::socket::{getsockopt, setsockopt, sockopt};
use quinn_udp::{UdpSockRef, UdpSocketState};
use std::collections::VecDeque;
use std::io;
use std::net::{IpAddr, SocketAddr, UdpSocket};

/// One bound socket with what waits for it.
#[derive(Debug)]
pub(super) struct Socket {
    pub(super) udp: UdpSocket,
    pub(super) state: UdpSocketState,
    pub(super) local: SocketAddr,
    /// Datagrams the kernel had no room for, in order.
    pub(super) backlog: VecDeque<Transmit>,
    /// ICMP errors read from the socket, for the node.
    pub(super) unreachable: Vec<Unreachable>,
    pub(super) error_queue: ErrorQueue,
}

/// One socket for each address of the configuration.
pub(super) fn bind(config: &DriverConfig) -> Result<Vec<Socket>, BindError> {
    if config.addresses.is_empty() {
        return Err(BindError {
            what: "UDP",
            address: SocketAddr::from(([0, 0, 0, 0], config.port)),
            source: io::ErrorKind::InvalidInput.into(),
            remedy: "the configuration names no address; name at least one in `addresses`".to_owned(),
        });
    }
    let bind = |ip: &IpAddr| {
        let address = SocketAddr::new(*ip, config.port);
        Socket::bind(address, config).map_err(|source| BindError {
            what: "UDP",
            address,
            remedy: remedy(&source, address),
            source,
        })
    };
    config.addresses.iter().map(bind).collect()
}

impl Socket {
    fn bind(address: SocketAddr, config: &DriverConfig) -> io::Result<Self> {
        if address.ip().is_unspecified() {
            // Replies must leave from the address the peer knows (RFC 9260 section 6.4), so each own address has its socket.
            return Err(io::ErrorKind::InvalidInput.into());
        }
        let udp = UdpSocket::bind(address)?;
        let local = udp.local_addr()?;
        // Non-blocking, GRO, don't-fragment; finds out about GSO.
        let state = UdpSocketState::new(UdpSockRef::from(&udp))?;
        set_buffers(&udp, local, config)?;
        if config.icmp {
            state.enable_transport_errors(UdpSockRef::from(&udp))?;
        }
        let (backlog, unreachable) = (VecDeque::new(), Vec::new());
        Ok(Self { udp, state, local, backlog, unreachable, error_queue: ErrorQueue::new() })
    }

    /// Reads the socket's error queue: ICMP errors go to `unreachable`. Returns how many entries there were.
    pub(super) fn drain_errors(&mut self, counters: &DriverCounters) -> usize {
        self.error_queue.drain(&self.udp, &mut self.unreachable, counters)
    }
}

/// Sets the buffer sizes and says so when the kernel gave less. The kernel doubles what it is asked for (its own overhead) and
/// tells the doubled value.
fn set_buffers(udp: &UdpSocket, local: SocketAddr, config: &DriverConfig) -> io::Result<()> {
    // Past rmem_max only with CAP_NET_ADMIN; most have none, and the limit is then the system's.
    if setsockopt(udp, sockopt::RcvBufForce, &config.receive_buffer_bytes).is_err() {
        setsockopt(udp, sockopt::RcvBuf, &config.receive_buffer_bytes)?;
    }
    setsockopt(udp, sockopt::SndBuf, &config.send_buffer_bytes)?;
    let got = [
        ("receive", "rmem_max", config.receive_buffer_bytes, getsockopt(udp, sockopt::RcvBuf)? / 2),
        ("send", "wmem_max", config.send_buffer_bytes, getsockopt(udp, sockopt::SndBuf)? / 2),
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
        let first = bind(&config("127.83.1.1", 0)).unwrap();
        let port = first[0].local.port();
        let error = bind(&config("127.83.1.1", port)).unwrap_err().to_string();
        assert!(error.contains(&format!("127.83.1.1:{port}")) && error.contains("ss -ulpn"), "{error}");
    }

    #[test]
    fn foreign_and_unspecified_addresses_are_refused() {
        let error = bind(&config("192.0.2.1", 0)).unwrap_err().to_string();
        assert!(error.contains("not an address of this machine"), "{error}");
        let error = bind(&config("0.0.0.0", 0)).unwrap_err().to_string();
        assert!(error.contains("name each own address"), "{error}");
        let none = DriverConfig { addresses: Vec::new(), ..DriverConfig::default() };
        assert!(bind(&none).unwrap_err().to_string().contains("names no address"));
    }

    #[test]
    fn buffers_are_what_was_asked_for_or_the_systems_limit() {
        let sockets = bind(&config("127.83.1.2", 0)).unwrap();
        let limit: usize = std::fs::read_to_string("/proc/sys/net/core/rmem_max").unwrap().trim().parse().unwrap();
        let got = getsockopt(&sockets[0].udp, sockopt::RcvBuf).unwrap() / 2;
        assert!(got >= limit.min(4 << 20), "{got}");
    }
}
