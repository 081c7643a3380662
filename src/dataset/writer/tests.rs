//! Runs over a dataset that stop anywhere, go on, and meet changed files.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use crate::dataset::writer::*;
use crate::dataset::{FAILURES, InputsDigest, Manifest, read_part};
use crate::files::Stamp;
use crate::rows::Format;
use crate::rows::testing::{DIMS, failure, row};

const PARTS: [Part; 1] = [Part::Concat];
const INPUTS: usize = 10;
const SIZE: usize = 4;

/// A folder of files to embed, of which every third fails, and a dataset beside it.
struct Bench {
    dir: tempfile::TempDir,
    kind: Format,
}

impl Bench {
    fn new(kind: Format) -> Self {
        let bench = Self { dir: tempfile::tempdir().unwrap(), kind };
        (0..INPUTS).for_each(|i| fs::write(bench.file(i), [0; 9]).unwrap());
        bench
    }

    fn file(&self, index: usize) -> PathBuf {
        self.dir.path().join(format!("{index}.mp4"))
    }

    fn out(&self) -> PathBuf {
        self.dir.path().join("out")
    }

    fn members(&self) -> std::vec::IntoIter<(usize, PathBuf)> {
        (0..INPUTS).map(|i| (i, self.file(i))).collect::<Vec<_>>().into_iter()
    }

    fn open(&self) -> Result<Dataset, FileError> {
        let inputs = InputsDigest { count: INPUTS, sha256: "x".into(), ..InputsDigest::default() };
        Dataset::open(&self.out(), Manifest::new(inputs, None, SIZE, self.kind).with_parts(&PARTS, DIMS))
    }

    /// A run that ends after `most` inputs, in order or (`killed`) not; which it took, and the counts.
    fn run(
        &self,
        most: usize,
        retry: bool,
        fails: bool,
        killed: bool,
    ) -> (Vec<usize>, Option<DatasetCounts>) {
        let dataset = self.open().unwrap();
        let plan = DatasetPlan::new(&dataset, self.members(), retry).unwrap();
        let selected: Vec<usize> = plan.select(self.members(), |m| m.0).map(|m| m.0).collect();
        assert_eq!(selected.len(), plan.wanted);
        let mut writer = DatasetWriter::new(dataset, plan).unwrap();
        let taken: Vec<usize> = selected.into_iter().take(most).collect();
        for &i in &taken {
            let stamp = Stamp::of(&self.file(i));
            if fails && i % 3 == 2 {
                writer.failed(stamp, &failure(i)).unwrap();
            } else {
                writer.embedded(i, stamp, &[row(i, 3, &PARTS)]).unwrap();
            }
        }
        let counts = if killed { None } else { Some(writer.finish().unwrap()) };
        (taken, counts)
    }

    /// Names and bytes of the dataset's files, but for the lock.
    fn files(&self) -> BTreeMap<String, Vec<u8>> {
        let entries = fs::read_dir(self.out()).unwrap().map(Result::unwrap);
        let named = entries.map(|e| (e.file_name().into_string().unwrap(), fs::read(e.path()).unwrap()));
        named.filter(|(name, _)| name != ".lock").collect()
    }

    fn ids(&self) -> Vec<usize> {
        let dataset = Dataset::read(&self.out()).unwrap();
        let mut all = Vec::new();
        for number in dataset.parts().unwrap() {
            let (_, rows) = read_part(&dataset.part(number), &PARTS, DIMS).unwrap();
            all.extend(rows.iter().map(|r| r.clip.index));
        }
        all.sort_unstable();
        all
    }
}

fn good() -> Vec<usize> {
    (0..INPUTS).filter(|i| i % 3 != 2).collect()
}

#[test]
fn stopped_or_killed_anywhere_and_resumed_it_ends_in_the_same_bytes() {
    for kind in [Format::PARQUET, Format::SAFETENSORS] {
        let whole = Bench::new(kind);
        let (taken, counts) = whole.run(INPUTS, false, true, false);
        assert_eq!((taken.len(), counts), (INPUTS, Some(DatasetCounts { embedded: 7, rows: 7, failed: 3 })));
        let expected = whole.files();
        assert_eq!(expected.len(), 3 + 2, "{:?}", expected.keys());
        for killed in [false, true] {
            for stop in 0..INPUTS {
                // The same files, so that sizes and times agree.
                fs::remove_dir_all(whole.out()).unwrap();
                whole.run(stop, false, true, killed);
                let (rest, _) = whole.run(INPUTS, false, true, false);
                assert_eq!(rest.len(), INPUTS - stop, "stopped at {stop}, killed: {killed}");
                assert!(whole.files() == expected, "stopped at {stop}, killed: {killed}");
            }
        }
        let (nothing, counts) = whole.run(INPUTS, false, true, false);
        assert_eq!((nothing.len(), counts.unwrap().failed), (0, 3));
    }
}

#[test]
fn a_changed_file_is_embedded_again_and_the_others_are_taken_over() {
    let bench = Bench::new(Format::PARQUET);
    bench.run(INPUTS, false, true, false);
    fs::write(bench.file(5), [1; 3]).unwrap();
    fs::write(bench.file(6), [1; 4]).unwrap();
    let (taken, counts) = bench.run(INPUTS, false, false, false);
    assert_eq!(taken, [5, 6]);
    assert_eq!(counts, Some(DatasetCounts { embedded: 8, rows: 8, failed: 2 }));
    assert_eq!(bench.ids(), [0, 1, 3, 4, 5, 6, 7, 9]);
}

#[test]
fn failures_are_tried_again_on_request_in_parts_of_their_own() {
    let bench = Bench::new(Format::PARQUET);
    bench.run(INPUTS, false, true, false);
    let failures = |bench: &Bench| fs::read_to_string(bench.out().join(FAILURES)).unwrap();
    assert_eq!(failures(&bench).lines().filter(|l| l.ends_with(",1")).count(), 3);
    let (taken, counts) = bench.run(INPUTS, true, true, false);
    assert_eq!((taken, counts.unwrap().failed), (vec![2, 5, 8], 3));
    assert_eq!(failures(&bench).lines().filter(|l| l.ends_with(",2")).count(), 3);
    assert_eq!(bench.ids(), good());
    let (taken, counts) = bench.run(1, true, false, false);
    assert_eq!((taken, counts.unwrap().failed), (vec![2], 2));
    let (taken, counts) = bench.run(INPUTS, true, false, false);
    assert_eq!((taken, counts.unwrap().failed), (vec![5, 8], 0));
    assert_eq!(bench.ids(), (0..INPUTS).collect::<Vec<_>>());
    // A file that changed after a later attempt is embedded anew where that attempt stands.
    fs::write(bench.file(8), [1; 3]).unwrap();
    let (taken, counts) = bench.run(INPUTS, false, false, false);
    assert_eq!((taken, counts.unwrap().rows), (vec![8], INPUTS));
    assert_eq!(bench.ids(), (0..INPUTS).collect::<Vec<_>>());
}

#[test]
fn a_run_with_other_settings_or_beside_another_run_is_refused() {
    let bench = Bench::new(Format::PARQUET);
    bench.run(3, false, true, false);
    let inputs = InputsDigest { count: INPUTS, sha256: "x".into(), ..InputsDigest::default() };
    let other = Manifest::new(inputs, None, SIZE + 1, bench.kind).with_parts(&PARTS, DIMS);
    let error = Dataset::open(&bench.out(), other).unwrap_err().to_string();
    assert!(error.contains("shard_size: 4 there, 5 now"), "{error}");
    let held = bench.open().unwrap();
    let error = bench.open().unwrap_err().to_string();
    assert!(error.contains("another run writes into it"), "{error}");
    drop(held);
    bench.open().unwrap();
}

#[test]
fn what_a_killed_run_left_half_written_is_removed() {
    let bench = Bench::new(Format::PARQUET);
    bench.run(3, false, true, false);
    let stray = bench.out().join(".lift-abc.tmp");
    fs::write(&stray, "half").unwrap();
    bench.open().unwrap();
    assert!(!stray.exists());
    assert!(Path::new(&bench.out().join("_partial-00000.parquet")).exists());
}

#[test]
fn a_killed_run_of_later_attempts_or_changed_files_loses_nothing() {
    let bench = Bench::new(Format::PARQUET);
    bench.run(INPUTS, false, true, false);
    // Two of the three failures are tried again, and then the run is killed.
    let (taken, _) = bench.run(2, true, false, true);
    assert_eq!(taken, [2, 5]);
    let (taken, counts) = bench.run(INPUTS, true, false, false);
    assert_eq!((taken, counts.unwrap().failed), (vec![8], 0));
    assert_eq!(bench.ids(), (0..INPUTS).collect::<Vec<_>>());
    // Files of a complete part change, and the run that embeds them again is killed.
    fs::write(bench.file(0), [1; 3]).unwrap();
    fs::write(bench.file(1), [1; 3]).unwrap();
    assert_eq!(bench.run(1, false, false, true).0, [0]);
    let looked = Dataset::read(&bench.out()).unwrap();
    assert_eq!(
        DatasetPlan::new(&looked, bench.members(), false).unwrap().wanted,
        1,
        "a dry run sees the journal"
    );
    assert_eq!(bench.run(INPUTS, false, false, false).0, [1]);
    assert_eq!(bench.ids(), (0..INPUTS).collect::<Vec<_>>());
    assert!(bench.files().keys().all(|name| !name.contains("journal")), "{:?}", bench.files().keys());
}

#[test]
fn a_dataset_of_an_older_version_is_read_and_goes_on_under_the_new_names() {
    let bench = Bench::new(Format::PARQUET);
    bench.run(6, false, true, false);
    for (new, old) in [
        ("_manifest.json", "manifest.json"),
        ("_failures.csv", "failures.csv"),
        ("_partial-00001.parquet", "partial-00001.parquet"),
    ] {
        fs::rename(bench.out().join(new), bench.out().join(old)).unwrap();
    }
    assert!(Dataset::is_at(&bench.out()));
    assert_eq!(Dataset::read(&bench.out()).unwrap().manifest().inputs.count, INPUTS);
    let (rest, _) = bench.run(INPUTS, false, true, false);
    assert_eq!(rest, [6, 7, 8, 9]);
    let names: Vec<_> = bench.files().into_keys().collect();
    assert!(names.iter().all(|name| name.starts_with('_') || name.starts_with("part-")), "{names:?}");
    assert_eq!(names.len(), 5, "{names:?}");
}

#[test]
fn files_that_are_gone_keep_their_rows() {
    let bench = Bench::new(Format::PARQUET);
    bench.run(6, false, true, false);
    fs::remove_file(bench.file(0)).unwrap();
    fs::remove_file(bench.file(4)).unwrap();
    let dataset = bench.open().unwrap();
    let plan = DatasetPlan::new(&dataset, bench.members(), false).unwrap();
    assert_eq!((plan.absent, plan.changed, plan.done, plan.wanted), (2, 0, 6, 4));
    drop(dataset);
    bench.run(INPUTS, false, true, false);
    assert_eq!(bench.ids(), good());
}
