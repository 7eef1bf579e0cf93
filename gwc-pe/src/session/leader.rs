//! Which of two gateways leads (ARCHITECTURE.md, "Two gateways"). The controllers serve both; when the two lose sight of each other,
//! the controllers agree to one of them.

use super::{Send, Session, Shared};
use m3ua_lite::session::{HEARTBEAT_MAX, Heartbeat};
use m3ua_lite::wire::{Beat, Message};

/// The one that leads, as far as this controller agreed.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Leader {
    /// [`Session::number`]; none: none that is alive here.
    session: Option<u64>,
    /// The highest term agreed to.
    term: u32,
}

impl Session {
    /// The gateway says that it leads. Agreed to, by the echo, if no other one leads that is alive here, and its term is new.
    pub(super) fn answer_leader(&mut self, shared: &mut Shared, term: u32, echo: Send) {
        let Leader { session, term: known } = shared.leader;
        let mine = session == Some(self.number);
        if (mine || session.is_none()) && (term > known || (mine && term == known)) {
            shared.leader = Leader { session: Some(self.number), term };
            return self.sends.push_back(echo);
        }
        shared.counters.leaders_refused += 1;
        let mut room = [0; HEARTBEAT_MAX];
        let data = Some(Heartbeat::Lead(known).encode(&mut room));
        self.send_m3ua(0, true, &Message::Beat(Beat { data }));
    }

    /// Its gateway is not alive any more here: another one may lead.
    pub(super) fn lead_no_more(&self, shared: &mut Shared) {
        if shared.leader.session == Some(self.number) {
            shared.leader.session = None;
        }
    }
}
