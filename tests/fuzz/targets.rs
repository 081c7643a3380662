//! What is fuzzed: every reader of a file that comes from outside, each as a function of the file's bytes.
//!
//! The first byte chooses among a target's variants, the rest is the file. A target must return: with a value or with an
//! error, both of which it looks at; a panic, an abort, a hang or a growing memory is a finding. The fuzzer
//! (`tests/fuzz/main.rs`) and the replay of the kept findings (`tests/it/fuzz_corpus.rs`) share this file.

use std::fs;
use std::path::{Path, PathBuf};

use lift::cia::clips::Columns;
use lift::video::{Request, Sampling};
use lift::weights::{FAMILIES, WeightsSource};
use lift::{cia, inputs, rows, train, video, weights};

/// The names of the targets: also the folders of the kept corpus.
pub const TARGETS: [&str; 10] =
    ["checkpoint", "weights", "npy", "npz", "safetensors", "parquet", "jsonl", "csv", "list", "clip"];

/// Runs one target over one file of bytes, with its files under `folder`.
pub fn run(target: &str, bytes: &[u8], folder: &Path) {
    let (&variant, bytes) = bytes.split_first().unwrap_or((&0, &[]));
    match target {
        "checkpoint" => {
            // The loader tells the two formats apart by the first bytes: a checkpoint is a zip.
            let file = write(folder, "x.ckpt", bytes);
            look(weights::load_lift(&WeightsSource::File(file), true).map(drop));
        }
        "weights" => {
            let file = write(folder, "x.safetensors", bytes);
            let source = WeightsSource::File(file);
            if variant % 2 == 0 {
                look(weights::load_lift(&source, true).map(|(store, _)| touch(&store)));
            } else {
                let heads = (variant > 127).then_some(usize::from(variant >> 1 & 15));
                let family = FAMILIES[usize::from(variant >> 5) % FAMILIES.len()];
                look(
                    weights::load_encoder(family, &source, heads, true).map(|weights| touch(weights.store())),
                );
            }
        }
        "npy" | "npz" | "safetensors" | "parquet" | "jsonl" => {
            let file = write(folder, &format!("x.{target}"), bytes);
            let only = (variant % 4 == 1).then_some("concat");
            let wanted = rows::Wanted { array: only, ..rows::Wanted::default() };
            look(rows::read(&file, wanted).map(|table| look(table.index().map(drop))));
            if variant % 4 == 2 {
                look(rows::open(&file, wanted, folder).map(|opened| {
                    look(train::Clips::opened(opened).map(|clips| clips.digest()));
                }));
                look(cia::stored::embeddings(&file, wanted).map(drop));
            }
        }
        "csv" => {
            let file = write(folder, "x.csv", bytes);
            let columns = match variant % 3 {
                0 => Columns::default(),
                1 => Columns { video: Some("video".into()), ..Columns::default() },
                _ => Columns { video: None, start: Some("start".into()), end: Some("end".into()) },
            };
            look(cia::listing::read(&file, &columns).map(drop));
            // The same bytes as the companion of rows, and as a list of their ids.
            let data = write(folder, "y.npy", NPY);
            fs::write(rows::companion_path(&data), bytes).expect("the companion can be written");
            look(rows::read(&data, rows::Wanted::default()).map(drop));
            look(rows::read(&data, rows::Wanted { ids: Some(&file), ..rows::Wanted::default() }).map(drop));
        }
        "list" => {
            // A folder in a list is searched, and the whole machine is no place to fuzz in.
            let bytes: Vec<u8> = bytes.iter().map(|&byte| if byte == b'/' { b'_' } else { byte }).collect();
            let name = ["x.csv", "x.tsv", "x.txt"][usize::from(variant % 3)];
            let file = write(folder, name, &bytes);
            look(
                inputs::gather(&[], &[file], &mut &b""[..], inputs::Range::default(), &[])
                    .map(|found| found.iter().count()),
            );
            look(inputs::gather_files(&["-".into()], &mut &bytes[..]).map(|found| found.iter().count()));
        }
        "clip" => {
            let file = write(folder, "x.bin", bytes);
            look(video::probe(&file).map(drop));
            let sampling = [Sampling::Count(16), Sampling::All, Sampling::Fps(5.0)][usize::from(variant % 3)];
            let request = Request {
                sampling,
                start: (variant & 8 != 0).then_some(0.3),
                keyframes: variant & 64 != 0,
                reverse: variant & 16 != 0,
                allow_truncated: variant & 32 != 0,
                most: Some(200),
                ..Request::default()
            };
            look(video::read_transformed(&file, &request).map(|clip| clip.frames.len()));
        }
        other => panic!("no target is called {other}"),
    }
}

/// An array of one row: what a companion may belong to.
const NPY: &[u8] = b"\x93NUMPY\x01\x00\x45\x00{'descr': '<f4', 'fortran_order': False, 'shape': (1, 1), }         \n\0\0\x80\x3f";

fn write(folder: &Path, name: &str, bytes: &[u8]) -> PathBuf {
    let path = folder.join(name);
    fs::write(&path, bytes).expect("the target's file can be written");
    path
}

/// Every tensor is read as numbers.
fn touch(store: &weights::Store) {
    for name in store.names() {
        look(store.f32(name).map(|values| values.len()));
    }
}

/// A message is part of the answer: it must be there, and printable.
fn look<T, E: std::fmt::Display>(result: Result<T, E>) {
    if let Err(error) = result {
        assert!(!error.to_string().is_empty(), "an error without a word");
    }
}
