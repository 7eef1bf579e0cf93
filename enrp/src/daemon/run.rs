//! Ties it together: one thread, one node or several, their sockets, admin, signals.

use super::admin::{AdminPart, AdminServer};
use super::{AdminRequest, DaemonConfig, DaemonError, clock_anchor, os_seed};
use nix::sys::signal::Signal;
use sctp::driver::{DriverConfig, DriverCounters, Node, Sockets, Tap};
use sctp::{BackendKind, ClockAnchor, Transport};
use std::future::poll_fn;
use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::task::Poll;
use std::time::{Duration, Instant};
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::mpsc;
use tokio::task::JoinSet;

/// Commands that wait for the node.
const COMMANDS_MAX: usize = 64;

/// What the shell asks of a node. A node's command type is this, or can be made from it.
#[derive(Debug)]
pub enum DaemonCommand {
    /// The admin server asks.
    Admin(AdminRequest),
    /// SIGTERM or SIGINT came: end cleanly, then be `finished`.
    Stop,
}

/// What a node gets at its birth.
#[derive(Debug, Clone)]
pub struct Start {
    /// Now.
    pub now: Instant,
    /// The same moment on both clocks.
    pub clock: ClockAnchor,
    /// Randomness from the operating system.
    pub seed: [u8; 32],
    /// Who carries the associations.
    pub backend: BackendKind,
    /// The bound addresses with their UDP port.
    pub local: Vec<SocketAddr>,
}

/// What runs beside a node on the shell's side (a socket of another kind, a question to DNS), and tells it by commands.
pub type Beside<C> = Box<dyn FnOnce(mpsc::Sender<C>) -> Pin<Box<dyn Future<Output = ()> + Send>>>;

/// Makes a node.
pub type Make<'a, N> = Box<dyn FnOnce(&Start) -> Result<N, DaemonError> + 'a>;

/// A node of a program, and what it runs on.
pub struct Part<'a, N: Node> {
    /// In logs, and in the admin server's paths where there are several.
    pub name: &'a str,
    /// Who carries the SCTP packets.
    pub transport: Transport,
    /// Own addresses.
    pub udp: &'a DriverConfig,
    /// Makes the node.
    pub make: Make<'a, N>,
    /// Runs while the node does.
    pub beside: Vec<Beside<N::Command>>,
}

/// Binds the sockets, makes the node, runs it until it has finished or a stop took longer than `stop_ms`.
///
/// Returns the node, or `None` when the stop took too long or a second signal came.
///
/// # Errors
/// `make`'s error; environment: sockets, capture, admin address, a flush that failed.
pub fn run_daemon<N>(
    name: &str,
    config: &DaemonConfig,
    transport: Transport,
    udp: &DriverConfig,
    make: impl FnOnce(&Start) -> Result<N, DaemonError>,
) -> Result<Option<N>, DaemonError>
where
    N: Node,
    N::Command: From<DaemonCommand>,
{
    let part = Part { name, transport, udp, make: Box::new(make), beside: Vec::new() };
    Ok(run_parts(name, config, vec![part])?.and_then(|mut nodes| nodes.pop()))
}

/// The same for several nodes in one process, each with sockets of its own. It ends when all have finished.
///
/// # Errors
/// As [`run_daemon`], of the first one that has any.
pub fn run_parts<N>(name: &str, config: &DaemonConfig, parts: Vec<Part<'_, N>>) -> Result<Option<Vec<N>>, DaemonError>
where
    N: Node,
    N::Command: From<DaemonCommand>,
{
    if config.parent_pid != 0 {
        die_with(config.parent_pid)?;
    }
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(|e| {
        DaemonError::Environment(format!("cannot start: {e}; raise the limit of open files (ulimit -n)"))
    })?;
    runtime.block_on(async {
        // Before anything that takes time: a signal in between must not kill.
        let stop = Stop::new(Duration::from_millis(config.stop_ms))?;
        let admin = AdminServer::bind(&config.admin).await?;
        let mut running = Vec::new();
        for part in parts {
            running.push(start(name, part)?);
        }
        tracing::info!("{name}: admin {}", admin.as_ref().map_or("off".into(), AdminServer::local));
        let (mut drivers, mut ends, mut commands) = (Vec::new(), Vec::new(), Vec::new());
        let mut beside = JoinSet::new();
        for Running { name, driver, sender, counters, tasks } in running {
            tasks.into_iter().for_each(|task| drop(beside.spawn(task(sender.clone()))));
            drivers.push(driver);
            commands.push(sender.clone());
            ends.push(AdminPart::new(name, sender, counters));
        }
        let admin = admin.map(|admin| tokio::spawn(admin.serve(ends)));
        let result = tokio::select! {
            nodes = all(drivers) => nodes.map(Some).map_err(|e| {
                DaemonError::Environment(format!("{e}; make room or give another directory"))
            }),
            () = stop.carry_out(commands) => Ok(None),
        };
        if let Some(admin) = admin {
            // Dropped with its listener, so that the file of a Unix socket goes.
            admin.abort();
            let _ = admin.await;
        }
        result
    })
}

/// A node that is about to run.
struct Running<N: Node, D> {
    name: String,
    driver: D,
    sender: mpsc::Sender<N::Command>,
    counters: Arc<DriverCounters>,
    tasks: Vec<Beside<N::Command>>,
}

fn start<N: Node>(
    program: &str,
    part: Part<'_, N>,
) -> Result<Running<N, impl Future<Output = io::Result<N>>>, DaemonError> {
    let Part { name, transport, udp, make, beside } = part;
    if let Some(twice) = udp.addresses.iter().enumerate().find_map(|(i, a)| udp.addresses[..i].contains(a).then_some(a))
    {
        return Err(DaemonError::Config(format!(
            "udp.addresses: {twice} stands there twice; name each own address once"
        )));
    }
    let sockets = Sockets::open(transport, udp)?;
    let tap = tap(program, udp, &sockets)?;
    let clock = clock_anchor();
    let start = Start { now: clock.instant, clock, seed: os_seed()?, backend: sockets.kind(), local: sockets.local() };
    let node = make(&start)?;
    tracing::info!("{name}: {} {:?}", start.backend, start.local);
    let (sender, receiver) = mpsc::channel(COMMANDS_MAX);
    let counters = sockets.counters();
    let driver = sctp::driver::run(node, sockets, receiver, tap);
    Ok(Running { name: name.to_owned(), driver, sender, counters, tasks: beside })
}

/// Runs all until the last has ended; the first error ends it.
async fn all<N, D: Future<Output = io::Result<N>>>(drivers: Vec<D>) -> io::Result<Vec<N>> {
    let mut drivers: Vec<_> = drivers.into_iter().map(|driver| (Box::pin(driver), None)).collect();
    poll_fn(|cx| {
        for (driver, node) in &mut drivers {
            if node.is_none()
                && let Poll::Ready(ended) = driver.as_mut().poll(cx)
            {
                *node = Some(ended?);
            }
        }
        if drivers.iter().any(|(_, node)| node.is_none()) {
            return Poll::Pending;
        }
        Poll::Ready(Ok(drivers.iter_mut().filter_map(|(_, node)| node.take()).collect()))
    })
    .await
}

fn tap(name: &str, udp: &DriverConfig, sockets: &Sockets) -> Result<Option<Tap>, DaemonError> {
    if udp.capture.as_os_str().is_empty() {
        return Ok(None);
    }
    Ok(Some(Tap::create(&udp.capture, name, udp.capture_queue_datagrams, sockets.counters())?))
}

/// SIGKILL, because SIGTERM would wait in a stopped process for ever. The parent's number comes from the parent: it may have ended
/// before this process came to ask who it is.
fn die_with(parent: u32) -> Result<(), DaemonError> {
    nix::sys::prctl::set_pdeathsig(Signal::SIGKILL).map_err(|e| {
        DaemonError::Environment(format!("cannot follow the parent's end: {e}; set daemon.parent_pid = 0"))
    })?;
    if u32::try_from(nix::unistd::getppid().as_raw()) != Ok(parent) {
        return Err(DaemonError::Environment(format!(
            "the parent process {parent} (daemon.parent_pid) has ended already"
        )));
    }
    Ok(())
}

/// The end that is asked for from outside.
struct Stop {
    terminate: tokio::signal::unix::Signal,
    interrupt: tokio::signal::unix::Signal,
    within: Duration,
}

impl Stop {
    fn new(within: Duration) -> Result<Self, DaemonError> {
        let on =
            |kind| signal(kind).map_err(|e| DaemonError::Environment(format!("cannot handle signals: {e}; try again")));
        Ok(Self { terminate: on(SignalKind::terminate())?, interrupt: on(SignalKind::interrupt())?, within })
    }

    /// Waits for a signal, asks the nodes to stop, and comes back when it has not done so in time or is told again.
    async fn carry_out<C: From<DaemonCommand>>(mut self, commands: Vec<mpsc::Sender<C>>) {
        self.signaled().await;
        let patience = async {
            for node in commands {
                // A failure means the node is gone, so the driver's end is near.
                let _ = node.send(C::from(DaemonCommand::Stop)).await;
            }
            tokio::time::sleep(self.within).await;
            tracing::warn!("no clean stop within {} ms; ending anyway", self.within.as_millis());
        };
        let (terminate, interrupt) = (&mut self.terminate, &mut self.interrupt);
        tokio::select! {
            () = patience => {}
            _ = terminate.recv() => {}
            _ = interrupt.recv() => {}
        }
    }

    async fn signaled(&mut self) {
        tokio::select! {
            _ = self.terminate.recv() => {}
            _ = self.interrupt.recv() => {}
        }
    }
}
