//! `[[network.linkset]]`.

use super::{POINT_CODE_MAX, TrafficMode};
use enrp::ConfigError;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::net::IpAddr;

/// What both ends of a linkset's associations are.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum LinkMode {
    /// This gateway is an ASP, the other end an SGP.
    Asp,
    /// Both are IPSPs, single exchange (RFC 4666 section 4.3): one state for both directions, which either end may change. Double
    /// exchange is not supported.
    Ipsp,
}

impl LinkMode {
    /// As the configuration has it.
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Asp => "asp",
            Self::Ipsp => "ipsp",
        }
    }
}

/// Associations toward signalling transfer points, which this gateway opens as an ASP, or with IPSPs. Its links share the traffic by SLS.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct LinkSet {
    /// Its name in the admin state and the log; unique.
    #[schemars(length(min = 1), example = &"stp-a")]
    pub name: String,
    /// `asp`: the other end is an SGP. `ipsp`: both ends are IPSPs, single exchange.
    pub mode: LinkMode,
    /// With `mode = "ipsp"`: the other end opens the associations, to `network.port` from an address of a link, and sends ASPUP and
    /// ASPAC, which this gateway answers. Exactly one of both ends is to be so.
    pub passive: bool,
    /// The links, an association each; at least one.
    #[schemars(length(min = 1, max = 16))]
    pub links: Vec<Link>,
    /// Destinations reached through it; at least one.
    #[schemars(length(min = 1, max = 256))]
    pub routes: Vec<Route>,
    /// Routing Context in ASPAC and DATA. Absent: none, the STP's configuration tells.
    #[schemars(example = 1)]
    pub routing_context: Option<u32>,
    /// Network Appearance put into DATA. Absent: none.
    #[schemars(example = 1)]
    pub network_appearance: Option<u32>,
    /// ASP Identifier in ASPUP. Absent: none.
    #[schemars(example = 1)]
    pub asp_id: Option<u32>,
    /// Traffic Mode Type asked for in ASPAC.
    pub traffic_mode: TrafficMode,
    /// T(ack), RFC 4666 section 4.3.4.1: a request that is not answered is sent again, ms.
    #[schemars(range(min = 1))]
    pub t_ack_ms: u64,
    /// Between attempts to open a link, ms.
    #[schemars(range(min = 1))]
    pub reconnect_ms: u64,
    /// A link that comes back gets its SLSs again when those that carried them had so long to deliver what they have, ms
    /// (time-controlled diversion, Q.704 section 6.4).
    pub changeback_ms: u64,
}

/// One association of a linkset.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Link {
    /// Addresses of the other end, the primary first.
    #[schemars(length(min = 1, max = 4), example = ["127.0.0.3"])]
    pub addresses: Vec<IpAddr>,
    /// Its SCTP port (M3UA: 2905); not looked at in a passive linkset.
    #[serde(default = "m3ua_port")]
    #[schemars(range(min = 1), example = 2905)]
    pub port: u16,
}

fn m3ua_port() -> u16 {
    2905
}

/// Destinations of a linkset.
#[derive(Debug, Clone, Copy, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Route {
    /// Destination point code.
    #[schemars(range(max = 0x00ff_ffff), example = 1)]
    pub dpc: u32,
    /// How many of its low bits are not looked at, 0 to 24; of several routes that fit the one with the fewest goes first.
    #[serde(default)]
    #[schemars(range(max = 24), example = 8)]
    pub mask: u8,
    /// Among routes of one mask the lowest goes first; the others are for when it is not available.
    #[serde(default)]
    #[schemars(example = 1)]
    pub priority: u8,
}

impl Default for LinkSet {
    fn default() -> Self {
        Self {
            name: "stp".to_owned(),
            mode: LinkMode::Asp,
            passive: false,
            links: Vec::new(),
            routes: Vec::new(),
            routing_context: None,
            network_appearance: None,
            asp_id: None,
            traffic_mode: TrafficMode::Loadshare,
            t_ack_ms: 2_000,
            reconnect_ms: 200,
            changeback_ms: 100,
        }
    }
}

impl LinkSet {
    pub(super) fn check(&self, key: &str) -> Result<(), ConfigError> {
        let unless =
            |holds: bool, part: &str, expected: &str| ConfigError::unless(holds, &format!("{key}.{part}"), expected);
        unless(!self.name.is_empty(), "name", "a name: it stands in the admin state and the log")?;
        unless((1..=16).contains(&self.links.len()), "links", "1 to 16 links, each { addresses = [\"...\"] }")?;
        for link in &self.links {
            unless((1..=4).contains(&link.addresses.len()), "links", "1 to 4 addresses in each")?;
            unless(link.port != 0, "links", "a port, normally 2905 (M3UA)")?;
        }
        let fits = !self.passive || self.mode == LinkMode::Ipsp;
        unless(fits, "passive", "false, or mode = \"ipsp\": an SGP opens no association to its ASP")?;
        unless((1..=256).contains(&self.routes.len()), "routes", "1 to 256 destinations, each { dpc = 1 }")?;
        for route in &self.routes {
            unless(route.dpc <= POINT_CODE_MAX, "routes", "point codes of 24 bits at most")?;
            unless(route.mask <= 24, "routes", "a mask of 0 to 24 bits")?;
        }
        unless(self.t_ack_ms > 0, "t_ack_ms", "more than 0")?;
        unless(self.reconnect_ms > 0, "reconnect_ms", "more than 0")
    }
}
