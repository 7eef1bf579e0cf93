//! What the benches share: a name server with many pools, a gateway with all its neighbours in one thread.

mod relay;

pub use relay::Relay;

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
    let message = Message::resolution(false, handle(pool), None);
    message.encode().expect("a short handle encodes")
}

/// ASAP_REGISTRATION of the n-th element (`pes` in each pool): from whom, from where, and its octets.
#[must_use]
pub fn registration(element: u32, pes: u32, policy: &Policy) -> (ClientId, SocketAddr, Bytes) {
    let address = IpAddr::V4(Ipv4Addr::from(0x7f10_0000 + element));
    let transport =
        SctpTransport { port: 2905, transport_use: TransportUse::DataAndControl, addresses: [address].into() };
    let registered = PoolElement {
        id: PeId(element + 1),
        home: ServerId(0),
        life: RegistrationLife::Seconds(300),
        user_transport: Transport::Sctp(transport),
        policy: policy.clone(),
        asap_transport: None,
    };
    let message = Message::Registration { handle: handle(element / pes), element: registered };
    let bytes = message.encode().expect("a registration encodes");
    (ClientId(u64::from(element)), SocketAddr::new(address, 3863), bytes)
}

/// ASAP_DEREGISTRATION of the n-th element.
#[must_use]
pub fn deregistration(element: u32, pes: u32) -> Bytes {
    let message = Message::Deregistration { handle: handle(element / pes), pe_id: PeId(element + 1) };
    message.encode().expect("a deregistration encodes")
}

/// A name server with `pools` pools of `pes` elements each, registered by ASAP messages.
#[must_use]
pub fn name_server(pools: u32, pes: u32, policy: &Policy) -> Server {
    // One association an element.
    let most = pools as usize * pes as usize + 1;
    let config = ServerConfig {
        pools_max: 50_000,
        pes_max: most,
        clients_max: most + 1,
        // What comes out is the answer to what went in.
        keep_alive_interval_ms: 0,
        registrations_per_s: u32::MAX,
        resolutions_per_s: u32::MAX,
        resolutions_per_client_per_s: u32::MAX,
        ..ServerConfig::default()
    };
    let mut server = Server::new(config, ServerId(0x1111_1111), 1);
    let now = Instant::now();
    for i in 0..pools * pes {
        let (client, from, bytes) = registration(i, pes, policy);
        server.handle_message(now, client, &[from], &bytes);
    }
    while server.poll_output().is_some() {}
    while server.poll_event().is_some() {}
    assert_eq!(server.handlespace().pool_count(), pools as usize, "every pool is registered");
    server
}
