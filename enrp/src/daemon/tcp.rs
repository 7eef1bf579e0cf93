//! TCP for pool users (RFC 5352 section 3.3): connections, their limits, and ASAP messages in a stream of bytes. Other protocols whose
//! messages say their length use it with a [`Framing`] of theirs.
//!
//! Framing: a message says its length, the padding to a multiple of four behind it not counted (RFC 5354 section 4). What says less
//! than its own header ends the connection: where the next message begins is not known any more.

use super::DaemonError;
use crate::ConfigError;
use crate::host::{OutsideInput, Sink, TcpEnd};
use crate::server::ClientId;
use asap::wire::ASAP_PORT;
use bytes::{Bytes, BytesMut};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::collections::HashMap;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tokio::time::{Instant, timeout_at};

/// How messages follow each other in a stream of bytes.
#[derive(Debug, Clone, Copy)]
pub struct Framing {
    /// Of what begins with a message's header: the message's length, and the same with the padding behind it. `None`: the header is not
    /// all there.
    pub lengths: fn(&[u8]) -> Option<(usize, usize)>,
    /// What says less than its own header has ends the connection.
    pub header_bytes: usize,
    /// What says more does, too.
    pub message_bytes_max: usize,
}

/// ASAP: type, flags, length in 16 bits.
const ASAP: Framing = Framing {
    lengths: |bytes| {
        let [_, _, high, low, ..] = bytes[..] else { return None };
        let length = usize::from(u16::from_be_bytes([high, low]));
        Some((length, length.next_multiple_of(4)))
    },
    header_bytes: 4,
    message_bytes_max: u16::MAX as usize,
};

/// Read at once, and first size of the buffer.
const READ_BYTES: usize = 4_096;
/// Messages written with one call.
const WRITE_MESSAGES: usize = 64;
/// After an error of `accept` (no file descriptors): time for some to end.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// The table `[tcp]`: pool users over TCP. Pool elements use SCTP only (RFC 5352 section 2.1).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct TcpConfig {
    /// TCP port at each own address (RFC 5352 section 8.2: 3863). 0: off.
    pub port: u16,
    /// Most connections; more are closed at once.
    #[schemars(range(min = 1))]
    pub connections_max: usize,
    /// Most connections from one address.
    #[schemars(range(min = 1))]
    pub connections_per_address_max: usize,
    /// A connection over which nothing came and nothing went for so long is closed.
    #[schemars(range(min = 1))]
    pub idle_ms: u64,
    /// A message that has begun must be here after so long, one that is sent must be taken, or the connection is closed.
    #[schemars(range(min = 1))]
    pub message_ms: u64,
    /// Most bytes that wait for one connection to take them; with more it is closed: the user does not read.
    #[schemars(range(min = 65_536))]
    pub send_queue_bytes_max: usize,
}

impl Default for TcpConfig {
    fn default() -> Self {
        Self {
            port: ASAP_PORT,
            connections_max: 1_024,
            connections_per_address_max: 256,
            idle_ms: 600_000,
            message_ms: 5_000,
            send_queue_bytes_max: 262_144,
        }
    }
}

impl TcpConfig {
    /// What the types cannot say.
    ///
    /// # Errors
    /// The key, and what would be right.
    pub fn check(&self) -> Result<(), ConfigError> {
        for (key, value, least) in [
            ("connections_max", self.connections_max as u64, 1),
            ("connections_per_address_max", self.connections_per_address_max as u64, 1),
            ("idle_ms", self.idle_ms, 1),
            ("message_ms", self.message_ms, 1),
            ("send_queue_bytes_max", self.send_queue_bytes_max as u64, 65_536),
        ] {
            ConfigError::unless(value >= least, key, format!("{value}: expected {least} or more"))?;
        }
        Ok(())
    }
}

/// Bound listeners.
#[derive(Debug)]
pub(super) struct TcpShell {
    config: TcpConfig,
    framing: Framing,
    listeners: Vec<std::net::TcpListener>,
}

impl TcpShell {
    /// At each of the addresses, unless it is off.
    pub(super) fn bind(config: &TcpConfig, addresses: &[IpAddr]) -> Result<Self, DaemonError> {
        Self::bind_framed(config, ASAP, addresses)
    }

    /// The same for messages of another kind.
    pub(super) fn bind_framed(config: &TcpConfig, framing: Framing, addresses: &[IpAddr]) -> Result<Self, DaemonError> {
        let addresses = if config.port == 0 { &[] } else { addresses };
        let bind = |&ip: &IpAddr| {
            let address = SocketAddr::new(ip, config.port);
            let listener = std::net::TcpListener::bind(address);
            listener.and_then(|listener| listener.set_nonblocking(true).map(|()| listener)).map_err(|error| {
                let remedy = if error.kind() == io::ErrorKind::AddrNotAvailable {
                    "udp.addresses are this machine's own"
                } else {
                    "give each server its own udp.addresses, or set tcp.port, 0 is off"
                };
                DaemonError::Environment(format!("cannot listen at TCP {address}: {error}; {remedy}"))
            })
        };
        Ok(Self { config: config.clone(), framing, listeners: addresses.iter().map(bind).collect::<Result<_, _>>()? })
    }

    /// Takes connections from now on.
    pub(super) fn start(self, tasks: &mut JoinSet<()>, inputs: &mpsc::Sender<OutsideInput>) {
        let Self { config, framing, .. } = self;
        let shared = Arc::new(Shared { config, framing, room: Mutex::default(), last: AtomicU64::new(0) });
        for listener in self.listeners {
            match TcpListener::from_std(listener) {
                Ok(listener) => drop(tasks.spawn(accept(listener, Arc::clone(&shared), inputs.clone()))),
                Err(error) => tracing::error!("TCP: {error}"),
            }
        }
    }
}

/// What all connections share.
#[derive(Debug)]
struct Shared {
    config: TcpConfig,
    framing: Framing,
    /// How many connections each address has.
    room: Mutex<HashMap<IpAddr, usize>>,
    last: AtomicU64,
}

/// A connection counts as long as this is there.
#[derive(Debug)]
struct Place(Arc<Shared>, IpAddr);

impl Place {
    fn take(shared: &Arc<Shared>, ip: IpAddr) -> Option<Self> {
        let mut room = shared.room.lock().expect("invariant: nobody panics with it");
        let all: usize = room.values().sum();
        let of_this = room.entry(ip).or_default();
        if all >= shared.config.connections_max || *of_this >= shared.config.connections_per_address_max {
            if *of_this == 0 {
                room.remove(&ip);
            }
            return None;
        }
        *of_this += 1;
        Some(Self(Arc::clone(shared), ip))
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut room = self.0.room.lock().expect("invariant: nobody panics with it");
        if let Some(count) = room.get_mut(&self.1) {
            *count -= 1;
            if *count == 0 {
                room.remove(&self.1);
            }
        }
    }
}

async fn accept(listener: TcpListener, shared: Arc<Shared>, inputs: mpsc::Sender<OutsideInput>) {
    // Ends its connections when it ends.
    let mut connections = JoinSet::new();
    loop {
        while connections.try_join_next().is_some() {}
        let (stream, source) = match listener.accept().await {
            Ok(accepted) => accepted,
            Err(error) => {
                tracing::warn!("TCP: cannot take a connection: {error}");
                tokio::time::sleep(ACCEPT_PAUSE).await;
                continue;
            }
        };
        let Some(place) = Place::take(&shared, source.ip()) else {
            drop(stream);
            if inputs.send(OutsideInput::Refused).await.is_err() {
                return;
            }
            continue;
        };
        let client = ClientId(ClientId::OUTSIDE.0 + shared.last.fetch_add(1, Ordering::Relaxed));
        connections.spawn(connection(stream, source, client, place, inputs.clone()));
    }
}

/// Bytes that wait to be written, counted where they are put in and where they are taken out.
#[derive(Debug)]
struct Queue {
    messages: mpsc::UnboundedSender<Bytes>,
    waiting: Arc<AtomicUsize>,
    most: usize,
}

impl Sink for Queue {
    fn send(&mut self, bytes: Bytes) -> bool {
        let length = bytes.len();
        // The setting is at least the longest message.
        let before = self.waiting.fetch_add(length, Ordering::Relaxed);
        let taken = before + length <= self.most && self.messages.send(bytes).is_ok();
        if !taken {
            self.waiting.fetch_sub(length, Ordering::Relaxed);
        }
        taken
    }

    fn waiting(&self) -> usize {
        self.waiting.load(Ordering::Relaxed)
    }
}

async fn connection(
    mut stream: TcpStream,
    source: SocketAddr,
    client: ClientId,
    place: Place,
    inputs: mpsc::Sender<OutsideInput>,
) {
    // Answers are small and waited for. Without it they are only later.
    let _ = stream.set_nodelay(true);
    let (config, framing) = (&place.0.config, place.0.framing);
    let (messages, outgoing) = mpsc::unbounded_channel();
    let waiting = Arc::new(AtomicUsize::new(0));
    let sink = Queue { messages, waiting: Arc::clone(&waiting), most: config.send_queue_bytes_max };
    let connected = OutsideInput::Connected { client, source, sink: Box::new(sink) };
    if inputs.send(connected).await.is_err() {
        return;
    }
    let end = Exchange { config, framing, client, inputs: &inputs, outgoing, waiting, buffer: BytesMut::new() };
    let end = end.run(&mut stream).await.unwrap_or(TcpEnd::Closed);
    // Nobody there: the node is gone.
    let _ = inputs.send(OutsideInput::Ended { client, end }).await;
}

/// One connection while it is there.
struct Exchange<'a> {
    config: &'a TcpConfig,
    framing: Framing,
    client: ClientId,
    inputs: &'a mpsc::Sender<OutsideInput>,
    outgoing: mpsc::UnboundedReceiver<Bytes>,
    waiting: Arc<AtomicUsize>,
    buffer: BytesMut,
}

impl Exchange<'_> {
    /// Reads and writes until it is over. A message that does not go out holds up the reading of this connection, no other.
    async fn run(mut self, stream: &mut TcpStream) -> io::Result<TcpEnd> {
        let (idle, message) =
            (Duration::from_millis(self.config.idle_ms), Duration::from_millis(self.config.message_ms));
        let mut quiet_until = Instant::now() + idle;
        let mut whole_until = None;
        let (mut reader, mut writer) = stream.split();
        let mut out = Vec::new();
        loop {
            let until = whole_until.map_or(quiet_until, |whole: Instant| whole.min(quiet_until));
            self.buffer.reserve(READ_BYTES);
            let received = tokio::select! {
                received = reader.read_buf(&mut self.buffer) => received?,
                count = self.outgoing.recv_many(&mut out, WRITE_MESSAGES) => {
                    if count == 0 {
                        // The node let it go.
                        return Ok(TcpEnd::Closed);
                    }
                    for bytes in out.drain(..) {
                        match timeout_at(Instant::now() + message, writer.write_all(&bytes)).await {
                            Ok(written) => written?,
                            Err(_) => return Ok(TcpEnd::Idle),
                        }
                        self.waiting.fetch_sub(bytes.len(), Ordering::Relaxed);
                    }
                    quiet_until = Instant::now() + idle;
                    continue;
                }
                () = tokio::time::sleep_until(until) => return Ok(TcpEnd::Idle),
            };
            if received == 0 {
                return Ok(TcpEnd::Closed);
            }
            quiet_until = Instant::now() + idle;
            let began = whole_until.take();
            let mut some = false;
            while let Some(bytes) = match next_message(&mut self.buffer, &self.framing) {
                Ok(message) => message,
                Err(NoMessage) => return Ok(TcpEnd::Malformed),
            } {
                some = true;
                // Waits while the node has much to do: the other end's window closes.
                if self.inputs.send(OutsideInput::Message { client: self.client, bytes }).await.is_err() {
                    return Ok(TcpEnd::Closed);
                }
            }
            if !self.buffer.is_empty() {
                let fresh = Instant::now() + message;
                whole_until = Some(if some { fresh } else { began.unwrap_or(fresh) });
            }
        }
    }
}

/// The length is impossible.
#[derive(Debug, PartialEq, Eq)]
struct NoMessage;

/// Takes the next message and the padding behind it out of the buffer; `None` when it is not all there. The buffer never holds more
/// than one message and what was read at once.
fn next_message(buffer: &mut BytesMut, framing: &Framing) -> Result<Option<Bytes>, NoMessage> {
    let Some((length, padded)) = (framing.lengths)(buffer) else { return Ok(None) };
    if !(framing.header_bytes..=framing.message_bytes_max).contains(&length) {
        return Err(NoMessage);
    }
    if buffer.len() < padded {
        return Ok(None);
    }
    let mut message = buffer.split_to(padded).freeze();
    message.truncate(length);
    Ok(Some(message))
}
