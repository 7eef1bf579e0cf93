//! RFC 5352 sections 3.4 and 3.5, and lost associations.

use super::*;

fn is_keep_alive(message: &Message) -> bool {
    let expected = Message::EndpointKeepAlive { home: false, server: SERVER, handle: pool(), pe_id: None };
    *message == expected
}

fn deregistered(n: u64, cause: RemovalCause) -> Event {
    Event::Deregistered { handle: pool(), pe: pe(n), cause }
}

fn silent(n: u64) -> Event {
    Event::Suspended { handle: pool(), pe: pe(n), reason: SuspensionReason::Silent }
}

/// Lets time pass while every PE answers its keep-alives at once; gives the times of the keep-alives.
fn pass_alive(lab: &mut Lab, milliseconds: u64) -> Vec<(u64, u64)> {
    let mut times = Vec::new();
    for at in 0..milliseconds {
        for (_, client, message) in lab.pass(1) {
            assert!(is_keep_alive(&message), "{message:?}");
            times.push((at, client));
            assert_eq!(lab.send(client, &ack(client)), []);
        }
    }
    times
}

#[test]
fn keep_alives_are_spread() {
    let mut lab = Lab::new(|c| {
        c.keep_alive_interval_max_ms = 0;
        c.keep_alives_per_s_max = 200;
    });
    (1..=50).for_each(|n| lab.register(n));
    let times = pass_alive(&mut lab, 20_000);
    // 50 PEs, one a second each on average.
    assert!((900..1_100).contains(&times.len()), "{}", times.len());
    for pe in 1..=50 {
        let own: Vec<u64> = times.iter().filter(|(_, client)| *client == pe).map(|(at, _)| *at).collect();
        let gaps: Vec<u64> = own.windows(2).map(|pair| pair[1] - pair[0]).collect();
        assert!(gaps.iter().all(|gap| (499..=1_501).contains(gap)), "plus or minus 50 percent: {gaps:?}");
        assert!(gaps.iter().max().unwrap() - gaps.iter().min().unwrap() > 300, "varied: {gaps:?}");
    }
    // No burst: nowhere more than a fifth of them in 20 ms.
    for start in (0..20_000).step_by(20) {
        let burst = times.iter().filter(|(at, _)| (start..start + 20).contains(at)).count();
        assert!(burst <= 10, "{burst} at {start} ms");
    }
    assert_eq!(lab.events(), []);
    assert_eq!(lab.server.counters().keep_alive_misses, 0);
}

#[test]
fn a_silent_pe_is_suspended_and_then_removed() {
    let mut lab = Lab::new(|c| {
        c.keep_alive_interval_ms = 100;
        c.keep_alive_timeout_ms = 80;
        c.keep_alive_misses_max = 2;
    });
    lab.register(1);
    let first = lab.pass(150);
    let sent = first[0].0;
    assert!((50..=150).contains(&sent), "{sent}");
    let rest = lab.pass(500);
    let to_pe: Vec<u64> = first.iter().map(|o| o.0).chain(rest.iter().map(|o| o.0 + 150)).collect();
    assert_eq!(to_pe, [sent, sent + 80, sent + 160, sent + 240], "asked again at each timeout, then told");
    let told = Message::DeregistrationResponse { handle: pool(), pe_id: pe(1), error: None };
    assert_eq!(rest.last().unwrap().2, told);
    assert_eq!(lab.events(), [silent(1), deregistered(1, RemovalCause::KeepAlive)]);
    assert_eq!(lab.server.poll_timeout(), None);
    let counters = lab.server.counters();
    assert_eq!((counters.keep_alives, counters.keep_alive_misses, counters.removed_keep_alive), (3, 3, 1));
}

#[test]
fn a_silent_pe_that_answers_is_up_again() {
    for answer in [ack(1), registration(1)] {
        let mut lab = Lab::new(|c| c.keep_alive_interval_ms = 100);
        lab.register(1);
        lab.pass(700);
        assert_eq!(lab.events(), [silent(1)]);
        assert_eq!(refused(&lab.ask(9, &resolution(false, None))).1, ErrorCause::LackOfResources);
        lab.send(1, &answer);
        assert!(lab.events().contains(&Event::Resumed { handle: pool(), pe: pe(1) }));
        assert_eq!(listed(&lab.ask(9, &resolution(false, None))).1, [1]);
        pass_alive(&mut lab, 2_000);
        assert!(lab.is_there(1));
    }
}

#[test]
fn only_misses_in_a_row_count() {
    let mut lab = Lab::new(|c| {
        c.keep_alive_interval_ms = 100;
        c.keep_alive_timeout_ms = 80;
        c.keep_alive_misses_max = 2;
    });
    lab.register(1);
    for _ in 0..10 {
        // One miss, at times two, and then an answer.
        lab.pass(240);
        lab.send(1, &ack(1));
    }
    assert!(lab.server.counters().keep_alive_misses >= 10);
    assert!(lab.is_there(1));
}

#[test]
fn answers_of_others_do_not_count() {
    let mut lab = Lab::new(|c| c.keep_alive_interval_ms = 100);
    lab.register(1);
    lab.pass(200);
    lab.send(2, &ack(1));
    lab.send(1, &ack(5));
    assert_eq!(lab.server.counters().keep_alive_acks_stray, 2);
    lab.pass(500);
    assert_eq!(lab.events(), [silent(1)]);
}

#[test]
fn registering_often_does_not_put_the_keep_alive_off() {
    let mut lab = Lab::new(|c| c.keep_alive_interval_ms = 100);
    lab.register(1);
    for _ in 0..20 {
        lab.pass(10);
        lab.register(1);
    }
    assert!(lab.server.counters().keep_alives > 0);
}

#[test]
fn a_report_asks_the_pe_at_once() {
    let report = Message::EndpointUnreachable { handle: pool(), pe_id: pe(1) };
    let mut lab = Lab::new(|c| c.keep_alive_interval_ms = 0);
    lab.register(1);
    let asked = lab.send(9, &report);
    assert_eq!(asked.len(), 1);
    assert!(asked[0].0 == 1 && is_keep_alive(&asked[0].1));
    // Within the gap it is asked once more at its end, not at once (RFC 5355 section 2.14).
    assert_eq!(lab.send(10, &report), []);
    let later = lab.pass(50);
    assert_eq!(later.iter().map(|(at, client, _)| (*at, *client)).collect::<Vec<_>>(), [(50, 1)]);
    lab.send(1, &ack(1));
    assert!(lab.is_there(1), "retained: it answers");
    // One user's word counts once, however often it is said.
    for _ in 0..20 {
        lab.pass(100);
        lab.send(9, &report);
        lab.send(1, &ack(1));
    }
    assert!(lab.is_there(1));
    lab.pass(100);
    lab.send(11, &report);
    lab.send(1, &ack(1));
    assert!(lab.is_there(1), "MAX-BAD-PE-REPORT is not exceeded by 3");
    lab.pass(100);
    let told = lab.send(12, &report);
    assert_eq!(lab.events(), [deregistered(1, RemovalCause::Reported)]);
    let gone = Message::DeregistrationResponse { handle: pool(), pe_id: pe(1), error: None };
    assert!(told.contains(&(1, gone)), "it lives, so it shall know and register again: {told:?}");
}

#[test]
fn a_registration_forgets_the_reports() {
    let report = Message::EndpointUnreachable { handle: pool(), pe_id: pe(1) };
    let mut lab = Lab::new(|_| {});
    lab.register(1);
    (9..12).for_each(|client| drop(lab.send(client, &report)));
    lab.register(1);
    (9..12).for_each(|client| drop(lab.send(client, &report)));
    assert!(lab.is_there(1));
    lab.send(12, &report);
    assert!(!lab.is_there(1));
}

#[test]
fn a_report_of_a_pe_that_cannot_be_asked_removes_it() {
    let mut lab = Lab::new(|c| c.remove_on_association_loss = false);
    lab.register(1);
    lab.server.client_lost(lab.now, ClientId(1), false);
    lab.events();
    lab.send(9, &Message::EndpointUnreachable { handle: pool(), pe_id: pe(1) });
    assert_eq!(lab.events(), [deregistered(1, RemovalCause::SendFailed)]);
}

#[test]
fn reports_are_limited_for_each_client() {
    let mut lab = Lab::new(|c| {
        c.reports_per_client_per_s = 2;
        c.max_bad_pe_report = 100;
    });
    lab.register(1);
    let report = |n| Message::EndpointUnreachable { handle: pool(), pe_id: pe(n) };
    (0..5).for_each(|_| drop(lab.send(9, &report(1))));
    lab.send(8, &report(77));
    let counters = *lab.server.counters();
    assert_eq!((counters.reports, counters.reports_limited, counters.reports_unknown), (2, 3, 1));
    lab.now += Duration::from_secs(1);
    lab.send(9, &report(1));
    assert_eq!(lab.server.counters().reports, 3);
}

/// Setting, certainty, what happens at once, what happens in the end.
#[test]
fn a_lost_association() {
    let rows = [
        (true, true, Some(RemovalCause::AssociationEnded), RemovalCause::AssociationEnded),
        (true, false, Some(RemovalCause::AssociationSilent), RemovalCause::AssociationSilent),
        (false, true, None, RemovalCause::AssociationEnded),
        (false, false, None, RemovalCause::AssociationSilent),
    ];
    for (remove, certain, at_once, in_the_end) in rows {
        let mut lab = Lab::new(|c| c.remove_on_association_loss = remove);
        lab.register(1);
        lab.server.client_lost(lab.now, ClientId(1), certain);
        let first = at_once.map_or(silent(1), |cause| deregistered(1, cause));
        assert_eq!(lab.events(), [first]);
        assert_eq!(lab.drain(), [], "nobody to tell");
        assert!(lab.server.clients.is_empty());
        lab.pass(2_999);
        assert_eq!(lab.is_there(1), at_once.is_none());
        lab.pass(1);
        assert!(!lab.is_there(1));
        if at_once.is_none() {
            assert_eq!(lab.events(), [deregistered(1, in_the_end)]);
        }
        assert_eq!(lab.server.poll_timeout(), None);
    }
}

#[test]
fn a_pe_that_comes_back_in_time_stays() {
    let mut lab = Lab::new(|c| c.remove_on_association_loss = false);
    lab.register(1);
    lab.server.client_lost(lab.now, ClientId(1), true);
    lab.pass(2_000);
    lab.events();
    lab.server.handle_message(lab.now, ClientId(100), &source(1), &registration(1).encode().unwrap());
    assert!(lab.events().contains(&Event::Resumed { handle: pool(), pe: pe(1) }));
    lab.drain();
    lab.server.keep_alive_ack(lab.now, ClientId(100), &pool(), pe(1));
    lab.pass(1_400);
    assert!(lab.is_there(1), "the grace is over, but it is back");
}

#[test]
fn a_send_failure_removes_all_pes_of_the_client() {
    let mut lab = Lab::new(|_| {});
    lab.register(1);
    lab.ask(1, &Message::Registration { handle: PoolHandle::from("other"), element: element(1) });
    lab.events();
    lab.server.send_failed(lab.now, ClientId(1));
    let handles: Vec<String> = lab
        .events()
        .into_iter()
        .map(|event| {
            let Event::Deregistered { handle, cause: RemovalCause::SendFailed, .. } = event else {
                panic!("{event:?}")
            };
            handle.to_string()
        })
        .collect();
    assert_eq!(handles.len(), 2);
    assert_eq!(lab.server.handlespace().element_count(), 0);
}

#[test]
fn many_pes_are_asked_at_the_limit_and_no_faster() {
    let mut lab = Lab::new(|c| {
        c.keep_alives_per_s_max = 10;
        c.keep_alive_interval_max_ms = 0;
    });
    (1..=100).for_each(|n| lab.register(n));
    pass_alive(&mut lab, 30_000);
    let times = pass_alive(&mut lab, 60_000);
    assert!((540..=601).contains(&times.len()), "10 a second for 60 s: {}", times.len());
    for start in (0..60_000).step_by(500) {
        let second = times.iter().filter(|(at, _)| (start..start + 1_000).contains(at)).count();
        assert!(second <= 11, "{second} in a second at {start} ms");
    }
    for pe in 1..=100 {
        let own = times.iter().filter(|(_, client)| *client == pe).count();
        assert!((3..=12).contains(&own), "every 10 s plus or minus 50 percent: {own} in 60 s");
    }
    assert!(lab.server.counters().keep_alives_paced > 0);
}

#[test]
fn those_that_came_first_do_not_keep_the_others_waiting() {
    let mut lab = Lab::new(|c| c.keep_alives_per_s_max = 4);
    // The first ones have a turn within seconds, as if they were alone.
    (1..=125).for_each(|n| lab.register(n));
    pass_alive(&mut lab, 6_000);
    (126..=250).for_each(|n| lab.register(n));
    let times = pass_alive(&mut lab, 10_000);
    let of_new: Vec<u64> = times.iter().filter(|(_, client)| *client > 125).map(|(at, _)| *at).collect();
    assert!(times.len() <= 41, "4 a second: {}", times.len());
    assert!(of_new.len() >= 3 && of_new[0] < 5_000, "they come between: {of_new:?}");
}

#[test]
fn a_reported_or_silent_pe_does_not_wait_in_the_row() {
    let mut lab = Lab::new(|c| c.keep_alives_per_s_max = 1);
    (1..=100).for_each(|n| lab.register(n));
    pass_alive(&mut lab, 10_000);
    let report = Message::EndpointUnreachable { handle: pool(), pe_id: pe(7) };
    let asked = lab.send(200, &report);
    assert!(asked.len() == 1 && asked[0].0 == 7 && is_keep_alive(&asked[0].1), "at once: {asked:?}");
    // It does not answer: asked again after each timeout, although one a second is the limit for the others.
    let again = lab.pass(1_100).into_iter().filter(|(_, client, _)| *client == 7).map(|(at, ..)| at);
    assert_eq!(again.collect::<Vec<_>>(), [500, 1_000]);
}

#[test]
fn a_quiet_healthy_pe_is_asked_seldom_until_it_is_reported_or_misses_one() {
    let mut lab = Lab::new(|c| {
        c.keep_alive_interval_ms = 100;
        c.keep_alive_interval_max_ms = 800;
        c.keep_alive_timeout_ms = 80;
    });
    lab.register(1);
    let first = pass_alive(&mut lab, 400).len();
    assert!((3..=8).contains(&first), "about every 100 ms: {first}");
    pass_alive(&mut lab, 10_000);
    let quiet = pass_alive(&mut lab, 10_000).len();
    assert!((9..=20).contains(&quiet), "every 800 ms, plus or minus 50 percent: {quiet}");
    // Registering again changes nothing of that, a report does: asked at once, then as often as at first.
    lab.register(1);
    lab.send(1, &ack(1));
    let calm = pass_alive(&mut lab, 4_000).len();
    assert!((2..=10).contains(&calm), "{calm}");
    let asked = lab.send(9, &Message::EndpointUnreachable { handle: pool(), pe_id: pe(1) });
    assert!(asked.iter().any(|(client, message)| *client == 1 && is_keep_alive(message)));
    lab.send(1, &ack(1));
    let often = pass_alive(&mut lab, 350).len();
    assert!((2..=6).contains(&often), "about every 100 ms: {often}");
    // A miss does, too.
    pass_alive(&mut lab, 10_000);
    while !lab.pass(1).iter().any(|(_, _, message)| is_keep_alive(message)) {}
    assert_eq!(lab.pass(80).len(), 1, "asked again at the timeout");
    lab.send(1, &ack(1));
    let often = pass_alive(&mut lab, 350).len();
    assert!((2..=6).contains(&often), "about every 100 ms: {often}");
}
