use super::*;

fn wrong(kind: FileKind, text: &str) -> Vec<String> {
    check_text(text, "f.toml", kind).unwrap_err()
}

#[test]
fn all_problems_of_a_file_are_said_and_each_once() {
    let text = "name = \"x\"\nduration_ms = 1000\n[controllers]\ncount = 0\n[load]\nrate = 5\ngroups = 0\n";
    let lines = wrong(FileKind::Scenario, text);
    let starts = [
        "f.toml:4:9: controllers.count: 0: expected a whole number, 1 to 200",
        "f.toml:6:1: load.rate: ",
        "f.toml:7:10: load.groups: 0: ",
    ];
    assert_eq!(lines.len(), starts.len(), "{lines:#?}");
    for (line, start) in lines.iter().zip(starts) {
        assert!(line.starts_with(start), "{line}");
    }
}

#[test]
fn rules_between_keys_have_their_place_too() {
    let text = "[failover]\nbeat_ms = 100\ndead_ms = 50\n";
    assert_eq!(
        wrong(FileKind::Sg, text),
        ["f.toml:3:11: failover.dead_ms: more than failover.beat_ms, else every controller is dead at once"]
    );
    let text = "[[as]]\ndpc = [1]\n[[as]]\npool = \"other\"\ndpc = [2]\nrouting_context = 1\n";
    let lines = wrong(FileKind::Sg, text);
    assert!(lines[0].starts_with("f.toml:6:19: as[1].routing_context: another"), "{lines:?}");
    let lines = wrong(FileKind::GwcPe, "[node]\nname = \"a\"\n");
    assert!(lines[0].contains("asap.hunt.servers"), "{lines:?}");
    let scenario = "name = \"x\"\nduration_ms = 1000\n[controllers]\ncount = 2\n";
    let lines = wrong(FileKind::Scenario, &format!("{scenario}[gateway.settings.failover]\ndead_ms = 10\n"));
    assert!(lines[0].starts_with("f.toml:6:") && lines[0].contains("failover.dead_ms"), "{lines:?}");
    let fault = "[[faults]]\nat_ms = 5\nkind = \"cont\"\ntarget = \"gwc-1\"\n";
    let lines = wrong(FileKind::Scenario, &format!("{scenario}{fault}"));
    assert!(lines[0].contains("faults") && lines[0].contains("running"), "{lines:?}");
}

#[test]
fn what_is_no_toml_is_said_once_with_its_place() {
    let lines = wrong(FileKind::Sg, "[failover\nbeat_ms = 5\n");
    assert!(lines[0].starts_with("f.toml:1:"), "{lines:?}");
}

#[test]
fn files_are_told_by_their_keys_or_by_the_schema_they_name() {
    for (text, kind) in [
        (BUILT_IN[0].text, Some(FileKind::Scenario)),
        (sg::config::COMMENTED_DEFAULT, Some(FileKind::Sg)),
        (gwc_pe::config::COMMENTED_DEFAULT, Some(FileKind::GwcPe)),
        (enrp::server_daemon::COMMENTED_DEFAULT, Some(FileKind::Enrp)),
        (population::COMMENTED_DEFAULT, Some(FileKind::Population)),
        ("[server]\npools_max = 3\n", Some(FileKind::Enrp)),
        ("# mine\n#:schema ../schemas/gwc-pe.schema.json\n[udp]\n", Some(FileKind::GwcPe)),
        ("[udp]\naddresses = []\n", None),
        ("", None),
    ] {
        assert_eq!(kind_of(text), kind, "{text}");
    }
}

#[test]
fn a_name_that_is_nearly_right_is_suggested() {
    let error = |name: &str| scenario(name).unwrap_err();
    let text = error("fialover").to_string();
    assert!(text.contains("did you mean `failover`?") && text.contains("hang"), "{text}");
    assert_eq!(error("nonsense").exit_code(), 2);
    let text = error("no/such.toml").to_string();
    assert!(text.contains("no/such.toml") && text.contains("sigpool list"), "{text}");
    assert_eq!(error("no/such.toml").exit_code(), 2);
    assert!(scenario("failover").is_ok());
}
