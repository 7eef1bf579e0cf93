//! The configuration files of a run's processes, and the check of a scenario's settings on the daemons' own schemas.

use super::RunError;
use super::address::{ADMIN_PORT, Host, Needs, Net};
use super::gateways::capture_name;
use super::lab::{LabPlan, NETWORK_ROUTING_CONTEXT};
use super::population;
use super::relay::Port;
use super::scopes::{add_scopes, resolvers, scope_servers, scope_tables, served_scopes};
use crate::scenario::{NameServerKind, Population};
use std::net::{IpAddr, SocketAddr};
use std::path::Path;
use std::time::Duration;
use toml::{Table, Value, toml};

/// RFC 4666 section 1.4.8.
const M3UA_PORT: u16 = 2905;
/// ENRP over SCTP, RFC 5353 section 5.3.
const ENRP_PORT: u16 = 9901;

pub(super) fn gateway_name(index: usize) -> String {
    format!("sg-{}", index + 1)
}

pub(super) fn controller_name(index: usize) -> String {
    format!("gwc-{}", index + 1)
}

/// A new process is a new pool element: RFC 5352 section 3.1 wants a new identifier. An ordinary ASP has that of its place, by which the
/// gateway registers it.
pub(super) fn pe_id(plan: &LabPlan, net: Net, index: usize, starts: u32) -> u32 {
    if plan.ordinary().contains(&index) {
        return sg::attached_identifier(&net.known(Host::Controller(index)), M3UA_PORT);
    }
    starts << 8 | (index as u32 + 1)
}

pub(super) fn text(value: impl ToString) -> Value {
    Value::String(value.to_string())
}

fn path_text(path: &Path) -> Value {
    Value::String(path.display().to_string())
}

fn codes(codes: &[u32]) -> Value {
    codes.iter().map(|code| i64::from(*code)).collect::<Vec<_>>().into()
}

pub(super) fn gateway_config(plan: &LabPlan, net: Net, index: usize) -> Table {
    let mut config = toml! {
        [daemon]
        [udp]
        [node]
        [[as]]
        pool = "GatewayPool"
        routing_context = 1
        [network]
    };
    set_process(&mut config, plan, net, Host::Gateway(index));
    set(&mut config, "udp", "capture", path_text(&plan.out.join(capture_name(index))));
    set(&mut config, "node", "name", text(gateway_name(index)));
    set(&mut config, "node", "gateway", ((index + 1) as i64).into());
    set(&mut config, "node", "records", path_text(&plan.out.join("records")));
    set(&mut config, "network", "routing_context", i64::from(NETWORK_ROUTING_CONTEXT).into());
    set(&mut config, "network", "point_codes", codes(&plan.network_pcs));
    set(&mut config, "as", "dpc", codes(&plan.pool_pcs));
    let ordinary: Vec<IpAddr> = plan.ordinary().flat_map(|index| net.known(Host::Controller(index))).collect();
    if !ordinary.is_empty() {
        set(&mut config, "as", "asps", texts(&ordinary));
    }
    if plan.name_server.kind == NameServerKind::StandAlone {
        let mut enrp = toml! { embedded = false };
        enrp.insert("servers".into(), servers(plan, net, index));
        config.insert("enrp".into(), enrp.into());
    }
    if plan.gateways() > 1 {
        add_mate(&mut config, plan, net, index);
    }
    if let Some(population) = &plan.population {
        let (server, sctp) = population::room(population);
        let mut enrp = Table::new();
        enrp.insert("server".into(), server.into());
        let mut room = Table::new();
        room.insert("enrp".into(), enrp.into());
        room.insert("sctp".into(), sctp.into());
        merge(&mut config, &room);
    }
    add_scopes(&mut config, plan, net, 0);
    merge(&mut config, &plan.gateway_settings);
    config
}

/// What a gateway of two is told of the other one: it is the peer of its name server.
fn add_mate(config: &mut Table, plan: &LabPlan, net: Net, index: usize) {
    let other = Host::Gateway(1 - index);
    set(config, "mate", "addresses", texts(&net.known(other)));
    if plan.name_server.kind == NameServerKind::Embedded {
        set(config, "enrp", "server_id", ((index + 1) as i64).into());
        set(config, "enrp", "enrp_port", i64::from(ENRP_PORT).into());
        let mut peers = Table::new();
        peers.insert("servers".into(), server_list(net, &[other]));
        set(config, "enrp", "peers", peers.into());
    }
}

/// Of a stand-alone name server, beside the gateway: a peer of all others.
pub(super) fn name_server_config(plan: &LabPlan, net: Net, index: usize) -> Table {
    let mut config = toml! {
        [daemon]
        [udp]
        [node]
    };
    set_process(&mut config, plan, net, Host::NameServer(index));
    set(&mut config, "node", "name", text(name_server_name(index)));
    set(&mut config, "node", "server_id", ((index + 1) as i64).into());
    set(&mut config, "node", "records", path_text(&plan.out.join("records")));
    if plan.name_server.count > 1 {
        let others = (0..plan.name_server.count).filter(|other| *other != index).map(Host::NameServer);
        set(&mut config, "peers", "servers", server_list(net, &others.collect::<Vec<_>>()));
    }
    if let Some(population) = &plan.population {
        let (server, sctp) = population::room(population);
        config.insert("server".into(), server.into());
        config.insert("sctp".into(), sctp.into());
    }
    let scopes = served_scopes(plan, net, index);
    if !scopes.is_empty() {
        config.insert("scope".into(), Value::Array(scopes));
    }
    merge(&mut config, &plan.name_server.settings);
    config
}

/// Of a process of the population.
pub(super) fn population_config(
    plan: &LabPlan,
    population: &Population,
    net: Net,
    index: usize,
    share: population::Share,
) -> Table {
    let mut config = toml! {
        [daemon]
        [udp]
        [asap.hunt]
    };
    let mut hunt = Table::new();
    hunt.insert("servers".into(), servers(plan, net, index));
    // One after the other: each process begins with another name server.
    hunt.insert("max_parallel".into(), 1.into());
    set_process(&mut config, plan, net, Host::Population(index));
    set(&mut config, "asap", "hunt", hunt.into());
    let mut settings = population::settings(population, index, share);
    settings.insert("records".into(), path_text(&plan.out.join("records")));
    if !plan.name_server.scope.is_empty() {
        settings.insert("scope".into(), scope_tables(plan, net, index));
    }
    config.insert("population".into(), settings.into());
    merge(&mut config, &population.settings);
    config
}

/// Name of a stand-alone name server.
pub(super) fn name_server_name(index: usize) -> String {
    format!("enrp-{}", index + 1)
}

/// What a run needs addresses for.
pub(super) fn needs(plan: &LabPlan) -> Needs {
    Needs {
        gateways: plan.gateways(),
        controllers: plan.controllers,
        name_servers: plan.name_server.stand_alone(),
        resolvers: resolvers(plan),
        scope_servers: scope_servers(plan).len(),
        population: plan.population.as_ref().map_or(0, |population| population::shares(population).len()),
        paths: plan.paths,
        relayed: plan.relayed,
    }
}

/// All processes as the relay knows them.
pub(super) fn relay_ports(plan: &LabPlan, net: Net) -> Vec<Port> {
    let half = |host| match host {
        Host::Controller(index) => plan.round_trip_ms.get(index).copied().unwrap_or(0),
        Host::Gateway(_)
        | Host::Network
        | Host::NameServer(_)
        | Host::ScopeServer(_)
        | Host::Resolver(_)
        | Host::Population(_) => 0,
    };
    let port = |host| Port {
        half: Duration::from_micros(u64::from(half(host)) * 500),
        own: net.own(host),
        outside: net.known(host),
    };
    needs(plan).hosts().map(port).collect()
}

/// `servers`: the name servers in the order of preference of somebody; each begins with another one.
fn servers(plan: &LabPlan, net: Net, first: usize) -> Value {
    let (count, gateways) = (plan.name_server.stand_alone(), plan.gateways());
    let hosts: Vec<Host> = match count {
        0 => (0..gateways).map(|step| Host::Gateway((first + step) % gateways)).collect(),
        _ => (0..count).map(|step| Host::NameServer((first + step) % count)).collect(),
    };
    server_list(net, &hosts)
}

pub(super) fn server_list(net: Net, hosts: &[Host]) -> Value {
    let server = |host: &Host| {
        let mut server = Table::new();
        server.insert("addresses".into(), texts(&net.known(*host)));
        Value::Table(server)
    };
    Value::Array(hosts.iter().map(server).collect())
}

pub(super) fn texts(addresses: &[IpAddr]) -> Value {
    Value::Array(addresses.iter().map(text).collect())
}

/// What every process of a run has.
fn set_process(config: &mut Table, plan: &LabPlan, net: Net, host: Host) {
    config.insert("transport".into(), text(plan.transport.name()));
    set(config, "daemon", "admin", text(SocketAddr::new(net.first(host), ADMIN_PORT)));
    set(config, "daemon", "parent_pid", i64::from(std::process::id()).into());
    set(config, "udp", "addresses", texts(&net.own(host)));
    if net.is_relayed() {
        set(config, "udp", "advertise", texts(&net.known(host)));
    }
}

pub(super) fn controller_config(plan: &LabPlan, net: Net, index: usize, starts: u32) -> Table {
    let mut config = toml! {
        [daemon]
        [udp]
        [node]
        [pool]
        handle = "GatewayPool"
        [asap.hunt]
        [m3ua]
        routing_context = 1
    };
    let mut hunt = Table::new();
    hunt.insert("servers".into(), servers(plan, net, index));
    set_process(&mut config, plan, net, Host::Controller(index));
    set(&mut config, "node", "name", text(controller_name(index)));
    set(&mut config, "node", "pe_id", i64::from(pe_id(plan, net, index, starts)).into());
    set(&mut config, "node", "records", path_text(&plan.out.join("records")));
    set(&mut config, "asap", "hunt", hunt.into());
    add_scopes(&mut config, plan, net, index);
    merge(&mut config, &plan.controller_settings);
    if plan.ordinary().contains(&index) {
        set(&mut config, "m3ua", "gateways", texts(&net.known(Host::Gateway(0))));
        set(&mut config, "session", "lease", false.into());
    }
    config
}

/// Sets a key of a table, or of each table of an array of tables.
pub(super) fn set(config: &mut Table, table: &str, key: &str, value: Value) {
    let mut overlay = Table::new();
    overlay.insert(key.to_owned(), value);
    let mut outer = Table::new();
    outer.insert(table.to_owned(), overlay.into());
    merge(config, &outer);
}

/// Lays `over` over `config`: tables are merged, a table over an array of tables goes into each of them, all else replaces.
pub(super) fn merge(config: &mut Table, over: &Table) {
    for (key, value) in over {
        match (config.get_mut(key), value) {
            (Some(Value::Table(old)), Value::Table(new)) => merge(old, new),
            (Some(Value::Array(old)), Value::Table(new)) if old.iter().all(Value::is_table) => {
                for entry in old.iter_mut().filter_map(Value::as_table_mut) {
                    merge(entry, new);
                }
            }
            (Some(_) | None, _) => {
                config.insert(key.clone(), value.clone());
            }
        }
    }
}

/// Tries the merged settings on the daemons' own schemas.
///
/// # Errors
/// Usage: which setting is wrong.
pub(super) fn check_settings(plan: &LabPlan) -> Result<(), RunError> {
    let net = Net::any(needs(plan));
    let wrong = |whose: &str, problem: &dyn std::fmt::Display| {
        let problem = problem.to_string();
        RunError::Usage(format!("[{whose}.settings]: {}", problem.trim_end().replace('\n', "; ")))
    };
    for index in 0..plan.gateways() {
        let gateway: sg::Config =
            gateway_config(plan, net, index).try_into().map_err(|error: toml::de::Error| wrong("gateway", &error))?;
        gateway.check().map_err(|error| wrong("gateway", &error))?;
    }
    let controller: gwc_pe::config::Config =
        controller_config(plan, net, 0, 1).try_into().map_err(|error: toml::de::Error| wrong("controllers", &error))?;
    controller.check().map_err(|error| wrong("controllers", &error))?;
    for index in 0..plan.name_server.count {
        let name_server: enrp::server_daemon::Config = name_server_config(plan, net, index)
            .try_into()
            .map_err(|error: toml::de::Error| wrong("name_server", &error))?;
        enrp::server_daemon::check(&name_server).map_err(|error| wrong("name_server", &error))?;
    }
    let Some(population) = &plan.population else { return Ok(()) };
    for (index, share) in population::shares(population).into_iter().enumerate() {
        let config: crate::population::Config = population_config(plan, population, net, index, share)
            .try_into()
            .map_err(|error: toml::de::Error| RunError::Usage(format!("[population]: {error}")))?;
        config.check().map_err(|error| RunError::Usage(format!("[population]: {error}")))?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn plan() -> LabPlan {
        LabPlan {
            out: "/tmp/x".into(),
            controllers: 3,
            network_pcs: vec![101, 102],
            pool_pcs: vec![2],
            ..LabPlan::default()
        }
    }

    #[test]
    fn the_daemons_take_what_is_written_for_them() {
        check_settings(&plan()).unwrap();
    }

    #[test]
    fn settings_are_laid_over_also_into_the_application_server() {
        let mut plan = plan();
        plan.gateway_settings = toml! {
            [failover]
            beat_ms = 33
            [as]
            t_r_ms = 777
        };
        let config: sg::Config = gateway_config(&plan, Net::any(needs(&plan)), 0).try_into().unwrap();
        assert_eq!((config.failover.beat_ms, config.application_servers[0].t_r_ms), (33, 777));
        assert_eq!(config.application_servers[0].dpc, [2]);
    }

    #[test]
    fn a_stand_alone_name_server_is_used_by_everybody() {
        let mut plan = plan();
        plan.name_server.kind = NameServerKind::StandAlone;
        plan.name_server.settings = toml! { [server]
        pools_max = 7 };
        check_settings(&plan).unwrap();
        let net = Net::any(needs(&plan));
        let server: IpAddr = net.first(Host::NameServer(0));
        let gateway: sg::Config = gateway_config(&plan, net, 0).try_into().unwrap();
        assert!(!gateway.enrp.embedded);
        assert_eq!(gateway.enrp.servers[0].addresses, [server]);
        let controller: gwc_pe::config::Config = controller_config(&plan, net, 1, 1).try_into().unwrap();
        assert_eq!(controller.asap.hunt.servers[0].addresses, [server]);
        plan.name_server.settings = toml! { [server]
        pools_most = 7 };
        let text = check_settings(&plan).unwrap_err().to_string();
        assert!(text.starts_with("[name_server.settings]") && text.contains("pools_most"), "{text}");
    }

    #[test]
    fn behind_a_relay_a_controller_is_another_address_and_sees_others() {
        let mut plan = plan();
        (plan.round_trip_ms, plan.relayed, plan.paths) = (vec![1, 40, 150], true, 2);
        check_settings(&plan).unwrap();
        let net = Net::any(needs(&plan));
        let config: gwc_pe::config::Config = controller_config(&plan, net, 2, 1).try_into().unwrap();
        assert_eq!(config.udp.addresses, net.own(Host::Controller(2)));
        assert_eq!((config.udp.advertise.len(), &config.udp.advertise), (2, &net.known(Host::Controller(2))));
        assert_eq!(config.asap.hunt.servers[0].addresses, net.known(Host::Gateway(0)));
        let ports = relay_ports(&plan, net);
        let halves: Vec<_> = ports.iter().map(|port| port.half.as_micros()).collect();
        assert_eq!(halves, [0, 0, 500, 20_000, 75_000]);
        assert_eq!(ports[4].outside, net.known(Host::Controller(2)));
    }

    #[test]
    fn two_gateways_know_each_other_and_controllers_both() {
        let mut plan = plan();
        plan.gateways = 2;
        check_settings(&plan).unwrap();
        let net = Net::any(needs(&plan));
        let of = |index| -> sg::Config { gateway_config(&plan, net, index).try_into().unwrap() };
        let (first, second) = (of(0), of(1));
        assert_eq!((first.node.gateway, second.node.gateway), (1, 2));
        assert_eq!((first.enrp.server_id, second.enrp.server_id), (Some(1), Some(2)));
        assert_eq!(second.enrp.peers.servers[0].addresses, net.known(Host::Gateway(0)));
        let hunts = |index| -> Vec<Vec<IpAddr>> {
            let config: gwc_pe::config::Config = controller_config(&plan, net, index, 1).try_into().unwrap();
            config.asap.hunt.servers.into_iter().map(|server| server.addresses).collect()
        };
        let [first, second] = [0, 1].map(|index| net.known(Host::Gateway(index)));
        assert_eq!(hunts(0), [first.clone(), second.clone()]);
        assert_eq!(hunts(1), [second, first]);
    }

    #[test]
    fn wrong_settings_are_named() {
        let mut wrong = plan();
        wrong.gateway_settings = toml! { [failover]
        beats = 3 };
        assert!(check_settings(&wrong).unwrap_err().to_string().contains("beats"));
        let mut wrong = plan();
        wrong.controller_settings = toml! { [session]
        lease_ms = 3 };
        let text = check_settings(&wrong).unwrap_err().to_string();
        assert!(text.starts_with("[controllers.settings]") && text.contains("lease_ms"), "{text}");
    }
}
