//! A lab's name servers and who asks them: resolvers, admin commands, what is read from them at the end.

use super::RunError;
use super::address::{Host, UDP_PORT};
use super::admin;
use super::config::name_server_name;
use super::lab::{Lab, LabPlan};
use super::scopes::{resolver_servers, resolvers, scope_servers};
use crate::resolver::{self, ResolverConfig, RunningResolver};
use crate::scenario::Target;
use sctp::driver::DriverConfig;
use std::net::IpAddr;

impl Lab {
    /// Starts the pool users that ask all the time, one for each operation scope, if the plan has them.
    ///
    /// # Errors
    /// Environment: no socket, no record.
    pub fn start_resolvers(&self) -> Result<Vec<RunningResolver>, RunError> {
        let (Some(settings), Some(population)) = (&self.plan.resolver, &self.plan.population) else {
            return Ok(Vec::new());
        };
        let start = |index: usize| {
            let host = Host::Resolver(index);
            let (addresses, known) = (self.net.own(host), self.net.known(host));
            let advertise = if self.net.is_relayed() { known } else { Vec::new() };
            let scope = index.checked_sub(1).map(|index| self.plan.name_server.scope[index].name.clone());
            let config = ResolverConfig {
                udp: DriverConfig { addresses, advertise, port: UDP_PORT, ..DriverConfig::default() },
                transport: self.plan.transport,
                servers: resolver_servers(&self.plan, settings, index, self.net),
                pools: resolver::Pools::of(population, scope),
                settings: settings.clone(),
                record: self.records().join(format!("{}.csv", resolver_name(&self.plan, index))),
            };
            resolver::start(config).map_err(|error| RunError::Environment(format!("the resolver: {error:#}")))
        };
        (0..resolvers(&self.plan)).map(start).collect()
    }

    /// Gives an admin command to a process.
    ///
    /// # Errors
    /// Usage: it refuses, or does not answer.
    pub fn command(&self, target: Target, command: &str, body: &str) -> Result<(), RunError> {
        let (address, path) = match target {
            Target::Controller(index) => (self.net.first(Host::Controller(index)), format!("/command/{command}")),
            Target::Population(index) => (self.net.first(Host::Population(index)), format!("/command/{command}")),
            Target::NameServer(index) => {
                (self.net.first(Host::NameServer(index)), server_path(&name_server_name(index), command))
            }
            Target::Gateway | Target::GatewayFollower | Target::GatewayNumber(_) => {
                let index = self.gateway_of(target).unwrap_or_default();
                (self.net.first(Host::Gateway(index)), format!("/command/{command}"))
            }
            Target::Machine | Target::Path(_) | Target::Link(..) => return Ok(()),
        };
        admin::post(address, &path, body)
            .map_err(|error| RunError::Usage(format!("command {command} of {target}: {error}")))
    }

    /// How often selection plug-ins failed, at each name server that runs.
    #[must_use]
    pub fn plugin_failures(&self) -> Vec<(String, u64)> {
        let of = |(name, address): (String, IpAddr)| {
            let failures = admin::plugin_failures(address, &name).ok()?;
            Some((name, failures))
        };
        self.name_servers().into_iter().filter_map(of).collect()
    }

    /// Lets each name server write its whole table into its record.
    pub fn record_tables(&self) {
        for (name, address) in self.name_servers() {
            if let Err(error) = admin::post(address, &server_path(&name, "record-table"), "") {
                tracing::warn!("{name}: no table in its record: {error}");
            }
        }
    }
}

/// Where a name server takes a command; its process may serve further scopes.
fn server_path(name: &str, command: &str) -> String {
    format!("/scope/{name}/command/{command}")
}

/// Its record has this name, too.
pub(super) fn resolver_name(plan: &LabPlan, index: usize) -> String {
    let scope = index.checked_sub(1).and_then(|index| plan.name_server.scope.get(index));
    scope.map_or_else(|| "resolver".to_owned(), |scope| format!("resolver-{}", scope.name))
}

/// A further scope's server, in the process of a name server.
pub(super) fn scope_server_name(plan: &LabPlan, place: usize) -> String {
    let name = |(scope, process, _): &(usize, usize, Host)| {
        format!("{}-of-{}", name_server_name(*process), plan.name_server.scope[*scope].name)
    };
    scope_servers(plan).get(place).map(name).unwrap_or_default()
}
