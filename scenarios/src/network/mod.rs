//! The load driver: an M3UA peer (ASP) on the network side that generates ISUP calls and writes `records/network.csv`.

mod calls;
mod isup;

use crate::runner::traffic::{Traffic, TrafficConfig};

/// Opens the record, starts the driver's thread and connects to the gateway; the load itself begins with [`Traffic::begin`].
///
/// # Errors
/// The record cannot be written, or the own address cannot be bound.
pub fn start(config: TrafficConfig) -> anyhow::Result<Box<dyn Traffic>> {
    anyhow::bail!(
        "the load driver is not there yet (would have used {})",
        config.local
    )
}
