//! From a scenario to what is started: point codes, and the controllers' part of the load.

use super::RunError;
use super::config::{check_settings, merge};
use super::lab::LabPlan;
use crate::scenario::{Load, Scenario};
use std::path::Path;
use std::time::Duration;
use toml::{Table, toml};

/// Point code of the pool; below the network's, which therefore seizes the even circuits.
pub(crate) const POOL_PC: u32 = 2;
/// First point code of the network.
const FIRST_NETWORK_PC: u32 = 101;
/// Circuit groups between two point codes: 4,096 circuits of 32.
const GROUPS_PER_PC: u32 = 128;

/// Checks what a scenario file alone cannot tell: that the daemons take its settings.
///
/// # Errors
/// [`RunError::Usage`].
pub fn check(scenario: &Scenario) -> Result<(), RunError> {
    check_settings(&lab_plan(scenario, Path::new("/")))
}

/// How long the controllers hold the calls that they release.
pub(super) fn hold_ms(scenario: &Scenario) -> Option<i64> {
    let mut settings = call_settings(&scenario.load, scenario.seed, scenario.controllers.at_start());
    merge(&mut settings, &scenario.controllers.settings);
    settings.get("call")?.get("hold_ms")?.as_integer()
}

/// When the load is what the scenario asked for: the call rate has come up, and the first calls at that rate are over.
pub(super) fn warm_up(scenario: &Scenario) -> Duration {
    let load = &scenario.load;
    let ms = u64::from(load.warm_up_ms) + u64::from(load.ring_ms.1) + u64::from(load.hold_ms.1);
    Duration::from_millis(ms.min(scenario.duration_ms / 2))
}

/// The point codes that hold so many groups.
pub(super) fn network_pcs(groups: u32) -> Vec<u32> {
    (0..groups.div_ceil(GROUPS_PER_PC)).map(|index| FIRST_NETWORK_PC + index).collect()
}

pub(super) fn lab_plan(scenario: &Scenario, out: &Path) -> LabPlan {
    let controllers = &scenario.controllers;
    let mut settings = call_settings(&scenario.load, scenario.seed, controllers.at_start());
    merge(&mut settings, &controllers.settings);
    LabPlan {
        out: out.to_owned(),
        gateways: scenario.gateway.count,
        controllers: controllers.count,
        at_start: controllers.at_start,
        ordinary: controllers.ordinary,
        transport: scenario.lab_transport(),
        paths: scenario.paths,
        relayed: scenario.needs_relay(),
        round_trip_ms: controllers.round_trip_ms.clone(),
        name_server: scenario.name_server.clone(),
        population: scenario.population.clone(),
        resolver: scenario.resolver.clone(),
        network_pcs: network_pcs(scenario.load.groups),
        pool_pcs: vec![POOL_PC],
        gateway_settings: scenario.gateway.settings.clone(),
        controller_settings: settings,
    }
}

/// The controllers' part of the load's mix.
fn call_settings(load: &Load, seed: u64, controllers: usize) -> Table {
    let mix = &load.mix;
    let answered = mix.caller_releases + mix.pool_releases;
    let all = answered + mix.caller_gives_up + mix.pool_calls;
    let messages_per_call = 5.0 - f64::from(mix.caller_gives_up) / f64::from(all.max(1));
    let calls_per_s = f64::from(load.rate_per_s) / messages_per_call;
    let originate_per_s = calls_per_s * f64::from(mix.pool_calls) / f64::from(all.max(1)) / controllers as f64;
    // The caller gives up from ring_ms.0 to ring_ms.1 after the IAM, then comes the answer; the caller releases hold_ms.0 after
    // that at the earliest, the pool before that. The ACM takes long enough that calls are in that state at any moment.
    let mut settings = toml! {
        [call]
        acm_delay_ms = 80
        t1_ms = 4000
    };
    if let Some(call) = settings.get_mut("call").and_then(toml::Value::as_table_mut) {
        let mut set = |key: &str, value: toml::Value| call.insert(key.to_owned(), value);
        set("seed", (seed >> 1).cast_signed().into());
        let acm_delay_ms = load.ring_ms.0 * 2 / 3;
        set("acm_delay_ms", i64::from(acm_delay_ms).into());
        set("answer_delay_ms", i64::from(load.ring_ms.1 - acm_delay_ms).into());
        set("hold_ms", i64::from(load.hold_ms.0 / 2).into());
        set("release_by_controller_percent", i64::from(100 * mix.pool_releases / answered.max(1)).into());
        set("originate_per_s", originate_per_s.into());
    }
    settings
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::scenario::{self, BUILT_IN};

    #[test]
    fn the_daemons_take_the_settings_of_every_built_in_scenario() {
        for built_in in BUILT_IN {
            check(&scenario::load(built_in.name).unwrap()).unwrap();
        }
    }

    #[test]
    fn the_mix_becomes_the_controllers_settings() {
        let load = Load { rate_per_s: 2_000, ..Load::default() };
        let call = call_settings(&load, 7, 3)["call"].as_table().unwrap().clone();
        // 60 + 20 + 10 + 10: 4.9 messages a call, a tenth of 408 calls a second by three controllers.
        assert!((call["originate_per_s"].as_float().unwrap() - 13.6).abs() < 0.01);
        assert_eq!(call["release_by_controller_percent"].as_integer(), Some(25));
        assert_eq!(network_pcs(128), [101]);
        assert_eq!(network_pcs(129), [101, 102]);
    }
}
