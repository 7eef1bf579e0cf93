//! The loop.

use super::backend::{Backend, Round, Taken};
use super::packet::Framing;
use super::poller::{Poller, Ready};
use super::{Node, Sockets, Tap};
use crate::BackendKind;
use nix::sys::epoll::EpollTimeout;
use std::io;
use std::time::{Duration, Instant};
use tokio::sync::mpsc::{self, error::TryRecvError};

/// Commands taken in one round.
const COMMANDS_MAX: usize = 64;
/// Timeouts wait this long for datagrams that are already here: after a stall of the whole machine the peers' answers lie in
/// the sockets, and a timer served first would call them silent.
const TIMEOUT_DEFERRED_MAX: Duration = Duration::from_millis(50);
/// A busy loop gives the thread's other tasks their turn this often.
const YIELD_EVERY: Duration = Duration::from_millis(1);

/// How the sockets are looked at.
#[derive(Debug, Clone, Copy)]
enum Look {
    /// Right after a sleep: the one that woke us last is read first.
    Usual,
    /// What is there?
    Ask,
    /// Something came a moment ago, and more is likely: waits a moment for the sockets alone. A sleep through tokio costs five more
    /// system calls, two in its epoll set and ours and three looks at the clock, which in a guest each delay the answer to a single
    /// peer. Other tasks of the thread wait [`LINGER_MS`] longer at most, and have their turn as in a busy loop.
    Linger,
}

/// See [`Look::Linger`].
const LINGER_MS: u8 = 1;

/// Runs the node until it is [`finished`](Node::finished), and gives it back. Must be called on a current-thread tokio
/// runtime with I/O enabled; other tasks (admin, signals) share that thread and get their turn.
///
/// A closed command channel is no error: the node goes on without it. Dropping the future stops everything between two
/// rounds, when what was flushed is on disk and what was polled is sent; the tap's file is then complete too.
///
/// Timers have the precision of a `timerfd` (some 50 µs), not tokio's millisecond.
///
/// # Errors
/// What [`Node::flush`] said, or an epoll or timer that cannot be made. A packet or a peer never is an error.
pub async fn run<N: Node>(
    mut node: N,
    sockets: Sockets,
    mut commands: mpsc::Receiver<N::Command>,
    tap: Option<Tap>,
) -> io::Result<N> {
    let mut rounds = Rounds::new(sockets, tap)?;
    let mut open = true;
    let mut command = None;
    // Since it slept last, once that is known to be worth a look.
    let mut awake_since = None;
    let mut look = Look::Ask;
    loop {
        let (more_in, at) = rounds.inputs(&mut node, look)?;
        // One look at the clock: in a guest each is a system call.
        let now = at.unwrap_or_else(Instant::now);
        let more_commands = rounds.commands(now, &mut node, &mut commands, &mut open, command.take());
        rounds.timeout(now, &mut node);
        let more_out = rounds.outputs(now, &mut node)?;
        if node.finished() && !more_out {
            break;
        }
        let more = more_in || more_commands || more_out;
        let deadline = node.poll_timeout();
        let due = more || deadline.is_some_and(|deadline| deadline <= now);
        if due || at.is_some() {
            look = if due { Look::Ask } else { Look::Linger };
            if now.saturating_duration_since(*awake_since.get_or_insert(now)) >= YIELD_EVERY {
                tokio::task::yield_now().await;
                (awake_since, look) = (None, Look::Ask);
            } else if let (Look::Linger, Some(deadline)) = (look, deadline) {
                rounds.poller.arm(deadline, now)?;
            }
            continue;
        }
        if let Some(deadline) = deadline {
            rounds.poller.arm(deadline, now)?;
        }
        tokio::select! {
            ready = rounds.poller.wait() => ready?,
            next = commands.recv(), if open => match next {
                Some(next) => command = Some(next),
                None => open = false,
            },
        }
        awake_since = None;
        look = Look::Usual;
    }
    if let Some(tap) = rounds.tap {
        tap.finish();
    }
    Ok(node)
}

/// Everything of the loop but the node.
struct Rounds {
    backend: Box<dyn Backend>,
    poller: Poller,
    tap: Option<Tap>,
    ready: Vec<Ready>,
    /// The first descriptor to be served, so that none is always first when the budget is short.
    first: usize,
    /// All sockets were empty at the end of the last inputs.
    drained: bool,
    /// Since when a timeout waits for datagrams.
    deferred: Option<Instant>,
    /// The one descriptor that had something when we looked last.
    usual: Option<Ready>,
}

impl Rounds {
    fn new(sockets: Sockets, mut tap: Option<Tap>) -> io::Result<Self> {
        let mut backend = sockets.backend;
        if let (BackendKind::Raw, Some(tap)) = (backend.kind(), &mut tap) {
            tap.set_framing(Framing::Ip);
        }
        let poller = Poller::new()?;
        backend.start(&poller)?;
        Ok(Self { backend, poller, tap, ready: Vec::new(), first: 0, drained: true, deferred: None, usual: None })
    }

    /// Takes what the sockets have, up to the budget. True when there may be more; and when the last of it was taken.
    fn inputs(&mut self, node: &mut impl Node, look: Look) -> io::Result<(bool, Option<Instant>)> {
        let linger = match look {
            Look::Usual => return self.first_input(node),
            Look::Ask => EpollTimeout::ZERO,
            Look::Linger => EpollTimeout::from(LINGER_MS),
        };
        self.poller.poll(&mut self.ready, linger)?;
        if self.ready.is_empty() {
            self.drained = true;
            return Ok((false, None));
        }
        self.usual = match self.ready[..] {
            [only] if only.readable && !only.error && !only.writable => Some(only),
            [..] => None,
        };
        self.first = self.first.wrapping_add(1);
        let start = self.first % self.ready.len();
        self.ready.rotate_left(start);
        let round = Round { node, poller: &self.poller, tap: self.tap.as_mut() };
        let Taken { drained, at } = self.backend.receive(&self.ready, round)?;
        self.drained = drained;
        Ok((!drained, at))
    }

    /// As [`inputs`](Self::inputs), right after a sleep: where one peer is at work, what woke us is where the last datagram came
    /// from. It is read without asking which it is, so that the answer leaves a system call earlier; what else is ready is
    /// asked when it is sent.
    fn first_input(&mut self, node: &mut impl Node) -> io::Result<(bool, Option<Instant>)> {
        let Some(usual) = self.usual else { return self.inputs(node, Look::Ask) };
        let round = Round { node, poller: &self.poller, tap: self.tap.as_mut() };
        let Taken { at, .. } = self.backend.receive(&[usual], round)?;
        if at.is_none() {
            self.usual = None;
            return self.inputs(node, Look::Ask);
        }
        // Others were not looked at.
        self.drained = false;
        Ok((true, at))
    }

    /// Takes commands, `first` before those in the channel. True when there may be more.
    fn commands<N: Node>(
        &mut self,
        now: Instant,
        node: &mut N,
        commands: &mut mpsc::Receiver<N::Command>,
        open: &mut bool,
        first: Option<N::Command>,
    ) -> bool {
        if let Some(command) = first {
            node.handle_command(now, command);
        }
        for _ in 0..COMMANDS_MAX {
            match commands.try_recv() {
                Ok(command) => node.handle_command(now, command),
                Err(TryRecvError::Empty) => return false,
                Err(TryRecvError::Disconnected) => {
                    *open = false;
                    return false;
                }
            }
        }
        true
    }

    /// Lets the node do what is due.
    fn timeout(&mut self, now: Instant, node: &mut impl Node) {
        if node.poll_timeout().is_none_or(|deadline| deadline > now) {
            return;
        }
        let since = *self.deferred.get_or_insert(now);
        if self.drained || now.saturating_duration_since(since) >= TIMEOUT_DEFERRED_MAX {
            self.deferred = None;
            node.handle_timeout(now);
        }
    }

    /// Flushes the node, then sends what it has, up to the budget. True when there is more to do at once.
    fn outputs(&mut self, now: Instant, node: &mut impl Node) -> io::Result<bool> {
        node.flush(now)?;
        let more = self.backend.send(now, Round { node, poller: &self.poller, tap: self.tap.as_mut() })?;
        if let Some(tap) = &mut self.tap {
            tap.push();
        }
        Ok(more)
    }
}
