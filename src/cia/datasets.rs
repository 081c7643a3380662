//! The official benchmark: its files, and the names of its clips.
//!
//! The videos are those of SSv2, EPIC-Kitchens and Charades, which the user has on disk; the hub hosts only the CSVs.

use std::path::{Path, PathBuf};

/// The data set on the Hugging Face hub that holds the CSVs.
pub const HUB_DATASET: &str = "bpiyush/chirality-in-action";

/// One of the three data sets of the benchmark.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, clap::ValueEnum)]
pub enum BenchmarkDataset {
    /// Something-Something v2.
    Ssv2,
    /// EPIC-Kitchens-100.
    Epic,
    /// Charades.
    Charades,
}

/// The two CSV forms of the same split.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Form {
    /// `chiral_groups-*.csv`: one row per group, ids joined by `;`.
    Groups,
    /// `cia-*.csv`: one row per video.
    Videos,
}

impl BenchmarkDataset {
    /// The name in file names and reports.
    pub fn name(self) -> &'static str {
        match self {
            Self::Ssv2 => "ssv2",
            Self::Epic => "epic",
            Self::Charades => "charades",
        }
    }

    /// The extension of this data set's clips, without the dot.
    pub fn extension(self) -> &'static str {
        match self {
            Self::Ssv2 => "webm",
            Self::Epic => "MP4",
            Self::Charades => "mp4",
        }
    }

    /// The names of the training and the validation file in one form.
    pub fn files(self, form: Form) -> [String; 2] {
        let stem = match form {
            Form::Groups => "chiral_groups",
            Form::Videos => "cia",
        };
        ["train", "validation"].map(|side| format!("{stem}-{}-{side}.csv", self.name()))
    }

    /// The training and the validation file of this data set in a folder: in the wanted form if both files are there, else
    /// in the other form; `None` if neither form has both files.
    pub fn find(self, folder: &Path, wanted: Form) -> Option<[PathBuf; 2]> {
        let other = if wanted == Form::Groups { Form::Videos } else { Form::Groups };
        [wanted, other]
            .into_iter()
            .map(|form| self.files(form).map(|name| folder.join(name)))
            .find(|pair| pair.iter().all(|path| path.is_file()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_form_that_is_there_is_found() {
        let folder = tempfile::tempdir().unwrap();
        assert_eq!(BenchmarkDataset::Epic.find(folder.path(), Form::Groups), None);
        let pair = BenchmarkDataset::Epic.files(Form::Videos).map(|name| folder.path().join(name));
        std::fs::write(&pair[0], "id").unwrap();
        assert_eq!(BenchmarkDataset::Epic.find(folder.path(), Form::Groups), None, "half a pair is none");
        std::fs::write(&pair[1], "id").unwrap();
        assert_eq!(BenchmarkDataset::Epic.find(folder.path(), Form::Groups), Some(pair.clone()));
        assert!(pair[0].ends_with("cia-epic-train.csv"));
    }
}
