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
    let header = "query,rank,score,id,path,start,end\n";
    assert_eq!(std::fs::read_to_string(env.path("none.csv")).unwrap(), header);
    env.lift(&["search", "set", "--id", "ball_rising", "-o", "none.csv"])
        .code(2)
        .says(&["none.csv", "--overwrite"]);
    env.lift(&["search", "set", "--id", "ball_rising", "-o", "x.txt"])
        .code(2)
        .says(&["x.txt", ".csv, .jsonl, .parquet, .md or .html"]);
}

/// The lines of an answer, as JSON.
fn lines(env: &TestEnv, name: &str) -> Vec<serde_json::Value> {
    let text = std::fs::read_to_string(env.path(name)).unwrap();
    text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

#[test]
fn a_prepared_collection_gives_the_same_answers_until_it_changes() {
    let env = collection();
    env.lift(&["merge", "all.parquet", "set"]).code(0);
    for collection in ["set", "all.parquet"] {
        let search = |output: &str| {
            let args =
                ["search", collection, "--list", "queries.txt", "--by", "odd", "-o", output, "--overwrite"];
            env.lift(&args).code(0);
            lines(&env, output)
        };
        env.write("queries.txt", b"door_opening\nball_rising\nwheel_turning\ndoor_closing\n");
        let before = search("before.jsonl");
        assert_eq!(before.len(), 4 * 3);
        let (path, id) = (before[0]["path"].as_str().unwrap(), before[0]["id"].as_str().unwrap());
        assert!(before[0]["query"] == "door_opening" && path.starts_with(&format!("clips/{id}.")), "{path}");
        env.lift(&["search", collection, "--prepare", "--by", "odd"]).code(0).says(&["bytes a row"]);
        assert_eq!(search("after.jsonl"), before);
    }
    // The prepared file of another state of the collection is refused, and a damaged one.
    env.lift(&["merge", "all.parquet", "set", "--overwrite"]).code(0);
    let odd = ["search", "all.parquet", "--id", "door_opening", "--by", "odd"];
    env.lift(&odd).code(3).says(&["all.parquet.odd.search", "another state", "--prepare"]);
    env.write("all.parquet.odd.search", b"lift search 1 and nothing more");
    env.lift(&odd).code(3).says(&["all.parquet.odd.search", "damaged", "--prepare"]);
    env.lift(&["search", "all.parquet", "--prepare", "--by", "odd"]).code(0);
    env.lift(&odd).code(0);
    env.lift(&["verify", "set"]).code(0);
}

#[test]
fn many_queries_vectors_and_clips_that_the_hits_must_not_be_like() {
    let env = collection();
    env.lift(&["merge", "all.npz", "set"]).code(0);
    env.lift(&["search", "all.npz", "--vector", "all.npz", "--top", "1", "-o", "x.csv"])
        .code(3)
        .says(&["say which"]);
    env.embed(&["clips", "-o", "vectors.npy"]).code(0);
    env.lift(&["search", "all.npz", "--vector", "vectors.npy", "--top", "1", "-o", "own.jsonl"]).code(0);
    let own = lines(&env, "own.jsonl");
    assert!(own.len() == 4 && own.iter().all(|line| line["id"] == line["query"]), "{own:?}");
    let unlike = ["search", "set", "--id", "door_opening", "--unlike", "door_closing", "-o", "unlike.jsonl"];
    env.lift(&unlike).code(0);
    let ids: Vec<_> = hits(&env, "unlike.jsonl").into_iter().map(|(id, _)| id).collect();
    assert_ne!(ids[0], "door_closing", "it is first without --unlike: {ids:?}");
    env.lift(&["search", "set", "--id", "door_opening", "--unlike", "nothing"])
        .code(3)
        .says(&["neither a file nor"]);
    for (extension, start) in
        [("csv", "query,rank"), ("md", "| query |"), ("parquet", "PAR1"), ("html", "<!DOCTYPE")]
    {
        let output = format!("hits.{extension}");
        env.lift(&["search", "set", "--id", "door_opening", "-o", &output]).code(0);
        let bytes = std::fs::read(env.path(&output)).unwrap();
        assert!(bytes.starts_with(start.as_bytes()), "{extension}");
    }
    let page = std::fs::read_to_string(env.path("hits.html")).unwrap();
    assert_eq!(page.matches("data:image/jpeg").count(), 4, "the query and three hits");
}

#[test]
fn windows_are_moments_of_their_files() {
    let env = TestEnv::new();
    env.clip("ball_rising.mp4", "clips/ball.mp4");
    env.clip("door_opening.mp4", "clips/door.mp4");
    let windows = ["--window", "0.6", "--stride", "0.3", "--parts", "concat,reversed"];
    env.embed(&[&["clips", "-o", "set/"], &windows[..]].concat()).code(0);
    let search = |more: &[&str]| {
        env.lift(&[&["search", "set", "--id", "ball#1", "-o", "x.jsonl", "--overwrite"], more].concat())
            .code(0);
        lines(&env, "x.jsonl")
    };
    let spans = |found: &[serde_json::Value]| -> Vec<(String, f64, f64)> {
        let span = |line: &serde_json::Value| {
            let time = |name: &str| line[name].as_f64().unwrap();
            (line["path"].as_str().unwrap().to_owned(), time("start"), time("end"))
        };
        found.iter().map(span).collect()
    };
    let found = spans(&search(&[]));
    assert!(found.len() > 2, "{found:?}");
    for (at, one) in found.iter().enumerate() {
        for other in &found[..at] {
            assert!(one.0 != other.0 || one.1 >= other.2 || other.1 >= one.2, "{one:?} overlaps {other:?}");
        }
    }
    assert_eq!(search(&["--per-file", "1"]).len(), 2);
    // Overlapping parts of one video are not duplicates of each other.
    let ran = env.lift(&["duplicates", "set", "--min-score", "0.999999"]).code(0);
    ran.says(&["0 groups"]);
}

#[test]
fn answers_of_shards_are_joined_to_the_answer_of_the_whole() {
    let env = collection();
    env.embed(&["clips", "-o", "vectors.npy", "--parts", "concat"]).code(0);
    for shard in ["0/2", "1/2"] {
        env.embed(&["clips", "-o", "shards/", "--shard", shard]).code(0);
    }
    let shards: Vec<_> = std::fs::read_dir(env.path("shards")).unwrap().map(|e| e.unwrap().path()).collect();
    let mut answers = vec![];
    for (at, shard) in shards.iter().filter(|path| path.is_dir()).enumerate() {
        let output = format!("hits-{at}.csv");
        let shard = shard.to_str().unwrap();
        env.lift(&["search", shard, "--vector", "vectors.npy", "--top", "3", "-o", &output]).code(0);
        answers.push(output);
    }
    assert_eq!(answers.len(), 2);
    env.lift(&["search", "set", "--vector", "vectors.npy", "--top", "3", "-o", "whole.csv"]).code(0);
    let merge = ["merge", "--top", "3", "joined.csv", &answers[0], &answers[1]];
    env.lift(&merge).code(0).says(&["joined.csv: 12 hits"]);
    assert_eq!(std::fs::read(env.path("joined.csv")).unwrap(), std::fs::read(env.path("whole.csv")).unwrap());
    env.lift(&["merge", "twice.csv", &answers[0], &answers[0]])
        .code(3)
        .says(&["stands in an answer before it"]);
}

#[test]
fn duplicates_are_the_same_footage_and_mirrors_are_told_apart() {
    let env = TestEnv::new();
    env.clip("door_opening.mp4", "clips/door.mp4");
    env.clip("door_opening.mp4", "clips/copy.mp4");
    env.clip("ball_rising.mp4", "clips/ball.mp4");
    env.embed(&["clips", "-o", "set/", "--parts", "concat,reversed"]).code(0);
    env.lift(&["duplicates", "set", "-o", "same.csv"]).code(0).says(&["1 group", "1 clip that could go"]);
    let text = std::fs::read_to_string(env.path("same.csv")).unwrap();
    let lines: Vec<_> = text.lines().collect();
    assert_eq!(lines[0], "group,kind,keep,score,id,path,start,end");
    assert!(lines[1].starts_with("1,same,true,1.0,copy,") && lines[2].starts_with("1,same,false,"), "{text}");
    assert_eq!(lines.len(), 3, "{text}");
    env.lift(&["duplicates", "set", "-o", "same.csv"]).code(2).says(&["--overwrite"]);
    env.embed(&["clips", "-o", "plain.npz", "--parts", "concat"]).code(0);
    env.lift(&["duplicates", "plain.npz"]).code(0).says(&["--parts concat,reversed", "1 group"]);
    env.lift(&["duplicates", "absent.npz"]).code(3).says(&["absent.npz"]);
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
    let manifest = std::fs::read_to_string(env.path("set/_manifest.json")).unwrap();
    let mut changed: serde_json::Value = serde_json::from_str(&manifest).unwrap();
    changed["models"]["lift"]["sha256"] = "0".repeat(64).into();
    env.write("set/_manifest.json", changed.to_string().as_bytes());
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
    // Words beside another query, over two collections of the same clips.
    write("looks.safetensors", "concat", words.width);
    let beside = |more: &[&str]| {
        let args = [
            "looks.safetensors",
            "--id",
            "a cat",
            "--also",
            "words.safetensors",
            "-o",
            "hits.jsonl",
            "--overwrite",
        ];
        search(&[&args[..], more].concat()).code(0);
        hits(&env, "hits.jsonl")
    };
    assert_eq!(beside(&["--weight", "1000"])[0].0, "a dog");
    assert_eq!(beside(&["--weight", "0"]).len(), 2);
    search(&["looks.safetensors", "--also", "words.safetensors"]).code(2).says(&["--like or --id"]);
    // What the words are compared with.
    search(&["words.safetensors", "--by", "odd"]).code(2).says(&["--by odd", "leave --by out"]);
    search(&["words.safetensors", "--opposite"]).code(2);
    env.lift(&["search", "words.safetensors", "--text", "a dog"]).code(3).says(&["--encoder clip or siglip"]);
    write("frames.safetensors", "concat", words.width);
    search(&["frames.safetensors"]).code(3).says(&["frames.safetensors", "--parts mean"]);
}
