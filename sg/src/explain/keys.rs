//! Which routing keys fit a message, and why the others do not.

use super::{Explanation, KeyAnswer};
use crate::config::As;
use crate::route::{Entry, Routes, Traffic};
use std::fmt::Display;

/// Values of a list that are written out.
const LISTED_MAX: usize = 8;

/// The keys in their order, the first [`Explanation::KEYS_MAX`] with the message's DPC and as many others; how many are left out.
pub(super) fn answers(traffic: &Traffic<'_>, routes: &Routes, servers: &[As]) -> (Vec<KeyAnswer>, usize) {
    let mut answers: Vec<KeyAnswer> = Vec::new();
    let (mut same_dpc, mut others) = (Explanation::KEYS_MAX, Explanation::KEYS_MAX);
    let (mut taken, mut left_out) = (false, 0);
    for entry in routes.entries() {
        let Some(server) = servers.get(entry.server) else { continue };
        let fits = entry.fits(traffic);
        let first = fits && !taken;
        taken |= fits;
        let room = if entry.has_dpc(traffic.message.dpc) { &mut same_dpc } else { &mut others };
        // The one that is taken is never left out.
        if *room == 0 && !first {
            left_out += 1;
            continue;
        }
        *room = room.saturating_sub(1);
        answers.push(KeyAnswer {
            routing_context: server.routing_context,
            pool: server.pool.clone(),
            key: key_text(entry),
            fits,
            taken: first,
            why: why(entry, traffic, first),
        });
    }
    (answers, left_out)
}

fn why(entry: &Entry, traffic: &Traffic<'_>, first: bool) -> String {
    let Traffic { message, network } = traffic;
    let mut against = Vec::new();
    if !entry.has_dpc(message.dpc) {
        against.push(format!("DPC {} is not {}", message.dpc, destinations(entry)));
    }
    if !entry.has_opc(message.opc) {
        against.push(format!("OPC {} is none of {}", message.opc, list(&entry.opc)));
    }
    if !entry.has_si(message.si) {
        against.push(format!("SI {} is none of {}", message.si, list(&entry.si)));
    }
    if !entry.has_ni(message.ni) {
        against.push(format!("NI {} is none of {}", message.ni, list(&entry.ni)));
    }
    if let (Some(ours), Some(given)) = (entry.network, network)
        && ours != *given
    {
        against.push(format!("Network Appearance {given} is not {ours}"));
    }
    match (against.is_empty(), first) {
        (true, true) => "the first that fits".to_owned(),
        (true, false) => {
            "fits, but one before it does: fewer masked bits, then OPC, SI, NI, Network Appearance, then the configuration's order"
                .to_owned()
        }
        (false, _) => against.join("; "),
    }
}

/// A routing key as people write it.
pub(crate) fn key_text(entry: &Entry) -> String {
    let mut text = format!("DPC {}", destinations(entry));
    if !entry.opc.is_empty() {
        text += &format!(", OPC {}", list(&entry.opc));
    }
    if !entry.si.is_empty() {
        text += &format!(", SI {}", list(&entry.si));
    }
    if !entry.ni.is_empty() {
        text += &format!(", NI {}", list(&entry.ni));
    }
    if let Some(network) = entry.network {
        text += &format!(", Network Appearance {network}");
    }
    text
}

fn destinations(entry: &Entry) -> String {
    let first = entry.prefix << entry.mask;
    match entry.mask {
        0 => first.to_string(),
        mask => format!("{first} to {}", first + ((1 << mask) - 1)),
    }
}

fn list<T: Display>(values: &[T]) -> String {
    let mut text = values.iter().take(LISTED_MAX).map(ToString::to_string).collect::<Vec<_>>().join(", ");
    if values.len() > LISTED_MAX {
        text += &format!(" and {} more", values.len() - LISTED_MAX);
    }
    text
}
