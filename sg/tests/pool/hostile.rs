//! ASPs that do what they should not, on each side of the gateway, while calls of others go on: they are answered by the rules,
//! counted, and nobody else feels it. What is wrong in single messages: [`errors`](crate::errors).

use super::*;
use crate::errors::{FIRST, OTHERS, aspac, aspup, undisturbed};
use crate::raw::Echo;
use m3ua_lite::wire::{AffectedList, AffectedPc, Beat, Data, Message, ProtocolData, Ssnm, one_context};

/// A peer of the network side; it has its share of the output when it is active.
const NETWORK_SIDE: u8 = 20;

fn octets(message: &Message<'_>) -> Vec<u8> {
    let mut octets = vec![0; message.encoded_len().unwrap()];
    message.encode(&mut octets).unwrap();
    octets
}

fn data(routing_context: u32, opc: u32, dpc: u32, user_data: &[u8]) -> Vec<u8> {
    octets(&Message::Data(Data {
        network_appearance: None,
        routing_context: Some(routing_context),
        protocol_data: ProtocolData { opc, dpc, si: 5, ni: 2, mp: 0, sls: 1, user_data },
        correlation_id: None,
    }))
}

impl Lab {
    /// An ordinary ASP, active.
    fn ordinary(&mut self, last: u8) {
        self.comes(last);
        self.say(last, 0, &aspup(1));
        assert_eq!(self.said("ASPAC ACK", last, 0, &aspac(OTHERS)), 1);
    }

    /// Says it, and counts the answers of this name.
    fn said(&mut self, name: &str, last: u8, stream: u16, octets: &[u8]) -> usize {
        let heard = self.say(last, stream, octets);
        heard.iter().filter(|octets| Message::decode(octets).unwrap().message_type().name() == name).count()
    }

    /// The peer of the network sends an IAM for the others' point code, on this circuit.
    fn offer_others(&mut self, cic: u16) {
        let [low, high] = cic.to_le_bytes();
        let user_data = [low, high, 1, 0, 0x60, 1, 0x0a, 0, 2, 8, 6, 0x83, 0x10, 0x55, 5, 1, 0, 0];
        self.world.with(PEER, |machine, now| {
            let Machine::Peer(peer) = machine else { unreachable!("the peer") };
            let protocol_data =
                ProtocolData { opc: NETWORK, dpc: 3, si: 5, ni: 2, mp: 0, sls: 1, user_data: &user_data };
            let message = Message::Data(Data {
                network_appearance: None,
                routing_context: Some(ROUTING_CONTEXT),
                protocol_data,
                correlation_id: None,
            });
            peer.send(now, 2, &message);
        });
    }
}

/// DATA that an ASP got.
fn data_heard(lab: &mut Lab, last: u8) -> usize {
    let heard = lab.raw(last, |raw, _| raw.heard.clone());
    heard.iter().filter(|octets| matches!(Message::decode(octets), Ok(Message::Data(_)))).count()
}

#[test]
fn messages_of_64_kib_are_carried_as_far_as_they_fit() {
    let mut lab = errors::lab(11);
    lab.peer(|peer| peer.quiet = true);
    lab.pause(200);
    lab.comes(NETWORK_SIDE);
    lab.say(NETWORK_SIDE, 0, &aspup(FIRST.into()));
    lab.say(NETWORK_SIDE, 0, &aspac(ROUTING_CONTEXT));
    lab.ordinary(FIRST);
    // The longest that SCTP carries; with our Correlation Id it is longer. The other just fits.
    for (user_data, heard, discarded) in [(65_500, 0, 1), (65_480, 1, 1)] {
        let long = data(ROUTING_CONTEXT, NETWORK, 3, &vec![7; user_data]);
        lab.say(NETWORK_SIDE, 1, &long);
        lab.pause(200);
        let of = |state: &serde_json::Value| state["pools"][1]["counters"]["discarded"]["malformed"].as_u64();
        assert_eq!((data_heard(&mut lab, FIRST), of(&lab.state())), (heard, Some(discarded)), "{user_data}");
    }
    // Back, and one that claims to be longer than it is.
    let long = data(OTHERS, 3, NETWORK, &vec![7; 65_490]);
    lab.say(FIRST, 1, &long);
    lab.pause(200);
    assert_eq!(data_heard(&mut lab, NETWORK_SIDE), 1);
    let mut lies = data(OTHERS, 3, NETWORK, &[7; 100]);
    lies[4..8].copy_from_slice(&65_535_u32.to_be_bytes());
    assert_eq!(lab.said("ERR", FIRST, 1, &lies), 1);
    // Longer than our SCTP takes: the association ends, nothing else.
    lab.comes(FIRST + 1);
    lab.raw(FIRST + 1, |raw, now| raw.send(now, 0, &vec![1; 100_000]).unwrap());
    lab.pause(2_000);
    assert_eq!(lab.raw(FIRST + 1, |raw, _| raw.ended), 1);
    lab.world.kill(ip(NETWORK_SIDE));
    lab.pause(1_000);
    lab.peer(|peer| peer.quiet = false);
    lab.pause(1_000);
    undisturbed(&mut lab);
}

#[test]
fn one_that_never_says_aspup_has_its_time_and_no_more() {
    let mut lab = errors::lab(12);
    let given_up = |lab: &mut Lab| (lab.counter(true, "given_up"), lab.counter(false, "given_up"));
    lab.comes(NETWORK_SIDE);
    lab.comes(FIRST);
    lab.registers(FIRST + 1);
    lab.pause(1_900);
    assert_eq!(given_up(&mut lab), (0, 0));
    lab.pause(200);
    // The controller is registered: it is connected to again, and given up once.
    assert_eq!(given_up(&mut lab), (0, 2));
    lab.pause(8_000);
    assert_eq!(given_up(&mut lab), (1, 2));
    assert_eq!([NETWORK_SIDE, FIRST].map(|last| lab.raw(last, |raw, _| raw.ended)), [1, 1]);
    undisturbed(&mut lab);
}

#[test]
fn one_that_answers_no_beat_loses_its_groups_to_the_next() {
    let mut lab = errors::lab(13);
    lab.ordinary(FIRST);
    lab.raw(FIRST, |raw, _| raw.echo = Echo::Never);
    for cic in 0..4 {
        lab.offer_others(cic * 32 + 1);
    }
    lab.pause(20);
    assert_eq!(data_heard(&mut lab, FIRST), 4);
    lab.ordinary(FIRST + 1);
    lab.pause(500);
    assert_eq!(lab.raw(FIRST, |raw, _| raw.ended), 1);
    assert_eq!(data_heard(&mut lab, FIRST + 1), 4, "what it did not confirm");
    assert_eq!((lab.counter(false, "given_up"), lab.counter(false, "taken_back")), (1, 4));
    undisturbed(&mut lab);
}

#[test]
fn one_that_drops_heartbeat_data_stays_and_confirms() {
    let mut lab = errors::lab(14);
    lab.ordinary(FIRST);
    lab.raw(FIRST, |raw, _| raw.echo = Echo::WithoutData);
    for cic in 0..100 {
        lab.offer_others(cic);
        lab.pause(30);
    }
    lab.pause(2_000);
    assert_eq!((data_heard(&mut lab, FIRST), lab.raw(FIRST, |raw, _| raw.ended)), (100, 0));
    assert_eq!((lab.counter(false, "applied"), lab.counter(false, "given_up")), (100, 0));
    undisturbed(&mut lab);
}

#[test]
fn floods_of_beat_and_daud_are_answered_up_to_a_limit() {
    let mut lab = errors::lab(15);
    lab.comes(NETWORK_SIDE);
    lab.say(NETWORK_SIDE, 0, &aspup(FIRST.into()));
    lab.ordinary(FIRST);
    let beat = octets(&Message::Beat(Beat { data: Some(b"flood") }));
    let audit = |routing_context| {
        octets(&Message::Daud(Ssnm {
            network_appearance: None,
            routing_contexts: one_context(routing_context),
            affected: AffectedList::from_slice(&[AffectedPc::one(NETWORK)]).unwrap(),
            info: None,
        }))
    };
    // 2,000 a second for two seconds; the peer of the network is not active, so its audits are errors.
    for _ in 0..400 {
        for last in [NETWORK_SIDE, FIRST] {
            let routing_context = if last == FIRST { OTHERS } else { ROUTING_CONTEXT };
            for _ in 0..5 {
                lab.raw(last, |raw, now| {
                    raw.send(now, 0, &beat).unwrap();
                    raw.send(now, 0, &audit(routing_context)).unwrap();
                });
            }
        }
        lab.pause(5);
    }
    lab.pause(500);
    let heard = |lab: &mut Lab, last: u8, name: &str| {
        let heard = lab.raw(last, |raw, _| raw.heard.clone());
        heard.iter().filter(|octets| Message::decode(octets).unwrap().message_type().name() == name).count()
    };
    // Two seconds have parts of three.
    for last in [NETWORK_SIDE, FIRST] {
        let answered = lab.raw(last, |raw, _| raw.acknowledged);
        assert!((200..=300).contains(&answered), "{last}: {answered} BEATs");
    }
    let (errors, told) = (heard(&mut lab, NETWORK_SIDE, "ERR"), heard(&mut lab, FIRST, "DAVA"));
    assert!((20..=30).contains(&errors), "{errors}");
    assert!((200..=300).contains(&told), "{told}");
    let answered = lab.raw(FIRST, |raw, _| raw.acknowledged) + told;
    assert_eq!(lab.counter(false, "floods_suppressed") as usize, 4_000 - answered);
    let answered = lab.raw(NETWORK_SIDE, |raw, _| raw.acknowledged);
    assert_eq!(lab.counter(true, "floods_suppressed") as usize, 2_000 - answered);
    assert_eq!(lab.counter(true, "errors_suppressed") as usize, 2_000 - errors);
    undisturbed(&mut lab);
}
