//! What the fuzzer found and what was fixed, replayed: every file of `tests/fuzz/corpus` through its target.

use std::fs;
use std::path::Path;

#[path = "../fuzz/targets.rs"]
mod targets;

#[test]
fn every_kept_finding_gives_a_value_or_an_error() {
    let corpus = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fuzz/corpus");
    let folder = tempfile::tempdir().unwrap();
    let mut count = 0;
    for target in targets::TARGETS {
        let Ok(files) = fs::read_dir(corpus.join(target)) else { continue };
        for file in files {
            let path = file.unwrap().path();
            println!("{target}: {}", path.display());
            targets::run(target, &fs::read(&path).unwrap(), folder.path());
            count += 1;
        }
    }
    assert!(count > 0, "the corpus is gone");
}
