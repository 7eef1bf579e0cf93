//! Synthetic IP and UDP headers for the capture (RFC 791, RFC 8200, RFC 768): the socket shows us payloads only.

use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};

const UDP: u8 = 17;
const UDP_HEADER_BYTES: usize = 8;
const IPV4_HEADER_BYTES: usize = 20;
const HOP_LIMIT: u8 = 64;
const DONT_FRAGMENT: u16 = 0x4000;

/// Writes IP header, UDP header and payload into `out` (cleared first). Both addresses are of one family, as every datagram's are;
/// a mixed pair gives an empty packet.
pub(super) fn encode(out: &mut Vec<u8>, from: SocketAddr, to: SocketAddr, identification: u16, payload: &[u8]) {
    out.clear();
    let udp_bytes = u16::try_from(UDP_HEADER_BYTES + payload.len()).unwrap_or(u16::MAX);
    let sum = match (from, to) {
        (SocketAddr::V4(from), SocketAddr::V4(to)) => ipv4(out, *from.ip(), *to.ip(), identification, udp_bytes),
        (SocketAddr::V6(from), SocketAddr::V6(to)) => ipv6(out, *from.ip(), *to.ip(), udp_bytes),
        (SocketAddr::V4(_), SocketAddr::V6(_)) | (SocketAddr::V6(_), SocketAddr::V4(_)) => return,
    };
    let udp = out.len();
    for field in [from.port(), to.port(), udp_bytes, 0] {
        out.extend_from_slice(&field.to_be_bytes());
    }
    out.extend_from_slice(payload);
    let checksum = match fold(sum + sum_words(&out[udp..])) {
        // Zero on the wire means "no checksum" (RFC 768).
        0 => 0xffff,
        checksum => checksum,
    };
    out[udp + 6..udp + 8].copy_from_slice(&checksum.to_be_bytes());
}

/// Writes the header; returns the sum of the UDP pseudo header.
fn ipv4(out: &mut Vec<u8>, from: Ipv4Addr, to: Ipv4Addr, identification: u16, udp_bytes: u16) -> u64 {
    let total = udp_bytes.saturating_add(IPV4_HEADER_BYTES as u16);
    out.extend_from_slice(&[0x45, 0]);
    out.extend_from_slice(&total.to_be_bytes());
    out.extend_from_slice(&identification.to_be_bytes());
    out.extend_from_slice(&DONT_FRAGMENT.to_be_bytes());
    out.extend_from_slice(&[HOP_LIMIT, UDP, 0, 0]);
    out.extend_from_slice(&from.octets());
    out.extend_from_slice(&to.octets());
    let checksum = fold(sum_words(out));
    out[10..12].copy_from_slice(&checksum.to_be_bytes());
    sum_words(&from.octets()) + sum_words(&to.octets()) + u64::from(UDP) + u64::from(udp_bytes)
}

fn ipv6(out: &mut Vec<u8>, from: Ipv6Addr, to: Ipv6Addr, udp_bytes: u16) -> u64 {
    out.extend_from_slice(&[0x60, 0, 0, 0]);
    out.extend_from_slice(&udp_bytes.to_be_bytes());
    out.extend_from_slice(&[UDP, HOP_LIMIT]);
    out.extend_from_slice(&from.octets());
    out.extend_from_slice(&to.octets());
    sum_words(&from.octets()) + sum_words(&to.octets()) + u64::from(UDP) + u64::from(udp_bytes)
}

fn sum_words(bytes: &[u8]) -> u64 {
    let words = bytes.chunks(2).map(|pair| u64::from(u16::from_be_bytes([pair[0], pair.get(1).copied().unwrap_or(0)])));
    words.sum()
}

/// Internet checksum (RFC 1071): one's complement of the one's complement sum.
fn fold(mut sum: u64) -> u16 {
    while sum > 0xffff {
        sum = (sum >> 16) + (sum & 0xffff);
    }
    !(sum as u16)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ipv4_golden() {
        let mut out = Vec::new();
        encode(&mut out, "127.0.0.1:9899".parse().unwrap(), "127.0.0.2:9899".parse().unwrap(), 1, b"abc");
        assert_eq!(
            out,
            [
                0x45, 0, 0, 31, 0, 1, 0x40, 0, 64, 17, 0x3c, 0xca, 127, 0, 0, 1, 127, 0, 0, 2, // IPv4
                0x26, 0xab, 0x26, 0xab, 0, 11, 0xf0, 0x1b, b'a', b'b', b'c'
            ]
        );
    }

    #[test]
    fn checksums_verify() {
        let mut out = Vec::new();
        for payload in [&b""[..], b"x", &[0xff; 1_400]] {
            encode(&mut out, "10.0.0.1:1".parse().unwrap(), "10.0.0.2:2".parse().unwrap(), 7, payload);
            assert_eq!(fold(sum_words(&out[..20])), 0);
            let pseudo = sum_words(&out[12..20]) + 17 + (8 + payload.len() as u64);
            assert_eq!(fold(pseudo + sum_words(&out[20..])), 0);

            encode(&mut out, "[fd98::1]:1".parse().unwrap(), "[fd98::2]:2".parse().unwrap(), 7, payload);
            assert_eq!(out.len(), 48 + payload.len());
            let pseudo = sum_words(&out[8..40]) + 17 + (8 + payload.len() as u64);
            assert_eq!(fold(pseudo + sum_words(&out[40..])), 0);
        }
    }
}
