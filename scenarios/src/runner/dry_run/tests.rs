use super::*;
use crate::scenario::{self, BUILT_IN};

fn drawn(scenario: &Scenario) -> String {
    let text = dry_run(scenario, Path::new("out"));
    for line in text.lines() {
        assert!(line.chars().count() <= WIDTH, "{} columns: {line}\n{text}", line.chars().count());
    }
    text
}

fn parsed(text: &str) -> Scenario {
    scenario::parse(text, "f").unwrap()
}

#[test]
fn failover_as_it_is_drawn() {
    let scenario = parsed(
        "name = \"x\"\ndescription = \"as failover\"\nduration_ms = 8_000\ndrain_ms = 6_000\n[controllers]\ncount = 3\n\
         [load]\nrate_per_s = 2_200\nring_ms = [150, 500]\nhold_ms = [400, 1_200]\n\
         [[faults]]\nat_ms = 4_000\nkind = \"kill\"\ntarget = \"gwc-1\"\n[assertions]\nlongest_gap_ms = 100\n",
    );
    let expected = r"x: as failover

topology: addresses in 127.x.y.0/24, a free loopback network found at the start
+------------------+        +---------------+        +-------------------------+
| network       .2 |--M3UA--| sg-1       .1 |--M3UA--| gwc-1 to gwc-3  .10-.12 |
| 2200 messages/s  |        | gateway       |        | pool GatewayPool        |
| 64 groups        |        | name server   |        |                         |
+------------------+        +---------------+        +-------------------------+

time line: 14.000 s at most; the load begins at 0
                        1
   |/////////////===========================\\\\\\\\\\\\\\\\\\\\\\\\\\\\\\|
   /  0 to 2.700 s: warm-up, not in latency and rate
   =  2.700 s to 8.000 s: measured load
   \  8.000 s to 14.000 s: calls end; it is over when all have
   1      4.000 s  kill gwc-1

must hold
   0 of each: lost, ";
    let text = drawn(&scenario);
    assert!(text.starts_with(expected), "{text}\n{expected}");
    assert!(text.contains("   longest_gap_ms             <= 100 "), "{text}");
    assert!(text.contains("files in out\n") && text.ends_with("nothing was started; seed 1\n"), "{text}");
}

#[test]
fn a_name_server_of_its_own_relays_and_other_pools_are_drawn() {
    let scenario = parsed(
        "name = \"x\"\nidle_ms = 5_000\nduration_ms = 10_000\n[controllers]\ncount = 3\nat_start = 2\nround_trip_ms = [1, 40, 150]\n\
         [name_server]\nkind = \"stand-alone\"\n[population]\npools = 500\n\
         [load]\nplain_per_s = 300\nprofile = [{ at_ms = 5_000, percent = 200 }]\n\
         [[faults]]\nat_ms = 1_000\nkind = \"start\"\ntarget = \"gwc-3\"\n\
         [[faults]]\nat_ms = 2_000\nkind = \"kill\"\ntarget = \"enrp-1\"\n",
    );
    let expected = r"
| network       .2 |--M3UA--| sg-1       .1 |--M3UA--| gwc-1 to gwc-3  .10-.12 |
| 2000 messages/s  |        | gateway       |        | pool GatewayPool        |
| 64 groups        |        |               |        | 2 of them at start      |
+------------------+        +---------------+        +-------------------------+
                                    |                             |
                            +-------+-------+                     |
                            | enrp-1     .3 |ASAP-----------------+
                            | name server   |
                            +---------------+
load        2000 messages/s of calls, 300 messages/s of SI 3, 200 % from 5.000 s
            on
relays      round trips: gwc-1 1 ms, gwc-2 40 ms, gwc-3 150 ms
population  500 pools of 20 PEs in 2 processes, registered at the name server
            beside the controllers
";
    let text = drawn(&scenario);
    assert!(text.contains(expected), "{text}\n{expected}");
    assert!(text.contains("   .  -5.000 s to 0: idle, only control traffic"), "{text}");
    assert!(text.contains("   1      1.000 s  start gwc-3\n   2      2.000 s  kill enrp-1"), "{text}");
    assert!(text.contains("logs/ of 7 processes"), "{text}");
}

#[test]
fn forty_controllers_and_fifty_faults_fit() {
    let mut text = "name = \"x\"\nduration_ms = 60_000\n[controllers]\ncount = 40\n".to_owned();
    for number in 1..=25 {
        for (at, kind) in [(number * 1_000, "kill"), (number * 1_000 + 500, "start")] {
            let _ = write!(text, "[[faults]]\nat_ms = {at}\nkind = \"{kind}\"\ntarget = \"gwc-{number}\"\n");
        }
    }
    let text = drawn(&parsed(&text));
    assert!(text.contains("| gwc-1 to gwc-40 .10-.49 |"), "{text}");
    assert!(text.contains("   +     25.500 s  start gwc-25"), "every fault has a line: {text}");
    let marks = text.lines().skip_while(|line| !line.starts_with("time line")).nth(1).unwrap();
    assert!(marks.contains('+') && marks.contains('*') && text.contains("   *  several of these:"), "{text}");
}

#[test]
fn every_built_in_scenario_fits_the_screen() {
    for built_in in BUILT_IN {
        let scenario = scenario::load(built_in.name).unwrap();
        let text = drawn(&scenario);
        let bar = text.lines().find(|line| line.starts_with("   |")).unwrap();
        assert_eq!(bar.chars().count(), BAR + 5, "{text}");
        assert!(bar.contains('='), "{text}");
        for name in scenario.assertions.keys() {
            assert!(text.contains(name.as_str()), "{name}: {text}");
        }
    }
}
