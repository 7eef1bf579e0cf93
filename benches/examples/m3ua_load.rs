//! The load of `scenarios/interop/run m3ua-relay`, in a guest whose kernel has SCTP: two ASPs that have messages go to and fro through
//! a relay, so many outstanding, and the least that a relay can do, which takes a message of one association and sends it on the other.

#![allow(clippy::print_stdout, reason = "a program")]

use bytes::Bytes;
use clap::{Parser, Subcommand};
use enrp::daemon::{self, DaemonCommand, DaemonConfig};
use m3ua_lite::asp::{AspState, Input as M3uaInput, Replies};
use m3ua_lite::asp_peer::{AspConfig, AspPeer};
use m3ua_lite::session::sls_stream;
use m3ua_lite::wire::{Data, Message, ProtocolData, TrafficMode, one_context};
use sctp::driver::{DriverConfig, Node};
use sctp::{AssocId, Associations, Connect, Event, Input, Output, SendOptions, Transport, ppid};
use std::error::Error;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::time::{Duration, Instant};

/// M3UA, RFC 4666 section 1.4.8.
const M3UA_PORT: u16 = 2_905;
/// RFC 6951 section 5.1; the kernel's SCTP takes none.
const UDP_PORT: u16 = 9_899;
/// A user part that nobody looks into.
const SPARE: u8 = 12;
/// As an ISUP message of a call.
const USER_DATA: [u8; 40] = [0x5a; 40];
const T_ACK_MS: u64 = 2_000;
const WARM_UP: Duration = Duration::from_millis(500);

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

#[derive(Debug, Clone, Subcommand)]
enum What {
    /// Sends what one association brings on the other one, until SIGTERM.
    Relay,
    /// An ASP that sends each message back to where it came from, until SIGTERM.
    Echo {
        #[command(flatten)]
        asp: Asp,
    },
    /// An ASP that sends messages and counts what comes back; ends by itself.
    Load {
        #[command(flatten)]
        asp: Asp,
        /// To this point code.
        to: u32,
        /// Messages that have not come back, at most.
        outstanding: u64,
        seconds: f64,
    },
}

#[derive(Debug, Clone, clap::Args)]
struct Asp {
    relay: IpAddr,
    routing_context: u32,
    /// Own point code.
    point_code: u32,
    /// Nothing but DATA is sent: at the other end is `relay`.
    #[arg(long)]
    bare: bool,
}

fn main() -> Result<(), Box<dyn Error>> {
    let Line { transport, local, what } = Line::parse();
    let udp = DriverConfig { addresses: vec![local], ..DriverConfig::default() };
    daemon::run_daemon("m3ua_load", &DaemonConfig::default(), transport, &udp, |start| {
        let config = sctp::Config::default();
        let mut stack = sctp::associations(start.backend, config, vec![local], udp.port, start.seed, start.now);
        Ok(match what {
            What::Relay => {
                stack.listen(M3UA_PORT);
                Program { stack, begin: start.now, stopped: false, role: Role::Relay(Vec::new()) }
            }
            What::Echo { asp } => Program::asp(start.now, stack, asp, None),
            What::Load { asp, to, outstanding, seconds } => {
                let load = Load { to, outstanding, seconds, sent: 0, came: 0, from: None };
                Program::asp(start.now, stack, asp, Some(load))
            }
        })
    })?;
    Ok(())
}

struct Program {
    stack: Box<dyn Associations>,
    begin: Instant,
    stopped: bool,
    role: Role,
}

enum Role {
    /// Its associations.
    Relay(Vec<AssocId>),
    Asp(Box<End>),
}

/// One ASP.
struct End {
    settings: Asp,
    peer: AspPeer,
    assoc: Option<AssocId>,
    streams: u16,
    load: Option<Load>,
}

struct Load {
    to: u32,
    outstanding: u64,
    seconds: f64,
    sent: u64,
    came: u64,
    /// Since when it counts, and what had come back by then.
    from: Option<(Instant, u64)>,
}

impl Program {
    fn asp(now: Instant, mut stack: Box<dyn Associations>, settings: Asp, load: Option<Load>) -> Self {
        let peer = vec![SocketAddr::new(settings.relay, UDP_PORT)];
        let assoc = stack.connect(now, Connect { peer, peer_port: M3UA_PORT, local_port: None }).ok();
        let peer = AspPeer::new(AspConfig {
            asp_id: None,
            routing_contexts: one_context(settings.routing_context),
            traffic_mode: Some(TrafficMode::Loadshare),
            t_ack_ms: T_ACK_MS,
        });
        let end = Box::new(End { settings, peer, assoc, streams: 0, load });
        Self { stack, begin: now, stopped: false, role: Role::Asp(end) }
    }

    fn pump(&mut self, now: Instant) {
        let ms = u64::try_from(now.saturating_duration_since(self.begin).as_millis()).unwrap_or(u64::MAX);
        while let Some(event) = self.stack.poll_event() {
            match &mut self.role {
                Role::Relay(associations) => relay(now, self.stack.as_mut(), associations, event),
                Role::Asp(end) => end.event(now, ms, self.stack.as_mut(), event),
            }
        }
        if let Role::Asp(end) = &mut self.role {
            end.peer.handle_timeout(ms);
            while let Some(request) = end.peer.poll_transmit() {
                end.send(now, self.stack.as_mut(), request.stream, &request.message);
            }
            while end.peer.poll_event().is_some() {}
            self.stopped |= end.offer(now, self.stack.as_mut());
        }
    }
}

fn relay(now: Instant, stack: &mut dyn Associations, associations: &mut Vec<AssocId>, event: Event) {
    match event {
        Event::Up { assoc, .. } => associations.push(assoc),
        Event::Closed { assoc, .. } => associations.retain(|known| *known != assoc),
        Event::Message { assoc, stream, ppid, payload, .. } => {
            if let Some(other) = associations.iter().find(|known| **known != assoc) {
                let options = SendOptions { stream, ppid, ..SendOptions::default() };
                // Full: what is outstanding is less than the queue holds.
                let _ = stack.send(now, *other, options, payload);
            }
        }
        Event::Path { .. } | _ => {}
    }
}

impl End {
    fn event(&mut self, now: Instant, ms: u64, stack: &mut dyn Associations, event: Event) {
        match event {
            Event::Up { outbound_streams, .. } => {
                self.streams = outbound_streams;
                if !self.settings.bare {
                    self.peer.association_up(ms);
                    self.peer.want(ms, AspState::Active);
                }
            }
            Event::Closed { reason, .. } => {
                eprintln!("the association ended: {reason:?}");
                self.assoc = None;
            }
            Event::Message { stream, payload, .. } => self.message(now, ms, stack, stream, &payload),
            Event::Path { .. } | _ => {}
        }
    }

    fn message(&mut self, now: Instant, ms: u64, stack: &mut dyn Associations, stream: u16, payload: &Bytes) {
        if self.settings.bare {
            if let Ok(Message::Data(data)) = Message::decode(payload) {
                self.data(now, stack, &data);
            }
            return;
        }
        let mut replies = Replies::new();
        match self.peer.handle(ms, stream, payload, &mut replies) {
            M3uaInput::Deliver(Message::Data(data)) => self.data(now, stack, &data),
            M3uaInput::Deliver(Message::Beat(beat)) => self.send(now, stack, 0, &Message::BeatAck(beat)),
            M3uaInput::Deliver(_) | M3uaInput::Consumed | M3uaInput::Dropped(_) => {}
        }
        for reply in &replies {
            self.send(now, stack, reply.stream, &reply.message);
        }
    }

    fn data(&mut self, now: Instant, stack: &mut dyn Associations, data: &Data<'_>) {
        match &mut self.load {
            Some(load) => load.came += 1,
            None => self.send_data(now, stack, data.protocol_data.opc, data.protocol_data.sls),
        }
    }

    fn send_data(&self, now: Instant, stack: &mut dyn Associations, to: u32, sls: u8) {
        let (opc, dpc) = (self.settings.point_code, to);
        let data = Data {
            network_appearance: None,
            routing_context: Some(self.settings.routing_context),
            protocol_data: ProtocolData { opc, dpc, si: SPARE, ni: 2, mp: 0, sls, user_data: &USER_DATA },
            correlation_id: None,
        };
        self.send(now, stack, sls_stream(sls, self.streams), &Message::Data(data));
    }

    fn send(&self, now: Instant, stack: &mut dyn Associations, stream: u16, message: &Message<'_>) {
        let mut buffer = [0; 1_024];
        if let (Some(assoc), Ok(length)) = (self.assoc, message.encode(&mut buffer)) {
            let options = SendOptions { stream, ppid: ppid::M3UA, ..SendOptions::default() };
            if let Err(error) = stack.send(now, assoc, options, Bytes::copy_from_slice(&buffer[..length])) {
                eprintln!("cannot send: {error}");
            }
        }
    }

    /// Sends what may be outstanding. True when the time is over, and told.
    fn offer(&mut self, now: Instant, stack: &mut dyn Associations) -> bool {
        let ready = self.streams > 0 && (self.settings.bare || self.peer.state() == AspState::Active);
        let Some(mut load) = self.load.take_if(|_| ready) else { return false };
        let (from, before) = *load.from.get_or_insert((now + WARM_UP, 0));
        if now < from {
            load.from = Some((from, load.came));
        }
        let since = now.saturating_duration_since(from).as_secs_f64();
        let over = since >= load.seconds;
        if over {
            // Each came through the relay twice.
            let relayed = 2 * (load.came - before);
            println!("{{\"relayed\": {relayed}, \"seconds\": {since:.3}, \"per_s\": {:.0}}}", relayed as f64 / since);
        }
        while !over && load.sent - load.came < load.outstanding {
            self.send_data(now, stack, load.to, (load.sent % 16) as u8);
            load.sent += 1;
        }
        self.load = Some(load);
        over
    }
}

impl Node for Program {
    type Command = DaemonCommand;

    fn handle_input(&mut self, now: Instant, input: Input) {
        self.stack.handle_input(now, input);
        self.pump(now);
    }

    fn handle_command(&mut self, _now: Instant, command: DaemonCommand) {
        match command {
            DaemonCommand::Stop => self.stopped = true,
            // There is no admin address.
            DaemonCommand::Admin(_) => {}
        }
    }

    fn handle_timeout(&mut self, now: Instant) {
        self.stack.handle_timeout(now);
        self.pump(now);
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
