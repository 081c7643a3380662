//! Updates over random sequences of additions, changes, deletions and kills: what is there afterwards is what a fresh run over the final
//! list gives, and at every moment between it is readable.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use crate::dataset::commit::testing::end_after;
use crate::dataset::update::*;
use crate::dataset::{DatasetWriter, InputResult, ShardOf, ShardReader, verify_dataset};
use crate::files::Stamp;
use crate::inputs::{Columns, Shard};
use crate::rows::testing::DIMS;
use crate::rows::{ClipMeta, Failure, Format, Part, Row, Wanted};

const PARTS: [Part; 1] = [Part::Concat];
const SIZE: usize = 3;

/// Random numbers by a fixed rule (splitmix64).
struct Random(u64);

impl Random {
    fn below(&mut self, limit: usize) -> usize {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut x = self.0;
        x = (x ^ (x >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        x = (x ^ (x >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        ((x ^ (x >> 31)) % limit as u64) as usize
    }
}

/// What is read of an input: id, path, kept columns, and the bits of its values or why it failed.
type Seen = (usize, String, PathBuf, Columns, Result<Vec<u32>, String>);

/// Files, a list of them, and the dataset that follows it.
struct World {
    dir: tempfile::TempDir,
    random: Random,
    kind: Format,
    shards: usize,
    rules: Rules,
    /// The ids of the list, in its order.
    list: Vec<String>,
    /// Whether the labels of the list are kept.
    keeps: bool,
    /// What the list says of its ids, and what it said of those that were in it at the last complete update.
    labels: BTreeMap<String, usize>,
    last_labels: BTreeMap<String, usize>,
    /// How many files were written.
    written: u64,
    /// Ids and versions that are embedded and must not be again.
    embedded: BTreeSet<(String, u64)>,
    /// Whether a fresh run is made, which embeds everything.
    fresh: bool,
}

impl World {
    fn new(seed: u64) -> Self {
        let dir = tempfile::tempdir().unwrap();
        fs::create_dir(dir.path().join("in")).unwrap();
        let mut random = Random(seed);
        let kind = [Format::PARQUET, Format::SAFETENSORS][random.below(2)];
        let shards = 1 + random.below(2);
        let rules =
            Rules { prune: random.below(2) == 0, by_content: random.below(2) == 0, retry_failed: false };
        let (keeps, labels, last_labels) = (random.below(2) == 0, BTreeMap::new(), BTreeMap::new());
        let (list, embedded, written, fresh) = (vec![], BTreeSet::new(), 0, false);
        Self { dir, random, kind, shards, rules, list, keeps, labels, last_labels, written, embedded, fresh }
    }

    fn file(&self, id: &str) -> PathBuf {
        self.dir.path().join("in").join(format!("{id}.mp4"))
    }

    /// Writes a file of the version given, with a time of change of its own.
    fn write(&mut self, id: &str, version: u64) {
        self.written += 1;
        fs::write(self.file(id), version.to_le_bytes()).unwrap();
        let time = SystemTime::UNIX_EPOCH + Duration::from_secs(1_000_000 + self.written);
        File::options().append(true).open(self.file(id)).unwrap().set_modified(time).unwrap();
    }

    /// The version of a file, or, if it was deleted, the last one that was embedded.
    fn version(&self, id: &str) -> u64 {
        match fs::read(self.file(id)) {
            Ok(bytes) => u64::from_le_bytes(bytes.try_into().unwrap()),
            Err(_) => {
                self.embedded.iter().filter(|(known, _)| known == id).map(|(_, v)| *v).max().unwrap_or(0)
            }
        }
    }

    /// Adds, changes, touches, deletes, moves and relabels some inputs of the list.
    fn change(&mut self) {
        for _ in 0..self.random.below(4) {
            if let Some(id) = self.list.get(self.random.below(self.list.len().max(1))).cloned() {
                self.labels.insert(id, self.random.below(3));
            }
        }
        for _ in 0..self.random.below(5) {
            let id = format!("{}{}", ["a", "b", "c#1"][self.random.below(3)], self.random.below(12));
            self.write(&id.clone(), self.written + 1);
            if !self.list.contains(&id) {
                let at = self.random.below(self.list.len() + 1);
                self.list.insert(at, id);
            }
        }
        for _ in 0..self.random.below(3) {
            if self.list.len() > 1 {
                let at = self.random.below(self.list.len());
                match self.random.below(4) {
                    0 => drop(self.list.remove(at)),
                    1 => {
                        let id = self.list.remove(at);
                        fs::remove_file(self.file(&id)).unwrap_or(());
                    }
                    2 => self.list.rotate_left(at),
                    _ => {
                        let (id, same) = (self.list[at].clone(), self.version(&self.list[at]));
                        if self.rules.by_content && self.file(&id).exists() {
                            self.write(&id, same);
                        }
                    }
                }
            }
        }
        if self.list.is_empty() {
            self.list.push("a0".into());
            self.write("a0", self.written + 1);
        }
    }

    fn inputs(&self, list: &[String]) -> Vec<Input> {
        let input = |(index, id): (usize, &String)| Input {
            index,
            id: id.clone(),
            path: self.file(id),
            start: None,
            end: Some(1.0 / 3.0),
            columns: self.columns(id),
        };
        list.iter().enumerate().map(input).collect()
    }

    /// What the list says of an id, or said of one that is in it no more.
    fn columns(&self, id: &String) -> Columns {
        let labels = if self.list.contains(id) { &self.labels } else { &self.last_labels };
        let label = labels.get(id).filter(|label| self.keeps && **label > 0);
        label.map(|label| ("label".to_owned(), format!("label {label}"))).into_iter().collect()
    }

    fn members(&self, list: &[String], shard: Shard) -> Vec<Input> {
        self.inputs(list).into_iter().filter(|input| shard.holds(&input.id)).collect()
    }

    fn manifest(&self, list: &[String], shard: Shard) -> Manifest {
        let inputs = self.members(list, shard).len();
        let said: Vec<_> = list.iter().map(|id| (id, self.columns(id))).collect();
        let digest =
            InputsDigest { count: list.len(), sha256: format!("{said:?}"), ..InputsDigest::default() };
        let of = ShardOf { index: shard.index, count: shard.count, inputs };
        let keep = if self.keeps { vec!["label".to_owned()] } else { vec![] };
        let manifest = Manifest::new(digest, (shard.count > 1).then_some(of), SIZE, self.kind);
        Manifest { keep, ..manifest.with_parts(&PARTS, DIMS) }
    }

    fn shards(&self) -> Vec<Shard> {
        (0..self.shards).map(|index| Shard { index, count: self.shards }).collect()
    }

    fn out(&self, shard: Shard) -> PathBuf {
        self.dir.path().join(format!("out-{}", shard.index))
    }

    /// Fills a dataset with all but those after `most`; whether it is finished.
    fn fill(&mut self, dataset: Dataset, plan: DatasetPlan, members: Vec<Input>, most: usize) -> bool {
        let wanted: Vec<_> = plan.select(members.into_iter(), |input| input.index).collect();
        assert_eq!(wanted.len(), plan.wanted);
        let mut writer = DatasetWriter::new(dataset, plan).unwrap();
        for (at, input) in wanted.into_iter().enumerate() {
            if at == most {
                // The writer is dropped, as a process is killed.
                return false;
            }
            let (version, stamp) = (self.version(&input.id), Stamp::of(&input.path));
            let first = self.embedded.insert((input.id.clone(), version));
            assert!(first || self.fresh, "{} is embedded again", input.id);
            let clip = ClipMeta::new(&input, Some(30000.0 / 1001.0), Some(version as f64 / 7.0));
            if version % 5 == 4 {
                let failure = Failure { clip, stage: "decode".into(), error: format!("version {version}") };
                writer.failed(stamp, &failure).unwrap();
            } else {
                let values = (0..4).map(|i| version as f32 / 3.0 + i as f32).collect();
                let row = Row { clip, window: None, frames: 3, parts: vec![(Part::Concat, values)] };
                writer.embedded(input.index, stamp, &[row]).unwrap();
            }
        }
        writer.finish().unwrap();
        true
    }

    /// A run of the command, which may be killed; whether it came to its end.
    fn run(&mut self, shard: Shard, steps: usize, most: usize) -> bool {
        let (out, now) = (self.out(shard), self.manifest(&self.list, shard));
        let mut members = self.members(&self.list, shard);
        end_after(steps);
        let (update, dataset) = if Dataset::is_at(&out) {
            match Update::begin(&out, &now, members.clone().into_iter(), self.rules) {
                Ok((update, dataset)) => (Some(update), dataset),
                Err(error) => return killed(&error),
            }
        } else {
            (None, Dataset::open(&out, now).unwrap())
        };
        members.extend(update.iter().flat_map(Update::kept).cloned());
        let files = members.clone().into_iter().map(|input| (input.index, input.path));
        let mut plan = DatasetPlan::new(&dataset, files, false).unwrap();
        plan.by_content = self.rules.by_content;
        let filled = self.fill(dataset, plan, members, most);
        match (filled, update) {
            (true, Some(update)) => update.finish().unwrap_or_else(|error| killed(&error)),
            (filled, _) => filled,
        }
    }

    /// What a fresh run over `list` gives, or one shard of it.
    fn fresh(&mut self, list: &[String], shard: Option<Shard>) -> Vec<Seen> {
        self.fresh = true;
        let whole = Shard { index: 0, count: 1 };
        let folder = tempfile::tempdir().unwrap();
        let dataset = Dataset::open(folder.path(), self.manifest(list, whole)).unwrap();
        let members = self.inputs(list);
        let files = members.clone().into_iter().map(|input| (input.index, input.path));
        let plan = DatasetPlan::new(&dataset, files, false).unwrap();
        end_after(usize::MAX);
        assert!(self.fill(dataset, plan, members, usize::MAX));
        self.fresh = false;
        let all = read(&[folder.path().to_path_buf()]).unwrap();
        all.into_iter().filter(|seen| shard.is_none_or(|shard| shard.holds(&seen.1))).collect()
    }
}

fn killed(error: &FileError) -> bool {
    assert_eq!(error.to_string(), "killed");
    false
}

/// All inputs of a run, in order.
fn read(folders: &[PathBuf]) -> Result<Vec<Seen>, FileError> {
    let shards = match folders {
        [one] => ShardReader::open_one(one)?,
        several => ShardReader::open(several)?,
    };
    let mut all = Vec::new();
    for folder in folders {
        // Whoever reads the folder as a table gets the same rows.
        let mut ids = Vec::new();
        for file in crate::rows::files(folder).unwrap_or_default() {
            ids.extend(crate::rows::read(&file, Wanted::one("concat"))?.ids()?.to_vec());
        }
        let shard = ShardReader::open_one(folder)?;
        shard.each(|done| {
            if let InputResult::Rows(rows) = &done.result {
                assert_eq!(ids.first(), Some(&rows[0].clip.id));
                ids.remove(0);
            }
            Ok(())
        })?;
        assert_eq!(ids, Vec::<String>::new());
    }
    shards.each(|done| {
        let clip = done.clip().unwrap().clone();
        assert_eq!(clip.index, done.entry.index);
        let result = match done.result {
            InputResult::Rows(rows) => Ok(rows[0].values(Part::Concat).iter().map(|x| x.to_bits()).collect()),
            InputResult::Failed(failed) => Err(failed.failure.error),
        };
        all.push((clip.index, clip.id, clip.path, clip.columns, result));
        Ok(())
    })?;
    Ok(all)
}

/// Names and bytes of the parts in a folder.
fn parts(folder: &Path) -> BTreeMap<String, Vec<u8>> {
    let entries = fs::read_dir(folder).unwrap().map(Result::unwrap);
    let named = entries.map(|e| (e.file_name().into_string().unwrap(), e.path()));
    named.filter(|(name, _)| name != ".lock").map(|(name, path)| (name, fs::read(path).unwrap())).collect()
}

#[test]
fn whatever_changes_and_whenever_it_is_killed_it_ends_in_the_rows_of_a_fresh_run() {
    let (mut kills, mut before_or_after) = (0, [0, 0]);
    for seed in 0..50 {
        let mut world = World::new(seed);
        world.change();
        // The ids that are in no list any more and are kept.
        let mut kept: BTreeSet<String> = BTreeSet::new();
        let mut there: Option<Vec<Seen>> = None;
        let mut listed: Vec<String> = vec![];
        for _ in 0..5 {
            let mut expected;
            for shard in world.shards() {
                loop {
                    let (steps, most) = match world.random.below(5) {
                        0 | 1 => (usize::MAX, world.random.below(6)),
                        2 | 3 => (world.random.below(20), usize::MAX),
                        _ => (usize::MAX, usize::MAX),
                    };
                    let finished = world.run(shard, steps, most);
                    end_after(usize::MAX);
                    if finished {
                        break;
                    }
                    kills += 1;
                    if world.shards == 1 && there.is_some() {
                        let now = read(&[world.out(shard)]).unwrap();
                        verify_dataset(&world.out(shard)).unwrap();
                        let is_old = Some(&now) == there.as_ref();
                        if !is_old {
                            let list = next_list(&world, &listed, &kept).0;
                            assert_eq!(
                                now,
                                world.fresh(&list, None),
                                "seed {seed}: neither the old nor the new"
                            );
                        }
                        before_or_after[usize::from(!is_old)] += 1;
                        // The list changes again before the update is complete.
                        if is_old && world.random.below(4) == 0 {
                            world.change();
                        }
                    }
                }
            }
            (expected, kept) = next_list(&world, &listed, &kept);
            listed = world.list.clone();
            let said = world.list.iter().filter_map(|id| Some((id.clone(), *world.labels.get(id)?)));
            world.last_labels.extend(said.collect::<Vec<_>>());
            let folders: Vec<_> = world.shards().into_iter().map(|shard| world.out(shard)).collect();
            let now = read(&folders).unwrap();
            let fresh = world.fresh(&expected, None);
            assert_eq!(now, fresh, "seed {seed}");
            for folder in &folders {
                verify_dataset(folder).unwrap();
                let names = parts(folder).into_keys().collect::<Vec<_>>();
                let left = names.iter().find(|name| {
                    !name.starts_with("part-") && !["_manifest.json", "_failures.csv"].contains(&&***name)
                });
                assert_eq!(left, None, "seed {seed}");
            }
            let versions: Vec<_> = expected.iter().map(|id| (id.clone(), world.version(id))).collect();
            world.embedded = versions.into_iter().collect();
            there = Some(now);
            world.change();
            expected.clear();
        }
    }
    // The test tests nothing if runs are not killed on both sides of the step at which the next state becomes valid.
    assert!(kills > 50 && before_or_after.iter().all(|n| *n > 10), "{kills} kills, {before_or_after:?}");
}

/// The list of the next state, and those at its end that are kept.
fn next_list(world: &World, listed: &[String], kept: &BTreeSet<String>) -> (Vec<String>, BTreeSet<String>) {
    let gone = kept.iter().chain(listed).filter(|id| !world.list.contains(id) && !world.rules.prune);
    let kept: BTreeSet<String> = gone.cloned().collect();
    (world.list.iter().chain(&kept).cloned().collect(), kept)
}

/// Memory of this process in MB: the largest since the last call, where the system tells it (Linux).
fn peak() -> f64 {
    let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
    let peak = status.lines().find_map(|line| line.strip_prefix("VmHWM:")?.trim().strip_suffix(" kB"));
    fs::write("/proc/self/clear_refs", "5").unwrap_or_default();
    peak.and_then(|kilobytes| kilobytes.trim().parse::<f64>().ok())
        .map_or(0.0, |kilobytes| kilobytes / 1000.0)
}

/// Made-up rows of 768 numbers, 1000 a part: what an update costs besides the embedding.
#[test]
#[ignore = "a measurement, to be run by hand: LIFT_ROWS=100000 cargo test --release what_an_update -- --ignored --nocapture"]
fn what_an_update_of_one_per_cent_costs() {
    let count: usize = std::env::var("LIFT_ROWS").map_or(10_000, |rows| rows.parse().unwrap());
    let dims = crate::rows::Dims { width: 384, ..DIMS };
    let dir = tempfile::tempdir().unwrap();
    let (files, out) = (files_of(&dir), dir.path().join("out"));
    fs::create_dir(&files).unwrap();
    let mut random = Random(1);
    let mut list: Vec<String> = (0..count).map(|i| format!("video {i:08}")).collect();
    list.iter().for_each(|id| fs::write(files.join(id), id).unwrap());
    let mut run = |what: &str, list: &[String]| {
        let began = std::time::Instant::now();
        peak();
        let input = |(index, id): (usize, &String)| Input {
            index,
            id: id.clone(),
            path: files.join(id),
            ..Input::default()
        };
        let members: Vec<_> = list.iter().enumerate().map(input).collect();
        let sha256 = hexadecimal(&Sha256::digest(list.join("\n")));
        let inputs = InputsDigest { count: list.len(), sha256, ..InputsDigest::default() };
        let now = Manifest::new(inputs, None, 1000, Format::PARQUET).with_parts(&PARTS, dims);
        let rules = Rules { prune: true, ..Rules::default() };
        let (update, dataset) = match Dataset::is_at(&out) {
            true => Update::begin(&out, &now, members.clone().into_iter(), rules).map(|(u, d)| (Some(u), d)),
            false => Dataset::open(&out, now).map(|dataset| (None, dataset)),
        }
        .unwrap();
        let paths = members.iter().map(|input| (input.index, input.path.clone()));
        let plan = DatasetPlan::new(&dataset, paths, false).unwrap();
        let (wanted, begun) = (plan.wanted, began.elapsed().as_secs_f64());
        let selected: Vec<_> = plan.select(members.iter(), |input| input.index).collect();
        let mut writer = DatasetWriter::new(dataset, plan).unwrap();
        for input in selected {
            let clip = ClipMeta::new(input, Some(25.0), Some(2.0));
            let values = (0..768).map(|_| random.below(1 << 24) as f32 / 1e7).collect();
            let row = Row { clip, window: None, frames: 3, parts: vec![(Part::Concat, values)] };
            writer.embedded(input.index, Stamp::of(&input.path), &[row]).unwrap();
        }
        writer.finish().unwrap();
        update.map_or(Ok(true), Update::finish).unwrap();
        let (all, peak) = (began.elapsed().as_secs_f64(), peak());
        println!(
            "{what}: {wanted} rows of {} made, {begun:.2} s before the first, {all:.2} s in all, {peak:.0} MB",
            list.len()
        );
    };
    run("the first run", &list);
    run("nothing changed", &list);
    let more = (0..count / 100).map(|i| format!("video x{i:08}"));
    list.extend(more.inspect(|id| fs::write(files_of(&dir).join(id), id).unwrap()));
    run("1 % more, behind the others", &list);
    for i in 0..count / 400 {
        let (at, id) = (Random(i as u64).below(list.len()), format!("video y{i:08}"));
        fs::write(files_of(&dir).join(&id), &id).unwrap();
        fs::write(files_of(&dir).join(&list[at]), "another").unwrap();
        list.insert(at, id);
        list.remove(Random(!(i as u64)).below(list.len()));
    }
    run("0.25 % each new, changed and gone, anywhere", &list);
}

fn files_of(dir: &tempfile::TempDir) -> PathBuf {
    dir.path().join("in")
}
