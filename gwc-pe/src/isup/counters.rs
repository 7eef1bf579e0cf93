//! What call control counted.

/// How a call ended. Every call that was started or restored ends in exactly one of these.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(usize)]
pub enum Outcome {
    /// Answered, then released by the other end.
    ReleasedByPeer,
    /// Answered, then released by this end.
    ReleasedByUs,
    /// Incoming: the caller gave up before the answer.
    Abandoned,
    /// Incoming: this end refused it (REL instead of ACM).
    RefusedByUs,
    /// Outgoing: the other end released it before the answer.
    RefusedByPeer,
    /// Outgoing: no ACM or CON in time (T7).
    NoAddressComplete,
    /// Outgoing: no answer in time (T9).
    NoAnswer,
    /// Suspended for too long (T6).
    Suspended,
    /// Incoming: continuity check failed, or no COT in time (T8).
    Continuity,
    /// Outgoing: lost to an IAM of the exchange that controls the circuit (Q.764 2.9.1.4).
    DualSeizure,
    /// Outgoing: circuit was blocked or unequipped at the other end.
    CircuitUnavailable,
    /// Reset by the other end (RSC, GRS, hardware blocking).
    ResetByPeer,
    /// Reset by this end after an unexpected message (Q.764 2.9.5.1).
    ResetByUs,
    /// RLC without our REL (Q.764 2.9.5.1 c).
    UnexpectedRelease,
    /// Idle at the other end, as two answers to our query said (Q.764 2.8.3).
    Audit,
    /// Forgotten: the lease was lost or the gateway went; the next controller has the call.
    Forgotten,
}

impl Outcome {
    /// All outcomes, in the order of their numbers.
    pub const ALL: [Self; 16] = [
        Self::ReleasedByPeer,
        Self::ReleasedByUs,
        Self::Abandoned,
        Self::RefusedByUs,
        Self::RefusedByPeer,
        Self::NoAddressComplete,
        Self::NoAnswer,
        Self::Suspended,
        Self::Continuity,
        Self::DualSeizure,
        Self::CircuitUnavailable,
        Self::ResetByPeer,
        Self::ResetByUs,
        Self::UnexpectedRelease,
        Self::Audit,
        Self::Forgotten,
    ];

    /// Name in metrics and admin state.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::ReleasedByPeer => "released_by_peer",
            Self::ReleasedByUs => "released_by_us",
            Self::Abandoned => "abandoned",
            Self::RefusedByUs => "refused_by_us",
            Self::RefusedByPeer => "refused_by_peer",
            Self::NoAddressComplete => "no_address_complete",
            Self::NoAnswer => "no_answer",
            Self::Suspended => "suspended",
            Self::Continuity => "continuity",
            Self::DualSeizure => "dual_seizure",
            Self::CircuitUnavailable => "circuit_unavailable",
            Self::ResetByPeer => "reset_by_peer",
            Self::ResetByUs => "reset_by_us",
            Self::UnexpectedRelease => "unexpected_release",
            Self::Audit => "audit",
            Self::Forgotten => "forgotten",
        }
    }
}

/// Counts since the controller started, over all groups.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Counters {
    /// Incoming calls (IAM taken).
    pub calls_in: u64,
    /// Outgoing calls (IAM sent), repeat attempts included.
    pub calls_out: u64,
    /// Calls that came back from a cookie.
    pub calls_restored: u64,
    /// Calls answered, either direction.
    pub calls_answered: u64,
    /// Ended calls by [`Outcome`].
    pub calls_ended: [u64; Outcome::ALL.len()],
    /// Calls for which no free circuit was found.
    pub no_circuit: u64,
    /// Repeat attempts on another circuit (Q.764 2.8.1, 2.9.1.4, 2.9.5.1).
    pub repeat_attempts: u64,
    /// Messages that did not fit the state and were answered or discarded by Q.764 2.9.5.1.
    pub unexpected: u64,
    /// Messages for circuits out of service.
    pub unequipped: u64,
    /// Messages of a type that Q.763 does not know (CFN was sent).
    pub unknown: u64,
    /// Group messages that name circuits beyond the group.
    pub beyond_group: u64,
    /// Messages that could not be read.
    pub malformed: u64,
    /// RSC and GRS sent, repetitions included.
    pub resets_sent: u64,
    /// RSC and GRS received.
    pub resets_received: u64,
    /// Groups whose circuits were audited.
    pub audits: u64,
    /// CQM sent.
    pub queries_sent: u64,
    /// CQM without CQR in time (T28).
    pub queries_unanswered: u64,
    /// RSC sent because the other end has a call on a circuit that is idle here.
    pub audit_resets: u64,
    /// BLO and CGB received.
    pub blockings_received: u64,
    /// A long timer (T5, T13, T15, T17, T23) ran out: something for maintenance to look at.
    pub maintenance_alerts: u64,
}

impl Counters {
    /// Calls that ended one way.
    #[must_use]
    pub fn ended(&self, outcome: Outcome) -> u64 {
        self.calls_ended[outcome as usize]
    }

    pub(super) fn end(&mut self, outcome: Outcome) {
        self.calls_ended[outcome as usize] += 1;
    }

    /// Calls that were started or restored and have not ended: what the groups must still hold.
    #[must_use]
    pub fn calls_open(&self) -> u64 {
        self.calls_in + self.calls_out + self.calls_restored - self.calls_ended.iter().sum::<u64>()
    }
}
