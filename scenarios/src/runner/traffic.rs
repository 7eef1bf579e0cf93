//! What the runner needs of a traffic source; [`crate::network`] is the one that generates calls.

use super::RunError;
use crate::interrupt::Interrupt;
use crate::scenario::Load;
use sctp::Transport;
use sctp::driver::DriverConfig;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::{Duration, Instant};

/// All a traffic source is told.
#[derive(Debug, Clone)]
pub struct TrafficConfig {
    /// Own UDP addresses (own loopback addresses, port 9899).
    pub udp: DriverConfig,
    /// Who carries SCTP.
    pub transport: Transport,
    /// The UDP addresses of one gateway or two; its M3UA network side listens at SCTP port 2905 there.
    pub gateways: Vec<Vec<SocketAddr>>,
    /// Routing context to send in ASPAC and DATA; the same value is in the gateway's configuration.
    pub routing_context: u32,
    /// Point codes of the network: originators of the calls. Groups are spread over them (128 circuit groups each).
    pub network_pcs: Vec<u32>,
    /// Point code of the pool.
    pub pool_pc: u32,
    /// The record to write (`records/network.csv`).
    pub record: PathBuf,
    /// The scenario's `[load]`.
    pub load: Load,
    /// How long calls are generated, warm-up included, from [`Traffic::begin`].
    pub duration: Duration,
    /// Seed of everything random.
    pub seed: u64,
}

/// Where a traffic source stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum TrafficState {
    /// Not yet ASP-ACTIVE at the gateway.
    Connecting,
    /// ASP-ACTIVE; sends once begun.
    Active,
    /// All calls ended after [`Traffic::stop`].
    Drained,
    /// Cannot go on; the reason.
    Failed(String),
}

/// Counters of a traffic source, a snapshot.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct TrafficCounters {
    /// Messages sent toward the pool.
    pub sent: u64,
    /// Messages received from the pool.
    pub received: u64,
    /// Messages whose time came and that could not be sent (no idle circuit, send queue full); recorded as `M`.
    pub missed: u64,
    /// By how much the latest of the messages sent in the last second or two left after its intended time.
    pub late: Duration,
    /// Calls attempted.
    pub attempted: u64,
    /// Calls answered.
    pub answered: u64,
    /// Calls going on now.
    pub up: u64,
}

/// A traffic source: runs in its own thread and writes its own record. Order of use: (start), wait for
/// [`TrafficState::Active`], [`begin`](Self::begin), [`stop`](Self::stop), wait for [`TrafficState::Drained`] with a bound,
/// [`finish`](Self::finish). Dropping it ends the thread as well.
pub trait Traffic: Send {
    /// Where it stands; cheap, asked some 100 times a second.
    fn state(&self) -> TrafficState;
    /// Counters now.
    fn counters(&self) -> TrafficCounters;
    /// Begins the load: the intended time of the first call is `at`.
    fn begin(&mut self, at: Instant);
    /// No new calls from now on; calls in progress are brought to their end.
    fn stop(&mut self);
    /// Ends the association and the thread, and writes out the record.
    ///
    /// # Errors
    /// The record could not be written out.
    fn finish(self: Box<Self>) -> anyhow::Result<()>;
}

/// Waits until a traffic source may send.
///
/// # Errors
/// It cannot go on, `patience` is over, or Ctrl-C.
pub(crate) fn wait_active(traffic: &dyn Traffic, patience: Duration, interrupt: &Interrupt) -> Result<(), RunError> {
    let deadline = Instant::now() + patience;
    loop {
        match traffic.state() {
            TrafficState::Active | TrafficState::Drained => return Ok(()),
            TrafficState::Failed(why) => return Err(RunError::Environment(format!("the traffic source: {why}"))),
            TrafficState::Connecting if interrupt.seen() => return Err(RunError::Interrupted),
            TrafficState::Connecting if Instant::now() > deadline => {
                return Err(RunError::Environment("the gateway does not take the traffic source as ASP".into()));
            }
            TrafficState::Connecting => std::thread::sleep(Duration::from_millis(10)),
        }
    }
}
