//! How long packets may be on each path: probes, and what is concluded from losses and ICMP (RFC 8899, RFC 9260 section 7.3).

use super::{Assoc, Ctx};
use crate::wire::{self, Packet, kind};
use std::time::Instant;

impl Assoc {
    /// The next probe. Only where data may go, and only while the association sends some.
    pub(super) fn mtu_probe_at(&self) -> Option<Instant> {
        let usable = self.paths.iter().filter(|p| p.usable() && self.state.sends_data());
        usable.filter_map(|p| p.mtu.poll_timeout()).min()
    }

    pub(super) fn probe_mtu(&mut self, ctx: &mut Ctx<'_>) {
        for path in 0..self.paths.len() {
            if !self.paths[path].usable() {
                continue;
            }
            let before = self.paths[path].mtu.length();
            let probe = self.paths[path].mtu.due(ctx.now);
            ctx.counters.mtu_lowered += u64::from(self.paths[path].mtu.length() < before);
            if let Some(length) = probe {
                self.send_mtu_probe(ctx, path, length);
            }
        }
    }

    /// A HEARTBEAT with a PAD chunk behind it (RFC 4820). Its loss says nothing of the peer and is no error of the path.
    fn send_mtu_probe(&mut self, ctx: &mut Ctx<'_>, path: usize, length: usize) {
        let heartbeat = self.heartbeat(ctx, path, length);
        let mut packet = Packet::new(self.header(), length);
        packet.raw(&heartbeat);
        let padding = length.saturating_sub(packet.len() + wire::TLV);
        packet.chunk(kind::PAD, 0, &[&vec![0; padding]]);
        ctx.counters.mtu_probes += 1;
        self.emit(ctx, path, packet);
    }

    pub(super) fn mtu_confirmed(&mut self, ctx: &mut Ctx<'_>, path: usize, length: usize) {
        let before = self.paths[path].mtu.length();
        self.paths[path].mtu.confirmed(length, ctx.now);
        ctx.counters.mtu_raised += u64::from(self.paths[path].mtu.length() > before);
    }

    /// A packet was refused on the way; one of `largest` bytes would have passed.
    pub(crate) fn too_big(&mut self, ctx: &mut Ctx<'_>, path: usize, largest: Option<usize>) {
        ctx.counters.mtu_under_base += u64::from(largest.is_some_and(|largest| largest < ctx.config.mtu));
        let lowered = self.paths[path].mtu.too_big(largest, ctx.now);
        ctx.counters.mtu_lowered += u64::from(lowered);
    }

    /// T3-rtx expired: perhaps the packets were too long.
    pub(super) fn mtu_silence(&mut self, ctx: &mut Ctx<'_>, path: usize) {
        let lowered = self.paths[path].mtu.black_hole(ctx.now);
        ctx.counters.mtu_lowered += u64::from(lowered);
    }
}
