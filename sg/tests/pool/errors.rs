//! Every error code of RFC 4666 section 3.8.1 that can occur at the gateway, provoked by bytes over an association, on each of its
//! sides, while calls go on: what goes wrong with one ASP is nobody else's business.
//!
//! Those that cannot occur:
//! * 0x02, 0x08, 0x0a to 0x0c, 0x10, 0x17, 0x18 are not used in M3UA.
//! * 0x13 Unexpected Parameter: a parameter that is not known, or not known in that message, is skipped (section 3.2 lets later
//!   versions add them), so none is unexpected; [`what_is_not_known_is_skipped`].
//! * 0x0d Refused - Management Blocking, at peers of the network side and at controllers: an operator blocks controllers and
//!   ordinary ASPs; a controller's association is closed and not opened again, an ordinary ASP may come again and hears it
//!   ([`a_blocked_asp_is_refused_until_it_is_unblocked`]).
//! * 0x0e ASP Identifier Required, 0x0f Invalid ASP Identifier, at ordinary ASPs: they are known by their addresses and need none.

use super::*;
use crate::raw::Raw;
use m3ua_lite::wire::{ErrorCode, ErrorMessage, Message};

/// Who sends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Side {
    /// A peer of the network side.
    Network,
    /// An ordinary ASP of a pool.
    Ordinary,
    /// A controller, registered in a pool.
    Controller,
}

/// How far it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum At {
    Down,
    Up,
    Active,
}

const SIDES: [Side; 3] = [Side::Network, Side::Ordinary, Side::Controller];
/// Of the application server that the others are for.
pub(super) const OTHERS: u32 = 2;
/// Where they have their addresses.
pub(super) const FIRST: u8 = 100;

struct Case {
    at: At,
    stream: u16,
    /// Version to type, then parameters. RC stands for the right Routing Context, ID for the right ASP Identifier; the length is put in.
    input: &'static str,
    code: ErrorCode,
    /// Routing Contexts in the ERR: RC, or numbers.
    contexts: &'static str,
    appearance: Option<u32>,
    affected: Option<u32>,
    sides: &'static [Side],
}

/// Stream 0, ERR with the code alone, all sides.
const fn case(at: At, input: &'static str, code: ErrorCode) -> Case {
    Case { at, stream: 0, input, code, contexts: "", appearance: None, affected: None, sides: &SIDES }
}

fn cases() -> Vec<Case> {
    use At::{Active, Down, Up};
    use ErrorCode as E;
    use Side::{Controller, Network};
    let with = |contexts, case| Case { contexts, ..case };
    let data = |input, code| Case { stream: 1, ..case(Active, input, code) };
    vec![
        case(Down, "02000301", E::InvalidVersion),
        case(Down, "01000501", E::UnsupportedMessageClass),
        // MAUP of SUA, longer than what is quoted.
        case(
            Active,
            "01000701 0009 0030 00112233445566778899aabbccddeeff00112233445566778899aabbccddeeff00112233445566778899aabb",
            E::UnsupportedMessageClass,
        ),
        // Registration, where it is not allowed (section 4.4.1).
        case(Up, "01000901 0207 0014 020a 0008 00000001 020b 0008 00000002", E::UnsupportedMessageClass),
        case(Up, "01000903 0006 0008 RC", E::UnsupportedMessageClass),
        case(Down, "01000307", E::UnsupportedMessageType),
        case(Active, "01000002", E::UnsupportedMessageType),
        case(Active, "01000100", E::UnsupportedMessageType),
        // Broadcast, override, and what is no traffic mode.
        with("RC", case(Up, "01000401 000b 0008 00000003 0006 0008 RC", E::UnsupportedTrafficMode)),
        with("RC", case(Up, "01000401 000b 0008 00000001 0006 0008 RC", E::UnsupportedTrafficMode)),
        case(Up, "01000401 000b 0008 00000009 0006 0008 RC", E::UnsupportedTrafficMode),
        with("RC", case(Down, "01000401 0006 0008 RC", E::UnexpectedMessage)),
        with("RC", case(Down, "01000402 0006 0008 RC", E::UnexpectedMessage)),
        with("RC", case(Up, "01000203 0006 0008 RC 0012 0008 00000001", E::UnexpectedMessage)),
        case(Active, "01000301 0011 0008 ID", E::UnexpectedMessage),
        // What an SG says.
        case(Active, "01000201 0012 0008 00000001", E::UnexpectedMessage),
        case(Active, "01000001 000d 0008 00010003", E::UnexpectedMessage),
        case(Active, "01000304", E::UnexpectedMessage),
        case(
            Active,
            "01000902 0208 001c 020a 0008 00000001 0212 0008 00000000 0006 0008 00000001",
            E::UnexpectedMessage,
        ),
        // Twice what may be there once.
        case(Down, "01000301 0011 0008 ID 0011 0008 ID", E::ProtocolError),
        data("01000101 0006 0008 RC", E::MissingParameter),
        Case {
            stream: 0,
            ..data("01000101 0006 0008 RC 0210 0013 00000001 00000003 05 02 00 00 210001 00", E::InvalidStream)
        },
        Case { sides: &[Network, Controller], ..case(Down, "01000301", E::AspIdentifierRequired) },
        Case { sides: &[Network, Controller], ..case(Down, "01000301 0011 0008 00000999", E::InvalidAspIdentifier) },
        // A mask where there must be none (section 3.8.1).
        case(Active, "01000205 0012 0008 01000001 0204 0008 00000005", E::InvalidParameterValue),
        // Truncated, or of a length that cannot be.
        case(Down, "01000301 0011 0009 00000001", E::ParameterFieldError),
        case(Down, "01000301 0011 0003 00000001", E::ParameterFieldError),
        case(Up, "01000401 0006 0006 0000 0000", E::ParameterFieldError),
        data("01000101 0006 0008 RC 0210 ffff 00000001", E::ParameterFieldError),
        with(
            "RC",
            Case {
                affected: Some(0x1234),
                ..case(Active, "01000203 0006 0008 RC 0012 0008 00001234", E::DestinationStatusUnknown)
            },
        ),
        Case {
            appearance: Some(9),
            ..data(
                "01000101 0200 0008 00000009 0006 0008 RC 0210 0013 00000001 00000003 05 02 00 00 210001 00",
                E::InvalidNetworkAppearance,
            )
        },
        Case {
            appearance: Some(9),
            ..case(Active, "01000203 0200 0008 00000009 0006 0008 RC 0012 0008 00000001", E::InvalidNetworkAppearance)
        },
        case(Active, "01000203 0006 0008 RC", E::MissingParameter),
        with(
            "77",
            data(
                "01000101 0006 0008 0000004d 0210 0013 00000001 00000003 05 02 00 00 210001 00",
                E::InvalidRoutingContext,
            ),
        ),
        with("77", case(Active, "01000203 0006 0008 0000004d 0012 0008 00000001", E::InvalidRoutingContext)),
        with("77", case(Active, "01000402 0006 0008 0000004d", E::InvalidRoutingContext)),
        with("77", case(Up, "01000401 0006 0008 0000004d", E::NoConfiguredAs)),
    ]
}

impl Side {
    fn routing_context(self) -> u32 {
        match self {
            Side::Network => ROUTING_CONTEXT,
            Side::Ordinary | Side::Controller => OTHERS,
        }
    }
}

/// The bytes of a case.
fn octets(side: Side, id: u32, text: &str) -> Vec<u8> {
    let text = text.replace("RC", &format!("{:08x}", side.routing_context())).replace("ID", &format!("{id:08x}"));
    let digits: Vec<u8> = text.bytes().filter(|octet| !octet.is_ascii_whitespace()).collect();
    let digit = |octet: u8| (octet as char).to_digit(16).unwrap() as u8;
    let mut octets: Vec<u8> = digits.chunks(2).map(|pair| digit(pair[0]) << 4 | digit(pair[1])).collect();
    let length = (octets.len() + 4) as u32;
    octets.splice(4..4, length.to_be_bytes());
    octets
}

/// Three controllers and a peer with calls, and an application server for the others.
pub(super) fn lab(seed: u64) -> Lab {
    let mut lab = Lab::new(seed, |config| {
        config.network.allowed_asp_ids = vec![77, FIRST.into()];
        let asps = (FIRST..200).map(ip).collect();
        config.application_servers.push(sg::config::As {
            pool: "Others".into(),
            routing_context: OTHERS,
            dpc: vec![3],
            asps,
            ..sg::config::As::default()
        });
    });
    for number in 11..=13 {
        lab.controller(number);
    }
    lab.network(24);
    lab.world.run_until(1_000);
    lab
}

impl Lab {
    /// One that comes from there, to the network side if it is below [`FIRST`], else as an ordinary ASP.
    pub(super) fn comes(&mut self, last: u8) {
        let seed = self.world.seed();
        let raw = Raw::comes(self.world.now, ip(last), GATEWAY, seed);
        self.world.add(ip(last), Machine::Raw(Box::new(raw)));
        self.pause(20);
    }

    /// One that registers with the number as its PE identifier, and is connected to.
    pub(super) fn registers(&mut self, last: u8) {
        let seed = self.world.seed();
        let raw = Raw::waits(self.world.now, ip(last), GATEWAY, seed, ("Others", last.into()));
        self.world.add(ip(last), Machine::Raw(Box::new(raw)));
        self.pause(50);
    }

    pub(super) fn raw<R>(&mut self, last: u8, work: impl FnOnce(&mut Raw, std::time::Instant) -> R) -> R {
        self.world.with(ip(last), |machine, now| match machine {
            Machine::Raw(raw) => work(raw, now),
            other => panic!("{} is no raw ASP", other.kind()),
        })
    }

    pub(super) fn pause(&mut self, ms: u64) {
        let until = self.world.elapsed_ms() + ms;
        self.world.run_until(until);
    }

    /// Sends, and gives what was heard within 20 ms.
    pub(super) fn say(&mut self, last: u8, stream: u16, octets: &[u8]) -> Vec<bytes::Bytes> {
        self.raw(last, |raw, now| {
            raw.heard.clear();
            raw.send(now, stream, octets).unwrap();
        });
        self.pause(20);
        self.raw(last, |raw, _| std::mem::take(&mut raw.heard))
    }

    pub(super) fn state(&mut self) -> serde_json::Value {
        serde_json::from_str(&selection::ask(self, enrp::daemon::AdminKind::State)).unwrap()
    }

    /// A counter of the network side or of the others' pool.
    pub(super) fn counter(&mut self, network: bool, name: &str) -> u64 {
        let state = self.state();
        let counters = if network { &state["network"]["counters"] } else { &state["pools"][1]["counters"] };
        counters[name].as_u64().unwrap_or_else(|| panic!("no counter {name}: {counters}"))
    }
}

/// ASPUP with this identifier.
pub(super) fn aspup(id: u32) -> Vec<u8> {
    octets(Side::Ordinary, id, "01000301 0011 0008 ID")
}

/// ASPAC.
pub(super) fn aspac(routing_context: u32) -> Vec<u8> {
    let side = if routing_context == OTHERS { Side::Ordinary } else { Side::Network };
    octets(side, 0, "01000401 0006 0008 RC")
}

pub(super) fn names(heard: &[bytes::Bytes]) -> Vec<&'static str> {
    heard.iter().map(|octets| Message::decode(octets).unwrap().message_type().name()).collect()
}

/// One of this side, as far as it is to be; its ASP Identifier.
fn bring(lab: &mut Lab, side: Side, last: u8, at: At) -> u32 {
    match side {
        Side::Network | Side::Ordinary => lab.comes(last),
        Side::Controller => lab.registers(last),
    }
    let id = if side == Side::Controller { last.into() } else { FIRST.into() };
    if at != At::Down {
        let heard = lab.say(last, 0, &aspup(id));
        assert!(names(&heard).contains(&"ASPUP ACK"), "{side:?}: {:?}", names(&heard));
    }
    if at == At::Active {
        let heard = lab.say(last, 0, &aspac(side.routing_context()));
        assert!(names(&heard).contains(&"ASPAC ACK"), "{side:?}: {:?}", names(&heard));
    }
    id
}

fn judge_case(lab: &mut Lab, side: Side, last: u8, case: &Case) {
    let id = bring(lab, side, last, case.at);
    let input = octets(side, id, case.input);
    let what = format!("{side:?}, {:?}: {}", case.at, case.input);
    let heard = lab.say(last, case.stream, &input);
    let errors: Vec<ErrorMessage<'_>> = heard
        .iter()
        .filter_map(|octets| match Message::decode(octets).unwrap() {
            Message::Error(error) => Some(error),
            _ => None,
        })
        .collect();
    let [error] = &errors[..] else { panic!("{what}: {:?}", names(&heard)) };
    assert_eq!(error.code, case.code, "{what}");
    let contexts: Vec<u32> = match case.contexts {
        "" => Vec::new(),
        "RC" => vec![side.routing_context()],
        number => vec![number.parse().unwrap()],
    };
    assert_eq!(error.routing_contexts[..], contexts[..], "{what}");
    assert_eq!(error.network_appearance, case.appearance, "{what}");
    assert_eq!(error.affected.first().map(|pc| pc.pc()), case.affected, "{what}");
    // An audit's answer has the point code; all others quote what they answer.
    let quoted = (case.code != ErrorCode::DestinationStatusUnknown).then(|| &input[..input.len().min(40)]);
    assert_eq!(error.diagnostic.map(|diagnostic| diagnostic.0), quoted, "{what}");
}

fn every_error(side: Side) {
    let mut lab = lab(side as u64 + 1);
    // An active peer of the network side has its share of the output: no calls until they are gone.
    let shares = side == Side::Network;
    lab.peer(|peer| peer.quiet = shares);
    lab.pause(200);
    let counter = if shares { "malformed" } else { "malformed_from_pool" };
    let before = lab.counter(shares, counter);
    let mut wrong = 0;
    for (number, case) in (0..).zip(cases().iter().filter(|case| case.sides.contains(&side))) {
        let last = if side == Side::Network { 20 + number } else { FIRST + number };
        judge_case(&mut lab, side, last, case);
        // An audit is a fair question, and ASPUP of one that is active is acted on.
        let fair = case.code == ErrorCode::DestinationStatusUnknown
            || (case.at == At::Active && case.input.starts_with("01000301"));
        wrong += u64::from(!fair);
        lab.world.kill(ip(last));
    }
    assert_eq!(lab.counter(shares, counter) - before, wrong, "each is counted, once");
    lab.pause(3_000);
    lab.peer(|peer| peer.quiet = false);
    lab.pause(1_000);
    undisturbed(&mut lab);
}

/// The calls of the others went on as if nothing had been.
pub(super) fn undisturbed(lab: &mut Lab) {
    let verdict = lab.finish(2_000);
    assert!(verdict.messages > 1_000, "{verdict:?}");
    assert_eq!((verdict.discarded, verdict.rolled_back), (0, 0), "{verdict:?}");
    let ours = |pe: &str| ["0000000b", "0000000c", "0000000d"].contains(&pe);
    assert!(!verdict.given_up.iter().any(|(_, pe, _)| ours(pe)), "{verdict:?}");
    assert!(verdict.longest < ms(20), "{verdict:?}");
}

#[test]
fn of_a_peer_of_the_network_side() {
    every_error(Side::Network);
}

#[test]
fn of_an_ordinary_asp() {
    every_error(Side::Ordinary);
}

#[test]
fn of_a_controller() {
    every_error(Side::Controller);
}

#[test]
fn what_is_not_known_is_skipped() {
    let mut lab = lab(4);
    for (side, last) in [(Side::Network, 20), (Side::Ordinary, FIRST), (Side::Controller, FIRST + 1)] {
        let id = bring(&mut lab, side, last, At::Down);
        // A tag of nobody, and one of another message.
        let octets = octets(side, id, "01000301 0011 0008 ID 7777 0008 00000001 0204 0008 00000005");
        assert_eq!(names(&lab.say(last, 0, &octets))[..1], ["ASPUP ACK"], "{side:?}");
    }
}

#[test]
fn a_blocked_asp_is_refused_until_it_is_unblocked() {
    let mut lab = lab(5);
    bring(&mut lab, Side::Ordinary, FIRST, At::Active);
    let pe = lab.state()["pools"][1]["controllers"][0]["pe"].as_str().unwrap().to_owned();
    let command = |lab: &mut Lab, name: &str, pe: &str| {
        let body = format!("{{\"pe\": \"{pe}\"}}");
        selection::ask(lab, enrp::daemon::AdminKind::Command { name: name.to_owned(), body })
    };
    command(&mut lab, "block", &pe);
    lab.pause(50);
    assert_eq!(lab.raw(FIRST, |raw, _| raw.ended), 1);
    for _ in 0..2 {
        lab.raw(FIRST, |raw, now| raw.comes_again(now, GATEWAY));
        lab.pause(20);
        let input = aspup(1);
        let heard = lab.say(FIRST, 0, &input);
        let Ok(Message::Error(error)) = Message::decode(&heard[0]) else { panic!("{:?}", names(&heard)) };
        assert_eq!((error.code, error.diagnostic.map(|it| it.0)), (ErrorCode::ManagementBlocking, Some(&input[..])));
        // It has its time for ASPUP, and no more.
        lab.pause(2_100);
    }
    assert_eq!(lab.raw(FIRST, |raw, _| raw.ended), 3);
    lab.raw(FIRST, |raw, now| raw.comes_again(now, GATEWAY));
    lab.pause(20);
    let answer = command(&mut lab, "unblock", &pe);
    assert!(answer.contains("\"blocked\": false") || answer.contains("\"blocked\":false"), "{answer}");
    assert_eq!(names(&lab.say(FIRST, 0, &aspup(1)))[..1], ["ASPUP ACK"]);
    // Blocked while it is not here, it need not be known for ever.
    command(&mut lab, "block", &pe);
    lab.pause(50);
    command(&mut lab, "unblock", &pe);
    assert!(command(&mut lab, "controller", &pe).contains("no pool of this gateway has a controller"));
    undisturbed(&mut lab);
}
