//! A node that sends back what it gets, and the rig around it.

use sctp::driver::{DriverConfig, DriverCounters, Node, Sockets, Tap, run};
use sctp::{Datagram, Input, Output, Transmit, Unreachable};
use std::collections::VecDeque;
use std::future::Future;
use std::io;
use std::net::{IpAddr, Ipv4Addr, SocketAddr, UdpSocket};
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};
use std::time::{Duration, Instant};
use tokio::sync::{mpsc, oneshot};

pub const BOUND: Duration = Duration::from_secs(20);

/// A new loopback address.
pub fn address() -> IpAddr {
    static NEXT: AtomicU8 = AtomicU8::new(1);
    let [_, _, high, low] = std::process::id().to_be_bytes();
    IpAddr::V4(Ipv4Addr::new(127, high | 0x80, low, NEXT.fetch_add(1, Ordering::Relaxed)))
}

pub fn client() -> (UdpSocket, SocketAddr) {
    let socket = UdpSocket::bind((address(), 0)).unwrap();
    socket.set_read_timeout(Some(BOUND)).unwrap();
    let local = socket.local_addr().unwrap();
    (socket, local)
}

/// A port where nobody listens.
pub fn dead() -> SocketAddr {
    client().1
}

pub enum Command {
    Send(Vec<Transmit>),
    /// Answers as soon as that many datagrams and errors came.
    When {
        datagrams: usize,
        errors: usize,
        then: oneshot::Sender<()>,
    },
    Stop,
}

/// Sends back what it gets.
#[derive(Default)]
pub struct Echo {
    pub out: VecDeque<Transmit>,
    pub datagrams: Vec<Datagram>,
    pub errors: Vec<Unreachable>,
    pub waiting: Option<(usize, usize, oneshot::Sender<()>)>,
    /// Time of the next tick and how many are left, one each 200 µs.
    pub ticks: Option<(Instant, usize)>,
    /// Datagrams seen when the first timeout was served.
    pub before_timeout: Option<usize>,
    pub flushed: bool,
    pub flush_fails: bool,
    pub stopped: bool,
}

impl Echo {
    fn check(&mut self) {
        let reached =
            |(datagrams, errors): (usize, usize)| self.datagrams.len() >= datagrams && self.errors.len() >= errors;
        if self.waiting.as_ref().is_some_and(|(d, e, _)| reached((*d, *e))) {
            self.waiting.take().unwrap().2.send(()).unwrap();
        }
    }
}

impl Node for Echo {
    type Command = Command;

    fn handle_input(&mut self, _: Instant, input: Input) {
        match input {
            Input::Packet(datagram) => {
                self.flushed = false;
                self.out.push_back(Transmit {
                    from: datagram.to,
                    to: datagram.from,
                    payload: datagram.payload.clone(),
                });
                self.datagrams.push(datagram);
            }
            Input::Unreachable(error) => self.errors.push(error),
            Input::TooBig(_) | Input::Kernel(_) => panic!("{input:?}"),
        }
        self.check();
    }
    fn handle_command(&mut self, _: Instant, command: Command) {
        self.flushed = false;
        match command {
            Command::Send(batch) => self.out.extend(batch),
            Command::When { datagrams, errors, then } => self.waiting = Some((datagrams, errors, then)),
            Command::Stop => self.stopped = true,
        }
        self.check();
    }
    fn handle_timeout(&mut self, now: Instant) {
        let (due, left) = self.ticks.unwrap();
        assert!(now >= due, "timeout before its time");
        self.before_timeout.get_or_insert(self.datagrams.len());
        self.ticks = Some((now + Duration::from_micros(200), left - 1));
        if left == 1 {
            self.ticks = None;
            self.stopped = true;
        }
    }
    fn flush(&mut self, _: Instant) -> io::Result<()> {
        self.flushed = true;
        if self.flush_fails { Err(io::Error::other("disk full")) } else { Ok(()) }
    }
    fn poll_output(&mut self, _: Instant) -> Option<Output> {
        let next = self.out.pop_front()?;
        assert!(self.flushed, "sent before it was flushed");
        Some(Output::Packet(next))
    }
    fn poll_timeout(&self) -> Option<Instant> {
        self.ticks.map(|(due, _)| due)
    }
    fn finished(&self) -> bool {
        self.stopped
    }
}

pub fn config() -> DriverConfig {
    DriverConfig { addresses: vec![address()], port: 0, ..DriverConfig::default() }
}

pub fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap()
}

/// Runs an echo node beside `test`, stops it when the test is through, and gives the node back.
pub fn with_echo<F: Future<Output = ()>>(
    config: &DriverConfig,
    tap: impl FnOnce(&Sockets) -> Option<Tap>,
    test: impl FnOnce(mpsc::Sender<Command>, SocketAddr) -> F,
) -> (Echo, Arc<DriverCounters>) {
    let sockets = Sockets::bind(config).unwrap();
    let (counters, local) = (sockets.counters(), sockets.local()[0]);
    let tap = tap(&sockets);
    let (sender, receiver) = mpsc::channel(16);
    let node = runtime().block_on(async {
        let test = async {
            test(sender.clone(), local).await;
            sender.send(Command::Stop).await.ok().unwrap();
        };
        let both = async { tokio::join!(run(Echo::default(), sockets, receiver, tap), test).0 };
        tokio::time::timeout(BOUND, both).await.expect("in time").unwrap()
    });
    (node, counters)
}

pub async fn when(commands: &mpsc::Sender<Command>, datagrams: usize, errors: usize) {
    let (then, reached) = oneshot::channel();
    commands.send(Command::When { datagrams, errors, then }).await.ok().unwrap();
    reached.await.unwrap();
}

pub fn payload(number: usize, len: usize) -> Vec<u8> {
    // What stands for SCTP's ports and verification tag is equal, as in packets of one association.
    let mut payload = if len >= 16 { vec![0; 8] } else { Vec::new() };
    payload.extend_from_slice(&number.to_be_bytes());
    payload.resize(len.max(8), number as u8);
    payload
}
