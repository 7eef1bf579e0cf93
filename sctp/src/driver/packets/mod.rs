//! SCTP packets by sockets of ours: UDP encapsulation (RFC 6951) in batches with GSO and GRO, or raw IP protocol 132. One socket
//! for each own address.

mod raw;
mod receive;
mod send;
mod sockets;

use super::backend::{Backend, BindError, Round, Taken};
use super::packet::Framing;
use super::poller::{Poller, Ready};
use super::tap::Direction;
use super::{DriverConfig, DriverCounters};
use crate::{BackendKind, Input, Output, Transmit};
use receive::Receiver;
use send::{Sender, is_routable};
use sockets::Socket;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Instant;

pub(super) use raw::{kernel_in_the_way, permitted};

/// The sockets of a node.
#[derive(Debug)]
pub(super) struct PacketSockets {
    framing: Framing,
    sockets: Vec<Socket>,
    receive_budget: usize,
    send_budget: usize,
    counters: Arc<DriverCounters>,
    receiver: Receiver,
    sender: Sender,
    batch: Vec<Transmit>,
}

impl PacketSockets {
    /// Binds them.
    pub(super) fn bind(
        framing: Framing,
        config: &DriverConfig,
        counters: &Arc<DriverCounters>,
    ) -> Result<Self, BindError> {
        Ok(Self {
            framing,
            sockets: sockets::bind(framing, config)?,
            receive_budget: config.receive_budget_datagrams,
            send_budget: config.send_budget_datagrams,
            counters: Arc::clone(counters),
            receiver: Receiver::new(),
            sender: Sender::new(config),
            batch: Vec::new(),
        })
    }

    fn receive_from(&mut self, index: usize, budget: &mut usize, round: &mut Round<'_>) -> Taken {
        let socket = &mut self.sockets[index];
        let local = socket.local;
        self.receiver.receive(socket, budget, &self.counters, |now, datagram| {
            if let Some(tap) = &mut round.tap {
                tap.record(now, Direction::In, datagram.from, local, &datagram.payload);
            }
            round.node.input(now, Input::Packet(datagram));
        })
    }

    /// Tells the node of errors. True when there were any.
    fn errors(&mut self, index: usize, round: &mut Round<'_>) -> bool {
        let errors = &mut self.sockets[index].errors;
        if errors.is_empty() {
            return false;
        }
        let now = Instant::now();
        for error in errors.drain(..) {
            round.node.input(now, error);
        }
        true
    }

    fn writable(&mut self, index: usize, round: &Round<'_>) -> io::Result<()> {
        let socket = &mut self.sockets[index];
        if self.sender.send_backlog(socket, &self.counters) {
            round.poller.want_writable(index, &socket.fd, false)?;
        }
        Ok(())
    }

    /// Sends datagrams with one source address. True when ICMP errors came up.
    fn send_from(&mut self, batch: &[Transmit], now: Instant, round: &mut Round<'_>) -> io::Result<bool> {
        let from = batch[0].from;
        let Some(index) = self.sockets.iter().position(|s| s.local.ip() == from) else {
            self.counters.unroutable.add(batch.len());
            return Ok(false);
        };
        let local = self.sockets[index].local;
        for batch in batch.chunk_by(|a, b| a.to == b.to) {
            if !is_routable(from, batch[0].to) {
                self.counters.unroutable.add(batch.len());
                continue;
            }
            if let Some(tap) = &mut round.tap {
                for transmit in batch {
                    tap.record(now, Direction::Out, local, transmit.to, &transmit.payload);
                }
            }
            let socket = &mut self.sockets[index];
            let was_waiting = !socket.backlog.is_empty();
            self.sender.send(socket, batch, &self.counters);
            if !was_waiting && !socket.backlog.is_empty() {
                round.poller.want_writable(index, &socket.fd, true)?;
            }
        }
        Ok(self.errors(index, round))
    }
}

impl Backend for PacketSockets {
    fn kind(&self) -> BackendKind {
        match self.framing {
            Framing::Udp => BackendKind::Udp,
            Framing::Ip => BackendKind::Raw,
        }
    }

    fn local(&self) -> Vec<SocketAddr> {
        self.sockets.iter().map(|s| s.local).collect()
    }

    fn start(&mut self, poller: &Poller) -> io::Result<()> {
        self.sockets.iter().enumerate().try_for_each(|(key, socket)| poller.add(key, &socket.fd))
    }

    fn receive(&mut self, ready: &[Ready], mut round: Round<'_>) -> io::Result<Taken> {
        let mut budget = self.receive_budget;
        let mut taken = Taken::NOTHING;
        for ready in ready {
            if ready.error {
                self.sockets[ready.key].drain_errors(&self.counters);
            }
            if ready.writable {
                self.writable(ready.key, &round)?;
            }
            if ready.readable {
                taken.add(self.receive_from(ready.key, &mut budget, &mut round));
            }
            self.errors(ready.key, &mut round);
        }
        Ok(taken)
    }

    fn send(&mut self, now: Instant, mut round: Round<'_>) -> io::Result<bool> {
        let mut batch = std::mem::take(&mut self.batch);
        while batch.len() < self.send_budget {
            match round.node.output(now) {
                Some(Output::Packet(transmit)) => batch.push(transmit),
                // Only the kernel's backend can do it, and only its associations ask for it.
                Some(Output::Kernel(_)) => self.counters.unroutable.add(1),
                None => break,
            }
        }
        let mut more = batch.len() == self.send_budget;
        // Brings each destination's datagrams together; their order among themselves stays.
        batch.sort_by_key(|transmit| (transmit.from, transmit.to));
        for batch in batch.chunk_by(|a, b| a.from == b.from) {
            more |= self.send_from(batch, now, &mut round)?;
        }
        batch.clear();
        self.batch = batch;
        Ok(more)
    }
}
