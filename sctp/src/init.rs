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
            param::HOST_NAME => return Err(InitError::HostName(self.tag)),
            param::IPV4
            | param::IPV6
            | param::COOKIE_PRESERVATIVE
            | param::SUPPORTED_ADDRESS_TYPES
            | param::UNRECOGNIZED => {}
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
        let usable = !address.is_unspecified() && !address.is_multicast();
        if usable && self.addresses.len() < ADDRESSES_MAX && !self.addresses.contains(&address) {
            self.addresses.push(address);
        }
    }
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

/// Lists our addresses, when there are several (with one, the source address says it, and survives address translation).
/// Behind a translation those count by which others reach us (`advertise`), when there are any.
pub(crate) fn put_addresses(value: &mut Vec<u8>, local: &[IpAddr], advertise: &[IpAddr]) {
    let known = if advertise.is_empty() { local } else { advertise };
    let listed: Vec<_> = known.iter().filter(|a| !a.is_unspecified()).collect();
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

#[cfg(test)]
mod tests {
    use super::*;

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
    fn addresses_are_bounded() {
        let mut value = init_value(1, 1_500, 1, 1, 0);
        for i in 0..100 {
            put_param(&mut value, param::IPV4, &[&[10, 0, 0, i]]);
        }
        assert_eq!(Init::parse(&value).unwrap().addresses.len(), ADDRESSES_MAX);
    }
}
