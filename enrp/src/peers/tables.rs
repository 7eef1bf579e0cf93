//! RFC 5353 section 3.6: audits by checksum, and tables sent in parts (3.2.3 too).
//!
//! A download is one request for each part. Which elements a table had not is told by stamps: those of its owner that were
//! neither added nor replaced since the download began (RFC 5353 section 3.6.3 marks and unmarks instead).
//!
//! The server remembers how far it told its table, the requester when it began to ask: the two need not agree after a part that
//! did not come, or a download given up. A download that may have begun in the middle says nothing of what is not in it: it
//! removes nothing, and the table is asked for once more.

use super::refusals::difference;
use super::{Context, Effect, Peers, Timer, ms};
use crate::handlespace::{Cursor, Element, Slot, Stamp};
use crate::server::ClientId;
use crate::wire::{Body, Entry, TableWriter};
use asap::wire::ServerId;

/// A peer's table on its way to us.
#[derive(Debug, Clone, Copy)]
pub(super) struct Download {
    /// W: only what the peer owns.
    own: bool,
    /// It certainly began with the first element: the peer was not in the middle of its table.
    whole: bool,
    /// When it began.
    since: Stamp,
    /// PEs that came.
    pes: usize,
}

/// Our table on its way to a peer.
#[derive(Debug, Clone, Copy)]
pub(super) struct Session {
    own: bool,
    /// Over which association; another one begins anew.
    client: ClientId,
    next: Cursor,
}

impl Peers {
    /// A checksum came (RFC 5353 section 3.6.1).
    pub(super) fn audit(&mut self, cx: &Context<'_>, id: ServerId, checksum: u16) {
        let known = self.accommodations(id).checksum(cx.handlespace.checksum(id));
        let agrees = known == checksum;
        let Some(peer) = self.peers.get_mut(&id) else { return };
        peer.confirmed = agrees;
        if agrees {
            peer.refusals.agree();
        }
        if !self.startup.is_ready() || peer.download.is_some() || (agrees && !peer.audit_wanted) {
            return;
        }
        if !agrees {
            self.counters.audits_differ += 1;
        }
        let interval = ms(self.config.audit_interval_ms);
        let explained = !agrees && peer.refusals.explain(cx.now, interval, difference(checksum, known));
        if peer.next_audit <= cx.now && (peer.audit_wanted || !explained) {
            self.begin_download(cx, id, true);
        }
    }

    /// Asks a peer for its table.
    pub(super) fn begin_download(&mut self, cx: &Context<'_>, id: ServerId, own: bool) {
        let Some(peer) = self.peers.get_mut(&id) else { return };
        peer.download = Some(Download { own, whole: !peer.table_open, since: cx.handlespace.stamp(), pes: 0 });
        peer.next_audit = cx.now + ms(self.config.audit_interval_ms);
        peer.audit_wanted = false;
        peer.refusals.begin();
        self.counters.downloads += 1;
        self.request_part(cx, id, own);
    }

    fn request_part(&mut self, cx: &Context<'_>, id: ServerId, own: bool) {
        if let Some(peer) = self.peers.get_mut(&id) {
            peer.table_open = true;
        }
        self.send_to(id, Body::HandleTableRequest { own });
        self.timers.set(Timer::Download(id), cx.now + ms(self.config.max_time_no_response_ms));
    }

    /// ENRP_HANDLE_TABLE_RESPONSE.
    pub(super) fn table_response(
        &mut self,
        cx: &Context<'_>,
        sender: ServerId,
        reject: bool,
        more: bool,
        entries: Vec<Entry>,
    ) {
        let Some(peer) = self.peers.get_mut(&sender) else { return };
        if !reject {
            peer.table_open = more;
        }
        let Some(download) = peer.download.as_mut() else {
            self.counters.updates_ignored += entries.len() as u64;
            return;
        };
        if reject {
            // Nothing was begun with.
            peer.table_open = download.pes > 0 || !download.whole;
            return self.download_failed(cx, sender);
        }
        download.pes += entries.len();
        // More and more without an end, or without anything in it.
        let endless = more && (entries.is_empty() || download.pes >= self.config.download_pes_max);
        let download = *download;
        for entry in entries {
            self.table_entry(cx, sender, download.own, entry);
        }
        if endless {
            return self.download_failed(cx, sender);
        }
        if more {
            return self.request_part(cx, sender, download.own);
        }
        self.end_download(sender);
        if download.own && download.whole {
            self.effects.push_back(Effect::Sweep { home: sender, since: download.since });
        } else if let Some(peer) = self.peers.get_mut(&sender).filter(|_| download.own) {
            self.counters.downloads_in_doubt += 1;
            peer.audit_wanted = true;
        }
        self.mentor_done(cx, sender, true);
    }

    fn end_download(&mut self, id: ServerId) {
        self.timers.cancel(&Timer::Download(id));
        if let Some(peer) = self.peers.get_mut(&id) {
            peer.download = None;
        }
    }

    fn download_failed(&mut self, cx: &Context<'_>, id: ServerId) {
        self.counters.downloads_failed += 1;
        self.end_download(id);
        if let Some(peer) = self.peers.get_mut(&id) {
            peer.audit_wanted = true;
        }
        self.mentor_done(cx, id, false);
    }

    pub(super) fn download_overdue(&mut self, cx: &Context<'_>, id: ServerId) {
        self.download_failed(cx, id);
    }

    /// What a peer owns is changing in one step: a download of it that is under way would sweep too much.
    pub(super) fn abandon_download(&mut self, id: ServerId) {
        let own = self.peers.get(&id).and_then(|peer| peer.download).is_some_and(|download| download.own);
        if own {
            self.end_download(id);
            if let Some(peer) = self.peers.get_mut(&id) {
                peer.audit_wanted = true;
            }
        }
    }

    /// Whether a request of the peer is served now.
    pub(super) fn may_request(&mut self, cx: &Context<'_>, id: ServerId) -> bool {
        let limit = self.config.requests_per_s;
        self.peers.get_mut(&id).is_some_and(|peer| peer.requests.take(cx.now, limit))
    }

    /// ENRP_HANDLE_TABLE_REQUEST: the first part, or the next one of the same table.
    pub(super) fn table_request(&mut self, cx: &Context<'_>, client: ClientId, sender: ServerId, own: bool) {
        let session = self.sessions.remove(&sender).filter(|it| it.own == own && it.client == client);
        let full = session.is_none() && self.sessions.len() >= self.config.downloads_max;
        if full || !self.startup.is_ready() || !self.may_request(cx, sender) {
            self.counters.tables_refused += 1;
            let body = Body::HandleTableResponse { reject: true, more: false, entries: Vec::new() };
            return self.send(client, sender, body);
        }
        self.counters.tables_served += 1;
        let from = session.map_or(Cursor::START, |session| session.next);
        let next = if own {
            self.send_part(cx, client, sender, cx.handlespace.owned(self.id, from))
        } else {
            self.send_part(cx, client, sender, cx.handlespace.elements_from(from))
        };
        match next {
            Some(next) => {
                self.sessions.insert(sender, Session { own, client, next });
                self.timers.set(Timer::Session(sender), cx.now + 4 * ms(self.config.max_time_no_response_ms));
            }
            None => self.timers.cancel(&Timer::Session(sender)),
        }
    }

    /// Sends as much as a part holds. Where to go on, if there is more.
    fn send_part<'a>(
        &mut self,
        cx: &Context<'_>,
        client: ClientId,
        receiver: ServerId,
        elements: impl Iterator<Item = (Slot, &'a Element)>,
    ) -> Option<Cursor> {
        let accommodations = self.accommodations(receiver);
        let claims = self.is_ours(receiver);
        let mut table = TableWriter::new(self.id, receiver, self.config.table_part_bytes);
        let (mut next, mut written) = (Cursor::START, 0);
        let mut more = false;
        for (slot, element) in elements {
            if written >= self.config.table_part_pes {
                more = true;
                break;
            }
            let entry = self.entry(slot, cx.handlespace.handle_of(element), element);
            let told = accommodations.told(&entry.element);
            let fits =
                accommodations.takes(&entry.handle) && table.push(&entry.handle, &told, entry.claim.filter(|_| claims));
            if !fits && !table.is_empty() && accommodations.takes(&entry.handle) {
                more = true;
                break;
            }
            if fits {
                written += 1;
            } else {
                self.counters.elements_left_out += 1;
            }
            next = Cursor::after(element);
        }
        match table.finish(more) {
            Ok(bytes) => self.send_bytes(client, bytes),
            Err(_) => self.counters.enrp_unencodable += 1,
        }
        more.then_some(next)
    }
}
