//! The daemons by hand, without a scenario: a stand-alone name server, a gateway without one of its own, two controllers, each a
//! process with its own sockets (X2; what a lab network runs). And what an operator asks them.

#![allow(clippy::unwrap_used, reason = "helpers of tests are tests")]

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde_json::Value;
use std::io::{Read, Write};
use std::os::unix::net::UnixStream;
use std::path::PathBuf;
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};

const BOUND: Duration = Duration::from_secs(20);

struct Lab {
    folder: PathBuf,
    /// Its hosts come after this one: labs run side by side.
    base: u8,
    running: Vec<Child>,
}

impl Lab {
    fn new(base: u8) -> Self {
        let folder = std::env::temp_dir().join(format!("sigpool-stand-alone-{}-{base}", std::process::id()));
        std::fs::create_dir_all(&folder).unwrap();
        Self { folder, base, running: Vec::new() }
    }

    /// An address of this run's own.
    fn ip(&self, host: u8) -> String {
        let id = std::process::id();
        format!("127.{}.{}.{}", 200 + id / 256 % 50, id % 256, self.base + host)
    }

    /// Starts a daemon; gives its place in `running`.
    fn start(&mut self, daemon: &str, host: u8, settings: &str) -> usize {
        let name = format!("{daemon}-{host}");
        let config = self.folder.join(format!("{name}.toml"));
        let admin = self.admin(&name);
        let own = self.ip(host);
        let text = format!(
            "[daemon]\nadmin = \"unix:{}\"\nparent_pid = {}\n[udp]\naddresses = [\"{own}\"]\n{settings}",
            admin.display(),
            std::process::id()
        );
        std::fs::write(&config, text).unwrap();
        let mut command = Command::new(env!("CARGO_BIN_EXE_sigpool"));
        command.args([daemon, "--config"]).arg(&config).stdout(Stdio::null()).stderr(Stdio::null());
        self.running.push(command.spawn().unwrap());
        self.running.len() - 1
    }

    fn admin(&self, name: &str) -> PathBuf {
        self.folder.join(format!("{name}.sock"))
    }

    /// The admin state, once the daemon answers.
    fn state(&self, name: &str) -> Option<Value> {
        let mut stream = UnixStream::connect(self.admin(name)).ok()?;
        stream.set_read_timeout(Some(BOUND)).unwrap();
        write!(stream, "GET /state HTTP/1.1\r\nHost: lab\r\nConnection: close\r\n\r\n").ok()?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer).ok()?;
        serde_json::from_str(answer.split_once("\r\n\r\n")?.1).ok()
    }

    /// Registered elements that the name server selects.
    fn selectable(&self) -> u64 {
        let state = self.state("enrp-1").unwrap_or_default();
        state["server"]["pools"][0]["selectable"].as_u64().unwrap_or(0)
    }

    /// Controllers that the gateway works with.
    fn active(&self) -> usize {
        let state = self.state("sg-2").unwrap_or_default();
        let controllers = state["pools"][0]["controllers"].as_array().cloned().unwrap_or_default();
        controllers.iter().filter(|controller| controller["state"] == "active").count()
    }

    fn wait(&self, what: &str, holds: impl Fn(&Self) -> bool) {
        let deadline = Instant::now() + BOUND;
        while !holds(self) {
            assert!(Instant::now() < deadline, "{what}: {:?} {:?}", self.state("enrp-1"), self.state("sg-2"));
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    /// Asks as an operator does.
    fn sigpool(&self, words: &str) -> Output {
        let admin = format!("unix:{}", self.admin("sg-2").display());
        let words = words.split(' ').map(|word| if word == "ADMIN" { &admin } else { word });
        Command::new(env!("CARGO_BIN_EXE_sigpool")).args(words).output().unwrap()
    }

    /// A name server, a gateway, two controllers, all at work. The gateway's settings besides.
    fn pool(&mut self, settings: &str) {
        self.start("enrp", 1, "");
        let servers = format!("servers = [{{ addresses = [\"{}\"] }}]", self.ip(1));
        self.start("sg", 2, &format!("[enrp]\nembedded = false\n{servers}\n{settings}"));
        let hunt = format!("[asap.hunt]\n{servers}\n");
        self.start("gwc-pe", 11, &hunt);
        self.start("gwc-pe", 12, &hunt);
        self.wait("both are registered and active", |lab| lab.selectable() == 2 && lab.active() == 2);
    }

    fn stop(&mut self, place: usize) -> Option<i32> {
        kill(Pid::from_raw(self.running[place].id().cast_signed()), Signal::SIGTERM).unwrap();
        self.running[place].wait().unwrap().code()
    }
}

impl Drop for Lab {
    fn drop(&mut self) {
        for child in &mut self.running {
            let _ = child.kill();
            let _ = child.wait();
        }
        let _ = std::fs::remove_dir_all(&self.folder);
    }
}

#[test]
fn gateway_and_controllers_meet_at_a_stand_alone_name_server() {
    let mut lab = Lab::new(0);
    let (server, gateway) = (lab.ip(1), lab.ip(2));
    let name_server = lab.start("enrp", 1, "");
    let servers = format!("servers = [{{ addresses = [\"{server}\"] }}]");
    let sg = lab.start("sg", 2, &format!("[enrp]\nembedded = false\n{servers}\n"));
    let hunt = format!("[asap.hunt]\n{servers}\n");
    let first = lab.start("gwc-pe", 11, &hunt);
    let second = lab.start("gwc-pe", 12, &hunt);
    lab.wait("both are registered and active", |lab| lab.selectable() == 2 && lab.active() == 2);
    assert!(lab.state("sg-2").unwrap()["enrp"].is_null(), "{gateway} has no name server of its own");

    lab.running[first].kill().unwrap();
    lab.wait("the killed one is gone in both", |lab| lab.selectable() == 1 && lab.active() == 1);
    lab.start("gwc-pe", 13, &hunt);
    lab.wait("a new one is found by name", |lab| lab.selectable() == 2 && lab.active() == 2);

    assert_eq!(lab.stop(second), Some(0));
    lab.wait("a planned end is known in both", |lab| lab.selectable() == 1 && lab.active() == 1);
    assert_eq!((lab.stop(sg), lab.stop(name_server)), (Some(0), Some(0)));
}

fn text(output: &Output) -> String {
    String::from_utf8_lossy(&output.stdout).into_owned()
}

#[test]
fn a_running_gateway_explains_where_a_message_goes() {
    const MESSAGE: &str = "explain --opc 1 --dpc 2 --cic 33";
    let mut lab = Lab::new(20);
    lab.pool("");
    let explained = |lab: &Lab| -> Value {
        let output = lab.sigpool(&format!("{MESSAGE} --admin ADMIN --json"));
        assert_eq!(output.status.code(), Some(0), "{output:?}");
        serde_json::from_slice(&output.stdout).unwrap()
    };
    let before = explained(&lab);
    let (first, next) = (&before["controller"]["pe"], &before["next"][0]["pe"]);
    assert_eq!((before["running"].as_bool(), before["fate"].as_str()), (Some(true), Some("sent")), "{before}");
    assert_ne!(first, next, "{before}");
    assert_eq!(&explained(&lab)["controller"], &before["controller"], "it takes no turn of the policy");
    let shown = text(&lab.sigpool(&format!("{MESSAGE} --admin ADMIN")));
    assert!(shown.contains(first.as_str().unwrap()) && shown.contains("CIC 32 to 63"), "{shown}");

    // What it would take away from the first, the second gets.
    let address = before["controller"]["address"].as_str().unwrap();
    let place = lab.running.len() - if address.starts_with(&format!("{}:", lab.ip(11))) { 2 } else { 1 };
    lab.stop(place);
    lab.wait("one is left", |lab| lab.active() == 1);
    let after = explained(&lab);
    assert_eq!(after["controller"]["pe"], *next, "{after}");

    let none = lab.sigpool("explain --opc 1 --dpc 77 --cic 33 --admin ADMIN");
    assert_eq!(none.status.code(), Some(1));
    assert!(text(&none).contains("no routing key has DPC 77"), "{none:?}");
    let config = lab.folder.join("sg-2.toml").display().to_string();
    let alone = lab.sigpool(&format!("{MESSAGE} --config {config}"));
    assert_eq!(alone.status.code(), Some(0), "{alone:?}");
    assert_eq!(lab.sigpool("explain --opc 1 --dpc 2 --cic 4096 --admin ADMIN").status.code(), Some(2));
    assert_eq!(lab.sigpool(&format!("{MESSAGE} --admin unix:/nowhere.sock")).status.code(), Some(3));
}

#[test]
fn an_operator_sees_drains_blocks_and_ends() {
    let mut lab = Lab::new(40);
    lab.pool("");
    let shown = |lab: &Lab, what: &str| -> Value {
        let output = lab.sigpool(&format!("ctl --admin ADMIN show {what} --json"));
        assert_eq!(output.status.code(), Some(0), "{output:?}");
        serde_json::from_slice(&output.stdout).unwrap()
    };
    let asps = shown(&lab, "asp");
    let pe = asps[0]["pe"].as_str().unwrap().to_owned();
    assert_eq!((asps.as_array().unwrap().len(), &asps[0]["state"]), (2, &Value::from("active")));
    for what in ["as", "asp", "network", "associations", "groups", "sls", "counters"] {
        let table = lab.sigpool(&format!("ctl --admin ADMIN show {what}"));
        assert_eq!(table.status.code(), Some(0), "{table:?}");
        assert!(text(&table).lines().next().unwrap().chars().all(|c| !c.is_lowercase()), "{what}: {table:?}");
        assert!(shown(&lab, what).is_array());
    }
    let done = |lab: &Lab, words: &str| -> Value {
        let output = lab.sigpool(&format!("ctl --admin ADMIN {words} --json"));
        assert_eq!(output.status.code(), Some(0), "{output:?}");
        serde_json::from_slice(&output.stdout).unwrap()
    };
    let drained = done(&lab, &format!("drain {pe}"));
    assert_eq!((&drained["drained"], &drained["groups"]), (&Value::from(true), &Value::from(0)));
    lab.wait("nobody else selects it either", |lab| lab.active() == 2);
    assert_eq!(done(&lab, &format!("undrain {pe}"))["drained"], Value::from(false));
    done(&lab, &format!("block {pe}"));
    lab.wait("its association is over", |lab| lab.active() == 1);
    done(&lab, &format!("unblock {pe}"));
    lab.wait("it is back", |lab| lab.active() == 2);
    done(&lab, &format!("disconnect {pe}"));
    let ended = |lab: &Lab| {
        shown(lab, "counters")
            .as_array()
            .unwrap()
            .iter()
            .any(|c| c["counter"] == "given_up" && c["value"].as_u64() >= Some(2))
    };
    lab.wait("it ended and came back", |lab| ended(lab) && lab.active() == 2);

    assert_eq!(lab.sigpool("ctl --admin ADMIN drain 12345678").status.code(), Some(2));
    assert_eq!(lab.sigpool("ctl --admin ADMIN drain no-number").status.code(), Some(2));
    assert_eq!(lab.sigpool("ctl --admin unix:/nowhere.sock show as").status.code(), Some(3));
    assert_eq!(lab.sigpool("ctl show as").status.code(), Some(2));
}

#[test]
fn an_operator_adds_without_a_restart() {
    let mut lab = Lab::new(60);
    lab.pool("");
    let done = |lab: &Lab, words: &str| -> Value {
        let output = lab.sigpool(&format!("ctl --admin ADMIN {words} --json"));
        assert_eq!(output.status.code(), Some(0), "{output:?}");
        serde_json::from_slice(&output.stdout).unwrap()
    };
    let explained =
        |lab: &Lab, dpc: u32| lab.sigpool(&format!("explain --opc 1 --dpc {dpc} --cic 33 --admin ADMIN")).status.code();
    assert_eq!(explained(&lab, 40), Some(1), "no key has it");
    let added = done(&lab, "add key --routing-context 1 --dpc 40,41 --si 5");
    assert_eq!((&added["what"], &added["dpc"][1]), (&Value::from("key added"), &Value::from(41)));
    assert_eq!(explained(&lab, 40), Some(0), "a controller gets it");
    assert_eq!(done(&lab, "show keys")[1]["dpc"], Value::from(41));
    let shown = text(&lab.sigpool("ctl --admin ADMIN show keys"));
    assert!(shown.contains("OPERATOR") && shown.contains("41"), "{shown}");
    done(&lab, "remove key --routing-context 1 --dpc 40,41 --si 5");
    assert_eq!(explained(&lab, 40), Some(1));

    // An application server; a controller of its pool is connected to.
    done(&lab, "add as --pool SecondPool --routing-context 9 --dpc 50 --si 5");
    assert_eq!(done(&lab, "show as")[1]["pool"], Value::from("SecondPool"));
    let hunt = format!(
        "[pool]\nhandle = \"SecondPool\"\n[m3ua]\nrouting_context = 9\n[asap.hunt]\nservers = [{{ addresses = [\"{}\"] }}]\n",
        lab.ip(1)
    );
    lab.start("gwc-pe", 13, &hunt);
    lab.wait("its controller is active", |lab| {
        let state = lab.state("sg-2").unwrap_or_default();
        state["pools"][1]["controllers"][0]["state"] == "active"
    });

    for (words, why) in [
        ("add key --routing-context 1 --dpc 50 --si 5", "could fit a key that is there"),
        ("add key --routing-context 4 --dpc 51", "there are: 1, 9"),
        ("add as --pool SecondPool --routing-context 10 --dpc 51", "another [[as]] has this pool"),
        ("add as --pool Third --routing-context 10 --dpc 51 --asps 127.0.0.9", "embedded name server"),
        ("add peer 127.0.0.9", "any address"),
        ("remove key --routing-context 1 --dpc 40", "no such key was added"),
    ] {
        let output = lab.sigpool(&format!("ctl --admin ADMIN {words}"));
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!((output.status.code(), said.contains(why)), (Some(2), true), "{words}: {said}");
    }
}
