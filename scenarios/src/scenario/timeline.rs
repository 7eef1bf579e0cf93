//! `[[faults]]` as they are done: those that repeat each time, and those that are two as two.

use super::{Fault, FaultKind, Scenario};

/// Most that is done in one run.
const FAULTS_MAX: u64 = 10_000;

impl Scenario {
    /// All that is done, in the order of time: repeated faults each time, and a `restart` as the `kill` and the `start` that it is.
    #[must_use]
    pub fn timeline(&self) -> Vec<Fault> {
        self.done().into_iter().map(|(_, fault)| fault).collect()
    }

    /// The same, each with its place in `faults`.
    #[must_use]
    pub fn done(&self) -> Vec<(usize, Fault)> {
        let mut done = Vec::new();
        for (place, fault) in self.faults.iter().enumerate() {
            for at_ms in times(fault, self.duration_ms) {
                let once = Fault { at_ms, every_ms: None, until_ms: None, ..fault.clone() };
                if fault.kind != FaultKind::Restart {
                    done.push((place, once));
                    continue;
                }
                let back_ms = at_ms + fault.duration_ms.unwrap_or_default();
                let start = Fault {
                    at_ms: back_ms,
                    kind: FaultKind::Start,
                    longest_gap_ms: None,
                    first_ms: None,
                    ..once.clone()
                };
                done.push((place, Fault { kind: FaultKind::Kill, duration_ms: None, ..once }));
                if back_ms < self.duration_ms {
                    done.push((place, Fault { duration_ms: None, ..start }));
                }
            }
        }
        done.sort_by_key(|(_, fault)| fault.at_ms);
        done
    }
}

/// When a fault is done, ms.
fn times(fault: &Fault, load_ms: u64) -> impl Iterator<Item = u64> {
    let every_ms = fault.every_ms.unwrap_or(u64::MAX).max(1);
    let last_ms = fault.until_ms.unwrap_or(u64::MAX).min(load_ms.saturating_sub(1));
    std::iter::successors(Some(fault.at_ms), move |at_ms| at_ms.checked_add(every_ms))
        .take_while(move |at_ms| *at_ms <= last_ms)
}

/// `every_ms` and `until_ms`: the key that is wrong, and how.
pub(super) fn check_repeats(fault: &Fault, load_ms: u64) -> Result<(), (&'static str, String)> {
    match (fault.every_ms, fault.until_ms) {
        (None, None) => Ok(()),
        (None, Some(_)) => Err(("until_ms", "only beside every_ms".into())),
        (Some(every_ms), _) if !(1..=86_400_000).contains(&every_ms) => {
            Err(("every_ms", format!("{every_ms}: expected 1 ms to 86,400,000 ms (a day)")))
        }
        (Some(_), Some(until_ms)) if until_ms < fault.at_ms => {
            Err(("until_ms", format!("{until_ms}: expected no less than at_ms ({})", fault.at_ms)))
        }
        (Some(every_ms), _) if load_ms.saturating_sub(fault.at_ms) / every_ms >= FAULTS_MAX => {
            Err(("every_ms", format!("{every_ms}: expected at most {FAULTS_MAX} times in duration_ms ({load_ms})")))
        }
        (Some(_), _) => Ok(()),
    }
}
