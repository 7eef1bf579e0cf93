//! Anything in any order: controllers that come, lie, leave and die while groups move, with little room everywhere. Between two steps
//! every account is right ([`Bench::on`] looks); when all are honest again, everything is served.

use super::bench::{Bench, Got};
use crate::group::Owner;
use sctp::{AssocId, CloseReason};

/// Random numbers, the same for the same seed.
struct Dice(u64);

impl Dice {
    fn below(&mut self, below: u64) -> u64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % below
    }

    fn cic(&mut self) -> u16 {
        32 * self.below(12) as u16 + self.below(2) as u16
    }
}

fn present(bench: &Bench) -> Vec<AssocId> {
    bench.pool.controllers.keys().copied().collect()
}

fn start(bench: &mut Bench, assoc: AssocId) {
    bench.up(assoc);
    let pe = bench.wire.connects.iter().find(|(id, _)| *id == assoc).map(|(_, ip)| *ip).unwrap();
    let std::net::IpAddr::V4(ip) = pe else { panic!("IPv4") };
    bench.asp_up(assoc, ip.octets()[3].into());
    bench.lease(assoc, 280);
    bench.asp_active(assoc);
}

/// What it was sent, as an honest controller answers it: cookies for DATA, echoes in order.
fn honest(bench: &mut Bench, assoc: AssocId) {
    for got in bench.all(assoc) {
        if !bench.pool.controllers.contains_key(&assoc) {
            return;
        }
        match &got {
            Got::Data(sequence, text) => {
                let cic = u16::from_le_bytes([text[0], text[1]]);
                bench.output(assoc, cic, text[2]);
                bench.cookie(assoc, cic, *sequence, b"calls");
            }
            Got::Barrier(_) | Got::Liveness(_) | Got::Release(_) => bench.echo(assoc, &got),
            Got::CookieEcho(_) | Got::LeaseEcho | Got::Other(_) => {}
        }
    }
    bench.lease(assoc, 280);
}

fn step(bench: &mut Bench, dice: &mut Dice) {
    let all = present(bench);
    let any = (!all.is_empty()).then(|| all[dice.below(all.len().max(1) as u64) as usize]);
    let what = dice.below(80);
    match (what, any) {
        (0..=15, _) => {
            let kind = if dice.below(3) == 0 { 1 } else { 100 };
            let cic = dice.cic();
            bench.offer(cic, kind);
        }
        (16, _) => {
            let pe = 1 + dice.below(5) as u8;
            let location = crate::pool::Location { addresses: vec![[127, 0, 1, pe].into()], port: 2905 };
            bench.on(|pool, cx| pool.element_there(cx, pe.into(), location));
        }
        (17, _) => {
            let pe = 1 + dice.below(5) as u32;
            bench.on(|pool, cx| pool.element_gone(cx, pe));
        }
        (18, _) => bench.pass(dice.below(40)),
        (19, _) => bench.pass(dice.below(500)),
        (20, _) => bench.wire.room = (dice.below(2) == 0).then(|| dice.below(20) as usize),
        (21..=27, Some(assoc)) => honest(bench, assoc),
        (28, Some(assoc)) => {
            if dice.below(3) > 0 {
                return;
            }
            let reasons = [CloseReason::Unreachable, CloseReason::Silent, CloseReason::Shutdown];
            bench.close(assoc, &reasons[dice.below(3) as usize]);
        }
        (29..=31, Some(assoc)) => start(bench, assoc),
        (32, Some(assoc)) => bench.asp_inactive(assoc),
        (33, Some(assoc)) => bench.asp_down(assoc),
        (34, Some(assoc)) => bench.asp_active(assoc),
        (35, Some(assoc)) => bench.lease(assoc, [1, 280, 4_999, 5_001, u32::MAX][dice.below(5) as usize]),
        (36, Some(assoc)) => bench.output(assoc, dice.cic(), b'x'),
        (37, Some(assoc)) => bench.cookie(assoc, dice.cic(), dice.below(30) as u32, b"what it likes"),
        (38, Some(assoc)) => bench.echo(assoc, &Got::Release(dice.below(13) as u16)),
        (39, Some(assoc)) => bench.echo(assoc, &Got::Barrier(dice.below(4) << 16 | dice.below(5))),
        (_, None) => bench.pass(10),
        (40..=44, Some(_)) => bench.wire.room = None,
        (45..=54, Some(_)) => {
            for assoc in all {
                if bench.pool.controllers.get(&assoc).is_some_and(|c| c.streams == 0) {
                    start(bench, assoc);
                }
            }
        }
        (55.., Some(_)) => {
            bench.pass(dice.below(10));
            for assoc in all {
                if dice.below(8) > 0 && bench.pool.controllers.contains_key(&assoc) {
                    honest(bench, assoc);
                }
            }
        }
    }
}

/// All are honest: in the end nothing waits, and who has calls has an owner.
fn settle(bench: &mut Bench, seed: u64) {
    bench.wire.room = None;
    let location = crate::pool::Location { addresses: vec![[127, 0, 1, 9].into()], port: 2905 };
    bench.on(|pool, cx| pool.element_there(cx, 9, location.clone()));
    for _ in 0..3_000 {
        for assoc in present(bench) {
            if bench.pool.controllers.get(&assoc).is_some_and(|c| c.streams == 0) {
                start(bench, assoc);
            }
            if bench.pool.controllers.contains_key(&assoc) {
                honest(bench, assoc);
            }
        }
        bench.pass(10);
    }
    let groups = &bench.pool.groups;
    assert!(bench.pool.is_idle(), "seed {seed}: {groups:?}");
    let orphan = groups.iter().find(|g| g.cookie().is_some() && !matches!(g.owner, Owner::Controller(_)));
    assert!(orphan.is_none(), "seed {seed}: {orphan:?}");
    assert_eq!(bench.pool.moves.outstanding(), 0, "seed {seed}");
    let shares = bench.groups_of(&present(bench));
    assert_eq!(bench.pool.state_bytes, groups.iter().map(crate::group::Group::state_bytes).sum::<usize>());
    assert!(!shares.is_empty());
}

#[test]
fn whatever_happens_every_account_is_right_and_in_the_end_all_is_served() {
    let seeds: u64 = std::env::var("SIGPOOL_SEEDS").ok().and_then(|n| n.parse().ok()).unwrap_or(20);
    for seed in 1..=seeds {
        let mut dice = Dice(seed);
        let mut bench = Bench::new(|server, failover| {
            server.unconfirmed_max = 1 + seed as usize % 9;
            server.queue_messages_max = 80;
            server.groups_max = 9;
            server.t_r_ms = 100 + seed % 5 * 500;
            failover.moves_outstanding_max = 1 + seed as usize % 3;
            failover.rebalance_after_ms = 1 + seed % 60;
        });
        for _ in 0..800 {
            step(&mut bench, &mut dice);
        }
        settle(&mut bench, seed);
    }
}
