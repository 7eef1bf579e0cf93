//! The machine itself: a sentinel that notices when it stalls, and a thief that takes a core away.

use enrp::daemon::clock_anchor;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

/// The sentinel sleeps this long, again and again.
const NAP: Duration = Duration::from_millis(5);
/// Waking up later than this is noted.
const NOTED: Duration = Duration::from_millis(20);
/// After a stolen core is given back, stalls are still the thief's for this long, ns.
const AFTERMATH_NS: u64 = 50_000_000;
/// Threads that spin on the stolen core: whoever else is there gets one part in nine until the scheduler moves it.
const THIEVES: usize = 8;

/// Stalls that were noticed: (CLOCK_MONOTONIC ns of the end, length in ns).
type Stalls = Arc<Mutex<Vec<(u64, u64)>>>;

/// A thread that sleeps for 5 ms again and again and notes when it overslept.
#[derive(Debug)]
pub struct Sentinel {
    stop: Arc<AtomicBool>,
    stalls: Stalls,
    /// Stalls that end before this are caused by the scenario itself.
    excused_until_ns: Arc<AtomicU64>,
    thread: Option<JoinHandle<()>>,
}

impl Sentinel {
    /// Starts watching.
    ///
    /// # Errors
    /// No thread can be started.
    pub fn start() -> std::io::Result<Self> {
        let (stop, stalls) = (Arc::new(AtomicBool::new(false)), Stalls::default());
        let excused_until_ns = Arc::new(AtomicU64::new(0));
        let (stop_in, stalls_in, excused_in) = (stop.clone(), stalls.clone(), excused_until_ns.clone());
        let thread = std::thread::Builder::new().name("sentinel".into()).spawn(move || {
            let clock = clock_anchor();
            while !stop_in.load(Ordering::Relaxed) {
                let before = Instant::now();
                std::thread::sleep(NAP);
                let overslept = before.elapsed().saturating_sub(NAP);
                let now_ns = clock.ns(Instant::now());
                if overslept > NOTED && now_ns > excused_in.load(Ordering::Relaxed) {
                    let length = u64::try_from(overslept.as_nanos()).unwrap_or(u64::MAX);
                    stalls_in.lock().unwrap_or_else(PoisonError::into_inner).push((now_ns, length));
                }
            }
        })?;
        Ok(Self { stop, stalls, excused_until_ns, thread: Some(thread) })
    }

    /// Stalls that end before `until_ns` (and a little later) belong to the scenario.
    pub fn excuse(&self, until_ns: u64) {
        self.excused_until_ns.store(until_ns + AFTERMATH_NS, Ordering::Relaxed);
    }

    /// Stalls since the last question.
    #[must_use]
    pub fn take(&self) -> Vec<(u64, u64)> {
        std::mem::take(&mut self.stalls.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

impl Drop for Sentinel {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        if let Some(thread) = self.thread.take() {
            // It cannot panic; and if it did, the run's verdict does not depend on it any more.
            let _ = thread.join();
        }
    }
}

/// Takes the last core of those this process may use, for a time. An ordinary user cannot take all of it: spinning threads
/// leave others one part in nine.
///
/// # Errors
/// Threads cannot be started.
pub fn steal_core(duration: Duration) -> std::io::Result<()> {
    use nix::sched::{CpuSet, sched_getaffinity, sched_setaffinity};
    use nix::unistd::Pid;
    let this_thread = Pid::from_raw(0);
    let mut target = CpuSet::new();
    if let Ok(own) = sched_getaffinity(this_thread) {
        let last = (0..CpuSet::count()).rev().find(|core| own.is_set(*core).unwrap_or(false)).unwrap_or(0);
        target.set(last)?;
    }
    let end = Instant::now() + duration;
    for _ in 0..THIEVES {
        std::thread::Builder::new().name("thief".into()).spawn(move || {
            // Without affinity it still takes a core, only not always the same.
            let _ = sched_setaffinity(this_thread, &target);
            while Instant::now() < end {
                std::hint::spin_loop();
            }
        })?;
    }
    Ok(())
}
