//! What the colours and the shapes of a map stand for: the labels of a file, or groups of rows.
//!
//! Colour and shape differ from one label to the next, so that labels stay apart for colour-blind readers and in grey.

use std::path::Path;

use crate::plot::palette::{Rgb, clip_colour};
use crate::plot::sheet::Marker;
use crate::probe::labels::{LabelError, LabelFiles, LabelSet, read};
use crate::probe::matching::{MatchError, rows_of};

/// As many labels can be told apart: seven colours, each with four shapes.
pub const MOST_LOOKS: usize = 28;

/// The look of clips without a label, and of labels beyond [`MOST_LOOKS`].
pub const PLAIN: Rgb = [150, 153, 158];

/// A label of every clip.
#[derive(Debug, Clone, PartialEq)]
pub struct Colouring {
    /// What the labels are: the column's name, or `group`.
    pub title: String,
    /// The labels, the most frequent first.
    pub names: Vec<String>,
    /// The label of each clip, an index into `names`; `None` without one.
    pub of: Vec<Option<u32>>,
}

/// Why labels cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum ColouringError {
    /// The file cannot be read.
    #[error(transparent)]
    Labels(#[from] LabelError),
    /// The names of the file do not tell the clips apart.
    #[error(transparent)]
    Match(#[from] MatchError),
}

impl Colouring {
    /// The labels `column` (`label` if absent) of a file that `lift probe` reads, for the clips `ids`.
    ///
    /// # Errors
    /// If the file cannot be read, or its names fit several clips.
    pub fn of_labels(path: &Path, column: Option<&str>, ids: &[String]) -> Result<Self, ColouringError> {
        let column = column.map(str::to_owned);
        let title = column.clone().unwrap_or_else(|| "label".to_owned());
        let labels =
            read(&LabelFiles { labels: path.to_owned(), column, split: 1, ..LabelFiles::default() })?;
        Ok(Self::of_set(title, &labels, ids)?)
    }

    fn of_set(title: String, labels: &LabelSet, ids: &[String]) -> Result<Self, MatchError> {
        let rows: Vec<&str> = ids.iter().map(String::as_str).collect();
        let (matched, _) = rows_of(&labels.videos, &rows)?;
        let named =
            matched.iter().zip(&labels.videos).filter_map(|(row, video)| Some(((*row)?, video.class)));
        let classes: std::collections::HashMap<&str, u32> = named.collect();
        let of = rows.iter().map(|row| classes.get(row).copied()).collect();
        Ok(Self::sorted(title, labels.classes.clone(), of))
    }

    /// Groups of rows, which are numbered from 0.
    pub fn of_groups(groups: &[u32]) -> Self {
        let count = groups.iter().max().map_or(0, |most| most + 1);
        let names = (1..=count).map(|number| format!("group {number}")).collect();
        Self { title: "group".to_owned(), names, of: groups.iter().copied().map(Some).collect() }
    }

    /// The same with the most frequent label first, and without labels that no clip has.
    fn sorted(title: String, names: Vec<String>, of: Vec<Option<u32>>) -> Self {
        let mut counts = vec![0usize; names.len()];
        of.iter().flatten().for_each(|label| counts[*label as usize] += 1);
        let mut order: Vec<usize> = (0..names.len()).filter(|label| counts[*label] > 0).collect();
        // Labels of one count keep the order of their names.
        order.sort_by_key(|label| std::cmp::Reverse(counts[*label]));
        let mut place = vec![0u32; names.len()];
        order.iter().zip(0..).for_each(|(label, at)| place[*label] = at);
        let names = order.iter().map(|label| names[*label].clone()).collect();
        Self {
            title,
            names,
            of: of.into_iter().map(|label| label.map(|label| place[label as usize])).collect(),
        }
    }

    /// The same for some of the clips.
    pub fn select(&self, rows: &[usize]) -> Self {
        let of = rows.iter().map(|row| self.of[*row]).collect();
        Self::sorted(self.title.clone(), self.names.clone(), of)
    }

    /// How many clips have each label.
    pub fn counts(&self) -> Vec<usize> {
        let mut counts = vec![0; self.names.len()];
        self.of.iter().flatten().for_each(|label| counts[*label as usize] += 1);
        counts
    }

    /// How many clips have none.
    pub fn without(&self) -> usize {
        self.of.iter().filter(|label| label.is_none()).count()
    }
}

/// The colour and the shape of a label; the plain look of a clip without one.
pub fn look(label: Option<u32>) -> (Rgb, Marker) {
    match label.map(|label| label as usize).filter(|label| *label < MOST_LOOKS) {
        Some(label) => (clip_colour(label), Marker::of_clip(label)),
        None => (PLAIN, Marker::Disc),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_look_differs_from_the_others() {
        let looks: Vec<_> = (0..MOST_LOOKS as u32).map(|label| look(Some(label))).collect();
        for (at, a) in looks.iter().enumerate() {
            assert!(looks[at + 1..].iter().all(|b| a != b), "{a:?}");
            assert_ne!(*a, look(None));
        }
        assert_eq!(look(Some(MOST_LOOKS as u32)), look(None));
        // Neighbours in the legend differ in both.
        assert!(looks.windows(2).all(|pair| pair[0].0 != pair[1].0 && pair[0].1 != pair[1].1));
    }

    #[test]
    fn labels_find_their_clips_and_the_most_frequent_comes_first() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("labels.csv");
        std::fs::write(&path, "id,label,scene\na.mp4,open,x\nb,close,y\nc,close,x\nd,rare,x\n").unwrap();
        let ids: Vec<String> = ["x/a", "b", "c", "other"].map(str::to_owned).into();
        let found = Colouring::of_labels(&path, None, &ids).unwrap();
        assert_eq!(found.names, ["close", "open"]);
        assert_eq!(found.of, [Some(1), Some(0), Some(0), None]);
        assert_eq!((found.counts(), found.without()), (vec![2, 1], 1));
        let scenes = Colouring::of_labels(&path, Some("scene"), &ids).unwrap();
        assert_eq!(
            (scenes.title.as_str(), &scenes.names[..]),
            ("scene", &["x".to_owned(), "y".to_owned()][..])
        );
        let some = found.select(&[0, 3]);
        assert_eq!((some.names, some.of), (vec!["open".to_owned()], vec![Some(0), None]));
        let error = Colouring::of_labels(&path, Some("verb"), &ids).unwrap_err().to_string();
        assert!(error.contains("labels.csv:1") && error.contains("no column `verb`"), "{error}");
    }
}
