//! Socket options, addresses and send information as bytes: the layouts of linux/sctp.h, which are RFC 6458's with the kernel's
//! padding. Integers are in host order except ports and payload protocol identifiers.

use super::socket::{SNDINFO_BYTES, Socket};
use crate::kernel::Settings;
use nix::libc;
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

/// Option numbers of linux/sctp.h.
mod option {
    pub(super) const RTOINFO: i32 = 0;
    pub(super) const ASSOCINFO: i32 = 1;
    pub(super) const INITMSG: i32 = 2;
    pub(super) const NODELAY: i32 = 3;
    pub(super) const I_WANT_MAPPED_V4_ADDR: i32 = 12;
    pub(super) const PEER_ADDR_PARAMS: i32 = 9;
    pub(super) const GET_PEER_ADDR_INFO: i32 = 15;
    pub(super) const DELAYED_SACK: i32 = 16;
    pub(super) const FRAGMENT_INTERLEAVE: i32 = 18;
    pub(super) const PEER_ADDR_THLDS: i32 = 31;
    pub(super) const RECVRCVINFO: i32 = 32;
    pub(super) const BINDX_ADD: i32 = 100;
    pub(super) const GET_PEER_ADDRS: i32 = 108;
    pub(super) const GET_LOCAL_ADDRS: i32 = 109;
    pub(super) const GET_ASSOC_STATS: i32 = 112;
    pub(super) const EVENT: i32 = 127;
    pub(super) const EXPOSE_POTENTIALLY_FAILED_STATE: i32 = 131;
}

/// The notifications asked for (RFC 6458 section 6.1). "Sender dry" comes after each burst: it is asked for when it is wanted.
const EVENTS: [u16; 5] = [
    super::notification::ASSOC_CHANGE,
    super::notification::PEER_ADDR_CHANGE,
    super::notification::SHUTDOWN,
    super::notification::PARTIAL_DELIVERY,
    super::notification::SEND_FAILED,
];

/// Bytes of a kernel `sockaddr_storage`.
pub(super) const STORAGE_BYTES: usize = 128;

/// A C struct in the making: what is appended is aligned by the caller.
#[derive(Default)]
struct Fields(Vec<u8>);

impl Fields {
    fn u16(mut self, value: u16) -> Self {
        self.0.extend_from_slice(&value.to_ne_bytes());
        self
    }
    fn u32(mut self, value: u32) -> Self {
        self.0.extend_from_slice(&value.to_ne_bytes());
        self
    }
    fn i32(mut self, value: i32) -> Self {
        self.0.extend_from_slice(&value.to_ne_bytes());
        self
    }
    fn zeros(mut self, count: usize) -> Self {
        self.0.resize(self.0.len() + count, 0);
        self
    }
    fn storage(mut self, address: SocketAddr) -> Self {
        let end = self.0.len() + STORAGE_BYTES;
        push_address(&mut self.0, address);
        self.0.resize(end, 0);
        self
    }
}

/// Appends a `sockaddr_in` or `sockaddr_in6`.
pub(super) fn push_address(bytes: &mut Vec<u8>, address: SocketAddr) {
    let family = if address.is_ipv4() { libc::AF_INET } else { libc::AF_INET6 } as u16;
    bytes.extend_from_slice(&family.to_ne_bytes());
    bytes.extend_from_slice(&address.port().to_be_bytes());
    match address {
        SocketAddr::V4(v4) => {
            bytes.extend_from_slice(&v4.ip().octets());
            bytes.extend_from_slice(&[0; 8]);
        }
        SocketAddr::V6(v6) => {
            bytes.extend_from_slice(&v6.flowinfo().to_be_bytes());
            bytes.extend_from_slice(&v6.ip().octets());
            bytes.extend_from_slice(&v6.scope_id().to_ne_bytes());
        }
    }
}

/// Reads a `sockaddr_in` or `sockaddr_in6` and tells how long it is. A mapped IPv4 address is told as IPv4.
pub(super) fn read_address(bytes: &[u8]) -> Option<(SocketAddr, usize)> {
    let family = i32::from(u16::from_ne_bytes(*bytes.first_chunk()?));
    let port = u16::from_be_bytes(*bytes.get(2..)?.first_chunk()?);
    let (ip, len) = match family {
        libc::AF_INET => (IpAddr::V4(Ipv4Addr::from(*bytes.get(4..)?.first_chunk::<4>()?)), 16),
        libc::AF_INET6 => (IpAddr::V6(Ipv6Addr::from(*bytes.get(8..)?.first_chunk::<16>()?)), 28),
        _ => return None,
    };
    (bytes.len() >= len).then_some((SocketAddr::new(ip.to_canonical(), port), len))
}

/// Packed `sockaddr`s.
pub(super) fn addresses(ips: impl Iterator<Item = IpAddr>, port: u16) -> Vec<u8> {
    let mut bytes = Vec::new();
    ips.for_each(|ip| push_address(&mut bytes, SocketAddr::new(ip, port)));
    bytes
}

/// An `sctp_sndinfo`.
pub(super) fn send_info(stream: u16, flags: u16, ppid: u32, context: u32, assoc: i32) -> [u8; SNDINFO_BYTES] {
    // The payload protocol identifier is passed on as it is (RFC 6458 section 5.3.4).
    let fields = Fields::default().u16(stream).u16(flags).u32(ppid.to_be()).u32(context).i32(assoc);
    fields.0.try_into().expect("invariant: 16 bytes were written")
}

/// Sets everything that associations take over from their socket.
pub(super) fn configure(socket: &Socket, v6: bool, settings: &Settings) -> io::Result<()> {
    for (option, value) in all(settings) {
        socket.set(super::socket::SOL_SCTP, option, &value)?;
    }
    if v6 {
        // IPv4 peers of an IPv6 socket are told as IPv4.
        socket.set(super::socket::SOL_SCTP, option::I_WANT_MAPPED_V4_ADDR, &0_u32.to_ne_bytes())?;
    }
    // Kernels before 5.5 do not know it; there a potentially failed path is told as active.
    let expose = Fields::default().u32(0).u32(2).0;
    if let Err(error) = socket.set(super::socket::SOL_SCTP, option::EXPOSE_POTENTIALLY_FAILED_STATE, &expose) {
        tracing::debug!("SCTP_EXPOSE_POTENTIALLY_FAILED_STATE: {error}");
    }
    // A process that ends by whatever way takes its associations with it by ABORT: a SHUTDOWN would tell the peers that all is well.
    let linger = Fields::default().i32(1).i32(0).0;
    socket.set(libc::SOL_SOCKET, libc::SO_LINGER, &linger)
}

/// Options with their values.
fn all(settings: &Settings) -> Vec<(i32, Vec<u8>)> {
    let s = settings;
    let mut all = vec![
        (option::RTOINFO, Fields::default().i32(0).u32(s.rto_initial_ms).u32(s.rto_max_ms).u32(s.rto_min_ms).0),
        (
            option::ASSOCINFO,
            Fields::default().i32(0).u16(s.association_max_retrans).u16(0).u32(0).u32(0).u32(s.cookie_life_ms).0,
        ),
        (
            option::INITMSG,
            Fields::default()
                .u16(s.outbound_streams)
                .u16(s.inbound_streams)
                .u16(s.max_init_retransmits)
                .u16(u16::try_from(s.rto_max_ms).unwrap_or(u16::MAX))
                .0,
        ),
        (option::PEER_ADDR_PARAMS, peer_address_parameters(s)),
        (
            option::PEER_ADDR_THLDS,
            Fields::default()
                .zeros(8 + STORAGE_BYTES)
                .u16(s.path_max_retrans)
                .u16(s.potentially_failed_max_retrans)
                .zeros(4)
                .0,
        ),
        // A frequency of 1 acknowledges every packet; a delay of 0 would mean "as it was".
        (
            option::DELAYED_SACK,
            Fields::default().i32(0).u32(s.sack_delay_ms.max(1)).u32(if s.sack_delay_ms == 0 { 1 } else { 2 }).0,
        ),
        (option::NODELAY, 1_u32.to_ne_bytes().to_vec()),
        // A long message of one association does not hold up the others of the socket.
        (option::FRAGMENT_INTERLEAVE, 1_u32.to_ne_bytes().to_vec()),
        (option::RECVRCVINFO, 1_u32.to_ne_bytes().to_vec()),
    ];
    all.extend(EVENTS.map(|event| (option::EVENT, subscribe(0, event))));
    all
}

/// `sctp_paddrparams`, packed: heartbeat interval and Path.Max.Retrans for all addresses.
fn peer_address_parameters(s: &Settings) -> Vec<u8> {
    const HB_ENABLE: u32 = 1;
    let fields = Fields::default().zeros(4 + STORAGE_BYTES).u32(s.heartbeat_interval_ms).u16(s.path_max_retrans);
    fields.u32(0).u32(0).u32(HB_ENABLE).u32(0).zeros(2).0
}

/// `sctp_event`.
fn subscribe(assoc: i32, event: u16) -> Vec<u8> {
    event_wanted(assoc, event, true)
}

fn event_wanted(assoc: i32, event: u16, wanted: bool) -> Vec<u8> {
    Fields::default().i32(assoc).u16(event).u16(u16::from_ne_bytes([u8::from(wanted), 0])).0
}

/// Binds to these own addresses (RFC 6458 section 9.1) and tells the port; port 0 takes a free one.
pub(super) fn bind(socket: &Socket, ips: &[IpAddr], port: u16) -> io::Result<u16> {
    let level = super::socket::SOL_SCTP;
    let mut port = port;
    for ip in ips {
        socket.set(level, option::BINDX_ADD, &addresses(std::iter::once(*ip), port))?;
        if port == 0 {
            let bound = all_addresses(socket, option::GET_LOCAL_ADDRS, 0)?;
            port = bound.first().ok_or(io::ErrorKind::AddrNotAvailable)?.port();
        }
    }
    Ok(port)
}

/// Asks for a "sender dry" as soon as the association has nothing unacknowledged (a new subscription tells at once), or (`wanted`
/// false) for no more of them.
pub(super) fn ask_dry(socket: &Socket, assoc: i32, wanted: bool) -> io::Result<()> {
    socket.set(super::socket::SOL_SCTP, option::EVENT, &event_wanted(assoc, super::notification::SENDER_DRY, wanted))
}

/// The peer's addresses with its SCTP port.
pub(super) fn peer_addresses(socket: &Socket, assoc: i32) -> io::Result<Vec<SocketAddr>> {
    all_addresses(socket, option::GET_PEER_ADDRS, assoc)
}

/// `sctp_getaddrs`: an id, a number, packed `sockaddr`s.
fn all_addresses(socket: &Socket, option: i32, assoc: i32) -> io::Result<Vec<SocketAddr>> {
    let mut value = vec![0; 8 + 64 * 28];
    value[..4].copy_from_slice(&assoc.to_ne_bytes());
    // The length that comes out counts the head for one option and not for the other; the number is right.
    socket.get(option, &mut value)?;
    let (head, mut rest) = value.split_at(8);
    let count = head.get(4..).and_then(<[u8]>::first_chunk).map_or(0, |b| u32::from_ne_bytes(*b));
    let mut all = Vec::new();
    for _ in 0..count {
        let Some((address, len)) = read_address(rest) else { break };
        all.push(address);
        rest = &rest[len..];
    }
    Ok(all)
}

/// Counts of an association since it began (SCTP_GET_ASSOC_STATS).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct AssocStats {
    /// Packets received.
    pub(super) packets_in: u64,
    /// Chunks sent that want an answer: DATA, first time and again, and control chunks but SACKs.
    pub(super) asked: u64,
}

pub(super) fn stats(socket: &Socket, assoc: i32) -> io::Result<AssocStats> {
    // Offsets in `sctp_assoc_stats`.
    const SACKS_OUT: usize = 152;
    const PACKETS_IN: usize = 168;
    const RETRANSMITTED: usize = 176;
    const UNORDERED_OUT: usize = 208;
    const ORDERED_OUT: usize = 224;
    const CONTROL_OUT: usize = 240;
    let mut value = [0; 256];
    value[..4].copy_from_slice(&assoc.to_ne_bytes());
    socket.get(option::GET_ASSOC_STATS, &mut value)?;
    let at = |at: usize| value.get(at..).and_then(<[u8]>::first_chunk).map_or(0, |b| u64::from_ne_bytes(*b));
    let sent = at(RETRANSMITTED) + at(UNORDERED_OUT) + at(ORDERED_OUT) + at(CONTROL_OUT);
    Ok(AssocStats { packets_in: at(PACKETS_IN), asked: sent.saturating_sub(at(SACKS_OUT)) })
}

/// State, smoothed round trip (ms) and RTO (ms) of one of the peer's addresses.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct AddressInfo {
    pub(super) state: i32,
    pub(super) srtt_ms: u32,
    pub(super) rto_ms: u32,
}

/// SCTP_GET_PEER_ADDR_INFO (RFC 6458 section 8.2.2).
pub(super) fn address_info(socket: &Socket, assoc: i32, address: SocketAddr) -> io::Result<AddressInfo> {
    let mut value = Fields::default().i32(assoc).storage(address).zeros(20).0;
    socket.get(option::GET_PEER_ADDR_INFO, &mut value)?;
    let at = |at: usize| value.get(at..).and_then(<[u8]>::first_chunk).map_or(0, |b| u32::from_ne_bytes(*b));
    Ok(AddressInfo { state: at(132).cast_signed(), srtt_ms: at(140), rto_ms: at(144) })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The sizes that gcc gives the structs of linux/sctp.h on a 64-bit machine.
    #[test]
    fn the_values_are_as_long_as_the_kernels_structs() {
        let sizes: Vec<_> = all(&Settings::new(&crate::Config::default())).iter().map(|(o, v)| (*o, v.len())).collect();
        let expected = [(0, 16), (1, 20), (2, 8), (9, 156), (31, 144), (16, 12), (3, 4), (18, 4), (32, 4)];
        assert_eq!(sizes[..9], expected);
        assert!(sizes[9..].iter().all(|s| *s == (127, 8)), "{sizes:?}");
    }

    #[test]
    fn addresses_come_back_as_they_went() {
        let all = ["10.1.2.3:2905", "[2001:db8::7]:11", "127.0.0.1:9"].map(|a| a.parse::<SocketAddr>().unwrap());
        for address in all {
            let mut bytes = Vec::new();
            push_address(&mut bytes, address);
            assert_eq!(read_address(&bytes), Some((address, bytes.len())));
            assert_eq!(read_address(&bytes[..bytes.len() - 1]), None);
        }
        let mut mapped = Vec::new();
        push_address(&mut mapped, "[::ffff:10.1.2.3]:7".parse().unwrap());
        assert_eq!(read_address(&mapped), Some(("10.1.2.3:7".parse().unwrap(), 28)));
        assert_eq!(read_address(&[0; 28]), None);
    }

    #[test]
    fn send_information_has_the_identifier_in_network_order() {
        let info = send_info(5, 1, 3, 0x0102_0304, 9);
        assert_eq!(info[4..8], [0, 0, 0, 3]);
        assert_eq!(info[8..12], 0x0102_0304_u32.to_ne_bytes());
        assert_eq!(info[12..], 9_i32.to_ne_bytes());
    }
}
