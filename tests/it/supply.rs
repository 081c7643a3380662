//! What a reader of SECURITY.md relies on: its table of `unsafe` code is that of the source.

use std::fs;
use std::path::{Path, PathBuf};

/// Every Rust file below a folder.
fn sources(folder: &Path, into: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            sources(&path, into);
        } else if path.extension().is_some_and(|e| e == "rs") {
            into.push(path);
        }
    }
}

/// `src/video/{demux,ffmpeg_log}.rs` as its two names; others as they are.
fn expanded(place: &str) -> Vec<String> {
    let Some((before, rest)) = place.split_once('{') else { return vec![place.to_string()] };
    let (inner, after) = rest.split_once('}').unwrap();
    inner.split(',').map(|name| format!("{before}{name}{after}")).collect()
}

#[test]
fn every_unsafe_stands_in_the_table_and_every_place_of_the_table_has_one() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let text = fs::read_to_string(root.join("SECURITY.md")).unwrap();
    let table = text.split_once("## Unsafe code").unwrap().1;
    let rows = table.lines().filter(|line| line.starts_with("| `src/"));
    let cells = rows.filter_map(|line| line.split('|').nth(1));
    let places: Vec<String> =
        cells.flat_map(|cell| cell.split('`').filter(|p| p.starts_with("src/"))).flat_map(expanded).collect();
    assert!(places.len() > 5, "{places:?}");
    let mut files = Vec::new();
    sources(&root.join("src"), &mut files);
    let with_unsafe: Vec<String> = files
        .iter()
        .filter(|path| {
            let text = fs::read_to_string(path).unwrap();
            ["unsafe {", "unsafe fn", "unsafe impl", "unsafe extern"].iter().any(|what| text.contains(what))
        })
        .map(|path| path.strip_prefix(root).unwrap().to_str().unwrap().to_string())
        .collect();
    let covers = |place: &String, file: &String| {
        if place.ends_with('/') { file.starts_with(place) } else { file == place }
    };
    for file in &with_unsafe {
        assert!(places.iter().any(|place| covers(place, file)), "{file} is not in the table of SECURITY.md");
    }
    for place in &places {
        assert!(with_unsafe.iter().any(|file| covers(place, file)), "{place} of SECURITY.md has no unsafe");
    }
}
