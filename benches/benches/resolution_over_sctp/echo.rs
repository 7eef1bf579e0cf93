//! What the machine and the sctp shell take by themselves: a message comes, one as long as a resolution's answer goes back.

use bytes::Bytes;
use enrp::daemon::{self, DaemonCommand, DaemonConfig};
use scenarios::resolve::client::{Answer, Questions};
use sctp::driver::{DriverConfig, Node};
use sctp::{Associations, Config, Event, Input, Output, SendOptions, Transport};
use std::io;
use std::net::IpAddr;
use std::process::ExitCode;
use std::time::Instant;

/// As long as a resolution and as its answer with 16 elements.
const QUESTION_BYTES: usize = 16;
const ANSWER_BYTES: usize = 720;

/// The questions of the echo.
#[derive(Debug, Default)]
pub(crate) struct Echo;

impl Questions for Echo {
    fn ppid(&self) -> u32 {
        sctp::ppid::ASAP
    }

    fn ask(&mut self) -> Bytes {
        Bytes::from_static(&[0x5a; QUESTION_BYTES])
    }

    fn answer(&mut self, message: &[u8]) -> Answer {
        if message.len() == ANSWER_BYTES { Answer::Right(0) } else { Answer::Wrong }
    }
}

/// `echo ADDRESS PARENT`: the other end, as a process.
pub(crate) fn main() -> ExitCode {
    let mut arguments = std::env::args().skip(2);
    let address = arguments.next().and_then(|text| text.parse::<IpAddr>().ok());
    let parent = arguments.next().and_then(|text| text.parse().ok());
    let (Some(address), Some(parent_pid)) = (address, parent) else { return ExitCode::from(2) };
    let daemon = DaemonConfig { parent_pid, ..DaemonConfig::default() };
    let udp = DriverConfig { addresses: vec![address], ..DriverConfig::default() };
    let result = daemon::run_daemon("echo", &daemon, Transport::Udp, &udp, |start| {
        let mut stack =
            sctp::associations(start.backend, Config::default(), vec![address], udp.port, start.seed, start.now);
        stack.listen(super::processes::SCTP_PORT);
        Ok(Server { stack, answer: Bytes::from(vec![0x5a; ANSWER_BYTES]), stopped: false })
    });
    if result.is_ok() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

struct Server {
    stack: Box<dyn Associations>,
    answer: Bytes,
    stopped: bool,
}

impl Server {
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

impl Node for Server {
    type Command = DaemonCommand;

    fn handle_input(&mut self, now: Instant, input: Input) {
        self.stack.handle_input(now, input);
        self.pump(now);
    }

    fn handle_command(&mut self, _now: Instant, _command: DaemonCommand) {
        self.stopped = true;
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
