//! A relay that puts controllers at a distance: half a round trip on each datagram, in each direction.
//!
//! Each controller gets three addresses of the relay. The gateway and the name server see the controller at [`Leg::pool_side`], which
//! it registers as its own (`pool.advertise`); the controller sees the gateway and the name server each at an address of its own,
//! so that their associations stay apart. Datagrams are not looked into and not changed, and their order stays as it is. What a
//! network does not carry either, ICMP errors of a process that is gone, does not cross the relay.

mod line;

use super::RunError;
use super::address::UDP_PORT;
use hdrhistogram::Histogram;
use line::{Held, Line};
use nix::poll::{PollFd, PollFlags, PollTimeout, poll, ppoll};
use nix::sys::time::TimeSpec;
use std::io;
use std::net::{IpAddr, SocketAddr, UdpSocket};
use std::os::fd::AsFd;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

/// The thread looks whether it is to end at least this often.
const LOOK: Duration = Duration::from_millis(50);
/// Taken from one socket before the others get their turn.
const BUDGET: usize = 64;
/// Largest datagram.
const DATAGRAM_MAX: usize = 65_536;
/// Asked of the kernel for each socket, bytes.
const RECEIVE_BUFFER: usize = 4 << 20;
/// Largest lateness told, µs.
const LATENESS_MAX_US: u64 = 60_000_000;

/// One controller's part of the relay.
#[derive(Debug, Clone, Copy)]
pub(super) struct Leg {
    /// Added to each datagram, in each direction.
    pub(super) half: Duration,
    pub(super) controller: IpAddr,
    pub(super) gateway: IpAddr,
    /// None when it is in the gateway.
    pub(super) name_server: Option<IpAddr>,
    /// The controller, as gateway and name server see it.
    pub(super) pool_side: IpAddr,
    /// The gateway, as the controller sees it.
    pub(super) gateway_side: IpAddr,
    /// The name server, as the controller sees it.
    pub(super) name_server_side: IpAddr,
}

/// What a relay did.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, serde::Serialize, serde::Deserialize, schemars::JsonSchema)]
pub struct RelayReport {
    /// Datagrams passed on.
    pub forwarded: u64,
    /// Datagrams thrown away because too many were on their way already.
    pub queue_full: u64,
    /// Datagrams of somebody for whom no leg is.
    pub foreign: u64,
    /// Datagrams the kernel did not take.
    pub not_sent: u64,
    /// How much later than half the round trip datagrams left: 99 of 100 less than this, µs.
    pub late_p99_us: u64,
    /// The latest of all, µs.
    pub late_max_us: u64,
}

/// A running relay; dropping it ends its thread.
#[derive(Debug)]
pub(super) struct Relay {
    stop: Arc<AtomicBool>,
    thread: Option<JoinHandle<RelayReport>>,
}

impl Relay {
    /// Binds all addresses and starts the thread.
    pub(super) fn start(legs: &[Leg]) -> Result<Self, RunError> {
        let environment = |error: io::Error| RunError::Environment(format!("relay: {error}"));
        let ways: Vec<_> = legs.iter().map(Way::new).collect::<io::Result<_>>().map_err(environment)?;
        let stop = Arc::new(AtomicBool::new(false));
        let stop_in = stop.clone();
        let thread = std::thread::Builder::new()
            .name("relay".into())
            .spawn(move || Work::new(ways).run(&stop_in))
            .map_err(environment)?;
        Ok(Self { stop, thread: Some(thread) })
    }

    /// Ends it; what it did.
    pub(super) fn finish(mut self) -> RelayReport {
        self.end()
    }

    fn end(&mut self) -> RelayReport {
        self.stop.store(true, Ordering::Relaxed);
        // It does not panic; and if it did, nothing came through any more and the run's verdict says so.
        self.thread.take().and_then(|thread| thread.join().ok()).unwrap_or_default()
    }
}

impl Drop for Relay {
    fn drop(&mut self) {
        self.end();
    }
}

/// The sockets of a leg, in the order of [`Way::sockets`].
const POOL_SIDE: usize = 0;
const GATEWAY_SIDE: usize = 1;
const NAME_SERVER_SIDE: usize = 2;

/// A leg with its sockets and what is on its way.
struct Way {
    leg: Leg,
    sockets: Vec<UdpSocket>,
    line: Line,
}

impl Way {
    fn new(leg: &Leg) -> io::Result<Self> {
        let mut addresses = vec![leg.pool_side, leg.gateway_side];
        addresses.extend(leg.name_server.map(|_| leg.name_server_side));
        let bind = |ip: &IpAddr| {
            let address = SocketAddr::new(*ip, UDP_PORT);
            let socket =
                UdpSocket::bind(address).map_err(|e| io::Error::new(e.kind(), format!("UDP {address}: {e}")))?;
            socket.set_nonblocking(true)?;
            // As much as the kernel grants; a burst that does not fit is lost as in any network.
            let _ = nix::sys::socket::setsockopt(&socket, nix::sys::socket::sockopt::RcvBuf, &RECEIVE_BUFFER);
            Ok(socket)
        };
        let sockets = addresses.iter().map(bind).collect::<io::Result<_>>()?;
        Ok(Self { leg: *leg, sockets, line: Line::new(leg.half) })
    }

    /// Where a datagram that came at a socket goes on: from which socket, to whom.
    fn onward(&self, socket: usize, from: SocketAddr) -> Option<(usize, SocketAddr)> {
        let leg = &self.leg;
        let (out, to) = match socket {
            POOL_SIDE if from.ip() == leg.gateway => (GATEWAY_SIDE, leg.controller),
            POOL_SIDE if Some(from.ip()) == leg.name_server => (NAME_SERVER_SIDE, leg.controller),
            GATEWAY_SIDE if from.ip() == leg.controller => (POOL_SIDE, leg.gateway),
            NAME_SERVER_SIDE if from.ip() == leg.controller => (POOL_SIDE, leg.name_server?),
            _ => return None,
        };
        Some((out, SocketAddr::new(to, UDP_PORT)))
    }
}

/// The thread's own.
struct Work {
    ways: Vec<Way>,
    room: Vec<u8>,
    report: RelayReport,
    late_us: Histogram<u64>,
}

impl Work {
    fn new(ways: Vec<Way>) -> Self {
        let late_us = Histogram::new_with_bounds(1, LATENESS_MAX_US, 2).expect("invariant: constant bounds are right");
        Self { ways, room: vec![0; DATAGRAM_MAX], report: RelayReport::default(), late_us }
    }

    fn run(mut self, stop: &AtomicBool) -> RelayReport {
        while !stop.load(Ordering::Relaxed) {
            self.wait();
            self.receive();
            self.send();
        }
        self.report.late_p99_us = self.late_us.value_at_quantile(0.99);
        self.report.late_max_us = self.late_us.max();
        self.report
    }

    /// Until something comes or is due.
    fn wait(&self) {
        let due = self.ways.iter().filter_map(|way| way.line.next_due()).min();
        let patience = due.map_or(LOOK, |due| due.saturating_duration_since(Instant::now()).min(LOOK));
        let sockets = self.ways.iter().flat_map(|way| &way.sockets);
        let mut fds: Vec<_> = sockets.map(|socket| PollFd::new(socket.as_fd(), PollFlags::POLLIN)).collect();
        // An interrupted wait only comes round again.
        let _ = if patience.is_zero() {
            poll(&mut fds, PollTimeout::ZERO)
        } else {
            ppoll(&mut fds, Some(TimeSpec::from_duration(patience)), None)
        };
    }

    fn receive(&mut self) {
        for way in &mut self.ways {
            for socket in 0..way.sockets.len() {
                for _ in 0..BUDGET {
                    // An error of the socket itself cannot be told from an empty one here; both end the turn.
                    let Ok((length, from)) = way.sockets[socket].recv_from(&mut self.room) else { break };
                    let Some((out, to)) = way.onward(socket, from) else {
                        self.report.foreign += 1;
                        continue;
                    };
                    if !way.line.put(Instant::now(), out, to, &self.room[..length]) {
                        self.report.queue_full += 1;
                    }
                }
            }
        }
    }

    fn send(&mut self) {
        for way in &mut self.ways {
            let now = Instant::now();
            while let Some(Held { due, socket, to, payload }) = way.line.take(now) {
                let late_us = u64::try_from(now.saturating_duration_since(due).as_micros()).unwrap_or(LATENESS_MAX_US);
                self.late_us.saturating_record(late_us.max(1));
                match way.sockets[socket].send_to(&payload, to) {
                    Ok(_) => self.report.forwarded += 1,
                    Err(_) => self.report.not_sent += 1,
                }
            }
        }
    }
}

#[cfg(test)]
mod tests;
