//! The events of the table.

use crate::common::{A, B, PORT, address, chunk, data, init, sack, seal};
use crate::world::{NEXT_TAG, PEER_PORT, TAG, TSN, World, cookie_param, first_data, init_ack};
use sctp::{Connect, Unreachable};
use std::net::SocketAddr;
use std::time::Duration;

/// Makes it happen; what came of it. `None` where it cannot be.
pub fn apply(world: &mut World, state: &str, event: &str) -> Option<String> {
    let mut refused = false;
    let done = if let Some(call) = event.strip_prefix("call: ") {
        refused = !make_call(world, call);
        true
    } else if event.starts_with("INIT ACK") {
        say_init_ack(world, event)
    } else if event.starts_with("INIT") {
        say_init(world, event)
    } else if event.starts_with("COOKIE ECHO") {
        echo(world, event)
    } else if event.starts_with("ICMP") {
        icmp(world, event, state)
    } else if event.starts_with("its timer") {
        timer(world, event)
    } else {
        say(world, event)
    };
    world.net.drain();
    done.then(|| world.outcome(state, refused))
}

/// Whether the event is a packet with our tag from the peer's address.
pub fn has_our_tag(event: &str) -> bool {
    let other = ["call", "ICMP", "its timer", "INIT,", "COOKIE ECHO", "impossible"];
    !other.iter().any(|o| event.starts_with(o)) && !event.contains("tag") && !event.contains("from another address")
}

fn make_call(world: &mut World, call: &str) -> bool {
    let now = world.net.now;
    match call {
        "connect, the same again" => {
            let connect = Connect { peer: vec![address(A)], peer_port: PEER_PORT, local_port: Some(PORT) };
            world.net.stacks[B].connect(now, connect).is_ok()
        }
        "send" => world.send(),
        "shutdown" => {
            world.assoc.inspect(|a| world.net.stacks[B].shutdown(now, *a));
            true
        }
        "abort" => {
            world.assoc.inspect(|a| world.net.stacks[B].abort(now, *a, b"reason"));
            true
        }
        other => panic!("no call {other}"),
    }
}

fn say_init(world: &mut World, event: &str) -> bool {
    let from = address(A);
    let plain = |params: &[u8]| init(NEXT_TAG, (10, 10), TSN, params);
    let mut tag = 0;
    let mut source = from;
    let mut list = vec![match event {
        "INIT, the one of before again" => init(TAG, (10, 10), TSN, &[]),
        "INIT, lists a new address" => plain(&[0, 5, 0, 8, 127, 9, 9, 9]),
        "INIT, from a new address, lists the old one" => {
            source = "127.9.9.9:9899".parse().unwrap();
            plain(&[0, 5, 0, 8, 127, 0, 0, 1])
        }
        "INIT, a_rwnd 1,499" => {
            let mut small = plain(&[]);
            small[8..12].copy_from_slice(&1_499u32.to_be_bytes());
            small
        }
        "INIT, no streams" => init(NEXT_TAG, (10, 0), TSN, &[]),
        "INIT, host name" => plain(&[0, 11, 0, 6, b'a', 0, 0, 0]),
        "INIT, initiate tag 0" => init(0, (10, 10), TSN, &[]),
        "INIT, too short" => chunk(1, 0, &[1; 15]),
        "INIT, another tag" | "INIT, packet with a tag" | "INIT, with another chunk" => plain(&[]),
        other => panic!("no event {other}"),
    }];
    if event == "INIT, packet with a tag" {
        tag = world.tag;
    }
    if event == "INIT, with another chunk" {
        list.push(chunk(11, 0, &[]));
    }
    world.inject(source, tag, &list);
    // What is sent goes to an address that the user named, or where it came from (sections 5.1 B, 5.2.1).
    let right = |to: SocketAddr| to == source || to == from;
    assert!(world.net.sent.iter().all(|(_, t)| right(t.to)), "{event}");
    true
}

fn say_init_ack(world: &mut World, event: &str) -> bool {
    let cookie = cookie_param();
    let mut list = vec![match event {
        "INIT ACK" | "INIT ACK, with COOKIE ACK" | "INIT ACK, from another address" => {
            init_ack(TAG, 100_000, 10, &cookie)
        }
        "INIT ACK, without cookie" => init_ack(TAG, 100_000, 10, &[]),
        "INIT ACK, initiate tag 0" => init_ack(0, 100_000, 10, &cookie),
        "INIT ACK, no streams" => init_ack(TAG, 100_000, 0, &cookie),
        "INIT ACK, a_rwnd 1,499" => init_ack(TAG, 1_499, 10, &cookie),
        "INIT ACK, host name" => init_ack(TAG, 100_000, 10, &[&cookie[..], &[0, 11, 0, 6, b'a', 0, 0, 0]].concat()),
        "INIT ACK, too short" => chunk(2, 0, &[1; 15]),
        "INIT ACK, unknown parameter" => init_ack(TAG, 100_000, 10, &[&cookie[..], &[0xc1, 0x23, 0, 4]].concat()),
        other => panic!("no event {other}"),
    }];
    if event == "INIT ACK, with COOKIE ACK" {
        list.push(chunk(11, 0, &[]));
    }
    if event == "INIT ACK, from another address" {
        world.inject("127.9.9.9:9899".parse().unwrap(), world.tag, &list);
        // An address that the user did not name has to prove itself first (section 5.4).
        assert!(world.net.sent.iter().all(|(_, t)| t.to == address(A) || world.assoc.is_none()));
        return true;
    }
    world.say(&list);
    true
}

fn echo(world: &mut World, event: &str) -> bool {
    let stale = event.contains("stale");
    if stale {
        // Nothing is done in between: the association is as it was.
        world.net.now += Duration::from_secs(61);
    }
    let (this, before) = (world.this.clone(), world.before.clone());
    let (other, restarted) = (world.other.clone(), world.restarted.clone());
    match event {
        "COOKIE ECHO, of this association" | "COOKIE ECHO, stale" => world.echo(&this, &[]),
        "COOKIE ECHO, with DATA" => world.echo(&this, &[first_data()]),
        "COOKIE ECHO, the peer restarted" | "COOKIE ECHO, restarted but stale" => world.echo(&restarted, &[]),
        "COOKIE ECHO, the peer has another tag" => world.echo(&other, &[]),
        "COOKIE ECHO, from before" => world.echo(&before, &[]),
        "COOKIE ECHO, forged" => {
            let mut forged = this.unwrap();
            *forged.cookie.last_mut().unwrap() ^= 1;
            world.echo(&Some(forged), &[])
        }
        "COOKIE ECHO, another tag in the packet" => {
            let mut forged = this.unwrap();
            forged.tag ^= 1;
            world.echo(&Some(forged), &[])
        }
        other => panic!("no event {other}"),
    }
}

fn say(world: &mut World, event: &str) -> bool {
    let (acknowledged, all) = (world.acknowledged, world.acknowledged.wrapping_add(world.outstanding()));
    let ours = world.tag;
    let cause = |code: u8| vec![0, code, 0, 8, 0, 0, 0, 1];
    let (tag, list) = match event {
        "COOKIE ACK" => (ours, vec![chunk(11, 0, &[])]),
        "ERROR, stale cookie" => (ours, vec![chunk(9, 0, &cause(3))]),
        "ERROR, any other" => (ours, vec![chunk(9, 0, &cause(6))]),
        "ERROR, empty" => (ours, vec![chunk(9, 0, &[])]),
        "DATA" => (ours, vec![first_data()]),
        "DATA, empty" => (ours, vec![data(TSN, 1, 0, 3, 3, b"")]),
        "SACK, nothing new" => (ours, vec![sack(acknowledged, &[])]),
        "SACK, of everything" => (ours, vec![sack(all, &[])]),
        "SACK, beyond what was sent" => (ours, vec![sack(all.wrapping_add(1), &[])]),
        "SACK, too short" => (ours, vec![chunk(3, 0, &[0; 8])]),
        "HEARTBEAT" => (ours, vec![chunk(4, 0, &[0, 1, 0, 8, 1, 2, 3, 4])]),
        "HEARTBEAT ACK, not ours" => (ours, vec![chunk(5, 0, &[0, 1, 0, 8, 1, 2, 3, 4])]),
        "unknown, 00: stop, before an ABORT" => (ours, vec![chunk(0x3f, 0, b"abc"), chunk(6, 0, &[0, 12, 0, 4])]),
        "unknown, 01: stop, report" => (ours, vec![chunk(0x7f, 0, b"abc"), first_data()]),
        "unknown, 10: skip" => (ours, vec![chunk(0x8f, 0, b"abc")]),
        "unknown, 11: skip, report" => (ours, vec![chunk(0xcf, 0, b"abc")]),
        "AUTH (RFC 4895)" => (ours, vec![chunk(15, 0, &[0, 0, 0, 1])]),
        "I-DATA (RFC 8260)" => (ours, vec![chunk(64, 3, &[0; 20])]),
        "ASCONF ACK (RFC 5061)" => (ours, vec![chunk(128, 0, &[0; 4])]),
        "RE-CONFIG (RFC 6525)" => (ours, vec![chunk(130, 0, &[0, 13, 0, 8, 0, 0, 0, 1])]),
        "FORWARD-TSN (RFC 3758)" => (ours, vec![chunk(192, 0, &TSN.to_be_bytes())]),
        "ASCONF (RFC 5061)" => (ours, vec![chunk(193, 0, &[0; 12])]),
        "ECNE" => (ours, vec![chunk(12, 0, &[0; 4]), first_data()]),
        "impossible chunk length" => {
            let mut bytes = crate::common::packet((PEER_PORT, PORT), ours, &[chunk(4, 0, &[0; 8])]);
            bytes[14..16].copy_from_slice(&60_000u16.to_be_bytes());
            seal(&mut bytes);
            world.net.inject(B, address(A), bytes);
            return true;
        }
        "ABORT" => (ours, vec![chunk(6, 0, &[0, 12, 0, 4])]),
        "ABORT, T, our tag" => (ours, vec![chunk(6, 1, &[])]),
        "ABORT, T, the peer's tag" => (TAG, vec![chunk(6, 1, &[])]),
        "ABORT, the peer's tag without T" => (TAG, vec![chunk(6, 0, &[])]),
        "ABORT, cause of impossible length" => (ours, vec![chunk(6, 0, &[0, 12, 0, 99])]),
        "ABORT, after what would be answered" => {
            let heartbeat = chunk(4, 0, &[0, 1, 0, 8, 1, 2, 3, 4]);
            (ours, vec![heartbeat, chunk(0xcf, 0, b"abc"), chunk(8, 0, &[]), chunk(6, 0, &[])])
        }
        "SHUTDOWN" => (ours, vec![chunk(7, 0, &acknowledged.to_be_bytes())]),
        "SHUTDOWN, acknowledges everything" => (ours, vec![chunk(7, 0, &all.to_be_bytes())]),
        "SHUTDOWN, too short" => (ours, vec![chunk(7, 0, &[])]),
        "SHUTDOWN ACK" => (ours, vec![chunk(8, 0, &[])]),
        "SHUTDOWN ACK, another tag" => (ours ^ 0x77, vec![chunk(8, 0, &[])]),
        "SHUTDOWN COMPLETE" => (ours, vec![chunk(14, 0, &[])]),
        "SHUTDOWN COMPLETE, T, our tag" => (ours, vec![chunk(14, 1, &[])]),
        "SHUTDOWN COMPLETE, T, the peer's tag" => (TAG, vec![chunk(14, 1, &[])]),
        other => panic!("no event {other}"),
    };
    let from = if world.strange { "127.9.9.9:9899".parse().unwrap() } else { address(A) };
    world.inject(from, tag, &list);
    true
}

fn timer(world: &mut World, event: &str) -> bool {
    let minute = Duration::from_secs(60);
    if event == "its timer (T1, T3, T2)" {
        world.net.run_for(minute, |net| !net.sent.is_empty());
    } else {
        world.net.run_for(minute, |net| net.closed_of(B).is_some());
        // The last word only; what it tried before is the row above.
        let ended = world.net.closed_of(B).is_some();
        let last = world.net.sent.pop().filter(|(_, t)| ended && t.payload[12] == 6);
        world.net.sent = last.into_iter().collect();
        // What happened to the path on the way has its own tests.
        world.net.events[B].retain(|e| matches!(e, sctp::Event::Closed { .. }));
    }
    true
}

fn icmp(world: &mut World, event: &str, state: &str) -> bool {
    let ports = [PORT.to_be_bytes(), PEER_PORT.to_be_bytes()].concat();
    let mut quoted = match state {
        // An INIT, with its initiate tag.
        "CW" => [&ports[..], &[0; 8], &[1, 0, 0, 20], &world.tag.to_be_bytes()].concat(),
        _ => [&ports[..], &TAG.to_be_bytes(), &[0; 4]].concat(),
    };
    if event.ends_with("another tag") {
        let at = if state == "CW" { 19 } else { 7 };
        quoted[at] ^= 1;
    }
    let error = Unreachable { to: address(A), quoted: quoted.into(), port: event.contains("port unreachable") };
    let now = world.net.now;
    world.net.stacks[B].handle_unreachable(now, &error);
    true
}
