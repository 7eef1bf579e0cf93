//! What the benches share: a name server with many pools.

use asap::wire::{
    Message, PeId, Policy, PoolElement, PoolHandle, RegistrationLife, SctpTransport, ServerId, Transport, TransportUse,
};
use bytes::Bytes;
use enrp::{ClientId, Server, ServerConfig};
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::time::Instant;

/// Handle of the n-th pool.
#[must_use]
pub fn handle(pool: u32) -> PoolHandle {
    PoolHandle::from(format!("GatewayPool-{pool:05}").as_str())
}

/// ASAP_HANDLE_RESOLUTION for the n-th pool, as a pool user sends it.
#[must_use]
pub fn resolution(pool: u32) -> Bytes {
    let message = Message::HandleResolution { subscribe: false, handle: handle(pool), items: None };
    message.encode().expect("a short handle encodes")
}

/// A name server with `pools` pools of `pes` elements each, registered by ASAP messages.
#[must_use]
pub fn name_server(pools: u32, pes: u32, policy: &Policy) -> Server {
    let mut server = Server::new(ServerConfig::default(), ServerId(0x1111_1111), 1);
    let now = Instant::now();
    for i in 0..pools * pes {
        let address = IpAddr::V4(Ipv4Addr::from(0x7f10_0000 + i));
        let transport =
            SctpTransport { port: 2905, transport_use: TransportUse::DataAndControl, addresses: vec![address] };
        let element = PoolElement {
            id: PeId(i + 1),
            home: ServerId(0),
            life: RegistrationLife::Seconds(300),
            user_transport: Transport::Sctp(transport),
            policy: policy.clone(),
            asap_transport: None,
        };
        let message = Message::Registration { handle: handle(i / pes), element };
        let bytes = message.encode().expect("a registration encodes");
        server.handle_message(now, ClientId(u64::from(i)), &[SocketAddr::new(address, 3863)], &bytes);
    }
    while server.poll_output().is_some() {}
    while server.poll_event().is_some() {}
    assert_eq!(server.handlespace().pool_count(), pools as usize, "every pool is registered");
    server
}
