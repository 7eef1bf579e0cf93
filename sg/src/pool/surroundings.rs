//! What a pool works with: associations, name service, record, the network side.

use super::elements::Location;
use crate::mate::journal::Journal;
use crate::record::Recorder;
use asap::wire::PoolHandle;
use bytes::Bytes;
use sctp::{AssocId, SendError};
use std::net::IpAddr;
use std::time::{Duration, Instant};

/// The associations, as a pool sees them.
pub(crate) trait Transport {
    /// Starts an association to a controller.
    fn connect(&mut self, now: Instant, addresses: &[IpAddr], port: u16) -> Option<AssocId>;
    /// Sends one message.
    fn send(&mut self, now: Instant, assoc: AssocId, how: How, payload: Bytes) -> Result<(), SendError>;
    /// Ends an association at once.
    fn abort(&mut self, now: Instant, assoc: AssocId);
    /// Ends an association after what was accepted is delivered.
    fn shutdown(&mut self, now: Instant, assoc: AssocId);
    /// Smoothed round trip.
    fn rtt(&self, assoc: AssocId) -> Option<Duration>;
}

/// How to send.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct How {
    pub(crate) stream: u16,
    pub(crate) ppid: u32,
    pub(crate) unordered: bool,
}

/// The name service, as a pool sees it. Elements are named by their PE identifier.
pub(crate) trait Directory {
    /// Makes sure that the pool is being asked for.
    fn resolve(&mut self, now: Instant, pool: &PoolHandle);
    /// The element for a new group, by the pool's policy, among the usable ones.
    fn select(&mut self, now: Instant, pool: &PoolHandle, usable: &dyn Fn(u32) -> bool) -> Option<u32>;
    /// Up to so many usable elements in the order in which [`Directory::select`] would yield them now; nobody's turn is used up.
    fn order(&self, pool: &PoolHandle, count: usize, usable: &dyn Fn(u32) -> bool) -> Vec<u32>;
    /// The pool's policy, as people write it; none while the name service has not told.
    fn policy(&self, pool: &PoolHandle) -> Option<String>;
    /// What the name service says of an element.
    fn standing(&self, pool: &PoolHandle, pe: u32) -> Standing;
    /// What part of the groups the element should have by the pool's policy.
    fn share(&self, pool: &PoolHandle, pe: u32) -> Share;
    /// The element serves, or serves no more: resolution yields it accordingly (N5).
    fn set_usable(&mut self, now: Instant, pool: &PoolHandle, pe: u32, usable: bool);
    /// The element is taken out of service, or is in service again: others are not to choose it meanwhile.
    fn set_draining(&mut self, now: Instant, pool: &PoolHandle, pe: u32, draining: bool);
    /// Registers an ASP that knows nothing of pools, on its behalf.
    fn register(&mut self, now: Instant, pool: &PoolHandle, pe: u32, location: &Location);
    /// Takes that registration back.
    fn withdraw(&mut self, now: Instant, pool: &PoolHandle, pe: u32);
    /// ASAP_ENDPOINT_UNREACHABLE, once an event.
    fn report_unreachable(&mut self, now: Instant, pool: &PoolHandle, pe: u32);
}

/// An element's part of a pool's groups.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Share {
    /// In proportion to its weight; all have the same one if the policy has none.
    Weight(u32),
    /// The name service has not told yet.
    Unknown,
    /// The policy does not share: it goes by priority or load.
    None,
}

/// What the name service says of an element.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Standing {
    /// Resolution yields it.
    pub(crate) listed: bool,
    /// Its policy values.
    pub(crate) policy: Option<String>,
    /// They say that it takes nothing: load 100 %, weight 0.
    pub(crate) full: bool,
    /// Why the embedded server does not select it; an outside one does not tell.
    pub(crate) suspended: Vec<&'static str>,
}

/// What a pool works with during one call.
pub(crate) struct Cx<'a> {
    pub(crate) now: Instant,
    pub(crate) net: &'a mut dyn Transport,
    pub(crate) directory: &'a mut dyn Directory,
    pub(crate) record: &'a mut Recorder,
    /// What happens, for the second gateway; what follows from it outside.
    pub(crate) journal: &'a mut Journal,
}
