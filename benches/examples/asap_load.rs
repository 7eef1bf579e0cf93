//! The load of `scenarios/interop/run rsplib-figures`, which runs it in a guest whose kernel has SCTP: the other end of a bare echo, its
//! questions, and registrations. (Resolutions are `sigpool resolve-bench`.) It says what it measured in JSON, as that does.

#![allow(clippy::print_stdout, reason = "a program")]

use bytes::Bytes;
use clap::{Parser, Subcommand};
use enrp::daemon::{self, DaemonConfig};
use scenarios::population;
use scenarios::resolve::client::{Answer, Questions, Settings};
use scenarios::resolve::echo::{EchoQuestions, EchoServer};
use scenarios::resolve::registrations::Registrations;
use scenarios::resolve::{self, PATIENCE};
use sctp::Transport;
use sctp::driver::DriverConfig;
use std::error::Error;
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

/// ASAP, RFC 5352 section 8.2.
const SCTP_PORT: u16 = 3_863;
/// RFC 6951 section 5.1; the kernel's SCTP takes none.
const UDP_PORT: u16 = 9_899;

#[derive(Debug, Parser)]
struct Line {
    /// "udp" or "kernel".
    #[arg(value_parser = |name: &str| Transport::NAMES.into_iter().find(|(known, _)| *known == name).map(|(_, t)| t).ok_or("udp, raw, kernel or auto"))]
    transport: Transport,
    /// Own address.
    local: IpAddr,
    #[command(subcommand)]
    what: What,
}

#[derive(Debug, Subcommand)]
enum What {
    /// Answers each message with so many bytes, until SIGTERM.
    Echo { answer_bytes: usize },
    /// Asks an echo for so many seconds.
    AskEcho { server: IpAddr, answer_bytes: usize, outstanding: usize, seconds: f64 },
    /// Registers so many elements in each pool, says "registered" when all are answered, and stays for so many seconds or until SIGINT.
    Register { server: IpAddr, pools: usize, pes_per_pool: u32, outstanding: usize, seconds: f64 },
}

fn main() -> Result<(), Box<dyn Error>> {
    let Line { transport, local, what } = Line::parse();
    match what {
        What::Echo { answer_bytes } => echo(transport, local, answer_bytes),
        What::AskEcho { server, answer_bytes, outstanding, seconds } => {
            let warm_up = Duration::from_millis(500);
            let settings = settings(outstanding, seconds, warm_up);
            ask(transport, local, server, settings, EchoQuestions { answer_bytes })
        }
        What::Register { server, pools, pes_per_pool, outstanding, seconds } => {
            let handles = (0..pools).map(|number| population::handle("pop-", number)).collect();
            let elements = u32::try_from(pools)?.checked_mul(pes_per_pool).ok_or("too many")?;
            let settings = settings(outstanding, seconds, Duration::ZERO);
            let registrations = Registrations::new(handles, elements, local);
            ask(transport, local, server, settings, Announced { inner: registrations, unanswered: elements })
        }
    }
}

/// Says when the last answer came.
struct Announced<Q> {
    inner: Q,
    unanswered: u32,
}

impl<Q: Questions> Questions for Announced<Q> {
    fn ppid(&self) -> u32 {
        self.inner.ppid()
    }

    fn ask(&mut self) -> Option<Bytes> {
        self.inner.ask()
    }

    fn answer(&mut self, message: &[u8]) -> Answer {
        let answer = self.inner.answer(message);
        if answer != Answer::Other {
            self.unanswered = self.unanswered.saturating_sub(1);
            if self.unanswered == 0 {
                println!("registered");
            }
        }
        answer
    }
}

fn settings(outstanding: usize, seconds: f64, warm_up: Duration) -> Settings {
    let time = Some(Duration::from_secs_f64(seconds));
    Settings { outstanding, rate_per_s: None, count: None, time, warm_up, patience: PATIENCE }
}

fn ask(
    transport: Transport,
    local: IpAddr,
    server: IpAddr,
    settings: Settings,
    questions: impl Questions,
) -> Result<(), Box<dyn Error>> {
    let peer = vec![SocketAddr::new(server, UDP_PORT)];
    let report = resolve::ask(transport, local, peer, SCTP_PORT, settings, questions)?;
    println!("{}", serde_json::to_string(&report)?);
    Ok(())
}

fn echo(transport: Transport, local: IpAddr, answer_bytes: usize) -> Result<(), Box<dyn Error>> {
    let udp = DriverConfig { addresses: vec![local], ..DriverConfig::default() };
    daemon::run_daemon("echo", &DaemonConfig::default(), transport, &udp, |start| {
        let config = sctp::Config::default();
        let mut stack = sctp::associations(start.backend, config, vec![local], udp.port, start.seed, start.now);
        stack.listen(SCTP_PORT);
        Ok(EchoServer::new(stack, answer_bytes))
    })?;
    Ok(())
}
