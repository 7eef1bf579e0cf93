//! Waiting: an epoll set of our own with the sockets and a timer in it, itself waited for by tokio.
//!
//! Why not tokio's sockets and timer: tokio's timer counts whole milliseconds; its `writable()` never sleeps again after an
//! ICMP error (trap 3 of the error queue); and one set serves any number of sockets without a future for each. The set is level-triggered.

use nix::errno::Errno;
use nix::sys::epoll::{Epoll, EpollCreateFlags, EpollEvent, EpollFlags, EpollTimeout};
use nix::sys::time::TimeSpec;
use nix::sys::timerfd::{ClockId, Expiration, TimerFd, TimerFlags, TimerSetTimeFlags};
use std::io;
use std::os::fd::{AsFd, AsRawFd, RawFd};
use std::time::{Duration, Instant};
use tokio::io::Interest;
use tokio::io::unix::AsyncFd;

const TIMER: u64 = u64::MAX;

/// Ready descriptors told at once; the rest is told the next time.
const EVENTS: usize = 256;

/// What a descriptor is ready for.
#[derive(Debug, Clone, Copy)]
pub(super) struct Ready {
    /// The key it was added with.
    pub(super) key: usize,
    /// Its error queue has something.
    pub(super) error: bool,
    /// Datagrams.
    pub(super) readable: bool,
    /// Room to send; only told while asked for.
    pub(super) writable: bool,
}

struct EpollFd(Epoll);

impl AsRawFd for EpollFd {
    fn as_raw_fd(&self) -> RawFd {
        self.0.0.as_raw_fd()
    }
}

pub(super) struct Poller {
    epoll: AsyncFd<EpollFd>,
    timer: TimerFd,
    /// When the timer will fire. It is left alone while it fires before the time asked for: timers mostly move later, and a
    /// wake for nothing is cheaper than a system call for each move.
    armed: Option<Instant>,
    events: Vec<EpollEvent>,
}

impl Poller {
    pub(super) fn new() -> io::Result<Self> {
        let epoll = Epoll::new(EpollCreateFlags::EPOLL_CLOEXEC)?;
        let timer = TimerFd::new(ClockId::CLOCK_MONOTONIC, TimerFlags::TFD_NONBLOCK | TimerFlags::TFD_CLOEXEC)?;
        epoll.add(&timer, EpollEvent::new(EpollFlags::EPOLLIN, TIMER))?;
        #[expect(
            deprecated,
            reason = "its successor is unsafe; what it asks for holds: EpollFd owns its one descriptor"
        )]
        let epoll = AsyncFd::with_interest(EpollFd(epoll), Interest::READABLE)?;
        Ok(Self { epoll, timer, armed: None, events: vec![EpollEvent::empty(); EVENTS] })
    }

    /// What is ready now, or within `linger`, in which the whole thread sleeps.
    pub(super) fn poll(&mut self, ready: &mut Vec<Ready>, linger: EpollTimeout) -> io::Result<()> {
        ready.clear();
        let count = match self.epoll.get_ref().0.wait(&mut self.events, linger) {
            Ok(count) => count,
            Err(Errno::EINTR) => 0,
            Err(error) => return Err(error.into()),
        };
        for event in &self.events[..count] {
            if event.data() == TIMER {
                // Only resets it; a timer that was set anew meanwhile has nothing to read.
                let _ = self.timer.wait();
                self.armed = None;
                continue;
            }
            let has = |flag| event.events().contains(flag);
            ready.push(Ready {
                key: usize::try_from(event.data()).expect("invariant: an index of ours"),
                error: has(EpollFlags::EPOLLERR),
                readable: has(EpollFlags::EPOLLIN),
                writable: has(EpollFlags::EPOLLOUT),
            });
        }
        Ok(())
    }

    /// Takes a descriptor in, to be told when it has something to read or an error. `key` names it in [`Ready`].
    pub(super) fn add(&self, key: usize, descriptor: impl AsFd) -> io::Result<()> {
        Ok(self.epoll.get_ref().0.add(descriptor, event(key, false))?)
    }

    /// Asks for (or no longer for) room to send.
    pub(super) fn want_writable(&self, key: usize, descriptor: impl AsFd, wanted: bool) -> io::Result<()> {
        Ok(self.epoll.get_ref().0.modify(descriptor, &mut event(key, wanted))?)
    }

    /// Sets the timer for the next [`wait`](Self::wait). `now`: when this round began.
    pub(super) fn arm(&mut self, deadline: Instant, now: Instant) -> io::Result<()> {
        if self.armed.is_some_and(|armed| armed > now && armed <= deadline) {
            return Ok(());
        }
        // The round took its time. Zero would switch the timer off.
        let after = deadline.saturating_duration_since(Instant::now()).max(Duration::from_nanos(1));
        self.timer.set(Expiration::OneShot(TimeSpec::from_duration(after)), TimerSetTimeFlags::empty())?;
        self.armed = Some(deadline);
        Ok(())
    }

    /// Sleeps until a socket or the timer may have something; [`poll`](Self::poll) tells. Cancel safe.
    pub(super) async fn wait(&self) -> io::Result<()> {
        // An event between `clear_ready` and `poll` is seen by `poll`, one after it wakes the next `wait`.
        self.epoll.readable().await?.clear_ready();
        Ok(())
    }
}

fn event(key: usize, writable: bool) -> EpollEvent {
    // EPOLLERR is always told.
    let flags = if writable { EpollFlags::EPOLLIN | EpollFlags::EPOLLOUT } else { EpollFlags::EPOLLIN };
    EpollEvent::new(flags, key as u64)
}
