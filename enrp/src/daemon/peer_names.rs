//! DNS names of peers: asked again and again, beside the node, which only hears what came of it.

use super::Beside;
use crate::peers::PeerAddressConfig;
use crate::server::PeerAddress;
use std::net::IpAddr;
use std::time::Duration;

/// How long one name may take.
const ANSWER_WITHIN: Duration = Duration::from_secs(5);

/// Peers as configuration has them.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct PeerNames {
    /// Those whose addresses are written there.
    pub known: Vec<PeerAddress>,
    /// Those with a DNS name, with their SCTP port.
    pub names: Vec<(String, u16)>,
}

impl PeerNames {
    /// Of `[peers] servers`.
    #[must_use]
    pub fn new(servers: &[PeerAddressConfig]) -> Self {
        let (named, known): (Vec<_>, Vec<_>) = servers.iter().cloned().partition(|server| !server.name.is_empty());
        let known = known.into_iter().map(|server| PeerAddress { addresses: server.addresses, port: server.port });
        Self { known: known.collect(), names: named.into_iter().map(|server| (server.name, server.port)).collect() }
    }

    /// The peers whose addresses are known without DNS.
    #[must_use]
    pub fn known(self) -> Vec<PeerAddress> {
        self.known
    }

    /// Asks DNS at once and then at this interval, and tells the node when something is another: always after the first time. A name
    /// without an answer keeps the addresses that it had. `None`: there are no names, so nothing is to be asked.
    #[must_use]
    pub fn follow<C: Send + 'static>(
        self,
        every: Duration,
        tell: impl Fn(Vec<PeerAddress>) -> C + Send + 'static,
    ) -> Option<Beside<C>> {
        if self.names.is_empty() {
            return None;
        }
        Some(Box::new(move |commands| {
            Box::pin(async move {
                let mut found = vec![Vec::new(); self.names.len()];
                let mut told = None;
                loop {
                    for ((name, port), addresses) in self.names.iter().zip(&mut found) {
                        resolve(name, *port, addresses).await;
                    }
                    let peers = self.with(&found);
                    if told.as_ref() != Some(&peers) {
                        told = Some(peers.clone());
                        if commands.send(tell(peers)).await.is_err() {
                            return;
                        }
                    }
                    tokio::time::sleep(every).await;
                }
            })
        }))
    }

    fn with(&self, found: &[Vec<IpAddr>]) -> Vec<PeerAddress> {
        let named = self.names.iter().zip(found).filter(|(_, addresses)| !addresses.is_empty());
        let named = named.map(|((_, port), addresses)| PeerAddress { addresses: addresses.clone(), port: *port });
        self.known.iter().cloned().chain(named).collect()
    }
}

/// Sorted, so that another order is nothing new.
async fn resolve(name: &str, port: u16, addresses: &mut Vec<IpAddr>) {
    match tokio::time::timeout(ANSWER_WITHIN, tokio::net::lookup_host((name, port))).await {
        Ok(Ok(answer)) => {
            let mut now: Vec<IpAddr> = answer.map(|address| address.ip()).collect();
            now.sort_unstable();
            now.dedup();
            if now != *addresses {
                tracing::info!(name, addresses = ?now, "peer's addresses");
                *addresses = now;
            }
        }
        Ok(Err(error)) => tracing::warn!(name, %error, "peer's name is not resolved; check it and DNS"),
        Err(_) => tracing::warn!(name, "DNS does not answer in 5 s"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::sync::mpsc;

    fn known() -> PeerAddress {
        PeerAddress { addresses: vec![[127, 0, 0, 9].into()], port: 9901 }
    }

    #[tokio::test]
    async fn names_become_addresses_and_what_is_unknown_is_left_out() {
        let named = |name: &str| PeerAddressConfig { name: name.into(), ..PeerAddressConfig::default() };
        let first = PeerAddressConfig { addresses: known().addresses, ..PeerAddressConfig::default() };
        let peers = PeerNames::new(&[first, named("localhost"), named("no.such.name.invalid")]);
        assert_eq!(peers.clone().known(), [known()]);
        let (sender, mut receiver) = mpsc::channel(1);
        let task = tokio::spawn(peers.follow(Duration::from_secs(60), |peers| peers).unwrap()(sender));
        let told = receiver.recv().await.unwrap();
        assert_eq!(told[0], known());
        assert_eq!(told.len(), 2, "{told:?}");
        assert!(told[1].addresses.iter().all(IpAddr::is_loopback) && !told[1].addresses.is_empty());
        task.abort();
    }

    #[test]
    fn without_names_there_is_nothing_to_ask() {
        let peers = PeerNames { known: vec![known()], names: Vec::new() };
        assert!(peers.clone().follow(Duration::ZERO, |peers| peers).is_none());
        assert_eq!(peers.known(), [known()]);
    }
}
