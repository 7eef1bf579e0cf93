//! The program as a process: command line, configuration, start and stop.
#![allow(clippy::unwrap_used, reason = "a test")]

use std::io::{BufRead, BufReader};
use std::path::PathBuf;
use std::process::{Command, Output, Stdio};

const BINARY: &str = env!("CARGO_BIN_EXE_gwc-pe");

/// A file of this test, gone at its end.
struct Scratch(PathBuf);

impl Scratch {
    fn new(name: &str, config: &str) -> Self {
        let dir = std::env::temp_dir().join(format!("gwc-pe-{name}-{}", std::process::id()));
        std::fs::create_dir_all(&dir).unwrap();
        std::fs::write(dir.join("gwc.toml"), config).unwrap();
        Self(dir)
    }

    fn command(&self) -> Command {
        let mut command = Command::new(BINARY);
        command.arg("--config").arg(self.0.join("gwc.toml")).current_dir(&self.0);
        command
    }

    fn run(&self) -> Output {
        self.command().output().unwrap()
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        // What is left lies in the temporary directory.
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

fn text(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

#[test]
fn the_default_is_printed() {
    let output = Command::new(BINARY).arg("--print-config").output().unwrap();
    assert_eq!(output.status.code(), Some(0));
    assert_eq!(String::from_utf8_lossy(&output.stdout), gwc_pe::config::COMMENTED_DEFAULT);
}

#[test]
fn a_wrong_configuration_is_named_and_ends_with_2() {
    let unknown = Scratch::new("unknown", "[session]\nlease_s = 3\n").run();
    assert_eq!(unknown.status.code(), Some(2));
    assert!(text(&unknown).contains("gwc.toml:2:1") && text(&unknown).contains("lease_s"), "{}", text(&unknown));
    let alone = Scratch::new("alone", "[call]\nhold_ms = 1\n").run();
    assert_eq!(alone.status.code(), Some(2));
    assert!(text(&alone).contains("asap.hunt.servers"), "{}", text(&alone));
}

#[test]
fn an_unwritable_record_ends_with_3() {
    let config = "[udp]\naddresses = [\"127.0.0.1\"]\nport = 0\n[node]\nrecords = \"/proc/nowhere\"\n\
                  [asap.hunt]\nservers = [{ addresses = [\"127.0.0.1\"] }]\n";
    let output = Scratch::new("unwritable", config).run();
    assert_eq!(output.status.code(), Some(3), "{}", text(&output));
    assert!(text(&output).contains("/proc/nowhere"), "{}", text(&output));
}

#[test]
fn it_starts_without_a_name_server_and_stops_on_sigterm() {
    let config = "[udp]\naddresses = [\"127.0.77.1\"]\nport = 0\n[node]\npe_id = 7\nrecords = \"rec\"\n\
                  [asap.hunt]\nservers = [{ addresses = [\"127.0.77.2\"] }]\n";
    let scratch = Scratch::new("start", config);
    let mut child = scratch.command().stderr(Stdio::piped()).spawn().unwrap();
    let mut log = BufReader::new(child.stderr.take().unwrap()).lines();
    // Ends by itself: the line comes, or the process ends and its output with it.
    assert!(log.by_ref().any(|line| line.unwrap().contains("UDP [127.0.77.1")), "it did not start");
    assert!(Command::new("kill").arg(child.id().to_string()).status().unwrap().success());
    assert_eq!(child.wait().unwrap().code(), Some(0));
    let records: Vec<_> =
        std::fs::read_dir(scratch.0.join("rec")).unwrap().map(|entry| entry.unwrap().path()).collect();
    let [record] = &records[..] else { panic!("{records:?}") };
    assert!(record.file_name().unwrap().to_str().unwrap().starts_with("gwc-00000007-"));
    let record = std::fs::read_to_string(record).unwrap();
    assert!(record.starts_with("# sigpool-record 1 controller pe=00000007 incarnation="), "{record}");
    let life: Vec<&str> = record.lines().skip(1).map(|line| line.rsplit(',').next().unwrap()).collect();
    assert_eq!(life, ["start", "stop"]);
}
