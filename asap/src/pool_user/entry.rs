//! One handle of a pool user: its cached pool, the question under way, what is queued, what was reported.

use super::pool::Pool;
use crate::config::{PuConfig, ms};
use crate::wire::{ElementReport, PeId, REPORTS_MAX};
use bytes::Bytes;
use std::collections::{BTreeMap, VecDeque};
use std::time::{Duration, Instant};

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Request {
    /// Nothing asked.
    None,
    /// To be asked as soon as there is a server.
    Wanted,
    /// HANDLE_RESOLUTION sent `attempts` times to this server.
    Sent { t1: Instant, attempts: u32 },
    /// Refused or unanswered; asked again at `at`.
    Again { at: Instant },
}

#[derive(Debug)]
pub(super) struct Entry<T> {
    pub(super) pool: Option<Pool>,
    /// When the pool was last answered.
    fetched: Instant,
    /// The server sends updates.
    pub(super) subscribed: bool,
    pub(super) request: Request,
    /// Next wait of `Request::Again`.
    retry_wait: Duration,
    /// Used since the last answer: the application waits to be told.
    pub(super) used: bool,
    pub(super) queue: VecDeque<T>,
    /// Elements reported unreachable, and whether the report is sent.
    pub(super) reported: BTreeMap<PeId, bool>,
    /// Goes with each resolution.
    pub(super) hint: Option<Bytes>,
    /// Goes with the next resolution.
    measures: Vec<ElementReport>,
}

impl<T> Entry<T> {
    pub(super) fn new(now: Instant, config: &PuConfig) -> Self {
        Self {
            pool: None,
            fetched: now,
            subscribed: false,
            request: Request::None,
            retry_wait: retry(config),
            used: true,
            queue: VecDeque::new(),
            reported: BTreeMap::new(),
            hint: None,
            measures: Vec::new(),
        }
    }

    /// The application wants this handle. True: ask for it now.
    pub(super) fn touch(&mut self, now: Instant, config: &PuConfig) -> bool {
        self.used = true;
        match self.request {
            Request::None => self.pool.is_none() || self.is_stale(now, config),
            Request::Again { at } => {
                self.retry_wait = retry(config);
                self.request = Request::Again { at: at.min(now + self.retry_wait) };
                false
            }
            Request::Wanted | Request::Sent { .. } => false,
        }
    }

    /// With updates as well: a server that hangs does not say that its updates have stopped.
    fn is_stale(&self, now: Instant, config: &PuConfig) -> bool {
        now - self.fetched >= ms(config.stale_cache_value_ms)
    }

    /// Keeps a measure for the next resolution, in place of an older one of the same element; when there are too many, of the oldest.
    pub(super) fn keep_measure(&mut self, measure: ElementReport) {
        self.measures.retain(|other| other.pe_id != measure.pe_id);
        if self.measures.len() == REPORTS_MAX {
            self.measures.remove(0);
        }
        self.measures.push(measure);
    }

    /// The hint and the measures that a resolution takes along.
    pub(super) fn take_along(&mut self) -> (Option<Bytes>, Vec<ElementReport>) {
        (self.hint.clone(), std::mem::take(&mut self.measures))
    }

    pub(super) fn answered(&mut self, now: Instant, subscribed: bool, config: &PuConfig) {
        self.fetched = now;
        self.subscribed = subscribed;
        self.request = Request::None;
        self.retry_wait = retry(config);
        self.used = false;
    }

    pub(super) fn ask_later(&mut self, now: Instant, config: &PuConfig) {
        self.request = Request::Again { at: now + self.retry_wait };
        self.retry_wait = (self.retry_wait * 2).min(ms(config.retry_unknown_max_ms));
    }

    /// The server is lost: what it was asked, and what it would have told unasked, is asked of the next one.
    pub(super) fn forget_server(&mut self) {
        if self.subscribed || matches!(self.request, Request::Sent { .. } | Request::Again { .. }) {
            self.request = Request::Wanted;
        }
        self.subscribed = false;
    }

    pub(super) fn deadline(&self) -> Option<Instant> {
        match self.request {
            Request::Sent { t1, .. } => Some(t1),
            Request::Again { at } => Some(at),
            Request::None | Request::Wanted => None,
        }
    }
}

fn retry(config: &PuConfig) -> Duration {
    ms(config.retry_unknown_ms)
}
