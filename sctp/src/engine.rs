//! The only place that knows `sctp-proto`: data of one established association (streams, fragmentation, TSNs;
//! reassembly, order and SACKs of what comes). Everything else of SCTP is ours, so another engine fits behind these
//! few methods.
//!
//! The engine is started by SNAP (two INIT chunks out of band) and sees nothing but DATA and SACK. It runs under tags and
//! ports of its own, because it refuses equal tags that the wire allows; the caller puts the true ones on. In front of each
//! outgoing message stands a [`PREFIX_OUT`]-byte number by which the caller knows the message again in the outgoing DATA
//! chunk with the B bit; in front of each incoming one [`PREFIX_IN`] bytes of the caller's. The engine carries both as
//! user data: its own idea of a payload protocol identifier is a closed WebRTC list.

use crate::wire::{self, Chunks, DATA_HEADER, HEADER, Header, Packet, kind};
use bytes::Bytes;
use sctp_proto::{
    Association, ClientConfig, DatagramEvent, Endpoint, EndpointConfig, Event, Payload, PayloadProtocolIdentifier,
    ReliabilityType, StreamEvent, TransportConfig,
};
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::Instant;

/// Bytes in front of an outgoing message.
pub(crate) const PREFIX_OUT: usize = 4;
/// Bytes in front of an incoming message.
pub(crate) const PREFIX_IN: usize = 5;

/// The engine's own retransmission: what is lost is found and sent again outside (`flight`), on the path that is right for it.
const NEVER_MS: u64 = 365 * 24 * 3_600_000;
const PORT: u16 = 5000;
const LOCAL_TAG: u32 = 1;
const REMOTE_TAG: u32 = 2;
/// Bytes of chunks handed over at once; a longer one goes alone.
const LONG: usize = 2_048;
/// The engine need not know of the peer's window, which is heeded outside; its sums are of 32 bits.
const REMOTE_RWND: u32 = 1 << 30;
const REMOTE: SocketAddr = SocketAddr::new(std::net::IpAddr::V4(Ipv4Addr::LOCALHOST), PORT);
/// The least a_rwnd an INIT may carry (RFC 9260 section 3.3.2).
const A_RWND_MIN: u32 = 1_500;

/// What both ends told each other in the handshake, and settings.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Setup {
    pub(crate) local_tsn: u32,
    pub(crate) remote_tsn: u32,
    pub(crate) local_rwnd: u32,
    pub(crate) outbound_streams: u16,
    pub(crate) inbound_streams: u16,
    pub(crate) mtu: usize,
    pub(crate) message_bytes_max: usize,
}

/// A stream as far as we told the engine.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Mode {
    Ordered,
    Unordered,
}

/// Data transfer of one association.
#[derive(Debug)]
pub(crate) struct Engine {
    endpoint: Endpoint,
    association: Association,
    modes: Vec<Option<Mode>>,
    readable: std::collections::VecDeque<u16>,
    scratch: Vec<u8>,
    /// Added to the peer's TSNs: 1 when its initial TSN is 0, which the engine refuses.
    shift: u32,
    lost: bool,
    /// Messages taken whose last fragment has not come out.
    pending: usize,
    /// Chunks that came out and are not forgotten, and the last one's TSN.
    held: usize,
    held_to: u32,
}

impl Engine {
    /// Starts it established. `None` when the engine refuses the values (none is known that a checked handshake lets through).
    pub(crate) fn new(setup: &Setup) -> Option<Self> {
        // The engine cuts user data to this size; the chunk around it fits one packet.
        let payload = (setup.mtu.saturating_sub(HEADER + DATA_HEADER) / 4 * 4).max(64);
        let mut endpoint_config = EndpointConfig::new();
        endpoint_config.max_payload_size(u32::try_from(payload).ok()?);
        let transport = TransportConfig::default()
            .with_max_receive_buffer_size(setup.local_rwnd.max(A_RWND_MIN))
            .with_max_send_message_size(u32::try_from(setup.message_bytes_max + PREFIX_OUT).ok()?)
            .with_max_receive_message_size(u32::try_from(setup.message_bytes_max + PREFIX_IN).ok()?)
            .with_max_num_outbound_streams(setup.outbound_streams)
            .with_max_num_inbound_streams(setup.inbound_streams)
            .with_rto_initial_ms(NEVER_MS)
            .with_rto_min_ms(NEVER_MS)
            .with_rto_max_ms(NEVER_MS)
            .with_local_port(PORT)
            .with_remote_port(PORT);
        let shift = u32::from(setup.remote_tsn == 0);
        let streams = (setup.outbound_streams, setup.inbound_streams);
        let local = init_chunk(LOCAL_TAG, setup.local_rwnd, streams, setup.local_tsn);
        let remote = init_chunk(REMOTE_TAG, REMOTE_RWND, (streams.1, streams.0), setup.remote_tsn.wrapping_add(shift));
        let mut client = ClientConfig::new().with_snap(local, remote);
        client.transport = Arc::new(transport);
        // An endpoint of its own for each association: tags must be unique in one.
        let mut endpoint = Endpoint::new(Arc::new(endpoint_config), None);
        let (_, association) = endpoint.connect(client, REMOTE).ok()?;
        let mut engine = Self {
            endpoint,
            association,
            modes: vec![None; usize::from(setup.outbound_streams)],
            readable: std::collections::VecDeque::new(),
            scratch: Vec::new(),
            shift,
            lost: false,
            pending: 0,
            held: 0,
            held_to: 0,
        };
        engine.drain_events();
        Some(engine)
    }

    /// Hands a message over. False when the engine took nothing.
    pub(crate) fn write(&mut self, stream: u16, unordered: bool, prefix: [u8; PREFIX_OUT], payload: &[u8]) -> bool {
        let wanted = if unordered { Mode::Unordered } else { Mode::Ordered };
        let Some(mode) = self.modes.get_mut(usize::from(stream)) else { return false };
        self.scratch.clear();
        self.scratch.extend_from_slice(&prefix);
        self.scratch.extend_from_slice(payload);
        let unknown = PayloadProtocolIdentifier::Unknown;
        let opened = match self.association.stream(stream) {
            Ok(open) => Ok(open),
            Err(_) => self.association.open_stream(stream, unknown),
        };
        let Ok(mut open) = opened else { return false };
        if *mode != Some(wanted) {
            if open.set_reliability_params(unordered, ReliabilityType::Reliable, 0).is_err() {
                return false;
            }
            *mode = Some(wanted);
        }
        let taken = open.write_with_ppi(&self.scratch, unknown).is_ok();
        self.pending += usize::from(taken);
        self.drain_events();
        taken
    }

    /// Takes DATA and SACK chunks.
    pub(crate) fn input(&mut self, now: Instant, input: Input) {
        let mut packet = input.packet;
        if std::mem::take(&mut self.held) > 0 {
            let parts: [&[u8]; 3] = [&self.held_to.to_be_bytes(), &REMOTE_RWND.to_be_bytes(), &[0; 4]];
            packet.chunk(kind::SACK, 0, &parts);
        }
        if input.data {
            packet.shrink();
        }
        let bytes = packet.finish();
        if let Some((_, DatagramEvent::AssociationEvent(event))) = self.endpoint.handle(now, REMOTE, None, None, bytes)
        {
            self.association.handle_event(event);
        }
        self.drain_events();
    }

    /// Makes the engine acknowledge now what it would acknowledge within 200 ms: it is shown a DATA chunk that it had
    /// long ago, with the I bit. `old_tsn` is a TSN that we acknowledged.
    pub(crate) fn acknowledge_now(&mut self, now: Instant, old_tsn: u32) {
        let mut input = Input::new(Some(self), 0);
        let flags = wire::flag::BEGIN | wire::flag::END | wire::flag::UNORDERED | wire::flag::IMMEDIATE;
        input.data(flags, old_tsn, [0; 4], [0; PREFIX_IN], &[]);
        self.input(now, input);
    }

    /// Chunks to send. A DATA chunk with the B bit has the prefix in front of its user data. A SACK is cut to `sack_max` bytes.
    pub(crate) fn output(&mut self, now: Instant, sack_max: usize, mut each: impl FnMut(Output)) {
        while let Some(transmit) = self.association.poll_transmit(now) {
            let Payload::RawEncode(packets) = transmit.payload else { continue };
            for packet in packets {
                for chunk in Chunks::of_packet(&packet).flatten() {
                    if chunk.kind == kind::DATA && chunk.whole.len() > DATA_HEADER {
                        self.held += 1;
                        self.held_to = wire::u32_at(chunk.value, 0);
                        self.pending = self.pending.saturating_sub(usize::from(chunk.flags & wire::flag::END != 0));
                        each(Output::Data(packet.slice_ref(chunk.whole)));
                    } else if chunk.kind == kind::SACK && chunk.value.len() >= 12 {
                        let cumulative = wire::u32_at(chunk.value, 0).wrapping_sub(self.shift);
                        let chunk = sack(cumulative, chunk.value, sack_max);
                        each(Output::Sack { cumulative, chunk });
                    }
                }
            }
        }
    }

    /// The DATA chunks that came out are the caller's: the engine is told that they arrived, and keeps no copy; it would sort what is
    /// in flight with each chunk, and hold back by a congestion window of its own. [`Engine::input`] tells it by the way; alone it
    /// costs as much as a packet, so this is for when it holds back or has a lot. False when there is nothing to tell.
    pub(crate) fn forget(&mut self, now: Instant) -> bool {
        if self.held == 0 {
            return false;
        }
        self.input(now, Input::new(Some(self), 64));
        true
    }

    /// Whether messages taken have not come out in full.
    pub(crate) fn holds_back(&self) -> bool {
        self.pending > 0
    }

    /// Chunks that came out and are not forgotten.
    pub(crate) fn held(&self) -> usize {
        self.held
    }

    /// When to call [`Engine::handle_timeout`].
    pub(crate) fn poll_timeout(&self) -> Option<Instant> {
        self.association.poll_timeout()
    }

    /// Does what is due.
    pub(crate) fn handle_timeout(&mut self, now: Instant) {
        self.association.handle_timeout(now);
        self.drain_events();
    }

    /// The next whole message with its prefix in front, its stream, and of how many chunks it was.
    pub(crate) fn read(&mut self) -> Option<(u16, Bytes, usize)> {
        while let Some(&stream) = self.readable.front() {
            if let Ok(mut open) = self.association.stream(stream)
                && let Ok(Some(mut chunks)) = open.read_sctp()
            {
                let (length, count) = (chunks.len(), chunks.chunks.len());
                // One fragment or many, in one copy.
                if let Some(message) = chunks.next(length) {
                    return Some((stream, message.bytes, count));
                }
            }
            self.readable.pop_front();
        }
        None
    }

    /// True once the engine gave the association up: a protocol violation, or receive storage full of what cannot be read.
    pub(crate) fn is_lost(&self) -> bool {
        self.lost
    }

    fn drain_events(&mut self) {
        while let Some(event) = self.association.poll() {
            if let Event::Stream(StreamEvent::Readable { id }) = event {
                self.readable.push_back(id);
            }
        }
        while self.association.accept_stream().is_some() {}
        self.lost = self.association.is_closed();
    }
}

/// What [`Engine::output`] found.
#[derive(Debug)]
pub(crate) enum Output {
    /// A DATA chunk with its header, without padding.
    Data(Bytes),
    /// A SACK chunk.
    Sack {
        /// The peer's last TSN in sequence.
        cumulative: u32,
        /// Header and value.
        chunk: Vec<u8>,
    },
}

/// Chunks on their way into the engine.
#[derive(Debug)]
pub(crate) struct Input {
    packet: Packet,
    data: bool,
    sack: bool,
    shift: u32,
}

impl Input {
    /// Begins a packet for [`Engine::input`] of this engine, for chunks of so many bytes.
    pub(crate) fn new(engine: Option<&Engine>, length: usize) -> Self {
        let capacity = HEADER + length.min(LONG) + 64;
        let packet = Packet::new(Header { source: PORT, destination: PORT, tag: LOCAL_TAG }, capacity);
        Self { packet, data: false, sack: false, shift: engine.map_or(0, |e| e.shift) }
    }

    /// To be handed over before more goes in: a chunk that waits in the engine holds the whole packet in memory.
    pub(crate) fn is_long(&self) -> bool {
        self.packet.len() >= LONG
    }

    /// A SACK is in it.
    pub(crate) fn has_sack(&self) -> bool {
        self.sack
    }

    /// Nothing to hand over.
    pub(crate) fn is_empty(&self) -> bool {
        self.packet.is_empty()
    }

    /// A DATA chunk. `stream_ssn` is stream identifier and sequence number as on the wire; the prefix goes in with the B bit.
    pub(crate) fn data(&mut self, flags: u8, tsn: u32, stream_ssn: [u8; 4], prefix: [u8; PREFIX_IN], user: &[u8]) {
        let tsn = tsn.wrapping_add(self.shift).to_be_bytes();
        let prefix: &[u8] = if flags & wire::flag::BEGIN != 0 { &prefix } else { &[] };
        self.data = true;
        self.packet.chunk(kind::DATA, flags, &[&tsn, &stream_ssn, &[0; 4], prefix, user]);
    }

    /// A SACK was in the packet. The engine does not see it.
    pub(crate) fn saw_sack(&mut self) {
        self.sack = true;
    }
}

/// The engine's SACK with as many gap ack blocks as fit (section 6.2); it reports no duplicates.
fn sack(cumulative: u32, value: &[u8], bytes_max: usize) -> Vec<u8> {
    let blocks = usize::from(wire::u16_at(value, 8)).min(bytes_max.saturating_sub(wire::TLV + 12) / 4);
    let count = u16::try_from(blocks).unwrap_or(u16::MAX).to_be_bytes();
    let blocks = value.get(12..12 + 4 * blocks).unwrap_or_default();
    wire::chunk(kind::SACK, 0, &[&cumulative.to_be_bytes(), &value[4..8], &count, &[0; 2], blocks])
}

/// `01 00 0014 | tag | a_rwnd | outbound streams | inbound streams | TSN`
fn init_chunk(tag: u32, rwnd: u32, (outbound, inbound): (u16, u16), tsn: u32) -> Bytes {
    let rwnd = rwnd.max(A_RWND_MIN);
    let parts: [&[u8]; 5] =
        [&tag.to_be_bytes(), &rwnd.to_be_bytes(), &outbound.to_be_bytes(), &inbound.to_be_bytes(), &tsn.to_be_bytes()];
    Bytes::from(wire::chunk(kind::INIT, 0, &parts))
}
