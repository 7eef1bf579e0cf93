//! `[[as]]`.

use super::POINT_CODE_MAX;
use enrp::ConfigError;
use m3ua_lite::session::{self, Envelope};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::net::IpAddr;

/// Traffic Mode Type (RFC 4666 section 3.7.1).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum TrafficMode {
    /// All active ASPs share the traffic; a circuit group stays with one.
    Loadshare,
    /// One active ASP carries all the traffic; the next one to become active takes over.
    Override,
    /// Each active ASP gets all the traffic; for ASPs without transactions.
    Broadcast,
}

/// Between two evils, where nobody can know whether a message was acted on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Prefers {
    /// It goes to the next one: it may be acted on twice.
    Duplicate,
    /// It goes nowhere and is counted as `fate-unknown`: it may be lost.
    Loss,
}

/// What SCCP messages (SI 3) are grouped by: those of a group go to one controller, in order.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum SccpAffinity {
    /// TCAP dialogues by the six low bits of their transaction ids, which the controller takes over into its own ids; by SLS what
    /// has no transaction. For dialogues that the network begins, and controllers with the same setting.
    Tcap,
    /// OPC, DPC and SLS.
    Sls,
    /// OPC and DPC.
    PointCodes,
}

impl From<SccpAffinity> for session::SccpAffinity {
    fn from(affinity: SccpAffinity) -> Self {
        match affinity {
            SccpAffinity::Tcap => Self::Tcap,
            SccpAffinity::Sls => Self::Sls,
            SccpAffinity::PointCodes => Self::PointCodes,
        }
    }
}

/// One application server: a routing key, and the pool that serves it.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct As {
    /// Pool handle; `handle@scope` is a pool of another operation scope (`[[scope]]`). An `@` of the handle itself is written `@@`.
    #[schemars(length(min = 1))]
    pub pool: String,
    /// Routing Context toward the pool; unique among the application servers.
    pub routing_context: u32,
    /// Network Appearance: put into DATA toward the pool, and part of the routing key; toward peers too, if `network.network_appearance`
    /// says that these are told. Absent: none, and the key is of all networks.
    #[schemars(example = 1)]
    pub network_appearance: Option<u32>,
    /// Destination point codes of the routing key; at least one.
    #[schemars(length(min = 1), inner(range(max = 0x00ff_ffff)), example = [2])]
    pub dpc: Vec<u32>,
    /// How many low bits of each DPC are not looked at (RFC 4666 section 3.4.1 mask), 0 to 24.
    #[schemars(range(max = 24))]
    pub dpc_mask: u8,
    /// Originating point codes; empty means any.
    #[schemars(inner(range(max = 0x00ff_ffff)), example = [101, 102])]
    pub opc: Vec<u32>,
    /// Service indicators; empty means any.
    #[schemars(inner(range(max = 15)), example = [5])]
    pub si: Vec<u8>,
    /// Network indicators of the routing key: 0 international, 2 national; empty means any.
    #[schemars(inner(range(max = 3)), example = [2])]
    pub ni: Vec<u8>,
    /// Traffic mode the ASPs must ask for.
    pub traffic_mode: TrafficMode,
    /// n of n+k (RFC 4666 section 4.3.2): ASPs that must be active before the AS is, 1 to 64. Once it is active, one is enough, and
    /// inactive ones hear "Insufficient ASP Resources". In override mode 1.
    #[schemars(range(min = 1, max = 64))]
    pub asps_min: usize,
    /// Addresses of ordinary ASPs, which attach by themselves at `network.port`, know nothing of RSerPool and are registered in the
    /// pool on their behalf; needs the embedded name server.
    #[schemars(length(max = 64), example = ["127.0.0.50"])]
    pub asps: Vec<IpAddr>,
    /// Addresses of ASPs of this application server, ordinary ones or controllers, that may register further routing keys for it while
    /// they are up (RFC 4666 section 4.4). Empty: nobody; REG REQ is answered by ERR Unsupported Message Class.
    #[schemars(length(max = 64), example = ["127.0.0.50"])]
    pub register_from: Vec<IpAddr>,
    /// Destination point codes that these keys may have. Empty: none; what is asked for must be configured already.
    #[schemars(inner(range(max = 0x00ff_ffff)), example = [12, 13])]
    pub register_dpc: Vec<u32>,
    /// Most DPCs and OPCs in the keys registered at a time.
    #[schemars(range(min = 1, max = 1024))]
    pub register_entries_max: usize,
    /// What becomes of messages that an ASP without transactions had and did not confirm before it failed.
    pub foreign_prefers: Prefers,
    /// The controllers send cookies (transactions). False: output passes at once, barriers alone confirm.
    pub transactions: bool,
    /// What SCCP messages (SI 3) are grouped by; the same as `session.sccp_affinity` of the controllers.
    pub sccp_affinity: SccpAffinity,
    /// Resolve the pool and open associations at start; false waits for the first message.
    pub resolve_at_start: bool,
    /// T(r), RFC 4666 section 4.3.2: how long messages wait while no ASP is active.
    #[schemars(range(min = 1))]
    pub t_r_ms: u64,
    /// Most messages waiting or unconfirmed.
    #[schemars(range(min = 1))]
    pub queue_messages_max: usize,
    /// Most bytes waiting or unconfirmed.
    #[schemars(range(min = 1))]
    pub queue_bytes_max: usize,
    /// Filling of the queue, per cent of its messages or bytes, from which on messages that begin something new (IAM; anything that
    /// is not ISUP) are discarded, so that calls that are up can end; 100: they go on until it is full.
    #[schemars(range(min = 1, max = 100))]
    pub congestion_percent: u8,
    /// Filling of the queue, per cent of its messages or bytes, at which the network is told congestion levels 1, 2 and 3 (SCON,
    /// RFC 4666 section 3.4.4); rising, 101: never.
    #[schemars(inner(range(min = 1, max = 101)))]
    pub congestion_levels_percent: [u8; 3],
    /// A level is left so many per cent below where it was reached.
    #[schemars(range(max = 100))]
    pub congestion_abatement_percent: u8,
    /// While there is congestion the network is told again this often.
    #[schemars(range(min = 1))]
    pub scon_interval_ms: u64,
    /// Most messages unconfirmed at one controller; the others wait in their groups' queues.
    #[schemars(range(min = 1))]
    pub unconfirmed_max: usize,
    /// Most groups (circuit groups, or OPC-DPC-SLS) remembered.
    #[schemars(range(min = 1))]
    pub groups_max: usize,
    /// Most output messages of one group held until its cookie comes.
    #[schemars(range(min = 1))]
    pub held_messages_max: usize,
    /// Longest session cookie stored, bytes.
    #[schemars(range(min = 32))]
    pub cookie_bytes_max: usize,
    /// Most bytes of cookies and held output of all groups together; the controller that passes it is given up.
    pub state_bytes_max: usize,
    /// Most associations to the pool's elements kept up.
    #[schemars(range(min = 2, max = 64))]
    pub associations_max: usize,
}

impl Default for As {
    fn default() -> Self {
        Self {
            pool: "GatewayPool".into(),
            routing_context: 1,
            network_appearance: None,
            dpc: Vec::new(),
            dpc_mask: 0,
            opc: Vec::new(),
            si: Vec::new(),
            ni: Vec::new(),
            traffic_mode: TrafficMode::Loadshare,
            asps_min: 1,
            asps: Vec::new(),
            register_from: Vec::new(),
            register_dpc: Vec::new(),
            register_entries_max: 64,
            foreign_prefers: Prefers::Duplicate,
            transactions: true,
            sccp_affinity: SccpAffinity::Sls,
            resolve_at_start: true,
            t_r_ms: 2_000,
            queue_messages_max: 10_000,
            queue_bytes_max: 8 << 20,
            congestion_percent: 80,
            congestion_levels_percent: [50, 65, 80],
            congestion_abatement_percent: 10,
            scon_interval_ms: 1_000,
            unconfirmed_max: 1_000,
            groups_max: 65_536,
            held_messages_max: 1_000,
            cookie_bytes_max: 16_384,
            state_bytes_max: 256 << 20,
            associations_max: 64,
        }
    }
}

impl As {
    pub(super) fn check(&self, index: usize) -> Result<(), ConfigError> {
        let key = |name: &str| format!("as[{index}].{name}");
        ConfigError::unless(!self.dpc.is_empty(), &key("dpc"), "at least one destination point code: the pool's own")?;
        ConfigError::unless(
            self.dpc.iter().all(|pc| *pc <= POINT_CODE_MAX),
            &key("dpc"),
            "point codes of 24 bits at most",
        )?;
        ConfigError::unless(self.dpc_mask <= 24, &key("dpc_mask"), "0 to 24 bits")?;
        ConfigError::unless(
            self.opc.iter().all(|pc| *pc <= POINT_CODE_MAX),
            &key("opc"),
            "point codes of 24 bits at most",
        )?;
        ConfigError::unless(self.si.iter().all(|si| *si < 16), &key("si"), "0 to 15; 5 is ISUP")?;
        ConfigError::unless(self.ni.iter().all(|ni| *ni < 4), &key("ni"), "0 to 3; 0 is international, 2 national")?;
        ConfigError::unless(self.register_from.len() <= 64, &key("register_from"), "64 addresses at most")?;
        let narrow = self.register_dpc.iter().all(|pc| *pc <= POINT_CODE_MAX);
        ConfigError::unless(narrow, &key("register_dpc"), "point codes of 24 bits at most")?;
        let entries = (1..=1024).contains(&self.register_entries_max);
        ConfigError::unless(entries, &key("register_entries_max"), "1 to 1024")?;
        ConfigError::unless(self.t_r_ms > 0, &key("t_r_ms"), "more than 0")?;
        ConfigError::unless(self.queue_messages_max > 0, &key("queue_messages_max"), "more than 0")?;
        ConfigError::unless(self.queue_bytes_max > 0, &key("queue_bytes_max"), "more than 0")?;
        let percent = (1..=100).contains(&self.congestion_percent);
        ConfigError::unless(percent, &key("congestion_percent"), "1 to 100 per cent of the queue")?;
        let [one, two, three] = self.congestion_levels_percent;
        let rising = (1..=two).contains(&one) && (two..=101).contains(&three);
        ConfigError::unless(
            rising,
            &key("congestion_levels_percent"),
            "three rising numbers, 1 to 101 per cent of the queue",
        )?;
        ConfigError::unless(
            self.congestion_abatement_percent <= 100,
            &key("congestion_abatement_percent"),
            "0 to 100",
        )?;
        ConfigError::unless((1..=64).contains(&self.asps_min), &key("asps_min"), "1 to 64")?;
        let both_act = self.traffic_mode == TrafficMode::Broadcast && self.transactions;
        ConfigError::unless(
            !both_act,
            &key("traffic_mode"),
            "broadcast only with transactions = false: controllers of ours would all act on each call",
        )?;
        let override_mode = self.traffic_mode == TrafficMode::Override;
        ConfigError::unless(
            self.asps_min == 1 || !override_mode,
            &key("asps_min"),
            "1 in override mode, where one is active",
        )?;
        ConfigError::unless(self.scon_interval_ms > 0, &key("scon_interval_ms"), "more than 0")?;
        ConfigError::unless(self.unconfirmed_max > 0, &key("unconfirmed_max"), "more than 0")?;
        ConfigError::unless(self.groups_max > 0, &key("groups_max"), "more than 0")?;
        ConfigError::unless(self.held_messages_max > 0, &key("held_messages_max"), "more than 0")?;
        ConfigError::unless(
            self.cookie_bytes_max >= Envelope::HEADER_LEN,
            &key("cookie_bytes_max"),
            "32 or more (the envelope alone has 32 bytes)",
        )?;
        ConfigError::unless(
            self.state_bytes_max >= self.cookie_bytes_max,
            &key("state_bytes_max"),
            "not less than cookie_bytes_max; a group takes some 200 bytes",
        )?;
        let warm = (2..=64).contains(&self.associations_max);
        ConfigError::unless(warm, &key("associations_max"), "2 (a spare must be warm) to 64")
    }
}
