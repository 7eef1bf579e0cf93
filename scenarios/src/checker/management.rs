//! What the gateway told the network about destinations: SS7 signalling network management (RFC 4666 section 3.4).

use super::faults::ms;
use super::record::Records;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Most entries listed in the results; all are counted.
const LISTED_MAX: usize = 100;

/// How many destinations the network was told of, each time counted, from the begin of the load until the processes were told to end.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Management {
    /// Destinations unavailable.
    pub duna: u64,
    /// Destinations available.
    pub dava: u64,
    /// Destinations restricted.
    pub drst: u64,
    /// Destinations congested, or no more.
    pub scon: u64,
    /// Destinations without a user part.
    pub dupu: u64,
    /// The first 100 of them.
    pub listed: Vec<Told>,
}

/// One of them.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Told {
    /// When it came, ms after the begin of the load.
    pub t_ms: f64,
    /// DUNA, DAVA, DRST, SCON, DUPU.
    pub message: String,
    /// The affected point code.
    pub point_code: u32,
    /// How many of its low bits stand for any.
    pub mask: u8,
}

pub(super) fn report(records: &Records) -> Management {
    let (zero, until) = (records.zero(), records.quit_ns.unwrap_or(u64::MAX));
    let mut management = Management::default();
    for entry in records.management.iter().filter(|entry| (zero..until).contains(&entry.t_ns)) {
        let count = match entry.message.as_str() {
            "DUNA" => &mut management.duna,
            "DAVA" => &mut management.dava,
            "DRST" => &mut management.drst,
            "SCON" => &mut management.scon,
            _ => &mut management.dupu,
        };
        *count += 1;
        if management.listed.len() < LISTED_MAX {
            management.listed.push(Told {
                t_ms: ms(entry.t_ns - zero),
                message: entry.message.clone(),
                point_code: entry.point_code,
                mask: entry.mask,
            });
        }
    }
    management
}
