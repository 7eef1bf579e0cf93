//! PEs that are reached over associations the server opens: taken over, or reported and another server's.

use super::*;

const PEER: ServerId = ServerId(0x2222_2222);

/// What the server wants, in short: Connect with the SCTP port it goes to, a keep-alive with its H flag, Close.
#[derive(Debug, PartialEq)]
enum Out {
    Connect(u64, u16),
    KeepAlive(u64, bool),
    Close(u64),
    Other(u64, Message),
}

impl Lab {
    fn wants(&mut self) -> Vec<Out> {
        let outputs = std::iter::from_fn(|| self.server.poll_output());
        outputs
            .map(|output| match output {
                Output::Connect { attempt, to, .. } => Out::Connect(attempt.0 - (1 << 63), to.port),
                Output::Close { client } => Out::Close(client.0),
                Output::Asap { client, bytes } => {
                    let message = Message::decode(&bytes, &WireLimits::default()).unwrap().message;
                    if let Message::EndpointKeepAlive { home, server: SERVER, .. } = message {
                        Out::KeepAlive(client.0, home)
                    } else {
                        Out::Other(client.0, message)
                    }
                }
                Output::Enrp { .. } | Output::Multicast { .. } => panic!("{output:?}"),
            })
            .collect()
    }

    /// Lets time pass, timer by timer; what was wanted in it.
    fn wait(&mut self, milliseconds: u64) -> Vec<(u64, Out)> {
        let (start, end) = (self.now, self.now + ms(milliseconds));
        let mut out = Vec::new();
        while let Some(at) = self.server.poll_timeout().filter(|&at| at <= end) {
            self.now = self.now.max(at);
            self.server.handle_timeout(self.now);
            let elapsed = u64::try_from((self.now - start).as_millis()).unwrap();
            out.extend(self.wants().into_iter().map(|out| (elapsed, out)));
        }
        self.now = end;
        out
    }

    /// A PE of the peer's, known by its updates. Its ASAP transport has port 4000 + n.
    fn learn(&mut self, n: u64) -> Slot {
        self.learn_at(n, Some(4_000 + u16::try_from(n).unwrap()))
    }

    fn learn_at(&mut self, n: u64, port: Option<u16>) -> Slot {
        let asap_transport = port.map(|port| SctpTransport { port, ..transport(n) });
        let element = PoolElement { home: PEER, asap_transport, ..element(n) };
        self.server.handlespace.add(&pool(), element).unwrap().0
    }

    fn up(&mut self, attempt: u64, client: u64) -> Vec<Out> {
        self.server.connected(self.now, Attempt((1 << 63) + attempt), ClientId(client), &source(client));
        self.wants()
    }

    fn tell(&mut self, client: u64, message: &Message) -> Vec<Out> {
        let bytes = message.encode().unwrap();
        self.server.handle_message(self.now, ClientId(client), &source(client), &bytes);
        self.wants()
    }

    fn failed(&mut self, attempt: u64) -> Vec<Out> {
        self.server.connect_failed(self.now, Attempt((1 << 63) + attempt));
        self.wants()
    }

    fn home(&self, n: u64) -> Option<ServerId> {
        self.server.handlespace().element(&pool(), pe(n)).map(|element| element.registered().home)
    }
}

fn report(n: u64) -> Message {
    Message::EndpointUnreachable { handle: pool(), pe_id: pe(n) }
}

fn gone(n: u64) -> Event {
    Event::Deregistered { handle: pool(), pe: pe(n), cause: RemovalCause::SendFailed }
}

#[test]
fn a_pe_that_is_taken_over_is_told_and_then_supervised_as_ever() {
    let mut lab = Lab::new(|c| c.keep_alive_timeout_ms = 100);
    let slot = lab.learn(1);
    lab.server.take_over(lab.now, vec![slot], 1_000);
    assert_eq!(lab.home(1), Some(SERVER));
    assert_ne!(lab.server.handlespace().checksum(SERVER).value(), 0xffff);
    assert_eq!(lab.wait(0), [(0, Out::Connect(1, 4_001))]);
    assert_eq!(listed(&lab.ask(9, &resolution(false, None))).1, [1], "selected as before");
    assert_eq!(lab.up(1, 50), [Out::KeepAlive(50, true)]);
    // Not answered: asked again, still with H = 1.
    assert_eq!(lab.wait(100), [(100, Out::KeepAlive(50, true))]);
    assert_eq!(lab.tell(50, &ack(1)), []);
    assert_eq!((lab.server.counters().taken_over, lab.server.counters().rehomed), (1, 1));
    let next = lab.wait(1_500);
    assert_eq!(next.first().map(|(_, out)| out), Some(&Out::KeepAlive(50, false)), "{next:?}");
    // It ends with its association, and leaves nothing.
    lab.server.client_lost(lab.now, ClientId(50), true);
    assert!(!lab.is_there(1));
    assert_eq!((lab.wants(), lab.server.poll_timeout()), (vec![], None));
    assert!(lab.server.clients.len() == 1, "the user: {:?}", lab.server.clients);
}

#[test]
fn the_pace_is_kept_and_pes_at_one_transport_share_a_way() {
    let mut lab = Lab::new(|c| c.keep_alive_interval_ms = 0);
    let slots = (1..=21).map(|n| lab.learn(n)).collect();
    lab.server.take_over(lab.now, slots, 100);
    let connects: Vec<u64> = lab.wait(1_000).into_iter().map(|(at, _)| at).collect();
    assert_eq!(connects.len(), 21);
    // A hundredth of a second each, but for what may come together.
    assert!(connects[20] >= 140 && connects[20] <= 200, "{connects:?}");
    let mut lab = Lab::new(|_| {});
    let slots = vec![lab.learn_at(1, Some(4_000)), lab.learn_at(2, Some(4_000))];
    // Other addresses, another way.
    lab.server.take_over(lab.now, slots, 1_000);
    assert_eq!(lab.wait(10).len(), 2);
    let other = PoolHandle::from("other");
    let at = |n| PoolElement {
        asap_transport: Some(SctpTransport { port: 4_001, ..transport(1) }),
        home: PEER,
        ..element(n)
    };
    let slots = vec![
        lab.server.handlespace.add(&other, at(1)).unwrap().0,
        lab.server.handlespace.add(&pool(), at(3)).unwrap().0,
    ];
    lab.server.take_over(lab.now, slots, 1_000);
    assert_eq!(lab.wait(10).len(), 1, "one way for two names of one process");
    assert_eq!(lab.up(3, 50), [Out::KeepAlive(50, true), Out::KeepAlive(50, true)]);
}

#[test]
fn what_cannot_be_reached_is_removed() {
    let mut lab = Lab::new(|c| {
        c.keep_alive_timeout_ms = 100;
        c.keep_alive_misses_max = 2;
    });
    let slots = vec![lab.learn(1), lab.learn_at(2, None), lab.learn(3)];
    lab.server.take_over(lab.now, slots, 1_000);
    assert_eq!(lab.wait(10), [(0, Out::Connect(1, 4_001)), (0, Out::Connect(2, 4_003))]);
    assert_eq!(lab.events(), [gone(2)], "no transport to reach it at");
    assert_eq!((lab.failed(1), lab.events()), (vec![], vec![gone(1)]));
    assert_eq!(lab.up(2, 50), [Out::KeepAlive(50, true)]);
    let asked = lab.wait(300);
    assert_eq!(asked[..2], [(100, Out::KeepAlive(50, true)), (200, Out::KeepAlive(50, true))]);
    assert!(matches!(
        asked[2..],
        [(300, Out::Other(50, Message::DeregistrationResponse { .. })), (300, Out::Close(50))]
    ));
    assert_eq!((lab.server.handlespace().pool_count(), lab.server.poll_timeout()), (0, None));
}

/// While it is its turn, while the way is opened, and after: the PE's own association counts, the way is not needed.
#[test]
fn a_pe_that_comes_by_itself_is_not_asked() {
    for step in 0..3 {
        let mut lab = Lab::new(|c| c.keep_alive_interval_ms = 0);
        let slots = vec![lab.learn(8), lab.learn(1)];
        lab.server.take_over(lab.now, slots, 1);
        assert_eq!(lab.wait(10).len(), 1, "8 is first");
        if step > 0 {
            lab.wait(2_000);
        }
        if step > 1 {
            assert_eq!(lab.up(2, 50), [Out::KeepAlive(50, true)]);
        }
        let answers = lab.tell(1, &registration(1));
        let granted = |out: &Out| matches!(out, Out::Other(1, Message::RegistrationResponse { reject: false, .. }));
        assert!(answers.iter().any(granted), "{answers:?}");
        match step {
            0 => assert_eq!(lab.wait(5_000), [], "its turn is gone"),
            1 => assert_eq!(lab.up(2, 50), [Out::Close(50)]),
            _ => assert!(answers.contains(&Out::Close(50))),
        }
        lab.failed(2);
        lab.server.client_lost(lab.now, ClientId(50), true);
        assert!(lab.is_there(1));
        // Its keep-alives are not those of a takeover.
        assert_eq!(lab.tell(9, &report(1)), [Out::KeepAlive(1, false)]);
    }
}

#[test]
fn a_pe_that_another_server_took_meanwhile_is_let_go() {
    let mut lab = Lab::new(|_| {});
    let slots = vec![lab.learn(1), lab.learn(2)];
    lab.server.take_over(lab.now, slots.clone(), 1_000);
    lab.wait(10);
    lab.up(1, 50);
    for slot in slots {
        lab.server.give_up(slot);
    }
    assert_eq!(lab.wants(), [Out::Close(50)]);
    assert_eq!(lab.up(2, 51), [Out::Close(51)]);
    assert!(lab.is_there(1) && lab.is_there(2), "they are in the handlespace");
    assert_eq!(lab.server.poll_timeout(), None);
    lab.server.client_lost(lab.now, ClientId(50), true);
    assert!(lab.is_there(1));
}

#[test]
fn a_reported_pe_does_not_wait_for_its_turn() {
    let mut lab = Lab::new(|_| {});
    let slots = vec![lab.learn(1), lab.learn(2)];
    lab.server.take_over(lab.now, slots, 1);
    assert_eq!(lab.wait(10).len(), 1);
    assert_eq!(lab.tell(9, &report(2)), [Out::Connect(2, 4_002)]);
    assert_eq!(lab.tell(9, &report(2)), [], "under way");
    assert_eq!(lab.up(2, 50), [Out::KeepAlive(50, true)]);
    assert!(lab.is_there(2));
}

#[test]
fn a_report_of_another_servers_pe_asks_it_over_an_association_of_its_own() {
    let mut lab = Lab::new(|c| {
        c.keep_alive_timeout_ms = 100;
        c.keep_alive_misses_max = 2;
    });
    for n in 1..=3 {
        lab.learn(n);
    }
    lab.learn_at(4, None);
    // It answers: retained, and no longer our business.
    assert_eq!(lab.tell(9, &report(1)), [Out::Connect(1, 4_001)]);
    assert_eq!(lab.tell(9, &report(1)), [], "it is being asked");
    assert_eq!(lab.up(1, 50), [Out::KeepAlive(50, false)]);
    assert_eq!(lab.tell(51, &ack(1)), [], "somebody else's answer");
    assert_eq!(lab.tell(50, &ack(1)), [Out::Close(50)]);
    assert_eq!((lab.home(1), lab.server.poll_timeout()), (Some(PEER), None));
    // No association to be had: removed.
    lab.tell(9, &report(2));
    assert_eq!((lab.failed(2), lab.events()), (vec![], vec![gone(2)]));
    // Silence: removed. The same if the association ends.
    lab.tell(9, &report(3));
    assert_eq!(lab.up(3, 52), [Out::KeepAlive(52, false)]);
    assert_eq!(lab.wait(300), [(300, Out::Close(52))]);
    assert_eq!(lab.events(), [gone(3)]);
    lab.learn(3);
    lab.tell(9, &report(3));
    lab.up(4, 53);
    lab.server.client_lost(lab.now, ClientId(53), false);
    assert_eq!(lab.events(), [gone(3)]);
    // Nowhere to ask.
    assert_eq!(lab.tell(9, &report(4)), []);
    let counters = lab.server.counters();
    assert_eq!(
        (counters.probes, counters.probes_answered, counters.reports_unknown, counters.keep_alive_acks_stray),
        (4, 1, 1, 1)
    );
    assert_eq!(lab.server.poll_timeout(), None);
}

#[test]
fn few_pes_of_others_are_asked_at_a_time() {
    let mut lab = Lab::new(|_| {});
    for n in 1..=100 {
        lab.learn(n);
        lab.tell(n + 100, &report(n));
    }
    assert_eq!((lab.server.counters().probes, lab.server.counters().probes_limited), (64, 36));
}

/// Anything in any order, by seed: nothing is asked of who is not there, and when all is over nothing is left.
#[test]
fn whatever_happens_in_whatever_order_nothing_is_left_behind() {
    for seed in 0..300 {
        let mut lab = Lab::new(|c| {
            c.keep_alive_timeout_ms = 50;
            c.keep_alive_misses_max = 1;
            c.keep_alive_gap_ms = 1;
        });
        let mut dice = Rng::new(seed);
        let mut attempts: Vec<u64> = Vec::new();
        let mut clients: BTreeSet<u64> = BTreeSet::new();
        for step in 0..200 {
            let n = 1 + dice.below(6);
            let slot = lab.server.handlespace().find(&pool(), pe(n));
            match dice.below(9) {
                0 if slot.is_none() => drop(lab.learn_at(n, Some(4_000 + u16::try_from(n / 2).unwrap()))),
                1 => slot.into_iter().for_each(|slot| lab.server.take_over(lab.now, vec![slot], 50)),
                2 => slot.into_iter().for_each(|slot| {
                    lab.server.give_up(slot);
                    lab.server.handlespace.set_home(slot, PEER);
                }),
                3 => {
                    let bytes = report(n).encode().unwrap();
                    lab.server.handle_message(lab.now, ClientId(9), &source(9), &bytes);
                }
                4 => {
                    clients.insert(n);
                    let bytes = registration(n).encode().unwrap();
                    lab.server.handle_message(lab.now, ClientId(n), &source(n), &bytes);
                }
                5 if !attempts.is_empty() => {
                    let attempt = attempts.swap_remove(0);
                    let client = 1_000 + step;
                    clients.insert(client);
                    lab.server.connected(lab.now, Attempt(attempt), ClientId(client), &source(1));
                }
                6 if !attempts.is_empty() => {
                    let attempt = attempts.pop().unwrap();
                    lab.server.connect_failed(lab.now, Attempt(attempt));
                }
                7 => {
                    let at = dice.below(clients.len().max(1) as u64) as usize;
                    if let Some(&client) = clients.iter().nth(at) {
                        clients.remove(&client);
                        lab.server.client_lost(lab.now, ClientId(client), true);
                    }
                }
                _ => {
                    for &client in &clients {
                        let bytes = ack(n).encode().unwrap();
                        lab.server.handle_message(lab.now, ClientId(client), &source(client.min(200)), &bytes);
                    }
                    lab.now += ms(dice.below(60));
                    lab.server.handle_timeout(lab.now);
                }
            }
            while let Some(output) = lab.server.poll_output() {
                match output {
                    Output::Connect { attempt, .. } => attempts.push(attempt.0),
                    Output::Asap { client, .. } => {
                        assert!(client.0 == 9 || clients.contains(&client.0), "seed {seed}: {client:?} is not there");
                    }
                    Output::Close { client } => {
                        assert!(clients.remove(&client.0), "seed {seed}: closed twice");
                        lab.server.client_lost(lab.now, client, true);
                    }
                    Output::Enrp { .. } | Output::Multicast { .. } => panic!("seed {seed}: {output:?}"),
                }
            }
            let owned =
                |slot: &Slot| lab.server.handlespace().get(*slot).is_some_and(|e| e.registered().home == SERVER);
            assert!(lab.server.supervised.keys().all(owned), "seed {seed}: what is supervised is ours");
        }
        // It ends: what is connecting fails, who is there leaves, and time passes.
        for _ in 0..3 {
            attempts.drain(..).for_each(|attempt| lab.server.connect_failed(lab.now, Attempt(attempt)));
            for client in std::mem::take(&mut clients) {
                lab.server.client_lost(lab.now, ClientId(client), true);
            }
            lab.now += Duration::from_secs(60);
            lab.server.handle_timeout(lab.now);
            while let Some(output) = lab.server.poll_output() {
                if let Output::Connect { attempt, .. } = output {
                    attempts.push(attempt.0);
                }
            }
        }
        assert!(lab.server.supervised.is_empty(), "seed {seed}");
        assert_eq!(lab.server.poll_timeout(), None, "seed {seed}");
        assert!(lab.server.ways.is_empty(), "seed {seed}: {:?}", lab.server.ways);
    }
}
