//! The gateway as one of two: what comes of the mate's events, and what is done once it is mirrored.

use super::Node;
use crate::config::{self, Config};
use crate::mate::forwards::Accepted;
use crate::mate::journal::Effect;
use crate::mate::mirror::{Limits, Mirror};
use crate::mate::{Identity, Mate, MateCx, MateEvent};
use crate::msu;
use crate::network::Network;
use crate::pool::{Directory, Origin, Pool, Settings};
use crate::record::{Direction, Discard};
use crate::route::Traffic;
use bytes::Bytes;
use m3ua_lite::session::CorrelationId;
use m3ua_lite::wire::{Data, Message};
use sctp::{AssocId, Associations as _};
use std::time::{Duration, Instant};

/// The gateway's part of two, by its configuration.
pub(super) fn mate(now: Instant, config: &Config) -> Mate {
    let identity = Identity { gateway: config.node.gateway, tables: tables(config) };
    Mate::new(now, config.mate.clone(), &config.udp.addresses, identity, limits(config))
}

/// Those of each `[[as]]` table.
pub(super) fn limits(config: &Config) -> Vec<Limits> {
    let each = config.application_servers.iter();
    each.map(|server| Limits { groups_max: server.groups_max, queue_max: server.queue_messages_max }).collect()
}

/// A hash of the `[[as]]` tables (FNV-1a): both gateways must serve the same.
pub(super) fn tables(config: &Config) -> u32 {
    let text = format!("{:?}", config.application_servers);
    text.bytes().fold(0x811c_9dc5, |hash: u32, byte| (hash ^ u32::from(byte)).wrapping_mul(0x0100_0193))
}

/// The network side, which knows whether there may be a second gateway.
pub(super) fn network(now: Instant, config: &Config) -> Network {
    let mate = config.mate.is_there().then(|| config.mate.clone());
    Network::new(now, config.network.clone(), config.networks(), mate)
}

/// All pools, without anything of before. Of two gateways each begins as one that does not lead.
pub(super) fn pools(now: Instant, config: &Config, epoch: u8) -> Vec<Pool> {
    (0..config.application_servers.len()).map(|number| pool(now, config, epoch, number)).collect()
}

/// One of them.
pub(super) fn pool(now: Instant, config: &Config, epoch: u8, number: usize) -> Pool {
    let standby = config.mate.is_there();
    let room = if standby { config::STEP_BYTES } else { 0 };
    Pool::new(
        now,
        Settings {
            server: config.application_servers[number].clone(),
            failover: config.failover.clone(),
            message_bytes_max: config.sctp.message_bytes_max.saturating_sub(room),
            first_id: CorrelationId::start(config.node.gateway, epoch),
            // No more than 256 tables are allowed.
            number: number as u8,
            standby,
        },
    )
}

/// DATA with its Network Appearance in it.
fn named(traffic: &Traffic<'_>, id: CorrelationId) -> Option<Bytes> {
    msu::encode(&Message::Data(Data {
        network_appearance: traffic.network,
        routing_context: None,
        protocol_data: traffic.message,
        correlation_id: Some(id.0).filter(|id| *id != 0),
    }))
}

impl Node {
    pub(super) fn with_mate<R>(&mut self, now: Instant, work: impl FnOnce(&mut Mate, &mut MateCx<'_>) -> R) -> R {
        let mut cx = MateCx { now, net: &mut self.wire, journal: &mut self.journal };
        work(&mut self.mate, &mut cx)
    }

    /// Before anything is acted on: may this gateway still act?
    pub(super) fn check_mate(&mut self, now: Instant) {
        self.with_mate(now, |mate, cx| mate.check(cx));
        self.mate_events(now);
    }

    /// Does what the mate, the controllers' votes, and what is mirrored now ask for. False: nothing.
    pub(super) fn settle_mate(&mut self, now: Instant) -> bool {
        let mut moved = self.mate_events(now);
        for index in 0..self.pools.len() {
            while let Some(vote) = self.pools[index].poll_vote() {
                moved = true;
                self.with_mate(now, |mate, cx| match vote.agrees {
                    true => mate.agreed(cx, vote.pe, vote.term),
                    false => mate.refused(cx, vote.term),
                });
            }
        }
        while let Some(effect) = self.journal.poll_effect() {
            moved = true;
            self.effect(now, effect);
        }
        if let Some(count) = self.network.take_delivered() {
            self.journal.delivered(count);
        }
        moved
    }

    fn mate_events(&mut self, now: Instant) -> bool {
        let mut moved = false;
        while let Some(event) = self.mate.poll_event() {
            moved = true;
            match event {
                MateEvent::Lead(mirror) => self.lead(now, mirror),
                MateEvent::Snapshot => {
                    let pools = &self.pools;
                    self.journal.begin(|journal| pools.iter().for_each(|pool| pool.tell_all(now, journal)));
                }
                MateEvent::Alone => self.journal.end(),
                MateEvent::Forwarded(number, data) => self.forwarded(now, number, &data),
                MateEvent::Accepted(Accepted { assoc, stream, data }) => {
                    self.journal.then(Effect::Accepted { assoc, stream, data });
                }
                MateEvent::Committed((pe, incarnation, transaction)) => {
                    self.record.committed(now, pe, incarnation, transaction);
                }
                MateEvent::Ask(term) => self.ask(now, term),
                MateEvent::Fenced => self.begin_anew(now),
            }
        }
        if moved && self.mate.leads() {
            let term = self.mate.term();
            self.pools.iter_mut().for_each(|pool| pool.set_term(term, false));
        }
        moved
    }

    fn effect(&mut self, now: Instant, effect: Effect) {
        let interval = Duration::from_millis(self.config.mate.network_confirm_ms);
        let given = self.journal.is_paired().then(|| self.journal.given());
        let prefers = self.config.mate.network_prefers;
        match effect {
            Effect::Output(msu) => self.with_network(now, |network, cx| network.send(cx, msu)),
            Effect::Again(msu) => {
                self.mate.counters.sent_again += 1;
                self.with_network(now, |network, cx| network.send_again(cx, msu, prefers));
            }
            Effect::Committed { pe, incarnation, transaction } => {
                return self.record.committed(now, pe, incarnation, transaction);
            }
            Effect::Accepted { assoc, stream, data } => {
                return self.with_network(now, |network, cx| network.accepted(cx, assoc, stream, &data));
            }
        }
        if let Some(given) = given {
            self.network.note_given(now, given, interval);
        }
    }

    /// This gateway leads, with what it mirrored, and with what the network sent it for the other one.
    fn lead(&mut self, now: Instant, mirror: Option<Mirror>) {
        let term = self.mate.term();
        self.pools.iter_mut().for_each(|pool| pool.set_term(term, false));
        if let Some(mirror) = mirror {
            let (pools, outputs) = mirror.take();
            for (index, groups) in pools.into_iter().enumerate() {
                for (key, group) in groups {
                    self.with_pool(now, index, |pool, cx| pool.adopt(cx, key, group));
                }
            }
            self.journal.take_over(outputs);
        }
        let (messages, barriers) = self.mate.take_forwards();
        for data in messages {
            self.forwarded(now, 0, &data);
        }
        for Accepted { assoc, stream, data } in barriers {
            self.journal.then(Effect::Accepted { assoc, stream, data });
        }
    }

    /// DATA of the network: to its pool, or to the gateway that leads.
    pub(super) fn data(
        &mut self,
        now: Instant,
        assoc: AssocId,
        (traffic, id): (&Traffic<'_>, CorrelationId),
        payload: &Bytes,
    ) {
        if self.mate.leads() {
            return self.offer(now, Some(assoc), traffic, Origin { id, forward: 0 });
        }
        // The Network Appearance that the association implies is not known at the other gateway.
        let named = traffic.network.and_then(|_| named(traffic, id));
        let payload = named.as_ref().unwrap_or(payload);
        if !self.with_mate(now, |mate, cx| mate.forward(cx, payload)) {
            self.record.discarded(now, Discard::QueueFull, Direction::Up, &traffic.message);
        }
    }

    /// A peer of the network asks what of it is accepted.
    pub(super) fn barrier(&mut self, assoc: AssocId, stream: u16, data: &[u8]) {
        let data = Bytes::copy_from_slice(data);
        if self.mate.leads() {
            self.journal.then(Effect::Accepted { assoc, stream, data });
        } else {
            self.mate.barrier(Accepted { assoc, stream, data });
        }
    }

    /// A message that the other gateway got of the network, or that this one got before it led.
    fn forwarded(&mut self, now: Instant, forward: u64, data: &Bytes) {
        if !self.mate.leads() {
            return;
        }
        match Message::decode(data) {
            Ok(Message::Data(data)) => {
                let id = CorrelationId(data.correlation_id.unwrap_or_default());
                let traffic = Traffic { message: data.protocol_data, network: data.network_appearance };
                self.offer(now, None, &traffic, Origin { id, forward });
            }
            _ => self.mate.counters.malformed += 1,
        }
        if forward != 0 {
            self.journal.note(|| crate::mate::wire::Op::Taken(forward));
        }
    }

    fn ask(&mut self, now: Instant, term: u32) {
        let mut asked = Vec::new();
        for index in 0..self.pools.len() {
            asked.extend(self.with_pool(now, index, |pool, cx| pool.claim(cx, term)));
        }
        self.with_mate(now, |mate, cx| mate.asked(cx, &asked));
    }

    /// Everything of before is thrown away, and nothing of what waited happens: the other gateway may have led on.
    fn begin_anew(&mut self, now: Instant) {
        self.journal.clear();
        for index in 0..self.pools.len() {
            self.with_pool(now, index, |pool, cx| pool.abandon(cx));
        }
        let peers: Vec<AssocId> = self.network.peers().collect();
        peers.into_iter().for_each(|assoc| self.wire.stack.abort(now, assoc, b"another gateway may lead"));
        self.roles.retain(|_, role| !role.is_traffic());
        self.epoch = self.epoch.wrapping_add(1);
        self.pools = pools(now, &self.config, self.epoch);
        self.network = network(now, &self.config);
        for pool in &self.pools {
            self.names.look_again(pool.handle());
            self.names.resolve(now, pool.handle());
        }
        // New pools have to be told of the keys that stay.
        self.reroute(now);
    }
}
