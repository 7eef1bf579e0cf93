//! The two things a pure node cannot get itself: the clock and randomness.

use super::DaemonError;
use nix::time::{ClockId, clock_gettime};
use sctp::ClockAnchor;
use std::fs::File;
use std::io::Read;
use std::time::Instant;

/// Reads both clocks at once.
#[must_use]
pub fn clock_anchor() -> ClockAnchor {
    let now = clock_gettime(ClockId::CLOCK_MONOTONIC).expect("invariant: Linux always has CLOCK_MONOTONIC");
    let (seconds, nanos) = (now.tv_sec().unsigned_abs(), now.tv_nsec().unsigned_abs());
    ClockAnchor { instant: Instant::now(), monotonic_ns: seconds * 1_000_000_000 + nanos }
}

/// 32 bytes of randomness from the operating system.
///
/// # Errors
/// `/dev/urandom` cannot be read.
pub fn os_seed() -> Result<[u8; 32], DaemonError> {
    let mut seed = [0; 32];
    File::open("/dev/urandom")
        .and_then(|mut file| file.read_exact(&mut seed))
        .map_err(|e| DaemonError::Environment(format!("cannot read /dev/urandom: {e}; make it readable")))?;
    Ok(seed)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn anchor_follows_the_system_clock() {
        let anchor = clock_anchor();
        let later = clock_anchor();
        let derived = anchor.ns(later.instant);
        assert!(derived.abs_diff(later.monotonic_ns) < 50_000_000, "{derived} {}", later.monotonic_ns);
    }

    #[test]
    fn seeds_differ() {
        assert_ne!(os_seed().unwrap(), os_seed().unwrap());
    }
}
