//! The multicast groups of a name server: ASAP_SERVER_ANNOUNCE to pool elements and pool users (RFC 5352 section 3.6), and
//! ENRP_PRESENCE to servers that do not know each other yet (not in RFC 5353; rsplib does it). Off by default.

use super::DaemonError;
use crate::ConfigError;
use crate::host::{OutsideInput, Sink};
use crate::server::{Announce, Multicast};
use asap::wire::{IpTransport, SctpTransport, Transport, TransportUse};
use bytes::Bytes;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use socket2::{Domain, InterfaceIndexOrAddress, Protocol, SockAddr, Socket, Type};
use std::io;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::time::Duration;
use tokio::net::UdpSocket;
use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tokio::time::Instant;

/// Longest datagram: an announcement or a presence with all addresses is far shorter.
pub(super) const DATAGRAM_BYTES_MAX: usize = 9_000;
/// Datagrams that wait to be sent to one group.
const SEND_QUEUE: usize = 16;

/// The table `[multicast]`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct MulticastConfig {
    /// Group and UDP port of ASAP_SERVER_ANNOUNCE (RFC 5352 section 8.4: 224.0.1.185 and FF0X::133, port 3863). Absent: off.
    #[schemars(example = "224.0.1.185:3863", example = "239.0.0.50:3863")]
    pub asap_group: Option<SocketAddr>,
    /// Group and UDP port of ENRP_PRESENCE (none is assigned; rsplib: 239.0.0.51:9901). Absent: off.
    #[schemars(example = "239.0.0.51:9901")]
    pub enrp_group: Option<SocketAddr>,
    /// Own address of the interface for IPv4 groups. Absent: the first of `udp.addresses`.
    #[schemars(example = "127.0.0.1")]
    pub interface: Option<Ipv4Addr>,
    /// Number of the interface for IPv6 groups (`ip link`). 0: the kernel decides.
    pub interface_index: u32,
    /// How many routers a datagram may pass, and one more.
    #[schemars(range(min = 1))]
    pub ttl: u8,
    /// T6-Serverannounce; with N other servers one is sent every (N+1) * T6 (RFC 5352 section 3.6: 1,000).
    #[schemars(range(min = 1))]
    pub t6_server_announce_ms: u64,
    /// T7-ENRPoutdate: how long a server that announced itself counts for N (RFC 5352 section 7.1: 5,000).
    #[schemars(range(min = 1))]
    pub t7_enrp_outdate_ms: u64,
    /// Most other servers that are counted.
    pub servers_max: usize,
    /// Datagrams taken from a group in a second; more are dropped.
    #[schemars(range(min = 1))]
    pub datagrams_per_s_max: u32,
}

impl Default for MulticastConfig {
    fn default() -> Self {
        Self {
            asap_group: None,
            enrp_group: None,
            interface: None,
            interface_index: 0,
            ttl: 1,
            t6_server_announce_ms: 1_000,
            t7_enrp_outdate_ms: 5_000,
            servers_max: 64,
            datagrams_per_s_max: 1_000,
        }
    }
}

impl MulticastConfig {
    /// What the types cannot say.
    ///
    /// # Errors
    /// The key, and what would be right.
    pub fn check(&self) -> Result<(), ConfigError> {
        for (key, group) in [("asap_group", self.asap_group), ("enrp_group", self.enrp_group)] {
            let right = group.is_none_or(|group| group.ip().is_multicast() && group.port() != 0);
            ConfigError::unless(right, key, "expected a multicast address with a port, such as 224.0.1.185:3863")?;
        }
        for (key, value) in [
            ("ttl", u64::from(self.ttl)),
            ("t6_server_announce_ms", self.t6_server_announce_ms),
            ("t7_enrp_outdate_ms", self.t7_enrp_outdate_ms),
            ("datagrams_per_s_max", u64::from(self.datagrams_per_s_max)),
        ] {
            ConfigError::unless(value > 0, key, "0: expected 1 or more")?;
        }
        Ok(())
    }

    /// What to announce, if it is announced: SCTP at all addresses, and TCP at each when it is not 0.
    #[must_use]
    pub fn announce(&self, addresses: &[IpAddr], sctp_port: u16, tcp_port: u16) -> Option<Announce> {
        self.asap_group?;
        let transport_use = TransportUse::DataOnly;
        let sctp = SctpTransport { port: sctp_port, transport_use, addresses: addresses.into() };
        let tcp = addresses.iter().filter(|_| tcp_port != 0);
        let tcp = tcp.map(|&address| Transport::Tcp(IpTransport { port: tcp_port, address }));
        Some(Announce {
            transports: std::iter::once(Transport::Sctp(sctp)).chain(tcp).collect(),
            t6_server_announce_ms: self.t6_server_announce_ms,
            t7_enrp_outdate_ms: self.t7_enrp_outdate_ms,
            servers_max: self.servers_max,
        })
    }
}

/// Joined groups.
#[derive(Debug)]
pub(super) struct Groups {
    groups: Vec<Group>,
    per_second: u32,
}

#[derive(Debug)]
struct Group {
    which: Multicast,
    address: SocketAddr,
    socket: std::net::UdpSocket,
}

impl Groups {
    /// Joins what is named. `addresses` are the server's own.
    pub(super) fn bind(config: &MulticastConfig, addresses: &[IpAddr]) -> Result<Self, DaemonError> {
        let mut groups = Vec::new();
        for (which, key, address) in
            [(Multicast::Asap, "asap_group", config.asap_group), (Multicast::Enrp, "enrp_group", config.enrp_group)]
        {
            let Some(address) = address else { continue };
            let socket =
                join((config.interface, config.interface_index, config.ttl), addresses, address).map_err(|error| {
                    let where_to_look = "look at multicast.interface and interface_index";
                    DaemonError::Environment(format!("multicast.{key} = {address}: {error}; {where_to_look}"))
                })?;
            groups.push(Group { which, address, socket });
        }
        Ok(Self { groups, per_second: config.datagrams_per_s_max })
    }

    /// Takes and sends datagrams from now on.
    pub(super) fn start(self, tasks: &mut JoinSet<()>, inputs: &mpsc::Sender<OutsideInput>) {
        for Group { which, address, socket } in self.groups {
            match UdpSocket::from_std(socket) {
                Ok(socket) => drop(tasks.spawn(serve(which, address, socket, self.per_second, inputs.clone()))),
                Err(error) => tracing::error!("multicast: {error}"),
            }
        }
    }
}

/// A socket for both ways: bound to the group, so that it takes nothing else, and shared with others of this machine. Interface: own
/// address (IPv4), number (IPv6), and the TTL of what is sent.
pub(super) fn join(
    (interface, interface_index, ttl): (Option<Ipv4Addr>, u32, u8),
    own: &[IpAddr],
    group: SocketAddr,
) -> io::Result<std::net::UdpSocket> {
    let socket = Socket::new(Domain::for_address(group), Type::DGRAM, Some(Protocol::UDP))?;
    socket.set_reuse_address(true)?;
    socket.set_nonblocking(true)?;
    socket.bind(&SockAddr::from(group))?;
    match group.ip() {
        IpAddr::V4(address) => {
            let first = own.iter().find_map(|ip| match ip {
                IpAddr::V4(ip) => Some(*ip),
                IpAddr::V6(_) => None,
            });
            let interface = interface.or(first).unwrap_or(Ipv4Addr::UNSPECIFIED);
            socket.join_multicast_v4_n(&address, &InterfaceIndexOrAddress::Address(interface))?;
            socket.set_multicast_if_v4(&interface)?;
            socket.set_multicast_ttl_v4(u32::from(ttl))?;
            socket.set_multicast_loop_v4(true)?;
        }
        IpAddr::V6(address) => {
            socket.join_multicast_v6(&address, interface_index)?;
            socket.set_multicast_if_v6(interface_index)?;
            socket.set_multicast_hops_v6(u32::from(ttl))?;
            socket.set_multicast_loop_v6(true)?;
        }
    }
    Ok(socket.into())
}

/// Datagrams to a group.
#[derive(Debug)]
struct ToGroup(mpsc::Sender<Bytes>);

impl Sink for ToGroup {
    fn send(&mut self, bytes: Bytes) -> bool {
        self.0.try_send(bytes).is_ok()
    }
}

async fn serve(
    group: Multicast,
    address: SocketAddr,
    socket: UdpSocket,
    per_second: u32,
    inputs: mpsc::Sender<OutsideInput>,
) {
    let (sink, mut outgoing) = mpsc::channel(SEND_QUEUE);
    if inputs.send(OutsideInput::Joined { group, sink: Box::new(ToGroup(sink)) }).await.is_err() {
        return;
    }
    let mut buffer = vec![0; DATAGRAM_BYTES_MAX];
    let mut budget = Budget::new(per_second);
    let mut missed = 0;
    loop {
        tokio::select! {
            bytes = outgoing.recv() => {
                let Some(bytes) = bytes else { return };
                if let Err(error) = socket.send_to(&bytes, address).await {
                    tracing::warn!("multicast {address}: {error}");
                }
            }
            received = socket.recv_from(&mut buffer) => {
                let Ok((length, source)) = received else { continue };
                let bytes = Bytes::copy_from_slice(&buffer[..length]);
                let taken = budget.take() && inputs.try_send(OutsideInput::Datagram { group, source, bytes }).is_ok();
                missed += u64::from(!taken);
                if missed > 0 && inputs.try_send(OutsideInput::Missed(missed)).is_ok() {
                    missed = 0;
                }
            }
        }
    }
}

/// So many a second.
#[derive(Debug)]
pub(super) struct Budget {
    second: Instant,
    left: u32,
    per_second: u32,
}

impl Budget {
    pub(super) fn new(per_second: u32) -> Self {
        Self { second: Instant::now(), left: per_second, per_second }
    }

    pub(super) fn take(&mut self) -> bool {
        let now = Instant::now();
        if now.saturating_duration_since(self.second) >= Duration::from_secs(1) {
            *self = Self { second: now, left: self.per_second, ..*self };
        }
        let some = self.left > 0;
        self.left = self.left.saturating_sub(1);
        some
    }
}
