//! `lift synth`, `lift train` and `lift eval-cia` as a user runs them, one after the other.

use std::fs;
use std::process::Stdio;
use std::time::Duration;

use serde_json::Value;

use crate::common::{close, shared};
use crate::env::{Ran, TestEnv, send};

/// A small drawn data set with the frame features of its clips.
fn drawn(env: &TestEnv) {
    env.lift(&[
        "synth",
        "-o",
        "set",
        "--groups",
        "2",
        "--per-class",
        "4",
        "--valid-per-class",
        "2",
        "--size",
        "160",
    ])
    .code(0);
    env.embed(&["set/clips", "--parts", "frames", "-o", "frames.npy"]).code(0);
}

fn bytes(env: &TestEnv, name: &str) -> Vec<u8> {
    fs::read(env.path(name)).unwrap_or_else(|e| panic!("{name}: {e}"))
}

#[test]
fn a_drawn_set_is_the_same_for_the_same_seed_and_never_replaces_foreign_files() {
    let env = TestEnv::new();
    let draw = |to: &str, seed: &str| {
        env.lift(&[
            "synth",
            "-o",
            to,
            "--groups",
            "1",
            "--per-class",
            "1",
            "--valid-per-class",
            "1",
            "--size",
            "160",
            "--seed",
            seed,
        ])
    };
    for (to, seed) in [("a", "5"), ("b", "5"), ("c", "6")] {
        draw(to, seed).code(0);
    }
    let clips = |of: &str| {
        let mut all: Vec<_> =
            fs::read_dir(env.path(of).join("clips")).unwrap().map(|e| e.unwrap().path()).collect();
        all.sort();
        all.into_iter().map(|p| fs::read(p).unwrap()).collect::<Vec<_>>()
    };
    assert_eq!(clips("a"), clips("b"));
    assert_ne!(clips("a"), clips("c"));
    env.lift(&["synth", "--config", "a/settings.toml", "-o", "again"]).code(0);
    assert_eq!(clips("a"), clips("again"));
    assert_eq!(bytes(&env, "a/settings.toml"), bytes(&env, "again/settings.toml"));
    draw("a", "5").code(2).says(&["a", "--overwrite"]);
    env.write("mine/notes.txt", b"mine");
    env.lift(&["synth", "-o", "mine", "--groups", "1", "--overwrite"])
        .code(2)
        .says(&["not from `lift synth`"]);
    assert_eq!(bytes(&env, "mine/notes.txt"), b"mine");
    env.lift(&["synth", "-o", "odd", "--size", "161"]).code(2).says(&["160 to 320"]);
}

#[test]
fn what_is_trained_embeds_and_the_probe_is_told_each_epoch() {
    let env = TestEnv::new();
    drawn(&env);
    let csv = |which: &str| format!("set/cia-synth-{which}.csv");
    let (train, valid) = (csv("train"), csv("validation"));
    // Without features of their own, the CSVs' videos are looked up among those trained on.
    let probe = ["--probe-train", &train, "--probe-valid", &valid];
    let args = ["train", "frames.npy", "-o", "run", "--epochs", "2", "--batch-size", "4", "--max-len", "32"];
    env.lift(&[&args[..], &probe].concat()).code(0).says(&["epoch 2/2", "probe"]);
    let log = fs::read_to_string(env.path("run/log.jsonl")).unwrap();
    let first: Value = serde_json::from_str(log.lines().next().unwrap()).unwrap();
    assert_eq!(first["what"], "begin");
    assert_eq!(
        (&first["settings"]["batch"], &first["settings"]["model"]["max_len"]),
        (&4.into(), &32.into())
    );
    assert_eq!((&first["flags"]["epochs"], &first["flags"]["inputs"][0]), (&2.into(), &"frames.npy".into()));
    let last: Value = serde_json::from_str(log.lines().last().unwrap()).unwrap();
    assert!(last["probe"].as_f64().is_some_and(|p| (0.0..=100.0).contains(&p)), "{last}");
    assert!(bytes(&env, "run/curves.png").starts_with(b"\x89PNG"));
    fs::remove_file(env.path("frames.npy.rows.csv")).unwrap();
    env.lift(&[&["train", "frames.npy", "-o", "other", "--epochs", "1"], &probe[..]].concat())
        .code(3)
        .says(&["--ids FILE"]);
    env.embed(&["set/clips", "--lift", "run/best.safetensors", "-o", "z.npy"]).code(0);
    env.lift(&["train", "--plot", "run/log.jsonl", "-o", "again.svg"]).code(0);
    assert!(bytes(&env, "again.svg").starts_with(b"<svg"));
    env.lift(&[&args[..], &["--lift-heads", "4"]].concat()).code(2).says(&["--resume"]);
    env.lift(&["train", "frames.npy", "-o", "tuned", "--init", "run/best.safetensors", "--epochs", "1"])
        .code(0);
}

/// What is learned depends on the numbers and not on the form they come in; a dataset is its parts in their order.
#[test]
fn every_form_of_the_same_features_trains_the_same_weights() {
    let env = TestEnv::new();
    drawn(&env);
    env.embed(&["set/clips", "--parts", "frames", "-o", "whole.parquet"]).code(0);
    let train = |inputs: &[&str], to: &str| {
        let how = ["--epochs", "1", "--batch-size", "4", "--max-len", "32", "-o", to];
        env.lift(&[&["train"], inputs, &how].concat())
    };
    train(&["frames.npy"], "run").code(0);
    let want = bytes(&env, "run/best.safetensors");
    fs::create_dir_all(env.path("data/shard-00000-of-00001")).unwrap();
    fs::rename(env.path("whole.parquet"), env.path("data/shard-00000-of-00001/part-00000.parquet")).unwrap();
    train(&["data"], "from-dataset").code(0);
    assert!(bytes(&env, "from-dataset/best.safetensors") == want);
    // Videos by way of the cache: the same again, and a video that fails shows in report and exit code.
    let cache = ["set/clips", "--model", "mini", "--cache", "cache"];
    train(&cache, "from-videos").code(0);
    // The weights' metadata says which encoder the features came from.
    let learned = |name: &str| {
        let file = bytes(&env, name);
        let (size, header) = safetensors::SafeTensors::read_metadata(&file).unwrap();
        let mut metadata = header.metadata().clone().unwrap();
        let encoder = metadata.remove("encoder");
        let order: std::collections::BTreeMap<_, _> = metadata.into_iter().collect();
        (order, file[8 + size..].to_vec(), encoder)
    };
    let (metadata, numbers, encoder) = learned("run/best.safetensors");
    assert!(encoder.unwrap().contains("bundled mini DINOv2"));
    let (same_metadata, same_numbers, encoder) = learned("from-videos/best.safetensors");
    assert!(metadata == same_metadata && numbers == same_numbers);
    assert!(encoder.unwrap().contains("bundled mini DINOv2"));
    env.write("set/clips/broken.mp4", b"no video");
    train(&cache, "from-some").code(1).says(&["broken.mp4", "left out"]);
    assert!(bytes(&env, "from-some/best.safetensors") == bytes(&env, "from-videos/best.safetensors"));
    train(&["frames.npy", "set/clips"], "mixed").code(2).says(&["frames.npy holds features"]);
    env.lift(&["train", "frames.npy", "-o", "nothing", "--resume"]).code(3).says(&["leave out --resume"]);
    assert!(!env.path("nothing").exists(), "no folder for a run that did not start");
}

#[test]
fn training_by_a_gpus_operations_learns_the_same() {
    let env = TestEnv::new();
    drawn(&env);
    let losses = |device: &str| {
        let how = ["--epochs", "2", "--batch-size", "4", "--max-len", "32", "--log-every", "1"];
        env.lift(&[&["train", "frames.npy", "-o", device, "--device", device], &how[..]].concat()).code(0);
        let log = String::from_utf8(bytes(&env, &format!("{device}/log.jsonl"))).unwrap();
        let total = |line: &str| {
            let record: Value = serde_json::from_str(line).unwrap();
            record["loss"]["total"].as_f64().map(|total| total as f32)
        };
        log.lines().filter_map(total).collect::<Vec<_>>()
    };
    // With dropout: the masks are a function of the step, not of the device.
    let (ours, composed) = (losses("cpu"), losses("cpu-batched"));
    assert!(ours.len() > 8, "{ours:?}");
    close("losses", &composed, &ours, 1e-5);
    assert_ne!(
        bytes(&env, "cpu/last.safetensors"),
        bytes(&env, "cpu-batched/last.safetensors"),
        "both trained by the same operations"
    );
}

#[test]
fn a_killed_run_resumes_to_the_same_bits() {
    let env = TestEnv::new();
    drawn(&env);
    let args = [
        "train",
        "frames.npy",
        "--epochs",
        "12",
        "--batch-size",
        "2",
        "--max-len",
        "32",
        "--save-every",
        "3",
        "-o",
    ];
    env.lift(&[&args[..], &["whole"]].concat()).code(0);
    for (signal, code) in [(libc::SIGINT, Some(130)), (libc::SIGKILL, None)] {
        let folder = format!("run{signal}");
        let mut child =
            env.command(&[&args[..], &[&folder]].concat()).stderr(Stdio::piped()).spawn().unwrap();
        // Until there is a state to resume from.
        while !env.path(&folder).join("state.safetensors").exists() {
            assert!(child.try_wait().unwrap().is_none(), "it ended before it wrote a state");
            std::thread::sleep(Duration::from_millis(5));
        }
        send(signal, child.id());
        let ended = child.wait_with_output().unwrap();
        if let Some(code) = code {
            Ran::from(ended).code(code).says(&["--resume"]);
        }
        env.lift(&[&args[..], &[&folder, "--resume"]].concat()).code(0);
        for name in ["last.safetensors", "best.safetensors"] {
            assert_eq!(
                bytes(&env, &format!("whole/{name}")),
                bytes(&env, &format!("{folder}/{name}")),
                "{signal} {name}"
            );
        }
    }
}

#[test]
fn a_resumed_run_takes_its_flags_from_its_folder() {
    let env = TestEnv::new();
    let numbers: Vec<String> =
        (0..48).map(|at| format!("{}", (at * at * 7 % 31) as f32 / 16.0 - 1.0)).collect();
    let line = |at: usize| {
        let frames: Vec<String> =
            numbers[(at % 4) * 12..][..12].chunks(4).map(|frame| format!("[{}]", frame.join(","))).collect();
        format!("{{\"id\":{at},\"frame_features\":[{}]}}\n", frames.join(","))
    };
    env.write("own.jsonl", (0..8).map(line).collect::<String>().as_bytes());
    let flags = ["--layers", "1", "--lift-heads", "2", "--lr", "1e-3", "--batch-size", "4", "--seed", "3"];
    let begin = |folder: &str, epochs: &str| {
        let args = [&["train", "own.jsonl", "-o", folder, "--epochs", epochs][..], &flags].concat();
        env.lift(&args).code(0);
    };
    begin("whole", "3");
    begin("run", "1");
    let resume = |more: &[&str]| env.lift(&[&["train", "--resume", "-o", "run"], more].concat());
    resume(&["--lr", "0.01"])
        .code(2)
        .says(&["--lr 0.01: the run in run was started with --lr 0.001", "leave it out"]);
    resume(&["--lift-heads", "4", "--lr", "1e-3"]).code(2).says(&["--lift-heads 4", "--lift-heads 2"]);
    resume(&["--lr", "0.001", "--epochs", "3"]).code(0);
    for name in ["best.safetensors", "last.safetensors", "state.safetensors"] {
        assert!(bytes(&env, &format!("whole/{name}")) == bytes(&env, &format!("run/{name}")), "{name}");
    }
    // The larger number of epochs is the run's from now on.
    resume(&[]).code(0).says(&["after 3 epochs"]);
    let log = fs::read_to_string(env.path("run/log.jsonl")).unwrap();
    assert_eq!(log.matches("\"what\":\"resume\"").count(), 1, "{log}");
    env.lift(&["train", "--resume"]).code(2).says(&["-o DIR alone"]);
}

#[test]
fn a_benchmark_from_videos_uses_the_cache_the_second_time() {
    let env = TestEnv::new();
    env.lift(&[
        "synth",
        "-o",
        "set",
        "--groups",
        "2",
        "--per-class",
        "3",
        "--valid-per-class",
        "2",
        "--size",
        "160",
    ])
    .code(0);
    let args = [
        "eval-cia",
        "--model",
        "mini",
        "--train",
        "set/cia-synth-train.csv",
        "--valid",
        "set/cia-synth-validation.csv",
        "--videos",
        "set/clips",
        "--cache",
        "cache",
        "-o",
    ];
    let first = env.lift(&[&args[..], &["a.json"]].concat()).code(0);
    let second = env.lift(&[&args[..], &["b.json"]].concat()).code(0);
    assert_eq!(first.stdout, second.stdout);
    assert_eq!(bytes(&env, "a.json"), bytes(&env, "b.json"));
    let report: Value = serde_json::from_slice(&bytes(&env, "a.json")).unwrap();
    let settings = &report["settings"];
    assert_eq!((&settings["model"], &settings["alpha"]), (&"mini".into(), &1.into()), "{settings}");
    let results = report["results"].as_array().unwrap();
    let names: Vec<&str> = results.iter().map(|r| r["representation"].as_str().unwrap()).collect();
    assert_eq!(names, ["lift", "odd", "lift+odd", "frames-mean", "frames-concat"]);
    // The parts that lift embed writes give the same accuracies.
    env.embed(&["set/clips", "--parts", "concat,reversed,frames", "-o", "set.npz"]).code(0);
    let stored = [&args[..7], &["--embeddings", "set.npz", "-o", "d.json"]].concat();
    env.lift(&stored).code(0);
    let stored: Value = serde_json::from_slice(&bytes(&env, "d.json")).unwrap();
    assert_eq!(stored["results"], report["results"]);
    // A video that is gone makes a smaller benchmark, which is another number: only if asked for.
    let gone = fs::read_dir(env.path("set/clips")).unwrap().next().unwrap().unwrap().path();
    fs::remove_file(&gone).unwrap();
    env.lift(&[&args[..], &["c.json"]].concat()).code(3).says(&["1 of 20 videos", "--allow-missing"]);
    env.lift(&[&args[..], &["c.json", "--allow-missing"]].concat()).code(0);
}

#[test]
fn the_golden_benchmark_gives_the_golden_table() {
    let Some(folder) = shared("golden") else { return };
    let env = TestEnv::new();
    let file = |name: &str| folder.join(name).to_str().unwrap().to_string();
    let results = ["cia", "chiral_groups"].map(|form| {
        let (train, valid) =
            (file(&format!("{form}-synth-train.csv")), file(&format!("{form}-synth-validation.csv")));
        let out = format!("{form}.json");
        let features = format!("lift={}", file("cia_synth_features.npz"));
        env.lift(&["eval-cia", "--train", &train, "--valid", &valid, "--features", &features, "-o", &out])
            .code(0);
        let report: Value = serde_json::from_slice(&bytes(&env, &out)).unwrap();
        let text = report.to_string();
        assert!(text.contains("77.17375"), "{text}");
        report["results"].clone()
    });
    assert_eq!(results[0], results[1]);
}

#[test]
fn the_benchmark_says_what_is_missing_offline() {
    let env = TestEnv::new();
    env.write("x.npy", b"");
    env.lift(&["eval-cia", "--dataset", "ssv2", "--videos", "."])
        .code(3)
        .says(&["chirality-in-action", "--splits"]);
    env.lift(&["eval-cia"]).code(2);
}

/// The paper's point on the bundled model: the order of the frames is in LiFT's embedding and not in their average.
#[test]
fn the_bundled_model_reads_time_where_the_average_frame_cannot() {
    let env = TestEnv::new();
    env.lift(&[
        "synth",
        "-o",
        "set",
        "--groups",
        "9",
        "--per-class",
        "10",
        "--valid-per-class",
        "5",
        "--seed",
        "3",
    ])
    .code(0);
    env.embed(&["set/clips", "--parts", "concat,frames,reconstructed", "-o", "z.npz"]).code(0);
    // The line is nearer to the frames than their mean is: half the squared error at most.
    let table = lift::rows::read(&env.path("z.npz"), lift::rows::Wanted::default()).unwrap();
    let (frames, lines) = (table.array("frames").unwrap(), table.array("reconstructed").unwrap());
    let (mut of_line, mut of_mean) = (0.0, 0.0);
    for clip in 0..table.rows() {
        let (frames, line) = (frames.row(clip), lines.row(clip));
        let width = frames.len() / 16;
        for (at, (&x, &y)) in frames.iter().zip(line).enumerate() {
            let mean = frames.iter().skip(at % width).step_by(width).sum::<f32>() / 16.0;
            of_line += f64::from(x - y).powi(2);
            of_mean += f64::from(x - mean).powi(2);
        }
    }
    assert!(of_line < 0.5 * of_mean, "{of_line} and {of_mean}");
    let csv = ["--train", "set/cia-synth-train.csv", "--valid", "set/cia-synth-validation.csv"];
    env.lift(&[&["eval-cia", "--embeddings", "z.npz", "-o", "r.csv"], &csv[..]].concat()).code(0);
    let report = fs::read_to_string(env.path("r.csv")).unwrap();
    let accuracy = |name: &str| -> f64 {
        let mut lines = csv::Reader::from_reader(report.as_bytes());
        let at = |header: &str, lines: &mut csv::Reader<&[u8]>| {
            lines
                .headers()
                .unwrap()
                .iter()
                .position(|h| h == header)
                .unwrap_or_else(|| panic!("no {header}: {report}"))
        };
        let (which, value) = (at("representation", &mut lines), at("accuracy", &mut lines));
        let row = lines.records().map(Result::unwrap).find(|r| &r[which] == name);
        row.unwrap_or_else(|| panic!("no {name}: {report}"))[value].parse().unwrap()
    };
    // 90 validation clips: the drawing is the same everywhere, the encoder's bytes are not.
    assert!(accuracy("lift") >= 90.0, "{report}");
    assert!((30.0..=70.0).contains(&accuracy("frames-mean")), "{report}");
}
