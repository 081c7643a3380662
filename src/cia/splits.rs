//! Joins a training and a validation file into chiral groups and checks them.
//!
//! What would give a wrong score is refused with file and line: a video on both sides of the split, a group that one side
//! lacks, a direction without training videos. What the authors' code ignores is a warning.
//!
//! Groups are sorted by triplet id and videos by id, so that both CSV forms give the same scores to the last digit, in
//! whatever order their rows are.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::path::Path;

use super::clips::{ClipSource, Columns};
use super::directions;
use super::listing::{self, ListedVideo, SplitError, SplitFile};

/// The videos of one group on one side of the split, each direction sorted by id.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Side {
    /// Videos of the forward direction, the probe's class 1.
    pub forward: Vec<String>,
    /// Videos of the reverse direction, class 0.
    pub reverse: Vec<String>,
}

impl Side {
    /// How many videos there are.
    pub fn len(&self) -> usize {
        self.forward.len() + self.reverse.len()
    }

    /// Whether there is no video.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// All ids, forward first.
    pub fn ids(&self) -> impl Iterator<Item = &str> {
        self.forward.iter().chain(&self.reverse).map(String::as_str)
    }

    /// The labels in the order of [`Side::ids`], `true` for forward.
    pub fn labels(&self) -> Vec<bool> {
        (0..self.len()).map(|at| at < self.forward.len()).collect()
    }

    fn without(&self, missing: &HashSet<&str>) -> Self {
        let keep = |ids: &[String]| {
            ids.iter().filter(|id| !missing.contains(id.as_str())).cloned().collect::<Vec<_>>()
        };
        Self { forward: keep(&self.forward), reverse: keep(&self.reverse) }
    }
}

/// A pair of actions, each the reverse of the other in time, with their videos.
#[derive(Debug, Clone, PartialEq)]
pub struct ChiralGroup {
    /// The triplet id.
    pub triplet: String,
    /// The verb of the forward direction; may be empty.
    pub verb_forward: String,
    /// The verb of the reverse direction; may be empty.
    pub verb_reverse: String,
    /// The noun; may be empty.
    pub noun: String,
    /// Videos that the probe is fitted on.
    pub train: Side,
    /// Videos that the probe is scored on.
    pub valid: Side,
}

/// One data set of the benchmark.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Splits {
    /// The groups, sorted by triplet id.
    pub groups: Vec<ChiralGroup>,
    /// The places of clips in uncut videos, by id, if the CSVs give them.
    pub sources: HashMap<String, ClipSource>,
    /// Number of groups that were left out because only one file lists them.
    pub left_out: usize,
    /// What was ignored, one line each for standard error.
    pub warnings: Vec<String>,
}

impl Splits {
    /// Reads both files. With `allow_missing`, a group that one side lacks is left out with a warning.
    ///
    /// # Errors
    /// [`SplitError`] as [`listing::read`], and for a video on both sides, a group on one side only and a group with
    /// no training videos of a direction.
    pub fn read(
        train: &Path,
        valid: &Path,
        columns: &Columns,
        allow_missing: bool,
    ) -> Result<Self, SplitError> {
        Self::read_directed(train, valid, columns, &[], allow_missing)
    }

    /// As [`read`](Self::read); labels that are texts are forward where they are among `forward`.
    ///
    /// # Errors
    /// As there, and for a group with other than two labels.
    pub fn read_directed(
        train: &Path,
        valid: &Path,
        columns: &Columns,
        forward: &[String],
        allow_missing: bool,
    ) -> Result<Self, SplitError> {
        let (mut train, mut valid) = (listing::read(train, columns)?, listing::read(valid, columns)?);
        let told = directions::set([&mut train, &mut valid], forward)?;
        let mut splits = pair(train, valid, allow_missing)?;
        splits.warnings.extend(told);
        Ok(splits)
    }

    /// The ids of the videos of all groups, each once, sorted.
    pub fn ids(&self) -> BTreeSet<&str> {
        self.groups.iter().flat_map(|group| group.train.ids().chain(group.valid.ids())).collect()
    }

    /// The ids of the validation videos of all groups, each once, sorted.
    pub fn valid_ids(&self) -> BTreeSet<&str> {
        self.groups.iter().flat_map(|group| group.valid.ids()).collect()
    }

    /// The benchmark without some videos, and the groups left out because they lost all training videos of a direction, or
    /// all validation videos.
    pub fn without(&self, missing: &HashSet<&str>) -> (Self, Vec<String>) {
        let mut left_out = Vec::new();
        let mut groups = Vec::new();
        for group in &self.groups {
            let (train, valid) = (group.train.without(missing), group.valid.without(missing));
            if train.forward.is_empty() || train.reverse.is_empty() || valid.is_empty() {
                left_out.push(group.triplet.clone());
            } else {
                groups.push(ChiralGroup { train, valid, ..group.clone() });
            }
        }
        (Self { groups, ..self.clone() }, left_out)
    }
}

/// One group of one file while its videos are gathered.
#[derive(Default)]
struct Gathered<'a> {
    side: Side,
    first: Option<&'a ListedVideo>,
    verb_forward: &'a str,
    verb_reverse: &'a str,
    noun: &'a str,
}

fn pair(train: SplitFile, valid: SplitFile, allow_missing: bool) -> Result<Splits, SplitError> {
    let mut warnings: Vec<String> = Vec::new();
    warnings.extend(train.warnings.iter().chain(&valid.warnings).cloned());
    let mut left_out = 0;
    disjoint(&train, &valid)?;
    let train_groups = gather(&train, &mut warnings);
    let mut valid_groups = gather(&valid, &mut warnings);
    for (here, there, here_groups, there_groups) in
        [(&train, &valid, &train_groups, &valid_groups), (&valid, &train, &valid_groups, &train_groups)]
    {
        for (triplet, group) in here_groups {
            let line = group.first.map_or(0, |entry| entry.line);
            if there_groups.contains_key(triplet) {
                continue;
            }
            let what = format!(
                "group {triplet} is missing in {}; add it there, remove it here, or leave such groups out with \
                 --allow-missing",
                there.path.display()
            );
            let error = SplitError::Line { path: here.path.clone(), line, what };
            if !allow_missing {
                return Err(error);
            }
            left_out += 1;
            warnings.push(error.to_string());
        }
    }
    let mut groups = Vec::new();
    for (triplet, mut here) in train_groups {
        let Some(mut there) = valid_groups.remove(triplet) else { continue };
        for (ids, direction) in [(&here.side.forward, "forward"), (&here.side.reverse, "reverse")] {
            if ids.is_empty() {
                let line = here.first.map_or(0, |entry| entry.line);
                let what = format!("group {triplet} has no {direction} videos to train on");
                return Err(SplitError::Line { path: train.path.clone(), line, what });
            }
        }
        for side in [&mut here.side, &mut there.side] {
            side.forward.sort_unstable();
            side.reverse.sort_unstable();
        }
        let either = |a: &str, b: &str| if a.is_empty() { b.to_owned() } else { a.to_owned() };
        groups.push(ChiralGroup {
            triplet: triplet.to_owned(),
            verb_forward: either(here.verb_forward, there.verb_forward),
            verb_reverse: either(here.verb_reverse, there.verb_reverse),
            noun: either(here.noun, there.noun),
            train: here.side,
            valid: there.side,
        });
    }
    let mut sources = HashMap::new();
    for entry in train.entries.iter().chain(&valid.entries) {
        if let Some(source) = &entry.source {
            sources.entry(entry.id.clone()).or_insert_with(|| source.clone());
        }
    }
    Ok(Splits { groups, sources, left_out, warnings })
}

/// Refuses a video that is on both sides: a probe would score too well on a video that it was fitted on.
fn disjoint(train: &SplitFile, valid: &SplitFile) -> Result<(), SplitError> {
    let trained: HashMap<&str, u64> =
        train.entries.iter().rev().map(|entry| (entry.id.as_str(), entry.line)).collect();
    let mut shared = valid.entries.iter().filter(|entry| trained.contains_key(entry.id.as_str()));
    let Some(first) = shared.next() else { return Ok(()) };
    let more = match shared.count() {
        0 => String::new(),
        count => format!(" (and {count} more)"),
    };
    Err(SplitError::Line {
        path: valid.path.clone(),
        line: first.line,
        what: format!(
            "video {} is on both sides of the split{more}: it is also at {}:{}; a probe must not be scored on what it \
             was fitted on",
            first.id,
            train.path.display(),
            trained[first.id.as_str()]
        ),
    })
}

fn gather<'a>(listing: &'a SplitFile, warnings: &mut Vec<String>) -> BTreeMap<&'a str, Gathered<'a>> {
    let mut groups: BTreeMap<&str, Gathered> = BTreeMap::new();
    let mut seen: HashMap<&str, &ListedVideo> = HashMap::new();
    let mut placed: HashSet<(&str, &str)> = HashSet::new();
    let mut twice: Vec<(&ListedVideo, &ListedVideo)> = Vec::new();
    let fill = |slot: &mut &'a str, text: &'a str| {
        if slot.is_empty() {
            *slot = text;
        }
    };
    for entry in &listing.entries {
        let first = *seen.entry(&entry.id).or_insert(entry);
        if !std::ptr::eq(first, entry) {
            twice.push((first, entry));
        }
        let group = groups.entry(&entry.triplet).or_default();
        group.first.get_or_insert(entry);
        fill(&mut group.noun, &entry.noun);
        let (ids, verb) = if entry.forward {
            (&mut group.side.forward, &mut group.verb_forward)
        } else {
            (&mut group.side.reverse, &mut group.verb_reverse)
        };
        fill(verb, &entry.verb);
        if placed.insert((&entry.triplet, &entry.id)) {
            ids.push(entry.id.clone());
        }
    }
    if let Some((first, again)) = twice.first() {
        let more =
            if twice.len() > 1 { format!(" (and {} more like it)", twice.len() - 1) } else { String::new() };
        warnings.push(format!(
            "{}:{}: video {} is listed twice, first on line {}{more}; within a group the first row is used",
            listing.path.display(),
            again.line,
            again.id,
            first.line
        ));
    }
    groups
}

#[cfg(test)]
mod tests {
    use super::*;

    const HEAD: &str = "id,chiral_triplet_id,chiral_label,verb\n";

    fn splits(train: &str, valid: &str, allow_missing: bool) -> Result<Splits, String> {
        read(train, valid, &[], allow_missing)
    }

    fn directed(train: &str, valid: &str, forward: &[&str]) -> Result<Splits, String> {
        read(train, valid, forward, false)
    }

    fn read(train: &str, valid: &str, forward: &[&str], allow_missing: bool) -> Result<Splits, String> {
        let folder = tempfile::tempdir().unwrap();
        let paths = ["train.csv", "valid.csv"].map(|name| folder.path().join(name));
        for (path, rows) in paths.iter().zip([train, valid]) {
            std::fs::write(path, format!("{HEAD}{rows}")).unwrap();
        }
        let prefix = format!("{}/", folder.path().display());
        let forward: Vec<String> = forward.iter().map(ToString::to_string).collect();
        let read = Splits::read_directed(&paths[0], &paths[1], &Columns::default(), &forward, allow_missing);
        read.map_err(|error| error.to_string().replace(&prefix, "")).map(|mut splits| {
            splits.warnings.iter_mut().for_each(|text| *text = text.replace(&prefix, ""));
            splits
        })
    }

    #[test]
    fn groups_and_videos_are_sorted_and_verbs_come_from_the_labels() {
        let train = "b,t2,0,close\nz,t1,1,fold\na,t2,1,open\ny,t1,0,unfold\nx,t1,1,fold\n";
        let read = splits(train, "c,t2,1,open\nd,t1,0,unfold\n", false).unwrap();
        assert_eq!(read.groups.iter().map(|group| &group.triplet[..]).collect::<Vec<_>>(), ["t1", "t2"]);
        let group = &read.groups[0];
        assert_eq!((&group.verb_forward[..], &group.verb_reverse[..]), ("fold", "unfold"));
        assert_eq!(group.train.ids().collect::<Vec<_>>(), ["x", "z", "y"]);
        assert_eq!(group.train.labels(), [true, true, false]);
        assert!(read.warnings.is_empty());
    }

    #[test]
    fn labels_may_be_two_texts_of_a_group() {
        let train = "a,door,open,\nb,door,close,\nc,paper,fold,\nd,paper,unfold,\n";
        let valid = "e,door,open,\nf,paper,unfold,\n";
        let read = splits(train, valid, false).unwrap();
        let verbs = |splits: &Splits| {
            let of = |group: &ChiralGroup| format!("{}/{}", group.verb_forward, group.verb_reverse);
            splits.groups.iter().map(of).collect::<Vec<_>>()
        };
        assert_eq!(verbs(&read), ["close/open", "fold/unfold"]);
        assert_eq!(
            (&read.groups[0].valid.forward[..], &read.groups[0].valid.reverse[..]),
            (&[][..], &["e".to_owned()][..])
        );
        assert!(read.warnings[0].contains("door: close / open, paper: fold / unfold"), "{:?}", read.warnings);
        let read = directed(train, valid, &["open", "fold"]).unwrap();
        assert_eq!((verbs(&read), read.warnings.len()), (vec!["open/close".into(), "fold/unfold".into()], 0));
        for (train, forward, said) in [
            ("a,t,up,\nb,t,down,\nc,t,left,\n", &[][..], "train.csv:4: label `left` is the third of group t"),
            (
                "a,t,1,\nb,t,0.0,\nc,t,2.0,\n",
                &[],
                "train.csv:4: label `2.0` is the third of group t beside `1` and `0`",
            ),
            ("a,t,up,\nb,t,down,\n", &["left"], "no video has the label `left`"),
            ("a,t,up,\nb,t,down,\n", &["up", "down"], "--forward names both labels of group t"),
            ("a,t,up,\nb,t,up,\n", &[], "group t has no reverse videos"),
        ] {
            let valid = if train.contains(",1,") { "z,t,1,\n" } else { "z,t,up,\n" };
            let error = directed(train, valid, forward).unwrap_err();
            assert!(error.contains(said), "{error}");
        }
    }

    #[test]
    fn a_video_on_both_sides_is_refused() {
        let error = splits("a,t,1,\nb,t,0,\n", "c,t,1,\nb,t,0,\n", true).unwrap_err();
        assert!(
            error
                .starts_with("valid.csv:3: video b is on both sides of the split: it is also at train.csv:3"),
            "{error}"
        );
    }

    #[test]
    fn a_group_on_one_side_is_refused_or_left_out_with_a_warning() {
        let (train, valid) = ("a,t,1,\nb,t,0,\nc,u,1,\nd,u,0,\n", "e,t,1,\nf,v,1,\n");
        let error = splits(train, valid, false).unwrap_err();
        assert!(error.starts_with("train.csv:4: group u is missing in valid.csv"), "{error}");
        let read = splits(train, valid, true).unwrap();
        assert_eq!((read.groups.len(), read.left_out), (1, 2));
        assert!(read.warnings[1].starts_with("valid.csv:3: group v is missing in train.csv"));
        let one_sided = splits("a,t,1,\nb,t,1,\n", "e,t,1,\n", true).unwrap_err();
        assert!(one_sided.contains("train.csv:2: group t has no reverse videos"), "{one_sided}");
    }

    #[test]
    fn a_video_listed_twice_counts_once_with_a_warning() {
        let train = "a,t,1,\nb,t,0,\na,t,1,\nb,t,1,\n";
        let read = splits(train, "c,t,1,\n", false).unwrap();
        assert_eq!(read.groups[0].train.forward, ["a"]);
        assert_eq!(read.groups[0].train.reverse, ["b"], "the first row wins");
        assert!(
            read.warnings[0]
                .starts_with("train.csv:4: video a is listed twice, first on line 2 (and 1 more like it)")
        );
    }

    #[test]
    fn missing_videos_shrink_the_benchmark_and_say_which_groups_go() {
        let read = splits("a,t,1,\nb,t,0,\nc,u,1,\nd,u,0,\ng,u,0,\n", "e,t,1,\nf,u,1,\n", false).unwrap();
        assert_eq!(read.ids().len(), 7);
        let (smaller, left_out) = read.without(&HashSet::from(["a", "d"]));
        assert_eq!(left_out, ["t"]);
        assert_eq!(smaller.groups[0].train.reverse, ["g"]);
    }
}
