//! The HTTP server itself.

use super::merge::merge;
use super::{AdminKind, AdminReply, AdminRequest, Reply};
use crate::daemon::{DaemonCommand, DaemonError, Kind, Metrics};
use axum::Router;
use axum::extract::{DefaultBodyLimit, Path, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use sctp::driver::DriverCounters;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;
use tokio::net::{TcpListener, UnixListener, UnixStream};
use tokio::sync::mpsc;

/// How long the node may take to answer.
const ANSWER_WITHIN: Duration = Duration::from_secs(2);
/// Largest body of a command.
const BODY_BYTES_MAX: usize = 64 << 10;

/// A bound admin server that does not serve yet.
#[derive(Debug)]
pub(in crate::daemon) struct AdminServer {
    listener: Listener,
}

#[derive(Debug)]
enum Listener {
    Tcp(TcpListener),
    Unix(UnixListener, SocketFile),
}

/// Removes the socket's file in the end.
#[derive(Debug)]
struct SocketFile(PathBuf);

impl Drop for SocketFile {
    fn drop(&mut self) {
        // Gone already is as good.
        let _ = std::fs::remove_file(&self.0);
    }
}

impl AdminServer {
    /// Binds the address of the configuration; `None` when it is empty (off).
    ///
    /// # Errors
    /// Configuration: no such form, not a loopback address. Environment: cannot be bound.
    pub(in crate::daemon) async fn bind(address: &str) -> Result<Option<Self>, DaemonError> {
        let listener = match address.strip_prefix("unix:") {
            _ if address.is_empty() => return Ok(None),
            Some(path) => bind_unix(PathBuf::from(path)).await?,
            None => bind_tcp(address).await?,
        };
        Ok(Some(Self { listener }))
    }

    /// The bound address in the form of the configuration.
    pub(in crate::daemon) fn local(&self) -> String {
        match &self.listener {
            Listener::Tcp(listener) => listener.local_addr().map_or_else(|e| e.to_string(), |a| a.to_string()),
            Listener::Unix(_, file) => format!("unix:{}", file.0.display()),
        }
    }

    /// Serves until it is dropped.
    pub(in crate::daemon) async fn serve(self, parts: Vec<AdminPart>) {
        let router = router(Arc::new(parts));
        let result = match self.listener {
            Listener::Tcp(listener) => axum::serve(listener, router).await,
            Listener::Unix(listener, _file) => axum::serve(listener, router).await,
        };
        if let Err(error) = result {
            tracing::error!("admin server: {error}");
        }
    }
}

async fn bind_tcp(address: &str) -> Result<Listener, DaemonError> {
    let wrong = |why: &str| {
        let forms = "give a loopback ADDRESS:PORT, unix:/path, or nothing";
        DaemonError::Config(format!("daemon.admin = \"{address}\": {why}; {forms}"))
    };
    let parsed: SocketAddr = address.parse().map_err(|_| wrong("no address with port"))?;
    if !parsed.ip().is_loopback() {
        // It has no authentication: who may reach it may command.
        return Err(wrong("not a loopback address"));
    }
    let failed =
        |e| DaemonError::Environment(format!("cannot bind the admin address {address}: {e}; give another one"));
    Ok(Listener::Tcp(TcpListener::bind(parsed).await.map_err(failed)?))
}

async fn bind_unix(path: PathBuf) -> Result<Listener, DaemonError> {
    let failed = |e: &dyn std::fmt::Display| {
        let path = path.display();
        DaemonError::Environment(format!("cannot bind the admin socket {path}: {e}; give another path"))
    };
    if path.exists() {
        if UnixStream::connect(&path).await.is_ok() {
            return Err(failed(&"another process serves it"));
        }
        // Left behind by a killed process. Anything but a socket does not go away by this.
        let is_socket =
            std::fs::metadata(&path).is_ok_and(|m| std::os::unix::fs::FileTypeExt::is_socket(&m.file_type()));
        if !is_socket {
            return Err(failed(&"a file that is no socket is there"));
        }
        std::fs::remove_file(&path).map_err(|e| failed(&e))?;
    }
    let listener = UnixListener::bind(&path).map_err(|e| failed(&e))?;
    Ok(Listener::Unix(listener, SocketFile(path)))
}

/// How handlers reach a node.
pub(in crate::daemon) struct AdminPart {
    name: String,
    ask: Box<dyn Fn(AdminRequest) -> Result<(), &'static str> + Send + Sync>,
    counters: Arc<DriverCounters>,
}

impl AdminPart {
    /// The node that takes these commands.
    pub(in crate::daemon) fn new<C>(name: String, commands: mpsc::Sender<C>, counters: Arc<DriverCounters>) -> Self
    where
        C: From<DaemonCommand> + Send + 'static,
    {
        let ask = move |request| {
            commands.try_send(C::from(DaemonCommand::Admin(request))).map_err(|_| "the node has no time; ask again\n")
        };
        Self { name, ask: Box::new(ask), counters }
    }

    async fn ask(&self, kind: AdminKind) -> AdminReply {
        let metrics = kind == AdminKind::Metrics;
        let (reply, answer) = Reply::new();
        if let Err(text) = (self.ask)(AdminRequest { kind, reply }) {
            return AdminReply::unavailable(text);
        }
        let mut reply = match tokio::time::timeout(ANSWER_WITHIN, answer).await {
            Ok(Ok(reply)) => reply,
            Ok(Err(_)) => AdminReply::unavailable("the node gave no answer\n"),
            Err(_) => AdminReply::unavailable("the node did not answer within 2 s\n"),
        };
        if metrics && reply.status == 200 {
            reply.content_type = "text/plain; version=0.0.4; charset=utf-8";
            let mut driver = Metrics::new();
            for (name, help, value) in self.counters.snapshot() {
                driver.family(&format!("udp_{name}_total"), help, Kind::Counter).integer(value);
            }
            reply.body.push_str(&driver.finish());
        }
        reply
    }
}

type Parts = State<Arc<Vec<AdminPart>>>;

/// Asks every node; of several the answers are one.
async fn ask_all(State(parts): Parts, kind: AdminKind) -> AdminReply {
    let mut replies = Vec::new();
    for part in parts.iter() {
        replies.push((part.name.as_str(), part.ask(kind.clone()).await));
    }
    merge(&kind, replies)
}

/// Asks the node with this name.
async fn ask_one(State(parts): Parts, name: &str, kind: AdminKind) -> AdminReply {
    match parts.iter().find(|part| part.name == name) {
        Some(part) => part.ask(kind).await,
        None => {
            let names: Vec<_> = parts.iter().map(|part| part.name.as_str()).collect();
            AdminReply::not_found(format!("no such scope; scopes: {}\n", names.join(", ")))
        }
    }
}

impl IntoResponse for AdminReply {
    fn into_response(self) -> Response {
        let status = StatusCode::from_u16(self.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        (status, [(header::CONTENT_TYPE, self.content_type)], self.body).into_response()
    }
}

fn router(parts: Arc<Vec<AdminPart>>) -> Router {
    let mut router = Router::new();
    for (path, kind) in [("state", AdminKind::State), ("healthz", AdminKind::Health), ("metrics", AdminKind::Metrics)] {
        let of_all = kind.clone();
        router = router.route(&format!("/{path}"), get(move |parts: Parts| ask_all(parts, of_all))).route(
            &format!("/scope/{{scope}}/{path}"),
            get(move |parts: Parts, Path(scope): Path<String>| async move { ask_one(parts, &scope, kind).await }),
        );
    }
    router
        .route("/command/{name}", post(command))
        .route("/scope/{scope}/command/{name}", post(command_of))
        .fallback(|| async {
            AdminReply::not_found(
                "GET /state, /metrics, /healthz; POST /command/NAME; of one of several: /scope/SCOPE/...\n",
            )
        })
        .layer(DefaultBodyLimit::max(BODY_BYTES_MAX))
        .with_state(parts)
}

async fn command(parts: Parts, Path(name): Path<String>, headers: HeaderMap, body: String) -> AdminReply {
    match refusal(&headers) {
        Some(refusal) => refusal,
        None if parts.len() > 1 => {
            AdminReply::bad_request(format!("there are several scopes: POST /scope/SCOPE/command/{name}\n"))
        }
        None => ask_all(parts, AdminKind::Command { name, body }).await,
    }
}

async fn command_of(
    parts: Parts,
    Path((scope, name)): Path<(String, String)>,
    headers: HeaderMap,
    body: String,
) -> AdminReply {
    match refusal(&headers) {
        Some(refusal) => refusal,
        None => ask_one(parts, &scope, AdminKind::Command { name, body }).await,
    }
}

/// A page in a browser on this machine can post here; no page of ours does.
fn refusal(headers: &HeaderMap) -> Option<AdminReply> {
    let from_page = headers.contains_key(header::ORIGIN);
    from_page.then(|| AdminReply { status: 403, ..AdminReply::ok("commands do not come from web pages\n") })
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
    use tokio::net::TcpStream;

    /// Answers like a node; drops `Health`.
    async fn node(mut commands: mpsc::Receiver<DaemonCommand>) {
        while let Some(DaemonCommand::Admin(AdminRequest { kind, reply })) = commands.recv().await {
            match kind {
                AdminKind::State => reply.send(AdminReply::json(&["up"])),
                AdminKind::Metrics => reply.send(AdminReply::ok("own 1\n")),
                AdminKind::Health => drop(reply),
                AdminKind::Command { name, body } => reply.send(AdminReply::bad_request(format!("{name}:{body}"))),
            }
        }
    }

    async fn exchange(mut stream: impl AsyncRead + AsyncWrite + Unpin, request: &str) -> String {
        stream.write_all(request.as_bytes()).await.unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await.unwrap();
        answer
    }

    fn get_request(path: &str) -> String {
        format!("GET {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
    }

    fn post_request(path: &str, more: &str, body: &str) -> String {
        let length = body.len();
        format!("POST {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n{more}Content-Length: {length}\r\n\r\n{body}")
    }

    async fn start(address: &str) -> String {
        let server = AdminServer::bind(address).await.unwrap().unwrap();
        let local = server.local();
        let (sender, receiver) = mpsc::channel(4);
        tokio::spawn(node(receiver));
        tokio::spawn(server.serve(vec![AdminPart::new("one".into(), sender, Arc::default())]));
        local
    }

    #[tokio::test]
    async fn the_node_is_asked_over_tcp() {
        let local = start("127.0.0.1:0").await;
        let ask = async |request: String| exchange(TcpStream::connect(&local).await.unwrap(), &request).await;
        let answer = ask(get_request("/state")).await;
        assert!(answer.starts_with("HTTP/1.1 200") && answer.ends_with("[\"up\"]"), "{answer}");
        assert!(answer.contains("content-type: application/json"), "{answer}");
        let answer = ask(get_request("/metrics")).await;
        assert!(answer.contains("version=0.0.4") && answer.contains("\r\n\r\nown 1\n# HELP udp_"), "{answer}");
        assert!(answer.contains("# TYPE udp_datagrams_in_total counter\nudp_datagrams_in_total 0\n"), "{answer}");
        assert!(ask(get_request("/healthz")).await.starts_with("HTTP/1.1 503"));
        let answer = ask(get_request("/nothing")).await;
        assert!(answer.starts_with("HTTP/1.1 404") && answer.contains("/state"), "{answer}");
        let answer = ask(post_request("/command/move", "", "it")).await;
        assert!(answer.starts_with("HTTP/1.1 400") && answer.ends_with("move:it"), "{answer}");
        let answer = ask(post_request("/command/move", "Origin: http://evil\r\n", "it")).await;
        assert!(answer.starts_with("HTTP/1.1 403"), "{answer}");
        let answer = ask(post_request("/command/move", "", &"x".repeat(BODY_BYTES_MAX + 1))).await;
        assert!(answer.starts_with("HTTP/1.1 413"), "{answer}");
    }

    #[tokio::test]
    async fn unix_socket_takes_over_a_dead_one_but_not_a_living_one() {
        let path = std::env::temp_dir().join(format!("sigpool-admin-{}.sock", std::process::id()));
        let address = format!("unix:{}", path.display());
        drop(std::os::unix::net::UnixListener::bind(&path).unwrap());
        assert!(path.exists());
        assert_eq!(start(&address).await, address);
        let answer = exchange(UnixStream::connect(&path).await.unwrap(), &get_request("/state")).await;
        assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
        let error = AdminServer::bind(&address).await.unwrap_err();
        assert!(error.code() == 3 && error.to_string().contains("another process"), "{error}");
        std::fs::remove_file(path).unwrap();
    }

    #[tokio::test]
    async fn wrong_addresses_say_what_is_right() {
        assert!(AdminServer::bind("").await.unwrap().is_none());
        for (address, code) in [("0.0.0.0:0", 2), ("localhost", 2), ("unix:/nowhere/x", 3), ("unix:/dev/null", 3)] {
            let error = AdminServer::bind(address).await.unwrap_err();
            assert_eq!(error.code(), code, "{error}");
        }
        let taken = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = taken.local_addr().unwrap().to_string();
        assert_eq!(AdminServer::bind(&address).await.unwrap_err().code(), 3);
    }

    #[tokio::test]
    async fn a_busy_node_is_told_not_waited_for() {
        let server = AdminServer::bind("127.0.0.1:0").await.unwrap().unwrap();
        let local = server.local();
        let (sender, _receiver) = mpsc::channel(1);
        sender.try_send(DaemonCommand::Stop).unwrap();
        tokio::spawn(server.serve(vec![AdminPart::new("one".into(), sender, Arc::default())]));
        let answer = exchange(TcpStream::connect(&local).await.unwrap(), &get_request("/state")).await;
        assert!(answer.starts_with("HTTP/1.1 503") && answer.contains("no time"), "{answer}");
    }
}
