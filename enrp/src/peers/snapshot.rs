//! The peers' state for people: admin `/state`, `enrp peers`.

use super::{Peers, Status};
use crate::handlespace::Handlespace;
use serde::Serialize;

/// One peer. Identifiers and checksums are hex.
#[derive(Debug, Clone, Serialize)]
pub struct PeerSnapshot {
    /// Server identifier.
    pub id: String,
    /// Where it says it is, if it said so.
    pub address: Option<String>,
    /// `active`, `probed` (silent, asked for a presence), `taking-over` (by us), `yielded` (another server takes it over).
    pub status: &'static str,
    /// `sigpool`, `rsplib` (recognised, see `peers/rsplib.rs`), `other`.
    pub kind: &'static str,
    /// Associations with it.
    pub associations: usize,
    /// How long it was silent when the state was taken, in milliseconds.
    pub silent_ms: u64,
    /// PEs it owns.
    pub pes: usize,
    /// PE checksum of those (RFC 5353 section 3.6.2).
    pub pe_checksum: String,
    /// Its last presence had the same checksum.
    pub agrees: bool,
    /// Its table is being downloaded.
    pub downloading: bool,
}

impl Peers {
    /// All peers, by identifier.
    pub(crate) fn snapshot(&self, handlespace: &Handlespace) -> Vec<PeerSnapshot> {
        let owned: std::collections::BTreeMap<_, _> = handlespace.homes().collect();
        let of = |(&id, peer): (&asap::wire::ServerId, &super::Peer)| PeerSnapshot {
            id: id.to_string(),
            address: peer.transport.as_ref().map(|transport| {
                let ips: Vec<_> = transport.addresses.iter().map(ToString::to_string).collect();
                format!("{}:{}", ips.join(","), transport.port)
            }),
            status: match peer.status {
                Status::Active => "active",
                Status::Probed(_) => "probed",
                Status::Ours(_) => "taking-over",
                Status::Yielded(_) => "yielded",
            },
            kind: match (peer.recognition.ours, self.accommodations(id).life_in_ms) {
                (true, _) => "sigpool",
                (false, true) => "rsplib",
                (false, false) => "other",
            },
            associations: peer.links.len(),
            silent_ms: self.now.map_or(0, |now| {
                now.saturating_duration_since(peer.last_heard).as_millis().try_into().unwrap_or(u64::MAX)
            }),
            pes: owned.get(&id).copied().unwrap_or(0),
            pe_checksum: format!("{:04x}", handlespace.checksum(id).value()),
            agrees: peer.confirmed,
            downloading: peer.download.is_some(),
        };
        self.peers.iter().map(of).collect()
    }
}
