//! Routing: which application server a message from the network is for (RFC 4666 section 1.4.2, routing key).

use crate::config;
use m3ua_lite::wire::ProtocolData;

/// One entry of the table: a destination with its mask, and what else must match.
#[derive(Debug)]
struct Entry {
    /// DPC without the masked bits.
    prefix: u32,
    mask: u8,
    opc: Vec<u32>,
    si: Vec<u8>,
    /// Index of the application server.
    server: usize,
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
        let fits = |entry: &&Entry| {
            message.dpc >> entry.mask == entry.prefix
                && (entry.opc.is_empty() || entry.opc.contains(&message.opc))
                && (entry.si.is_empty() || entry.si.contains(&message.si))
        };
        self.entries.iter().find(fits).map(|entry| entry.server)
    }

    /// The application servers behind a point code (for DAUD).
    pub(crate) fn servers_at(&self, pc: u32) -> impl Iterator<Item = usize> + '_ {
        self.entries.iter().filter(move |entry| pc >> entry.mask == entry.prefix).map(|entry| entry.server)
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
        assert_eq!(routes.servers_at(0x106).collect::<Vec<_>>(), [0]);
    }
}
