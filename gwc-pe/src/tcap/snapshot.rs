//! A group's state in a few bytes, for the cookie.
//!
//! ```text
//! 0  u8 version = 1      1  u16 number of the next dialogue (big-endian)
//! then for each dialogue: u16 number    u8 answers still to give    u32 what is left until it is forgotten, ms
//!                         u8 length of the other end's transaction id (1 to 4)    the id
//! ```
//! What is left is as of the snapshot; who restores it takes off how old the snapshot is.

use super::group::{Context, Dialogue, Group, GroupId};
use std::time::{Duration, Instant};

const VERSION: u8 = 1;

/// A snapshot that cannot be restored.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum SnapshotError {
    /// Written by another version of this program.
    #[error("dialogue snapshot version {0}, this program reads {VERSION}")]
    Version(u8),
    /// It ends too early.
    #[error("dialogue snapshot ends too early")]
    Short,
    /// A value is out of its bounds.
    #[error("dialogue snapshot has a value out of its bounds")]
    Value,
}

/// Takes `N` octets off the front.
fn take<const N: usize>(rest: &mut &[u8]) -> Result<[u8; N], SnapshotError> {
    let (taken, behind) = rest.split_first_chunk().ok_or(SnapshotError::Short)?;
    *rest = behind;
    Ok(*taken)
}

impl Group {
    /// Appends the state, as of `now`.
    pub fn snapshot(&self, now: Instant, out: &mut Vec<u8>) {
        out.push(VERSION);
        out.extend(self.next.to_be_bytes());
        for (number, dialogue) in &self.dialogues {
            // Rounded up: nothing runs out early because it was handed on.
            let left_ms = dialogue.until.saturating_duration_since(now).as_nanos().div_ceil(1_000_000);
            out.extend(number.to_be_bytes());
            out.push(dialogue.answers);
            out.extend(u32::try_from(left_ms).unwrap_or(u32::MAX).to_be_bytes());
            out.push(dialogue.peer.len() as u8);
            out.extend_from_slice(&dialogue.peer);
        }
    }

    /// The group of a snapshot that is `age` old.
    ///
    /// # Errors
    /// What is wrong with it. Nothing was counted then.
    pub fn restore(id: GroupId, mut state: &[u8], age: Duration, cx: &mut Context) -> Result<Self, SnapshotError> {
        let rest = &mut state;
        let [version] = take(rest)?;
        if version != VERSION {
            return Err(SnapshotError::Version(version));
        }
        let mut group = Self { next: u16::from_be_bytes(take(rest)?), ..Self::new(id) };
        while !rest.is_empty() {
            let number = u16::from_be_bytes(take(rest)?);
            let [answers] = take(rest)?;
            let left = Duration::from_millis(u32::from_be_bytes(take(rest)?).into());
            let [length] = take(rest)?;
            let (peer, behind) = rest.split_at_checked(usize::from(length)).ok_or(SnapshotError::Short)?;
            *rest = behind;
            if answers == 0 || !(1..=4).contains(&length) {
                return Err(SnapshotError::Value);
            }
            let dialogue = Dialogue { peer: peer.into(), answers, until: cx.now + left.saturating_sub(age) };
            if group.dialogues.insert(number, dialogue).is_some() {
                return Err(SnapshotError::Value);
            }
        }
        cx.counters.restored += group.dialogues.len() as u64;
        Ok(group)
    }
}
