//! From a captured frame to the SCTP packet in it.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// UDP encapsulation port (RFC 6951).
const UDP_ENCAPSULATION: u16 = 9899;
const PROTOCOL_UDP: u8 = 17;
const PROTOCOL_SCTP: u8 = 132;

/// What a frame holds.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Found<'a> {
    /// An SCTP packet.
    Sctp { from: IpAddr, to: IpAddr, octets: &'a [u8], over_udp: bool },
    /// Something else.
    Other,
    /// A fragment of an IP packet: later ones have no ports, and the first is not whole.
    Fragment,
    /// Cut, or its lengths do not fit.
    Malformed,
    /// A link type that is not known here.
    UnknownLink,
}

/// Finds the SCTP packet of a frame. Link types: <https://www.tcpdump.org/linktypes.html>.
pub(super) fn sctp(link_type: i32, frame: &[u8]) -> Found<'_> {
    let (ethertype, rest) = match link_type {
        // NULL and LOOP: address family, 4 octets, then IP.
        0 | 108 => (None, frame.get(4..)),
        1 => ethernet(frame),
        // Raw IP, in its several numbers.
        12 | 14 | 101 | 228 | 229 => (None, Some(frame)),
        // Linux cooked, version 1 and 2.
        113 => (be16(frame, 14), frame.get(16..)),
        276 => (be16(frame, 0), frame.get(20..)),
        _ => return Found::UnknownLink,
    };
    let Some(packet) = rest else { return Found::Malformed };
    match (ethertype, packet.first().map(|b| b >> 4)) {
        (Some(0x0800) | None, Some(4)) => ipv4(packet),
        (Some(0x86dd) | None, Some(6)) => ipv6(packet),
        (Some(0x0800 | 0x86dd), _) => Found::Malformed,
        _ => Found::Other,
    }
}

fn be16(octets: &[u8], at: usize) -> Option<u16> {
    Some(u16::from_be_bytes(octets.get(at..at + 2)?.try_into().ok()?))
}

fn ethernet(frame: &[u8]) -> (Option<u16>, Option<&[u8]>) {
    let mut at = 12;
    // VLAN tags (802.1Q, 802.1ad) stand before the type.
    while matches!(be16(frame, at), Some(0x8100 | 0x88a8)) {
        at += 4;
    }
    (be16(frame, at), frame.get(at + 2..))
}

fn ipv4(packet: &[u8]) -> Found<'_> {
    let header = packet.first().map_or(0, |b| usize::from(b & 0x0f) * 4);
    let total = be16(packet, 2).map_or(0, usize::from);
    let (Some(addresses), Some(payload)) = (packet.get(12..20), packet.get(header..total.min(packet.len()))) else {
        return Found::Malformed;
    };
    if header < 20 || total > packet.len() {
        return Found::Malformed;
    }
    if be16(packet, 6).is_some_and(|word| word & 0x3fff != 0) {
        return Found::Fragment;
    }
    let address =
        |at: usize| IpAddr::V4(Ipv4Addr::new(addresses[at], addresses[at + 1], addresses[at + 2], addresses[at + 3]));
    transport(packet[9], address(0), address(4), payload)
}

fn ipv6(packet: &[u8]) -> Found<'_> {
    let (Some(head), Some(mut payload)) = (packet.get(..40), packet.get(40..)) else { return Found::Malformed };
    let length = usize::from(u16::from_be_bytes([head[4], head[5]]));
    payload = match payload.get(..length) {
        Some(payload) => payload,
        None => return Found::Malformed,
    };
    let address = |at: usize| {
        let octets: [u8; 16] = head[at..at + 16].try_into().expect("invariant: 16 octets of 40");
        IpAddr::V6(Ipv6Addr::from(octets))
    };
    let mut protocol = head[6];
    // Hop-by-hop, routing and destination options may stand in between.
    while matches!(protocol, 0 | 43 | 60) {
        let Some([next, len]) = payload.get(..2) else { return Found::Malformed };
        let skip = 8 + usize::from(*len) * 8;
        protocol = *next;
        payload = match payload.get(skip..) {
            Some(rest) => rest,
            None => return Found::Malformed,
        };
    }
    if protocol == 44 {
        return Found::Fragment;
    }
    transport(protocol, address(8), address(24), payload)
}

fn transport(protocol: u8, from: IpAddr, to: IpAddr, payload: &[u8]) -> Found<'_> {
    match protocol {
        PROTOCOL_SCTP => Found::Sctp { from, to, octets: payload, over_udp: false },
        PROTOCOL_UDP if be16(payload, 0) == Some(UDP_ENCAPSULATION) || be16(payload, 2) == Some(UDP_ENCAPSULATION) => {
            let length = be16(payload, 4).map_or(0, usize::from);
            payload.get(8..length).map_or(Found::Malformed, |octets| Found::Sctp { from, to, octets, over_udp: true })
        }
        _ => Found::Other,
    }
}
