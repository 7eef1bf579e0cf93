//! A group's state in a few bytes, for the cookie.
//!
//! ```text
//! 0  u8 version = 2      1  u8 bit 0: a GRS of ours has no answer yet
//! 2  u32 calls originated so far (big-endian)
//! [6  u8 first circuit of that GRS    7  u8 its range    8  timers T22, T23]      if bit 0
//! then for each circuit that is not idle and free:
//!    u8 index (0 to 31)    u8 call | maintenance << 4    u8 flags    [u8 cause of our REL]   if releasing
//!    [the plan of a recorded call: u32 ACM, u32 ANM, u32 REL after the step before, ms, 0xffffffff: none; u8 cause]   if so flagged
//!    timers: next step of the call, T6, T1 or T16, T5 or T17, T12 or T14, T13 or T15
//! timers: u8 bit n: the nth of them runs    then u32 what is left of each that runs, ms
//! ```
//! What is left is as of the snapshot; who restores it takes off how old the snapshot is.

use super::circuit::{Call, Circuit, Maintenance, Repeat, flag};
use super::group::{Context, Group, GroupId, GroupReset};
use super::message::GROUP_CIRCUITS;
use super::recorded::Plan;
use std::time::{Duration, Instant};

const VERSION: u8 = 2;

/// A snapshot that cannot be restored.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum SnapshotError {
    /// Written by another version of this program.
    #[error("snapshot version {0}, this program reads {VERSION}")]
    Version(u8),
    /// It ends too early.
    #[error("snapshot ends too early")]
    Short,
    /// A value is out of its bounds.
    #[error("snapshot octet at {0} is out of bounds")]
    Value(usize),
}

/// Reads octets from the front.
struct Cursor<'a> {
    bytes: &'a [u8],
    at: usize,
}

impl Cursor<'_> {
    fn octet(&mut self) -> Result<u8, SnapshotError> {
        let octet = self.bytes.get(self.at).copied().ok_or(SnapshotError::Short)?;
        self.at += 1;
        Ok(octet)
    }

    fn word(&mut self) -> Result<u32, SnapshotError> {
        Ok(u32::from_be_bytes([self.octet()?, self.octet()?, self.octet()?, self.octet()?]))
    }

    /// An octet that must fulfil something.
    fn checked<T>(&mut self, check: impl Fn(u8) -> Option<T>) -> Result<T, SnapshotError> {
        let octet = self.octet()?;
        check(octet).ok_or(SnapshotError::Value(self.at - 1))
    }
}

/// Appends which of these timers run, and what is left of them.
fn put_timers<const N: usize>(now: Instant, timers: [Option<Instant>; N], out: &mut Vec<u8>) {
    let bits = timers.iter().enumerate().fold(0, |bits, (n, timer)| bits | u8::from(timer.is_some()) << n);
    out.push(bits);
    for at in timers.into_iter().flatten() {
        // Rounded up: a timer never runs out early because it was handed on.
        let left_ms = at.saturating_duration_since(now).as_nanos().div_ceil(1_000_000);
        out.extend(u32::try_from(left_ms).unwrap_or(u32::MAX).to_be_bytes());
    }
}

/// Reads timers; one that there cannot be is out of bounds. Those that are overdue are due now.
fn take_timers<const N: usize>(
    cursor: &mut Cursor,
    now: Instant,
    age: Duration,
    timers: [(&mut Option<Instant>, bool); N],
) -> Result<(), SnapshotError> {
    let may = timers.iter().enumerate().fold(0, |bits, (n, (_, may))| bits | u8::from(*may) << n);
    let bits = cursor.checked(|octet| (octet & !may == 0).then_some(octet))?;
    for (n, (timer, _)) in timers.into_iter().enumerate() {
        *timer = None;
        if bits & (1 << n) != 0 {
            let left = Duration::from_millis(u64::from(cursor.word()?));
            *timer = Some(now + left.saturating_sub(age));
        }
    }
    Ok(())
}

impl Group {
    /// Appends the state, as of `now`.
    pub fn snapshot(&self, now: Instant, out: &mut Vec<u8>) {
        out.extend([VERSION, u8::from(self.reset.is_some())]);
        out.extend(self.originated.to_be_bytes());
        if let Some(reset) = self.reset {
            out.extend([reset.first, reset.range]);
            put_timers(now, [reset.repeat.next, reset.repeat.long], out);
        }
        for (index, circuit) in (0_u8..).zip(&self.circuits) {
            if circuit.is_default() {
                continue;
            }
            out.extend([index, circuit.call as u8 | (circuit.maintenance as u8) << 4, circuit.flags]);
            if circuit.call == Call::Releasing {
                out.push(circuit.cause);
            }
            if circuit.has(flag::RECORDED) {
                let Plan { acm_ms, anm_ms, rel_ms, cause } = circuit.plan;
                [acm_ms, anm_ms, rel_ms].iter().for_each(|ms| out.extend(ms.unwrap_or(u32::MAX).to_be_bytes()));
                out.push(cause);
            }
            put_timers(now, { *circuit }.timers().map(|(timer, _)| *timer), out);
        }
    }

    /// A group from its last snapshot, which is `age` old at `cx.now`; its timers go on. Sends nothing.
    ///
    /// # Errors
    /// The bytes are no snapshot of this version; nothing was counted then.
    pub fn restore(id: GroupId, state: &[u8], age: Duration, cx: &mut Context) -> Result<Self, SnapshotError> {
        let mut cursor = Cursor { bytes: state, at: 0 };
        let version = cursor.octet()?;
        if version != VERSION {
            return Err(SnapshotError::Version(version));
        }
        let has_reset = cursor.checked(|octet| (octet <= 1).then_some(octet == 1))?;
        let mut group = Self::new(id);
        group.originated = cursor.word()?;
        if has_reset {
            let first = cursor.checked(|octet| (octet < GROUP_CIRCUITS).then_some(octet))?;
            let range = cursor.checked(|octet| (octet < GROUP_CIRCUITS - first).then_some(octet))?;
            let mut repeat = Repeat::default();
            let timers = [(&mut repeat.next, true), (&mut repeat.long, true)];
            take_timers(&mut cursor, cx.now, age, timers)?;
            group.reset = Some(GroupReset { first, range, repeat });
        }
        while cursor.at < state.len() {
            group.restore_circuit(cx.now, age, &mut cursor)?;
        }
        cx.counters.calls_restored +=
            group.circuits.iter().map(|circuit| u64::from(circuit.call.is_call())).sum::<u64>();
        Ok(group)
    }

    fn restore_circuit(&mut self, now: Instant, age: Duration, cursor: &mut Cursor) -> Result<(), SnapshotError> {
        let index = cursor.checked(|octet| (octet < GROUP_CIRCUITS).then_some(usize::from(octet)))?;
        let (call, maintenance) = cursor.checked(|octet| {
            let call = Call::ALL.get(usize::from(octet & 0x0f)).copied()?;
            let maintenance = match octet >> 4 {
                0 => Maintenance::Settled,
                1 => Maintenance::Blocking,
                2 => Maintenance::Unblocking,
                _ => return None,
            };
            Some((call, maintenance))
        })?;
        let circuit = &mut self.circuits[index];
        *circuit = Circuit { call, maintenance, flags: cursor.octet()?, ..Circuit::default() };
        if call == Call::Releasing {
            circuit.cause = cursor.octet()?;
        }
        if circuit.has(flag::RECORDED) {
            let mut delay = || cursor.word().map(|ms| (ms != u32::MAX).then_some(ms));
            let (acm_ms, anm_ms, rel_ms) = (delay()?, delay()?, delay()?);
            circuit.plan = Plan { acm_ms, anm_ms, rel_ms, cause: cursor.octet()? };
        }
        if !call.is_call() {
            circuit.set(flag::OF_CALL, false);
        }
        take_timers(cursor, now, age, circuit.timers())
    }
}
