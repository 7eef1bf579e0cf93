//! Two addresses each: a path that is cut moves data, and nothing else. Selection sees associations, not their paths (P3).

use crate::judge::Verdict;
use crate::world::Machine;
use crate::{GATEWAY, Lab, ip, ms};
use enrp::daemon::{AdminKind, AdminRequest, DaemonCommand, Reply};
use sctp::driver::Node as _;
use std::net::IpAddr;

/// The address on the second network.
const fn second(last: u8) -> IpAddr {
    IpAddr::V4(std::net::Ipv4Addr::new(127, 0, 1, last))
}

fn two_networks(seed: u64) -> Lab {
    let mut lab = Lab::new(seed, |config| config.udp.addresses.push(second(1)));
    lab.world.alias(GATEWAY, second(1));
    for number in 11..=13 {
        lab.world.alias(ip(number), second(number));
        lab.controller_with(number, |config| config.udp.addresses.push(second(number)));
    }
    lab.network(24);
    lab
}

pub(super) fn ask(lab: &mut Lab, kind: AdminKind) -> String {
    ask_at(lab, GATEWAY, kind)
}

/// One of several gateways.
pub(super) fn ask_at(lab: &mut Lab, at: IpAddr, kind: AdminKind) -> String {
    lab.world.with(at, |machine, now| {
        let (reply, mut answer) = Reply::new();
        let Machine::Gateway(node) = machine else { unreachable!("the gateway") };
        node.handle_command(now, DaemonCommand::Admin(AdminRequest { kind, reply }).into());
        answer.try_recv().expect("answered at once").body
    })
}

/// What the gateway has asked and told the name server so far.
fn resolutions(lab: &mut Lab) -> Vec<String> {
    let metrics = ask(lab, AdminKind::Metrics);
    let of_names = |line: &&str| line.starts_with("sg_asap_") || line.contains("_groups_given_total{");
    metrics.lines().filter(of_names).map(str::to_owned).collect()
}

/// Paths of the controllers in the gateway's state: address, state, in use, times failed.
fn paths(lab: &mut Lab) -> Vec<(String, String, bool, u64)> {
    let state: serde_json::Value = serde_json::from_str(&ask(lab, AdminKind::State)).unwrap();
    let associations = state["associations"].as_array().unwrap();
    let pool = associations.iter().filter(|a| a["role"] == "pool");
    let all = pool.flat_map(|a| a["paths"].as_array().unwrap());
    let text = |v: &serde_json::Value| v.as_str().unwrap().to_owned();
    all.map(|p| {
        let failures = p["failures"].as_u64().unwrap();
        (text(&p["address"]), text(&p["state"]), p["in_use"].as_bool().unwrap(), failures)
    })
    .collect()
}

/// What selection did: groups given, who was given up, shares, names asked and reported.
type Chosen = (usize, Vec<(u64, String, String)>, Vec<(String, usize)>, Vec<String>);

fn run(seed: u64, cut: &[IpAddr]) -> (Verdict, Chosen) {
    let mut lab = two_networks(seed);
    lab.world.run_until(1_500);
    lab.world.cut.extend(cut);
    lab.world.run_until(3_000);
    for path in paths(&mut lab) {
        let address: std::net::SocketAddr = path.0.parse().unwrap();
        // All first paths end at the gateway's first address.
        let first = [11, 12, 13].map(ip).contains(&address.ip());
        let dead = cut.contains(&address.ip()) || (first && cut.contains(&GATEWAY));
        assert_eq!(path.1 != "active", dead, "{path:?}");
        assert!(!(dead && path.2), "no data to {path:?}");
    }
    lab.world.cut.clear();
    lab.world.run_until(5_500);
    let after = paths(&mut lab);
    assert_eq!(after.len(), 6);
    assert!(after.iter().all(|p| p.1 == "active"), "{after:?}");
    let failed: u64 = after.iter().map(|p| p.3).sum();
    assert_eq!(failed > 0, !cut.is_empty(), "{after:?}");
    let names = resolutions(&mut lab);
    assert_eq!(names.len(), 3, "{names:?}");
    let verdict = lab.finish(2_000);
    let shares = verdict.shares.clone().into_iter().collect();
    let chosen = (verdict.groups_given, verdict.given_up.clone(), shares, names);
    (verdict, chosen)
}

#[test]
fn a_path_that_is_cut_and_comes_back_changes_no_resolution_and_no_choice() {
    let seed = 1;
    let (_, undisturbed) = run(seed, &[]);
    // One controller's first path, one's second, the first path of all.
    for cut in [&[ip(12)][..], &[second(12)], &[GATEWAY]] {
        let (verdict, chosen) = run(seed, cut);
        assert_eq!(chosen, undisturbed, "{cut:?} cut");
        assert_eq!((verdict.discarded, verdict.rolled_back), (0, 0), "{verdict:?}");
        assert!(verdict.longest < ms(150), "{cut:?} cut: {:?}", verdict.longest);
    }
}
