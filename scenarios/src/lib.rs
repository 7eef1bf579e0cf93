//! `sigpool`: runs scenarios with real processes, replays captures, and checks the records of a run.
//!
//! Way of a run: [`scenario`] (a TOML file) -> [`runner`] (configuration files, processes, faults) with [`network`] (the load) ->
//! records on disk -> [`checker`] (reads only those) -> [`results`] (`results.json`, the verdict table).

pub mod capture;
pub mod check;
pub mod checker;
pub mod cli;
mod interrupt;
pub mod network;
pub mod population;
pub mod replay;
pub mod report;
pub mod resolve;
pub mod resolver;
pub mod results;
pub mod runner;
pub mod scenario;
pub mod schema;
mod utc;
