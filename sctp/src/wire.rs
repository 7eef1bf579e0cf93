//! SCTP packets, chunks and parameters as bytes, RFC 9260 section 3.
//!
//! ```text
//! packet: u16 source port | u16 destination port | u32 verification tag | u32 CRC32c (little-endian) | chunks
//! chunk:  u8 type | u8 flags | u16 length (header and value, without padding) | value | zero padding to 4
//! ```

use bytes::Bytes;

/// Length of the common header.
pub(crate) const HEADER: usize = 12;
/// Length of a chunk or parameter header.
pub(crate) const TLV: usize = 4;
/// Length of the fixed part of a DATA chunk, chunk header included.
pub(crate) const DATA_HEADER: usize = 16;
/// Length of the fixed part of the value of INIT and INIT ACK.
pub(crate) const INIT_FIXED: usize = 16;

/// Chunk types, RFC 9260 section 3.2.
pub(crate) mod kind {
    pub(crate) const DATA: u8 = 0;
    pub(crate) const INIT: u8 = 1;
    pub(crate) const INIT_ACK: u8 = 2;
    pub(crate) const SACK: u8 = 3;
    pub(crate) const HEARTBEAT: u8 = 4;
    pub(crate) const HEARTBEAT_ACK: u8 = 5;
    pub(crate) const ABORT: u8 = 6;
    pub(crate) const SHUTDOWN: u8 = 7;
    pub(crate) const SHUTDOWN_ACK: u8 = 8;
    pub(crate) const ERROR: u8 = 9;
    pub(crate) const COOKIE_ECHO: u8 = 10;
    pub(crate) const COOKIE_ACK: u8 = 11;
    pub(crate) const SHUTDOWN_COMPLETE: u8 = 14;
    /// Padding, to be ignored (RFC 4820).
    pub(crate) const PAD: u8 = 0x84;

    /// One of the above.
    pub(crate) fn is_known(kind: u8) -> bool {
        kind <= COOKIE_ACK || kind == SHUTDOWN_COMPLETE || kind == PAD
    }
}

/// Flags of DATA chunks, section 3.3.1, and the T bit of ABORT and SHUTDOWN COMPLETE, section 3.3.7.
pub(crate) mod flag {
    pub(crate) const END: u8 = 1;
    pub(crate) const BEGIN: u8 = 2;
    pub(crate) const UNORDERED: u8 = 4;
    pub(crate) const IMMEDIATE: u8 = 8;
    pub(crate) const TAG_REFLECTED: u8 = 1;
}

/// Error cause codes, section 3.3.10.
pub(crate) mod cause {
    pub(crate) const INVALID_STREAM: u16 = 1;
    pub(crate) const MISSING_PARAMETER: u16 = 2;
    pub(crate) const STALE_COOKIE: u16 = 3;
    pub(crate) const OUT_OF_RESOURCE: u16 = 4;
    pub(crate) const UNRESOLVABLE_ADDRESS: u16 = 5;
    pub(crate) const UNRECOGNIZED_CHUNK: u16 = 6;
    pub(crate) const INVALID_MANDATORY: u16 = 7;
    pub(crate) const UNRECOGNIZED_PARAMETERS: u16 = 8;
    pub(crate) const NO_USER_DATA: u16 = 9;
    pub(crate) const COOKIE_WHILE_SHUTTING_DOWN: u16 = 10;
    pub(crate) const RESTART_NEW_ADDRESSES: u16 = 11;
    pub(crate) const USER_ABORT: u16 = 12;
    pub(crate) const PROTOCOL_VIOLATION: u16 = 13;
}

/// Parameter types of INIT, INIT ACK and HEARTBEAT.
pub(crate) mod param {
    pub(crate) const HEARTBEAT_INFO: u16 = 1;
    pub(crate) const IPV4: u16 = 5;
    pub(crate) const IPV6: u16 = 6;
    pub(crate) const STATE_COOKIE: u16 = 7;
    pub(crate) const UNRECOGNIZED: u16 = 8;
    pub(crate) const COOKIE_PRESERVATIVE: u16 = 9;
    pub(crate) const HOST_NAME: u16 = 11;
    pub(crate) const SUPPORTED_ADDRESS_TYPES: u16 = 12;
}

/// The common header without its checksum.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Header {
    pub(crate) source: u16,
    pub(crate) destination: u16,
    pub(crate) tag: u32,
}

/// Why a datagram is no SCTP packet.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum PacketError {
    /// Shorter than a header and one chunk header.
    Short,
    /// The CRC32c is wrong.
    Checksum,
    /// A port is zero (section 3.1).
    Port,
}

impl Header {
    /// Checks length, CRC32c (section 6.8) and ports, in this order.
    pub(crate) fn parse(packet: &[u8]) -> Result<Self, PacketError> {
        if packet.len() < HEADER + TLV {
            return Err(PacketError::Short);
        }
        if u32_le(packet, 8) != checksum(packet) {
            return Err(PacketError::Checksum);
        }
        let header = Self { source: u16_at(packet, 0), destination: u16_at(packet, 2), tag: u32_at(packet, 4) };
        if header.source == 0 || header.destination == 0 {
            return Err(PacketError::Port);
        }
        Ok(header)
    }

    /// The header of an answer.
    pub(crate) fn reply(self, tag: u32) -> Self {
        Self { source: self.destination, destination: self.source, tag }
    }
}

/// One chunk, borrowed from its packet.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Chunk<'a> {
    pub(crate) kind: u8,
    pub(crate) flags: u8,
    pub(crate) value: &'a [u8],
    /// Header and value, as reported back in ERROR causes.
    pub(crate) whole: &'a [u8],
}

/// Walks the chunks of a packet, or the parameters of a chunk.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Chunks<'a>(pub(crate) &'a [u8]);

impl<'a> Chunks<'a> {
    /// The chunks behind the common header.
    pub(crate) fn of_packet(packet: &'a [u8]) -> Self {
        Self(packet.get(HEADER..).unwrap_or_default())
    }

    /// Whether any chunk has this type (and, if `flags` is not 0, these flags).
    pub(crate) fn any(mut self, kind: u8, flags: u8) -> bool {
        while let Some(Ok(chunk)) = self.next() {
            if chunk.kind == kind && chunk.flags & flags == flags {
                return true;
            }
        }
        false
    }
}

impl<'a> Iterator for Chunks<'a> {
    /// `Err` when the length field is impossible, which ends the walk.
    type Item = Result<Chunk<'a>, ()>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.0.is_empty() {
            return None;
        }
        let rest = self.0;
        let length = if rest.len() >= TLV { usize::from(u16_at(rest, 2)) } else { 0 };
        if length < TLV || length > rest.len() {
            self.0 = &[];
            return Some(Err(()));
        }
        self.0 = rest.get(padded(length)..).unwrap_or_default();
        Some(Ok(Chunk { kind: rest[0], flags: rest[1], value: &rest[TLV..length], whole: &rest[..length] }))
    }
}

/// A packet being built.
#[derive(Debug)]
pub(crate) struct Packet {
    buf: Vec<u8>,
}

impl Packet {
    pub(crate) fn new(header: Header, capacity: usize) -> Self {
        let mut buf = Vec::with_capacity(capacity);
        buf.extend_from_slice(&header.source.to_be_bytes());
        buf.extend_from_slice(&header.destination.to_be_bytes());
        buf.extend_from_slice(&header.tag.to_be_bytes());
        buf.extend_from_slice(&[0; 4]);
        Self { buf }
    }

    /// Length so far.
    pub(crate) fn len(&self) -> usize {
        self.buf.len()
    }

    /// True without chunks.
    pub(crate) fn is_empty(&self) -> bool {
        self.buf.len() == HEADER
    }

    /// Adds a chunk (or, inside a value, a parameter) made of the parts.
    pub(crate) fn chunk(&mut self, kind: u8, flags: u8, parts: &[&[u8]]) {
        put_tlv(&mut self.buf, [kind, flags], parts);
    }

    /// Adds a whole chunk built before.
    pub(crate) fn raw(&mut self, chunk: &[u8]) {
        self.buf.extend_from_slice(chunk);
        pad(&mut self.buf);
    }

    /// Gives back room that is not used.
    pub(crate) fn shrink(&mut self) {
        if self.buf.len() < self.buf.capacity() / 2 {
            self.buf.shrink_to_fit();
        }
    }

    /// Puts the checksum in.
    pub(crate) fn finish(mut self) -> Bytes {
        let sum = checksum(&self.buf);
        self.buf[8..12].copy_from_slice(&sum.to_le_bytes());
        Bytes::from(self.buf)
    }
}

/// Appends a type-length-value with padding.
pub(crate) fn put_tlv(buf: &mut Vec<u8>, kind: [u8; 2], parts: &[&[u8]]) {
    let length: usize = TLV + parts.iter().map(|p| p.len()).sum::<usize>();
    let length = u16::try_from(length).expect("invariant: chunks are built from bounded parts under 64 KiB");
    buf.extend_from_slice(&kind);
    buf.extend_from_slice(&length.to_be_bytes());
    for part in parts {
        buf.extend_from_slice(part);
    }
    pad(buf);
}

/// Appends a parameter or error cause with padding.
pub(crate) fn put_param(buf: &mut Vec<u8>, kind: u16, parts: &[&[u8]]) {
    put_tlv(buf, kind.to_be_bytes(), parts);
}

/// A chunk of its own, padded.
pub(crate) fn chunk(kind: u8, flags: u8, parts: &[&[u8]]) -> Vec<u8> {
    let mut buf = Vec::with_capacity(TLV + 32);
    put_tlv(&mut buf, [kind, flags], parts);
    buf
}

/// An ERROR or ABORT chunk with one cause.
pub(crate) fn with_cause(kind: u8, flags: u8, code: u16, info: &[u8]) -> Vec<u8> {
    let length = u16::try_from(TLV + info.len()).expect("invariant: causes are built from bounded parts");
    // The padding of the last cause is the chunk's padding, outside the chunk length.
    chunk(kind, flags, &[&code.to_be_bytes(), &length.to_be_bytes(), info])
}

/// Whether the causes of an ERROR or ABORT chunk have possible lengths.
pub(crate) fn well_formed(causes: &[u8]) -> bool {
    Chunks(causes).all(|cause| cause.is_ok())
}

/// Whether the causes of an ERROR or ABORT chunk include this one.
pub(crate) fn has_cause(causes: &[u8], code: u16) -> bool {
    Chunks(causes).flatten().any(|c| u16::from_be_bytes([c.kind, c.flags]) == code)
}

fn pad(buf: &mut Vec<u8>) {
    let target = padded(buf.len());
    buf.resize(target, 0);
}

/// Rounded up to a multiple of 4.
pub(crate) fn padded(length: usize) -> usize {
    length.div_ceil(4) * 4
}

/// CRC32c of a packet with its checksum field taken as zero.
pub(crate) fn checksum(packet: &[u8]) -> u32 {
    let sum = crc32c::crc32c(&packet[..8]);
    let sum = crc32c::crc32c_append(sum, &[0; 4]);
    crc32c::crc32c_append(sum, &packet[HEADER..])
}

/// Big-endian u16 at an offset the caller has checked.
pub(crate) fn u16_at(bytes: &[u8], at: usize) -> u16 {
    u16::from_be_bytes([bytes[at], bytes[at + 1]])
}

/// Big-endian u32 at an offset the caller has checked.
pub(crate) fn u32_at(bytes: &[u8], at: usize) -> u32 {
    u32::from_be_bytes([bytes[at], bytes[at + 1], bytes[at + 2], bytes[at + 3]])
}

/// Big-endian u64 at an offset the caller has checked.
pub(crate) fn u64_at(bytes: &[u8], at: usize) -> u64 {
    u64::from(u32_at(bytes, at)) << 32 | u64::from(u32_at(bytes, at + 4))
}

fn u32_le(bytes: &[u8], at: usize) -> u32 {
    u32_at(bytes, at).swap_bytes()
}

/// Serial number comparison, RFC 1982: `a` is after `b`.
pub(crate) fn after(a: u32, b: u32) -> bool {
    (a.wrapping_sub(b) as i32) > 0
}

#[cfg(test)]
mod tests {
    use super::*;

    /// From the interop captures of RFC 3309's appendix: CRC32c of "123456789" is 0xe3069283.
    #[test]
    fn crc_is_castagnoli() {
        assert_eq!(crc32c::crc32c(b"123456789"), 0xe306_9283);
    }

    #[test]
    fn golden_packet_both_ways() {
        // Header-only packet of the pion/webrtc test suite has CRC 06a900e1 for ports 5000/5000 tag 0.
        let mut raw = vec![0x13, 0x88, 0x13, 0x88, 0, 0, 0, 0, 0, 0, 0, 0];
        assert_eq!(checksum(&raw).to_le_bytes(), [0x06, 0xa9, 0x00, 0xe1]);
        raw.clear();
        let header = Header { source: 2905, destination: 2906, tag: 0x0102_0304 };
        let mut packet = Packet::new(header, 64);
        packet.chunk(kind::COOKIE_ACK, 0, &[]);
        packet.chunk(kind::ERROR, 0, &[&[1, 2], &[3]]);
        let bytes = packet.finish();
        assert_eq!(&bytes[..8], &[0x0b, 0x59, 0x0b, 0x5a, 1, 2, 3, 4]);
        assert_eq!(&bytes[12..], &[11, 0, 0, 4, 9, 0, 0, 7, 1, 2, 3, 0]);
        assert_eq!(Header::parse(&bytes), Ok(header));
        let mut chunks = Chunks::of_packet(&bytes);
        assert_eq!(chunks.next().unwrap().unwrap().kind, kind::COOKIE_ACK);
        assert_eq!(chunks.next().unwrap().unwrap().value, &[1, 2, 3]);
        assert!(chunks.next().is_none());
    }

    #[test]
    fn bad_packets_are_refused() {
        let header = Header { source: 1, destination: 2, tag: 3 };
        let mut packet = Packet::new(header, 64);
        packet.chunk(kind::COOKIE_ACK, 0, &[]);
        let good = packet.finish();
        assert_eq!(Header::parse(&good[..12]), Err(PacketError::Short));
        for i in 0..good.len() {
            let mut bad = good.to_vec();
            bad[i] ^= 0x10;
            assert_eq!(Header::parse(&bad), Err(PacketError::Checksum), "byte {i}");
        }
        let mut zero = Packet::new(Header { source: 0, destination: 2, tag: 3 }, 64);
        zero.chunk(kind::COOKIE_ACK, 0, &[]);
        assert_eq!(Header::parse(&zero.finish()), Err(PacketError::Port));
    }

    #[test]
    fn impossible_lengths_end_the_walk() {
        for bytes in [&[0u8, 0, 0, 3, 0, 0, 0, 0][..], &[0, 0, 0, 9, 0, 0, 0, 0], &[0, 0, 0]] {
            let mut chunks = Chunks(bytes);
            assert!(chunks.next().unwrap().is_err());
            assert!(chunks.next().is_none());
        }
    }

    #[test]
    fn serial_numbers_wrap() {
        assert!(after(0, u32::MAX));
        assert!(!after(u32::MAX, 0));
        assert!(!after(7, 7));
    }
}
