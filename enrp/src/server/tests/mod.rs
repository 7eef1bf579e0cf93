//! The server, table by table, with a virtual clock. Messages go through the wire codec in both directions.

mod announce;
#[cfg(feature = "plugins")]
mod bad_plugins;
mod causes;
mod dump;
mod extremes;
mod hostile;
mod limits;
mod neighbours;
#[cfg(feature = "plugins")]
mod plugins;
mod registration;
mod resolution;
mod supervision;
mod way;

use super::*;
use asap::wire::{Limits as WireLimits, Policy, PoolElement, RegistrationLife, SctpTransport, Transport, TransportUse};
use std::net::IpAddr;

const SERVER: ServerId = ServerId(0x1111_1111);

/// A server and its clients. Client n is at 127.0.0.n, SCTP port 3000 + n.
struct Lab {
    server: Server,
    now: Instant,
}

impl Lab {
    fn new(change: impl FnOnce(&mut ServerConfig)) -> Self {
        let mut config = ServerConfig::default();
        change(&mut config);
        Self { server: Server::new(config, SERVER, 5), now: Instant::now() }
    }

    /// Sends a message from client n; gives what came out because of it.
    fn send(&mut self, client: u64, message: &Message) -> Vec<(u64, Message)> {
        self.send_bytes(client, &message.encode().unwrap())
    }

    fn send_bytes(&mut self, client: u64, bytes: &[u8]) -> Vec<(u64, Message)> {
        self.server.handle_message(self.now, ClientId(client), &source(client), bytes);
        self.drain()
    }

    /// As `send`, for the one answer to the sender.
    fn ask(&mut self, client: u64, message: &Message) -> Message {
        let mut answers = self.send(client, message);
        assert_eq!(answers.len(), 1, "{answers:?}");
        let (to, answer) = answers.remove(0);
        assert_eq!(to, client);
        answer
    }

    fn drain(&mut self) -> Vec<(u64, Message)> {
        let outputs = std::iter::from_fn(|| self.server.poll_output());
        outputs
            .map(|output| output.asap().expect("a message for a client"))
            .map(|(client, bytes)| (client.0, Message::decode(&bytes, &WireLimits::default()).unwrap().message))
            .collect()
    }

    fn events(&mut self) -> Vec<Event> {
        std::iter::from_fn(|| self.server.poll_event()).collect()
    }

    /// Lets time pass, timer by timer; gives what came out, with the milliseconds since the start of the call.
    fn pass(&mut self, milliseconds: u64) -> Vec<(u64, u64, Message)> {
        let (start, end) = (self.now, self.now + ms(milliseconds));
        let mut out = Vec::new();
        while let Some(at) = self.server.poll_timeout().filter(|&at| at <= end) {
            self.now = self.now.max(at);
            self.server.handle_timeout(self.now);
            let elapsed = u64::try_from((self.now - start).as_millis()).unwrap();
            out.extend(self.drain().into_iter().map(|(client, message)| (elapsed, client, message)));
        }
        self.now = end;
        out
    }

    /// Registers PE n of client n with round robin and infinite life; nothing of it is left over.
    fn register(&mut self, n: u64) {
        self.register_with(n, Policy::RoundRobin);
    }

    fn register_with(&mut self, n: u64, policy: Policy) {
        let element = PoolElement { policy, ..element(n) };
        let answers = self.send(n, &Message::Registration { handle: pool(), element });
        assert!(matches!(answers[0].1, Message::RegistrationResponse { reject: false, error: None, .. }));
        self.events();
    }

    fn is_there(&self, n: u64) -> bool {
        self.server.handlespace().find(&pool(), pe(n)).is_some()
    }
}

fn source(client: u64) -> Vec<SocketAddr> {
    vec![format!("127.0.0.{client}:{}", 3000 + client).parse().unwrap()]
}

fn pool() -> PoolHandle {
    PoolHandle::from("GatewayPool")
}

fn pe(n: u64) -> PeId {
    PeId(u32::try_from(n).unwrap())
}

fn transport(n: u64) -> SctpTransport {
    SctpTransport {
        port: 2905,
        transport_use: TransportUse::DataAndControl,
        addresses: [format!("127.0.0.{n}").parse().unwrap()].into(),
    }
}

fn element(n: u64) -> PoolElement {
    PoolElement {
        id: pe(n),
        home: ServerId(0),
        life: RegistrationLife::Infinite,
        user_transport: Transport::Sctp(transport(n)),
        policy: Policy::RoundRobin,
        asap_transport: None,
    }
}

fn registration(n: u64) -> Message {
    Message::Registration { handle: pool(), element: element(n) }
}

fn resolution(subscribe: bool, items: Option<u32>) -> Message {
    Message::resolution(subscribe, pool(), items)
}

fn ack(n: u64) -> Message {
    Message::EndpointKeepAliveAck { handle: pool(), pe_id: pe(n) }
}

/// Identifiers listed in an answer, and its A bit.
fn listed(answer: &Message) -> (bool, Vec<u32>) {
    let Message::HandleResolutionResponse { subscribed, elements, error: None, .. } = answer else {
        panic!("not a positive answer: {answer:?}")
    };
    (*subscribed, elements.iter().map(|element| element.id.0).collect())
}

/// The cause of a negative answer, and its A bit.
fn refused(answer: &Message) -> (bool, ErrorCause) {
    let Message::HandleResolutionResponse { subscribed, elements, error: Some(error), .. } = answer else {
        panic!("not a negative answer: {answer:?}")
    };
    assert!(elements.is_empty());
    (*subscribed, error.causes[0].clone())
}
