//! What the controllers are told of destinations in the network (RFC 4666 sections 3.4.1, 3.4.2, 4.5.1).

use super::controller::Phase;
use super::{Cx, Pool};
use m3ua_lite::wire::{AffectedList, AffectedPc, Message, Ssnm, one_context};

impl Pool {
    /// The network side reaches it again (DAVA), or no more (DUNA): the active controllers hear it.
    pub(crate) fn tell_destination(&mut self, cx: &mut Cx<'_>, available: bool, affected: AffectedPc) {
        let server = &self.settings.server;
        let message = Ssnm {
            network_appearance: server.network_appearance,
            routing_contexts: one_context(server.routing_context),
            affected: AffectedList::from_slice(&[affected]).unwrap_or_default(),
            info: None,
        };
        let message = if available { Message::Dava(message) } else { Message::Duna(message) };
        for controller in self.controllers.values().filter(|controller| controller.phase == Phase::Active) {
            if !controller.send(cx, 0, false, &message) {
                self.counters.destinations_untold += 1;
            }
        }
    }
}
