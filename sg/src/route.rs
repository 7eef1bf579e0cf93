//! Routing: which application server a message from the network is for (RFC 4666 section 1.4.2, routing key).

use crate::config;
use crate::keys::{Keys, Part};
use m3ua_lite::wire::{AffectedPc, ProtocolData};

/// A message and the network that it is of.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Traffic<'a> {
    pub(crate) message: ProtocolData<'a>,
    /// Its Network Appearance, or that of the association it came by. None: there is only one network.
    pub(crate) network: Option<u32>,
}

/// Whether two Network Appearances mean one network. Where one of both says nothing, there is only one (RFC 4666 section 3.6.1).
pub(crate) fn one_network(one: Option<u32>, other: Option<u32>) -> bool {
    one.is_none() || other.is_none() || one == other
}

/// Destinations of one network, for peers to be told of.
#[derive(Debug, Clone)]
pub(crate) struct Destinations {
    /// Network Appearance of the application server; none: it has none of its own.
    pub(crate) network: Option<u32>,
    pub(crate) affected: Vec<AffectedPc>,
}

impl Destinations {
    pub(crate) fn one(network: Option<u32>, affected: AffectedPc) -> Self {
        Self { network, affected: vec![affected] }
    }

    /// The point codes of an application server.
    pub(crate) fn of(server: &config::As) -> Self {
        let affected = server.dpc.iter().map(|pc| AffectedPc::new(server.dpc_mask, *pc)).collect();
        Self { network: server.network_appearance, affected }
    }
}

/// One entry of the table: a destination with its mask, and what else must match.
#[derive(Debug)]
pub(crate) struct Entry {
    /// DPC without the masked bits.
    pub(crate) prefix: u32,
    pub(crate) mask: u8,
    pub(crate) opc: Vec<u32>,
    pub(crate) si: Vec<u8>,
    pub(crate) ni: Vec<u8>,
    /// Network Appearance.
    pub(crate) network: Option<u32>,
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

    pub(crate) fn has_ni(&self, ni: u8) -> bool {
        self.ni.is_empty() || self.ni.contains(&ni)
    }

    pub(crate) fn has_network(&self, network: Option<u32>) -> bool {
        one_network(self.network, network)
    }

    pub(crate) fn fits(&self, traffic: &Traffic<'_>) -> bool {
        let Traffic { message, network } = traffic;
        self.is_at(message.dpc, *network)
            && self.has_opc(message.opc)
            && self.has_si(message.si)
            && self.has_ni(message.ni)
    }

    fn is_at(&self, dpc: u32, network: Option<u32>) -> bool {
        self.has_dpc(dpc) && self.has_network(network)
    }
}

/// Whether two lists have something in common; an empty one has everything.
fn meet<T: PartialEq>(one: &[T], other: &[T]) -> bool {
    one.is_empty() || other.is_empty() || one.iter().any(|value| other.contains(value))
}

/// What of a message no routing key has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Refusal {
    /// Its destination in its network.
    Destination,
    /// Its network indicator at this destination.
    NetworkIndicator,
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
    /// More specific: fewer masked DPC bits, then with OPCs, then with service indicators, then with network indicators, then with a
    /// network appearance; then the order of the configuration.
    pub(crate) fn new(servers: &[config::As], keys: &Keys) -> Self {
        let mut entries = Vec::new();
        for (index, server) in servers.iter().enumerate() {
            entries.extend(keys.of(index).map(|part| Entry {
                prefix: part.dpc,
                mask: 0,
                opc: part.opc.clone(),
                si: part.si.clone(),
                ni: server.ni.clone(),
                network: server.network_appearance,
                server: index,
            }));
            for dpc in &server.dpc {
                entries.push(Entry {
                    prefix: dpc >> server.dpc_mask,
                    mask: server.dpc_mask,
                    opc: server.opc.clone(),
                    si: server.si.clone(),
                    ni: server.ni.clone(),
                    network: server.network_appearance,
                    server: index,
                });
            }
        }
        entries.sort_by_key(|entry| {
            let any = (entry.opc.is_empty(), entry.si.is_empty(), entry.ni.is_empty(), entry.network.is_none());
            (entry.mask, any, entry.server)
        });
        Self { entries }
    }

    /// The application server for this message.
    pub(crate) fn server_for(&self, traffic: &Traffic<'_>) -> Option<usize> {
        self.entries.iter().find(|entry| entry.fits(traffic)).map(|entry| entry.server)
    }

    /// Whether some message could fit a key here and this one of that application server.
    pub(crate) fn overlaps(&self, part: &Part, server: &config::As) -> bool {
        self.entries.iter().any(|entry| {
            entry.is_at(part.dpc, server.network_appearance)
                && meet(&entry.opc, &part.opc)
                && meet(&entry.si, &part.si)
                && meet(&entry.ni, &server.ni)
        })
    }

    /// All entries in the order in which they are looked at: the first that fits is taken.
    pub(crate) fn entries(&self) -> &[Entry] {
        &self.entries
    }

    /// Why [`server_for`](Self::server_for) has none for this message.
    pub(crate) fn refusal(&self, traffic: &Traffic<'_>) -> Refusal {
        let message = &traffic.message;
        let at = |entry: &&Entry| entry.is_at(message.dpc, traffic.network);
        let there: Vec<&Entry> = self.entries.iter().filter(at).collect();
        if there.is_empty() {
            return Refusal::Destination;
        }
        let same: Vec<&Entry> = there.into_iter().filter(|entry| entry.has_ni(message.ni)).collect();
        if same.is_empty() {
            return Refusal::NetworkIndicator;
        }
        let user_part = same.iter().any(|entry| entry.has_si(message.si));
        if user_part { Refusal::Origin } else { Refusal::UserPart }
    }

    /// The application servers behind a point code of a network (for DAUD).
    pub(crate) fn servers_at(&self, pc: u32, network: Option<u32>) -> impl Iterator<Item = usize> + '_ {
        self.entries.iter().filter(move |entry| entry.is_at(pc, network)).map(|entry| entry.server)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::As;

    fn message(opc: u32, dpc: u32, si: u8) -> Traffic<'static> {
        let message = ProtocolData { opc, dpc, si, ni: 2, mp: 0, sls: 0, user_data: &[] };
        Traffic { message, network: None }
    }

    fn table(servers: &[As]) -> Routes {
        Routes::new(servers, &Keys::default())
    }

    fn of(ni: u8, network: Option<u32>) -> Traffic<'static> {
        let message = ProtocolData { ni, ..message(7, 2, 5).message };
        Traffic { message, network }
    }

    #[test]
    fn what_is_missing_for_a_route() {
        let routes = table(&[
            As { dpc: vec![2], si: vec![5], opc: vec![7], ..As::default() },
            As { dpc: vec![2], si: vec![3], ..As::default() },
        ]);
        assert_eq!(routes.refusal(&message(7, 3, 5)), Refusal::Destination);
        assert_eq!(routes.refusal(&message(7, 2, 4)), Refusal::UserPart);
        assert_eq!(routes.refusal(&message(8, 2, 5)), Refusal::Origin);
    }

    #[test]
    fn the_most_specific_key_wins() {
        let routes = table(&[
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
        assert_eq!(routes.servers_at(0x106, None).collect::<Vec<_>>(), [0]);
    }

    #[test]
    fn the_same_point_code_in_several_networks() {
        let at =
            |ni: &[u8], network_appearance| As { dpc: vec![2], ni: ni.to_vec(), network_appearance, ..As::default() };
        let routes = table(&[at(&[], None), at(&[], Some(8)), at(&[0], Some(8)), at(&[0, 1], None)]);
        assert_eq!(routes.server_for(&of(2, Some(8))), Some(1));
        assert_eq!(routes.server_for(&of(0, Some(8))), Some(2), "more specific");
        assert_eq!(
            routes.server_for(&of(1, Some(8))),
            Some(3),
            "a network indicator is more specific than a network appearance"
        );
        assert_eq!(routes.server_for(&of(2, Some(9))), Some(0), "without an appearance it is of all networks");
        assert_eq!(routes.server_for(&of(0, None)), Some(2), "only one network: the appearance is implied");
        let routes = table(&[at(&[0, 1], Some(8))]);
        assert_eq!(routes.refusal(&of(2, Some(8))), Refusal::NetworkIndicator);
        assert_eq!(routes.refusal(&of(0, Some(9))), Refusal::Destination, "not in that network");
        assert_eq!([Some(8), Some(9), None].map(|network| routes.servers_at(2, network).count()), [1, 0, 1]);
    }
}
