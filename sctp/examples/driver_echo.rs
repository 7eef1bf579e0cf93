//! Listens and sends every message back on the stream and with the PPID it came with; knows nothing of M3UA.
//!
//! `cargo run --release -p sctp --features driver --example driver_echo -- ADDRESS[,ADDRESS] SCTP-PORT [ASSOCIATIONS [CAPTURE]]`
//!
//! The message `shutdown` is answered, and then this side ends the association. With ASSOCIATIONS it ends after that many,
//! with status 1 when one of them did not end by a graceful SHUTDOWN. `.ci/kernel-sctp` runs it against a kernel.

#![allow(clippy::print_stdout, reason = "a program")]

use sctp::driver::{DriverConfig, Node, Sockets, Tap, run};
use sctp::{AssocId, CloseReason, Config, Datagram, Event, SendOptions, Stack, Transmit, Unreachable};
use std::collections::HashMap;
use std::error::Error;
use std::fs::File;
use std::io::{self, Read};
use std::net::IpAddr;
use std::path::Path;
use std::process::ExitCode;
use std::time::Instant;
use tokio::sync::mpsc;

struct Echo {
    stack: Stack,
    /// Messages and bytes of each association.
    traffic: HashMap<AssocId, (u64, usize)>,
    left: Option<usize>,
    all_graceful: bool,
}

impl Echo {
    fn events(&mut self, now: Instant) {
        while let Some(event) = self.stack.poll_event() {
            match event {
                Event::Up { assoc, peer, outbound_streams, inbound_streams, .. } => {
                    println!("up {} peer {peer:?} streams out {outbound_streams} in {inbound_streams}", assoc.0);
                }
                Event::Message { assoc, stream, ppid, unordered, payload } => {
                    let traffic = self.traffic.entry(assoc).or_default();
                    *traffic = (traffic.0 + 1, traffic.1 + payload.len());
                    let last = &payload[..] == b"shutdown";
                    let options = SendOptions { stream, ppid, unordered, context: 0 };
                    if let Err(error) = self.stack.send(now, assoc, options, payload) {
                        println!("not sent: {error}");
                    }
                    if last {
                        self.stack.shutdown(now, assoc);
                    }
                }
                Event::Closed { assoc, reason, undelivered } => {
                    let (messages, bytes) = self.traffic.remove(&assoc).unwrap_or_default();
                    println!(
                        "closed {} {reason:?}: {messages} messages, {bytes} bytes, {} undelivered",
                        assoc.0,
                        undelivered.len()
                    );
                    self.all_graceful &= reason == CloseReason::Shutdown && undelivered.is_empty();
                    self.left = self.left.map(|left| left - 1);
                }
                other @ (Event::Path { .. } | _) => println!("{other:?}"),
            }
        }
    }
}

impl Node for Echo {
    type Command = ();

    fn handle_datagram(&mut self, now: Instant, datagram: Datagram) {
        self.stack.handle_datagram(now, datagram);
        self.events(now);
    }
    fn handle_unreachable(&mut self, now: Instant, error: &Unreachable) {
        self.stack.handle_unreachable(now, error);
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
    fn poll_transmit(&mut self, now: Instant) -> Option<Transmit> {
        self.stack.poll_transmit(now)
    }
    fn poll_timeout(&self) -> Option<Instant> {
        self.stack.poll_timeout()
    }
    fn finished(&self) -> bool {
        self.left == Some(0)
    }
}

fn main() -> Result<ExitCode, Box<dyn Error>> {
    let words: Vec<String> = std::env::args().skip(1).collect();
    let [addresses, port, rest @ ..] = &words[..] else {
        return Err("usage: driver_echo ADDRESS[,ADDRESS] SCTP-PORT [ASSOCIATIONS [CAPTURE]]".into());
    };
    let addresses = addresses.split(',').map(str::parse).collect::<Result<Vec<IpAddr>, _>>()?;
    let left = rest.first().map(|count| count.parse()).transpose()?;
    let mut seed = [0; 32];
    File::open("/dev/urandom")?.read_exact(&mut seed)?;

    let sockets = Sockets::bind(&DriverConfig { addresses: addresses.clone(), ..DriverConfig::default() })?;
    let tap = |path| Tap::create(Path::new(path), "echo", 1 << 14, sockets.counters());
    let tap = rest.get(1).map(tap).transpose()?;
    let mut stack = Stack::new(Config::default(), addresses, seed, Instant::now());
    stack.listen(port.parse()?);
    println!("listening {:?} SCTP port {port}", sockets.local());
    let node = Echo { stack, traffic: HashMap::new(), left, all_graceful: true };
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let (_commands, receiver) = mpsc::channel(1);
    let node = runtime.block_on(run(node, sockets, receiver, tap))?;
    println!("{:?}", node.stack.counters());
    Ok(if node.all_graceful { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}
