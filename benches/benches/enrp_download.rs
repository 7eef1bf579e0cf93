//! Fails when a new name server takes too long to have everything: 500 pools of 20 elements from its mentor, over an association of
//! its own through two UDP sockets of this machine. Both servers are the real node behind the real driver, in one thread.
#![allow(clippy::print_stdout, reason = "a program")]

use asap::wire::{Policy, ServerId};
use clap::Parser;
use enrp::host::enrp_transport;
use enrp::node::{Node, NodeCommand};
use enrp::{ClientId, ENRP_PORT, Host, PeerAddress, PeersConfig, Ports, Server, ServerConfig};
use sctp::driver::{DriverConfig, Node as Driven, Sockets};
use sctp::{Input, Output, Stack};
use std::io;
use std::net::IpAddr;
use std::process::ExitCode;
use std::time::{Duration, Instant};
use tokio::sync::mpsc;

const UDP_PORT: u16 = 9899;
const PES_PER_POOL: u32 = 20;
/// A download that takes longer is not waited for.
const PATIENCE: Duration = Duration::from_secs(20);

/// How long a new server takes to have what its mentor has; exit status 1 past the bound.
#[derive(Debug, Parser)]
struct Options {
    /// Elements.
    #[arg(long, default_value_t = 10_000)]
    pes: u32,
    /// From the start of the new server until it serves, ms, the worst of all rounds.
    #[arg(long, default_value_t = 1_000.0)]
    bound_ms: f64,
    /// New servers, one after the other.
    #[arg(long, default_value_t = 5)]
    rounds: u8,
    /// Cargo says so.
    #[arg(long, hide = true)]
    bench: bool,
}

/// The new server: done when it has everything.
struct Watched {
    node: Node,
    until: Instant,
}

impl Driven for Watched {
    type Command = NodeCommand;
    fn handle_input(&mut self, now: Instant, input: Input) {
        self.node.handle_input(now, input);
    }
    fn handle_command(&mut self, now: Instant, command: NodeCommand) {
        self.node.handle_command(now, command);
    }
    fn handle_timeout(&mut self, now: Instant) {
        self.node.handle_timeout(now);
    }
    fn flush(&mut self, now: Instant) -> io::Result<()> {
        self.node.flush(now)
    }
    fn poll_output(&mut self, now: Instant) -> Option<Output> {
        self.node.poll_output(now)
    }
    fn poll_timeout(&self) -> Option<Instant> {
        self.node.poll_timeout().into_iter().chain([self.until]).min()
    }
    fn finished(&self) -> bool {
        self.node.server().is_ready() || Instant::now() >= self.until
    }
}

fn ip(last: u8) -> IpAddr {
    IpAddr::from([127, 0, 109, last])
}

fn sockets(address: IpAddr) -> Result<Sockets, String> {
    let config = DriverConfig { addresses: vec![address], port: UDP_PORT, ..DriverConfig::default() };
    Sockets::bind(&config).map_err(|e| e.to_string())
}

/// A server at this address with `pes` elements registered by ASAP messages, from clients that say nothing more.
fn node(now: Instant, last: u8, pes: u32, mentors: Vec<PeerAddress>) -> Node {
    let config = ServerConfig {
        clients_max: pes as usize + 100,
        registrations_per_s: u32::MAX,
        // Nobody is asked: there are no associations to do it over.
        keep_alive_interval_ms: 0,
        ..ServerConfig::default()
    };
    let own = enrp_transport(vec![ip(last)], ENRP_PORT);
    let mut server =
        Server::new(config, ServerId(u32::from(last)), last.into()).with_peers_at(PeersConfig::default(), own);
    for i in 0..pes {
        let (ClientId(client), from, bytes) = benches::registration(i, PES_PER_POOL, &Policy::RoundRobin);
        // Far from the numbers of associations.
        server.handle_message(now, ClientId((1 << 40) + client), &[from], &bytes);
    }
    while server.poll_output().is_some() {}
    while server.poll_event().is_some() {}
    server.set_peers(now, mentors);
    let stack = Stack::new(sctp::Config::default(), vec![ip(last)], [last; 32], now);
    let ports = Ports { enrp: Some(ENRP_PORT), ..Ports::default() };
    Node::new("enrp", Box::new(stack), Host::new(server, ports, UDP_PORT))
}

/// How long one new server took, and how many elements it has.
async fn round(pes: u32, number: u8) -> Result<(Duration, usize), String> {
    let mentor_at = 2 * number + 1;
    let (_keep, commands) = mpsc::channel(1);
    let mentor =
        sctp::driver::run(node(Instant::now(), mentor_at, pes, Vec::new()), sockets(ip(mentor_at))?, commands, None);
    let (_keep_too, commands) = mpsc::channel(1);
    let begin = Instant::now();
    let mentors = vec![PeerAddress { addresses: vec![ip(mentor_at)], port: ENRP_PORT }];
    let new = Watched { node: node(begin, mentor_at + 1, 0, mentors), until: begin + PATIENCE };
    let new = sctp::driver::run(new, sockets(ip(mentor_at + 1))?, commands, None);
    tokio::select! {
        _ = mentor => Err("the mentor ended".into()),
        new = new => {
            let took = begin.elapsed();
            let new = new.map_err(|e| e.to_string())?;
            Ok((took, new.node.server().handlespace().element_count()))
        }
    }
}

fn main() -> ExitCode {
    let options = Options::parse();
    let runtime = match tokio::runtime::Builder::new_current_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(e) => {
            println!("FAIL: {e}");
            return ExitCode::FAILURE;
        }
    };
    let mut worst: f64 = 0.0;
    for number in 0..options.rounds {
        match runtime.block_on(round(options.pes, number)) {
            Ok((took, pes)) if pes == options.pes as usize => worst = worst.max(took.as_secs_f64() * 1_000.0),
            Ok((took, pes)) => {
                println!("FAIL: {pes} of {} elements after {took:?}", options.pes);
                return ExitCode::FAILURE;
            }
            Err(problem) => {
                println!("FAIL: {problem}");
                return ExitCode::FAILURE;
            }
        }
    }
    println!(
        "full download of {} PEs to a new server: at most {worst:.1} ms of {} rounds (bound {} ms)",
        options.pes, options.rounds, options.bound_ms
    );
    if worst < options.bound_ms {
        return ExitCode::SUCCESS;
    }
    println!("FAIL: over the bound");
    ExitCode::FAILURE
}
