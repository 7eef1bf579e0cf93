//! Proxy registration: the gateway registers ordinary ASPs with the name server in this process, as a client of it.

use super::{Location, Names};
use asap::wire::{
    Limits, Message, PeId, Policy, PoolElement, PoolHandle, RegistrationLife, SctpTransport, ServerId, Transport,
    TransportUse,
};
use bytes::Bytes;
use enrp::{ClientId, Host};
use std::time::Instant;

impl Names {
    /// With the policy of the pool as it is; a new one is round robin.
    pub(super) fn register_proxy(&mut self, now: Instant, pool: &PoolHandle, pe: u32, location: &Location) {
        let Some(handle) = self.own_handle(pool) else { return };
        let known =
            self.server().and_then(|server| server.handlespace().pool(&handle)).map(|pool| pool.policy().clone());
        let transport = |transport_use| SctpTransport {
            port: location.port,
            transport_use,
            addresses: location.addresses.iter().copied().collect(),
        };
        // Elements of one pool have one transport use: that of those who are there. A first one leaves the pool to our controllers, too.
        let members = self.server().into_iter().flat_map(|server| server.handlespace().members(&handle));
        let transport_use = members.take(1).find_map(|element| match &element.registered().user_transport {
            Transport::Sctp(sctp) => Some(sctp.transport_use),
            Transport::Dccp(_)
            | Transport::Tcp(_)
            | Transport::Udp(_)
            | Transport::UdpLite(_)
            | Transport::Opaque(_) => None,
        });
        let element = PoolElement {
            id: PeId(pe),
            home: ServerId(0),
            life: RegistrationLife::Infinite,
            user_transport: Transport::Sctp(transport(transport_use.unwrap_or(TransportUse::DataAndControl))),
            policy: known.unwrap_or(Policy::RoundRobin),
            asap_transport: None,
        };
        self.proxied.entry(handle.clone()).or_default().insert(pe);
        self.tell_server(now, &Message::Registration { handle, element });
    }

    pub(super) fn withdraw_proxy(&mut self, now: Instant, pool: &PoolHandle, pe: u32) {
        if let Some(handle) = self.own_handle(pool) {
            if let Some(elements) = self.proxied.get_mut(&handle) {
                elements.remove(&pe);
            }
            self.tell_server(now, &Message::Deregistration { handle, pe_id: PeId(pe) });
        }
    }

    /// Takes what the server says to us as a pool element's proxy. False: it is for the pool user.
    pub(super) fn proxy_answered(&mut self, now: Instant, bytes: &Bytes) -> bool {
        let Ok(decoded) = Message::decode(bytes, &Limits::default()) else { return false };
        match decoded.message {
            Message::RegistrationResponse { reject, handle, pe_id, error } => {
                if reject {
                    tracing::warn!(%handle, pe = %pe_id, ?error, "an ASP was not registered on its behalf");
                }
                true
            }
            Message::DeregistrationResponse { .. } => true,
            // Their associations are ours: we know who is active. It names the pool, not the element (RFC 5352 section 2.2.7).
            Message::EndpointKeepAlive { handle, .. } => {
                for pe in self.proxied.get(&handle).cloned().unwrap_or_default() {
                    let pe_id = PeId(pe);
                    self.tell_server(now, &Message::EndpointKeepAliveAck { handle: handle.clone(), pe_id });
                }
                true
            }
            Message::Registration { .. }
            | Message::Deregistration { .. }
            | Message::HandleResolution { .. }
            | Message::HandleResolutionResponse { .. }
            | Message::EndpointKeepAliveAck { .. }
            | Message::EndpointUnreachable { .. }
            | Message::ServerAnnounce { .. }
            | Message::Cookie { .. }
            | Message::CookieEcho { .. }
            | Message::BusinessCard { .. }
            | Message::Error { .. } => false,
        }
    }

    /// The pool's handle, if it is in the gateway's own scope.
    fn own_handle(&self, pool: &PoolHandle) -> Option<PoolHandle> {
        self.pools.get(pool).filter(|known| known.way == 0).map(|known| known.handle.clone())
    }

    fn tell_server(&mut self, now: Instant, message: &Message) {
        if let (Some(server), Ok(bytes)) = (self.host.as_mut().map(Host::server_mut), message.encode()) {
            server.handle_message(now, ClientId::LOCAL, &[], &bytes);
        }
    }
}
