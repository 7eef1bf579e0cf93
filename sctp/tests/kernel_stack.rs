//! The bookkeeping of the kernel's associations, with a scripted kernel in place of the sockets.

#![allow(clippy::unwrap_used, reason = "helpers of tests are tests too")]
#![allow(clippy::wildcard_enum_match_arm, reason = "the scripted kernel knows the operations it answers")]

use bytes::Bytes;
use sctp::kernel::{KernelId, KernelStack, Notice, Operation, PathChange, PathStatus, Started};
use sctp::{
    AssocId, AssocState, Associations, CloseReason, Config, Connect, Event, Input, Output, PathState, SendError,
    SendOptions,
};
use std::collections::VecDeque;
use std::net::IpAddr;
use std::time::{Duration, Instant};

const KERNEL: KernelId = KernelId { socket: 4, assoc: 9 };

struct World {
    stack: KernelStack,
    now: Instant,
}

impl World {
    fn new(config: Config) -> Self {
        let mut stack = KernelStack::new(config, vec!["10.0.0.1".parse().unwrap()], 9899);
        let now = Instant::now();
        assert!(matches!(stack.poll_output(now), Some(Output::Kernel(Operation::Configure { .. }))));
        Self { stack, now }
    }

    fn tell(&mut self, notice: Notice) {
        self.stack.handle_input(self.now, Input::Kernel(notice));
    }

    fn operations(&mut self) -> Vec<Operation> {
        let next = |_| self.stack.poll_output(self.now);
        let only = |output| if let Output::Kernel(operation) = output { operation } else { panic!("{output:?}") };
        (0..10_000).map_while(next).map(only).collect()
    }

    fn event(&mut self) -> Option<Event> {
        self.stack.poll_event()
    }

    /// An association that came.
    fn up(&mut self) -> AssocId {
        self.tell(Notice::Up { kernel: KERNEL, started: started() });
        let Some(Event::Up { assoc, incoming: true, .. }) = self.event() else { panic!("not up") };
        assert!(matches!(self.operations()[..], [Operation::AskStatus { .. }]));
        assoc
    }

    fn send(&mut self, assoc: AssocId, context: u64, len: usize) -> Result<(), SendError> {
        let options = SendOptions { stream: 1, ppid: 3, unordered: false, context };
        self.stack.send(self.now, assoc, options, Bytes::from(vec![context as u8; len]))
    }

    /// Contexts of the messages that were handed to the kernel.
    fn given(&mut self) -> Vec<u32> {
        let context = |o: &Operation| if let Operation::Send { context, .. } = o { Some(*context) } else { None };
        self.operations().iter().filter_map(context).collect()
    }

    fn empty(&mut self) {
        self.tell(Notice::Empty { socket: KERNEL.socket });
    }

    fn failed(&mut self, context: u32, bytes: usize, sent: bool) {
        self.tell(Notice::SendFailed { kernel: KERNEL, context, bytes, sent });
    }

    fn lost(&mut self) {
        self.tell(Notice::Lost { kernel: KERNEL, cause: 12, by_peer: true });
    }

    /// The last event: why, and (context, transmitted) of what came back.
    fn closed(&mut self) -> (CloseReason, Vec<(u64, bool)>) {
        let Some(Event::Closed { reason, undelivered, .. }) = self.event() else { panic!("not closed") };
        (reason, undelivered.iter().map(|u| (u.context, u.transmitted)).collect())
    }
}

fn started() -> Started {
    let peer = ["10.0.0.2", "10.0.1.2"].map(|a| a.parse().unwrap()).to_vec();
    Started { local_port: 2905, peer_port: 7000, peer, outbound_streams: 17, inbound_streams: 64 }
}

#[test]
fn an_association_of_ours_has_the_primary_and_the_ports_that_were_asked_for() {
    let mut world = World::new(Config::default());
    let peer = ["10.0.1.2:9900", "10.0.0.2:9899"].map(|a| a.parse().unwrap()).to_vec();
    let connect = Connect { peer: peer.clone(), peer_port: 7000, local_port: None };
    let assoc = world.stack.connect(world.now, connect).unwrap();
    let operations = world.operations();
    let [Operation::Connect { assoc: asked, local_port: None, .. }] = operations[..] else { panic!("{operations:?}") };
    assert_eq!((asked, world.stack.state(assoc)), (assoc, Some(AssocState::Connecting)));
    assert_eq!(world.send(assoc, 1, 10), Err(SendError::NotOpen));
    world.tell(Notice::Connecting { assoc, kernel: KERNEL });
    world.tell(Notice::Up { kernel: KERNEL, started: started() });
    let Some(Event::Up { peer: told, incoming: false, local_port: 2905, .. }) = world.event() else { panic!("not up") };
    assert_eq!(told, peer);
}

#[test]
fn a_connect_that_fails_is_closed_and_one_that_is_aborted_early_leaves_nothing() {
    let mut world = World::new(Config::default());
    let connect = || Connect { peer: vec!["10.0.0.2:9899".parse().unwrap()], peer_port: 7, local_port: None };
    let first = world.stack.connect(world.now, connect()).unwrap();
    world.tell(Notice::NotConnecting { assoc: first });
    assert_eq!(world.closed().0, CloseReason::ConnectFailed);
    let second = world.stack.connect(world.now, connect()).unwrap();
    world.stack.abort(world.now, second, b"");
    assert_eq!(world.closed().0, CloseReason::LocalAbort);
    world.operations();
    // The kernel had begun; it is told to end it, and what it says of it is nothing to the program.
    world.tell(Notice::Connecting { assoc: second, kernel: KERNEL });
    assert!(matches!(world.operations()[..], [Operation::Abort { kernel: KERNEL, .. }]));
    world.lost();
    world.empty();
    assert_eq!(world.event(), None);
    let third = world.stack.connect(world.now, connect()).unwrap();
    world.tell(Notice::Connecting { assoc: third, kernel: KERNEL });
    world.tell(Notice::CannotStart { kernel: KERNEL, cause: 0 });
    world.empty();
    assert_eq!(world.closed().0, CloseReason::ConnectFailed);
}

#[test]
fn dry_counts_for_what_was_handed_over_before_the_socket_was_last_empty() {
    let mut world = World::new(Config::default());
    let assoc = world.up();
    world.send(assoc, 1, 10).unwrap();
    world.given();
    // It may have been said before the message was handed over.
    world.tell(Notice::Dry { kernel: KERNEL });
    assert_eq!(world.stack.outstanding(assoc), (1, 10));
    world.empty();
    assert!(world.operations().is_empty(), "a few that wait to be known cost nothing");
    // It is asked for when the association is looked at, once, and that answer counts.
    let asked = |world: &mut World| world.operations().iter().filter(|o| matches!(o, Operation::AskDry { .. })).count();
    for (after_s, expected) in [(1, 1), (2, 0)] {
        let now = world.now + Duration::from_secs(after_s);
        world.stack.handle_timeout(now);
        assert_eq!(asked(&mut world), expected);
    }
    world.tell(Notice::Dry { kernel: KERNEL });
    assert_eq!(world.stack.outstanding(assoc), (0, 0));
    world.empty();
    assert!(world.operations().is_empty());
    assert_eq!(world.stack.counters().messages_acknowledged, 1);
}

#[test]
fn what_was_not_acknowledged_comes_back_sorted_and_once() {
    let mut world = World::new(Config { message_bytes_max: 100_000, ..Config::default() });
    let assoc = world.up();
    (0..6).for_each(|n| world.send(assoc, n, 3_000).unwrap());
    let given = world.given();
    world.lost();
    // The kernel tells by path and list, each fragment by itself: 0, 1 were acknowledged.
    world.failed(given[4], 1_500, false);
    world.failed(given[4], 1_500, false);
    world.failed(given[3], 1_500, false);
    world.failed(given[3], 1_500, true);
    world.failed(given[5], 3_000, false);
    world.failed(given[2], 1_500, true);
    world.failed(given[2], 1_500, true);
    assert_eq!(world.event(), None, "more may follow");
    world.empty();
    let back = vec![(2, true), (3, true), (4, false), (5, false)];
    assert_eq!(world.closed(), (CloseReason::PeerAbort(Some(12)), back));
    assert_eq!(world.stack.state(assoc), None);
    let counters = world.stack.counters();
    assert_eq!((counters.messages_acknowledged, counters.messages_handed_back), (2, 4));
}

#[test]
fn a_full_socket_holds_back_in_order_and_goes_on_when_it_has_room() {
    let mut world = World::new(Config::default());
    let assoc = world.up();
    (0..4).for_each(|n| world.send(assoc, n, 10).unwrap());
    assert!(matches!(world.stack.poll_output(world.now), Some(Output::Kernel(Operation::Send { more: true, .. }))));
    let Some(Output::Kernel(Operation::Send { context, .. })) = world.stack.poll_output(world.now) else { panic!() };
    world.tell(Notice::NotTaken { kernel: KERNEL, context, full: true });
    assert!(world.operations().is_empty());
    world.send(assoc, 4, 10).unwrap();
    assert!(world.operations().is_empty());
    world.tell(Notice::Room { socket: KERNEL.socket });
    let payloads: Vec<u8> = world
        .operations()
        .iter()
        .filter_map(|o| if let Operation::Send { payload, .. } = o { Some(payload[0]) } else { None })
        .collect();
    assert_eq!(payloads, [1, 2, 3, 4]);
    assert_eq!(world.stack.outstanding(assoc), (5, 50));
}

#[test]
fn a_message_that_meets_the_end_comes_back_as_never_sent() {
    let mut world = World::new(Config::default());
    let assoc = world.up();
    world.send(assoc, 7, 10).unwrap();
    let given = world.given();
    world.tell(Notice::NotTaken { kernel: KERNEL, context: given[0], full: false });
    assert_eq!(world.send(assoc, 8, 10), Err(SendError::NotOpen));
    world.lost();
    world.empty();
    assert_eq!(world.closed().1, [(7, false)]);
}

#[test]
fn a_restart_ends_the_old_life_and_what_met_the_new_one_comes_back_as_possibly_delivered() {
    let mut world = World::new(Config::default());
    let old = world.up();
    (0..3).for_each(|n| world.send(old, n, 10).unwrap());
    let given = world.given();
    world.empty();
    (3..5).for_each(|n| world.send(old, n, 10).unwrap());
    world.given();
    world.failed(given[1], 10, true);
    world.failed(given[2], 10, false);
    world.tell(Notice::Restarted { kernel: KERNEL, started: started() });
    let back = vec![(1, true), (2, false), (3, true), (4, true)];
    assert_eq!(world.closed(), (CloseReason::Restarted, back));
    let Some(Event::Up { assoc: anew, .. }) = world.event() else { panic!("not up") };
    assert_ne!(old, anew);
    world.send(anew, 9, 10).unwrap();
    let fresh = world.given();
    assert!(!given.contains(&fresh[0]));
    // Late words on old messages change nothing.
    world.failed(given[0], 10, true);
    world.empty();
    world.tell(Notice::Dry { kernel: KERNEL });
    assert_eq!(world.stack.outstanding(anew), (0, 0));
}

#[test]
fn silence_is_no_answer_to_something_for_the_supervision_time() {
    let mut world = World::new(Config { supervision_ms: 800, ..Config::default() });
    let assoc = world.up();
    let start = world.now;
    let (mut heard, mut asked) = (10, 5);
    let mut ended = false;
    for step in 1..60_u64 {
        let at = world.stack.poll_timeout().unwrap();
        assert!(at - world.now <= Duration::from_millis(100));
        world.now = at;
        world.stack.handle_timeout(at);
        // Answered up to step 20, idle up to 40, then asked in vain.
        if step <= 20 {
            (heard, asked) = (heard + 1, asked + 1);
        } else if step > 40 {
            asked += 1;
        }
        world.tell(Notice::Status { kernel: KERNEL, heard, asked, paths: Vec::new() });
        let operations = world.operations();
        ended = operations.iter().any(|o| matches!(o, Operation::Abort { .. }));
        if ended {
            break;
        }
    }
    assert!(ended);
    let waited = world.now - start;
    assert!((4_800..5_300).contains(&waited.as_millis()), "{waited:?}");
    assert_eq!((world.stack.state(assoc), world.event()), (None, None));
    world.tell(Notice::Lost { kernel: KERNEL, cause: 12, by_peer: false });
    world.empty();
    assert_eq!(world.closed(), (CloseReason::Silent, Vec::new()));
}

#[test]
fn an_abort_that_the_kernel_does_not_answer_hands_everything_back() {
    let mut world = World::new(Config::default());
    let assoc = world.up();
    world.send(assoc, 1, 10).unwrap();
    world.given();
    world.stack.abort(world.now, assoc, b"why");
    assert!(matches!(&world.operations()[..], [Operation::Abort { reason, .. }] if &reason[..] == b"why"));
    world.now = world.stack.poll_timeout().unwrap();
    world.stack.handle_timeout(world.now);
    assert_eq!(world.closed(), (CloseReason::LocalAbort, vec![(1, true)]));
}

#[test]
fn a_shutdown_sends_first_and_the_peers_brings_the_rest_back() {
    let mut world = World::new(Config::default());
    let assoc = world.up();
    world.send(assoc, 1, 10).unwrap();
    world.stack.shutdown(world.now, assoc);
    assert_eq!(world.send(assoc, 2, 10), Err(SendError::NotOpen));
    assert!(matches!(world.operations()[..], [Operation::Send { .. }, Operation::Shutdown { .. }]));
    world.tell(Notice::ShutdownComplete { kernel: KERNEL });
    world.empty();
    assert_eq!(world.closed(), (CloseReason::Shutdown, Vec::new()));

    let assoc = world.up();
    world.send(assoc, 3, 10).unwrap();
    world.tell(Notice::PeerShutdown { kernel: KERNEL });
    assert!(world.operations().is_empty());
    world.tell(Notice::ShutdownComplete { kernel: KERNEL });
    world.empty();
    assert_eq!(world.closed(), (CloseReason::Shutdown, vec![(3, false)]));
}

#[test]
fn paths_are_told_when_they_change() {
    let mut world = World::new(Config::default());
    let assoc = world.up();
    let second: IpAddr = "10.0.1.2".parse().unwrap();
    let mut change = |change| {
        world.tell(Notice::Path { kernel: KERNEL, address: second, change });
        world.event()
    };
    let told = |state| Some(Event::Path { assoc, address: "10.0.1.2:9899".parse().unwrap(), state });
    assert_eq!(change(PathChange::Confirmed), None);
    assert_eq!(change(PathChange::State(PathState::Active)), None);
    assert_eq!(change(PathChange::State(PathState::Inactive)), told(PathState::Inactive));
    assert_eq!(change(PathChange::State(PathState::Active)), told(PathState::Active));
    assert_eq!(change(PathChange::Primary), None);
    let (rtt, rto) = (Some(Duration::from_millis(3)), Duration::from_millis(100));
    let status = PathStatus { address: second, state: Some(PathState::Active), rtt, rto };
    world.tell(Notice::Status { kernel: KERNEL, heard: 1, asked: 1, paths: vec![status] });
    let info = world.stack.info(assoc).unwrap();
    assert_eq!(info.paths[0].address, "10.0.1.2:9899".parse().unwrap());
    assert!(info.paths[0].primary && info.paths[0].confirmed && !info.paths[1].primary);
    assert_eq!(world.stack.rtt(assoc), rtt);
}

#[test]
fn limits_hold() {
    let config = Config {
        associations_max: 1,
        message_bytes_max: 100,
        send_queue_messages_max: 3,
        send_queue_bytes_max: 150,
        ..Config::default()
    };
    let mut world = World::new(config);
    let assoc = world.up();
    world.tell(Notice::Up { kernel: KernelId { socket: 4, assoc: 10 }, started: started() });
    assert!(matches!(world.operations()[..], [Operation::Abort { kernel: KernelId { assoc: 10, .. }, .. }]));
    assert_eq!((world.event(), world.stack.counters().associations_refused), (None, 1));
    assert_eq!(world.send(assoc, 1, 101), Err(SendError::BadLength));
    assert_eq!(world.send(assoc, 1, 0), Err(SendError::BadLength));
    world.send(assoc, 1, 100).unwrap();
    assert_eq!(world.send(assoc, 2, 51), Err(SendError::QueueFull));
    world.send(assoc, 2, 25).unwrap();
    world.send(assoc, 3, 25).unwrap();
    assert_eq!(world.send(assoc, 4, 1), Err(SendError::QueueFull));
    world.given();
    let piece = |end| Notice::Message {
        kernel: KERNEL,
        stream: 2,
        ppid: 3,
        unordered: false,
        end,
        payload: Bytes::from_static(&[1; 60]),
    };
    world.tell(piece(false));
    world.tell(Notice::PartialAborted { kernel: KERNEL });
    world.tell(piece(true));
    assert!(matches!(world.event(), Some(Event::Message { payload, .. }) if payload.len() == 60));
    world.tell(piece(false));
    world.tell(piece(true));
    assert!(matches!(world.operations()[..], [Operation::Abort { .. }]));
    world.tell(piece(true));
    assert_eq!(world.event(), None, "it is over for the program");
}

/// A kernel that acknowledges, lacks room and ends as a seed has it, and tells everything some time later.
struct Kernel {
    seed: u64,
    queue: VecDeque<Notice>,
    unacknowledged: VecDeque<(u32, usize)>,
    acknowledged: Vec<u64>,
    alive: bool,
}

impl Kernel {
    fn random(&mut self, below: u64) -> u64 {
        self.seed = self.seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.seed >> 33) % below
    }

    fn dry(&mut self) {
        if self.unacknowledged.is_empty() && self.alive {
            self.queue.push_back(Notice::Dry { kernel: KERNEL });
        }
    }

    fn operate(&mut self, world: &mut World, operation: Operation) {
        match operation {
            Operation::Send { kernel, context, payload, .. } => {
                let full = self.alive && self.random(6) == 0;
                if full || !self.alive {
                    world.tell(Notice::NotTaken { kernel, context, full });
                } else {
                    let number = u64::from_be_bytes(*payload.first_chunk().unwrap());
                    self.unacknowledged.push_back((context, usize::try_from(number).unwrap()));
                }
            }
            Operation::AskDry { .. } => self.dry(),
            _ => {}
        }
    }

    fn live(&mut self) {
        let count = self.random(4).min(self.unacknowledged.len() as u64);
        for _ in 0..count {
            self.acknowledged.push(self.unacknowledged.pop_front().unwrap().1 as u64);
        }
        if count > 0 {
            self.dry();
        }
        if self.alive && self.random(400) == 0 {
            self.alive = false;
            self.queue.push_back(Notice::Lost { kernel: KERNEL, cause: 0, by_peer: false });
            let mut rest: Vec<_> = std::mem::take(&mut self.unacknowledged).into();
            let middle = self.random(rest.len() as u64 + 1) as usize;
            rest.rotate_left(middle);
            for (context, _) in rest {
                let sent = self.random(2) == 0;
                self.queue.push_back(Notice::SendFailed { kernel: KERNEL, context, bytes: 8, sent });
            }
        }
    }
}

/// Every accepted message is acknowledged or handed back, never both, whatever the order of things.
#[test]
fn every_message_has_one_fate() {
    for seed in 0..500 {
        let mut world = World::new(Config::default());
        let assoc = world.up();
        let (queue, unacknowledged, acknowledged) = (VecDeque::new(), VecDeque::new(), Vec::new());
        let mut kernel = Kernel { seed, queue, unacknowledged, acknowledged, alive: true };
        let mut accepted = 0_u64;
        let closed = loop {
            for _ in 0..kernel.random(5) {
                let options = SendOptions { context: accepted, ..SendOptions::default() };
                let payload = Bytes::copy_from_slice(&accepted.to_be_bytes());
                accepted += u64::from(world.stack.send(world.now, assoc, options, payload).is_ok());
            }
            // Some operations, each with its answer, between them the life of the kernel.
            for _ in 0..kernel.random(8) {
                kernel.live();
                let Some(Output::Kernel(operation)) = world.stack.poll_output(world.now) else { break };
                kernel.operate(&mut world, operation);
            }
            kernel.live();
            for _ in 0..kernel.random(8) {
                match kernel.queue.pop_front() {
                    Some(notice) => world.tell(notice),
                    None => {
                        world.empty();
                        break;
                    }
                }
            }
            if kernel.alive && kernel.random(3) == 0 {
                world.tell(Notice::Room { socket: KERNEL.socket });
            }
            if let Some(event) = world.event() {
                break event;
            }
        };
        let Event::Closed { reason: CloseReason::Silent, undelivered, .. } = closed else { panic!("{closed:?}") };
        let back: Vec<u64> = undelivered.iter().map(|u| u.context).collect();
        let all: Vec<u64> = kernel.acknowledged.iter().copied().chain(back).collect();
        assert_eq!(all, (0..accepted).collect::<Vec<_>>(), "seed {seed}");
        assert_eq!(world.stack.counters().messages_acknowledged, kernel.acknowledged.len() as u64, "seed {seed}");
    }
}
