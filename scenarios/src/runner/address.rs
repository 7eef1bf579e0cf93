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

/// Host parts of the relay's addresses for the first controller, up to 40 each; they lie where further controllers would.
const FIRST_POOL_SIDE: u8 = 80;
const FIRST_GATEWAY_SIDE: u8 = 120;
const FIRST_NAME_SERVER_SIDE: u8 = 160;
/// Host part of the first process of a population, up to 16.
const FIRST_POPULATION: u8 = 230;

/// What a run needs addresses for.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Needs {
    /// Controllers.
    pub controllers: usize,
    /// Each behind a relay.
    pub relayed: bool,
    /// Processes of a population.
    pub population: usize,
}

/// 127.a.b.0/24.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Net {
    a: u8,
    b: u8,
}

impl Net {
    /// Finds one in which all addresses of a run can be bound. The search begins at a place that
    /// depends on the process id, so that runs side by side do not meet.
    ///
    /// # Errors
    /// [`RunError::Environment`]: none of those tried is free.
    pub fn find(needs: Needs) -> Result<Self, RunError> {
        let start = std::process::id().wrapping_mul(2_654_435_761) >> 8;
        let mut last = String::new();
        for step in 0..TRIES {
            let place = start.wrapping_add(step * 257);
            // 127.0.x.x is left to others: daemons by their defaults, name services.
            let net = Self { a: 1 + (place % 254) as u8, b: (place / 254 % 256) as u8 };
            match net.try_bind(needs) {
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

    fn try_bind(self, needs: Needs) -> Result<(), String> {
        let controllers = 0..needs.controllers;
        let mut all = vec![self.gateway(), self.network(), self.name_server()];
        all.extend(controllers.clone().map(|index| self.controller(index)));
        if needs.relayed {
            all.extend(controllers.clone().map(|index| self.pool_side(index)));
            all.extend(controllers.clone().map(|index| self.gateway_side(index)));
            all.extend(controllers.map(|index| self.name_server_side(index)));
        }
        all.extend((0..needs.population).map(|index| self.population(index)));
        for ip in all {
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
        self.nth(FIRST_CONTROLLER, index)
    }

    /// A controller behind a relay, as the gateway and the name server see it.
    #[must_use]
    pub fn pool_side(self, index: usize) -> IpAddr {
        self.nth(FIRST_POOL_SIDE, index)
    }

    /// The gateway, as a controller behind a relay sees it.
    #[must_use]
    pub fn gateway_side(self, index: usize) -> IpAddr {
        self.nth(FIRST_GATEWAY_SIDE, index)
    }

    /// The stand-alone name server, as a controller behind a relay sees it.
    #[must_use]
    pub fn name_server_side(self, index: usize) -> IpAddr {
        self.nth(FIRST_NAME_SERVER_SIDE, index)
    }

    /// A process of the population, counted from 0 (at most 16).
    #[must_use]
    pub fn population(self, index: usize) -> IpAddr {
        self.nth(FIRST_POPULATION, index)
    }

    fn nth(self, first: u8, index: usize) -> IpAddr {
        self.host(first.saturating_add(u8::try_from(index).unwrap_or(u8::MAX)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_network_in_use_is_passed_over() {
        let needs = Needs { controllers: 2, relayed: true, population: 1 };
        let net = Net::find(needs).unwrap();
        for ip in [net.controller(1), net.name_server_side(0), net.population(0)] {
            let _taken = UdpSocket::bind(SocketAddr::new(ip, UDP_PORT)).unwrap();
            assert!(net.try_bind(needs).is_err());
            assert_ne!(Net::find(needs).unwrap(), net);
        }
    }

    #[test]
    fn addresses_do_not_meet() {
        let net = Net::any();
        let mut all = vec![net.gateway(), net.network(), net.name_server()];
        all.extend(
            (0..40).flat_map(|i| [net.controller(i), net.pool_side(i), net.gateway_side(i), net.name_server_side(i)]),
        );
        all.extend((0..16).map(|i| net.population(i)));
        let mut distinct = all.clone();
        distinct.sort_unstable();
        distinct.dedup();
        assert_eq!(distinct.len(), all.len());
        assert!(net.controller(199) < net.population(0));
    }
}
