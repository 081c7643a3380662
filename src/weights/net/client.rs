//! One HTTP request: redirects, tokens, certificates, and whether an answer is worth another try.

use std::time::Duration;

use ureq::http::{HeaderMap, Response, StatusCode};
use ureq::tls::{PemItem, RootCerts, TlsConfig, parse_pem};
use ureq::{Agent, Body};

use super::tries::Tries;
use super::{NetError, patience, setting};

/// How many redirects lead to a file.
pub(in crate::weights) const MOST_REDIRECTS: usize = 10;

/// The longest page that is read to learn why it came instead of a file.
const LONGEST_PAGE: u64 = 1 << 20;

/// `"https://host:port"` of a URL: what may be shown of it, for paths and queries can hold secrets.
pub(in crate::weights) fn host(url: &str) -> String {
    let (scheme, rest) = url.split_once("://").unwrap_or(("http", url));
    let authority = rest.split(['/', '?', '#']).next().unwrap_or_default();
    let host = authority.rsplit('@').next().unwrap_or_default();
    format!("{scheme}://{host}")
}

/// Sends requests. Redirects are followed here and not by the agent, which would take a token along to another port of the
/// same machine.
pub(in crate::weights) struct Client {
    agent: Agent,
    token: Option<String>,
}

/// The trusted certificates: those that browsers trust, or those of `SSL_CERT_FILE`, as behind a company's proxy.
fn roots() -> Result<RootCerts, NetError> {
    let Some(path) = setting("SSL_CERT_FILE") else { return Ok(RootCerts::WebPki) };
    let wrong = |cause: String| NetError::Wrong(format!("SSL_CERT_FILE={path}: {cause}"));
    let bytes = std::fs::read(&path).map_err(|e| wrong(e.to_string()))?;
    let mut certificates = Vec::new();
    for item in parse_pem(&bytes) {
        if let PemItem::Certificate(certificate) = item.map_err(|e| wrong(e.to_string()))? {
            certificates.push(certificate);
        }
    }
    if certificates.is_empty() {
        return Err(wrong("it holds no certificate".into()));
    }
    Ok(RootCerts::new_with_certs(&certificates))
}

/// What a server answered.
pub(super) enum Answer {
    Good(Response<Body>),
    /// Try again, after the pause the server names if it does.
    Again(NetError, Option<Duration>),
}

impl Client {
    /// `token` is sent to the servers that URLs name, never to those that they redirect to.
    ///
    /// # Errors
    /// If `SSL_CERT_FILE` names no file of certificates.
    pub(in crate::weights) fn new(token: Option<String>) -> Result<Self, NetError> {
        let patience = Some(patience());
        let tls = TlsConfig::builder().root_certs(roots()?).build();
        let agent = Agent::config_builder()
            .tls_config(tls)
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
        Ok(Self { agent, token })
    }

    /// One request, redirects followed.
    pub(super) fn get(&self, url: &str, headers: &[(&str, String)]) -> Result<Answer, NetError> {
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
    pub(in crate::weights) fn head(&self, url: &str) -> Result<(StatusCode, HeaderMap), NetError> {
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
pub(in crate::weights) fn joined(base: &str, location: &str) -> Option<String> {
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
pub(in crate::weights) fn text_header<'a>(headers: &'a HeaderMap, name: &str) -> Option<&'a str> {
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
pub(super) fn page(response: &mut Response<Body>) -> String {
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
