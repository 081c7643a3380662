//! Outputs say what made them, and what was made otherwise is not joined, compared or averaged.

use std::fs;

use lift::rows::{Provenance, read};

use crate::env::TestEnv;

/// Two clips in `a/` and `b/`.
fn clips(env: &TestEnv) {
    env.clip("ball_rising.mp4", "a/one.mp4");
    env.clip("door_opening.mp4", "b/two.mp4");
}

fn made(env: &TestEnv, name: &str) -> Option<Provenance> {
    Provenance::of(&env.path(name)).unwrap()
}

#[test]
fn every_output_carries_its_settings_its_models_and_the_version() {
    let env = TestEnv::new();
    clips(&env);
    for name in ["x.npy", "x.npz", "x.safetensors", "x.parquet", "x.jsonl"] {
        env.embed(&["a", "-o", name, "--frames", "8", "--normalize"]).code(0);
        let made = made(&env, name).unwrap();
        assert_eq!(
            (made.lift.as_str(), made.parts.as_slice()),
            (env!("CARGO_PKG_VERSION"), &["concat".into()][..])
        );
        assert_eq!(
            (&made.settings["frames"], &made.settings["normalize"]),
            (&8.into(), &true.into()),
            "{name}"
        );
        assert_eq!(made.models["lift"].sha256.len(), 64, "{name}");
        assert!(made.models.len() == 2 && made.unchecked.is_empty(), "{made:?}");
    }
    env.embed(&["a", "-o", "set/", "--frames", "8", "--normalize", "-q"]).code(0);
    let same = made(&env, "x.parquet");
    assert_eq!(made(&env, "set/part-00000.parquet"), same);
    env.lift(&["merge", "merged.npy", "set"]).code(0);
    assert_eq!(made(&env, "merged.npy"), same);
    // The part of an .npy is known by what made it.
    env.embed(&["a", "-o", "half.npy", "--parts", "static"]).code(0);
    assert_eq!(
        read(&env.path("half.npy"), lift::rows::Wanted::default()).unwrap().only().unwrap().name,
        "static"
    );
    assert_eq!(read(&env.path("x.npz"), lift::rows::Wanted::default()).unwrap().ids().unwrap(), ["one"]);
}

#[test]
fn merge_refuses_what_was_made_otherwise_and_notes_what_was_joined_all_the_same() {
    let env = TestEnv::new();
    clips(&env);
    env.embed(&["a", "-o", "plain.npz"]).code(0);
    for (flags, said) in [
        (&["--normalize"][..], "settings.normalize: false there, true here"),
        (&["--frames", "8"], "settings.frames: 16 there, 8 here"),
        (&["--reverse"], "settings.reverse: false there, true here"),
    ] {
        env.embed(&[&["b", "-o", "other.npz", "--overwrite"], flags].concat()).code(0);
        env.lift(&["merge", "x.npz", "plain.npz", "other.npz"]).code(3).says(&[
            "other.npz: it was made otherwise than plain.npz",
            said,
            "--unchecked",
        ]);
        assert!(!env.path("x.npz").exists());
    }
    // A limit on failures changes no value.
    env.embed(&["b", "-o", "limited.npz", "--max-pixels", "9000000"]).code(0);
    env.lift(&["merge", "alike.npy", "plain.npz", "limited.npz"]).code(0);
    assert_eq!(made(&env, "alike.npy").unwrap().unchecked, Vec::<String>::new());
    let good = env.lift(&["verify", "alike.npy"]).code(0).stdout;
    assert_eq!(good, "alike.npy: good: 2 rows, 2 of 2 inputs embedded, 0 failed\n");
    env.lift(&["merge", "all.npz", "plain.npz", "other.npz", "--unchecked"]).code(0);
    let all = made(&env, "all.npz").unwrap();
    assert_eq!((all.settings.get("reverse"), &all.settings["frames"]), (None, &16.into()));
    assert!(all.unchecked[0].contains("settings.reverse"), "{all:?}");
    let good = env.lift(&["verify", "all.npz"]).code(0).stdout;
    assert!(good.contains("joined with --unchecked") && good.contains("settings.reverse"), "{good}");
    env.embed(&["b", "-o", "more.npz", "--parts", "concat"]).code(0);
    fs::rename(env.path("all.npz"), env.path("mixed.npz")).unwrap();
    env.lift(&["merge", "x.npz", "mixed.npz", "more.npz"]).code(3).says(&["it was joined with --unchecked"]);
}

#[test]
fn files_that_do_not_say_what_made_them_are_joined_only_unchecked() {
    let env = TestEnv::new();
    clips(&env);
    env.embed(&["a", "-o", "a.npy"]).code(0);
    env.embed(&["b", "-o", "b.npy"]).code(0);
    // The companion of 0.1.0 has no such column.
    let companion = fs::read_to_string(env.path("b.npy.rows.csv")).unwrap();
    let line = |line: &str| line.splitn(13, ',').take(12).collect::<Vec<_>>().join(",") + "\n";
    let older: String = companion.lines().map(line).collect();
    assert!(companion.contains("provenance") && !older.contains("provenance"), "{companion}");
    env.write("b.npy.rows.csv", older.as_bytes());
    env.lift(&["merge", "x.npy", "a.npy", "b.npy"]).code(3).says(&["b.npy: it does not say what made it"]);
    env.lift(&["merge", "x.npy", "a.npy", "b.npy", "--unchecked"]).code(0);
    let joined = made(&env, "x.npy").unwrap();
    assert!(
        joined.settings.is_empty() && joined.unchecked == ["b.npy does not say what made it"],
        "{joined:?}"
    );
    let good = env.lift(&["verify", "b.npy"]).code(0).stdout;
    assert!(good.contains("does not say what made it"), "{good}");
}

#[test]
fn verify_compares_rows_and_parts_with_what_made_them() {
    let env = TestEnv::new();
    clips(&env);
    env.embed(&["a", "b", "-o", "set/", "--shard-size", "1", "-q"]).code(0);
    env.embed(&["a", "b", "-o", "eight/", "--shard-size", "1", "--frames", "8", "-q"]).code(0);
    env.lift(&["verify", "set"]).code(0);
    fs::copy(env.path("eight/part-00001.parquet"), env.path("set/part-00001.parquet")).unwrap();
    let said = ["part-00001", "made otherwise than the manifest says", "settings.frames: 16 there, 8 here"];
    env.lift(&["verify", "set"]).code(1).says(&said);
    env.lift(&["merge", "x.npz", "set"]).code(3).says(&said);
    // A companion that claims what the rows are not.
    env.embed(&["a", "-o", "a.npy"]).code(0);
    let companion = fs::read_to_string(env.path("a.npy.rows.csv")).unwrap();
    let claimed = companion.replace("\"\"normalize\"\":false", "\"\"normalize\"\":true");
    assert_ne!(companion, claimed);
    env.write("a.npy.rows.csv", claimed.as_bytes());
    env.lift(&["verify", "a.npy"]).code(1).says(&["--normalize", "row 0 of 'concat' has length"]);
}

#[test]
fn search_takes_the_frames_that_made_a_file_and_refuses_other_models_and_vectors() {
    let env = TestEnv::new();
    clips(&env);
    env.embed(&["a", "b", "-o", "all.npz", "--frames", "8", "--parts", "concat,reversed"]).code(0);
    let like = ["search", "all.npz", "--like", "a/one.mp4", "--model", "mini"];
    env.lift(&[&like[..], &["-o", "hits.csv"]].concat()).code(0);
    let hits = fs::read_to_string(env.path("hits.csv")).unwrap();
    let score: f64 = hits
        .lines()
        .nth(1)
        .unwrap()
        .split(',')
        .find_map(|cell| cell.parse().ok().filter(|x| *x != 1.0))
        .unwrap_or(1.0);
    assert!(hits.lines().nth(1).unwrap().contains("one") && (score - 1.0).abs() < 1e-6, "{hits}");
    env.embed(&["a", "-o", "sixteen.npy"]).code(0);
    env.lift(&["search", "all.npz", "--vector", "sixteen.npy"])
        .code(3)
        .says(&["sixteen.npy: it was made otherwise", "settings.frames: 8 there, 16 here"]);
    env.embed(&["a", "-o", "back.npy", "--frames", "8", "--reverse", "--normalize"]).code(0);
    env.lift(&["search", "all.npz", "--vector", "back.npy"]).code(0);
    // Another LiFT of the same widths.
    let other = env.path("other.safetensors");
    env.lift(&["train", "--help"]).code(0);
    env.embed(&["a", "b", "-o", "frames.npy", "--parts", "frames"]).code(0);
    let train =
        ["train", "frames.npy", "-o", "run", "--epochs", "1", "--layers", "1", "--held-out", "0", "-q"];
    env.lift(&train).code(0);
    fs::copy(env.path("run/last.safetensors"), &other).unwrap();
    env.lift(&[&like[..], &["--lift", "other.safetensors"]].concat()).code(3).says(&[
        "all.npz",
        "it was made with the lift",
        "--lift",
    ]);
}

#[test]
fn embeddings_that_were_made_otherwise_are_not_averaged_by_eval_cia() {
    let env = TestEnv::new();
    let names = ["ball_rising.mp4", "door_opening.mp4", "door_closing.webm", "wheel_turning.webm"];
    for (at, name) in names.iter().cycle().take(8).enumerate() {
        let extension = name.rsplit('.').next().unwrap();
        env.clip(name, &format!("v/{at}.{extension}"));
    }
    let header = "triplet_id,id_forward,id_reverse,verb_forward,verb_reverse";
    for set in ["ssv2", "epic"] {
        for (side, ids) in [("train", "0;1,2;3"), ("validation", "4;5,6;7")] {
            let csv = format!("{header}\nt,{ids},open,close\n");
            env.write(&format!("csv/chiral_groups-{set}-{side}.csv"), csv.as_bytes());
        }
    }
    env.embed(&["v", "-o", "plain.npz", "--parts", "concat,frames"]).code(0);
    env.embed(&["v", "-o", "unit.npz", "--parts", "concat,frames", "--normalize"]).code(0);
    let eval = |epic: &str, more: &[&str]| {
        let epic = format!("epic={epic}");
        let args =
            ["eval-cia", "--dataset", "ssv2,epic", "--splits", "csv", "--embeddings", "ssv2=plain.npz"];
        env.lift(&[&args[..], &["--embeddings", &epic], more].concat())
    };
    eval("plain.npz", &[]).code(0);
    eval("unit.npz", &[]).code(3).says(&["epic", "ssv2", "settings.normalize: false there, true here"]);
    // The control in reversed time embeds again, with the LiFT that made the file.
    eval("plain.npz", &["--reverse-control", "--model", "mini"]).code(0);
    let train =
        ["train", "plain.npz", "-o", "run", "--epochs", "1", "--layers", "1", "--held-out", "0", "-q"];
    env.lift(&train).code(0);
    eval("plain.npz", &["--reverse-control", "--model", "mini", "--lift", "run/last.safetensors"])
        .code(3)
        .says(&["plain.npz: it was made with the LiFT", "--lift"]);
    // Features of another program are not LiFT's.
    let table = read(&env.path("plain.npz"), lift::rows::Wanted::default()).unwrap();
    let values: Vec<u8> = table.array("concat").unwrap().data.iter().flat_map(|x| x.to_le_bytes()).collect();
    let shape = table.array("concat").unwrap().shape.clone();
    let view = safetensors::tensor::TensorView::new(safetensors::Dtype::F32, shape, &values).unwrap();
    let ids = serde_json::to_string(table.ids().unwrap()).unwrap();
    let metadata = std::collections::HashMap::from([("ids".to_owned(), ids)]);
    env.write("clip.safetensors", &safetensors::serialize([("clip", view)], Some(metadata)).unwrap());
    eval("clip.safetensors", &[]).code(3).says(&["clip.safetensors: it holds clip", "--features NAME="]);
}
