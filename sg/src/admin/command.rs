//! `POST /command/NAME`. What is not known here is about the embedded name server.

use crate::explain::Question;
use crate::node::Node;
use enrp::daemon::AdminReply;
use serde::de::DeserializeOwned;
use std::time::Instant;

impl Node {
    pub(super) fn command(&mut self, now: Instant, name: &str, body: &str) -> AdminReply {
        let done = match name {
            "explain" => self.explain_command(now, body),
            _ => return self.server_command(now, name, body),
        };
        done.unwrap_or_else(|problem| AdminReply::bad_request(problem + "\n"))
    }

    fn server_command(&mut self, now: Instant, name: &str, body: &str) -> AdminReply {
        match (name, self.names.host()) {
            ("table" | "plugin" | "dump", Some(host)) => enrp::node::server_command(now, host.server_mut(), name, body),
            (_, Some(_)) => AdminReply::not_found("commands: explain, table, plugin, dump\n"),
            (_, None) => AdminReply::not_found("commands: explain\n"),
        }
    }

    fn explain_command(&self, now: Instant, body: &str) -> Result<AdminReply, String> {
        let question: Question = parsed(body)?;
        question.check().map_err(|error| format!("{}: {}", error.key, error.problem))?;
        Ok(AdminReply::json(&self.explain(now, question)))
    }
}

/// What a command was given.
fn parsed<T: DeserializeOwned>(body: &str) -> Result<T, String> {
    serde_json::from_str(body).map_err(|error| format!("the body is not what this command takes: {error}"))
}
