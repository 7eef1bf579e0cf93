//! What an operator adds while the gateway runs (`sigpool ctl add`): an application server, a routing key, an address that may come.
//! It is checked as the configuration is, forgotten at a restart, and of two gateways the other one is told nothing.

use super::{Node, mate};
use crate::config::{As, Config};
use crate::keys::{Holder, Keys, Part};
use crate::pool::Directory;
use crate::route::Routes;
use serde::{Deserialize, Serialize};
use std::net::IpAddr;
use std::time::Instant;

/// A routing key for an application server that is there.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct NewKey {
    routing_context: u32,
    dpc: Vec<u32>,
    #[serde(default)]
    si: Vec<u8>,
    #[serde(default)]
    opc: Vec<u32>,
}

/// An address from which an ASP may come.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct NewPeer {
    address: IpAddr,
    /// It is an ordinary ASP of this application server; none: a peer of the network side.
    #[serde(default)]
    routing_context: Option<u32>,
}

/// What was added or removed.
#[derive(Debug, Serialize)]
pub(crate) struct Changed {
    what: &'static str,
    routing_context: Option<u32>,
    pool: Option<String>,
    dpc: Vec<u32>,
    address: Option<IpAddr>,
}

/// Most `[[as]]` tables: the mate is told a number of eight bits.
const SERVERS_MAX: usize = 256;
const POINT_CODE_MAX: u32 = 0x00ff_ffff;

impl NewKey {
    fn parts(&self) -> Result<Vec<Part>, String> {
        if self.dpc.is_empty() {
            return Err("dpc: at least one destination point code".to_owned());
        }
        if self.dpc.iter().chain(&self.opc).any(|pc| *pc > POINT_CODE_MAX) {
            return Err("dpc, opc: point codes of 24 bits at most".to_owned());
        }
        if self.si.iter().any(|si| !(3..16).contains(si)) {
            return Err("si: 3 to 15; 5 is ISUP; 0 to 2 are MTP's own".to_owned());
        }
        let mut parts: Vec<Part> =
            self.dpc.iter().map(|dpc| Part::new(*dpc, self.si.clone(), self.opc.clone())).collect();
        parts.sort();
        parts.dedup();
        Ok(parts)
    }
}

impl Node {
    fn server_of(&self, routing_context: u32) -> Result<usize, String> {
        let servers = &self.config.application_servers;
        let found = servers.iter().position(|server| server.routing_context == routing_context);
        found.ok_or_else(|| {
            let there: Vec<_> = servers.iter().map(|server| server.routing_context.to_string()).collect();
            format!("routing_context: no application server has {routing_context}; there are: {}", there.join(", "))
        })
    }

    fn changed(&self, what: &'static str, index: usize, dpc: Vec<u32>) -> Changed {
        let server = &self.config.application_servers[index];
        let (routing_context, pool) = (Some(server.routing_context), Some(server.pool.clone()));
        Changed { what, routing_context, pool, dpc, address: None }
    }

    /// One more key of an application server, for its pool.
    pub(crate) fn add_key(&mut self, now: Instant, new: &NewKey) -> Result<Changed, String> {
        let index = self.server_of(new.routing_context)?;
        let parts = new.parts()?;
        if let Some(part) =
            parts.iter().find(|part| self.routes.overlaps(part, &self.config.application_servers[index]))
        {
            return Err(format!(
                "dpc: messages to {} could fit a key that is there; `sigpool explain --dpc {}` shows it: give other DPCs, SIs or OPCs",
                part.dpc, part.dpc
            ));
        }
        self.keys.insert(index, parts, Holder::Operator);
        self.reroute(now);
        Ok(self.changed("key added", index, new.dpc.clone()))
    }

    /// Takes it away again.
    pub(crate) fn remove_key(&mut self, now: Instant, old: &NewKey) -> Result<Changed, String> {
        let index = self.server_of(old.routing_context)?;
        if !self.keys.remove(index, &old.parts()?, Holder::Operator) {
            return Err(
                "dpc: no such key was added; `sigpool ctl show keys` lists them, and it must be given whole".to_owned()
            );
        }
        self.reroute(now);
        Ok(self.changed("key removed", index, old.dpc.clone()))
    }

    /// An application server with its pool.
    pub(crate) fn add_server(&mut self, now: Instant, server: As) -> Result<Changed, String> {
        let index = self.pools.len();
        if index >= SERVERS_MAX {
            return Err(format!("as: {SERVERS_MAX} application servers at most"));
        }
        if !server.transactions && self.config.application_servers.iter().all(|server| server.transactions) {
            return Err(
                "transactions: false in none of the [[as]] of the configuration; what the record says to its readers cannot change: restart with it there"
                    .to_owned(),
            );
        }
        self.meets_no_added_key(&server)?;
        let dpc = server.dpc.clone();
        self.configure(|config| config.application_servers.push(server))?;
        let server = &self.config.application_servers[index];
        self.names.know(server);
        let mut pool = mate::pool(now, &self.config, self.epoch, index);
        if self.mate.leads() {
            pool.set_term(self.mate.term(), false);
        }
        let handle = pool.handle().clone();
        self.pools.push(pool);
        self.network.set_networks(self.config.networks());
        self.mate.set_tables(mate::tables(&self.config), mate::limits(&self.config));
        if self.config.application_servers[index].resolve_at_start {
            self.names.resolve(now, &handle);
        }
        self.reroute(now);
        let told = self.destinations(index);
        self.with_network(now, |network, cx| network.announce(cx, None, true, &told));
        Ok(self.changed("application server added", index, dpc))
    }

    /// Keys that were registered or added stay the only ones for their messages.
    fn meets_no_added_key(&self, server: &As) -> Result<(), String> {
        let alone = Routes::new(std::slice::from_ref(server), &Keys::default());
        for (index, other) in self.config.application_servers.iter().enumerate() {
            if let Some(part) = self.keys.of(index).find(|part| alone.overlaps(part, other)) {
                let (dpc, routing_context) = (part.dpc, other.routing_context);
                return Err(format!(
                    "dpc: messages to {dpc} could fit the key that was registered or added for routing context {routing_context}"
                ));
            }
        }
        Ok(())
    }

    /// An address from which an ordinary ASP, or a peer of the network, may come.
    pub(crate) fn add_peer(&mut self, new: &NewPeer) -> Result<Changed, String> {
        let address = new.address;
        if let Some(routing_context) = new.routing_context {
            let index = self.server_of(routing_context)?;
            if self.config.application_servers.iter().any(|server| server.asps.contains(&address)) {
                return Err(format!("address: {address} is one of an application server's `asps` already"));
            }
            self.configure(|config| config.application_servers[index].asps.push(address))?;
            self.mate.set_tables(mate::tables(&self.config), mate::limits(&self.config));
            return Ok(Changed { address: Some(address), ..self.changed("ordinary ASP added", index, Vec::new()) });
        }
        if self.config.network.allowed_addresses.is_empty() {
            return Err("address: peers may come from any address; network.allowed_addresses is empty".to_owned());
        }
        if self.config.network.allowed_addresses.contains(&address) {
            return Err(format!("address: {address} may come already"));
        }
        self.configure(|config| config.network.allowed_addresses.push(address))?;
        self.network.allow(address);
        Ok(Changed { what: "peer added", routing_context: None, pool: None, dpc: Vec::new(), address: Some(address) })
    }

    /// Changes the configuration if what it is then could be one.
    fn configure(&mut self, change: impl FnOnce(&mut Config)) -> Result<(), String> {
        let mut changed = self.config.clone();
        change(&mut changed);
        changed.check().map_err(|error| format!("{}: {}", error.key, error.problem))?;
        self.config = changed;
        Ok(())
    }
}
