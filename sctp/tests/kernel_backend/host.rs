//! A program on a thread of its own, in a network namespace of its own, that does what a test says and tells its events.

use nix::sched::{CloneFlags, setns};
use sctp::driver::{DriverConfig, Node, Sockets, run};
use sctp::{Associations, BackendKind, Config, Event, Input, Output, Transport, associations};
use std::fmt::Debug;
use std::fs::File;
use std::io;
use std::net::IpAddr;
use std::sync::mpsc::{self, Receiver, Sender};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

/// Nothing here takes longer, whatever the machine does besides.
pub(crate) const BOUND: Duration = Duration::from_secs(30);

type Act = Box<dyn FnOnce(&mut dyn Associations, Instant) + Send>;

pub(crate) enum Command {
    Act(Act),
    Stop,
}

struct Program {
    assocs: Box<dyn Associations>,
    events: Sender<Event>,
    stopped: bool,
}

impl Program {
    fn tell(&mut self) {
        while let Some(event) = self.assocs.poll_event() {
            // The test may have ended already.
            let _ = self.events.send(event);
        }
    }
}

impl Node for Program {
    type Command = Command;
    fn handle_input(&mut self, now: Instant, input: Input) {
        self.assocs.handle_input(now, input);
        self.tell();
    }
    fn handle_command(&mut self, now: Instant, command: Command) {
        match command {
            Command::Act(act) => act(&mut *self.assocs, now),
            Command::Stop => self.stopped = true,
        }
        self.tell();
    }
    fn handle_timeout(&mut self, now: Instant) {
        self.assocs.handle_timeout(now);
        self.tell();
    }
    fn flush(&mut self, _: Instant) -> io::Result<()> {
        Ok(())
    }
    fn poll_output(&mut self, now: Instant) -> Option<Output> {
        self.assocs.poll_output(now)
    }
    fn poll_timeout(&self) -> Option<Instant> {
        self.assocs.poll_timeout()
    }
    fn finished(&self) -> bool {
        self.stopped
    }
}

/// The running program.
pub(crate) struct Host {
    commands: tokio::sync::mpsc::Sender<Command>,
    events: Receiver<Event>,
    thread: Option<JoinHandle<()>>,
}

/// What a host is like.
#[derive(Clone)]
pub(crate) struct Setup {
    pub(crate) namespace: Option<&'static str>,
    pub(crate) transport: Transport,
    pub(crate) sctp: Config,
    pub(crate) driver: DriverConfig,
}

impl Setup {
    pub(crate) fn kernel(addresses: &[&str]) -> Self {
        let addresses = addresses.iter().map(|a| a.parse().unwrap()).collect();
        let driver = DriverConfig { addresses, ..DriverConfig::default() };
        Self { namespace: None, transport: Transport::Kernel, sctp: Config::default(), driver }
    }

    pub(crate) fn within(self, namespace: &'static str) -> Self {
        Self { namespace: Some(namespace), ..self }
    }

    pub(crate) fn start(self) -> Host {
        let (commands, inbox) = tokio::sync::mpsc::channel(64);
        let (sender, events) = mpsc::channel();
        let (ready, started) = mpsc::channel();
        let thread = std::thread::spawn(move || {
            if let Some(name) = self.namespace {
                let file = File::open(format!("/run/netns/{name}")).unwrap();
                setns(file, CloneFlags::CLONE_NEWNET).unwrap();
            }
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
            runtime.block_on(async move {
                let sockets = Sockets::open(self.transport, &self.driver).unwrap();
                let (addresses, port): (Vec<IpAddr>, u16) = (self.driver.addresses.clone(), self.driver.port);
                let kind = match self.transport {
                    Transport::Kernel => BackendKind::Kernel,
                    Transport::Udp | Transport::Raw | Transport::Auto => BackendKind::Udp,
                };
                let assocs = associations(kind, self.sctp, addresses, port, [7; 32], Instant::now());
                ready.send(()).unwrap();
                run(Program { assocs, events: sender, stopped: false }, sockets, inbox, None).await.unwrap();
            });
        });
        started.recv_timeout(BOUND).expect("the host starts");
        Host { commands, events, thread: Some(thread) }
    }
}

impl Host {
    /// Does something with the associations and gives what came of it.
    pub(crate) fn with<R: Send + 'static>(
        &self,
        act: impl FnOnce(&mut dyn Associations, Instant) -> R + Send + 'static,
    ) -> R {
        let (sender, receiver) = mpsc::channel();
        let act: Act = Box::new(move |assocs, now| {
            let _ = sender.send(act(assocs, now));
        });
        assert!(self.commands.blocking_send(Command::Act(act)).is_ok(), "the host runs");
        receiver.recv_timeout(BOUND).expect("the host answers")
    }

    /// Keeps the program from doing anything until the sender is dropped.
    pub(crate) fn hold(&self) -> Sender<()> {
        let (sender, receiver) = mpsc::channel::<()>();
        let act: Act = Box::new(move |_, _| {
            let _ = receiver.recv_timeout(BOUND);
        });
        assert!(self.commands.blocking_send(Command::Act(act)).is_ok(), "the host runs");
        sender
    }

    /// The next event for which `pick` has something; those before it are dropped.
    pub(crate) fn wait<R: Debug>(&self, what: &str, mut pick: impl FnMut(Event) -> Option<R>) -> R {
        let deadline = Instant::now() + BOUND;
        loop {
            let left = deadline.saturating_duration_since(Instant::now());
            let event = self.events.recv_timeout(left).unwrap_or_else(|e| panic!("{what}: {e}"));
            if let Some(picked) = pick(event) {
                return picked;
            }
        }
    }
}

impl Drop for Host {
    /// Ends the program as a kill would: nothing is shut down.
    fn drop(&mut self) {
        let _ = self.commands.blocking_send(Command::Stop);
        if let Some(thread) = self.thread.take() {
            let ended = thread.join();
            assert!(ended.is_ok() || std::thread::panicking(), "the host's thread");
        }
    }
}
