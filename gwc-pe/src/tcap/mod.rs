//! A service behind TCAP dialogues (ITU-T Q.773, Q.774, over the connectionless SCCP of Q.713), pure.
//!
//! A [`Group`] is the dialogues between the network's point code and the pool's whose transaction ids end in the same six bits. It
//! takes user data of SI 3 and the time, and gives user data to send, through a [`Context`]: each message of a dialogue is answered
//! with the results of the operations that it invokes; the last answer ends the dialogue. Same state and same input, same output, so
//! that the next controller, with the state of the last cookie ([`Group::snapshot`], [`Group::restore`]) and the same messages, says
//! the same.

mod config;
mod counters;
mod group;
mod message;
mod snapshot;
#[cfg(test)]
mod tests;

pub use config::Config;
pub use counters::Counters;
pub use group::{Context, Group, GroupId};
pub use snapshot::SnapshotError;
