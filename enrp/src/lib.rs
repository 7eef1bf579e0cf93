//! The ENRP name server: handlespace, policies, the server side of ASAP, and the stand-alone daemon.
//!
//! * [`Server`]: the name server as a pure machine. A gateway embeds it; [`node::Node`] makes a stand-alone one of it.
//! * [`host`]: a server over the associations of a node, its own or a gateway's.
//! * [`handlespace`]: pools and pool elements, selection, PE checksums. ("Name space" in the draft is the RFCs' handlespace.)
//! * [`peers`]: the server toward other servers (ENRP). [`wire`]: its messages.
//! * [`PluginsConfig`]: selection plug-ins (`plugin`), WebAssembly modules that order the answers of their pools.
//! * [`link`]: the other end, a pool element's or pool user's machine over associations.
//! * [`server_daemon`]: the program `enrp`.
//! * [`daemon`]: what every daemon of this project shares: configuration, logging, admin HTTP, signals.

mod config_error;
pub mod daemon;
pub mod handlespace;
pub mod host;
pub mod link;
pub mod node;
pub mod peers;
mod plugin;
pub mod record;
pub mod server;
pub mod server_daemon;
mod timer;
pub mod wire;

pub use config_error::ConfigError;
pub use handlespace::{Handlespace, SuspensionReason};
pub use host::{ENRP_PORT, Host, OutsideInput, Ports, Sink, TcpEnd};
pub use peers::{PeerAddressConfig, PeerSnapshot, PeersConfig, PeersCounters, RsplibPeers};
pub use plugin::{Network, PluginFiles, PluginSnapshot, PluginsConfig, PluginsSnapshot, PoolPlugin};
pub use server::{
    Announce, Attempt, ClientId, Counters, Event, Multicast, Output, PeerAddress, RemovalCause, Server, ServerConfig,
    ServerSnapshot, policy_text,
};
