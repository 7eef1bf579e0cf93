//! Calls of a capture: a replay's controllers decide them as the recorded pool did.

use super::group::GroupId;
use rustc_hash::{FxHashMap, FxHasher};
use std::hash::Hasher;

/// Recorded calls at most.
const CALLS_MAX: usize = 5_000_000;

/// What the pool does with one incoming call: times in ms after the step before (IAM, ACM, ANM), `None`: it never does.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Plan {
    /// ACM after the IAM.
    pub acm_ms: Option<u32>,
    /// ANM after the ACM.
    pub anm_ms: Option<u32>,
    /// REL after the last of IAM, ACM, ANM.
    pub rel_ms: Option<u32>,
    /// Cause of that REL.
    pub cause: u8,
}

impl Plan {
    /// The first step after IAM.
    pub(super) fn after_iam_ms(self) -> Option<u64> {
        self.acm_ms.or(self.rel_ms).map(u64::from)
    }

    /// The first step after ACM.
    pub(super) fn after_acm_ms(self) -> Option<u64> {
        self.anm_ms.or(self.rel_ms).map(u64::from)
    }
}

/// A line that is not as it must be.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "line {line}: expected network,pool,IAM in hex,ACM ms,ANM ms,REL ms,cause (scenarios/FORMATS.md), and {CALLS_MAX} lines at most"
)]
pub struct RecordedCallsError {
    /// Its number, from 1.
    pub line: usize,
}

/// Recorded calls by their IAM. Of calls with the same IAM on the same circuit the first one counts.
#[derive(Debug, Clone, Default)]
pub struct RecordedCalls {
    plans: FxHashMap<u64, Plan>,
}

impl RecordedCalls {
    /// Reads lines `network,pool,IAM,acm,anm,rel,cause`: point codes decimal, IAM from the CIC on in hex, times in ms or empty.
    ///
    /// # Errors
    /// The first line that is none.
    pub fn parse(text: &str) -> Result<Self, RecordedCallsError> {
        let mut plans = FxHashMap::default();
        for (index, line) in text.lines().enumerate() {
            let error = RecordedCallsError { line: index + 1 };
            let (key, plan) = parse_line(line).filter(|_| index < CALLS_MAX).ok_or(error)?;
            plans.entry(key).or_insert(plan);
        }
        Ok(Self { plans })
    }

    /// How many there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.plans.len()
    }

    /// True when there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.plans.is_empty()
    }

    pub(super) fn plan(&self, id: GroupId, iam: &[u8]) -> Option<Plan> {
        if self.plans.is_empty() {
            return None;
        }
        self.plans.get(&key(id.network, id.pool, iam)).copied()
    }
}

/// A file of our own making, read once: nobody chooses IAMs to collide.
fn key(network: u32, pool: u32, iam: &[u8]) -> u64 {
    let mut hasher = FxHasher::default();
    hasher.write_u32(network);
    hasher.write_u32(pool);
    hasher.write(iam);
    hasher.finish()
}

fn parse_line(line: &str) -> Option<(u64, Plan)> {
    let mut fields = line.split(',');
    let (network, pool) = (fields.next()?.parse().ok()?, fields.next()?.parse().ok()?);
    let iam = octets(fields.next()?)?;
    let mut delay = || match fields.next()? {
        "" => Some(None),
        ms => ms.parse().ok().filter(|ms| *ms != u32::MAX).map(Some),
    };
    let (acm_ms, anm_ms, rel_ms) = (delay()?, delay()?, delay()?);
    let cause = fields.next()?.parse().ok()?;
    // An ANM without ACM would never come.
    let whole = fields.next().is_none() && (acm_ms.is_some() || anm_ms.is_none());
    whole.then_some((key(network, pool, &iam), Plan { acm_ms, anm_ms, rel_ms, cause }))
}

fn octets(hex: &str) -> Option<Vec<u8>> {
    let (pairs, rest) = hex.as_bytes().as_chunks::<2>();
    let digit = |digit: u8| char::from(digit).to_digit(16);
    let octet = |[high, low]: &[u8; 2]| u8::try_from(digit(*high)? << 4 | digit(*low)?).ok();
    rest.is_empty().then(|| pairs.iter().map(octet).collect())?
}
