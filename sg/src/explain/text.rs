//! An explanation for people.

use super::{Candidate, Explanation, Fate, GroupAnswer, Question, ServerAnswer};
use std::fmt::{self, Display, Formatter};

impl Display for Question {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let Self { opc, dpc, sls, cic, si, ni, network } = self;
        write!(f, "OPC {opc} to DPC {dpc}, SI {si}, SLS {sls}, NI {ni}")?;
        if let Some(cic) = cic {
            write!(f, ", CIC {cic}")?;
        }
        network.map_or(Ok(()), |network| write!(f, ", Network Appearance {network}"))
    }
}

impl Fate {
    fn text(self) -> &'static str {
        match self {
            Self::Sent => "sent at once",
            Self::Waits => "waits",
            Self::Discarded => "discarded",
            Self::NoRoute => "no route",
            Self::Unknown => "not told by the configuration",
        }
    }
}

impl Display for Explanation {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let whence = if self.running { "running gateway" } else { "configuration of" };
        writeln!(f, "{} ({whence} {})", self.question, self.gateway)?;
        writeln!(f, "message now    {}: {}", self.fate.text(), self.why)?;
        self.keys(f)?;
        if let Some(server) = &self.application_server {
            server.write(f)?;
        }
        if let Some(group) = &self.group {
            group.write(f)?;
        }
        if let Some(controller) = &self.controller {
            controller.write("controller", f)?;
        }
        for (place, candidate) in self.next.iter().enumerate() {
            candidate.write(if place == 0 { "next" } else { "then" }, f)?;
        }
        for rejected in &self.rejected {
            writeln!(f, "not            {}: {}", rejected.pe, rejected.why.join("; "))?;
        }
        if self.rejected_left_out > 0 {
            writeln!(f, "not            {} more", self.rejected_left_out)?;
        }
        self.notes.iter().try_for_each(|note| writeln!(f, "note           {note}"))
    }
}

impl Explanation {
    fn keys(&self, f: &mut Formatter<'_>) -> fmt::Result {
        for key in &self.routing_keys {
            let mark = if key.taken { "routing key  *" } else { "routing key   " };
            writeln!(f, "{mark} AS {}, pool {}, {}: {}", key.routing_context, key.pool, key.key, key.why)?;
        }
        if self.routing_keys_left_out > 0 {
            writeln!(f, "routing key    {} more that are not looked at or do not fit", self.routing_keys_left_out)?;
        }
        Ok(())
    }
}

impl ServerAnswer {
    fn write(&self, f: &mut Formatter<'_>) -> fmt::Result {
        write!(f, "application    AS {}, pool {}, {}", self.routing_context, self.pool, self.traffic_mode)?;
        if let Some(state) = &self.state {
            write!(f, ", {state}")?;
        }
        if let Some(policy) = &self.policy {
            write!(f, ", policy {policy}")?;
        }
        if let Some(queued) = self.queued_messages {
            write!(f, ", {queued} of {} messages queued", self.queue_messages_max)?;
        }
        writeln!(f)
    }
}

impl GroupAnswer {
    fn write(&self, f: &mut Formatter<'_>) -> fmt::Result {
        write!(f, "group          {}: {}", self.group, self.state)?;
        if let Some(owner) = &self.owner {
            write!(f, ", owner {owner}")?;
        }
        if let Some(stream) = self.stream {
            write!(f, ", stream {stream}")?;
        }
        if self.queued_messages > 0 {
            write!(f, ", {} messages queued, {} of them unconfirmed", self.queued_messages, self.unconfirmed)?;
        }
        if self.cookie_bytes > 0 {
            write!(f, ", cookie of {} bytes", self.cookie_bytes)?;
        }
        writeln!(f)
    }
}

impl Candidate {
    fn write(&self, what: &str, f: &mut Formatter<'_>) -> fmt::Result {
        writeln!(f, "{what:<14} {} at {}: {}", self.pe, self.address, self.why)
    }
}
