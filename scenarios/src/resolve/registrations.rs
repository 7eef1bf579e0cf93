//! What a host with many pool elements says to a name server first: ASAP_REGISTRATION (RFC 5352 section 2.2.1) of one after the other.

use super::client::{Answer, Questions};
use asap::wire::{
    Limits, Message, PeId, Policy, PoolElement, PoolHandle, RegistrationLife, SctpTransport, ServerId, Transport,
    TransportUse,
};
use bytes::Bytes;
use sctp::ppid;
use std::collections::VecDeque;
use std::net::IpAddr;

/// User transports of the elements: this port and those after it; nobody listens there.
const FIRST_PORT: u16 = 10_000;
const PORTS: u32 = 50_000;
/// Seconds; 50 minutes for rsplib, which reads milliseconds.
const LIFE_S: u32 = 3_000_000;

/// Registrations of elements 1, 2, 3, ... in the pools in turn; then nothing more. They last as long as the association. Keep-alives
/// are not answered: the server must be told to wait for them longer than this takes.
#[derive(Debug, Clone)]
pub struct Registrations {
    handles: Vec<PoolHandle>,
    elements: u32,
    address: IpAddr,
    next: u32,
    asked: VecDeque<PeId>,
    limits: Limits,
}

impl Registrations {
    /// So many elements of a host with this address, in these pools, at least one.
    #[must_use]
    pub fn new(handles: Vec<PoolHandle>, elements: u32, address: IpAddr) -> Self {
        Self { handles, elements, address, next: 0, asked: VecDeque::new(), limits: Limits::default() }
    }
}

impl Questions for Registrations {
    fn ppid(&self) -> u32 {
        ppid::ASAP
    }

    fn ask(&mut self) -> Option<Bytes> {
        if self.next == self.elements {
            return None;
        }
        let handle = self.handles.get(self.next as usize % self.handles.len().max(1))?.clone();
        let port = FIRST_PORT + u16::try_from(self.next % PORTS).unwrap_or_default();
        let transport = SctpTransport { port, transport_use: TransportUse::DataOnly, addresses: [self.address].into() };
        self.next += 1;
        self.asked.push_back(PeId(self.next));
        let element = PoolElement {
            id: PeId(self.next),
            home: ServerId(0),
            life: RegistrationLife::Seconds(LIFE_S),
            user_transport: Transport::Sctp(transport),
            policy: Policy::RoundRobin,
            asap_transport: None,
        };
        Message::Registration { handle, element }.encode().ok()
    }

    fn answer(&mut self, message: &[u8]) -> Answer {
        let Ok(decoded) = Message::decode(message, &self.limits) else { return Answer::Other };
        let Message::RegistrationResponse { reject, pe_id, .. } = decoded.message else { return Answer::Other };
        match self.asked.pop_front() {
            Some(asked) if asked != pe_id => Answer::Wrong,
            Some(_) if reject => Answer::Refused,
            Some(_) => Answer::Right(1),
            None => Answer::Wrong,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_element_once_and_its_own_answer() {
        let handles = vec![PoolHandle::from("a"), PoolHandle::from("b")];
        let mut questions = Registrations::new(handles, 3, [10, 0, 0, 1].into());
        let asked: Vec<Bytes> = std::iter::from_fn(|| questions.ask()).collect();
        assert_eq!(asked.len(), 3);
        let pools: Vec<PoolHandle> = asked
            .iter()
            .map(|bytes| {
                let message = Message::decode(bytes, &Limits::default()).unwrap().message;
                let Message::Registration { handle, .. } = message else { panic!("{message:?}") };
                handle
            })
            .collect();
        assert_eq!(pools, [PoolHandle::from("a"), PoolHandle::from("b"), PoolHandle::from("a")]);
        let mut answer = |id: u32, reject: bool| {
            let handle = PoolHandle::from("a");
            let response = Message::RegistrationResponse { reject, handle, pe_id: PeId(id), error: None };
            questions.answer(&response.encode().unwrap())
        };
        assert_eq!(answer(1, false), Answer::Right(1));
        assert_eq!(answer(2, true), Answer::Refused);
        assert_eq!(answer(2, false), Answer::Wrong);
        assert_eq!(answer(4, false), Answer::Wrong);
    }
}
