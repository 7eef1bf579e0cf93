//! Ordinary ASPs that attach by themselves and know nothing of RSerPool: each is registered in the pool on its behalf while it is
//! active (proxy registration), has its share, and leaves as ASPs do.
//!
//! They have no cookies and no leases: what they send passes at once, barriers confirm what they echo, and no group is asked of
//! them back while they serve.

use super::controller::Controller;
use super::elements::{Element, Location};
use super::{Cx, Pool, ms};
use m3ua_lite::sgp::AspIdRule;
use sctp::AssocId;
use std::net::{IpAddr, SocketAddr};

/// The PE identifier of an ordinary ASP with these addresses and this SCTP port, if nobody else has it: FNV-1a of them as text, and
/// not 0, which is no identifier (RFC 5354 section 3.11).
#[must_use]
pub fn attached_identifier(addresses: &[IpAddr], port: u16) -> u32 {
    let text = format!("{addresses:?} {port}");
    text.bytes().fold(0x811c_9dc5_u32, |hash, byte| (hash ^ u32::from(byte)).wrapping_mul(0x0100_0193)).max(1)
}

impl Pool {
    /// The association of an ASP that came by itself is established. False: there is no room for one more.
    pub(crate) fn attach(
        &mut self,
        cx: &mut Cx<'_>,
        assoc: AssocId,
        peer: (&[SocketAddr], u16),
        outbound: u16,
    ) -> bool {
        // DATA must not go on stream 0 (RFC 4666 section 1.4.7).
        if outbound < 2 || self.controllers.len() >= self.settings.server.associations_max {
            self.counters.associations_refused += 1;
            return false;
        }
        let location = Location { addresses: peer.0.iter().map(SocketAddr::ip).collect(), port: peer.1 };
        let (blocked, known) = self.blocked_at(&location);
        let pe = known.unwrap_or_else(|| self.free_identifier(&location));
        let mut sgp = self.new_sgp(AspIdRule::Optional);
        sgp.set_blocked(blocked);
        let mut controller = Controller::new(cx.now, assoc, pe, sgp, &self.settings.failover);
        controller.foreign = true;
        controller.up(outbound, ms(0));
        self.controllers.insert(assoc, controller);
        let mut element = Element::new(cx.now, location);
        (element.attached, element.in_pool, element.assoc, element.blocked) = (true, false, Some(assoc), blocked);
        self.elements.insert(pe, element);
        true
    }

    /// Whether an operator has blocked the ASP at these addresses, and its identifier if it is not here. Its port may be another
    /// each time.
    fn blocked_at(&self, location: &Location) -> (bool, Option<u32>) {
        let here = |element: &Element| element.location.addresses.iter().any(|ip| location.addresses.contains(ip));
        let of_it = || self.elements.iter().filter(|(_, element)| element.attached && element.blocked && here(element));
        (of_it().next().is_some(), of_it().find(|(_, element)| element.assoc.is_none()).map(|(pe, _)| *pe))
    }

    /// The same ASP gets the same one each time, if nobody else has it.
    fn free_identifier(&self, location: &Location) -> u32 {
        let mut pe = attached_identifier(&location.addresses, location.port);
        while self.elements.contains_key(&pe) {
            pe = pe.wrapping_add(1).max(1);
        }
        pe
    }

    /// It is active: others may be told of it.
    pub(super) fn register_attached(&mut self, cx: &mut Cx<'_>, pe: u32) {
        if let Some(element) = self.elements.get(&pe).filter(|element| element.attached) {
            self.counters.proxy_registrations += 1;
            cx.directory.register(cx.now, &self.handle, pe, &element.location);
        }
    }

    /// It is active no more. False: it is none that attached by itself.
    pub(super) fn withdraw_attached(&mut self, cx: &mut Cx<'_>, pe: u32) -> bool {
        let Some(element) = self.elements.get_mut(&pe).filter(|element| element.attached) else { return false };
        element.in_pool = false;
        cx.directory.withdraw(cx.now, &self.handle, pe);
        true
    }
}
