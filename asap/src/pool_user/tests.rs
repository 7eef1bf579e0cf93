use super::*;
use crate::config::{HuntConfig, ServerAddress};
use crate::wire::{ErrorCause, IpTransport, Limits, Policy, RegistrationLife, ServerId, Transport};
use bytes::Bytes;
use std::time::Duration;

const POOL: &str = "pool";

pub(super) fn config() -> PuConfig {
    let servers = (1..=2).map(|n| ServerAddress::new([127, 0, 0, n].into())).collect();
    PuConfig {
        hunt: HuntConfig { servers, max_parallel: 1, ..HuntConfig::default() },
        t1_enrp_request_ms: 100,
        stale_cache_value_ms: 1_000,
        max_pools: 2,
        max_queue: 2,
        ..PuConfig::default()
    }
}

pub(super) fn handle() -> PoolHandle {
    POOL.into()
}

pub(super) fn element(id: u32) -> PoolElement {
    PoolElement {
        id: PeId(id),
        home: ServerId(1),
        life: RegistrationLife::Infinite,
        user_transport: Transport::Tcp(IpTransport { port: 1, address: [127, 0, 0, 1].into() }),
        policy: Policy::RoundRobin,
        asap_transport: None,
    }
}

#[derive(Debug, PartialEq)]
pub(super) enum Out {
    Connect(u64),
    Close(u64),
    /// S bit.
    Resolve(u64, bool),
    Unreachable(u64, u32),
    Other(u64, u8),
}

fn sent(conn: u64, bytes: &[u8]) -> Out {
    let message = Message::decode(bytes, &Limits::default()).unwrap().message;
    if let Message::HandleResolution { subscribe, items: Some(u32::MAX), .. } = message {
        Out::Resolve(conn, subscribe)
    } else if let Message::EndpointUnreachable { pe_id, .. } = message {
        Out::Unreachable(conn, pe_id.0)
    } else {
        Out::Other(conn, message.message_type())
    }
}

pub(super) struct Bed {
    pub(super) pu: PuMachine<u64>,
    pub(super) now: Instant,
}

impl Bed {
    pub(super) fn new() -> Self {
        Self { pu: PuMachine::new(config(), 1), now: Instant::now() }
    }

    pub(super) fn embedded() -> Self {
        Self { pu: PuMachine::embedded(config(), 1), now: Instant::now() }
    }

    /// The embedded server has answered with these elements, with updates.
    pub(super) fn resolved(ids: &[u32]) -> Self {
        let mut bed = Self::embedded();
        assert!(!bed.pu.resolve(bed.now, &handle()));
        assert_eq!(bed.out(), [Out::Resolve(0, true)]);
        bed.answer(0, true, ids);
        assert!(matches!(bed.events()[..], [PuEvent::Resolved { .. }]));
        bed
    }

    /// After each step: the first deadline is that of all entries.
    pub(super) fn out(&mut self) -> Vec<Out> {
        let first = self.pu.entries.values().filter_map(Entry::deadline).min();
        assert_eq!(self.pu.due.first(), first);
        std::iter::from_fn(|| self.pu.poll_transmit())
            .map(|transmit| match transmit {
                Transmit::Connect { conn, .. } => Out::Connect(conn.0),
                Transmit::Close { conn } => Out::Close(conn.0),
                Transmit::Send { conn, bytes } => sent(conn.0, &bytes),
            })
            .collect()
    }

    fn events(&mut self) -> Vec<PuEvent> {
        std::iter::from_fn(|| self.pu.poll_event()).collect()
    }

    fn receive(&mut self, conn: u64, message: &Message) {
        self.pu.handle_received(self.now, ConnId(conn), &message.encode().unwrap());
    }

    pub(super) fn answer(&mut self, conn: u64, subscribed: bool, ids: &[u32]) {
        self.answer_with(conn, subscribed, None, ids.iter().map(|&id| element(id)).collect());
    }

    fn answer_with(&mut self, conn: u64, subscribed: bool, policy: Option<Policy>, elements: Vec<PoolElement>) {
        let handle = handle();
        self.receive(conn, &Message::HandleResolutionResponse { subscribed, handle, policy, elements, error: None });
    }

    fn refuse(&mut self, conn: u64, cause: ErrorCause) {
        self.refuse_with(conn, cause, false);
    }

    fn refuse_with(&mut self, conn: u64, cause: ErrorCause, subscribed: bool) {
        self.receive(
            conn,
            &Message::HandleResolutionResponse {
                subscribed,
                handle: handle(),
                policy: None,
                elements: Vec::new(),
                error: Some(cause.into()),
            },
        );
    }

    fn pick(&mut self) -> Option<u32> {
        self.pick_where(|_| true)
    }

    fn pick_where(&mut self, usable: impl Fn(u32) -> bool) -> Option<u32> {
        let selection = self.pu.select(self.now, &handle(), |element| usable(element.id.0));
        if let Selection::Element { pe, .. } = selection { Some(pe.0) } else { None }
    }

    fn wait(&mut self) -> u128 {
        let deadline = self.pu.poll_timeout().expect("a timer");
        let waited = deadline - self.now;
        self.now = deadline;
        self.pu.handle_timeout(self.now);
        waited.as_millis()
    }

    fn sleep(&mut self, ms: u64) {
        self.now += Duration::from_millis(ms);
        self.pu.handle_timeout(self.now);
    }
}

fn unknown() -> PuEvent {
    PuEvent::UnknownHandle { handle: handle(), error: ErrorCause::UnknownPoolHandle.into() }
}

fn changed(added: &[u32], removed: &[u32], changed: &[u32]) -> PuEvent {
    let ids = |ids: &[u32]| ids.iter().copied().map(PeId).collect();
    PuEvent::PoolChanged { handle: handle(), added: ids(added), removed: ids(removed), changed: ids(changed) }
}

#[test]
fn hunts_asks_and_selects() {
    let mut bed = Bed::new();
    assert_eq!(bed.pu.select(bed.now, &handle(), |_| true), Selection::Resolving);
    assert_eq!(bed.out(), [Out::Connect(1)]);
    bed.pu.handle_connected(bed.now, ConnId(1));
    assert_eq!(bed.out(), [Out::Resolve(1, true)]);
    assert_eq!(bed.pu.select(bed.now, &handle(), |_| true), Selection::Resolving);
    assert_eq!(bed.out(), [], "asked once");
    bed.answer(1, false, &[4, 5]);
    let elements = vec![element(4), element(5)];
    assert_eq!(
        bed.events(),
        [
            PuEvent::ServerFound { conn: ConnId(1) },
            PuEvent::Resolved { handle: handle(), policy: Policy::RoundRobin, elements }
        ]
    );
    assert_eq!([bed.pick(), bed.pick(), bed.pick()], [Some(4), Some(5), Some(4)]);
    assert_eq!(bed.pick_where(|id| id == 4), Some(4));
    assert_eq!(bed.pu.select(bed.now, &handle(), |_| false), Selection::NoneUsable);
    assert_eq!((bed.out(), bed.pu.poll_timeout()), (vec![], None));
}

#[test]
fn cache_serves_while_it_is_renewed() {
    let mut bed = Bed::resolved(&[4]);
    bed.answer(0, false, &[4]);
    bed.sleep(999);
    bed.pick();
    assert_eq!(bed.out(), [], "fresh");
    bed.sleep(1);
    assert!(bed.pu.resolve(bed.now, &handle()));
    assert_eq!((bed.pick(), bed.out()), (Some(4), vec![Out::Resolve(0, true)]));
    bed.answer(0, true, &[4]);
    assert!(matches!(bed.events()[..], [PuEvent::Resolved { .. }]));
    bed.sleep(999);
    bed.answer(0, true, &[4]);
    bed.sleep(999);
    bed.pick();
    assert_eq!(bed.out(), [], "an update makes it fresh");
    bed.sleep(1);
    bed.pick();
    assert_eq!(bed.out(), [Out::Resolve(0, true)], "a server that hangs is found out");
}

#[test]
fn updates_change_the_cache() {
    let mut bed = Bed::resolved(&[4, 5]);
    bed.answer(0, true, &[5, 6]);
    assert_eq!(bed.events(), [changed(&[6], &[4], &[])]);
    assert_eq!([bed.pick(), bed.pick(), bed.pick()], [Some(5), Some(6), Some(5)]);
    bed.answer(0, true, &[5, 6]);
    assert_eq!(bed.events(), []);
    let mut moved = element(6);
    moved.user_transport = Transport::Opaque(Bytes::new());
    bed.answer_with(0, true, None, vec![element(5), moved.clone(), element(6)]);
    assert_eq!(bed.events(), [changed(&[], &[], &[6])]);
    assert_eq!(bed.pu.pool(&handle()).unwrap().elements(), [element(5), moved], "an identifier counts once");
    // The pool's policy, not its elements' policies, is what counts.
    let (mut light, mut heavy) = (element(5), element(6));
    light.policy = Policy::LeastUsed { load: 1 };
    heavy.policy = Policy::LeastUsed { load: 2 };
    bed.answer_with(0, true, Some(Policy::LeastUsed { load: 0 }), vec![heavy, light]);
    assert_eq!([bed.pick(), bed.pick()], [Some(5), Some(5)]);
    assert_eq!(bed.pu.pool(&handle()).unwrap().policy(), &Policy::LeastUsed { load: 0 });
}

#[test]
fn t1_repeats_then_hunts_then_asks_the_next_server() {
    let mut bed = Bed::new();
    bed.pu.resolve(bed.now, &handle());
    bed.pu.handle_connected(bed.now, ConnId(1));
    assert_eq!(bed.out(), [Out::Connect(1), Out::Resolve(1, true)]);
    assert_eq!((bed.wait(), bed.out()), (100, vec![Out::Resolve(1, true)]));
    assert_eq!((bed.wait(), bed.out()), (100, vec![Out::Close(1), Out::Connect(2)]));
    bed.events().iter().zip(["found", "none", "lost"]).for_each(|(event, expected)| match expected {
        "found" => assert_eq!(event, &PuEvent::ServerFound { conn: ConnId(1) }),
        "none" => assert_eq!(event, &PuEvent::NoAnswer { handle: handle() }),
        _ => assert_eq!(event, &PuEvent::ServerLost),
    });
    bed.answer(1, false, &[4]);
    assert_eq!(bed.pu.counters().unexpected, 1);
    bed.pu.handle_connected(bed.now, ConnId(2));
    assert_eq!(bed.out(), [Out::Resolve(2, true)]);
    bed.answer(2, false, &[4]);
    assert_eq!(bed.pick(), Some(4));
}

#[test]
fn an_embedded_server_that_is_silent_is_asked_again() {
    let mut bed = Bed::embedded();
    bed.pu.resolve(bed.now, &handle());
    bed.wait();
    bed.wait();
    assert_eq!(bed.out(), [Out::Resolve(0, true), Out::Resolve(0, true)]);
    assert_eq!(bed.events(), [PuEvent::NoAnswer { handle: handle() }]);
    assert_eq!((bed.wait(), bed.out()), (100, vec![Out::Resolve(0, true)]));
}

#[test]
fn lost_server_means_new_subscriptions_and_the_cache_serves_on() {
    let mut bed = Bed::new();
    bed.pu.resolve(bed.now, &handle());
    bed.pu.handle_connected(bed.now, ConnId(1));
    bed.answer(1, true, &[4]);
    bed.out();
    bed.events();
    bed.pu.handle_closed(bed.now, ConnId(1));
    assert_eq!((bed.out(), bed.events()), (vec![Out::Connect(2)], vec![PuEvent::ServerLost]));
    assert_eq!(bed.pick(), Some(4));
    // A report waits for a server.
    assert!(bed.pu.report_unreachable(bed.now, &handle(), PeId(4)));
    assert_eq!(bed.out(), []);
    bed.pu.handle_connected(bed.now, ConnId(2));
    assert_eq!(bed.out(), [Out::Resolve(2, true), Out::Unreachable(2, 4)]);
    bed.answer(2, true, &[4, 5]);
    let events = bed.events();
    assert!(matches!(events[1], PuEvent::Resolved { .. }));
    assert_eq!(events[2], changed(&[5], &[], &[]));
}

#[test]
fn unknown_handle_is_asked_for_again_slower_and_slower_until_used() {
    let mut bed = Bed::embedded();
    bed.pu.resolve(bed.now, &handle());
    bed.out();
    bed.refuse(0, ErrorCause::UnknownPoolHandle);
    assert_eq!(bed.events(), [unknown()]);
    assert_eq!(bed.wait(), 100);
    for expected in [200, 400, 800, 1_600, 3_200, 5_000, 5_000] {
        assert_eq!(bed.out(), [Out::Resolve(0, true)]);
        bed.refuse(0, ErrorCause::UnknownPoolHandle);
        assert_eq!(bed.events(), [], "told once");
        assert_eq!(bed.wait(), expected);
    }
    bed.refuse(0, ErrorCause::UnknownPoolHandle);
    bed.out();
    assert_eq!(bed.pu.select(bed.now, &handle(), |_| true), Selection::NoneUsable);
    assert_eq!(bed.out(), [], "a use does not ask by itself");
    assert_eq!(bed.wait(), 100);
    bed.refuse(0, ErrorCause::UnknownPoolHandle);
    assert_eq!(bed.events(), [unknown()]);
    bed.wait();
    bed.answer(0, true, &[4]);
    assert!(matches!(bed.events()[..], [PuEvent::Resolved { .. }]));
    assert_eq!(bed.pick(), Some(4));
}

#[test]
fn a_pool_that_goes_is_told_and_refusals_for_other_reasons_keep_the_cache() {
    let mut bed = Bed::resolved(&[4, 5]);
    bed.refuse(0, ErrorCause::LackOfResources);
    assert_eq!(bed.events(), []);
    assert_eq!(bed.pick(), Some(4));
    bed.refuse(0, ErrorCause::UnknownPoolHandle);
    assert_eq!(bed.events(), [changed(&[], &[4, 5], &[]), unknown()]);
    assert_eq!(bed.pick(), None);
    assert_eq!((bed.wait(), bed.out()), (100, vec![Out::Resolve(0, true)]), "the subscription ended");
}

/// A server that has the pool, but no element of it in service, refuses and goes on with its updates (A = 1).
#[test]
fn a_pool_out_of_service_comes_back_by_an_update() {
    let mut bed = Bed::resolved(&[4]);
    bed.refuse_with(0, ErrorCause::LackOfResources, true);
    let error = ErrorCause::LackOfResources.into();
    assert_eq!(bed.events(), [changed(&[], &[4], &[]), PuEvent::UnknownHandle { handle: handle(), error }]);
    assert_eq!((bed.pick(), bed.out()), (None, vec![]));
    bed.answer(0, true, &[4]);
    assert!(matches!(bed.events()[..], [PuEvent::Resolved { .. }]));
    assert_eq!((bed.pick(), bed.pu.poll_timeout()), (Some(4), None));
}

#[test]
fn queue_is_in_order_and_bounded() {
    let mut bed = Bed::embedded();
    assert_eq!(bed.pu.queue(bed.now, &handle(), 1), Ok(()));
    assert_eq!(bed.pu.queue(bed.now, &handle(), 2), Ok(()));
    assert_eq!(bed.pu.queue(bed.now, &handle(), 3), Err(3));
    assert_eq!((bed.pu.queued(&handle()), bed.pu.counters().queue_refused), (2, 1));
    assert_eq!(bed.out(), [Out::Resolve(0, true)]);
    bed.answer(0, true, &[4]);
    assert_eq!(bed.pu.take_queued(&handle()), Some(1));
    assert_eq!(bed.pu.forget(&handle()), [2]);
    assert_eq!((bed.pu.take_queued(&handle()), bed.pu.handles().count()), (None, 0));
    bed.answer(0, true, &[4]);
    assert_eq!(bed.pu.counters().unexpected, 1, "an update for what was forgotten");
}

#[test]
fn handles_are_bounded() {
    let mut bed = Bed::resolved(&[4]);
    assert!(!bed.pu.resolve(bed.now, &"second".into()));
    assert!(!bed.pu.resolve(bed.now, &"third".into()));
    assert_eq!(bed.pu.queue(bed.now, &"third".into(), 1), Err(1));
    assert_eq!(bed.pu.select(bed.now, &"third".into(), |_| true), Selection::TooManyPools);
    assert_eq!(bed.pu.counters().pools_refused, 3);
    bed.pu.forget(&handle());
    assert!(!bed.pu.resolve(bed.now, &PoolHandle::new(vec![b'x'; 256])));
    assert_eq!((bed.pu.counters().pools_refused, bed.pu.handles().count()), (4, 1));
    assert_eq!(bed.pu.select(bed.now, &"third".into(), |_| true), Selection::Resolving);
}

#[test]
fn unreachable_is_reported_once_per_event() {
    let mut bed = Bed::resolved(&[4, 5]);
    let now = bed.now;
    assert!(bed.pu.report_unreachable(now, &handle(), PeId(4)));
    assert!(!bed.pu.report_unreachable(now, &handle(), PeId(4)));
    assert!(!bed.pu.report_unreachable(now, &handle(), PeId(9)), "not in the pool");
    assert_eq!(bed.out(), [Out::Unreachable(0, 4)]);
    bed.pu.reachable(&handle(), PeId(4));
    assert!(bed.pu.report_unreachable(now, &handle(), PeId(4)));
    // Gone and back: a new element as far as reports go.
    bed.answer(0, true, &[5]);
    bed.answer(0, true, &[4, 5]);
    assert!(bed.pu.report_unreachable(now, &handle(), PeId(4)));
    bed.refuse(0, ErrorCause::UnknownPoolHandle);
    bed.answer(0, true, &[4]);
    assert!(bed.pu.report_unreachable(now, &handle(), PeId(4)));
    assert_eq!(bed.out(), [Out::Unreachable(0, 4), Out::Unreachable(0, 4), Out::Unreachable(0, 4)]);
    assert_eq!((bed.pu.counters().reports_sent, bed.pu.counters().reports_suppressed), (4, 1));
}

#[test]
fn a_session_stays_while_its_element_is_usable_and_takes_its_cookie_along() {
    let mut bed = Bed::resolved(&[4, 5, 6]);
    let (now, mut session) = (bed.now, Session::default());
    let select = |bed: &mut Bed, session: &mut Session, dead: &[u32]| {
        bed.pu.select_sticky(now, &handle(), session, |element| !dead.contains(&element.id.0))
    };
    let first = Selection::Element { pe: PeId(4), changed: true, cookie_echo: None };
    assert_eq!(select(&mut bed, &mut session, &[]), first);
    let same = Selection::Element { pe: PeId(4), changed: false, cookie_echo: None };
    (0..5).for_each(|_| assert_eq!(select(&mut bed, &mut session, &[]), same));
    session.keep_cookie(Bytes::from_static(b"old"));
    session.keep_cookie(Bytes::from_static(b"new"));
    let Selection::Element { pe: PeId(5), changed: true, cookie_echo: Some(echo) } =
        select(&mut bed, &mut session, &[4])
    else {
        panic!("moved")
    };
    let cookie = Bytes::from_static(b"new");
    assert_eq!(Message::decode(&echo, &Limits::default()).unwrap().message, Message::CookieEcho { cookie });
    // Back among the living, 4 is not returned to.
    assert!(matches!(select(&mut bed, &mut session, &[]), Selection::Element { pe: PeId(5), changed: false, .. }));
    // None usable: the session waits where it was.
    assert_eq!(select(&mut bed, &mut session, &[4, 5, 6]), Selection::NoneUsable);
    assert_eq!(session.pe, Some(PeId(5)));
    // 5's business card: fail over to 4 before 6, whatever the policy says.
    session.keep_business_card(&(0..100).map(element).collect::<Vec<_>>());
    assert_eq!(session.preferred.len(), 16);
    session.keep_business_card(&[element(9), element(4), element(6)]);
    assert!(matches!(
        select(&mut bed, &mut session, &[5]),
        Selection::Element { pe: PeId(4), changed: true, cookie_echo: Some(_) }
    ));
}

#[test]
fn a_hint_goes_with_each_resolution_and_a_measure_with_the_next() {
    let mut bed = Bed::embedded();
    let (now, vienna) = (bed.now, Bytes::from_static(b"vienna"));
    let measure = |pe: u32, load| ElementReport { pe_id: PeId(pe), load, round_trip_us: Some(5) };
    let asked = |bed: &mut Bed| {
        let transmits: Vec<Transmit> = std::iter::from_fn(|| bed.pu.poll_transmit()).collect();
        let [Transmit::Send { bytes, .. }] = &transmits[..] else { panic!("not one message: {transmits:?}") };
        let message = Message::decode(bytes, &Limits::default()).unwrap().message;
        let Message::HandleResolution { hint, reports, .. } = message else { panic!("{message:?}") };
        (hint, reports)
    };
    assert!(!bed.pu.measured(&handle(), measure(4, 1)), "not in the cache");
    assert!(bed.pu.set_hint(now, &handle(), Some(vienna.clone())));
    assert_eq!(bed.out(), [], "a hint alone is no question");
    assert!(bed.pu.measured(&handle(), measure(4, 1)) && bed.pu.measured(&handle(), measure(4, 2)));
    bed.pu.resolve(now, &handle());
    assert_eq!(asked(&mut bed), (Some(vienna.clone()), vec![measure(4, 2)]));
    bed.answer(0, true, &[4, 5]);
    // The same hint asks for nothing, another one does at once; a measure was sent once, and no more than 64 are kept.
    assert!(bed.pu.set_hint(now, &handle(), Some(vienna)));
    assert_eq!(bed.out(), []);
    assert!(bed.pu.set_hint(now, &handle(), None));
    assert_eq!(asked(&mut bed), (None, vec![]));
    bed.answer(0, true, &[4, 5]);
    (0..70).for_each(|pe| assert!(bed.pu.measured(&handle(), measure(pe, 9))));
    bed.sleep(1_000);
    bed.pick();
    assert_eq!(asked(&mut bed).1, (6..70).map(|pe| measure(pe, 9)).collect::<Vec<_>>());
    assert!(!bed.pu.set_hint(now, &handle(), Some(Bytes::from(vec![0; 256]))), "too long");
    assert!(bed.pu.set_hint(now, &"second".into(), None) && !bed.pu.set_hint(now, &"third".into(), None), "too many");
}

#[test]
fn bad_bytes_are_counted_and_answered() {
    let mut bed = Bed::resolved(&[4]);
    bed.pu.handle_received(bed.now, ConnId::EMBEDDED, &[6, 0]);
    bed.pu.handle_received(bed.now, ConnId::EMBEDDED, &[0x60, 0, 0, 4]);
    bed.pu.handle_received(bed.now, ConnId(3), &[]);
    bed.receive(0, &Message::Cookie { cookie: Bytes::new() });
    bed.receive(0, &Message::Error { error: ErrorCause::Unspecified.into() });
    assert_eq!(bed.out(), [Out::Other(0, 0x0e)]);
    assert_eq!((bed.pu.counters().malformed, bed.pu.counters().unexpected, bed.pu.counters().errors_in), (2, 2, 1));
}
