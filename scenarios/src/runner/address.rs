//! Addresses of a run: four networks of the loopback network that nobody uses, so that every port can be the standard one.
//!
//! Each path has two of them: the processes' own addresses, and those by which others know them when a relay stands between. A
//! process's own address and the others' outside addresses of the same path have the longest common prefix: SCTP pairs them by that.

use super::RunError;
use std::net::{IpAddr, Ipv4Addr, SocketAddr, TcpListener, UdpSocket};

/// UDP encapsulation, RFC 6951 section 5.1.
pub const UDP_PORT: u16 = 9_899;
/// Admin HTTP of every process of a run, each on its own first address.
pub const ADMIN_PORT: u16 = 9_880;
/// Most paths.
pub const PATHS_MAX: usize = 2;
/// Places tried before giving up.
const TRIES: u32 = 64;
/// Networks of a run: own and outside addresses of each path.
const NETWORKS: u8 = 4;
/// Host part of the second gateway's address; the first one's is 1.
const SECOND_GATEWAY: u8 = 254;
/// Host part of the first stand-alone name server's address, and of the next ones', up to 8.
const FIRST_NAME_SERVER: u8 = 3;
const FURTHER_NAME_SERVERS: u8 = 219;
/// Host part of the first resolver's address, up to 5.
const FIRST_RESOLVER: u8 = 4;
/// Host part of the first server of a further operation scope, up to 8.
const FIRST_SCOPE: u8 = 246;
/// Host part of the first controller's address.
const FIRST_CONTROLLER: u8 = 10;
/// Host part of the first process of a population, up to 16.
const FIRST_POPULATION: u8 = 230;

/// What a run needs addresses for.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Needs {
    /// Gateways; 0 counts as 1.
    pub gateways: usize,
    /// Controllers.
    pub controllers: usize,
    /// Stand-alone name servers.
    pub name_servers: usize,
    /// Processes of a population.
    pub population: usize,
    /// Resolvers.
    pub resolvers: usize,
    /// Servers of further operation scopes.
    pub scope_servers: usize,
    /// Addresses of each process; 0 counts as 1.
    pub paths: usize,
    /// A relay between all processes.
    pub relayed: bool,
}

/// A process of a run, as the holder of addresses.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Host {
    /// A signaling gateway, counted from 0 (at most 2).
    Gateway(usize),
    /// The network side: the traffic source.
    Network,
    /// A stand-alone name server, counted from 0 (at most 8).
    NameServer(usize),
    /// A pool user that asks all the time, counted from 0 (at most 5): one for each operation scope.
    Resolver(usize),
    /// A server of a further operation scope, in the process of a name server, counted from 0 (at most 8).
    ScopeServer(usize),
    /// A controller, counted from 0 (at most 200).
    Controller(usize),
    /// A process of the population, counted from 0 (at most 16).
    Population(usize),
}

impl Needs {
    /// Everybody who has addresses.
    pub fn hosts(self) -> impl Iterator<Item = Host> {
        [Host::Gateway(0), Host::Network]
            .into_iter()
            .chain((1..self.gateways).map(Host::Gateway))
            .chain((0..self.name_servers).map(Host::NameServer))
            .chain((0..self.scope_servers).map(Host::ScopeServer))
            .chain((0..self.resolvers).map(Host::Resolver))
            .chain((0..self.controllers).map(Host::Controller))
            .chain((0..self.population).map(Host::Population))
    }
}

/// 127.a.b.0/24 to 127.a.(b+3).0/24.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Net {
    a: u8,
    b: u8,
    paths: u8,
    relayed: bool,
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
            let (a, b) = (1 + (place % 254) as u8, (place / 254 % 64) as u8 * NETWORKS);
            let net = Self { a, b, ..Self::any(needs) };
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
    pub(super) fn any(needs: Needs) -> Self {
        let paths = needs.paths.clamp(1, PATHS_MAX) as u8;
        Self { a: 1, b: 0, paths, relayed: needs.relayed }
    }

    fn try_bind(self, needs: Needs) -> Result<(), String> {
        for host in needs.hosts() {
            let outside = if self.relayed { self.known(host) } else { Vec::new() };
            for ip in self.own(host).into_iter().chain(outside) {
                let udp = SocketAddr::new(ip, UDP_PORT);
                UdpSocket::bind(udp).map_err(|error| format!("UDP {udp}: {error}"))?;
            }
            let tcp = SocketAddr::new(self.first(host), ADMIN_PORT);
            TcpListener::bind(tcp).map_err(|error| format!("TCP {tcp}: {error}"))?;
        }
        Ok(())
    }

    /// The addresses a process has, one for each path.
    #[must_use]
    pub fn own(self, host: Host) -> Vec<IpAddr> {
        (0..self.paths).map(|path| self.host(2 * path, host)).collect()
    }

    /// The first of them: admin, and the name in tables.
    #[must_use]
    pub fn first(self, host: Host) -> IpAddr {
        self.host(0, host)
    }

    /// The addresses by which others know a process, one for each path.
    #[must_use]
    pub fn known(self, host: Host) -> Vec<IpAddr> {
        let outside = u8::from(self.relayed);
        (0..self.paths).map(|path| self.host(2 * path + outside, host)).collect()
    }

    /// Whether a relay stands between all processes.
    #[must_use]
    pub fn is_relayed(self) -> bool {
        self.relayed
    }

    fn host(self, network: u8, host: Host) -> IpAddr {
        let nth = |first: u8, index: usize| first.saturating_add(u8::try_from(index).unwrap_or(u8::MAX));
        let part = match host {
            Host::Gateway(0) => 1,
            Host::Gateway(_) => SECOND_GATEWAY,
            Host::Network => 2,
            Host::NameServer(0) => FIRST_NAME_SERVER,
            Host::NameServer(index) => nth(FURTHER_NAME_SERVERS, index),
            Host::Resolver(index) => nth(FIRST_RESOLVER, index),
            Host::ScopeServer(index) => nth(FIRST_SCOPE, index),
            Host::Controller(index) => nth(FIRST_CONTROLLER, index),
            Host::Population(index) => nth(FIRST_POPULATION, index),
        };
        Ipv4Addr::new(127, self.a, self.b + network, part).into()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_network_in_use_is_passed_over() {
        let needs = Needs {
            gateways: 2,
            controllers: 2,
            name_servers: 1,
            relayed: true,
            population: 1,
            paths: 2,
            resolvers: 1,
            scope_servers: 1,
        };
        let net = Net::find(needs).unwrap();
        for ip in [net.own(Host::Controller(1))[0], net.known(Host::NameServer(0))[1], net.own(Host::Population(0))[1]]
        {
            let _taken = UdpSocket::bind(SocketAddr::new(ip, UDP_PORT)).unwrap();
            assert!(net.try_bind(needs).is_err());
            assert_ne!(Net::find(needs).unwrap(), net);
        }
    }

    #[test]
    fn addresses_do_not_meet() {
        let needs = Needs {
            gateways: 2,
            controllers: 200,
            name_servers: 8,
            relayed: true,
            population: 16,
            paths: 2,
            resolvers: 5,
            scope_servers: 8,
        };
        let net = Net::any(needs);
        let all: Vec<_> = needs.hosts().flat_map(|host| [net.own(host), net.known(host)].concat()).collect();
        let mut distinct = all.clone();
        distinct.sort_unstable();
        distinct.dedup();
        assert_eq!((distinct.len(), all.len()), (all.len(), 240 * 4));
    }

    #[test]
    fn without_a_relay_others_know_the_own_addresses() {
        let net = Net::any(Needs { controllers: 1, paths: 2, ..Needs::default() });
        assert_eq!(net.own(Host::Gateway(0)), net.known(Host::Gateway(0)));
        assert_eq!(net.own(Host::Controller(0)), [IpAddr::from([127, 1, 0, 10]), IpAddr::from([127, 1, 2, 10])]);
    }
}
