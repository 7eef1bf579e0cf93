//! The lines of the records, by the role of their file.

use super::dialogue;
use super::line::{Fields, UserData, decimal};
use super::{
    DialogueStep, Discard, FaultEntry, Flow, Group, Life, ManagementEntry, Msg, Ownership, PathEntry, Records, Source,
    Witness, bit_of,
};
use rustc_hash::FxHashMap;

const SI_SCCP: u8 = 3;

/// Messages about destinations (RFC 4666 section 3.4) that a gateway sends.
const MANAGEMENT: [&str; 5] = ["DUNA", "DAVA", "DRST", "SCON", "DUPU"];

/// What a file says of itself in its first line.
pub(super) enum Role {
    Controller(u16),
    /// With its number: 1 is `sg-1`.
    Gateway(u32),
    Network,
    Runner,
    /// Index into the name servers.
    NameServer(usize),
    /// Index into the populations.
    Population(usize),
    Resolver,
}

impl Records {
    pub(super) fn header(&mut self, line: &[u8]) -> Option<Role> {
        let text = std::str::from_utf8(line).ok()?;
        let mut words = text.strip_prefix("# sigpool-record 1 ")?.split_whitespace();
        let role = words.next()?;
        let keys: FxHashMap<&str, &str> = words.filter_map(|w| w.split_once('=')).collect();
        match role {
            "controller" => {
                let pe = u32::from_str_radix(keys.get("pe")?, 16).ok()?;
                let incarnation = u64::from_str_radix(keys.get("incarnation")?, 16).ok()?;
                let transactions = keys.get("transactions") != Some(&"false");
                self.sources.push(Source { pe, incarnation, first_ns: u64::MAX, transactions });
                Some(Role::Controller(u16::try_from(self.sources.len() - 1).ok()?))
            }
            "gateway" => {
                if keys.get("transactions") == Some(&"false") {
                    self.transactions = false;
                }
                let number = keys.get("gateway").and_then(|number| number.parse::<u32>().ok()).unwrap_or(1);
                Some(Role::Gateway(number))
            }
            "network" => Some(Role::Network),
            "runner" => Some(Role::Runner),
            "name-server" => {
                let id = u32::from_str_radix(keys.get("server")?, 16).ok()?;
                Some(Role::NameServer(self.name_service.server(keys.get("name")?, id)))
            }
            "population" => Some(Role::Population(self.name_service.population(keys.get("name")?))),
            "resolver" => {
                self.name_service.resolver();
                Some(Role::Resolver)
            }
            _ => None,
        }
    }

    pub(super) fn controller_line(&mut self, source: u16, line: &[u8]) -> Option<()> {
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
                let special = u64::from(corr) << 32 | u64::from(txn);
                self.applied.push(Msg { t_ns, special, source, ..message });
            }
            "O" => {
                let special = u64::from(fields.decimal_u32()?);
                let message = self.message(&mut fields)?;
                self.outputs.push(Msg { t_ns, special, source, ..message });
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
                            t_ns,
                        });
                    }
                }
            }
            "L" => match fields.bytes()? {
                b"active" => self.life.push(Life { t_ns, source, active: true }),
                what @ (b"lease-lost" | b"inactive" | b"stop") => {
                    self.leases_lost += u64::from(what == b"lease-lost");
                    self.life.push(Life { t_ns, source, active: false });
                }
                _ => {}
            },
            "R" => {}
            "P" => self.path(t_ns, Witness::Controller(source), &mut fields)?,
            "Z" => self.ended_ns.push(t_ns),
            _ => return None,
        }
        Some(())
    }

    /// The rest of a `P`.
    fn path(&mut self, t_ns: u64, at: Witness, fields: &mut Fields<'_>) -> Option<()> {
        let role = fields.text()?.to_owned();
        let address = fields.text()?.parse().ok()?;
        let state = fields.text()?.to_owned();
        self.paths.push(PathEntry { t_ns, at, role, address, state });
        Some(())
    }

    pub(super) fn gateway_line(&mut self, number: u32, line: &[u8]) -> Option<()> {
        let mut fields = Fields(line);
        let kind = fields.text()?;
        let t_ns = fields.decimal()?;
        match kind {
            "C" => {
                let (pe, incarnation) = (fields.hex_u32()?, fields.hex()?);
                let (word, bit) = bit_of(fields.decimal_u32()?);
                *self.committed.entry((pe, incarnation, word)).or_default() |= bit;
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
                let discard = Discard { cause, flow: message.flow, payload: message.payload, by_gateway: true, t_ns };
                if up { self.discarded_up.push(discard) } else { self.discarded_down.push(discard) }
            }
            "G" => {
                let (pe, group) = (fields.hex_u32()?, group(&mut fields)?);
                self.ownership.push((t_ns, Ownership::Given { pe, group }));
            }
            "M" => {
                fields.hex_u32()?;
                fields.hex_u32()?;
                self.ownership.push((t_ns, Ownership::MoveBegun { group: group(&mut fields)? }));
            }
            "P" => self.path(t_ns, Witness::Gateway(format!("sg-{number}")), &mut fields)?,
            "Z" => self.ended_ns.push(t_ns),
            "F" => {
                let pe = fields.hex_u32()?;
                self.ownership.push((t_ns, Ownership::GivenUp { gateway: number, pe }));
            }
            _ => return None,
        }
        Some(())
    }

    pub(super) fn network_line(&mut self, line: &[u8]) -> Option<()> {
        let mut fields = Fields(line);
        let kind = fields.text()?;
        let t_ns = fields.decimal()?;
        match kind {
            "S" => {
                let special = fields.decimal()?;
                let message = self.network_message(t_ns, true, &mut fields)?;
                self.sent.push(Msg { t_ns, special, ..message });
                self.network_order.push(true);
            }
            "R" => {
                let message = self.network_message(t_ns, false, &mut fields)?;
                self.received.push(Msg { t_ns, ..message });
                self.network_order.push(false);
            }
            "M" => self.missed += 1,
            "D" => {
                fields.decimal()?;
                fields.hex_u32()?;
                self.message(&mut fields)?;
                self.repeated += 1;
            }
            "A" => {
                fields.decimal()?;
                self.resent += fields.decimal()?;
            }
            "N" => {
                let message = fields.text().filter(|name| MANAGEMENT.contains(name))?.to_owned();
                let (point_code, mask) = (fields.decimal_u32()?, u8::try_from(fields.decimal()?).ok()?);
                self.management.push(ManagementEntry { t_ns, message, point_code, mask });
            }
            "P" => self.path(t_ns, Witness::Network, &mut fields)?,
            "Z" => self.ended_ns.push(t_ns),
            _ => return None,
        }
        Some(())
    }

    pub(super) fn runner_line(&mut self, line: &[u8]) -> Option<()> {
        let mut fields = Fields(line);
        let kind = fields.text()?;
        let t_ns = fields.decimal()?;
        match kind {
            "A" => self.zero_ns = Some(t_ns),
            "B" => self.begin_ns = Some(t_ns),
            "E" => self.end_ns = Some(t_ns),
            "H" => self.hold_ns = Some(fields.decimal()?.saturating_mul(1_000_000)),
            "Q" => self.quit_ns = Some(t_ns),
            "N" => {
                let name = fields.text()?.to_owned();
                self.names.insert(fields.hex_u32()?, name);
            }
            "I" => {
                self.idle = Some(fields.phase()?);
            }
            "V" => self.loaded = Some(fields.phase()?),
            "Y" => {
                let (name, path) = (fields.text()?.to_owned(), fields.decimal()? as usize);
                self.places.insert(fields.text()?.parse().ok()?, (name, path));
            }
            "C" => self.carried.push((t_ns, std::iter::from_fn(|| fields.decimal()).collect())),
            "U" => {
                let name = fields.text()?.to_owned();
                self.name_service.traffic.push((t_ns, name, fields.decimal()?));
            }
            "G" => {
                let name = fields.text()?.to_owned();
                self.name_service.plugin_failures.push((name, fields.decimal()?));
            }
            "X" => self.name_service.expected_line(fields)?,
            "W" => self.stalls.push((t_ns, fields.decimal()?)),
            "K" => {
                let kind = fields.text()?.to_owned();
                let target = fields.text()?.to_owned();
                let pe = fields.text()?;
                let pe = if pe.is_empty() { None } else { Some(u32::from_str_radix(pe, 16).ok()?) };
                if let Some(pe) = pe {
                    self.names.entry(pe).or_insert_with(|| target.clone());
                }
                let gateway = fields.text().filter(|name| !name.is_empty()).map(str::to_owned);
                self.faults.push(FaultEntry { t_ns, kind, target, pe, gateway });
            }
            _ => return None,
        }
        Some(())
    }

    /// `FLOW,HEX`: opc,dpc,si,ni,sls,cic,hex.
    fn message(&mut self, fields: &mut Fields<'_>) -> Option<Msg> {
        self.message_and_dialogue(fields).map(|(message, _)| message)
    }

    /// A message that the network sent or received, with its step in a dialogue.
    fn network_message(&mut self, t_ns: u64, from_network: bool, fields: &mut Fields<'_>) -> Option<Msg> {
        let (message, head) = self.message_and_dialogue(fields)?;
        let flow = self.flows[message.flow as usize];
        if let Some(head) = head {
            let (network, pool, id) = if from_network {
                (flow.opc, flow.dpc, head.originating)
            } else {
                (flow.dpc, flow.opc, head.destination)
            };
            if let Some(id) = id {
                let group = Flow { opc: network, dpc: pool, ..flow }.group();
                let (key, kind) = ((network, pool, id), head.kind);
                self.dialogues.push(DialogueStep { t_ns, key, group, kind, from_network });
            }
        }
        Some(message)
    }

    fn message_and_dialogue(&mut self, fields: &mut Fields<'_>) -> Option<(Msg, Option<dialogue::Head>)> {
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
        let head = if si == SI_SCCP { dialogue::read(user_data.head()) } else { None };
        let key = Flow { opc, dpc, si, sls, cic, dialogues: head.and_then(|head| head.bits()) };
        let next = u32::try_from(self.flows.len()).ok()?;
        let flow = *self.flow_index.entry(key).or_insert(next);
        if flow == next {
            self.flows.push(key);
        }
        let (isup_type, isup_arg) = if si == 5 { user_data.isup() } else { (0, 0) };
        Some((Msg { t_ns: 0, payload: user_data.hash, special: 0, flow, source: 0, isup_type, isup_arg }, head))
    }

    fn cause(&mut self, name: &str) -> u16 {
        let known = self.causes.iter().position(|c| c == name);
        let index = known.unwrap_or_else(|| {
            self.causes.push(name.to_owned());
            self.causes.len() - 1
        });
        u16::try_from(index).unwrap_or(u16::MAX)
    }
}

/// `opc,dpc,si,block`.
fn group(fields: &mut Fields<'_>) -> Option<Group> {
    Some(Group {
        opc: fields.decimal_u32()?,
        dpc: fields.decimal_u32()?,
        si: u8::try_from(fields.decimal()?).ok()?,
        block: u16::try_from(fields.decimal()?).ok()?,
    })
}
