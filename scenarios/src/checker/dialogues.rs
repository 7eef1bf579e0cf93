//! Dialogues, as the network side saw them: from the TCAP messages in `network.csv` (Q.773).

use super::record::{DialogueStep, Group, Records};
use rustc_hash::{FxHashMap, FxHashSet};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

const BEGIN: u8 = 0x62;
const END: u8 = 0x64;
const ABORT: u8 = 0x67;

/// What became of the dialogues that the network began.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Dialogues {
    /// Begin sent.
    pub begun: u64,
    /// Continue of the pool.
    pub continued: u64,
    /// Ended by End of the pool.
    pub ended: u64,
    /// Ended by Abort of the pool.
    pub aborted: u64,
    /// Without an end.
    pub hanging: u64,
    /// Open at a fault, on an affected group.
    pub at_fault: u64,
    /// Of these: ended by End.
    pub survived: u64,
}

pub(super) fn dialogues(records: &Records, affected: &[(u64, FxHashSet<Group>)]) -> Dialogues {
    let mut counts = Dialogues::default();
    // With the group, and whether a fault hit it.
    let mut open: FxHashMap<_, (Group, bool)> = FxHashMap::default();
    let mut faults = affected.iter().peekable();
    for DialogueStep { t_ns, key, group, kind, from_network } in &records.dialogues {
        while let Some((_, groups)) = faults.next_if(|(t, _)| t <= t_ns) {
            for (_, hit) in open.values_mut().filter(|(group, hit)| !*hit && groups.contains(group)) {
                counts.at_fault += 1;
                *hit = true;
            }
        }
        match (*kind, *from_network) {
            (BEGIN, true) => {
                counts.begun += 1;
                // The id of one that had not ended.
                counts.hanging += u64::from(open.insert(*key, (*group, false)).is_some());
            }
            (END | ABORT, false) => {
                let Some((_, hit)) = open.remove(key) else { continue };
                if *kind == END {
                    counts.ended += 1;
                    counts.survived += u64::from(hit);
                } else {
                    counts.aborted += 1;
                }
            }
            (_, false) => counts.continued += 1,
            (_, true) => {}
        }
    }
    counts.hanging += open.len() as u64;
    counts
}
