//! What a [`Stack`](crate::Stack) counts.

macro_rules! counters {
    ($($(#[$doc:meta])* $name:ident,)*) => {
        /// What was counted since the stack was made. Field names are the metric names without prefix.
        #[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
        #[non_exhaustive]
        pub struct Counters {
            $($(#[$doc])* pub $name: u64,)*
        }

        impl Counters {
            /// Every counter as (name, value), in the order of the fields, for metrics.
            pub fn iter(&self) -> impl Iterator<Item = (&'static str, u64)> + use<> {
                [$((stringify!($name), self.$name)),*].into_iter()
            }
        }
    };
}

counters! {
    /// Packets taken in.
    packets_in,
    /// Packets given out.
    packets_out,
    /// Padded HEARTBEATs sent to find out what a path carries (RFC 8899).
    mtu_probes,
    /// Paths that were found to carry longer packets.
    mtu_raised,
    /// Paths that were found not to carry them any more.
    mtu_lowered,
    /// Packets refused by a link that carries less than the setting `mtu`.
    mtu_under_base,
    /// User messages accepted by `send`.
    messages_accepted,
    /// User messages acknowledged by the peer.
    messages_acknowledged,
    /// User messages handed back in `Closed`.
    messages_handed_back,
    /// User messages delivered to the user.
    messages_in,
    /// `send` refused: not open.
    refused_not_open,
    /// `send` refused: no such stream.
    refused_stream,
    /// `send` refused: queue full.
    refused_queue_full,
    /// `send` refused: empty or too long.
    refused_length,
    /// `connect` refused: no address, or the limit of associations.
    refused_connect,
    /// DATA chunks sent, first time and again.
    data_out,
    /// DATA chunks sent again.
    data_retransmitted,
    /// T3-rtx expirations.
    t3_expired,
    /// DATA chunks held lost by miss indications or by time (section 7.2.4), before T3-rtx.
    data_held_lost,
    /// Ends of bursts repeated because nothing was heard (RFC 8985 section 7).
    tail_probes,
    /// DATA chunks taken in.
    data_in,
    /// DATA chunks taken in that had been received before.
    data_duplicate,
    /// DATA chunks dropped: TSN far beyond what we acknowledged.
    dropped_tsn_window,
    /// DATA chunks dropped: too many wait for the rest of their message or for one before it, or fragments are tiny.
    dropped_no_room,
    /// DATA chunks on a stream beyond the negotiated ones: acknowledged, reported and thrown away (section 6.5).
    dropped_stream,
    /// DATA chunks dropped: not open for data in this state.
    dropped_data_state,
    /// SACK and SHUTDOWN chunks dropped: malformed or acknowledging what was never sent.
    dropped_sack,
    /// SACK chunks behind another one in the same packet that acknowledge nothing more.
    sack_repeated,
    /// SACK chunks older than one before.
    sack_old,
    /// Packets dropped: shorter than a header and a chunk.
    dropped_short,
    /// Packets dropped: wrong CRC32c.
    dropped_checksum,
    /// Packets dropped: a port is zero.
    dropped_port_zero,
    /// Packets dropped: the rest after an impossible chunk length.
    dropped_chunk_length,
    /// Packets dropped: source address is not one of the association's.
    dropped_source,
    /// Packets dropped: INIT or INIT ACK with other chunks, or a tag that does not fit (section 8.5).
    dropped_tag,
    /// INIT or INIT ACK chunks dropped: too short, or values that may not be.
    dropped_init,
    /// HEARTBEAT ACK dropped: not an answer to a heartbeat of ours.
    dropped_heartbeat_ack,
    /// Chunks dropped: not expected in this state.
    dropped_unexpected,
    /// Chunks of unknown type.
    unknown_chunks,
    /// INIT chunks answered with INIT ACK.
    init_answered,
    /// INIT chunks answered with ABORT.
    init_refused,
    /// Addresses of peers not used: unspecified, multicast, broadcast, loopback or link-local of another host, of a family that we have
    /// no address of, or too many.
    addresses_ignored,
    /// State cookies with a wrong MAC, silently dropped.
    cookie_bad,
    /// State cookies that were too old.
    cookie_stale,
    /// State cookies that fit no case of RFC 9260 table 12.
    cookie_unmatched,
    /// Associations refused because there were `associations_max`.
    associations_refused,
    /// Associations that came up.
    associations_up,
    /// Associations that ended.
    associations_closed,
    /// Associations the peer restarted.
    associations_restarted,
    /// Packets out of the blue.
    out_of_the_blue,
    /// Packets out of the blue left unanswered by the limit.
    out_of_the_blue_unanswered,
    /// HEARTBEAT chunks not answered: the answers did not fit one packet.
    heartbeats_left_out,
    /// HEARTBEAT chunks sent.
    heartbeats_out,
    /// HEARTBEAT chunks that were not answered in time.
    heartbeats_lost,
    /// ABORT chunks taken in.
    aborts_in,
    /// ABORT chunks sent for an association.
    aborts_out,
    /// ERROR chunks taken in.
    errors_in,
    /// ERROR chunks sent.
    errors_out,
    /// ERROR chunks not sent: the answers to one packet would not fit one packet.
    errors_left_out,
    /// ICMP errors ignored: unknown association, wrong tag, too short, or switched off.
    icmp_ignored,
    /// ICMP errors that counted.
    icmp_taken,
    /// Peers whose UDP port changed (RFC 6951 section 5.4).
    udp_port_changed,
    /// Messages or fragments the engine handed out that were too short to be ours. Always 0.
    engine_surprises,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn iterates_by_name() {
        let counters = Counters { packets_out: 7, ..Counters::default() };
        let all: Vec<_> = counters.iter().collect();
        assert!(all.contains(&("packets_out", 7)));
        assert!(all.contains(&("packets_in", 0)));
        assert!(all.len() > 40);
    }
}
