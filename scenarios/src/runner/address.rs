//! Addresses of a run: a /24 of the loopback network that nobody uses, so that every port can be the standard one.

use super::RunError;
use std::net::{IpAddr, Ipv4Addr, SocketAddr, TcpListener, UdpSocket};

/// UDP encapsulation, RFC 6951 section 5.1.
pub const UDP_PORT: u16 = 9_899;
/// Admin HTTP of every process of a run, each on its own address.
pub const ADMIN_PORT: u16 = 9_880;
/// Networks tried before giving up.
const TRIES: u32 = 64;
/// Host part of the first controller's address.
const FIRST_CONTROLLER: u8 = 10;

/// 127.a.b.0/24.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Net {
    a: u8,
    b: u8,
}

impl Net {
    /// Finds one in which all addresses of a run with that many controllers can be bound. The search begins at a place that
    /// depends on the process id, so that runs side by side do not meet.
    ///
    /// # Errors
    /// [`RunError::Environment`]: none of those tried is free.
    pub fn find(controllers: usize) -> Result<Self, RunError> {
        let start = std::process::id().wrapping_mul(2_654_435_761) >> 8;
        let mut last = String::new();
        for step in 0..TRIES {
            let place = start.wrapping_add(step * 257);
            // 127.0.x.x is left to others: daemons by their defaults, name services.
            let net = Self { a: 1 + (place % 254) as u8, b: (place / 254 % 256) as u8 };
            match net.try_bind(controllers) {
                Ok(()) => return Ok(net),
                Err(error) => last = error,
            }
        }
        Err(RunError::Environment(format!(
            "no free loopback network for UDP {UDP_PORT} and TCP {ADMIN_PORT} (last try: {last}); end other runs \
             (`ss -lnup sport = :{UDP_PORT}` shows who has the port) or raise the limit of open files"
        )))
    }

    /// One that is not looked at, for checks of settings.
    pub(super) fn any() -> Self {
        Self { a: 1, b: 0 }
    }

    fn try_bind(self, controllers: usize) -> Result<(), String> {
        let own = [self.gateway(), self.network(), self.name_server()];
        for ip in own.into_iter().chain((0..controllers).map(|index| self.controller(index))) {
            let udp = SocketAddr::new(ip, UDP_PORT);
            UdpSocket::bind(udp).map_err(|error| format!("UDP {udp}: {error}"))?;
            let tcp = SocketAddr::new(ip, ADMIN_PORT);
            TcpListener::bind(tcp).map_err(|error| format!("TCP {tcp}: {error}"))?;
        }
        Ok(())
    }

    fn host(self, host: u8) -> IpAddr {
        Ipv4Addr::new(127, self.a, self.b, host).into()
    }

    /// The signaling gateway.
    #[must_use]
    pub fn gateway(self) -> IpAddr {
        self.host(1)
    }

    /// The network side: the traffic source.
    #[must_use]
    pub fn network(self) -> IpAddr {
        self.host(2)
    }

    /// The stand-alone name server.
    #[must_use]
    pub fn name_server(self) -> IpAddr {
        self.host(3)
    }

    /// A controller, counted from 0 (at most 200).
    #[must_use]
    pub fn controller(self, index: usize) -> IpAddr {
        self.host(FIRST_CONTROLLER.saturating_add(u8::try_from(index).unwrap_or(u8::MAX)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_network_in_use_is_passed_over() {
        let net = Net::find(2).unwrap();
        let _taken = UdpSocket::bind(SocketAddr::new(net.controller(1), UDP_PORT)).unwrap();
        assert!(net.try_bind(2).is_err());
        assert_ne!(Net::find(2).unwrap(), net);
    }
}
