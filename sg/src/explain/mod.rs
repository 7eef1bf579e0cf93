//! `sigpool explain`: what becomes of a message of the network, and why. From a running gateway ([`Node`](crate::Node), admin command
//! `explain`), or from a configuration alone ([`from_config`]), which knows routing keys and no controllers.
//!
//! The answer uses the code that routes and selects, and changes nothing: no turn of the pool's policy is used up.

mod keys;
#[cfg(test)]
mod tests;
mod text;

use crate::config::{self, As, Config, Network, TrafficMode};
use crate::keys::Keys;
use crate::route::{Refusal, Routes, Traffic};
use enrp::ConfigError;
use m3ua_lite::session::{CIC_BLOCK, GroupKey, NO_CIC_BLOCK, SccpAffinity};
use m3ua_lite::wire::ProtocolData;
use m3ua_lite::{isup, sccp};
use serde::{Deserialize, Serialize};
use std::collections::BTreeSet;

/// The message that is asked about.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Question {
    /// Originating point code, 24 bits at most.
    pub opc: u32,
    /// Destination point code, 24 bits at most.
    pub dpc: u32,
    /// Signalling link selection.
    pub sls: u8,
    /// Circuit, 12 bits; ISUP only. Without it the circuit group is not known.
    pub cic: Option<u16>,
    /// Service indicator, 0 to 15; 5 is ISUP.
    pub si: u8,
    /// Network indicator, 0 to 3.
    pub ni: u8,
    /// Network Appearance that the message comes with; none: it has none.
    pub network: Option<u32>,
}

/// What becomes of a message now.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Fate {
    /// It goes to the controller at once.
    Sent,
    /// It waits in its group's queue.
    Waits,
    /// It is discarded, and counted.
    Discarded,
    /// No application server has it.
    NoRoute,
    /// The configuration alone does not tell.
    Unknown,
}

/// A routing key, and whether it fits.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct KeyAnswer {
    /// Routing Context of its application server.
    pub routing_context: u32,
    /// Its pool.
    pub pool: String,
    /// DPC, OPC, SI, NI, Network Appearance.
    pub key: String,
    /// Every part of it fits.
    pub fits: bool,
    /// It is the one by which the message goes.
    pub taken: bool,
    /// Why, or why not.
    pub why: String,
}

/// The application server of the routing key.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ServerAnswer {
    /// Routing Context toward the pool.
    pub routing_context: u32,
    /// Pool handle.
    pub pool: String,
    /// loadshare or override.
    pub traffic_mode: String,
    /// AS-DOWN, AS-INACTIVE, AS-ACTIVE, AS-PENDING; running gateway only.
    pub state: Option<String>,
    /// The pool's policy as the name service told; running gateway only.
    pub policy: Option<String>,
    /// Messages waiting or unconfirmed; running gateway only.
    pub queued_messages: Option<usize>,
    /// Most of them.
    pub queue_messages_max: usize,
}

/// The group of the message: what stays with one controller.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct GroupAnswer {
    /// OPC, DPC, SI, and circuits or SLS.
    pub group: String,
    /// unknown (none yet), owned, moving, draining, fenced, waiting, free; configuration alone: unknown.
    pub state: String,
    /// PE identifier of the controller that owns it.
    pub owner: Option<String>,
    /// Stream of its DATA toward the owner.
    pub stream: Option<u16>,
    /// Messages in its queue.
    pub queued_messages: usize,
    /// Of these, sent and not confirmed.
    pub unconfirmed: usize,
    /// Length of its last committed cookie (what is known of its calls).
    pub cookie_bytes: usize,
}

/// A controller that has the group, or would get it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Candidate {
    /// PE identifier, hex.
    pub pe: String,
    /// Where it listens.
    pub address: String,
    /// Why this one, and why at this place.
    pub why: String,
}

/// A controller that does not get the group.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Rejected {
    /// PE identifier, hex.
    pub pe: String,
    /// Every reason.
    pub why: Vec<String>,
}

/// Everything that is known of a message's way.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Explanation {
    /// What was asked.
    pub question: Question,
    /// Name of the gateway.
    pub gateway: String,
    /// It was asked while it ran; else this is its configuration alone.
    pub running: bool,
    /// A routing key fits.
    pub found: bool,
    /// Routing keys in the order in which they are looked at: with this DPC, and with others, the first
    /// [`KEYS_MAX`](Explanation::KEYS_MAX) of each.
    pub routing_keys: Vec<KeyAnswer>,
    /// Routing keys that are not in the list.
    pub routing_keys_left_out: usize,
    /// The application server of the key that fits.
    pub application_server: Option<ServerAnswer>,
    /// The group; none without `cic`, where SI is ISUP.
    pub group: Option<GroupAnswer>,
    /// Who owns the group, or would get it.
    pub controller: Option<Candidate>,
    /// Who would come next if that one failed now, in this order; the first [`NEXT_MAX`](Explanation::NEXT_MAX).
    pub next: Vec<Candidate>,
    /// Elements of the pool that would not get it; the first [`REJECTED_MAX`](Explanation::REJECTED_MAX).
    pub rejected: Vec<Rejected>,
    /// More of these.
    pub rejected_left_out: usize,
    /// What becomes of the message now.
    pub fate: Fate,
    /// Why.
    pub why: String,
    /// What else there is to know.
    pub notes: Vec<String>,
}

impl Explanation {
    /// Most routing keys listed with the DPC that was asked for, and as many with others.
    pub const KEYS_MAX: usize = 50;
    /// Most controllers listed that would come next.
    pub const NEXT_MAX: usize = 8;
    /// Most elements listed that would not get the group.
    pub const REJECTED_MAX: usize = 100;

    /// As far as routing keys tell; gives the application server's place too.
    pub(crate) fn of_keys(
        question: Question,
        gateway: &str,
        (routes, servers): (&Routes, &[As]),
        network: &Network,
    ) -> (Self, Option<usize>) {
        let mut room = [0; 3];
        let message = question.message(&mut room);
        let traffic = Traffic { message, network: question.network.or(network.network_appearance) };
        let chosen = routes.server_for(&traffic);
        let (routing_keys, routing_keys_left_out) = keys::answers(&traffic, routes, servers);
        let (fate, why) = match chosen {
            Some(_) => (Fate::Unknown, "controllers are known while a gateway runs: ask it with --admin".to_owned()),
            None => (Fate::NoRoute, refusal_text(routes.refusal(&traffic), &question)),
        };
        let mut answer = Self {
            question,
            gateway: gateway.to_owned(),
            running: false,
            found: chosen.is_some(),
            routing_keys,
            routing_keys_left_out,
            application_server: chosen.and_then(|at| servers.get(at)).map(ServerAnswer::of),
            group: chosen.and_then(|at| servers.get(at)).and_then(|server| question.group(server)).map(new_group),
            controller: None,
            next: Vec::new(),
            rejected: Vec::new(),
            rejected_left_out: 0,
            fate,
            why,
            notes: Vec::new(),
        };
        if chosen.is_some() && !question.has_group() {
            answer.note(
                "give --cic: which circuit group it is, and so who owns it, depends on it (groups of 32 circuits)",
            );
        }
        let by_dialogue =
            chosen.and_then(|at| servers.get(at)).is_some_and(|s| s.sccp_affinity == config::SccpAffinity::Tcap);
        if by_dialogue && question.si == sccp::SERVICE_INDICATOR {
            answer.note(
                "sccp_affinity is tcap: a message with a TCAP transaction id is of the group of its last six bits; this is the group of one without",
            );
        }
        let of_servers = servers.iter().filter_map(|server| server.network_appearance);
        let appearances: BTreeSet<u32> = network.appearances(of_servers).collect();
        if question.network.is_some_and(|given| !appearances.contains(&given)) {
            let ours: Vec<String> = appearances.iter().map(ToString::to_string).collect();
            let ours = if ours.is_empty() { "none".to_owned() } else { ours.join(", ") };
            answer.note(&format!(
                "the network side's Network Appearance is {ours}: DATA of peers with another is refused (ERR Invalid Network Appearance)"
            ));
        }
        (answer, chosen)
    }

    pub(crate) fn note(&mut self, note: &str) {
        self.notes.push(note.to_owned());
    }
}

/// What a configuration alone tells.
#[must_use]
pub fn from_config(config: &Config, question: Question) -> Explanation {
    let servers = &config.application_servers;
    Explanation::of_keys(
        question,
        &config.node.name,
        (&Routes::new(servers, &Keys::default()), servers),
        &config.network,
    )
    .0
}

impl Question {
    /// Whether there can be such a message.
    ///
    /// # Errors
    /// The first field that is out of range.
    pub fn check(&self) -> Result<(), ConfigError> {
        ConfigError::unless(self.opc < 1 << 24, "opc", "a point code of 24 bits at most")?;
        ConfigError::unless(self.dpc < 1 << 24, "dpc", "a point code of 24 bits at most")?;
        ConfigError::unless(self.si < 16, "si", "0 to 15; 5 is ISUP")?;
        ConfigError::unless(self.ni < 4, "ni", "0 to 3")?;
        ConfigError::unless(self.cic.is_none_or(|cic| cic < 1 << 12), "cic", "0 to 4095")?;
        let isup = self.si == isup::SERVICE_INDICATOR;
        ConfigError::unless(
            self.cic.is_none() || isup,
            "cic",
            "for ISUP (si 5) only: other user parts have no circuits",
        )
    }

    /// It says all that makes a group.
    fn has_group(&self) -> bool {
        self.si != isup::SERVICE_INDICATOR || self.cic.is_some()
    }

    /// The message; an IAM where it is ISUP.
    pub(crate) fn message<'a>(&self, room: &'a mut [u8; 3]) -> ProtocolData<'a> {
        let [low, high] = self.cic.unwrap_or_default().to_le_bytes();
        *room = [low, high, isup::MessageType::Iam.code()];
        let Self { opc, dpc, sls, si, ni, .. } = *self;
        ProtocolData { opc, dpc, si, ni, mp: 0, sls, user_data: &room[..] }
    }

    /// Its group at an application server, if it says all that makes one. SCCP without a TCAP transaction id.
    pub(crate) fn group(&self, server: &As) -> Option<GroupKey> {
        let mut room = [0; 3];
        let (key, _) = SccpAffinity::from(server.sccp_affinity).of_network(&self.message(&mut room))?;
        Some(key).filter(|_| self.has_group())
    }
}

impl ServerAnswer {
    fn of(server: &As) -> Self {
        Self {
            routing_context: server.routing_context,
            pool: server.pool.clone(),
            traffic_mode: server.traffic_mode.name().to_owned(),
            state: None,
            policy: None,
            queued_messages: None,
            queue_messages_max: server.queue_messages_max,
        }
    }
}

impl TrafficMode {
    /// As the configuration has it.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Loadshare => "loadshare",
            Self::Override => "override",
            Self::Broadcast => "broadcast",
        }
    }
}

/// A group as people write it.
pub(crate) fn group_text(key: &GroupKey) -> String {
    let GroupKey { opc, dpc, si, sls, cic_block } = *key;
    if cic_block != NO_CIC_BLOCK && !key.is_isup() {
        return format!("OPC {opc} DPC {dpc} SI {si} dialogues {cic_block}");
    }
    if cic_block == NO_CIC_BLOCK {
        return format!("OPC {opc} DPC {dpc} SI {si} SLS {sls}");
    }
    let first = u32::from(cic_block) * u32::from(CIC_BLOCK);
    format!("OPC {opc} DPC {dpc} SI {si} CIC {first} to {}", first + u32::from(CIC_BLOCK) - 1)
}

/// A group that nobody has worked on.
fn new_group(key: GroupKey) -> GroupAnswer {
    GroupAnswer {
        group: group_text(&key),
        state: "unknown".to_owned(),
        owner: None,
        stream: None,
        queued_messages: 0,
        unconfirmed: 0,
        cookie_bytes: 0,
    }
}

/// Why no routing key fits, and what the peer that sent it is told.
fn refusal_text(refusal: Refusal, question: &Question) -> String {
    let Question { opc, dpc, si, ni, network, .. } = question;
    match refusal {
        Refusal::Destination => {
            let of =
                network.map_or_else(String::new, |network| format!(" in the network of Network Appearance {network}"));
            format!("no routing key has DPC {dpc}{of}; the peer that sends it is told DUNA")
        }
        Refusal::NetworkIndicator => {
            format!("routing keys have DPC {dpc}, none of them NI {ni}; its peer is told nothing")
        }
        Refusal::UserPart => {
            format!("routing keys have DPC {dpc}, none of them SI {si}; the peer that sends it is told DUPU")
        }
        Refusal::Origin => {
            format!("routing keys have DPC {dpc} and SI {si}, none lets OPC {opc} in; its peer is told nothing")
        }
    }
}
