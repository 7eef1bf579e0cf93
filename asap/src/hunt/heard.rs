//! The servers that announced themselves.

use crate::config::ServerAddress;
use crate::wire::{ASAP_PORT, Message, SctpTransport, Transport, TransportUse};
use std::net::IpAddr;
use std::time::{Duration, Instant};

/// Addresses remembered of one server; the wire allows thousands.
const ADDRESSES_MAX: usize = 64;

/// One SCTP endpoint: its port, and each of its addresses with the end of its T7.
#[derive(Debug)]
struct Server {
    port: u16,
    addresses: Vec<(IpAddr, Instant)>,
}

#[derive(Debug)]
pub(super) struct Heard {
    t7: Duration,
    max: usize,
    servers: Vec<Server>,
}

/// What hearing of a server meant.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Result {
    /// It is new.
    New,
    /// It was known; T7 starts again.
    Known,
    /// There is no room.
    Full,
}

impl Heard {
    pub(super) fn new(t7: Duration, max: usize) -> Self {
        Self { t7, max, servers: Vec::new() }
    }

    /// Starts T7 for the server's addresses (RFC 5352 3.6). A server is known by any address that it had before.
    pub(super) fn hear(&mut self, now: Instant, transport: &SctpTransport) -> Result {
        self.forget(now);
        let until = now + self.t7;
        let same = |server: &&mut Server| {
            server.port == transport.port && server.addresses.iter().any(|(address, _)| transport.has(*address))
        };
        if let Some(server) = self.servers.iter_mut().find(same) {
            for &address in &transport.addresses {
                if let Some((_, end)) = server.addresses.iter_mut().find(|(known, _)| *known == address) {
                    *end = until;
                } else if server.addresses.len() < ADDRESSES_MAX {
                    server.addresses.push((address, until));
                }
            }
            return Result::Known;
        }
        if self.servers.len() >= self.max {
            return Result::Full;
        }
        let addresses = transport.addresses.iter().take(ADDRESSES_MAX).map(|&address| (address, until)).collect();
        self.servers.push(Server { port: transport.port, addresses });
        Result::New
    }

    /// Those whose T7 runs, in the order in which they were first heard.
    pub(super) fn servers(&mut self, now: Instant) -> impl Iterator<Item = ServerAddress> + '_ {
        self.forget(now);
        self.servers.iter().map(|server| ServerAddress {
            addresses: server.addresses.iter().map(|(address, _)| *address).collect(),
            port: server.port,
        })
    }

    /// Deletes the addresses whose T7 is over. Nothing looks at them in between, so that this needs no timer.
    fn forget(&mut self, now: Instant) {
        for server in &mut self.servers {
            server.addresses.retain(|(_, until)| *until > now);
        }
        self.servers.retain(|server| !server.addresses.is_empty());
    }
}

/// The SCTP transports that an ASAP_SERVER_ANNOUNCE names; without any transport in it, SCTP at its source and the standard port
/// (RFC 5352 3.6). `None`: another message.
pub(super) fn transports(source: IpAddr, message: &Message) -> Option<Vec<SctpTransport>> {
    let Message::ServerAnnounce { transports, .. } = message else { return None };
    if transports.is_empty() {
        let (port, transport_use) = (ASAP_PORT, TransportUse::DataOnly);
        return Some(vec![SctpTransport { port, transport_use, addresses: [source].into() }]);
    }
    let sctp = transports.iter().filter_map(|transport| match transport {
        Transport::Sctp(sctp) if sctp.port != 0 => Some(sctp.clone()),
        Transport::Sctp(_)
        | Transport::Tcp(_)
        | Transport::Udp(_)
        | Transport::UdpLite(_)
        | Transport::Dccp(_)
        | Transport::Opaque(_) => None,
    });
    Some(sctp.collect())
}
