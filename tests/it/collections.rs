//! `lift diff` and `lift status`: what differs between two outputs, and how far a run is.

use crate::env::TestEnv;

/// Two clips, and a text that is no video.
fn folder() -> TestEnv {
    let env = TestEnv::new();
    env.clip("ball_rising.mp4", "in/ball.mp4");
    env.clip("door_opening.mp4", "in/door.mp4");
    env.write("in/text.mp4", b"no video");
    env
}

#[test]
fn diff_tells_what_differs_and_ends_with_1() {
    let env = folder();
    env.embed(&["in", "-o", "all.parquet"]).code(1);
    env.embed(&["in", "-o", "out/"]).code(1);
    env.embed(&["in/ball.mp4", "-o", "ball.npz", "--frames", "8"]).code(0);
    let same = env.lift(&["diff", "all.parquet", "out/"]).code(0);
    assert!(same.stdout.ends_with("they are the same\n"), "{}", same.stdout);
    let differ = env.lift(&["diff", "all.parquet", "ball.npz"]).code(1).stdout;
    for words in [
        "all.parquet alone has 1 id: door",
        "concat: 1 of 1 rows differ; cosine distance: median",
        "settings.frames: 16 in all.parquet, 8 in ball.npz",
    ] {
        assert!(differ.contains(words), "{words} in {differ}");
    }
    let json = env.lift(&["diff", "all.parquet", "ball.npz", "--json", "-q"]).code(1).stdout;
    let found: serde_json::Value = serde_json::from_str(&json).unwrap();
    assert_eq!((&found["common"], &found["a"]["ids_alone"][0]), (&1.into(), &"door".into()));
    env.lift(&["diff", "all.parquet", "absent.npz"]).code(3).says(&["absent.npz: no such file"]);
    env.lift(&["diff", "all.parquet", "in/text.mp4"]).code(3).says(&["text.mp4"]);
}

#[test]
fn status_tells_how_far_a_run_is() {
    let env = folder();
    env.embed(&["in", "-o", "out/"]).code(1);
    let said = env.lift(&["status", "out"]).code(0).stdout;
    for words in [
        "out: 3 of 3 inputs done (100.0 %)",
        "2 embedded (2 rows), 1 failed, 0 missing",
        "complete",
        "1 input failed: open: ",
    ] {
        assert!(said.contains(words), "{words} in {said}");
    }
    assert!(!env.path("out/_progress.json").exists());
    // As if a run were in it: the lock is held, and its last word is that it did 5 inputs in 10 seconds.
    std::fs::remove_file(env.path("out/part-00000.parquet")).unwrap();
    let said = env.lift(&["status", "out"]).code(0).stdout;
    assert!(said.contains("0 of 3 inputs") && said.contains("no run writes to it now"), "{said}");
    let lock = std::fs::File::open(env.path("out/.lock")).unwrap();
    lock.lock().unwrap();
    env.write("out/_progress.json", br#"{"started": 1000.0, "updated": 1010.0, "done": 5, "wanted": 8}"#);
    let said = env.lift(&["status", "out"]).code(0).stdout;
    assert!(said.contains("1 run: 0.50 inputs a second, about 6 s left"), "{said}");
    drop(lock);
    // One of two shards.
    env.embed(&["in", "-o", "run/", "--shard", "0/2"]);
    let said = env.lift(&["status", "run"]).code(0).stdout;
    assert!(said.contains("in 1 of 2 shards") && said.contains("not begun: shard 1"), "{said}");
    let json = env.lift(&["status", "run", "--json"]).code(0).stdout;
    let found: serde_json::Value = serde_json::from_str(&json).unwrap();
    assert_eq!(
        (&found["not_begun"][0], &found["shards"], &found["missing"]),
        (&1.into(), &2.into(), &0.into())
    );
    env.lift(&["status", "in/ball.mp4"]).code(3).says(&["it is a file; name the folder"]);
    env.lift(&["status", "in"]).code(3).says(&["no dataset"]);
}
