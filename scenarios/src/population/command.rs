//! What a population's admin is told.

use super::config::RE_REGISTRATIONS_MAX;
use super::member::Member;
use super::node::Node;
use enrp::daemon::AdminReply;
use std::time::Instant;

impl Node {
    /// `re-registrations`, body: how many a second from now on. `values`, body: other values for elements in pools with names of their
    /// own, a line each: `NAME load_percent=50`; they register again with these at once.
    pub(super) fn command(&mut self, now: Instant, name: &str, body: &str) -> AdminReply {
        match name {
            "re-registrations" => self.set_rate(now, body),
            "values" => match self.change_values(now, body) {
                Ok(()) => AdminReply::ok("done\n"),
                Err(problem) => AdminReply::bad_request(format!("{problem}\n")),
            },
            _ => AdminReply::not_found("commands: re-registrations, values\n"),
        }
    }

    fn set_rate(&mut self, now: Instant, body: &str) -> AdminReply {
        let Some(per_s) = body.trim().parse().ok().filter(|per_s| *per_s <= RE_REGISTRATIONS_MAX) else {
            return AdminReply::bad_request(format!("give how many a second, 0 to {RE_REGISTRATIONS_MAX}\n"));
        };
        self.config.population.re_registrations_per_s = per_s;
        self.again_at = now;
        AdminReply::ok("done\n")
    }

    /// All lines, or if one is wrong none.
    fn change_values(&mut self, now: Instant, body: &str) -> Result<(), String> {
        let mut changes = Vec::new();
        for line in body.lines().map(str::trim).filter(|line| !line.is_empty()) {
            let (pool, words) = line.split_once(' ').unwrap_or((line, ""));
            let named = |member: &Member| member.named.as_ref().is_some_and(|named| named.name == pool);
            let index =
                self.members.iter().position(named).ok_or_else(|| format!("no element here in pool `{pool}`"))?;
            let Some(named) = &self.members[index].named else { continue };
            changes.push((index, named.values.changed(words.split_whitespace())?));
        }
        for (index, values) in changes {
            let member = &mut self.members[index];
            let Some(named) = &mut member.named else { continue };
            let policy = values.policy(named.policy);
            named.values = values;
            member.registration.policy = policy.clone();
            member
                .machine
                .set_policy(now, &member.registration.handle, policy)
                .map_err(|error| format!("{}: {error}", member.pool()))?;
            self.follow(now, index);
        }
        Ok(())
    }
}
