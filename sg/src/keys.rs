//! Routing keys besides those of the configuration: what ASPs register (RFC 4666 section 4.4), and what an operator adds.
//!
//! Each is one more key of an application server that is configured, with its Routing Context. It is there as long as somebody holds
//! it. A message never fits two keys of which one is registered (section 4.4.1, "Cannot Support Unique Routing").

use crate::config::As;
use crate::route::Routes;
use m3ua_lite::wire::{AffectedPc, KeyPart, RegistrationStatus, RoutingKey, TrafficMode};
use sctp::AssocId;
use serde::Serialize;

/// One destination of a routing key.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub(crate) struct Part {
    pub(crate) dpc: u32,
    /// Service indicators; empty means any. Sorted, as the others.
    pub(crate) si: Vec<u8>,
    /// Empty means any.
    pub(crate) opc: Vec<u32>,
}

impl Part {
    pub(crate) fn new(dpc: u32, mut si: Vec<u8>, mut opc: Vec<u32>) -> Self {
        si.sort_unstable();
        si.dedup();
        opc.sort_unstable();
        opc.dedup();
        Self { dpc, si, opc }
    }

    fn read(part: &KeyPart<'_>) -> Result<Self, RegistrationStatus> {
        if part.opcs.iter().any(|opc| opc.mask() != 0) {
            return Err(RegistrationStatus::UnsupportedField);
        }
        // MTP's own management is nobody's (section 1.4.3.2).
        if part.service_indicators.iter().any(|si| !(3..16).contains(si)) {
            return Err(RegistrationStatus::InvalidRoutingKey);
        }
        Ok(Self::new(part.dpc, part.service_indicators.to_vec(), part.opcs.iter().map(AffectedPc::pc).collect()))
    }

    /// What it takes of `register_entries_max`.
    fn entries(&self) -> usize {
        1 + self.opc.len()
    }
}

/// A key that an ASP wants to register.
#[derive(Debug)]
pub(crate) struct Request {
    pub(crate) local_id: u32,
    /// It names a key that is to be another one.
    changes: bool,
    traffic_mode: Option<TrafficMode>,
    network: Option<u32>,
    parts: Result<Vec<Part>, RegistrationStatus>,
}

impl Request {
    pub(crate) fn read(key: &RoutingKey<'_>) -> Self {
        Self {
            local_id: key.local_id,
            changes: key.routing_context.is_some(),
            traffic_mode: key.traffic_mode,
            network: key.network_appearance,
            parts: key.parts.iter().map(|part| Part::read(&part)).collect(),
        }
    }
}

/// Who wants a key to be there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Holder {
    /// The ASP of this association.
    Asp(AssocId),
    /// `sigpool ctl add key`.
    Operator,
}

#[derive(Debug)]
struct Key {
    /// Index of its application server.
    server: usize,
    parts: Vec<Part>,
    holders: Vec<Holder>,
}

/// Whose request it is.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Asker<'a> {
    pub(crate) server: usize,
    pub(crate) settings: &'a As,
    pub(crate) assoc: AssocId,
    /// It may register (`register_from`).
    pub(crate) allowed: bool,
    pub(crate) traffic_mode: TrafficMode,
    /// Point codes of the network.
    pub(crate) network: &'a [u32],
}

/// All of them.
#[derive(Debug, Default)]
pub(crate) struct Keys {
    list: Vec<Key>,
}

impl Keys {
    /// An ASP's request (section 4.4.1).
    pub(crate) fn register(&mut self, routes: &Routes, asker: Asker<'_>, request: Request) -> RegistrationStatus {
        match self.judge(routes, asker, request) {
            Ok(parts) => {
                self.insert(asker.server, parts, Holder::Asp(asker.assoc));
                RegistrationStatus::Success
            }
            Err(status) => status,
        }
    }

    fn judge(&self, routes: &Routes, asker: Asker<'_>, request: Request) -> Result<Vec<Part>, RegistrationStatus> {
        use RegistrationStatus as S;
        let refuse = |wrong: bool, status| if wrong { Err(status) } else { Ok(()) };
        let Asker { server, settings, .. } = asker;
        refuse(request.changes, S::ChangeRefused)?;
        let mut parts = request.parts?;
        parts.sort();
        parts.dedup();
        let of_network = |part: &Part| part.dpc == 0 || asker.network.contains(&part.dpc);
        refuse(
            request.network.is_some() && request.network != settings.network_appearance,
            S::InvalidNetworkAppearance,
        )?;
        refuse(parts.iter().any(of_network), S::InvalidDpc)?;
        refuse(request.traffic_mode.is_some_and(|mode| mode != asker.traffic_mode), S::UnsupportedTrafficMode)?;
        let held = self.find(server, &parts);
        let by_it = held.is_some_and(|key| key.holders.contains(&Holder::Asp(asker.assoc)));
        refuse(by_it || parts == configured(settings), S::AlreadyRegistered)?;
        refuse(!asker.allowed, S::PermissionDenied)?;
        refuse(settings.register_dpc.is_empty() && held.is_none(), S::NotProvisioned)?;
        let may = |part: &Part| settings.register_dpc.contains(&part.dpc);
        refuse(held.is_none() && !parts.iter().all(may), S::PermissionDenied)?;
        let both = |part: &Part| routes.overlaps(part, settings);
        refuse(held.is_none() && parts.iter().any(both), S::CannotSupportUniqueRouting)?;
        let more = parts.iter().map(Part::entries).sum::<usize>();
        let full = self.entries(server) + more > settings.register_entries_max;
        refuse(held.is_none() && full, S::InsufficientResources)?;
        Ok(parts)
    }

    fn find(&self, server: usize, parts: &[Part]) -> Option<&Key> {
        self.list.iter().find(|key| key.server == server && key.parts == parts)
    }

    /// What ASPs have registered of `register_entries_max`.
    fn entries(&self, server: usize) -> usize {
        let registered = |key: &&Key| key.server == server && !key.holders.contains(&Holder::Operator);
        self.list.iter().filter(registered).flat_map(|key| &key.parts).map(Part::entries).sum()
    }

    /// `parts` are sorted; a message fits no other key.
    pub(crate) fn insert(&mut self, server: usize, parts: Vec<Part>, holder: Holder) {
        match self.list.iter_mut().find(|key| key.server == server && key.parts == parts) {
            Some(key) => key.holders.push(holder),
            None => self.list.push(Key { server, parts, holders: vec![holder] }),
        }
    }

    /// Only these holders stay, and the keys that have one. How many go.
    pub(crate) fn keep(&mut self, stays: impl Fn(usize, Holder) -> bool) -> usize {
        let before = self.held();
        for key in &mut self.list {
            let server = key.server;
            key.holders.retain(|holder| stays(server, *holder));
        }
        self.list.retain(|key| !key.holders.is_empty());
        before - self.held()
    }

    /// Takes one away from one who holds it. False: it did not.
    pub(crate) fn remove(&mut self, server: usize, parts: &[Part], holder: Holder) -> bool {
        let wanted = |key: &&mut Key| key.server == server && key.parts == parts && key.holders.contains(&holder);
        let Some(key) = self.list.iter_mut().find(wanted) else { return false };
        key.holders.retain(|by| *by != holder);
        self.list.retain(|key| !key.holders.is_empty());
        true
    }

    /// Whether somebody holds a key of this application server.
    pub(crate) fn holds(&self, server: usize, holder: Holder) -> bool {
        self.list.iter().any(|key| key.server == server && key.holders.contains(&holder))
    }

    /// How many there are, each counted for each holder.
    pub(crate) fn held(&self) -> usize {
        self.list.iter().map(|key| key.holders.len()).sum()
    }

    /// An application server's.
    pub(crate) fn of(&self, server: usize) -> impl Iterator<Item = &Part> {
        self.list.iter().filter(move |key| key.server == server).flat_map(|key| &key.parts)
    }
}

/// For the admin's state.
#[derive(Debug, Serialize)]
pub(crate) struct View {
    routing_context: u32,
    pool: String,
    parts: Vec<Part>,
    /// ASPs that registered it.
    asps: usize,
    /// An operator added it.
    operator: bool,
}

impl Keys {
    pub(crate) fn views(&self, servers: &[As]) -> Vec<View> {
        let view = |key: &Key| {
            let server = servers.get(key.server)?;
            let operator = key.holders.contains(&Holder::Operator);
            let (routing_context, pool) = (server.routing_context, server.pool.clone());
            let asps = key.holders.len() - usize::from(operator);
            Some(View { routing_context, pool, parts: key.parts.clone(), asps, operator })
        };
        self.list.iter().filter_map(view).collect()
    }
}

/// The key that an application server has by configuration, if it is one that can be said in a REG REQ; else no parts.
fn configured(server: &As) -> Vec<Part> {
    if server.dpc_mask != 0 || !server.ni.is_empty() {
        return Vec::new();
    }
    let mut parts: Vec<Part> =
        server.dpc.iter().map(|dpc| Part::new(*dpc, server.si.clone(), server.opc.clone())).collect();
    parts.sort();
    parts.dedup();
    parts
}
