//! `--keyframes` through the command: what the rows, the companion and the manifest say of it.

use std::fs;

use lift::rows::{CompanionRow, read, read_companion};

use crate::env::{Ran, TestEnv};

/// Three clips of fifty frames in `in/`: one with ten key frames, one with five, one with a single one.
fn folder(env: &TestEnv) {
    for name in ["many_keys.mp4", "b_frames.mp4", "one_key.mp4"] {
        let from = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/data/clips/").to_owned() + name;
        env.write(&format!("in/{name}"), &fs::read(from).unwrap());
    }
}

/// The id and the number of key frames of each line.
fn told(rows: &[CompanionRow]) -> Vec<(&str, Option<usize>)> {
    rows.iter().map(|row| (row.clip.id.as_str(), row.clip.key_frames)).collect()
}

const TOLD: [(&str, Option<usize>); 3] =
    [("b_frames", Some(5)), ("many_keys", Some(10)), ("one_key", Some(0))];

fn companion(env: &TestEnv, data: &str) -> Vec<CompanionRow> {
    read_companion(&env.path(data)).unwrap().unwrap()
}

#[test]
fn every_output_tells_how_many_different_key_frames_a_row_is_made_of() {
    let env = TestEnv::new();
    folder(&env);
    env.embed(&["in", "-o", "keys.npy", "--keyframes"]).code(0).says(&[
        "in/b_frames.mp4: its 16 frames are 5 different key frames",
        "in/one_key.mp4: its exact frames are taken, because fewer than 2 different key frames would be left",
    ]);
    assert_eq!(told(&companion(&env, "keys.npy")), TOLD);
    env.embed(&["in", "-o", "exact.npy"]).code(0);
    assert!(!fs::read_to_string(env.path("exact.npy.rows.csv")).unwrap().contains("key_frames"));
    let [keys, exact] =
        ["keys.npy", "exact.npy"].map(|name| read(&env.path(name), lift::rows::Wanted::default()).unwrap());
    let row = |table: &lift::rows::Table, at| table.arrays[0].row(at).to_vec();
    assert!(row(&keys, 0) != row(&exact, 0) && row(&keys, 1) != row(&exact, 1));
    assert_eq!(row(&keys, 2), row(&exact, 2), "one_key keeps its exact frames");
    // Joined files keep the column, and a file without it has empty cells there.
    env.embed(&["in/one_key.mp4", "-o", "plain.npy"]).code(0);
    fs::write(env.path("ids.csv"), "path,id\nin/many_keys.mp4,other\n").unwrap();
    env.embed(&["--list", "ids.csv", "-o", "other.npy"]).code(0);
    let merge = ["merge", "joined.parquet", "other.npy", "keys.npy"];
    env.lift(&merge).code(3).says(&["settings.keyframes: nothing there, true here"]);
    env.lift(&[&merge[..], &["--unchecked"]].concat()).code(0);
    assert_eq!(told(&companion(&env, "joined.parquet")), [&[("other", None)], &TOLD[..]].concat());
    // A stream's answers have it too.
    let line = env.path("in/b_frames.mp4").to_str().unwrap().to_owned();
    let Ran { stdout, .. } = env.embed(&[&line, "--keyframes", "-o", "-"]).code(0);
    assert!(stdout.contains("\"key_frames\":5"), "{stdout}");
}

#[test]
fn a_dataset_of_key_frames_is_resumed_with_them_only() {
    let env = TestEnv::new();
    folder(&env);
    env.embed(&["in", "-o", "old/"]).code(0);
    env.embed(&["in", "-o", "old/", "--keyframes"])
        .code(2)
        .says(&["settings.keyframes: nothing there, true now"]);
    for format in ["parquet", "safetensors"] {
        let set = format!("{format}/");
        let embed = ["in", "-o", &set, "--keyframes", "--format", format, "--shard-size", "2"];
        env.embed(&embed).code(0);
        env.embed(&["in", "-o", &set, "--format", format, "--shard-size", "2"])
            .code(2)
            .says(&["settings.keyframes: true there, nothing now"]);
        env.embed(&embed).code(0).says(&["3 inputs were done before"]);
        env.lift(&["verify", format]).code(0);
        let merged = format!("{format}.npy");
        env.lift(&["merge", &merged, format]).code(0);
        assert_eq!(told(&companion(&env, &merged)), TOLD, "{format}");
    }
}

#[test]
fn windows_count_for_themselves_and_the_other_commands_know_the_flag() {
    let env = TestEnv::new();
    folder(&env);
    let windows = ["in/many_keys.mp4", "-o", "w.npz", "--keyframes", "--window", "1", "--frames", "4"];
    env.embed(&windows).code(0);
    let rows = companion(&env, "w.npz");
    assert_eq!(told(&rows), [("many_keys#0", Some(4)), ("many_keys#1", Some(4))]);
    let info = env.lift(&["info", "in/many_keys.mp4", "--keyframes"]).code(0).stdout;
    assert!(info.contains("16 frames  0 5 5 10 15 15 20 20 25 30 30 35 40 40 45 45"), "{info}");
    assert!(info.contains("10 different key frames"), "{info}");
    let drawn = |flags: &[&str]| {
        let all =
            [&["plot", "in/many_keys.mp4", "--model", "mini", "--json", "-o", "p.png", "--overwrite"], flags];
        env.lift(&all.concat()).code(0).stdout
    };
    assert!(drawn(&["--keyframes"]) != drawn(&[]));
}
