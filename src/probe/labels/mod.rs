//! Which video is of which class, and in which part of the split: the files of several data sets, as they are published.
//!
//! | given | read as |
//! | --- | --- |
//! | `.csv`, `.tsv` with the columns `id,label[,split]` | one row per video |
//! | `.csv` with `label,youtube_id,time_start,time_end[,split]` | Kinetics |
//! | `.txt` with lines `Class/video.avi [number]` | UCF101's `trainlist01.txt`, `testlist01.txt` |
//! | `.json` with objects of `id` and `template` or `label` | Something-Something v2 |
//! | a folder with `CLASS_test_split1.txt` | HMDB51 |

mod forms;

use std::collections::{BTreeSet, HashMap};
use std::path::{Path, PathBuf};

use crate::files::display_path;

/// Why labels cannot be used: file, cause, remedy.
#[derive(Debug, thiserror::Error)]
#[error("{}{}: {what}", display_path(.path), .line.map(|line| format!(":{line}")).unwrap_or_default())]
pub struct LabelError {
    path: PathBuf,
    line: Option<u64>,
    what: String,
}

impl LabelError {
    fn file(path: &Path, what: impl Into<String>) -> Self {
        Self { path: path.to_owned(), line: None, what: what.into() }
    }

    fn line(path: &Path, line: u64, what: impl Into<String>) -> Self {
        Self { path: path.to_owned(), line: Some(line), what: what.into() }
    }
}

/// The part of a split.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Side {
    /// The classifier is fitted on it.
    Train,
    /// The classifier is scored on it.
    Test,
}

/// The files to read.
#[derive(Debug, Clone, Default)]
pub struct LabelFiles {
    /// The labels, or those of the training videos.
    pub labels: PathBuf,
    /// The labels of the test videos, if they are in a file of their own.
    pub test: Option<PathBuf>,
    /// The names of all classes: UCF101's `classInd.txt`, the JSON of Something-Something v2.
    pub classes: Option<PathBuf>,
    /// Which of HMDB51's splits.
    pub split: u32,
    /// The column of a table that holds the labels; `label` if absent.
    pub column: Option<String>,
    /// The column of the groups that stay on one side of a fold.
    pub groups: Option<String>,
}

/// What a file says of one video.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Entry {
    line: u64,
    /// What the video may be called, the best first.
    names: Vec<String>,
    class: String,
    /// `Some(None)`: the file has splits, and this video is in none of them.
    side: Option<Option<Side>>,
    group: Option<String>,
}

/// A video with its label.
#[derive(Debug, Clone, PartialEq)]
pub struct LabelledVideo {
    /// What it may be called, the best first; never empty.
    pub names: Vec<String>,
    /// Its class, an index into [`LabelSet::classes`].
    pub class: u32,
    /// Its part of the split; `None` where the labels have no split.
    pub side: Option<Side>,
    /// Its group; `None` where groups are not asked for.
    pub group: Option<String>,
}

impl LabelledVideo {
    /// Its name in the labels.
    pub fn name(&self) -> &str {
        self.names.first().map_or("", String::as_str)
    }
}

/// Labels with their classes.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct LabelSet {
    /// The names of the classes, sorted.
    pub classes: Vec<String>,
    /// The videos in the order of the files; those outside of the split are left out.
    pub videos: Vec<LabelledVideo>,
    /// Whether the videos have a split; all of them have one, or none.
    pub has_split: bool,
}

/// Reads labels.
///
/// # Errors
/// [`LabelError`] for a file that cannot be read or has none of the forms, a video without a label, with two labels or in
/// both parts, a class that the list of classes does not have, or labels without a video.
pub fn read(files: &LabelFiles) -> Result<LabelSet, LabelError> {
    let mut entries: Vec<(&Path, Entry)> = Vec::new();
    let given = [Some((&files.labels, Side::Train)), files.test.as_ref().map(|test| (test, Side::Test))];
    for (path, side) in given.into_iter().flatten() {
        for mut entry in forms::read(path, files)? {
            if files.test.is_some() {
                entry.side = Some(Some(side));
            }
            entries.push((path, entry));
        }
    }
    if let Some(path) = &files.classes {
        let known = forms::classes(path)?;
        if let Some((path, entry)) = entries.iter().find(|(_, entry)| !known.contains(&entry.class)) {
            let what = format!("the class `{}` is not in the list of classes (--classes)", entry.class);
            return Err(LabelError::line(path, entry.line, what));
        }
    }
    assemble(files, entries)
}

/// Numbers the classes, and checks that no video stands there twice with different words.
fn assemble(files: &LabelFiles, entries: Vec<(&Path, Entry)>) -> Result<LabelSet, LabelError> {
    let has_split = entries.iter().any(|(_, entry)| entry.side.is_some());
    let names: BTreeSet<&str> = entries.iter().map(|(_, entry)| entry.class.as_str()).collect();
    let classes: Vec<String> = names.into_iter().map(str::to_owned).collect();
    let number: HashMap<String, u32> = classes.iter().cloned().zip(0..).collect();
    let mut seen: HashMap<String, (u64, usize)> = HashMap::new();
    let mut videos: Vec<LabelledVideo> = Vec::new();
    for (path, Entry { line, names, class, side, group }) in entries {
        let video = LabelledVideo {
            class: number.get(&class).copied().unwrap_or_default(),
            side: side.flatten(),
            group,
            names,
        };
        if has_split && video.side.is_none() {
            continue;
        }
        match seen.get(video.name()) {
            Some((first, at)) if videos[*at] != video => {
                let what = format!(
                    "the video `{}` is listed again with another label or in another part (first in line {first})",
                    video.name()
                );
                return Err(LabelError::line(path, line, what));
            }
            Some(_) => {}
            None => {
                seen.insert(video.name().to_owned(), (line, videos.len()));
                videos.push(video);
            }
        }
    }
    if videos.is_empty() {
        return Err(LabelError::file(&files.labels, "it lists no video"));
    }
    Ok(LabelSet { classes, videos, has_split })
}

impl LabelSet {
    /// Keeps the videos for which `keep` holds, and numbers the classes that are left anew.
    pub fn retain(&mut self, mut keep: impl FnMut(usize, &LabelledVideo) -> bool) {
        let mut at = 0;
        self.videos.retain(|video| {
            at += 1;
            keep(at - 1, video)
        });
        let used: BTreeSet<u32> = self.videos.iter().map(|video| video.class).collect();
        let number: HashMap<u32, u32> = used.iter().copied().zip(0..).collect();
        self.videos.iter_mut().for_each(|video| video.class = number[&video.class]);
        self.classes = used.into_iter().map(|class| self.classes[class as usize].clone()).collect();
    }

    /// The classes that have videos in one part of the split only, each with that part.
    pub fn one_sided(&self) -> Vec<(u32, Side)> {
        let mut counts = vec![[0usize; 2]; self.classes.len()];
        for video in &self.videos {
            if let Some(side) = video.side {
                counts[video.class as usize][usize::from(side == Side::Test)] += 1;
            }
        }
        let one = |(class, [train, test]): (u32, [usize; 2])| match (train, test) {
            (0, 1..) => Some((class, Side::Test)),
            (1.., 0) => Some((class, Side::Train)),
            _ => None,
        };
        (0..).zip(counts).filter_map(one).collect()
    }
}

#[cfg(test)]
mod tests;
