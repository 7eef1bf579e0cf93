//! Reads the records of a run (`records/*.csv`, format in FORMATS.md) into memory, 32 bytes a message.

mod dialogue;
mod fault;
mod line;
mod lines;
mod names;

pub use fault::FaultEntry;
use lines::Role;
pub(super) use names::Expected;
pub use names::{AnswerEntry, NameRecords, Place, PopulationRecord, ServerRecord, TableEntry};
use rustc_hash::FxHashMap;
use std::fmt;
use std::fs::File;
use std::io::{self, BufRead, BufReader, Read};
use std::net::IpAddr;
use std::path::Path;

/// Longest line accepted; an M3UA DATA message of the largest size in hex fits.
const LINE_BYTES_MAX: u64 = 256 * 1024;

/// What must stay in order: (OPC, DPC, SI, SLS, CIC), of TCAP dialogues those with the same six low bits in their ids.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Flow {
    /// Originating point code.
    pub opc: u32,
    /// Destination point code.
    pub dpc: u32,
    /// Service indicator.
    pub si: u8,
    /// Signalling link selection.
    pub sls: u8,
    /// Circuit, when the user part is ISUP.
    pub cic: Option<u16>,
    /// Six low bits of the transaction ids, when there is TCAP in SCCP.
    pub dialogues: Option<u8>,
}

/// What moves together: (OPC, DPC, CIC / 32) for ISUP; for TCAP dialogues the six low bits of their ids, for others the SLS.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Group {
    /// Originating point code, as the network sends it.
    pub opc: u32,
    /// Destination point code, as the network sends it.
    pub dpc: u32,
    /// Service indicator.
    pub si: u8,
    /// CIC / 32; 256 and the six bits of a group of dialogues; the SLS of the rest.
    pub block: u16,
}

impl fmt::Display for Group {
    /// `opc-dpc-block`, of user parts without circuits `opc-dpc-si-sls`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { opc, dpc, si, block } = self;
        if *si == 5 { write!(f, "{opc}-{dpc}-{block}") } else { write!(f, "{opc}-{dpc}-{si}-{block}") }
    }
}

impl Flow {
    /// The group of a flow toward the pool.
    #[must_use]
    pub fn group(&self) -> Group {
        let block = match (self.cic, self.dialogues) {
            (Some(cic), _) => cic / 32,
            (None, Some(bits)) => 256 + u16::from(bits),
            (None, None) => self.sls.into(),
        };
        Group { opc: self.opc, dpc: self.dpc, si: self.si, block }
    }
}

/// A message of a TCAP dialogue, as the network sent or received it.
#[derive(Debug, Clone, Copy)]
pub(super) struct DialogueStep {
    /// Time of the entry, ns.
    pub(super) t_ns: u64,
    /// (network point code, pool point code, the network's transaction id).
    pub(super) key: (u32, u32, dialogue::Id),
    /// Its group.
    pub(super) group: Group,
    /// TCAP message type.
    pub(super) kind: u8,
    /// Sent by the network.
    pub(super) from_network: bool,
}

/// One message in a record. There are millions: what only one kind of line has shares a place.
#[derive(Debug, Clone, Copy)]
pub struct Msg {
    /// Time of the entry, ns.
    pub t_ns: u64,
    /// Hash of the user data.
    pub payload: u64,
    /// `S`: the intended time, ns. `I`: Correlation Id and transaction. `O`: the transaction.
    special: u64,
    /// Index into [`Records::flows`].
    pub flow: u32,
    /// Index into [`Records::sources`] (controllers only).
    pub source: u16,
    /// ISUP message type (third octet), 0 when there is none.
    pub isup_type: u8,
    /// REL: cause value; GRS: range; 0 otherwise.
    pub isup_arg: u8,
}

impl Msg {
    /// Intended time of an `S`, ns.
    #[must_use]
    pub fn intended_ns(&self) -> u64 {
        self.special
    }

    /// Correlation Id of an `I`.
    #[must_use]
    pub fn corr(&self) -> u32 {
        (self.special >> 32) as u32
    }

    /// Transaction of an `I` or `O`.
    #[must_use]
    pub fn txn(&self) -> u32 {
        self.special as u32
    }
}

/// One incarnation of a controller.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Source {
    /// PE identifier.
    pub pe: u32,
    /// Incarnation.
    pub incarnation: u64,
    /// Time of the first entry, ns.
    pub first_ns: u64,
    /// False: an ordinary ASP, all it did counts.
    pub transactions: bool,
}

/// A message that was not passed on, with the cause that was recorded.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Discard {
    /// Index into [`Records::causes`].
    pub cause: u16,
    /// Index into [`Records::flows`].
    pub flow: u32,
    /// Hash of the user data.
    pub payload: u64,
    /// The gateway's (`X`), or a controller's (`D` malformed, unsupported).
    pub by_gateway: bool,
    /// Time of the entry, ns.
    pub t_ns: u64,
}

/// What the gateway's record says of groups and controllers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ownership {
    /// `G`: gave a group to a controller.
    Given {
        /// PE identifier.
        pe: u32,
        /// The group.
        group: Group,
    },
    /// `M`: a planned move began; the next `G` of the group is its end.
    MoveBegun {
        /// The group.
        group: Group,
    },
    /// `F`: gave a controller up.
    GivenUp {
        /// The gateway that says so: 1 is `sg-1`.
        gateway: u32,
        /// PE identifier.
        pe: u32,
    },
}

/// `L` of a controller, as far as it says whether it takes traffic.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Life {
    /// Time of the entry, ns.
    pub t_ns: u64,
    /// Index into [`Records::sources`].
    pub source: u16,
    /// From now on active, or no more.
    pub active: bool,
}

/// What went through the gateway's socket in a phase: the idle one before the load, or the load.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PhaseTraffic {
    /// How long it was, ms.
    pub ms: u64,
    /// UDP datagrams, sent and received.
    pub datagrams: u64,
    /// Bytes in them.
    pub bytes: u64,
    /// Bytes that the population sent and received, to and from its name servers; `None`: not recorded.
    pub population_bytes: Option<u64>,
}

/// Whose record says something.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Witness {
    /// The gateway, by its name.
    Gateway(String),
    /// Index into [`Records::sources`].
    Controller(u16),
    /// The traffic source.
    Network,
}

/// `N` of the traffic source: the gateway told the network about a destination.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ManagementEntry {
    /// Time of the entry, ns.
    pub t_ns: u64,
    /// DUNA, DAVA, DRST, SCON, DUPU.
    pub message: String,
    /// The affected point code.
    pub point_code: u32,
    /// How many of its low bits stand for any.
    pub mask: u8,
}

/// `P`: a path of an association is another state.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PathEntry {
    /// Time of the entry, ns.
    pub t_ns: u64,
    /// Who saw it.
    pub at: Witness,
    /// What the association is for, as this end says.
    pub role: String,
    /// The peer's address.
    pub address: IpAddr,
    /// active, potentially-failed, inactive.
    pub state: String,
}

/// All records of a run.
#[derive(Debug, Default)]
pub struct Records {
    /// The flows, by index.
    pub flows: Vec<Flow>,
    flow_index: FxHashMap<Flow, u32>,
    /// Causes of discards, by index.
    pub causes: Vec<String>,
    /// Controllers.
    pub sources: Vec<Source>,
    /// `S` of the traffic source.
    pub sent: Vec<Msg>,
    /// `R` of the traffic source.
    pub received: Vec<Msg>,
    /// `S` and `R` in the order of the record: true for `S` (calls are read from it).
    pub network_order: Vec<bool>,
    /// `N` of the traffic source: what it was told about destinations.
    pub management: Vec<ManagementEntry>,
    /// `D` of the traffic source: what a gateway sent again, and it did not take.
    pub repeated: u64,
    /// `A` of the traffic source: messages that went again to the other gateway.
    pub resent: u64,
    /// Messages of dialogues among these, in the order of the record.
    pub(super) dialogues: Vec<DialogueStep>,
    /// `M`: calls and dialogues intended but not begun.
    pub missed: u64,
    /// `I` of all controllers.
    pub applied: Vec<Msg>,
    /// `O` of all controllers.
    pub outputs: Vec<Msg>,
    /// `X` toward the pool, and `D` that are final.
    pub discarded_up: Vec<Discard>,
    /// `X` toward the network.
    pub discarded_down: Vec<Discard>,
    /// `D` duplicate: the controllers' filters at work.
    pub filtered_duplicates: u64,
    /// `D` lease: thrown away on expiry.
    pub lease_dropped: u64,
    /// `C`: for (PE, incarnation, transaction / 64) the transactions as bits.
    committed: FxHashMap<(u32, u64, u32), u64>,
    /// False when the gateway's record says `transactions=false`: then every `I` and `O` counts.
    pub transactions: bool,
    /// `H`: messages taken back.
    pub taken_back: u64,
    /// `G`, `M`, `F` in the order of the record, with their times.
    pub ownership: Vec<(u64, Ownership)>,
    /// `L` of all controllers.
    pub life: Vec<Life>,
    /// `N`: the controllers by PE identifier; with those of `start` faults.
    pub names: FxHashMap<u32, String>,
    /// `K` of the runner.
    pub faults: Vec<FaultEntry>,
    /// `P` of all: paths that became another state.
    pub paths: Vec<PathEntry>,
    /// `Z` of all: when associations that were up ended, ns, as told by both of their ends.
    pub ended_ns: Vec<u64>,
    /// `L` lease-lost of all controllers.
    pub leases_lost: u64,
    /// `Y`: whose each address is, and on which path (from 1).
    pub places: FxHashMap<IpAddr, (String, usize)>,
    /// `C`: datagrams that the relay passed on until then, on each path.
    pub carried: Vec<(u64, Vec<u64>)>,
    /// Of the name service.
    pub name_service: NameRecords,
    /// `W`: (t, ns) stalls of the machine.
    pub stalls: Vec<(u64, u64)>,
    /// `I`: the idle phase.
    pub idle: Option<PhaseTraffic>,
    /// `V`: the load.
    pub loaded: Option<PhaseTraffic>,
    /// `A`: the load begins, ns.
    pub zero_ns: Option<u64>,
    /// `B`: the measured load begins, ns.
    pub begin_ns: Option<u64>,
    /// `E`: the load ended, ns.
    pub end_ns: Option<u64>,
    /// How long controllers were told to hold the calls that they release, ns.
    pub hold_ns: Option<u64>,
    /// `Q`: the runner began to stop the processes, ns.
    pub quit_ns: Option<u64>,
    /// Lines that could not be read (a torn last line of a file is not one).
    pub malformed_lines: u64,
    /// First few of them: file, line number.
    pub malformed_examples: Vec<String>,
    /// Files whose last line was torn.
    pub torn_lines: u64,
}

/// Why the records cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum RecordError {
    /// A file or the folder cannot be read.
    #[error("{path}: {source}")]
    Io {
        /// Which.
        path: String,
        /// What the system said.
        source: io::Error,
    },
    /// No first line `# sigpool-record 1 <role> ...`.
    #[error("{path}:1: not a record: the first line must be `# sigpool-record 1 <role> <key=value ...>`")]
    NotARecord {
        /// Which.
        path: String,
    },
}

impl Records {
    /// Reads every `*.csv` of a folder, in the order of the names.
    ///
    /// # Errors
    /// The folder or a file cannot be read, or is not a record.
    pub fn read_dir(dir: &Path) -> Result<Self, RecordError> {
        let at = |path: &Path| {
            let path = path.display().to_string();
            move |source| RecordError::Io { path, source }
        };
        let mut files = Vec::new();
        for entry in std::fs::read_dir(dir).map_err(at(dir))? {
            let path = entry.map_err(at(dir))?.path();
            if path.extension().is_some_and(|e| e == "csv") {
                files.push(path);
            }
        }
        files.sort();
        let mut records = Self { transactions: true, ..Self::default() };
        for path in &files {
            let file = File::open(path).map_err(at(path))?;
            records.read_file(path, BufReader::with_capacity(1 << 18, file))?;
        }
        Ok(records)
    }

    /// Reads one file; `path` is for messages only.
    ///
    /// # Errors
    /// The file cannot be read or has no header.
    pub fn read_file(&mut self, path: &Path, mut file: impl BufRead) -> Result<(), RecordError> {
        let name = path.display().to_string();
        let mut line = Vec::new();
        let mut role = None;
        let mut number = 0_u64;
        loop {
            line.clear();
            number += 1;
            let length = file
                .by_ref()
                .take(LINE_BYTES_MAX)
                .read_until(b'\n', &mut line)
                .map_err(|source| RecordError::Io { path: name.clone(), source })?;
            if length == 0 {
                break;
            }
            if line.last() != Some(&b'\n') && (length as u64) < LINE_BYTES_MAX {
                // A process that was killed while writing: the entry never was.
                self.torn_lines += 1;
                break;
            }
            while matches!(line.last(), Some(b'\n' | b'\r')) {
                line.pop();
            }
            let Some(role) = &role else {
                role = Some(self.header(&line).ok_or_else(|| RecordError::NotARecord { path: name.clone() })?);
                continue;
            };
            if line.is_empty() || line[0] == b'#' {
                continue;
            }
            let parsed = match role {
                Role::Controller(source) => self.controller_line(*source, &line),
                Role::Gateway(number) => self.gateway_line(*number, &line),
                Role::Network => self.network_line(&line),
                Role::Runner => self.runner_line(&line),
                Role::NameServer(index) => self.name_service.server_line(*index, &line),
                Role::Population(index) => self.name_service.population_line(*index, &line),
                Role::Resolver => self.name_service.resolver_line(&line),
            };
            if parsed.is_none() {
                self.malformed_lines += 1;
                if self.malformed_examples.len() < 10 {
                    self.malformed_examples.push(format!("{name}:{number}"));
                }
            }
        }
        Ok(())
    }

    /// Whether an `I` or `O` had an effect: the gateway committed its transaction.
    #[must_use]
    pub fn counts(&self, message: &Msg) -> bool {
        let source = self.sources[usize::from(message.source)];
        let (word, bit) = bit_of(message.txn());
        !self.transactions
            || !source.transactions
            || self.committed.get(&(source.pe, source.incarnation, word)).is_some_and(|bits| bits & bit != 0)
    }

    /// The group that a message of the network belongs to.
    #[must_use]
    pub fn group(&self, message: &Msg) -> Group {
        self.flows[message.flow as usize].group()
    }

    /// Time zero of everything in ms: the begin of the load; of records that do not say it, the first intended time.
    #[must_use]
    pub fn zero(&self) -> u64 {
        let first = || self.sent.iter().map(Msg::intended_ns).min();
        self.zero_ns.or_else(first).or(self.begin_ns).unwrap_or(0)
    }

    /// The next fault of a path after a time, ns.
    #[must_use]
    pub fn next_of_a_path(&self, t_ns: u64) -> Option<u64> {
        self.faults.iter().filter(|fault| fault.is_path() && fault.t_ns > t_ns).map(|fault| fault.t_ns).min()
    }

    /// The next fault after a time that hits every group, ns.
    #[must_use]
    pub fn next_that_hits_all(&self, t_ns: u64) -> Option<u64> {
        self.faults.iter().filter(|fault| fault.hits_all() && fault.t_ns > t_ns).map(|fault| fault.t_ns).min()
    }

    /// Begin and end of the measured load, ns.
    #[must_use]
    pub fn measured(&self) -> (u64, u64) {
        let times = || self.sent.iter().chain(&self.received).map(|m| m.t_ns);
        let begin = self.begin_ns.or_else(|| times().min()).unwrap_or(0);
        (begin, self.end_ns.or_else(|| times().max()).unwrap_or(0).max(begin))
    }

    /// A controller's name.
    #[must_use]
    pub fn name(&self, pe: u32) -> String {
        self.names.get(&pe).cloned().unwrap_or_else(|| format!("pe-{pe:08x}"))
    }
}

/// Place of a transaction among the bits of [`Records::committed`].
fn bit_of(txn: u32) -> (u32, u64) {
    (txn / 64, 1 << (txn % 64))
}
