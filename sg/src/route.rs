//! Routing: which application server a message from the network is for (RFC 4666 section 1.4.2, routing key).

use crate::config;
use m3ua_lite::wire::ProtocolData;

/// One entry of the table: a destination with its mask, and what else must match.
#[derive(Debug)]
pub(crate) struct Entry {
    /// DPC without the masked bits.
    pub(crate) prefix: u32,
    pub(crate) mask: u8,
    pub(crate) opc: Vec<u32>,
    pub(crate) si: Vec<u8>,
    /// Index of the application server.
    pub(crate) server: usize,
}

impl Entry {
    pub(crate) fn has_dpc(&self, dpc: u32) -> bool {
        dpc >> self.mask == self.prefix
    }

    pub(crate) fn has_opc(&self, opc: u32) -> bool {
        self.opc.is_empty() || self.opc.contains(&opc)
    }

    pub(crate) fn has_si(&self, si: u8) -> bool {
        self.si.is_empty() || self.si.contains(&si)
    }

    pub(crate) fn fits(&self, message: &ProtocolData<'_>) -> bool {
        self.has_dpc(message.dpc) && self.has_opc(message.opc) && self.has_si(message.si)
    }
}

/// What of a message no routing key has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Refusal {
    /// Its destination.
    Destination,
    /// Its user part at this destination.
    UserPart,
    /// Its origin.
    Origin,
}

/// The routing keys of all application servers, most specific first.
#[derive(Debug)]
pub(crate) struct Routes {
    entries: Vec<Entry>,
}

impl Routes {
    /// More specific: fewer masked DPC bits, then with OPCs, then with service indicators; then the order of the configuration.
    pub(crate) fn new(servers: &[config::As]) -> Self {
        let mut entries = Vec::new();
        for (index, server) in servers.iter().enumerate() {
            for dpc in &server.dpc {
                entries.push(Entry {
                    prefix: dpc >> server.dpc_mask,
                    mask: server.dpc_mask,
                    opc: server.opc.clone(),
                    si: server.si.clone(),
                    server: index,
                });
            }
        }
        entries.sort_by_key(|entry| (entry.mask, entry.opc.is_empty(), entry.si.is_empty(), entry.server));
        Self { entries }
    }

    /// The application server for this message.
    pub(crate) fn server_for(&self, message: &ProtocolData<'_>) -> Option<usize> {
        self.entries.iter().find(|entry| entry.fits(message)).map(|entry| entry.server)
    }

    /// All entries in the order in which they are looked at: the first that fits is taken.
    pub(crate) fn entries(&self) -> &[Entry] {
        &self.entries
    }

    /// Why [`server_for`](Self::server_for) has none for this message.
    pub(crate) fn refusal(&self, message: &ProtocolData<'_>) -> Refusal {
        let mut there = self.entries.iter().filter(|entry| entry.has_dpc(message.dpc)).peekable();
        if there.peek().is_none() {
            return Refusal::Destination;
        }
        let user_part = there.any(|entry| entry.has_si(message.si));
        if user_part { Refusal::Origin } else { Refusal::UserPart }
    }

    /// The application servers behind a point code (for DAUD).
    pub(crate) fn servers_at(&self, pc: u32) -> impl Iterator<Item = usize> + '_ {
        self.entries.iter().filter(move |entry| entry.has_dpc(pc)).map(|entry| entry.server)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::As;

    fn message(opc: u32, dpc: u32, si: u8) -> ProtocolData<'static> {
        ProtocolData { opc, dpc, si, ni: 2, mp: 0, sls: 0, user_data: &[] }
    }

    #[test]
    fn what_is_missing_for_a_route() {
        let routes = Routes::new(&[
            As { dpc: vec![2], si: vec![5], opc: vec![7], ..As::default() },
            As { dpc: vec![2], si: vec![3], ..As::default() },
        ]);
        assert_eq!(routes.refusal(&message(7, 3, 5)), Refusal::Destination);
        assert_eq!(routes.refusal(&message(7, 2, 4)), Refusal::UserPart);
        assert_eq!(routes.refusal(&message(8, 2, 5)), Refusal::Origin);
    }

    #[test]
    fn the_most_specific_key_wins() {
        let routes = Routes::new(&[
            As { dpc: vec![0x100], dpc_mask: 8, ..As::default() },
            As { dpc: vec![0x105], ..As::default() },
            As { dpc: vec![0x105], si: vec![5], ..As::default() },
            As { dpc: vec![0x105], opc: vec![7], ..As::default() },
        ]);
        assert_eq!(routes.server_for(&message(1, 0x1ff, 5)), Some(0));
        assert_eq!(routes.server_for(&message(1, 0x105, 3)), Some(1));
        assert_eq!(routes.server_for(&message(1, 0x105, 5)), Some(2));
        assert_eq!(routes.server_for(&message(7, 0x105, 5)), Some(3));
        assert_eq!(routes.server_for(&message(1, 0x205, 5)), None);
        assert_eq!(routes.refusal(&message(1, 0x205, 5)), Refusal::Destination);
        assert_eq!(routes.servers_at(0x106).collect::<Vec<_>>(), [0]);
    }
}
