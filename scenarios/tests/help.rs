//! What people meet before their first run, and when they mistype: help, lists, schemas, completions, errors with a remedy.

#![allow(clippy::unwrap_used, reason = "helpers of tests are tests")]

use std::io::Write;
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;
use std::process::{Command, Output, Stdio};

const SIGPOOL: &str = env!("CARGO_BIN_EXE_sigpool");

fn sigpool(arguments: &[&str]) -> Output {
    Command::new(SIGPOOL).args(arguments).output().unwrap()
}

fn stdout(arguments: &[&str]) -> String {
    let output = sigpool(arguments);
    let error = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(0), "{arguments:?}: {error}");
    String::from_utf8(output.stdout).unwrap()
}

/// Exit code and standard error of a command that does not work.
fn fails(arguments: &[&str]) -> (Option<i32>, String) {
    let output = sigpool(arguments);
    assert!(output.stdout.is_empty(), "{arguments:?}: errors do not go to standard output");
    (output.status.code(), String::from_utf8(output.stderr).unwrap())
}

fn folder(name: &str) -> PathBuf {
    let path = std::env::temp_dir().join(format!("sigpool-help-{name}-{}", std::process::id()));
    std::fs::create_dir_all(&path).unwrap();
    path
}

#[test]
fn every_command_has_help_with_an_example() {
    let all = stdout(&["--help"]);
    let commands = all.lines().skip_while(|line| *line != "Commands:").skip(1).take_while(|line| !line.is_empty());
    let commands: Vec<_> = commands.filter_map(|line| line.split_whitespace().next()).collect();
    assert!(["run", "check", "schema", "sg", "enrp"].iter().all(|command| commands.contains(command)), "{all}");
    for command in commands.into_iter().filter(|command| *command != "help") {
        let help = stdout(&[command, "--help"]);
        assert!(help.contains("Example"), "{command}: {help}");
    }
}

#[test]
fn a_dry_run_starts_and_writes_nothing() {
    let out = std::env::temp_dir().join(format!("sigpool-dry-{}", std::process::id()));
    let text = stdout(&["run", "failover", "--dry-run", "--out", out.to_str().unwrap(), "--seed", "77"]);
    assert!(text.contains("kill gwc-1") && text.contains("seed 77") && text.contains(out.to_str().unwrap()), "{text}");
    assert!(!out.exists());
    assert_eq!(fails(&["run", "failver", "--dry-run"]).0, Some(2));
}

#[test]
fn what_needs_udp_is_skipped_over_another_transport() {
    let output = sigpool(&["run", "path-cut", "--transport", "kernel"]);
    let text = String::from_utf8(output.stdout).unwrap();
    assert_eq!(output.status.code(), Some(77), "{text}");
    assert!(text.starts_with("SKIP path-cut: ") && text.contains("transport kernel"), "{text}");
    let text = stdout(&["run", "path-cut", "--transport", "raw", "--dry-run"]);
    assert!(text.contains("transport   raw; it will be skipped"), "{text}");
    assert_eq!(fails(&["run", "failover", "--transport", "tcp"]).0, Some(2));
}

#[test]
fn files_that_are_not_there_or_may_not_be_read() {
    for arguments in [
        &["run", "/nowhere/x.toml"][..],
        &["check", "/nowhere/x.toml"],
        &["replay", "/nowhere/x.pcapng"],
        &["sg", "--config", "/nowhere/x.toml"],
        &["gwc-pe", "--config", "/nowhere/x.toml"],
        &["enrp", "--config", "/nowhere/x.toml"],
    ] {
        let (code, error) = fails(arguments);
        assert_eq!(code, Some(2), "{arguments:?}: {error}");
        assert!(error.contains("/nowhere/x.") && error.contains("; give"), "{arguments:?}: {error}");
    }
    let folder = folder("forbidden");
    let file = folder.join("x.toml");
    std::fs::write(&file, "").unwrap();
    std::fs::set_permissions(&file, std::fs::Permissions::from_mode(0o000)).unwrap();
    // Root may read everything.
    if std::fs::read(&file).is_err() {
        let file = file.to_str().unwrap();
        for arguments in [
            &["run", file][..],
            &["check", file],
            &["replay", file],
            &["sg", "--config", file],
            &["enrp", "--config", file],
        ] {
            assert_eq!(fails(arguments).0, Some(3), "{arguments:?}");
        }
    }
    std::fs::remove_dir_all(folder).unwrap();
}

#[test]
fn check_says_everything_about_several_files() {
    let folder = folder("check");
    let write = |name: &str, text: &str| {
        let path = folder.join(name);
        std::fs::write(&path, text).unwrap();
        path.to_str().unwrap().to_owned()
    };
    let good = write("sg.toml", &stdout(&["sg", "--print-config"]));
    let bad = write("bad.toml", "[failover]\nbeat_mss = 3\ndead_ms = \"x\"\n");
    let unclear = write("unclear.toml", "[udp]\nport = 1\n");
    assert!(stdout(&["check", &good, "failover"]).contains("scenario `failover` is right"));
    let output = sigpool(&["check", &bad, &good]);
    let error = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(2));
    assert!(error.contains("bad.toml:2:1: failover.beat_mss: unknown key; did you mean `beat_ms`?"), "{error}");
    assert!(error.contains("bad.toml:3:11: failover.dead_ms: \"x\": expected a whole number"), "{error}");
    assert!(error.contains("2 problems") && error.contains("taken for: sg"), "{error}");
    let (code, error) = fails(&["check", &unclear]);
    assert!(code == Some(2) && error.contains("--as"), "{error}");
    assert!(stdout(&["check", "--as", "enrp", &unclear]).contains("name server enrp is right"));
    let (code, error) = fails(&["check", folder.to_str().unwrap()]);
    assert!(code == Some(2) && error.contains("records"), "{error}");
    std::fs::remove_dir_all(folder).unwrap();
}

#[test]
fn schemas_are_printed_written_and_explained() {
    for kind in ["scenario", "sg", "gwc-pe", "enrp", "population", "results", "events"] {
        let schema: serde_json::Value = serde_json::from_str(&stdout(&["schema", kind])).unwrap();
        assert!(schema["$schema"].is_string(), "{kind}");
    }
    assert!(stdout(&["schema", "scenario", "--key", "load.rate_per_s"]).contains("rate_per_s = 2000"));
    assert!(stdout(&["schema", "sg", "--list"]).contains("[[as]]"));
    let (code, error) = fails(&["schema", "scenario", "--key", "load.rate"]);
    assert!(code == Some(2) && error.contains("--list"), "{error}");
    assert_eq!(fails(&["schema"]).0, Some(2));
    assert_eq!(fails(&["schema", "results", "--list"]).0, Some(2));
    let folder = folder("schemas");
    stdout(&["schema", "--write", folder.to_str().unwrap()]);
    for kind in ["scenario", "sg", "gwc-pe", "enrp", "population", "results", "events"] {
        assert!(folder.join(format!("{kind}.schema.json")).exists(), "{kind}");
    }
    std::fs::remove_dir_all(folder).unwrap();
    assert_eq!(fails(&["schema", "--write", "/proc/no"]).0, Some(3));
}

#[test]
fn completions_know_commands_and_scenarios() {
    for shell in ["bash", "zsh", "fish", "elvish", "powershell"] {
        let script = stdout(&["completions", shell]);
        for word in ["completions", "replay", "gwc-pe", "dry-run", "print-config"] {
            assert!(script.contains(word), "{shell}: {word}");
        }
        if shell != "elvish" && shell != "powershell" {
            assert!(script.contains("failover-silent"), "{shell} completes scenarios");
        }
    }
    let mut bash = Command::new("bash").arg("-n").stdin(Stdio::piped()).spawn().unwrap();
    bash.stdin.take().unwrap().write_all(stdout(&["completions", "bash"]).as_bytes()).unwrap();
    assert!(bash.wait().unwrap().success());
    // What bash would offer after `sigpool run fail`.
    let script = "source /dev/stdin; COMP_WORDS=(sigpool run fail); COMP_CWORD=2; _sigpool sigpool fail run; echo ${COMPREPLY[@]}";
    let mut bash =
        Command::new("bash").args(["-c", script]).stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
    bash.stdin.take().unwrap().write_all(stdout(&["completions", "bash"]).as_bytes()).unwrap();
    let offered = String::from_utf8(bash.wait_with_output().unwrap().stdout).unwrap();
    assert!(offered.split_whitespace().any(|word| word == "failover"), "{offered}");
    assert_eq!(fails(&["completions", "tcsh"]).0, Some(2));
}

#[test]
fn what_is_nearly_right_is_suggested() {
    for (arguments, suggestion) in
        [(&["chekc"][..], "check"), (&["run", "failovr"], "failover"), (&["run", "failover", "--sed", "3"], "--seed")]
    {
        let (code, error) = fails(arguments);
        assert!(code == Some(2) && error.contains(suggestion), "{arguments:?}: {error}");
    }
}

#[test]
fn the_list_is_for_programs_too() {
    let list: serde_json::Value = serde_json::from_str(&stdout(&["list", "--json"])).unwrap();
    let names: Vec<_> = list["scenarios"].as_array().unwrap().iter().map(|s| s["name"].as_str().unwrap()).collect();
    let text = stdout(&["list"]);
    assert!(names.contains(&"failover") && names.iter().all(|name| text.contains(name)), "{names:?}");
    assert!(list["assertions"].as_array().unwrap().iter().any(|a| a["name"] == "lost" && a["default"] == 0.0));
}
