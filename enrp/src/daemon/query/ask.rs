//! A client of the admin server: one request a connection.

use crate::daemon::DaemonError;
use serde_json::Value;
use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::os::unix::net::UnixStream;
use std::time::Duration;

/// The node may take 2 s for an answer.
const PATIENCE: Duration = Duration::from_secs(5);
/// Longest answer: `/state` has its limits.
const ANSWER_BYTES_MAX: u64 = 64 << 20;
/// A node that has no time is asked again, so often, after so long.
const TRIES: u32 = 20;
const PAUSE: Duration = Duration::from_millis(50);

/// The admin server of a running daemon.
#[derive(Debug)]
pub struct Admin {
    /// What should answer there, for errors: `a name server`.
    who: &'static str,
    address: String,
    to: To,
    /// `/scope/NAME`, or nothing.
    prefix: String,
}

#[derive(Debug)]
enum To {
    Tcp(SocketAddr),
    Unix(String),
}

/// An HTTP answer.
struct Answer {
    status: u16,
    body: Vec<u8>,
}

impl Admin {
    /// At an address as `daemon.admin` has it; `who` should answer there: `a name server`.
    ///
    /// # Errors
    /// It is no such address.
    pub fn new(who: &'static str, address: &str, scope: Option<&str>) -> Result<Self, DaemonError> {
        let to = match address.strip_prefix("unix:") {
            Some(path) => To::Unix(path.to_owned()),
            None => To::Tcp(address.parse().map_err(|_| {
                DaemonError::Config(format!("--admin {address}: expected ADDRESS:PORT or unix:/path, as daemon.admin"))
            })?),
        };
        let safe = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.~".contains(&byte);
        let escaped = |byte: u8| if safe(byte) { char::from(byte).to_string() } else { format!("%{byte:02X}") };
        let prefix = scope
            .map_or_else(String::new, |scope| format!("/scope/{}", scope.bytes().map(escaped).collect::<String>()));
        Ok(Self { who, address: address.to_owned(), to, prefix })
    }

    /// `GET`, JSON.
    ///
    /// # Errors
    /// [`DaemonError::Config`] when the daemon refuses it, [`DaemonError::Environment`] when nobody answers.
    pub fn get(&self, path: &str) -> Result<Value, DaemonError> {
        self.ask("GET", path, "")
    }

    /// `POST`, JSON.
    ///
    /// # Errors
    /// As [`Admin::get`].
    pub fn post(&self, path: &str, body: &str) -> Result<Value, DaemonError> {
        self.ask("POST", path, body)
    }

    /// What answers is something else.
    #[must_use]
    pub fn strange(&self) -> DaemonError {
        DaemonError::Environment(format!("{}: the answer is not that of {} of this version", self.address, self.who))
    }

    fn ask(&self, method: &str, path: &str, body: &str) -> Result<Value, DaemonError> {
        let path = format!("{}{path}", self.prefix);
        for attempt in 1.. {
            let answer = self.exchange(method, &path, body).map_err(|error| {
                let look = "is the daemon running, and does its daemon.admin say this address?";
                DaemonError::Environment(format!("no answer from {}: {error}; {look}", self.address))
            })?;
            match answer.status {
                200 => return serde_json::from_slice(&answer.body).map_err(|_| self.strange()),
                503 if attempt < TRIES => std::thread::sleep(PAUSE),
                status => {
                    let text = String::from_utf8_lossy(&answer.body);
                    let (address, text) = (&self.address, text.trim_end());
                    // 4xx: what was asked for is not there.
                    let wrong = (400..500).contains(&status);
                    let scoped = !self.prefix.is_empty() || text.contains("scopes:");
                    let hint = if status == 404 && !scoped { format!("; is it {}?", self.who) } else { String::new() };
                    let problem = format!("{address} answers {status}: {text}{hint}");
                    return Err(if wrong { DaemonError::Config(problem) } else { DaemonError::Environment(problem) });
                }
            }
        }
        Err(self.strange())
    }

    fn exchange(&self, method: &str, path: &str, body: &str) -> io::Result<Answer> {
        match &self.to {
            To::Tcp(address) => {
                let stream = TcpStream::connect_timeout(address, PATIENCE)?;
                stream.set_read_timeout(Some(PATIENCE))?;
                stream.set_write_timeout(Some(PATIENCE))?;
                http(stream, method, path, body)
            }
            To::Unix(file) => {
                let stream = UnixStream::connect(file)?;
                stream.set_read_timeout(Some(PATIENCE))?;
                stream.set_write_timeout(Some(PATIENCE))?;
                http(stream, method, path, body)
            }
        }
    }
}

fn http(mut stream: impl Read + Write, method: &str, path: &str, body: &str) -> io::Result<Answer> {
    let length = body.len();
    let head = format!(
        "{method} {path} HTTP/1.1\r\nHost: enrp\r\nConnection: close\r\nContent-Length: {length}\r\n\r\n{body}"
    );
    stream.write_all(head.as_bytes())?;
    let mut answer = Vec::new();
    stream.take(ANSWER_BYTES_MAX).read_to_end(&mut answer)?;
    let strange = || io::Error::new(io::ErrorKind::InvalidData, "no HTTP answer");
    let end = answer.windows(4).position(|bytes| bytes == b"\r\n\r\n").ok_or_else(strange)?;
    let status = String::from_utf8_lossy(&answer[..end]).split(' ').nth(1).and_then(|status| status.parse().ok());
    Ok(Answer { status: status.ok_or_else(strange)?, body: answer.split_off(end + 4) })
}
