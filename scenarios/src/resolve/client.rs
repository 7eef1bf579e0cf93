//! Asks one association and measures the answers. Pure; the module above gives it a socket.
//!
//! Closed loop: so many questions are outstanding, each answer brings the next question. Open loop: each question has its time, and
//! its latency counts from that time, whether it could be sent then or not.

use super::report::{Report, Tally};
use bytes::Bytes;
use sctp::{AssocId, Associations, Connect, Event, Input, Output, SendOptions};
use std::collections::VecDeque;
use std::io;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

/// Questions that have one answer each, in the order in which they are asked.
pub trait Questions {
    /// Payload protocol identifier.
    fn ppid(&self) -> u32;
    /// The next question; `None` when there is none left: what has been asked is answered, and the association stays.
    fn ask(&mut self) -> Option<Bytes>;
    /// Looks at a message of the other end, which must be the answer to the oldest question that has none.
    fn answer(&mut self, message: &[u8]) -> Answer;
}

/// What a message is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Answer {
    /// The right answer, with so many elements listed.
    Right(usize),
    /// An answer that refuses.
    Refused,
    /// No answer to the oldest question.
    Wrong,
    /// Not an answer at all; the question still waits.
    Other,
}

/// How to ask.
#[derive(Debug, Clone, Copy)]
pub struct Settings {
    /// Questions without an answer, at most.
    pub outstanding: usize,
    /// Open loop: questions a second. `None`: closed loop.
    pub rate_per_s: Option<f64>,
    /// Ends after so many measured questions.
    pub count: Option<u64>,
    /// Ends after this time of measuring.
    pub time: Option<Duration>,
    /// Answers to what was asked in this time at the beginning are not measured.
    pub warm_up: Duration,
    /// How long the association, and each answer, may take.
    pub patience: Duration,
}

/// A request from outside.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Command {
    /// Ask no more.
    Stop,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Phase {
    Connecting,
    /// Asking since then.
    Asking(Instant),
    /// Waiting for the last answers.
    Waiting,
    /// The association is told to end.
    Closing,
    Ended,
}

/// See the module.
#[derive(Debug)]
pub struct Client<Q> {
    settings: Settings,
    questions: Q,
    stack: Box<dyn Associations>,
    assoc: Option<AssocId>,
    phase: Phase,
    /// Times from which the latency of what is outstanding counts.
    asked: VecDeque<Instant>,
    /// When the next question of an open loop is due.
    next_at: Instant,
    /// When something should have come.
    patience_over: Instant,
    /// Questions asked in the measured time.
    measured: u64,
    tally: Tally,
    error: Option<String>,
}

impl<Q: Questions> Client<Q> {
    /// Connects to the SCTP port `port` at `peer`.
    #[must_use]
    pub fn new(
        settings: Settings,
        peer: Vec<SocketAddr>,
        port: u16,
        questions: Q,
        mut stack: Box<dyn Associations>,
        now: Instant,
    ) -> Self {
        let assoc = stack.connect(now, Connect { peer, peer_port: port, local_port: None }).ok();
        let mut client = Self {
            settings,
            questions,
            stack,
            phase: Phase::Connecting,
            asked: VecDeque::new(),
            next_at: now,
            patience_over: now + settings.patience,
            measured: 0,
            tally: Tally::default(),
            error: None,
            assoc,
        };
        if assoc.is_none() {
            client.fail("no association can be opened to this address and port".into());
        }
        client
    }

    /// What was measured.
    ///
    /// # Errors
    /// Why nothing could be.
    pub fn into_report(self) -> Result<Report, String> {
        match self.error {
            Some(error) => Err(error),
            None => Ok(Report::new(&self.settings, self.tally)),
        }
    }

    fn fail(&mut self, error: String) {
        self.error.get_or_insert(error);
        self.phase = Phase::Ended;
    }

    fn pump(&mut self, now: Instant) {
        while let Some(event) = self.stack.poll_event() {
            match event {
                Event::Up { .. } => {
                    self.phase = Phase::Asking(now);
                    self.next_at = now;
                }
                Event::Message { payload, .. } => self.message(now, &payload),
                Event::Closed { reason, .. } => {
                    let all_well = self.phase == Phase::Closing;
                    self.assoc = None;
                    if !all_well {
                        self.fail(format!("the association ended: {reason:?}"));
                    }
                    self.phase = Phase::Ended;
                }
                Event::Path { .. } | _ => {}
            }
        }
        self.ask(now);
    }

    fn message(&mut self, now: Instant, message: &[u8]) {
        let answer = self.questions.answer(message);
        if answer == Answer::Other {
            self.tally.other += 1;
            return;
        }
        let Some(asked) = self.asked.pop_front() else {
            self.tally.unasked += 1;
            return;
        };
        self.patience_over = now + self.settings.patience;
        if let Some(begin) = self.measured_from()
            && asked >= begin
        {
            self.tally.answered(now.saturating_duration_since(asked), answer, message.len());
            self.tally.last(now.saturating_duration_since(begin));
        }
        if self.phase == Phase::Waiting && self.asked.is_empty() {
            self.close(now);
        }
    }

    /// From when on questions are measured.
    fn measured_from(&self) -> Option<Instant> {
        self.tally.begin
    }

    /// Asks what may be asked now.
    fn ask(&mut self, now: Instant) {
        let Phase::Asking(since) = self.phase else { return };
        let begin = *self.tally.begin.get_or_insert(since + self.settings.warm_up);
        let time_over = self.settings.time.is_some_and(|time| now >= begin + time);
        while !time_over && self.asked.len() < self.settings.outstanding {
            if self.settings.count.is_some_and(|count| self.measured >= count) {
                return self.wait(now);
            }
            let from = match self.settings.rate_per_s {
                None => now,
                Some(_) if self.next_at > now => return,
                Some(rate) => {
                    let due = self.next_at;
                    self.next_at += Duration::from_secs_f64(1.0 / rate);
                    due
                }
            };
            let Some(assoc) = self.assoc else { return };
            let options = SendOptions { ppid: self.questions.ppid(), ..SendOptions::default() };
            let Some(question) = self.questions.ask() else { break };
            if let Err(error) = self.stack.send(now, assoc, options, question) {
                return self.fail(format!("cannot ask: {error}"));
            }
            if self.asked.is_empty() {
                self.patience_over = now + self.settings.patience;
            }
            self.asked.push_back(from);
            if from >= begin {
                self.measured += 1;
            }
        }
        if time_over {
            self.wait(now);
        }
    }

    fn wait(&mut self, now: Instant) {
        self.phase = Phase::Waiting;
        if self.asked.is_empty() {
            self.close(now);
        }
    }

    fn close(&mut self, now: Instant) {
        self.phase = Phase::Closing;
        self.patience_over = now + self.settings.patience;
        match self.assoc {
            Some(assoc) => self.stack.shutdown(now, assoc),
            None => self.phase = Phase::Ended,
        }
    }

    /// Whether something is waited for.
    fn is_waiting(&self) -> bool {
        match self.phase {
            Phase::Connecting | Phase::Closing => true,
            Phase::Asking(_) | Phase::Waiting => !self.asked.is_empty(),
            Phase::Ended => false,
        }
    }

    fn run_out(&mut self) {
        match self.phase {
            Phase::Connecting => self.fail(format!("no association within {} ms", self.settings.patience.as_millis())),
            Phase::Asking(_) | Phase::Waiting => {
                self.fail(format!("no answer within {} ms", self.settings.patience.as_millis()));
            }
            // Everything was answered; its end is the other side's business.
            Phase::Closing | Phase::Ended => self.phase = Phase::Ended,
        }
    }
}

impl<Q: Questions> sctp::driver::Node for Client<Q> {
    type Command = Command;

    fn handle_input(&mut self, now: Instant, input: Input) {
        self.stack.handle_input(now, input);
        self.pump(now);
    }

    fn handle_command(&mut self, now: Instant, command: Command) {
        match command {
            Command::Stop if self.phase == Phase::Connecting => self.fail("interrupted".into()),
            Command::Stop => self.wait(now),
        }
        self.pump(now);
    }

    fn handle_timeout(&mut self, now: Instant) {
        self.stack.handle_timeout(now);
        self.pump(now);
        if self.is_waiting() && self.patience_over <= now {
            self.run_out();
        }
    }

    fn flush(&mut self, _now: Instant) -> io::Result<()> {
        // Nothing is recorded.
        Ok(())
    }

    fn poll_output(&mut self, now: Instant) -> Option<Output> {
        self.stack.poll_output(now)
    }

    fn poll_timeout(&self) -> Option<Instant> {
        let patience = self.is_waiting().then_some(self.patience_over);
        let asking = self.tally.begin.filter(|_| matches!(self.phase, Phase::Asking(_))).and_then(|begin| {
            let room = self.asked.len() < self.settings.outstanding;
            let next = (room && self.settings.rate_per_s.is_some()).then_some(self.next_at);
            next.into_iter().chain(self.settings.time.map(|time| begin + time)).min()
        });
        [self.stack.poll_timeout(), patience, asking].into_iter().flatten().min()
    }

    fn finished(&self) -> bool {
        self.phase == Phase::Ended
    }
}
