//! From a datagram or an ICMP error to the association it is for.

use super::{Datagram, Stack, TooBig, Unreachable};
use crate::wire::{self, Chunk, Chunks, HEADER, Header, PacketError, TLV, flag, kind};
use std::net::SocketAddr;
use std::time::Instant;

impl Stack {
    /// Takes a received datagram.
    pub fn handle_datagram(&mut self, now: Instant, datagram: Datagram) {
        self.counters.packets_in += 1;
        let header = match Header::parse(&datagram.payload) {
            Ok(header) => header,
            Err(PacketError::Short) => return self.counters.dropped_short += 1,
            Err(PacketError::Checksum) => return self.counters.dropped_checksum += 1,
            Err(PacketError::Port) => return self.counters.dropped_port_zero += 1,
        };
        let ip = datagram.from.ip();
        if ip.is_unspecified() || ip.is_multicast() || datagram.from.port() == 0 {
            return self.counters.dropped_source += 1;
        }
        let chunks = Chunks::of_packet(&datagram.payload);
        let mut rest = chunks;
        let Some(Ok(first)) = rest.next() else { return self.counters.dropped_chunk_length += 1 };
        match first.kind {
            // Alone in its packet, tag 0 (section 8.5.1 A).
            kind::INIT if header.tag == 0 && rest.0.is_empty() => self.on_init(now, &datagram, header, first.value),
            kind::INIT => self.counters.dropped_tag += 1,
            _ if header.tag == 0 => self.counters.dropped_tag += 1,
            kind::COOKIE_ECHO => self.on_cookie_echo(now, &datagram, header, first, rest),
            kind::INIT_ACK => self.on_init_ack(now, &datagram, header, first, rest),
            _ => self.on_packet(now, &datagram, header, chunks),
        }
    }

    fn on_init_ack(&mut self, now: Instant, datagram: &Datagram, header: Header, first: Chunk<'_>, rest: Chunks<'_>) {
        let Some(index) = self.find(header) else {
            return self.on_other_tag(now, datagram, header, Chunks::of_packet(&datagram.payload));
        };
        if !rest.0.is_empty() {
            return self.counters.dropped_tag += 1;
        }
        // The peer may answer from another of its addresses than we asked; our tag in it proves that it saw our INIT. Another UDP
        // port of the one we asked is followed at once.
        self.source_path(index, datagram.from);
        self.with(index, now, |assoc, ctx| assoc.on_init_ack(ctx, first.value, datagram.from));
        if self.assocs.get(index).is_some_and(|a| a.local_tag == header.tag) {
            self.index_addresses(index);
        }
    }

    fn on_packet(&mut self, now: Instant, datagram: &Datagram, header: Header, chunks: Chunks<'_>) {
        let Some(index) = self.find(header) else { return self.on_other_tag(now, datagram, header, chunks) };
        let Some(path) = self.source_path(index, datagram.from) else { return self.counters.dropped_source += 1 };
        self.with(index, now, |assoc, ctx| assoc.handle_chunks(ctx, path, datagram.to, chunks));
    }

    /// The association with this tag and these ports.
    pub(super) fn find(&self, header: Header) -> Option<usize> {
        let index = *self.by_tag.get(&header.tag)?;
        let assoc = self.assocs.get(index)?;
        (assoc.local_port == header.destination && assoc.peer_port == header.source).then_some(index)
    }

    /// The path a packet came over. An address of the peer with another UDP port than before is followed: it was
    /// translated on the way, and the tag is right (RFC 6951 section 5.4).
    pub(super) fn source_path(&mut self, index: usize, from: SocketAddr) -> Option<usize> {
        let assoc = self.assocs.get_mut(index)?;
        if let Some(path) = assoc.path_of(from) {
            return Some(path);
        }
        let path = assoc.paths.iter().position(|p| p.to.ip() == from.ip())?;
        let (local_port, peer_port, old) = (assoc.local_port, assoc.peer_port, assoc.paths[path].to);
        let taken = self.by_address.get(&(local_port, from, peer_port)).is_some_and(|other| *other != index);
        if taken {
            return None;
        }
        assoc.paths[path].to = from;
        self.counters.udp_port_changed += 1;
        if self.by_address.get(&(local_port, old, peer_port)) == Some(&index) {
            self.by_address.remove(&(local_port, old, peer_port));
        }
        self.by_address.insert((local_port, from, peer_port), index);
        Some(path)
    }

    /// No association has this tag. Between addresses and ports of an association that is an error and nothing else (section 8.5),
    /// with three exceptions (section 8.5.1): ABORT and SHUTDOWN COMPLETE with the T bit carry the peer's tag, and a SHUTDOWN ACK may
    /// be of the association before the one that is being set up. Without an association it is out of the blue.
    fn on_other_tag(&mut self, now: Instant, datagram: &Datagram, header: Header, chunks: Chunks<'_>) {
        let key = (header.destination, datagram.from, header.source);
        let Some(index) = self.by_address.get(&key).copied() else {
            return self.out_of_the_blue(now, datagram, header);
        };
        let assoc = &self.assocs[index];
        // An address that did not prove itself may be anybody's, who rightly knows nothing of the association.
        let proved = assoc.peer_tag == header.tag && assoc.paths.iter().any(|p| p.to == datagram.from && p.confirmed);
        let before = assoc.state.is_connecting() && chunks.any(kind::SHUTDOWN_ACK, 0);
        let ends = |c: &Chunk<'_>| matches!(c.kind, kind::ABORT | kind::SHUTDOWN_COMPLETE);
        let reflected = chunks.flatten().find(ends).filter(|c| proved && c.flags & flag::TAG_REFLECTED != 0);
        match reflected {
            Some(chunk) if chunk.kind == kind::ABORT && wire::well_formed(chunk.value) => {
                self.with(index, now, |assoc, ctx| Some(assoc.aborted(ctx, chunk.value)));
            }
            Some(chunk) if chunk.kind == kind::SHUTDOWN_COMPLETE => {
                self.with(index, now, |assoc, ctx| assoc.reflected_complete(ctx));
            }
            Some(_) | None if before => self.out_of_the_blue(now, datagram, header),
            Some(_) | None => self.counters.dropped_tag += 1,
        }
    }

    /// Takes an ICMP error: it counts when the quoted packet is one of ours (RFC 9260 section 10, RFC 6951 section 5.5).
    pub fn handle_unreachable(&mut self, now: Instant, error: &Unreachable) {
        match self.quoted_path(error.to, &error.quoted) {
            Some((index, path)) if self.config.icmp => {
                self.counters.icmp_taken += 1;
                self.with(index, now, |assoc, ctx| assoc.unreachable(ctx, path, error.port));
            }
            Some(_) | None => self.counters.icmp_ignored += 1,
        }
    }

    /// Takes the news that a packet was too long: it counts when that packet is one of ours.
    pub fn handle_too_big(&mut self, now: Instant, error: &TooBig) {
        match self.quoted_path(error.to, &error.quoted) {
            Some((index, path)) if self.config.icmp => {
                self.counters.icmp_taken += 1;
                self.with(index, now, |assoc, ctx| {
                    assoc.too_big(ctx, path, error.largest);
                    None
                });
            }
            Some(_) | None => self.counters.icmp_ignored += 1,
        }
    }

    /// The association and path of a packet of ours that an ICMP error quotes.
    fn quoted_path(&self, to: SocketAddr, quoted: &[u8]) -> Option<(usize, usize)> {
        if quoted.len() < 8 {
            return None;
        }
        let (source, destination, tag) = (wire::u16_at(quoted, 0), wire::u16_at(quoted, 2), wire::u32_at(quoted, 4));
        let index = *self.by_address.get(&(source, to, destination))?;
        let assoc = self.assocs.get(index)?;
        let valid = if tag == 0 {
            // An INIT of ours: its initiate tag must be there and right.
            quoted.len() >= HEADER + TLV + 4
                && quoted[HEADER] == kind::INIT
                && wire::u32_at(quoted, HEADER + TLV) == assoc.local_tag
        } else {
            tag == assoc.peer_tag
        };
        if !valid {
            return None;
        }
        Some((index, assoc.path_of(to)?))
    }
}
