//! The state cookie, RFC 9260 sections 5.1.3 to 5.1.5: all that the listener knows of an association before it exists,
//! kept by the peer and sealed by us.
//!
//! ```text
//! 0 u8 key | u8 number of addresses | u16 our port | u16 peer's port | u16 its outbound streams
//! 8 u16 its inbound streams | u16 0 | u32 its a_rwnd
//! 16 u64 created, us since the stack was made | u32 life, ms | u32 our tag
//! 32 u32 peer's tag | u32 our TSN | u32 peer's TSN | u32 our tie-tag
//! 48 u32 peer's tie-tag | 17 bytes our address | 19 bytes its source address | 17 bytes each of its other addresses
//! .. 16 bytes MAC over all of the above
//! address: u8 4 or 6 | 16 bytes (4 and zeros for IPv4) | for the source: u16 UDP port
//! ```

use crate::rng::mac;
use crate::wire::{u16_at, u32_at, u64_at};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

/// Most addresses taken from an INIT besides its source.
pub(crate) const ADDRESSES_MAX: usize = 7;
/// Most paths of an association: more that the user names or the peer lists are not used.
pub(crate) const PATHS_MAX: usize = ADDRESSES_MAX + 1;

const FIXED: usize = 52 + 17 + 19;
const MAC: usize = 16;

/// Contents of a state cookie.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Cookie {
    pub(crate) created_us: u64,
    pub(crate) life_ms: u32,
    pub(crate) local_port: u16,
    pub(crate) peer_port: u16,
    pub(crate) local_tag: u32,
    pub(crate) peer_tag: u32,
    pub(crate) local_tsn: u32,
    pub(crate) peer_tsn: u32,
    /// Tie-tags of the association that exists already, or 0 (section 5.2.2).
    pub(crate) local_tie: u32,
    pub(crate) peer_tie: u32,
    pub(crate) peer_rwnd: u32,
    pub(crate) peer_outbound: u16,
    pub(crate) peer_inbound: u16,
    pub(crate) local: IpAddr,
    pub(crate) source: SocketAddr,
    pub(crate) addresses: Vec<IpAddr>,
}

/// Makes and opens cookies. Two keys are valid: the current one and the one before.
#[derive(Clone)]
pub(crate) struct CookieJar {
    secret: [u8; 16],
    key_us: u64,
}

impl std::fmt::Debug for CookieJar {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("CookieJar").field("key_us", &self.key_us).finish_non_exhaustive()
    }
}

impl CookieJar {
    pub(crate) fn new(secret: [u8; 16], cookie_key_ms: u64) -> Self {
        Self { secret, key_us: cookie_key_ms.max(1).saturating_mul(1_000) }
    }

    fn key(&self, generation: u64) -> [u8; 16] {
        mac(&self.secret, &generation.to_be_bytes())
    }

    /// The cookie's bytes, sealed with the key of `now_us`.
    pub(crate) fn seal(&self, cookie: &Cookie, now_us: u64) -> Vec<u8> {
        let generation = now_us / self.key_us;
        let count = cookie.addresses.len().min(ADDRESSES_MAX);
        let mut out = Vec::with_capacity(FIXED + 17 * count + MAC);
        out.push(generation as u8);
        out.push(count as u8);
        for value in [cookie.local_port, cookie.peer_port, cookie.peer_outbound, cookie.peer_inbound, 0] {
            out.extend_from_slice(&value.to_be_bytes());
        }
        out.extend_from_slice(&cookie.peer_rwnd.to_be_bytes());
        out.extend_from_slice(&cookie.created_us.to_be_bytes());
        let words = [
            cookie.life_ms,
            cookie.local_tag,
            cookie.peer_tag,
            cookie.local_tsn,
            cookie.peer_tsn,
            cookie.local_tie,
            cookie.peer_tie,
        ];
        for word in words {
            out.extend_from_slice(&word.to_be_bytes());
        }
        put_address(&mut out, cookie.local);
        put_address(&mut out, cookie.source.ip());
        out.extend_from_slice(&cookie.source.port().to_be_bytes());
        for address in &cookie.addresses[..count] {
            put_address(&mut out, *address);
        }
        let seal = mac(&self.key(generation), &out);
        out.extend_from_slice(&seal);
        out
    }

    /// `None` when the MAC is wrong, the key too old, or the form not ours.
    pub(crate) fn open(&self, bytes: &[u8], now_us: u64) -> Option<Cookie> {
        let body_len = bytes.len().checked_sub(MAC).filter(|n| *n >= FIXED)?;
        let (body, seal) = bytes.split_at(body_len);
        let current = now_us / self.key_us;
        let generation = [Some(current), current.checked_sub(1)].into_iter().flatten().find(|g| *g as u8 == body[0])?;
        let difference = mac(&self.key(generation), body).iter().zip(seal).fold(0, |d, (a, b)| d | (a ^ b));
        if difference != 0 || body.len() != FIXED + 17 * usize::from(body[1]) {
            return None;
        }
        let source = 52 + 17;
        Some(Cookie {
            local_port: u16_at(body, 2),
            peer_port: u16_at(body, 4),
            peer_outbound: u16_at(body, 6),
            peer_inbound: u16_at(body, 8),
            peer_rwnd: u32_at(body, 12),
            created_us: u64_at(body, 16),
            life_ms: u32_at(body, 24),
            local_tag: u32_at(body, 28),
            peer_tag: u32_at(body, 32),
            local_tsn: u32_at(body, 36),
            peer_tsn: u32_at(body, 40),
            local_tie: u32_at(body, 44),
            peer_tie: u32_at(body, 48),
            local: address(&body[52..69])?,
            source: SocketAddr::new(address(&body[source..source + 17])?, u16_at(body, source + 17)),
            addresses: body[FIXED..].chunks_exact(17).map(address).collect::<Option<_>>()?,
        })
    }
}

fn put_address(out: &mut Vec<u8>, address: IpAddr) {
    match address {
        IpAddr::V4(v4) => {
            out.push(4);
            out.extend_from_slice(&v4.octets());
            out.extend_from_slice(&[0; 12]);
        }
        IpAddr::V6(v6) => {
            out.push(6);
            out.extend_from_slice(&v6.octets());
        }
    }
}

fn address(bytes: &[u8]) -> Option<IpAddr> {
    match bytes[0] {
        4 => Some(IpAddr::V4(Ipv4Addr::new(bytes[1], bytes[2], bytes[3], bytes[4]))),
        6 => {
            let mut octets = [0; 16];
            octets.copy_from_slice(&bytes[1..17]);
            Some(IpAddr::V6(Ipv6Addr::from(octets)))
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cookie() -> Cookie {
        Cookie {
            created_us: 5,
            life_ms: 60_000,
            local_port: 2905,
            peer_port: 40_000,
            local_tag: 1,
            peer_tag: 2,
            local_tsn: 3,
            peer_tsn: 0,
            local_tie: 4,
            peer_tie: 5,
            peer_rwnd: 1_500,
            peer_outbound: 6,
            peer_inbound: 7,
            local: "127.0.0.1".parse().unwrap(),
            source: "[fd98::1]:9899".parse().unwrap(),
            addresses: vec!["10.0.0.1".parse().unwrap(), "fd98::2".parse().unwrap()],
        }
    }

    #[test]
    fn comes_back_as_it_was() {
        let jar = CookieJar::new([7; 16], 1_000);
        assert_eq!(jar.open(&jar.seal(&cookie(), 5), 5), Some(cookie()));
    }

    #[test]
    fn every_bit_is_sealed() {
        let jar = CookieJar::new([7; 16], 1_000);
        let good = jar.seal(&cookie(), 5);
        for bit in 0..good.len() * 8 {
            let mut bad = good.clone();
            bad[bit / 8] ^= 1 << (bit % 8);
            assert_eq!(jar.open(&bad, 5), None, "bit {bit}");
        }
        for length in 0..good.len() {
            assert_eq!(jar.open(&good[..length], 5), None);
        }
        assert_eq!(CookieJar::new([8; 16], 1_000).open(&good, 5), None);
    }

    #[test]
    fn the_key_before_the_current_one_is_still_valid_and_the_one_before_that_is_not() {
        let jar = CookieJar::new([7; 16], 1_000);
        let sealed = jar.seal(&cookie(), 5);
        assert!(jar.open(&sealed, 1_999_999).is_some());
        assert!(jar.open(&sealed, 2_000_000).is_none());
        // 256 generations later the key number is the same, the key is not.
        assert!(jar.open(&sealed, 256_000_005).is_none());
    }
}
