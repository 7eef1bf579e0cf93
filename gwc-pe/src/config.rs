//! Settings of a controller. One TOML file; unknown keys are refused; every time is in milliseconds.

use crate::{isup, tcap};
use asap::wire::{Policy, RegistrationLife};
use asap::{PeConfig, ServerAddress};
use enrp::ConfigError;
use enrp::daemon::{DaemonConfig, ListenConfig};
use m3ua_lite::isup::SERVICE_INDICATOR as ISUP;
use m3ua_lite::sccp;
use schemars::JsonSchema;
use sctp::Transport;
use sctp::driver::DriverConfig;
use serde::{Deserialize, Serialize};
use std::net::IpAddr;
use std::path::PathBuf;

/// What `--print-config` shows: every key with its default and what it means.
pub const COMMENTED_DEFAULT: &str = include_str!("default.toml");

/// All settings of one controller.
#[derive(Debug, Clone, Default, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    /// Who carries the SCTP packets: `udp` (RFC 6951; any user), `raw` (IP protocol 132), `kernel` (the kernel's SCTP), `auto` (the best
    /// there is).
    pub transport: Transport,
    /// Admin HTTP, how to stop.
    pub daemon: DaemonConfig,
    /// Own addresses, UDP encapsulation port (RFC 6951), capture.
    pub udp: DriverConfig,
    /// This controller.
    pub node: Node,
    /// SCTP (RFC 9260).
    pub sctp: sctp::Config,
    /// The pool it joins, and as what.
    pub pool: Pool,
    /// Registration with the name server: servers, hunt, timers (RFC 5352).
    pub asap: PeConfig,
    /// Name servers that announce themselves.
    pub multicast: ListenConfig,
    /// Further operation scopes (name spaces) in which it registers, with the timers of `[asap]`.
    pub scope: Vec<Scope>,
    /// The M3UA layer (RFC 4666).
    pub m3ua: M3ua,
    /// The session with a gateway: lease, limits.
    pub session: Session,
    /// Call control (Q.764).
    pub call: isup::Config,
    /// The service behind TCAP dialogues.
    pub dialogue: tcap::Config,
}

/// This controller.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Node {
    /// Name in logs and in the admin state.
    pub name: String,
    /// PE identifier, not 0; also the ASP Identifier. Absent: random at each start (RFC 5352 section 3.1 R2).
    #[schemars(range(min = 1), example = 257)]
    pub pe_id: Option<u32>,
    /// Directory for the record `gwc-<pe>-<incarnation>.csv`. Empty: no record.
    #[schemars(example = &"records")]
    pub records: PathBuf,
}

impl Default for Node {
    fn default() -> Self {
        Self { name: "gwc".into(), pe_id: None, records: PathBuf::new() }
    }
}

/// Member selection policy (RFC 5356) of the pool.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum PolicyName {
    /// Round robin.
    RoundRobin,
    /// Weighted round robin: `weight`.
    WeightedRoundRobin,
    /// Random.
    Random,
    /// Weighted random: `weight`.
    WeightedRandom,
    /// Priority: `priority`.
    Priority,
    /// Least used: `load`.
    LeastUsed,
    /// Least used with degradation: `load`, `degradation`.
    LeastUsedDegradation,
    /// Priority least used: `load`, `degradation`.
    PriorityLeastUsed,
    /// Randomized least used: `load`.
    RandomizedLeastUsed,
    /// Most used (RFC 3237; policy type 0xc0000001): `load`.
    MostUsed,
}

/// The pool it joins.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Pool {
    /// Pool handle.
    #[schemars(length(min = 1))]
    pub handle: String,
    /// Further handles of the same element.
    #[schemars(inner(length(min = 1)), length(max = HANDLES_MAX - 1), example = ["VoicePool"])]
    pub more_handles: Vec<String>,
    /// Policy; the pool's first element decides, the others must agree.
    pub policy: PolicyName,
    /// Weight, for the weighted policies; 0: not to be used.
    pub weight: u32,
    /// Priority; larger is preferred.
    pub priority: u32,
    /// Load; 0xffffffff is 100 %.
    pub load: u32,
    /// Load that one more assignment adds.
    pub degradation: u32,
    /// Registration life, seconds (RFC 5354 section 3.10); 0: infinite.
    #[schemars(range(max = i32::MAX))]
    pub life_s: u32,
    /// IP addresses registered in place of those of `[udp]`: where gateways reach this controller when its addresses are
    /// translated on the way. The name server must see the controller at these, too. Empty: `udp.advertise`, else the own ones.
    #[schemars(length(max = ADVERTISE_MAX))]
    #[schemars(example = ["127.0.0.12"])]
    pub advertise: Vec<IpAddr>,
}

/// Most gateways that an ordinary ASP attaches to.
const GATEWAYS_MAX: usize = 16;
/// Most handles of one element in one scope.
const HANDLES_MAX: usize = 64;
/// Most operation scopes besides the one of `[asap]`.
const SCOPES_MAX: usize = 16;
/// Most addresses of a registration.
const ADVERTISE_MAX: usize = 8;

impl Default for Pool {
    fn default() -> Self {
        Self {
            handle: "GatewayPool".into(),
            more_handles: Vec::new(),
            policy: PolicyName::RoundRobin,
            weight: 1,
            priority: 1,
            load: 0,
            degradation: 0,
            life_s: 300,
            advertise: Vec::new(),
        }
    }
}

impl Pool {
    /// The policy parameter of the registration.
    #[must_use]
    pub fn policy(&self) -> Policy {
        let &Self { weight, priority, load, degradation, .. } = self;
        match self.policy {
            PolicyName::RoundRobin => Policy::RoundRobin,
            PolicyName::WeightedRoundRobin => Policy::WeightedRoundRobin { weight },
            PolicyName::Random => Policy::Random,
            PolicyName::WeightedRandom => Policy::WeightedRandom { weight },
            PolicyName::Priority => Policy::Priority { priority },
            PolicyName::LeastUsed => Policy::LeastUsed { load },
            PolicyName::LeastUsedDegradation => Policy::LeastUsedDegradation { load, degradation },
            PolicyName::PriorityLeastUsed => Policy::PriorityLeastUsed { load, degradation },
            PolicyName::RandomizedLeastUsed => Policy::RandomizedLeastUsed { load },
            PolicyName::MostUsed => Policy::MostUsed { load },
        }
    }

    /// Every handle.
    #[must_use]
    pub fn handles(&self) -> Vec<String> {
        std::iter::once(&self.handle).chain(&self.more_handles).cloned().collect()
    }

    /// The registration life.
    #[must_use]
    pub fn life(&self) -> RegistrationLife {
        if self.life_s == 0 { RegistrationLife::Infinite } else { RegistrationLife::Seconds(self.life_s) }
    }
}

/// A further operation scope: name servers of their own, which know nothing of those of `[asap]`.
#[derive(Debug, Clone, Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Scope {
    /// Name in logs and in the admin state; each has its own.
    #[schemars(length(min = 1), example = &"carrier-b")]
    pub name: String,
    /// Its name servers, in order of preference; at least one unless they announce themselves.
    #[serde(default)]
    #[schemars(example = [ServerAddress::new(IpAddr::from([127, 0, 0, 10]))])]
    pub servers: Vec<ServerAddress>,
    /// Pool handles to register there. Empty: those of `[pool]`.
    #[serde(default)]
    #[schemars(inner(length(min = 1)), length(max = HANDLES_MAX), example = ["GatewayPool"])]
    pub handles: Vec<String>,
    /// Name servers of this scope that announce themselves.
    #[serde(default)]
    pub multicast: ListenConfig,
}

/// No configured name server, and no group in which one could announce itself.
const NO_SERVER: &str = "at least one name server: { addresses = [\"127.0.0.10\"] }, or a multicast.asap_group where they announce \
                         themselves";

impl Scope {
    fn check(&self, index: usize) -> Result<(), ConfigError> {
        let need = |holds: bool, key: &str, problem: &str| {
            ConfigError::unless(holds, &format!("scope[{index}].{key}"), problem)
        };
        need(!self.name.is_empty(), "name", "a name, not empty")?;
        need(!self.servers.is_empty() || self.multicast.asap_group.is_some(), "servers", NO_SERVER)?;
        self.multicast.check().map_err(|error| error.within(&format!("scope[{index}].multicast")))?;
        need(self.handles.iter().all(|handle| !handle.is_empty()), "handles", "pool handles, not empty")?;
        need(self.handles.len() <= HANDLES_MAX, "handles", "64 at most")
    }
}

/// Traffic Mode Type (RFC 4666 section 3.7.1).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum TrafficMode {
    /// All active ASPs share the traffic.
    Loadshare,
    /// One active ASP carries all the traffic.
    Override,
}

/// The M3UA layer.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct M3ua {
    /// SCTP port for gateways (RFC 4666 section 1.4.8: 2905); also the port of the registered user transport.
    #[schemars(range(min = 1))]
    pub port: u16,
    /// Gateways to attach to as an ordinary ASP, which knows nothing of pools: it opens the association, from `port` to the same port
    /// there, and registers nowhere; `session.lease` must be false. Empty: a pool element.
    #[schemars(length(max = GATEWAYS_MAX), example = ["127.0.0.1"])]
    pub gateways: Vec<IpAddr>,
    /// Routing Context of the application server, in ASPAC and DATA. Absent: none, the gateway's configuration decides.
    pub routing_context: Option<u32>,
    /// Network Appearance in DATA. Absent: none.
    #[schemars(example = 1)]
    pub network_appearance: Option<u32>,
    /// Traffic mode in ASPAC.
    pub traffic_mode: TrafficMode,
    /// T(ack): a request without acknowledgement is sent again (RFC 4666 section 4.3.4.1: 2,000).
    #[schemars(range(min = 1))]
    pub t_ack_ms: u64,
    /// A request that the gateway refused with ERR is tried again after this long; so is attaching to one of `gateways`.
    #[schemars(range(min = 1))]
    pub refused_retry_ms: u64,
}

impl Default for M3ua {
    fn default() -> Self {
        Self {
            port: 2905,
            gateways: Vec::new(),
            routing_context: Some(1),
            network_appearance: None,
            traffic_mode: TrafficMode::Loadshare,
            t_ack_ms: 500,
            refused_retry_ms: 1_000,
        }
    }
}

/// What SCCP messages (SI 3) are grouped by.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum SccpAffinity {
    /// TCAP dialogues by the six low bits of their transaction ids; by SLS what has no transaction.
    Tcap,
    /// OPC, DPC and SLS.
    Sls,
    /// OPC and DPC.
    PointCodes,
}

impl From<SccpAffinity> for m3ua_lite::session::SccpAffinity {
    fn from(affinity: SccpAffinity) -> Self {
        match affinity {
            SccpAffinity::Tcap => Self::Tcap,
            SccpAffinity::Sls => Self::Sls,
            SccpAffinity::PointCodes => Self::PointCodes,
        }
    }
}

/// The session with a gateway (ARCHITECTURE.md, "The SG-GWC session, exactly").
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Session {
    /// Act under a lease and send cookies. False for gateways of another make: each output is sent at once, nothing is
    /// restored.
    pub lease: bool,
    /// The lease lasts this long from the sending of the BEAT that the gateway echoed.
    pub lease_ms: u32,
    /// Toward a gateway far away the lease is two and a half round trips, when that is longer than `lease_ms`, but no longer than this. The
    /// gateway must grant it (its own `lease_ms_max`).
    pub lease_ms_max: u32,
    /// Interval of those BEATs.
    #[schemars(range(min = 1))]
    pub lease_beat_ms: u64,
    /// Service indicators whose messages are plain MTP3 payload: applied, recorded and confirmed, without any logic. ISUP (5)
    /// among them makes ISUP plain too, as `call.plain` does. SCCP (3) not among them, and `sccp_affinity` tcap: a service answers TCAP
    /// dialogues (`[dialogue]`). Messages of another service indicator that is not here are dropped and recorded as unsupported.
    #[schemars(inner(range(max = 15)))]
    pub plain_si: Vec<u8>,
    /// Answer messages of other user parts than ISUP with their own user data. False: they are recorded only.
    pub echo_other_si: bool,
    /// What SCCP messages (SI 3) are grouped by; the same as `sccp_affinity` of the gateways' `[[as]]`.
    pub sccp_affinity: SccpAffinity,
    /// Most messages of the network applied a second, over all gateways; what comes beyond that waits. Stands for an application
    /// that takes its time. 0: as many as come.
    #[schemars(range(min = 0, max = 1_000_000))]
    pub capacity_per_s: f64,
    /// Most messages that wait; further ones are dropped and recorded as overload. A gateway of ours never sends so much: its
    /// `unconfirmed_max` is less.
    #[schemars(range(min = 1))]
    pub waiting_max: usize,
    /// Most gateways at once; further associations are aborted.
    #[schemars(range(min = 1))]
    pub gateways_max: usize,
    /// Most groups over all gateways (a circuit group has 32 circuits); messages of further groups are dropped and
    /// recorded as unsupported.
    #[schemars(range(min = 1))]
    pub groups_max: usize,
    /// Most ERR messages a second sent to one gateway for what it sent wrong.
    pub errors_per_s: u32,
}

impl Default for Session {
    fn default() -> Self {
        Self {
            lease: true,
            lease_ms: 280,
            lease_ms_max: 2_000,
            lease_beat_ms: 40,
            plain_si: (0..16).filter(|si| *si != ISUP).collect(),
            echo_other_si: false,
            sccp_affinity: SccpAffinity::Sls,
            capacity_per_s: 0.0,
            waiting_max: 20_000,
            gateways_max: 16,
            groups_max: 4_096,
            errors_per_s: 10,
        }
    }
}

impl Config {
    /// Messages of this service indicator are plain payload.
    pub(crate) fn is_plain(&self, si: u8) -> bool {
        self.session.plain_si.contains(&si) || si == ISUP && self.call.plain
    }

    /// TCAP dialogues are answered.
    fn serves_dialogues(&self) -> bool {
        !self.is_plain(sccp::SERVICE_INDICATOR) && self.session.sccp_affinity == SccpAffinity::Tcap
    }

    /// Messages of this service indicator are taken.
    pub(crate) fn is_served(&self, si: u8) -> bool {
        self.is_plain(si) || si == ISUP || si == sccp::SERVICE_INDICATOR && self.serves_dialogues()
    }

    /// What TOML's types cannot say.
    ///
    /// # Errors
    /// The first key whose value cannot work.
    pub fn check(&self) -> Result<(), ConfigError> {
        let need = |holds: bool, key: &str, problem: &str| ConfigError::unless(holds, key, problem);
        let session = &self.session;
        need(self.node.pe_id != Some(0), "node.pe_id", "not 0; leave it out for a random one")?;
        ConfigError::check_addresses(&self.udp)?;
        need(!self.pool.handle.is_empty(), "pool.handle", "the pool's name, not empty")?;
        need(self.pool.life_s <= i32::MAX as u32, "pool.life_s", "2147483647 at most; 0 means infinite")?;
        let advertise = &self.pool.advertise;
        let usable = |ip: &IpAddr| !ip.is_unspecified() && !ip.is_multicast();
        need(
            advertise.iter().all(usable),
            "pool.advertise",
            "the addresses that gateways send to, none of them 0.0.0.0 or [::]",
        )?;
        need(advertise.len() <= ADVERTISE_MAX, "pool.advertise", "8 addresses at most")?;
        self.multicast.check().map_err(|error| error.within("multicast"))?;
        let attached = !self.m3ua.gateways.is_empty();
        let findable = attached || !self.asap.hunt.servers.is_empty() || self.multicast.asap_group.is_some();
        need(findable, "asap.hunt.servers", NO_SERVER)?;
        let more = &self.pool.more_handles;
        need(more.iter().all(|handle| !handle.is_empty()), "pool.more_handles", "pool handles, not empty")?;
        need(more.len() < HANDLES_MAX, "pool.more_handles", "63 at most")?;
        need(self.scope.len() <= SCOPES_MAX, "scope", "16 at most")?;
        for (i, scope) in self.scope.iter().enumerate() {
            scope.check(i)?;
            let twice = self.scope[..i].iter().any(|other| other.name == scope.name);
            need(!twice, &format!("scope[{i}].name"), "another [[scope]] has this name")?;
        }
        need(self.m3ua.port != 0, "m3ua.port", "the SCTP port for gateways (2905), not 0")?;
        need(self.m3ua.gateways.len() <= GATEWAYS_MAX, "m3ua.gateways", "16 at most")?;
        need(
            !(attached && session.lease),
            "session.lease",
            "false beside m3ua.gateways: an ordinary ASP has no lease",
        )?;
        need(self.m3ua.t_ack_ms > 0, "m3ua.t_ack_ms", "more than 0")?;
        need(self.m3ua.refused_retry_ms > 0, "m3ua.refused_retry_ms", "more than 0")?;
        need(session.lease_beat_ms > 0, "session.lease_beat_ms", "more than 0")?;
        need(
            session.lease_beat_ms * 2 <= u64::from(session.lease_ms),
            "session.lease_ms",
            "two session.lease_beat_ms at least: else every lost BEAT would end the lease",
        )?;
        need(session.plain_si.iter().all(|si| *si < 16), "session.plain_si", "service indicators, 0 to 15")?;
        let capacity = (0.0..=1_000_000.0).contains(&session.capacity_per_s);
        need(capacity, "session.capacity_per_s", "0 (no limit) to 1000000 messages a second")?;
        need(session.waiting_max > 0, "session.waiting_max", "more than 0")?;
        need(session.lease_ms <= session.lease_ms_max, "session.lease_ms_max", "session.lease_ms at least")?;
        need(session.gateways_max > 0, "session.gateways_max", "more than 0")?;
        need(session.groups_max > 0, "session.groups_max", "more than 0")?;
        self.dialogue.check().map_err(|error| error.within("dialogue"))?;
        self.call.check().map_err(|error| error.within("call"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use asap::ServerAddress;

    #[test]
    fn the_commented_default_is_the_default_and_names_every_key() {
        enrp::daemon::assert_default_text::<Config>(COMMENTED_DEFAULT);
    }

    fn scope(name: &str) -> Scope {
        Scope { name: name.into(), servers: vec![ServerAddress::new([127, 0, 0, 1].into())], ..Scope::default() }
    }

    #[test]
    fn what_makes_no_sense_is_refused_by_name() {
        let problem = |change: fn(&mut Config)| {
            let mut config = Config::default();
            config.asap.hunt.servers = vec![ServerAddress::new([127, 0, 0, 1].into())];
            change(&mut config);
            config.check()
        };
        assert_eq!(problem(|_| ()), Ok(()));
        let named = |change, key: &str| assert_eq!(problem(change).unwrap_err().key, key);
        named(|c| c.node.pe_id = Some(0), "node.pe_id");
        named(|c| c.udp.addresses.clear(), "udp.addresses");
        named(|c| c.udp.addresses = vec![[0, 0, 0, 0].into()], "udp.addresses");
        named(|c| c.pool.handle.clear(), "pool.handle");
        named(|c| c.pool.advertise = vec![[0, 0, 0, 0].into()], "pool.advertise");
        named(|c| c.pool.advertise = vec![[10, 0, 0, 1].into(); 9], "pool.advertise");
        named(|c| c.asap.hunt.servers.clear(), "asap.hunt.servers");
        named(|c| c.pool.more_handles = vec![String::new()], "pool.more_handles");
        named(|c| c.scope = vec![scope("")], "scope[0].name");
        named(|c| c.scope = vec![Scope { servers: Vec::new(), ..scope("b") }], "scope[0].servers");
        named(|c| c.scope = vec![scope("b"), scope("b")], "scope[1].name");
        named(|c| c.scope = vec![scope("b"); 17], "scope");
        named(|c| c.m3ua.port = 0, "m3ua.port");
        named(|c| c.m3ua.gateways = vec![[10, 0, 0, 1].into()], "session.lease");
        named(|c| c.m3ua.gateways = vec![[10, 0, 0, 1].into(); 17], "m3ua.gateways");
        named(|c| c.session.lease_ms = 79, "session.lease_ms");
        named(|c| c.session.lease_ms_max = 279, "session.lease_ms_max");
        named(|c| c.session.groups_max = 0, "session.groups_max");
        named(|c| c.session.capacity_per_s = -1.0, "session.capacity_per_s");
        named(|c| c.session.waiting_max = 0, "session.waiting_max");
        named(|c| c.session.plain_si = vec![3, 16], "session.plain_si");
        named(|c| c.dialogue.answers = 0, "dialogue.answers");
        named(|c| c.dialogue.timeout_ms = 0, "dialogue.timeout_ms");
        named(|c| c.dialogue.dialogues_max = 1_025, "dialogue.dialogues_max");
        named(|c| c.call.cic_last = 4_096, "call.cic_first");
        named(|c| c.call.refuse_percent = 101, "call.refuse_percent");
        named(|c| c.call.originate_per_s = f64::NAN, "call.originate_per_s");
        named(|c| c.call.called_number = "12a4".into(), "call.called_number");
        named(|c| c.call.t16_ms = 0, "call.t16_ms");
    }
}
