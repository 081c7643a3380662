//! The recipes, run as they stand.

use std::path::{Path, PathBuf};
use std::process::Command;

use crate::env::TestEnv;

fn recipe(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("scripts/recipes").join(name)
}

#[test]
fn python_loads_what_is_written_and_finds_the_nearest_clips() {
    let python = std::env::var("LIFT_PYTHON").unwrap_or_else(|_| "python3".into());
    if !Command::new(&python).args(["-c", "import numpy"]).output().is_ok_and(|o| o.status.success()) {
        println!("skipped: no python with numpy (LIFT_PYTHON names one)");
        return;
    }
    let env = TestEnv::new();
    for name in ["ball_rising.mp4", "door_closing.webm", "door_opening.mp4"] {
        env.clip(name, &format!("in/{name}"));
    }
    for format in ["npz", "jsonl"] {
        let output = format!("clips.{format}");
        env.embed(&["in", "-o", &output, "--parts", "concat,frames"]).code(0);
        let run = |args: &[&str]| {
            let out = Command::new(&python)
                .env("PYTHONDONTWRITEBYTECODE", "1")
                .env("PYTHONPATH", recipe(""))
                .args(args)
                .current_dir(env.path(""))
                .output()
                .unwrap();
            assert!(out.status.success(), "{}", String::from_utf8_lossy(&out.stderr));
            String::from_utf8(out.stdout).unwrap()
        };
        let nearest = run(&[recipe("nearest.py").to_str().unwrap(), &output, "door_opening"]);
        let first = nearest.lines().next().unwrap();
        assert_eq!(first, "1.000  door_opening", "{nearest}");
        assert_eq!(nearest.lines().count(), 3, "{nearest}");
        let frames =
            format!("from load import load; ids, x = load('{output}', 'frames'); print(ids, x.shape)");
        assert_eq!(
            run(&["-c", &frames]).trim(),
            "['ball_rising', 'door_closing', 'door_opening'] (3, 16, 128)"
        );
    }
}
