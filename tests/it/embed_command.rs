//! `lift embed` and `lift info` as a user runs them, right and wrong.

use std::fs;
use std::io::{Read, Write};
use std::path::Path;
use std::process::Stdio;

use lift::rows::{Part, Table, read};

use crate::common::{close, data, full_weights, numbers, shared, tensors};
#[cfg(target_os = "linux")]
use crate::env::send;
use crate::env::{Ran, TestEnv, clip};

fn table(path: &Path) -> Table {
    read(path, lift::rows::Wanted::default()).unwrap()
}

fn bits(values: &[f32]) -> Vec<u32> {
    values.iter().map(|v| v.to_bits()).collect()
}

/// A second of silence in a WAV file.
fn silence() -> Vec<u8> {
    let samples = 8000u32;
    let mut wav = Vec::new();
    wav.extend(b"RIFF");
    wav.extend((36 + samples).to_le_bytes());
    wav.extend(b"WAVEfmt ");
    wav.extend(16u32.to_le_bytes());
    wav.extend([1, 0, 1, 0]);
    wav.extend(8000u32.to_le_bytes());
    wav.extend(8000u32.to_le_bytes());
    wav.extend([1, 0, 8, 0]);
    wav.extend(b"data");
    wav.extend(samples.to_le_bytes());
    wav.extend(vec![128; samples as usize]);
    wav
}

#[test]
fn a_folder_of_good_and_bad_files_embeds_the_good_one_and_names_the_others() {
    let env = TestEnv::new();
    env.clip("door_opening.mp4", "in/good.mp4");
    env.write("in/empty.mp4", b"");
    env.write("in/text.mp4", b"I am a text file.\nNot a video.\n");
    env.write("in/sound.mp4", &silence());
    let cut = |from: &str, to: &str, share: f64| {
        let bytes = fs::read(clip(from)).unwrap();
        env.write(to, &bytes[..(bytes.len() as f64 * share) as usize]);
    };
    for (share, name) in [(0.5, "half"), (0.99, "most")] {
        cut("door_opening.mp4", &format!("in/{name}_mp4.mp4"), share);
        cut("door_closing.webm", &format!("in/{name}_webm.webm"), share);
    }
    let ran = env.embed(&["in", "-o", "out.npy"]).code(1).says(&[
        "in/empty.mp4: the file is empty",
        "in/text.mp4: is not a media file",
        "in/sound.mp4: has no video stream",
        "in/half_webm.webm: is truncated",
        "in/most_webm.webm: is truncated",
        "1 embedded, 7 failed",
    ]);
    for name in ["in/half_mp4.mp4: ", "in/most_mp4.mp4: "] {
        assert!(ran.stderr.contains(name), "{}", ran.stderr);
    }
    let table = table(&env.path("out.npy"));
    assert_eq!(table.ids().unwrap(), ["good"]);
    let rows = fs::read_to_string(env.path("out.npy.rows.csv")).unwrap();
    assert_eq!(rows.lines().count(), 1 + 8, "{rows}");
    assert_eq!(rows.lines().filter(|l| l.contains(",failed,")).count(), 7, "{rows}");
}

#[test]
fn every_part_in_one_file_agrees_with_itself() {
    let env = TestEnv::new();
    let file = clip("ball_rising.mp4");
    let file = file.to_str().unwrap();
    let parts = Part::ALL.map(Part::name).join(",");
    env.embed(&[file, "-o", "x.npz", "--parts", &parts]).code(0);
    let t = table(&env.path("x.npz"));
    let part = |name: &str| t.array(name).unwrap();
    let (w, d) = (part("static").width(), part("frames").width() / 16);
    assert_eq!(part("concat").shape, [1, 2 * w]);
    assert_eq!(part("frames").shape, [1, 16, d]);
    assert_eq!(part("reconstructed").shape, [1, 16, d]);
    let joined = [part("static").row(0), part("dynamic").row(0)].concat();
    assert_eq!(bits(part("concat").row(0)), bits(&joined));
    for name in ["reversed", "odd", "even"] {
        assert_eq!(part(name).shape, [1, 2 * w], "{name}");
    }
    assert_eq!(part("mean").shape, [1, d]);
    // The other formats and a dataset hold the same values.
    for output in ["x.safetensors", "x.parquet", "x.jsonl", "set/"] {
        env.embed(&[file, "-o", output, "--parts", &parts]).code(0);
        if output == "set/" {
            env.lift(&["verify", "set"]).code(0);
            env.lift(&["merge", "merged.npz", "set"]).code(0);
        }
        let other = table(&env.path(if output == "set/" { "merged.npz" } else { output }));
        for name in Part::ALL.map(Part::name) {
            assert_eq!(
                bits(other.array(name).unwrap().row(0)),
                bits(part(name).row(0)),
                "{name} of {output}"
            );
        }
    }
}

#[test]
fn odd_changes_its_sign_with_the_clip_and_even_keeps_it() {
    let env = TestEnv::new();
    let path = clip("door_opening.mp4");
    let path = path.to_str().unwrap();
    let parts = "concat,reversed,odd,even,mean";
    env.embed(&[path, "-o", "a.npz", "--parts", parts]).code(0);
    env.embed(&[path, "-o", "b.npz", "--parts", parts, "--reverse"]).code(0);
    env.embed(&[path, "-o", "odd.npy", "--parts", "odd"]).code(0);
    let [a, b] = ["a.npz", "b.npz"].map(|n| table(&env.path(n)));
    let part = |t: &Table, name: &str| t.array(name).unwrap().row(0).to_vec();
    assert_eq!(bits(&part(&a, "reversed")), bits(&part(&b, "concat")));
    assert_eq!(bits(&part(&a, "concat")), bits(&part(&b, "reversed")));
    let negated: Vec<f32> = part(&a, "odd").iter().map(|v| -v).collect();
    assert_eq!(bits(&part(&b, "odd")), bits(&negated));
    assert_eq!(bits(&part(&b, "even")), bits(&part(&a, "even")));
    assert_eq!(bits(table(&env.path("odd.npy")).only().unwrap().row(0)), bits(&part(&a, "odd")));
    assert!(part(&a, "odd").iter().any(|v| v.abs() > 1e-2), "{:?}", part(&a, "odd"));
    let halves = part(&a, "even").into_iter().zip(part(&a, "odd"));
    for ((even, odd), (e, r)) in halves.zip(part(&a, "concat").into_iter().zip(part(&a, "reversed"))) {
        assert!((even + odd - e).abs() <= e.abs().max(r.abs()) * f32::EPSILON, "{even} + {odd}, {e}, {r}");
    }
    let length = part(&a, "mean").iter().map(|v| f64::from(*v).powi(2)).sum::<f64>().sqrt();
    assert!((length - 1.0).abs() < 1e-6, "{length}");
}

#[test]
fn frames_and_mean_need_no_lift() {
    let env = TestEnv::new();
    let path = clip("door_opening.mp4");
    let args = [path.to_str().unwrap(), "--lift", "absent.safetensors", "-o"];
    env.embed(&[&args[..], &["a.npz", "--parts", "frames,mean"]].concat()).code(0);
    env.embed(&[&args[..], &["b.npz", "--parts", "odd"]].concat()).code(3);
}

#[test]
fn a_batch_equals_its_singles_whatever_the_threads_and_the_order() {
    let env = TestEnv::new();
    let names = ["ball_rising.mp4", "door_closing.webm", "door_opening.mp4", "wheel_turning.webm"];
    let paths = names.map(|n| clip(n).to_str().unwrap().to_string());
    let all: Vec<&str> = paths.iter().map(String::as_str).collect();
    let back: Vec<&str> = all.iter().rev().copied().collect();
    env.embed(&[&all[..], &["-o", "one.npy", "--threads", "1"]].concat()).code(0);
    env.embed(&[&all[..], &["-o", "three.npy", "--threads", "3"]].concat()).code(0);
    env.embed(&[&back[..], &["-o", "back.npy"]].concat()).code(0);
    let [one, three, back] = ["one", "three", "back"].map(|n| table(&env.path(&format!("{n}.npy"))));
    let row = |t: &Table, i: usize| bits(t.only().unwrap().row(i));
    for (i, path) in all.iter().enumerate() {
        let single = format!("single{i}.npy");
        env.embed(&[path, "-o", &single]).code(0);
        let single = row(&table(&env.path(&single)), 0);
        assert_eq!(single, row(&one, i), "{path}");
        assert_eq!(single, row(&three, i), "{path}");
        assert_eq!(single, row(&back, 3 - i), "{path}");
    }
}

#[test]
fn a_reversed_clip_has_the_frames_mirrored_and_another_embedding() {
    let env = TestEnv::new();
    let path = clip("door_opening.mp4");
    let path = path.to_str().unwrap();
    env.embed(&[path, "-o", "a.npz", "--parts", "concat,frames"]).code(0);
    env.embed(&[path, "-o", "b.npz", "--parts", "concat,frames", "--reverse"]).code(0);
    let [a, b] = ["a.npz", "b.npz"].map(|n| table(&env.path(n)));
    let part = |t: &Table, name: &str| t.array(name).unwrap().row(0).to_vec();
    let d = part(&a, "frames").len() / 16;
    let mirrored: Vec<f32> = part(&a, "frames").chunks(d).rev().flatten().copied().collect();
    assert_eq!(bits(&part(&b, "frames")), bits(&mirrored));
    assert_ne!(bits(&part(&a, "concat")), bits(&part(&b, "concat")));
}

#[test]
fn frames_ranges_rates_and_lengths_are_what_was_asked_for() {
    let env = TestEnv::new();
    let path = clip("door_opening.mp4");
    let path = path.to_str().unwrap();
    let frames = |args: &[&str], name: &str| {
        env.embed(&[&[path, "-o", name, "--parts", "frames"], args].concat()).code(0);
        table(&env.path(name)).only().unwrap().shape[1]
    };
    let all = frames(&["--frames", "all"], "all.npy");
    assert!(all > 16, "{all}");
    assert_eq!(frames(&["--frames", "8"], "eight.npy"), 8);
    let second = frames(&["--frames", "all", "--start", "0.4", "--end", "1.4"], "second.npy");
    assert_eq!(second, 26, "25 frames per second, both ends taken");
    let five = frames(&["--fps", "5"], "five.npy");
    assert!((all / 5..=all / 5 + 1).contains(&five), "{five} of {all}");
    env.embed(&[path, "-o", "unit.npy", "--normalize"]).code(0);
    let length: f32 = table(&env.path("unit.npy")).only().unwrap().row(0).iter().map(|x| x * x).sum();
    assert!((length - 1.0).abs() < 1e-5, "{length}");
}

#[test]
fn whole_frames_of_a_damaged_clip_are_all_there_is_to_its_embedding() {
    let env = TestEnv::new();
    // A hole amid groups of pictures: whole frames before and after it, so the last ones move up to other slots.
    let mut bytes = fs::read(data("clips/many_keys.mp4")).unwrap();
    let middle = bytes.len() * 55 / 100;
    bytes[middle..middle + 400].fill(0x55);
    env.write("hole.mp4", &bytes);
    let parts = ["--parts", "frames,concat", "--frames", "all", "-o", "x.npz"];
    env.embed(&[&["hole.mp4"], &parts[..]].concat()).code(1).says(&["hole.mp4: is damaged"]);
    env.embed(&[&["hole.mp4", "--overwrite", "--allow-truncated"], &parts[..]].concat()).code(0);
    let rows = fs::read_to_string(env.path("x.npz.rows.csv")).unwrap();
    let frames = table(&env.path("x.npz")).array("frames").unwrap().shape[1];
    assert!((30..50).contains(&frames) && rows.contains(&format!(",ok,{frames},")), "{frames}: {rows}");
}

#[test]
fn a_row_that_does_not_fit_is_that_videos_failure_and_named_once() {
    let env = TestEnv::new();
    env.clip("door_opening.mp4", "a.mp4");
    env.write("list.csv", b"id,path,end\na,a.mp4,1\nb,a.mp4,0.5\n");
    let args = ["--list", "list.csv", "--frames", "all", "--parts", "frames", "-o", "x.npy"];
    let ran = env.embed(&args).code(1).says(&["a.mp4: the part frames is", ".jsonl", "1 embedded, 1 failed"]);
    assert!(!ran.stderr.contains("a.mp4: a.mp4"), "{}", ran.stderr);
}

#[test]
fn a_list_gives_ids_and_ranges() {
    let env = TestEnv::new();
    env.clip("wheel_turning.webm", "w.webm");
    env.write("list.csv", b"id,path,start,end\nfirst,w.webm,0,0.5\nsecond,w.webm,0.5,\n");
    env.embed(&["--list", "list.csv", "-o", "out.safetensors"]).code(0);
    let t = table(&env.path("out.safetensors"));
    assert_eq!(t.ids().unwrap(), ["first", "second"]);
    assert_ne!(bits(t.only().unwrap().row(0)), bits(t.only().unwrap().row(1)));
    env.write("bad.csv", b"id,path,start,end\nx,w.webm,2,1\n");
    env.embed(&["--list", "bad.csv", "-o", "bad.npy"]).code(3).says(&["bad.csv", "line 2"]);
    env.write("twice.csv", b"id,path\nx,w.webm\nx,v.webm\n");
    env.embed(&["--list", "twice.csv", "-o", "bad.npy"]).code(3).says(&["w.webm", "v.webm", "'x'"]);
    assert!(!env.path("bad.npy").exists());
}

#[test]
fn a_list_may_lie_beside_its_videos_and_come_on_standard_input() {
    let env = TestEnv::new();
    env.clip("wheel_turning.webm", "set/clips/w.webm");
    env.write("set/list.csv", b"id,path\nfirst,clips/w.webm\n");
    env.embed(&["--list", "set/list.csv", "-o", "out.npz"])
        .code(0)
        .says(&["set/list.csv: 1 relative path is not in the working directory", "list's folder set"]);
    assert_eq!(table(&env.path("out.npz")).ids().unwrap(), ["first"]);
    for (name, args) in [("a.npz", &["-"][..]), ("b.npz", &["--list", "-"])] {
        let list = fs::File::open(env.write("piped.csv", b"id,path\nfirst,set/clips/w.webm\n")).unwrap();
        let mut command = env.command(&["embed", "--model", "mini", "-o", name]);
        let ran = Ran::from(command.args(args).stdin(list).output().unwrap()).code(0);
        assert_eq!(table(&env.path(name)).ids().unwrap(), ["first"], "{}", ran.stderr);
    }
    env.write("twice.csv", b"path\nset/clips/w.webm\nset/clips/w.webm\n");
    env.embed(&["--list", "twice.csv", "-o", "x.npy"])
        .code(3)
        .says(&["w.webm stands twice", "leave one out"]);
}

#[test]
fn flags_without_effect_are_refused() {
    let env = TestEnv::new();
    env.clip("wheel_turning.webm", "w.webm");
    for flag in [&["--format", "parquet"][..], &["--shard-size", "10"]] {
        let args = [&["w.webm", "-o", "x.npy"], flag].concat();
        env.embed(&args).code(2).says(&[flag[0], "-o DIR/"]);
    }
    env.write("run.toml", b"[embed]\nshard_size = 10\n");
    env.embed(&["w.webm", "-o", "x/", "--config", "run.toml"]).code(2).says(&["write 'shard-size'"]);
    assert!(!env.path("x.npy").exists() && !env.path("x").exists());
}

#[test]
fn a_disk_that_is_too_small_is_foreseen() {
    let env = TestEnv::new();
    env.clip("wheel_turning.webm", "w.webm");
    let lines: String = (0..100_000).map(|at| format!("{at},w.webm\n")).collect();
    env.write("list.csv", format!("id,path\n{lines}").as_bytes());
    // 100,000 x 1,000,000 x 128 numbers are 51 TB.
    let many = ["--list", "list.csv", "--parts", "frames", "--frames", "1000000", "-o"];
    env.embed(&[&many[..], &["x.npy"]].concat())
        .code(4)
        .says(&["x.npy", "it needs 51.2 TB, and the disk has"]);
    assert!(!env.path("x.npy").exists());
    // A dataset keeps what fits, so it is told and not refused.
    env.write("w.webm", b"no video");
    let ran = env.embed(&[&many[..], &["x/", "--max-failures", "0"]].concat()).code(1);
    ran.says(&["x/: the rows need about 51.2 TB, and the disk has", "what fits is kept"]);
}

#[test]
fn a_mistyped_input_ends_the_run_before_anything_else() {
    let env = TestEnv::new();
    env.clip("ball_rising.mp4", "in/a.mp4");
    fs::create_dir(env.path("empty")).unwrap();
    // The published weights are not there, and are not asked for.
    for args in [
        &["embed", "typo.mp4", "-o", "x.npy"][..],
        &["embed", "in", "typo.mp4", "-o", "x.npy"],
        &["embed", "in/a.mp4/typo.mp4", "-o", "x/"],
        &["plot", "in/a.mp4", "typo.mp4", "-o", "x.png"],
        &["train", "typo.mp4", "-o", "x"],
    ] {
        let ran = env.lift(args).code(3).says(&["typo.mp4: no such file or folder", "check the spelling"]);
        assert!(!ran.stderr.contains("weights"), "{}", ran.stderr);
    }
    let ran = env.lift(&["embed", "empty", "-o", "x.npy"]).code(3).says(&["empty: no video in this folder"]);
    assert!(!ran.stderr.contains("weights"), "{}", ran.stderr);
    assert_eq!(env.names(), ["empty", "in"]);
    // A link to itself is there, and cannot be read: its cause is told.
    std::os::unix::fs::symlink("loop.mp4", env.path("loop.mp4")).unwrap();
    env.embed(&["loop.mp4", "-o", "x.npy"]).code(1).says(&["loop.mp4", "symbolic links"]);
}

#[test]
fn a_pipe_gets_json_lines_and_may_close() {
    let env = TestEnv::new();
    let path = clip("ball_rising.mp4");
    let path = path.to_str().unwrap();
    env.write("list.txt", b"missing.mp4\n");
    let ran = env.embed(&[path, "--list", "list.txt"]).code(1).says(&["missing.mp4: cannot be opened"]);
    let lines: Vec<serde_json::Value> =
        ran.stdout.lines().map(|l| serde_json::from_str(l).unwrap()).collect();
    assert_eq!(lines.len(), 1);
    assert_eq!(lines[0]["id"], "ball_rising");
    assert!(lines[0]["concat"].as_array().unwrap().iter().all(serde_json::Value::is_number));

    let mut child = env
        .command(&["embed", "--model", "mini", path])
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    drop(child.stdout.take());
    let mut stderr = String::new();
    child.stderr.take().unwrap().read_to_string(&mut stderr).unwrap();
    assert_eq!(child.wait().unwrap().code(), Some(0), "{stderr}");
    assert!(!stderr.contains("error"), "{stderr}");
}

#[test]
fn paths_come_on_standard_input() {
    let env = TestEnv::new();
    env.clip("ball_rising.mp4", "a b.mp4");
    let mut child =
        env.command(&["embed", "--model", "mini", "-", "-o", "x.npy"]).stdin(Stdio::piped()).spawn().unwrap();
    child.stdin.take().unwrap().write_all(b"a b.mp4\n").unwrap();
    assert!(child.wait().unwrap().success());
    assert_eq!(table(&env.path("x.npy")).ids().unwrap(), ["a b"]);
}

#[test]
fn requests_that_make_no_sense_are_refused_before_any_work() {
    let env = TestEnv::new();
    env.clip("ball_rising.mp4", "a.mp4");
    let none = env.names();
    env.embed(&["a.mp4", "-o", "x.txt"]).code(2).says(&["x.txt", ".npz"]);
    env.embed(&["a.mp4", "-o", "x.npy", "--parts", "concat,frames"]).code(2).says(&[".npz"]);
    env.embed(&["a.mp4", "-o", "no/such/folder/x.npy"]).code(2).says(&["no/such/folder"]);
    env.embed(&["a.mp4", "--frames", "1"]).code(2).says(&["at least 2"]);
    env.embed(&["a.mp4", "--frames", "16", "--fps", "2"]).code(2);
    env.embed(&["a.mp4", "--parts", "sound"]).code(2).says(&["concat, static, dynamic"]);
    env.embed(&["a.mp4", "-o", "x.npy", "--frames", "100000"]).code(2).says(&["100000", "at most"]);
    env.embed(&["a.mp4", "-o", "x.npy", "--start", "2", "--end", "1"]).code(2).says(&["a.mp4"]);
    env.lift(&["embed"]).code(2);
    assert_eq!(env.names(), none, "nothing may be left behind");
    env.write("x.npy", b"mine");
    env.embed(&["a.mp4", "-o", "x.npy"]).code(2).says(&["x.npy", "--overwrite"]);
    assert_eq!(fs::read(env.path("x.npy")).unwrap(), b"mine");
    env.embed(&["a.mp4", "-o", "x.npy", "--overwrite"]).code(0);
    assert_eq!(table(&env.path("x.npy")).rows(), 1);
}

#[test]
fn missing_weights_are_told_with_the_way_to_get_them() {
    let env = TestEnv::new();
    env.clip("ball_rising.mp4", "a.mp4");
    let told = env.lift(&["embed", "a.mp4", "-o", "x.npy"]).code(3);
    told.says(&["timm/vit_small_patch14_reg4_dinov2.lvd142m", "--dinov2", "--model mini"]);
    let dino = data("golden/dinov2_tiny_random.safetensors");
    let told = env
        .lift(&["embed", "a.mp4", "-o", "x.npy", "--dinov2", dino.to_str().unwrap(), "--heads", "3"])
        .code(3);
    told.says(&["ggwirp95-epoch=458-step=834003.ckpt", "--lift"]);
    let told =
        env.embed(&["a.mp4", "-o", "x.npy", "--dinov2", dino.to_str().unwrap(), "--heads", "3"]).code(3);
    told.says(&["width 128", "gives 48"]);
    assert!(!env.path("x.npy").exists());
}

#[test]
fn a_cause_is_told_once() {
    let env = TestEnv::new();
    env.clip("ball_rising.mp4", "a.mp4");
    let ran = env.embed(&["a.mp4", "-o", "x.npy", "--dinov2", "none.safetensors"]).code(3);
    assert_eq!(ran.stderr.matches("No such file or directory").count(), 1, "{}", ran.stderr);
}

#[test]
fn the_bundled_model_says_what_it_is_unless_quiet() {
    let env = TestEnv::new();
    env.clip("ball_rising.mp4", "a.mp4");
    env.embed(&["a.mp4", "-o", "x.npy"]).code(0).says(&["not for results"]);
    let quiet = env.embed(&["a.mp4", "-o", "y.npy", "-q"]).code(0);
    assert_eq!(quiet.stderr, "");
}

#[cfg(target_os = "linux")]
#[test]
fn a_full_disk_ends_the_run_with_its_own_code() {
    let env = TestEnv::new();
    env.clip("ball_rising.mp4", "a.mp4");
    let full = fs::OpenOptions::new().write(true).open("/dev/full").unwrap();
    let out = env.command(&["embed", "--model", "mini", "a.mp4", "-o", "-"]).stdout(full).output().unwrap();
    Ran::from(out).code(4).says(&["writing failed", "free some space"]);
}

/// Waits until a process catches SIGINT: before that a signal would end it as it ends any other.
#[cfg(target_os = "linux")]
fn wait_until_listening(pid: u32) {
    const SIGINT: u64 = 1 << 1;
    let catches = || {
        let status = fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
        let caught = status.lines().find_map(|l| l.strip_prefix("SigCgt:")).unwrap().trim();
        u64::from_str_radix(caught, 16).unwrap() & SIGINT != 0
    };
    while !catches() {
        std::thread::sleep(std::time::Duration::from_millis(10));
    }
}

#[cfg(target_os = "linux")]
#[test]
fn an_interrupted_run_leaves_nothing_behind() {
    let env = TestEnv::new();
    // A list long enough to be in the middle of it when the signal comes.
    env.clip("wheel_turning.webm", "w.webm");
    let rows: String = (0..5000).map(|i| format!("{i},w.webm\n")).collect();
    env.write("list.csv", format!("id,path\n{rows}").as_bytes());
    let before = env.names();
    let embed = ["embed", "--model", "mini", "--list", "list.csv", "-o", "x.npy"];
    let plot = ["plot", "--model", "mini", "w.webm", "--frames", "256", "-o", "x.mp4"];
    let runs = [
        (&embed[..], libc::SIGINT, 130, "nothing was written"),
        (&embed, libc::SIGTERM, 143, "nothing was written"),
        (&plot, libc::SIGINT, 130, "interrupted: what was not finished is removed"),
    ];
    for (args, signal, code, said) in runs {
        let child = env.command(args).stderr(Stdio::piped()).spawn().unwrap();
        // The temporary files appear before the models load, and only then are signals caught.
        wait_until_listening(child.id());
        send(signal, child.id());
        Ran::from(child.wait_with_output().unwrap()).code(code).says(&[said]);
        assert_eq!(env.names(), before);
    }
}

#[test]
fn info_tells_what_is_in_a_file() {
    let env = TestEnv::new();
    let path = clip("door_closing.webm");
    let ran = env.lift(&["info", "--json", path.to_str().unwrap(), "missing.mp4"]).code(1);
    let lines: Vec<serde_json::Value> =
        ran.stdout.lines().map(|l| serde_json::from_str(l).unwrap()).collect();
    assert_eq!(lines[0]["codec"], "vp9");
    assert_eq!(lines[0]["fps"], 25.0);
    assert_eq!(lines[0]["sample"].as_array().unwrap().len(), 16);
    assert!(lines[1]["error"].as_str().unwrap().contains("cannot be opened"));
    let text = env.lift(&["info", path.to_str().unwrap()]).code(0).stdout;
    assert!(text.contains("codec      vp9"), "{text}");
}

/// Every part of a golden clip through the command, end to end from the video.
fn golden_clip(
    video: &str,
    frames: usize,
    models: [&str; 2],
    flags: &[&str],
    golden: &str,
    names: [&str; 2],
    tolerance: f32,
) {
    let (Some(video), Some(golden)) = (shared(video), shared(golden)) else { return };
    let env = TestEnv::new();
    let frames = frames.to_string();
    let args = [
        "embed",
        video.to_str().unwrap(),
        "-o",
        "x.npz",
        "--parts",
        "concat,static,dynamic,reconstructed,frames",
    ];
    let args =
        [&args[..], &["--frames", &frames, "--dinov2", models[0], "--lift", models[1]], flags].concat();
    env.lift(&args).code(0);
    let (got, want) = (table(&env.path("x.npz")), tensors(golden));
    for part in ["concat", "static", "dynamic", "reconstructed"] {
        let want = numbers(&want[&format!("{}_{part}", names[1])]);
        close(part, got.array(part).unwrap().row(0), &want, tolerance);
    }
    close("frames", got.array("frames").unwrap().row(0), &numbers(&want[names[0]]), tolerance);
}

#[test]
fn tiny_models_agree_end_to_end_from_the_video() {
    let models = ["golden/dinov2_tiny_random.safetensors", "golden/lift_tiny.ckpt"].map(data);
    let models = [models[0].to_str().unwrap(), models[1].to_str().unwrap()];
    for (video, stem) in [("76198.webm", "76198"), ("folding_paper.mp4", "folding_paper")] {
        for frames in if stem == "76198" { &[8, 16, 32][..] } else { &[16] } {
            let golden = format!("golden/tiny_{stem}_{frames}.safetensors");
            let names = ["dino_tiny", "lift_tiny"];
            golden_clip(&format!("videos/{video}"), *frames, models, &["--heads", "3"], &golden, names, 2e-5);
        }
    }
}

#[test]
fn full_size_models_agree_end_to_end_from_the_video() {
    let Some((dino, lift)) = full_weights() else { return };
    let models = [dino.to_str().unwrap(), lift.to_str().unwrap()];
    for (video, stem) in [("76198.webm", "76198"), ("folding_paper.mp4", "folding_paper")] {
        for frames in if stem == "76198" { &[8, 16, 32][..] } else { &[16] } {
            let golden = format!("golden/full_{stem}_{frames}.safetensors");
            golden_clip(&format!("videos/{video}"), *frames, models, &[], &golden, ["dino", "lift"], 1e-4);
        }
    }
    // On a processor without AMX this runs in f32, and says so.
    let (golden, bf16x3) = ("golden/full_76198_16.safetensors", ["--precision", "bf16x3"]);
    golden_clip("videos/76198.webm", 16, models, &bf16x3, golden, ["dino", "lift"], 1e-4);
}

#[test]
fn bf16_stays_within_a_thousandth_of_the_golden_direction() {
    let Some((dino, lift)) = full_weights() else { return };
    let (Some(video), Some(golden)) =
        (shared("videos/76198.webm"), shared("golden/full_76198_16.safetensors"))
    else {
        return;
    };
    let env = TestEnv::new();
    let [video, dino, lift] = [&video, &dino, &lift].map(|p| p.to_str().unwrap());
    let args = ["embed", video, "-o", "x.npz", "--parts", "concat,frames", "--precision", "bf16"];
    // On a processor without bf16 products this runs in f32, and says so.
    env.lift(&[&args[..], &["--dinov2", dino, "--lift", lift]].concat()).code(0);
    let (got, want) = (table(&env.path("x.npz")), tensors(golden));
    for (part, name) in [("concat", "lift_concat"), ("frames", "dino")] {
        let want = numbers(&want[name]);
        let got = got.array(part).unwrap().row(0);
        let dot = |a: &[f32], b: &[f32]| a.iter().zip(b).map(|(x, y)| f64::from(x * y)).sum::<f64>();
        let cosine = dot(got, &want) / (dot(got, got) * dot(&want, &want)).sqrt();
        println!("{part}: cosine {cosine}");
        assert!(cosine > 0.999, "{part}: {cosine}");
    }
}
