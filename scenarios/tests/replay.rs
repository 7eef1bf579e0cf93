//! `sigpool replay` and `sigpool capture info` from outside: a run's own capture, and plain payload over a kill.

#![allow(clippy::unwrap_used, reason = "helpers of tests are tests")]

use m3ua_lite::wire::{Data, Message, ProtocolData};
use serde_json::Value;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::time::{Duration, Instant};

const SIGPOOL: &str = env!("CARGO_BIN_EXE_sigpool");

/// A folder of its own for each test, gone afterwards.
struct Folder(PathBuf);

impl Folder {
    fn new(name: &str) -> Self {
        let path = std::env::temp_dir().join(format!("sigpool-replay-{name}-{}", std::process::id()));
        std::fs::create_dir_all(&path).unwrap();
        Self(path)
    }
    fn path(&self, name: &str) -> String {
        self.0.join(name).display().to_string()
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

fn sigpool(arguments: &[&str]) -> Output {
    Command::new(SIGPOOL).args(arguments).output().unwrap()
}

fn json(file: &str) -> Value {
    serde_json::from_str(&std::fs::read_to_string(file).unwrap()).unwrap()
}

fn text(output: &Output) -> String {
    format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr))
}

const SMALL: &str = r#"
name = "small"
duration_ms = 3_000
drain_ms = 6_000
[controllers]
count = 3
[load]
rate_per_s = 400
groups = 8
ring_ms = [100, 200]
hold_ms = [100, 300]
warm_up_ms = 200
[load.mix]
pool_calls = 20
[[faults]]
at_ms = 1_500
kind = "kill"
target = "gwc-2"
"#;

/// The capture of a run with a kill, and with calls that the pool began and released, comes to the same counts again.
#[test]
fn a_runs_own_capture_comes_to_the_same_counts() {
    let folder = Folder::new("own");
    let (scenario, run, again) = (folder.path("small.toml"), folder.path("run"), folder.path("again"));
    std::fs::write(&scenario, SMALL).unwrap();
    let output = sigpool(&["run", &scenario, "--out", &run]);
    // A machine that stands still makes the run void; its capture is none the worse.
    assert!(matches!(output.status.code(), Some(0 | 3)), "{}", text(&output));

    let info = sigpool(&["capture", "info", &run, "--json"]);
    assert_eq!(info.status.code(), Some(0), "{}", text(&info));
    let info: Value = serde_json::from_slice(&info.stdout).unwrap();
    let output = sigpool(&["replay", &run, "--out", &again]);
    assert_eq!(output.status.code(), Some(0), "{}", text(&output));
    let results = json(&format!("{again}/results.json"));
    assert_eq!(results["verdict"], "pass");
    assert_eq!(results["sent"], info["replayed"], "{}", text(&output));
    assert_eq!(results["comparison"]["calls"]["replayed"], info["calls"]);
    assert!(results["left_out"]["calls"].as_u64().unwrap() > 10, "{results}");
    assert_eq!(results["messages"]["offered"], results["messages"]["applied"]);
    assert_eq!(json(&format!("{again}/results.json"))["comparison"]["different"], 0);
    // What the capture has, the records of the run have.
    let sent = std::fs::read_to_string(format!("{run}/records/network.csv")).unwrap();
    let sent = sent.lines().filter(|line| line.starts_with("S,")).count() as u64;
    let (replayed, left_out) = (results["sent"].as_u64().unwrap(), results["left_out"]["messages"].as_u64().unwrap());
    assert_eq!(replayed + left_out, sent);

    // As plain payload all of it is sent, whoever began the call.
    let plain = folder.path("plain");
    let output = sigpool(&["replay", &run, "--plain", "--speed", "0", "--out", &plain]);
    assert_eq!(output.status.code(), Some(0), "{}", text(&output));
    let results = json(&format!("{plain}/results.json"));
    assert_eq!((&results["sent"], &results["messages"]["applied"]), (&sent.into(), &sent.into()));
    // And no replay writes over another.
    assert_eq!(sigpool(&["replay", &run, "--out", &plain]).status.code(), Some(2));
}

/// A pcap file with SCCP (SI 3) from 1 to 2, one message a millisecond.
fn sccp_capture(messages: u32) -> Vec<u8> {
    let mut file = vec![];
    for word in [0xa1b2_c3d4_u32, 0x0004_0002, 0, 0, 65_535, 101] {
        file.extend(word.to_le_bytes());
    }
    for n in 0..messages {
        let user_data = [&[9, 0, 3, 5, 9][..], &n.to_be_bytes()].concat();
        let protocol_data =
            ProtocolData { opc: 1, dpc: 2, si: 3, ni: 2, mp: 0, sls: (n % 16) as u8, user_data: &user_data };
        let data = Data { network_appearance: None, routing_context: None, protocol_data, correlation_id: None };
        let message = Message::Data(data);
        let mut octets = vec![0; message.encoded_len().unwrap()];
        message.encode(&mut octets).unwrap();
        let mut packet = vec![0x45, 0];
        packet.extend((48 + octets.len() as u16).to_be_bytes());
        packet.extend([0, 0, 0, 0, 64, 132, 0, 0, 127, 0, 0, 1, 127, 0, 0, 2]);
        packet.extend([0x0b, 0x59, 0x0b, 0x59, 0, 0, 0, 7, 0, 0, 0, 0, 0, 3]);
        packet.extend((16 + octets.len() as u16).to_be_bytes());
        packet.extend(n.to_be_bytes());
        packet.extend([0, 1, 0, 0, 0, 0, 0, 3]);
        packet.extend(&octets);
        for word in [n / 1_000, n % 1_000 * 1_000, packet.len() as u32, packet.len() as u32] {
            file.extend(word.to_le_bytes());
        }
        file.extend(packet);
    }
    file
}

/// The process of a replay whose configuration file is this one.
fn process_of(config: &Path) -> Option<i32> {
    let wanted = config.display().to_string();
    std::fs::read_dir("/proc").unwrap().find_map(|entry| {
        let entry = entry.ok()?;
        let line = std::fs::read_to_string(entry.path().join("cmdline")).ok()?;
        line.split('\0').any(|word| word == wanted).then(|| entry.file_name().to_str()?.parse().ok())?
    })
}

fn wait_for<T>(what: &str, mut look: impl FnMut() -> Option<T>) -> T {
    let deadline = Instant::now() + Duration::from_secs(20);
    loop {
        if let Some(found) = look() {
            return found;
        }
        assert!(Instant::now() < deadline, "{what}");
        std::thread::sleep(Duration::from_millis(5));
    }
}

/// Plain payload (SI 3): a controller is killed in the middle; each message is applied once and in order all the same.
#[test]
fn plain_payload_survives_a_kill() {
    const MESSAGES: u32 = 3_000;
    let folder = Folder::new("plain");
    let (file, out) = (folder.path("sccp.pcap"), PathBuf::from(folder.path("out")));
    std::fs::write(&file, sccp_capture(MESSAGES)).unwrap();
    let mut child = Command::new(SIGPOOL)
        .args(["replay", &file, "--out", out.to_str().unwrap()])
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let applied = || {
        let records = std::fs::read_dir(out.join("records")).ok()?.filter_map(|entry| {
            let path = entry.ok()?.path();
            let is_controller = path.file_name()?.to_str()?.starts_with("gwc-");
            is_controller.then(|| std::fs::read_to_string(path).ok()).flatten()
        });
        let lines: usize = records.map(|text| text.lines().filter(|line| line.starts_with("I,")).count()).sum();
        (lines > MESSAGES as usize / 4).then_some(())
    };
    wait_for("a quarter is applied", applied);
    let victim = process_of(&out.canonicalize().unwrap().join("config/gwc-1.toml")).expect("gwc-1 runs");
    nix::sys::signal::kill(nix::unistd::Pid::from_raw(victim), nix::sys::signal::Signal::SIGKILL).unwrap();
    let status = child.wait().unwrap();
    let results = json(&format!("{}/results.json", out.display()));
    let sg = std::fs::read_to_string(out.join("records/sg-1.csv")).unwrap();
    assert!(sg.lines().any(|line| line.starts_with("F,")), "the gateway gave it up");
    assert_eq!(status.code(), Some(0), "{results}");
    assert_eq!(
        (&results["messages"]["offered"], &results["messages"]["applied"]),
        (&MESSAGES.into(), &MESSAGES.into())
    );
    assert_eq!(results["comparison"]["network_to_pool"]["SI 3"]["replayed"], MESSAGES);
}
