//! The capture tap: datagrams with synthetic IP and UDP headers, into a pcapng file, by a thread of its own.

use super::DriverCounters;
use super::packet::{Framing, Packet};
use bytes::Bytes;
use pcap_file::pcapng::PcapNgWriter;
use pcap_file::pcapng::blocks::enhanced_packet::{EnhancedPacketBlock, EnhancedPacketOption};
use pcap_file::pcapng::blocks::interface_description::{InterfaceDescriptionBlock, InterfaceDescriptionOption};
use pcap_file::pcapng::blocks::section_header::{SectionHeaderBlock, SectionHeaderOption};
use pcap_file::{DataLink, Endianness};
use std::borrow::Cow;
use std::fs::File;
use std::io::{self, Write};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc;
use std::thread::JoinHandle;
use std::time::{Duration, Instant, SystemTime};

/// Bytes written at once at most (more or less). Only whole blocks: `kill -9` can tear the last one in the middle of a large
/// write, no more.
const WRITE_BYTES: usize = 256 << 10;
/// if_tsresol: 10^-9 s.
const NANOSECONDS: u8 = 9;
/// shb_userappl.
const APPLICATION: &str = concat!("sigpool ", env!("CARGO_PKG_VERSION"));

/// Why a capture cannot be made. An environment error (exit 3).
#[derive(Debug, thiserror::Error)]
#[error("cannot write the capture {path}: {source}; give a writable path or switch the capture off")]
pub struct TapError {
    /// The file.
    pub path: PathBuf,
    /// What the system said.
    pub source: io::Error,
}

/// Which way a datagram went; the numbers are those of pcapng's epb_flags.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Direction {
    In = 1,
    Out = 2,
}

/// Writes every datagram in and out to a pcapng file (link type RAW, nanoseconds), in a thread of its own behind a bounded
/// queue. When the queue is full, datagrams are missing in the capture and counted (`capture_dropped`); the data path never waits.
///
/// The file is complete after the loop's end, when the tap is dropped; what the writer has written so far is readable at any time.
#[derive(Debug)]
pub struct Tap {
    queue: Option<mpsc::Sender<Vec<Captured>>>,
    writer: Option<JoinHandle<()>>,
    /// Datagrams of this round.
    pending: Vec<Captured>,
    /// Datagrams in the queue.
    queued: Arc<AtomicUsize>,
    queue_max: usize,
    counters: Arc<DriverCounters>,
    /// The same moment on both clocks.
    start: (Instant, Duration),
    /// What the datagrams travel in.
    framing: Framing,
}

#[derive(Debug)]
struct Captured {
    /// Since 1970.
    time: Duration,
    direction: Direction,
    framing: Framing,
    from: SocketAddr,
    to: SocketAddr,
    payload: Bytes,
}

impl Tap {
    /// Creates the file (and its directory) and starts the writer. `interface` becomes the capture's interface name;
    /// `counters` are those of the sockets that will be tapped ([`Sockets::counters`](super::Sockets::counters)).
    ///
    /// # Errors
    /// The file cannot be created or written.
    pub fn create(
        path: &Path,
        interface: &str,
        queue_datagrams: usize,
        counters: Arc<DriverCounters>,
    ) -> Result<Self, TapError> {
        let failed = |source| TapError { path: path.to_owned(), source };
        let (queue, batches) = mpsc::channel();
        let queued = Arc::new(AtomicUsize::new(0));
        let file = CaptureFile::create(path, interface).map_err(failed)?;
        let work = {
            let (queued, counters) = (Arc::clone(&queued), Arc::clone(&counters));
            move || write_batches(file, &batches, &queued, &counters)
        };
        let writer = std::thread::Builder::new().name("capture".to_owned()).spawn(work).map_err(failed)?;
        let wall = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
        Ok(Self {
            queue: Some(queue),
            writer: Some(writer),
            pending: Vec::new(),
            queued,
            queue_max: queue_datagrams,
            counters,
            start: (Instant::now(), wall),
            framing: Framing::Udp,
        })
    }

    /// Says what the datagrams travel in, if it is not UDP.
    pub(super) fn set_framing(&mut self, framing: Framing) {
        self.framing = framing;
    }

    /// Notes a datagram of this round.
    pub(super) fn record(
        &mut self,
        now: Instant,
        direction: Direction,
        from: SocketAddr,
        to: SocketAddr,
        payload: &Bytes,
    ) {
        let time = self.start.1 + now.saturating_duration_since(self.start.0);
        let framing = self.framing;
        self.pending.push(Captured { time, direction, framing, from, to, payload: payload.clone() });
    }

    /// Hands the round's datagrams to the writer, as far as there is room.
    pub(super) fn push(&mut self) {
        if self.pending.is_empty() {
            return;
        }
        let mut batch = std::mem::take(&mut self.pending);
        let room = self.queue_max.saturating_sub(self.queued.load(Ordering::Acquire));
        let dropped = batch.len().saturating_sub(room);
        batch.truncate(room);
        let count = batch.len();
        self.queued.fetch_add(count, Ordering::AcqRel);
        self.counters.capture_dropped.add(dropped);
        if count > 0 && self.queue.as_ref().is_none_or(|queue| queue.send(batch).is_err()) {
            self.counters.capture_dropped.add(count);
        }
    }

    /// Writes what is queued and closes the file. Dropping does the same.
    pub fn finish(self) {
        drop(self);
    }
}

impl Drop for Tap {
    fn drop(&mut self) {
        self.push();
        // The writer ends when the queue does.
        self.queue = None;
        if let Some(writer) = self.writer.take()
            && writer.join().is_err()
        {
            tracing::error!("the capture's writer panicked; the capture is incomplete");
        }
    }
}

/// The writer's thread.
fn write_batches(
    mut file: CaptureFile,
    batches: &mpsc::Receiver<Vec<Captured>>,
    queued: &AtomicUsize,
    counters: &DriverCounters,
) {
    while let Ok(first) = batches.recv() {
        let (mut blocks, mut batch) = (0, Some(first));
        while let Some(captured) = batch {
            queued.fetch_sub(captured.len(), Ordering::AcqRel);
            blocks += captured.len();
            for one in &captured {
                file.add(one);
            }
            batch = if file.is_full() { None } else { batches.try_recv().ok() };
        }
        match file.write() {
            Ok(()) => counters.captured.add(blocks),
            Err(error) => {
                // Once is enough: what follows is counted. A later batch may succeed, but not behind half a block.
                tracing::error!("the capture ends here: {error}");
                counters.capture_dropped.add(blocks);
                return discard(batches, queued, counters);
            }
        }
    }
}

fn discard(batches: &mpsc::Receiver<Vec<Captured>>, queued: &AtomicUsize, counters: &DriverCounters) {
    while let Ok(batch) = batches.recv() {
        queued.fetch_sub(batch.len(), Ordering::AcqRel);
        counters.capture_dropped.add(batch.len());
    }
}

/// The file, and the blocks that are not in it yet.
struct CaptureFile {
    file: File,
    blocks: PcapNgWriter<Vec<u8>>,
    packet: Vec<u8>,
    /// IPv4 identification of the next packet.
    identification: u16,
}

impl CaptureFile {
    fn create(path: &Path, interface: &str) -> io::Result<Self> {
        if let Some(parent) = path.parent() {
            std::fs::create_dir_all(parent)?;
        }
        let file = File::create(path)?;
        let section = SectionHeaderBlock {
            endianness: Endianness::native(),
            options: vec![SectionHeaderOption::UserApplication(Cow::Borrowed(APPLICATION))],
            ..SectionHeaderBlock::default()
        };
        let mut blocks = PcapNgWriter::with_section_header(Vec::new(), section).map_err(io::Error::other)?;
        let description = InterfaceDescriptionBlock {
            linktype: DataLink::RAW,
            snaplen: 0,
            options: vec![
                InterfaceDescriptionOption::IfName(Cow::Borrowed(interface)),
                InterfaceDescriptionOption::IfTsResol(NANOSECONDS),
            ],
        };
        blocks.write_pcapng_block(description).map_err(io::Error::other)?;
        let mut file = Self { file, blocks, packet: Vec::new(), identification: 0 };
        file.write()?;
        Ok(file)
    }

    fn add(&mut self, captured: &Captured) {
        self.identification = self.identification.wrapping_add(1);
        let Captured { framing, from, to, ref payload, .. } = *captured;
        Packet { framing, from, to, identification: self.identification, payload }.encode(&mut self.packet);
        let block = EnhancedPacketBlock {
            interface_id: 0,
            timestamp: captured.time,
            original_len: u32::try_from(self.packet.len()).unwrap_or(u32::MAX),
            data: Cow::Borrowed(&self.packet),
            options: vec![EnhancedPacketOption::Flags(captured.direction as u32)],
        };
        self.blocks.write_pcapng_block(block).expect("invariant: interface 0 exists and a Vec takes every write");
    }

    fn is_full(&self) -> bool {
        self.blocks.get_ref().len() >= WRITE_BYTES
    }

    fn write(&mut self) -> io::Result<()> {
        let result = self.file.write_all(self.blocks.get_ref());
        self.blocks.get_mut().clear();
        result
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use pcap_file::pcapng::{Block, PcapNgReader};

    fn temporary(name: &str) -> PathBuf {
        std::env::temp_dir().join(format!("sigpool-tap-{}-{name}.pcapng", std::process::id()))
    }

    fn read(path: &Path) -> Vec<(Duration, Vec<u8>)> {
        let mut reader = PcapNgReader::new(File::open(path).unwrap()).unwrap();
        let mut packets = Vec::new();
        while let Some(block) = reader.next_block() {
            let block = block.unwrap();
            if let Block::InterfaceDescription(description) = block {
                assert_eq!(description.linktype, DataLink::RAW);
                let options = description.options;
                assert!(options.contains(&InterfaceDescriptionOption::IfTsResol(9)));
                assert!(options.contains(&InterfaceDescriptionOption::IfName("sg-1".into())));
            } else if let Block::EnhancedPacket(packet) = block {
                packets.push((packet.timestamp, packet.data.to_vec()));
            } else {
                panic!("{block:?}");
            }
        }
        packets
    }

    #[test]
    fn file_has_all_packets_in_order_with_wall_clock_times() {
        let path = temporary("order");
        let counters = Arc::new(DriverCounters::default());
        let before = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap();
        let mut tap = Tap::create(&path, "sg-1", 100, Arc::clone(&counters)).unwrap();
        let (a, b) = ("127.0.0.1:9899".parse().unwrap(), "127.0.0.2:9899".parse().unwrap());
        let now = Instant::now();
        tap.record(now, Direction::Out, a, b, &Bytes::from_static(b"one"));
        tap.push();
        tap.record(now + Duration::from_nanos(5), Direction::In, b, a, &Bytes::from_static(b"three"));
        tap.finish();
        let packets = read(&path);
        assert_eq!(packets.len(), 2);
        assert_eq!(packets[1].0 - packets[0].0, Duration::from_nanos(5));
        assert!(packets[0].0 >= before && packets[0].0 < before + Duration::from_secs(5));
        assert_eq!(&packets[0].1[28..], b"one");
        assert_eq!(&packets[1].1[28..], b"three");
        assert_eq!((counters.captured.get(), counters.capture_dropped.get()), (2, 0));
        std::fs::remove_file(path).unwrap();
    }

    #[test]
    fn a_full_queue_is_counted() {
        let path = temporary("full");
        let counters = Arc::new(DriverCounters::default());
        let mut tap = Tap::create(&path, "sg-1", 3, Arc::clone(&counters)).unwrap();
        let a = "127.0.0.1:9899".parse().unwrap();
        for _ in 0..5 {
            tap.record(Instant::now(), Direction::Out, a, a, &Bytes::from_static(b"x"));
        }
        tap.finish();
        assert_eq!((counters.captured.get(), counters.capture_dropped.get()), (3, 2));
        assert_eq!(read(&path).len(), 3);
        std::fs::remove_file(path).unwrap();
    }

    #[test]
    fn a_full_disk_is_counted_and_does_not_stop_anything() {
        // The header does not even fit there.
        let error = Tap::create(Path::new("/dev/full"), "sg-1", 3, Arc::default()).unwrap_err();
        assert!(error.to_string().contains("/dev/full"), "{error}");
    }
}
