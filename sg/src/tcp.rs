//! M3UA over TCP, as Osmocom has it for containers: the messages one after the other, each as long as its common header says. To the
//! rest of the gateway a connection is an association with two streams.
//!
//! What TCP has not: streams (all DATA counts as of stream 1, with the BEATs whose order toward it matters), several addresses, and the
//! word that a message was acknowledged. What was written to a connection that ends may have arrived, and is sent by nobody again; what
//! still waited is told as undelivered.

use bytes::Bytes;
use enrp::daemon::Framing;
use enrp::{ClientId, OutsideInput, Sink, TcpEnd};
use m3ua_lite::wire::MessageType;
use rustc_hash::FxHashMap;
use sctp::{
    AssocId, AssocState, Associations, CloseReason, Connect, Counters, Event, Info, Input, Output, SendError,
    SendOptions, Undelivered, ppid,
};
use serde::Serialize;
use std::collections::VecDeque;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

/// Of the common header (RFC 4666 section 3.1).
const HEADER_BYTES: usize = 8;
/// 0, and one for what has an order.
const STREAMS: u16 = 2;

/// How M3UA messages follow each other, none longer than this.
pub(crate) fn framing(message_bytes_max: usize) -> Framing {
    Framing { lengths, header_bytes: HEADER_BYTES, message_bytes_max }
}

/// The Message Length has the padding in it (RFC 4666 section 3.1.4).
fn lengths(bytes: &[u8]) -> Option<(usize, usize)> {
    let length: [u8; 4] = bytes.get(4..HEADER_BYTES)?.try_into().ok()?;
    let length = usize::try_from(u32::from_be_bytes(length)).unwrap_or(usize::MAX);
    Some((length, length))
}

/// Counted since the start. The field names are the metric names without prefix.
#[derive(Debug, Clone, Copy, Default, Serialize)]
pub(crate) struct TcpCounters {
    /// Connections that came.
    pub(crate) connections: u64,
    /// Connections there was no room for.
    pub(crate) refused: u64,
    /// Ended because what came was no message, or too long.
    pub(crate) malformed: u64,
    /// Ended because nothing came or went, or a message did not end or was not taken.
    pub(crate) idle: u64,
    /// Messages not taken because too much waited: tried again.
    pub(crate) full: u64,
}

#[derive(Debug)]
struct Connection {
    source: SocketAddr,
    sink: Box<dyn Sink>,
    /// What may still wait to be written, the oldest first.
    kept: VecDeque<(SendOptions, Bytes)>,
    kept_bytes: usize,
}

impl Connection {
    /// Forgets what was written.
    fn forget(&mut self) {
        let waiting = self.sink.waiting();
        while let Some((_, front)) = self.kept.front() {
            if self.kept_bytes - front.len() < waiting {
                return;
            }
            self.kept_bytes -= front.len();
            self.kept.pop_front();
        }
    }

    /// What was not written; of the first one a part may be. `transmitted`: of none it is certain.
    fn undelivered(mut self, transmitted: bool) -> Vec<Undelivered> {
        self.forget();
        if self.sink.waiting() == 0 {
            return Vec::new();
        }
        let all = self.kept.into_iter().enumerate();
        all.map(|(n, (SendOptions { stream, ppid, context, .. }, payload))| {
            let transmitted = transmitted || n == 0;
            Undelivered { stream, ppid, context, transmitted, payload }
        })
        .collect()
    }
}

/// All associations of the gateway: those of SCTP, and TCP connections.
#[derive(Debug)]
pub(crate) struct Carriers {
    sctp: Box<dyn Associations>,
    /// The SCTP port at whose place the connections come.
    port: u16,
    connections: FxHashMap<AssocId, Connection>,
    events: VecDeque<Event>,
    counters: TcpCounters,
}

impl Carriers {
    pub(crate) fn new(sctp: Box<dyn Associations>, port: u16) -> Self {
        let counters = TcpCounters::default();
        Self { sctp, port, connections: FxHashMap::default(), events: VecDeque::new(), counters }
    }

    pub(crate) fn tcp_counters(&self) -> TcpCounters {
        self.counters
    }

    /// Takes what came by TCP.
    pub(crate) fn outside(&mut self, input: OutsideInput) {
        match input {
            OutsideInput::Connected { client, source, sink } => self.connected(of(client), source, sink),
            OutsideInput::Message { client, bytes } => self.message(of(client), bytes),
            OutsideInput::Ended { client, end } => {
                let reason = match end {
                    // FIN or RST: the other end has no socket any more.
                    TcpEnd::Closed => CloseReason::PeerAbort(None),
                    TcpEnd::Malformed => CloseReason::ProtocolViolation,
                    TcpEnd::Idle => CloseReason::Silent,
                };
                self.counters.malformed += u64::from(end == TcpEnd::Malformed);
                self.counters.idle += u64::from(end == TcpEnd::Idle);
                self.end(of(client), reason, false);
            }
            OutsideInput::Refused => self.counters.refused += 1,
            // No groups are listened to.
            OutsideInput::Joined { .. } | OutsideInput::Datagram { .. } | OutsideInput::Missed(_) => {}
        }
    }

    fn connected(&mut self, assoc: AssocId, source: SocketAddr, sink: Box<dyn Sink>) {
        self.counters.connections += 1;
        self.connections.insert(assoc, Connection { source, sink, kept: VecDeque::new(), kept_bytes: 0 });
        self.events.push_back(Event::Up {
            assoc,
            local_port: self.port,
            peer_port: source.port(),
            peer: vec![source],
            incoming: true,
            outbound_streams: STREAMS,
            inbound_streams: STREAMS,
        });
    }

    fn message(&mut self, assoc: AssocId, payload: Bytes) {
        if !self.connections.contains_key(&assoc) {
            return;
        }
        let ordered =
            [MessageType::Data, MessageType::Beat, MessageType::BeatAck].map(|kind| kind.code().to_be_bytes());
        let stream = u16::from(payload.get(2..4).is_some_and(|code| ordered.iter().any(|kind| kind == code)));
        self.events.push_back(Event::Message { assoc, stream, ppid: ppid::M3UA, unordered: false, payload });
    }

    /// A connection is over; its bytes that wait are written all the same when we end it.
    fn end(&mut self, assoc: AssocId, reason: CloseReason, ours: bool) -> bool {
        let Some(connection) = self.connections.remove(&assoc) else { return false };
        let undelivered = connection.undelivered(ours);
        self.events.push_back(Event::Closed { assoc, reason, undelivered });
        true
    }
}

/// The numbers of connections begin where those of SCTP never come to.
fn of(client: ClientId) -> AssocId {
    AssocId(client.0)
}

impl Associations for Carriers {
    fn listen(&mut self, port: u16) {
        self.sctp.listen(port);
    }
    fn stop_listening(&mut self, port: u16) {
        self.sctp.stop_listening(port);
    }
    fn connect(&mut self, now: Instant, connect: Connect) -> Result<AssocId, SendError> {
        self.sctp.connect(now, connect)
    }
    fn send(&mut self, now: Instant, assoc: AssocId, options: SendOptions, payload: Bytes) -> Result<(), SendError> {
        let Some(connection) = self.connections.get_mut(&assoc) else {
            return self.sctp.send(now, assoc, options, payload);
        };
        connection.forget();
        if !connection.sink.send(payload.clone()) {
            self.counters.full += 1;
            return Err(SendError::QueueFull);
        }
        connection.kept_bytes += payload.len();
        connection.kept.push_back((options, payload));
        Ok(())
    }
    fn shutdown(&mut self, now: Instant, assoc: AssocId) {
        if !self.end(assoc, CloseReason::Shutdown, true) {
            self.sctp.shutdown(now, assoc);
        }
    }
    fn abort(&mut self, now: Instant, assoc: AssocId, reason: &[u8]) {
        if !self.end(assoc, CloseReason::LocalAbort, true) {
            self.sctp.abort(now, assoc, reason);
        }
    }
    fn handle_input(&mut self, now: Instant, input: Input) {
        self.sctp.handle_input(now, input);
    }
    fn handle_timeout(&mut self, now: Instant) {
        self.sctp.handle_timeout(now);
    }
    fn poll_output(&mut self, now: Instant) -> Option<Output> {
        self.sctp.poll_output(now)
    }
    fn poll_event(&mut self) -> Option<Event> {
        self.sctp.poll_event().or_else(|| self.events.pop_front())
    }
    fn poll_timeout(&self) -> Option<Instant> {
        self.sctp.poll_timeout()
    }
    fn outstanding(&self, assoc: AssocId) -> (usize, usize) {
        let of_tcp = self.connections.get(&assoc).map(|connection| (connection.kept.len(), connection.kept_bytes));
        of_tcp.unwrap_or_else(|| self.sctp.outstanding(assoc))
    }
    fn rtt(&self, assoc: AssocId) -> Option<Duration> {
        self.sctp.rtt(assoc)
    }
    fn state(&self, assoc: AssocId) -> Option<AssocState> {
        let of_tcp = self.connections.contains_key(&assoc).then_some(AssocState::Up);
        of_tcp.or_else(|| self.sctp.state(assoc))
    }
    fn addresses(&self, assoc: AssocId) -> Vec<SocketAddr> {
        let of_tcp = self.connections.get(&assoc).map(|connection| vec![connection.source]);
        of_tcp.unwrap_or_else(|| self.sctp.addresses(assoc))
    }
    fn info(&self, assoc: AssocId) -> Option<Info> {
        self.sctp.info(assoc)
    }
    fn set_primary(&mut self, now: Instant, assoc: AssocId, address: SocketAddr) -> bool {
        self.sctp.set_primary(now, assoc, address)
    }
    fn associations(&self) -> Vec<AssocId> {
        self.sctp.associations().into_iter().chain(self.connections.keys().copied()).collect()
    }
    fn counters(&self) -> Counters {
        self.sctp.counters()
    }
    fn config(&self) -> &sctp::Config {
        self.sctp.config()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use bytes::BytesMut;
    use std::sync::{Arc, Mutex};

    /// Keeps what it is given, and how many bytes of it were written.
    #[derive(Debug, Clone, Default)]
    struct Kept(Arc<Mutex<(Vec<Bytes>, usize)>>);

    const ROOM: usize = 40;

    impl Sink for Kept {
        fn send(&mut self, bytes: Bytes) -> bool {
            let room = self.waiting() + bytes.len() <= ROOM;
            if room {
                self.0.lock().unwrap().0.push(bytes);
            }
            room
        }
        fn waiting(&self) -> usize {
            let (messages, left) = &*self.0.lock().unwrap();
            messages.iter().map(Bytes::len).sum::<usize>() - left
        }
    }

    fn carriers() -> (Carriers, Kept, AssocId, Instant) {
        let now = Instant::now();
        let stack = sctp::Stack::new(sctp::Config::default(), vec![[127, 0, 0, 1].into()], [1; 32], now);
        let (mut carriers, kept) = (Carriers::new(Box::new(stack), 2905), Kept::default());
        let client = ClientId::OUTSIDE;
        let source = "127.0.0.9:40000".parse().unwrap();
        carriers.outside(OutsideInput::Connected { client, source, sink: Box::new(kept.clone()) });
        let up = carriers.poll_event();
        assert!(matches!(up, Some(Event::Up { incoming: true, local_port: 2905, outbound_streams: 2, .. })), "{up:?}");
        (carriers, kept, of(client), now)
    }

    fn send(carriers: &mut Carriers, now: Instant, assoc: AssocId) -> Result<(), SendError> {
        carriers.send(now, assoc, SendOptions { stream: 1, ..SendOptions::default() }, Bytes::from_static(&[0; 16]))
    }

    #[test]
    fn what_was_not_written_is_told_and_what_may_have_left_is_not_sent_again() {
        let (mut carriers, kept, assoc, now) = carriers();
        assert_eq!((send(&mut carriers, now, assoc), send(&mut carriers, now, assoc)), (Ok(()), Ok(())));
        assert_eq!(send(&mut carriers, now, assoc), Err(SendError::QueueFull));
        assert_eq!(carriers.tcp_counters().full, 1);
        kept.0.lock().unwrap().1 = 16;
        assert_eq!(send(&mut carriers, now, assoc), Ok(()), "there is room again");
        assert_eq!(carriers.outstanding(assoc), (2, 32));
        carriers.outside(OutsideInput::Ended { client: ClientId::OUTSIDE, end: TcpEnd::Closed });
        let Some(Event::Closed { undelivered, .. }) = carriers.poll_event() else { panic!("no end") };
        assert_eq!(undelivered.iter().map(|message| message.transmitted).collect::<Vec<_>>(), [true, false]);
        // One that we end has what waits written.
        let (mut carriers, _kept, assoc, now) = self::carriers();
        assert_eq!((send(&mut carriers, now, assoc), send(&mut carriers, now, assoc)), (Ok(()), Ok(())));
        carriers.abort(now, assoc, b"");
        let Some(Event::Closed { undelivered, .. }) = carriers.poll_event() else { panic!("no end") };
        assert!(undelivered.len() == 2 && undelivered.iter().all(|message| message.transmitted));
        assert_eq!((carriers.state(assoc), carriers.associations().len()), (None, 0));
    }

    #[test]
    fn data_and_beats_count_as_of_a_stream_of_their_own() {
        let (mut carriers, _kept, _assoc, _now) = carriers();
        for (class_and_type, wanted) in [([1, 1], 1), ([3, 3], 1), ([3, 6], 1), ([3, 1], 0), ([4, 1], 0), ([0, 1], 0)] {
            let mut bytes = BytesMut::from(&[1, 0][..]);
            bytes.extend_from_slice(&class_and_type);
            bytes.extend_from_slice(&8_u32.to_be_bytes());
            let bytes = bytes.freeze();
            carriers.outside(OutsideInput::Message { client: ClientId::OUTSIDE, bytes });
            let Some(Event::Message { stream, .. }) = carriers.poll_event() else { panic!("no message") };
            assert_eq!(stream, wanted, "{class_and_type:?}");
        }
    }

    #[test]
    fn the_common_header_says_how_long_a_message_is() {
        assert_eq!(lengths(&[1, 0, 3, 1, 0, 0, 0]), None);
        assert_eq!(lengths(&[1, 0, 3, 1, 0, 0, 1, 4, 9]), Some((260, 260)));
    }
}
