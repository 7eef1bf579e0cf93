use super::*;

const GOOD: &str = "name = \"x\"\nduration_ms = 1000\n[controllers]\ncount = 2\n";

fn error(text: &str) -> String {
    parse(text, "f.toml").unwrap_err().0
}

/// The file with lines put in before `[controllers]`, and after everything.
fn with(top: &str, rest: &str) -> Result<Scenario, ScenarioError> {
    parse(&format!("{top}{GOOD}{rest}"), "f.toml")
}

#[test]
fn built_in_scenarios_are_right_and_named_as_listed() {
    for built_in in BUILT_IN {
        let scenario = load(built_in.name).unwrap();
        assert_eq!(scenario.name, built_in.name);
        assert!(!scenario.description.is_empty());
        assert_eq!(scenario.assertions["lost"], 0.0);
    }
    assert_eq!(load("failover").unwrap().assertions["longest_gap_ms"], 100.0);
}

#[test]
fn the_smallest_file_has_the_defaults() {
    let scenario = parse(GOOD, "f.toml").unwrap();
    assert_eq!((scenario.controllers.count, scenario.controllers.at_start()), (2, 2));
    assert_eq!((scenario.load, scenario.seed, scenario.idle_ms), (Load::default(), 1, 0));
    assert_eq!((scenario.name_server.kind, scenario.population), (NameServerKind::Embedded, None));
    assert_eq!(scenario.assertions["applied_twice"], 0.0);
    assert!(!scenario.assertions.contains_key("p99_ms"));
}

#[test]
fn errors_name_file_line_column_and_key() {
    for (text, place, word) in [
        ("nam = 1", "f.toml:1:1: nam:", "name"),
        ("name = \"x\"\nduration_ms = \"long\"\n[controllers]\ncount = 2", "f.toml:2:15: duration_ms:", "u64"),
        ("name = \"a/b\"\nduration_ms = 1000\n[controllers]\ncount = 2", "f.toml:1:8: name:", "letters"),
        ("name = \"x\"\nduration_ms = 1000\n[controllers]\ncount = 0", "f.toml:4:9: controllers.count:", "1 to 200"),
        ("name = \"x\"\nduration_ms = = 3", "f.toml:2:15:", ""),
    ] {
        let message = error(text);
        assert!(message.starts_with(place) && message.contains(word), "{message}");
    }
}

#[test]
fn every_key_of_the_pool_and_the_name_space_is_checked() {
    for (rest, place, word) in [
        ("at_start = 3", "f.toml:5:12: controllers.at_start:", "count (2)"),
        ("at_start = 0", "f.toml:5:12: controllers.at_start:", "1 to"),
        ("round_trip_ms = [1]", "f.toml:5:17: controllers.round_trip_ms:", "each of the 2"),
        ("round_trip_ms = [1, 10_001]", "f.toml:5:17: controllers.round_trip_ms:", "10,000"),
        ("[name_server]\nkind = \"outside\"", "f.toml:6:8: name_server.kind:", "stand-alone"),
        ("[name_server.settings.server]\npools_max = 7", "f.toml:5:14: name_server.settings:", "gateway.settings.enrp"),
        ("[population]\npools = 0", "f.toml:6:9: population.pools:", "50,000"),
        ("[population]\npes_per_pool = 10_001", "f.toml:6:16: population.pes_per_pool:", "10,000"),
        ("[population]\nprocesses = 17", "f.toml:6:13: population.processes:", "1 to 16"),
        ("[population]\npe = 17", "f.toml:6:1: population.pe:", "pes_per_pool"),
        ("[load]\nrate = 5", "f.toml:6:1: load.rate:", "rate_per_s"),
        ("[load]\ngroups = 0", "f.toml:6:10: load.groups:", "4,096"),
        ("[load]\nring_ms = [1, 2, 3]", "f.toml:6:11: load.ring_ms:", "[least, most]"),
        ("[load]\nring_ms = [5, 2]", "f.toml:6:11: load.ring_ms:", "least first"),
        ("[load]\nhold_distribution = \"normal\"", "f.toml:6:21: load.hold_distribution:", "exponential"),
        ("[load]\nplain_per_s = 1_000_001", "f.toml:6:15: load.plain_per_s:", "1,000,000"),
        ("[load]\nplain_si = 5", "f.toml:6:12: load.plain_si:", "ISUP"),
        (
            "[load]\nprofile = [\n{ at_ms = 999, percent = 1 }]",
            "f.toml:7:11: load.profile.at_ms:",
            "not before the end of the warm-up (1000 ms)",
        ),
        ("[load]\nprofile = [{ at_ms = 1_000, percent = 1_001 }]", "f.toml:6:39: load.profile.percent:", "0 to 1,000"),
        ("[assertions]\nlots = 0", "f.toml:6:1: assertions.lots:", "expected one of lost"),
        ("[assertions]\nlost = -1", "f.toml:6:8: assertions.lost:", "from 0 up"),
    ] {
        let message = with("", rest).unwrap_err().0;
        assert!(message.starts_with(place) && message.contains(word), "{message}");
    }
    let message = with("paths = 3\n", "").unwrap_err().0;
    assert!(message.starts_with("f.toml:1:9: paths:") && message.contains("1 to 2"), "{message}");
    let message = with("idle_ms = 3_600_001\n", "").unwrap_err().0;
    assert!(message.starts_with("f.toml:1:11: idle_ms:") && message.contains("an hour"), "{message}");
}

#[test]
fn faults_that_cannot_be_done_are_refused() {
    for (fault, place, word) in [
        ("at_ms = 10\nkind = \"kil\"\ntarget = \"gwc-1\"", "f.toml:7:8: faults.kind:", "steal-core"),
        ("at_ms = 10\nkind = \"kill\"\ntarget = \"gwc-3\"", "f.toml:8:10: faults.target:", "gwc-2"),
        ("at_ms = 10\nkind = \"kill\"\ntarget = \"gwc-0\"", "f.toml:8:10: faults.target:", "gwc-1 and up"),
        ("at_ms = 10\nkind = \"kill\"\ntarget = \"enrp-1\"", "f.toml:8:10: faults.target:", "stand-alone"),
        ("at_ms = 10\nkind = \"kill\"", "f.toml:7:8: faults.kind:", "needs target"),
        ("at_ms = 1000\nkind = \"kill\"\ntarget = \"gwc-1\"", "f.toml:6:9: faults.at_ms:", "less than"),
        ("at_ms = 10\nkind = \"steal-core\"", "f.toml:7:8: faults.kind:", "duration_ms"),
        (
            "at_ms = 10\nkind = \"kill\"\ntarget = \"gwc-1\"\nduration_ms = 1",
            "f.toml:9:15: faults.duration_ms:",
            "only",
        ),
        ("at_ms = 10\nkind = \"cont\"\ntarget = \"gwc-1\"", "f.toml:7:8: faults.kind:", "it is running"),
        ("at_ms = 10\nkind = \"start\"\ntarget = \"gwc-1\"", "f.toml:7:8: faults.kind:", "it is running"),
        (
            "at_ms = 10\nkind = \"kill\"\ntarget = \"gwc-1\"\nlongest_gap_ms = -1",
            "f.toml:9:18: faults.longest_gap_ms:",
            "0 up",
        ),
        ("at_ms = 10\nkind = \"steal-core\"\nduration_ms = 5\nfirst_ms = -1", "f.toml:9:12: faults.first_ms:", "0 up"),
        (
            "at_ms = 10\nkind = \"steal-core\"\nduration_ms = 5\ntarget = \"gwc-1\"",
            "f.toml:9:10: faults.target:",
            "whole machine",
        ),
        ("at_ms = 10\nkind = \"cut-path\"\ntarget = \"gwc-1\"", "f.toml:8:10: faults.target:", "path-1"),
        ("at_ms = 10\nkind = \"cut-path\"\ntarget = \"path-2\"", "f.toml:8:10: faults.target:", "the key `paths`"),
        ("at_ms = 10\nkind = \"kill\"\ntarget = \"path-1\"", "f.toml:8:10: faults.target:", "only cut-path"),
        ("at_ms = 10\nkind = \"restore-path\"\ntarget = \"path-1\"", "f.toml:7:8: faults.kind:", "it is whole then"),
        (
            "at_ms = 10\nkind = \"cut-path\"\ntarget = \"path-1\"\nfirst_ms = 1",
            "f.toml:9:12: faults.first_ms:",
            "nothing is applied elsewhere",
        ),
        (
            "at_ms = 10\nkind = \"cut-path\"\ntarget = \"path-1\"\ncarried_min_percent = 1",
            "f.toml:9:23: faults.carried_min_percent:",
            "only restore-path",
        ),
        (
            "at_ms = 10\nkind = \"steal-core\"\nduration_ms = 5\nuntil_ms = 9",
            "f.toml:9:12: faults.until_ms:",
            "every_ms",
        ),
        (
            "at_ms = 10\nkind = \"steal-core\"\nduration_ms = 5\nevery_ms = 0",
            "f.toml:9:12: faults.every_ms:",
            "1 ms to",
        ),
        (
            "at_ms = 10\nkind = \"steal-core\"\nduration_ms = 5\nevery_ms = 1\nuntil_ms = 9",
            "f.toml:10:12: faults.until_ms:",
            "at_ms (10)",
        ),
        // The second kill finds nobody.
        (
            "at_ms = 10\nkind = \"kill\"\ntarget = \"gwc-1\"\nevery_ms = 500",
            "f.toml:7:8: faults.kind:",
            "kill of gwc-1 at 510 ms",
        ),
        // Killed again before it was started again.
        (
            "at_ms = 10\nkind = \"restart\"\ntarget = \"gwc-1\"\nduration_ms = 600\nevery_ms = 500",
            "f.toml:7:8: faults.kind:",
            "kill of gwc-1 at 510 ms",
        ),
        ("at_ms = 10\nkind = \"impair\"", "f.toml:7:8: faults.kind:", "needs with"),
        ("at_ms = 10\nkind = \"impair\"\nwith = { }", "f.toml:8:8: faults.with:", "loss_percent"),
        (
            "at_ms = 10\nkind = \"impair\"\nwith = { loss_percent = 101 }",
            "f.toml:8:25: faults.with.loss_percent:",
            "100",
        ),
        ("at_ms = 10\nkind = \"impair\"\nwith = { loss = 5 }", "f.toml:8:10: faults.with:", "loss_percent"),
        (
            "at_ms = 10\nkind = \"impair\"\nwith = { loss_percent = 5 }\ndirection = \"to\"",
            "f.toml:9:13: faults.direction:",
            "of a process",
        ),
        (
            "at_ms = 10\nkind = \"impair\"\nwith = { loss_percent = 5 }\nlongest_gap_ms = 5",
            "f.toml:9:18: faults.longest_gap_ms:",
            "no controller away",
        ),
        ("at_ms = 10\nkind = \"kill\"\ntarget = \"gwc-1\"\nwith = { }", "f.toml:9:8: faults.with:", "only impair"),
        ("at_ms = 10\nkind = \"clear\"\ntarget = \"gwc-1\"", "f.toml:7:8: faults.kind:", "nothing impairs it"),
    ] {
        let message = with("", &format!("[[faults]]\n{fault}")).unwrap_err().0;
        assert!(message.starts_with(place) && message.contains(word), "{message}");
    }
    let nothing_moves = with(
        "",
        "[name_server]\nkind = \"stand-alone\"\n[[faults]]\nat_ms = 1\nkind = \"kill\"\ntarget = \"enrp-1\"\nfirst_ms = 9",
    );
    assert!(nothing_moves.unwrap_err().0.starts_with("f.toml:11:12: faults.first_ms: only for kill"));
    // In a file in another order than that of their times, the one that is wrong is named.
    let later = "[[faults]]\nat_ms = 20\nkind = \"cont\"\ntarget = \"gwc-1\"\n[[faults]]\nat_ms = 10\nkind = \"kill\"\ntarget = \"gwc-1\"";
    assert!(with("", later).unwrap_err().0.starts_with("f.toml:7:8: faults.kind: cont of gwc-1 at 20 ms"));
}

#[test]
fn a_controller_that_is_not_there_at_the_start_can_be_started() {
    let scenario = with("", "at_start = 1\n[[faults]]\nat_ms = 10\nkind = \"start\"\ntarget = \"gwc-2\"").unwrap();
    assert_eq!(scenario.faults[0].target, Target::Controller(1));
    let server = "[name_server]\nkind = \"stand-alone\"\n[[faults]]\nat_ms = 10\nkind = \"kill\"\ntarget = \"enrp-1\"";
    assert_eq!(with("", server).unwrap().faults[0].target.to_string(), "enrp-1");
}

#[test]
fn written_out_in_full_it_parses_back_to_itself() {
    let everything = "at_start = 1\nround_trip_ms = [1, 40]\n[controllers.settings.session]\nlease_ms = 300\n\
        [gateway.settings.as]\nt_r_ms = 9\n[name_server]\nkind = \"stand-alone\"\nsettings = { server = { pools_max = 7 } }\n\
        [population]\npools = 3\n[load]\nring_ms = [1, 2]\nmix = { pool_calls = 0 }\n\
        [[faults]]\nat_ms = 20\nkind = \"steal-core\"\nduration_ms = 5\n\
        [[faults]]\nat_ms = 8\nkind = \"impair\"\ntarget = \"gwc-1\"\nwith = { delay_ms = 2.5, reorder_percent = 1, message = \"BEAT ACK\" }\n\
        [[faults]]\nat_ms = 9\nkind = \"clear\"\ntarget = \"gwc-1\"\n\
        [[faults]]\nat_ms = 10\nkind = \"kill\"\ntarget = \"gwc-1\"\nlongest_gap_ms = 400.5\nfirst_ms = 300\n[assertions]\np99_ms = 5";
    let mut all = vec![with("idle_ms = 7\n", everything).unwrap()];
    all.extend(BUILT_IN.iter().map(|built_in| load(built_in.name).unwrap()));
    for mut scenario in all {
        scenario.seed = 77;
        let text = scenario.to_toml().unwrap();
        assert_eq!(parse(&text, "scenario.toml").unwrap(), scenario, "{text}");
        assert!(text.contains("reordered = 0"), "defaults are filled in: {text}");
    }
}

#[test]
fn faults_are_repeated_and_a_restart_is_two() {
    let faults = "[[faults]]\nat_ms = 100\nevery_ms = 400\nkind = \"restart\"\ntarget = \"gwc-1\"\nduration_ms = 150\nlongest_gap_ms = 9\n\
        [[faults]]\nat_ms = 200\nevery_ms = 50\nuntil_ms = 300\nkind = \"steal-core\"\nduration_ms = 5\n\
        [[faults]]\nat_ms = 20\nkind = \"leave\"\ntarget = \"gwc-2\"";
    let mut scenario = with("", faults).unwrap();
    let line = |scenario: &Scenario| {
        let all = scenario.timeline().into_iter();
        all.map(|f| (f.at_ms, f.kind, f.longest_gap_ms.is_some(), f.every_ms.is_some())).collect::<Vec<_>>()
    };
    let (kill, start, steal) = (FaultKind::Kill, FaultKind::Start, FaultKind::StealCore);
    let whole = [
        (20, FaultKind::Leave, false, false),
        (100, kill, true, false),
        (200, steal, false, false),
        (250, start, false, false),
        (250, steal, false, false),
        (300, steal, false, false),
        (500, kill, true, false),
        (650, start, false, false),
        (900, kill, true, false),
    ];
    assert_eq!(line(&scenario), whole, "the last one does not come back");
    scenario.set_duration(501).unwrap();
    assert_eq!(line(&scenario), whole[..7]);
    assert_eq!(parse(&scenario.to_toml().unwrap(), "scenario.toml").unwrap(), scenario);
    let at_once = with("", "[[faults]]\nat_ms = 5\nkind = \"restart\"\ntarget = \"gwc-2\"").unwrap();
    assert_eq!(line(&at_once), [(5, kill, false, false), (5, start, false, false)]);
}

#[test]
fn a_shorter_run_keeps_its_faults() {
    let mut scenario = load("failover").unwrap();
    scenario.set_duration(5_000).unwrap();
    assert_eq!(scenario.duration_ms, 5_000);
    let message = scenario.set_duration(4_000).unwrap_err().0;
    assert!(message.contains("kill of gwc-1 at 4000 ms") && message.contains("--duration 4000"), "{message}");
    assert_eq!(scenario.duration_ms, 5_000);
    let mut scenario = parse(GOOD, "f.toml").unwrap();
    assert!(scenario.set_duration(99).unwrap_err().0.contains("100 ms"));
}

#[test]
fn gateways_are_one_or_two_and_take_their_own_faults() {
    let text = |count: usize, fault: &str| {
        format!(
            "name = \"x\"\nduration_ms = 5_000\n[controllers]\ncount = 1\n[gateway]\ncount = {count}\n\
             [[faults]]\nat_ms = 1_000\n{fault}\n"
        )
    };
    let refused = |count, fault: &str| parse(&text(count, fault), "f").unwrap_err().to_string();
    let scenario = parse(&text(2, "kind = \"restart\"\ntarget = \"gateway\"\nlongest_gap_ms = 5"), "f").unwrap();
    assert_eq!((scenario.gateway.count, scenario.faults[0].target), (2, Target::Gateway));
    assert_eq!(parse(&scenario.to_toml().unwrap(), "f").unwrap(), scenario);
    for (name, target) in [("gateway-follower", Target::GatewayFollower), ("gateway-2", Target::GatewayNumber(1))] {
        let parsed = parse(&text(2, &format!("kind = \"kill\"\ntarget = \"{name}\"")), "f").unwrap();
        assert_eq!((parsed.faults[0].target, parsed.faults[0].target.to_string()), (target, name.to_owned()));
        assert!(refused(1, &format!("kind = \"kill\"\ntarget = \"{name}\"")).contains("gateway.count"));
    }
    assert!(refused(3, "kind = \"kill\"\ntarget = \"gateway\"").contains("1 to 2 gateways"));
    assert!(refused(2, "kind = \"isolate\"\ntarget = \"gateway\"").contains("not for gateways"));
    assert!(refused(2, "kind = \"kill\"\ntarget = \"gateway\"\nfirst_ms = 5").contains("no controller"));
    assert!(refused(2, "kind = \"cont\"\ntarget = \"gateway\"").contains("is running then"));
}
