//! The figures that the paper publishes, to stand beside one's own: `assets/published.csv`.
//!
//! All of them are read off the authors' charts (LiFT, arXiv 2509.08502, and its project page). The page says that the
//! benchmark's accuracy is the mean over all groups; no source says how the three data sets are weighed.

use serde::{Deserialize, Serialize};

const TABLE: &str = include_str!("../../assets/published.csv");

/// A published figure.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Published {
    /// Which task it is of: `cia`, or `probe` for labels of many classes.
    #[serde(skip_serializing)]
    benchmark: String,
    /// The data set, or what the mean is over.
    pub data_set: String,
    /// What was probed; ` + ` joins two.
    pub representation: String,
    /// Numbers per video, where the source gives them.
    pub width: Option<usize>,
    /// Accuracy, percent.
    pub accuracy: f64,
    /// How exactly the chart can be read, percent: `accuracy` is right to plus or minus this.
    pub reading_error: f64,
    /// Where it is published.
    pub source: String,
}

/// The figures of Chirality in Action, best first.
pub fn cia() -> Vec<Published> {
    of("cia")
}

/// The figures of linear probes on Kinetics-400, UCF101, HMDB51 and Something-Something v2.
pub fn probe() -> Vec<Published> {
    of("probe")
}

fn of(benchmark: &str) -> Vec<Published> {
    // The table is part of the program; a test reads every row.
    let rows = csv::Reader::from_reader(TABLE.as_bytes()).into_deserialize().filter_map(Result::ok);
    rows.filter(|row: &Published| row.benchmark == benchmark).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_row_is_read_and_marked_as_read_off_a_chart() {
        let (cia, probe) = (cia(), probe());
        assert_eq!(cia.len() + probe.len(), TABLE.lines().count() - 1);
        assert!(cia.is_sorted_by(|a, b| a.accuracy >= b.accuracy), "{cia:?}");
        assert_eq!(
            (cia[0].representation.as_str(), cia[0].width, cia[0].accuracy),
            ("LiFT", Some(768), 77.2)
        );
        for set in ["k400", "ucf101", "hmdb51", "ssv2"] {
            assert_eq!(probe.iter().filter(|row| row.data_set == set).count(), 7, "{set}");
        }
        for row in cia.iter().chain(&probe) {
            assert!(row.source.contains("chart") && row.reading_error > 0.0, "{row:?}");
            assert!((0.0..=100.0).contains(&row.accuracy), "{row:?}");
        }
    }
}
