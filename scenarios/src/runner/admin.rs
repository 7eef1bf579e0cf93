//! Reads the admin HTTP of a daemon of the lab.

use serde_json::Value;
use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

/// A daemon that does not answer within this time (a stopped one) is left alone.
const PATIENCE: Duration = Duration::from_millis(500);
/// Largest state taken.
const BYTES_MAX: u64 = 16 << 20;

/// GET /state.
///
/// # Errors
/// No connection, no answer in time, or not JSON.
pub(crate) fn state(address: SocketAddr) -> io::Result<Value> {
    let mut stream = TcpStream::connect_timeout(&address, PATIENCE)?;
    stream.set_read_timeout(Some(PATIENCE))?;
    stream.set_write_timeout(Some(PATIENCE))?;
    write!(stream, "GET /state HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n\r\n")?;
    let mut answer = Vec::new();
    stream.take(BYTES_MAX).read_to_end(&mut answer)?;
    let body = answer.windows(4).position(|w| w == b"\r\n\r\n").map(|end| &answer[end + 4..]);
    let body = body
        .filter(|_| answer.starts_with(b"HTTP/1.1 200"))
        .ok_or_else(|| io::Error::other("no answer with status 200"))?;
    serde_json::from_slice(body).map_err(io::Error::other)
}

fn list<'v>(value: &'v Value, key: &str) -> &'v [Value] {
    value.get(key).and_then(Value::as_array).map_or(&[], Vec::as_slice)
}

/// Controllers in a gateway's state, one JSON object each (`pe`, `state`, `groups`, `messages_up`, ...).
pub(crate) fn controllers(gateway: &Value) -> impl Iterator<Item = &Value> {
    list(gateway, "pools").iter().flat_map(|pool| list(pool, "controllers"))
}

/// How many controllers the gateway says are ASP-ACTIVE.
pub(crate) fn active_controllers(gateway: &Value) -> usize {
    controllers(gateway).filter(|c| c.get("state").and_then(Value::as_str) == Some("active")).count()
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;
    use std::net::TcpListener;

    #[test]
    fn active_controllers_are_counted_over_all_pools() {
        let one = json!({"controllers": [{"state": "active"}, {"state": "down"}]});
        assert_eq!(active_controllers(&json!({"pools": [one, one]})), 2);
        assert_eq!(active_controllers(&json!({})), 0);
    }

    #[test]
    fn an_answer_that_is_not_ok_is_an_error() {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
        let address = listener.local_addr().expect("bound");
        let server = std::thread::spawn(move || {
            for answer in ["HTTP/1.1 500 No\r\n\r\n{}", "HTTP/1.1 200 OK\r\n\r\n{\"a\":1}"] {
                let (mut stream, _) = listener.accept().expect("a client");
                let mut request = [0; 512];
                let _ = stream.read(&mut request).expect("a request");
                stream.write_all(answer.as_bytes()).expect("written");
            }
        });
        assert!(state(address).is_err());
        assert_eq!(state(address).expect("JSON"), json!({"a": 1}));
        server.join().expect("server");
    }
}
