//! Escapes file names and other foreign text, so that they can be shown on a terminal.
//!
//! A file name can hold anything but `/` and NUL: line breaks that fake a log line, escape sequences that recolour or
//! retitle a terminal, marks that reverse the text after them. They are shown escaped. Data files keep the name as it is
//! (invalid UTF-8 as U+FFFD); only messages are escaped.

use std::path::Path;

/// A path for messages: control characters and direction marks escaped, invalid UTF-8 as U+FFFD.
pub fn display_path(path: &Path) -> String {
    display_text(&path.to_string_lossy())
}

/// Any foreign text (an id, a line of a decoder) for messages, escaped as in [`display_path`].
pub fn display_text(text: &str) -> String {
    let mut shown = String::with_capacity(text.len());
    for c in text.chars() {
        if c.is_control() || is_layout_mark(c) {
            shown.extend(c.escape_default());
        } else {
            shown.push(c);
        }
    }
    shown
}

/// Bytes (a digest) as text, two lower-case digits each.
pub(crate) fn hexadecimal(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Invisible characters that move or reorder the visible ones: bidirectional marks and line separators.
fn is_layout_mark(c: char) -> bool {
    matches!(c,
        '\u{061c}' | '\u{200e}' | '\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}' | '\u{feff}')
}

/// A number of bytes for people: `"88.2 MB"`, `"12.0 kB"`.
pub fn size_text(bytes: u64) -> String {
    const UNITS: [(&str, u64); 4] =
        [("TB", 1_000_000_000_000), ("GB", 1_000_000_000), ("MB", 1_000_000), ("kB", 1_000)];
    match UNITS.into_iter().find(|(_, size)| bytes >= *size) {
        Some((unit, size)) => format!("{:.1} {unit}", bytes as f64 / size as f64),
        None => format!("{bytes} bytes"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn escapes_what_would_act_on_a_terminal() {
        assert_eq!(display_text("a\x1b[31m\nb"), "a\\u{1b}[31m\\nb");
        assert_eq!(display_text("\u{202e}4pm.exe\u{9b}"), "\\u{202e}4pm.exe\\u{9b}");
    }

    #[test]
    fn leaves_ordinary_names_alone() {
        assert_eq!(display_text("Büro 'a\"b' 動画.mp4"), "Büro 'a\"b' 動画.mp4");
    }

    #[cfg(unix)]
    #[test]
    fn shows_invalid_utf8() {
        use std::os::unix::ffi::OsStrExt;
        let path = Path::new(std::ffi::OsStr::from_bytes(b"caf\xe9.mp4"));
        assert_eq!(display_path(path), "caf\u{fffd}.mp4");
    }
}
