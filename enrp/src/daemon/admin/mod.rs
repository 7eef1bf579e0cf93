//! Admin HTTP: `/state`, `/metrics`, `/healthz`, `POST /command/<name>`. It asks the node over the command channel and
//! never touches it.

mod merge;
mod server;

pub(super) use server::{AdminPart, AdminServer};

use serde::Serialize;
use tokio::sync::oneshot;

/// A question to the node.
#[derive(Debug)]
pub struct AdminRequest {
    /// What is asked.
    pub kind: AdminKind,
    /// Where the answer goes. Dropping it answers 503.
    pub reply: Reply,
}

/// What can be asked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum AdminKind {
    /// `GET /state`: answer with [`AdminReply::json`].
    State,
    /// `GET /metrics`: answer with [`AdminReply::ok`] and [`Metrics::finish`](super::Metrics::finish). The driver's own
    /// counters are added behind it.
    Metrics,
    /// `GET /healthz`: [`AdminReply::ok`] when well, [`AdminReply::unavailable`] with the reason when not.
    Health,
    /// `POST /command/<name>`: whatever the node knows; [`AdminReply::not_found`] for what it does not know.
    Command {
        /// The name in the path.
        name: String,
        /// The body, at most 64 KB.
        body: String,
    },
}

/// Where an answer goes.
#[derive(Debug)]
pub struct Reply(oneshot::Sender<AdminReply>);

impl Reply {
    /// A reply and the end where it arrives.
    #[must_use]
    pub fn new() -> (Self, oneshot::Receiver<AdminReply>) {
        let (sender, receiver) = oneshot::channel();
        (Self(sender), receiver)
    }
    /// Answers. It does not matter when nobody waits any more.
    pub fn send(self, reply: AdminReply) {
        // An asker who hung up is not the node's business.
        let _ = self.0.send(reply);
    }
}

/// An answer: HTTP status and body.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AdminReply {
    /// HTTP status.
    pub status: u16,
    /// Content type.
    pub content_type: &'static str,
    /// The body.
    pub body: String,
}

impl AdminReply {
    /// 200 with plain text.
    #[must_use]
    pub fn ok(body: impl Into<String>) -> Self {
        Self { status: 200, content_type: "text/plain; charset=utf-8", body: body.into() }
    }
    /// 200 with JSON. A value that cannot be JSON (a map with keys that are no strings) becomes a 500 that says so.
    #[must_use]
    pub fn json(value: &impl Serialize) -> Self {
        match serde_json::to_string(value) {
            Ok(body) => Self { status: 200, content_type: "application/json", body },
            Err(error) => Self { status: 500, ..Self::ok(format!("state is not JSON: {error}\n")) },
        }
    }
    /// 400 with what is wrong and how to do it right.
    #[must_use]
    pub fn bad_request(text: impl Into<String>) -> Self {
        Self { status: 400, ..Self::ok(text) }
    }
    /// 404 with what there is instead.
    #[must_use]
    pub fn not_found(text: impl Into<String>) -> Self {
        Self { status: 404, ..Self::ok(text) }
    }
    /// 503 with the reason.
    #[must_use]
    pub fn unavailable(text: impl Into<String>) -> Self {
        Self { status: 503, ..Self::ok(text) }
    }
}
