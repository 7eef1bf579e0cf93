//! What a pool user asks a name server: ASAP_HANDLE_RESOLUTION (RFC 5352 section 2.2.5).

use super::client::{Answer, Questions};
use asap::wire::{Limits, Message, PoolHandle};
use bytes::Bytes;
use sctp::ppid;
use std::collections::VecDeque;

/// Resolutions of handles, one after the other in steps that leave none out.
#[derive(Debug, Clone)]
pub struct Resolutions {
    handles: Vec<PoolHandle>,
    items: Option<u32>,
    hint: Option<Bytes>,
    next: usize,
    step: usize,
    /// Which handles have no answer yet.
    asked: VecDeque<usize>,
    limits: Limits,
}

impl Resolutions {
    /// Of these handles, at least one. `items`: how many elements to ask for; `None`: the server decides.
    #[must_use]
    pub fn new(handles: Vec<PoolHandle>, items: Option<u32>) -> Self {
        // Neighbours lie together in the server's memory: a step that has no divisor in common with the number goes around.
        let step = (1..).map(|n| n * 6 + 1).find(|step| gcd(*step, handles.len().max(1)) == 1).unwrap_or(1);
        Self { handles, items, hint: None, next: 0, step, asked: VecDeque::new(), limits: Limits::default() }
    }

    /// With this hint for the pools' selection plug-in, of at most 255 bytes, in each question.
    #[must_use]
    pub fn with_hint(self, hint: Option<Bytes>) -> Self {
        Self { hint, ..self }
    }

    /// How many handles.
    #[must_use]
    pub fn len(&self) -> usize {
        self.handles.len()
    }

    /// Whether there is nothing to ask for.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.handles.is_empty()
    }
}

fn gcd(a: usize, b: usize) -> usize {
    if b == 0 { a } else { gcd(b, a % b) }
}

impl Questions for Resolutions {
    fn ppid(&self) -> u32 {
        ppid::ASAP
    }

    fn ask(&mut self) -> Option<Bytes> {
        self.next = (self.next + self.step) % self.handles.len().max(1);
        self.asked.push_back(self.next);
        let handle = self.handles.get(self.next).cloned().unwrap_or_else(|| PoolHandle::from(""));
        let (items, hint) = (self.items, self.hint.clone());
        let message = Message::HandleResolution { subscribe: false, handle, items, hint, reports: Vec::new() };
        // What does not encode is refused when the handles are given.
        Some(message.encode().unwrap_or_default())
    }

    fn answer(&mut self, message: &[u8]) -> Answer {
        let Ok(decoded) = Message::decode(message, &self.limits) else { return Answer::Other };
        let Message::HandleResolutionResponse { handle, elements, error, .. } = decoded.message else {
            return Answer::Other;
        };
        let asked = self.asked.pop_front().and_then(|index| self.handles.get(index));
        match error {
            _ if asked != Some(&handle) => Answer::Wrong,
            Some(_) => Answer::Refused,
            None => Answer::Right(elements.len()),
        }
    }
}
