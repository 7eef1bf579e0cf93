//! What comes to a name server other than by SCTP, from the sockets to the node: TCP connections ([`tcp`](super::tcp)) and multicast
//! groups ([`multicast`](super::multicast)).
//!
//! Everything waits in one bounded queue, and goes to the node in batches, one at a time: of the node's commands, which the admin
//! server needs too, it takes one place. A connection waits until there is room; a datagram does not, it is dropped and counted.

use super::multicast::Groups;
use super::tcp::{Framing, TcpShell};
use super::{DaemonError, MulticastConfig, TcpConfig};
use crate::host::OutsideInput;
use std::net::IpAddr;
use tokio::sync::{mpsc, oneshot};
use tokio::task::JoinSet;

/// Inputs that wait for the node.
const INPUTS_MAX: usize = 1_024;
/// Inputs the node takes at once.
const BATCH_MAX: usize = 256;

/// Inputs in their order, for [`Host::outside`](crate::Host::outside). The next ones come when it is dropped.
#[derive(Debug)]
pub struct OutsideBatch {
    inputs: Vec<OutsideInput>,
    _taken: oneshot::Sender<()>,
}

impl OutsideBatch {
    /// Takes the inputs out.
    pub fn inputs(&mut self) -> impl Iterator<Item = OutsideInput> + '_ {
        self.inputs.drain(..)
    }
}

/// Bound sockets that nobody serves yet.
#[derive(Debug)]
pub struct OutsideSockets {
    tcp: TcpShell,
    groups: Groups,
}

impl OutsideSockets {
    /// Binds what the settings say; `addresses` are the server's own.
    ///
    /// # Errors
    /// Environment: a port that is taken, a group that cannot be joined.
    pub fn bind(tcp: &TcpConfig, multicast: &MulticastConfig, addresses: &[IpAddr]) -> Result<Self, DaemonError> {
        Ok(Self { tcp: TcpShell::bind(tcp, addresses)?, groups: Groups::bind(multicast, addresses)? })
    }

    /// Binds for TCP alone, for messages of another kind than ASAP's.
    ///
    /// # Errors
    /// Environment: a port that is taken.
    pub fn tcp(config: &TcpConfig, framing: Framing, addresses: &[IpAddr]) -> Result<Self, DaemonError> {
        let groups = Groups::bind(&MulticastConfig::default(), addresses)?;
        Ok(Self { tcp: TcpShell::bind_framed(config, framing, addresses)?, groups })
    }

    /// Serves the sockets until the node is gone, or it is dropped.
    pub async fn serve<C>(self, commands: mpsc::Sender<C>)
    where
        C: From<OutsideBatch> + Send + 'static,
    {
        let Self { tcp, groups } = self;
        let (inputs, mut waiting) = mpsc::channel(INPUTS_MAX);
        let mut tasks = JoinSet::new();
        tcp.start(&mut tasks, &inputs);
        groups.start(&mut tasks, &inputs);
        drop(inputs);
        // `tasks` end with this: nothing is read when nobody takes it.
        let mut batch = Vec::new();
        while waiting.recv_many(&mut batch, BATCH_MAX).await > 0 {
            let (taken, is_taken) = oneshot::channel();
            let batch = OutsideBatch { inputs: std::mem::take(&mut batch), _taken: taken };
            if commands.send(C::from(batch)).await.is_err() {
                return;
            }
            // Dropped, not answered.
            let _ = is_taken.await;
        }
    }
}
