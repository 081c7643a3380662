//! The clips of a data set: groups, splits, classes, ids, and the CSVs that list them.

use std::path::Path;

use sha2::{Digest, Sha256};

use super::kinds::{KINDS, PairKind};
use super::{SynthConfig, SynthError};

/// Train or validation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Split {
    /// The clips that a probe is fitted on.
    Train,
    /// The clips that a probe is scored on.
    Validation,
}

impl Split {
    /// The name in the benchmark's file names.
    pub fn name(self) -> &'static str {
        match self {
            Self::Train => "train",
            Self::Validation => "validation",
        }
    }
}

/// One pair of opposite classes.
#[derive(Clone)]
pub struct ClassPair {
    /// The triplet id, such as `t03_synth`.
    pub id: String,
    /// The kind of motion.
    pub kind: &'static PairKind,
    /// The object, with a number after each noun of the kind has had its group.
    pub noun: String,
    /// The object without that number.
    pub shape: &'static str,
}

/// One clip to be drawn.
#[derive(Clone)]
pub struct PlannedClip {
    /// The name of the file; it does not show the class.
    pub id: String,
    /// The name of the random stream.
    pub stream: String,
    /// Index into the plan's groups.
    pub group: usize,
    /// The split that lists the clip.
    pub split: Split,
    /// Whether the clip is of the second class of its pair.
    pub reverse: bool,
}

/// Everything that will be written.
pub struct ClipPlan {
    /// The pairs.
    pub groups: Vec<ClassPair>,
    /// The clips, in the order of their ids.
    pub items: Vec<PlannedClip>,
}

impl ClipPlan {
    /// The plan of these settings. More clips per class, or more groups, leave the other clips unchanged.
    pub fn new(config: &SynthConfig) -> Self {
        let groups: Vec<_> = (0..config.groups).map(group).collect();
        let mut items = Vec::new();
        for index in 0..config.groups {
            for (split, count) in
                [(Split::Train, config.per_class), (Split::Validation, config.valid_per_class)]
            {
                for (reverse, number) in (0..count).flat_map(|n| [(false, n), (true, n)]) {
                    let class = if reverse { "reverse" } else { "forward" };
                    let stream = format!(
                        "seed {}, group {index}, {}, {class}, clip {number}",
                        config.seed,
                        split.name()
                    );
                    let digest = Sha256::digest(stream.as_bytes());
                    let hex = crate::files::hexadecimal(&digest[..6]);
                    items.push(PlannedClip {
                        id: format!("g{index:02}-{hex}"),
                        stream,
                        group: index,
                        split,
                        reverse,
                    });
                }
            }
        }
        items.sort_by(|a, b| a.id.cmp(&b.id));
        Self { groups, items }
    }

    /// The ids of one class of one group in one split, joined by `;`.
    fn ids(&self, group: usize, split: Split, reverse: bool) -> String {
        let ids = self.items.iter().filter(|i| i.group == group && i.split == split && i.reverse == reverse);
        ids.map(|item| item.id.as_str()).collect::<Vec<_>>().join(";")
    }

    /// Writes both forms of the benchmark's CSVs for both splits.
    ///
    /// # Errors
    /// If a file cannot be written.
    pub fn write_tables(&self, folder: &Path) -> Result<(), SynthError> {
        for split in [Split::Train, Split::Validation] {
            self.write_groups(&folder.join(format!("chiral_groups-synth-{}.csv", split.name())), split)?;
            self.write_videos(&folder.join(format!("cia-synth-{}.csv", split.name())), split)?;
        }
        Ok(())
    }

    fn write_groups(&self, path: &Path, split: Split) -> Result<(), SynthError> {
        let rows = self.groups.iter().enumerate().map(|(index, group)| {
            [
                group.id.clone(),
                self.ids(index, split, false),
                self.ids(index, split, true),
                group.kind.forward.to_owned(),
                group.kind.reverse.to_owned(),
                group.noun.clone(),
            ]
        });
        let header =
            ["triplet_id", "id_forward", "id_reverse", "verb_forward", "verb_reverse", "noun_abstract"];
        write_csv(path, header, rows)
    }

    fn write_videos(&self, path: &Path, split: Split) -> Result<(), SynthError> {
        let rows = self.items.iter().filter(|item| item.split == split).map(|item| {
            let group = &self.groups[item.group];
            let (verb, label) =
                if item.reverse { (group.kind.reverse, "0.0") } else { (group.kind.forward, "1.0") };
            [
                item.id.clone(),
                group.id.clone(),
                label.to_owned(),
                verb.to_owned(),
                group.noun.clone(),
                format!("{verb} {}", group.noun),
                split.name().to_owned(),
            ]
        });
        let header =
            ["id", "chiral_triplet_id", "chiral_label", "verb", "noun_abstract", "template", "split"];
        write_csv(path, header, rows)
    }
}

/// The pair number `index`: the kinds follow one another, and after all kinds comes the next noun of each. After all nouns
/// come the same ones with a number.
fn group(index: usize) -> ClassPair {
    let kind = &KINDS[index % KINDS.len()];
    let turn = index / KINDS.len();
    let shape = kind.nouns[turn % kind.nouns.len()];
    let noun = match turn / kind.nouns.len() {
        0 => shape.to_owned(),
        again => format!("{shape} {}", again + 1),
    };
    ClassPair { id: format!("t{index:02}_synth"), kind, noun, shape }
}

fn write_csv<const N: usize>(
    path: &Path,
    header: [&str; N],
    rows: impl Iterator<Item = [String; N]>,
) -> Result<(), SynthError> {
    let write = || -> Result<(), csv::Error> {
        let mut writer = csv::Writer::from_path(path)?;
        writer.write_record(header)?;
        for row in rows {
            writer.write_record(row)?;
        }
        Ok(writer.flush()?)
    };
    write().map_err(|cause| SynthError::Table { path: path.to_owned(), cause })
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;
    use crate::synth::{Contrast, Style};

    fn config(groups: usize, per_class: usize) -> SynthConfig {
        SynthConfig {
            groups,
            per_class,
            valid_per_class: 2,
            size: 224,
            seed: 0,
            contrast: Contrast::Salient,
            style: Style::Plain,
        }
    }

    #[test]
    fn classes_and_splits_are_balanced_and_ids_differ() {
        let plan = ClipPlan::new(&config(40, 3));
        assert_eq!(plan.items.len(), 40 * 2 * (3 + 2));
        assert_eq!(plan.items.iter().filter(|item| item.reverse).count(), plan.items.len() / 2);
        assert_eq!(plan.items.iter().map(|item| &item.id).collect::<HashSet<_>>().len(), plan.items.len());
        let names: HashSet<_> = plan.groups.iter().map(|g| (g.kind.forward, &g.noun)).collect();
        assert_eq!(names.len(), 40);
    }

    #[test]
    fn a_larger_plan_contains_the_smaller_one() {
        let ids = |plan: ClipPlan| plan.items.into_iter().map(|item| item.id).collect::<HashSet<_>>();
        assert!(ids(ClipPlan::new(&config(4, 3))).is_subset(&ids(ClipPlan::new(&config(6, 5)))));
    }

    #[test]
    fn the_tables_have_the_columns_of_the_benchmark() {
        let folder = tempfile::tempdir().unwrap();
        ClipPlan::new(&config(2, 3)).write_tables(folder.path()).unwrap();
        let read = |name: &str| csv::Reader::from_path(folder.path().join(name)).unwrap();
        let mut groups = read("chiral_groups-synth-train.csv");
        let row = groups.records().next().unwrap().unwrap();
        assert_eq!((row[1].split(';').count(), row[2].split(';').count()), (3, 3));
        assert_eq!((&row[0], &row[3], &row[4]), ("t00_synth", "moving up", "moving down"));
        let mut videos = read("cia-synth-validation.csv");
        let labels: Vec<_> = videos.records().map(|row| row.unwrap()[2].to_owned()).collect();
        assert_eq!(labels.iter().filter(|label| *label == "1.0").count(), 4);
        assert_eq!(labels.len(), 8);
    }
}
