//! A peer to try other SCTP stacks against, over UDP encapsulation on port 9899, without the driver:
//!
//! `echo listen IP...` takes associations on port 2905 and sends every message back as it came.
//! `echo connect PEER COUNT IP...` connects to port 2905 of PEER, sends COUNT messages, waits for them to come back, shuts down.
//!
//! It ends after the first association, with status 0 when that ended by SHUTDOWN.
#![allow(clippy::print_stdout, clippy::wildcard_enum_match_arm)] // It prints what happens.

use bytes::Bytes;
use sctp::{CloseReason, Config, Connect, Datagram, Event, SendOptions, Stack};
use std::net::{IpAddr, SocketAddr, UdpSocket};
use std::process::ExitCode;
use std::time::{Duration, Instant};

const UDP_PORT: u16 = 9899;
const SCTP_PORT: u16 = 2905;

fn main() -> ExitCode {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let (peer, count, local) = match args.first().map(String::as_str) {
        Some("listen") if args.len() > 1 => (None, 0, &args[1..]),
        Some("connect") if args.len() > 3 => (Some(ip(&args[1])), args[2].parse().expect("COUNT"), &args[3..]),
        _ => {
            println!("echo listen IP... | echo connect PEER COUNT IP...");
            return ExitCode::from(2);
        }
    };
    let local: Vec<IpAddr> = local.iter().map(|a| ip(a)).collect();
    let clean = run(local, peer, count);
    println!("clean: {clean}");
    ExitCode::from(u8::from(!clean))
}

fn ip(text: &str) -> IpAddr {
    text.parse().expect("an IP address")
}

fn run(local: Vec<IpAddr>, peer: Option<IpAddr>, count: u64) -> bool {
    let sockets: Vec<UdpSocket> = local.iter().map(|ip| UdpSocket::bind((*ip, UDP_PORT)).expect("bind")).collect();
    for socket in &sockets {
        socket.set_nonblocking(true).expect("nonblocking");
    }
    let mut seed = [0; 32];
    seed[..4].copy_from_slice(&std::process::id().to_be_bytes());
    let mut stack = Stack::new(Config::default(), local.clone(), seed, Instant::now());
    stack.listen(SCTP_PORT);
    if let Some(peer) = peer {
        let peer = vec![SocketAddr::new(peer, UDP_PORT)];
        stack.connect(Instant::now(), Connect { peer, peer_port: SCTP_PORT, local_port: None }).expect("connect");
    }
    let (mut sent, mut received) = (0, 0);
    let mut buffer = vec![0; 65_536];
    loop {
        let now = Instant::now();
        for (socket, to) in sockets.iter().zip(&local) {
            while let Ok((length, from)) = socket.recv_from(&mut buffer) {
                let payload = Bytes::copy_from_slice(&buffer[..length]);
                stack.handle_datagram(now, Datagram { from, to: *to, payload });
            }
        }
        if stack.poll_timeout().is_some_and(|at| at <= now) {
            stack.handle_timeout(now);
        }
        while let Some(event) = stack.poll_event() {
            match event {
                Event::Message { assoc, stream, ppid, unordered, payload } => {
                    received += 1;
                    if peer.is_none() {
                        let options = SendOptions { stream, ppid, unordered, context: 0 };
                        stack.send(now, assoc, options, payload).expect("room to echo");
                    } else if received == count {
                        println!("{received} messages came back");
                        println!("{:?}", stack.info(assoc));
                        stack.shutdown(now, assoc);
                    }
                }
                Event::Closed { reason, undelivered, .. } => {
                    println!("closed: {reason:?}, {} undelivered, {received} messages received", undelivered.len());
                    for (name, value) in stack.counters().iter().filter(|(_, value)| *value > 0) {
                        println!("  {name} {value}");
                    }
                    flush(&mut stack, &sockets, &local);
                    return reason == CloseReason::Shutdown;
                }
                Event::Up { assoc, .. } => {
                    println!("{event:?}");
                    while sent < count {
                        let options =
                            SendOptions { stream: (sent % 5) as u16, ppid: 3, unordered: false, context: sent };
                        let size = [1, 200, 1_400, 9_000][sent as usize % 4];
                        stack.send(now, assoc, options, vec![sent as u8; size].into()).expect("room");
                        sent += 1;
                    }
                }
                other => println!("{other:?}"),
            }
        }
        flush(&mut stack, &sockets, &local);
        std::thread::sleep(Duration::from_micros(200));
    }
}

fn flush(stack: &mut Stack, sockets: &[UdpSocket], local: &[IpAddr]) {
    while let Some(transmit) = stack.poll_transmit(Instant::now()) {
        if let Some(at) = local.iter().position(|ip| *ip == transmit.from) {
            let _ = sockets[at].send_to(&transmit.payload, transmit.to);
        }
    }
}
