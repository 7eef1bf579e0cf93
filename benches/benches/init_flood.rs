//! Enforces what a flood of INITs from many addresses may do to a listener: nothing is kept for them, and honest peers still get in.
//!
//! Fails (exit status 1) when the listener's memory (VmRSS or VmData) grows by 1 MiB or more while 50,000 INITs a second come from
//! 64 addresses, or when the 99th percentile of 100 honest connects meanwhile, one after the other, is 500 ms or more; or when the
//! flood was none. A connect whose INIT or COOKIE ECHO is lost in a full socket buffer waits for T1 (RTO.Initial): how many did is printed.
//!
//! Processes: this one connects; it executes itself again as listener (the daemons' own driver and stack) and as flood.
//! `cargo bench -p benches --bench init_flood`; `-- --seconds 5` is the short form for CI.
#![allow(clippy::print_stdout, reason = "a program")]

use clap::Parser;
use enrp::daemon::{self, DaemonCommand, DaemonConfig};
use sctp::driver::{DriverConfig, Node};
use sctp::{Associations, Config, Connect, Datagram, Event, Input, Output, Stack, Transport};
use std::io::{self, BufRead, BufReader};
use std::net::{IpAddr, Ipv4Addr, SocketAddr, UdpSocket};
use std::process::{Child, Command, ExitCode, Stdio};
use std::time::{Duration, Instant};

/// RFC 6951 section 5.1.
const UDP_PORT: u16 = 9_899;
/// Where the listener listens.
const SCTP_PORT: u16 = 2_905;
/// Addresses the flood comes from.
const SOURCES: u8 = 64;
const CONNECTS: u32 = 100;
/// Flood and connects before memory is looked at for the first time.
const WARM_UP: Duration = Duration::from_secs(1);
const WARM_UP_CONNECTS: u32 = 5;
/// Under this part of the rate the flood would not be what it says.
const RATE_PART: f64 = 0.9;

/// A listener, a flood of INITs, honest connects.
#[derive(Debug, Parser)]
struct Options {
    /// How long the flood lasts after the warm-up.
    #[arg(long, default_value_t = 20)]
    seconds: u32,
    /// INITs a second.
    #[arg(long, default_value_t = 50_000)]
    rate: u32,
    /// Longest 99th percentile of the connects allowed, ms.
    #[arg(long, default_value_t = 500.0)]
    bound_ms: f64,
    /// Growth of the listener's memory allowed, KiB.
    #[arg(long, default_value_t = 1_024)]
    growth_kib: u64,
    /// Cargo says so.
    #[arg(long, hide = true)]
    bench: bool,
}

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().collect();
    match arguments.get(1).map(String::as_str) {
        Some("listener") => return listener(&arguments[2], &arguments[3]),
        Some("flood") => return flood(&arguments[2], &arguments[3], &arguments[4]),
        Some(_) | None => {}
    }
    match bench(&Options::parse()) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            println!("INIT flood: {error}");
            ExitCode::from(3)
        }
    }
}

/// Depends on the process id, so that benches side by side do not meet.
fn address(id: u32, host: u8) -> IpAddr {
    Ipv4Addr::new(127, 1 + (id % 250) as u8, (id / 250 % 250) as u8, host).into()
}

fn bench(options: &Options) -> io::Result<bool> {
    let id = std::process::id();
    let at = address(id, 1);
    let mut listener = spawn(&["listener", &at.to_string(), &id.to_string()])?;
    let mut honest = Honest::new(address(id, 2), SocketAddr::new(at, UDP_PORT))?;
    // It is there when the first one gets in.
    honest.connect(Duration::from_secs(20))?;
    let length = WARM_UP + Duration::from_secs(u64::from(options.seconds));
    let mut flood = spawn(&["flood", &id.to_string(), &options.rate.to_string(), &length.as_millis().to_string()])?;
    let begin = Instant::now();
    for i in 0..WARM_UP_CONNECTS {
        wait_until(begin + WARM_UP * i / WARM_UP_CONNECTS);
        honest.connect(Duration::from_secs(20))?;
    }
    wait_until(begin + WARM_UP);
    let before = Memory::of(listener.id())?;
    let mut took = Vec::new();
    for i in 0..CONNECTS {
        wait_until(begin + WARM_UP + (length - WARM_UP) * i / CONNECTS);
        took.push(honest.connect(Duration::from_secs(20))?);
    }
    let sent = last_line(&mut flood)?;
    let after = Memory::of(listener.id())?;
    // By its id; Child::kill would be SIGKILL.
    let told = Command::new("kill").arg(listener.id().to_string()).status()?;
    let counters = last_line(&mut listener)?;
    if !told.success() {
        return Err(io::Error::other("the listener was gone"));
    }
    Ok(verdict(options, took, [before, after], &sent, &counters, length))
}

fn verdict(
    options: &Options,
    mut took: Vec<Duration>,
    [before, after]: [Memory; 2],
    sent: &str,
    counters: &str,
    length: Duration,
) -> bool {
    took.sort();
    let ms = |part: usize| took[(took.len() - 1) * part / 100].as_secs_f64() * 1e3;
    let t1 = Config::default().rto_initial_ms;
    let waited = took.iter().filter(|t| t.as_millis() >= u128::from(t1)).count();
    let rate = sent.parse::<f64>().unwrap_or(0.0) / length.as_secs_f64();
    println!(
        "INITs sent: {rate:.0} a second from {SOURCES} addresses for {:.0} s; listener: {counters}",
        length.as_secs_f64()
    );
    println!(
        "{CONNECTS} connects meanwhile: p50 {:.2} ms, p90 {:.2} ms, p99 {:.2} ms, worst {:.2} ms; {waited} waited for T1 ({t1} ms)",
        ms(50),
        ms(90),
        ms(99),
        ms(100)
    );
    let grown = |a: u64, b: u64| b.saturating_sub(a);
    let (resident, data) = (grown(before.resident, after.resident), grown(before.data, after.data));
    println!("listener's memory: VmRSS {} KiB, VmData {} KiB at first", before.resident, before.data);
    let least = f64::from(options.rate) * RATE_PART;
    let bounds = [
        ("INITs a second", ">=", least, rate, rate >= least),
        ("connects, p99, ms", "<", options.bound_ms, ms(99), ms(99) < options.bound_ms),
        ("VmRSS grown, KiB", "<", options.growth_kib as f64, resident as f64, resident < options.growth_kib),
        ("VmData grown, KiB", "<", options.growth_kib as f64, data as f64, data < options.growth_kib),
    ];
    for (what, sign, bound, actual, holds) in bounds {
        println!("bound    {what:<20}{sign:>3} {bound:>9.2}  {actual:>9.2}  {}", if holds { "ok" } else { "OVER" });
    }
    let pass = bounds.iter().all(|b| b.4);
    println!("\nINIT flood: {}", if pass { "PASS" } else { "FAIL" });
    pass
}

fn wait_until(at: Instant) {
    std::thread::sleep(at.saturating_duration_since(Instant::now()));
}

fn spawn(arguments: &[&str]) -> io::Result<Child> {
    Command::new("/proc/self/exe").args(arguments).stdin(Stdio::null()).stdout(Stdio::piped()).spawn()
}

/// What it said last, once it has ended.
fn last_line(child: &mut Child) -> io::Result<String> {
    let out = child.stdout.take().ok_or_else(|| io::Error::other("invariant: stdout is piped"))?;
    let line = BufReader::new(out).lines().map_while(Result::ok).last().unwrap_or_default();
    child.wait()?;
    Ok(line)
}

/// Of a process, KiB.
#[derive(Clone, Copy)]
struct Memory {
    resident: u64,
    data: u64,
}

impl Memory {
    fn of(process: u32) -> io::Result<Self> {
        let text = std::fs::read_to_string(format!("/proc/{process}/status"))?;
        let value = |name: &str| {
            let line = text.lines().find_map(|line| line.strip_prefix(name));
            line.and_then(|rest| rest.split_whitespace().next()).and_then(|word| word.parse().ok())
        };
        match (value("VmRSS:"), value("VmData:")) {
            (Some(resident), Some(data)) => Ok(Self { resident, data }),
            (_, _) => Err(io::Error::other("no VmRSS and VmData in /proc")),
        }
    }
}

/// Connects, one after the other, with a stack of its own.
struct Honest {
    socket: UdpSocket,
    stack: Stack,
    to: SocketAddr,
    local: IpAddr,
}

impl Honest {
    fn new(local: IpAddr, to: SocketAddr) -> io::Result<Self> {
        let socket = UdpSocket::bind((local, UDP_PORT))?;
        let mut seed = [7; 32];
        seed[..4].copy_from_slice(&std::process::id().to_be_bytes());
        // The listener may not be up yet, and not be heard for long: the bench judges, not the retries.
        let config = Config { max_init_retransmits: 100, ..Config::default() };
        Ok(Self { socket, stack: Stack::new(config, vec![local], seed, Instant::now()), to, local })
    }

    /// How long until COMMUNICATION UP; then it is aborted.
    fn connect(&mut self, patience: Duration) -> io::Result<Duration> {
        let begin = Instant::now();
        let connect = Connect { peer: vec![self.to], peer_port: SCTP_PORT, local_port: None };
        let assoc = self.stack.connect(begin, connect).map_err(io::Error::other)?;
        let mut buffer = [0; 2_048];
        loop {
            self.send()?;
            let now = Instant::now();
            while let Some(event) = self.stack.poll_event() {
                if let Event::Up { .. } = event {
                    self.stack.abort(now, assoc, b"measured");
                    self.send()?;
                    while self.stack.poll_event().is_some() {}
                    return Ok(now - begin);
                }
            }
            if now - begin > patience {
                return Err(io::Error::other(format!("no association in {} s", patience.as_secs())));
            }
            let next = self.stack.poll_timeout().unwrap_or(now + patience).saturating_duration_since(now);
            self.socket.set_read_timeout(Some(next.max(Duration::from_micros(100))))?;
            match self.socket.recv_from(&mut buffer) {
                Ok((length, from)) => {
                    let payload = buffer[..length].to_vec().into();
                    self.stack.handle_datagram(Instant::now(), Datagram { from, to: self.local, payload });
                }
                // Nothing in time, or an ICMP error of before the listener was up.
                Err(error) if error.kind() == io::ErrorKind::ConnectionRefused => {}
                Err(error) if matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut) => {}
                Err(error) => return Err(error),
            }
            self.stack.handle_timeout(Instant::now());
        }
    }

    fn send(&mut self) -> io::Result<()> {
        while let Some(transmit) = self.stack.poll_transmit(Instant::now()) {
            self.socket.send_to(&transmit.payload, transmit.to)?;
        }
        Ok(())
    }
}

/// `flood ID RATE MS`: INITs with good checksums; says how many at the end.
fn flood(id: &str, rate: &str, ms: &str) -> ExitCode {
    let (Ok(id), Ok(rate), Ok(ms)) = (id.parse(), rate.parse::<u64>(), ms.parse()) else { return ExitCode::from(2) };
    let bind = |i| UdpSocket::bind((address(id, 100 + i), UDP_PORT));
    let Ok(sockets) = (0..SOURCES).map(bind).collect::<Result<Vec<_>, _>>() else { return ExitCode::from(3) };
    let to = SocketAddr::new(address(id, 1), UDP_PORT);
    let (begin, length) = (Instant::now(), Duration::from_millis(ms));
    let mut sent = 0u64;
    loop {
        let elapsed = begin.elapsed();
        if elapsed >= length {
            break;
        }
        let due = rate * elapsed.as_micros() as u64 / 1_000_000;
        while sent < due {
            sent += 1;
            let socket = &sockets[sent as usize % sockets.len()];
            // A full socket buffer of the listener is no error of ours.
            let _ = socket.send_to(&init(sent as u32), to);
        }
        std::thread::sleep(Duration::from_micros(500));
    }
    println!("{sent}");
    ExitCode::SUCCESS
}

fn init(serial: u32) -> [u8; 32] {
    let mut packet = [0; 32];
    packet[..2].copy_from_slice(&(1_024 + (serial >> 6) as u16 % 60_000).to_be_bytes());
    packet[2..4].copy_from_slice(&SCTP_PORT.to_be_bytes());
    packet[12..16].copy_from_slice(&[1, 0, 0, 20]);
    packet[16..20].copy_from_slice(&(serial | 1).wrapping_mul(0x9e37_79b1).to_be_bytes());
    packet[20..24].copy_from_slice(&65_536u32.to_be_bytes());
    packet[24..28].copy_from_slice(&[0, 10, 0, 10]);
    packet[28..32].copy_from_slice(&serial.to_be_bytes());
    let sum = crc32c::crc32c(&packet);
    packet[8..12].copy_from_slice(&sum.to_le_bytes());
    packet
}

/// `listener ADDRESS PARENT`: takes associations and nothing else; says what it counted at the end.
fn listener(address: &str, parent: &str) -> ExitCode {
    let (Ok(address), Ok(parent_pid)) = (address.parse::<IpAddr>(), parent.parse()) else { return ExitCode::from(2) };
    let daemon = DaemonConfig { parent_pid, ..DaemonConfig::default() };
    let udp = DriverConfig { addresses: vec![address], ..DriverConfig::default() };
    let result = daemon::run_daemon("listener", &daemon, Transport::Udp, &udp, |start| {
        let mut stack =
            sctp::associations(start.backend, Config::default(), vec![address], udp.port, start.seed, start.now);
        stack.listen(SCTP_PORT);
        Ok(Listener { stack, stopped: false })
    });
    if result.is_ok() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

struct Listener {
    stack: Box<dyn Associations>,
    stopped: bool,
}

impl Listener {
    fn drain(&mut self) {
        while self.stack.poll_event().is_some() {}
    }
}

impl Node for Listener {
    type Command = DaemonCommand;

    fn handle_input(&mut self, now: Instant, input: Input) {
        self.stack.handle_input(now, input);
        self.drain();
    }

    fn handle_command(&mut self, _now: Instant, _command: DaemonCommand) {
        let c = self.stack.counters();
        println!(
            "{} packets in, {} INITs answered, {} associations up",
            c.packets_in, c.init_answered, c.associations_up
        );
        self.stopped = true;
    }

    fn handle_timeout(&mut self, now: Instant) {
        self.stack.handle_timeout(now);
        self.drain();
    }

    fn flush(&mut self, _now: Instant) -> io::Result<()> {
        Ok(())
    }

    fn poll_output(&mut self, now: Instant) -> Option<Output> {
        self.stack.poll_output(now)
    }

    fn poll_timeout(&self) -> Option<Instant> {
        self.stack.poll_timeout()
    }

    fn finished(&self) -> bool {
        self.stopped
    }
}
