//! Ctrl-C and SIGTERM as a flag: a run ends its children in order and still writes its results.

use crate::runner::RunError;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use tokio::signal::unix::{SignalKind, signal};

/// Watches from its making to the end of the program.
#[derive(Debug, Clone)]
pub(crate) struct Interrupt(Arc<AtomicBool>);

impl Interrupt {
    /// Starts to watch, in a thread of its own.
    ///
    /// # Errors
    /// [`RunError::Environment`]: no thread, no signals.
    pub(crate) fn watch() -> Result<Self, RunError> {
        let failed = |e: std::io::Error| RunError::Environment(format!("cannot watch for signals: {e}"));
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(failed)?;
        let (mut interrupt, mut terminate) = {
            let _inside = runtime.enter();
            (signal(SignalKind::interrupt()).map_err(failed)?, signal(SignalKind::terminate()).map_err(failed)?)
        };
        let flag = Arc::new(AtomicBool::new(false));
        let seen = Arc::clone(&flag);
        let watch = move || {
            runtime.block_on(async {
                loop {
                    tokio::select! {
                        _ = interrupt.recv() => {},
                        _ = terminate.recv() => {},
                    }
                    seen.store(true, Ordering::Relaxed);
                }
            });
        };
        std::thread::Builder::new().name("signals".into()).spawn(watch).map_err(failed)?;
        Ok(Self(flag))
    }

    /// True once the user asked to end.
    pub(crate) fn seen(&self) -> bool {
        self.0.load(Ordering::Relaxed)
    }
}
