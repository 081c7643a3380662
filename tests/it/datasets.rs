//! Datasets through the command: interrupted, killed, sharded, merged, verified.

use std::collections::BTreeMap;
use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use lift::rows::{Table, read};

use crate::env::{Ran, TestEnv, send};

/// Twelve small clips, three of them broken, in `in/`.
fn folder(env: &TestEnv) {
    let names = ["ball_rising.mp4", "door_closing.webm", "door_opening.mp4", "wheel_turning.webm"];
    for i in 0..9 {
        env.clip(names[i % 4], &format!("in/{i}.mp4"));
    }
    env.write("in/empty.mp4", b"");
    env.write("in/text.mp4", b"no video");
    env.write("in/zeros.webm", &[0; 4096]);
}

const EMBED: [&str; 6] = ["in", "-o", "out/", "--shard-size", "4", "-q"];

/// Names and bytes of a folder, but for the lock.
fn files(folder: &Path) -> BTreeMap<String, Vec<u8>> {
    let entries = fs::read_dir(folder).unwrap().map(Result::unwrap).filter(|e| e.path().is_file());
    let named = entries.map(|e| (e.file_name().into_string().unwrap(), fs::read(e.path()).unwrap()));
    named.filter(|(name, _)| name != ".lock").collect()
}

fn ids(table: &Table) -> Vec<String> {
    table.ids().unwrap().to_vec()
}

#[test]
fn a_dataset_has_parts_a_manifest_and_its_failures_and_a_rerun_does_nothing() {
    let env = TestEnv::new();
    folder(&env);
    env.embed(&EMBED).code(1).says(&["empty.mp4", "text.mp4", "zeros.webm"]);
    let first = files(&env.path("out"));
    let names: Vec<_> = first.keys().map(String::as_str).collect();
    assert_eq!(
        names,
        ["_failures.csv", "_manifest.json", "part-00000.parquet", "part-00001.parquet", "part-00002.parquet"]
    );
    let failures = String::from_utf8(first["_failures.csv"].clone()).unwrap();
    assert_eq!(failures.lines().next(), Some("index,id,path,stage,error,attempts"));
    assert_eq!(failures.lines().count(), 4, "{failures}");
    let again = env.embed(&["in", "-o", "out/", "--shard-size", "4"]).code(1);
    assert!(
        again.stderr.contains("9 embedded, 3 failed (_failures.csv); 12 inputs were done before"),
        "{}",
        again.stderr
    );
    assert!(files(&env.path("out")) == first);
    env.lift(&["verify", "out"]).code(0);
    // The same rows as one file has.
    env.embed(&["in", "-o", "one.parquet", "-q"]).code(1);
    env.lift(&["merge", "merged.parquet", "out", "-q"]).code(1);
    for name in ["one.parquet", "one.parquet.rows.csv"] {
        let merged = name.replace("one", "merged");
        assert!(fs::read(env.path(name)).unwrap() == fs::read(env.path(&merged)).unwrap(), "{name}");
    }
}

#[test]
fn other_settings_and_a_changed_list_are_refused_with_the_difference() {
    let env = TestEnv::new();
    folder(&env);
    env.embed(&EMBED).code(1);
    let before = files(&env.path("out"));
    env.embed(&[&EMBED[..], &["--frames", "8"]].concat()).code(2).says(&["settings.frames: 16 there, 8 now"]);
    env.embed(&[&EMBED[..], &["--overwrite"]].concat()).code(2).says(&["remove the folder"]);
    fs::remove_file(env.path("in/0.mp4")).unwrap();
    env.embed(&EMBED).code(2).says(&["inputs.count: 12 there, 11 now"]);
    assert!(files(&env.path("out")) == before);
    env.embed(&["in", "-o", "x.npy", "--shard", "0/2"]).code(2).says(&["-o DIR/"]);
    let whole = ["in", "-o", "y/", "--parts", "frames", "--frames", "all"];
    env.embed(&whole).code(2).says(&["--frames N"]);
    assert!(!env.path("y").exists());
}

#[test]
fn a_dry_run_says_what_is_missing_and_touches_nothing() {
    let env = TestEnv::new();
    folder(&env);
    let dry = [&EMBED[..], &["--dry-run"]].concat();
    assert_eq!(env.embed(&dry).code(0).stdout, "12 to embed, none done\n");
    assert!(!env.path("out").exists());
    env.embed(&EMBED).code(1);
    fs::remove_file(env.path("out/part-00001.parquet")).unwrap();
    env.clip("ball_rising.mp4", "in/empty.mp4");
    assert_eq!(env.embed(&dry).code(0).stdout, "5 to embed (1 of them changed), 7 done (2 of them failed)\n");
}

#[test]
fn killed_at_any_moment_and_started_again_it_ends_in_the_same_bytes() {
    let env = TestEnv::new();
    folder(&env);
    env.embed(&EMBED).code(1);
    let expected = files(&env.path("out"));
    fs::rename(env.path("out"), env.path("whole")).unwrap();
    let mut kills = 0;
    // The moments spread over the run; each run gets a little further than the last.
    for round in 0..40u64 {
        let mut args = vec!["embed", "--model", "mini"];
        args.extend(EMBED);
        let mut child = env.command(&args).stderr(Stdio::null()).spawn().unwrap();
        let until = std::time::Instant::now() + Duration::from_millis(30 + 45 * round);
        let ended = loop {
            match child.try_wait().unwrap() {
                Some(status) => break Some(status),
                None if std::time::Instant::now() >= until => break None,
                None => std::thread::sleep(Duration::from_millis(5)),
            }
        };
        match ended {
            Some(status) => {
                assert_eq!(status.code(), Some(1));
                break;
            }
            None => {
                kills += 1;
                child.kill().unwrap();
                child.wait().unwrap();
            }
        }
    }
    assert!(kills > 0, "no run was long enough to be killed");
    env.embed(&EMBED).code(1);
    assert!(files(&env.path("out")) == expected, "after {kills} kills");
}

#[cfg(unix)]
#[test]
fn an_interrupted_run_keeps_what_it_did_and_goes_on() {
    let env = TestEnv::new();
    let names = ["ball_rising.mp4", "door_closing.webm", "door_opening.mp4", "wheel_turning.webm"];
    let rows: String = (0..400).map(|i| format!("{i},{}\n", names[i % 4])).collect();
    names.iter().for_each(|n| drop(env.clip(n, n)));
    env.write("list.csv", format!("id,path\n{rows}").as_bytes());
    let args = ["embed", "--model", "mini", "--list", "list.csv", "-o", "out/", "--shard-size", "300"];
    let mut child = env.command(&args).stderr(Stdio::piped()).spawn().unwrap();
    // Until its manifest stands and clips are under way.
    while !env.path("out/_manifest.json").exists() {
        std::thread::sleep(Duration::from_millis(20));
        assert!(child.try_wait().unwrap().is_none(), "it ended before it began");
    }
    std::thread::sleep(Duration::from_millis(1500));
    send(libc::SIGINT, child.id());
    let ran = Ran::from(child.wait_with_output().unwrap());
    if ran.code == 0 {
        println!("skipped: 400 clips took less than 1.5 s");
        return;
    }
    let ran = ran.code(130).says(&["rerun the same command"]);
    let kept: usize = ran.stderr.split("out/: ").nth(1).unwrap().split(' ').next().unwrap().parse().unwrap();
    let dry = env.lift(&[&args[..], &["--dry-run"]].concat()).code(0).stdout;
    assert!(dry.starts_with(&format!("{} to embed", 400 - kept)), "{dry} after {kept}");
    env.lift(&args).code(0);
    let table = read(&env.path("out/part-00000.parquet"), lift::rows::Wanted::default()).unwrap();
    assert_eq!(ids(&table), (0..300).map(|i| i.to_string()).collect::<Vec<_>>());
    assert!(!env.path("out/_partial-00000.parquet").exists());
}

#[test]
fn shards_together_are_the_run_and_merge_restores_it() {
    let env = TestEnv::new();
    folder(&env);
    env.embed(&EMBED).code(1);
    let shard = |i: usize| format!("{i}/3");
    for i in 0..3 {
        let args = ["in", "-o", "shards/", "--shard-size", "4", "-q", "--shard", &shard(i)];
        let ran = env.embed(&args);
        assert!(ran.code == 0 || ran.code == 1, "{}", ran.stderr);
        if i < 2 {
            env.lift(&["merge", "all.npz", "shards"]).code(3).says(&["of 3 shards these are missing"]);
        }
    }
    let mixed = [&EMBED[..], &["--shard", "0/3"]].concat();
    env.embed(&mixed).code(2).says(&["out/: it holds a dataset of all inputs"]);
    env.embed(&["in", "-o", "shards/"]).code(2).says(&["shards/: it holds shards"]);
    env.lift(&["merge", "whole/", "shards", "-q"]).code(1);
    assert!(files(&env.path("whole")) == files(&env.path("out")), "merged shards are the run in one process");
    env.lift(&["merge", "all.npz", "shards"]).code(1);
    env.embed(&["in", "-o", "one.npz", "-q"]).code(1);
    assert!(fs::read(env.path("all.npz")).unwrap() == fs::read(env.path("one.npz")).unwrap());
    env.lift(&["verify", "shards", "whole", "all.npz", "shards/shard-00002-of-00003"]).code(0);
    fs::remove_file(env.path("shards/shard-00001-of-00003/part-00000.parquet")).unwrap();
    env.lift(&["verify", "shards"]).code(1).says(&["not finished"]);
    let twice = ["merge", "no.npz", "shards", "shards/shard-00000-of-00003"];
    env.lift(&twice).code(3).says(&["is shards/shard-00000-of-00003 already"]);
}

#[test]
fn the_clusters_environment_names_the_shard() {
    let env = TestEnv::new();
    folder(&env);
    let args = ["embed", "--model", "mini", "in", "-o", "out/", "--shard", "auto", "--dry-run"];
    let mut command = env.command(&args);
    for name in ["SLURM_ARRAY_TASK_ID", "SLURM_PROCID", "JOB_COMPLETION_INDEX", "RANK"] {
        command.env_remove(name);
    }
    let bare = Ran::from(command.output().unwrap());
    bare.code(2).says(&["--shard I/N"]);
    let mut counts = 0;
    for index in ["0", "1"] {
        command.env("JOB_COMPLETION_INDEX", index).env("LIFT_SHARDS", "2");
        let said = Ran::from(command.output().unwrap()).code(0).stdout;
        counts += said.split(' ').next().unwrap().parse::<usize>().unwrap();
    }
    assert_eq!(counts, 12);
}

#[test]
fn failed_inputs_are_tried_again_only_on_request() {
    let env = TestEnv::new();
    env.clip("ball_rising.mp4", "in/a.mp4");
    env.write("list.txt", b"in/a.mp4\nin/gone.mp4\n");
    let args = ["--list", "list.txt", "-o", "out/"];
    env.embed(&args).code(1).says(&["in/gone.mp4: cannot be opened"]);
    env.embed(&[&args[..], &["--retry-failed"]].concat()).code(1).says(&["in/gone.mp4"]);
    let failures = fs::read_to_string(env.path("out/_failures.csv")).unwrap();
    assert!(failures.lines().nth(1).unwrap().ends_with(",2"), "{failures}");
    env.clip("door_closing.webm", "in/gone.mp4");
    let ran = env.embed(&args).code(0);
    assert!(ran.stderr.contains("2 embedded"), "{}", ran.stderr);
    env.lift(&["merge", "all.npy", "out"]).code(0);
    assert_eq!(ids(&read(&env.path("all.npy"), lift::rows::Wanted::default()).unwrap()), ["a", "gone"]);
    assert_eq!(fs::read_to_string(env.path("out/_failures.csv")).unwrap().lines().count(), 1);
}

#[test]
fn too_many_failures_stop_the_run_and_what_is_done_is_kept() {
    let env = TestEnv::new();
    folder(&env);
    let args = [&EMBED[..], &["--max-failures", "1", "--threads", "1"]].concat();
    env.embed(&args).code(1).says(&["more than 1 input failed", "--max-failures"]);
    let dry = env.embed(&[&EMBED[..], &["--dry-run"]].concat()).code(0).stdout;
    assert!(!dry.starts_with("12 to embed") && dry.contains("done"), "{dry}");
}

#[test]
fn windows_are_rows_of_their_own_and_equal_the_clip_cut_there() {
    let env = TestEnv::new();
    env.clip("door_opening.mp4", "a.mp4");
    env.embed(&["a.mp4", "-o", "w.npz", "--window", "0.8", "--stride", "0.4", "--parts", "concat,frames"])
        .code(0);
    let windows = read(&env.path("w.npz"), lift::rows::Wanted::default()).unwrap();
    assert!(windows.rows() > 2);
    assert_eq!(windows.ids().unwrap()[1], "a#1");
    let companion = fs::read_to_string(env.path("w.npz.rows.csv")).unwrap();
    assert!(companion.lines().nth(2).unwrap().starts_with("0,1,a#1,a.mp4,ok,16,25.0,"), "{companion}");
    let cut = ["a.mp4", "-o", "c.npz", "--start", "0.4", "--end", "1.2", "--parts", "concat,frames"];
    env.embed(&cut).code(0);
    let cut = read(&env.path("c.npz"), lift::rows::Wanted::default()).unwrap();
    for part in ["concat", "frames"] {
        assert_eq!(windows.array(part).unwrap().row(1), cut.array(part).unwrap().row(0), "{part}");
    }
    env.embed(&["a.mp4", "-o", "d/", "--window", "0.8", "-q"]).code(0);
    env.embed(&["a.mp4", "-o", "d/", "--window", "0.8", "-q"]).code(0);
    env.lift(&["verify", "d"]).code(0);
}

#[test]
fn windows_that_do_not_fit_one_array_cost_their_clip_and_no_other() {
    let env = TestEnv::new();
    env.clip("door_opening.mp4", "a.mp4");
    env.clip("ball_rising.mp4", "b.mp4");
    let args = ["a.mp4", "b.mp4", "--frames", "all", "--window", "0.37", "--parts", "frames"];
    env.embed(&[&args[..], &["-o", "w.npz"]].concat()).code(1).says(&[
        "a.mp4",
        "b.mp4",
        "one shape for all clips",
    ]);
    // Nothing of a refused clip decides the shape of the next.
    env.embed(&["a.mp4", "b.mp4", "--frames", "all", "--window", "9", "--parts", "frames", "-o", "o.npz"])
        .code(0);
    env.embed(&[&args[..], &["-o", "w.jsonl"]].concat()).code(0);
}

#[test]
fn pictures_beyond_the_limit_are_refused() {
    let env = TestEnv::new();
    env.clip("ball_rising.mp4", "a.mp4");
    env.embed(&["a.mp4", "-o", "x.npy", "--max-pixels", "100"])
        .code(1)
        .says(&["over the limit of 100 pixels"]);
}

/// Starts a run that answers requests, with pipes to and from it.
fn stream(env: &TestEnv) -> Child {
    env.command(&["embed", "--model", "mini", "--stream", "-q"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap()
}

#[test]
fn a_stream_answers_each_request_in_order_and_a_bad_one_too() {
    let env = TestEnv::new();
    env.clip("ball_rising.mp4", "a.mp4");
    let mut child = stream(&env);
    let mut stdin = child.stdin.take().unwrap();
    let mut answers = BufReader::new(child.stdout.take().unwrap()).lines();
    let mut ask = |line: &str| {
        writeln!(stdin, "{line}").unwrap();
        let answer = answers.next().unwrap().unwrap();
        serde_json::from_str::<serde_json::Value>(&answer).unwrap()
    };
    // Each answer is there before the next request is made.
    let first = ask(r#"{"path": "a.mp4", "id": "one"}"#);
    assert_eq!((&first["id"], &first["status"], &first["index"]), (&"one".into(), &"ok".into(), &0.into()));
    assert_eq!(ask(r#"{"path": "gone.mp4"}"#)["stage"], "open");
    let wrong = ask("not json");
    assert_eq!((&wrong["status"], &wrong["stage"]), (&"failed".into(), &"request".into()));
    let part = ask(r#"{"path": "a.mp4", "start": 0.2, "end": 0.9}"#);
    assert_eq!(part["status"], "ok");
    assert_ne!(part["concat"], first["concat"]);
    drop(stdin);
    let ended = Ran::from(child.wait_with_output().unwrap()).code(1);
    // With -q, the answers alone tell of failures.
    assert_eq!(ended.stderr, "", "{}", ended.stderr);
    env.embed(&["a.mp4", "-o", "a.npy"]).code(0);
    let file = read(&env.path("a.npy"), lift::rows::Wanted::default()).unwrap();
    let streamed: Vec<f32> =
        first["concat"].as_array().unwrap().iter().map(|v| v.as_f64().unwrap() as f32).collect();
    assert_eq!(streamed, file.only().unwrap().row(0));
}

#[test]
fn requests_have_ids_frames_and_parts_of_their_own() {
    let env = TestEnv::new();
    env.clip("ball_rising.mp4", "a.mp4");
    env.write(
        "asked.jsonl",
        b"{\"path\": \"a.mp4\", \"id\": 7, \"frames\": 8, \"parts\": [\"mean\", \"frames\"]}\n\n\
          {\"path\": \"a.mp4\", \"id\": \"8\"}\n{\"id\": 9, \"file\": \"a.mp4\"}\n{\"path\": \"gone.mp4\", \"id\": 10}\n",
    );
    let asked = fs::File::open(env.path("asked.jsonl")).unwrap();
    let ran = env.command(&["embed", "--model", "mini", "--stream"]).stdin(asked).output().unwrap();
    let ran = Ran::from(ran).code(1).says(&["request 2: not a request", "request 3 (gone.mp4): "]);
    let answers: Vec<serde_json::Value> =
        ran.stdout.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let ids: Vec<_> = answers.iter().map(|answer| (answer["index"].clone(), answer["id"].clone())).collect();
    let expected: [(u64, serde_json::Value); 4] =
        [(0, 7.into()), (1, "8".into()), (2, 9.into()), (3, 10.into())];
    assert_eq!(ids, expected.map(|(index, id)| (index.into(), id)));
    assert_eq!(answers[0]["frames"], 8);
    assert_eq!(answers[0]["frame_features"].as_array().unwrap().len(), 8);
    assert!(answers[0].get("concat").is_none() && answers[0].get("mean").is_some());
    assert_eq!((&answers[1]["frames"], answers[1]["concat"].as_array().unwrap().len()), (&16.into(), 256));
}

#[test]
fn a_stream_says_that_its_input_broke() {
    let env = TestEnv::new();
    let folder = fs::File::open(env.path(".")).unwrap();
    let ran = env.command(&["embed", "--model", "mini", "--stream"]).stdin(folder).output().unwrap();
    Ran::from(ran).code(3).says(&["standard input cannot be read", "directory"]);
}

#[test]
fn a_stream_answers_in_arrow() {
    let env = TestEnv::new();
    env.clip("ball_rising.mp4", "a.mp4");
    let mut child = env
        .command(&["embed", "--model", "mini", "--stream=arrow", "-q"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    child.stdin.take().unwrap().write_all(b"{\"path\": \"a.mp4\"}\n{\"path\": \"gone.mp4\"}\n").unwrap();
    let mut bytes = Vec::new();
    child.stdout.take().unwrap().read_to_end(&mut bytes).unwrap();
    assert_eq!(child.wait().unwrap().code(), Some(1));
    let reader = arrow_ipc::reader::StreamReader::try_new(&bytes[..], None).unwrap();
    let batches: Vec<_> = reader.map(Result::unwrap).collect();
    assert_eq!(batches.len(), 2);
    let nulls = |batch: &arrow_array::RecordBatch, name: &str| {
        arrow_array::Array::null_count(batch.column_by_name(name).unwrap())
    };
    assert_eq!((nulls(&batches[0], "concat"), nulls(&batches[0], "error")), (0, 1));
    assert_eq!((nulls(&batches[1], "concat"), nulls(&batches[1], "error")), (1, 0));
}

/// A `read` that never comes back for files whose name has `hang` in it: what a codec in an endless loop looks like.
#[cfg(target_os = "linux")]
const HANGING_READ: &str = r#"
#define _GNU_SOURCE
#include <dlfcn.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

ssize_t read(int fd, void *buffer, size_t count) {
    static ssize_t (*real)(int, void *, size_t);
    char link[64], name[4096];
    if (!real) real = dlsym(RTLD_NEXT, "read");
    snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
    ssize_t length = readlink(link, name, sizeof name - 1);
    if (length > 0) {
        name[length] = 0;
        if (strstr(name, "hang")) for (;;) sleep(1000);
    }
    return real(fd, buffer, count);
}
"#;

#[cfg(target_os = "linux")]
#[test]
fn a_video_that_hangs_is_given_up_and_the_others_are_embedded() {
    let env = TestEnv::new();
    env.write("hang.c", HANGING_READ.as_bytes());
    let built = Command::new("cc")
        .args(["-shared", "-fPIC", "-o", "hang.so", "hang.c", "-ldl"])
        .current_dir(env.path(""))
        .status();
    if !built.is_ok_and(|status| status.success()) {
        println!("skipped: no C compiler makes a library that hangs");
        return;
    }
    for i in 0..6 {
        env.clip("ball_rising.mp4", &format!("in/{}{i}.mp4", if i % 2 == 0 { "hang" } else { "good" }));
    }
    // More hanging files than threads: each takes a worker with it, and each is replaced.
    let args = ["embed", "--model", "mini", "in", "-o", "x.npy", "--timeout", "0.5", "--threads", "2"];
    let out = env.command(&args).env("LD_PRELOAD", env.path("hang.so")).output().unwrap();
    let ran =
        Ran::from(out).code(1).says(&["was not read within 0.5 s", "--timeout", "3 embedded, 3 failed"]);
    assert_eq!(ran.stderr.matches("was not read").count(), 3, "{}", ran.stderr);
    assert_eq!(
        ids(&read(&env.path("x.npy"), lift::rows::Wanted::default()).unwrap()),
        ["good1", "good3", "good5"]
    );
    // Each command that reads videos has the same watchdog; a busy machine reads the good videos in 5 s.
    let late = ["was not read within 5 s"];
    let plot = ["plot", "--model", "mini", "in/hang0.mp4", "in/good1.mp4", "-o", "x.svg", "--timeout", "5"];
    let out = env.command(&plot).env("LD_PRELOAD", env.path("hang.so")).output().unwrap();
    Ran::from(out).code(1).says(&late).says(&["drawn into x.svg"]);
    let train = ["train", "--model", "mini", "in", "-o", "run", "--cache", "cache", "--epochs", "1"];
    let train = [&train[..], &["--timeout", "5", "--threads", "2"]].concat();
    let out = env.command(&train).env("LD_PRELOAD", env.path("hang.so")).output().unwrap();
    Ran::from(out).code(1).says(&late).says(&["training on"]);
    // What was not read in time is tried again, what was is in the cache.
    let again = env.lift(&[&train[..5], &["again"], &train[6..]].concat()).code(0);
    assert!(!again.stderr.contains("left out"), "{}", again.stderr);
}

#[test]
fn a_run_that_is_killed_loses_seconds_not_a_part() {
    let env = TestEnv::new();
    let names = ["ball_rising.mp4", "door_closing.webm", "door_opening.mp4", "wheel_turning.webm"];
    names.iter().for_each(|n| drop(env.clip(n, n)));
    let rows: String = (0..400).map(|i| format!("{i},{}\n", names[i % 4])).collect();
    env.write("list.csv", format!("id,path\n{rows}").as_bytes());
    // All of the inputs are in one part, with the default size.
    let args = ["embed", "--model", "mini", "--list", "list.csv", "-o", "out/", "-q"];
    let mut child = env.command(&args).stderr(Stdio::null()).spawn().unwrap();
    let journal = env.path("out/_journal-00000");
    let size = || fs::metadata(&journal).map_or(0, |m| m.len());
    while size() < 50_000 {
        assert!(child.try_wait().unwrap().is_none(), "it ended before it was killed");
        std::thread::sleep(Duration::from_millis(5));
    }
    child.kill().unwrap();
    child.wait().unwrap();
    assert!(!env.path("out/part-00000.parquet").exists());
    let dry = env.lift(&[&args[..], &["--dry-run"]].concat()).code(0).stdout;
    let left: usize = dry.split(' ').next().unwrap().parse().unwrap();
    assert!(left < 390 && left > 0, "{dry}");
    env.lift(&args).code(0);
    assert!(!journal.exists() && !env.path("out/_partial-00000.parquet").exists());
    let once = ["embed", "--model", "mini", "--list", "list.csv", "-o", "once/", "-q"];
    env.lift(&once).code(0);
    assert!(files(&env.path("out")) == files(&env.path("once")), "a killed run ends in the same bytes");
}

#[test]
fn a_typo_writes_nothing_and_the_corrected_command_runs() {
    let env = TestEnv::new();
    env.clip("ball_rising.mp4", "src/a.mp4");
    fs::create_dir(env.path("empty")).unwrap();
    env.write("wrong.txt", b"elsewhere/a.mp4\nelsewhere/b.mp4\n");
    for (inputs, said) in [
        (&["scr/"][..], "scr/: no such file or folder"),
        (&["src", "sc*.mp4"], "none that matches"),
        (&["src", "empty"], "empty: no video in this folder"),
        (&["empty"], "empty: no video in this folder"),
        (&["--list", "wrong.txt"], "no file of 2 inputs is there; the first is elsewhere/a.mp4"),
    ] {
        for output in ["ds/", "x.npy"] {
            env.embed(&[inputs, &["-o", output]].concat()).code(3).says(&[said]);
            assert!(!env.path(output).exists(), "{inputs:?}");
        }
    }
    env.embed(&["src", "-o", "ds/", "-q"]).code(0);
    env.embed(&["src", "-o", "x.npy"]).code(0);
}

#[test]
fn a_source_is_known_by_any_of_its_names_and_its_absence_is_called_so() {
    let env = TestEnv::new();
    env.clip("ball_rising.mp4", "c1/a.mp4");
    env.clip("door_opening.mp4", "c1/b.mp4");
    env.embed(&["c1", "-o", "out/", "-q"]).code(0);
    let absolute = env.path("c1");
    for source in ["./c1", "c1/", absolute.to_str().unwrap()] {
        env.embed(&[source, "-o", "out/"]).code(0).says(&["2 inputs were done before"]);
    }
    // A disk that is away leaves an empty folder, or half of one.
    fs::rename(env.path("c1/a.mp4"), env.path("a.mp4")).unwrap();
    let ran =
        env.embed(&["c1", "-o", "out/"]).code(2).says(&["other inputs", "2 there, 1 now", "not mounted?"]);
    assert!(!ran.stderr.contains("other settings"), "{}", ran.stderr);
    env.write("list.txt", b"c1/a.mp4\nc1/b.mp4\n");
    fs::rename(env.path("a.mp4"), env.path("c1/a.mp4")).unwrap();
    env.embed(&["--list", "list.txt", "-o", "listed/", "-q"]).code(0);
    fs::rename(env.path("c1/a.mp4"), env.path("a.mp4")).unwrap();
    let ran = env.embed(&["--list", "list.txt", "-o", "listed/"]).code(0);
    ran.says(&["not there now, but done before: 1 video", "2 embedded"]);
}

#[test]
fn a_stream_that_says_nothing_of_failures_does_not_wait_for_a_reader_of_its_errors() {
    let env = TestEnv::new();
    let mut child = stream(&env);
    let mut stdin = child.stdin.take().unwrap();
    // More than a pipe holds, if each had a line on standard error.
    let asked = 3000;
    let asking = std::thread::spawn(move || {
        for at in 0..asked {
            writeln!(stdin, "{{\"path\": \"gone/{at}.mp4\"}}").unwrap();
        }
    });
    let answers = BufReader::new(child.stdout.take().unwrap()).lines().count();
    asking.join().unwrap();
    assert_eq!(answers, asked);
    let mut said = String::new();
    child.stderr.take().unwrap().read_to_string(&mut said).unwrap();
    assert_eq!((child.wait().unwrap().code(), said.as_str()), (Some(1), ""));
}

#[test]
fn pandas_reads_the_folder_of_a_dataset() {
    let Some(python) = std::env::var_os("LIFT_PYTHON") else {
        println!("skipped: LIFT_PYTHON is not set");
        return;
    };
    let env = TestEnv::new();
    folder(&env);
    env.embed(&EMBED).code(1);
    // What a stopped run leaves is passed over too.
    fs::copy(env.path("out/part-00000.parquet"), env.path("out/_partial-00009.parquet")).unwrap();
    let program = "import pandas; print(len(pandas.read_parquet('out/')))";
    let out = Command::new(python).args(["-c", program]).current_dir(env.path("")).output().unwrap();
    let ran = Ran::from(out).code(0);
    assert_eq!(ran.stdout.trim(), "9", "{}", ran.stderr);
}
