//! ISUP call control of one circuit group (ITU-T Q.763, Q.764), pure.
//!
//! A [`Group`] is the 32 circuits of one block between the network's point code and the pool's. It takes user data of SI 5
//! and the time, and gives user data to send, through a [`Context`]. Same state and same input, same output: what looks like a choice
//! is a hash of the input, so that the next controller, with the state of the last cookie ([`Group::snapshot`],
//! [`Group::restore`]) and the same messages, says the same.

mod audit;
mod call;
mod circuit;
mod config;
mod counters;
mod group;
mod message;
mod recorded;
mod snapshot;
mod supervision;
#[cfg(test)]
mod tests;

pub use circuit::Call;
pub use config::Config;
pub use counters::{Counters, Outcome};
pub use group::{Context, Group, GroupId, Output, Verdict};
pub use message::{
    Blocking, CallMessage, CircuitMessage, CircuitStates, DecodeError, GROUP_CIRCUITS, GroupMessage, Message, Range,
    decode,
};
pub use recorded::{Plan, RecordedCalls, RecordedCallsError};
pub use snapshot::SnapshotError;
