//! The program `enrp` as a process with real sockets: a pool element registers with it, admin shows it, signals end it.
#![allow(clippy::unwrap_used, reason = "helpers of tests are tests too")]

use asap::wire::{PeId, Policy, PoolHandle, RegistrationLife, SctpTransport, Transport, TransportUse};
use asap::{ConnId, PeConfig, PeEvent, PeMachine, ServerAddress, pool_element::Registration};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use sctp::{AssocId, Connect, Datagram, Event, SendOptions, Stack, ppid};
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{IpAddr, SocketAddr, UdpSocket};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};

const BOUND: Duration = Duration::from_secs(10);

fn enrp() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_enrp"));
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    command
}

/// A directory of its own, gone at the end.
struct Scratch(PathBuf);

impl Scratch {
    fn new(name: &str) -> Self {
        let path = std::env::temp_dir().join(format!("enrp-{name}-{}", std::process::id()));
        std::fs::create_dir_all(&path).unwrap();
        Self(path)
    }

    fn write(&self, text: &str) -> PathBuf {
        let path = self.0.join("enrp.toml");
        std::fs::write(&path, text).unwrap();
        path
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

/// A running name server; killed at the end if it still runs.
struct Running(Child);

impl Running {
    /// Starts it and waits until it says that it is ready.
    fn start(config: &Path) -> Self {
        let mut child = enrp().arg("--config").arg(config).spawn().unwrap();
        let mut lines = BufReader::new(child.stderr.take().unwrap()).lines();
        let ready = lines.by_ref().map_while(Result::ok).find(|line| line.contains("UDP ["));
        assert!(ready.is_some(), "ended before it was ready");
        // What it says later is nobody's, but must not block it.
        std::thread::spawn(move || lines.for_each(drop));
        Self(child)
    }

    fn signal(&self, signal: Signal) {
        kill(Pid::from_raw(self.0.id().cast_signed()), signal).unwrap();
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn get(socket: &Path, path: &str) -> String {
    let mut stream = UnixStream::connect(socket).unwrap();
    stream.set_read_timeout(Some(BOUND)).unwrap();
    write!(stream, "GET {path} HTTP/1.1\r\nHost: enrp\r\nConnection: close\r\n\r\n").unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    answer
}

/// A pool element with its socket, run by hand.
struct Element {
    socket: UdpSocket,
    stack: Stack,
    machine: PeMachine,
    conn: Option<(AssocId, ConnId)>,
    udp_port: u16,
}

impl Element {
    fn new(own: IpAddr, server: IpAddr, udp_port: u16) -> Self {
        let mut config = PeConfig::default();
        config.hunt.servers = vec![ServerAddress::new(server)];
        let socket = UdpSocket::bind((own, udp_port)).unwrap();
        let stack = Stack::new(sctp::Config::default(), vec![own], [7; 32], Instant::now());
        let mut machine = PeMachine::new(config, PeId(0xdead_beef), 1);
        let transport =
            SctpTransport { port: 2905, transport_use: TransportUse::DataAndControl, addresses: [own].into() };
        let registration = Registration {
            handle: PoolHandle::from("GatewayPool"),
            life: RegistrationLife::Seconds(60),
            user_transport: Transport::Sctp(transport),
            policy: Policy::WeightedRoundRobin { weight: 2 },
        };
        machine.register(Instant::now(), registration).unwrap();
        Self { socket, stack, machine, conn: None, udp_port }
    }

    /// Runs until the machine reports what is waited for.
    fn run_until(&mut self, wanted: impl Fn(&PeEvent) -> bool) {
        let end = Instant::now() + BOUND;
        let mut buffer = [0; 2_048];
        loop {
            self.pump();
            while let Some(event) = self.machine.poll_event() {
                if wanted(&event) {
                    return self.pump();
                }
            }
            let now = Instant::now();
            assert!(now < end, "it did not come");
            let timers = self.stack.poll_timeout().into_iter().chain(self.machine.poll_timeout());
            let wait = timers.min().map_or(end - now, |at| at.saturating_duration_since(now));
            self.socket.set_read_timeout(Some(wait.max(Duration::from_micros(100)))).unwrap();
            if let Ok((length, from)) = self.socket.recv_from(&mut buffer) {
                let to = self.socket.local_addr().unwrap().ip();
                let payload = bytes::Bytes::copy_from_slice(&buffer[..length]);
                self.stack.handle_datagram(Instant::now(), Datagram { from, to, payload });
            }
            self.stack.handle_timeout(Instant::now());
            self.machine.handle_timeout(Instant::now());
        }
    }

    fn pump(&mut self) {
        let now = Instant::now();
        while let Some(event) = self.stack.poll_event() {
            let conn = self.conn.expect("an association of ours").1;
            match event {
                Event::Up { .. } => self.machine.handle_connected(now, conn),
                Event::Message { payload, .. } => self.machine.handle_received(now, conn, &payload),
                Event::Closed { .. } => self.machine.handle_closed(now, conn),
                Event::Path { .. } | _ => {}
            }
        }
        while let Some(transmit) = self.machine.poll_transmit() {
            match transmit {
                asap::Transmit::Connect { conn, server } => {
                    let peer = vec![SocketAddr::new(server.addresses[0], self.udp_port)];
                    let connect = Connect { peer, peer_port: server.port, local_port: None };
                    self.conn = Some((self.stack.connect(now, connect).unwrap(), conn));
                }
                asap::Transmit::Send { bytes, .. } => {
                    let options = SendOptions { ppid: ppid::ASAP, ..SendOptions::default() };
                    self.stack.send(now, self.conn.unwrap().0, options, bytes).unwrap();
                }
                asap::Transmit::Close { .. } => self.stack.shutdown(now, self.conn.unwrap().0),
            }
        }
        while let Some(transmit) = self.stack.poll_transmit(now) {
            self.socket.send_to(&transmit.payload, transmit.to).unwrap();
        }
    }
}

#[test]
fn registers_shows_and_stops() {
    // Addresses and port of this test alone: nothing else on the machine listens there.
    let (server, own): (IpAddr, IpAddr) = ([127, 53, 52, 1].into(), [127, 53, 52, 2].into());
    let udp_port = 9_899;
    let scratch = Scratch::new("run");
    let admin = scratch.0.join("admin");
    let config = format!(
        "[daemon]\nadmin = \"unix:{}\"\n[udp]\naddresses = [\"{server}\"]\nport = {udp_port}\n[node]\nserver_id = 286331153\n",
        admin.display()
    );
    let config = scratch.write(&config);
    let mut running = Running::start(&config);
    assert!(get(&admin, "/healthz").starts_with("HTTP/1.1 200"));

    let mut element = Element::new(own, server, udp_port);
    element.run_until(|event| matches!(event, PeEvent::Registered { .. }));
    let state = get(&admin, "/state");
    for part in ["\"id\":\"11111111\"", "GatewayPool", "deadbeef", "sctp 127.53.52.2:2905", "\"state\":\"up\""] {
        assert!(state.contains(part), "{part} is not in {state}");
    }
    assert!(get(&admin, "/metrics").contains("enrp_registrations_total 1\n"));

    // The port is taken now: a second server says so and what to do.
    let second = output(enrp().arg("--config").arg(&config));
    assert_eq!(second.status.code(), Some(3), "{}", text(&second));

    running.signal(Signal::SIGTERM);
    element.run_until(|event| matches!(event, PeEvent::ServerLost));
    assert_eq!(running.0.wait().unwrap().code(), Some(0));
}

/// Two operation scopes in one process: what is registered in one is not in the other, and the admin server shows both.
#[test]
fn scopes_have_nothing_in_common_but_the_process() {
    let (first, second, own): (IpAddr, IpAddr, IpAddr) =
        ([127, 53, 53, 1].into(), [127, 53, 53, 2].into(), [127, 53, 53, 3].into());
    let scratch = Scratch::new("scopes");
    let admin = scratch.0.join("admin");
    let config = format!(
        "daemon.admin = \"unix:{}\"\nudp.addresses = [\"{first}\"]\nnode.name = \"carrier-a\"\n\
         [[scope]]\nudp.addresses = [\"{second}\"]\nnode = {{ name = \"carrier-b\", server_id = 66 }}\n",
        admin.display()
    );
    let mut running = Running::start(&scratch.write(&config));
    let mut element = Element::new(own, second, 9_899);
    element.run_until(|event| matches!(event, PeEvent::Registered { .. }));
    let all = get(&admin, "/state");
    let body = all.split_once("\r\n\r\n").unwrap().1;
    let state: serde_json::Value = serde_json::from_str(body).unwrap();
    let seen: Vec<_> =
        state["scopes"].as_array().unwrap().iter().map(|one| (&one["name"], &one["server"]["pes_total"])).collect();
    assert_eq!(serde_json::to_string(&seen).unwrap(), "[[\"carrier-a\",0],[\"carrier-b\",1]]");
    assert!(get(&admin, "/scope/carrier-b/state").contains("\"id\":\"00000042\""));
    assert!(get(&admin, "/scope/carrier-c/state").contains("scopes: carrier-a, carrier-b"));
    let metrics = get(&admin, "/metrics");
    assert!(metrics.contains("enrp_pes{scope=\"carrier-a\"} 0\nenrp_pes{scope=\"carrier-b\"} 1\n"), "{metrics}");
    running.signal(Signal::SIGTERM);
    element.run_until(|event| matches!(event, PeEvent::ServerLost));
    assert_eq!(running.0.wait().unwrap().code(), Some(0));
}

#[test]
fn a_wrong_configuration_is_refused_by_name() {
    let scratch = Scratch::new("wrong");
    for (config, named) in [
        ("[server]\npools = 3\n", "pools"),
        ("[server]\npools_max = 50001\n", "server.pools_max"),
        ("[node]\nserver_id = 0\n", "node.server_id"),
        ("[[scope]]\nnode.name = \"b\"\n", "scope[0].udp.addresses"),
    ] {
        let path = scratch.write(config);
        let output = output(enrp().arg("--config").arg(&path));
        assert_eq!(output.status.code(), Some(2), "{}", text(&output));
        assert!(text(&output).contains(named), "{}", text(&output));
    }
}

#[test]
fn the_printed_default_is_a_configuration() {
    let printed = output(enrp().arg("--print-config"));
    assert_eq!(printed.status.code(), Some(0));
    let printed = String::from_utf8(printed.stdout).unwrap();
    let parsed: enrp::server_daemon::Config = enrp::daemon::parse(&printed, "printed").unwrap();
    assert_eq!(parsed.server, enrp::ServerConfig::default());
}

fn output(command: &mut Command) -> Output {
    command.output().unwrap()
}

fn text(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}
