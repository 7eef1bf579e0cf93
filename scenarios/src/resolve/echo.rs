//! What the machine and an sctp backend take by themselves: a message comes, one of a set length goes back. What a name server
//! does is measured beside it.

use super::client::{Answer, Questions};
use bytes::Bytes;
use enrp::daemon::DaemonCommand;
use sctp::driver::Node;
use sctp::{Associations, Event, Input, Output, SendOptions};
use std::io;
use std::time::Instant;

/// As long as a resolution of a handle with some seven letters.
const QUESTION_BYTES: usize = 16;

/// The questions.
#[derive(Debug, Clone, Copy)]
pub struct EchoQuestions {
    /// Length of a right answer, bytes.
    pub answer_bytes: usize,
}

impl Questions for EchoQuestions {
    fn ppid(&self) -> u32 {
        sctp::ppid::ASAP
    }

    fn ask(&mut self) -> Option<Bytes> {
        Some(Bytes::from_static(&[0x5a; QUESTION_BYTES]))
    }

    fn answer(&mut self, message: &[u8]) -> Answer {
        if message.len() == self.answer_bytes { Answer::Right(0) } else { Answer::Wrong }
    }
}

/// The other end, as a node.
#[derive(Debug)]
pub struct EchoServer {
    stack: Box<dyn Associations>,
    answer: Bytes,
    stopped: bool,
}

impl EchoServer {
    /// Answers each message on these associations, which listen, with so many bytes.
    #[must_use]
    pub fn new(stack: Box<dyn Associations>, answer_bytes: usize) -> Self {
        Self { stack, answer: Bytes::from(vec![0x5a; answer_bytes]), stopped: false }
    }

    fn pump(&mut self, now: Instant) {
        while let Some(event) = self.stack.poll_event() {
            if let Event::Message { assoc, ppid, .. } = event {
                let options = SendOptions { ppid, ..SendOptions::default() };
                // Refused while the association is closing.
                let _ = self.stack.send(now, assoc, options, self.answer.clone());
            }
        }
    }
}

impl Node for EchoServer {
    type Command = DaemonCommand;

    fn handle_input(&mut self, now: Instant, input: Input) {
        self.stack.handle_input(now, input);
        self.pump(now);
    }

    fn handle_command(&mut self, _now: Instant, command: DaemonCommand) {
        match command {
            DaemonCommand::Stop => self.stopped = true,
            // There is no admin address.
            DaemonCommand::Admin(_) => {}
        }
    }

    fn handle_timeout(&mut self, now: Instant) {
        self.stack.handle_timeout(now);
        self.pump(now);
    }

    fn flush(&mut self, _now: Instant) -> io::Result<()> {
        Ok(())
    }

    fn poll_output(&mut self, now: Instant) -> Option<Output> {
        self.stack.poll_output(now)
    }

    fn poll_timeout(&self) -> Option<Instant> {
        self.stack.poll_timeout()
    }

    fn finished(&self) -> bool {
        self.stopped
    }
}
