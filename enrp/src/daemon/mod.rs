//! What every daemon shares: command line, configuration file, logging, admin HTTP, signals, record files, running a node.
//!
//! A daemon is: a settings type with [`DaemonConfig`] and [`sctp::driver::DriverConfig`] in it, a [`Program`], a node whose
//! command type takes a [`DaemonCommand`], and
//!
//! ```ignore
//! pub fn main() -> ExitCode {
//!     daemon::main(&PROGRAM, |config: Config| {
//!         let node = |start: &Start| Ok(MyNode::new(&config, start.seed, start.clock, start.now)?);
//!         daemon::run_daemon("my-daemon", &config.daemon, config.transport, &config.udp, node).map(drop)
//!     })
//! }
//! ```

mod admin;
mod announcements;
mod cli;
mod clock;
mod config;
mod error;
mod log;
mod metrics;
mod multicast;
mod outside;
#[cfg(test)]
mod outside_tests;
mod peer_names;
mod plugins;
pub mod query;
mod record;
mod run;
mod tcp;

pub use admin::{AdminKind, AdminReply, AdminRequest, Reply};
pub use announcements::ListenConfig;
pub use cli::{CommonArgs, Program, main};
pub use clock::{clock_anchor, os_seed};
pub use config::{DaemonConfig, assert_default_text, load, parse};
pub use error::DaemonError;
pub use metrics::{Kind, Metrics};
pub use multicast::MulticastConfig;
pub use outside::{OutsideBatch, OutsideSockets};
pub use peer_names::PeerNames;
pub use plugins::read_plugins;
pub use record::{RecordFile, RecordLines, RecordSink};
pub use run::{Beside, DaemonCommand, Make, Part, Start, run_daemon, run_parts};
pub use tcp::{Framing, TcpConfig};
