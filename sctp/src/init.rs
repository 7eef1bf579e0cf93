//! INIT and INIT ACK, RFC 9260 sections 3.3.2 and 3.3.3.
//!
//! ```text
//! u32 initiate tag | u32 a_rwnd | u16 outbound streams | u16 inbound streams | u32 initial TSN | parameters
//! ```

use crate::cookie::ADDRESSES_MAX;
use crate::wire::{Chunks, INIT_FIXED, TLV, param, put_param, u16_at, u32_at};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// Unrecognized parameters reported back, bytes at most: an answer must not be much longer than the question.
const REPORT_BYTES_MAX: usize = 512;

/// What an INIT or INIT ACK says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Init<'a> {
    pub(crate) tag: u32,
    pub(crate) rwnd: u32,
    pub(crate) outbound: u16,
    pub(crate) inbound: u16,
    pub(crate) tsn: u32,
    /// Addresses listed; the source of the packet is not among them unless the peer listed it.
    pub(crate) addresses: Vec<IpAddr>,
    /// Addresses listed that can be nobody's, or are too many.
    pub(crate) ignored: u16,
    /// Supported Address Types (section 3.3.2.1.6).
    types: Option<Families>,
    pub(crate) cookie: Option<&'a [u8]>,
    /// Suggested increment of the cookie's life, ms (section 3.3.2.1).
    pub(crate) preservative_ms: u32,
    /// Whole parameters whose type asks to be reported (section 3.2.2).
    pub(crate) unrecognized: Vec<u8>,
}

/// Why an INIT or INIT ACK is refused (sections 3.3.2 and 3.3.3 say how).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum InitError {
    /// Shorter than its fixed part.
    Short,
    /// The initiate tag is 0.
    ZeroTag,
    /// No streams; the initiate tag.
    Streams(u32),
    /// a_rwnd under 1,500; the initiate tag.
    Window(u32),
    /// A Host Name Address; the initiate tag.
    HostName(u32),
}

impl<'a> Init<'a> {
    /// Reads the value of an INIT or INIT ACK chunk.
    pub(crate) fn parse(value: &'a [u8]) -> Result<Self, InitError> {
        if value.len() < INIT_FIXED {
            return Err(InitError::Short);
        }
        if u32_at(value, 0) == 0 {
            return Err(InitError::ZeroTag);
        }
        let mut init = Self {
            tag: u32_at(value, 0),
            rwnd: u32_at(value, 4),
            outbound: u16_at(value, 8),
            inbound: u16_at(value, 10),
            tsn: u32_at(value, 12),
            addresses: Vec::new(),
            ignored: 0,
            types: None,
            cookie: None,
            preservative_ms: 0,
            unrecognized: Vec::new(),
        };
        if init.outbound == 0 || init.inbound == 0 {
            return Err(InitError::Streams(init.tag));
        }
        if init.rwnd < 1_500 {
            return Err(InitError::Window(init.tag));
        }
        for parameter in Chunks(&value[INIT_FIXED..]) {
            // A length that cannot be ends the list: what came before counts.
            let Ok(parameter) = parameter else { break };
            let kind = u16::from_be_bytes([parameter.kind, parameter.flags]);
            if !init.parameter(kind, parameter.value, parameter.whole)? {
                break;
            }
        }
        Ok(init)
    }

    /// False when the rest must not be processed.
    fn parameter(&mut self, kind: u16, value: &'a [u8], whole: &[u8]) -> Result<bool, InitError> {
        match kind {
            param::IPV4 if value.len() == 4 => {
                self.address(IpAddr::V4(Ipv4Addr::new(value[0], value[1], value[2], value[3])))
            }
            param::IPV6 if value.len() == 16 => {
                let mut octets = [0; 16];
                octets.copy_from_slice(value);
                self.address(IpAddr::V6(Ipv6Addr::from(octets)));
            }
            param::STATE_COOKIE => self.cookie = Some(value),
            param::COOKIE_PRESERVATIVE if value.len() == 4 => self.preservative_ms = u32_at(value, 0),
            param::SUPPORTED_ADDRESS_TYPES => self.types = Some(Families::read(value)),
            param::HOST_NAME => return Err(InitError::HostName(self.tag)),
            param::IPV4 | param::IPV6 | param::COOKIE_PRESERVATIVE | param::UNRECOGNIZED => {}
            unknown => {
                // The two high bits say what to do: 01 and 11 report, 00 and 01 stop.
                let report = unknown & 0x4000 != 0;
                if report && self.unrecognized.len() + whole.len() + TLV <= REPORT_BYTES_MAX {
                    put_param(&mut self.unrecognized, kind, &[value]);
                }
                return Ok(unknown & 0x8000 != 0);
            }
        }
        Ok(true)
    }

    fn address(&mut self, address: IpAddr) {
        if self.addresses.contains(&address) {
            return;
        }
        let nobody = match address {
            IpAddr::V4(v4) => v4.is_unspecified() || v4.is_multicast() || v4.is_broadcast(),
            IpAddr::V6(v6) => v6.is_unspecified() || v6.is_multicast(),
        };
        if nobody || self.addresses.len() >= ADDRESSES_MAX {
            self.ignored = self.ignored.saturating_add(1);
        } else {
            self.addresses.push(address);
        }
    }

    /// The families its sender can use (section 5.1.2): those it says, and those it shows by its source and the addresses it lists.
    /// One that does not say takes all.
    pub(crate) fn families(&self, source: IpAddr) -> Families {
        let Some(said) = self.types else { return Families::ALL };
        let shown = Families::of(self.addresses.iter().copied().chain([source]));
        Families { v4: said.v4 || shown.v4, v6: said.v6 || shown.v6 }
    }
}

/// Address families.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Families {
    v4: bool,
    v6: bool,
}

impl Families {
    pub(crate) const ALL: Self = Self { v4: true, v6: true };

    fn of(addresses: impl Iterator<Item = IpAddr>) -> Self {
        addresses.fold(Self { v4: false, v6: false }, |f, a| Self { v4: f.v4 || a.is_ipv4(), v6: f.v6 || a.is_ipv6() })
    }

    /// The value of a Supported Address Types parameter: u16 parameter types.
    fn read(value: &[u8]) -> Self {
        let has = |kind| value.chunks_exact(2).any(|t| u16_at(t, 0) == kind);
        Self { v4: has(param::IPV4), v6: has(param::IPV6) }
    }

    fn has(self, address: IpAddr) -> bool {
        if address.is_ipv4() { self.v4 } else { self.v6 }
    }
}

/// Whether an address that a host with this source address lists can be reached from here: its loopback address would be one of our
/// own, and a link-local one says nothing without its link.
pub(crate) fn reachable(listed: IpAddr, source: IpAddr) -> bool {
    let link_local = match listed {
        IpAddr::V4(v4) => v4.is_link_local(),
        IpAddr::V6(v6) => v6.is_unicast_link_local(),
    };
    listed == source || (!link_local && (source.is_loopback() || !listed.is_loopback()))
}

/// The value of an INIT or INIT ACK.
pub(crate) fn init_value(tag: u32, rwnd: u32, outbound: u16, inbound: u16, tsn: u32) -> Vec<u8> {
    let mut value = Vec::with_capacity(64);
    value.extend_from_slice(&tag.to_be_bytes());
    value.extend_from_slice(&rwnd.to_be_bytes());
    value.extend_from_slice(&outbound.to_be_bytes());
    value.extend_from_slice(&inbound.to_be_bytes());
    value.extend_from_slice(&tsn.to_be_bytes());
    value
}

/// Lists our addresses (`advertise` in their place, if there are any) for a peer with this address and families, when there are several
/// (with one, the source address says it, and survives address translation).
pub(crate) fn put_addresses(
    value: &mut Vec<u8>,
    local: &[IpAddr],
    advertise: &[IpAddr],
    peer: IpAddr,
    families: Families,
) {
    let scoped = |a: &&IpAddr| !a.is_unspecified() && (peer.is_loopback() || !a.is_loopback());
    let known: Vec<_> =
        if advertise.is_empty() { local.iter().filter(scoped).collect() } else { advertise.iter().collect() };
    let listed: Vec<_> = known.into_iter().filter(|a| families.has(**a)).collect();
    if listed.len() < 2 {
        return;
    }
    for address in listed {
        put_address(value, *address);
    }
}

/// An address parameter (sections 3.3.2.1.1 and 3.3.2.1.2).
pub(crate) fn put_address(value: &mut Vec<u8>, address: IpAddr) {
    match address {
        IpAddr::V4(v4) => put_param(value, param::IPV4, &[&v4.octets()]),
        IpAddr::V6(v6) => put_param(value, param::IPV6, &[&v6.octets()]),
    }
}

/// The Supported Address Types parameter of an INIT: the families we have addresses of; nothing when we have no address yet. It comes
/// last, because its padding is that of the chunk, which the chunk's length does not count (section 3.2).
pub(crate) fn put_address_types(value: &mut Vec<u8>, local: &[IpAddr]) {
    let families = Families::of(local.iter().copied());
    let types: Vec<u8> = [(families.v4, param::IPV4), (families.v6, param::IPV6)]
        .into_iter()
        .filter(|(has, _)| *has)
        .flat_map(|(_, kind)| kind.to_be_bytes())
        .collect();
    if !types.is_empty() {
        let end = value.len() + TLV + types.len();
        put_param(value, param::SUPPORTED_ADDRESS_TYPES, &[&types]);
        value.truncate(end);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_parameter_is_not_padded() {
        for (local, bytes) in [("10.0.0.1", 6), ("::1", 6)] {
            let mut value = Vec::new();
            put_address_types(&mut value, &[local.parse().unwrap()]);
            assert_eq!(value.len(), bytes, "{local}");
        }
        let mut value = Vec::new();
        put_address_types(&mut value, &["10.0.0.1".parse().unwrap(), "::1".parse().unwrap()]);
        assert_eq!(value, [0, 12, 0, 8, 0, 5, 0, 6]);
    }

    /// The INIT of the pion/webrtc test suite: Forward-TSN, Supported Extensions, AUTH parameters.
    #[test]
    fn reads_a_real_init() {
        let value = [
            0x55, 0xb9, 0x64, 0xa5, 0x00, 0x02, 0x00, 0x00, 0x04, 0x00, 0x08, 0x00, 0xe8, 0x6d, 0x10, 0x30, 0xc0, 0x00,
            0x00, 0x04, 0x80, 0x08, 0x00, 0x09, 0xc0, 0x0f, 0xc1, 0x80, 0x82, 0x00, 0x00, 0x00,
        ];
        let init = Init::parse(&value).unwrap();
        assert_eq!(
            (init.tag, init.rwnd, init.outbound, init.inbound, init.tsn),
            (0x55b9_64a5, 0x2_0000, 1024, 2048, 0xe86d_1030)
        );
        // Forward-TSN (11) is reported, Supported Extensions (10) is not.
        assert_eq!(init.unrecognized, [0xc0, 0, 0, 4]);
    }

    #[test]
    fn unknown_parameters_by_their_high_bits() {
        let read = |kinds: &[u16]| {
            let mut value = init_value(1, 1_500, 1, 1, 0);
            for kind in kinds {
                put_param(&mut value, *kind, &[&[9]]);
            }
            put_param(&mut value, param::IPV4, &[&[10, 0, 0, 1]]);
            let init = Init::parse(&value).unwrap();
            (init.unrecognized.len() / 8, init.addresses.len())
        };
        assert_eq!(read(&[0x8123]), (0, 1));
        assert_eq!(read(&[0xc123]), (1, 1));
        assert_eq!(read(&[0x4123]), (1, 0));
        assert_eq!(read(&[0x0123]), (0, 0));
        assert_eq!(read(&[0xc123, 0xc124, 0x8123, 0x4123, 0xc125]), (3, 0));
    }

    #[test]
    fn bad_values_are_refused() {
        let value = init_value(1, 1_500, 1, 1, 0);
        for length in 0..value.len() {
            assert_eq!(Init::parse(&value[..length]), Err(InitError::Short));
        }
        assert_eq!(Init::parse(&init_value(0, 1_500, 1, 1, 0)), Err(InitError::ZeroTag));
        assert_eq!(Init::parse(&init_value(7, 1_499, 1, 1, 0)), Err(InitError::Window(7)));
        assert_eq!(Init::parse(&init_value(7, 1_500, 0, 1, 0)), Err(InitError::Streams(7)));
        assert_eq!(Init::parse(&init_value(7, 1_500, 1, 0, 0)), Err(InitError::Streams(7)));
        let mut host = init_value(7, 1_500, 1, 1, 0);
        put_param(&mut host, param::HOST_NAME, &[b"a\0"]);
        assert_eq!(Init::parse(&host), Err(InitError::HostName(7)));
    }

    #[test]
    fn addresses_are_bounded_and_unusable_ones_counted() {
        let mut value = init_value(1, 1_500, 1, 1, 0);
        for i in 0..100 {
            put_param(&mut value, param::IPV4, &[&[10, 0, 0, i]]);
        }
        let init = Init::parse(&value).unwrap();
        assert_eq!((init.addresses.len(), usize::from(init.ignored)), (ADDRESSES_MAX, 100 - ADDRESSES_MAX));

        let mut value = init_value(1, 1_500, 1, 1, 0);
        for v4 in [[0, 0, 0, 0], [224, 0, 0, 1], [255, 255, 255, 255], [10, 0, 0, 1], [10, 0, 0, 1]] {
            put_param(&mut value, param::IPV4, &[&v4]);
        }
        for v6 in [Ipv6Addr::UNSPECIFIED, "ff02::1".parse().unwrap(), Ipv6Addr::LOCALHOST] {
            put_param(&mut value, param::IPV6, &[&v6.octets()]);
        }
        // Of a length that no address has.
        put_param(&mut value, param::IPV4, &[&[10, 0, 0]]);
        let init = Init::parse(&value).unwrap();
        assert_eq!((init.addresses.len(), init.ignored), (2, 5));
    }

    #[test]
    fn what_is_listed_depends_on_who_reads_it() {
        let ip = |text: &str| -> IpAddr { text.parse().unwrap() };
        let own = ["10.0.0.1", "10.0.1.1", "127.0.0.1", "2001:db8::1", "0.0.0.0"].map(ip);
        let list = |peer: &str, families, advertise: &[IpAddr]| {
            let mut value = init_value(1, 1_500, 1, 1, 0);
            put_addresses(&mut value, &own, advertise, ip(peer), families);
            Init::parse(&value).unwrap().addresses
        };
        let v4 = Families { v4: true, v6: false };
        assert_eq!(list("10.0.0.9", Families::ALL, &[]), [own[0], own[1], own[3]]);
        assert_eq!(list("10.0.0.9", v4, &[]), own[..2]);
        assert_eq!(list("127.0.0.9", Families::ALL, &[]), own[..4]);
        assert!(list("10.0.0.9", Families { v4: false, v6: true }, &[]).is_empty(), "the source says it");
        assert_eq!(list("10.0.0.9", v4, &[ip("192.0.2.1"), ip("192.0.2.2")]), [ip("192.0.2.1"), ip("192.0.2.2")]);
    }

    #[test]
    fn families_are_those_said_and_those_shown() {
        let ip = |text: &str| -> IpAddr { text.parse().unwrap() };
        let read = |types: &[&[u8]], listed: &[&str], source: &str| {
            let mut value = init_value(1, 1_500, 1, 1, 0);
            for types in types {
                put_param(&mut value, param::SUPPORTED_ADDRESS_TYPES, &[types]);
            }
            let listed: Vec<IpAddr> = listed.iter().map(|a| ip(a)).collect();
            put_addresses(&mut value, &listed, &[], ip(source), Families::ALL);
            let families = Init::parse(&value).unwrap().families(ip(source));
            (families.v4, families.v6)
        };
        assert_eq!(read(&[], &[], "10.0.0.1"), (true, true));
        assert_eq!(read(&[&[0, 5]], &[], "10.0.0.1"), (true, false));
        assert_eq!(read(&[&[0, 6]], &[], "10.0.0.1"), (true, true), "it came by IPv4");
        assert_eq!(read(&[&[0, 5]], &["10.0.0.1", "2001:db8::1"], "10.0.0.1"), (true, true), "it lists IPv6");
        assert_eq!(read(&[&[0, 5, 0, 6]], &[], "::1"), (true, true));
        assert_eq!(read(&[&[0, 11, 0]], &[], "::1"), (false, true), "a host name and half a type");
    }

    #[test]
    fn scopes() {
        let can = |listed: &str, source: &str| reachable(listed.parse().unwrap(), source.parse().unwrap());
        assert!(can("10.0.0.1", "192.0.2.1"));
        assert!(can("127.0.0.2", "127.0.0.1"));
        assert!(can("10.0.0.1", "127.0.0.1"));
        assert!(!can("127.0.0.1", "192.0.2.1"));
        assert!(!can("::1", "2001:db8::1"));
        assert!(!can("fe80::1", "2001:db8::1"));
        assert!(!can("169.254.0.1", "192.0.2.1"));
        assert!(can("fe80::1", "fe80::1"));
    }
}
