//! `sigpool resolve-bench`: a pool user that does nothing but resolve, to see how fast a name server answers.
//!
//! [`client`] is the machine (any questions with one answer each), [`questions`] what it asks a name server, [`report`] what is
//! told afterwards; [`ask`] gives the machine a socket. `tcp` asks without SCTP. [`registrations`] and [`echo`] are other questions for the same machine.

pub mod args;
pub mod client;
pub mod echo;
pub mod questions;
pub mod registrations;
pub mod report;
mod tcp;

use crate::runner::RunError;
use client::{Client, Command, Questions, Settings};
use enrp::daemon::os_seed;
use questions::Resolutions;
use report::Report;
use sctp::Transport;
use sctp::driver::{DriverConfig, Sockets};
use std::io::Write;
use std::net::{IpAddr, SocketAddr, UdpSocket};
use std::time::{Duration, Instant};
use tokio::sync::mpsc;

/// What the command line says.
#[derive(Debug, Clone)]
pub struct ResolveOptions {
    /// Addresses of the name server.
    pub server: Vec<IpAddr>,
    /// Its SCTP port.
    pub port: u16,
    /// Its UDP encapsulation port (RFC 6951).
    pub udp_port: u16,
    /// Over TCP, to `port`.
    pub tcp: bool,
    /// Who carries our SCTP packets.
    pub transport: Transport,
    /// Our address; none: the one from which the server is reached.
    pub local: Option<IpAddr>,
    /// Handles to ask for, one after the other.
    pub questions: Resolutions,
    /// How to ask.
    pub settings: Settings,
    /// JSON instead of a table.
    pub json: bool,
    /// Exit status 1 when the 99th percentile is longer, µs.
    pub p99_max_us: Option<f64>,
}

/// Asks, prints the report, and gives the exit code.
///
/// # Errors
/// Usage: there is no way to the server. Environment: no socket, the server cannot be reached or does not answer.
pub fn run(options: ResolveOptions) -> Result<u8, RunError> {
    let ResolveOptions { server, port, udp_port, tcp, transport, local, questions, settings, json, p99_max_us } =
        options;
    let first = *server.first().ok_or_else(|| RunError::Usage("--server: give an address".into()))?;
    let report = if tcp {
        tcp::ask(SocketAddr::new(first, port), settings, questions)?
    } else {
        let local = match local {
            Some(local) => local,
            None => way_to(first, udp_port)?,
        };
        let peer = server.iter().map(|ip| SocketAddr::new(*ip, udp_port)).collect();
        ask(transport, local, peer, port, settings, questions)?
    };
    let text = if json {
        serde_json::to_string_pretty(&report).map_err(|e| RunError::Environment(e.to_string()))? + "\n"
    } else {
        report.to_string()
    };
    // A closed pipe is no error.
    let _ = std::io::stdout().write_all(text.as_bytes());
    let slow = p99_max_us.is_some_and(|most| report.latency_us.p99 > most);
    if slow {
        let _ = writeln!(std::io::stderr(), "FAIL: p99 is over --p99-max-us");
    }
    Ok(u8::from(slow || report.wrong() > 0))
}

/// Our address toward another one, as the kernel's routes have it.
fn way_to(server: IpAddr, port: u16) -> Result<IpAddr, RunError> {
    let any: IpAddr = if server.is_ipv4() { [0, 0, 0, 0].into() } else { [0_u16; 8].into() };
    // Connecting a UDP socket sends nothing.
    let socket = UdpSocket::bind((any, 0)).and_then(|socket| socket.connect((server, port)).map(|()| socket));
    let local = socket.and_then(|socket| socket.local_addr());
    local.map(|local| local.ip()).map_err(|error| {
        RunError::Usage(format!("--server {server}: {error}; give an address that can be reached, or --local"))
    })
}

/// Opens an association from `local` to `peer`, asks the questions, and ends it.
///
/// # Errors
/// Environment: no socket, no association, no answer.
pub fn ask<Q: Questions>(
    transport: Transport,
    local: IpAddr,
    peer: Vec<SocketAddr>,
    port: u16,
    settings: Settings,
    questions: Q,
) -> Result<Report, RunError> {
    let environment = |error: &dyn std::fmt::Display| RunError::Environment(error.to_string());
    let seed = os_seed().map_err(|e| environment(&e))?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(|e| environment(&e))?;
    runtime.block_on(async {
        // Any port of ours: the answers come to where the questions came from.
        let udp = DriverConfig { addresses: vec![local], port: 0, ..DriverConfig::default() };
        let sockets = Sockets::open(transport, &udp).map_err(|e| environment(&e))?;
        let now = Instant::now();
        let udp_port = sockets.local()[0].port();
        let stack = sctp::associations(sockets.kind(), sctp::Config::default(), vec![local], udp_port, seed, now);
        let client = Client::new(settings, peer, port, questions, stack, now);
        let (commands, receiver) = mpsc::channel(1);
        let stop = async {
            // A first Ctrl-C ends the asking, and the report has what there is.
            if tokio::signal::ctrl_c().await.is_ok() {
                let _ = commands.send(Command::Stop).await;
            }
            std::future::pending::<()>().await;
        };
        let client = tokio::select! {
            client = sctp::driver::run(client, sockets, receiver, None) => client.map_err(|e| environment(&e))?,
            () = stop => return Err(RunError::Interrupted),
        };
        client.into_report().map_err(RunError::Environment)
    })
}

/// The usual patience with an answer.
pub const PATIENCE: Duration = Duration::from_secs(5);
