//! `lift plot` as a user runs it, right and wrong.

use std::fs;

use serde_json::Value;

use crate::env::{Ran, TestEnv};

fn plot(env: &TestEnv, args: &[&str]) -> Ran {
    env.lift(&[&["plot", "--model", "mini"], args].concat())
}

#[test]
fn each_extension_gives_a_file_of_its_kind_and_nothing_else() {
    let env = TestEnv::new();
    env.clip("door_opening.mp4", "door.mp4");
    let starts: [(&str, &[u8]); 4] = [
        ("out.png", b"\x89PNG\r\n\x1a\n"),
        ("out.svg", b"<svg xmlns="),
        ("out.gif", b"GIF89a"),
        ("out.html", b"<!DOCTYPE html>"),
    ];
    for (name, start) in starts {
        plot(&env, &["door.mp4", "-o", name, "--frames", "4", "--dpi", "48"]).code(0).says(&[name]);
        assert!(fs::read(env.path(name)).unwrap().starts_with(start), "{name}");
    }
    let page = fs::read_to_string(env.path("out.html")).unwrap();
    assert!(page.contains("\"mirror\":true"), "the page has a switch for the mirror");
    plot(&env, &["door.mp4", "--frames", "4", "--dpi", "48"]).code(0);
    assert_eq!(env.names(), ["door.lift.png", "door.mp4", "out.gif", "out.html", "out.png", "out.svg"]);
}

#[test]
fn a_page_opens_on_the_projection_of_the_picture_and_tells_its_marks() {
    let env = TestEnv::new();
    env.clip("door_opening.mp4", "door.mp4");
    for (flags, picture, page) in [
        (&[][..], "t-SNE", "\"projections\":[{\"method\":\"tsne\""),
        (&["--with-reverse"], "PCA", "\"projections\":[{\"method\":\"pca\""),
    ] {
        let draw = |name: &str| {
            plot(&env, &[&["door.mp4", "-o", name, "--overwrite"], flags].concat()).code(0);
            fs::read_to_string(env.path(name)).unwrap()
        };
        let (svg, html) = (draw("x.svg"), draw("x.html"));
        assert!(svg.contains(picture), "{flags:?}: {svg}");
        assert!(html.contains(page), "{flags:?}");
        assert!(html.contains("frame features (circles)") && html.contains("LiFT reconstruction (squares)"));
    }
}

#[test]
fn one_seed_is_one_picture_whatever_the_threads() {
    let env = TestEnv::new();
    env.clip("wheel_turning.webm", "wheel.webm");
    for (name, threads) in [("a.svg", "1"), ("b.svg", "2"), ("c.svg", "4")] {
        plot(&env, &["wheel.webm", "-o", name, "--seed", "7", "--frames", "32", "--threads", threads])
            .code(0);
    }
    let first = fs::read(env.path("a.svg")).unwrap();
    assert!(["b.svg", "c.svg"].iter().all(|name| fs::read(env.path(name)).unwrap() == first));
}

#[test]
fn clips_of_one_name_are_told_apart() {
    let env = TestEnv::new();
    env.clip("door_opening.mp4", "a/door.mp4");
    env.clip("door_closing.webm", "b/door.webm");
    plot(&env, &["a/door.mp4", "b/door.webm", "-o", "x.svg", "--frames", "4"]).code(0);
    let drawn = fs::read_to_string(env.path("x.svg")).unwrap();
    assert!(drawn.contains(">door<") && drawn.contains(">b/door.webm<"));
}

#[test]
fn features_from_a_file_need_no_model_and_measure_the_same() {
    let env = TestEnv::new();
    env.clip("door_opening.mp4", "in/open.mp4");
    env.clip("door_closing.webm", "in/close.webm");
    env.embed(&["in", "-o", "x.npz", "--parts", "frames,reconstructed"]).code(0);
    // The published pair is not there and must not be asked for.
    env.lift(&["plot", "x.npz", "-o", "both.svg"]).code(0);
    let both = fs::read_to_string(env.path("both.svg")).unwrap();
    assert!(both.contains(">open<") && both.contains(">close<"));
    let line =
        |ran: Ran| -> Value { serde_json::from_str(ran.code(0).stdout.lines().next().unwrap()).unwrap() };
    let file = line(env.lift(&["plot", "x.npz", "--id", "open", "--json"]));
    let video = line(plot(&env, &["in/open.mp4", "--json"]));
    assert_eq!(file["distance"], video["distance"]);
    assert_eq!(file["curvature"]["features"], video["curvature"]["features"]);
    assert_eq!(file["distance"].as_array().unwrap().len(), 16);
    assert!(file["curvature"]["pixels"].is_null() && video["curvature"]["pixels"]["mean"].is_number());
    env.lift(&["plot", "x.npz", "--id", "gone", "-o", "y.png"]).code(3).says(&["x.npz", "'gone'"]);
    env.lift(&["plot", "x.npz", "--with-reverse", "-o", "y.png"]).code(2).says(&["give the video"]);
    env.embed(&["in", "-o", "set/", "--parts", "frames,reconstructed"]).code(0);
    env.lift(&["plot", "set/", "-o", "set.svg"]).code(0);
    assert_eq!(fs::read_to_string(env.path("set.svg")).unwrap(), both);
    env.embed(&["in", "-o", "c.npz", "--parts", "concat,static"]).code(0);
    env.lift(&["plot", "c.npz", "-o", "y.png"]).code(3).says(&["--parts frames,reconstructed"]);
    assert!(!env.path("y.png").exists());
}

#[test]
fn what_cannot_be_drawn_is_refused_before_any_work() {
    let env = TestEnv::new();
    env.clip("door_opening.mp4", "door.mp4");
    env.write("there.png", b"mine");
    plot(&env, &["door.mp4", "-o", "there.png"]).code(2).says(&["there.png", "--overwrite"]);
    assert_eq!(fs::read(env.path("there.png")).unwrap(), b"mine");
    plot(&env, &["door.mp4", "-o", "x.tiff"]).code(2).says(&["x.tiff", ".svg"]);
    plot(&env, &["door.mp4", "-o", "x.gif", "--figure", "line"]).code(2).says(&["animations"]);
    plot(&env, &["door.mp4", "-o", "x.png", "--figure", "animation"]).code(2).says(&[".gif or .mp4"]);
    plot(&env, &["door.mp4", "-o", "x.html", "--figure", "line"]).code(2).says(&["--figure"]);
    plot(&env, &["door.mp4", "-o", "x.png", "--frames", "1"]).code(2);
    plot(&env, &["door.mp4", "-o", "x.png", "--dpi", "1e9"]).code(2).says(&["24 to 600"]);
    plot(&env, &["door.mp4", "-o", "x.png", "--figure", "line", "--with-reverse"]).code(2).says(&["not 2"]);
    plot(&env, &["door.mp4", "door.mp4", "-o", "x.gif"]).code(2).says(&["animation", "--figure compare"]);
    plot(&env, &["door.mp4", "-o", "x.png", "--id", "door"]).code(2).says(&["--id", "door.mp4"]);
    assert_eq!(env.names(), ["door.mp4", "there.png"]);
}

#[test]
fn a_bad_video_is_named_and_the_others_are_drawn() {
    let env = TestEnv::new();
    env.clip("door_opening.mp4", "a.mp4");
    env.clip("door_closing.webm", "b.webm");
    env.write("bad.mp4", b"no video");
    plot(&env, &["a.mp4", "bad.mp4", "b.webm", "-o", "x.svg"]).code(1).says(&["bad.mp4", "drawn into x.svg"]);
    let drawn = fs::read_to_string(env.path("x.svg")).unwrap();
    assert!(drawn.contains(">a<") && drawn.contains(">b<"));
    plot(&env, &["bad.mp4", "-o", "y.svg"]).code(1).says(&["nothing was drawn"]);
    assert!(!env.path("y.svg").exists());
}

#[test]
fn every_command_that_reads_videos_refuses_pictures_over_the_limit() {
    let env = TestEnv::new();
    env.clip("door_opening.mp4", "in/door.mp4");
    let limit = ["--max-pixels", "100"];
    let over = ["in/door.mp4", "over the limit of 100 pixels"];
    plot(&env, &[&["in/door.mp4", "-o", "x.svg"], &limit[..]].concat()).code(1).says(&over);
    let train = ["train", "--model", "mini", "in", "-o", "run", "--cache", "cache", "--epochs", "1"];
    env.lift(&[&train, &limit[..]].concat()).code(3).says(&over);
}

#[test]
fn a_dataset_is_drawn_as_the_file_of_its_rows() {
    let env = TestEnv::new();
    env.clip("door_opening.mp4", "in/open.mp4");
    env.clip("door_closing.webm", "in/close.webm");
    let parts = ["--parts", "frames,reconstructed"];
    env.embed(&[&["in", "-o", "x.npz"], &parts[..]].concat()).code(0);
    env.embed(&[&["in", "-o", "set/", "--shard-size", "1"], &parts[..]].concat()).code(0);
    for (extra, name) in [(&[][..], "both"), (&["--id", "open"], "one")] {
        let draw = |from: &str, to: String| {
            env.lift(&[&["plot", from, "-o", &to][..], extra].concat()).code(0);
            fs::read(env.path(&to)).unwrap()
        };
        assert_eq!(draw("x.npz", format!("{name}-a.svg")), draw("set", format!("{name}-b.svg")));
    }
    env.lift(&["plot", "set/", "--id", "gone", "-o", "y.png"]).code(3).says(&["set", "'gone'"]);
}
