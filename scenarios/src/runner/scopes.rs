//! Further operation scopes of a run: which process serves which, and who is told of them.

use super::address::{Host, Net};
use super::config::{server_list, set, text, texts};
use super::lab::LabPlan;
use crate::scenario::{Resolver, Scope};
use asap::ServerAddress;
use std::net::IpAddr;
use toml::{Table, Value, toml};

/// `[[scope]]` of a gateway or a controller: every further operation scope with its name servers.
pub(super) fn add_scopes(config: &mut Table, plan: &LabPlan, net: Net, first: usize) {
    let scopes = &plan.name_server.scope;
    if !scopes.is_empty() {
        config.insert("scope".into(), scope_tables(plan, net, first));
    }
}

pub(super) fn scope_tables(plan: &LabPlan, net: Net, first: usize) -> Value {
    let table = |(index, scope): (usize, &Scope)| {
        let mut table = Table::new();
        table.insert("name".into(), text(&scope.name));
        table.insert("servers".into(), server_list(net, &scope_hosts(plan, index, first)));
        Value::Table(table)
    };
    Value::Array(plan.name_server.scope.iter().enumerate().map(table).collect())
}

/// A scope's servers: which process has it, and where.
pub(super) fn scope_servers(plan: &LabPlan) -> Vec<(usize, usize, Host)> {
    let scopes = plan.name_server.scope.iter().enumerate();
    let servers =
        scopes.flat_map(|(scope, of)| of.servers(plan.name_server.count).into_iter().map(move |n| (scope, n)));
    servers.enumerate().map(|(place, (scope, process))| (scope, process, Host::ScopeServer(place))).collect()
}

/// A scope's servers in the order of preference of somebody.
fn scope_hosts(plan: &LabPlan, scope: usize, first: usize) -> Vec<Host> {
    let mut hosts: Vec<Host> =
        scope_servers(plan).into_iter().filter(|(of, ..)| *of == scope).map(|(_, _, host)| host).collect();
    let turn = first % hosts.len().max(1);
    hosts.rotate_left(turn);
    hosts
}

/// `[[scope]]` of a name server: what it serves besides the scope that all serve.
pub(super) fn served_scopes(plan: &LabPlan, net: Net, index: usize) -> Vec<Value> {
    let all = scope_servers(plan);
    let served = all.iter().filter(|(_, process, _)| *process == index).map(|&(scope, _, host)| {
        let mut config = toml! {
            [node]
            [udp]
        };
        set(&mut config, "node", "name", text(&plan.name_server.scope[scope].name));
        set(&mut config, "node", "server_id", (((scope + 1) << 8 | (index + 1)) as i64).into());
        set(&mut config, "udp", "addresses", texts(&net.own(host)));
        if net.is_relayed() {
            set(&mut config, "udp", "advertise", texts(&net.known(host)));
        }
        let others: Vec<Host> =
            all.iter().filter(|(of, _, other)| *of == scope && *other != host).map(|(_, _, other)| *other).collect();
        if !others.is_empty() {
            set(&mut config, "peers", "servers", server_list(net, &others));
        }
        Value::Table(config)
    });
    served.collect()
}

/// What a resolver is told: its name servers in the order of its preference. The first one is for the scope that all serve.
pub(super) fn resolver_servers(plan: &LabPlan, resolver: &Resolver, index: usize, net: Net) -> Vec<ServerAddress> {
    let count = plan.name_server.stand_alone();
    let hosts = match index.checked_sub(1) {
        Some(scope) => scope_hosts(plan, scope, 0),
        None if count == 0 => (0..plan.gateways()).map(Host::Gateway).collect(),
        None => (0..count).map(|step| Host::NameServer((resolver.server.saturating_sub(1) + step) % count)).collect(),
    };
    hosts.into_iter().map(|host| server_address(net.known(host))).collect()
}

/// Scopes in which a resolver asks: the one that all serve, and the further ones.
pub(super) fn resolvers(plan: &LabPlan) -> usize {
    if plan.resolver.is_some() { 1 + plan.name_server.scope.len() } else { 0 }
}

fn server_address(addresses: Vec<IpAddr>) -> ServerAddress {
    ServerAddress { addresses, ..ServerAddress::new(IpAddr::from([0, 0, 0, 0])) }
}

#[cfg(test)]
mod tests {
    use super::super::config::{check_settings, controller_config, gateway_config, name_server_config, needs};
    use super::*;

    fn plan() -> LabPlan {
        LabPlan {
            out: "/tmp/x".into(),
            controllers: 2,
            network_pcs: vec![101],
            pool_pcs: vec![2],
            ..LabPlan::default()
        }
    }

    #[test]
    fn scopes_are_served_by_their_processes_and_known_to_all() {
        let mut plan = plan();
        plan.name_server = toml::from_str(
            "kind = \"stand-alone\"\ncount = 2\n[[scope]]\nname = \"east\"\nservers = [2]\n[[scope]]\nname = \"west\"",
        )
        .unwrap();
        plan.population = Some(
            toml::from_str("processes = 2\npools = 0\n[[pool]]\nhandle = \"x\"\nscope = \"east\"\npolicy = \"random\"\nelements = [{}, {}]")
                .unwrap(),
        );
        plan.resolver = Some(Resolver::default());
        plan.gateway_settings = toml! { [as]
        pool = "GatewayPool@west" };
        check_settings(&plan).unwrap();
        let net = Net::any(needs(&plan));
        let [east, west_1, west_2] = [0, 1, 2].map(|place| net.known(Host::ScopeServer(place)));
        let server =
            |index| -> enrp::server_daemon::Config { name_server_config(&plan, net, index).try_into().unwrap() };
        let served = |index| server(index).scope.iter().map(|scope| scope.node.name.clone()).collect::<Vec<_>>();
        assert_eq!((served(0), served(1)), (vec!["west".to_owned()], vec!["east".to_owned(), "west".to_owned()]));
        let second = server(1);
        assert!(second.scope[0].peers.servers.is_empty(), "it is alone in east");
        assert_eq!(second.scope[1].peers.servers[0].addresses, west_1, "and not in west");
        assert_eq!((&second.scope[0].udp.addresses, &second.scope[1].udp.addresses), (&east, &west_2));
        let gateway: sg::Config = gateway_config(&plan, net, 0).try_into().unwrap();
        assert_eq!(
            gateway.scope[1].servers.iter().map(|s| s.addresses.clone()).collect::<Vec<_>>(),
            [&west_1[..], &west_2[..]]
        );
        let controller: gwc_pe::config::Config = controller_config(&plan, net, 1, 1).try_into().unwrap();
        assert_eq!(controller.scope[1].servers[0].addresses, west_2, "each begins with another one");
        let resolver = Resolver::default();
        assert_eq!(resolver_servers(&plan, &resolver, 1, net)[0].addresses, east);
        assert_eq!((resolvers(&plan), resolver_servers(&plan, &resolver, 0, net).len()), (3, 2));
    }
}
