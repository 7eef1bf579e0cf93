//! The traffic source: an M3UA peer (ASP) on the network side of one gateway or two, with generated calls or a capture's messages.
//! It writes `records/network.csv`.

mod accepted;
pub(crate) mod calls;
mod dialogues;
pub(crate) mod isup;
mod lateness;
mod link;
mod node;
mod pace;
mod plain;
pub(crate) mod random;
mod routes;
pub(crate) mod source;

use crate::runner::traffic::{Traffic, TrafficConfig, TrafficCounters, TrafficState};
use calls::{Calls, CallsConfig};
use dialogues::{Dialogues, DialoguesConfig};
use enrp::daemon::{RecordFile, clock_anchor, os_seed};
use m3ua_lite::session::SccpAffinity;
use node::{Command, NetworkNode, PeerConfig, Shared};
use pace::Pace;
use plain::{Plain, PlainConfig};
use sctp::Transport;
use sctp::driver::{DriverConfig, Sockets};
use source::{GeneratedSource, Source};
use std::net::SocketAddr;
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};
use tokio::sync::mpsc;

/// T1 of Q.764 (15 to 60 s), short enough for a test's drain to see a lost REL answered.
const T1_MS: u64 = 4_000;
/// T(ack) toward the gateway, ms.
const T_ACK_MS: u64 = 500;

/// Opens the record, starts the driver's thread and connects to the gateway; the load itself begins with [`Traffic::begin`].
///
/// # Errors
/// The record cannot be written, or the own address cannot be bound.
pub fn start(config: TrafficConfig) -> anyhow::Result<Box<dyn Traffic>> {
    let source = generated(&config);
    start_source(
        config.transport,
        &config.udp,
        config.gateways,
        config.routing_context,
        &config.record,
        Box::new(source),
    )
}

/// What the scenario's `[load]` asks the network side for; the pool's calls are the controllers' part.
fn generated(config: &TrafficConfig) -> GeneratedSource {
    let TrafficConfig { load, seed, network_pcs, pool_pc, .. } = config;
    let mix = &load.mix;
    let own = mix.caller_releases + mix.pool_releases + mix.caller_gives_up;
    let all = own + mix.pool_calls;
    // 5 messages a call, 4 when it is given up before the answer.
    let messages_per_call = 5.0 - f64::from(mix.caller_gives_up) / f64::from(all.max(1));
    let calls_per_s = f64::from(load.rate_per_s) / messages_per_call * f64::from(own) / f64::from(all.max(1));
    let warm_up = Duration::from_millis(u64::from(load.warm_up_ms));
    let calls = CallsConfig {
        groups: load.groups,
        ring_ms: load.ring_ms,
        hold_ms: load.hold_ms,
        hold_distribution: load.hold_distribution,
        give_up_percent: 100 * mix.caller_gives_up / own.max(1),
        acm_delay_ms: 10,
        answer_delay_ms: u64::from(load.ring_ms.0),
        clear_ms: load.clear_ms.into(),
        t1_ms: T1_MS,
        even_circuits: network_pcs.iter().all(|pc| pc > pool_pc),
        seed: *seed,
    };
    let plain = PlainConfig { si: load.plain_si, network_pcs: network_pcs.clone(), pool_pc: *pool_pc, seed: *seed };
    let dialogues = DialoguesConfig {
        network_pcs: network_pcs.clone(),
        pool_pc: *pool_pc,
        think_ms: load.dialogue_think_ms,
        seed: *seed,
    };
    GeneratedSource {
        calls: Calls::new(calls, Pace::new(calls_per_s, warm_up, &load.profile)),
        plain: Plain::new(plain, Pace::new(load.plain_per_s.into(), warm_up, &load.profile)),
        dialogues: Dialogues::new(dialogues, Pace::new(load.dialogues_per_s.into(), warm_up, &load.profile)),
        sccp_affinity: if load.dialogues_per_s > 0 { SccpAffinity::Tcap } else { SccpAffinity::Sls },
        network_pcs: network_pcs.clone(),
        pool_pc: *pool_pc,
    }
}

/// The same with any source of messages.
pub(crate) fn start_source(
    transport: Transport,
    udp: &DriverConfig,
    gateways: Vec<Vec<SocketAddr>>,
    routing_context: u32,
    record: &Path,
    source: Box<dyn Source>,
) -> anyhow::Result<Box<dyn Traffic>> {
    let record = RecordFile::create(record)?;
    let seed = os_seed()?;
    let (commands, inbox) = mpsc::channel(64);
    let clock = clock_anchor();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let sockets = {
        let _in_runtime = runtime.enter();
        Sockets::open(transport, udp)?
    };
    let (sctp, ips) = (udp.with_advertised(&sctp::Config::default()), udp.addresses.clone());
    let stack = sctp::associations(sockets.kind(), sctp, ips, udp.port, seed, clock.instant);
    let epoch = seed.first().copied().unwrap_or_default();
    let peer = PeerConfig { gateways, routing_context, t_ack_ms: T_ACK_MS, epoch };
    let node = NetworkNode::new(peer, stack, source, record, clock);
    let shared = node.shared();
    let thread = std::thread::Builder::new().name("network".into()).spawn(move || -> anyhow::Result<()> {
        runtime.block_on(sctp::driver::run(node, sockets, inbox, None))?;
        Ok(())
    })?;
    Ok(Box::new(RunningTraffic { shared, commands, thread: Some(thread) }))
}

/// A handle of the traffic source's thread.
struct RunningTraffic {
    shared: Arc<Mutex<Shared>>,
    commands: mpsc::Sender<Command>,
    thread: Option<JoinHandle<anyhow::Result<()>>>,
}

impl RunningTraffic {
    fn view<T>(&self, look: impl FnOnce(&Shared) -> T) -> T {
        look(&self.shared.lock().unwrap_or_else(PoisonError::into_inner))
    }

    fn tell(&self, command: Command) {
        // A thread that ended is seen by `state`.
        let _ = self.commands.blocking_send(command);
    }

    fn join(&mut self) -> anyhow::Result<()> {
        self.tell(Command::Finish);
        match self.thread.take().map(JoinHandle::join) {
            Some(Ok(result)) => result,
            Some(Err(_)) => anyhow::bail!("the traffic source's thread panicked"),
            None => Ok(()),
        }
    }
}

impl Traffic for RunningTraffic {
    fn state(&self) -> TrafficState {
        match &self.thread {
            Some(thread) if thread.is_finished() => {
                TrafficState::Failed("the traffic source ended; see the log above".into())
            }
            Some(_) | None => self.view(|s| s.state.clone()),
        }
    }
    fn counters(&self) -> TrafficCounters {
        self.view(|s| s.counters)
    }
    fn begin(&mut self, at: Instant) {
        self.tell(Command::Begin(at));
    }
    fn stop(&mut self) {
        self.tell(Command::Stop);
    }
    fn finish(mut self: Box<Self>) -> anyhow::Result<()> {
        self.join()
    }
}

impl Drop for RunningTraffic {
    fn drop(&mut self) {
        // Its error was told by `state`, or the caller gave up for a better reason.
        let _ = self.join();
    }
}
