//! The gateway's state and the name servers' traffic, asked for in the background.

use super::RunError;
use super::admin::{self, GatewayState};
use std::net::IpAddr;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

/// Time between two looks at a name server's counters.
const TRAFFIC_EACH: Duration = Duration::from_secs(1);

/// When a name server was asked, its name, and how many datagrams it had sent and received.
pub(super) type Look = (Instant, String, u64);

/// Asks in threads of its own, so that a slow answer never delays a fault.
pub(super) struct Sampler {
    stop: Arc<AtomicBool>,
    latest: Arc<Mutex<GatewayState>>,
    looks: Arc<Mutex<Vec<Look>>>,
}

impl Sampler {
    pub(super) fn start(gateways: Vec<IpAddr>, name_servers: Vec<(String, IpAddr)>) -> Result<Self, RunError> {
        let sampler = Self { stop: Arc::default(), latest: Arc::default(), looks: Arc::default() };
        let (stop, latest) = (sampler.stop.clone(), sampler.latest.clone());
        let failed = |e| RunError::Environment(format!("cannot start a thread: {e}"));
        std::thread::Builder::new()
            .name("sampler".into())
            .spawn(move || {
                while !stop.load(Ordering::Relaxed) {
                    if let Some(state) = look(&gateways) {
                        *latest.lock().unwrap_or_else(PoisonError::into_inner) = state;
                    }
                    std::thread::sleep(Duration::from_millis(450));
                }
            })
            .map_err(failed)?;
        if !name_servers.is_empty() {
            let (stop, looks) = (sampler.stop.clone(), sampler.looks.clone());
            let watch = move || watch_traffic(&name_servers, &stop, &looks);
            std::thread::Builder::new().name("sampler-names".into()).spawn(watch).map_err(failed)?;
        }
        Ok(sampler)
    }

    pub(super) fn latest(&self) -> GatewayState {
        self.latest.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// What the name servers sent and received, each second so far.
    pub(super) fn traffic(&self) -> Vec<Look> {
        self.looks.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

/// The state of the gateway that leads, else of the first that answers.
fn look(gateways: &[IpAddr]) -> Option<GatewayState> {
    let mut states: Vec<_> = gateways.iter().filter_map(|gateway| admin::gateway_state(*gateway).ok()).collect();
    let leads = states.iter().position(GatewayState::leads).unwrap_or(0);
    (!states.is_empty()).then(|| states.swap_remove(leads))
}

fn watch_traffic(name_servers: &[(String, IpAddr)], stop: &AtomicBool, looks: &Mutex<Vec<Look>>) {
    let mut next = Instant::now();
    while !stop.load(Ordering::Relaxed) {
        for (name, address) in name_servers {
            // One that is dead does not answer.
            if let Ok(traffic) = admin::server_traffic(*address, name) {
                let look = (Instant::now(), name.clone(), traffic.datagrams);
                looks.lock().unwrap_or_else(PoisonError::into_inner).push(look);
            }
        }
        next += TRAFFIC_EACH;
        std::thread::sleep(next.saturating_duration_since(Instant::now()));
    }
}

impl Drop for Sampler {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
    }
}
