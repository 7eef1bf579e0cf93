//! `POST /command/NAME`. What is not known here is about the embedded name server.

use crate::explain::Question;
use crate::node::Node;
use crate::pool::{GROUPS_MAX, GroupView, Wish};
use enrp::daemon::AdminReply;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use std::time::Instant;

impl Node {
    pub(super) fn command(&mut self, now: Instant, name: &str, body: &str) -> AdminReply {
        let done = match name {
            "explain" => self.explain_command(now, body),
            "groups" => self.groups_command(body),
            "drain" => self.control_command(now, Wish::Drain, body),
            "undrain" => self.control_command(now, Wish::Undrain, body),
            "disconnect" => self.control_command(now, Wish::Disconnect, body),
            "block" => self.control_command(now, Wish::Block, body),
            "unblock" => self.control_command(now, Wish::Unblock, body),
            "controller" => self.controller_command(body),
            "add-as" => {
                parsed(body).and_then(|server| self.add_server(now, server)).map(|done| AdminReply::json(&done))
            }
            "add-key" => parsed(body).and_then(|key| self.add_key(now, &key)).map(|done| AdminReply::json(&done)),
            "add-peer" => parsed(body).and_then(|peer| self.add_peer(&peer)).map(|done| AdminReply::json(&done)),
            "remove-key" => parsed(body).and_then(|key| self.remove_key(now, &key)).map(|done| AdminReply::json(&done)),
            _ => return self.server_command(now, name, body),
        };
        done.unwrap_or_else(|problem| AdminReply::bad_request(problem + "\n"))
    }

    fn server_command(&mut self, now: Instant, name: &str, body: &str) -> AdminReply {
        match (name, self.names.host()) {
            ("table" | "plugin" | "dump", Some(host)) => enrp::node::server_command(now, host.server_mut(), name, body),
            (_, Some(_)) => AdminReply::not_found(
                "commands: explain, groups, controller, drain, undrain, disconnect, block, unblock, add-as, add-key, add-peer, remove-key, table, plugin, dump\n",
            ),
            (_, None) => AdminReply::not_found(
                "commands: explain, groups, controller, drain, undrain, disconnect, block, unblock, add-as, add-key, add-peer, remove-key\n",
            ),
        }
    }

    fn control_command(&mut self, now: Instant, wish: Wish, body: &str) -> Result<AdminReply, String> {
        let pe = parsed::<Named>(body)?.pe()?;
        let view = self.control(now, pe, wish).ok_or_else(|| unknown(pe))?;
        tracing::info!(pe = format!("{pe:08x}"), ?wish, "by an operator");
        Ok(AdminReply::json(&view))
    }

    fn controller_command(&self, body: &str) -> Result<AdminReply, String> {
        let pe = parsed::<Named>(body)?.pe()?;
        let view = self.pools.iter().find_map(|pool| pool.control_view(pe)).ok_or_else(|| unknown(pe))?;
        Ok(AdminReply::json(&view))
    }

    fn groups_command(&self, body: &str) -> Result<AdminReply, String> {
        let which: Which = if body.trim().is_empty() { Which::default() } else { parsed(body)? };
        let names = || self.pools.iter().map(|pool| pool.handle().to_string()).collect::<Vec<_>>().join(", ");
        let pool = match (&which.pool, &self.pools[..]) {
            (None, [only]) => Some(only),
            (None, _) => return Err(format!("pool: there are several: {}", names())),
            (Some(name), pools) => pools.iter().find(|pool| pool.handle().to_string() == *name),
        };
        let pool = pool.ok_or_else(|| format!("pool: no such pool; there are: {}", names()))?;
        let total = pool.group_count();
        let next = which.from.saturating_add(GROUPS_MAX);
        let groups = pool.group_views(which.from).collect();
        Ok(AdminReply::json(&Groups { groups, total, next: (next < total).then_some(next) }))
    }

    fn explain_command(&self, now: Instant, body: &str) -> Result<AdminReply, String> {
        let question: Question = parsed(body)?;
        question.check().map_err(|error| format!("{}: {}", error.key, error.problem))?;
        Ok(AdminReply::json(&self.explain(now, question)))
    }
}

/// A controller.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Named {
    /// PE identifier, hexadecimal.
    pe: String,
}

impl Named {
    fn pe(&self) -> Result<u32, String> {
        let digits = self.pe.strip_prefix("0x").unwrap_or(&self.pe);
        u32::from_str_radix(digits, 16).map_err(|_| format!("pe: {}: expected a PE identifier, hexadecimal", self.pe))
    }
}

/// Which groups.
#[derive(Debug, Deserialize)]
#[serde(default, deny_unknown_fields)]
#[derive(Default)]
struct Which {
    /// Pool handle as the configuration has it; none: the only one.
    pool: Option<String>,
    /// From this one on.
    from: usize,
}

/// Some groups of a pool.
#[derive(Debug, Serialize)]
struct Groups {
    groups: Vec<GroupView>,
    total: usize,
    /// Where to go on; none: these were the last.
    next: Option<usize>,
}

/// What a command was given.
fn parsed<T: DeserializeOwned>(body: &str) -> Result<T, String> {
    serde_json::from_str(body).map_err(|error| format!("the body is not what this command takes: {error}"))
}

fn unknown(pe: u32) -> String {
    format!("pe: no pool of this gateway has a controller {pe:08x}")
}
