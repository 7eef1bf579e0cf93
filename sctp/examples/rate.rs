//! Messages a second from one thread to another, each with its driver and its UDP socket:
//! `cargo run --release -p sctp --features driver --example rate [BYTES] [OUTSTANDING] [SECONDS] [CAPTURE]`

#![allow(clippy::print_stdout, reason = "a program")]

use bytes::Bytes;
use sctp::driver::{DriverConfig, Node, Sockets, Tap, run};
use sctp::{AssocId, Associations, Config, Connect, Event, Input, Output, SendOptions, Stack};
use std::error::Error;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};
use tokio::sync::mpsc;

/// Sends while it has an association and a goal, receives in any case.
struct Peer {
    stack: Box<dyn Associations>,
    assoc: Option<AssocId>,
    message: Bytes,
    outstanding: usize,
    sent: u64,
    received: Arc<AtomicU64>,
    stopped: bool,
}

impl Peer {
    fn work(&mut self, now: Instant) {
        while let Some(event) = self.stack.poll_event() {
            match event {
                Event::Up { assoc, incoming: false, .. } => self.assoc = Some(assoc),
                Event::Message { .. } => {
                    self.received.fetch_add(1, Ordering::Relaxed);
                }
                Event::Closed { reason, .. } => {
                    println!("closed: {reason:?}");
                    self.assoc = None;
                }
                Event::Up { .. } | Event::Path { .. } | _ => {}
            }
        }
        let Some(assoc) = self.assoc else { return };
        for _ in self.stack.outstanding(assoc).0..self.outstanding {
            let options = SendOptions { stream: (self.sent % 16) as u16, ..SendOptions::default() };
            if self.stack.send(now, assoc, options, self.message.clone()).is_err() {
                break;
            }
            self.sent += 1;
        }
    }
}

impl Node for Peer {
    type Command = ();

    fn handle_input(&mut self, now: Instant, input: Input) {
        self.stack.handle_input(now, input);
    }
    fn handle_command(&mut self, _: Instant, (): ()) {
        self.stopped = true;
    }
    fn handle_timeout(&mut self, now: Instant) {
        self.stack.handle_timeout(now);
    }
    fn flush(&mut self, now: Instant) -> io::Result<()> {
        self.work(now);
        Ok(())
    }
    fn poll_output(&mut self, now: Instant) -> Option<Output> {
        self.stack.poll_output(now)
    }
    fn poll_timeout(&self) -> Option<Instant> {
        self.stack.poll_timeout()
    }
    fn finished(&self) -> bool {
        self.stopped
    }
}

fn main() -> Result<(), Box<dyn Error>> {
    let word = |n: usize| std::env::args().nth(n);
    let number = |n, default: usize| word(n).map_or(Ok(default), |word| word.parse());
    let (bytes, outstanding, seconds) = (number(1, 200)?, number(2, 1_000)?, number(3, 3)?);
    let capture = word(4);
    let ips: [IpAddr; 2] = [[127, 77, 0, 1].into(), [127, 77, 0, 2].into()];
    let received = Arc::new(AtomicU64::new(0));
    let mut threads = Vec::new();
    // Both before either runs: an INIT to a port that is not bound yet fails at once, by ICMP.
    let bind = |ip| Sockets::bind(&DriverConfig { addresses: vec![ip], ..DriverConfig::default() });
    let both = [bind(ips[0])?, bind(ips[1])?];
    for (n, sockets) in both.into_iter().enumerate() {
        let counters = sockets.counters();
        let tap = match &capture {
            Some(path) if n == 0 => Some(Tap::create(Path::new(path), "rate", 1 << 14, sockets.counters())?),
            _ => None,
        };
        let mut stack = Stack::new(Config::default(), vec![ips[n]], [n as u8 + 1; 32], Instant::now());
        stack.listen(2905);
        if n == 0 {
            let peer = vec![SocketAddr::new(ips[1], 9899)];
            stack.connect(Instant::now(), Connect { peer, peer_port: 2905, local_port: None })?;
        }
        let (message, received) = (vec![7; bytes].into(), Arc::clone(&received));
        let peer =
            Peer { stack: Box::new(stack), assoc: None, message, outstanding, sent: 0, received, stopped: false };
        let (stop, commands) = mpsc::channel(1);
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        let work = move || runtime.block_on(run(peer, sockets, commands, tap)).map(|_| ());
        threads.push((std::thread::spawn(work), stop, counters));
    }
    let begin = Instant::now();
    while received.load(Ordering::Relaxed) == 0 {
        if begin.elapsed() > Duration::from_secs(10) {
            return Err("no message within 10 s".into());
        }
        std::thread::yield_now();
    }
    let (begin, before) = (Instant::now(), received.load(Ordering::Relaxed));
    std::thread::sleep(Duration::from_secs(seconds as u64));
    let count = received.load(Ordering::Relaxed) - before;
    let rate = count as f64 / begin.elapsed().as_secs_f64();
    println!("{bytes} bytes, {outstanding} outstanding: {rate:.0} messages a second");
    for (thread, stop, counters) in threads {
        stop.blocking_send(())?;
        thread.join().map_err(|_| "a driver's thread panicked")??;
        let shown = counters.snapshot().into_iter().filter(|c| c.2 > 0).map(|c| format!("{} {}", c.0, c.2));
        println!("  {}", shown.collect::<Vec<_>>().join(", "));
    }
    Ok(())
}
