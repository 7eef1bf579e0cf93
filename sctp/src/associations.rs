//! One face for whoever carries the associations: our own [`Stack`] over UDP or raw IP, or the kernel's SCTP.

use crate::kernel;
use crate::{
    AssocId, AssocState, Config, Connect, Counters, Datagram, Event, Info, SendError, SendOptions, Stack, TooBig,
    Transmit, Unreachable,
};
use bytes::Bytes;
use serde::{Deserialize, Serialize};
use std::fmt;
use std::net::{IpAddr, SocketAddr};
use std::time::{Duration, Instant};

/// What a program wants its associations carried by. In a daemon's file this is the key `transport`.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "lowercase")]
pub enum Transport {
    /// The kernel's SCTP where it has one, else raw IP where that is permitted, else UDP. The log says which, and why.
    Auto,
    /// Our stack over UDP encapsulation (RFC 6951). Needs no privilege.
    #[default]
    Udp,
    /// Our stack over IP protocol 132. Needs CAP_NET_RAW, and a kernel whose own SCTP is not loaded.
    Raw,
    /// The SCTP of the Linux kernel (RFC 6458).
    Kernel,
}

impl Transport {
    /// All of them, as configuration files say them.
    pub const NAMES: [(&'static str, Self); 4] =
        [("auto", Self::Auto), ("udp", Self::Udp), ("raw", Self::Raw), ("kernel", Self::Kernel)];

    /// As configuration files say it.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Auto => "auto",
            Self::Udp => "udp",
            Self::Raw => "raw",
            Self::Kernel => "kernel",
        }
    }
}

/// Who carries the associations: what [`Transport`] came to on this machine.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum BackendKind {
    /// Our stack over UDP encapsulation.
    #[default]
    Udp,
    /// Our stack over IP protocol 132.
    Raw,
    /// The kernel's SCTP.
    Kernel,
}

impl fmt::Display for BackendKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Udp => "UDP",
            Self::Raw => "raw IP",
            Self::Kernel => "kernel SCTP",
        })
    }
}

/// What comes from outside.
#[derive(Debug, Clone)]
pub enum Input {
    /// An SCTP packet.
    Packet(Datagram),
    /// An ICMP error for a packet of ours.
    Unreachable(Unreachable),
    /// A packet of ours was too long for its way.
    TooBig(TooBig),
    /// What the kernel's SCTP says.
    Kernel(kernel::Notice),
}

/// What goes outside.
#[derive(Debug, Clone)]
pub enum Output {
    /// An SCTP packet.
    Packet(Transmit),
    /// What the kernel's SCTP is asked to do.
    Kernel(kernel::Operation),
}

impl From<Datagram> for Input {
    fn from(datagram: Datagram) -> Self {
        Self::Packet(datagram)
    }
}

impl From<Unreachable> for Input {
    fn from(error: Unreachable) -> Self {
        Self::Unreachable(error)
    }
}

impl From<TooBig> for Input {
    fn from(error: TooBig) -> Self {
        Self::TooBig(error)
    }
}

impl Output {
    /// The packet, if it is one: what a simulated network between stacks of ours carries.
    #[must_use]
    pub fn packet(self) -> Option<Transmit> {
        match self {
            Self::Packet(transmit) => Some(transmit),
            Self::Kernel(_) => None,
        }
    }
}

/// What a program does with SCTP associations, whoever carries them. Pure: no socket, no clock.
///
/// Rule of use: after each `handle_*` or application call, drain [`poll_output`](Self::poll_output) and
/// [`poll_event`](Self::poll_event) until `None`, then sleep until [`poll_timeout`](Self::poll_timeout). `now` never goes backwards.
pub trait Associations: fmt::Debug + Send {
    /// Takes associations on this SCTP port.
    fn listen(&mut self, port: u16);
    /// Takes no more associations on this port; those that are up stay.
    fn stop_listening(&mut self, port: u16);
    /// Starts an association. It ends in [`Event::Up`] or [`Event::Closed`].
    ///
    /// # Errors
    /// [`SendError::NotOpen`]: no usable address or port, or there are `associations_max` associations.
    fn connect(&mut self, now: Instant, connect: Connect) -> Result<AssocId, SendError>;
    /// Accepts a message for delivery: it reaches the peer, or comes back in [`Event::Closed`].
    ///
    /// # Errors
    /// [`SendError`]; nothing was taken.
    fn send(&mut self, now: Instant, assoc: AssocId, options: SendOptions, payload: Bytes) -> Result<(), SendError>;
    /// Graceful end: what was accepted is delivered first (RFC 9260 section 9.2). Before it is up, it ends at once.
    fn shutdown(&mut self, now: Instant, assoc: AssocId);
    /// Ends at once with ABORT and an optional User-Initiated Abort reason; the undelivered come back in [`Event::Closed`].
    fn abort(&mut self, now: Instant, assoc: AssocId, reason: &[u8]);
    /// Takes what came from outside.
    fn handle_input(&mut self, now: Instant, input: Input);
    /// Does what is due.
    fn handle_timeout(&mut self, now: Instant);
    /// The next thing to send or to do outside.
    fn poll_output(&mut self, now: Instant) -> Option<Output>;
    /// The next event.
    fn poll_event(&mut self) -> Option<Event>;
    /// When to call [`handle_timeout`](Self::handle_timeout) at the latest. It may be earlier than anything is due.
    fn poll_timeout(&self) -> Option<Instant>;
    /// Accepted and not yet acknowledged messages and bytes of an association.
    fn outstanding(&self, assoc: AssocId) -> (usize, usize);
    /// Smoothed round trip of the primary path, if measured.
    fn rtt(&self, assoc: AssocId) -> Option<Duration>;
    /// How far an association is; `None` once it is closed.
    fn state(&self, assoc: AssocId) -> Option<AssocState>;
    /// The peer's addresses with the UDP encapsulation port, the primary first.
    fn addresses(&self, assoc: AssocId) -> Vec<SocketAddr>;
    /// Everything to show of an association.
    fn info(&self, assoc: AssocId) -> Option<Info>;
    /// Makes one of the peer's addresses the primary path (RFC 9260 section 11.1). False when there is no such association or address,
    /// the address did not prove itself yet (section 5.4), or this backend does not do it.
    fn set_primary(&mut self, _now: Instant, _assoc: AssocId, _address: SocketAddr) -> bool {
        false
    }
    /// Every association, in no order.
    fn associations(&self) -> Vec<AssocId>;
    /// What was counted.
    fn counters(&self) -> Counters;
    /// The settings it was made with.
    fn config(&self) -> &Config;
}

/// The associations of a node, carried by this backend. `local` are the own addresses; `udp_port` is the port that every
/// `SocketAddr` of a peer has where the backend has none (raw IP, kernel); `seed` feeds every random choice.
#[must_use]
pub fn associations(
    backend: BackendKind,
    config: Config,
    local: Vec<IpAddr>,
    udp_port: u16,
    seed: [u8; 32],
    now: Instant,
) -> Box<dyn Associations> {
    match backend {
        // Packets bring the port with them: from the socket, or set by the raw backend.
        BackendKind::Udp | BackendKind::Raw => Box::new(Stack::new(config, local, seed, now)),
        BackendKind::Kernel => Box::new(kernel::KernelStack::new(config, local, udp_port)),
    }
}

impl Associations for Stack {
    fn listen(&mut self, port: u16) {
        self.listen(port);
    }
    fn stop_listening(&mut self, port: u16) {
        self.stop_listening(port);
    }
    fn connect(&mut self, now: Instant, connect: Connect) -> Result<AssocId, SendError> {
        self.connect(now, connect)
    }
    fn send(&mut self, now: Instant, assoc: AssocId, options: SendOptions, payload: Bytes) -> Result<(), SendError> {
        self.send(now, assoc, options, payload)
    }
    fn shutdown(&mut self, now: Instant, assoc: AssocId) {
        self.shutdown(now, assoc);
    }
    fn abort(&mut self, now: Instant, assoc: AssocId, reason: &[u8]) {
        self.abort(now, assoc, reason);
    }
    fn handle_input(&mut self, now: Instant, input: Input) {
        match input {
            Input::Packet(datagram) => self.handle_datagram(now, datagram),
            Input::Unreachable(error) => self.handle_unreachable(now, &error),
            Input::TooBig(error) => self.handle_too_big(now, &error),
            // This stack asks the kernel for nothing, so nothing can be answered.
            Input::Kernel(_) => {}
        }
    }
    fn handle_timeout(&mut self, now: Instant) {
        self.handle_timeout(now);
    }
    fn poll_output(&mut self, now: Instant) -> Option<Output> {
        self.poll_transmit(now).map(Output::Packet)
    }
    fn poll_event(&mut self) -> Option<Event> {
        self.poll_event()
    }
    fn poll_timeout(&self) -> Option<Instant> {
        self.poll_timeout()
    }
    fn outstanding(&self, assoc: AssocId) -> (usize, usize) {
        self.outstanding(assoc)
    }
    fn rtt(&self, assoc: AssocId) -> Option<Duration> {
        self.rtt(assoc)
    }
    fn state(&self, assoc: AssocId) -> Option<AssocState> {
        self.state(assoc)
    }
    fn addresses(&self, assoc: AssocId) -> Vec<SocketAddr> {
        self.addresses(assoc)
    }
    fn info(&self, assoc: AssocId) -> Option<Info> {
        self.info(assoc)
    }
    fn set_primary(&mut self, now: Instant, assoc: AssocId, address: SocketAddr) -> bool {
        self.set_primary(now, assoc, address)
    }
    fn associations(&self) -> Vec<AssocId> {
        self.associations().collect()
    }
    fn counters(&self) -> Counters {
        self.counters()
    }
    fn config(&self) -> &Config {
        self.config()
    }
}
