//! Our side of the interoperation list (`scenarios/interop`): an SCTP endpoint that does what it is told on standard input and says on
//! standard output what happened. It knows nothing of M3UA. The other stacks have programs with the same commands
//! (`scenarios/interop/README.md`): `cargo run --release -p benches --example peer -- ADDRESS[,ADDRESS] [UDP-PORT] [SETTINGS [udp|raw|kernel]]`,
//! settings in JSON as in [`Config`], for example `{"heartbeat_interval_ms":100}`. With `CAPTURE=FOLDER` it writes a pcapng there.

#![allow(clippy::print_stdout, reason = "a program")]

use bytes::Bytes;
use sctp::driver::{DriverConfig, Node, Sockets, Tap, run};
use sctp::{AssocId, Associations, Config, Connect, Event, Input, Output, SendOptions, Transport};
use std::collections::BTreeMap;
use std::error::Error;
use std::fs::File;
use std::io::{self, BufRead, Read};
use std::net::{IpAddr, SocketAddr};
use std::path::Path;
use std::str::FromStr;
use std::time::{Duration, Instant};
use tokio::sync::mpsc;

/// Number, PPID and stream stand in the message itself, so that the receiver knows whether it got what was sent.
const HEAD: usize = 12;
/// What a flood keeps outstanding: enough that neither end waits for the other on a machine that takes long to wake a thread. (usrsctp's
/// own default of 256 KiB keeps its sender at work all the time; with 1 MiB it is slower.)
const FLOOD_OUTSTANDING: usize = 2_000;

/// What is sent, one after the other.
#[derive(Debug)]
struct Sending {
    left: u64,
    size: usize,
    streams: u16,
    ppid: u32,
    /// Messages a second and when it began; at once if `None`.
    pace: Option<(u64, Instant)>,
    sent: u64,
    flood: bool,
}

/// What came since the last `reset`.
#[derive(Debug, Default)]
struct Received {
    messages: u64,
    bytes: u64,
    bad: u64,
    last: Option<Instant>,
    gap: Duration,
    /// Number of the last message of each stream.
    streams: BTreeMap<u16, u32>,
}

impl Received {
    fn take(&mut self, now: Instant, stream: u16, ppid: u32, payload: &[u8]) {
        if let Some(last) = self.last.replace(now) {
            self.gap = self.gap.max(now.saturating_duration_since(last));
        }
        self.messages += 1;
        self.bytes += payload.len() as u64;
        let right = if payload.len() < HEAD {
            payload.iter().all(|b| *b == 0x5a)
        } else {
            let word = |at: usize| payload[at..].first_chunk().map_or(0, |word| u32::from_be_bytes(*word));
            let number = word(0);
            let later = self.streams.insert(stream, number).is_none_or(|last| number > last);
            later
                && word(4) == ppid
                && word(8) >> 16 == u32::from(stream)
                && payload[HEAD..].iter().all(|b| *b == number as u8)
        };
        self.bad += u64::from(!right);
    }
}

struct Peer {
    stack: Box<dyn Associations>,
    udp_port: u16,
    assoc: Option<AssocId>,
    /// Number of the next message.
    next: u32,
    sending: Option<Sending>,
    received: Received,
    begin: Instant,
    finished: bool,
}

fn word<T: FromStr>(words: &[&str], at: usize) -> Result<T, String> {
    let word = words.get(at).ok_or_else(|| format!("word {at} is missing"))?;
    word.parse().map_err(|_| format!("word {at} is wrong: {word}"))
}

impl Peer {
    fn command(&mut self, now: Instant, line: &str) -> Result<(), String> {
        let words: Vec<&str> = line.split_whitespace().collect();
        match words.first().copied().unwrap_or_default() {
            "listen" => {
                self.stack.listen(word(&words, 1)?);
                println!("listening");
            }
            // connect OWN-PORT PEER-PORT ADDRESS[,ADDRESS] [UDP-PORT]; own port 0: any
            "connect" => {
                let udp_port = word(&words, 4).unwrap_or(self.udp_port);
                let peer = word::<String>(&words, 3)?;
                let peer = peer.split(',').map(|a| a.parse::<IpAddr>().map_err(|e| e.to_string()));
                let peer = peer.map(|a| a.map(|a| SocketAddr::new(a, udp_port))).collect::<Result<_, _>>()?;
                let local_port = Some(word(&words, 1)?).filter(|port| *port > 0);
                let connect = Connect { peer, peer_port: word(&words, 2)?, local_port };
                self.assoc = Some(self.stack.connect(now, connect).map_err(|e| e.to_string())?);
            }
            // send COUNT SIZE STREAMS PPID [A-SECOND]
            "send" => {
                let pace = word(&words, 5).ok().map(|rate| (rate, now));
                self.sending = Some(Sending {
                    left: word(&words, 1)?,
                    size: word(&words, 2)?,
                    streams: word(&words, 3)?,
                    ppid: word(&words, 4)?,
                    pace,
                    sent: 0,
                    flood: false,
                });
            }
            // flood SIZE STREAMS: until `stop`
            "flood" => {
                let (size, streams) = (word(&words, 1)?, word(&words, 2)?);
                self.sending =
                    Some(Sending { left: u64::MAX, size, streams, ppid: 3, pace: None, sent: 0, flood: true });
            }
            "stop" => self.sending = None,
            "shutdown" => self.with(|stack, assoc| stack.shutdown(now, assoc))?,
            "abort" => self.with(|stack, assoc| stack.abort(now, assoc, b"asked to"))?,
            "count" => {
                let Received { messages, bytes, bad, gap, .. } = &self.received;
                let (at, gap) = (self.begin.elapsed().as_micros(), gap.as_micros());
                let waiting =
                    self.sending.is_some() || self.assoc.is_some_and(|assoc| self.stack.outstanding(assoc).0 > 0);
                println!("count {messages} {bytes} {bad} {gap} {at} {}", u8::from(waiting));
            }
            "reset" => {
                self.received = Received::default();
                println!("done");
            }
            "paths" => {
                let info = self.assoc.and_then(|assoc| self.stack.info(assoc));
                let paths = info.map(|info| info.paths).unwrap_or_default();
                let words = paths.iter().map(|p| format!("{}={:?}", p.address.ip(), p.state));
                println!("paths {}", words.collect::<Vec<_>>().join(" "));
            }
            "counters" => println!("counters {:?}", self.stack.counters()),
            "quit" => self.finished = true,
            other => return Err(format!("no such command: {other}")),
        }
        Ok(())
    }

    fn with(&mut self, work: impl FnOnce(&mut dyn Associations, AssocId)) -> Result<(), String> {
        let assoc = self.assoc.ok_or("no association")?;
        work(&mut *self.stack, assoc);
        Ok(())
    }

    fn events(&mut self, now: Instant) {
        while let Some(event) = self.stack.poll_event() {
            match event {
                Event::Up { assoc, peer, outbound_streams, inbound_streams, .. } => {
                    self.assoc = Some(assoc);
                    let peer = peer.iter().map(|a| a.ip().to_string()).collect::<Vec<_>>().join(",");
                    println!("up {outbound_streams} {inbound_streams} {peer}");
                }
                Event::Message { stream, ppid, payload, .. } => self.received.take(now, stream, ppid, &payload),
                Event::Closed { assoc, reason, undelivered } => {
                    let transmitted = undelivered.iter().filter(|u| u.transmitted).count();
                    println!("closed {reason:?} {} {transmitted}", undelivered.len());
                    if self.assoc == Some(assoc) {
                        self.assoc = None;
                        self.sending = None;
                    }
                    // What comes next is another association's.
                    self.received.streams.clear();
                }
                Event::Path { address, state, .. } => println!("path {} {state:?}", address.ip()),
                other => println!("event {other:?}"),
            }
        }
    }

    /// Sends what is due.
    fn send(&mut self, now: Instant) {
        let (Some(assoc), Some(sending)) = (self.assoc, &mut self.sending) else { return };
        while sending.left > 0 {
            if sending.flood && self.stack.outstanding(assoc).0 >= FLOOD_OUTSTANDING {
                return;
            }
            if sending.pace.is_some_and(|(rate, from)| sending.sent >= due(rate, from, now)) {
                return;
            }
            let stream = (sending.sent % u64::from(sending.streams)) as u16;
            let options = SendOptions { stream, ppid: sending.ppid, unordered: false, context: sending.sent };
            let payload = message(self.next, sending.ppid, stream, sending.size);
            match self.stack.send(now, assoc, options, payload) {
                Ok(()) => {}
                Err(sctp::SendError::QueueFull) => return,
                Err(error) => {
                    println!("error {error}");
                    self.sending = None;
                    return;
                }
            }
            self.next += 1;
            sending.sent += 1;
            sending.left -= 1;
        }
        self.sending = None;
    }
}

/// Messages that should have gone by now.
fn due(rate: u64, from: Instant, now: Instant) -> u64 {
    rate * now.saturating_duration_since(from).as_micros() as u64 / 1_000_000
}

fn message(number: u32, ppid: u32, stream: u16, size: usize) -> Bytes {
    if size < HEAD {
        return Bytes::from(vec![0x5a; size]);
    }
    let mut message = vec![number as u8; size];
    message[..4].copy_from_slice(&number.to_be_bytes());
    message[4..8].copy_from_slice(&ppid.to_be_bytes());
    message[8..12].copy_from_slice(&(u32::from(stream) << 16).to_be_bytes());
    Bytes::from(message)
}

impl Node for Peer {
    type Command = String;

    fn handle_input(&mut self, now: Instant, input: Input) {
        self.stack.handle_input(now, input);
    }
    fn handle_command(&mut self, now: Instant, line: String) {
        if let Err(error) = self.command(now, &line) {
            println!("error {error}");
        }
        // What is told next may be `shutdown`.
        self.send(now);
    }
    fn handle_timeout(&mut self, now: Instant) {
        self.stack.handle_timeout(now);
    }
    fn flush(&mut self, now: Instant) -> io::Result<()> {
        self.events(now);
        self.send(now);
        Ok(())
    }
    fn poll_output(&mut self, now: Instant) -> Option<Output> {
        self.stack.poll_output(now)
    }
    fn poll_timeout(&self) -> Option<Instant> {
        let paced = self.sending.as_ref().and_then(|s| s.pace.map(|(rate, from)| (rate, from, s.sent + 1)));
        let next = paced.map(|(rate, from, count)| from + Duration::from_micros(count * 1_000_000 / rate.max(1) + 1));
        self.stack.poll_timeout().into_iter().chain(next).min()
    }
    fn finished(&self) -> bool {
        self.finished
    }
}

fn main() -> Result<(), Box<dyn Error>> {
    let words: Vec<String> = std::env::args().skip(1).collect();
    let addresses = words.first().ok_or("usage: peer ADDRESS[,ADDRESS] [UDP-PORT] [SETTINGS [TRANSPORT]]")?;
    let addresses = addresses.split(',').map(str::parse).collect::<Result<Vec<IpAddr>, _>>()?;
    let udp_port = words.get(1).map_or(Ok(9899), |port| port.parse())?;
    let config: Config = words.get(2).map_or(Ok(Config::default()), |text| serde_json::from_str(text))?;
    let transport = match words.get(3).map(String::as_str) {
        None | Some("udp") => Transport::Udp,
        Some("raw") => Transport::Raw,
        Some("kernel") => Transport::Kernel,
        Some(other) => return Err(format!("no such transport: {other}").into()),
    };
    let mut seed = [0; 32];
    File::open("/dev/urandom")?.read_exact(&mut seed)?;

    let driver = DriverConfig { addresses: addresses.clone(), port: udp_port, ..DriverConfig::default() };
    let sockets = Sockets::open(transport, &driver)?;
    let tap = match std::env::var("CAPTURE") {
        Ok(folder) => {
            let path = Path::new(&folder).join(format!("peer-{}.pcapng", std::process::id()));
            Some(Tap::create(&path, "peer", 1 << 14, sockets.counters())?)
        }
        Err(_) => None,
    };
    let begin = Instant::now();
    let stack = sctp::associations(sockets.kind(), config, addresses, udp_port, seed, begin);
    let (sender, receiver) = mpsc::channel(16);
    std::thread::spawn(move || {
        for line in io::stdin().lock().lines().map_while(Result::ok) {
            if sender.blocking_send(line).is_err() {
                return;
            }
        }
        // Whoever gave the commands is gone.
        let _ = sender.blocking_send("quit".into());
    });
    let peer = Peer {
        stack,
        udp_port,
        assoc: None,
        next: 0,
        sending: None,
        received: Received::default(),
        begin,
        finished: false,
    };
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    println!("ready");
    runtime.block_on(run(peer, sockets, receiver, tap))?;
    Ok(())
}
