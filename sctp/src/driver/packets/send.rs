//! Batched sending: runs of equal-sized datagrams to one destination leave as one call (GSO).

use super::sockets::Socket;
use crate::Transmit;
use crate::driver::packet::Framing;
use crate::driver::{DriverConfig, DriverCounters};
use nix::libc;
use quinn_udp::UdpSockRef;
use std::io;
use std::net::{IpAddr, SocketAddr};

/// Bytes of one GSO send: it must fit one IP packet's 64 KB with headers.
const RUN_BYTES_MAX: usize = 65_000;
/// Tries of one send. The second follows a pending ICMP error (trap 1); more only when each try met a new one.
const TRIES: usize = 4;

/// What sending a run came to.
enum Sent {
    /// The kernel took all, or refused some for good (counted).
    Done,
    /// No room; this many of the run were taken.
    Blocked(usize),
}

/// Sends for all sockets of a thread.
#[derive(Debug)]
pub(super) struct Sender {
    /// A run's datagrams, one behind the other.
    joined: Vec<u8>,
    gso: bool,
    gso_everywhere: bool,
    queue_max: usize,
}

impl Sender {
    pub(super) fn new(config: &DriverConfig) -> Self {
        let DriverConfig { gso, gso_everywhere, send_queue_datagrams: queue_max, .. } = *config;
        Self { joined: Vec::new(), gso, gso_everywhere, queue_max }
    }

    fn may_segment(&self, to: SocketAddr) -> bool {
        self.gso && (self.gso_everywhere || to.ip().is_loopback())
    }

    /// Sends datagrams of this socket in order; what the kernel has no room for waits in the socket's backlog.
    pub(super) fn send(&mut self, socket: &mut Socket, batch: &[Transmit], counters: &DriverCounters) {
        if !socket.backlog.is_empty() {
            return self.keep(socket, batch, counters);
        }
        if let Some(rest) = self.send_all(socket, batch, counters) {
            self.keep(socket, &batch[rest..], counters);
        }
    }

    /// Sends what waits. True when nothing waits any more.
    pub(super) fn send_backlog(&mut self, socket: &mut Socket, counters: &DriverCounters) -> bool {
        let mut backlog = std::mem::take(&mut socket.backlog);
        let taken = self.send_all(socket, backlog.make_contiguous(), counters).unwrap_or(backlog.len());
        backlog.drain(..taken);
        socket.backlog = backlog;
        socket.backlog.is_empty()
    }

    /// `Some(n)`: blocked after n.
    fn send_all(&mut self, socket: &mut Socket, batch: &[Transmit], counters: &DriverCounters) -> Option<usize> {
        let mut start = 0;
        while start < batch.len() {
            let segments = if self.may_segment(batch[start].to) { socket.state.max_gso_segments() } else { 1 };
            let end = start + run_length(&batch[start..], segments);
            match self.send_run(socket, &batch[start..end], counters) {
                Sent::Done => start = end,
                Sent::Blocked(taken) => return Some(start + taken),
            }
        }
        None
    }

    fn send_run(&mut self, socket: &mut Socket, run: &[Transmit], counters: &DriverCounters) -> Sent {
        if run.len() > 1 {
            match self.send_joined(socket, run, counters) {
                Ok(()) => return Sent::Done,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Sent::Blocked(0),
                // The kernel or the route cannot do it; quinn-udp has switched GSO off when that is for good.
                Err(error) => {
                    tracing::debug!("{}: segmented send: {error}; one by one", socket.local)
                }
            }
        }
        for (taken, transmit) in run.iter().enumerate() {
            match try_send(socket, transmit.to, &transmit.payload, None, counters) {
                Ok(()) => counters.count_out(1, transmit.payload.len()),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    return Sent::Blocked(taken);
                }
                Err(error) if error.raw_os_error() == Some(libc::EMSGSIZE) => {}
                Err(error) => {
                    counters.send_errors.add(1);
                    tracing::debug!("{} to {}: {error}", socket.local, transmit.to);
                }
            }
        }
        Sent::Done
    }

    fn send_joined(&mut self, socket: &mut Socket, run: &[Transmit], counters: &DriverCounters) -> io::Result<()> {
        self.joined.clear();
        for transmit in run {
            self.joined.extend_from_slice(&transmit.payload);
        }
        try_send(socket, run[0].to, &self.joined, Some(run[0].payload.len()), counters)?;
        counters.count_out(run.len(), self.joined.len());
        counters.segments_out.add(run.len());
        Ok(())
    }

    fn keep(&self, socket: &mut Socket, batch: &[Transmit], counters: &DriverCounters) {
        let room = self.queue_max.saturating_sub(socket.backlog.len()).min(batch.len());
        socket.backlog.extend(batch[..room].iter().cloned());
        counters.send_queue_dropped.add(batch.len() - room);
    }
}

/// One system call, again after a pending ICMP error that was not meant for this datagram (trap 1).
fn try_send(
    socket: &mut Socket,
    to: SocketAddr,
    contents: &[u8],
    segment_size: Option<usize>,
    counters: &DriverCounters,
) -> io::Result<()> {
    let destination = match socket.framing {
        Framing::Udp => to,
        // IP has no ports, and IPv6 takes one for a protocol number.
        Framing::Ip => SocketAddr::new(to.ip(), 0),
    };
    let transmit = quinn_udp::Transmit { destination, ecn: None, contents, segment_size, src_ip: None };
    let mut tries = 1;
    loop {
        counters.send_calls.add(1);
        let Err(error) = socket.state.try_send(UdpSockRef::from(&socket.fd), &transmit) else {
            return Ok(());
        };
        if error.kind() == io::ErrorKind::WouldBlock {
            counters.send_blocked.add(1);
            return Err(error);
        }
        let pending = socket.drain_errors(counters) > 0;
        if error.raw_os_error() == Some(libc::EMSGSIZE) {
            // Of a run, each one is tried by itself and tells.
            if segment_size.is_none() {
                counters.too_big.add(1);
                let too_big = socket.error_queue.too_big(to, contents);
                socket.errors.push(too_big.into());
            }
            return Err(error);
        }
        // The error of an ICMP whose entry found no room in the queue is pending too: so once more in any case.
        if tries > 1 && !pending || tries == TRIES {
            return Err(error);
        }
        tries += 1;
    }
}

/// Same SCTP ports and verification tag.
fn is_of_association(one: &Transmit, other: &Transmit) -> bool {
    one.payload.get(..8) == other.payload.get(..8)
}

/// How many of the batch's first datagrams can leave in one call: same destination, same size, only the last may be shorter. And same
/// association: where nobody listens, one call has one ICMP error, which quotes the first packet only.
fn run_length(batch: &[Transmit], segments_max: usize) -> usize {
    let first = &batch[0];
    let size = first.payload.len();
    let (mut count, mut bytes) = (1, size);
    for next in &batch[1..] {
        let len = next.payload.len();
        if count == segments_max
            || next.to != first.to
            || !is_of_association(next, first)
            || len > size
            || len == 0
            || bytes + len > RUN_BYTES_MAX
        {
            break;
        }
        count += 1;
        bytes += len;
        if len < size {
            break;
        }
    }
    count
}

/// Whether the kernel could route it. A refusal (EINVAL) would switch GSO off for the socket's life, so it is not tried.
pub(super) fn is_routable(from: IpAddr, to: SocketAddr) -> bool {
    let ip = to.ip();
    if to.port() == 0 || ip.is_unspecified() || ip.is_multicast() {
        return false;
    }
    match (from, ip) {
        (IpAddr::V4(from), IpAddr::V4(to)) => !to.is_broadcast() && (!from.is_loopback() || to.is_loopback()),
        (IpAddr::V6(_), IpAddr::V6(to)) => to.to_ipv4_mapped().is_none(),
        (IpAddr::V4(_), IpAddr::V6(_)) | (IpAddr::V6(_), IpAddr::V4(_)) => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::driver::packets::sockets;
    use bytes::Bytes;

    fn transmit(to: &str, len: usize) -> Transmit {
        Transmit { from: IpAddr::from([127, 0, 0, 1]), to: to.parse().unwrap(), payload: Bytes::from(vec![0; len]) }
    }

    fn batch(sizes: &[usize]) -> Vec<Transmit> {
        sizes.iter().map(|len| transmit("127.0.0.2:9", *len)).collect()
    }

    #[test]
    fn runs_are_equal_sized_and_only_the_last_is_shorter() {
        assert_eq!(run_length(&batch(&[100]), 64), 1);
        assert_eq!(run_length(&batch(&[100, 100, 100]), 64), 3);
        assert_eq!(run_length(&batch(&[100, 100, 40, 40]), 64), 3);
        assert_eq!(run_length(&batch(&[100, 101]), 64), 1);
        assert_eq!(run_length(&batch(&[100, 0]), 64), 1);
        assert_eq!(run_length(&batch(&[100; 100]), 64), 64);
        assert_eq!(run_length(&batch(&[100; 100]), 1), 1);
        assert_eq!(run_length(&batch(&[1_400; 64]), 64), 46);
        let other = [transmit("127.0.0.2:9", 10), transmit("127.0.0.2:8", 10)];
        assert_eq!(run_length(&other, 64), 1);
        // Another verification tag: another association.
        let mut two = batch(&[100, 100]);
        two[1].payload = Bytes::from([&[0, 0, 0, 0, 0, 0, 0, 1_u8][..], &[0; 92]].concat());
        assert_eq!(run_length(&two, 64), 1);
    }

    #[test]
    fn segments_leave_toward_loopback_only_unless_allowed() {
        let may = |gso, gso_everywhere, to: &str| {
            let config = DriverConfig { gso, gso_everywhere, ..DriverConfig::default() };
            Sender::new(&config).may_segment(to.parse().unwrap())
        };
        assert!(may(true, false, "127.3.2.1:9899") && may(true, false, "[::1]:9899"));
        assert!(!may(true, false, "10.0.0.1:9899") && may(true, true, "10.0.0.1:9899"));
        assert!(!may(false, true, "127.0.0.1:9899") && !may(false, true, "10.0.0.1:9899"));
    }

    #[test]
    fn what_cannot_be_routed_is_not_tried() {
        let ok = |from: &str, to: &str| is_routable(from.parse().unwrap(), to.parse().unwrap());
        assert!(ok("127.0.0.1", "127.9.9.9:1"));
        assert!(ok("10.0.0.1", "192.0.2.1:9899"));
        assert!(ok("::1", "[::1]:9899"));
        assert!(!ok("127.0.0.1", "192.0.2.1:9899"));
        assert!(!ok("127.0.0.1", "127.0.0.2:0"));
        assert!(!ok("127.0.0.1", "[::1]:9899"));
        assert!(!ok("10.0.0.1", "0.0.0.0:1"));
        assert!(!ok("10.0.0.1", "224.0.0.1:1"));
        assert!(!ok("10.0.0.1", "255.255.255.255:1"));
    }

    /// The loopback never lacks room, so the backlog is filled by hand.
    #[test]
    fn behind_a_backlog_everything_waits_in_order_up_to_the_limit() {
        let receiver = std::net::UdpSocket::bind("127.0.0.1:0").unwrap();
        let to = receiver.local_addr().unwrap().to_string();
        let config = DriverConfig { port: 0, send_queue_datagrams: 5, ..DriverConfig::default() };
        let mut sockets = sockets::bind(Framing::Udp, &config).unwrap();
        let (socket, counters) = (&mut sockets[0], &DriverCounters::default());
        let mut sender = Sender::new(&config);
        socket.backlog.push_back(transmit(&to, 1));
        let more: Vec<_> = (2..9).map(|len| transmit(&to, len)).collect();
        sender.send(socket, &more, counters);
        assert_eq!((socket.backlog.len(), counters.send_queue_dropped.get()), (5, 3));
        assert_eq!(counters.datagrams_out.get(), 0);
        assert!(sender.send_backlog(socket, counters));
        assert_eq!(counters.datagrams_out.get(), 5);
        for len in 1..=5 {
            assert_eq!(receiver.recv(&mut [0; 10]).unwrap(), len);
        }
    }
}
