//! Settings of call control.

use enrp::ConfigError;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::path::PathBuf;
use std::time::Duration;

/// How calls are handled. All controllers of a pool must have the same values: after a takeover the next controller
/// repeats the decisions of the one before.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    /// No call control: ISUP is plain MTP3 payload, applied and recorded, and never answered.
    pub plain: bool,
    /// Seed of the choices below; a choice depends on it, on the circuit and on the IAM only.
    pub seed: u64,
    /// File of recorded calls ([`RecordedCalls`](super::RecordedCalls)): each of them is answered and released as it was recorded;
    /// what follows here is for other calls. Empty: none.
    #[schemars(example = &"recorded-calls.csv")]
    pub recorded_calls: PathBuf,
    /// Lowest circuit identification code in service; messages for others get UCIC (Q.764 2.12).
    #[schemars(range(max = 4_095))]
    pub cic_first: u16,
    /// Highest circuit identification code in service.
    #[schemars(range(max = 4_095))]
    pub cic_last: u16,
    /// Circuits this end keeps blocked for maintenance (BLO); a circuit that is taken off the list gets UBL when its group is next
    /// taken over.
    #[schemars(example = [33, 35])]
    pub blocked_cics: Vec<u16>,
    /// Incoming calls: from IAM (or COT) to ACM.
    pub acm_delay_ms: u64,
    /// Incoming calls: from ACM to CPG (alerting); 0 sends none. Only sent when it is before the answer.
    pub cpg_delay_ms: u64,
    /// Incoming calls: from ACM to ANM.
    pub answer_delay_ms: u64,
    /// Percentage of incoming calls that get REL (user busy) instead of ACM.
    #[schemars(range(max = 100))]
    pub refuse_percent: u8,
    /// From answer to the controller's REL: calls it originated, and `release_by_controller_percent` of the others.
    pub hold_ms: u64,
    /// Percentage of answered incoming calls that the controller releases itself.
    #[schemars(range(max = 100))]
    pub release_by_controller_percent: u8,
    /// Calls a second that this controller originates on idle circuits of the groups it has; 0 switches it off.
    #[schemars(range(min = 0.0, max = 100_000.0))]
    pub originate_per_s: f64,
    /// Called number of those calls (digits); the last four are the call's number in its group.
    #[schemars(length(min = 4, max = 20), regex(pattern = "^[0-9]*$"))]
    pub called_number: String,
    /// Reset a group (GRS) when it is seen for the first time, without a cookie: a starting exchange does (Q.764 2.9.3.2).
    pub reset_new_groups: bool,
    /// Groups a second that are audited (CQM, Q.764 2.8.3) after they came from another controller; 0: none. What the two ends do not
    /// agree on comes back to idle.
    #[schemars(range(max = 10_000))]
    pub audits_per_s: u32,
    /// From taking a group over to its audit at the least, and from an answer that shows a difference to the second question.
    #[schemars(range(min = 100))]
    pub audit_recheck_ms: u64,
    /// T1 (Q.764: 15 to 60 s): REL sent again.
    #[schemars(range(min = 10))]
    pub t1_ms: u64,
    /// T5 (Q.764: 5 to 15 min): no RLC for REL; RSC is sent.
    #[schemars(range(min = 10))]
    pub t5_ms: u64,
    /// T6 (Q.118; 60 s here): suspended call is released.
    pub t6_ms: u64,
    /// T7 (Q.764: 20 to 30 s): no ACM or CON for IAM.
    pub t7_ms: u64,
    /// T8 (Q.764: 10 to 15 s): no COT.
    pub t8_ms: u64,
    /// T9 (Q.118; 90 to 180 s): no answer after ACM.
    pub t9_ms: u64,
    /// T12 (Q.764: 15 to 60 s): BLO sent again.
    #[schemars(range(min = 10))]
    pub t12_ms: u64,
    /// T13 (Q.764: 5 to 15 min): no BLA; from now on BLO is sent at this interval.
    #[schemars(range(min = 10))]
    pub t13_ms: u64,
    /// T14 (Q.764: 15 to 60 s): UBL sent again.
    #[schemars(range(min = 10))]
    pub t14_ms: u64,
    /// T15 (Q.764: 5 to 15 min): no UBA; from now on UBL is sent at this interval.
    #[schemars(range(min = 10))]
    pub t15_ms: u64,
    /// T16 (Q.764: 15 to 60 s): RSC sent again.
    #[schemars(range(min = 10))]
    pub t16_ms: u64,
    /// T17 (Q.764: 5 to 15 min): no RLC for RSC; from now on RSC is sent at this interval.
    #[schemars(range(min = 10))]
    pub t17_ms: u64,
    /// T22 (Q.764: 15 to 60 s): GRS sent again.
    #[schemars(range(min = 10))]
    pub t22_ms: u64,
    /// T23 (Q.764: 5 to 15 min): no GRA; from now on GRS is sent at this interval.
    #[schemars(range(min = 10))]
    pub t23_ms: u64,
    /// T28 (Q.764: 10 s): no CQR for CQM.
    #[schemars(range(min = 10))]
    pub t28_ms: u64,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            plain: false,
            seed: 1,
            recorded_calls: PathBuf::new(),
            cic_first: 0,
            cic_last: 4_095,
            blocked_cics: Vec::new(),
            acm_delay_ms: 20,
            cpg_delay_ms: 0,
            answer_delay_ms: 200,
            refuse_percent: 0,
            hold_ms: 3_000,
            release_by_controller_percent: 0,
            originate_per_s: 0.0,
            called_number: "5550100".to_owned(),
            reset_new_groups: false,
            audits_per_s: 20,
            audit_recheck_ms: 1_000,
            t1_ms: 15_000,
            t5_ms: 300_000,
            t6_ms: 60_000,
            t7_ms: 20_000,
            t8_ms: 10_000,
            t9_ms: 90_000,
            t12_ms: 15_000,
            t13_ms: 300_000,
            t14_ms: 15_000,
            t15_ms: 300_000,
            t16_ms: 15_000,
            t17_ms: 300_000,
            t22_ms: 15_000,
            t23_ms: 300_000,
            t28_ms: 10_000,
        }
    }
}

impl Config {
    /// What the types cannot say.
    ///
    /// # Errors
    /// The first key whose value cannot work.
    pub fn check(&self) -> Result<(), ConfigError> {
        let need = |holds: bool, key: &str, problem: &str| ConfigError::unless(holds, key, problem);
        let circuits = self.cic_first <= self.cic_last && self.cic_last <= 4_095;
        need(circuits, "cic_first", "expected 0 <= cic_first <= cic_last <= 4095")?;
        for (key, percent) in [
            ("refuse_percent", self.refuse_percent),
            ("release_by_controller_percent", self.release_by_controller_percent),
        ] {
            need(percent <= 100, key, "expected 0 to 100")?;
        }
        need(self.audits_per_s <= 10_000, "audits_per_s", "expected 0 to 10000")?;
        need(self.audit_recheck_ms >= 100, "audit_recheck_ms", "expected 100 or more: messages are on their way")?;
        need((0.0..=100_000.0).contains(&self.originate_per_s), "originate_per_s", "expected 0 to 100000")?;
        let number = self.called_number.bytes().all(|b| b.is_ascii_digit());
        need(number && (4..=20).contains(&self.called_number.len()), "called_number", "expected 4 to 20 digits")?;
        for (key, value) in [
            ("t1_ms", self.t1_ms),
            ("t5_ms", self.t5_ms),
            ("t12_ms", self.t12_ms),
            ("t13_ms", self.t13_ms),
            ("t14_ms", self.t14_ms),
            ("t15_ms", self.t15_ms),
            ("t16_ms", self.t16_ms),
            ("t17_ms", self.t17_ms),
            ("t22_ms", self.t22_ms),
            ("t23_ms", self.t23_ms),
            ("t28_ms", self.t28_ms),
        ] {
            need(value >= 10, key, "expected 10 or more: it repeats a message, which must not flood the network")?;
        }
        Ok(())
    }

    /// CPG is wanted, and before the answer.
    pub(super) fn sends_cpg(&self) -> bool {
        self.cpg_delay_ms > 0 && self.cpg_delay_ms < self.answer_delay_ms
    }

    pub(super) fn equipped(&self, cic: u16) -> bool {
        (self.cic_first..=self.cic_last).contains(&cic)
    }
}

pub(super) fn ms(value: u64) -> Duration {
    Duration::from_millis(value)
}
