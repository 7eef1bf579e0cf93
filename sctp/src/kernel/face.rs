//! [`KernelStack`] as [`Associations`].

use super::Operation;
use super::assoc::{Assoc, KernelPath, Phase};
use super::stack::KernelStack;
use crate::associations::{Associations, Input, Output};
use crate::{AssocId, AssocState, CloseReason, Config, Connect, Counters, Event, Info, SendError, SendOptions};
use bytes::Bytes;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

impl Associations for KernelStack {
    fn listen(&mut self, port: u16) {
        self.operations.push_back(Operation::Listen { port });
    }

    fn stop_listening(&mut self, port: u16) {
        self.operations.push_back(Operation::StopListening { port });
    }

    fn connect(&mut self, now: Instant, connect: Connect) -> Result<AssocId, SendError> {
        if !self.may_connect(&connect) {
            self.counters.refused_connect += 1;
            return Err(SendError::NotOpen);
        }
        let Connect { peer, peer_port, local_port } = connect;
        let mut assoc = Assoc::new(false, local_port.unwrap_or(0), peer_port);
        for address in &peer {
            if !assoc.paths.iter().any(|p| p.address.ip() == address.ip()) {
                assoc.paths.push(KernelPath::new(*address, true, now));
            }
        }
        let peer = assoc.paths.iter().map(|p| p.address.ip()).collect();
        let id = self.insert(assoc);
        self.operations.push_back(Operation::Connect { assoc: id, peer, peer_port, local_port });
        Ok(id)
    }

    fn send(&mut self, _: Instant, id: AssocId, options: SendOptions, payload: Bytes) -> Result<(), SendError> {
        if let Err(error) = self.may_send(id, options.stream, payload.len()) {
            return Err(self.refuse(error));
        }
        if let Some(assoc) = self.assocs.get_mut(&id) {
            assoc.push(options, payload);
        }
        self.counters.messages_accepted += 1;
        self.mark(id);
        Ok(())
    }

    fn shutdown(&mut self, now: Instant, id: AssocId) {
        let Some(assoc) = self.assocs.get_mut(&id) else { return };
        match assoc.phase {
            Phase::Connecting => self.abort(now, id, &[]),
            Phase::Up => {
                assoc.phase = Phase::Closing { ours: true };
                self.mark(id);
            }
            Phase::Closing { .. } | Phase::Aborting(_) | Phase::Ended(_) => {}
        }
    }

    fn abort(&mut self, now: Instant, id: AssocId, reason: &[u8]) {
        // The cause must fit one packet.
        let reason = Bytes::copy_from_slice(reason.get(..512).unwrap_or(reason));
        let Some(assoc) = self.assocs.get(&id) else { return };
        match assoc.phase {
            Phase::Connecting => {
                if let Some(kernel) = assoc.kernel {
                    self.operations.push_back(Operation::Abort { kernel, reason });
                }
                // Nothing was accepted yet, so nothing is to be waited for.
                self.close(id, CloseReason::LocalAbort, true);
            }
            Phase::Up | Phase::Closing { .. } => self.end(now, id, CloseReason::LocalAbort, reason),
            Phase::Aborting(_) | Phase::Ended(_) => {}
        }
    }

    fn handle_input(&mut self, now: Instant, input: Input) {
        match input {
            Input::Kernel(notice) => self.handle_notice(now, notice),
            // The kernel keeps packets and their errors to itself.
            Input::Packet(_) | Input::Unreachable(_) | Input::TooBig(_) => self.counters.dropped_unexpected += 1,
        }
    }

    fn handle_timeout(&mut self, now: Instant) {
        while let Some((at, id)) = self.timers.first().copied().filter(|(at, _)| *at <= now) {
            self.timers.remove(&(at, id));
            let Some(assoc) = self.assocs.get_mut(&id) else { continue };
            assoc.at = None;
            match assoc.phase.clone() {
                Phase::Up | Phase::Closing { .. } => {
                    self.ask(now, id);
                    self.schedule(id, now + self.ask_interval());
                }
                Phase::Aborting(reason) => self.close(id, reason, false),
                Phase::Connecting | Phase::Ended(_) => {}
            }
        }
    }

    fn poll_output(&mut self, _: Instant) -> Option<Output> {
        let operation = self.operation()?;
        self.counters.packets_out += 1;
        Some(Output::Kernel(operation))
    }

    fn poll_event(&mut self) -> Option<Event> {
        self.events.pop_front()
    }

    fn poll_timeout(&self) -> Option<Instant> {
        self.timers.first().map(|(at, _)| *at)
    }

    fn outstanding(&self, id: AssocId) -> (usize, usize) {
        self.assocs.get(&id).map_or((0, 0), Assoc::outstanding)
    }

    fn rtt(&self, id: AssocId) -> Option<Duration> {
        self.assocs.get(&id)?.rtt()
    }

    fn state(&self, id: AssocId) -> Option<AssocState> {
        match self.assocs.get(&id)?.phase {
            Phase::Connecting => Some(AssocState::Connecting),
            Phase::Up => Some(AssocState::Up),
            Phase::Closing { .. } | Phase::Ended(_) => Some(AssocState::Closing),
            Phase::Aborting(_) => None,
        }
    }

    fn addresses(&self, id: AssocId) -> Vec<SocketAddr> {
        self.assocs.get(&id).map(|a| a.paths.iter().map(|p| p.address).collect()).unwrap_or_default()
    }

    fn info(&self, id: AssocId) -> Option<Info> {
        let assoc = self.assocs.get(&id)?;
        let (outstanding_messages, outstanding_bytes) = assoc.outstanding();
        let before = |streams: u16, configured| if streams == 0 { configured } else { streams };
        Some(Info {
            state: self.state(id)?,
            local_port: assoc.local_port,
            peer_port: assoc.peer_port,
            incoming: assoc.incoming,
            paths: assoc.path_infos(&self.local),
            outbound_streams: before(assoc.outbound_streams, self.config.outbound_streams),
            inbound_streams: before(assoc.inbound_streams, self.config.inbound_streams),
            outstanding_messages,
            outstanding_bytes,
        })
    }

    fn associations(&self) -> Vec<AssocId> {
        let visible = |(id, assoc): (&AssocId, &Assoc)| (!matches!(assoc.phase, Phase::Aborting(_))).then_some(*id);
        self.assocs.iter().filter_map(visible).collect()
    }

    fn counters(&self) -> Counters {
        self.counters
    }

    fn config(&self) -> &Config {
        &self.config
    }
}
