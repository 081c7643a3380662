//! A benchmark of one's own: labels that are texts, its name and title, and figures for print.

use std::fs;

use crate::env::TestEnv;

/// Twelve videos of two groups, labelled with texts, and numbers that tell the directions.
fn benchmark(env: &TestEnv) {
    let labels = [("door", ["open", "close"]), ("paper", ["unfold", "fold"])];
    let (mut train, mut valid, mut rows) = (String::new(), String::new(), String::new());
    for (group, (name, [first, second])) in labels.iter().enumerate() {
        for at in 0..6 {
            let label = if at % 2 == 0 { first } else { second };
            let side = if at < 4 { &mut train } else { &mut valid };
            side.push_str(&format!("{name}{at},{name},{label}\n"));
            let sign = if at % 2 == 0 { 1.0 } else { -1.0 };
            rows += &format!("{{\"id\":\"{name}{at}\",\"x\":[{sign},{group}.5,{}]}}\n", at as f32 / 8.0);
        }
    }
    let header = "id,chiral_triplet_id,chiral_label\n";
    env.write("my-train.csv", format!("{header}{train}").as_bytes());
    env.write("my-valid.csv", format!("{header}{valid}").as_bytes());
    env.write("x.jsonl", rows.as_bytes());
}

const EVAL: [&str; 8] = [
    "eval-cia",
    "--train",
    "my-train.csv",
    "--valid",
    "my-valid.csv",
    "--features",
    "mine=x.jsonl",
    "--per-group",
];

#[test]
fn labels_may_be_texts_and_the_benchmark_has_a_name_and_a_title() {
    let env = TestEnv::new();
    benchmark(&env);
    let eval = |more: &[&str]| env.lift(&[&EVAL[..], more].concat());
    let ran = eval(&[]).code(0).says(&["door: close / open, paper: fold / unfold", "--forward LABEL"]);
    assert!(ran.stdout.contains("100.0") && ran.stdout.contains("close"), "{}", ran.stdout);
    let named =
        ["--forward", "open", "--forward", "unfold", "--name", "kitchen", "--title", "Kitchen actions"];
    let files = ["-o", "r.md", "-o", "r.json", "--figure", "f.svg"];
    let ran = eval(&[&named[..], &files].concat()).code(0);
    assert!(!ran.stderr.contains("--forward LABEL"), "{}", ran.stderr);
    let text = |name: &str| fs::read_to_string(env.path(name)).unwrap();
    assert!(text("r.md").starts_with("# Kitchen actions\n") && text("r.md").contains("kitchen"));
    assert!(text("f.svg").contains(">Kitchen actions</text>") && text("f.svg").contains("kitchen: accuracy"));
    let report: serde_json::Value = serde_json::from_str(&text("r.json")).unwrap();
    assert_eq!(
        (&report["title"], &report["results"][0]["dataset"]),
        (&"Kitchen actions".into(), &"kitchen".into())
    );
    assert_eq!(report["results"][0]["per_group"][0]["verb_forward"], "open");
    eval(&["--forward", "opne"]).code(3).says(&["no video has the label `opne`"]);
    env.write("my-train.csv", b"id,chiral_triplet_id,chiral_label\na,door,open\nb,door,close\nc,door,shut\n");
    eval(&[]).code(3).says(&["my-train.csv:4: label `shut` is the third of group door"]);
}

#[test]
fn every_command_that_draws_writes_pdf() {
    let env = TestEnv::new();
    benchmark(&env);
    let labels: String =
        (0..6).map(|at| format!("door{at},{}\n", if at % 2 == 0 { "a" } else { "b" })).collect();
    env.write("labels.csv", format!("id,label\n{labels}").as_bytes());
    env.clip("ball_rising.mp4", "a.mp4");
    env.lift(&[&EVAL[..], &["--figure", "a.pdf", "--shots", "2", "--shots-figure", "b.pdf"]].concat())
        .code(0);
    let probe = [
        "probe",
        "--labels",
        "labels.csv",
        "--features",
        "mine=x.jsonl",
        "--folds",
        "3",
        "--figure",
        "c.pdf",
    ];
    env.lift(&probe).code(0);
    env.lift(&["plot", "--model", "mini", "a.mp4", "-o", "d.pdf"]).code(0);
    let rows =
        (0..4).map(|at| format!("{{\"id\":{at},\"f\":[[1,{at}],[{at},2],[0,1]]}}\n")).collect::<String>();
    env.write("f.jsonl", rows.as_bytes());
    let train = ["train", "f.jsonl", "-o", "run", "--epochs", "2", "--layers", "1", "--lift-heads", "1"];
    env.lift(&train).code(0);
    env.lift(&["train", "--plot", "run/log.jsonl", "-o", "e.pdf"]).code(0);
    for name in ["a.pdf", "b.pdf", "c.pdf", "d.pdf", "e.pdf"] {
        let bytes = fs::read(env.path(name)).unwrap();
        assert!(bytes.starts_with(b"%PDF-") && bytes.ends_with(b"%%EOF"), "{name}");
    }
    env.lift(&["plot", "--model", "mini", "a.mp4", "-o", "d.jpg"]).code(2).says(&[".png, .svg, .pdf"]);
}
