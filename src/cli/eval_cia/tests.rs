//! Tests of the command, from flags to files, on the small set and on the golden files in the folder `LIFT_SHARED`.

use std::cell::RefCell;
use std::sync::Arc;

use clap::Parser;
use serde_json::Value;

use super::*;

#[derive(Parser)]
struct Flags {
    #[command(flatten)]
    args: EvalCiaArgs,
}

/// Replaces the pipeline: gives the parts that it holds, and as LiFT's embedding the last frame minus the first.
#[derive(Default)]
struct Fake {
    asked: Vec<Input>,
    parts: StoredParts,
}

impl Embedder for Fake {
    fn hub_file(&mut self, repository: &str, name: &str) -> Result<PathBuf, Fatal> {
        Err(Fatal::input(anyhow!("offline: {repository}/{name}")))
    }

    fn embed(&mut self, _: &str, clips: &[Input]) -> Result<StoredParts, Fatal> {
        self.asked = clips.to_vec();
        Ok(self.parts.clone())
    }

    fn lift(&mut self, frames: &Matrix, ids: &[&str], _: Option<&Provenance>) -> Result<Matrix, Fatal> {
        let mut first_minus_last = Vec::new();
        let width = frames.shape[1];
        for id in ids {
            let mut row = vec![0.0; frames.width()];
            frames.source.copy_row(frames.index[*id], &mut row).unwrap();
            let (first, last) = (&row[..width], &row[row.len() - width..]);
            first_minus_last.extend(first.iter().zip(last).map(|(first, last)| last - first));
        }
        let index = ids.iter().enumerate().map(|(row, id)| ((*id).to_owned(), row)).collect();
        Ok(Matrix {
            origin: "reversed".into(),
            index: Arc::new(index),
            shape: vec![width],
            source: Arc::new(first_minus_last),
        })
    }
}

fn small(name: &str) -> String {
    format!("{}/tests/data/cia/{name}", env!("CARGO_MANIFEST_DIR"))
}

fn splits(form: &str) -> [String; 4] {
    let file = |side| small(&format!("{form}-small-{side}.csv"));
    ["--train".into(), file("train"), "--valid".into(), file("validation")]
}

/// Runs the command; returns how it ended, and its notes.
fn eval(flags: &[String], fake: &mut Fake) -> (Result<Exit, String>, Vec<String>) {
    let args = std::iter::once("eval-cia").chain(flags.iter().map(String::as_str));
    let flags = Flags::try_parse_from(args).unwrap();
    let notes = RefCell::new(Vec::new());
    let mut out = Vec::new();
    let ended =
        run(&flags.args, FlagValues::new(), fake, &mut out, &|note| notes.borrow_mut().push(note.to_owned()));
    let table = String::from_utf8(out).unwrap();
    assert_eq!(
        ended.is_ok(),
        table.contains("| data set ") && table.contains("| representation "),
        "a table for a result: {table}"
    );
    (ended.map_err(|fatal| format!("{:#}", fatal.error.unwrap())), notes.into_inner())
}

fn flags<const N: usize>(flags: [&str; N]) -> Vec<String> {
    flags.map(str::to_owned).to_vec()
}

fn json(path: &Path) -> Value {
    serde_json::from_slice(&std::fs::read(path).unwrap()).unwrap()
}

#[test]
fn the_small_set_scores_as_scikit_learn_says_from_either_csv_form() {
    let folder = tempfile::tempdir().unwrap();
    let expected = json(Path::new(&small("expected.json")));
    for probe in ["ridge", "logistic", "svm"] {
        let reports = ["chiral_groups", "cia"].map(|form| {
            let out = folder.path().join(format!("{probe}-{form}.json"));
            let mut all = splits(form).to_vec();
            all.extend(flags([
                "--features",
                &format!("lift={}", small("features.safetensors")),
                "--probe",
                probe,
            ]));
            all.extend(flags(["--representation", "lift", "-o", &out.to_string_lossy()]));
            assert_eq!(eval(&all, &mut Fake::default()), (Ok(Exit::Success), vec![]));
            json(&out)
        });
        assert_eq!(reports[0], reports[1], "{probe}");
        let result = &reports[0]["results"][0];
        assert_eq!((&result["dataset"], &result["width"]), (&Value::from("small"), &Value::from(256)));
        for group in result["per_group"].as_array().unwrap() {
            let key = format!("{}.256.{probe}", group["triplet"].as_str().unwrap());
            assert_eq!(group["accuracy"], expected[key]["accuracy"]);
        }
    }
}

#[test]
fn the_command_gives_the_accuracies_of_the_shared_goldens() {
    let Some(shared) = std::env::var_os("LIFT_SHARED") else {
        println!("skipped: LIFT_SHARED is not set");
        return;
    };
    let golden = Path::new(&shared).join("golden");
    let path = |name: &str| golden.join(name).to_string_lossy().into_owned();
    let folder = tempfile::tempdir().unwrap();
    let expected = json(&golden.join("ridge_golden.json"));
    let [report, logistic, svm] = ["ridge", "logistic", "svm"].map(|probe| {
        let out = folder.path().join(format!("{probe}.json"));
        let all = flags([
            "--train",
            &path("cia-synth-train.csv"),
            "--valid",
            &path("chiral_groups-synth-validation.csv"),
            "--features",
            &format!("lift={}", path("cia_synth_features.npz")),
            "--representation",
            "lift",
            "--probe",
            probe,
            "-o",
            &out.to_string_lossy(),
        ]);
        assert_eq!(eval(&all, &mut Fake::default()).0, Ok(Exit::Success));
        json(&out)
    });
    for (report, key) in [(logistic, "logistic_acc_converged"), (svm, "acc_kernel_svm")] {
        let groups = report["results"][0]["per_group"].as_array().unwrap();
        for (group, expected) in groups.iter().zip(expected["groups"].as_array().unwrap()) {
            assert_eq!((&group["triplet"], &group["accuracy"]), (&expected["triplet_id"], &expected[key]));
        }
    }
    assert!((report["results"][0]["accuracy"].as_f64().unwrap() - 77.17375).abs() < 1e-9);
    let groups = report["results"][0]["per_group"].as_array().unwrap();
    for (group, row) in groups.iter().zip(expected["reference_rows"].as_array().unwrap()) {
        assert_eq!(group["triplet"], row["triplet_id"]);
        assert_eq!(group["accuracy"], row["accuracy"]);
        assert_eq!(group["verb_forward"], row["verb_forward"]);
        assert_eq!(group["noun"], row["noun"]);
    }
}

/// Two groups of clips of 3 frames of 2 numbers: forward clips rise in the first number, reverse clips fall; the second
/// is the same for all. Some videos may be left without a row.
fn rising(folder: &Path, without: &[&str]) -> (Vec<String>, StoredParts) {
    let mut rows: [String; 2] = ["", ""].map(|_| "id,chiral_triplet_id,chiral_label\n".to_owned());
    let (mut ids, mut frames, mut concat) = (Vec::new(), Vec::new(), Vec::new());
    for group in 0..2 {
        for clip in 0..16 {
            let (id, forward) = (format!("{group}-{clip:02}"), clip % 2 == 0);
            rows[usize::from(clip >= 12)] += &format!("{id},t{group},{}\n", u8::from(forward));
            let slope = (1.0 + clip as f32 / 16.0) * if forward { 1.0 } else { -1.0 };
            if !without.contains(&id.as_str()) {
                frames.extend((0..3).flat_map(|t| [slope * (t as f32 - 1.0), 5.0]));
                concat.extend([2.0 * slope, 0.0]);
                ids.push(id);
            }
        }
    }
    let files = ["train.csv", "valid.csv"].map(|name| folder.join(name));
    files.iter().zip(rows).for_each(|(file, rows)| std::fs::write(file, rows).unwrap());
    let index: Arc<std::collections::HashMap<_, _>> =
        Arc::new(ids.into_iter().enumerate().map(|(row, id)| (id, row)).collect());
    let matrix = |shape: Vec<usize>, numbers: Vec<f32>| Matrix {
        origin: "computed".into(),
        index: index.clone(),
        shape,
        source: Arc::new(numbers),
    };
    let mut parts = StoredParts::default();
    parts.own.insert("frames".into(), matrix(vec![3, 2], frames));
    parts.own.insert("concat".into(), matrix(vec![2], concat));
    let [train, valid] = files.map(|file| file.to_string_lossy().into_owned());
    (flags(["--train", &train, "--valid", &valid, "--videos", "clips"]), parts)
}

#[test]
fn the_reverse_control_shows_which_representations_depend_on_time() {
    let folder = tempfile::tempdir().unwrap();
    let (mut all, parts) = rising(folder.path(), &[]);
    let out = folder.path().join("r.json");
    let picture = folder.path().join("shots.svg");
    all.extend(flags(["--reverse-control", "--retrieval", "--shots", "1,6,7", "-o", &out.to_string_lossy()]));
    all.extend(flags(["--published", "--shots-figure", &picture.to_string_lossy()]));
    let mut fake = Fake { parts, ..Fake::default() };
    let (ended, notes) = eval(&all, &mut fake);
    assert_eq!(ended, Ok(Exit::Success));
    assert_eq!(notes, ["train: no group has 7 training videos of each direction"]);
    assert_eq!(fake.asked.len(), 32);
    assert_eq!(fake.asked[0].path, Path::new("clips/0-00.mp4"));
    let report = json(&out);
    let of = |name: &str| {
        report["results"].as_array().unwrap().iter().find(|result| result["representation"] == name).unwrap()
    };
    for reads_time in ["lift", "frames-concat"] {
        assert_eq!((&of(reads_time)["accuracy"], &of(reads_time)["reversed"]), (&100.0.into(), &0.0.into()));
        assert_eq!(of(reads_time)["shots"][0]["accuracy"], 100.0);
        assert_eq!(of(reads_time)["shots"][1]["groups"], 2);
        assert_eq!(of(reads_time)["shots"][2]["accuracy"], Value::Null, "no group has 7 of a direction");
        assert_eq!(of(reads_time)["retrieval"], 100.0);
    }
    assert_eq!(of("frames-mean")["accuracy"], of("frames-mean")["reversed"]);
    assert_eq!(of("frames-mean")["accuracy"], 50.0);
    assert_eq!(report["published"].as_array().unwrap().len(), 9);
    assert!(std::fs::read_to_string(picture).unwrap().contains(">all<"));
}

#[test]
fn missing_videos_end_the_run_unless_allowed() {
    let folder = tempfile::tempdir().unwrap();
    let (mut all, parts) = rising(folder.path(), &["0-03", "1-12", "1-13", "1-14", "1-15"]);
    let out = folder.path().join("r.json");
    all.extend(flags(["-o", &out.to_string_lossy()]));
    let mut fake = Fake { parts, ..Fake::default() };
    let error = eval(&all, &mut fake).0.unwrap_err();
    assert!(
        error.contains("5 of 32 videos have no embedding: 0-03, 1-12") && error.contains("--allow-missing")
    );
    assert!(!out.exists(), "no report of a benchmark that was not measured");
    all.push("--allow-missing".into());
    let (ended, notes) = eval(&all, &mut fake);
    assert_eq!(ended, Ok(Exit::Success), "what was asked for is no failure");
    assert!(notes[1].ends_with("groups left out because they lack videos: t1"), "{notes:?}");
    let result = &json(&out)["results"][0];
    let counts =
        ["groups", "groups_listed", "videos", "videos_listed"].map(|key| result[key].as_u64().unwrap());
    assert_eq!(counts, [1, 2, 15, 32]);
}

#[test]
fn wrong_requests_are_refused_before_any_work() {
    let folder = tempfile::tempdir().unwrap();
    let taken = folder.path().join("taken.md");
    std::fs::write(&taken, "mine").unwrap();
    let stop = |more: &[String]| {
        let (mut all, parts) = rising(folder.path(), &[]);
        all.extend_from_slice(more);
        let mut fake = Fake { parts, ..Fake::default() };
        let error = eval(&all, &mut fake).0.unwrap_err();
        (error, fake.asked.len())
    };
    let (error, asked) = stop(&flags(["-o", &taken.to_string_lossy()]));
    assert!(error.contains("taken.md") && asked == 0, "{error}");
    assert_eq!(std::fs::read_to_string(&taken).unwrap(), "mine");
    assert!(stop(&flags(["-o", "r.xlsx"])).0.contains(".json, .csv, .md or .tex"));
    assert!(stop(&flags(["--figure", "r.jpg"])).0.contains(".png, .svg or .pdf"));
    assert!(stop(&flags(["--template", "{dir}/{name}"])).0.contains("`{name}` in the template"));
    assert!(stop(&flags(["--representation", "lift+clip"])).0.contains("`clip` needs features of that name"));
    assert!(stop(&flags(["--features", "a+b=x.npy"])).0.contains("NAME=FILE"));
    assert!(stop(&flags(["--embeddings", "x.npz"])).0.contains("both --embeddings and --videos"));
    let offline = eval(&flags(["--dataset", "ssv2", "--videos", "v"]), &mut Fake::default()).0.unwrap_err();
    assert_eq!(offline, "offline: bpiyush/chirality-in-action/chiral_groups-ssv2-train.csv");
}

#[test]
fn flags_for_one_data_set_win_over_those_for_all() {
    let values = flags(["all=odd/x.npz", "epic=e.npz"]);
    assert_eq!(given(&values, "epic"), Some("e.npz"));
    assert_eq!(given(&values, "ssv2"), Some("all=odd/x.npz"), "only data sets' names are names");
    assert_eq!(given(&values[1..], "ssv2"), None);
}

#[test]
fn ids_are_named_for_a_matrix_that_has_none() {
    let folder = tempfile::tempdir().unwrap();
    let table =
        crate::rows::read(Path::new(&small("features.safetensors")), crate::rows::Wanted::default()).unwrap();
    let bare = folder.path().join("bare.npy").to_string_lossy().into_owned();
    let mut bytes = crate::rows::formats::npy::header(&table.arrays[0].shape);
    bytes.extend(table.arrays[0].data.iter().flat_map(|x| x.to_le_bytes()));
    std::fs::write(&bare, bytes).unwrap();
    let ids = folder.path().join("ids.txt").to_string_lossy().into_owned();
    std::fs::write(&ids, table.ids().unwrap().join("\n")).unwrap();
    let out = folder.path().join("r.json").to_string_lossy().into_owned();
    let mut all = splits("cia").to_vec();
    all.extend(flags(["--features", &format!("m={bare}"), "--representation", "m"]));
    assert!(eval(&all, &mut Fake::default()).0.unwrap_err().contains("have no ids"));
    all.extend(flags(["--ids", &format!("m={ids}"), "-o", &out]));
    assert_eq!(eval(&all, &mut Fake::default()), (Ok(Exit::Success), vec![]));
    let mut own = splits("cia").to_vec();
    let other = folder.path().join("s.json").to_string_lossy().into_owned();
    own.extend(flags(["--embeddings", &bare, "--ids", &ids, "--representation", "lift", "-o", &other]));
    assert!(eval(&own, &mut Fake::default()).0.unwrap_err().contains("--features NAME="));
    // Under the name of a part they are the embeddings.
    let view = safetensors::tensor::TensorView::new(
        safetensors::Dtype::F32,
        table.arrays[0].shape.clone(),
        bytemuck::cast_slice(&table.arrays[0].data),
    );
    let named = folder.path().join("named.safetensors");
    safetensors::serialize_to_file([("concat", view.unwrap())], None, &named).unwrap();
    let at = own.iter().position(|flag| *flag == bare).unwrap();
    own[at] = named.to_string_lossy().into_owned();
    assert_eq!(eval(&own, &mut Fake::default()), (Ok(Exit::Success), vec![]));
    let accuracy = |path: &str| json(Path::new(path))["results"][0]["accuracy"].clone();
    assert_eq!(accuracy(&out), accuracy(&other));
}

#[test]
fn every_missing_video_is_named() {
    let folder = tempfile::tempdir().unwrap();
    let names: Vec<String> = (0..12).map(|clip| format!("1-{clip:02}")).collect();
    let (all, parts) = rising(folder.path(), &names.iter().map(String::as_str).collect::<Vec<_>>());
    let (ended, notes) = eval(&all, &mut Fake { parts, ..Fake::default() });
    assert!(ended.unwrap_err().contains("1-09 and 2 more"));
    assert!(names.iter().all(|name| notes.concat().contains(name)), "{notes:?}");
}
