//! The machine itself: a sentinel that notices when it stalls, and a thief that takes a core away.

use enrp::daemon::clock_anchor;
use nix::sched::{CpuSet, sched_getaffinity, sched_setaffinity};
use nix::unistd::Pid;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

/// The sentinel sleeps this long, again and again.
const NAP: Duration = Duration::from_millis(5);
/// Waking up later than this is noted.
const NOTED: Duration = Duration::from_millis(10);
/// After a stolen core is given back, stalls are still the thief's for this long, ns.
const AFTERMATH_NS: u64 = 50_000_000;
/// Threads that spin on the stolen core: whoever else is there gets one part in nine until the scheduler moves it.
const THIEVES: usize = 8;
/// Cores that are watched.
const CORES_MAX: usize = 16;
const THIS_THREAD: Pid = Pid::from_raw(0);

/// Stalls that were noticed: (CLOCK_MONOTONIC ns of the end, length in ns).
type Stalls = Arc<Mutex<Vec<(u64, u64)>>>;

/// A thread on each core that sleeps for 5 ms again and again and notes when it overslept. One thread alone would not notice that the
/// other core stood still: a host takes virtual cores away one by one.
#[derive(Debug)]
pub struct Sentinel {
    stop: Arc<AtomicBool>,
    stalls: Stalls,
    /// Stalls that end before this are caused by the scenario itself.
    excused_until_ns: Arc<AtomicU64>,
    threads: Vec<JoinHandle<()>>,
}

impl Sentinel {
    /// Starts watching.
    ///
    /// # Errors
    /// No thread can be started.
    pub fn start() -> std::io::Result<Self> {
        let mut this = Self {
            stop: Arc::default(),
            stalls: Stalls::default(),
            excused_until_ns: Arc::default(),
            threads: Vec::new(),
        };
        let cores = own_cores();
        // Without affinity there is one that sleeps anywhere.
        let cores = if cores.is_empty() { vec![None] } else { cores.into_iter().take(CORES_MAX).map(Some).collect() };
        for core in cores {
            let (stop, stalls, excused) = (this.stop.clone(), this.stalls.clone(), this.excused_until_ns.clone());
            let thread = std::thread::Builder::new().name("sentinel".into()).spawn(move || {
                if let Some(core) = core {
                    // Anywhere is better than not at all.
                    let _ = sched_setaffinity(THIS_THREAD, &core);
                }
                watch(&stop, &stalls, &excused);
            })?;
            this.threads.push(thread);
        }
        Ok(this)
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

fn watch(stop: &AtomicBool, stalls: &Mutex<Vec<(u64, u64)>>, excused_until_ns: &AtomicU64) {
    let clock = clock_anchor();
    while !stop.load(Ordering::Relaxed) {
        let before = Instant::now();
        std::thread::sleep(NAP);
        let overslept = before.elapsed().saturating_sub(NAP);
        let now_ns = clock.ns(Instant::now());
        if overslept > NOTED && now_ns > excused_until_ns.load(Ordering::Relaxed) {
            let length = u64::try_from(overslept.as_nanos()).unwrap_or(u64::MAX);
            stalls.lock().unwrap_or_else(PoisonError::into_inner).push((now_ns, length));
        }
    }
}

impl Drop for Sentinel {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        for thread in self.threads.drain(..) {
            // It cannot panic; and if it did, the run's verdict does not depend on it any more.
            let _ = thread.join();
        }
    }
}

/// The cores that this process may use, each as a set of one.
fn own_cores() -> Vec<CpuSet> {
    let Ok(own) = sched_getaffinity(THIS_THREAD) else { return Vec::new() };
    let cores = (0..CpuSet::count()).filter(|core| own.is_set(*core).unwrap_or(false));
    cores
        .filter_map(|core| {
            let mut set = CpuSet::new();
            set.set(core).ok().map(|()| set)
        })
        .collect()
}

/// Takes the last core of those this process may use, for a time. An ordinary user cannot take all of it: spinning threads
/// leave others one part in nine.
///
/// # Errors
/// Threads cannot be started.
pub fn steal_core(duration: Duration) -> std::io::Result<()> {
    let target = own_cores().pop();
    let end = Instant::now() + duration;
    for _ in 0..THIEVES {
        std::thread::Builder::new().name("thief".into()).spawn(move || {
            // Without affinity it still takes a core, only not always the same.
            if let Some(target) = target {
                let _ = sched_setaffinity(THIS_THREAD, &target);
            }
            while Instant::now() < end {
                std::hint::spin_loop();
            }
        })?;
    }
    Ok(())
}
