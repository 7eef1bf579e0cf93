use super::*;
use crate::config::{HuntConfig, ServerAddress};
use crate::wire::{ErrorCause, Limits, OperationError, RegistrationLife, SctpTransport, Transport, TransportUse};

pub(super) const PE: PeId = PeId(7);

fn config(servers: u8) -> PeConfig {
    let servers = (1..=servers).map(|n| ServerAddress::new([127, 0, 0, n].into())).collect();
    PeConfig {
        hunt: HuntConfig { servers, max_parallel: 1, ..HuntConfig::default() },
        t2_registration_ms: 100,
        t3_deregistration_ms: 100,
        t4_spread_percent: 0,
        home_wait_ms: 0,
        ..PeConfig::default()
    }
}

pub(super) fn registration(name: &str) -> Registration {
    let addresses = vec![[127, 0, 0, 9].into()];
    Registration {
        handle: name.into(),
        life: RegistrationLife::Seconds(60),
        user_transport: Transport::Sctp(SctpTransport {
            port: 2905,
            transport_use: TransportUse::DataAndControl,
            addresses: addresses.into(),
        }),
        policy: Policy::LeastUsed { load: 0 },
    }
}

/// What a machine put out, in a form that is short to compare.
#[derive(Debug, PartialEq)]
pub(super) enum Out {
    Connect(u64),
    Close(u64),
    Register(u64, &'static str, u32),
    Deregister(u64, &'static str),
    Ack(u64, &'static str),
    Other(u64, u8),
}

fn name(handle: &PoolHandle) -> &'static str {
    ["pool", "other"].into_iter().find(|name| handle.as_bytes() == name.as_bytes()).unwrap()
}

fn sent(conn: u64, bytes: &[u8]) -> Out {
    let message = Message::decode(bytes, &Limits::default()).unwrap().message;
    if let Message::Registration { handle, element } = &message {
        assert_eq!(element.id, PE);
        let Policy::LeastUsed { load } = element.policy else { panic!("policy") };
        Out::Register(conn, name(handle), load)
    } else if let Message::Deregistration { handle, pe_id: PE } = &message {
        Out::Deregister(conn, name(handle))
    } else if let Message::EndpointKeepAliveAck { handle, pe_id: PE } = &message {
        Out::Ack(conn, name(handle))
    } else {
        Out::Other(conn, message.message_type())
    }
}

pub(super) struct Bed {
    pub(super) pe: PeMachine,
    pub(super) now: Instant,
}

impl Bed {
    pub(super) fn new(servers: u8) -> Self {
        Self { pe: PeMachine::new(config(servers), PE, 1), now: Instant::now() }
    }

    /// Registered under "pool" with the server of connection 1.
    pub(super) fn registered(servers: u8) -> Self {
        let mut bed = Self::new(servers);
        bed.pe.register(bed.now, registration("pool")).unwrap();
        bed.pe.handle_connected(bed.now, ConnId(1));
        bed.grant(1, "pool");
        assert_eq!(bed.out(), [Out::Connect(1), Out::Register(1, "pool", 0)]);
        assert_eq!(
            bed.events(),
            [
                PeEvent::HomeServer { conn: ConnId(1), server: None },
                PeEvent::Registered { handle: "pool".into(), warning: None }
            ]
        );
        bed
    }

    pub(super) fn out(&mut self) -> Vec<Out> {
        std::iter::from_fn(|| self.pe.poll_transmit())
            .map(|transmit| match transmit {
                Transmit::Connect { conn, .. } => Out::Connect(conn.0),
                Transmit::Close { conn } => Out::Close(conn.0),
                Transmit::Send { conn, bytes } => sent(conn.0, &bytes),
            })
            .collect()
    }

    pub(super) fn events(&mut self) -> Vec<PeEvent> {
        std::iter::from_fn(|| self.pe.poll_event()).collect()
    }

    pub(super) fn receive(&mut self, conn: u64, message: &Message) {
        self.pe.handle_received(self.now, ConnId(conn), &message.encode().unwrap());
    }

    pub(super) fn respond(&mut self, conn: u64, name: &str, reject: bool, error: Option<ErrorCause>) {
        let error = error.map(OperationError::from);
        self.receive(conn, &Message::RegistrationResponse { reject, handle: name.into(), pe_id: PE, error });
    }

    pub(super) fn grant(&mut self, conn: u64, name: &str) {
        self.respond(conn, name, false, None);
    }

    pub(super) fn keep_alive(&mut self, conn: u64, server: u32, home: bool, name: &str) {
        let server = ServerId(server);
        self.receive(conn, &Message::EndpointKeepAlive { home, server, handle: name.into(), pe_id: None });
    }

    /// To the machine's next deadline; the milliseconds it took.
    pub(super) fn wait(&mut self) -> u128 {
        let deadline = self.pe.poll_timeout().expect("a timer");
        let waited = deadline - self.now;
        self.now = deadline;
        self.pe.handle_timeout(self.now);
        waited.as_millis()
    }
}

pub(super) fn lost() -> PeEvent {
    PeEvent::ServerLost
}

fn deregistered(cause: DeregisterCause) -> PeEvent {
    PeEvent::Deregistered { handle: "pool".into(), cause }
}

#[test]
fn registers_and_registers_again_at_t4() {
    let mut bed = Bed::registered(1);
    assert!(bed.pe.is_registered(&"pool".into()));
    assert_eq!(bed.wait(), 40_000, "60 s of life less 20");
    assert_eq!(bed.out(), [Out::Register(1, "pool", 0)]);
    bed.grant(1, "pool");
    assert_eq!(bed.events(), [], "silent");
    assert_eq!(bed.wait(), 40_000);
}

#[test]
fn t4_of_lives_of_all_lengths() {
    let t4 = |life, configured| Entry::new(Registration { life, ..registration("pool") }).t4(configured).as_millis();
    assert_eq!(t4(RegistrationLife::Infinite, None), 600_000);
    assert_eq!(t4(RegistrationLife::Seconds(3_600), None), 600_000);
    assert_eq!(t4(RegistrationLife::Seconds(40), None), 20_000);
    assert_eq!(t4(RegistrationLife::Seconds(3), None), 1_500);
    assert_eq!(t4(RegistrationLife::Seconds(3), Some(900)), 900);
    assert_eq!(t4(RegistrationLife::Seconds(3), Some(5_000)), 1_500, "not after its end");
}

#[test]
fn silent_server_is_left_after_max_reg_attempt() {
    let mut bed = Bed::new(2);
    bed.pe.register(bed.now, registration("pool")).unwrap();
    bed.pe.handle_connected(bed.now, ConnId(1));
    assert_eq!(bed.out(), [Out::Connect(1), Out::Register(1, "pool", 0)]);
    assert_eq!(bed.wait(), 100);
    assert_eq!(bed.out(), [Out::Register(1, "pool", 0)]);
    assert_eq!(bed.wait(), 100);
    assert_eq!(bed.out(), [Out::Close(1), Out::Connect(2)]);
    bed.grant(1, "pool");
    assert_eq!(bed.pe.counters().unexpected, 1, "the old server is nobody now");
    bed.pe.handle_connected(bed.now, ConnId(2));
    assert_eq!(bed.out(), [Out::Register(2, "pool", 0)]);
    bed.grant(2, "pool");
    let events = bed.events();
    assert_eq!(events[1], lost());
    assert_eq!(events[3], PeEvent::Registered { handle: "pool".into(), warning: None });
    assert_eq!((bed.pe.counters().t2_expired, bed.pe.counters().servers_lost), (2, 1));
}

#[test]
fn lost_server_is_replaced_and_every_handle_registered_there() {
    let mut bed = Bed::registered(2);
    bed.pe.register(bed.now, registration("other")).unwrap();
    bed.grant(1, "other");
    bed.out();
    bed.events();
    bed.pe.handle_closed(bed.now, ConnId(1));
    assert!(!bed.pe.is_registered(&"pool".into()));
    assert_eq!((bed.out(), bed.events()), (vec![Out::Connect(2)], vec![lost()]));
    bed.pe.handle_closed(bed.now, ConnId(2));
    assert_eq!(bed.out(), [Out::Connect(3)], "both are tried in a round");
    bed.pe.handle_connected(bed.now, ConnId(3));
    assert_eq!(bed.out(), [Out::Register(3, "other", 0), Out::Register(3, "pool", 0)]);
    bed.grant(3, "pool");
    bed.grant(3, "other");
    assert_eq!(bed.events().len(), 3);
}

#[test]
fn refused_is_not_repeated_uncorrected() {
    let mut bed = Bed::new(2);
    bed.pe.register(bed.now, registration("pool")).unwrap();
    bed.pe.handle_connected(bed.now, ConnId(1));
    let cause = ErrorCause::InconsistentPolicy(Some(Policy::RoundRobin));
    bed.respond(1, "pool", true, Some(cause.clone()));
    assert_eq!(bed.events()[1], PeEvent::Refused { handle: "pool".into(), error: cause.into() });
    bed.out();
    assert_eq!(bed.pe.poll_timeout(), None);
    // Not with the next server either.
    bed.pe.handle_closed(bed.now, ConnId(1));
    bed.pe.handle_connected(bed.now, ConnId(2));
    assert_eq!(bed.out(), [Out::Connect(2)]);
    // A refused handle is not ours: no answer to a keep-alive.
    bed.keep_alive(2, 1, false, "pool");
    assert_eq!(bed.out(), []);
    bed.pe.register(bed.now, registration("pool")).unwrap();
    assert_eq!(bed.out(), [Out::Register(2, "pool", 0)]);
}

#[test]
fn a_refused_reregistration_ends_the_registration() {
    let mut bed = Bed::registered(1);
    bed.pe.set_policy(bed.now, &"pool".into(), Policy::LeastUsed { load: 1 }).unwrap();
    bed.respond(1, "pool", true, None);
    assert!(!bed.pe.is_registered(&"pool".into()));
    bed.pe.set_policy(bed.now, &"pool".into(), Policy::LeastUsed { load: 2 }).unwrap();
    bed.grant(1, "pool");
    let told = bed.events();
    assert_eq!(told[0], PeEvent::Refused { handle: "pool".into(), error: OperationError::default() });
    assert_eq!(told[1], PeEvent::Registered { handle: "pool".into(), warning: None });
}

#[test]
fn a_warning_is_told() {
    let mut bed = Bed::registered(1);
    bed.pe.set_policy(bed.now, &"pool".into(), Policy::LeastUsed { load: 5 }).unwrap();
    bed.respond(1, "pool", false, Some(ErrorCause::Unspecified));
    let warning = Some(ErrorCause::Unspecified.into());
    assert_eq!(bed.events(), [PeEvent::Registered { handle: "pool".into(), warning }]);
}

#[test]
fn new_load_is_registered_at_once_and_only_the_newest_waits() {
    let mut bed = Bed::registered(1);
    for load in [1, 2, 3] {
        bed.pe.set_policy(bed.now, &"pool".into(), Policy::LeastUsed { load }).unwrap();
    }
    assert_eq!(bed.out(), [Out::Register(1, "pool", 1)]);
    bed.grant(1, "pool");
    assert_eq!(bed.out(), [Out::Register(1, "pool", 3)]);
    bed.grant(1, "pool");
    assert_eq!((bed.out(), bed.events()), (vec![], vec![]));
    let unknown = bed.pe.set_policy(bed.now, &"nothing".into(), Policy::RoundRobin);
    assert_eq!(unknown, Err(PeError::UnknownHandle));
}

#[test]
fn keep_alive_is_acknowledged_wrong_handle_is_not() {
    let mut bed = Bed::registered(1);
    bed.keep_alive(1, 0xaa, false, "pool");
    assert_eq!(bed.out(), [Out::Ack(1, "pool")]);
    bed.keep_alive(1, 0xaa, true, "other");
    let not_me = Some(PeId(8));
    bed.receive(
        1,
        &Message::EndpointKeepAlive { home: false, server: ServerId(1), handle: "pool".into(), pe_id: not_me },
    );
    assert_eq!((bed.out(), bed.pe.counters().keep_alives_wrong_handle), (vec![], 2));
}

#[test]
fn h_makes_the_sender_home() {
    let mut bed = Bed::registered(1);
    bed.keep_alive(1, 0xaa, false, "pool");
    let conn = bed.pe.handle_accepted().unwrap();
    bed.out();
    // Without H, and with a wrong handle, nothing but what the RFC says.
    bed.keep_alive(conn.0, 0xbb, false, "pool");
    bed.keep_alive(conn.0, 0xbb, true, "other");
    assert_eq!((bed.out(), bed.pe.home()), (vec![Out::Ack(conn.0, "pool")], Some(ConnId(1))));
    bed.keep_alive(conn.0, 0xbb, true, "pool");
    assert_eq!(bed.out(), [Out::Ack(conn.0, "pool"), Out::Close(1)]);
    assert_eq!(bed.events(), [PeEvent::HomeServer { conn, server: Some(ServerId(0xbb)) }]);
    assert!(bed.pe.is_registered(&"pool".into()), "the new home has it");
    assert_eq!(bed.wait(), 40_000);
    assert_eq!(bed.out(), [Out::Register(conn.0, "pool", 0)]);
    // What the old home was asked and did not answer, the new one is asked.
    let next = bed.pe.handle_accepted().unwrap();
    bed.keep_alive(next.0, 0xcc, true, "pool");
    assert_eq!(bed.out(), [Out::Ack(next.0, "pool"), Out::Close(conn.0), Out::Register(next.0, "pool", 0)]);
}

#[test]
fn associations_from_servers_are_limited() {
    let mut bed = Bed::registered(1);
    let accepted: Vec<_> = (0..20).filter_map(|_| bed.pe.handle_accepted()).collect();
    assert_eq!(accepted.len(), MAX_ACCEPTED);
    bed.pe.handle_closed(bed.now, accepted[0]);
    assert!(bed.pe.handle_accepted().is_some());
}

#[test]
fn deregisters_and_stops() {
    let mut bed = Bed::registered(1);
    bed.pe.stop(bed.now);
    assert_eq!(bed.out(), [Out::Deregister(1, "pool")]);
    assert!(!bed.pe.is_stopped());
    assert_eq!(bed.pe.handle_accepted(), None);
    bed.receive(1, &Message::DeregistrationResponse { handle: "pool".into(), pe_id: PE, error: None });
    assert_eq!(bed.events(), [deregistered(DeregisterCause::Requested)]);
    assert_eq!(bed.out(), [Out::Close(1)]);
    assert!(bed.pe.is_stopped());
    assert_eq!(bed.pe.poll_timeout(), None);
}

#[test]
fn deregistration_ends_with_t3_even_without_any_server() {
    let mut bed = Bed::registered(2);
    bed.pe.deregister(bed.now, &"pool".into()).unwrap();
    assert_eq!(bed.out(), [Out::Deregister(1, "pool")]);
    assert_eq!(bed.wait(), 100);
    assert_eq!(bed.out(), [Out::Close(1), Out::Connect(2)]);
    assert_eq!(bed.wait(), 100);
    assert_eq!(bed.events(), [lost(), deregistered(DeregisterCause::Requested)]);
    // With no server to tell, at once.
    let mut bed = Bed::registered(2);
    bed.pe.handle_closed(bed.now, ConnId(1));
    bed.pe.deregister(bed.now, &"pool".into()).unwrap();
    assert_eq!(bed.events(), [lost(), deregistered(DeregisterCause::Requested)]);
}

#[test]
fn refused_deregistration_ends_it_too() {
    let mut bed = Bed::registered(1);
    bed.pe.stop(bed.now);
    let error = OperationError::from(ErrorCause::Security);
    let response = Message::DeregistrationResponse { handle: "pool".into(), pe_id: PE, error: Some(error.clone()) };
    bed.receive(1, &response);
    assert_eq!(bed.events(), [PeEvent::Refused { handle: "pool".into(), error }]);
    assert_eq!(bed.out(), [Out::Deregister(1, "pool"), Out::Close(1)]);
}

#[test]
fn expiry_is_told_and_registered_again_after_t2() {
    let mut bed = Bed::registered(1);
    let expired = Message::DeregistrationResponse { handle: "pool".into(), pe_id: PE, error: None };
    bed.receive(1, &expired);
    bed.receive(1, &expired);
    assert_eq!(bed.events(), [deregistered(DeregisterCause::Expired)]);
    assert_eq!(bed.out(), []);
    assert_eq!(bed.wait(), 100);
    assert_eq!(bed.out(), [Out::Register(1, "pool", 0)]);
    bed.grant(1, "pool");
    assert_eq!(bed.events(), [PeEvent::Registered { handle: "pool".into(), warning: None }]);
}

#[test]
fn limits_and_bad_bytes() {
    let mut bed = Bed::registered(1);
    bed.pe.config.max_handles = 1;
    assert_eq!(bed.pe.register(bed.now, registration("other")), Err(PeError::TooManyHandles));
    let mut empty = registration("pool");
    empty.handle = "".into();
    bed.pe.config.max_handles = 2;
    assert_eq!(bed.pe.register(bed.now, empty), Err(PeError::NotEncodable));
    let mut long = registration("pool");
    long.handle = PoolHandle::new(vec![b'x'; 256]);
    assert_eq!(bed.pe.register(bed.now, long), Err(PeError::NotEncodable));
    bed.pe.handle_received(bed.now, ConnId(1), &[3, 0, 0]);
    bed.pe.handle_received(bed.now, ConnId(1), &[0x60, 0, 0, 4]);
    assert_eq!((bed.out(), bed.pe.counters().malformed), (vec![Out::Other(1, 0x0e)], 2));
    bed.receive(1, &Message::Error { error: ErrorCause::Unspecified.into() });
    bed.receive(1, &Message::resolution(false, "pool".into(), None));
    assert_eq!((bed.out(), bed.pe.counters().unexpected, bed.pe.counters().errors_in), (vec![], 1, 1));
    // An answer for another element, or to nothing asked.
    bed.receive(1, &Message::DeregistrationResponse { handle: "pool".into(), pe_id: PeId(1), error: None });
    bed.grant(1, "pool");
    bed.grant(1, "other");
    assert_eq!((bed.events(), bed.pe.counters().unexpected), (vec![], 4));
}

#[test]
fn t4_is_spread() {
    let waits: Vec<u128> = (0..50)
        .map(|seed| {
            let mut bed = Bed::new(1);
            bed.pe = PeMachine::new(PeConfig { t4_spread_percent: 10, ..config(1) }, PE, seed);
            bed.pe.register(bed.now, registration("pool")).unwrap();
            bed.pe.handle_connected(bed.now, ConnId(1));
            bed.grant(1, "pool");
            bed.wait()
        })
        .collect();
    assert!(waits.iter().all(|wait| (36_000..=40_000).contains(wait)), "{waits:?}");
    assert!(waits.iter().max().unwrap() - waits.iter().min().unwrap() > 2_000, "{waits:?}");
}
