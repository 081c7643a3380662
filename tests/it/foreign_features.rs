//! Features of other programs: which array is read, where the ids are, and what a trained LiFT makes of them.

use std::collections::HashMap;
use std::fs::File;
use std::io::Write;
use std::path::Path;
use std::sync::Arc;

use arrow_array::types::Int32Type;
use arrow_array::{ArrayRef, DictionaryArray, FixedSizeListArray, Float32Array, Int64Array, RecordBatch};
use arrow_schema::{DataType, Field};
use lift::rows::{Table, Wanted, read};
use parquet::arrow::ArrowWriter;
use safetensors::Dtype;
use safetensors::tensor::TensorView;
use zip::ZipWriter;
use zip::write::SimpleFileOptions;

use crate::env::TestEnv;

/// An array as numpy saves it.
fn npy(descr: &str, shape: &str, values: &[u8]) -> Vec<u8> {
    let dict = format!("{{'descr': '{descr}', 'fortran_order': False, 'shape': {shape}, }}");
    let mut bytes = b"\x93NUMPY\x01\x00".to_vec();
    bytes.extend((dict.len() as u16).to_le_bytes());
    bytes.extend(dict.as_bytes());
    bytes.extend(values);
    bytes
}

fn floats(values: &[f32]) -> Vec<u8> {
    values.iter().flat_map(|x| x.to_le_bytes()).collect()
}

fn npz(path: &Path, arrays: &[(&str, Vec<u8>)]) {
    let mut zip = ZipWriter::new(File::create(path).unwrap());
    for (name, bytes) in arrays {
        zip.start_file(format!("{name}.npy"), SimpleFileOptions::default()).unwrap();
        zip.write_all(bytes).unwrap();
    }
    zip.finish().unwrap();
}

/// Sixteen videos, ids 0 to 15; the first number of `good` tells their direction, `bad` is noise.
fn benchmark(env: &TestEnv) -> (Vec<f32>, Vec<f32>) {
    let header = "triplet_id,id_forward,id_reverse,verb_forward,verb_reverse";
    env.write("train.csv", format!("{header}\nt,0;2;4;6,1;3;5;7,open,close\n").as_bytes());
    env.write("valid.csv", format!("{header}\nt,8;10;12;14,9;11;13;15,open,close\n").as_bytes());
    let good = (0..16).flat_map(|at| [if at % 2 == 0 { 1.0 } else { -1.0 }, 0.5]).collect();
    let bad = (0..16).flat_map(|at| [((at * at * 7) % 5) as f32, ((at * 3) % 7) as f32]).collect();
    (good, bad)
}

const EVAL: [&str; 5] = ["eval-cia", "--train", "train.csv", "--valid", "valid.csv"];

#[test]
fn one_array_of_a_file_and_ids_of_any_type_are_chosen() {
    let env = TestEnv::new();
    let (good, bad) = benchmark(&env);
    let numbers: Vec<u8> = (0..16i64).flat_map(i64::to_le_bytes).collect();
    let ids = npy("<i8", "(16,)", &numbers);
    let arrays = |ids: (&'static str, Vec<u8>)| {
        [("bad", npy("<f4", "(16, 2)", &floats(&bad))), ("good", npy("<f4", "(16, 2)", &floats(&good))), ids]
    };
    npz(&env.path("own.npz"), &arrays(("ids", ids.clone())));
    npz(&env.path("named.npz"), &arrays(("video", ids.clone())));
    npz(&env.path("objects.npz"), &arrays(("ids", npy("|O", "(16,)", b"\x80\x03."))));
    let eval = |more: &[&str]| env.lift(&[&EVAL[..], more].concat());
    eval(&["--features", "own=own.npz"])
        .code(3)
        .says(&["own.npz: it holds bad", "--features own=own.npz#good"]);
    let ran = eval(&["--features", "own=own.npz#good"]).code(0);
    assert!(ran.stdout.contains("100.0"), "{}", ran.stdout);
    eval(&["--features", "own=own.npz#gone"])
        .code(3)
        .says(&["it has no array 'gone'; it has bad (2), good (2)"]);
    env.write("ids.txt", (0..16).map(|at| format!("{at}\n")).collect::<String>().as_bytes());
    eval(&["--features", "own=objects.npz#good", "--ids", "own=ids.txt"]).code(0);
    eval(&["--features", "own=objects.npz#good"]).code(3).says(&[
        "array 'ids'",
        "Python objects",
        "dtype=str",
    ]);
    eval(&["--features", "own=named.npz#good"]).code(3).says(&["no ids", "--id-column own=COLUMN"]);
    eval(&["--features", "own=named.npz#good", "--id-column", "own=video"]).code(0);
    eval(&["--features", "own=named.npz#good", "--id-column", "own=vid"])
        .code(3)
        .says(&["it has no 'vid' to read the ids from; it has bad, good, video"]);
    eval(&["--features", "own=named.npz#good", "--id-column", "video"])
        .code(2)
        .says(&["--id-column own=video"]);
    // The ids in a file of their own: numbers, or a column of a table.
    env.write("ids.npy", &ids);
    let rows: String = (0..16).map(|at| format!("x,{at}\n")).collect();
    env.write("ids.csv", format!("note,video\n{rows}").as_bytes());
    eval(&["--features", "own=named.npz#good", "--ids", "own=ids.npy"]).code(0);
    eval(&["--features", "own=named.npz#good", "--ids", "own=ids.csv", "--id-column", "own=video"]).code(0);
    // The other commands read the same names.
    let duplicates = env.lift(&["duplicates", "named.npz#good", "--id-column", "video"]).code(0);
    assert!(duplicates.stderr.contains("2 groups of the same footage"), "{}", duplicates.stderr);
    let found =
        env.lift(&["search", "named.npz#good", "--id-column", "video", "--id", "4", "--top", "1"]).code(0);
    assert!(found.stdout.contains("1.000"), "{}", found.stdout);
    env.lift(&["search", "own.npz#good", "--prepare"])
        .code(2)
        .says(&["--prepare: one array of a file (#good)"]);
}

fn parquet(path: &Path, id: &str, ids: ArrayRef, values: &[f32]) {
    let item = Arc::new(Field::new("element", DataType::Float32, false));
    let lists = FixedSizeListArray::new(item, 2, Arc::new(Float32Array::from(values.to_vec())), None);
    let batch = RecordBatch::try_from_iter([(id, ids), ("clip", Arc::new(lists) as ArrayRef)]).unwrap();
    let mut writer = ArrowWriter::try_new(File::create(path).unwrap(), batch.schema(), None).unwrap();
    writer.write(&batch).unwrap();
    writer.close().unwrap();
}

#[test]
fn ids_are_integers_or_texts_in_any_column() {
    let env = TestEnv::new();
    let values = [1.0, 2.0, 3.0, 4.0];
    let ids = |table: Table| table.ids().unwrap().to_vec();
    let by = |column: &'static str| Wanted { id_column: Some(column), ..Wanted::default() };
    let path = env.path("x.parquet");
    parquet(&path, "id", Arc::new(Int64Array::from(vec![7, -8])), &values);
    assert_eq!(ids(read(&path, Wanted::default()).unwrap()), ["7", "-8"]);
    // What pandas calls a category.
    let category: DictionaryArray<Int32Type> = vec!["b", "a"].into_iter().collect();
    parquet(&path, "video", Arc::new(category), &values);
    assert_eq!(ids(read(&path, by("video")).unwrap()), ["b", "a"]);
    let error = read(&path, by("vid")).unwrap_err().to_string();
    assert!(error.contains("no 'vid' to read the ids from; it has video, clip"), "{error}");
    parquet(&path, "id", Arc::new(Float32Array::from(vec![1.0, 2.0])), &values);
    let error = read(&path, Wanted::default()).unwrap_err().to_string();
    assert!(error.contains("'id' (Float32) does not have a text or an integer in every row"), "{error}");

    let path = env.write(
        "x.jsonl",
        b"{\"id\":76198,\"vid\":\"u\",\"v\":[1,2]}\n{\"id\":9007199254740993,\"vid\":\"w\",\"v\":[3,4]}\n",
    );
    assert_eq!(ids(read(&path, Wanted::default()).unwrap()), ["76198", "9007199254740993"]);
    assert_eq!(ids(read(&path, by("vid")).unwrap()), ["u", "w"]);
    assert!(read(&path, by("gone")).unwrap_err().to_string().contains("line 1: it has no 'gone'"));

    let bytes = floats(&values);
    let numbers: Vec<u8> = [3i32, -4].iter().flat_map(|x| x.to_le_bytes()).collect();
    let views = [
        ("clip", TensorView::new(Dtype::F32, vec![2, 2], &bytes).unwrap()),
        ("video", TensorView::new(Dtype::I32, vec![2], &numbers).unwrap()),
    ];
    let metadata = HashMap::from([("ids".to_owned(), "[5, \"six\"]".to_owned())]);
    let path = env.write("x.safetensors", &safetensors::serialize(views, Some(metadata)).unwrap());
    assert_eq!(ids(read(&path, Wanted::default()).unwrap()), ["5", "six"]);
    assert_eq!(ids(read(&path, by("video")).unwrap()), ["3", "-4"]);
}

#[test]
fn ids_that_do_not_meet_are_shown_with_the_likely_cause() {
    let env = TestEnv::new();
    let (good, _) = benchmark(&env);
    env.write("own.npy", &npy("<f4", "(16, 2)", &floats(&good)));
    for (form, cause) in
        [("{}.mp4", "an extension"), ("clips/{}", "a folder"), ("clips/{}.mp4", "a folder and an extension")]
    {
        let lines: Vec<String> = (0..16).map(|at| form.replace("{}", &at.to_string())).collect();
        env.write("ids.txt", lines.join("\n").as_bytes());
        let args = [&EVAL[..], &["--features", "own=own.npy", "--ids", "own=ids.txt"]].concat();
        let said = format!("'0' is wanted and own.npy has '{}': the ids differ by {cause}", lines[0]);
        env.lift(&args).code(3).says(&["16 of 16 videos have no embedding", &said]);
    }
}

#[test]
fn lift_reads_features_of_ones_own() {
    let env = TestEnv::new();
    env.clip("ball_rising.mp4", "a/ball.mp4");
    env.clip("door_opening.mp4", "a/door.mp4");
    let parts = "concat,static,dynamic,reversed,odd,even,reconstructed,frames,mean";
    assert_eq!(env.embed(&["a", "-o", "all.npz", "--parts", parts]).code, 0);
    assert_eq!(env.embed(&["a", "-o", "frames.parquet", "--parts", "frames"]).code, 0);
    // The features of stored frames give every part of the videos, bit for bit.
    assert_eq!(env.embed(&["frames.parquet", "-o", "own.npz", "--parts", parts]).code, 0);
    let [all, own] = ["all.npz", "own.npz"].map(|name| read(&env.path(name), Wanted::default()).unwrap());
    assert_eq!(all.ids().unwrap(), own.ids().unwrap());
    assert_eq!(all.arrays, own.arrays);
    assert_eq!(all.provenance.unwrap().differences(&own.provenance.unwrap()), Vec::<String>::new());

    // Features of another program: a LiFT is trained on them, and reads them.
    let noise: Vec<f32> =
        (0..8 * 4 * 6).map(|at| ((at * at * 31 + at * 7) % 97) as f32 / 48.0 - 1.0).collect();
    npz(
        &env.path("mine.npz"),
        &[
            ("video", npy("<f4", "(8, 4, 6)", &floats(&noise))),
            ("audio", npy("<f4", "(8, 5, 6)", &floats(&[0.5; 8 * 5 * 6]))),
        ],
    );
    let train =
        ["train", "mine.npz#video", "-o", "run", "--epochs", "1", "--layers", "1", "--lift-heads", "2", "-q"];
    env.lift(&train).code(0);
    let embed = |more: &[&str]| {
        env.lift(&[&["embed", "mine.npz#video", "--lift", "run/best.safetensors"], more].concat())
    };
    embed(&["-o", "z.npz", "--parts", "concat,reconstructed,odd"])
        .code(0)
        .says(&["its rows have no ids, so their numbers from 0 stand for them"]);
    let table = read(&env.path("z.npz"), Wanted::default()).unwrap();
    assert_eq!(table.ids().unwrap(), ["0", "1", "2", "3", "4", "5", "6", "7"]);
    let shapes: Vec<_> = table.arrays.iter().map(|array| (array.name.as_str(), &array.shape[..])).collect();
    assert_eq!(shapes, [("concat", &[8, 12][..]), ("reconstructed", &[8, 4, 6]), ("odd", &[8, 12])]);
    env.write("ids.txt", b"a\nb\nc\nd\ne\nf\ng\nh\n");
    let lines = embed(&["-o", "-", "--ids", "ids.txt", "-q"]).code(0).stdout;
    assert_eq!(lines.lines().count(), 8);
    assert!(lines.starts_with("{\"index\":0,\"id\":\"a\""), "{lines}");

    for (args, code, said) in [
        (
            &["mine.npz", "-o", "y.npz"][..],
            3,
            "several have frames, and none is called frames: name one, as mine.npz#NAME",
        ),
        (&["mine.npz#video", "-o", "y.npz"], 3, "reads features of width 128, and these have width 6"),
        (
            &["mine.npz#video", "--frames", "8", "-o", "y.npz"],
            2,
            "it holds features, and --frames is for videos",
        ),
        (&["mine.npz#video", "a", "-o", "y.npz"], 2, "one file at a time"),
        (&["mine.npz#video", "-o", "y/"], 2, "written into one file"),
        (&["a", "--ids", "ids.txt", "-o", "y.npz"], 2, "--ids is for a file of features"),
        (&["gone.npz", "-o", "y.npz"], 3, "gone.npz: no such file"),
    ] {
        let ran = env.embed(args);
        assert!(ran.code == code && ran.stderr.contains(said), "{args:?}: {} {}", ran.code, ran.stderr);
        assert!(!env.path("y.npz").exists() && !env.path("y").exists());
    }
}

#[test]
fn a_name_that_is_taken_and_a_query_of_nothing_are_refused() {
    let env = TestEnv::new();
    env.write("x.jsonl", b"{\"id\":\"a\",\"x\":[1,2]}\n{\"id\":\"b\",\"x\":[2,1]}\n");
    env.write("labels.csv", b"id,label\na,one\nb,two\n");
    env.write("own.jsonl", b"{\"id\":\"a\",\"concat\":[1,2]}\n{\"id\":\"b\",\"concat\":[2,1]}\n");
    let probe = ["probe", "--labels", "labels.csv", "--features"];
    let taken = ["lift=x.jsonl", "--embeddings", "own.jsonl"];
    let ran = env.lift(&[&probe[..], &taken].concat()).code(2);
    ran.says(&["`lift` is a representation of the embeddings too"]);
    let twice = ["own=x.jsonl", "--features", "own=x.jsonl"];
    env.lift(&[&probe[..], &twice].concat()).code(2).says(&["the features own are given twice"]);
    env.lift(&["search", "x.jsonl", "--id", "a", "--unlike", "a"]).code(2).says(&["--unlike are the same"]);
    // A wrong value is told, whatever other flags are there.
    for flags in [&["--epochs", "0"][..], &["--resume", "--epochs", "0"], &["--lr", "abc", "--overwrite"]] {
        let ran = env.lift(&[&["train", "x.jsonl", "-o", "run/"][..], flags].concat()).code(2);
        assert!(ran.stderr.contains("invalid value"), "{}", ran.stderr);
    }
}
