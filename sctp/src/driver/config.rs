//! Settings of the driver.

use serde::{Deserialize, Serialize};
use std::net::{IpAddr, Ipv4Addr};
use std::path::PathBuf;

/// Settings of the sockets, the batches and the tap. In a daemon's file this is the table `[udp]`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(default, deny_unknown_fields)]
pub struct DriverConfig {
    /// Our own addresses; one socket each. Every one must be configured on this machine (all of 127.0.0.0/8 is).
    #[cfg_attr(feature = "schema", schemars(length(min = 1)))]
    pub addresses: Vec<IpAddr>,
    /// Addresses told to others in place of `addresses`, in INIT, INIT ACK and registrations: where they reach this process when its
    /// own addresses are translated on the way (NAT, forwarded ports). In the order of `addresses`. Empty: the own ones.
    #[cfg_attr(feature = "schema", schemars(example = ["127.0.0.12"]))]
    pub advertise: Vec<IpAddr>,
    /// UDP encapsulation port (RFC 6951: 9899). 0 takes a free one, for tests.
    pub port: u16,
    /// SO_RCVBUF of each socket, bytes. 4 MB holds about 6,500 datagrams of 200 bytes.
    pub receive_buffer_bytes: usize,
    /// SO_SNDBUF of each socket, bytes.
    pub send_buffer_bytes: usize,
    /// Datagrams taken in one round before the node flushes and sends. One system call can bring more than what is left
    /// (GRO), so a round can exceed it by up to 1,024.
    pub receive_budget_datagrams: usize,
    /// Datagrams sent in one round.
    pub send_budget_datagrams: usize,
    /// Datagrams kept for a socket whose send buffer is full; more are dropped and counted.
    pub send_queue_datagrams: usize,
    /// Segmentation offload on sending (UDP_SEGMENT) toward loopback addresses, where our own nodes are.
    pub gso: bool,
    /// With `gso`: toward every other address too. Off, because Linux 6.1 *panics* (`__pskb_pull_tail`, in `sctp_rcv`) when its
    /// own SCTP gets a segmented datagram over veth (`scenarios/interop/run` with this switched on). On where no peer is a kernel's SCTP
    /// on this same machine.
    pub gso_everywhere: bool,
    /// Datagrams that came together are taken together (UDP_GRO).
    pub gro: bool,
    /// Whether ICMP errors are asked for (IP_RECVERR). Off: a dead peer is seen by supervision only.
    pub icmp: bool,
    /// Write a pcapng capture of all datagrams here. Empty: none.
    #[cfg_attr(feature = "schema", schemars(example = &"sg.pcapng"))]
    pub capture: PathBuf,
    /// Datagrams waiting for the capture's writer; more are not captured and counted.
    pub capture_queue_datagrams: usize,
}

impl Default for DriverConfig {
    fn default() -> Self {
        Self {
            addresses: vec![IpAddr::V4(Ipv4Addr::LOCALHOST)],
            advertise: Vec::new(),
            port: 9899,
            receive_buffer_bytes: 4 << 20,
            send_buffer_bytes: 4 << 20,
            receive_budget_datagrams: 256,
            send_budget_datagrams: 512,
            send_queue_datagrams: 4_096,
            gso: true,
            gso_everywhere: false,
            gro: true,
            icmp: true,
            capture: PathBuf::new(),
            capture_queue_datagrams: 16_384,
        }
    }
}

impl DriverConfig {
    /// The addresses by which others know this process.
    #[must_use]
    pub fn advertised(&self) -> &[IpAddr] {
        if self.advertise.is_empty() { &self.addresses } else { &self.advertise }
    }

    /// The settings of a stack, with the addresses that it lists.
    #[must_use]
    pub fn with_advertised(&self, sctp: &crate::Config) -> crate::Config {
        crate::Config { advertise: self.advertise.clone(), ..sctp.clone() }
    }
}
