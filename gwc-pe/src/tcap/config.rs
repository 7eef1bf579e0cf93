//! Settings of the service behind dialogues.

use enrp::ConfigError;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Most dialogues of a group at once: what their state needs must fit into a cookie.
const DIALOGUES_MAX: u16 = 1_024;

/// How TCAP dialogues are handled; `session.sccp_affinity` must be tcap, and SI 3 not in `session.plain_si`. All controllers of a
/// pool must have the same values: after a takeover the next controller goes on where the one before was.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    /// Answers in a dialogue: the last is End, those before are Continue.
    #[schemars(range(min = 1))]
    pub answers: u8,
    /// A dialogue in which nothing came for so long is forgotten; what comes after that gets P-Abort (Q.774 leaves the time to the
    /// implementation).
    #[schemars(range(min = 1))]
    pub timeout_ms: u64,
    /// Most dialogues of one group (64 groups for each pair of point codes); further ones get P-Abort (resource limitation).
    #[schemars(range(min = 1, max = DIALOGUES_MAX))]
    pub dialogues_max: u16,
}

impl Default for Config {
    fn default() -> Self {
        Self { answers: 3, timeout_ms: 60_000, dialogues_max: 512 }
    }
}

impl Config {
    /// What the types cannot say.
    ///
    /// # Errors
    /// The first key whose value cannot work.
    pub fn check(&self) -> Result<(), ConfigError> {
        let need = |holds: bool, key: &str, problem: &str| ConfigError::unless(holds, key, problem);
        need(self.answers > 0, "answers", "1 at least: the End")?;
        need(self.timeout_ms > 0, "timeout_ms", "more than 0")?;
        need((1..=DIALOGUES_MAX).contains(&self.dialogues_max), "dialogues_max", "expected 1 to 1024")
    }
}
