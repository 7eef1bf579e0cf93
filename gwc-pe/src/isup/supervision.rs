//! Circuit and group supervision: reset, blocking, query (Q.764 2.8.2, 2.8.3, 2.9.2, 2.9.3, 2.12).

use super::circuit::{Call, Due, Maintenance, Repeat, flag};
use super::counters::Outcome;
use super::group::{Context, Group, GroupReset, Verdict};
use super::message::{self, Blocking, CircuitMessage, GROUP_CIRCUITS, GroupMessage, Range, cause};

impl Group {
    /// A message of one circuit.
    pub(super) fn circuit_message(&mut self, cx: &mut Context, index: usize, message: CircuitMessage) {
        match message {
            CircuitMessage::Rsc => self.reset_received(cx, index),
            CircuitMessage::Blo => self.block_received(cx, index),
            CircuitMessage::Ubl => self.unblock_received(cx, index),
            CircuitMessage::Bla => self.block_acknowledged(cx, index),
            CircuitMessage::Uba => self.unblock_acknowledged(cx, index),
            CircuitMessage::Ucic => self.unequipped_received(cx, index),
            // We send neither CGB nor CGU, so these answer nothing.
            CircuitMessage::GroupBlockingAck => cx.counters.unexpected += 1,
        }
    }

    /// A message of several circuits; unsupported when some of them are beyond the group.
    pub(super) fn group_message(
        &mut self,
        cx: &mut Context,
        index: usize,
        message: GroupMessage,
        range: Range,
    ) -> Verdict {
        if index + usize::from(range.range) >= usize::from(GROUP_CIRCUITS) {
            cx.counters.beyond_group += 1;
            return Verdict::Unsupported;
        }
        match message {
            GroupMessage::Reset => self.group_reset_received(cx, index, range),
            GroupMessage::ResetAck => self.group_reset_acknowledged(cx, index, range),
            GroupMessage::Query => self.queried(cx, index, range),
            GroupMessage::Block(kind) => self.group_block_received(cx, index, kind, range),
            GroupMessage::Unblock(kind) => self.group_unblock_received(cx, index, kind, range),
        }
        Verdict::Applied
    }

    fn group_unblock_received(&mut self, cx: &mut Context, index: usize, kind: Blocking, range: Range) {
        let cic = self.id.cic(index);
        for named in self.named(cx, index, range) {
            self.circuits[named].set(remote_flag(kind), false);
        }
        cx.send(cic, message::cgua(cic, kind, range));
    }

    /// The circuits in service that a group message names with a set bit.
    fn named(&self, cx: &Context, first: usize, range: Range) -> Vec<usize> {
        (0..=usize::from(range.range))
            .filter(|offset| range.status & (1 << offset) != 0)
            .map(|offset| first + offset)
            .filter(|index| cx.config.equipped(self.id.cic(*index)))
            .collect()
    }

    /// Clears the call and the other end's blocking. True when a call of ours must try again elsewhere.
    fn cleared_by_peer(&mut self, cx: &mut Context, index: usize) -> bool {
        let again = self.circuits[index].call == Call::OutgoingIam;
        self.circuits[index].set(flag::REMOTE_MAINTENANCE | flag::REMOTE_HARDWARE, false);
        self.end(cx, index, Outcome::ResetByPeer, Call::Idle);
        again
    }

    /// RSC (Q.764 2.9.3.1).
    fn reset_received(&mut self, cx: &mut Context, index: usize) {
        let cic = self.id.cic(index);
        cx.counters.resets_received += 1;
        let again = self.cleared_by_peer(cx, index);
        if self.circuits[index].has(flag::LOCAL_MAINTENANCE) {
            self.block(cx, index);
        }
        cx.send(cic, message::rlc(cic));
        if again {
            self.repeat_attempt(cx);
        }
    }

    /// GRS (Q.764 2.9.3.2); the answer says which circuits this end blocks.
    fn group_reset_received(&mut self, cx: &mut Context, index: usize, range: Range) {
        let cic = self.id.cic(index);
        cx.counters.resets_received += 1;
        let (mut again, mut status) = (0, 0);
        for named in self.named(cx, index, range) {
            again += u32::from(self.cleared_by_peer(cx, named));
            status |= u32::from(self.circuits[named].has(flag::LOCAL_MAINTENANCE)) << (named - index);
        }
        cx.send(cic, message::gra(cic, Range { range: range.range, status }));
        for _ in 0..again {
            self.repeat_attempt(cx);
        }
    }

    fn group_reset_acknowledged(&mut self, cx: &mut Context, index: usize, range: Range) {
        let expected = self.reset.is_some_and(|reset| usize::from(reset.first) == index && reset.range == range.range);
        if !expected {
            cx.counters.unexpected += 1;
            return;
        }
        self.reset = None;
        for offset in 0..=usize::from(range.range) {
            if self.circuits[index + offset].call == Call::GroupResetting {
                self.enter(cx, index + offset, Call::Idle);
                self.circuits[index + offset].set(flag::REMOTE_MAINTENANCE, range.status & (1 << offset) != 0);
            }
        }
    }

    fn block_received(&mut self, cx: &mut Context, index: usize) {
        let cic = self.id.cic(index);
        cx.counters.blockings_received += 1;
        self.circuits[index].set(flag::REMOTE_MAINTENANCE, true);
        cx.send(cic, message::bla(cic));
        self.leave_blocked(cx, index);
    }

    /// A call that has no backward message yet leaves a circuit that was just blocked (Q.764 2.8.2.1).
    fn leave_blocked(&mut self, cx: &mut Context, index: usize) {
        if self.circuits[index].call == Call::OutgoingIam {
            self.release(cx, index, Outcome::CircuitUnavailable, cause::UNSPECIFIED);
            self.repeat_attempt(cx);
        }
    }

    fn group_block_received(&mut self, cx: &mut Context, index: usize, kind: Blocking, range: Range) {
        let cic = self.id.cic(index);
        cx.counters.blockings_received += 1;
        cx.send(cic, message::cgba(cic, kind, range));
        let named = self.named(cx, index, range);
        // All flags first: a repeat attempt must not take a circuit of the same message.
        for &circuit in &named {
            self.circuits[circuit].set(remote_flag(kind), true);
        }
        for circuit in named {
            match kind {
                Blocking::Maintenance => self.leave_blocked(cx, circuit),
                // Hardware failure: calls are cleared without REL (Q.764 2.8.2.2).
                Blocking::Hardware => {
                    let again = self.circuits[circuit].call == Call::OutgoingIam;
                    self.end(cx, circuit, Outcome::ResetByPeer, Call::Idle);
                    if again {
                        self.repeat_attempt(cx);
                    }
                }
            }
        }
    }

    fn unblock_received(&mut self, cx: &mut Context, index: usize) {
        let cic = self.id.cic(index);
        self.circuits[index].set(flag::REMOTE_MAINTENANCE, false);
        cx.send(cic, message::uba(cic));
    }

    /// BLA; when nothing is blocked here, the other end believes otherwise and gets UBL (Q.764 2.9.2 xi).
    fn block_acknowledged(&mut self, cx: &mut Context, index: usize) {
        match self.circuits[index].maintenance {
            Maintenance::Blocking => self.circuits[index].start_blocking(cx.now, cx.config, Maintenance::Settled),
            Maintenance::Settled if !self.circuits[index].has(flag::LOCAL_MAINTENANCE) => {
                cx.counters.unexpected += 1;
                self.unblock(cx, index);
            }
            Maintenance::Settled | Maintenance::Unblocking => cx.counters.unexpected += 1,
        }
    }

    /// UBA; when the circuit is blocked here, the other end gets BLO again (Q.764 2.9.2 xii).
    fn unblock_acknowledged(&mut self, cx: &mut Context, index: usize) {
        match self.circuits[index].maintenance {
            Maintenance::Unblocking => {
                self.circuits[index].set(flag::LOCAL_MAINTENANCE, false);
                self.circuits[index].start_blocking(cx.now, cx.config, Maintenance::Settled);
            }
            Maintenance::Settled if self.circuits[index].has(flag::LOCAL_MAINTENANCE) => {
                cx.counters.unexpected += 1;
                self.block(cx, index);
            }
            Maintenance::Settled | Maintenance::Blocking => cx.counters.unexpected += 1,
        }
    }

    /// Blocks for maintenance: BLO, T12/T13.
    pub(super) fn block(&mut self, cx: &mut Context, index: usize) {
        let cic = self.id.cic(index);
        self.circuits[index].set(flag::LOCAL_MAINTENANCE, true);
        self.circuits[index].start_blocking(cx.now, cx.config, Maintenance::Blocking);
        cx.send(cic, message::blo(cic));
    }

    /// Unblocks: UBL, T14/T15. The circuit stays blocked until UBA.
    pub(super) fn unblock(&mut self, cx: &mut Context, index: usize) {
        let cic = self.id.cic(index);
        self.circuits[index].start_blocking(cx.now, cx.config, Maintenance::Unblocking);
        cx.send(cic, message::ubl(cic));
    }

    pub(super) fn blocking_timeout(&mut self, cx: &mut Context, index: usize) {
        let (cic, config) = (self.id.cic(index), cx.config);
        let circuit = &mut self.circuits[index];
        let (short_ms, long_ms, again) = match circuit.maintenance {
            Maintenance::Settled => return,
            Maintenance::Blocking => (config.t12_ms, config.t13_ms, message::blo(cic)),
            Maintenance::Unblocking => (config.t14_ms, config.t15_ms, message::ubl(cic)),
        };
        let due = circuit.blocking.check(cx.now, short_ms, long_ms);
        if due != Due::No {
            cx.counters.maintenance_alerts += u64::from(due == Due::Long);
            cx.send(cic, again);
        }
    }

    /// UCIC: the other end does not have the circuit (Q.764 2.12).
    fn unequipped_received(&mut self, cx: &mut Context, index: usize) {
        let circuit = &mut self.circuits[index];
        if circuit.call == Call::Idle && circuit.maintenance == Maintenance::Settled {
            cx.counters.unexpected += 1;
            return;
        }
        let again = circuit.call == Call::OutgoingIam;
        circuit.set(flag::UNEQUIPPED, true);
        circuit.start_blocking(cx.now, cx.config, Maintenance::Settled);
        cx.counters.maintenance_alerts += 1;
        self.end(cx, index, Outcome::CircuitUnavailable, Call::Idle);
        if again {
            self.repeat_attempt(cx);
        }
    }

    fn queried(&mut self, cx: &mut Context, index: usize, range: Range) {
        let cic = self.id.cic(index);
        let states: Vec<u8> = (index..=index + usize::from(range.range)).map(|i| self.circuit_state(cx, i)).collect();
        cx.send(cic, message::cqr(cic, range.range, &states));
    }

    /// Circuit state indicator (Q.763 3.14): bits BA maintenance blocking, DC call, FE hardware blocking.
    fn circuit_state(&self, cx: &Context, index: usize) -> u8 {
        let circuit = &self.circuits[index];
        if !cx.config.equipped(self.id.cic(index)) {
            return 0b00_00_11;
        }
        let maintenance =
            u8::from(circuit.has(flag::LOCAL_MAINTENANCE)) | u8::from(circuit.has(flag::REMOTE_MAINTENANCE)) << 1;
        let call = match circuit.call {
            Call::Releasing | Call::Resetting | Call::GroupResetting => return 0,
            Call::IncomingCot | Call::Incoming | Call::IncomingAcm | Call::AnsweredIn => 0b01,
            Call::OutgoingIam | Call::OutgoingAcm | Call::AnsweredOut => 0b10,
            Call::Idle => 0b11,
        };
        let hardware = u8::from(circuit.has(flag::REMOTE_HARDWARE)) << 1;
        hardware << 4 | call << 2 | maintenance
    }

    /// Index of the first circuit that is in service, and range octet up to the last one.
    pub(super) fn in_service(&self, cx: &Context) -> Option<(u8, u8)> {
        let inside = |index: &u8| cx.config.equipped(self.id.cic(usize::from(*index)));
        let first = (0..GROUP_CIRCUITS).find(inside)?;
        Some((first, (0..GROUP_CIRCUITS).rfind(inside)? - first))
    }

    /// GRS for every circuit of the group that is in service; RSC when that is a single one.
    pub(super) fn reset_all(&mut self, cx: &mut Context) {
        let Some((first, range)) = self.in_service(cx) else { return };
        if range == 0 {
            return self.reset_circuit(cx, usize::from(first));
        }
        for index in first..=first + range {
            self.end(cx, usize::from(index), Outcome::ResetByUs, Call::GroupResetting);
        }
        let cic = self.id.cic(usize::from(first));
        let repeat = Repeat::start(cx.now, cx.config.t22_ms, cx.config.t23_ms);
        self.reset = Some(GroupReset { first, range, repeat });
        cx.counters.resets_sent += 1;
        cx.send(cic, message::grs(cic, range));
    }

    /// T22/T23.
    pub(super) fn reset_timeout(&mut self, cx: &mut Context) {
        let Some(reset) = &mut self.reset else { return };
        let due = reset.repeat.check(cx.now, cx.config.t22_ms, cx.config.t23_ms);
        if due != Due::No {
            let (first, range) = (usize::from(reset.first), reset.range);
            let cic = self.id.cic(first);
            cx.counters.maintenance_alerts += u64::from(due == Due::Long);
            cx.counters.resets_sent += 1;
            cx.send(cic, message::grs(cic, range));
        }
    }
}

fn remote_flag(kind: Blocking) -> u8 {
    match kind {
        Blocking::Maintenance => flag::REMOTE_MAINTENANCE,
        Blocking::Hardware => flag::REMOTE_HARDWARE,
    }
}
