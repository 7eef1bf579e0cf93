//! n of n+k (RFC 4666 sections 4.3.2, 4.3.4.4, 3.8.2) with ordinary ASPs, which hear nothing but M3UA, through the whole gateway: how
//! many must be active before there is traffic (`as.asps_min`), and what they are told when there are fewer.

use super::errors::{FIRST, OTHERS, aspac, aspup, names, undisturbed};
use super::*;
use m3ua_lite::wire::Status::{self, AsActive, AsInactive, AsPending, AspFailure, InsufficientResources};
use m3ua_lite::wire::{AspDown, AspInactive, Data, Message, ProtocolData, one_context};

const ONE: u8 = FIRST;
const TWO: u8 = FIRST + 1;
const THREE: u8 = FIRST + 2;
const ALL: [u8; 3] = [ONE, TWO, THREE];
/// A peer of the network.
const STP: u8 = 20;
/// Destination of the application server, and T(r).
const DPC: u32 = 3;
const T_R_MS: u64 = 500;
/// No NTFY.
const NOTHING: Vec<Status> = Vec::new();

/// Three ordinary ASPs that are up, of which two must be active, and an STP.
fn lab(seed: u64) -> Lab {
    let mut lab = Lab::new(seed, |config| {
        config.application_servers.push(sg::config::As {
            pool: "Others".into(),
            routing_context: OTHERS,
            dpc: vec![DPC],
            asps: ALL.map(ip).to_vec(),
            asps_min: 2,
            t_r_ms: T_R_MS,
            transactions: false,
            ..sg::config::As::default()
        });
    });
    for number in 11..=13 {
        lab.controller(number);
    }
    lab.network(24);
    lab.world.run_until(1_000);
    // The STP takes no part in the calls of the others.
    lab.peer(|peer| peer.quiet = true);
    lab.pause(200);
    lab.comes(STP);
    lab.say(STP, 0, &aspup(STP.into()));
    lab.say(STP, 0, &aspac(ROUTING_CONTEXT));
    for last in ALL {
        lab.comes(last);
        let heard = lab.say(last, 0, &aspup(last.into()));
        assert_eq!((names(&heard)[0], statuses(&heard)), ("ASPUP ACK", vec![AsInactive]));
    }
    lab
}

fn octets(message: &Message<'_>) -> Vec<u8> {
    let mut octets = vec![0; message.encoded_len().unwrap()];
    message.encode(&mut octets).unwrap();
    octets
}

fn aspia() -> Vec<u8> {
    octets(&Message::AspInactive(AspInactive { routing_contexts: one_context(OTHERS), info: None }))
}

fn aspdn() -> Vec<u8> {
    octets(&Message::AspDown(AspDown::default()))
}

fn name(octets: &[u8]) -> &'static str {
    Message::decode(octets).unwrap().message_type().name()
}

/// What the NTFYs say.
fn statuses(heard: &[bytes::Bytes]) -> Vec<Status> {
    let ntfys = heard.iter().filter_map(|octets| match Message::decode(octets).unwrap() {
        Message::Notify(notify) => Some(notify.status),
        _ => None,
    });
    ntfys.collect()
}

/// Each of the three is told this.
fn all(status: Status) -> [Vec<Status>; 3] {
    [vec![status], vec![status], vec![status]]
}

impl Lab {
    /// What each of the three was told in NTFYs since it was last asked, and within 20 ms.
    fn notified(&mut self) -> [Vec<Status>; 3] {
        self.pause(20);
        ALL.map(|last| {
            self.raw(last, |raw, _| {
                let told = statuses(&raw.heard);
                raw.heard.retain(|octets| name(octets) != "NTFY");
                told
            })
        })
    }

    /// Sends as this one; how it is answered, and what each of the three is told then.
    fn does(&mut self, last: u8, message: &[u8]) -> (&'static str, [Vec<Status>; 3]) {
        self.notified();
        self.raw(last, |raw, now| raw.send(now, 0, message).unwrap());
        self.pause(20);
        let answers = self.raw(last, |raw, _| names(&raw.heard));
        let answer = answers.into_iter().find(|name| name.ends_with("ACK")).unwrap_or_default();
        self.raw(last, |raw, _| raw.heard.retain(|octets| !name(octets).ends_with("ACK")));
        (answer, self.notified())
    }

    /// The STP sends one message; how many of it arrived at the three, and what the STP is told.
    fn offer(&mut self) -> ([usize; 3], Vec<&'static str>) {
        self.got();
        let protocol_data =
            ProtocolData { opc: NETWORK, dpc: DPC, si: 5, ni: 2, mp: 0, sls: 0, user_data: &[33, 0, 1, 0] };
        let data = Data { network_appearance: None, routing_context: None, protocol_data, correlation_id: None };
        let told = self.say(STP, 1, &octets(&Message::Data(data)));
        (self.got(), names(&told))
    }

    /// What the STP was told since it was last asked.
    fn stp_told(&mut self) -> Vec<&'static str> {
        let heard = self.raw(STP, |raw, _| std::mem::take(&mut raw.heard));
        names(&heard)
    }

    /// How much DATA each of the three got since it was last asked.
    fn got(&mut self) -> [usize; 3] {
        ALL.map(|last| {
            self.raw(last, |raw, _| {
                let before = raw.heard.len();
                raw.heard.retain(|octets| name(octets) != "DATA");
                before - raw.heard.len()
            })
        })
    }
}

/// Of what happens to one application server the calls of another feel nothing.
fn others_undisturbed(lab: &mut Lab) {
    lab.world.kill(ip(STP));
    lab.pause(2_000);
    lab.peer(|peer| peer.quiet = false);
    lab.pause(1_000);
    undisturbed(lab);
}

#[test]
fn fewer_than_n_get_nothing_and_what_waited_for_the_nth_is_sent_once() {
    let mut lab = lab(1);
    assert_eq!(lab.does(ONE, &aspac(OTHERS)), ("ASPAC ACK", [NOTHING; 3]), "the AS stays inactive");
    assert_eq!(lab.offer(), ([0; 3], vec![]), "it waits");
    assert_eq!(lab.does(TWO, &aspac(OTHERS)), ("ASPAC ACK", all(AsActive)));
    lab.pause(T_R_MS);
    let got = lab.got();
    assert_eq!((got.iter().sum::<usize>(), got[2]), (1, 0), "{got:?}");
    assert_eq!(lab.counter(false, "proxy_registrations"), 2);
    assert_eq!(lab.state()["pools"][1]["counters"]["discarded"]["as-pending-expired"], 0);
    others_undisturbed(&mut lab);
}

#[test]
fn for_the_nth_messages_wait_no_longer_than_t_r() {
    let mut lab = lab(2);
    lab.does(ONE, &aspac(OTHERS));
    for _ in 0..3 {
        assert_eq!(lab.offer().0, [0; 3]);
    }
    lab.pause(T_R_MS + 100);
    assert_eq!(lab.state()["pools"][1]["counters"]["discarded"]["as-pending-expired"], 3);
    lab.does(TWO, &aspac(OTHERS));
    lab.pause(T_R_MS);
    assert_eq!(lab.got(), [0; 3], "what was discarded is sent to nobody");
    assert_eq!(lab.offer().0.iter().sum::<usize>(), 1);
    others_undisturbed(&mut lab);
}

/// By ASPIA, ASPDN, and without a word.
#[test]
fn when_fewer_than_n_are_left_the_inactive_ones_are_told_and_the_traffic_goes_on() {
    let mut lab = lab(3);
    lab.does(ONE, &aspac(OTHERS));
    lab.does(TWO, &aspac(OTHERS));
    let short = || vec![InsufficientResources];
    assert_eq!(lab.does(TWO, &aspia()), ("ASPIA ACK", [NOTHING, short(), short()]), "not the one that is active");
    assert_eq!(lab.offer(), ([1, 0, 0], vec![]), "one is enough once it has begun");
    // With n again there is nothing to tell: the AS was active all the time.
    assert_eq!(lab.does(THREE, &aspac(OTHERS)), ("ASPAC ACK", [NOTHING; 3]));
    assert_eq!(lab.does(THREE, &aspdn()), ("ASPDN ACK", [NOTHING, short(), NOTHING]), "nor one that is down");
    assert_eq!(lab.offer(), ([1, 0, 0], vec![]));

    assert_eq!(lab.does(TWO, &aspac(OTHERS)), ("ASPAC ACK", [NOTHING; 3]));
    let heard = lab.say(THREE, 0, &aspup(THREE.into()));
    assert_eq!(statuses(&heard), [AsActive], "how the AS is");
    lab.world.kill(ip(ONE));
    lab.pause(1_500);
    let [_, active, inactive] = lab.notified();
    assert_eq!(active, [AspFailure]);
    assert_eq!(inactive, [AspFailure, InsufficientResources]);
    assert_eq!(lab.offer(), ([0, 1, 0], vec![]));
    others_undisturbed(&mut lab);
}

#[test]
fn within_t_r_one_ends_as_pending_and_after_it_n_are_needed_again() {
    let mut lab = lab(4);
    lab.does(ONE, &aspac(OTHERS));
    lab.does(TWO, &aspac(OTHERS));
    lab.does(TWO, &aspia());
    assert_eq!(lab.does(ONE, &aspia()), ("ASPIA ACK", all(AsPending)), "none is left: that says it all");
    assert_eq!(lab.offer(), ([0; 3], vec![]));
    assert_eq!(lab.does(THREE, &aspac(OTHERS)), ("ASPAC ACK", all(AsActive)));
    lab.pause(200);
    assert_eq!(lab.got(), [0, 0, 1], "what waited");

    assert_eq!(lab.does(THREE, &aspia()), ("ASPIA ACK", all(AsPending)));
    lab.raw(STP, |raw, _| raw.heard.clear());
    lab.pause(T_R_MS);
    assert_eq!(lab.notified(), all(AsInactive));
    assert_eq!(lab.stp_told(), ["DUNA"]);
    assert_eq!(lab.does(THREE, &aspac(OTHERS)), ("ASPAC ACK", [NOTHING; 3]), "one is not enough now");
    assert_eq!(lab.stp_told(), [""; 0]);
    assert_eq!(lab.does(ONE, &aspac(OTHERS)), ("ASPAC ACK", all(AsActive)));
    assert_eq!(lab.stp_told(), ["DAVA"]);
    let got = lab.offer().0;
    assert_eq!((got.iter().sum::<usize>(), got[1]), (1, 0), "{got:?}");
    others_undisturbed(&mut lab);
}
