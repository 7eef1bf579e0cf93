//! M3UA over TCP with real sockets: the program `sg`, a peer of the network and an ordinary ASP that reach it by TCP alone, and
//! connections that send what is no M3UA.
#![allow(clippy::unwrap_used, clippy::wildcard_enum_match_arm, reason = "helpers of tests are tests too")]

use m3ua_lite::wire::{AspActive, AspUp, Beat, Data, Message, ProtocolData, one_context};
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{IpAddr, SocketAddr, TcpStream};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

const BOUND: Duration = Duration::from_secs(20);

const fn ip(last: u8) -> IpAddr {
    IpAddr::V4(std::net::Ipv4Addr::new(127, 96, 77, last))
}

const GATEWAY: IpAddr = ip(1);
const ASP: IpAddr = ip(2);
const PEER: IpAddr = ip(3);
const HOSTILE: IpAddr = ip(4);
const IPSP: IpAddr = ip(5);

fn free_port() -> u16 {
    std::net::TcpListener::bind((GATEWAY, 0)).unwrap().local_addr().unwrap().port()
}

/// The gateway as a process, killed at the end.
struct Gateway {
    child: Child,
    config: PathBuf,
    m3ua: SocketAddr,
    admin: SocketAddr,
}

impl Gateway {
    fn start(name: &str) -> Self {
        let (m3ua, admin) = (SocketAddr::new(GATEWAY, free_port()), SocketAddr::new(GATEWAY, free_port()));
        let config = std::env::temp_dir().join(format!("sg-tcp-{name}-{}.toml", std::process::id()));
        let text = format!(
            "[daemon]\nadmin = \"{admin}\"\n[udp]\naddresses = [\"{GATEWAY}\"]\nport = {}\n\
             [[as]]\ndpc = [2]\nsi = [5]\nasps = [\"{ASP}\"]\n\
             [network]\npoint_codes = [1]\n\
             [network.tcp]\nport = {}\nconnections_per_address_max = 2\nmessage_bytes_max = 65536\n\
             [[network.linkset]]\nname = \"ipsp\"\nmode = \"ipsp\"\npassive = true\n\
             links = [{{ addresses = [\"{IPSP}\"] }}]\nroutes = [{{ dpc = 9 }}]\nrouting_context = 7\n",
            free_port(),
            m3ua.port()
        );
        std::fs::write(&config, text).unwrap();
        let mut command = Command::new(env!("CARGO_BIN_EXE_sg"));
        let command = command.arg("--config").arg(&config).stdin(Stdio::null()).stdout(Stdio::null());
        let mut child = command.stderr(Stdio::piped()).spawn().unwrap();
        let mut lines = BufReader::new(child.stderr.take().unwrap()).lines();
        let ready = lines.by_ref().map_while(Result::ok).find(|line| line.contains("admin"));
        assert!(ready.is_some(), "ended before it was ready");
        std::thread::spawn(move || lines.for_each(drop));
        Self { child, config, m3ua, admin }
    }

    fn connect(&self, from: IpAddr) -> Client {
        let socket = socket2::Socket::new(socket2::Domain::IPV4, socket2::Type::STREAM, None).unwrap();
        socket.bind(&SocketAddr::new(from, 0).into()).unwrap();
        socket.connect(&self.m3ua.into()).unwrap();
        let stream = TcpStream::from(socket);
        stream.set_read_timeout(Some(BOUND)).unwrap();
        stream.set_nodelay(true).unwrap();
        Client(stream)
    }

    fn state(&self) -> serde_json::Value {
        let mut stream = TcpStream::connect(self.admin).unwrap();
        stream.set_read_timeout(Some(BOUND)).unwrap();
        write!(stream, "GET /state HTTP/1.1\r\nHost: sg\r\nConnection: close\r\n\r\n").unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        let body = &answer[answer.find('{').unwrap()..=answer.rfind('}').unwrap()];
        serde_json::from_str(body).unwrap()
    }
}

impl Drop for Gateway {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
        let _ = std::fs::remove_file(&self.config);
    }
}

struct Client(TcpStream);

impl Client {
    fn send(&mut self, message: &Message<'_>) {
        let mut octets = vec![0; message.encoded_len().unwrap()];
        message.encode(&mut octets).unwrap();
        self.0.write_all(&octets).unwrap();
    }

    /// The next message that is no BEAT (those are answered) and no BEAT ACK. None: the connection ended.
    fn next(&mut self) -> Option<Vec<u8>> {
        loop {
            let mut header = [0; 8];
            self.0.read_exact(&mut header).ok()?;
            let length = u32::from_be_bytes(header[4..].try_into().unwrap()) as usize;
            let mut octets = header.to_vec();
            octets.resize(length, 0);
            self.0.read_exact(&mut octets[8..]).ok()?;
            match Message::decode(&octets).unwrap() {
                Message::Beat(Beat { data }) => self.send(&Message::BeatAck(Beat { data })),
                Message::BeatAck(_) => {}
                _ => return Some(octets),
            }
        }
    }

    /// What the next DATA has for the user; management messages before it are passed over.
    fn data(&mut self) -> Vec<u8> {
        loop {
            let octets = self.next().unwrap();
            if let Ok(Message::Data(data)) = Message::decode(&octets) {
                return data.protocol_data.user_data.to_vec();
            }
        }
    }

    fn until(&mut self, name: &str) {
        loop {
            let octets = self.next().unwrap();
            if Message::decode(&octets).unwrap().message_type().name() == name {
                return;
            }
        }
    }

    /// ASPUP and ASPAC.
    fn activate(&mut self, routing_context: Option<u32>) {
        self.send(&Message::AspUp(AspUp { asp_id: Some(9), info: None }));
        self.until("ASPUP ACK");
        let routing_contexts = routing_context.map(one_context).unwrap_or_default();
        self.send(&Message::AspActive(AspActive { traffic_mode: None, routing_contexts, info: None }));
        self.until("ASPAC ACK");
    }

    fn isup(&mut self, (opc, dpc): (u32, u32), user_data: &[u8]) {
        let protocol_data = ProtocolData { opc, dpc, si: 5, ni: 2, mp: 0, sls: 3, user_data };
        let message = Data { network_appearance: None, routing_context: None, protocol_data, correlation_id: None };
        self.send(&Message::Data(message));
    }

    fn has_ended(&mut self) -> bool {
        self.next().is_none()
    }
}

#[test]
fn traffic_flows_both_ways_by_tcp_alone() {
    let gateway = Gateway::start("traffic");
    let mut asp = gateway.connect(ASP);
    asp.activate(None);
    let mut peer = gateway.connect(PEER);
    peer.activate(Some(100));
    for n in 0..200_u8 {
        // Circuit 7, IAM and what belongs to it.
        peer.isup((1, 2), &[7, 0, 1, n]);
    }
    for n in 0..200_u8 {
        assert_eq!(asp.data(), [7, 0, 1, n], "in order");
        asp.isup((2, 1), &[7, 0, 6, n]);
    }
    for n in 0..200_u8 {
        assert_eq!(peer.data(), [7, 0, 6, n]);
    }
    let state = gateway.state();
    assert_eq!(state["tcp"]["connections"], 2);
    assert_eq!(state["network"]["peers"][0]["state"], "ASP-ACTIVE");
    // A message in pieces is one message.
    let whole = [1, 0, 3, 3, 0, 0, 0, 16, 0, 9, 0, 8, 1, 2, 3, 4];
    for octet in whole {
        peer.0.write_all(&[octet]).unwrap();
    }
    peer.isup((1, 2), &[7, 0, 1, 201]);
    assert_eq!(asp.data(), [7, 0, 1, 201]);
}

#[test]
fn an_ipsp_may_come_by_tcp() {
    let gateway = Gateway::start("ipsp");
    let mut asp = gateway.connect(ASP);
    asp.activate(None);
    let mut ipsp = gateway.connect(IPSP);
    ipsp.activate(Some(7));
    ipsp.isup((9, 2), &[7, 0, 1, 1]);
    assert_eq!(asp.data(), [7, 0, 1, 1]);
    asp.isup((2, 9), &[7, 0, 6, 1]);
    assert_eq!(ipsp.data(), [7, 0, 6, 1]);
    assert_eq!(gateway.state()["network"]["linksets"][0]["links_active"], 1);
}

#[test]
fn hostile_lengths_and_too_many_connections_cost_those_alone() {
    let gateway = Gateway::start("hostile");
    let mut peer = gateway.connect(PEER);
    peer.activate(Some(100));
    for length in [0_u32, 7, 65_537, u32::MAX] {
        let mut hostile = gateway.connect(HOSTILE);
        let mut octets = vec![1, 0, 3, 1];
        octets.extend(length.to_be_bytes());
        hostile.0.write_all(&octets).unwrap();
        assert!(hostile.has_ended(), "{length}");
    }
    // A message that M3UA can be told from, but that is wrong, is answered.
    let mut wrong = gateway.connect(HOSTILE);
    wrong.0.write_all(&[2, 0, 3, 1, 0, 0, 0, 8]).unwrap();
    wrong.until("ERR");
    let held = gateway.connect(HOSTILE);
    assert!(gateway.connect(HOSTILE).has_ended(), "two of one address");
    drop(held);
    let state = gateway.state();
    assert_eq!((&state["tcp"]["malformed"], &state["tcp"]["refused"]), (&4.into(), &1.into()));
    // Nobody else noticed.
    assert_eq!(state["network"]["peers"][0]["state"], "ASP-ACTIVE");
    peer.send(&Message::AspUp(AspUp::default()));
    peer.until("ASPUP ACK");
}
