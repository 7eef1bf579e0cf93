//! The lab guide `enrp/SEVERAL_SERVERS.md`, run as it stands there: several name servers as processes, peers by configuration, by DNS
//! name and by multicast, several scopes, a server killed.
#![allow(clippy::unwrap_used, clippy::print_stdout, reason = "helpers of tests are tests, and say what they skip")]

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde_json::Value;
use std::fs::File;
use std::io::{Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream, UdpSocket};
use std::path::PathBuf;
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};

const BOUND: Duration = Duration::from_secs(20);
const GUIDE: &str = include_str!("../../enrp/SEVERAL_SERVERS.md");

/// The files of the guide by name: a line "`NAME`:" and a block of TOML.
fn files() -> Vec<(&'static str, &'static str)> {
    let block = |part: &'static str| {
        let (name, rest) = part.split_once("`:\n```toml\n")?;
        Some((name, rest.split_once("```")?.0))
    };
    let starts = GUIDE.match_indices("\n`").map(|(at, _)| &GUIDE[at + 2..]);
    starts.filter_map(block).filter(|(name, _)| !name.contains('\n')).collect()
}

/// Programs in a directory with the guide's files; ended at the end.
struct Lab {
    folder: PathBuf,
    running: Vec<(String, Child)>,
}

impl Lab {
    fn new(name: &str) -> Self {
        let folder = std::env::temp_dir().join(format!("sigpool-servers-{name}-{}", std::process::id()));
        std::fs::create_dir_all(&folder).unwrap();
        for (name, text) in files() {
            std::fs::write(folder.join(name), text).unwrap();
        }
        Self { folder, running: Vec::new() }
    }

    fn sigpool(&self, words: &[&str]) -> Output {
        Command::new(env!("CARGO_BIN_EXE_sigpool")).args(words).current_dir(&self.folder).output().unwrap()
    }

    fn start(&mut self, daemon: &str, file: &str) {
        let log = File::create(self.folder.join(format!("{file}.log"))).unwrap();
        let mut command = Command::new(env!("CARGO_BIN_EXE_sigpool"));
        command.args([daemon, "--config", file]).current_dir(&self.folder).stdout(Stdio::null()).stderr(log);
        self.running.push((file.to_owned(), command.spawn().unwrap()));
    }

    fn end(&mut self, file: &str, signal: Signal) -> Option<i32> {
        let place = self.running.iter().position(|(name, _)| name == file).unwrap();
        let (_, mut child) = self.running.remove(place);
        kill(Pid::from_raw(child.id().cast_signed()), signal).unwrap();
        child.wait().unwrap().code()
    }

    fn log(&self, file: &str) -> String {
        std::fs::read_to_string(self.folder.join(format!("{file}.log"))).unwrap_or_default()
    }

    /// `sigpool enrp QUESTION --json`; null while nobody answers.
    fn ask(&self, question: &str, admin: &str, scope: &str) -> Value {
        let mut words = vec!["enrp", question, "--json", "--admin", admin];
        words.extend(["--scope", scope].into_iter().filter(|_| !scope.is_empty()));
        serde_json::from_slice(&self.sigpool(&words).stdout).unwrap_or_default()
    }

    /// Pool, element and home of all that a server knows, and what of it does not depend on who tells it.
    fn elements(&self, admin: &str, scope: &str) -> Vec<[String; 5]> {
        let dump = self.ask("dump", admin, scope);
        let of = |element: &Value| {
            ["pool", "id", "home", "policy", "user_transport"]
                .map(|key| element[key].as_str().unwrap_or("?").to_owned())
        };
        dump["elements"].as_array().map(|all| all.iter().map(of).collect()).unwrap_or_default()
    }

    fn wait(&self, what: &str, holds: impl Fn(&Self) -> bool) {
        let deadline = Instant::now() + BOUND;
        while !holds(self) {
            let logs: Vec<_> = self.running.iter().map(|(file, _)| format!("{file}:\n{}", self.log(file))).collect();
            assert!(Instant::now() < deadline, "{what} did not come\n{}", logs.join("\n"));
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    /// Both servers have the same elements, these, in number, and agree about the checksums.
    fn wait_equal(&self, [first, second]: [&str; 2], scope: &str, number: usize) {
        self.wait("equal tables", |lab| {
            let elements = lab.elements(first, scope);
            let agree = |admin| {
                let peers = lab.ask("peers", admin, scope);
                peers.as_array().is_some_and(|all| all.len() == 1 && all[0]["agrees"] == true)
            };
            elements.len() == number && elements == lab.elements(second, scope) && agree(first) && agree(second)
        });
    }

    /// Wireshark, where there is one, finds these protocols and nothing to complain about.
    fn clean(&self, capture: &str, protocols: &[&str]) {
        if Command::new("tshark").arg("--version").output().is_err() {
            println!("SKIP: no tshark for {capture}");
            return;
        }
        let script = concat!(env!("CARGO_MANIFEST_DIR"), "/../.ci/capture-clean");
        let output = Command::new(script).arg(self.folder.join(capture)).args(protocols).output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        print!("{}", String::from_utf8_lossy(&output.stdout));
    }
}

impl Drop for Lab {
    fn drop(&mut self) {
        for (_, child) in &mut self.running {
            let _ = child.kill();
            let _ = child.wait();
        }
        let _ = std::fs::remove_dir_all(&self.folder);
    }
}

#[test]
fn all_files_of_the_guide_are_configurations() {
    let files = files();
    let names: Vec<_> = files.iter().map(|(name, _)| *name).collect();
    assert_eq!(names, ["a.toml", "b.toml", "gwc.toml", "two-a.toml", "two-b.toml", "two-gwc.toml", "two-sg.toml"]);
    let lab = Lab::new("check");
    // Which daemon's each is, it tells by the keys.
    let output = lab.sigpool(&[&["check"], names.as_slice()].concat());
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
}

/// Two servers; the home of a controller is killed and comes back: the other takes over, the table returns.
#[test]
fn a_killed_server_is_taken_over_and_comes_back() {
    let admin = ["127.90.0.1:9880", "127.90.0.2:9880"];
    let mut lab = Lab::new("kill");
    lab.start("enrp", "a.toml");
    // The other one is not there yet: that is said.
    lab.wait("a peer that is not reached", |lab| lab.ask("peers", admin[0], "")[0]["status"] == "not reached");
    lab.start("enrp", "b.toml");
    lab.wait("the peer", |lab| lab.ask("peers", admin[0], "")[0]["status"] == "active");
    lab.start("gwc-pe", "gwc.toml");
    lab.wait_equal(admin, "", 2);
    let table = lab.sigpool(&["enrp", "dump", "--admin", admin[1], "--pool", "Voice"]).stdout;
    let table = String::from_utf8(table).unwrap();
    assert!(table.contains("Voice") && table.contains("00000010") && !table.contains("Media"), "{table}");
    let unknown = lab.sigpool(&["enrp", "dump", "--admin", admin[1], "--pool", "Vioce"]);
    assert_eq!(unknown.status.code(), Some(2));
    assert!(
        String::from_utf8_lossy(&unknown.stderr).contains("--pool Vioce: no such pool; the server has 2"),
        "{unknown:?}"
    );

    // Both elements of it have one home.
    let home = lab.elements(admin[0], "")[0][2].clone();
    let (dead, other) = if home == "00000001" { (0, 1) } else { (1, 0) };
    let file = ["a.toml", "b.toml"];
    lab.end(file[dead], Signal::SIGKILL);
    let survivor = ["00000001", "00000002"][other];
    lab.wait("the takeover", |lab| {
        let elements = lab.elements(admin[other], "");
        elements.len() == 2 && elements.iter().all(|element| element[2] == survivor)
    });
    assert!(lab.log(file[other]).contains("taken over"), "{}", lab.log(file[other]));
    if dead == 0 {
        assert_eq!(lab.end("b.toml", Signal::SIGTERM), Some(0));
        lab.clean("b.pcapng", &["sctp", "asap", "enrp"]);
        lab.start("enrp", "b.toml");
    }
    lab.start("enrp", file[dead]);
    lab.wait_equal(admin, "", 2);
    if dead == 1 {
        // What the killed one wrote may end in the middle; this is its second life.
        assert_eq!(lab.end("b.toml", Signal::SIGTERM), Some(0));
        lab.clean("b.pcapng", &["sctp", "enrp"]);
    }
}

/// Two scopes in two processes; in the second one the servers find each other in a multicast group. A controller is in both, and a gateway
/// resolves it in the foreign one.
#[test]
fn scopes_meet_by_multicast_and_a_gateway_resolves_in_a_foreign_one() {
    let admin = ["127.90.1.1:9880", "127.90.1.2:9880"];
    if !multicast_works() {
        println!("SKIP: no multicast over the loopback interface");
        return;
    }
    let mut lab = Lab::new("scopes");
    for (daemon, file) in
        [("enrp", "two-a.toml"), ("enrp", "two-b.toml"), ("gwc-pe", "two-gwc.toml"), ("sg", "two-sg.toml")]
    {
        lab.start(daemon, file);
    }
    lab.wait_equal(admin, "carrier-a", 2);
    lab.wait_equal(admin, "carrier-b", 1);
    assert_eq!(lab.elements(admin[0], "carrier-b")[0][..2], ["Media", "00000010"]);
    let pools: Vec<_> = lab.elements(admin[1], "carrier-a").into_iter().map(|[pool, ..]| pool).collect();
    assert_eq!(pools, ["Calls", "Voice"]);
    // 200: every pool of the gateway has a controller that is active.
    lab.wait("the gateway's controller", |_| healthy("127.90.1.20:9880"));
}

/// Whether a datagram to a group comes back over the loopback interface.
fn multicast_works() -> bool {
    let (group, own) = (Ipv4Addr::new(239, 90, 2, 99), Ipv4Addr::new(127, 90, 2, 9));
    let socket = UdpSocket::bind((group, 9_902)).unwrap();
    let sender = socket2::Socket::new(socket2::Domain::IPV4, socket2::Type::DGRAM, None).unwrap();
    let to = socket2::SockAddr::from(SocketAddr::from((group, 9_902)));
    socket.set_read_timeout(Some(Duration::from_secs(2))).unwrap();
    socket.join_multicast_v4(&group, &own).is_ok()
        && sender.set_multicast_if_v4(&own).is_ok()
        && sender.send_to(b"x", &to).is_ok()
        && socket.recv(&mut [0]).is_ok()
}

fn healthy(admin: &str) -> bool {
    let Ok(mut stream) = TcpStream::connect(admin) else { return false };
    stream.set_read_timeout(Some(BOUND)).unwrap();
    let mut answer = String::new();
    let asked = stream.write_all(b"GET /healthz HTTP/1.1\r\nHost: lab\r\nConnection: close\r\n\r\n");
    asked.is_ok() && stream.read_to_string(&mut answer).is_ok() && answer.starts_with("HTTP/1.1 200")
}

/// A peer that is a DNS name: `localhost`, which the machine itself resolves.
#[test]
fn a_peer_is_found_by_its_name() {
    let mut lab = Lab::new("name");
    // Ports of this test's own, because localhost is everybody's.
    let server = |address: &str, admin: &str, peers: &str| {
        format!(
            "daemon.admin = \"{admin}\"\nudp = {{ addresses = [\"{address}\"], port = 9790 }}\ntcp.port = 0\n\
             node = {{ port = 3790, enrp_port = 9791 }}\npeers.servers = [{peers}]\n"
        )
    };
    let admin = ["127.90.3.1:9880", "127.90.3.2:9880"];
    std::fs::write(lab.folder.join("named.toml"), server("127.0.0.1", admin[0], "")).unwrap();
    let peer = "{ name = \"localhost\", port = 9791 }";
    std::fs::write(lab.folder.join("asks.toml"), server("127.90.3.2", admin[1], peer)).unwrap();
    lab.start("enrp", "named.toml");
    lab.start("enrp", "asks.toml");
    lab.wait_equal(admin, "", 0);
}

/// What an engineer does wrong, and the words for it: file, line, key, what was expected.
#[test]
fn mistakes_are_named() {
    let lab = Lab::new("mistakes");
    let wrong = |daemon: &str, text: &str, code: i32, words: &[&str]| {
        std::fs::write(lab.folder.join("x.toml"), text).unwrap();
        let output = lab.sigpool(&[daemon, "--config", "x.toml"]);
        let error = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!(output.status.code(), Some(code), "{text}: {error}");
        words.iter().for_each(|word| assert!(error.contains(word), "{text}: {error} has no {word}"));
    };
    let own = "udp.addresses = [\"127.90.4.1\"]\n";
    let with = |text: &str| format!("{own}{text}");
    wrong("enrp", &with("[[scope]]\nnode.nam = \"b\"\n"), 2, &["x.toml:3:6: scope.node", "nam", "`name`"]);
    wrong(
        "enrp",
        &with("[[scope]]\n[scope.node]\nname = \"enrp\"\n"),
        2,
        &["x.toml:4:1: scope[0].node.name", "another"],
    );
    let twice = with("[[scope]]\nnode.name = \"b\"\nudp.addresses = [\"127.90.4.1\"]\n");
    wrong("enrp", &twice, 2, &["x.toml:4:5: scope[0].udp.addresses", "each scope has its own"]);
    let host = with("[peers]\nservers = [{ addresses = [\"enrp-b.example\"] }]\n");
    wrong("enrp", &host, 2, &["x.toml:3:27: peers.servers.addresses", "127.0.0.2", "name"]);
    wrong("enrp", &with("[peers]\nservers = [\"127.0.0.2\"]\n"), 2, &["x.toml:3:12", "{ addresses ="]);
    wrong("enrp", &with("[peers]\nservers = [{ }]\n"), 2, &["x.toml:3:1: peers.servers", "either addresses or a name"]);
    wrong("enrp", &with("multicast.enrp_group = \"239.0.0.51\"\n"), 2, &["x.toml:2:24", "ADDRESS:PORT"]);
    let plugin = with("[plugins]\ndirectory = \".\"\npools = [{ handle = \"m\", plugin = \"there-is-none\" }]\n");
    wrong("enrp", &plugin, 2, &["x.toml:4:1: plugins.pools", "there-is-none.wat"]);
    wrong("enrp", "udp.addresses = [\"192.0.2.1\"]\n", 3, &["192.0.2.1", "udp.addresses"]);
    wrong("sg", &with("[[as]]\npool = \"Media@carrier-c\"\ndpc = [2]\n"), 2, &["x.toml:3:1: as[0].pool", "carrier-c"]);
    let scope = with("asap.hunt.servers = [{ addresses = [\"127.90.4.2\"] }]\n[[scope]]\nname = \"b\"\n");
    wrong("gwc-pe", &scope, 2, &["x.toml:3:1: scope[0].servers", "{ addresses =", "multicast.asap_group"]);
    wrong("gwc-pe", &with("[[scope]]\nhandles = [\"b\"]\n"), 2, &["x.toml:2:1: scope", "name"]);
    wrong("gwc-pe", own, 2, &["asap.hunt.servers", "{ addresses ="]);
    // A port that is taken.
    let _taken = UdpSocket::bind("127.90.4.1:9899").unwrap();
    wrong("enrp", &with("tcp.port = 0\n"), 3, &["127.90.4.1:9899", "another process has this port"]);
    let _taken = TcpListener::bind("127.90.4.1:3863").unwrap();
    wrong("enrp", own, 3, &["127.90.4.1:3863", "tcp.port"]);
    // Questions to nobody.
    let output = lab.sigpool(&["enrp", "peers", "--admin", "127.90.4.1:9"]);
    assert_eq!(output.status.code(), Some(3));
    assert!(String::from_utf8_lossy(&output.stderr).contains("daemon.admin"));
}
