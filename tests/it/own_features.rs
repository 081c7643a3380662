//! Features of one's own, and what a new user types first.

use std::collections::HashMap;
use std::fs;

use safetensors::Dtype;
use safetensors::tensor::TensorView;

use crate::env::TestEnv;

/// Writes an array of f32 with ids.
fn features(env: &TestEnv, name: &str, array: &str, shape: &[usize], values: &[f32], ids: &[String]) {
    let bytes: Vec<u8> = values.iter().flat_map(|x| x.to_le_bytes()).collect();
    let view = TensorView::new(Dtype::F32, shape.to_vec(), &bytes).unwrap();
    let metadata = HashMap::from([("ids".to_owned(), serde_json::to_string(ids).unwrap())]);
    env.write(name, &safetensors::serialize([(array, view)], Some(metadata)).unwrap());
}

/// Numbers between -1 and 1 that look random.
fn noise(count: usize, seed: u32) -> Vec<f32> {
    let mut state = seed;
    let next = || {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        (state >> 8) as f32 / (1 << 23) as f32 - 1.0
    };
    std::iter::repeat_with(next).take(count).collect()
}

/// Forty videos of two directions: `lift` tells them apart by its first number, `noise` not at all, and its numbers are large.
fn benchmark(env: &TestEnv) -> Vec<String> {
    let ids: Vec<String> = (0..40).map(|at| format!("v{at}")).collect();
    let mut lift = noise(40 * 8, 1);
    (0..40).for_each(|at| lift[8 * at] = if at % 2 == 0 { 3.0 } else { -3.0 });
    features(env, "lift.safetensors", "concat", &[40, 8], &lift, &ids);
    let large: Vec<f32> = noise(40 * 30, 2).into_iter().map(|x| x * 1e4).collect();
    features(env, "noise.safetensors", "x", &[40, 30], &large, &ids);
    let header = "triplet_id,id_forward,id_reverse,verb_forward,verb_reverse";
    for (side, range) in [("train", 0..24), ("valid", 24..40)] {
        let of = |odd: usize| {
            range.clone().filter(|at| at % 2 == odd).map(|at| format!("v{at}")).collect::<Vec<_>>()
        };
        let text = format!("{header}\nt,{},{},open,close\n", of(0).join(";"), of(1).join(";"));
        env.write(&format!("{side}.csv"), text.as_bytes());
    }
    let label = |(at, id): (usize, &String)| {
        format!(
            "{id},{},{}\n",
            if at % 2 == 0 { "open" } else { "close" },
            if at < 24 { "train" } else { "test" }
        )
    };
    let labels: String = ids.iter().enumerate().map(label).collect();
    env.write("labels.csv", format!("id,label,split\n{labels}").as_bytes());
    ids
}

#[test]
fn joined_parts_are_scaled_on_request_by_the_training_videos() {
    let env = TestEnv::new();
    benchmark(&env);
    let files = ["--embeddings", "lift.safetensors", "--features", "noise=noise.safetensors"];
    let joined = ["--representation", "lift+noise", "--overwrite", "-o"];
    let eval = |more: &[&str]| -> f64 {
        let args = [
            &["eval-cia", "--train", "train.csv", "--valid", "valid.csv"][..],
            &files,
            &joined,
            &["r.json"],
            more,
        ];
        env.lift(&args.concat()).code(0);
        let report: serde_json::Value =
            serde_json::from_slice(&fs::read(env.path("r.json")).unwrap()).unwrap();
        report["results"][0]["accuracy"].as_f64().unwrap()
    };
    let (plain, standardized, unit) =
        (eval(&[]), eval(&["--scale", "standardize"]), eval(&["--scale", "unit"]));
    assert!(plain < 80.0 && standardized > plain && unit > 95.0, "{plain} {standardized} {unit}");
    let shots = eval(&["--scale", "unit", "--shots", "4"]);
    assert_eq!(shots, unit);
    assert!(fs::read_to_string(env.path("r.json")).unwrap().contains("--scale unit"));
    let probe = |more: &[&str]| -> f64 {
        let args = [&["probe", "--labels", "labels.csv"][..], &files, &joined, &["p.json"], more];
        env.lift(&args.concat()).code(0);
        let report: serde_json::Value =
            serde_json::from_slice(&fs::read(env.path("p.json")).unwrap()).unwrap();
        report["results"][0]["top1"].as_f64().unwrap()
    };
    // The same classifier, on the same numbers.
    assert_eq!(
        [probe(&[]), probe(&["--scale", "standardize"]), probe(&["--scale", "unit"])],
        [plain, standardized, unit]
    );
}

#[test]
fn ids_that_nothing_reads_are_refused_with_the_form_that_is_read() {
    let env = TestEnv::new();
    let ids = benchmark(&env);
    let values = noise(40 * 4, 3);
    let mut npy =
        b"\x93NUMPY\x01\x00\x76\x00{'descr': '<f4', 'fortran_order': False, 'shape': (40, 4), }".to_vec();
    npy.resize(127, b' ');
    npy.push(b'\n');
    npy.extend(values.iter().flat_map(|x| x.to_le_bytes()));
    env.write("own.npy", &npy);
    env.write("ids.txt", ids.join("\n").as_bytes());
    let eval = |more: &[&str]| {
        env.lift(
            &[
                &["eval-cia", "--train", "train.csv", "--valid", "valid.csv", "--features", "own=own.npy"],
                more,
            ]
            .concat(),
        )
    };
    eval(&[]).code(3).says(&["own.npy: its rows have no ids", "--ids own=FILE"]);
    eval(&["--ids", "ids.txt"]).code(2).says(&["--ids own=ids.txt"]);
    eval(&["--ids", "own2=ids.txt"]).code(2).says(&["--features names no own2", "it names own"]);
    eval(&["--ids", "own=ids.txt", "--ids", "own=ids.txt"]).code(2).says(&["given twice"]);
    eval(&["--ids", "own=ids.txt"]).code(0);
    let probe = ["probe", "--labels", "labels.csv", "--features", "own=own.npy", "--ids", "ids.txt"];
    env.lift(&probe).code(2).says(&["--ids own=ids.txt"]);
    // Without a name, the array of another program is not LiFT's.
    env.lift(&[
        "eval-cia",
        "--train",
        "train.csv",
        "--valid",
        "valid.csv",
        "--embeddings",
        "own.npy",
        "--ids",
        "ids.txt",
    ])
    .code(3)
    .says(&["own.npy: it holds an array without a name (4 numbers a video)", "--features NAME=own.npy"]);
}

#[test]
fn training_reads_the_frames_of_any_name_and_says_what_a_file_has() {
    let env = TestEnv::new();
    let ids: Vec<String> = (0..8).map(|at| format!("v{at}")).collect();
    let train = |file: &str, run: &str| {
        env.lift(&[
            "train",
            file,
            "-o",
            run,
            "--epochs",
            "1",
            "--layers",
            "1",
            "--lift-heads",
            "2",
            "--held-out",
            "0",
            "-q",
        ])
    };
    features(&env, "own.safetensors", "features", &[8, 4, 6], &noise(8 * 24, 4), &ids);
    train("own.safetensors", "run").code(0);
    features(&env, "flat.safetensors", "clip", &[8, 6], &noise(8 * 6, 4), &ids);
    train("flat.safetensors", "flat").code(3).says(&["flat.safetensors: it has clip (6)", "--parts frames"]);
    env.write("own.pt", b"PK");
    let ran = train("own.pt", "pt").code(2).says(&["own.pt: .pt files are not read", ".npz"]);
    assert!(!ran.stderr.contains("download") && !env.path("pt").exists(), "{}", ran.stderr);
    let mut values = noise(8 * 24, 4);
    values[5 * 24 + 3] = f32::NAN;
    features(&env, "nan.safetensors", "frames", &[8, 4, 6], &values, &ids);
    train("nan.safetensors", "nan").code(3).says(&["row 5 of 'frames', the id 'v5', holds NaN"]);
}

#[test]
fn a_report_by_group_keeps_the_summary() {
    let env = TestEnv::new();
    benchmark(&env);
    let args =
        ["eval-cia", "--train", "train.csv", "--valid", "valid.csv", "--embeddings", "lift.safetensors"];
    env.lift(&[&args[..], &["--representation", "lift", "--per-group", "-o", "r.csv"]].concat()).code(0);
    let mut csv = csv::Reader::from_path(env.path("r.csv")).unwrap();
    let header = csv.headers().unwrap().clone();
    let rows: Vec<csv::StringRecord> = csv.records().map(Result::unwrap).collect();
    let cell = |row: usize, name: &str| {
        rows[row].get(header.iter().position(|column| column == name).unwrap()).unwrap().to_owned()
    };
    assert_eq!((rows.len(), cell(0, "width"), cell(0, "triplet")), (2, "8".into(), String::new()));
    assert_eq!((cell(1, "triplet"), cell(1, "accuracy")), ("t".into(), cell(0, "accuracy")));
}

#[test]
fn a_clip_of_one_frame_says_that_nothing_moves() {
    let env = TestEnv::new();
    // A GIF of one picture.
    let gif = b"GIF89a\x10\x00\x10\x00\x80\x00\x00\xff\x00\x00\x00\xff\x00!\xf9\x04\x00\x0a\x00\x00\x00,\x00\x00\x00\x00\x10\x00\x10\x00\x00\x02\x0e\x84\x8f\xa9\xcb\xed\x0f\xa3\x9c\xb4\xda\x8b\xb3>\x05\x00;";
    env.write("one.gif", gif);
    env.clip("ball_rising.mp4", "ball.mp4");
    let said = "the clip is one frame, which is taken 16 times: nothing moves";
    let ran = env.embed(&["one.gif", "ball.mp4", "-o", "x.npz"]);
    assert!(ran.code == 0, "{}", ran.stderr);
    ran.says(&[said]);
    let mut csv = csv::Reader::from_path(env.path("x.npz.rows.csv")).unwrap();
    let at = csv.headers().unwrap().iter().position(|name| name == "distinct_frames").unwrap();
    let counts: Vec<String> = csv.records().map(|row| row.unwrap().get(at).unwrap().to_owned()).collect();
    assert_eq!(counts, ["1", "16"]);
    let info = env.lift(&["info", "one.gif"]).code(0).stdout;
    assert!(info.contains(said), "{info}");
    let drawn = env.lift(&["plot", "--model", "mini", "one.gif", "--figure", "line", "-o", "x.svg"]).code(0);
    let figure = fs::read_to_string(env.path("x.svg")).unwrap();
    assert!((drawn.stdout + &drawn.stderr + &figure).contains("there is no motion"));
}
