//! Reads the records of a run (`records/*.csv`, format in FORMATS.md) into memory, 48 bytes a message.

use super::line::{Fields, UserData, decimal};
use rustc_hash::{FxHashMap, FxHashSet};
use std::fs::File;
use std::io::{self, BufRead, BufReader, Read};
use std::path::Path;

/// Longest line accepted; an M3UA DATA message of the largest size in hex fits.
const LINE_BYTES_MAX: u64 = 256 * 1024;

/// What must stay in order: (OPC, DPC, SI, SLS, CIC).
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
}

/// What moves together: (OPC, DPC, CIC / 32) for ISUP; for others (OPC, DPC, SI, SLS).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Group {
    /// Originating point code, as the network sends it.
    pub opc: u32,
    /// Destination point code, as the network sends it.
    pub dpc: u32,
    /// Service indicator.
    pub si: u8,
    /// CIC / 32, or the SLS of user parts without circuits.
    pub block: u16,
}

impl Flow {
    /// The group of a flow toward the pool.
    #[must_use]
    pub fn group(&self) -> Group {
        Group { opc: self.opc, dpc: self.dpc, si: self.si, block: self.cic.map_or(u16::from(self.sls), |cic| cic / 32) }
    }
}

/// One message in a record.
#[derive(Debug, Clone, Copy)]
pub struct Msg {
    /// Time of the entry, ns.
    pub t_ns: u64,
    /// Intended time (`S` only), ns.
    pub intended_ns: u64,
    /// Hash of the user data.
    pub payload: u64,
    /// Correlation Id (`I` and `D` only; 0 otherwise).
    pub corr: u32,
    /// Transaction (`I` and `O` only).
    pub txn: u32,
    /// Index into [`Records::flows`].
    pub flow: u32,
    /// Index into [`Records::sources`] (controllers only).
    pub source: u16,
    /// ISUP message type (third octet), 0 when there is none.
    pub isup_type: u8,
    /// REL: cause value; GRS: range; 0 otherwise.
    pub isup_arg: u8,
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
}

/// A fault, as the runner recorded it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FaultEntry {
    /// When it was done, ns.
    pub t_ns: u64,
    /// kill, stop, cont, term, start, steal-core.
    pub kind: String,
    /// The process, for example `gwc-1`.
    pub target: String,
    /// PE identifier, when the target is a controller.
    pub pe: Option<u32>,
}

impl FaultEntry {
    /// True for the faults that take a controller away.
    #[must_use]
    pub fn takes_away(&self) -> bool {
        matches!(self.kind.as_str(), "kill" | "stop" | "term")
    }
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
    /// `M`: calls intended but not begun.
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
    /// `C`.
    pub committed: FxHashSet<(u32, u64, u32)>,
    /// False when the gateway's record says `transactions=false`: then every `I` and `O` counts.
    pub transactions: bool,
    /// `H`: messages taken back.
    pub taken_back: u64,
    /// `G`: (t, PE, group).
    pub given: Vec<(u64, u32, Group)>,
    /// `F`: (t, PE, why).
    pub given_up: Vec<(u64, u32, String)>,
    /// `K` of the runner.
    pub faults: Vec<FaultEntry>,
    /// `W`: (t, ns) stalls of the machine.
    pub stalls: Vec<(u64, u64)>,
    /// `B`: the measured load begins, ns.
    pub begin_ns: Option<u64>,
    /// `E`: the load ended, ns.
    pub end_ns: Option<u64>,
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

/// What a file says of itself in its first line.
enum Role {
    Controller(u16),
    Gateway,
    Network,
    Runner,
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
                Role::Gateway => self.gateway_line(&line),
                Role::Network => self.network_line(&line),
                Role::Runner => self.runner_line(&line),
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

    fn header(&mut self, line: &[u8]) -> Option<Role> {
        let text = std::str::from_utf8(line).ok()?;
        let mut words = text.strip_prefix("# sigpool-record 1 ")?.split_whitespace();
        let role = words.next()?;
        let keys: FxHashMap<&str, &str> = words.filter_map(|w| w.split_once('=')).collect();
        match role {
            "controller" => {
                let pe = u32::from_str_radix(keys.get("pe")?, 16).ok()?;
                let incarnation = u64::from_str_radix(keys.get("incarnation")?, 16).ok()?;
                self.sources.push(Source { pe, incarnation, first_ns: u64::MAX });
                Some(Role::Controller(u16::try_from(self.sources.len() - 1).ok()?))
            }
            "gateway" => {
                if keys.get("transactions") == Some(&"false") {
                    self.transactions = false;
                }
                Some(Role::Gateway)
            }
            "network" => Some(Role::Network),
            "runner" => Some(Role::Runner),
            _ => None,
        }
    }

    fn controller_line(&mut self, source: u16, line: &[u8]) -> Option<()> {
        let mut fields = Fields(line);
        let kind = fields.text()?;
        let t_ns = fields.decimal()?;
        let first = &mut self.sources[usize::from(source)].first_ns;
        *first = (*first).min(t_ns);
        match kind {
            "I" => {
                let txn = fields.decimal_u32()?;
                let corr = fields.hex_u32()?;
                let message = self.message(&mut fields)?;
                self.applied.push(Msg { t_ns, txn, corr, source, ..message });
            }
            "O" => {
                let txn = fields.decimal_u32()?;
                let message = self.message(&mut fields)?;
                self.outputs.push(Msg { t_ns, txn, source, ..message });
            }
            "D" => {
                let cause = fields.text()?;
                fields.hex_u32()?;
                match cause {
                    "duplicate" => self.filtered_duplicates += 1,
                    "lease" => self.lease_dropped += 1,
                    _ => {
                        let cause = self.cause(cause);
                        let message = self.message(&mut fields)?;
                        self.discarded_up.push(Discard {
                            cause,
                            flow: message.flow,
                            payload: message.payload,
                            by_gateway: false,
                        });
                    }
                }
            }
            "R" | "L" => {}
            _ => return None,
        }
        Some(())
    }

    fn gateway_line(&mut self, line: &[u8]) -> Option<()> {
        let mut fields = Fields(line);
        let kind = fields.text()?;
        let t_ns = fields.decimal()?;
        match kind {
            "C" => {
                let key = (fields.hex_u32()?, fields.hex()?, fields.decimal_u32()?);
                self.committed.insert(key);
            }
            "H" => self.taken_back += 1,
            "X" => {
                let cause = fields.text()?;
                let cause = self.cause(cause);
                let up = match fields.text()? {
                    "up" => true,
                    "down" => false,
                    _ => return None,
                };
                let message = self.message(&mut fields)?;
                let discard = Discard { cause, flow: message.flow, payload: message.payload, by_gateway: true };
                if up { self.discarded_up.push(discard) } else { self.discarded_down.push(discard) }
            }
            "G" => {
                let pe = fields.hex_u32()?;
                let group = Group {
                    opc: fields.decimal_u32()?,
                    dpc: fields.decimal_u32()?,
                    si: u8::try_from(fields.decimal()?).ok()?,
                    block: u16::try_from(fields.decimal()?).ok()?,
                };
                self.given.push((t_ns, pe, group));
            }
            "F" => {
                let pe = fields.hex_u32()?;
                self.given_up.push((t_ns, pe, fields.text()?.to_owned()));
            }
            // A planned move begins; `G` is its end.
            "M" => {}
            _ => return None,
        }
        Some(())
    }

    fn network_line(&mut self, line: &[u8]) -> Option<()> {
        let mut fields = Fields(line);
        let kind = fields.text()?;
        let t_ns = fields.decimal()?;
        match kind {
            "S" => {
                let intended_ns = fields.decimal()?;
                let message = self.message(&mut fields)?;
                self.sent.push(Msg { t_ns, intended_ns, ..message });
                self.network_order.push(true);
            }
            "R" => {
                let message = self.message(&mut fields)?;
                self.received.push(Msg { t_ns, ..message });
                self.network_order.push(false);
            }
            "M" => self.missed += 1,
            _ => return None,
        }
        Some(())
    }

    fn runner_line(&mut self, line: &[u8]) -> Option<()> {
        let mut fields = Fields(line);
        let kind = fields.text()?;
        let t_ns = fields.decimal()?;
        match kind {
            "B" => self.begin_ns = Some(t_ns),
            "E" => self.end_ns = Some(t_ns),
            "Q" => self.quit_ns = Some(t_ns),
            "W" => self.stalls.push((t_ns, fields.decimal()?)),
            "K" => {
                let kind = fields.text()?.to_owned();
                let target = fields.text()?.to_owned();
                let pe = fields.text()?;
                let pe = if pe.is_empty() { None } else { Some(u32::from_str_radix(pe, 16).ok()?) };
                self.faults.push(FaultEntry { t_ns, kind, target, pe });
            }
            _ => return None,
        }
        Some(())
    }

    /// `FLOW,HEX`: opc,dpc,si,ni,sls,cic,hex.
    fn message(&mut self, fields: &mut Fields<'_>) -> Option<Msg> {
        let opc = fields.decimal_u32()?;
        let dpc = fields.decimal_u32()?;
        let si = u8::try_from(fields.decimal()?).ok()?;
        fields.decimal()?;
        let sls = u8::try_from(fields.decimal()?).ok()?;
        let cic = match fields.bytes()? {
            [] => None,
            digits => Some(u16::try_from(decimal(digits)?).ok()?),
        };
        let user_data = UserData::read(fields.bytes()?)?;
        let key = Flow { opc, dpc, si, sls, cic };
        let next = u32::try_from(self.flows.len()).ok()?;
        let flow = *self.flow_index.entry(key).or_insert(next);
        if flow == next {
            self.flows.push(key);
        }
        let (isup_type, isup_arg) = if si == 5 { user_data.isup() } else { (0, 0) };
        Some(Msg {
            t_ns: 0,
            intended_ns: 0,
            payload: user_data.hash,
            corr: 0,
            txn: 0,
            flow,
            source: 0,
            isup_type,
            isup_arg,
        })
    }

    fn cause(&mut self, name: &str) -> u16 {
        let known = self.causes.iter().position(|c| c == name);
        let index = known.unwrap_or_else(|| {
            self.causes.push(name.to_owned());
            self.causes.len() - 1
        });
        u16::try_from(index).unwrap_or(u16::MAX)
    }

    /// Whether an `I` or `O` had an effect: the gateway committed its transaction.
    #[must_use]
    pub fn counts(&self, message: &Msg) -> bool {
        let source = self.sources[usize::from(message.source)];
        !self.transactions || self.committed.contains(&(source.pe, source.incarnation, message.txn))
    }
}
