//! A capture taken at a gateway holds each message twice: on its way to the gateway, and onward to a controller. This finds the hop to take.

use super::{Association, Captured};
use rustc_hash::FxHashMap;
use std::cmp::Reverse;

/// What makes a message the same one on another hop: OPC, DPC, SI, SLS, user data.
type Content<'a> = (u32, u32, u8, u8, &'a [u8]);

fn content(message: &Captured) -> Content<'_> {
    (message.opc, message.dpc, message.si, message.sls, &message.data)
}

/// Which associations to take, by their index. The one with the most messages is; each other one (the larger first) is too, unless
/// more than half of its messages are on those that are: then it is another hop of the same traffic.
pub(super) fn taken(associations: &[Association], messages: &[Captured]) -> Vec<bool> {
    let mut taken = vec![false; associations.len()];
    let mut carried: Vec<FxHashMap<Content<'_>, usize>> = vec![FxHashMap::default(); associations.len()];
    for message in messages {
        *carried[message.association].entry(content(message)).or_default() += 1;
    }
    let mut order: Vec<usize> = (0..associations.len()).collect();
    order.sort_by_key(|index| Reverse(associations[*index].messages));
    let mut known: FxHashMap<Content<'_>, usize> = FxHashMap::default();
    for index in order {
        let own = &carried[index];
        let copies: usize = own.iter().map(|(key, count)| (*count).min(known.get(key).copied().unwrap_or(0))).sum();
        if copies * 2 > associations[index].messages {
            continue;
        }
        taken[index] = true;
        for (key, count) in own {
            *known.entry(*key).or_default() += count;
        }
    }
    taken
}
