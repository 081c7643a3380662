//! `lift embed --keep`: columns of a list travel into files, datasets, merges and the answers of searches.

use std::fs;

use crate::env::TestEnv;

const NAMES: [&str; 4] = ["ball_rising.mp4", "door_closing.webm", "door_opening.mp4", "wheel_turning.webm"];

/// Five clips, the last of which is broken, and a list that says two things more of each.
fn listed(env: &TestEnv, label_of_first: &str) {
    for (i, name) in NAMES.into_iter().enumerate() {
        if !env.path(&format!("in/{i}.mp4")).exists() {
            env.clip(name, &format!("in/{i}.mp4"));
        }
    }
    if !env.path("in/4.mp4").exists() {
        env.write("in/4.mp4", b"no video");
    }
    let list = format!(
        "path,id,label,Source,other\nin/0.mp4,ball,{label_of_first},a,x\nin/1.mp4,closing,\"close, slowly\",b,x\n\
         in/2.mp4,opening,open,,x\nin/3.mp4,wheel,,,x\nin/4.mp4,broken,none,a,x\n"
    );
    env.write("list.csv", list.as_bytes());
}

/// The cells of a CSV's columns, line by line.
fn cells(text: &str, columns: &[&str]) -> Vec<Vec<String>> {
    let mut csv = csv::Reader::from_reader(text.as_bytes());
    let header = csv.headers().unwrap().clone();
    let at = |name: &&str| header.iter().position(|column| column == *name).unwrap();
    let places: Vec<usize> = columns.iter().map(at).collect();
    csv.records()
        .map(|record| record.unwrap())
        .map(|r| places.iter().map(|at| r[*at].to_owned()).collect())
        .collect()
}

const SAID: [[&str; 3]; 5] = [
    ["ball", "rise", "a"],
    ["closing", "close, slowly", "b"],
    ["opening", "open", ""],
    ["wheel", "", ""],
    ["broken", "none", "a"],
];

#[test]
fn kept_columns_stand_in_every_output_and_answer() {
    let env = TestEnv::new();
    listed(&env, "rise");
    let embed = |output: &[&str], code: i32| {
        env.embed(&[&["--list", "list.csv", "--keep", "label,source"], output].concat()).code(code)
    };
    // A companion has them beside any array file, of rows and of failures.
    for output in ["x.npy", "x.parquet"] {
        embed(&["-o", output], 1);
        let companion = fs::read_to_string(env.path(&format!("{output}.rows.csv"))).unwrap();
        assert_eq!(cells(&companion, &["id", "label", "source"]), SAID);
    }
    let line = embed(&["-o", "-", "-q"], 1).stdout;
    assert!(
        line.starts_with(r#"{"index":0,"id":"ball","#)
            && line.contains(r#""label":"rise","source":"a","concat":["#)
    );
    assert!(line.contains(r#""label":null,"source":null"#), "{line}");
    // A dataset in two shards, and what merge makes of it, alone and with another file.
    for (shard, code) in [("0/2", 0), ("1/2", 1)] {
        embed(&["-o", "run/", "--shard", shard, "--format", "safetensors", "-q"], code);
    }
    for (merged, of) in [("whole.npz", &["run"][..]), ("joined.npz", &["x.npy"])] {
        env.lift(&[&["merge", merged], of].concat()).code(1);
        let companion = fs::read_to_string(env.path(&format!("{merged}.rows.csv"))).unwrap();
        assert_eq!(cells(&companion, &["id", "label", "source"]), SAID, "{merged}");
    }
    // Searches say them of their hits: of a file, of a dataset, and of a prepared one.
    embed(&["-o", "out/", "-q"], 1);
    let search = |collection: &str, output: &str| {
        env.lift(&["search", collection, "--id", "opening", "--top", "2", "-o", output, "--overwrite"])
            .code(0);
        fs::read_to_string(env.path(output)).unwrap()
    };
    let hits = [["closing", "close, slowly"]];
    for collection in ["x.npy", "x.parquet", "out", "out"] {
        let found = cells(&search(collection, "hits.csv"), &["id", "label"]);
        assert!(found.contains(&hits[0].map(str::to_owned).to_vec()), "{collection}: {found:?}");
        let answers = search(collection, "hits.jsonl");
        assert!(answers.contains(r#""label":"close, slowly","source":"b"}"#), "{answers}");
        env.lift(&["search", "out", "--prepare", "-q"]).code(0);
    }
    let table = env.lift(&["search", "out", "--id", "opening"]).code(0).stdout;
    assert!(table.lines().next().unwrap().ends_with("label          source  path"), "{table}");
    env.lift(&["merge", "answers.csv", "hits.csv", "hits.jsonl"]).code(3);
    env.lift(&["merge", "answers.csv", "hits.csv"]).code(0);
    let merged = fs::read_to_string(env.path("answers.csv")).unwrap();
    assert!(cells(&merged, &["id", "label"]).contains(&hits[0].map(str::to_owned).to_vec()), "{merged}");
}

#[test]
fn an_update_takes_over_what_the_list_says_now_and_embeds_nothing_for_it() {
    let env = TestEnv::new();
    listed(&env, "rise");
    let embed = |more: &[&str]| env.embed(&[&["--list", "list.csv", "-o", "out/"], more].concat());
    let labels = || {
        env.lift(&["merge", "merged.npz", "out", "--overwrite", "-q"]).code(1);
        cells(&fs::read_to_string(env.path("merged.npz.rows.csv")).unwrap(), &["label"]).concat()
    };
    embed(&["--keep", "label", "-q"]).code(1);
    assert_eq!(labels(), SAID.map(|said| said[1]));
    listed(&env, "fall");
    embed(&["--keep", "label"]).code(2).says(&["0 new, 0 changed, 0 gone, 1 with other values", "--update"]);
    let counts = "0 new, 0 changed, 0 gone, 5 unchanged, 1 with other values in the columns of --keep";
    let ran = embed(&["--keep", "label", "--update"]).code(1).says(&[counts]);
    assert!(ran.stderr.contains("5 inputs were done before"), "{}", ran.stderr);
    assert_eq!(labels()[0], "fall");
    // Another column, and none.
    embed(&["--keep", "source"]).code(2).says(&[r#"keep: ["label"] there, ["source"] now"#, "--update"]);
    let ran =
        embed(&["--keep", "source", "--update"]).code(1).says(&["5 unchanged", "5 inputs were done before"]);
    assert!(ran.stderr.contains("5 with other values"), "{}", ran.stderr);
    let companion = || {
        env.lift(&["merge", "merged.npz", "out", "--overwrite", "-q"]).code(1);
        fs::read_to_string(env.path("merged.npz.rows.csv")).unwrap()
    };
    assert!(companion().lines().next().unwrap().ends_with("distinct_frames,source"));
    embed(&["--update"]).code(1).says(&["5 inputs were done before"]);
    assert!(companion().lines().next().unwrap().ends_with(",distinct_frames"));
    env.lift(&["verify", "out"]).code(0);
}

#[test]
fn columns_that_cannot_be_kept_are_refused_with_a_remedy() {
    let env = TestEnv::new();
    listed(&env, "rise");
    env.write("plain.txt", b"in/0.mp4\nin/1.mp4\n");
    for (args, code, said) in [
        (
            &["--list", "list.csv", "--keep", "class"][..],
            3,
            "the header has no column 'class' (--keep); it has path, id, label",
        ),
        (
            &["--list", "list.csv", "--keep", "start"],
            2,
            "--keep start: the outputs have a column of this name",
        ),
        (&["--list", "list.csv", "--keep", "label,Label"], 2, "named twice"),
        (
            &["--list", "plain.txt", "--keep", "label"],
            3,
            "it is a plain list of paths and has no column 'label'",
        ),
        (&["in", "--keep", "label"], 2, "name one with --list FILE"),
    ] {
        env.embed(&[args, &["-o", "x.npz"]].concat()).code(code).says(&[said]);
        assert!(!env.path("x.npz").exists());
    }
}
