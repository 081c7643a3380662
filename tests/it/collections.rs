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
