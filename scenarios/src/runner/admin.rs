//! Asks the admin HTTP of the gateway: who is there, in which state, with how many groups and messages.

use super::address::ADMIN_PORT;
use crate::population;
use crate::results::CaptureFigures;
use serde::Deserialize;
use std::io::{self, Read, Write};
use std::net::{IpAddr, SocketAddr, TcpStream};
use std::time::Duration;

/// Largest answer read, bytes.
const ANSWER_BYTES_MAX: u64 = 8 << 20;
/// An answer that takes longer is none.
const PATIENCE: Duration = Duration::from_millis(800);

/// What a run needs of the gateway's `/state`.
#[derive(Debug, Clone, Default, Deserialize)]
pub struct GatewayState {
    /// One for each application server.
    pub pools: Vec<PoolState>,
    /// What it is to its mate; none without one.
    #[serde(default)]
    pub mate: Option<MateState>,
}

/// A gateway's mate in its `/state`.
#[derive(Debug, Clone, Default, Deserialize)]
pub struct MateState {
    /// joining, lead, follower.
    pub role: String,
    /// The other one has all that this one knows.
    #[serde(default)]
    pub mirrored: bool,
}

/// A pool in the gateway's `/state`.
#[derive(Debug, Clone, Default, Deserialize)]
pub struct PoolState {
    /// State of the application server.
    pub state: String,
    /// Messages waiting or unconfirmed.
    pub queued_messages: u64,
    /// Its elements.
    pub controllers: Vec<ControllerState>,
}

/// A controller in the gateway's `/state`.
#[derive(Debug, Clone, Default, Deserialize)]
pub struct ControllerState {
    /// PE identifier, hex.
    pub pe: String,
    /// connecting, starting, active, draining, inactive, down.
    pub state: String,
    /// Groups it owns.
    pub groups: u64,
    /// Messages sent to it on its association.
    pub messages_up: u64,
    /// Messages from it.
    pub messages_down: u64,
}

impl GatewayState {
    /// It leads, as far as it says.
    #[must_use]
    pub fn leads(&self) -> bool {
        self.mate.as_ref().is_some_and(|mate| mate.role == "lead")
    }

    /// One leads and the other one mirrors it, or there are no mates.
    #[must_use]
    pub fn are_mates(states: &[Self]) -> bool {
        let mirrored = |state: &Self| state.leads() && state.mate.as_ref().is_some_and(|mate| mate.mirrored);
        states.iter().all(|state| state.mate.is_none()) || states.iter().any(mirrored)
    }

    /// How many controllers take traffic.
    #[must_use]
    pub fn active(&self) -> usize {
        self.pools.iter().flat_map(|pool| &pool.controllers).filter(|c| c.state == "active").count()
    }

    /// Messages that are not confirmed yet.
    #[must_use]
    pub fn queued(&self) -> u64 {
        self.pools.iter().map(|pool| pool.queued_messages).sum()
    }
}

/// `GET /state` of the gateway.
///
/// # Errors
/// It does not answer in time, or not what is expected.
pub fn gateway_state(gateway: IpAddr) -> io::Result<GatewayState> {
    let body = request(gateway, "GET", "/state", "")?;
    serde_json::from_slice(&body).map_err(|error| io::Error::new(io::ErrorKind::InvalidData, error))
}

/// What a daemon sent and received over UDP since it began.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct UdpTraffic {
    /// Datagrams, both directions.
    pub datagrams: u64,
    /// Bytes of UDP payload, both directions.
    pub bytes: u64,
}

impl std::iter::Sum for UdpTraffic {
    fn sum<I: Iterator<Item = Self>>(all: I) -> Self {
        all.fold(Self::default(), |sum, one| Self {
            datagrams: sum.datagrams + one.datagrams,
            bytes: sum.bytes + one.bytes,
        })
    }
}

/// From `GET /metrics` of any daemon.
///
/// # Errors
/// It does not answer in time, or a metric is missing.
pub fn udp_traffic(address: IpAddr) -> io::Result<UdpTraffic> {
    udp_metrics(&String::from_utf8_lossy(&request(address, "GET", "/metrics", "")?))
}

/// The same of one name server in its process, which may serve further scopes.
///
/// # Errors
/// As above.
pub fn server_traffic(address: IpAddr, server: &str) -> io::Result<UdpTraffic> {
    let body = request(address, "GET", &format!("/scope/{server}/metrics"), "")?;
    udp_metrics(&String::from_utf8_lossy(&body))
}

fn udp_metrics(text: &str) -> io::Result<UdpTraffic> {
    Ok(UdpTraffic {
        datagrams: metric(text, "udp_datagrams_in_total ")? + metric(text, "udp_datagrams_out_total ")?,
        bytes: metric(text, "udp_bytes_in_total ")? + metric(text, "udp_bytes_out_total ")?,
    })
}

/// A metric without labels; `name` with the space behind it.
fn metric(text: &str, name: &str) -> io::Result<u64> {
    let value = text.lines().find_map(|line| line.strip_prefix(name)?.trim().parse().ok());
    value.ok_or_else(|| io::Error::new(io::ErrorKind::InvalidData, format!("no metric {name}")))
}

/// `GET /state` of a process of a population.
///
/// # Errors
/// It does not answer in time, or not what is expected.
pub fn population_state(address: IpAddr) -> io::Result<population::node::State> {
    let body = request(address, "GET", "/state", "")?;
    serde_json::from_slice(&body).map_err(|error| io::Error::new(io::ErrorKind::InvalidData, error))
}

/// Asks any daemon for its state: whether it is there.
///
/// # Errors
/// It does not answer in time.
pub fn answers(address: IpAddr) -> io::Result<()> {
    request(address, "GET", "/state", "").map(drop)
}

/// `GET /healthz` of any daemon.
///
/// # Errors
/// It does not answer in time.
pub fn healthy(address: IpAddr) -> io::Result<()> {
    request(address, "GET", "/healthz", "").map(drop)
}

/// What the gateway's capture holds and what is missing in it, from `GET /metrics`.
///
/// # Errors
/// It does not answer in time, or does not say.
pub fn capture_figures(gateway: IpAddr) -> io::Result<CaptureFigures> {
    let body = request(gateway, "GET", "/metrics", "")?;
    let text = String::from_utf8_lossy(&body);
    let (packets, dropped) = (metric(&text, "udp_captured_total ")?, metric(&text, "udp_capture_dropped_total ")?);
    Ok(CaptureFigures { packets, dropped })
}

/// `POST /command/<name>` with no body.
///
/// # Errors
/// It does not answer in time, or refuses.
pub fn command(address: IpAddr, name: &str) -> io::Result<()> {
    post(address, &format!("/command/{name}"), "")
}

/// `POST` with a body.
///
/// # Errors
/// It does not answer in time, or refuses.
pub fn post(address: IpAddr, path: &str, body: &str) -> io::Result<()> {
    request(address, "POST", path, body).map(drop)
}

/// How often selection plug-ins of a name server failed.
///
/// # Errors
/// It does not answer in time, or does not say.
pub fn plugin_failures(address: IpAddr, server: &str) -> io::Result<u64> {
    let body = request(address, "GET", &format!("/scope/{server}/metrics"), "")?;
    metric(&String::from_utf8_lossy(&body), "enrp_plugin_failures_total ")
}

fn request(address: IpAddr, method: &str, path: &str, body: &str) -> io::Result<Vec<u8>> {
    let mut stream = TcpStream::connect_timeout(&SocketAddr::new(address, ADMIN_PORT), PATIENCE)?;
    stream.set_read_timeout(Some(PATIENCE))?;
    stream.set_write_timeout(Some(PATIENCE))?;
    let length = body.len();
    write!(
        stream,
        "{method} {path} HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\nContent-Length: {length}\r\n\r\n{body}"
    )?;
    let mut answer = Vec::new();
    stream.take(ANSWER_BYTES_MAX).read_to_end(&mut answer)?;
    let invalid = |what: &str| io::Error::new(io::ErrorKind::InvalidData, what.to_owned());
    let head = answer.windows(4).position(|w| w == b"\r\n\r\n").ok_or_else(|| invalid("no HTTP answer"))?;
    if !answer.starts_with(b"HTTP/1.1 200") {
        let line = String::from_utf8_lossy(&answer[..head]).lines().next().unwrap_or_default().to_owned();
        let reason = String::from_utf8_lossy(&answer[head + 4..]).trim().replace('\n', "; ");
        return Err(invalid(&format!("{line}: {reason}")));
    }
    Ok(answer.split_off(head + 4))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_metrics_of_the_driver_are_found_by_their_names() {
        let counters = sctp::driver::DriverCounters::default().snapshot();
        let text: String = counters.iter().map(|(name, _, value)| format!("udp_{name}_total {value}\n")).collect();
        assert_eq!(udp_metrics(&text).unwrap(), UdpTraffic::default());
        let text = text
            .replace("udp_bytes_in_total 0", "udp_bytes_in_total 70")
            .replace("datagrams_out_total 0", "datagrams_out_total 3");
        assert_eq!(udp_metrics(&text).unwrap(), UdpTraffic { datagrams: 3, bytes: 70 });
        assert!(udp_metrics("udp_datagrams_in_total 1\n").unwrap_err().to_string().contains("udp_datagrams_out_total"));
    }
}
