//! A pool user of its own: it asks a name server over SCTP and notes which elements the answer lists.

use crate::world::UDP_PORT;
use asap::wire::{ASAP_PORT, Limits, Message, PoolHandle};
use sctp::{AssocId, Associations, Connect, Event, Input, Output, SendOptions, Stack, ppid};
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::time::Instant;

pub(crate) struct User {
    stack: Box<dyn Associations>,
    assoc: AssocId,
    /// Identifiers in the last answer, sorted; empty for a refusal.
    pub(crate) answer: Option<Vec<u32>>,
}

impl User {
    pub(crate) fn new(now: Instant, own: IpAddr, server: IpAddr, seed: [u8; 32]) -> Self {
        let mut stack = Stack::new(sctp::Config::default(), vec![own], seed, now);
        let peer = vec![SocketAddr::new(server, UDP_PORT)];
        let assoc = stack.connect(now, Connect { peer, peer_port: ASAP_PORT, local_port: None }).unwrap();
        Self { stack: Box::new(stack), assoc, answer: None }
    }

    /// Asks, without a subscription.
    pub(crate) fn ask(&mut self, now: Instant, handle: &str) {
        self.answer = None;
        let request = Message::resolution(false, PoolHandle::from(handle), None);
        let options = SendOptions { ppid: ppid::ASAP, ..SendOptions::default() };
        self.stack.send(now, self.assoc, options, request.encode().unwrap()).unwrap();
    }

    fn settle(&mut self) {
        while let Some(event) = self.stack.poll_event() {
            let Event::Message { payload, .. } = event else { continue };
            let message = Message::decode(&payload, &Limits::default()).unwrap().message;
            let Message::HandleResolutionResponse { elements, .. } = message else { panic!("{message:?}") };
            let mut ids: Vec<u32> = elements.iter().map(|element| element.id.0).collect();
            ids.sort_unstable();
            self.answer = Some(ids);
        }
    }
}

impl sctp::driver::Node for User {
    type Command = ();
    fn handle_input(&mut self, now: Instant, input: Input) {
        self.stack.handle_input(now, input);
        self.settle();
    }
    fn handle_command(&mut self, _now: Instant, (): ()) {}
    fn handle_timeout(&mut self, now: Instant) {
        self.stack.handle_timeout(now);
        self.settle();
    }
    fn flush(&mut self, _now: Instant) -> io::Result<()> {
        Ok(())
    }
    fn poll_output(&mut self, now: Instant) -> Option<Output> {
        self.stack.poll_output(now)
    }
    fn poll_timeout(&self) -> Option<Instant> {
        self.stack.poll_timeout()
    }
    fn finished(&self) -> bool {
        false
    }
}
