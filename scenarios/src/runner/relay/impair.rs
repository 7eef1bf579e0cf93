//! What a poor network does to datagrams: loss, delay, jitter, duplicates, a wrong order. By chance, but the same chance for the same seed.

use super::matcher;
use crate::network::random::random;
use crate::scenario::{Direction, Impairment, Wanted};
use rustc_hash::FxHashMap;
use std::time::{Duration, Instant};

/// Which chance a number is drawn for.
const DRAWS: u64 = 4;

/// What becomes of a datagram.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Fate {
    /// It does not arrive.
    Lost,
    /// It arrives.
    Goes {
        /// So much later than it would.
        extra: Duration,
        /// Twice.
        twice: bool,
        /// Before others that wait.
        overtakes: bool,
    },
}

/// One impairment at work.
#[derive(Debug)]
pub(super) struct Rule {
    /// Whose datagrams, as a place among the relay's ports; `None`: everybody's.
    who: Option<usize>,
    direction: Direction,
    impairment: Impairment,
    wanted: Option<Wanted>,
    delay: Duration,
    jitter: Duration,
    seed: u64,
    /// Datagrams met so far.
    serial: u64,
    /// When the last one from the one to the other is due, so that jitter keeps their order.
    last: FxHashMap<(usize, usize), Instant>,
}

impl Rule {
    pub(super) fn new(who: Option<usize>, direction: Direction, impairment: Impairment, seed: u64) -> Self {
        let (delay, jitter) = impairment.times();
        let wanted = impairment.wanted();
        Self { who, direction, impairment, wanted, delay, jitter, seed, serial: 0, last: FxHashMap::default() }
    }

    /// Whose datagrams it is about.
    pub(super) fn who(&self) -> Option<usize> {
        self.who
    }

    fn is_about(&self, from: usize, to: usize, packet: &[u8]) -> bool {
        let between = match (self.who, self.direction) {
            (None, _) => true,
            (Some(who), Direction::Both) => who == from || who == to,
            (Some(who), Direction::To) => who == to,
            (Some(who), Direction::From) => who == from,
        };
        between && self.wanted.is_none_or(|wanted| matcher::has(packet, wanted))
    }

    /// What becomes of a datagram from one port to another; `None`: nothing, it is not about it.
    pub(super) fn fate(&mut self, now: Instant, from: usize, to: usize, packet: &[u8]) -> Option<Fate> {
        if !self.is_about(from, to, packet) {
            return None;
        }
        self.serial += 1;
        let first = self.serial * DRAWS;
        let draw = |which: u64| (random(self.seed, first + which) >> 11) as f64 / (1_u64 << 53) as f64;
        let Impairment { loss_percent, duplicate_percent, reorder_percent, .. } = self.impairment;
        if draw(0) * 100.0 < loss_percent {
            return Some(Fate::Lost);
        }
        let twice = draw(1) * 100.0 < duplicate_percent;
        if draw(2) * 100.0 < reorder_percent {
            return Some(Fate::Goes { extra: Duration::ZERO, twice, overtakes: true });
        }
        let mut due = now + self.delay;
        if !self.jitter.is_zero() {
            due += self.jitter.mul_f64(draw(3));
            let last = self.last.entry((from, to)).or_insert(due);
            due = due.max(*last);
            *last = due;
        }
        Some(Fate::Goes { extra: due - now, twice, overtakes: false })
    }
}

#[cfg(test)]
mod tests {
    use super::super::matcher::tests::packet;
    use super::*;

    fn rule(impairment: Impairment, seed: u64) -> Rule {
        Rule::new(None, Direction::Both, impairment, seed)
    }

    /// What becomes of 10,000 datagrams, one each 10 µs.
    fn fates(rule: &mut Rule) -> Vec<(Instant, Fate)> {
        let start = Instant::now();
        let times = (0..10_000).map(|index| start + Duration::from_micros(10 * index));
        times.map(|now| (now, rule.fate(now, 0, 1, b"x").unwrap())).collect()
    }

    /// The same whenever it began.
    fn only(fates: &[(Instant, Fate)]) -> Vec<Fate> {
        fates.iter().map(|(_, fate)| *fate).collect()
    }

    #[test]
    fn each_chance_is_as_asked_and_the_same_again() {
        let poor = Impairment {
            loss_percent: 5.0,
            delay_ms: 2.0,
            duplicate_percent: 10.0,
            reorder_percent: 20.0,
            ..Impairment::default()
        };
        let seen = only(&fates(&mut rule(poor.clone(), 7)));
        assert_eq!(seen, only(&fates(&mut rule(poor.clone(), 7))));
        assert_ne!(seen, only(&fates(&mut rule(poor, 8))));
        let count = |what: fn(&Fate) -> bool| seen.iter().filter(|fate| what(fate)).count();
        let lost = count(|fate| *fate == Fate::Lost);
        assert!((400..=600).contains(&lost), "{lost}");
        let twice = count(|fate| matches!(fate, Fate::Goes { twice: true, .. }));
        assert!((800..=1_100).contains(&twice), "{twice}");
        let overtake = count(|fate| matches!(fate, Fate::Goes { overtakes: true, extra: Duration::ZERO, .. }));
        assert!((1_750..=2_050).contains(&overtake), "{overtake}");
        let wait = count(
            |fate| matches!(fate, Fate::Goes { overtakes: false, extra, .. } if *extra == Duration::from_millis(2)),
        );
        assert_eq!(lost + overtake + wait, 10_000);
    }

    #[test]
    fn jitter_keeps_the_order() {
        let ms = Duration::from_millis;
        let seen = fates(&mut rule(Impairment { delay_ms: 1.0, jitter_ms: 5.0, ..Impairment::default() }, 3));
        let due: Vec<Instant> = seen
            .iter()
            .map(|(now, fate)| match fate {
                Fate::Goes { extra, .. } => *now + *extra,
                Fate::Lost => panic!("nothing is to be lost"),
            })
            .collect();
        assert!(due.is_sorted());
        assert!(seen.iter().zip(&due).all(|((now, _), due)| *due >= *now + ms(1) && *due <= *now + ms(6)));
        assert!(seen.windows(2).any(|pair| pair[0].1 != pair[1].1), "it does vary");
    }

    #[test]
    fn only_what_it_is_about() {
        let now = Instant::now();
        let all = Impairment { loss_percent: 100.0, ..Impairment::default() };
        for (direction, from_it, to_it) in
            [(Direction::Both, true, true), (Direction::To, false, true), (Direction::From, true, false)]
        {
            let mut rule = Rule::new(Some(4), direction, all.clone(), 1);
            let mut lost = |from, to| rule.fate(now, from, to, b"x") == Some(Fate::Lost);
            assert_eq!((lost(4, 1), lost(1, 4), lost(1, 2)), (from_it, to_it, false), "{direction:?}");
        }
        let mut beats = rule(Impairment { message: Some("BEAT".into()), ..all }, 1);
        assert_eq!(beats.fate(now, 0, 1, &packet(&[(3, 3, &[1, 0, 1, 1])])), None);
        assert_eq!(beats.fate(now, 0, 1, &packet(&[(3, 3, &[1, 0, 3, 3])])), Some(Fate::Lost));
    }
}
