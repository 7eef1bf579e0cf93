//! Selection plug-ins from outside: the program `enrp` with a directory of them, and a pool user that gives hints.

#![cfg(feature = "plugins")]
#![allow(clippy::unwrap_used, reason = "helpers of tests are tests too")]

use asap::pool_user::Selection;
use asap::wire::{
    ElementReport, Message, PeId, Policy, PoolElement, PoolHandle, RegistrationLife, SctpTransport, ServerId,
    Transport, TransportUse,
};
use asap::{ConnId, PuConfig, PuMachine, Transmit};
use enrp::{ClientId, Output, PluginFiles, PluginsConfig, PoolPlugin, Server, ServerConfig};
use std::io::{BufRead, BufReader, Read, Write};
use std::net::SocketAddr;
use std::os::unix::net::UnixStream;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

const NEAREST: &str = include_str!("../plugins/nearest.wat");
const TENANT: &str = include_str!("../plugins/tenant.wat");
const PLACES: &str = "vienna 0 0\ngraz 0 200\nip:127.0.0.1 0 10\nip:127.0.0.2 0 190\n";

/// A directory with a configuration and plug-ins, gone at the end.
struct Scratch(PathBuf);

impl Scratch {
    fn new(name: &str, last: u8, pools: &str) -> Self {
        let scratch = Self(std::env::temp_dir().join(format!("enrp-plugins-{name}-{}", std::process::id())));
        std::fs::create_dir_all(&scratch.0).unwrap();
        let at = scratch.0.display();
        scratch.write(
            "enrp.toml",
            format!(
                "[daemon]\nadmin = \"unix:{at}/admin\"\n[udp]\naddresses = [\"127.53.53.{last}\"]\n\
                 [plugins]\ndirectory = \"{at}\"\npools = [{pools}]\n"
            ),
        );
        scratch
    }

    fn write(&self, name: &str, content: impl AsRef<[u8]>) {
        std::fs::write(self.0.join(name), content).unwrap();
    }

    fn program(&self) -> Child {
        let mut command = Command::new(env!("CARGO_BIN_EXE_enrp"));
        command.arg("--config").arg(self.0.join("enrp.toml"));
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap()
    }

    /// A program that refuses to start: its status and what it says.
    fn refused(&self) -> (Option<i32>, String) {
        let output = self.program().wait_with_output().unwrap();
        (output.status.code(), String::from_utf8_lossy(&output.stderr).into_owned())
    }

    /// An answer of the admin server.
    fn ask(&self, request: &str, body: &str) -> String {
        let mut stream = UnixStream::connect(self.0.join("admin")).unwrap();
        stream.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
        let length = body.len();
        let head = format!("{request} HTTP/1.1\r\nHost: enrp\r\nConnection: close\r\nContent-Length: {length}\r\n\r\n");
        stream.write_all(format!("{head}{body}").as_bytes()).unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        answer
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

/// Killed at the end; its log until it was ready.
struct Running(Child, Vec<String>);

impl Running {
    fn start(scratch: &Scratch) -> Self {
        let mut child = scratch.program();
        let mut lines = BufReader::new(child.stderr.take().unwrap()).lines().map_while(Result::ok);
        let mut log = Vec::new();
        for line in lines.by_ref() {
            log.push(line);
            if log.last().is_some_and(|line| line.contains("UDP [")) {
                break;
            }
        }
        assert!(log.last().is_some_and(|line| line.contains("UDP [")), "{log:?}");
        std::thread::spawn(move || lines.for_each(drop));
        Self(child, log)
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

#[test]
fn the_program_loads_plugins_by_name_and_changes_them_while_it_runs() {
    let pools = r#"{ handle = "a*", plugin = "nearest" }, { handle = "b", plugin = "tenant" }, { handle = "c", plugin = "broken" }"#;
    let scratch = Scratch::new("run", 1, pools);
    scratch.write("nearest.wat", NEAREST);
    // Binary goes before text.
    scratch.write("tenant.wasm", wat::parse_str(TENANT).unwrap());
    scratch.write("tenant.wat", "not this one");
    scratch.write("broken.wat", "(module");
    scratch.write("location.table", PLACES);
    let running = Running::start(&scratch);
    assert!(running.1.iter().any(|line| line.contains("ERROR") && line.contains("broken")), "{:?}", running.1);
    let state = scratch.ask("GET /state", "");
    for part in [r#""name":"nearest","selections":0"#, r#""name":"broken""#, "unexpected", r#""tables":{"location":4}"#]
    {
        assert!(state.contains(part), "{part} is not in {state}");
    }
    let changed = scratch.ask("POST /command/table", "set location pe:2a 1 2\nset tenant acme 7\n");
    assert!(changed.starts_with("HTTP/1.1 200") && changed.contains("2 lines done"), "{changed}");
    assert!(scratch.ask("GET /state", "").contains(r#""tables":{"location":5,"tenant":1}"#));
    let wrong = scratch.ask("POST /command/table", "set location x 1\nset location y one\n");
    assert!(wrong.starts_with("HTTP/1.1 400") && wrong.contains("line 2: `one`"), "{wrong}");
    let replaced = scratch.ask("POST /command/plugin", &format!("broken\n{NEAREST}"));
    assert!(replaced.starts_with("HTTP/1.1 200"), "{replaced}");
    let wrong = scratch.ask("POST /command/plugin", "nearest\n(module)");
    assert!(wrong.starts_with("HTTP/1.1 400") && wrong.contains("no memory"), "{wrong}");
}

#[test]
fn what_is_not_there_is_named() {
    let pools = r#"{ handle = "a", plugin = "far" }"#;
    let scratch = Scratch::new("none", 2, pools);
    let (status, said) = scratch.refused();
    assert!(status == Some(2) && said.contains("far.wasm nor") && said.contains("far.wat"), "{said}");
    scratch.write("far.wat", NEAREST);
    scratch.write("location.table", "vienna 1 1\ngraz x\n");
    let (status, said) = scratch.refused();
    assert!(status == Some(2) && said.contains("location.table: line 2: `x`"), "{said}");
    scratch.write("location.table", [0xff]);
    let (status, said) = scratch.refused();
    assert!(status == Some(2) && said.contains("location.table: expected text"), "{said}");
    let config = std::fs::read_to_string(scratch.0.join("enrp.toml")).unwrap();
    scratch.write("enrp.toml", format!("{config}tables = {{ location = \"a 1\" }}\n"));
    scratch.write("location.table", PLACES);
    let (status, said) = scratch.refused();
    assert!(status == Some(2) && said.contains("plugins.tables.location: is in"), "{said}");
    std::fs::remove_file(scratch.0.join("location.table")).unwrap();
    scratch.write("far.wat", vec![b' '; (1 << 20) + 1]);
    let (status, said) = scratch.refused();
    assert!(status == Some(2) && said.contains("far.wat: longer than 1048576 bytes"), "{said}");
}

#[test]
fn without_a_directory_the_two_that_are_built_in_are_there() {
    let pools = r#"{ handle = "a", plugin = "nearest" }, { handle = "b", plugin = "tenant" }"#;
    let scratch = Scratch::new("built-in", 3, pools);
    let config = std::fs::read_to_string(scratch.0.join("enrp.toml")).unwrap();
    let config =
        config.replace(&format!("directory = \"{}\"", scratch.0.display()), "tables = { location = \"a 1\\nb 2\" }");
    scratch.write("enrp.toml", &config);
    let running = Running::start(&scratch);
    assert!(!running.1.iter().any(|line| line.contains("ERROR")), "{:?}", running.1);
    let state = scratch.ask("GET /state", "");
    assert!(state.contains(r#""name":"tenant""#) && state.contains(r#""tables":{"location":2}"#), "{state}");
    drop(running);
    scratch.write("enrp.toml", config.replace("a 1", "a x"));
    let (status, said) = scratch.refused();
    assert!(status == Some(2) && said.contains("plugins.tables.location: line 1: `x`"), "{said}");
}

/// Server and pool user in one process.
struct Lab {
    server: Server,
    user: PuMachine<()>,
    now: Instant,
}

impl Lab {
    fn new(module: &str, table: &str, rows: &str) -> Self {
        let mut server = Server::new(ServerConfig::default(), ServerId(1), 1);
        let config = PluginsConfig {
            directory: "/nowhere".into(),
            pools: vec![PoolPlugin { handle: "pool".into(), plugin: "it".into() }],
            ..PluginsConfig::default()
        };
        let plugins = [("it".to_owned(), module.into())].into();
        let tables = [(table.to_owned(), rows.to_owned())].into();
        server.set_plugins(&config, &PluginFiles { plugins, tables }).unwrap();
        let mut lab = Self { server, user: PuMachine::embedded(PuConfig::default(), 1), now: Instant::now() };
        (1..=3).for_each(|n| lab.register(n));
        lab
    }

    fn register(&mut self, n: u8) {
        let source: SocketAddr = ([127, 0, 0, n], 3_000).into();
        let transport =
            SctpTransport { port: 2905, transport_use: TransportUse::DataOnly, addresses: [source.ip()].into() };
        let element = PoolElement {
            id: PeId(n.into()),
            home: ServerId(0),
            life: RegistrationLife::Infinite,
            user_transport: Transport::Sctp(transport),
            policy: Policy::RoundRobin,
            asap_transport: None,
        };
        let message = Message::Registration { handle: "pool".into(), element }.encode().unwrap();
        self.server.handle_message(self.now, ClientId(n.into()), &[source], &message);
        self.exchange();
    }

    fn exchange(&mut self) {
        loop {
            while let Some(Transmit::Send { bytes, .. }) = self.user.poll_transmit() {
                self.server.handle_message(self.now, ClientId::LOCAL, &[], &bytes);
            }
            let mut idle = true;
            while let Some(output) = self.server.poll_output() {
                if let Output::Asap { client: ClientId::LOCAL, bytes } = output {
                    self.user.handle_received(self.now, ConnId::EMBEDDED, &bytes);
                    idle = false;
                }
            }
            if idle {
                return;
            }
        }
    }

    fn hint(&mut self, hint: &'static str) {
        assert!(self.user.set_hint(self.now, &pool(), Some(hint.into())));
        self.exchange();
    }

    fn select(&mut self, but: &[u32]) -> Option<u32> {
        self.exchange();
        let usable = |element: &PoolElement| !but.contains(&element.id.0);
        match self.user.select(self.now, &pool(), usable) {
            Selection::Element { pe, .. } => Some(pe.0),
            Selection::Resolving | Selection::NoneUsable | Selection::TooManyPools => None,
        }
    }
}

fn pool() -> PoolHandle {
    "pool".into()
}

/// The pool user selects by the policy it is told, from its cache, as any strict one does.
#[test]
fn a_pool_user_with_a_hint_selects_what_the_plugin_wants() {
    let mut lab = Lab::new(NEAREST, "location", PLACES);
    lab.hint("vienna");
    assert_eq!(lab.select(&[]), None);
    assert_eq!([lab.select(&[]), lab.select(&[]), lab.select(&[1]), lab.select(&[1, 2])], [1, 1, 2, 3].map(Some));
    lab.hint("graz");
    assert_eq!([lab.select(&[]), lab.select(&[]), lab.select(&[2])], [2, 2, 1].map(Some));
    // An operator moves a place: the subscribed user hears of it.
    lab.server.change_tables(lab.now, "set location ip:127.0.0.3 0 201").unwrap();
    assert_eq!(lab.select(&[]), Some(3));
    // The next one dies: the cache has the order.
    lab.server.client_lost(lab.now, ClientId(3), true);
    lab.now += Duration::from_millis(20);
    lab.server.handle_timeout(lab.now);
    assert_eq!([lab.select(&[]), lab.select(&[2])], [2, 1].map(Some));
}

/// A user that measures loads gives them with its next resolution, and is served by them.
#[test]
fn what_a_user_measured_changes_what_it_is_given() {
    let mut lab = Lab::new(TENANT, "tenant", "acme 7\npe:1 7\npe:2 7\nip:127.0.0.3 8\n");
    lab.hint("acme");
    lab.select(&[]);
    let mut both = [lab.select(&[]), lab.select(&[])];
    both.sort_unstable();
    assert_eq!(both, [1, 2].map(Some), "no loads yet: they take turns");
    lab.user.measured(&pool(), ElementReport { pe_id: PeId(1), load: u32::MAX / 2, round_trip_us: Some(900) });
    lab.user.measured(&pool(), ElementReport { pe_id: PeId(2), load: u32::MAX / 4, round_trip_us: None });
    // They travel when the cache is stale.
    lab.now += Duration::from_secs(30);
    lab.select(&[]);
    assert_eq!([lab.select(&[]), lab.select(&[]), lab.select(&[2])], [2, 2, 1].map(Some));
    assert_eq!((lab.select(&[1, 2]), lab.server.counters().measures), (None, 2));
}
