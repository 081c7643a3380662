//! Google Drive, which has LiFT's checkpoint.
//!
//! Drive may answer with a page instead of the file: to confirm a large download, about a quota that is used up, or to sign
//! in. The first is confirmed once, as a browser would do it; for the others the message says what the page means.

use std::path::Path;

use super::net::{Arrived, Client, Job, NetError, download, setting};
use crate::files::beside;

/// The server that hands out files.
const SERVER: &str = "https://drive.usercontent.google.com";

fn server() -> String {
    let server = setting("LIFT_DRIVE_ENDPOINT").unwrap_or_else(|| SERVER.into());
    server.trim_end_matches('/').to_string()
}

/// The page on which a browser downloads a file.
pub(super) fn page_of(id: &str) -> String {
    format!("https://drive.google.com/file/d/{id}/view")
}

/// The id in a link that Drive's "share" gives.
pub(super) fn id_in(url: &str) -> Option<&str> {
    let rest = url.strip_prefix("https://drive.google.com/")?;
    let id = match rest.strip_prefix("file/d/") {
        Some(path) => path.split(['/', '?', '#']).next()?,
        None => {
            let (_, query) = rest.split_once('?')?;
            query.split(['&', '#']).find_map(|pair| pair.strip_prefix("id="))?
        }
    };
    let safe = |c: char| c.is_ascii_alphanumeric() || "-_".contains(c);
    (!id.is_empty() && id.chars().all(safe)).then_some(id)
}

/// Fetches the file of an id.
///
/// # Errors
/// As [`download`]; Drive's pages in place of the file say what they mean.
pub(super) fn fetch(
    id: &str,
    what: &str,
    target: &Path,
    part: &Path,
    check: &dyn Fn(&Path) -> Result<(), String>,
) -> Result<Arrived, NetError> {
    let client = Client::new(None)?;
    let mut url = format!("{}/download?id={id}&export=download&confirm=t", server());
    let memo = beside(part, ".json");
    for confirmed in [false, true] {
        let job =
            Job { what, url: &url, target, part, memo: Some(memo.clone()), size: None, sha256: None, check };
        let (error, page) = match download(&client, &job) {
            Ok(arrived) => return Ok(arrived),
            Err(NetError::WebPage { host, title, page }) => {
                if let (false, Some(confirm)) = (confirmed, confirmation(&page)) {
                    url = confirm;
                    continue;
                }
                let text = page.clone();
                (NetError::WebPage { host, title, page }, text)
            }
            Err(NetError::Status { host, status, detail, page }) => {
                let text = page.clone();
                (NetError::Status { host, status, detail, page }, text)
            }
            Err(other) => return Err(other),
        };
        return Err(meaning(&page).map_or(error, |meaning| NetError::Wrong(meaning.into())));
    }
    Err(NetError::Wrong("Google Drive asks to confirm again and again".into()))
}

/// What a page of Drive means.
fn meaning(page: &str) -> Option<&'static str> {
    let page = page.to_ascii_lowercase();
    let says = |words: &[&str]| words.iter().any(|word| page.contains(word));
    if says(&["quota exceeded", "quota for this file", "too many users have viewed or downloaded"]) {
        Some(
            "Google Drive's quota for this file is used up: too many have fetched it within a day; try again tomorrow",
        )
    } else if says(&["accounts.google.com/v3/signin", "accounts.google.com/servicelogin", "you need access"])
    {
        Some("Google Drive asks to sign in: the file is not shared with everyone any more")
    } else if says(&["does not exist", "file not found", "in violation of"]) {
        Some("Google Drive does not have the file any more")
    } else {
        None
    }
}

/// The URL that the page's form for downloading leads to.
fn confirmation(page: &str) -> Option<String> {
    let form = tags(page, "form").find(|form| {
        attribute(form, "id").as_deref() == Some("download-form")
            || attribute(form, "action").is_some_and(|action| action.contains("/download"))
    })?;
    let action = attribute(form, "action")?;
    let base = match action.split_once("://") {
        Some(("https" | "http", _)) => action.clone(),
        Some(_) => return None,
        None if action.starts_with('/') => format!("{}{action}", server()),
        None => return None,
    };
    let hidden = tags(page, "input").filter(|input| attribute(input, "type").as_deref() == Some("hidden"));
    let pairs: Vec<String> = hidden
        .filter_map(|input| {
            let (name, value) = (attribute(input, "name")?, attribute(input, "value").unwrap_or_default());
            Some(format!("{}={}", encoded(&name), encoded(&value)))
        })
        .collect();
    let joint = if base.contains('?') { '&' } else { '?' };
    (!pairs.is_empty()).then(|| format!("{base}{joint}{}", pairs.join("&")))
}

/// The opening tags of a name, each without its brackets.
fn tags<'a>(page: &'a str, name: &str) -> impl Iterator<Item = &'a str> {
    let start = format!("<{name} ");
    page.match_indices('<').filter_map(move |(at, _)| {
        let rest = &page[at..];
        let is = rest.get(..start.len()).is_some_and(|tag| tag.eq_ignore_ascii_case(&start));
        is.then(|| rest[start.len()..].split('>').next().unwrap_or_default())
    })
}

/// The value of an attribute, in double or single quotes.
fn attribute(tag: &str, name: &str) -> Option<String> {
    let mut rest = tag;
    loop {
        let (before, after) = rest.split_once('=')?;
        let key = before.split_whitespace().next_back()?;
        let after = after.trim_start();
        let quote = after.chars().next().filter(|c| "\"'".contains(*c))?;
        let (value, more) = after[1..].split_once(quote)?;
        if key.eq_ignore_ascii_case(name) {
            let plain = [("&quot;", "\""), ("&#39;", "'"), ("&lt;", "<"), ("&gt;", ">"), ("&amp;", "&")];
            return Some(plain.iter().fold(value.to_string(), |text, (from, to)| text.replace(from, to)));
        }
        rest = more;
    }
}

/// For a query (RFC 3986, 2.3: what need not be escaped).
fn encoded(text: &str) -> String {
    let mut out = String::new();
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) {
            out.push(char::from(byte));
        } else {
            out += &format!("%{byte:02X}");
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_confirmation_page_leads_on() {
        let page = r#"<html><body><p>Google Drive can't scan this file for viruses.</p>
            <form id="download-form" action="https://drive.usercontent.google.com/download" method="get">
            <input type="submit" id="uc-download-link" value="Download anyway"/>
            <input type="hidden" name="id" value="1DF_x"><input type="hidden" name="export" value="download">
            <input type="hidden" name="confirm" value="t&amp;u"><input type="hidden" name="uuid" value="a-b"></form>"#;
        assert_eq!(
            confirmation(page).unwrap(),
            "https://drive.usercontent.google.com/download?id=1DF_x&export=download&confirm=t%26u&uuid=a-b"
        );
        assert_eq!(confirmation("<form action='javascript://download'><input type='hidden' name='x'>"), None);
        assert_eq!(confirmation("<form id='download-form'><input"), None);
        assert_eq!(confirmation("<form <form <<< id=\"download-form\" action=\"/é"), None);
    }

    #[test]
    fn links_that_are_shared_hold_the_id() {
        assert_eq!(id_in("https://drive.google.com/file/d/1DF_-x/view?usp=sharing"), Some("1DF_-x"));
        assert_eq!(id_in("https://drive.google.com/open?usp=x&id=1DF"), Some("1DF"));
        assert_eq!(id_in("https://drive.google.com/uc?export=download&id=1DF"), Some("1DF"));
        assert_eq!(id_in("https://drive.google.com/drive/folders/abc"), None);
        assert_eq!(id_in("https://drive.google.com/file/d/..%2F/view"), None);
        assert_eq!(id_in("https://elsewhere.example/file/d/1DF/view"), None);
    }

    #[test]
    fn pages_of_words_are_understood() {
        assert!(meaning("<title>Google Drive - Quota exceeded</title>").unwrap().contains("quota"));
        assert!(meaning("Sorry, too many users have viewed or downloaded this file recently").is_some());
        assert!(meaning("<title>You need access</title>").unwrap().contains("sign in"));
        assert_eq!(meaning("<p>hello</p>"), None);
    }
}
