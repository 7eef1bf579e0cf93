//! A population: many pool elements in one process, each with an SCTP association of its own to the name server, so that a
//! name space holds what it would hold in the field while something else is looked at. Nobody can use them: behind their
//! user transports is nothing.
//!
//! `sigpool population --config FILE` ([`daemon`]); [`node`] is the machine.

mod command;
mod config;
pub mod daemon;
mod member;
pub mod node;
mod pools;
mod record;
#[cfg(test)]
mod tests;

pub use config::{COMMENTED_DEFAULT, Config, Policy, Population, handle};
pub use daemon::PROGRAM_NAME;
pub use node::Node;
pub use pools::{Element, NamedPool, Scope, full_name};
pub use record::Record;
