//! The handlespace in pages, for admin: whoever asks for all of it must not hold up what the server is for.

use super::Server;
use super::snapshot::{PeSnapshot, policy_text};
use crate::handlespace::Cursor;
use serde::Serialize;

/// PEs in a page: some 100 KB, made in well under a millisecond.
pub const PAGE_PES: usize = 250;

/// A part of the handlespace. A PE that is there from the first page to the last is in exactly one of them; what comes and goes
/// meanwhile may be in one or not.
#[derive(Debug, Clone, Serialize)]
pub struct Page {
    /// Server identifier.
    pub server: String,
    /// PE checksum over the PEs this server owns (RFC 5353 section 3.6.2).
    pub pe_checksum: String,
    /// Pools in the handlespace.
    pub pools_total: usize,
    /// PEs in all pools.
    pub pes_total: usize,
    /// Those of this page, the members of a pool one after the other.
    pub elements: Vec<PageElement>,
    /// What to ask with for the next page; none: this is the last one.
    pub next: Option<String>,
}

/// A PE with its pool.
#[derive(Debug, Clone, Serialize)]
pub struct PageElement {
    /// Pool handle, unprintable bytes escaped.
    pub pool: String,
    /// The pool's policy.
    pub pool_policy: String,
    /// The PE.
    #[serde(flatten)]
    pub element: PeSnapshot,
}

impl Server {
    /// Up to [`PAGE_PES`] elements. `from` is empty, or the `next` of the page before.
    ///
    /// # Errors
    /// `from` is none of these.
    pub fn page(&self, from: &str) -> Result<Page, String> {
        let from = match from.trim() {
            "" => Cursor::START,
            text => text.parse().map_err(|()| format!("{text}: expected nothing, or `next` of the page before"))?,
        };
        let mut next = None;
        let elements: Vec<_> = self
            .handlespace
            .elements_from(from)
            .take(PAGE_PES)
            .map(|(_, element)| {
                next = Some(Cursor::after(element));
                let handle = self.handlespace.handle_of(element);
                PageElement {
                    pool: handle.to_string(),
                    pool_policy: self
                        .handlespace
                        .pool(handle)
                        .map_or_else(String::new, |pool| policy_text(pool.policy())),
                    element: self.pe_snapshot(element),
                }
            })
            .collect();
        let more = elements.len() == PAGE_PES;
        Ok(Page {
            server: self.id.to_string(),
            pe_checksum: format!("{:04x}", self.handlespace.checksum(self.id).value()),
            pools_total: self.handlespace.pool_count(),
            pes_total: self.handlespace.element_count(),
            elements,
            next: next.filter(|_| more).map(|cursor| cursor.to_string()),
        })
    }
}
