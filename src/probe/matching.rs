//! Finds the row of each labelled video: by its id as it is, without the extension, or without folder and extension.
//!
//! Data sets and `lift embed` name one video differently (`Archery/v_Archery_g01_c01.avi`, `v_Archery_g01_c01`). A name without
//! folder and extension that several rows share is an error, never a guess.

use std::collections::HashMap;

use super::labels::LabelledVideo;
use crate::rows::{base, stem};

/// How many names were found in which way.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct MatchCounts {
    /// As they are.
    pub exact: usize,
    /// Without the extension.
    pub stem: usize,
    /// Without folder and extension.
    pub base: usize,
}

/// The id of each video's row; `None` where there is none.
pub type Matched<'a> = Vec<Option<&'a str>>;

/// Why names cannot be matched.
#[derive(Debug, thiserror::Error, PartialEq)]
pub enum MatchError {
    /// Several rows could be the video's.
    #[error(
        "the video `{name}` of the labels could be the row `{first}` or `{second}`; give the labels the ids of the rows"
    )]
    Ambiguous {
        /// The video.
        name: String,
        /// A row.
        first: String,
        /// Another row.
        second: String,
    },
    /// Several videos have one row.
    #[error(
        "the row `{row}` could be the video `{first}` or `{second}` of the labels; give the labels the ids of the rows"
    )]
    Shared {
        /// The row.
        row: String,
        /// A video.
        first: String,
        /// Another video.
        second: String,
    },
}

/// The row of each video among `rows`, the ids of a representation's rows.
///
/// # Errors
/// [`MatchError`] if a name fits several rows, or a row several names.
pub fn rows_of<'a>(
    videos: &[LabelledVideo],
    rows: &[&'a str],
) -> Result<(Matched<'a>, MatchCounts), MatchError> {
    let exact: HashMap<&str, &'a str> = rows.iter().map(|row| (*row, *row)).collect();
    let mut shorter: HashMap<&str, Vec<&'a str>> = HashMap::new();
    rows.iter().for_each(|row| shorter.entry(base(row)).or_default().push(row));
    let mut counts = MatchCounts::default();
    let mut taken: HashMap<&str, &str> = HashMap::new();
    let mut matched = Vec::with_capacity(videos.len());
    for video in videos {
        let names = || video.names.iter().map(String::as_str);
        let mut found = None;
        if let Some(row) = names().find_map(|name| exact.get(name)) {
            counts.exact += 1;
            found = Some(*row);
        } else if let Some(row) = names().find_map(|name| exact.get(stem(name))) {
            counts.stem += 1;
            found = Some(*row);
        } else if let Some(rows) = names().find_map(|name| shorter.get(base(name))) {
            if let &[first, second, ..] = rows.as_slice() {
                let (name, first, second) = (video.name().into(), first.into(), second.into());
                return Err(MatchError::Ambiguous { name, first, second });
            }
            counts.base += 1;
            found = rows.first().copied();
        }
        if let Some(row) = found
            && let Some(first) = taken.insert(row, video.name())
        {
            let (row, first, second) = (row.into(), first.into(), video.name().into());
            return Err(MatchError::Shared { row, first, second });
        }
        matched.push(found);
    }
    Ok((matched, counts))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn videos(names: &[&[&str]]) -> Vec<LabelledVideo> {
        let video = |names: &&[&str]| LabelledVideo {
            names: names.iter().map(ToString::to_string).collect(),
            class: 0,
            side: None,
            group: None,
        };
        names.iter().map(video).collect()
    }

    #[test]
    fn names_match_as_they_are_or_without_folder_and_extension() {
        let rows = ["a/one", "two.v2.mp4", "c/three.avi", "abc_000001_000011"];
        let videos = videos(&[
            &["a/one.avi"],
            &["two.v2.mp4"],
            &["x/three"],
            &["abc_000001_000011", "abc"],
            &["none"],
        ]);
        let (matched, counts) = rows_of(&videos, &rows).unwrap();
        let expected =
            [Some("a/one"), Some("two.v2.mp4"), Some("c/three.avi"), Some("abc_000001_000011"), None];
        assert_eq!(matched, expected);
        assert_eq!(counts, MatchCounts { exact: 2, stem: 1, base: 1 });
    }

    #[test]
    fn what_could_be_several_is_refused() {
        let error = rows_of(&videos(&[&["x.avi"]]), &["a/x", "b/x"]).unwrap_err();
        assert!(error.to_string().contains("`a/x` or `b/x`"), "{error}");
        let error = rows_of(&videos(&[&["a/x"], &["b/x"]]), &["x"]).unwrap_err();
        assert!(error.to_string().contains("the row `x` could be the video `a/x` or `b/x`"), "{error}");
    }
}
