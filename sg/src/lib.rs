//! The signaling gateway: an M3UA SGP with an embedded ENRP server and an ASAP pool user.
//!
//! [`Node`] is the gateway as a machine without I/O; [`daemon::main`] is the program. Inside, a message goes
//! `network` -> `route` -> `pool` (its `group`, and the group's controller) and the answer back. What gateway and controller
//! promise each other is in ARCHITECTURE.md, "The SG-GWC session, exactly".

mod admin;
mod barrier;
pub mod config;
pub mod daemon;
pub mod explain;
mod group;
mod keys;
mod liveness;
mod mate;
mod msu;
mod names;
mod network;
mod node;
mod pool;
mod record;
mod route;
mod tcp;
mod wire;

pub use config::Config;
pub use node::{Birth, Node};
pub use pool::attached_identifier;
