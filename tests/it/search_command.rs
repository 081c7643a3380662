//! `lift search` on the bundled clips, and by words on a small random CLIP.

use std::collections::{BTreeMap, HashMap};

use lift::embed::word_vectors;
use lift::weights::{Family, WeightsSource};

use crate::common::data;
use crate::env::{TestEnv, clip};

/// The ids and scores of an answer in JSON lines.
fn hits(env: &TestEnv, name: &str) -> Vec<(String, f64)> {
    let text = std::fs::read_to_string(env.path(name)).unwrap();
    let hit = |(rank, line): (usize, &str)| {
        let hit: serde_json::Value = serde_json::from_str(line).unwrap();
        assert_eq!(hit["rank"], rank + 1);
        (hit["id"].as_str().unwrap().to_owned(), hit["score"].as_f64().unwrap())
    };
    text.lines().enumerate().map(hit).collect()
}

/// The four clips as a dataset with the embeddings of their mirrors.
fn collection() -> TestEnv {
    let env = TestEnv::new();
    for name in ["ball_rising.mp4", "door_closing.webm", "door_opening.mp4", "wheel_turning.webm"] {
        env.clip(name, &format!("clips/{name}"));
    }
    env.embed(&["clips", "-o", "set/", "--parts", "concat,reversed,frames"]).code(0);
    env
}

#[test]
fn a_video_of_the_collection_finds_itself_and_its_opposite_has_the_other_sign() {
    let env = collection();
    let path = clip("door_opening.mp4");
    let like = ["search", "set", "--like", path.to_str().unwrap(), "--model", "mini", "-o"];
    for by in ["all", "odd", "even", "static", "dynamic", "frames-mean", "frames-concat"] {
        let output = format!("{by}.jsonl");
        env.lift(&[&like[..], &[output.as_str(), "--by", by]].concat()).code(0);
        let hits = hits(&env, &output);
        assert_eq!(hits.len(), 4, "{by}");
        assert_eq!(hits[0].0, "door_opening", "{by}");
        assert!((hits[0].1 - 1.0).abs() < 1e-6 && hits[1].1 < 0.9999, "{by}: {hits:?}");
    }
    env.lift(&[&like[..], &["opposite.jsonl", "--by", "odd", "--opposite"]].concat()).code(0);
    let (mut straight, opposite) = (hits(&env, "odd.jsonl"), hits(&env, "opposite.jsonl"));
    straight.reverse();
    for ((id, score), (other, opposite)) in straight.iter().zip(&opposite) {
        assert!(id == other && (score + opposite).abs() < 1e-6, "{id} {score}, {other} {opposite}");
    }
    // A row of the collection is the same query, and is left out of the answer.
    env.lift(&["search", "set", "--id", "door_opening", "--opposite", "-o", "row.jsonl"]).code(0);
    env.lift(&[&like[..], &["like.jsonl", "--opposite"]].concat()).code(0);
    let (row, mut like) = (hits(&env, "row.jsonl"), hits(&env, "like.jsonl"));
    like.retain(|(id, _)| id != "door_opening");
    assert_eq!(row.len(), 3);
    for ((id, score), (other, same)) in row.iter().zip(&like) {
        assert!(id == other && (score - same).abs() < 1e-6, "{id} {score}, {other} {same}");
    }
}

#[test]
fn answers_are_a_table_or_a_file_with_as_many_hits_as_asked_for() {
    let env = collection();
    let ran = env.lift(&["search", "set", "--id", "ball_rising", "--top", "2"]).code(0);
    let lines: Vec<_> = ran.stdout.lines().collect();
    assert_eq!(lines.len(), 3, "{}", ran.stdout);
    assert!(lines[0].trim_start().starts_with("rank"), "{}", ran.stdout);
    env.lift(&["search", "set", "--id", "ball_rising", "--min-score", "1", "-o", "none.csv"]).code(0);
    assert_eq!(std::fs::read_to_string(env.path("none.csv")).unwrap(), "rank,score,id\n");
    env.lift(&["search", "set", "--id", "ball_rising", "-o", "none.csv"])
        .code(2)
        .says(&["none.csv", "--overwrite"]);
    env.lift(&["search", "set", "--id", "ball_rising", "-o", "x.txt"])
        .code(2)
        .says(&["x.txt", ".csv or .jsonl"]);
}

#[test]
fn what_cannot_be_searched_is_refused_with_its_remedy() {
    let env = collection();
    let path = clip("door_opening.mp4");
    let door = path.to_str().unwrap();
    env.lift(&["search", "set"]).code(2).says(&["--like", "--id"]);
    env.lift(&["search", "set", "--id", "nothing"]).code(3).says(&["set", "nothing"]);
    env.lift(&["search", "absent.npz", "--id", "a"]).code(3).says(&["absent.npz", "no such file"]);
    env.lift(&["search", "set", "--like", "absent.mp4", "--model", "mini"]).code(3).says(&["absent.mp4"]);
    env.embed(&[door, "-o", "plain.npz"]).code(0);
    for flags in [&["--opposite"][..], &["--by", "odd"]] {
        let ran = env.lift(&[&["search", "plain.npz", "--id", "door_opening"], flags].concat());
        ran.code(3).says(&["plain.npz", "--parts concat,reversed"]);
    }
    // A dataset names its models.
    let manifest = std::fs::read_to_string(env.path("set/manifest.json")).unwrap();
    let mut changed: serde_json::Value = serde_json::from_str(&manifest).unwrap();
    changed["models"]["lift"]["sha256"] = "0".repeat(64).into();
    env.write("set/manifest.json", changed.to_string().as_bytes());
    let like = ["search", "set", "--like", door, "--model", "mini"];
    env.lift(&like).code(3).says(&["it was made with the lift", "--lift"]);
}

#[test]
fn words_find_the_row_that_they_describe_and_other_features_are_refused() {
    let env = TestEnv::new();
    let folder = data("text/clip");
    let named = Some((Family::named("clip").unwrap(), WeightsSource::File(folder.clone())));
    let texts = ["a cat", "a dog", "a door opens"];
    let words = word_vectors(&BTreeMap::new(), named, true, &texts).unwrap();
    let ids = serde_json::to_string(&texts).unwrap();
    let bytes: Vec<u8> = words.vectors.iter().flat_map(|value| value.to_le_bytes()).collect();
    let write = |name: &str, part: &str, width: usize| {
        let shape = vec![bytes.len() / 4 / width, width];
        let view = safetensors::tensor::TensorView::new(safetensors::Dtype::F32, shape, &bytes).unwrap();
        let metadata = HashMap::from([("ids".to_owned(), ids.clone())]);
        let file = safetensors::serialize([(part, view)], Some(metadata)).unwrap();
        env.write(name, &file);
    };
    write("words.safetensors", "mean", words.width);
    let weights = folder.to_str().unwrap();
    let named = ["--encoder", "clip", "--encoder-weights", weights, "--text"];
    let search = |args: &[&str]| env.lift(&[&["search"], args, &named[..], &["a dog"]].concat());
    search(&["words.safetensors", "-o", "hits.jsonl"]).code(0);
    let found = hits(&env, "hits.jsonl");
    assert!(found[0].0 == "a dog" && (found[0].1 - 1.0).abs() < 1e-6 && found[1].1 < 0.999, "{found:?}");
    // What the words are compared with.
    search(&["words.safetensors", "--by", "odd"]).code(2).says(&["--by odd", "leave --by out"]);
    search(&["words.safetensors", "--opposite"]).code(2);
    env.lift(&["search", "words.safetensors", "--text", "a dog"]).code(3).says(&["--encoder clip or siglip"]);
    write("frames.safetensors", "concat", words.width);
    search(&["frames.safetensors"]).code(3).says(&["frames.safetensors", "--parts mean"]);
}
