//! How a pool user comes to its name server.

use super::PuMachine;
use crate::event::{ConnId, Transmit};
use crate::hunt::{Announced, Ended, Hunt};
use crate::wire::Message;
use std::collections::VecDeque;
use std::net::IpAddr;
use std::time::Instant;

/// See the variants.
#[derive(Debug)]
pub(super) enum Home {
    /// It hunts for one.
    Hunted(Box<Hunt>),
    /// A server in the same process.
    Embedded,
    /// That of a pool element in the same node, which hunts.
    Shared {
        /// The element's connection.
        conn: Option<ConnId>,
        /// What the element is to do.
        wish: Option<Wish>,
    },
}

/// What a pool user wants of the pool element whose home server it shares.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Wish {
    /// Find a home server.
    Seek,
    /// Find another one: this one does not answer.
    Leave,
}

impl Home {
    pub(super) fn conn(&self) -> Option<ConnId> {
        match self {
            Home::Hunted(hunt) => hunt.home(),
            Home::Embedded => Some(ConnId::EMBEDDED),
            Home::Shared { conn, .. } => *conn,
        }
    }

    /// A server is needed.
    pub(super) fn seek(&mut self, now: Instant, out: &mut VecDeque<Transmit>) {
        match self {
            Home::Hunted(hunt) => hunt.start(now, out),
            Home::Embedded => {}
            Home::Shared { wish, .. } => *wish = Some(wish.unwrap_or(Wish::Seek)),
        }
    }

    /// The server does not answer. True: there is none now.
    pub(super) fn leave(&mut self, out: &mut VecDeque<Transmit>) -> bool {
        match self {
            Home::Hunted(hunt) => {
                let had = hunt.home().is_some();
                hunt.drop_home(out);
                had
            }
            Home::Embedded => false,
            Home::Shared { conn, wish } => {
                let had = conn.take().is_some();
                if had {
                    *wish = Some(Wish::Leave);
                }
                had
            }
        }
    }

    /// True: this is the name server now.
    pub(super) fn connected(&mut self, conn: ConnId, out: &mut VecDeque<Transmit>) -> bool {
        match self {
            Home::Hunted(hunt) => hunt.connected(conn, out),
            Home::Embedded | Home::Shared { .. } => false,
        }
    }

    /// True: it was the name server's.
    pub(super) fn closed(&mut self, conn: ConnId, out: &mut VecDeque<Transmit>) -> bool {
        match self {
            Home::Hunted(hunt) => hunt.closed(conn, out) == Ended::Home,
            Home::Embedded | Home::Shared { .. } => false,
        }
    }

    /// `None`: no announcement. Who does not hunt has no use for one.
    pub(super) fn announced(
        &mut self,
        now: Instant,
        source: IpAddr,
        message: &Message,
        out: &mut VecDeque<Transmit>,
    ) -> Option<Announced> {
        match self {
            Home::Hunted(hunt) => hunt.announced(now, source, message, out),
            Home::Embedded | Home::Shared { .. } => {
                matches!(message, Message::ServerAnnounce { .. }).then(Announced::default)
            }
        }
    }

    /// True: a hunt ended with T5.
    pub(super) fn handle_timeout(&mut self, now: Instant, out: &mut VecDeque<Transmit>) -> bool {
        match self {
            Home::Hunted(hunt) => hunt.handle_timeout(now, out),
            Home::Embedded | Home::Shared { .. } => false,
        }
    }

    pub(super) fn deadline(&self) -> Option<Instant> {
        match self {
            Home::Hunted(hunt) => hunt.deadline(),
            Home::Embedded | Home::Shared { .. } => None,
        }
    }
}

/// For [`crate::Combination`].
impl<T> PuMachine<T> {
    /// The pool element has this home server now.
    pub(crate) fn share(&mut self, now: Instant, home: Option<ConnId>) {
        let before = self.home.conn();
        let Home::Shared { conn, wish } = &mut self.home else { return };
        if before == home {
            return;
        }
        *conn = home;
        if home.is_some() {
            *wish = None;
        }
        if before.is_some() {
            self.lost_home(now);
        }
        if let Some(conn) = home {
            self.found_home(now, conn);
        }
    }

    /// What the pool element is to do for us.
    pub(crate) fn take_wish(&mut self) -> Option<Wish> {
        match &mut self.home {
            Home::Shared { wish, .. } => wish.take(),
            Home::Hunted(_) | Home::Embedded => None,
        }
    }
}
