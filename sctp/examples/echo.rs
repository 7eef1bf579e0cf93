//! A peer to try other SCTP stacks against; knows nothing of M3UA. `.ci/kernel-sctp` runs it against a kernel:
//! `cargo run --release -p sctp --features driver --example echo -- ...`
//!
//! * `listen ADDRESS[,ADDRESS] PORT ASSOCIATIONS [CAPTURE]`: sends every message back on the stream and with the PPID it came with. The
//!   message `shutdown` is answered, and then this side ends the association. It ends after so many associations.
//! * `connect ADDRESS[,ADDRESS] PORT PEER MESSAGES [CAPTURE]`: sends messages to one that does the same, on five streams, compares what
//!   comes back, and ends the association.
//!
//! Status 1 when an association did not end by a graceful SHUTDOWN, or a message did not come back, or not as it was sent.

#![allow(clippy::print_stdout, reason = "a program")]

use bytes::Bytes;
use sctp::driver::{DriverConfig, Node, Sockets, Tap, run};
use sctp::{AssocId, Associations, CloseReason, Config, Connect, Event, Input, Output, SendOptions, Stack};
use std::collections::{HashMap, VecDeque};
use std::error::Error;
use std::fs::File;
use std::io::{self, Read};
use std::net::{IpAddr, SocketAddr};
use std::path::Path;
use std::process::ExitCode;
use std::time::Instant;
use tokio::sync::mpsc;

struct Echo {
    stack: Box<dyn Associations>,
    /// Messages and bytes of each association.
    traffic: HashMap<AssocId, (u64, usize)>,
    /// Associations that are still to end.
    left: usize,
    /// As a client: how many messages to send.
    messages: u16,
    /// As a client: what is still to come back on each stream.
    expected: [VecDeque<(u32, Bytes)>; 5],
    good: bool,
}

impl Echo {
    fn events(&mut self, now: Instant) {
        while let Some(event) = self.stack.poll_event() {
            match event {
                Event::Up { assoc, peer, outbound_streams, inbound_streams, incoming, .. } => {
                    println!("up {} peer {peer:?} streams out {outbound_streams} in {inbound_streams}", assoc.0);
                    if !incoming {
                        self.send_all(now, assoc);
                    }
                }
                Event::Message { assoc, stream, ppid, unordered, payload } => {
                    let traffic = self.traffic.entry(assoc).or_default();
                    *traffic = (traffic.0 + 1, traffic.1 + payload.len());
                    if self.messages > 0 {
                        self.came_back(now, assoc, stream, (ppid, payload));
                    } else {
                        self.send_back(now, assoc, SendOptions { stream, ppid, unordered, context: 0 }, payload);
                    }
                }
                Event::Closed { assoc, reason, undelivered } => {
                    let (messages, bytes) = self.traffic.remove(&assoc).unwrap_or_default();
                    println!(
                        "closed {} {reason:?}: {messages} messages, {bytes} bytes, {} undelivered",
                        assoc.0,
                        undelivered.len()
                    );
                    self.good &= reason == CloseReason::Shutdown && undelivered.is_empty();
                    self.good &= messages >= u64::from(self.messages);
                    self.left -= 1;
                }
                other @ (Event::Path { .. } | _) => println!("{other:?}"),
            }
        }
    }

    fn send_back(&mut self, now: Instant, assoc: AssocId, options: SendOptions, payload: Bytes) {
        let last = &payload[..] == b"shutdown";
        if let Err(error) = self.stack.send(now, assoc, options, payload) {
            println!("not sent: {error}");
        }
        if last {
            self.stack.shutdown(now, assoc);
        }
    }

    fn send_all(&mut self, now: Instant, assoc: AssocId) {
        for number in 0..self.messages {
            let stream = number % 5;
            let ppid = [sctp::ppid::M3UA, sctp::ppid::ASAP][usize::from(number % 2)];
            let payload = Bytes::from(vec![number as u8; [1, 200, 1_400, 9_000][usize::from(number % 4)]]);
            self.expected[usize::from(stream)].push_back((ppid, payload.clone()));
            let options = SendOptions { stream, ppid, unordered: false, context: 0 };
            if let Err(error) = self.stack.send(now, assoc, options, payload) {
                println!("not sent: {error}");
            }
        }
    }

    fn came_back(&mut self, now: Instant, assoc: AssocId, stream: u16, message: (u32, Bytes)) {
        let expected = self.expected.get_mut(usize::from(stream)).and_then(VecDeque::pop_front);
        if expected != Some(message) {
            println!("stream {stream}: not what was sent, or not in order");
            self.good = false;
        }
        if self.expected.iter().all(VecDeque::is_empty) {
            self.stack.shutdown(now, assoc);
        }
    }
}

impl Node for Echo {
    type Command = ();

    fn handle_input(&mut self, now: Instant, input: Input) {
        self.stack.handle_input(now, input);
        self.events(now);
    }
    fn handle_command(&mut self, _: Instant, (): ()) {}
    fn handle_timeout(&mut self, now: Instant) {
        self.stack.handle_timeout(now);
        self.events(now);
    }
    fn flush(&mut self, _: Instant) -> io::Result<()> {
        Ok(())
    }
    fn poll_output(&mut self, now: Instant) -> Option<Output> {
        self.stack.poll_output(now)
    }
    fn poll_timeout(&self) -> Option<Instant> {
        self.stack.poll_timeout()
    }
    fn finished(&self) -> bool {
        self.left == 0
    }
}

const USAGE: &str = "usage: echo listen ADDRESS[,ADDRESS] PORT ASSOCIATIONS [CAPTURE]
       echo connect ADDRESS[,ADDRESS] PORT PEER MESSAGES [CAPTURE]";

fn main() -> Result<ExitCode, Box<dyn Error>> {
    let words: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    let (addresses, port, left, client, capture) = match words[..] {
        ["listen", addresses, port, left, ref capture @ ..] => (addresses, port, left.parse()?, None, capture),
        ["connect", addresses, port, peer, count, ref capture @ ..] => {
            (addresses, port, 1, Some((peer.parse::<IpAddr>()?, count.parse()?)), capture)
        }
        _ => return Err(USAGE.into()),
    };
    let addresses = addresses.split(',').map(str::parse).collect::<Result<Vec<IpAddr>, _>>()?;
    let port = port.parse()?;
    let mut seed = [0; 32];
    File::open("/dev/urandom")?.read_exact(&mut seed)?;

    let sockets = Sockets::bind(&DriverConfig { addresses: addresses.clone(), ..DriverConfig::default() })?;
    let tap = |path| Tap::create(Path::new(path), "echo", 1 << 14, sockets.counters());
    let tap = capture.first().map(tap).transpose()?;
    let now = Instant::now();
    let mut stack = Stack::new(Config::default(), addresses, seed, now);
    let messages = match client {
        Some((peer, messages)) => {
            let udp_port = DriverConfig::default().port;
            let peer = vec![SocketAddr::new(peer, udp_port)];
            stack.connect(now, Connect { peer, peer_port: port, local_port: None })?;
            messages
        }
        None => {
            stack.listen(port);
            println!("listening {:?} SCTP port {port}", sockets.local());
            0
        }
    };
    let node = Echo {
        stack: Box::new(stack),
        traffic: HashMap::new(),
        left,
        messages,
        expected: Default::default(),
        good: true,
    };
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let (_commands, receiver) = mpsc::channel(1);
    let node = runtime.block_on(run(node, sockets, receiver, tap))?;
    println!("{:?}", node.stack.counters());
    Ok(if node.good { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}
