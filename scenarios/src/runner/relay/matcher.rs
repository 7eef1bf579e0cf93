//! Whether a datagram has a certain message: SCTP packets are looked into as far as their DATA chunks' first octets.

use crate::scenario::Wanted;

/// RFC 9260 section 3.1: ports, tag, checksum.
const COMMON_HEADER: usize = 12;
/// RFC 9260 section 3.3.1: up to the user data.
const DATA_HEADER: usize = 16;
const DATA: u8 = 0;
/// Begins a user message.
const BEGIN: u8 = 0x02;
const M3UA: u32 = 3;

/// Whether one of the packet's DATA chunks is meant. A message's first fragment shows what it is; the others only its payload protocol.
pub(super) fn has(packet: &[u8], wanted: Wanted) -> bool {
    let mut rest = packet.get(COMMON_HEADER..).unwrap_or_default();
    while let Some([kind, flags, high, low]) = rest.first_chunk() {
        let length = usize::from(u16::from_be_bytes([*high, *low]));
        if *kind == DATA && rest.get(..length).is_some_and(|chunk| is_meant(chunk, *flags, wanted)) {
            return true;
        }
        // A length under that of the header would never come to an end.
        rest = rest.get(length.next_multiple_of(4).max(4)..).unwrap_or_default();
    }
    false
}

fn is_meant(chunk: &[u8], flags: u8, wanted: Wanted) -> bool {
    let Some(&[a, b, c, d]) = chunk.get(12..DATA_HEADER).and_then(|octets| octets.first_chunk()) else { return false };
    let user_data = &chunk[DATA_HEADER..];
    let code = match user_data {
        [_, _, class, kind, ..] if wanted.ppid == M3UA => u16::from_be_bytes([*class, *kind]),
        [kind, ..] if wanted.ppid != M3UA => u16::from(*kind),
        _ => return wanted.code.is_none() && u32::from_be_bytes([a, b, c, d]) == wanted.ppid,
    };
    u32::from_be_bytes([a, b, c, d]) == wanted.ppid
        && wanted.code.is_none_or(|wanted| flags & BEGIN != 0 && wanted == code)
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    /// A packet of DATA chunks: flags, payload protocol, user data.
    pub(in crate::runner::relay) fn packet(chunks: &[(u8, u32, &[u8])]) -> Vec<u8> {
        let mut packet = vec![7; COMMON_HEADER];
        for (flags, ppid, user_data) in chunks {
            let length = (DATA_HEADER + user_data.len()) as u16;
            packet
                .extend([&[DATA, *flags][..], &length.to_be_bytes(), &[9; 8], &ppid.to_be_bytes(), user_data].concat());
            packet.resize(packet.len().next_multiple_of(4), 0);
        }
        packet
    }

    const BEAT: [u8; 8] = [1, 0, 3, 3, 0, 0, 0, 8];

    #[test]
    fn messages_are_known_wherever_they_are_bundled() {
        let beat = Wanted { ppid: 3, code: Some(0x0303) };
        let keep_alive = Wanted { ppid: 11, code: Some(7) };
        let both = packet(&[(3, 11, &[7, 0, 0, 5, 1]), (3, 3, &BEAT)]);
        assert!(has(&both, beat) && has(&both, keep_alive));
        assert!(has(&both, Wanted { ppid: 11, code: None }) && !has(&both, Wanted { ppid: 12, code: None }));
        assert!(!has(&packet(&[(3, 3, &[1, 0, 1, 1, 0, 0, 0, 8])]), beat), "another type");
        assert!(!has(&packet(&[(3, 4, &BEAT)]), beat), "another protocol");
        assert!(!has(&packet(&[(1, 3, &BEAT)]), beat), "the end of a message, which looks like one");
        assert!(has(&packet(&[(1, 3, &BEAT)]), Wanted { ppid: 3, code: None }));
        let mut with_sack = both[..COMMON_HEADER].to_vec();
        with_sack.extend([3, 0, 0, 16, 0, 0, 0, 1, 0, 1, 0, 0, 0, 0, 0, 0]);
        with_sack.extend(&both[COMMON_HEADER..]);
        assert!(has(&with_sack, beat));
    }

    #[test]
    fn torn_packets_have_nothing() {
        let whole = packet(&[(3, 3, &BEAT)]);
        let beat = Wanted { ppid: 3, code: Some(0x0303) };
        for length in 0..whole.len() {
            assert!(!has(&whole[..length], beat), "{length}");
        }
        assert!(has(&whole, beat));
        // Chunks without a length.
        assert!(!has(&[0; 1_000], beat));
        assert!(!has(&packet(&[(3, 3, &[])]), beat));
    }
}
