//! `enrp::daemon` from outside, by the real program `enrp`: exit status, messages, admin socket, signals, the parent's death.

#![allow(clippy::unwrap_used, reason = "helpers of tests are tests too")]

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use std::io::{BufRead, BufReader, Read, Write};
use std::os::unix::net::UnixStream;
use std::path::PathBuf;
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};

const BOUND: Duration = Duration::from_secs(20);

/// A directory and a loopback address of one test.
struct Lab {
    directory: PathBuf,
    address: String,
}

impl Lab {
    fn new(number: u8) -> Self {
        let id = std::process::id();
        let directory = std::env::temp_dir().join(format!("sigpool-daemon-{id}-{number}"));
        std::fs::create_dir_all(&directory).unwrap();
        let [_, _, high, low] = id.to_be_bytes();
        Self { directory, address: format!("127.{}.{low}.{number}", high | 0x80) }
    }

    fn admin(&self) -> PathBuf {
        self.directory.join("admin.sock")
    }

    fn config(&self, daemon: &str) -> PathBuf {
        let path = self.directory.join("enrp.toml");
        let (address, admin) = (&self.address, self.admin());
        let admin = admin.display();
        let text = format!("[daemon]\nadmin = \"unix:{admin}\"\n{daemon}\n[udp]\naddresses = [\"{address}\"]\n");
        std::fs::write(&path, text).unwrap();
        path
    }

    fn command(&self, daemon: &str) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_enrp"));
        command.arg("--config").arg(self.config(daemon)).stderr(Stdio::piped());
        command
    }

    /// Starts it and waits until it serves.
    fn start(&self, daemon: &str) -> Child {
        let child = self.command(daemon).spawn().unwrap();
        self.wait_for_health();
        child
    }

    fn wait_for_health(&self) {
        let begin = Instant::now();
        while !self.get("/healthz").is_some_and(|answer| answer.starts_with("HTTP/1.1 200")) {
            assert!(begin.elapsed() < BOUND, "not healthy");
            std::thread::yield_now();
        }
    }

    fn get(&self, path: &str) -> Option<String> {
        let mut stream = UnixStream::connect(self.admin()).ok()?;
        write!(stream, "GET {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n").ok()?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer).ok()?;
        Some(answer)
    }
}

impl Drop for Lab {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.directory);
    }
}

fn signal(child: &Child, signal: Signal) {
    kill(Pid::from_raw(child.id() as i32), signal).unwrap();
}

fn finish(child: Child) -> (Option<i32>, String) {
    let Output { status, stderr, .. } = child.wait_with_output().unwrap();
    (status.code(), String::from_utf8(stderr).unwrap())
}

#[test]
fn serves_and_stops_cleanly_on_either_signal() {
    for (number, stop) in [(1, Signal::SIGTERM), (2, Signal::SIGINT)] {
        let lab = Lab::new(number);
        let child = lab.start("");
        assert!(lab.get("/state").unwrap().contains("application/json"));
        assert!(lab.get("/metrics").unwrap().contains("\nudp_datagrams_in_total 0\n"));
        signal(&child, stop);
        let (code, text) = finish(child);
        assert_eq!(code, Some(0), "{text}");
        assert!(!lab.admin().exists(), "the admin socket's file stayed");
    }
}

#[test]
fn a_port_in_use_is_status_3_with_the_remedy() {
    let lab = Lab::new(3);
    let _taken = std::net::UdpSocket::bind((lab.address.as_str(), 9899)).unwrap();
    let (code, text) = finish(lab.command("").spawn().unwrap());
    assert_eq!(code, Some(3), "{text}");
    assert!(text.contains(&format!("{}:9899", lab.address)) && text.contains("ss -ulpn"), "{text}");
}

#[test]
fn a_wrong_file_is_status_2_with_its_place() {
    let lab = Lab::new(4);
    let (code, text) = finish(lab.command("stop_mss = 1").spawn().unwrap());
    assert_eq!(code, Some(2), "{text}");
    assert!(text.contains("enrp.toml:3:1: ") && text.contains("stop_mss"), "{text}");
    let usage = Command::new(env!("CARGO_BIN_EXE_enrp")).arg("--nonsense").output().unwrap();
    assert_eq!(usage.status.code(), Some(2));
}

#[test]
fn the_printed_default_is_accepted_back() {
    let lab = Lab::new(5);
    let printed = Command::new(env!("CARGO_BIN_EXE_enrp")).arg("--print-config").output().unwrap();
    assert_eq!(printed.status.code(), Some(0));
    let text = String::from_utf8(printed.stdout).unwrap();
    let admin = format!("admin = \"unix:{}\"", lab.admin().display());
    let text = text.replace("admin = \"\"", &admin).replace("127.0.0.1", &lab.address);
    let path = lab.directory.join("printed.toml");
    std::fs::write(&path, text).unwrap();
    let child = Command::new(env!("CARGO_BIN_EXE_enrp")).arg("--config").arg(path).spawn().unwrap();
    lab.wait_for_health();
    signal(&child, Signal::SIGTERM);
    assert_eq!(finish(child).0, Some(0));
}

#[test]
fn a_daemon_whose_parent_is_gone_does_not_begin() {
    let lab = Lab::new(7);
    // Not ours: as if the parent had ended before the daemon could ask.
    let config = lab.config("parent_pid = 1");
    let child = Command::new(env!("CARGO_BIN_EXE_enrp")).arg("--config").arg(config).spawn().unwrap();
    assert_eq!(finish(child).0, Some(3));
}

#[test]
fn a_stopped_daemon_dies_with_a_killed_parent() {
    let lab = Lab::new(6);
    // A shell as parent: it starts the daemon, says its number, waits.
    let config = lab.config("parent_pid = PARENT");
    let (program, config) = (env!("CARGO_BIN_EXE_enrp"), config.display());
    let script = format!("sed -i s/PARENT/$$/ {config}; {program} --config {config} & echo $!; wait");
    let mut parent = Command::new("sh").arg("-c").arg(script).stdout(Stdio::piped()).spawn().unwrap();
    let mut line = String::new();
    BufReader::new(parent.stdout.take().unwrap()).read_line(&mut line).unwrap();
    let daemon = Pid::from_raw(line.trim().parse().unwrap());
    lab.wait_for_health();
    kill(daemon, Signal::SIGSTOP).unwrap();
    parent.kill().unwrap();
    parent.wait().unwrap();
    // Gone, or a zombie that nobody has collected yet.
    let begin = Instant::now();
    let stat = || std::fs::read_to_string(format!("/proc/{daemon}/stat")).unwrap_or_else(|_| ") Z".to_owned());
    while !stat().rsplit(')').next().unwrap().trim_start().starts_with('Z') {
        assert!(begin.elapsed() < BOUND, "the daemon outlived its parent");
        std::thread::yield_now();
    }
}
