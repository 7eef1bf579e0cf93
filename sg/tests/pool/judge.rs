//! Computes from the records what was lost, reordered, or acted on twice. It shares no code with gateway and controller.

use crate::peer::{POOL, Peer};
use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

#[derive(Debug, Default)]
struct Gateway {
    /// (pe, incarnation, transaction)
    committed: BTreeSet<(String, String, String)>,
    discarded: usize,
    pub(crate) given_up: Vec<(u64, String, String)>,
    given: usize,
    /// Planned moves: PE from, PE to.
    moved: Vec<(String, String)>,
    owners: BTreeMap<Vec<String>, String>,
}

#[derive(Debug)]
pub(crate) struct Verdict {
    /// Longest time from sending to being applied.
    pub(crate) longest: Duration,
    pub(crate) messages: usize,
    pub(crate) rolled_back: usize,
    pub(crate) discarded: usize,
    pub(crate) restored: usize,
    /// Time in ms of the start of the clock, PE, why.
    pub(crate) given_up: Vec<(u64, String, String)>,
    pub(crate) groups_given: usize,
    /// Planned moves begun: PE from, PE to.
    pub(crate) moved: Vec<(String, String)>,
    /// Groups that each PE was given last.
    pub(crate) shares: BTreeMap<String, usize>,
}

struct Line {
    t: u64,
    cic: u16,
    user_data: String,
}

/// Fails with what is wrong; `anchor_ns` is the record's time of `peer`'s first moment.
pub(crate) fn judge(
    peer: &Peer,
    start: std::time::Instant,
    anchor_ns: u64,
    gateway: &[u8],
    controllers: &[Vec<u8>],
) -> Verdict {
    let gateway = read_gateway(gateway, anchor_ns);
    let (mut inputs, mut outputs): (Vec<Line>, Vec<Line>) = (Vec::new(), Vec::new());
    let (mut rolled_back, mut restored) = (0, 0);
    let mut applied: BTreeMap<(u16, String), usize> = BTreeMap::new();
    for record in controllers {
        let text = std::str::from_utf8(record).unwrap();
        let head = text.lines().next().unwrap_or_default();
        let key = |name: &str| {
            let words = head.split(' ').filter_map(|word| word.split_once('='));
            words.filter(|(key, _)| *key == name).map(|(_, value)| value.to_owned()).next().unwrap()
        };
        let (pe, incarnation) = (key("pe"), key("incarnation"));
        for line in text.lines().skip(1) {
            let f: Vec<&str> = line.split(',').collect();
            // Of an ordinary ASP all counts.
            let counts = |txn: &str| {
                head.contains("transactions=false")
                    || gateway.committed.contains(&(pe.clone(), incarnation.clone(), txn.to_owned()))
            };
            match f[0] {
                "I" if counts(f[2]) => {
                    let cic: u16 = f[9].parse().unwrap();
                    *applied.entry((cic / 32, f[3].to_owned())).or_default() += 1;
                    inputs.push(Line { t: f[1].parse().unwrap(), cic, user_data: f[10].to_owned() });
                }
                "O" if counts(f[2]) => {
                    let (t, cic) = (f[1].parse().unwrap(), f[8].parse().unwrap());
                    outputs.push(Line { t, cic, user_data: f[9].to_owned() });
                }
                "I" | "O" => rolled_back += 1,
                "R" => restored += 1,
                "D" | "L" | "P" | "Z" => {}
                other => panic!("unknown line {other}"),
            }
        }
    }
    if let Some((message, times)) = applied.iter().find(|(_, times)| **times > 1) {
        panic!("{message:?} acted on {times} times");
    }
    // Stable: lines of one record at the same moment stay in their order.
    inputs.sort_by_key(|line| line.t);
    outputs.sort_by_key(|line| line.t);
    let (inputs, outputs) = (by_circuit(inputs), by_circuit(outputs));
    let mut longest = Duration::ZERO;
    if gateway.discarded == 0 {
        for (cic, sent) in &peer.sent {
            let applied = inputs.get(cic).map(Vec::as_slice).unwrap_or_default();
            let wanted: Vec<String> = sent.iter().map(|(_, user_data)| hex(user_data)).collect();
            let got: Vec<String> = applied.iter().map(|line| line.user_data.clone()).collect();
            assert_eq!(got, wanted, "circuit {cic}, toward the pool");
            for ((at, _), line) in sent.iter().zip(applied) {
                let sent_ns = anchor_ns + at.duration_since(start).as_nanos() as u64;
                longest = longest.max(Duration::from_nanos(line.t.saturating_sub(sent_ns)));
            }
        }
    }
    let circuits: BTreeSet<u16> = outputs.keys().chain(peer.received.keys()).copied().collect();
    for cic in circuits {
        let wanted: Vec<String> = outputs
            .get(&cic)
            .map(|lines| lines.iter().map(|line| line.user_data.clone()).collect())
            .unwrap_or_default();
        let got: Vec<String> =
            peer.received.get(&cic).map(|all| all.iter().map(|data| hex(data)).collect()).unwrap_or_default();
        assert_eq!(got, wanted, "circuit {cic}, toward the network");
    }
    let mut shares: BTreeMap<String, usize> = BTreeMap::new();
    gateway.owners.values().for_each(|pe| *shares.entry(pe.clone()).or_default() += 1);
    Verdict {
        longest,
        messages: peer.messages(),
        rolled_back,
        discarded: gateway.discarded,
        restored,
        given_up: gateway.given_up,
        groups_given: gateway.given,
        moved: gateway.moved,
        shares,
    }
}

fn read_gateway(record: &[u8], anchor_ns: u64) -> Gateway {
    let mut gateway = Gateway::default();
    // Of several gateways, one after the other.
    for line in std::str::from_utf8(record).unwrap().lines().filter(|line| !line.starts_with('#')) {
        let f: Vec<&str> = line.split(',').collect();
        match f[0] {
            "C" => drop(gateway.committed.insert((f[2].into(), f[3].into(), f[4].into()))),
            // Of others' point codes: not the peer's calls.
            "X" => gateway.discarded += usize::from(f[4..6].contains(&&*POOL.to_string())),
            "F" => {
                let at_ms = (f[1].parse::<u64>().unwrap() - anchor_ns) / 1_000_000;
                gateway.given_up.push((at_ms, f[2].into(), f[3].into()));
            }
            "G" => {
                gateway.given += 1;
                gateway.owners.insert(f[3..].iter().map(|field| (*field).to_owned()).collect(), f[2].into());
            }
            "M" => gateway.moved.push((f[2].into(), f[3].into())),
            "H" | "P" | "Z" => {}
            other => panic!("unknown line {other}"),
        }
    }
    gateway
}

fn by_circuit(lines: Vec<Line>) -> BTreeMap<u16, Vec<Line>> {
    let mut map: BTreeMap<u16, Vec<Line>> = BTreeMap::new();
    for line in lines {
        map.entry(line.cic).or_default().push(line);
    }
    map
}

fn hex(data: &[u8]) -> String {
    data.iter().map(|octet| format!("{octet:02x}")).collect()
}
