//! One stack, a hand-made peer, and the way into each state.

use crate::common::{A, B, Net, PORT, address, chunk, chunks, config, data, init, packet, param_of, u32_at};
use sctp::{AssocId, CloseReason, Config, Connect, ConnectionState, Event, SendOptions};
use std::net::SocketAddr;

/// The peer's SCTP port.
pub const PEER_PORT: u16 = 4_000;
/// The peer's tag, and the tag of its next life.
pub const TAG: u32 = 0x1111_2222;
pub const NEXT_TAG: u32 = 0x3333_4444;
/// The peer's first TSN.
pub const TSN: u32 = 1_000;

pub const STATES: [&str; 8] = ["CL", "CW", "CE", "ES", "SP", "SS", "SR", "SA"];

/// A cookie of ours, and the tag its echo has to carry.
#[derive(Debug, Clone, Default)]
pub struct Kept {
    pub tag: u32,
    pub cookie: Vec<u8>,
}

/// See the module.
pub struct World {
    pub net: Net,
    pub assoc: Option<AssocId>,
    /// Our own tag.
    pub tag: u32,
    /// The last TSN of ours that is acknowledged.
    pub acknowledged: u32,
    /// A cookie from before the association.
    pub before: Option<Kept>,
    /// The cookie that belongs to it.
    pub this: Option<Kept>,
    /// One made for a peer with another tag while it was being set up.
    pub other: Option<Kept>,
    /// One made for a peer that restarted.
    pub restarted: Option<Kept>,
    /// Events come from an address that is not the peer's.
    pub strange: bool,
}

/// Only T1, T2, T3 and T5 run.
fn quiet() -> Config {
    Config { supervision_ms: 0, heartbeat_interval_ms: 1_000_000_000, ..config() }
}

impl World {
    /// `incoming`: the association came to us. `None` where that cannot be.
    pub fn reach(state: &str, incoming: bool) -> Option<Self> {
        let mut net = Net::new(3, config(), quiet());
        // Stack A knows nothing of this association and would say so.
        net.link.cut = [true, true];
        net.record = true;
        let mut world = Self {
            net,
            assoc: None,
            tag: 0xdead,
            acknowledged: 0,
            before: None,
            this: None,
            other: None,
            restarted: None,
            strange: false,
        };
        world.before = Some(world.ask_for_cookie(TAG));
        match (state, incoming) {
            ("CL", true) => {
                world.this = world.before.take();
                return Some(world);
            }
            ("CL", false) | ("CW" | "CE", true) => return None,
            (_, true) => world.come(),
            (_, false) => {
                world.open();
                if state != "CW" {
                    world.answered();
                }
                if !matches!(state, "CW" | "CE") {
                    world.say(&[chunk(11, 0, &[])]);
                }
            }
        }
        if !matches!(state, "CW" | "CE") {
            world.restarted = Some(world.ask_for_cookie(NEXT_TAG));
        }
        let (now, assoc) = (world.net.now, world.assoc.unwrap());
        let before = world.acknowledged.to_be_bytes();
        match state {
            "SP" => {
                world.net.send(B, assoc, 1, 7, "unacknowledged");
                world.net.stacks[B].shutdown(now, assoc);
            }
            "SS" => world.net.stacks[B].shutdown(now, assoc),
            "SR" => {
                world.net.send(B, assoc, 1, 7, "unacknowledged");
                world.net.drain();
                world.say(&[chunk(7, 0, &before)]);
            }
            "SA" => {
                world.say(&[chunk(7, 0, &before)]);
            }
            _ => {}
        }
        world.net.drain();
        world.net.sent.clear();
        world.net.events[B].clear();
        assert_eq!(world.state(), state, "the way into it");
        Some(world)
    }

    fn open(&mut self) {
        let connect = Connect { peer: vec![address(A)], peer_port: PEER_PORT, local_port: Some(PORT) };
        self.assoc = Some(self.net.stacks[B].connect(self.net.now, connect).unwrap());
        self.net.drain();
        let (_, sent) = self.net.sent.last().unwrap().clone();
        let value = chunks(&sent.payload)[0].2.clone();
        (self.tag, self.acknowledged) = (u32_at(&value, 0), u32_at(&value, 12).wrapping_sub(1));
        self.this = Some(self.ask_for_cookie(TAG));
        self.other = Some(self.ask_for_cookie(NEXT_TAG));
    }

    fn answered(&mut self) {
        self.say(&[init_ack(TAG, 100_000, 10, &cookie_param())]);
    }

    fn come(&mut self) {
        let kept = self.ask_for_cookie(TAG);
        self.net.sent.clear();
        self.tag = kept.tag;
        self.say(&[chunk(10, 0, &kept.cookie)]);
        self.assoc = self.net.up_of(B);
        self.this = Some(kept);
    }

    fn ask_for_cookie(&mut self, tag: u32) -> Kept {
        self.net.sent.clear();
        self.inject(address(A), 0, &[init(tag, (10, 10), TSN, &[])]);
        let (_, answer) = self.net.sent.pop().expect("an INIT ACK");
        let value = chunks(&answer.payload)[0].2.clone();
        if self.assoc.is_none() {
            self.acknowledged = u32_at(&value, 12).wrapping_sub(1);
        }
        Kept { tag: u32_at(&value, 0), cookie: param_of(&value, 7).unwrap() }
    }

    pub fn inject(&mut self, from: SocketAddr, tag: u32, list: &[Vec<u8>]) {
        self.net.inject(B, from, packet((PEER_PORT, PORT), tag, list));
    }

    /// With our tag, from the peer's address.
    pub fn say(&mut self, list: &[Vec<u8>]) {
        self.inject(address(A), self.tag, list);
    }

    pub fn echo(&mut self, kept: &Option<Kept>, list: &[Vec<u8>]) -> bool {
        let Some(kept) = kept.clone() else { return false };
        let list = [&[chunk(10, 0, &kept.cookie)], list].concat();
        self.inject(address(A), kept.tag, &list);
        true
    }

    /// What it has sent and not got acknowledged.
    pub fn outstanding(&self) -> u32 {
        self.assoc.map_or(0, |a| self.net.stacks[B].outstanding(a).0 as u32)
    }

    /// The association that is there now: the one under test, or one that came after it.
    pub fn state(&self) -> &'static str {
        let found = self.net.stacks[B].associations().next();
        match found.and_then(|a| self.net.stacks[B].connection_state(a)) {
            None => "CL",
            Some(ConnectionState::CookieWait) => "CW",
            Some(ConnectionState::CookieEchoed) => "CE",
            Some(ConnectionState::Established) => "ES",
            Some(ConnectionState::ShutdownPending) => "SP",
            Some(ConnectionState::ShutdownSent) => "SS",
            Some(ConnectionState::ShutdownReceived) => "SR",
            Some(ConnectionState::ShutdownAckSent) => "SA",
        }
    }

    /// What happened since, in the words of the table.
    pub fn outcome(&self, before: &str, refused: bool) -> String {
        let mut items: Vec<String> = Vec::new();
        let mut reason = None;
        let mut up = false;
        for event in &self.net.events[B] {
            match event {
                Event::Message { .. } => items.push("deliver".into()),
                Event::Path { .. } => items.push("path".into()),
                Event::Closed { reason: why, .. } => reason = Some(why.clone()),
                Event::Up { .. } => up = true,
                _ => {}
            }
        }
        if refused {
            items.push("refused".into());
        }
        let sent = self.net.sent.iter().filter(|(node, _)| *node == B);
        items.extend(sent.flat_map(|(_, t)| chunks(&t.payload)).map(|c| name_of(&c)));
        let after = self.state();
        let mut text = items.join(", ");
        if after != before || reason.is_some() || up {
            let why = match reason {
                Some(CloseReason::PeerAbort(_)) => " PeerAbort".into(),
                Some(other) => format!(" {other:?}"),
                None => String::new(),
            };
            text = format!("{text} → {after}{why}").trim().to_string();
        }
        if text.is_empty() { ".".into() } else { text }
    }

    pub fn send(&mut self) -> bool {
        let Some(assoc) = self.assoc else { return false };
        self.net.stacks[B].send(self.net.now, assoc, SendOptions::default(), "x".into()).is_ok()
    }
}

fn name_of((kind, flags, value): &(u8, u8, Vec<u8>)) -> String {
    let name = match kind {
        0 => "DATA",
        1 => "INIT",
        2 => "INIT ACK",
        3 => "SACK",
        4 => "HEARTBEAT",
        5 => "HEARTBEAT ACK",
        6 => "ABORT",
        7 => "SHUTDOWN",
        8 => "SHUTDOWN ACK",
        9 => "ERROR",
        10 => "COOKIE ECHO",
        11 => "COOKIE ACK",
        14 => "SHUTDOWN COMPLETE",
        other => panic!("chunk type {other}"),
    };
    let reflected = if matches!(kind, 6 | 14) && flags & 1 != 0 { " T" } else { "" };
    let cause = if matches!(kind, 6 | 9) && value.len() >= 4 {
        format!(" {}", u16::from_be_bytes([value[0], value[1]]))
    } else {
        String::new()
    };
    format!("{name}{reflected}{cause}")
}

/// An INIT ACK with its parameters.
pub fn init_ack(tag: u32, rwnd: u32, streams: u16, params: &[u8]) -> Vec<u8> {
    let value = [
        &tag.to_be_bytes()[..],
        &rwnd.to_be_bytes(),
        &streams.to_be_bytes(),
        &streams.to_be_bytes(),
        &TSN.to_be_bytes(),
        params,
    ];
    chunk(2, 0, &value.concat())
}

/// A state cookie parameter of the peer.
pub fn cookie_param() -> Vec<u8> {
    [&[0, 7, 0, 12][..], b"01234567"].concat()
}

/// The peer's first message.
pub fn first_data() -> Vec<u8> {
    data(TSN, 1, 0, 3, 3, b"x")
}
