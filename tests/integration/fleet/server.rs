//! Servers on 127.0.0.1, in threads of the test, that end with it.

use std::io::{self, Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread::{self, JoinHandle};

use crate::harness::{alone, some_of};

/// How much of an answer is passed on, in bytes.
const MAX_ANSWER: u64 = 64 * 1024 * 1024;

/// How git reaches the remote.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Transport {
    /// `file://`
    File,
    /// `git://`, served by `git daemon`
    Daemon,
    /// `http://`, served by `git http-backend`
    Http,
}

impl Transport {
    const ALL: [Self; 3] = [Self::File, Self::Daemon, Self::Http];

    /// One of them, another one for each `turn`; all in the long form.
    pub(crate) fn some(turn: usize) -> impl Iterator<Item = Self> {
        some_of(Self::ALL, Self::ALL.len(), turn)
    }
}

/// What serves the repositories of a folder.
pub(crate) struct Server {
    base: String,
    served: Arc<Served>,
    stop: Option<Box<dyn FnOnce()>>,
    thread: Option<JoinHandle<()>>,
}

/// What threads of a server share.
#[derive(Default)]
struct Served {
    folder: PathBuf,
    calls: AtomicUsize,
    stopped: AtomicBool,
}

impl Server {
    /// Serves the bare repositories in `folder`.
    pub(crate) fn new(transport: Transport, folder: &Path) -> Self {
        let served = Arc::new(Served { folder: folder.to_owned(), ..Served::default() });
        match transport {
            Transport::File => Self {
                base: format!("file://{}", folder.display()),
                served,
                stop: None,
                thread: None,
            },
            Transport::Daemon => Self::daemon(served),
            Transport::Http => Self::http(served),
        }
    }

    /// Where a repository of the folder is.
    pub(crate) fn url(&self, name: &str) -> String {
        format!("{}/{name}", self.base)
    }

    /// How often it was called since this was asked last: connections of `git://`, requests of
    /// `http://`.
    pub(crate) fn calls(&self) -> usize {
        self.served.calls.swap(0, Ordering::SeqCst)
    }

    /// `git daemon` for each connection, as inetd would start it.
    fn daemon(served: Arc<Served>) -> Self {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let address = listener.local_addr().unwrap();
        let shared = Arc::clone(&served);
        let thread = thread::spawn(move || {
            for stream in listener.incoming() {
                if shared.stopped.load(Ordering::SeqCst) {
                    break;
                }
                shared.calls.fetch_add(1, Ordering::SeqCst);
                let mut daemon = shared.git("daemon");
                let stream = OwnedFd::from(stream.unwrap());
                daemon.args(["--inetd", "--export-all", "--enable=receive-pack"]);
                daemon.arg(format!("--base-path={}", shared.folder.display()));
                daemon.stdin(stream.try_clone().unwrap()).stdout(stream);
                let mut child = daemon.spawn().unwrap();
                thread::spawn(move || child.wait());
            }
        });
        Self::running(format!("git://{address}"), served, move || wake(address), thread)
    }

    /// `git http-backend` for each request, as a web server would start it (git-http-backend(1)).
    fn http(served: Arc<Served>) -> Self {
        let server = Arc::new(tiny_http::Server::http((Ipv4Addr::LOCALHOST, 0)).unwrap());
        let (accepts, shared) = (Arc::clone(&server), Arc::clone(&served));
        let thread = thread::spawn(move || {
            for request in accepts.incoming_requests() {
                shared.calls.fetch_add(1, Ordering::SeqCst);
                let shared = Arc::clone(&shared);
                thread::spawn(move || shared.answer(request));
            }
        });
        let base = format!("http://{}", server.server_addr());
        Self::running(base, served, move || server.unblock(), thread)
    }

    fn running(
        base: String,
        served: Arc<Served>,
        stop: impl FnOnce() + 'static,
        thread: JoinHandle<()>,
    ) -> Self {
        Self { base, served, stop: Some(Box::new(stop)), thread: Some(thread) }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.served.stopped.store(true, Ordering::SeqCst);
        if let Some(stop) = self.stop.take() {
            stop();
        }
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

/// Lets a listener see that it shall stop.
fn wake(address: SocketAddr) {
    let _ = TcpStream::connect(address);
}

impl Served {
    /// A git of the server's own.
    fn git(&self, command: &str) -> Command {
        let mut git = alone("git", &self.folder, &self.folder);
        git.arg(command).stderr(Stdio::null());
        git
    }

    fn answer(&self, mut request: tiny_http::Request) {
        let (path, query) = request.url().split_once('?').unwrap_or((request.url(), ""));
        let mut backend = self.git("http-backend");
        backend.env("GIT_PROJECT_ROOT", &self.folder).env("GIT_HTTP_EXPORT_ALL", "1");
        backend
            .env("REQUEST_METHOD", request.method().to_string())
            .env("PATH_INFO", path)
            .env("QUERY_STRING", query);
        for (header, variable) in [
            ("Content-Type", "CONTENT_TYPE"),
            ("Content-Encoding", "HTTP_CONTENT_ENCODING"),
            ("Git-Protocol", "HTTP_GIT_PROTOCOL"),
            ("Git-Protocol", "GIT_PROTOCOL"),
        ] {
            if let Some(found) = request.headers().iter().find(|found| found.field.equiv(header)) {
                backend.env(variable, found.value.as_str());
            }
        }
        let answer = run(backend, request.as_reader()).unwrap_or_default();
        let (head, body) = split(&answer);
        let head = String::from_utf8_lossy(head);
        let lines: Vec<(&str, &str)> =
            head.lines().filter_map(|line| line.split_once(": ")).collect();
        let status = lines
            .iter()
            .find(|(name, _)| *name == "Status")
            .and_then(|(_, value)| value.get(..3)?.parse().ok());
        // A backend that died has said nothing.
        let status: u16 = status.unwrap_or(if answer.is_empty() { 500 } else { 200 });
        let headers = lines.iter().filter(|(name, _)| *name != "Status");
        let headers = headers
            .filter_map(|(name, value)| tiny_http::Header::from_bytes(*name, *value).ok())
            .collect();
        let response =
            tiny_http::Response::new(status.into(), headers, body, Some(body.len()), None);
        // The client may be gone.
        let _ = request.respond(response);
    }
}

/// Runs a program to its end, with something to read.
fn run(mut command: Command, input: &mut dyn Read) -> io::Result<Vec<u8>> {
    let mut body = Vec::new();
    input.take(MAX_ANSWER).read_to_end(&mut body)?;
    command.env("CONTENT_LENGTH", body.len().to_string());
    let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn()?;
    let mut stdin = child.stdin.take().unwrap();
    let writer = thread::spawn(move || stdin.write_all(&body));
    let mut answer = Vec::new();
    child.stdout.take().unwrap().take(MAX_ANSWER).read_to_end(&mut answer)?;
    child.wait()?;
    let _ = writer.join();
    Ok(answer)
}

/// The headers and the body of what a CGI program says.
fn split(answer: &[u8]) -> (&[u8], &[u8]) {
    let place = answer.windows(4).position(|four| four == b"\r\n\r\n");
    place.map_or((&[], answer), |place| (&answer[..place], &answer[place + 4..]))
}

/// A remote that takes connections and never says a word.
pub(crate) struct Silence(TcpListener);

impl Silence {
    pub(crate) fn new() -> Self {
        Self(TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap())
    }

    pub(crate) fn url(&self, transport: Transport) -> String {
        let scheme = if transport == Transport::Http { "http" } else { "git" };
        format!("{scheme}://{}/remote.git", self.0.local_addr().unwrap())
    }
}
