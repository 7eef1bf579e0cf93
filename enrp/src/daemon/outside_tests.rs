//! TCP and multicast with real sockets: a host on one side, strict and hostile clients on the other.

use super::{MulticastConfig, OutsideBatch, OutsideSockets, TcpConfig};
use crate::host::{Host, Ports};
use crate::server::{ClientId, Server, ServerConfig};
use asap::wire::{
    Limits, Message, PeId, Policy, PoolElement, PoolHandle, RegistrationLife, SctpTransport, ServerId, Transport,
    TransportUse,
};
use std::net::{IpAddr, SocketAddr};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::sync::mpsc;

const PATIENCE: Duration = Duration::from_secs(20);
const LOCAL: IpAddr = IpAddr::V4(std::net::Ipv4Addr::LOCALHOST);

/// A name server with the pool `p`, and the task that is its node.
struct Lab {
    host: Arc<Mutex<Host>>,
    tcp: SocketAddr,
}

fn free_port() -> u16 {
    std::net::TcpListener::bind((LOCAL, 0)).unwrap().local_addr().unwrap().port()
}

fn lab(tcp: TcpConfig, multicast: MulticastConfig, id: u32) -> Lab {
    let tcp = TcpConfig { port: free_port(), ..tcp };
    let now = Instant::now();
    let mut server = Server::new(ServerConfig::default(), ServerId(id), u64::from(id));
    if let Some(announce) = multicast.announce(&[LOCAL], 3863, tcp.port) {
        server.announce(now, announce);
    }
    let transport = SctpTransport { port: 5000, transport_use: TransportUse::DataOnly, addresses: [LOCAL].into() };
    let element = PoolElement {
        id: PeId(7),
        home: ServerId(0),
        life: RegistrationLife::Infinite,
        user_transport: Transport::Sctp(transport),
        policy: Policy::RoundRobin,
        asap_transport: None,
    };
    let registration = Message::Registration { handle: "p".into(), element }.encode().unwrap();
    server.handle_message(now, ClientId(1), &["127.0.0.1:5000".parse().unwrap()], &registration);
    while server.poll_output().is_some() {}
    let host = Arc::new(Mutex::new(Host::new(server, Ports::default(), 9899)));
    let sockets = OutsideSockets::bind(&tcp, &multicast, &[LOCAL]).unwrap();
    let (commands, mut batches) = mpsc::channel::<OutsideBatch>(4);
    tokio::spawn(sockets.serve(commands));
    let node = Arc::clone(&host);
    tokio::spawn(async move {
        let mut stack = sctp::Stack::new(sctp::Config::default(), vec![LOCAL], [1; 32], now);
        loop {
            let batch = tokio::time::timeout(Duration::from_millis(10), batches.recv()).await;
            let now = Instant::now();
            let mut host = node.lock().unwrap();
            match batch {
                Ok(Some(mut batch)) => batch.inputs().for_each(|input| host.outside(now, input)),
                Ok(None) => return,
                Err(_) => host.handle_timeout(now),
            }
            while host.carry_out(now, &mut stack) {}
        }
    });
    Lab { host, tcp: SocketAddr::new(LOCAL, tcp.port) }
}

fn question(handle: &str) -> Vec<u8> {
    Message::resolution(false, PoolHandle::from(handle), None).encode().unwrap().to_vec()
}

/// The next message of a stream.
async fn answer(stream: &mut TcpStream) -> Message {
    let read = async {
        let mut message = vec![0; 4];
        stream.read_exact(&mut message).await.unwrap();
        let length = usize::from(u16::from_be_bytes([message[2], message[3]]));
        message.resize(length.next_multiple_of(4), 0);
        stream.read_exact(&mut message[4..]).await.unwrap();
        message.truncate(length);
        Message::decode(&message, &Limits::default()).unwrap().message
    };
    tokio::time::timeout(PATIENCE, read).await.expect("an answer")
}

/// Waits for the other end to close.
async fn closed(stream: &mut TcpStream) {
    let read = async { while !matches!(stream.read(&mut [0; 4096]).await, Ok(0) | Err(_)) {} };
    tokio::time::timeout(PATIENCE, read).await.expect("closed");
}

/// Waits for the host to be so.
async fn until(lab: &Lab, holds: impl Fn(&Host) -> bool) {
    let begin = Instant::now();
    while !holds(&lab.host.lock().unwrap()) {
        assert!(begin.elapsed() < PATIENCE, "{:?}", lab.host.lock().unwrap().counters());
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
}

fn elements(message: &Message) -> usize {
    let Message::HandleResolutionResponse { elements, .. } = message else { panic!("{message:?}") };
    elements.len()
}

#[tokio::test]
async fn messages_come_in_any_pieces_and_with_or_without_padding_in_the_length() {
    let lab = lab(TcpConfig::default(), MulticastConfig::default(), 1);
    let mut stream = TcpStream::connect(lab.tcp).await.unwrap();
    let one = question("p");
    for byte in &one {
        stream.write_all(&[*byte]).await.unwrap();
    }
    assert_eq!(elements(&answer(&mut stream).await), 1);
    // Many in one piece, the last one cut.
    let mut many = one.repeat(500);
    let rest = many.split_off(many.len() - 3);
    stream.write_all(&many).await.unwrap();
    for _ in 0..499 {
        assert_eq!(elements(&answer(&mut stream).await), 1);
    }
    stream.write_all(&rest).await.unwrap();
    assert_eq!(elements(&answer(&mut stream).await), 1);
    // rsplib counts the padding of the last parameter too; strict ones do not.
    let mut strict = one.clone();
    assert!(strict.len() > usize::from(u16::from_be_bytes([strict[2], strict[3]])) || strict.len().is_multiple_of(4));
    let padded = u16::try_from(strict.len()).unwrap().to_be_bytes();
    strict[2..4].copy_from_slice(&padded);
    stream.write_all(&strict).await.unwrap();
    assert_eq!(elements(&answer(&mut stream).await), 1);
    drop(stream);
    until(&lab, |host| host.tcp_count() == 0).await;
    assert_eq!(lab.host.lock().unwrap().counters().tcp_malformed, 0);
}

#[tokio::test]
async fn what_is_no_message_ends_the_connection_and_no_other() {
    let lab = lab(TcpConfig::default(), MulticastConfig::default(), 1);
    let mut good = TcpStream::connect(lab.tcp).await.unwrap();
    for wrong in [[0x05, 0, 0, 0], [0xff, 0xff, 0, 3], *b"GET "] {
        let mut stream = TcpStream::connect(lab.tcp).await.unwrap();
        stream.write_all(&wrong).await.unwrap();
        if wrong[2..] == *b"T " {
            // A length that could be: 21,536 bytes that mean nothing.
            stream.write_all(&vec![0xee; 21_532]).await.unwrap();
            until(&lab, |host| host.server().counters().malformed + host.server().counters().unrecognized > 0).await;
            continue;
        }
        closed(&mut stream).await;
    }
    until(&lab, |host| host.counters().tcp_malformed == 2).await;
    good.write_all(&question("p")).await.unwrap();
    assert_eq!(elements(&answer(&mut good).await), 1);
}

#[tokio::test]
async fn connections_have_limits() {
    let few = TcpConfig { connections_max: 2, ..TcpConfig::default() };
    let lab = lab(few, MulticastConfig::default(), 1);
    let (mut a, b) = (TcpStream::connect(lab.tcp).await.unwrap(), TcpStream::connect(lab.tcp).await.unwrap());
    until(&lab, |host| host.tcp_count() == 2).await;
    let mut c = TcpStream::connect(lab.tcp).await.unwrap();
    closed(&mut c).await;
    until(&lab, |host| host.counters().tcp_refused == 1).await;
    drop(b);
    until(&lab, |host| host.tcp_count() == 1).await;
    let mut d = TcpStream::connect(lab.tcp).await.unwrap();
    for stream in [&mut a, &mut d] {
        stream.write_all(&question("none")).await.unwrap();
        assert_eq!(elements(&answer(stream).await), 0);
    }
}

#[tokio::test]
async fn who_is_silent_or_never_ends_a_message_is_closed() {
    let quick = TcpConfig { idle_ms: 100, message_ms: 40, ..TcpConfig::default() };
    let lab = lab(quick, MulticastConfig::default(), 1);
    let mut silent = TcpStream::connect(lab.tcp).await.unwrap();
    let mut slow = TcpStream::connect(lab.tcp).await.unwrap();
    slow.write_all(&question("p")[..5]).await.unwrap();
    closed(&mut silent).await;
    closed(&mut slow).await;
    until(&lab, |host| host.tcp_count() == 0 && host.counters().tcp_idle == 2).await;
}

#[tokio::test]
async fn who_does_not_read_is_let_go() {
    let small = TcpConfig { send_queue_bytes_max: 65_536, message_ms: 100, ..TcpConfig::default() };
    let lab = lab(small, MulticastConfig::default(), 1);
    let mut stream = TcpStream::connect(lab.tcp).await.unwrap();
    let many = question("p").repeat(1_000);
    let flood = async { while stream.write_all(&many).await.is_ok() {} };
    tokio::time::timeout(PATIENCE, flood).await.expect("it is closed");
    until(&lab, |host| host.tcp_count() == 0).await;
}

#[tokio::test]
async fn two_servers_hear_each_other_and_a_stranger_is_counted() {
    // A group of its own, on the loopback interface only.
    let group: SocketAddr = format!("239.255.77.1:{}", free_port()).parse().unwrap();
    let multicast = MulticastConfig {
        asap_group: Some(group),
        interface: Some([127, 0, 0, 1].into()),
        t6_server_announce_ms: 20,
        datagrams_per_s_max: 500,
        ..MulticastConfig::default()
    };
    let (a, b) = (lab(TcpConfig::default(), multicast.clone(), 1), lab(TcpConfig::default(), multicast, 2));
    for lab in [&a, &b] {
        until(lab, |host| host.server().servers_heard() == 1 && host.counters().datagrams_out > 2).await;
    }
    let stranger = tokio::net::UdpSocket::bind((LOCAL, 0)).await.unwrap();
    let socket = socket2::SockRef::from(&stranger);
    socket.set_multicast_if_v4(&[127, 0, 0, 1].into()).unwrap();
    for _ in 0..1_000 {
        stranger.send_to(b"nonsense", group).await.unwrap();
    }
    until(&a, |host| host.server().counters().malformed > 0).await;
    until(&a, |host| host.counters().datagrams_missed > 0).await;
    assert_eq!(a.host.lock().unwrap().server().servers_heard(), 1);
}

#[tokio::test]
async fn sockets_that_cannot_be_had_say_what_to_do() {
    let taken = std::net::TcpListener::bind((LOCAL, 0)).unwrap();
    let tcp = TcpConfig { port: taken.local_addr().unwrap().port(), ..TcpConfig::default() };
    let error = OutsideSockets::bind(&tcp, &MulticastConfig::default(), &[LOCAL]).unwrap_err();
    assert!(error.code() == 3 && error.to_string().contains("tcp.port"), "{error}");
    let off = TcpConfig { port: 0, ..TcpConfig::default() };
    let group = "239.255.77.2:3863".parse().ok();
    let nowhere = MulticastConfig { asap_group: group, interface: Some([192, 0, 2, 1].into()), ..Default::default() };
    let error = OutsideSockets::bind(&off, &nowhere, &[LOCAL]).unwrap_err();
    assert!(error.code() == 3 && error.to_string().contains("multicast.interface"), "{error}");
}
