//! `lift plot --figure map` as a user runs it, right and wrong.

use std::fs;
use std::path::Path;

use serde_json::Value;

use crate::env::{Ran, TestEnv};

const CLIPS: [&str; 4] = ["ball_rising.mp4", "door_closing.webm", "door_opening.mp4", "wheel_turning.webm"];

/// Three copies of each bundled clip, embedded with their mirrors into `all.npz`.
fn collection() -> TestEnv {
    let env = TestEnv::new();
    for name in CLIPS {
        for copy in ["a", "b", "c"] {
            env.clip(name, &format!("clips/{copy}_{name}"));
        }
    }
    env.embed(&["clips", "-o", "all.npz", "--parts", "concat,reversed"]).code(0);
    env
}

fn map(env: &TestEnv, args: &[&str]) -> Ran {
    env.lift(&[&["plot", "all.npz", "--figure", "map"], args].concat())
}

/// The data of a page.
fn data(path: &Path) -> Value {
    let page = fs::read_to_string(path).unwrap();
    let json = page.split_once("id=\"data\">").unwrap().1.split_once("</script>").unwrap().0;
    serde_json::from_str(json).unwrap()
}

fn texts(value: &Value) -> Vec<String> {
    value.as_array().unwrap().iter().map(|text| text.as_str().unwrap().to_owned()).collect()
}

#[test]
fn a_map_is_a_picture_a_page_or_a_folder() {
    let env = collection();
    let before = env.names();
    map(&env, &["-o", "map.png", "--by", "odd", "--dpi", "48"]).code(0).says(&["drawn into map.png"]);
    assert!(fs::read(env.path("map.png")).unwrap().starts_with(b"\x89PNG"));
    env.write("labels.csv", b"id,label\na_door_opening.mp4,open & <shut>\nb_door_opening,open & <shut>\n");
    map(&env, &["-o", "map.svg", "--labels", "labels.csv", "--title", "All of it"]).code(0);
    let svg = fs::read_to_string(env.path("map.svg")).unwrap();
    assert!(svg.contains("open &amp; &lt;shut&gt; (2)") && svg.contains("no label (10)"));
    assert!(svg.contains("12 clips, compared by all; t-SNE: perplexity 3") && svg.contains("<image"));
    map(&env, &["-o", "map.html"]).code(0);
    let page = data(&env.path("map.html"));
    assert_eq!(page["ids"].as_array().unwrap().len(), 12);
    assert!(
        texts(&page["strips"]["sources"]).iter().all(|source| source.starts_with("data:image/jpeg;base64,"))
    );
    map(&env, &["-o", "folder/"]).code(0);
    let beside = data(&env.path("folder/index.html"));
    for source in texts(&beside["strips"]["sources"]) {
        assert!(fs::read(env.path("folder").join(source)).unwrap().starts_with(b"\xff\xd8"));
    }
    for column in ["x", "y", "near", "labels", "paths"] {
        assert_eq!(page[column], beside[column], "{column}");
    }
    let made: Vec<_> = env.names().into_iter().filter(|name| !before.contains(name)).collect();
    assert_eq!(made, ["folder", "home", "labels.csv", "map.html", "map.png", "map.svg"]);
    map(&env, &["-o", "folder"]).code(2).says(&["index.html", "--overwrite"]);
}

#[test]
fn the_neighbours_of_a_page_are_the_answers_of_lift_search() {
    let env = collection();
    map(&env, &["-o", "map.html"]).code(0);
    let page = data(&env.path("map.html"));
    let ids = texts(&page["ids"]);
    let kinds: [(&str, &[&str]); 3] = [
        ("look", &["--by", "even"]),
        ("motion", &["--by", "odd"]),
        ("opposite", &["--by", "odd", "--opposite"]),
    ];
    for (near, (name, flags)) in page["near"].as_array().unwrap().iter().zip(kinds) {
        assert_eq!(near["name"], name);
        for row in [0, 7] {
            let rows = near["rows"].as_array().unwrap();
            let found: Vec<&str> = rows[8 * row..8 * row + 8]
                .iter()
                .filter_map(Value::as_u64)
                .map(|row| ids[row as usize].as_str())
                .collect();
            let answer = format!("{name}-{row}.jsonl");
            let search = ["search", "all.npz", "--id", &ids[row], "--top", "8", "-o", &answer];
            env.lift(&[&search[..], flags].concat()).code(0);
            let lines = fs::read_to_string(env.path(&answer)).unwrap();
            let wanted: Vec<String> = lines
                .lines()
                .map(|line| serde_json::from_str::<Value>(line).unwrap()["id"].as_str().unwrap().to_owned())
                .collect();
            assert_eq!(found, wanted, "{name} of {}", ids[row]);
        }
    }
}

#[test]
fn one_seed_is_one_map_whatever_the_threads_and_of_many_clips_a_sample_is_shown() {
    let env = collection();
    for (name, threads) in [("a.svg", "1"), ("b.svg", "2"), ("c.svg", "5")] {
        map(&env, &["-o", name, "--seed", "3", "--threads", threads, "--clusters", "3"]).code(0);
    }
    let first = fs::read(env.path("a.svg")).unwrap();
    assert!(["b.svg", "c.svg"].iter().all(|name| fs::read(env.path(name)).unwrap() == first));
    map(&env, &["-o", "some.html", "--points", "5"]).code(0).says(&["12 rows", "sample of 5", "--seed 0"]);
    let page = data(&env.path("some.html"));
    assert_eq!(page["ids"].as_array().unwrap().len(), 5);
    assert!(page["caption"].as_str().unwrap().contains("a sample of 5 of 12 clips"), "{}", page["caption"]);
    assert!(page["caption"].as_str().unwrap().contains("PCA"), "five clips have no neighbourhoods");
}

#[test]
fn videos_that_are_missing_are_told_and_those_that_were_moved_are_found() {
    let env = collection();
    fs::rename(env.path("clips"), env.path("moved")).unwrap();
    map(&env, &["-o", "gone.html"]).code(1).says(&["12 of 12 videos", "ball_rising", "--videos DIR"]);
    let page = data(&env.path("gone.html"));
    assert!(page["strips"]["otherwise"].as_str().unwrap().contains("a_ball_rising.mp4"));
    assert_eq!(page["strips"]["missing"].as_array().unwrap().len(), 11);
    map(&env, &["-o", "found.html", "--videos", "moved"]).code(0);
    fs::write(env.path("moved/b_door_opening.mp4"), b"no video").unwrap();
    map(&env, &["-o", "bad.png", "--videos", "moved", "--dpi", "48"]);
    map(&env, &["-o", "bad/", "--videos", "moved"]).code(1).says(&["1 of 12 videos", "b_door_opening.mp4"]);
    assert!(env.path("bad/index.html").exists());
}

#[test]
fn a_run_that_was_killed_goes_on_with_the_strips_that_are_there() {
    let env = collection();
    map(&env, &["-o", "map/"]).code(0);
    let sources = texts(&data(&env.path("map/index.html"))["strips"]["sources"]);
    fs::remove_file(env.path("map/index.html")).unwrap();
    // A strip that is there is taken as it is, and the others are made.
    let kept = env.path("map").join(&sources[3]);
    let picture = fs::read(env.path("map").join(&sources[0])).unwrap();
    fs::write(&kept, &picture).unwrap();
    fs::remove_file(env.path("map").join(&sources[5])).unwrap();
    map(&env, &["-o", "map/"]).code(0);
    assert_eq!(fs::read(&kept).unwrap(), picture);
    assert!(env.path("map").join(&sources[5]).exists());
    assert_eq!(texts(&data(&env.path("map/index.html"))["strips"]["sources"]), sources);
}

#[test]
fn what_is_no_map_is_refused_before_any_work() {
    let env = collection();
    let before = env.names();
    map(&env, &["-o", "x.gif"]).code(2).says(&["x.gif", ".png, .svg, .pdf or .html"]);
    map(&env, &["-o", "x.png", "--json"]).code(2).says(&["--json"]);
    map(&env, &["-o", "x.png", "--id", "a"]).code(2).says(&["--id"]);
    map(&env, &["all.npz", "-o", "x.png"]).code(2).says(&["one collection", "lift merge"]);
    env.lift(&["plot", "clips", "--figure", "map", "-o", "x.png"]).code(2).says(&["lift embed clips"]);
    env.lift(&["plot", "gone.npz", "--figure", "map", "-o", "x.png"])
        .code(3)
        .says(&["gone.npz", "no such file"]);
    env.lift(&["plot", "clips/a_ball_rising.mp4", "--by", "odd", "-o", "x.png"])
        .code(2)
        .says(&["--by", "--figure map"]);
    map(&env, &["-o", "x.png", "--by", "words"]).code(3).says(&["all.npz", "`words`"]);
    map(&env, &["-o", "x.png", "--labels", "gone.csv"]).code(3).says(&["gone.csv", "no such file"]);
    map(&env, &["-o", "no/x.png"]).code(2).says(&["no/x.png", "mkdir -p"]);
    map(&env, &["-o", "x.png", "--points", "0"]).code(2);
    assert_eq!(env.names(), before);
}

#[test]
fn many_clips_with_videos_need_a_folder() {
    let env = TestEnv::new();
    let rows = 1001;
    let values: Vec<u8> = (0..rows * 4).flat_map(|i| ((i as f32) * 0.7).sin().to_le_bytes()).collect();
    let mut header = format!("{{'descr': '<f4', 'fortran_order': False, 'shape': ({rows}, 4), }}");
    header += &" ".repeat((64 - (header.len() + 11) % 64) % 64);
    header.push('\n');
    let mut file = b"\x93NUMPY\x01\x00".to_vec();
    file.extend((header.len() as u16).to_le_bytes());
    file.extend(header.as_bytes());
    file.extend(values);
    env.write("all.npy", &file);
    let line = |row: usize| format!("{row},{row},clip {row},gone.mp4,ok,16,25,2.0,,,,\n");
    let lines: String = (0..rows).map(line).collect();
    let companion = format!("index,row,id,path,status,frames,fps,duration,start,end,stage,error\n{lines}");
    env.write("all.npy.rows.csv", companion.as_bytes());
    let plot = |args: &[&str]| {
        env.lift(&[&["plot", "all.npy", "--figure", "map", "--method", "pca"], args].concat())
    };
    plot(&["-o", "x.html"]).code(2).says(&["1001 clips", "-o x/", "--points 1000"]);
    assert!(!env.path("x.html").exists());
    plot(&["-o", "x.html", "--points", "1000"]).code(1).says(&["1000 of 1000 videos", "gone.mp4"]);
    // Rows of other programs have no videos, and a page of them is small.
    fs::remove_file(env.path("all.npy.rows.csv")).unwrap();
    let ids: String = (0..rows).map(|row| format!("clip {row}\n")).collect();
    env.write("ids.txt", ids.as_bytes());
    plot(&["-o", "y.html", "--ids", "ids.txt"]).code(0).says(&["does not say where its videos are"]);
    let page = data(&env.path("y.html"));
    assert_eq!(page["ids"].as_array().unwrap().len(), rows);
    assert!(page["without"][0].as_str().unwrap().contains("--parts concat,reversed"));
}
