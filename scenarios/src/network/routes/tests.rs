//! Two gateways in virtual time: what each was sent, in the order of its streams, and what it echoes.

use super::*;
use crate::network::source::{Label, Outgoing};
use bytes::Bytes;
use std::collections::VecDeque;

const OPC: u32 = 101;
const DPC: u32 = 2;

/// What a gateway got on a stream.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Sent {
    Data(u32, CorrelationId),
    Barrier(u64),
}

/// A source and two gateways.
struct World {
    routes: Routes,
    now: Instant,
    late: VecDeque<Due>,
    /// Of each gateway, with the stream.
    sent: [Vec<(u16, Sent)>; GATEWAYS],
    serial: u32,
}

/// The number in the user data.
fn number(due: &Due) -> u32 {
    u32::from_be_bytes(due.outgoing.user_data[..4].try_into().unwrap())
}

impl World {
    fn new() -> Self {
        let mut world = Self {
            routes: Routes::new(7, SccpAffinity::Sls),
            now: Instant::now(),
            late: VecDeque::new(),
            sent: Default::default(),
            serial: 0,
        };
        world.active(0, true);
        world.active(1, true);
        world
    }

    fn active(&mut self, gateway: usize, active: bool) {
        self.routes.set_active(self.now, gateway, active);
        self.work();
    }

    /// A message of SI 3, whose group is its SLS.
    fn offer(&mut self, sls: u8) -> u32 {
        self.serial += 1;
        let label = Label { opc: OPC, dpc: DPC, si: 3, ni: 2, mp: 0, sls };
        let user_data = Bytes::copy_from_slice(&self.serial.to_be_bytes());
        self.late.push_back(Due::new(Outgoing { intended: self.now, label, user_data }));
        self.work();
        self.serial
    }

    fn work(&mut self) {
        for gateway in 0..GATEWAYS {
            while let Some((stream, id)) = self.routes.poll_barrier(self.now, gateway) {
                self.sent[gateway].push((stream, Sent::Barrier(id)));
            }
        }
        while let Some(gateway) = self.routes.silent(self.now) {
            self.lose(gateway);
        }
        while let Some(mut due) = self.late.pop_front() {
            let Way::To(gateway) = self.routes.route(&mut due) else { return self.late.push_front(due) };
            let stream = 1 + u16::from(due.outgoing.label.sls);
            self.sent[gateway].push((stream, Sent::Data(number(&due), due.stamp.unwrap().id)));
            self.routes.sent(self.now, gateway, stream, due);
        }
    }

    fn lose(&mut self, gateway: usize) {
        let again = self.routes.lost(gateway);
        again.into_iter().rev().for_each(|due| self.late.push_front(due));
        self.work();
    }

    fn pass(&mut self, ms: u64) {
        self.now += Duration::from_millis(ms);
        self.work();
    }

    /// The gateway echoes all barriers it has got so far, and forgets.
    fn echo(&mut self, gateway: usize) {
        for (_, sent) in std::mem::take(&mut self.sent[gateway]) {
            if let Sent::Barrier(id) = sent {
                self.routes.echoed(gateway, id);
            }
        }
        self.work();
    }

    /// Numbers of the messages that a gateway got since it last echoed.
    fn data(&self, gateway: usize) -> Vec<u32> {
        let number = |(_, sent): &(u16, Sent)| if let Sent::Data(number, _) = sent { Some(*number) } else { None };
        self.sent[gateway].iter().filter_map(number).collect()
    }

    /// An SLS whose group prefers this gateway.
    fn sls(&self, gateway: usize) -> u8 {
        let prefers = |sls: &u8| {
            let group = GroupKey { opc: OPC, dpc: DPC, si: 3, sls: *sls, cic_block: 0xffff };
            (group.stable_hash() >> 31) as usize == gateway
        };
        (0..16).find(prefers).unwrap()
    }
}

#[test]
fn a_gateway_that_becomes_active_gets_a_barrier_on_stream_1() {
    let world = World::new();
    for gateway in 0..GATEWAYS {
        assert_eq!(world.sent[gateway], [(1, Sent::Barrier(1 << 16 | 1))]);
    }
}

#[test]
fn groups_are_spread_and_accepted_by_barriers() {
    let mut world = World::new();
    (0..GATEWAYS).for_each(|gateway| world.echo(gateway));
    let all: Vec<u32> = (0..16).map(|sls| world.offer(sls)).collect();
    assert!((0..GATEWAYS).all(|gateway| world.data(gateway).len() > 3), "both get some");
    assert_eq!(world.routes.unaccepted(), all.len());
    assert_eq!(world.routes.poll_timeout(), Some(world.now + Duration::from_millis(5)));
    world.pass(5);
    // One on each stream, with the stream in its id, behind the data.
    for gateway in 0..GATEWAYS {
        let barriers = world.sent[gateway].iter().filter(|(_, sent)| matches!(sent, Sent::Barrier(_)));
        assert!(
            barriers.clone().all(|(stream, sent)| matches!(sent, Sent::Barrier(id) if (id & 0xffff) as u16 == *stream))
        );
        assert_eq!(barriers.count(), world.data(gateway).len());
        world.echo(gateway);
    }
    assert_eq!((world.routes.unaccepted(), world.routes.poll_timeout()), (0, None));
}

#[test]
fn a_barrier_covers_what_came_before_it_and_no_other_one_follows_before_its_echo() {
    let mut world = World::new();
    let sls = world.sls(0);
    world.echo(0);
    world.offer(sls);
    world.pass(5);
    world.offer(sls);
    world.pass(50);
    assert_eq!(world.sent[0].iter().filter(|(_, sent)| matches!(sent, Sent::Barrier(_))).count(), 1);
    world.echo(0);
    assert_eq!(world.routes.unaccepted(), 1, "the second came after the barrier");
    assert!(matches!(world.sent[0][..], [(_, Sent::Barrier(_))]), "its own is late and goes at once");
    world.echo(0);
    assert_eq!(world.routes.unaccepted(), 0);
}

#[test]
fn an_echo_that_nobody_waits_for_accepts_nothing() {
    let mut world = World::new();
    let sls = world.sls(0);
    world.offer(sls);
    for id in [0, 1 << 16, u64::MAX, 9 << 16 | u64::from(sls + 1)] {
        world.routes.echoed(0, id);
        world.routes.echoed(1, id);
    }
    assert_eq!(world.routes.unaccepted(), 1);
}

#[test]
fn what_a_lost_gateway_had_not_accepted_goes_to_the_other_one_with_its_old_ids_before_anything_newer() {
    let mut world = World::new();
    let sls = world.sls(0);
    world.echo(0);
    world.offer(sls);
    world.pass(5);
    world.echo(0);
    let again = [world.offer(sls), world.offer(sls), world.offer(sls)];
    let old = world.sent[0].clone();
    world.lose(0);
    let newer = world.offer(sls);
    assert_eq!(world.data(1), [&again[..], &[newer]].concat());
    let at_other: Vec<_> = world.sent[1].iter().filter(|(_, sent)| matches!(sent, Sent::Data(..))).cloned().collect();
    assert_eq!(at_other[..3], old[..], "same ids");
}

#[test]
fn ids_rise_by_one_for_each_group_and_sls() {
    let mut world = World::new();
    let first = CorrelationId::start(15, 7).next();
    let of = |world: &World, number: u32| {
        let all = world.sent.iter().flatten();
        let mut found = all.filter_map(|(_, sent)| match sent {
            Sent::Data(found, id) if *found == number => Some(*id),
            Sent::Data(..) | Sent::Barrier(_) => None,
        });
        found.next().unwrap()
    };
    let numbers = [world.offer(1), world.offer(1), world.offer(2)];
    assert_eq!(numbers.map(|number| of(&world, number)), [first, first.next(), first]);
}

#[test]
fn a_gateway_that_comes_back_gets_a_group_when_the_other_one_accepted_all_of_it() {
    let mut world = World::new();
    let sls = world.sls(0);
    world.lose(0);
    world.echo(1);
    let kept = [world.offer(sls), world.offer(sls)];
    world.active(0, true);
    let third = world.offer(sls);
    assert_eq!(world.data(1), [kept[0], kept[1], third], "it is unaccepted there");
    world.pass(5);
    world.echo(1);
    world.echo(0);
    let fourth = world.offer(sls);
    assert_eq!((world.data(0), world.data(1)), (vec![fourth], vec![]));
}

#[test]
fn a_gateway_that_accepts_nothing_is_given_up_if_the_other_one_is_there() {
    let mut world = World::new();
    let sls = world.sls(0);
    (0..GATEWAYS).for_each(|gateway| world.echo(gateway));
    let number = world.offer(sls);
    world.pass(5);
    assert_eq!(world.routes.poll_timeout(), Some(world.now + Duration::from_millis(395)));
    world.pass(394);
    assert!(world.data(1).is_empty());
    world.pass(1);
    assert_eq!(world.data(1), [number]);
    // The other one is alone now, however long it takes.
    world.pass(5);
    world.pass(5_000);
    assert_eq!((world.routes.unaccepted(), world.data(1)), (1, vec![number]));
    world.echo(1);
    assert_eq!(world.routes.unaccepted(), 0);
}

#[test]
fn without_any_gateway_messages_wait_in_order_and_both_losses_are_sent_again() {
    let mut world = World::new();
    let (first, second) = (world.sls(0), world.sls(1));
    let one = [world.offer(first), world.offer(first)];
    let other = [world.offer(second), world.offer(second)];
    world.lose(0);
    world.lose(1);
    let late = world.offer(first);
    (0..GATEWAYS).for_each(|gateway| world.echo(gateway));
    assert_eq!(world.late.len(), 5);
    world.active(1, true);
    let got = world.data(1);
    let of = |wanted: &[u32]| got.iter().filter(|number| wanted.contains(number)).copied().collect::<Vec<_>>();
    assert_eq!((of(&one), of(&other), got.len()), (one.to_vec(), other.to_vec(), 5));
    assert_eq!(got.last(), Some(&late));
}

#[test]
fn copies_are_bounded_and_what_is_beyond_waits() {
    let mut world = World::new();
    for _ in 0..UNACCEPTED_MAX + 3 {
        world.offer(1);
    }
    assert_eq!((world.routes.unaccepted(), world.late.len()), (UNACCEPTED_MAX, 3));
    world.pass(5);
    (0..GATEWAYS).for_each(|gateway| world.echo(gateway));
    assert_eq!((world.routes.unaccepted(), world.late.len()), (3, 0));
}

#[test]
fn what_the_pool_sent_is_taken_once_whichever_gateway_brings_it() {
    let mut routes = Routes::new(1, SccpAffinity::Sls);
    let user_data = [9, 9, 9, 9];
    let message = |sls| ProtocolData { opc: DPC, dpc: OPC, si: 3, ni: 2, mp: 0, sls, user_data: &user_data };
    let first = CorrelationId::start(1, 4).next();
    let mut takes = |sls, id: CorrelationId| routes.takes(&message(sls), Some(id.0));
    assert!(takes(1, first));
    assert!(!takes(1, first), "the other gateway sends it again");
    assert!(takes(1, first.next()));
    assert!(!takes(1, first));
    assert!(takes(2, first), "another SLS counts on its own");
    assert!(takes(1, CorrelationId::start(2, 4).next()), "the other gateway's own count");
    assert!(routes.takes(&message(1), None) && routes.takes(&message(1), None), "no id: as ever");
}

#[test]
fn dialogues_are_counted_by_their_groups_where_the_gateways_do_so() {
    let message = |bits| {
        // End to the transaction with these low bits.
        vec![9, 1, 3, 5, 7, 2, 0x42, 250, 2, 0x42, 251, 5, 0x64, 3, 0x49, 1, bits]
    };
    let first = CorrelationId::start(1, 4).next();
    let take = |affinity, bits: [u8; 2]| {
        let mut routes = Routes::new(1, affinity);
        bits.map(|bits| {
            let user_data = message(bits);
            let message = ProtocolData { opc: DPC, dpc: OPC, si: 3, ni: 2, mp: 0, sls: 1, user_data: &user_data };
            routes.takes(&message, Some(first.0))
        })
    };
    assert_eq!(take(SccpAffinity::Tcap, [5, 6]), [true, true], "each group begins with the first id");
    assert_eq!(take(SccpAffinity::Tcap, [5, 5 + 64]), [true, false], "one group");
    assert_eq!(take(SccpAffinity::Sls, [5, 6]), [true, false]);
}
