//! A run that is stopped and resumed gives the same files as one that was never stopped.

use std::cell::Cell;
use std::collections::BTreeMap;

use super::*;
use crate::model::lift::LiftConfig;

/// Clips that lie near lines in feature space, as training hopes for.
fn clips(count: usize) -> Clips {
    let stream = Stream::new(9, Purpose::Init, &[]);
    let (frames, width) = (6, 16);
    let number = |i: usize| stream.normal(i as u64) as f32;
    let values = (0..count).flat_map(|clip| {
        (0..frames).flat_map(move |t| {
            let at = |d: usize| {
                number(2 * (clip * width + d)) + number(2 * (clip * width + d) + 1) * t as f32 / 5.0
            };
            (0..width).map(at).collect::<Vec<_>>()
        })
    });
    Clips::in_memory(Path::new("made up"), values.collect(), [count, frames, width]).unwrap()
}

fn settings() -> TrainSettings {
    let mut config = LiftConfig::new(16, 16, 8);
    config.layers = 2;
    config.heads = 4;
    TrainSettings { batch: 40, lr: 2e-3, ..TrainSettings::new(&config) }
}

/// Counts steps and asks for a stop after one of them.
struct Stopper<'a> {
    after: u64,
    steps: Cell<u64>,
    stop: &'a AtomicBool,
}

impl Watcher for Stopper<'_> {
    fn step(&mut self, _: u64, _: u64, _: LossValues, _: f64) {
        self.steps.set(self.steps.get() + 1);
        if self.steps.get() == self.after {
            self.stop.store(true, Ordering::Relaxed);
        }
    }

    fn epoch(&mut self, _: &LogRecord) {}
}

fn run<'a>(folder: &'a Path, data: &'a Clips, rows: &'a [Vec<usize>; 2], stop: &'a AtomicBool) -> Run<'a> {
    Run {
        settings: settings(),
        epochs: 4,
        folder,
        train: ClipSubset { clips: data, rows: &rows[0] },
        validation: Some(ClipSubset { clips: data, rows: &rows[1] }),
        probe: None,
        save_every: None,
        log_every: 1,
        flags: BTreeMap::new(),
        encoder: None,
        device: Device::Cpu,
        stop,
    }
}

fn watch(stop: &AtomicBool, after: u64) -> Stopper<'_> {
    Stopper { after, steps: Cell::new(0), stop }
}

/// The folder's files; the log without its times.
fn files(folder: &Path) -> BTreeMap<String, Vec<u8>> {
    let mut files: BTreeMap<_, _> = std::fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap())
        .map(|entry| (entry.file_name().into_string().unwrap(), std::fs::read(entry.path()).unwrap()))
        .collect();
    let log = String::from_utf8(files[LOG].clone()).unwrap();
    let untimed = log.lines().map(|line| line.split("\"seconds\"").next().unwrap().to_owned());
    files.insert(LOG.to_string(), untimed.collect::<Vec<_>>().join("\n").into_bytes());
    files
}

#[test]
fn a_stopped_and_resumed_run_gives_the_same_bytes() {
    let data = clips(100);
    let (train, validation) = crate::train::split(100, 0.1, 0);
    let rows = [train, validation];
    let whole = tempfile::tempdir().unwrap();
    let go = AtomicBool::new(false);
    // One thread here and several below, because the result must not depend on their number.
    let pool = rayon::ThreadPoolBuilder::new().num_threads(1).build().unwrap();
    let end = pool
        .install(|| run(whole.path(), &data, &rows, &go).start(None, &mut watch(&AtomicBool::new(false), 0)));
    assert_eq!(end.unwrap(), End::Done);
    let want = files(whole.path());
    assert_eq!(
        want.keys().map(String::as_str).collect::<Vec<_>>(),
        [BEST, LAST, LOG, STATE].map(str::to_string).iter().map(String::as_str).collect::<Vec<_>>()
    );
    // Stopped within an epoch, at its end, and twice.
    for stops in [vec![2], vec![3], vec![1, 4]] {
        let folder = tempfile::tempdir().unwrap();
        for (number, &after) in stops.iter().enumerate() {
            let stop = AtomicBool::new(false);
            let run = run(folder.path(), &data, &rows, &stop);
            let mut watcher = watch(&stop, after);
            let end = if number == 0 { run.start(None, &mut watcher) } else { run.resume(&mut watcher) };
            assert_eq!(end.unwrap(), End::Stopped);
        }
        let stop = AtomicBool::new(false);
        let end = run(folder.path(), &data, &rows, &stop).resume(&mut watch(&stop, 0)).unwrap();
        assert_eq!(end, End::Done);
        let got = files(folder.path());
        for (name, bytes) in &want {
            assert!(got[name] == *bytes, "{name} differs after stops {stops:?}");
        }
    }
}

#[test]
fn a_killed_run_resumes_from_its_last_state() {
    let data = clips(100);
    let (train, validation) = crate::train::split(100, 0.1, 0);
    let rows = [train, validation];
    let go = AtomicBool::new(false);
    let whole = tempfile::tempdir().unwrap();
    run(whole.path(), &data, &rows, &go).start(None, &mut watch(&AtomicBool::new(false), 0)).unwrap();
    // The files of a killed run: the state after two steps, and a log and weights of later steps.
    let folder = tempfile::tempdir().unwrap();
    let stop = AtomicBool::new(false);
    run(folder.path(), &data, &rows, &stop).start(None, &mut watch(&stop, 2)).unwrap();
    for name in [BEST, LAST, LOG] {
        std::fs::copy(whole.path().join(name), folder.path().join(name)).unwrap();
    }
    let mut log = std::fs::read(folder.path().join(LOG)).unwrap();
    log.extend(b"{\"what\":\"st");
    std::fs::write(folder.path().join(LOG), log).unwrap();
    run(folder.path(), &data, &rows, &go).resume(&mut watch(&AtomicBool::new(false), 0)).unwrap();
    assert!(files(folder.path()) == files(whole.path()));
}

#[test]
fn training_learns() {
    let data = clips(100);
    let rows = [(0..100).collect::<Vec<_>>(), vec![]];
    let folder = tempfile::tempdir().unwrap();
    let go = AtomicBool::new(false);
    let mut run = run(folder.path(), &data, &rows, &go);
    run.validation = None;
    run.epochs = 40;
    run.start(None, &mut watch(&AtomicBool::new(false), 0)).unwrap();
    let losses: Vec<f64> = crate::train::log::read(&folder.path().join(LOG))
        .unwrap()
        .into_iter()
        .filter_map(|record| match record {
            LogRecord::Epoch { train, .. } => Some(train.reconstruction),
            _ => None,
        })
        .collect();
    assert!(losses[39] < 0.7 * losses[0], "{losses:?}");
}

#[test]
fn other_settings_or_data_are_refused() {
    let (data, more) = (clips(100), clips(101));
    let rows = [(0..90).collect::<Vec<_>>(), (90..100).collect()];
    let folder = tempfile::tempdir().unwrap();
    let stop = AtomicBool::new(false);
    run(folder.path(), &data, &rows, &stop).start(None, &mut watch(&stop, 1)).unwrap();
    let start = run(folder.path(), &data, &rows, &stop).start(None, &mut watch(&stop, 0));
    assert!(matches!(start, Err(TrainError::Exists(_))));
    let mut other = run(folder.path(), &data, &rows, &stop);
    other.settings.lr = 1.0;
    let error = other.resume(&mut watch(&stop, 0)).unwrap_err().to_string();
    assert!(error.contains("lr: 0.002, 1"), "{error}");
    let error = run(folder.path(), &more, &rows, &stop).resume(&mut watch(&stop, 0)).unwrap_err().to_string();
    assert!(error.contains("other features"), "{error}");
    std::fs::write(folder.path().join(STATE), "cut").unwrap();
    assert!(matches!(
        run(folder.path(), &data, &rows, &stop).resume(&mut watch(&stop, 0)),
        Err(TrainError::State { .. })
    ));
}

#[test]
fn a_loss_that_is_not_finite_stops_and_keeps_the_checkpoints() {
    let good = clips(100);
    let rows = [(0..100).collect::<Vec<_>>(), vec![]];
    let folder = tempfile::tempdir().unwrap();
    let go = AtomicBool::new(false);
    let mut first = run(folder.path(), &good, &rows, &go);
    first.validation = None;
    first.epochs = 1;
    first.start(None, &mut watch(&AtomicBool::new(false), 0)).unwrap();
    let before = files(folder.path());
    let mut second = run(folder.path(), &good, &rows, &go);
    second.validation = None;
    // More epochs on the same data, with a huge rate from a damaged state.
    let (params, adam, mut progress) = read_state(&folder.path().join(STATE), &Device::Cpu).unwrap();
    progress.plateau = Plateau::new(1e30);
    write_state(&folder.path().join(STATE), &params, &adam, &progress).unwrap();
    let error = second.resume(&mut watch(&AtomicBool::new(false), 0)).unwrap_err();
    assert!(matches!(error, TrainError::NotFinite { epoch: 2, .. }), "{error}");
    assert!(files(folder.path())[BEST] == before[BEST] && files(folder.path())[LAST] == before[LAST]);
}
