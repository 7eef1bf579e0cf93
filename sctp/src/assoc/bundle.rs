//! Chunks into packets, each to one destination from one address of ours, up to the MTU.

use crate::Transmit;
use crate::wire::{self, Header, Packet};
use std::collections::VecDeque;
use std::net::{IpAddr, SocketAddr};

/// Our address and the peer's.
pub(super) type Way = (IpAddr, SocketAddr);

/// The packets that leave together; chunks of one way stay in order.
#[derive(Debug)]
pub(super) struct Bundles {
    header: Header,
    mtu: usize,
    open: Vec<Bundle>,
}

impl Bundles {
    pub(super) fn new(header: Header, mtu: usize) -> Self {
        Self { header, mtu, open: Vec::new() }
    }

    /// Packets of this way may be so long.
    pub(super) fn widen(&mut self, way: Way, mtu: usize) {
        self.of(way).mtu = mtu;
    }

    /// A whole chunk.
    pub(super) fn chunk(&mut self, out: &mut VecDeque<Transmit>, way: Way, chunk: &[u8]) {
        self.of(way).room(out, chunk.len()).raw(chunk);
    }

    /// A chunk in parts.
    pub(super) fn tlv(&mut self, out: &mut VecDeque<Transmit>, way: Way, kind: u8, flags: u8, parts: &[&[u8]]) {
        let length = wire::TLV + parts.iter().map(|p| p.len()).sum::<usize>();
        self.of(way).room(out, length).chunk(kind, flags, parts);
    }

    /// What is not full leaves too.
    pub(super) fn finish(self, out: &mut VecDeque<Transmit>) {
        for mut bundle in self.open {
            bundle.send(out);
        }
    }

    fn of(&mut self, (from, to): Way) -> &mut Bundle {
        let known = self.open.iter().position(|b| (b.from, b.to) == (from, to));
        let index = known.unwrap_or(self.open.len());
        if known.is_none() {
            self.open.push(Bundle { header: self.header, mtu: self.mtu, from, to, packet: None });
        }
        &mut self.open[index]
    }
}

/// Chunks to one destination, packed into packets up to the MTU.
#[derive(Debug)]
struct Bundle {
    header: Header,
    mtu: usize,
    from: IpAddr,
    to: SocketAddr,
    packet: Option<Packet>,
}

impl Bundle {
    fn room(&mut self, out: &mut VecDeque<Transmit>, length: usize) -> &mut Packet {
        if self.packet.as_ref().is_some_and(|p| p.len() + wire::padded(length) > self.mtu) {
            self.send(out);
        }
        self.packet.get_or_insert_with(|| Packet::new(self.header, self.mtu))
    }

    fn send(&mut self, out: &mut VecDeque<Transmit>) {
        if let Some(packet) = self.packet.take() {
            out.push_back(Transmit { from: self.from, to: self.to, payload: packet.finish() });
        }
    }
}
