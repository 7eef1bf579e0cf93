//! A program with one association over real sockets: it sends so many messages and waits for so many.
#![allow(unreachable_pub, dead_code, reason = "each test takes what it needs")]

use bytes::Bytes;
use sctp::driver::{Node, Sockets, Tap, run};
use sctp::{
    AssocId, Associations, CloseReason, Config, Connect, Event, Input, Output, SendOptions, associations, ppid,
};
use std::io;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::atomic::{AtomicU8, Ordering};
use std::time::{Duration, Instant};
use tokio::sync::mpsc;

pub const BOUND: Duration = Duration::from_secs(20);
pub const PORT: u16 = 2905;

/// A new loopback address.
pub fn v4() -> IpAddr {
    static NEXT: AtomicU8 = AtomicU8::new(1);
    let [_, _, high, low] = std::process::id().to_be_bytes();
    IpAddr::V4(Ipv4Addr::new(127, high | 0x80, low, NEXT.fetch_add(1, Ordering::Relaxed)))
}

/// Sends so many messages when its association is up; done when it got so many, or is told to stop.
pub struct Peer {
    pub stack: Box<dyn Associations>,
    pub assoc: Option<AssocId>,
    pub to_send: usize,
    pub bytes: usize,
    pub expected: usize,
    pub received: Vec<Bytes>,
    pub closed: Option<CloseReason>,
    pub stopped: bool,
}

impl Peer {
    pub fn new(sockets: &Sockets, config: Config, to_send: usize, expected: usize) -> Self {
        let local: Vec<_> = sockets.local().iter().map(SocketAddr::ip).collect();
        let (udp_port, now) = (sockets.local()[0].port(), Instant::now());
        let seed = [local[0].to_string().as_bytes().iter().fold(7_u8, |sum, byte| sum.wrapping_mul(31) ^ byte); 32];
        let mut stack = associations(sockets.kind(), config, local, udp_port, seed, now);
        stack.listen(PORT);
        let (received, closed) = (Vec::new(), None);
        Self { stack, assoc: None, to_send, bytes: 200, expected, received, closed, stopped: false }
    }

    /// To the peer's address with the port of RFC 6951.
    pub fn connect(mut self, to: IpAddr) -> Self {
        let peer = vec![SocketAddr::new(to, 9899)];
        self.stack.connect(Instant::now(), Connect { peer, peer_port: PORT, local_port: None }).unwrap();
        self
    }

    fn work(&mut self, now: Instant) {
        while let Some(event) = self.stack.poll_event() {
            match event {
                Event::Up { assoc, .. } => self.assoc = Some(assoc),
                Event::Message { payload, ppid: ppid::M3UA, .. } => self.received.push(payload),
                Event::Closed { reason, .. } => self.closed = Some(reason),
                Event::Message { .. } | Event::Path { .. } | _ => {}
            }
        }
        let Some(assoc) = self.assoc else { return };
        while self.to_send > 0 {
            let mut payload = self.to_send.to_be_bytes().to_vec();
            payload.resize(self.bytes, 0x5a);
            let options = SendOptions { stream: 1, ppid: ppid::M3UA, ..SendOptions::default() };
            if self.stack.send(now, assoc, options, payload.into()).is_err() {
                break;
            }
            self.to_send -= 1;
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
        let all = self.expected > 0 && self.received.len() >= self.expected;
        all && self.assoc.is_some_and(|assoc| self.stack.outstanding(assoc).0 == 0)
            || self.closed.is_some()
            || self.stopped
    }
}

pub fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap()
}

/// Runs `a` until it is finished, beside `b`, which is then stopped.
pub fn together(a: (Peer, Sockets), b: (Peer, Sockets), tap: Option<Tap>) -> (Peer, Peer) {
    let (stop_b, commands_b) = mpsc::channel(1);
    let (_keep, commands_a) = mpsc::channel(1);
    runtime().block_on(async {
        let first = async {
            let a = run(a.0, a.1, commands_a, tap).await.unwrap();
            // The other one may have finished by itself.
            let _ = stop_b.send(()).await;
            a
        };
        let both = async { tokio::join!(first, async { run(b.0, b.1, commands_b, None).await.unwrap() }) };
        tokio::time::timeout(BOUND, both).await.expect("in time")
    })
}
