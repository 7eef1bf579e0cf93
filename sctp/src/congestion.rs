//! How much may be on the wire toward one destination: RFC 9260 sections 7.2.1 to 7.2.3, per path as section 7 asks.

/// Congestion control of one path. All sizes in bytes of DATA chunks.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Congestion {
    mtu: usize,
    cwnd: usize,
    ssthresh: usize,
    partial_acked: usize,
    outstanding: usize,
    /// Fast recovery ends when this TSN is acknowledged cumulatively.
    recovery: Option<u32>,
}

impl Congestion {
    /// Section 7.2.1; until a loss, the peer's window is the only other limit.
    pub(crate) fn new(mtu: usize) -> Self {
        Self {
            mtu,
            cwnd: (4 * mtu).min((2 * mtu).max(4_404)),
            ssthresh: usize::MAX,
            partial_acked: 0,
            outstanding: 0,
            recovery: None,
        }
    }

    /// Section 6.1 B: new data as long as less than cwnd is outstanding.
    pub(crate) fn may_send(&self) -> bool {
        self.outstanding < self.cwnd
    }

    pub(crate) fn cwnd(&self) -> usize {
        self.cwnd
    }

    pub(crate) fn outstanding(&self) -> usize {
        self.outstanding
    }

    pub(crate) fn sent(&mut self, bytes: usize) {
        self.outstanding += bytes;
    }

    /// So much left the wire: it arrived, or is held lost.
    pub(crate) fn gone(&mut self, bytes: usize) {
        self.outstanding = self.outstanding.saturating_sub(bytes);
        if self.outstanding == 0 {
            // Section 7.2.2, last rule.
            self.partial_acked = 0;
        }
    }

    /// A SACK acknowledged `bytes` of this path for the first time, `full`: when it came, cwnd was used up. `advanced`: it moved the
    /// cumulative TSN (section 7.2.1 asks for that).
    pub(crate) fn acknowledged(&mut self, bytes: usize, full: bool, advanced: bool) {
        if !advanced || !full || self.recovery.is_some() {
            return;
        }
        if self.cwnd <= self.ssthresh {
            self.cwnd += bytes.min(2 * self.mtu);
            return;
        }
        self.partial_acked += bytes;
        if self.partial_acked >= self.cwnd {
            self.partial_acked -= self.cwnd;
            self.cwnd += self.mtu;
        }
    }

    /// Data of this path is held lost, `highest` was the last TSN sent. True when fast recovery begins with it (section 7.2.4).
    pub(crate) fn lost(&mut self, highest: u32) -> bool {
        if self.recovery.is_some() {
            return false;
        }
        self.recovery = Some(highest);
        self.ssthresh = (self.cwnd / 2).max(4 * self.mtu);
        self.cwnd = self.ssthresh;
        self.partial_acked = 0;
        true
    }

    /// The cumulative TSN moved.
    pub(crate) fn advanced(&mut self, cumulative: u32) {
        if self.recovery.is_some_and(|exit| !crate::wire::after(exit, cumulative)) {
            self.recovery = None;
        }
    }

    /// T3-rtx expired (section 7.2.3).
    pub(crate) fn timed_out(&mut self) {
        self.ssthresh = (self.cwnd / 2).max(4 * self.mtu);
        self.cwnd = self.mtu;
        self.partial_acked = 0;
        self.recovery = None;
    }

    /// Nothing was sent for an RTO (section 7.2.1).
    pub(crate) fn idle(&mut self) {
        self.cwnd = (self.cwnd / 2).max(4 * self.mtu).min(self.cwnd);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn slow_start_doubles_and_a_loss_halves_once_per_recovery() {
        let mut path = Congestion::new(1_000);
        assert_eq!(path.cwnd(), 4_000);
        for _ in 0..8 {
            path.sent(1_000);
            path.gone(1_000);
            path.acknowledged(1_000, true, true);
        }
        assert_eq!(path.cwnd(), 12_000);
        path.acknowledged(1_000, false, true);
        path.acknowledged(1_000, true, false);
        assert_eq!(path.cwnd(), 12_000, "not used up, or no advance");
        assert!(path.lost(50));
        assert!(!path.lost(60), "one reduction a recovery");
        assert_eq!(path.cwnd(), 6_000);
        path.acknowledged(3_000, true, true);
        assert_eq!(path.cwnd(), 6_000, "no growth in recovery");
        path.advanced(49);
        assert!(!path.lost(70));
        path.advanced(50);
        path.acknowledged(1_000, true, true);
        assert_eq!(path.cwnd(), 7_000, "at ssthresh it is still slow start");
        path.acknowledged(6_000, true, true);
        path.acknowledged(1_000, true, true);
        assert_eq!(path.cwnd(), 8_000, "congestion avoidance: a packet for each window");
    }

    #[test]
    fn a_timeout_leaves_one_packet() {
        let mut path = Congestion::new(1_000);
        path.sent(4_000);
        assert!(!path.may_send());
        path.gone(4_000);
        path.timed_out();
        assert!(path.may_send());
        path.sent(1_000);
        assert!(!path.may_send());
        path.gone(9_000);
        assert_eq!(path.outstanding(), 0);
        path.idle();
        assert_eq!(path.cwnd(), 1_000, "idleness never makes it more");
    }
}
