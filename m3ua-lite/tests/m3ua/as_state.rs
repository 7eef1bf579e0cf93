//! An AS through its life: n, T(r), overriding, and who gets which NTFY.

use m3ua_lite::as_state::{As, AsConfig, AsEvent, AsFull, AsState};
use m3ua_lite::asp::AspState;
use m3ua_lite::wire::{Status, TrafficMode};

use AspState::{Active, Down, Inactive};

const T_R_MS: u64 = 2_000;

fn new_as(traffic_mode: TrafficMode, asps_min: usize) -> As<char> {
    As::new(AsConfig { routing_context: 7, traffic_mode, asps_min, t_r_ms: T_R_MS })
}

/// All events, short: "DOWN>ACTIVE", "a:AsActive", "a:AspFailure(1)", "a:overridden".
fn events(server: &mut As<char>) -> Vec<String> {
    let mut list = Vec::new();
    while let Some(event) = server.poll_event() {
        list.push(match event {
            AsEvent::State { from, to } => format!("{}>{}", &from.name()[3..], &to.name()[3..]),
            AsEvent::Overridden { asp } => format!("{asp}:overridden"),
            AsEvent::Notify { asp, notify } => {
                assert_eq!(notify.routing_contexts[..], [7]);
                match notify.asp_id {
                    Some(id) => format!("{asp}:{:?}({id})", notify.status),
                    None => format!("{asp}:{:?}", notify.status),
                }
            }
        });
        assert!(list.len() < 300, "events end");
    }
    list
}

/// ASP identifiers of a, b, c are 1, 2, 3.
fn tell(server: &mut As<char>, now_ms: u64, asp: char, to: AspState, failed: bool) -> Vec<String> {
    server.handle_asp(now_ms, asp, Some(asp as u32 - 'a' as u32 + 1), to, failed).unwrap();
    events(server)
}

fn step(server: &mut As<char>, asp: char, to: AspState) -> Vec<String> {
    tell(server, 0, asp, to, false)
}

/// RFC 4666 section 5.1.1.1.
#[test]
fn single_asp() {
    let mut server = new_as(TrafficMode::Loadshare, 1);
    assert_eq!(step(&mut server, 'a', Inactive), ["DOWN>INACTIVE", "a:AsInactive"]);
    assert_eq!(step(&mut server, 'a', Active), ["INACTIVE>ACTIVE", "a:AsActive"]);
    assert_eq!(server.active().collect::<Vec<_>>(), ['a']);
    assert_eq!(step(&mut server, 'a', Active), [""; 0], "nothing new");
    assert_eq!(step(&mut server, 'a', Inactive), ["ACTIVE>PENDING", "a:AsPending"]);
    assert_eq!(server.inactive().collect::<Vec<_>>(), ['a']);
    assert_eq!(step(&mut server, 'a', Active), ["PENDING>ACTIVE", "a:AsActive"]);
    assert_eq!(server.poll_timeout(), None, "T(r) is stopped");
}

#[test]
fn recovery_timer() {
    let mut server = new_as(TrafficMode::Loadshare, 1);
    step(&mut server, 'a', Active);
    tell(&mut server, 100, 'a', Inactive, false);
    assert_eq!(server.poll_timeout(), Some(100 + T_R_MS));
    // Another ASP that goes or comes does not start it again.
    tell(&mut server, 500, 'b', Inactive, false);
    assert_eq!(server.poll_timeout(), Some(100 + T_R_MS));
    server.handle_timeout(99 + T_R_MS);
    assert_eq!((server.state(), events(&mut server)), (AsState::Pending, vec![]));
    server.handle_timeout(100 + T_R_MS);
    assert_eq!(events(&mut server), ["PENDING>INACTIVE", "a:AsInactive", "b:AsInactive"]);
    assert_eq!(server.poll_timeout(), None);
    server.handle_timeout(1_000_000);
    assert_eq!(server.state(), AsState::Inactive);
}

#[test]
fn recovery_timer_with_all_asps_down() {
    let mut server = new_as(TrafficMode::Loadshare, 1);
    step(&mut server, 'a', Active);
    assert_eq!(tell(&mut server, 0, 'a', Down, true), ["ACTIVE>PENDING"]);
    server.handle_timeout(T_R_MS);
    assert_eq!(events(&mut server), ["PENDING>DOWN"]);
    assert_eq!(step(&mut server, 'a', Inactive), ["DOWN>INACTIVE", "a:AsInactive"]);
}

/// RFC 4666 section 4.3.4.5: ASP-DOWN to ASP-INACTIVE is told the present state, and only that ASP.
#[test]
fn newcomer_is_told_the_state() {
    let mut server = new_as(TrafficMode::Loadshare, 1);
    step(&mut server, 'a', Active);
    assert_eq!(step(&mut server, 'b', Inactive), ["b:AsActive"]);
    step(&mut server, 'a', Inactive);
    assert_eq!(step(&mut server, 'c', Inactive), ["c:AsPending"]);
}

/// RFC 4666 section 5.1.4: n + k with n = 2.
#[test]
fn n_plus_k() {
    let mut server = new_as(TrafficMode::Loadshare, 2);
    step(&mut server, 'a', Inactive);
    step(&mut server, 'b', Inactive);
    step(&mut server, 'c', Inactive);
    assert_eq!(step(&mut server, 'a', Active), [""; 0], "AS-ACTIVE is withheld until there are n");
    assert_eq!(step(&mut server, 'b', Active), ["INACTIVE>ACTIVE", "a:AsActive", "b:AsActive", "c:AsActive"]);
    // Fewer than n: still AS-ACTIVE, and the inactive ones are asked.
    assert_eq!(step(&mut server, 'a', Inactive), ["a:InsufficientResources", "c:InsufficientResources"]);
    // Only when one leaves; a newcomer is told the state.
    assert_eq!(step(&mut server, 'd', Inactive), ["d:AsActive"]);
    step(&mut server, 'd', Down);
    assert_eq!(step(&mut server, 'c', Active), [""; 0]);
    // Failure is told to those who are there, with the failed ASP's identifier.
    assert_eq!(
        tell(&mut server, 0, 'c', Down, true),
        ["a:AspFailure(3)", "a:InsufficientResources", "b:AspFailure(3)"]
    );
    assert_eq!(tell(&mut server, 0, 'b', Down, true), ["ACTIVE>PENDING", "a:AspFailure(2)", "a:AsPending"]);
    // One is enough to come back.
    assert_eq!(step(&mut server, 'a', Active), ["PENDING>ACTIVE", "a:AsActive"]);
}

/// RFC 4666 sections 4.3.4.3 and 5.2.2.
#[test]
fn override_mode() {
    // n counts as 1.
    let mut server = new_as(TrafficMode::Override, 5);
    step(&mut server, 'a', Inactive);
    step(&mut server, 'b', Inactive);
    assert_eq!(step(&mut server, 'a', Active), ["INACTIVE>ACTIVE", "a:AsActive", "b:AsActive"]);
    assert_eq!(step(&mut server, 'b', Active), ["a:overridden", "a:AlternateAspActive(2)"]);
    assert_eq!(server.active().collect::<Vec<_>>(), ['b']);
    // The user passes the change on to the Sgp, which reports it once more.
    assert_eq!(step(&mut server, 'a', Inactive), [""; 0]);
    assert_eq!(step(&mut server, 'b', Inactive), ["ACTIVE>PENDING", "a:AsPending", "b:AsPending"]);
    // Again ASPAC of the one who is active: nobody is overridden.
    step(&mut server, 'a', Active);
    assert_eq!(step(&mut server, 'a', Active), [""; 0]);
}

#[test]
fn broadcast_has_all_active() {
    let mut server = new_as(TrafficMode::Broadcast, 1);
    step(&mut server, 'a', Active);
    step(&mut server, 'b', Active);
    assert_eq!(server.active().collect::<Vec<_>>(), ['a', 'b']);
    assert_eq!(server.config().traffic_mode, TrafficMode::Broadcast);
}

#[test]
fn asps_are_bounded() {
    let mut server: As<u32, 2> =
        As::new(AsConfig { routing_context: 7, traffic_mode: TrafficMode::Loadshare, asps_min: 0, t_r_ms: 0 });
    assert_eq!(server.handle_asp(0, 1, None, Active, false), Ok(()));
    assert_eq!(server.handle_asp(0, 2, None, Inactive, false), Ok(()));
    assert_eq!(server.handle_asp(0, 3, None, Inactive, false), Err(AsFull));
    assert_eq!(server.handle_asp(0, 3, None, Down, false), Ok(()), "was never in");
    assert_eq!(server.handle_asp(0, 2, None, Down, false), Ok(()));
    assert_eq!(server.handle_asp(0, 3, None, Inactive, false), Ok(()));
    // T(r) of 0 is over at once.
    assert_eq!(server.handle_asp(5, 1, None, Inactive, false), Ok(()));
    assert_eq!(server.poll_timeout(), Some(5));
    server.handle_timeout(5);
    assert_eq!(server.state(), AsState::Inactive);
    assert_eq!(Status::AsInactive.code(), 0x1_0002);
}

/// An ASP that names itself later is notified about by that name.
#[test]
fn asp_identifier_may_come_later() {
    let mut server = new_as(TrafficMode::Loadshare, 1);
    step(&mut server, 'b', Active);
    server.handle_asp(0, 'a', None, Inactive, false).unwrap();
    server.handle_asp(0, 'a', Some(9), Inactive, false).unwrap();
    server.handle_asp(0, 'a', None, Active, false).unwrap();
    events(&mut server);
    server.handle_asp(0, 'a', None, Down, true).unwrap();
    assert_eq!(events(&mut server), ["b:AspFailure(9)"]);
}
