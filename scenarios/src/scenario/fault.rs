//! `[[faults]]` of a scenario file: what is done to whom, and when.

use super::Impairment;
use schemars::JsonSchema;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use std::fmt;

/// What can be done to a run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum FaultKind {
    /// SIGKILL.
    Kill,
    /// SIGSTOP: the process hangs, its sockets stay.
    Stop,
    /// SIGCONT.
    Cont,
    /// SIGTERM: a clean end.
    Term,
    /// The same by its other name: the pool element deregisters and leaves.
    Leave,
    /// `kill`, and `start` after `duration_ms`, or at once.
    Restart,
    /// Starts the process again at its address; a controller has a new PE identifier then. Also the first start of a controller
    /// that is not there at the start of the run.
    Start,
    /// Takes a core away from everything for `duration_ms`.
    StealCore,
    /// Cuts a path: every datagram from and to an address on it is swallowed.
    CutPath,
    /// Joins it again.
    RestorePath,
    /// Cuts two processes off from each other, on all paths: `enrp-1/enrp-2`.
    CutLink,
    /// Joins them again.
    RestoreLink,
    /// Cuts a controller off from everybody, in one `direction` or both; its process goes on.
    Isolate,
    /// Joins it again.
    Rejoin,
    /// Blocks a controller's call control, while its SCTP and M3UA layers go on answering.
    StickWorker,
    /// Its call control goes on.
    FreeWorker,
    /// Takes nine tenths of the processor from a process for `duration_ms`: it runs 10 ms of each 100.
    Starve,
    /// The relay treats datagrams like a poor network: `with`. Of a process in one `direction` or both; without a target all datagrams
    /// of the run.
    Impair,
    /// Ends all impairments of this target.
    Clear,
    /// `POST /command/...` to the process's admin: `command`, `body`.
    Command,
}

/// Which datagrams of an isolated controller are swallowed; of a process are impaired.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Direction {
    /// All.
    #[default]
    Both,
    /// Those to it.
    To,
    /// Those from it.
    From,
}

impl FaultKind {
    /// The word in scenario files, records and results.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Kill => "kill",
            Self::Stop => "stop",
            Self::Cont => "cont",
            Self::Term => "term",
            Self::Leave => "leave",
            Self::Restart => "restart",
            Self::Start => "start",
            Self::StealCore => "steal-core",
            Self::CutPath => "cut-path",
            Self::RestorePath => "restore-path",
            Self::CutLink => "cut-link",
            Self::RestoreLink => "restore-link",
            Self::Isolate => "isolate",
            Self::Rejoin => "rejoin",
            Self::StickWorker => "stick-worker",
            Self::FreeWorker => "free-worker",
            Self::Starve => "starve",
            Self::Impair => "impair",
            Self::Clear => "clear",
            Self::Command => "command",
        }
    }
}

/// To whom a fault is done.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash)]
pub enum Target {
    /// `steal-core`, and `impair` and `clear` without a target: everybody.
    #[default]
    Machine,
    /// The gateway that leads at that time: `gateway`.
    Gateway,
    /// The one that does not: `gateway-follower`.
    GatewayFollower,
    /// A gateway by its index: 0 is `gateway-1`.
    GatewayNumber(usize),
    /// A controller by its index: 0 is `gwc-1`.
    Controller(usize),
    /// A stand-alone name server by its index: 0 is `enrp-1`.
    NameServer(usize),
    /// A process of the population by its index: 0 is `pop-1`.
    Population(usize),
    /// Two stand-alone name servers, as the ends of a link: `enrp-1/enrp-2`.
    Link(usize, usize),
    /// A path by its index: 0 is `path-1`, all first addresses.
    Path(usize),
}

impl Target {
    fn named(name: &str) -> Option<Self> {
        if let Some((a, b)) = name.split_once('/') {
            let (Self::NameServer(a), Self::NameServer(b)) = (Self::named(a)?, Self::named(b)?) else { return None };
            return Some(Self::Link(a, b));
        }
        match name {
            "gateway" => return Some(Self::Gateway),
            "gateway-follower" => return Some(Self::GatewayFollower),
            _ => {}
        }
        let (kind, number) = name.rsplit_once('-')?;
        let index = number.parse::<usize>().ok()?.checked_sub(1)?;
        match kind {
            "gateway" => Some(Self::GatewayNumber(index)),
            "gwc" => Some(Self::Controller(index)),
            "enrp" => Some(Self::NameServer(index)),
            "pop" => Some(Self::Population(index)),
            "path" => Some(Self::Path(index)),
            _ => None,
        }
    }

    fn is_machine(&self) -> bool {
        *self == Self::Machine
    }
}

impl fmt::Display for Target {
    /// The name in scenario files, records and results.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Machine => f.write_str("machine"),
            Self::Gateway => f.write_str("gateway"),
            Self::GatewayFollower => f.write_str("gateway-follower"),
            Self::GatewayNumber(index) => write!(f, "gateway-{}", index + 1),
            Self::Controller(index) => write!(f, "gwc-{}", index + 1),
            Self::NameServer(index) => write!(f, "enrp-{}", index + 1),
            Self::Population(index) => write!(f, "pop-{}", index + 1),
            Self::Link(a, b) => write!(f, "enrp-{}/enrp-{}", a + 1, b + 1),
            Self::Path(index) => write!(f, "path-{}", index + 1),
        }
    }
}

impl Serialize for Target {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        to.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Target {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        let name = String::deserialize(from)?;
        Self::named(&name).ok_or_else(|| {
            serde::de::Error::custom(format_args!(
                "no process `{name}`: expected gwc-1 and up, enrp-1 and up, pop-1 and up, gateway (the one that leads), \
                 gateway-follower, gateway-1 or gateway-2; or a path: path-1, path-2; or a link: enrp-1/enrp-2"
            ))
        })
    }
}

/// One fault of the time line.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Fault {
    /// When, ms after the begin of the load.
    #[schemars(example = 4_000)]
    pub at_ms: u64,
    /// Done again and again after so much time, ms, up to `until_ms`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 86_400_000), example = 6_000)]
    pub every_ms: Option<u64>,
    /// Beside `every_ms`: not after this time, ms after the begin of the load; absent: to its end.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(example = 60_000)]
    pub until_ms: Option<u64>,
    /// What.
    #[schemars(example = FaultKind::Kill)]
    pub kind: FaultKind,
    /// To whom; `steal-core` takes none, `impair` and `clear` need none.
    #[serde(default, skip_serializing_if = "Target::is_machine")]
    #[schemars(with = "String", regex(pattern = "^(gateway|gateway-follower|gateway-[12]|gwc-[1-9][0-9]*|enrp-[1-9]|pop-[1-9][0-9]*|path-[12]|enrp-[1-9]/enrp-[1-9])$"), example = &"gwc-1")]
    pub target: Target,
    /// `steal-core` and `starve`: for how long, ms. `restart`: until the process is started again; absent: at once.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 10_000), example = 200)]
    pub duration_ms: Option<u64>,
    /// `isolate` and `impair` of a process only: which datagrams are meant; absent: all.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(example = Direction::From)]
    pub direction: Option<Direction>,
    /// `impair` only: what is done to datagrams, and to which.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub with: Option<Impairment>,
    /// Limit of this fault's own `longest_gap_ms`, ms; beside the one in `[assertions]`, which is for all faults.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0.0), example = 100.0)]
    pub longest_gap_ms: Option<f64>,
    /// Limit of this fault's own `first_ms`, the failover itself: until the first message of an affected group is applied elsewhere, ms.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0.0), example = 400.0)]
    pub first_ms: Option<f64>,
    /// `restore-path` only: so many per cent at least of all datagrams go over this path in the last second before the next fault
    /// of a path, or the end of the load: the traffic is back on it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0.0, max = 100.0), example = 60.0)]
    pub carried_min_percent: Option<f64>,
    /// `command` only: its name, such as `table` and `plugin` of a name server, `values` of a process of the population.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1), example = &"table")]
    pub command: Option<String>,
    /// `command` only: what goes with it.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    #[schemars(example = &"set location vienna 16 48")]
    pub body: String,
}
