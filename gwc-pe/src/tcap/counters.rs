//! What the service behind dialogues counted.

/// Counts since the controller started, over all groups. Every dialogue that was begun or restored ends in exactly one of `ended`,
/// `ended_by_peer`, `aborted_by_peer`, `returned`, `timed_out`, `forgotten`.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, serde::Serialize)]
pub struct Counters {
    /// Begin taken.
    pub begun: u64,
    /// Dialogues that came back from a cookie.
    pub restored: u64,
    /// Ended by our End.
    pub ended: u64,
    /// Ended by the other end's End.
    pub ended_by_peer: u64,
    /// Ended by Abort of the other end.
    pub aborted_by_peer: u64,
    /// Ended because SCCP returned what we sent (UDTS, XUDTS).
    pub returned: u64,
    /// Ended because nothing came for `dialogue.timeout_ms`.
    pub timed_out: u64,
    /// Forgotten: the lease was lost or the gateway went; the next controller has the dialogue.
    pub forgotten: u64,
    /// Begin refused, as there were `dialogue.dialogues_max` already (P-Abort was sent).
    pub refused: u64,
    /// Messages of no dialogue known here (Continue: P-Abort was sent), or of another sender than the dialogue's.
    pub unknown: u64,
    /// Unidirectional messages.
    pub unidirectional: u64,
    /// Messages that could not be read.
    pub malformed: u64,
}

impl Counters {
    /// Dialogues that were begun or restored and have not ended: what the groups must still hold.
    #[must_use]
    pub fn open(&self) -> u64 {
        let over =
            [self.ended, self.ended_by_peer, self.aborted_by_peer, self.returned, self.timed_out, self.forgotten];
        self.begun + self.restored - over.iter().sum::<u64>()
    }
}
