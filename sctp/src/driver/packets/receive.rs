//! Batched reception: `recvmmsg`, for UDP with GRO.

use super::raw;
use super::sockets::Socket;
use crate::Datagram;
use crate::driver::DriverCounters;
use crate::driver::backend::Taken;
use crate::driver::packet::Framing;
use bytes::Bytes;
use quinn_udp::{RecvMeta, UdpSockRef};
use std::io::{self, IoSliceMut};
use std::net::SocketAddr;
use std::time::Instant;

/// Buffers a system call can fill.
const BUFFERS: usize = 16;
/// GRO delivers up to 64 KB in one buffer, and truncates silently when it is smaller.
const BUFFER_BYTES: usize = 1 << 16;
/// Failing receive calls after which a socket has to wait for the next round.
const FAILURES_MAX: usize = 8;

/// The receive buffers, one set for all sockets of a thread. Pages are only touched as far as batches fill them.
#[derive(Debug)]
pub(super) struct Receiver {
    buffers: Vec<u8>,
    meta: [RecvMeta; BUFFERS],
}

impl Receiver {
    pub(super) fn new() -> Self {
        Self { buffers: vec![0; BUFFERS * BUFFER_BYTES], meta: [RecvMeta::default(); BUFFERS] }
    }

    /// Hands datagrams and their time to `sink` until the socket is empty or `budget` is spent.
    pub(super) fn receive(
        &mut self,
        socket: &mut Socket,
        budget: &mut usize,
        counters: &DriverCounters,
        mut sink: impl FnMut(Instant, Datagram),
    ) -> Taken {
        let mut failures = 0;
        let mut at = None;
        while *budget > 0 && failures < FAILURES_MAX {
            match self.call(socket) {
                Ok(messages) => {
                    counters.receive_calls.add(1);
                    // Read after the call: nothing in it was sent later than this, however long the thread stood still before.
                    let now = *at.insert(Instant::now());
                    let datagrams = self.split(now, messages, socket, counters, &mut sink);
                    *budget = budget.saturating_sub(datagrams);
                    if messages < BUFFERS {
                        // Anything later raises a new event.
                        return Taken { drained: true, at };
                    }
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Taken { drained: true, at },
                Err(error) => {
                    failures += 1;
                    // A pending ICMP error comes out of receive calls too (trap 1).
                    if socket.drain_errors(counters) == 0 {
                        counters.receive_errors.add(1);
                        tracing::debug!("{}: receive: {error}", socket.local);
                    }
                }
            }
        }
        Taken { drained: false, at }
    }

    fn call(&mut self, socket: &Socket) -> io::Result<usize> {
        let mut chunks = self.buffers.chunks_exact_mut(BUFFER_BYTES);
        let mut slices: [IoSliceMut<'_>; BUFFERS] =
            std::array::from_fn(|_| IoSliceMut::new(chunks.next().expect("invariant: BUFFERS chunks were allocated")));
        socket.state.recv(UdpSockRef::from(&socket.fd), &mut slices, &mut self.meta)
    }

    /// Cuts the buffers into datagrams (GRO joins equal-sized ones; only the last may be shorter).
    fn split(
        &self,
        now: Instant,
        messages: usize,
        socket: &Socket,
        counters: &DriverCounters,
        sink: &mut impl FnMut(Instant, Datagram),
    ) -> usize {
        let mut datagrams = 0;
        for (meta, buffer) in self.meta[..messages].iter().zip(self.buffers.chunks_exact(BUFFER_BYTES)) {
            if socket.framing == Framing::Ip {
                datagrams += 1;
                let Some(payload) = raw::payload(socket.local.ip(), &buffer[..meta.len]) else {
                    counters.malformed_ip.add(1);
                    continue;
                };
                counters.bytes_in.add(payload.len());
                let from = SocketAddr::new(meta.addr.ip(), socket.local.port());
                sink(now, Datagram { from, to: socket.local.ip(), payload: Bytes::copy_from_slice(payload) });
                continue;
            }
            counters.bytes_in.add(meta.len);
            // An empty datagram is legal UDP and no SCTP.
            for payload in buffer[..meta.len].chunks(meta.stride.max(1)) {
                datagrams += 1;
                // Each its own copy: a message that is kept must not keep 64 KB.
                let payload = Bytes::copy_from_slice(payload);
                sink(now, Datagram { from: meta.addr, to: socket.local.ip(), payload });
            }
        }
        counters.datagrams_in.add(datagrams);
        datagrams
    }
}
