//! How packets travel: the trait of the backends, and the sockets of a node, whichever backend they are of.

use super::kernel::KernelSockets;
use super::packet::Framing;
use super::packets::{PacketSockets, kernel_in_the_way, permitted};
use super::poller::{Poller, Ready};
use super::{DriverConfig, DriverCounters, Node, Tap};
use crate::{BackendKind, Input, Output, Transport};
use std::fmt;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Instant;

/// Why a socket cannot be had. Its text says what to do about it. An environment error (exit 3).
#[derive(Debug, thiserror::Error)]
#[error("cannot bind {what} {address}: {source}; {remedy}")]
pub struct BindError {
    /// What sort of socket: UDP, raw IP, SCTP.
    pub what: &'static str,
    /// The address asked for.
    pub address: SocketAddr,
    /// What the system said.
    pub source: io::Error,
    /// What to do.
    pub remedy: String,
}

/// The half of a [`Node`] that a backend sees.
pub(super) trait Feed {
    fn input(&mut self, now: Instant, input: Input);
    fn output(&mut self, now: Instant) -> Option<Output>;
}

impl<N: Node> Feed for N {
    fn input(&mut self, now: Instant, input: Input) {
        self.handle_input(now, input);
    }
    fn output(&mut self, now: Instant) -> Option<Output> {
        self.poll_output(now)
    }
}

/// What a backend works with in a round.
pub(super) struct Round<'a> {
    pub(super) node: &'a mut dyn Feed,
    pub(super) poller: &'a Poller,
    pub(super) tap: Option<&'a mut Tap>,
}

/// What came.
#[derive(Debug, Clone, Copy)]
pub(super) struct Taken {
    /// Nothing was left there.
    pub(super) drained: bool,
    /// When the last of it was taken. `None`: nothing came.
    pub(super) at: Option<Instant>,
}

impl Taken {
    /// Nothing yet.
    pub(super) const NOTHING: Self = Self { drained: true, at: None };

    /// And this, later, from another descriptor.
    pub(super) fn add(&mut self, other: Self) {
        self.drained &= other.drained;
        self.at = other.at.or(self.at);
    }
}

/// Sockets of one kind. It owns them with all that waits for them; the loop owns time, node, poller and tap.
pub(super) trait Backend: fmt::Debug + Send {
    /// Which it is.
    fn kind(&self) -> BackendKind;
    /// The own addresses with the UDP encapsulation port, in the order of the configuration.
    fn local(&self) -> Vec<SocketAddr>;
    /// Puts its descriptors into the poller. Called once, before anything else.
    fn start(&mut self, poller: &Poller) -> io::Result<()>;
    /// Hands the node what came on descriptors that are ready, up to the budget.
    fn receive(&mut self, ready: &[Ready], round: Round<'_>) -> io::Result<Taken>;
    /// Takes what the node has to send, up to the budget, and sends it. True when there is more to do at once: more to send, or
    /// inputs that came up meanwhile.
    fn send(&mut self, now: Instant, round: Round<'_>) -> io::Result<bool>;
}

/// The bound sockets of one node, ready for [`run`](super::run()).
#[derive(Debug)]
pub struct Sockets {
    pub(super) backend: Box<dyn Backend>,
    counters: Arc<DriverCounters>,
}

impl Sockets {
    /// Binds one UDP socket for each address of the configuration.
    ///
    /// # Errors
    /// [`BindError`]: port in use, address not on this machine, no permission, no address at all.
    pub fn bind(config: &DriverConfig) -> Result<Self, BindError> {
        Self::packets(Framing::Udp, config)
    }

    /// Opens the sockets of the transport that was asked for. [`Transport::Auto`] takes the best this machine has, and the log
    /// says which, and why.
    ///
    /// # Errors
    /// [`BindError`]: as [`bind`](Self::bind); what the machine has not, or this process may not.
    pub fn open(transport: Transport, config: &DriverConfig) -> Result<Self, BindError> {
        match transport {
            Transport::Udp => Self::bind(config),
            Transport::Raw => Self::packets(Framing::Ip, config),
            Transport::Kernel => Self::kernel(config),
            Transport::Auto => Self::auto(config),
        }
    }

    fn auto(config: &DriverConfig) -> Result<Self, BindError> {
        if kernel_in_the_way() {
            tracing::info!("transport kernel: this kernel has SCTP");
            Self::kernel(config)
        } else if permitted() {
            tracing::info!("transport raw: this kernel has no SCTP, and raw sockets are permitted");
            Self::packets(Framing::Ip, config)
        } else {
            tracing::info!("transport udp: this kernel has no SCTP, and raw sockets are not permitted");
            Self::packets(Framing::Udp, config)
        }
    }

    fn packets(framing: Framing, config: &DriverConfig) -> Result<Self, BindError> {
        let counters = Arc::<DriverCounters>::default();
        let backend = Box::new(PacketSockets::bind(framing, config, &counters)?);
        Ok(Self { backend, counters })
    }

    fn kernel(config: &DriverConfig) -> Result<Self, BindError> {
        let counters = Arc::<DriverCounters>::default();
        let backend = Box::new(KernelSockets::bind(config, &counters)?);
        Ok(Self { backend, counters })
    }

    /// Which backend they are of.
    #[must_use]
    pub fn kind(&self) -> BackendKind {
        self.backend.kind()
    }

    /// The bound addresses with their UDP port, in the order of the configuration.
    #[must_use]
    pub fn local(&self) -> Vec<SocketAddr> {
        self.backend.local()
    }

    /// The counters; keep a clone to read them while the driver runs.
    #[must_use]
    pub fn counters(&self) -> Arc<DriverCounters> {
        Arc::clone(&self.counters)
    }
}
