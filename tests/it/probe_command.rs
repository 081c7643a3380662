//! `lift probe` on the bundled clips and on small matrices.

use crate::env::TestEnv;

/// Sixty rows of two classes that the first number tells apart, and one of noise; labels with a split.
fn numbers() -> TestEnv {
    let env = TestEnv::new();
    let (mut rows, mut labels) = (String::new(), "id,label,split,scene\n".to_owned());
    for at in 0..60 {
        let class = at % 3;
        let noise = f64::from((at * 37 + 11) % 23) / 23.0 - 0.5;
        rows += &format!(
            "{{\"id\":\"set/v{at}\",\"x\":[{}, {noise}, {}]}}\n",
            f64::from(class) - noise * 0.2,
            class % 2
        );
        let split = if at < 40 { "train" } else { "test" };
        labels += &format!("v{at}.avi,c{class},{split},s{}\n", at / 6);
    }
    env.write("x.jsonl", rows.as_bytes());
    env.write("labels.csv", labels.as_bytes());
    env.write("folds.csv", labels.replace("split", "part").as_bytes());
    env
}

const PROBE: [&str; 3] = ["probe", "--features", "x=x.jsonl"];

#[test]
fn a_probe_tells_its_accuracy_and_writes_every_output() {
    let env = numbers();
    for probe in ["ridge", "logistic"] {
        let json = format!("{probe}.json");
        let flags =
            ["--labels", "labels.csv", "--probe", probe, "--alpha", "0.1,1", "--C", "1,10", "-o", &json];
        let more =
            ["--predictions", "said.csv", "--figure", "probe.png", "--published", "ucf101", "--overwrite"];
        let ran = env
            .lift(&[&PROBE[..], &flags, &more].concat())
            .code(0)
            .says(&["60 without folder and extension"]);
        assert!(
            ran.stdout.contains("40 training and 20 test videos")
                && ran.stdout.contains("published, ucf101: V-JEPA")
        );
        let report: serde_json::Value =
            serde_json::from_slice(&std::fs::read(env.path(&json)).unwrap()).unwrap();
        let score = &report["results"][0];
        assert_eq!((report["classes"].as_u64(), score["videos"].as_u64()), (Some(3), Some(20)), "{score}");
        assert!(score["top1"].as_f64().unwrap() > 90.0 && score["top5"].is_null(), "{score}");
        let said = std::fs::read_to_string(env.path("said.csv")).unwrap();
        assert_eq!(said.lines().count(), 21);
        assert!(said.starts_with("representation,id,label,predicted,rank,fold\nx,v40.avi,c1,"), "{said}");
        image::open(env.path("probe.png")).unwrap();
    }
    // Without a split, in folds that keep groups together; the seed decides.
    let folds =
        ["--labels", "folds.csv", "--groups", "scene", "--folds", "4", "-o", "folds.csv", "--overwrite"];
    let folds = [&PROBE[..], &folds[..6]].concat();
    let ran = env.lift(&folds).code(0);
    assert!(ran.stdout.contains("60 videos in 4 folds, 10 groups kept together"), "{}", ran.stdout);
    assert_eq!(ran.stdout, env.lift(&folds).code(0).stdout);
}

#[test]
fn what_cannot_be_probed_is_refused_with_its_remedy() {
    let env = numbers();
    let labels = std::fs::read_to_string(env.path("labels.csv")).unwrap();
    env.write("more.csv", format!("{labels}absent,c0,test,s0\nv1000.avi,c9,test,s0\n").as_bytes());
    env.write("sides.csv", labels.replace(",c2,test", ",c3,test").as_bytes());
    env.write("one.csv", b"id,label\nv0,a\nv1,a\n");
    env.write("other.csv", b"id,label\na,x\nb,y\n");
    let run = |labels: &str, flags: &[&str]| env.lift(&[&PROBE[..], &["--labels", labels], flags].concat());
    run("more.csv", &[]).code(3).says(&["2 of 62 videos have no row: absent, v1000.avi", "--allow-missing"]);
    run("more.csv", &["--allow-missing"]).code(0).says(&["2 of 62 videos"]);
    run("sides.csv", &[]).code(3).says(&["c3 (no training video)", "c2 (no test video)", "--allow-missing"]);
    run("sides.csv", &["--allow-missing"]).code(0);
    run("one.csv", &[]).code(3).says(&["all videos are of one class, `a`"]);
    run("other.csv", &[])
        .code(3)
        .says(&["no video of the labels has a row; 'a' is wanted and", "has 'set/v0'"]);
    run("absent.csv", &[]).code(3).says(&["absent.csv: no such file"]);
    run("folds.csv", &["--groups", "scene", "--folds", "11"])
        .code(3)
        .says(&["11 folds of 10 groups", "--folds"]);
    run("labels.csv", &["--representation", "lift"]).code(2).says(&["`lift` needs"]);
    run("labels.csv", &["--order"]).code(2).says(&["--parts concat,frames"]);
    env.lift(&["probe"]).code(2).says(&["--labels"]);
    env.lift(&["probe", "--labels", "labels.csv"]).code(2).says(&["--embeddings"]);
}

#[test]
fn the_order_of_the_frames_changes_the_embedding_and_never_the_mean_of_the_frames() {
    let env = TestEnv::new();
    for name in ["ball_rising.mp4", "door_closing.webm", "door_opening.mp4", "wheel_turning.webm"] {
        env.clip(name, &format!("clips/{name}"));
    }
    env.embed(&["clips", "-o", "set.npz", "--parts", "concat,frames"]).code(0);
    let order = ["probe", "--order", "--embeddings", "set.npz", "--model", "mini", "-o", "order.json"];
    env.lift(&order).code(0);
    let report: serde_json::Value =
        serde_json::from_slice(&std::fs::read(env.path("order.json")).unwrap()).unwrap();
    let scores = report["order"].as_array().unwrap();
    assert_eq!(scores.len(), 4 * 6);
    for score in scores {
        let distance = score["distance"].as_f64().unwrap();
        let same = score["representation"] == "frames-mean" || score["frames"] == "as they are";
        assert_eq!(distance == 0.0, same, "{score}");
        if score["representation"] == "odd" && score["frames"] == "reversed" {
            assert!(
                score["cosine"].as_f64().unwrap() < -0.999_999 && (distance - 2.0).abs() < 1e-6,
                "{score}"
            );
        }
    }
    // With labels, classifiers that never saw the changed clips are scored on them.
    env.write("labels.csv", b"id,label\nball_rising,a\ndoor_closing,a\ndoor_opening,b\nwheel_turning,b\n");
    let labels = ["--labels", "labels.csv", "--folds", "2", "--representation", "lift,frames-mean"];
    let ran = env.lift(&[&order[..6], &labels].concat()).code(0);
    assert!(ran.stdout.contains("shuffled in 16 chunks") && ran.stdout.contains("top-1"), "{}", ran.stdout);
}
