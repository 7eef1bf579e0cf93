//! The signaling gateway: an M3UA SGP with an embedded ENRP server and an ASAP pool user.
//!
//! See ARCHITECTURE.md, "The SG-GWC session, exactly".

mod barrier;
pub mod config;
pub mod daemon;
mod group;
mod liveness;
mod msu;
mod pool;
mod record;
mod route;

pub use config::Config;
