//! The network, by its rule: only when something is missing, never where it is switched off, always with patience and an end.
//!
//! A server that is busy or stumbles (408, 429, 5xx, a connection that breaks or falls silent) is asked again, after the
//! pause it names or one that doubles; bytes that arrive start the count anew. A refusal (403, 404) is final at once, and so
//! is a machine that cannot be reached at all after a second try: nobody without a network should wait to learn it.

mod download;
mod lock;
mod tries;

use std::env;
use std::sync::Arc;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use ureq::http::{HeaderMap, Response, StatusCode};
use ureq::{Agent, Body};

pub(super) use download::{Arrived, Job, download};
pub(super) use lock::Lock;
pub(super) use tries::Tries;

use super::WeightsError;

/// Seconds without a byte after which a connection counts as lost, if `LIFT_HTTP_TIMEOUT` does not say.
const PATIENCE: f64 = 30.0;

/// Seconds of the first pause before trying again, for [`PATIENCE`] of a second; it doubles from try to try.
const PAUSE: f64 = 1.0 / PATIENCE;

/// How many redirects lead to a file.
pub(super) const MOST_REDIRECTS: usize = 10;

/// The longest page that is read to learn why it came instead of a file.
const LONGEST_PAGE: u64 = 1 << 20;

/// Why something could not be fetched. The message has the cause; who asked adds what it was and the remedy.
#[derive(Debug, thiserror::Error)]
pub(super) enum NetError {
    #[error("{host} cannot be reached: {cause}")]
    Unreachable { host: String, cause: String },
    #[error("{host} answered {status}{detail}")]
    Status { host: String, status: StatusCode, detail: String, page: String },
    #[error("{host} asks to wait {seconds} s before trying again")]
    Busy { host: String, seconds: u64 },
    #[error("the connection to {host} broke off after {have}: {cause}")]
    Cut { host: String, have: String, cause: String },
    #[error("{host} sent a web page{title} instead of the file")]
    WebPage { host: String, title: String, page: String },
    #[error("{0}")]
    Wrong(String),
    #[error("{path}: {source}")]
    Write { path: String, source: std::io::Error },
    #[error("interrupted")]
    Interrupted(usize),
}

impl NetError {
    pub(super) fn write(path: &std::path::Path, source: std::io::Error) -> Self {
        Self::Write { path: path.display().to_string(), source }
    }

    /// The error of the whole attempt to get `what`, with what to do instead.
    pub(super) fn into_weights(self, what: &str, remedy: &str) -> WeightsError {
        match self {
            Self::Write { path, source } => {
                let remedy = match source.kind() {
                    std::io::ErrorKind::StorageFull | std::io::ErrorKind::QuotaExceeded => {
                        "what has arrived is kept: free some space and run it again, or name another folder with HF_HOME \
                         and LIFT_HOME"
                    }
                    _ => "name a folder that is yours with HF_HOME and LIFT_HOME",
                };
                WeightsError::Write { origin: path, source, remedy }
            }
            Self::Interrupted(signal) => {
                WeightsError::Interrupted { signal: i32::try_from(signal).unwrap_or_default() }
            }
            other => WeightsError::Absent(format!("{what}: {other}; {remedy}")),
        }
    }
}

/// Which switch forbids the network, if one does; `flag` is `--offline`.
pub(super) fn forbidden(flag: bool) -> Option<&'static str> {
    if flag {
        return Some("--offline");
    }
    ["LIFT_OFFLINE", "HF_HUB_OFFLINE"].into_iter().find(|name| switched_on(name))
}

/// True for any value of an environment switch but the empty one, 0, false, no and off.
fn switched_on(name: &str) -> bool {
    env::var(name).is_ok_and(|v| !["", "0", "false", "no", "off"].contains(&v.to_ascii_lowercase().as_str()))
}

/// The value of an environment variable, if it is set and not empty.
pub(super) fn setting(name: &str) -> Option<String> {
    env::var(name).ok().filter(|value| !value.trim().is_empty())
}

static SIGNAL: OnceLock<Arc<AtomicUsize>> = OnceLock::new();

/// Downloads end when this is no longer zero: the number of the signal that came.
pub fn stop_downloads_on(signal: Arc<AtomicUsize>) {
    let _ = SIGNAL.set(signal);
}

/// # Errors
/// If a signal came.
fn go_on() -> Result<(), NetError> {
    match SIGNAL.get().map_or(0, |signal| signal.load(Ordering::Relaxed)) {
        0 => Ok(()),
        signal => Err(NetError::Interrupted(signal)),
    }
}

/// How long a connection may be silent.
fn patience() -> Duration {
    let told = setting("LIFT_HTTP_TIMEOUT").and_then(|text| text.trim().parse().ok());
    let seconds = told.filter(|s: &f64| s.is_finite() && *s > 0.0).unwrap_or(PATIENCE);
    Duration::from_secs_f64(seconds.min(3600.0))
}

/// Sleeps in small steps, so that a signal is heard.
fn sleep(mut time: Duration) -> Result<(), NetError> {
    const STEP: Duration = Duration::from_millis(100);
    while !time.is_zero() {
        go_on()?;
        std::thread::sleep(time.min(STEP));
        time = time.saturating_sub(STEP);
    }
    go_on()
}

/// `"https://host:port"` of a URL: what may be shown of it, for paths and queries can hold secrets.
pub(super) fn host(url: &str) -> String {
    let (scheme, rest) = url.split_once("://").unwrap_or(("http", url));
    let authority = rest.split(['/', '?', '#']).next().unwrap_or_default();
    let host = authority.rsplit('@').next().unwrap_or_default();
    format!("{scheme}://{host}")
}

/// Sends requests. Redirects are followed here and not by the agent, which would take a token along to another port of the
/// same machine.
pub(super) struct Client {
    agent: Agent,
    token: Option<String>,
}

/// What came back, sorted by what to do about it.
enum Answer {
    Good(Response<Body>),
    /// Try again, after the pause the server names if it does.
    Again(NetError, Option<Duration>),
}

impl Client {
    /// `token` is sent to the servers that URLs name, never to those that they redirect to.
    pub(super) fn new(token: Option<String>) -> Self {
        let patience = Some(patience());
        let agent = Agent::config_builder()
            .http_status_as_error(false)
            .max_redirects(0)
            .max_redirects_will_error(false)
            .timeout_resolve(patience)
            .timeout_connect(patience)
            .timeout_send_request(patience)
            .timeout_recv_response(patience)
            .timeout_per_read(patience)
            .user_agent(concat!("lift/", env!("CARGO_PKG_VERSION")))
            // The bytes as they are: a size or a range of packed ones would be another.
            .accept_encoding("identity")
            .build()
            .new_agent();
        Self { agent, token }
    }

    /// One request, redirects followed.
    fn get(&self, url: &str, headers: &[(&str, String)]) -> Result<Answer, NetError> {
        let mut at = url.to_string();
        for _ in 0..MOST_REDIRECTS {
            let mut request = self.agent.get(&at);
            if let Some(token) = self.token.as_ref().filter(|_| host(&at) == host(url)) {
                request = request.header("Authorization", format!("Bearer {token}"));
            }
            for (name, value) in headers {
                request = request.header(*name, value);
            }
            let answer = judge(&at, request.call())?;
            let next = match &answer {
                Answer::Good(response) if response.status().is_redirection() => {
                    text_header(response.headers(), "location").and_then(|to| joined(&at, to))
                }
                _ => None,
            };
            match next {
                Some(next) if at.starts_with("https://") && next.starts_with("http://") => {
                    let (from, to) = (host(&at), host(&next));
                    return Err(NetError::Wrong(format!(
                        "{from} redirects to {to}, which is not encrypted: not followed"
                    )));
                }
                Some(next) => at = next,
                None => return Ok(answer),
            }
        }
        Err(NetError::Wrong(format!("{} redirects again and again", host(url))))
    }

    /// The headers of a URL, tried again as long as that may help; redirects are not followed.
    pub(super) fn head(&self, url: &str) -> Result<(StatusCode, HeaderMap), NetError> {
        let mut tries = Tries::new();
        loop {
            let mut request = self.agent.head(url);
            if let Some(token) = &self.token {
                request = request.header("Authorization", format!("Bearer {token}"));
            }
            match judge(url, request.call())? {
                Answer::Good(response) => return Ok((response.status(), response.headers().clone())),
                Answer::Again(error, pause) => tries.again(error, pause)?,
            }
        }
    }
}

fn judge(url: &str, result: Result<Response<Body>, ureq::Error>) -> Result<Answer, NetError> {
    let host = host(url);
    let mut response = match result {
        Ok(response) => response,
        Err(error) => return unreachable(host, error),
    };
    let status = response.status();
    if status.is_success() || status.is_redirection() || status == StatusCode::RANGE_NOT_SATISFIABLE {
        return Ok(Answer::Good(response));
    }
    let detail = text_header(response.headers(), "x-error-message").map(|text| format!(" ({text})"));
    let pause = text_header(response.headers(), "retry-after").and_then(retry_after);
    let busy = matches!(status.as_u16(), 408 | 425 | 429 | 500 | 502 | 503 | 504);
    let page = if busy { String::new() } else { page(&mut response) };
    let error = NetError::Status { host, status, detail: detail.unwrap_or_default(), page };
    if busy { Ok(Answer::Again(error, pause)) } else { Err(error) }
}

fn unreachable(host: String, error: ureq::Error) -> Result<Answer, NetError> {
    use ureq::Error;
    let cause = match &error {
        Error::Timeout(_) => format!("no answer within {} s", patience().as_secs_f64()),
        Error::HostNotFound => "its name cannot be resolved".into(),
        Error::Io(io) => io.to_string(),
        other => other.to_string(),
    };
    let passing = matches!(
        error,
        Error::Timeout(_) | Error::HostNotFound | Error::Io(_) | Error::ConnectionFailed | Error::Protocol(_)
    );
    let error = NetError::Unreachable { host, cause };
    if passing { Ok(Answer::Again(error, None)) } else { Err(error) }
}

/// Where a redirect leads (RFC 3986, 5.2, as far as servers use it).
pub(super) fn joined(base: &str, location: &str) -> Option<String> {
    let (scheme, _) = base.split_once("://")?;
    if location.starts_with("http://") || location.starts_with("https://") {
        Some(location.into())
    } else if location.starts_with("//") {
        Some(format!("{scheme}:{location}"))
    } else if location.starts_with('/') {
        let after = scheme.len() + 3;
        let end = base[after..].find(['/', '?', '#']).map_or(base.len(), |at| after + at);
        Some(format!("{}{location}", &base[..end]))
    } else if location.contains("://") || location.is_empty() {
        None
    } else {
        let path = base.split(['?', '#']).next()?;
        let folder = &path[..path.rfind('/').filter(|at| *at > scheme.len() + 2)? + 1];
        Some(format!("{folder}{location}"))
    }
}

/// A header as text.
pub(super) fn text_header<'a>(headers: &'a HeaderMap, name: &str) -> Option<&'a str> {
    headers.get(name)?.to_str().ok().map(str::trim).filter(|text| !text.is_empty())
}

/// Seconds, or the date until which to wait (RFC 9110, 10.2.3).
fn retry_after(text: &str) -> Option<Duration> {
    if let Ok(seconds) = text.parse() {
        return Some(Duration::from_secs(seconds));
    }
    let until = httpdate::parse_http_date(text).ok()?;
    Some(until.duration_since(std::time::SystemTime::now()).unwrap_or_default())
}

/// The body as text, as far as it is short.
fn page(response: &mut Response<Body>) -> String {
    use std::io::Read;
    let mut bytes = Vec::new();
    // Whatever arrives serves to explain; that it breaks off does not matter.
    let _ = response.body_mut().as_reader().take(LONGEST_PAGE).read_to_end(&mut bytes);
    String::from_utf8_lossy(&bytes).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_host_of_a_url_is_shown() {
        assert_eq!(host("https://hub.example/a/b?token=secret"), "https://hub.example");
        assert_eq!(host("http://me:secret@127.0.0.1:80/x"), "http://127.0.0.1:80");
        assert_eq!(host("https://hub.example?x@y"), "https://hub.example");
    }

    #[test]
    fn redirects_lead_where_they_say() {
        let from = |to| joined("https://a.example:8/x/y?q=/z", to);
        assert_eq!(from("https://b.example/f").as_deref(), Some("https://b.example/f"));
        assert_eq!(from("//b.example/f").as_deref(), Some("https://b.example/f"));
        assert_eq!(from("/f?g").as_deref(), Some("https://a.example:8/f?g"));
        assert_eq!(from("f").as_deref(), Some("https://a.example:8/x/f"));
        assert_eq!(from("ftp://b.example/f"), None);
        assert_eq!(joined("https://a.example", "f"), None);
        assert_eq!(joined("https://a.example", "/f").as_deref(), Some("https://a.example/f"));
    }

    #[test]
    fn a_pause_comes_in_seconds_or_as_a_date() {
        assert_eq!(retry_after("7"), Some(Duration::from_secs(7)));
        assert_eq!(retry_after("Wed, 21 Oct 2015 07:28:00 GMT"), Some(Duration::ZERO));
        let soon = std::time::SystemTime::now() + Duration::from_secs(100);
        let pause = retry_after(&httpdate::fmt_http_date(soon)).unwrap();
        assert!(pause > Duration::from_secs(50) && pause <= Duration::from_secs(100), "{pause:?}");
        assert_eq!(retry_after("soon"), None);
    }
}
