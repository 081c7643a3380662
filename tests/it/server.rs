//! A real HTTP server on 127.0.0.1 that plays the hub and Google Drive, well or badly.

use std::io::{BufRead, BufReader, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Mutex};
use std::time::Duration;

/// A request as it came.
#[derive(Debug, Clone)]
pub struct Request {
    pub method: String,
    /// Path and query.
    pub path: String,
    /// Names in lower case.
    pub headers: Vec<(String, String)>,
    /// How many requests with this method and path came before.
    pub before: usize,
}

impl Request {
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(n, _)| n == name).map(|(_, v)| v.as_str())
    }

    /// The first byte a `Range: bytes=N-` asks for.
    pub fn from(&self) -> Option<usize> {
        self.header("range")?.strip_prefix("bytes=")?.strip_suffix('-')?.parse().ok()
    }
}

/// What is sent back.
#[derive(Debug, Clone, Default)]
pub struct Reply {
    pub status: u16,
    pub headers: Vec<(String, String)>,
    pub body: Vec<u8>,
    /// The length the header claims, if not the body's.
    pub claims: Option<usize>,
    /// Bytes of the body after which the server falls silent this long and then hangs up.
    pub silent_after: Option<(usize, Duration)>,
}

impl Reply {
    pub fn new(status: u16) -> Self {
        Self { status, ..Self::default() }
    }

    pub fn header(mut self, name: &str, value: impl Into<String>) -> Self {
        self.headers.push((name.into(), value.into()));
        self
    }

    pub fn body(mut self, bytes: &[u8]) -> Self {
        self.body = bytes.to_vec();
        self
    }

    pub fn page(html: &str) -> Self {
        Self::new(200).header("Content-Type", "text/html; charset=utf-8").body(html.as_bytes())
    }

    /// A file, or the rest of it if the request asks for that.
    pub fn file(bytes: &[u8], request: &Request) -> Self {
        match request.from() {
            None => Self::new(200).body(bytes),
            Some(start) if start < bytes.len() => Self::new(206)
                .header("Content-Range", format!("bytes {start}-{}/{}", bytes.len() - 1, bytes.len()))
                .body(&bytes[start..]),
            Some(_) => Self::new(416).header("Content-Range", format!("bytes */{}", bytes.len())),
        }
    }

    /// Hangs up after so many bytes of the body.
    pub fn cut_after(mut self, bytes: usize) -> Self {
        self.silent_after = Some((bytes, Duration::ZERO));
        self
    }

    /// Falls silent after so many bytes, for longer than any test runs.
    pub fn silent_after(mut self, bytes: usize) -> Self {
        self.silent_after = Some((bytes, Duration::from_secs(60)));
        self
    }
}

/// A server that runs until the test's process ends.
pub struct Server {
    pub url: String,
    log: Arc<Mutex<Vec<Request>>>,
}

impl Server {
    /// Answers each request with what `handle` makes of it.
    pub fn start(handle: impl Fn(&Request) -> Reply + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let log = Arc::new(Mutex::new(Vec::new()));
        let (handle, seen) = (Arc::new(handle), log.clone());
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let (handle, seen) = (handle.clone(), seen.clone());
                // Who hangs up on us has its reasons.
                std::thread::spawn(move || drop(serve(stream, &*handle, &seen)));
            }
        });
        Self { url, log }
    }

    /// Every request so far.
    pub fn log(&self) -> Vec<Request> {
        self.log.lock().unwrap().clone()
    }

    /// Requests of a method whose path holds `part`.
    pub fn asked(&self, method: &str, part: &str) -> Vec<Request> {
        self.log().into_iter().filter(|r| r.method == method && r.path.contains(part)).collect()
    }
}

fn serve(
    stream: TcpStream,
    handle: &(dyn Fn(&Request) -> Reply + Send + Sync),
    log: &Mutex<Vec<Request>>,
) -> std::io::Result<()> {
    let mut lines = BufReader::new(stream.try_clone()?).lines();
    let first = lines.next().unwrap_or_else(|| Ok(String::new()))?;
    let mut words = first.split(' ').map(ToString::to_string);
    let (Some(method), Some(path)) = (words.next(), words.next()) else { return Ok(()) };
    let mut headers = Vec::new();
    for line in lines {
        let line = line?;
        let Some((name, value)) = line.split_once(':') else { break };
        headers.push((name.to_ascii_lowercase(), value.trim().to_string()));
    }
    let request = {
        let mut log = log.lock().unwrap();
        let before = log.iter().filter(|r| r.method == method && r.path == path).count();
        log.push(Request { method, path, headers, before });
        log[log.len() - 1].clone()
    };
    let reply = handle(&request);
    let mut out = stream;
    let length = reply.claims.unwrap_or(reply.body.len());
    let mut head = format!("HTTP/1.1 {} X\r\nConnection: close\r\n", reply.status);
    if !reply.headers.iter().any(|(name, _)| name.eq_ignore_ascii_case("transfer-encoding")) {
        head += &format!("Content-Length: {length}\r\n");
    }
    for (name, value) in &reply.headers {
        head += &format!("{name}: {value}\r\n");
    }
    out.write_all(head.as_bytes())?;
    out.write_all(b"\r\n")?;
    if request.method == "HEAD" {
        return Ok(());
    }
    let (sent, silence) = reply.silent_after.unwrap_or((reply.body.len(), Duration::ZERO));
    out.write_all(&reply.body[..sent.min(reply.body.len())])?;
    out.flush()?;
    std::thread::sleep(silence);
    Ok(())
}
