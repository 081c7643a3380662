//! Downloads one file from a URL: it resumes an earlier download, checks the file, and leaves it whole or not at all.
//!
//! Bytes go to a partial file beside the target. A later run continues it after a crash, a full disk or a signal. A server
//! that resumes must name the first byte it sends and the size that the file had before; if it sends the whole file, the
//! download starts again. The download checks the size, the digest if the server names one, and the format; only then the file
//! gets its name.

use std::fs::{self, File};
use std::io::{ErrorKind, Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use ureq::Body;
use ureq::http::{HeaderMap, Response, StatusCode};

use super::client::{Answer, page};
use super::tries::Tries;
use super::{Client, NetError, go_on, host, text_header};
use crate::files::size_text;
use crate::weights::progress::listener;

/// What to fetch and where to put it.
pub(in crate::weights) struct Job<'a> {
    /// For the line that announces it: the file and what it is of.
    pub(in crate::weights) what: &'a str,
    pub(in crate::weights) url: &'a str,
    pub(in crate::weights) target: &'a Path,
    /// The partial file, in the target's folder.
    pub(in crate::weights) part: &'a Path,
    /// Where the partial file's size and validators are noted; `None` if its name says which bytes it holds.
    pub(in crate::weights) memo: Option<PathBuf>,
    /// Bytes, if known before.
    pub(in crate::weights) size: Option<u64>,
    /// SHA-256 in hexadecimal, if known before.
    pub(in crate::weights) sha256: Option<&'a str>,
    /// What is wrong with a file that has arrived whole, if something is.
    pub(in crate::weights) check: &'a dyn Fn(&Path) -> Result<(), String>,
}

/// A file that arrived.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::weights) struct Arrived {
    pub(in crate::weights) size: u64,
    pub(in crate::weights) sha256: String,
}

/// What an earlier answer said of the file whose beginning is here.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
struct Memo {
    size: Option<u64>,
    etag: Option<String>,
    modified: Option<String>,
}

impl Memo {
    fn of(headers: &HeaderMap, size: Option<u64>) -> Self {
        let text = |name| text_header(headers, name).map(ToString::to_string);
        Self { size, etag: text("etag"), modified: text("last-modified") }
    }
}

/// Fetches the file.
///
/// # Errors
/// [`NetError`]; what has arrived stays in the partial file unless it is known to be wrong.
pub(in crate::weights) fn download(client: &Client, job: &Job<'_>) -> Result<Arrived, NetError> {
    let mut partial = Partial::open(job)?;
    let mut tries = Tries::new();
    let mut most = partial.have;
    let mut announced = false;
    loop {
        go_on()?;
        let (failure, pause) = match attempt(client, job, &mut partial, &mut announced) {
            Ok(None) => break,
            Ok(Some(failure)) => failure,
            Err(error) => return Err(error),
        };
        if partial.have > most {
            most = partial.have;
            tries.progress();
        }
        tries.again(failure, pause)?;
    }
    partial.finish(job)
}

/// The partial file and the digest of what is in it.
struct Partial {
    file: File,
    have: u64,
    hash: Sha256,
    memo: Memo,
}

impl Partial {
    fn open(job: &Job<'_>) -> Result<Self, NetError> {
        let fail = |e| NetError::write(job.part, e);
        let mut file = File::options()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .open(job.part)
            .map_err(fail)?;
        let memo = job
            .memo
            .as_deref()
            .map(|path| fs::read(path).ok().and_then(|bytes| serde_json::from_slice::<Memo>(&bytes).ok()));
        let mut have = file.metadata().map_err(fail)?.len();
        // Bytes of which nothing says what they are the beginning of, or too many, are no beginning.
        if matches!(memo, Some(None)) || job.size.is_some_and(|size| have > size) {
            file.set_len(0).map_err(fail)?;
            have = 0;
        }
        let mut hash = Sha256::new();
        std::io::copy(&mut file, &mut hash).map_err(fail)?;
        let memo = memo.flatten().unwrap_or_default();
        Ok(Self { file, have, hash, memo })
    }

    fn start_over(&mut self, job: &Job<'_>) -> Result<(), NetError> {
        let emptied = self.file.set_len(0).and_then(|()| self.file.seek(SeekFrom::Start(0)));
        emptied.map_err(|e| NetError::write(job.part, e))?;
        self.have = 0;
        self.hash = Sha256::new();
        Ok(())
    }

    fn note(&mut self, job: &Job<'_>, memo: Memo) -> Result<(), NetError> {
        if let Some(path) = &job.memo {
            let text = serde_json::to_vec(&memo).unwrap_or_default();
            fs::write(path, text).map_err(|e| NetError::write(path, e))?;
        }
        self.memo = memo;
        Ok(())
    }

    fn put(&mut self, job: &Job<'_>, bytes: &[u8]) -> Result<(), NetError> {
        self.file.write_all(bytes).map_err(|e| NetError::write(job.part, e))?;
        self.hash.update(bytes);
        self.have += bytes.len() as u64;
        listener().advance(bytes.len() as u64);
        Ok(())
    }

    /// Checks the whole file and gives it its name.
    fn finish(self, job: &Job<'_>) -> Result<Arrived, NetError> {
        let fail = |e| NetError::write(job.part, e);
        self.file.sync_all().map_err(fail)?;
        let sha256 = crate::files::hexadecimal(&self.hash.finalize());
        let wrong = match job.sha256 {
            Some(wanted) if !wanted.eq_ignore_ascii_case(&sha256) => Err(format!(
                "{} sent {} whose SHA-256 is {sha256}, not {wanted}",
                host(job.url),
                size_text(self.have)
            )),
            _ => {
                (job.check)(job.part).map_err(|cause| format!("{} sent a wrong file: {cause}", host(job.url)))
            }
        };
        if let Err(wrong) = wrong {
            // Wrong bytes are no beginning to go on from.
            remove(job.part);
            job.memo.as_deref().map(remove);
            return Err(NetError::Wrong(wrong));
        }
        fs::rename(job.part, job.target).map_err(|e| NetError::write(job.target, e))?;
        job.memo.as_deref().map(remove);
        if let Some(folder) = job.target.parent().and_then(|folder| File::open(folder).ok()) {
            // Not every file system can sync a folder.
            let _ = folder.sync_all();
        }
        Ok(Arrived { size: self.have, sha256 })
    }
}

/// Best effort: a leftover is found and judged by the next run.
fn remove(path: &Path) {
    let _ = fs::remove_file(path);
}

type Again = (NetError, Option<Duration>);

/// One request and what it brings. `None` if the file is whole now.
fn attempt(
    client: &Client,
    job: &Job<'_>,
    partial: &mut Partial,
    announced: &mut bool,
) -> Result<Option<Again>, NetError> {
    let known = job.size.or(partial.memo.size);
    if known.is_some_and(|size| size == partial.have && size > 0) {
        return Ok(None);
    }
    let range = (partial.have > 0).then(|| ("Range", format!("bytes={}-", partial.have)));
    let mut response = match client.get(job.url, range.as_slice())? {
        Answer::Good(response) => response,
        Answer::Again(error, pause) => return Ok(Some((error, pause))),
    };
    let from = host(job.url);
    if is_page(&response) {
        let page = page(&mut response);
        let title = title(&page).map(|title| format!(" (\"{title}\")")).unwrap_or_default();
        return Err(NetError::WebPage { host: from, title, page });
    }
    // The next request is another one: there is nothing to wait for.
    let again = |cause: String| Ok(Some((NetError::Wrong(cause), Some(Duration::ZERO))));
    let whole = match response.status() {
        StatusCode::PARTIAL_CONTENT if partial.have > 0 => match content_range(response.headers()) {
            Some((start, total)) if start == partial.have => {
                let memo = Memo::of(response.headers(), total);
                if total.is_some_and(|total| known.is_some_and(|known| known != total))
                    || (job.memo.is_some() && memo != partial.memo)
                {
                    partial.start_over(job)?;
                    return again(format!("the file at {from} has changed meanwhile, starting over"));
                }
                total
            }
            _ => {
                partial.start_over(job)?;
                return again(format!("{from} sent another range than asked for, starting over"));
            }
        },
        StatusCode::RANGE_NOT_SATISFIABLE => {
            partial.start_over(job)?;
            return again(format!("{from} has less of the file than is here, starting over"));
        }
        // The server sent the whole file.
        StatusCode::OK => {
            partial.start_over(job)?;
            let size = text_header(response.headers(), "content-length").and_then(|n| n.parse().ok());
            partial.note(job, Memo::of(response.headers(), size))?;
            size
        }
        status => {
            let detail = ", which no download is".into();
            return Err(NetError::Status { host: from, status, detail, page: String::new() });
        }
    };
    if let (Some(size), Some(whole)) = (job.size, whole)
        && size != whole
    {
        return Err(NetError::Wrong(format!("{from} sends a file of {whole} bytes, it should have {size}")));
    }
    let total = job.size.or(whole);
    if !*announced {
        let size = total.map(|n| format!(" ({})", size_text(n))).unwrap_or_default();
        let here = match partial.have {
            0 => String::new(),
            have => format!("; {} are here already", size_text(have)),
        };
        listener().line(&format!("downloading {}{size} from {from}{here}", job.what));
        *announced = true;
    }
    listener().start(partial.have, total);
    let ended = receive(job, response, partial, total);
    listener().finish();
    ended
}

fn receive(
    job: &Job<'_>,
    response: Response<Body>,
    partial: &mut Partial,
    total: Option<u64>,
) -> Result<Option<Again>, NetError> {
    let mut body = response.into_body().into_reader();
    let mut buffer = vec![0; 1 << 17];
    let cause = loop {
        go_on()?;
        match body.read(&mut buffer) {
            Ok(0) => match total {
                Some(total) if partial.have < total => break "it was closed".to_string(),
                Some(total) if partial.have > total => {
                    let (have, from) = (partial.have, host(job.url));
                    partial.start_over(job)?;
                    return Err(NetError::Wrong(format!("{from} sent {have} bytes of a file of {total}")));
                }
                _ => return Ok(None),
            },
            Ok(count) => partial.put(job, &buffer[..count])?,
            Err(e) if e.kind() == ErrorKind::Interrupted => {}
            Err(e) if timed_out(&e) => break format!("no byte for {} s", super::patience().as_secs_f64()),
            Err(e) => break e.to_string(),
        }
    };
    Ok(Some((NetError::Cut { host: host(job.url), have: size_text(partial.have), cause }, None)))
}

fn timed_out(error: &std::io::Error) -> bool {
    let inner = error.get_ref().and_then(|inner| inner.downcast_ref::<ureq::Error>());
    matches!(inner, Some(ureq::Error::Timeout(_))) || error.kind() == ErrorKind::TimedOut
}

/// `bytes START-END/TOTAL`, the total `*` where it is unknown (RFC 9110, 14.4).
fn content_range(headers: &HeaderMap) -> Option<(u64, Option<u64>)> {
    let (range, total) = text_header(headers, "content-range")?.strip_prefix("bytes ")?.split_once('/')?;
    let start = range.split_once('-')?.0.trim().parse().ok()?;
    Some((start, total.trim().parse().ok()))
}

fn is_page(response: &Response<Body>) -> bool {
    text_header(response.headers(), "content-type")
        .is_some_and(|kind| kind.to_ascii_lowercase().starts_with("text/html"))
}

/// The title of a web page.
pub(in crate::weights) fn title(page: &str) -> Option<String> {
    let lower = page.to_ascii_lowercase();
    let start = lower.find("<title")?;
    let start = start + lower[start..].find('>')? + 1;
    let text = &page[start..start + lower[start..].find("</title")?];
    let text = text.split_whitespace().collect::<Vec<_>>().join(" ");
    let short: String = text.chars().take(80).collect();
    (!short.is_empty()).then_some(short)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_title_is_found_and_kept_short() {
        assert_eq!(title("<html><TITLE a='b'>Quota\n exceeded</Title>").as_deref(), Some("Quota exceeded"));
        assert_eq!(title("<title></title>"), None);
        assert_eq!(title("<title>never closed"), None);
        assert_eq!(title(&format!("<title>{}</title>", "é".repeat(500))).unwrap().chars().count(), 80);
    }

    #[test]
    fn a_range_names_its_start_and_the_total() {
        let range = |text: &str| {
            let mut headers = HeaderMap::new();
            headers.insert("content-range", text.parse().unwrap());
            content_range(&headers)
        };
        assert_eq!(range("bytes 5-9/10"), Some((5, Some(10))));
        assert_eq!(range("bytes 5-9/*"), Some((5, None)));
        assert_eq!(range("bytes */10"), None);
        assert_eq!(range("items 5-9/10"), None);
    }
}
