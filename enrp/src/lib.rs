//! The ENRP name server: handlespace, policies, the server side of ASAP, and the stand-alone daemon.
//!
//! * [`handlespace`]: pools and pool elements, selection, PE checksums. ("Name space" in the draft is the RFCs' handlespace.)

pub mod daemon;
pub mod handlespace;
mod random;
pub mod server;
mod timer;

pub use handlespace::{Handlespace, SuspensionReason};
pub use server::{ClientId, Counters, Event, RemovalCause, Server, ServerConfig, ServerSnapshot};
