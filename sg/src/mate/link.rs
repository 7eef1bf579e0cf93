//! The association between the two gateways, and whether the other end lives.

use super::suspicion::Suspicion;
use super::wire::{Hello, MateMessage, PPID, Role, STREAM};
use super::{Mate, MateCx, MateEvent, ms};
use crate::pool::How;
use bytes::Bytes;
use sctp::{AssocId, CloseReason};
use std::net::SocketAddr;
use std::time::{Duration, Instant};

/// How far the association is.
#[derive(Debug)]
pub(super) enum Link {
    /// Tried again then, by the one that connects.
    Down(Instant),
    Connecting(AssocId),
    Up(Up),
}

/// An association that is up.
#[derive(Debug)]
pub(super) struct Up {
    assoc: AssocId,
    hello: Option<Hello>,
    heard: Instant,
    next_beat: Instant,
    /// When the last of our questions that was answered was sent.
    answered: Instant,
    /// When the last question was answered to the other one.
    echoed: Instant,
    ack_due: bool,
}

impl Link {
    pub(super) fn down(retry: Instant) -> Self {
        Self::Down(retry)
    }

    fn up(&mut self) -> Option<&mut Up> {
        match self {
            Self::Up(up) => Some(up),
            Self::Down(_) | Self::Connecting(_) => None,
        }
    }

    pub(super) fn is_up(&self) -> bool {
        matches!(self, Self::Up(_))
    }

    pub(super) fn assoc(&self) -> Option<AssocId> {
        match self {
            Self::Up(up) => Some(up.assoc),
            Self::Down(_) | Self::Connecting(_) => None,
        }
    }

    /// The other one says what it is. Gives what it was.
    pub(super) fn met(&mut self, hello: Hello) -> Option<Role> {
        self.up().and_then(|up| up.hello.replace(hello)).map(|hello| hello.role)
    }

    pub(super) fn answered(&self) -> Option<Instant> {
        match self {
            Self::Up(up) => Some(up.answered),
            Self::Down(_) | Self::Connecting(_) => None,
        }
    }

    pub(super) fn ack_due(&mut self) {
        if let Some(up) = self.up() {
            up.ack_due = true;
        }
    }

    pub(super) fn take_ack_due(&mut self) -> bool {
        self.up().is_some_and(|up| std::mem::take(&mut up.ack_due))
    }
}

/// Sends in order. False: SCTP has no room.
pub(super) fn send(cx: &mut MateCx<'_>, assoc: AssocId, message: Bytes) -> bool {
    cx.net.send(cx.now, assoc, How { stream: STREAM, ppid: PPID, unordered: false }, message).is_ok()
}

impl Mate {
    /// Whether an association from these addresses to our port is the mate's.
    pub(crate) fn is_mate(&self, local_port: u16, peer: &[SocketAddr]) -> bool {
        self.config.is_there()
            && local_port == self.config.port
            && peer.iter().any(|address| self.config.addresses.contains(&address.ip()))
    }

    /// The association with it.
    pub(crate) fn association(&self) -> Option<AssocId> {
        self.link.assoc()
    }

    /// An association of ours is established. False: not to the mate.
    pub(crate) fn up(&mut self, cx: &mut MateCx<'_>, assoc: AssocId) -> bool {
        let mine = matches!(self.link, Link::Connecting(ours) if ours == assoc);
        if mine {
            self.established(cx, assoc);
        }
        mine
    }

    /// The mate's association to us is established.
    pub(crate) fn attached(&mut self, cx: &mut MateCx<'_>, assoc: AssocId) {
        if let Some(old) = self.link.assoc() {
            // It connects only when it has none: what it was before is gone.
            cx.net.abort(cx.now, old);
            self.lost(cx, true);
        }
        self.established(cx, assoc);
    }

    fn established(&mut self, cx: &mut MateCx<'_>, assoc: AssocId) {
        self.counters.links += 1;
        let now = cx.now;
        let up = Up { assoc, hello: None, heard: now, next_beat: now, answered: now, echoed: now, ack_due: false };
        self.link = Link::Up(up);
        self.greet(cx, false);
    }

    /// Says what this gateway is, if there is somebody to be told.
    pub(super) fn greet(&mut self, cx: &mut MateCx<'_>, ready: bool) {
        let super::Identity { gateway, tables } = self.identity;
        self.say(cx, &MateMessage::Hello(Hello { gateway, role: self.role, ready, term: self.term, tables }));
    }

    /// Sends in order; an association that has no room for this is not worth having.
    pub(super) fn say(&mut self, cx: &mut MateCx<'_>, message: &MateMessage) {
        if let Some(assoc) = self.link.assoc()
            && !send(cx, assoc, message.encode())
        {
            self.counters.overruns += 1;
            self.part(cx);
        }
    }

    /// Ends the association; it is looked for again.
    pub(super) fn part(&mut self, cx: &mut MateCx<'_>) {
        if let Some(assoc) = self.link.assoc() {
            cx.net.abort(cx.now, assoc);
            self.lost(cx, false);
        }
    }

    /// An association ended. False: not the one to the mate.
    pub(crate) fn closed(&mut self, cx: &mut MateCx<'_>, assoc: AssocId, reason: &CloseReason) -> bool {
        match &self.link {
            Link::Up(up) if up.assoc == assoc => {
                tracing::warn!(?reason, "the association with the mate ended");
                self.lost(cx, reason.is_certain());
                true
            }
            Link::Connecting(ours) if *ours == assoc => {
                self.link = Link::Down(cx.now + ms(self.config.reconnect_ms));
                true
            }
            Link::Up(_) | Link::Connecting(_) | Link::Down(_) => false,
        }
    }

    /// The association is no more. `certain`: the other one acts no more, either.
    fn lost(&mut self, cx: &mut MateCx<'_>, certain: bool) {
        let down = Link::Down(cx.now + ms(self.config.reconnect_ms));
        let Link::Up(up) = std::mem::replace(&mut self.link, down) else { return };
        let lease = ms(self.config.lease_ms);
        match self.role {
            Role::Lead if !cx.journal.is_on() => {}
            Role::Lead if certain || !cx.journal.is_complete() => self.alone(),
            Role::Lead => self.suspicion = Some(Suspicion::new(cx.now, Some(up.answered + lease))),
            Role::Follower if certain => self.lead(cx, 0),
            // Without all of it this gateway cannot lead, but may join anew.
            Role::Follower if self.mirror.as_ref().is_none_or(|mirror| !mirror.complete) => self.rejoin(cx.now),
            Role::Follower => {
                self.suspicion = Some(Suspicion::new(up.echoed + lease + ms(self.config.margin_ms), None));
            }
            Role::Joining => {}
        }
    }

    /// Takes a message of the mate.
    pub(crate) fn message(&mut self, cx: &mut MateCx<'_>, assoc: AssocId, payload: &Bytes) {
        let Some(up) = self.link.up().filter(|up| up.assoc == assoc) else { return };
        up.heard = cx.now;
        let taken = match MateMessage::decode(payload) {
            Ok(MateMessage::Beat(any)) => {
                up.echoed = cx.now;
                beat(cx, assoc, &MateMessage::BeatAck(any));
                Ok(())
            }
            Ok(MateMessage::BeatAck(sent)) => {
                // Our own number of microseconds, as it came back.
                up.answered = up.answered.max((self.started + Duration::from_micros(sent)).min(cx.now));
                Ok(())
            }
            Ok(MateMessage::Hello(hello)) => {
                self.hello(cx, hello);
                Ok(())
            }
            Ok(MateMessage::Ops(first, ops)) => self.ops(cx, first, ops),
            Ok(MateMessage::Ack(upto)) if cx.journal.acknowledged(upto) => Ok(()),
            Ok(MateMessage::Forward(number, data)) => {
                self.events.push_back(MateEvent::Forwarded(number, data));
                Ok(())
            }
            Ok(MateMessage::Ack(_)) | Err(_) => Err(super::Malformed),
        };
        if taken.is_err() {
            tracing::error!("the mate's message means nothing: the association begins anew");
            self.counters.malformed += 1;
            self.part(cx);
        }
    }

    /// Does what is due. `stall`: this gateway itself did not run for so long, and what it should have heard waits unread.
    pub(crate) fn handle_timeout(&mut self, cx: &mut MateCx<'_>, stall: Option<Duration>) {
        if !self.config.is_there() {
            return;
        }
        self.check(cx);
        match &mut self.link {
            Link::Down(retry) if *retry <= cx.now && self.connects => {
                self.link = match cx.net.connect(cx.now, &self.config.addresses, self.config.port) {
                    Some(assoc) => Link::Connecting(assoc),
                    None => Link::Down(cx.now + ms(self.config.reconnect_ms)),
                };
            }
            Link::Up(up) => {
                up.heard = up.heard.max(cx.now.min(up.heard + stall.unwrap_or_default()));
                if up.next_beat <= cx.now {
                    up.next_beat = cx.now + ms(self.config.beat_ms);
                    // Fits for half a million years.
                    let sent = cx.now.saturating_duration_since(self.started).as_micros() as u64;
                    beat(cx, up.assoc, &MateMessage::Beat(sent));
                }
                if up.heard + ms(self.config.dead_ms) <= cx.now {
                    tracing::warn!("the mate is silent");
                    self.part(cx);
                }
            }
            Link::Down(_) | Link::Connecting(_) => {}
        }
        self.suspect(cx);
    }

    /// When to call [`Mate::handle_timeout`].
    pub(crate) fn poll_timeout(&self) -> Option<Instant> {
        if !self.config.is_there() {
            return None;
        }
        let link = match &self.link {
            Link::Down(retry) => Some(*retry).filter(|_| self.connects),
            Link::Connecting(_) => None,
            Link::Up(up) => Some(up.next_beat.min(up.heard + ms(self.config.dead_ms))),
        };
        let suspicion = self.suspicion.as_ref().map(Suspicion::due);
        link.into_iter().chain(suspicion).chain(self.alone_at).min()
    }
}

/// Questions and answers go unordered: what waits in order does not delay them.
fn beat(cx: &mut MateCx<'_>, assoc: AssocId, message: &MateMessage) {
    // One that finds no room is one that is not answered.
    let _ = cx.net.send(cx.now, assoc, How { stream: 0, ppid: PPID, unordered: true }, message.encode());
}
