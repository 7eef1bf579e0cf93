//! The gateway's state, asked for in the background.

use super::RunError;
use super::admin::{self, GatewayState};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

/// Asks the gateway for its state in a thread of its own, so that a slow answer never delays a fault.
pub(super) struct Sampler {
    stop: Arc<AtomicBool>,
    latest: Arc<Mutex<GatewayState>>,
}

impl Sampler {
    pub(super) fn start(gateway: std::net::IpAddr) -> Result<Self, RunError> {
        let sampler = Self { stop: Arc::default(), latest: Arc::default() };
        let (stop, latest) = (sampler.stop.clone(), sampler.latest.clone());
        std::thread::Builder::new()
            .name("sampler".into())
            .spawn(move || {
                while !stop.load(Ordering::Relaxed) {
                    if let Ok(state) = admin::gateway_state(gateway) {
                        *latest.lock().unwrap_or_else(PoisonError::into_inner) = state;
                    }
                    std::thread::sleep(Duration::from_millis(450));
                }
            })
            .map_err(|e| RunError::Environment(format!("cannot start a thread: {e}")))?;
        Ok(sampler)
    }

    pub(super) fn latest(&self) -> GatewayState {
        self.latest.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

impl Drop for Sampler {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
    }
}
