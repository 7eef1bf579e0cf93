//! The same questions over TCP (RFC 5352 section 3.3), to see that a name server answers pool users without SCTP, and how fast.

use super::client::{Answer, Questions, Settings};
use super::report::{Report, Tally};
use crate::runner::RunError;
use bytes::{Buf, BytesMut};
use std::collections::VecDeque;
use std::net::SocketAddr;
use std::time::{Duration, Instant};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

/// Connects to the server, asks the questions, and hangs up.
///
/// # Errors
/// Environment: no connection, no answer in time, or it ended.
pub(super) fn ask<Q: Questions>(server: SocketAddr, settings: Settings, questions: Q) -> Result<Report, RunError> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let runtime = runtime.map_err(|error| RunError::Environment(error.to_string()))?;
    runtime.block_on(async {
        let connect = tokio::time::timeout(settings.patience, TcpStream::connect(server)).await;
        let stream = connect.map_err(|_| "no connection in time".to_owned()).and_then(|r| r.map_err(|e| e.to_string()));
        let stream = stream.map_err(|error| {
            RunError::Environment(format!("TCP {server}: {error}; is the server's tcp.port this one?"))
        })?;
        // Without it questions are only later.
        let _ = stream.set_nodelay(true);
        let now = Instant::now();
        let user = User {
            settings,
            questions,
            tally: Tally::default(),
            begin: now + settings.warm_up,
            next_at: now,
            heard: now,
            asked: VecDeque::new(),
            measured: 0,
            asking: true,
            out: BytesMut::new(),
            read: BytesMut::new(),
        };
        tokio::select! {
            report = user.run(stream) => report.map_err(|error| RunError::Environment(format!("TCP {server}: {error}"))),
            _ = tokio::signal::ctrl_c() => Err(RunError::Interrupted),
        }
    })
}

struct User<Q> {
    settings: Settings,
    questions: Q,
    tally: Tally,
    /// What is asked from then on is measured.
    begin: Instant,
    /// When the next question of an open loop is due.
    next_at: Instant,
    /// Since when an answer is waited for.
    heard: Instant,
    /// Times from which the latency of what is outstanding counts.
    asked: VecDeque<Instant>,
    measured: u64,
    asking: bool,
    out: BytesMut,
    read: BytesMut,
}

impl<Q: Questions> User<Q> {
    async fn run(mut self, mut stream: TcpStream) -> Result<Report, String> {
        let (mut reader, mut writer) = stream.split();
        loop {
            let now = Instant::now();
            self.ask(now);
            if !self.asking && self.asked.is_empty() {
                return Ok(Report::new(&self.settings, self.tally));
            }
            if !self.asked.is_empty() && now.saturating_duration_since(self.heard) >= self.settings.patience {
                return Err(format!("no answer within {} ms", self.settings.patience.as_millis()));
            }
            let wake = tokio::time::sleep_until(self.wake(now).into());
            tokio::select! {
                received = reader.read_buf(&mut self.read) => {
                    if received.map_err(|error| error.to_string())? == 0 {
                        return Err("the server closed the connection".to_owned());
                    }
                    self.answers()?;
                }
                written = writer.write(&self.out), if !self.out.is_empty() => {
                    self.out.advance(written.map_err(|error| error.to_string())?);
                }
                () = wake => {}
            }
        }
    }

    /// When something is to be done though nothing comes.
    fn wake(&self, now: Instant) -> Instant {
        let patience = if self.asked.is_empty() { now } else { self.heard } + self.settings.patience;
        let room = self.asking && self.asked.len() < self.settings.outstanding;
        let next = (room && self.settings.rate_per_s.is_some()).then_some(self.next_at);
        let end = self.settings.time.filter(|_| self.asking).map(|time| self.begin + time);
        next.into_iter().chain(end).fold(patience, Instant::min)
    }

    /// Asks what may be asked now.
    fn ask(&mut self, now: Instant) {
        let time_over = self.settings.time.is_some_and(|time| now >= self.begin + time);
        let count_over = |measured| self.settings.count.is_some_and(|count| measured >= count);
        while self.asking && self.asked.len() < self.settings.outstanding {
            let from = if self.settings.rate_per_s.is_some() { self.next_at } else { now };
            self.asking = !time_over && !count_over(self.measured);
            if from > now || !self.asking {
                return;
            }
            let Some(question) = self.questions.ask() else {
                self.asking = false;
                return;
            };
            if let Some(rate) = self.settings.rate_per_s {
                self.next_at += Duration::from_secs_f64(1.0 / rate);
            }
            if self.asked.is_empty() {
                self.heard = now;
            }
            self.out.extend_from_slice(&question);
            self.asked.push_back(from);
            self.measured += u64::from(from >= self.begin);
        }
        self.asking &= !time_over;
    }

    /// Takes the whole messages out of what was read.
    fn answers(&mut self) -> Result<(), String> {
        while let [_, _, high, low, ..] = self.read[..] {
            let length = usize::from(u16::from_be_bytes([high, low]));
            if length < 4 {
                return Err(format!("a message says that it has {length} bytes"));
            }
            if self.read.len() < length.next_multiple_of(4) {
                return Ok(());
            }
            let message = self.read.split_to(length.next_multiple_of(4));
            self.answer(&message[..length]);
        }
        Ok(())
    }

    fn answer(&mut self, message: &[u8]) {
        let now = Instant::now();
        let answer = self.questions.answer(message);
        if answer == Answer::Other {
            self.tally.other += 1;
            return;
        }
        self.heard = now;
        let Some(asked) = self.asked.pop_front() else {
            self.tally.unasked += 1;
            return;
        };
        if asked >= self.begin {
            self.tally.answered(now.saturating_duration_since(asked), answer, message.len());
            self.tally.last(now.saturating_duration_since(self.begin));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::questions::Resolutions;
    use super::*;
    use asap::wire::{Limits, Message, PoolHandle};
    use std::io::{Read, Write};

    /// Answers `count` questions with a refusal, cut into pieces of 5 bytes; then hangs up.
    fn server(count: usize) -> SocketAddr {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        std::thread::spawn(move || {
            let (mut stream, _) = listener.accept().unwrap();
            for _ in 0..count {
                let mut message = vec![0; 4];
                if stream.read_exact(&mut message).is_err() {
                    return;
                }
                let length = usize::from(u16::from_be_bytes([message[2], message[3]]));
                message.resize(length.next_multiple_of(4), 0);
                stream.read_exact(&mut message[4..]).unwrap();
                let message = Message::decode(&message[..length], &Limits::default()).unwrap().message;
                let Message::HandleResolution { handle, hint, .. } = message else { panic!("{message:?}") };
                assert_eq!(hint.as_deref(), Some(&b"here"[..]));
                let answer = Message::HandleResolutionResponse {
                    subscribed: false,
                    handle,
                    policy: None,
                    elements: Vec::new(),
                    error: Some(asap::wire::ErrorCause::UnknownPoolHandle.into()),
                };
                for piece in answer.encode().unwrap().chunks(5) {
                    stream.write_all(piece).unwrap();
                }
            }
        });
        address
    }

    fn settings(count: u64) -> Settings {
        Settings {
            outstanding: 3,
            rate_per_s: None,
            count: Some(count),
            time: None,
            warm_up: Duration::ZERO,
            patience: Duration::from_secs(10),
        }
    }

    fn questions() -> Resolutions {
        Resolutions::new(vec![PoolHandle::from("abc"), PoolHandle::from("d")], None).with_hint(Some("here".into()))
    }

    #[test]
    fn each_question_has_its_answer() {
        let report = ask(server(100), settings(100), questions()).unwrap();
        assert_eq!((report.answered, report.refused, report.wrong, report.unasked), (100, 100, 0, 0));
        let open = Settings { rate_per_s: Some(2_000.0), ..settings(50) };
        assert_eq!(ask(server(50), open, questions()).unwrap().answered, 50);
    }

    #[test]
    fn a_server_that_hangs_up_or_is_not_there_is_an_error() {
        let error = ask(server(5), settings(100), questions()).unwrap_err().to_string();
        assert!(error.contains("closed") || error.contains("reset"), "{error}");
        let nobody = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
        assert!(ask(nobody, settings(1), questions()).unwrap_err().to_string().contains("tcp.port"));
    }
}
