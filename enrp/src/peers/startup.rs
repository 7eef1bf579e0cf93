//! RFC 5353 section 3.2: a server that starts finds a mentor, takes its peer list, downloads the whole handlespace.
//!
//! Of several configured servers the first that answers is the mentor; when it refuses or is silent, the next one is. Two servers
//! that start together refuse each other; each is alone after `mentor_discovery_ms`, and each learns by audits what the other gets.

use super::{Context, Peers, Timer, ms};
use crate::server::ClientId;
use crate::wire::Body;
use asap::wire::{ServerId, ServerInformation};
use std::time::Instant;

/// How far the start is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Startup {
    /// Looking for a mentor from then until then; rather not this one, which was the last.
    Looking { from: Instant, until: Instant, last: ServerId },
    /// The mentor was asked for its list.
    List { until: Instant, mentor: ServerId },
    /// The mentor's handlespace is coming.
    Table { until: Instant, mentor: ServerId },
    /// Over.
    Ready,
}

impl Startup {
    pub(super) fn is_ready(self) -> bool {
        self == Self::Ready
    }

    fn mentor(self) -> Option<(ServerId, Instant)> {
        match self {
            Self::List { mentor, until } | Self::Table { mentor, until } => Some((mentor, until)),
            Self::Looking { .. } | Self::Ready => None,
        }
    }
}

impl Peers {
    pub(super) fn begin_startup(&mut self, cx: &Context<'_>) {
        let until = cx.now + ms(self.config.mentor_discovery_ms);
        self.startup = Startup::Looking { from: cx.now, until, last: ServerId(0) };
        self.timers.set(Timer::Startup, until);
    }

    /// A peer is there: it is the mentor if we want one.
    pub(super) fn mentor_heard(&mut self, cx: &Context<'_>, id: ServerId) {
        let Startup::Looking { from, until, last } = self.startup else { return };
        let others = self.peers.iter().any(|(&other, peer)| other != last && !peer.links.is_empty());
        if from > cx.now || (id == last && others) || !self.send_to(id, Body::ListRequest) {
            return;
        }
        self.startup = Startup::List { until, mentor: id };
        self.timers.set(Timer::Startup, cx.now + ms(self.config.max_time_no_response_ms));
    }

    /// ENRP_LIST_REQUEST: every server we know, and ourselves.
    pub(super) fn list_request(&mut self, cx: &Context<'_>, client: ClientId, sender: ServerId) {
        if !self.startup.is_ready() || !self.may_request(cx, sender) {
            self.counters.tables_refused += 1;
            return self.send(client, sender, Body::ListResponse { reject: true, servers: Vec::new() });
        }
        let known = self
            .peers
            .iter()
            .filter(|&(&id, _)| id != sender)
            .filter_map(|(&id, peer)| peer.transport.clone().map(|transport| ServerInformation { id, transport }));
        let servers = std::iter::once(self.information()).chain(known).collect();
        self.send(client, sender, Body::ListResponse { reject: false, servers });
    }

    /// ENRP_LIST_RESPONSE.
    pub(super) fn list_response(
        &mut self,
        cx: &Context<'_>,
        sender: ServerId,
        reject: bool,
        servers: &[ServerInformation],
    ) {
        let Startup::List { until, mentor } = self.startup else { return };
        if mentor != sender {
            return;
        }
        if reject {
            return self.next_mentor(cx);
        }
        for server in servers {
            let known = self.peers.contains_key(&server.id) || server.id == self.id || server.id == ServerId(0);
            if known || self.add_peer(cx, server.id) {
                self.learn(cx, server.id, &server.transport);
            }
        }
        self.startup = Startup::Table { until, mentor };
        self.timers.cancel(&Timer::Startup);
        self.begin_download(cx, sender, false);
    }

    /// The mentor's whole table has come, or will not.
    pub(super) fn mentor_done(&mut self, cx: &Context<'_>, id: ServerId, complete: bool) {
        match self.startup.mentor() {
            Some((mentor, _)) if mentor == id && complete => {
                // Now checksums tell what is missing.
                self.peers.values_mut().for_each(|peer| peer.audit_wanted = false);
                self.ready();
            }
            Some((mentor, _)) if mentor == id => self.next_mentor(cx),
            Some(_) | None => {}
        }
    }

    /// A peer's association ended: it is no mentor.
    pub(super) fn mentor_lost(&mut self, cx: &Context<'_>, id: ServerId) {
        self.mentor_done(cx, id, false);
    }

    pub(super) fn startup_due(&mut self, cx: &Context<'_>) {
        match self.startup {
            Startup::Looking { until, last, .. } if until > cx.now => {
                // The pause after a refusal is over.
                let ids: Vec<_> = self.peers.keys().copied().collect();
                let next = ids.iter().find(|&&id| id > last).or(ids.first()).copied();
                self.timers.set(Timer::Startup, until);
                if let Some(id) = next {
                    self.mentor_heard(cx, id);
                }
            }
            Startup::Looking { .. } => self.ready(),
            Startup::List { .. } => self.next_mentor(cx),
            Startup::Table { .. } | Startup::Ready => {}
        }
    }

    fn next_mentor(&mut self, cx: &Context<'_>) {
        let Some((last, until)) = self.startup.mentor() else { return };
        let from = (cx.now + ms(self.config.mentor_retry_ms)).min(until);
        self.startup = Startup::Looking { from, until, last };
        self.timers.set(Timer::Startup, from);
    }

    fn ready(&mut self) {
        self.startup = Startup::Ready;
        self.timers.cancel(&Timer::Startup);
    }
}
