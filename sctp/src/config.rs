//! Settings of a [`Stack`](crate::Stack). All times in milliseconds.

use serde::{Deserialize, Serialize};
use std::net::IpAddr;

/// Settings; defaults suit a lab network with sub-second failover. RFC names and RFC defaults are in each comment.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    /// RTO.Initial (RFC 9260 section 16: 1,000).
    pub rto_initial_ms: u64,
    /// RTO.Min (RFC: 1,000).
    pub rto_min_ms: u64,
    /// RTO.Max (RFC: 60,000).
    pub rto_max_ms: u64,
    /// Max.Init.Retransmits (RFC: 8).
    pub max_init_retransmits: u32,
    /// Association.Max.Retrans (RFC: 10).
    pub association_max_retrans: u32,
    /// Path.Max.Retrans (RFC: 5).
    pub path_max_retrans: u32,
    /// PotentiallyFailed.Max.Retrans (RFC 7829: 0).
    pub potentially_failed_max_retrans: u32,
    /// What becomes of the primary path when it is potentially failed and data goes over another (RFC 7829 section 5, Primary
    /// Path Switchover). false, the default of the RFC: data comes back as soon as the primary is active again. true: the path
    /// that took over becomes the primary (Primary.Switchover.Max.Retrans = PotentiallyFailed.Max.Retrans).
    pub primary_switchover: bool,
    /// HB.Max.Burst: HEARTBEATs in one RTO to addresses that have not proved themselves yet (RFC 9260 section 5.4; RFC: 1).
    pub heartbeat_burst_max: u32,
    /// HB.interval (RFC: 30,000).
    pub heartbeat_interval_ms: u64,
    /// Heartbeats a second to the idle associations that came to one port of ours, or that we opened to one port of others: with
    /// many associations HB.interval grows until no more are sent. 100: up to 50 associations keep an interval of 500 ms, 10,000
    /// have one of 100 s. 0: no limit. Supervision of what is outstanding is not slowed.
    pub heartbeats_per_s_max: u32,
    /// How long the acknowledgement of DATA may wait for more DATA, at most 200 (SACK.Delay, RFC: 200). DATA with the I bit
    /// (RFC 7053), which our own stack sets at the end of each burst, is acknowledged at once. 0: every packet is.
    pub sack_delay_ms: u64,
    /// Nothing acknowledged for two round trips, but not less than this: the last DATA chunk goes out again (over another path when
    /// there is one), so that the answer tells what is missing long before T3-rtx (as RFC 8985's tail loss probe). 0: T3-rtx only.
    pub tail_probe_ms: u64,
    /// An association is `Silent` when nothing was heard for this long while something was outstanding (data or a heartbeat),
    /// but never sooner than four round trips. 0 switches it off (RFC counters only).
    pub supervision_ms: u64,
    /// Valid.Cookie.Life (RFC: 60,000).
    pub cookie_life_ms: u64,
    /// How often the key of the state cookie changes; the one before stays valid.
    pub cookie_key_ms: u64,
    /// Outbound streams asked for (OS).
    pub outbound_streams: u16,
    /// Most inbound streams taken (MIS).
    pub inbound_streams: u16,
    /// Advertised receiver window in bytes.
    pub a_rwnd: u32,
    /// SCTP packets (UDP payload) of so many bytes go over every path, and no DATA chunk is longer; 512 to 65,000. Below 1,200 only
    /// where a link on the way is that narrow.
    pub mtu: usize,
    /// The longest SCTP packet, where a path is found to carry it: tried with padded HEARTBEATs (RFC 8899, RFC 4820). As `mtu`, or less:
    /// not tried.
    pub mtu_max: usize,
    /// Largest user message taken or sent, bytes; `a_rwnd` must be larger, or a peer's longest messages end the association.
    pub message_bytes_max: usize,
    /// Most accepted and unacknowledged messages of an association; `send` refuses past it.
    pub send_queue_messages_max: usize,
    /// Most accepted and unacknowledged bytes of an association.
    pub send_queue_bytes_max: usize,
    /// Messages handed to the engine at once (the rest waits in our own queue). On long paths it grows to twice what one round
    /// trip acknowledges, up to 32 times this.
    pub engine_window_messages: usize,
    /// Most associations of the stack, either direction.
    pub associations_max: usize,
    /// Received DATA chunks of all associations that may wait for others before them; past it only what is next in sequence is
    /// taken. One holds up to 4 KB of memory.
    pub waiting_chunks_max: usize,
    /// Replies to packets out of the blue (RFC 9260 section 8.4) a second.
    pub out_of_the_blue_per_s: u32,
    /// Whether ICMP errors count as a sign of death (RFC 6951 section 5.5).
    pub icmp: bool,
    /// Addresses listed in INIT and INIT ACK in place of the own ones. Empty: the own ones. No key of its own: a daemon has it in
    /// `udp.advertise`.
    #[serde(skip)]
    pub advertise: Vec<IpAddr>,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            rto_initial_ms: 200,
            rto_min_ms: 100,
            rto_max_ms: 1_000,
            max_init_retransmits: 8,
            association_max_retrans: 10,
            path_max_retrans: 5,
            potentially_failed_max_retrans: 0,
            primary_switchover: false,
            heartbeat_burst_max: 1,
            heartbeat_interval_ms: 500,
            heartbeats_per_s_max: 100,
            sack_delay_ms: 40,
            tail_probe_ms: 20,
            supervision_ms: 2_000,
            cookie_life_ms: 60_000,
            cookie_key_ms: 3_600_000,
            outbound_streams: 17,
            inbound_streams: 64,
            a_rwnd: 1 << 20,
            mtu: 1_200,
            mtu_max: 1_400,
            message_bytes_max: 65_535,
            send_queue_messages_max: 20_000,
            send_queue_bytes_max: 16 << 20,
            engine_window_messages: 64,
            associations_max: 16_384,
            waiting_chunks_max: 65_536,
            out_of_the_blue_per_s: 100,
            icmp: true,
            advertise: Vec::new(),
        }
    }
}

impl Config {
    /// What the protocol or the engine cannot do is brought into its bounds: a_rwnd at least 1,500 (RFC 9260 section 3.3.2), at
    /// least one stream each way, MTU 512 to 65,000, messages up to 2^24 bytes, RTO.Max not under RTO.Min.
    pub(crate) fn sane(mut self) -> Self {
        self.a_rwnd = self.a_rwnd.max(1_500);
        self.outbound_streams = self.outbound_streams.max(1);
        self.inbound_streams = self.inbound_streams.max(1);
        self.mtu = self.mtu.clamp(512, 65_000);
        self.mtu_max = self.mtu_max.clamp(self.mtu, 65_000);
        self.message_bytes_max = self.message_bytes_max.clamp(1, 1 << 24);
        self.rto_min_ms = self.rto_min_ms.max(1);
        self.rto_max_ms = self.rto_max_ms.max(self.rto_min_ms);
        self.rto_initial_ms = self.rto_initial_ms.clamp(self.rto_min_ms, self.rto_max_ms);
        self
    }
}
