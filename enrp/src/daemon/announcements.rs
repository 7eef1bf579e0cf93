//! A pool element's ear for name servers: ASAP_SERVER_ANNOUNCE over multicast (RFC 5352 section 3.6), for its server hunt. Off by default.

use super::multicast::{Budget, DATAGRAM_BYTES_MAX, join};
use super::{Beside, DaemonError};
use crate::ConfigError;
use bytes::Bytes;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use tokio::net::UdpSocket;

/// Where announcements are heard: the table `[multicast]` of a pool element.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct ListenConfig {
    /// Group and UDP port of ASAP_SERVER_ANNOUNCE (RFC 5352 section 8.4: 224.0.1.185 and FF0X::133, port 3863). Absent: off.
    #[schemars(example = "224.0.1.185:3863", example = "239.0.0.50:3863")]
    pub asap_group: Option<SocketAddr>,
    /// Own address of the interface for an IPv4 group. Absent: the first of `udp.addresses`.
    #[schemars(example = "127.0.0.1")]
    pub interface: Option<Ipv4Addr>,
    /// Number of the interface for an IPv6 group (`ip link`). 0: the kernel decides.
    pub interface_index: u32,
    /// Datagrams taken in a second; more are dropped.
    #[schemars(range(min = 1))]
    pub datagrams_per_s_max: u32,
}

impl Default for ListenConfig {
    fn default() -> Self {
        Self { asap_group: None, interface: None, interface_index: 0, datagrams_per_s_max: 1_000 }
    }
}

impl ListenConfig {
    /// What the types cannot say.
    ///
    /// # Errors
    /// The key, and what would be right.
    pub fn check(&self) -> Result<(), ConfigError> {
        let right = self.asap_group.is_none_or(|group| group.ip().is_multicast() && group.port() != 0);
        let expected = "expected a multicast address with a port, such as 224.0.1.185:3863";
        ConfigError::unless(right, "asap_group", expected)?;
        ConfigError::unless(self.datagrams_per_s_max > 0, "datagrams_per_s_max", "0: expected 1 or more")
    }

    /// Joins the group, and gives each datagram's source and bytes to the node as a command. `addresses` are the program's own.
    /// `None`: no group is named.
    ///
    /// # Errors
    /// Environment: the group cannot be joined.
    pub fn listen<C: Send + 'static>(
        &self,
        addresses: &[IpAddr],
        command: impl Fn(IpAddr, Bytes) -> C + Send + 'static,
    ) -> Result<Option<Beside<C>>, DaemonError> {
        let Some(group) = self.asap_group else { return Ok(None) };
        let socket = join((self.interface, self.interface_index, 1), addresses, group).map_err(|error| {
            let where_to_look = "look at multicast.interface and interface_index";
            DaemonError::Environment(format!("multicast.asap_group = {group}: {error}; {where_to_look}"))
        })?;
        let mut budget = Budget::new(self.datagrams_per_s_max);
        Ok(Some(Box::new(move |commands| {
            Box::pin(async move {
                let socket = match UdpSocket::from_std(socket) {
                    Ok(socket) => socket,
                    Err(error) => return tracing::error!("multicast: {error}"),
                };
                let mut buffer = vec![0; DATAGRAM_BYTES_MAX];
                loop {
                    let Ok((length, source)) = socket.recv_from(&mut buffer).await else { continue };
                    let bytes = Bytes::copy_from_slice(&buffer[..length]);
                    if budget.take() && commands.send(command(source.ip(), bytes)).await.is_err() {
                        return;
                    }
                }
            })
        })))
    }
}
