//! Synthetic IP and UDP headers for the capture (RFC 791, RFC 8200, RFC 768): the socket shows us payloads only.

use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};

/// What an SCTP packet travels in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Framing {
    /// UDP (RFC 6951).
    Udp,
    /// IP itself, protocol 132.
    Ip,
}

/// One SCTP packet with its addresses, to be written down with headers as on the wire.
#[derive(Debug)]
pub(super) struct Packet<'a> {
    pub(super) framing: Framing,
    pub(super) from: SocketAddr,
    pub(super) to: SocketAddr,
    /// Of the IPv4 header.
    pub(super) identification: u16,
    pub(super) payload: &'a [u8],
}

const UDP: u8 = 17;
const SCTP: u8 = 132;
const UDP_HEADER_BYTES: usize = 8;
const IPV4_HEADER_BYTES: usize = 20;
const HOP_LIMIT: u8 = 64;
const DONT_FRAGMENT: u16 = 0x4000;

impl Packet<'_> {
    /// Writes IP header, UDP header if there is one, and payload into `out` (cleared first). Both addresses are of one family, as
    /// every datagram's are; a mixed pair gives an empty packet.
    pub(super) fn encode(&self, out: &mut Vec<u8>) {
        out.clear();
        let (protocol, header) = match self.framing {
            Framing::Udp => (UDP, UDP_HEADER_BYTES),
            Framing::Ip => (SCTP, 0),
        };
        let bytes = u16::try_from(header + self.payload.len()).unwrap_or(u16::MAX);
        let sum = match (self.from, self.to) {
            (SocketAddr::V4(from), SocketAddr::V4(to)) => {
                ipv4(out, *from.ip(), *to.ip(), self.identification, protocol, bytes)
            }
            (SocketAddr::V6(from), SocketAddr::V6(to)) => ipv6(out, *from.ip(), *to.ip(), protocol, bytes),
            (SocketAddr::V4(_), SocketAddr::V6(_)) | (SocketAddr::V6(_), SocketAddr::V4(_)) => return,
        };
        match self.framing {
            Framing::Udp => self.udp(out, sum, bytes),
            Framing::Ip => out.extend_from_slice(self.payload),
        }
    }

    fn udp(&self, out: &mut Vec<u8>, pseudo_header: u64, udp_bytes: u16) {
        let udp = out.len();
        for field in [self.from.port(), self.to.port(), udp_bytes, 0] {
            out.extend_from_slice(&field.to_be_bytes());
        }
        out.extend_from_slice(self.payload);
        let checksum = match fold(pseudo_header + sum_words(&out[udp..])) {
            // Zero on the wire means "no checksum" (RFC 768).
            0 => 0xffff,
            checksum => checksum,
        };
        out[udp + 6..udp + 8].copy_from_slice(&checksum.to_be_bytes());
    }
}

/// Writes the header; returns the sum of the pseudo header that UDP has.
fn ipv4(out: &mut Vec<u8>, from: Ipv4Addr, to: Ipv4Addr, identification: u16, protocol: u8, bytes: u16) -> u64 {
    let total = bytes.saturating_add(IPV4_HEADER_BYTES as u16);
    out.extend_from_slice(&[0x45, 0]);
    out.extend_from_slice(&total.to_be_bytes());
    out.extend_from_slice(&identification.to_be_bytes());
    out.extend_from_slice(&DONT_FRAGMENT.to_be_bytes());
    out.extend_from_slice(&[HOP_LIMIT, protocol, 0, 0]);
    out.extend_from_slice(&from.octets());
    out.extend_from_slice(&to.octets());
    let checksum = fold(sum_words(out));
    out[10..12].copy_from_slice(&checksum.to_be_bytes());
    sum_words(&from.octets()) + sum_words(&to.octets()) + u64::from(protocol) + u64::from(bytes)
}

fn ipv6(out: &mut Vec<u8>, from: Ipv6Addr, to: Ipv6Addr, protocol: u8, bytes: u16) -> u64 {
    out.extend_from_slice(&[0x60, 0, 0, 0]);
    out.extend_from_slice(&bytes.to_be_bytes());
    out.extend_from_slice(&[protocol, HOP_LIMIT]);
    out.extend_from_slice(&from.octets());
    out.extend_from_slice(&to.octets());
    sum_words(&from.octets()) + sum_words(&to.octets()) + u64::from(protocol) + u64::from(bytes)
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

    fn encode(out: &mut Vec<u8>, from: &str, to: &str, identification: u16, payload: &[u8]) {
        let (from, to) = (from.parse().unwrap(), to.parse().unwrap());
        Packet { framing: Framing::Udp, from, to, identification, payload }.encode(out);
    }

    #[test]
    fn without_udp_the_packet_follows_the_ip_header() {
        let mut out = Vec::new();
        let encode = |out: &mut Vec<u8>, from: &str, to: &str| {
            let (from, to) = (from.parse().unwrap(), to.parse().unwrap());
            Packet { framing: Framing::Ip, from, to, identification: 1, payload: b"abc" }.encode(out);
        };
        encode(&mut out, "127.0.0.1:9899", "127.0.0.2:9899");
        assert_eq!((out.len(), out[9], &out[20..]), (23, 132, &b"abc"[..]));
        assert_eq!(fold(sum_words(&out[..20])), 0);
        encode(&mut out, "[::1]:9899", "[::1]:9899");
        assert_eq!((out.len(), out[6], &out[40..]), (43, 132, &b"abc"[..]));
    }

    #[test]
    fn ipv4_golden() {
        let mut out = Vec::new();
        encode(&mut out, "127.0.0.1:9899", "127.0.0.2:9899", 1, b"abc");
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
            encode(&mut out, "10.0.0.1:1", "10.0.0.2:2", 7, payload);
            assert_eq!(fold(sum_words(&out[..20])), 0);
            let pseudo = sum_words(&out[12..20]) + 17 + (8 + payload.len() as u64);
            assert_eq!(fold(pseudo + sum_words(&out[20..])), 0);

            encode(&mut out, "[fd98::1]:1", "[fd98::2]:2", 7, payload);
            assert_eq!(out.len(), 48 + payload.len());
            let pseudo = sum_words(&out[8..40]) + 17 + (8 + payload.len() as u64);
            assert_eq!(fold(pseudo + sum_words(&out[40..])), 0);
        }
    }
}
