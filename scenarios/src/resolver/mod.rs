//! A pool user that asks for the pools of a population, one after the other, all the time, and writes each answer into
//! `records/resolver.csv`: whether resolution goes on while name servers and pool elements die, and what the answers hold.
//!
//! [`Node`] is the machine, [`Record`] its lines; [`start`] gives it a thread and a socket.

#[cfg(test)]
mod line_tests;
mod node;
mod record;
#[cfg(test)]
mod tests;

pub use node::{Command, Counters, Node};
pub use record::Record;

use crate::population::{full_name, handle};
use crate::scenario::{Population, Resolver};
use asap::ServerAddress;
use asap::wire::PoolHandle;
use enrp::daemon::{RecordFile, RecordSink, clock_anchor, os_seed};
use sctp::Transport;
use sctp::driver::{DriverConfig, Sockets};
use std::path::PathBuf;
use std::thread::JoinHandle;
use tokio::sync::mpsc;

/// Prefix of the population's pools.
const PREFIX: &str = "pop-";

/// All it is told.
#[derive(Debug, Clone)]
pub struct ResolverConfig {
    /// Own addresses.
    pub udp: DriverConfig,
    /// Who carries SCTP.
    pub transport: Transport,
    /// Name servers, in the order of preference.
    pub servers: Vec<ServerAddress>,
    /// What it asks for.
    pub pools: Pools,
    /// What the scenario says.
    pub settings: Resolver,
    /// The record to write.
    pub record: PathBuf,
}

/// The pools of one operation scope.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Pools {
    /// Handles.
    pub handles: Vec<PoolHandle>,
    /// The scope, which records have behind the handle; absent: that of all name servers.
    pub scope: Option<String>,
}

impl Pools {
    /// A population's pools in a scope.
    #[must_use]
    pub fn of(population: &Population, scope: Option<String>) -> Self {
        let numbered = if scope.is_none() { population.pools as usize } else { 0 };
        let named = population.pool.iter().filter(|pool| pool.scope == scope);
        let named = named.map(|pool| PoolHandle::from(pool.handle.as_str()));
        Self { handles: (0..numbered).map(|pool| handle(PREFIX, pool)).chain(named).collect(), scope }
    }

    /// A pool as records have it.
    fn name(&self, handle: &PoolHandle) -> String {
        full_name(&handle.to_string(), self.scope.as_deref())
    }
}

/// A resolver that runs in a thread of its own; dropping it ends it.
#[derive(Debug)]
pub struct RunningResolver {
    commands: mpsc::Sender<Command>,
    thread: Option<JoinHandle<anyhow::Result<Counters>>>,
}

/// Opens the record and the socket, and begins to ask.
///
/// # Errors
/// The record cannot be written, or the own address cannot be bound.
pub fn start(config: ResolverConfig) -> anyhow::Result<RunningResolver> {
    let ResolverConfig { udp, transport, servers, pools, settings, record } = config;
    let (clock, seed) = (clock_anchor(), os_seed()?);
    let record = Record::new(clock, RecordSink::File(RecordFile::create(&record)?));
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let sockets = {
        let _in_runtime = runtime.enter();
        Sockets::open(transport, &udp)?
    };
    let sctp = udp.with_advertised(&sctp::Config::default());
    let stack = sctp::associations(sockets.kind(), sctp, udp.addresses.clone(), udp.port, seed, clock.instant);
    let node = Node::new(settings, servers, udp.port, pools, stack, record, clock.instant);
    let (commands, inbox) = mpsc::channel(4);
    let thread = std::thread::Builder::new().name("resolver".into()).spawn(move || {
        let node = runtime.block_on(sctp::driver::run(node, sockets, inbox, None))?;
        Ok(*node.counters())
    })?;
    Ok(RunningResolver { commands, thread: Some(thread) })
}

impl RunningResolver {
    /// Asks no more, and writes out the record.
    ///
    /// # Errors
    /// The record could not be written out.
    pub fn finish(mut self) -> anyhow::Result<Counters> {
        self.join()
    }

    fn join(&mut self) -> anyhow::Result<Counters> {
        // A thread that ended is seen below.
        let _ = self.commands.blocking_send(Command::Stop);
        match self.thread.take().map(JoinHandle::join) {
            Some(Ok(result)) => result,
            Some(Err(_)) => anyhow::bail!("the resolver's thread panicked"),
            None => Ok(Counters::default()),
        }
    }
}

impl Drop for RunningResolver {
    fn drop(&mut self) {
        // The caller gave up for a better reason.
        let _ = self.join();
    }
}
