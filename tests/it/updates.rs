//! `lift embed --update` through the command: what it says, what it keeps, shards, windows, searches, kills.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::process::Stdio;
use std::time::{Duration, Instant};

use lift::rows::{Table, Wanted, read};

use crate::env::{Ran, TestEnv};

const NAMES: [&str; 4] = ["ball_rising.mp4", "door_closing.webm", "door_opening.mp4", "wheel_turning.webm"];

/// Clips with the numbers given in the folder `in`.
fn clips(env: &TestEnv, numbers: impl IntoIterator<Item = usize>) {
    for i in numbers {
        env.clip(NAMES[i % 4], &format!("in/{i:02}.mp4"));
    }
}

const EMBED: [&str; 5] = ["in", "-o", "out/", "--shard-size", "4"];

fn with<'a>(more: &[&'a str]) -> Vec<&'a str> {
    EMBED.iter().chain(more).copied().collect()
}

/// Names and bytes of the parts in a folder.
fn parts(folder: &Path) -> BTreeMap<String, Vec<u8>> {
    let entries = fs::read_dir(folder).unwrap().map(Result::unwrap);
    let named = entries.map(|e| (e.file_name().into_string().unwrap(), e.path()));
    named
        .filter(|(name, _)| name.starts_with("part-"))
        .map(|(name, p)| (name, fs::read(p).unwrap()))
        .collect()
}

fn names(folder: &Path) -> Vec<String> {
    let entries = fs::read_dir(folder).unwrap().map(|e| e.unwrap().file_name().into_string().unwrap());
    let mut names: Vec<_> = entries.filter(|name| name != ".lock").collect();
    names.sort();
    names
}

fn merged(env: &TestEnv, folder: &str) -> Table {
    env.lift(&["merge", "merged.npz", folder, "--overwrite", "-q"]).code(0);
    read(&env.path("merged.npz"), Wanted::default()).unwrap()
}

#[test]
fn a_changed_folder_is_refused_with_its_counts_listed_by_a_dry_run_and_followed_by_an_update() {
    let env = TestEnv::new();
    clips(&env, 0..9);
    env.embed(&with(&["--update", "-q"])).code(0);
    let before = parts(&env.path("out"));
    clips(&env, [10, 11]);
    env.clip(NAMES[3], "in/05.mp4");
    fs::remove_file(env.path("in/02.mp4")).unwrap();
    let refused = env.embed(&EMBED).code(2).says(&["2 new, 1 changed, 1 gone", "--update"]);
    assert!(refused.stderr.contains("inputs.count: 9 there, 10 now"), "{}", refused.stderr);
    env.embed(&with(&["--dry-run"])).code(2).says(&["2 new, 1 changed, 1 gone"]);
    env.embed(&with(&["--update", "--frames", "8"])).code(2).says(&["settings.frames: 16 there, 8 now"]);
    let dry = env.embed(&with(&["--dry-run", "--update", "--prune"])).code(0).stdout;
    assert_eq!(
        dry,
        "changed: 05 (in/05.mp4)\nnew: 10 (in/10.mp4)\nnew: 11 (in/11.mp4)\ngone, dropped: 02 (in/02.mp4)\n\
         2 new, 1 changed, 1 gone (dropped), 7 unchanged\n"
    );
    assert!(parts(&env.path("out")) == before);
    // First with the rows of what is gone, then without.
    let ran = env.embed(&with(&["--update"])).code(0).says(&["1 gone (kept; --prune drops them)"]);
    assert!(ran.stderr.contains("11 embedded; 8 inputs were done before"), "{}", ran.stderr);
    let ids = |table: &Table| table.ids().unwrap().join(" ");
    assert_eq!(ids(&merged(&env, "out")), "00 01 03 04 05 06 07 08 10 11 02");
    env.lift(&["verify", "out"]).code(0);
    // The same command without --update goes on where nothing has changed since.
    let again = env.embed(&EMBED).code(0);
    assert!(again.stderr.contains("11 inputs were done before"), "{}", again.stderr);
    env.embed(&with(&["--update", "--prune"])).code(0);
    env.embed(&["in", "-o", "fresh/", "--shard-size", "4", "-q"]).code(0);
    assert!(parts(&env.path("out")) == parts(&env.path("fresh")), "the bytes of a fresh run");
    assert_eq!(names(&env.path("out")), names(&env.path("fresh")));
    env.embed(&["in", "-o", "x.npz", "--update"]).code(2).says(&["-o DIR/"]);
    // A disk that is away costs nothing.
    env.write("away.csv", b"path\nno/00.mp4\nno/30.mp4\n");
    let away = ["--list", "away.csv", "-o", "out/", "--shard-size", "4", "--update", "--prune"];
    env.embed(&away).code(3).says(&["is a disk not mounted?"]);
    assert!(parts(&env.path("out")) == parts(&env.path("fresh")));
    assert_eq!(names(&env.path("out")), names(&env.path("fresh")));
}

#[test]
fn by_content_a_file_that_was_copied_or_moved_is_not_embedded_again() {
    let env = TestEnv::new();
    clips(&env, 0..5);
    env.embed(&with(&["--update", "--by-content", "-q"])).code(0);
    let before = merged(&env, "out");
    for i in [1, 3] {
        let path = env.path(&format!("in/{i:02}.mp4"));
        fs::File::options().append(true).open(path).unwrap().set_modified(std::time::UNIX_EPOCH).unwrap();
    }
    fs::rename(env.path("in"), env.path("moved")).unwrap();
    let moved = ["moved", "-o", "out/", "--shard-size", "4", "--update"];
    let dry = env.embed(&[&moved[..], &["--dry-run"]].concat()).code(0).stdout;
    assert!(dry.ends_with("0 new, 5 changed, 0 gone, 0 unchanged\n"), "{dry}");
    let moved = [&moved[..], &["--by-content"]].concat();
    env.embed(&moved).code(0).says(&["0 new, 0 changed, 0 gone, 5 unchanged", "5 inputs were done before"]);
    let after = merged(&env, "out");
    assert_eq!(before.ids().unwrap(), after.ids().unwrap());
    assert_eq!(before.array("concat").unwrap().data, after.array("concat").unwrap().data);
    let companion = fs::read_to_string(env.path("merged.npz.rows.csv")).unwrap();
    assert!(companion.contains("moved/03.mp4") && !companion.contains("in/03.mp4"), "{companion}");
    // What changed indeed is embedded again.
    env.clip(NAMES[0], "moved/03.mp4");
    env.embed(&moved).code(0).says(&["0 new, 1 changed"]);
}

#[test]
fn the_tasks_of_a_slurm_array_follow_a_list_that_grew_and_merge_as_one() {
    let env = TestEnv::new();
    clips(&env, 0..10);
    let embed = |more: &[&str]| {
        for task in ["0", "1"] {
            let args = [
                "embed",
                "--model",
                "mini",
                "in",
                "-o",
                "run/",
                "--shard-size",
                "3",
                "-q",
                "--shard",
                "auto",
            ];
            let mut command = env.command(&[&args[..], more].concat());
            for name in ["SLURM_PROCID", "SLURM_ARRAY_TASK_STEP", "JOB_COMPLETION_INDEX", "RANK"] {
                command.env_remove(name);
            }
            command.env("SLURM_ARRAY_TASK_ID", task).env("SLURM_ARRAY_TASK_MIN", "0");
            Ran::from(command.env("SLURM_ARRAY_TASK_COUNT", "2").output().unwrap()).code(0);
        }
    };
    embed(&[]);
    for gone in ["00", "03", "04", "07"] {
        fs::remove_file(env.path(&format!("in/{gone}.mp4"))).unwrap();
    }
    clips(&env, 12..16);
    // One shard alone is of another run than the other.
    let args = ["in", "-o", "run/", "--shard-size", "3", "-q", "--shard", "0/2", "--update"];
    env.embed(&args).code(0);
    env.lift(&["merge", "all.npz", "run"]).code(3).says(&["another run"]);
    embed(&["--update"]);
    let table = merged(&env, "run");
    let expected = "01 02 05 06 08 09 12 13 14 15 00 03 04 07";
    assert_eq!(table.ids().unwrap().join(" "), expected);
    env.lift(&["verify", "run"]).code(0);
    env.lift(&["merge", "whole/", "run", "-q"]).code(0);
    assert_eq!(merged(&env, "whole").ids().unwrap().join(" "), expected);
    env.lift(&["verify", "whole"]).code(0);
    embed(&["--update", "--prune"]);
    env.embed(&["in", "-o", "one.npz", "-q"]).code(0);
    let (one, table) = (read(&env.path("one.npz"), Wanted::default()).unwrap(), merged(&env, "run"));
    assert_eq!(one.ids().unwrap(), table.ids().unwrap());
    assert_eq!(one.array("concat").unwrap().data, table.array("concat").unwrap().data);
}

#[test]
fn a_clip_whose_range_changed_is_embedded_again_in_windows_too() {
    for window in [&[][..], &["--window", "0.5"]] {
        let env = TestEnv::new();
        clips(&env, 0..3);
        let list = |end: &str| format!("path,start,end\nin/00.mp4,,\nin/01.mp4,0.2,{end}\nin/02.mp4,,\n");
        let embed = |list: &str, more: &[&str]| {
            env.write("list.csv", list.as_bytes());
            env.embed(&[&["--list", "list.csv"], window, more].concat()).code(0)
        };
        embed(&list("1.4"), &["-o", "out/", "-q"]);
        let again = embed(&list("0.9"), &["-o", "out/", "--update"]);
        // Rows that are windows do not tell the range of their clip.
        let changed = if window.is_empty() { "0 new, 1 changed" } else { "0 new, 3 changed" };
        assert!(again.stderr.contains(changed), "{}", again.stderr);
        embed(&list("0.9"), &["-o", "fresh/", "-q"]);
        assert!(parts(&env.path("out")) == parts(&env.path("fresh")));
    }
    // Of a list without ranges they are known.
    let env = TestEnv::new();
    clips(&env, 0..3);
    env.embed(&with(&["--window", "0.5", "-q"])).code(0);
    clips(&env, [3]);
    env.embed(&with(&["--window", "0.5", "--update"]))
        .code(0)
        .says(&["1 new, 0 changed, 0 gone, 3 unchanged"]);
}

#[test]
fn failures_stay_unless_they_are_asked_for_and_search_follows() {
    let env = TestEnv::new();
    clips(&env, 0..3);
    env.write("in/03.mp4", b"no video");
    env.embed(&with(&["-q"])).code(1);
    env.lift(&["search", "out", "--prepare", "-q"]).code(0);
    clips(&env, [4, 5]);
    env.embed(&with(&["--update"]))
        .code(1)
        .says(&["2 new", "follows the update for searches; 3 rows of it were there"]);
    let search = |name: &str| {
        env.lift(&["search", "out", "--id", "05", "-o", name]).code(0);
        fs::read_to_string(env.path(name)).unwrap()
    };
    let appended = search("appended.csv");
    assert_eq!(appended.lines().count(), 5);
    fs::remove_file(env.path("out/_lift.search")).unwrap();
    assert_eq!(appended, search("stored.csv"));
    env.lift(&["search", "out", "--prepare", "-q"]).code(0);
    // An insertion before all others moves every row.
    env.clip(NAMES[2], "in/-1.mp4");
    env.embed(&with(&["--update"])).code(1).says(&["1 new", "made anew for searches"]);
    fs::remove_file(env.path("in/-1.mp4")).unwrap();
    env.embed(&with(&["--update", "--prune"])).code(1);
    clips(&env, [6]);
    env.embed(&with(&["--update", "--retry-failed"]))
        .code(1)
        .says(&["1 new", "1 failed before and tried again"]);
    let failures = fs::read_to_string(env.path("out/_failures.csv")).unwrap();
    assert!(failures.lines().nth(1).unwrap().ends_with(",2"), "{failures}");
    env.lift(&["verify", "out"]).code(0);
}

#[test]
fn an_update_that_is_killed_leaves_a_dataset_and_goes_on() {
    let env = TestEnv::new();
    clips(&env, 0..12);
    env.embed(&with(&["-q"])).code(0);
    clips(&env, 20..26);
    env.clip(NAMES[1], "in/00.mp4");
    let mut kills = 0;
    for round in 0..40u64 {
        let mut args = vec!["embed", "--model", "mini", "--update", "--prune", "-q"];
        args.extend(EMBED);
        let mut child = env.command(&args).stderr(Stdio::null()).spawn().unwrap();
        let until = Instant::now() + Duration::from_millis(20 + 30 * round);
        let ended = loop {
            match child.try_wait().unwrap() {
                Some(status) => break Some(status),
                None if Instant::now() >= until => break None,
                None => std::thread::sleep(Duration::from_millis(3)),
            }
        };
        if let Some(status) = ended {
            assert_eq!(status.code(), Some(0));
            break;
        }
        kills += 1;
        child.kill().unwrap();
        child.wait().unwrap();
        env.lift(&["verify", "out"]).code(0);
    }
    assert!(kills > 0, "no run was long enough to be killed");
    env.embed(&with(&["--update", "--prune", "-q"])).code(0);
    env.embed(&["in", "-o", "fresh/", "--shard-size", "4", "-q"]).code(0);
    assert!(parts(&env.path("out")) == parts(&env.path("fresh")), "after {kills} kills");
    assert_eq!(names(&env.path("out")), names(&env.path("fresh")));
}
