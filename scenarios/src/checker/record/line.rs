//! One line of a record: its fields, and what the checker needs of the user data in it.

use super::PhaseTraffic;
use rustc_hash::FxHasher;
use std::hash::Hasher;

/// Comma-separated fields of a line.
pub(super) struct Fields<'a>(pub(super) &'a [u8]);

impl<'a> Fields<'a> {
    pub(super) fn bytes(&mut self) -> Option<&'a [u8]> {
        if self.0.is_empty() {
            return None;
        }
        // The rest starts with its comma, so that an empty last field is still a field.
        let body = self.0.strip_prefix(b",").unwrap_or(self.0);
        let end = body.iter().position(|b| *b == b',').unwrap_or(body.len());
        self.0 = &body[end..];
        Some(&body[..end])
    }

    pub(super) fn text(&mut self) -> Option<&'a str> {
        std::str::from_utf8(self.bytes()?).ok()
    }

    pub(super) fn decimal(&mut self) -> Option<u64> {
        decimal(self.bytes()?)
    }

    pub(super) fn decimal_u32(&mut self) -> Option<u32> {
        u32::try_from(self.decimal()?).ok()
    }

    /// Length of a phase, datagrams and bytes in it.
    pub(super) fn phase(&mut self) -> Option<PhaseTraffic> {
        let (ms, datagrams, bytes) = (self.decimal()?, self.decimal()?, self.decimal()?);
        Some(PhaseTraffic { ms, datagrams, bytes, population_bytes: self.decimal() })
    }

    pub(super) fn hex(&mut self) -> Option<u64> {
        u64::from_str_radix(self.text()?, 16).ok()
    }

    pub(super) fn hex_u32(&mut self) -> Option<u32> {
        u32::try_from(self.hex()?).ok()
    }
}

pub(super) fn decimal(digits: &[u8]) -> Option<u64> {
    if digits.is_empty() {
        return None;
    }
    digits.iter().try_fold(0_u64, |value, digit| {
        let digit = digit.checked_sub(b'0').filter(|d| *d < 10)?;
        value.checked_mul(10)?.checked_add(u64::from(digit))
    })
}

/// What the checker needs of the user data in hex.
pub(super) struct UserData {
    pub(super) hash: u64,
    head: [u8; HEAD],
    length: usize,
}

/// Octets that are kept: TCAP's transaction ids come behind SCCP's two addresses.
const HEAD: usize = 96;

impl UserData {
    pub(super) fn read(hex: &[u8]) -> Option<Self> {
        if !hex.len().is_multiple_of(2) {
            return None;
        }
        let mut hasher = FxHasher::default();
        let mut head = [0; HEAD];
        for (number, part) in hex.chunks(32).enumerate() {
            let mut octets = [0; 16];
            for (octet, pair) in octets.iter_mut().zip(part.chunks_exact(2)) {
                *octet = nibble(pair[0])? << 4 | nibble(pair[1])?;
            }
            hasher.write(&octets[..part.len() / 2]);
            if let Some(room) = head.get_mut(number * 16..number * 16 + 16) {
                room.copy_from_slice(&octets);
            }
        }
        Some(Self { hash: hasher.finish(), head, length: hex.len() / 2 })
    }

    /// The first octets.
    pub(super) fn head(&self) -> &[u8] {
        &self.head[..self.length.min(HEAD)]
    }

    /// ISUP message type (after the two octets of the CIC) and the one argument the call count needs (Q.763).
    pub(super) fn isup(&self) -> (u8, u8) {
        let octet = |index: usize| if index < self.length { self.head.get(index).copied() } else { None };
        let Some(kind) = octet(2) else { return (0, 0) };
        // The pointer to the first variable parameter counts from itself; there stands the length, then the contents.
        let variable = |at: usize| octet(3).map(|pointer| 3 + usize::from(pointer) + at).and_then(octet);
        let argument = match kind {
            0x0c => variable(2).map(|cause| cause & 0x7f),
            0x17 => variable(1),
            _ => None,
        };
        (kind, argument.unwrap_or(0))
    }
}

fn nibble(digit: u8) -> Option<u8> {
    match digit {
        b'0'..=b'9' => Some(digit - b'0'),
        b'a'..=b'f' => Some(digit - b'a' + 10),
        b'A'..=b'F' => Some(digit - b'A' + 10),
        _ => None,
    }
}
