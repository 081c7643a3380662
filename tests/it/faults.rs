//! Faulty machines: full and read-only disks, files that change, reads that fail, no memory, a kill at any moment.
//!
//! What a machine does not allow (mounting without being root, compiling without `cc`) is skipped aloud.
#![cfg(target_os = "linux")]

use std::fs;
use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::OnceLock;
use std::time::Duration;

use lift::rows::read;
use lift::video::{Request, Video, VideoError};

use crate::common::data;
use crate::env::{Ran, TestEnv, clip, send};

/// A file system in memory, mounted for as long as this lives.
struct Mount(PathBuf);

impl Mount {
    /// `None`, and a word, where this machine does not mount.
    fn new(at: PathBuf, options: &str) -> Option<Self> {
        fs::create_dir_all(&at).unwrap();
        let mounted = Command::new("mount").args(["-t", "tmpfs", "-o", options, "tmpfs"]).arg(&at).output();
        if mounted.is_ok_and(|output| output.status.success()) {
            return Some(Self(at));
        }
        println!("skipped: mounting a file system needs root");
        None
    }

    fn names(&self) -> Vec<String> {
        fs::read_dir(&self.0).unwrap().map(|e| e.unwrap().file_name().into_string().unwrap()).collect()
    }
}

impl Drop for Mount {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg("-l").arg(&self.0).status();
    }
}

/// The library of faults; `None`, and a word, without a C compiler.
fn faults() -> Option<&'static Path> {
    static LIBRARY: OnceLock<Option<PathBuf>> = OnceLock::new();
    let library = LIBRARY.get_or_init(|| {
        let out =
            PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join(format!("faults-{}.so", std::process::id()));
        let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/it/faults.c");
        let built = Command::new("cc")
            .args(["-shared", "-fPIC", "-O1", "-o"])
            .arg(&out)
            .arg(source)
            .arg("-ldl")
            .output();
        match built {
            Ok(output) if output.status.success() => Some(out),
            Ok(output) => panic!("{}", String::from_utf8_lossy(&output.stderr)),
            Err(error) => {
                println!("skipped: no C compiler ({error})");
                None
            }
        }
    });
    library.as_deref()
}

/// Runs `lift` with the faults of `settings`; `None` without a C compiler.
fn with_faults(env: &TestEnv, args: &[&str], settings: &[(&str, &str)]) -> Option<Ran> {
    let library = faults()?;
    let mut command = env.command(args);
    command.env("LD_PRELOAD", library).envs(settings.iter().copied());
    Some(Ran::from(command.output().unwrap()))
}

#[test]
fn a_disk_that_fills_up_ends_the_run_with_its_code_and_no_file() {
    let env = TestEnv::new();
    let Some(disk) = Mount::new(env.path("disk"), "size=8k") else { return };
    let rows: String = (0..12).map(|i| format!("{i},a.mp4\n")).collect();
    env.clip("ball_rising.mp4", "a.mp4");
    env.write("list.csv", format!("id,path\n{rows}").as_bytes());
    for format in ["npy", "npz", "safetensors", "parquet", "jsonl"] {
        let out = format!("disk/x.{format}");
        let args = ["--list", "list.csv", "--parts", "frames", "-o", &out];
        // How many rows there are of windows is not known before.
        let ran = env.embed(&[&args[..], &["--window", "100"]].concat()).code(4);
        ran.says(&["writing failed", "No space left", "free some space"]);
        assert_eq!(disk.names(), Vec::<String>::new(), "{format}");
        let foreseen = ["npy", "npz", "safetensors"].contains(&format);
        let said = if foreseen { "it needs" } else { "No space left" };
        env.embed(&args).code(4).says(&["writing failed", said, "free some space"]);
        assert_eq!(disk.names(), Vec::<String>::new(), "{format}");
    }
}

#[test]
fn a_disk_without_writing_is_told_before_any_work() {
    let env = TestEnv::new();
    env.clip("ball_rising.mp4", "a.mp4");
    let Some(disk) = Mount::new(env.path("disk"), "ro") else { return };
    env.embed(&["a.mp4", "-o", "disk/x.npy"])
        .code(4)
        .says(&["Read-only file system", "a folder that is yours"]);
    assert_eq!(disk.names(), Vec::<String>::new());
}

/// Opens a copy of a fixture, does something to it, and reads it.
fn read_after(name: &str, change: impl FnOnce(&Path)) -> Result<usize, VideoError> {
    let env = TestEnv::new();
    let path = env.write(name, &fs::read(data("clips").join(name)).unwrap());
    let mut video = Video::open(&path).unwrap();
    change(&path);
    video.read(&Request::default(), |_, _| ()).map(|info| info.indices.len())
}

#[test]
fn a_file_that_grows_or_shrinks_while_it_is_read_gives_no_frames() {
    for name in ["many_keys.mp4", "vp9.webm", "late_start.ts", "no_times.h264", "b_frames.avi"] {
        let longer = read_after(name, |path| {
            use std::io::Write;
            fs::OpenOptions::new().append(true).open(path).unwrap().write_all(&[0; 4096]).unwrap();
        });
        assert!(matches!(longer, Err(VideoError::Changed { .. })), "{name}: {longer:?}");
        let shorter = read_after(name, |path| {
            let file = fs::OpenOptions::new().write(true).open(path).unwrap();
            file.set_len(file.metadata().unwrap().len() / 2).unwrap();
        });
        assert!(matches!(shorter, Err(VideoError::Changed { .. })), "{name}: {shorter:?}");
    }
}

#[test]
fn a_file_that_is_removed_or_replaced_while_it_is_read_is_read_as_it_was() {
    assert_eq!(read_after("vp9.webm", |path| fs::remove_file(path).unwrap()), Ok(16));
    let replaced = |path: &Path| {
        fs::remove_file(path).unwrap();
        fs::copy(data("clips/mpeg4.avi"), path).unwrap();
    };
    assert_eq!(read_after("vp9.webm", replaced), Ok(16));
    // A stream without times is opened a second time, and then it is another file.
    let gone = read_after("no_times.h264", |path| fs::remove_file(path).unwrap());
    assert!(matches!(gone, Err(VideoError::Open { .. })), "{gone:?}");
    let other = read_after("no_times.h264", replaced);
    assert!(matches!(other, Err(VideoError::Changed { .. })), "{other:?}");
}

#[test]
fn a_read_that_fails_is_told_as_one_and_never_taken_for_the_end_of_the_file() {
    let env = TestEnv::new();
    for (number, name) in ["door_closing.webm", "ball_rising.mp4"].iter().enumerate() {
        env.clip(name, &format!("FAULTY-{name}"));
        let bytes = fs::metadata(clip(name)).unwrap().len();
        for after in [0, 1, bytes / 2, bytes - 1] {
            let (out, after) = (format!("x{number}-{after}.npy"), after.to_string());
            let args =
                ["embed", "--model", "mini", &format!("FAULTY-{name}"), "--allow-truncated", "-o", &out];
            let settings =
                [("FAULT_NAME", "FAULTY"), ("FAULT_AFTER", after.as_str()), ("FAULT_SHORT", "512")];
            let Some(ran) = with_faults(&env, &args, &settings) else { return };
            ran.code(1).says(&[name, "cannot be read: Input/output error", "check the disk"]);
        }
    }
    env.write("FAULTY.csv", b"id,path\na,a.mp4\n");
    let args = ["embed", "--model", "mini", "--list", "FAULTY.csv", "-o", "x.npy"];
    let settings = [("FAULT_NAME", "FAULTY"), ("FAULT_AFTER", "0")];
    if let Some(ran) = with_faults(&env, &args, &settings) {
        ran.code(3).says(&["FAULTY.csv", "Input/output error"]);
    }
}

#[test]
fn short_and_interrupted_reads_give_the_same_bits() {
    let env = TestEnv::new();
    env.clip("door_closing.webm", "FAULTY.webm");
    env.embed(&["FAULTY.webm", "-o", "good.npy"]).code(0);
    let args = ["embed", "--model", "mini", "FAULTY.webm", "-o", "bad.npy"];
    let settings = [("FAULT_NAME", "FAULTY"), ("FAULT_SHORT", "777")];
    let Some(ran) = with_faults(&env, &args, &settings) else { return };
    ran.code(0);
    assert_eq!(fs::read(env.path("good.npy")).unwrap(), fs::read(env.path("bad.npy")).unwrap());
}

#[test]
fn weights_that_shrink_while_they_are_read_end_the_run_with_a_word() {
    let env = TestEnv::new();
    env.clip("ball_rising.mp4", "a.mp4");
    env.write("SHRINKING.safetensors", &fs::read(data("golden/dinov2_tiny_random.safetensors")).unwrap());
    let args = [
        "embed",
        "a.mp4",
        "--dinov2",
        "SHRINKING.safetensors",
        "--heads",
        "3",
        "--parts",
        "frames",
        "-o",
        "x.npy",
    ];
    let settings = [("FAULT_NAME", "SHRINKING"), ("FAULT_SHRINK", "1")];
    let Some(ran) = with_faults(&env, &args, &settings) else { return };
    ran.code(3).says(&["error: ", "became shorter"]);
    assert!(!env.path("x.npy").exists());
}

#[test]
fn without_memory_every_end_has_a_message_and_a_code() {
    let env = TestEnv::new();
    env.clip("door_closing.webm", "a.webm");
    env.clip("ball_rising.mp4", "b.mp4");
    let lift = env.command(&[]).get_program().to_owned();
    let mut ends = Vec::new();
    // Where the program itself does not fit, the system ends it before its first instruction: 60 MB hold it, and not its libraries.
    for megabytes in [60, 80, 120, 160, 200, 240, 300, 400, 600, 1000, 4000] {
        let mut command = env.command(&[]);
        let mut limited = Command::new("sh");
        limited.args(["-c", &format!("ulimit -v {} && exec \"$0\" \"$@\"", megabytes * 1024)]).arg(&lift);
        limited.args([
            "embed",
            "--model",
            "mini",
            "a.webm",
            "b.mp4",
            "--threads",
            "2",
            "--overwrite",
            "-o",
            "x.npy",
        ]);
        limited.current_dir(env.path("."));
        for (key, value) in command.env("RUST_BACKTRACE", "0").get_envs() {
            match value {
                Some(value) => limited.env(key, value),
                None => limited.env_remove(key),
            };
        }
        let output = limited.stdin(Stdio::null()).output().unwrap();
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        println!("{megabytes} MB: {} {}", output.status, said.lines().last().unwrap_or_default());
        assert_eq!(output.status.signal(), None, "{megabytes} MB: {said}");
        assert!(output.status.success() || !said.is_empty(), "{megabytes} MB: {:?}", output.status);
        ends.push(output.status.code());
    }
    assert_eq!(ends.last(), Some(&Some(0)));
    assert_ne!(ends.first(), Some(&Some(0)));
}

#[test]
fn a_kill_at_any_moment_leaves_no_half_written_output() {
    let env = TestEnv::new();
    env.clip("ball_rising.mp4", "a.mp4");
    let rows: String = (0..6).map(|i| format!("{i},a.mp4\n")).collect();
    env.write("list.csv", format!("id,path\n{rows}").as_bytes());
    let mut killed = 0;
    for turn in 0..12u64 {
        let mut child = env
            .command(&["embed", "--model", "mini", "--list", "list.csv", "--overwrite", "-q", "-o", "x.npz"])
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        std::thread::sleep(Duration::from_millis(turn * turn * 8));
        let _ = child.kill();
        killed += usize::from(child.wait().unwrap().signal().is_some());
        if env.path("x.npz").exists() {
            let table = read(&env.path("x.npz"), lift::rows::Wanted::default()).unwrap();
            assert_eq!((table.rows(), table.ids().unwrap().len()), (6, 6), "turn {turn}");
        }
    }
    assert!(killed > 0, "no run was still alive when it was killed");
    env.embed(&["--list", "list.csv", "--overwrite", "-o", "x.npz"]).code(0);
    assert_eq!(read(&env.path("x.npz"), lift::rows::Wanted::default()).unwrap().rows(), 6);
}

#[test]
fn a_process_that_reads_clip_after_clip_holds_no_more_files_and_no_more_memory() {
    use std::io::{BufRead, BufReader, Write};
    const ROUNDS: usize = 12;
    let env = TestEnv::new();
    let good = fs::read(clip("ball_rising.mp4")).unwrap();
    env.write("cut.mp4", &good[..good.len() / 2]);
    env.write("good.mp4", &good);
    env.clip("door_closing.webm", "other.webm");
    let mut child = env
        .command(&["embed", "--model", "mini", "--threads", "1", "-q", "--stream"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let (mut asks, mut answers) =
        (child.stdin.take().unwrap(), BufReader::new(child.stdout.take().unwrap()).lines());
    let state = |pid: u32| {
        let status = fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
        let resident = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap();
        let kilobytes: usize = resident.trim().trim_end_matches(" kB").parse().unwrap();
        (fs::read_dir(format!("/proc/{pid}/fd")).unwrap().count(), kilobytes / 1024)
    };
    let mut states = Vec::new();
    for _ in 0..ROUNDS {
        for name in ["good.mp4", "other.webm", "cut.mp4", "none.mp4"] {
            writeln!(asks, "{{\"path\": \"{name}\", \"id\": \"{name}\"}}").unwrap();
            let answer = answers.next().unwrap().unwrap();
            assert_eq!(answer.contains("\"concat\""), name.starts_with(['g', 'o']), "{answer}");
        }
        states.push(state(child.id()));
    }
    drop(asks);
    child.wait().unwrap();
    // What is loaded once is there after a few rounds; a megabyte lost in each would be more than is allowed.
    let (early, late) = (states[2], states[ROUNDS - 1]);
    assert_eq!(early.0, late.0, "{states:?}");
    assert!(late.1 <= early.1 + 8, "{states:?}");
}

#[test]
fn of_two_runs_into_one_output_the_second_keeps_its_own_aside() {
    let env = TestEnv::new();
    env.clip("ball_rising.mp4", "a.mp4");
    let rows: String = (0..300).map(|i| format!("{i},a.mp4\n")).collect();
    env.write("long.csv", format!("id,path\n{rows}").as_bytes());
    let slow = env
        .command(&["embed", "--model", "mini", "--list", "long.csv", "-o", "x.npy"])
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    // It has claimed the output once its temporary files are there; then it sleeps until the other is done.
    while !env.names().iter().any(|name| name.starts_with('.')) {
        std::thread::sleep(Duration::from_millis(2));
    }
    send(libc::SIGSTOP, slow.id());
    env.embed(&["a.mp4", "-o", "x.npy"]).code(0);
    let first = fs::read(env.path("x.npy")).unwrap();
    send(libc::SIGCONT, slow.id());
    Ran::from(slow.wait_with_output().unwrap()).code(4).says(&["x.npy", "another"]);
    assert_eq!(fs::read(env.path("x.npy")).unwrap(), first);
    assert_eq!(read(&env.path("x.npy"), lift::rows::Wanted::default()).unwrap().rows(), 1);
    env.embed(&["a.mp4", "-o", "x.npy"]).code(2).says(&["x.npy", "exists already"]);
}

#[test]
fn nothing_asks_the_network_unless_something_is_missing_and_it_may() {
    let env = TestEnv::new();
    env.clip("ball_rising.mp4", "a.mp4");
    let calls = env.path("calls");
    let settings = [("FAULT_CALLS", calls.to_str().unwrap()), ("LIFT_OFFLINE", "")];
    let run = |args: &[&str]| with_faults(&env, args, &settings);
    let Some(ran) = run(&["embed", "--model", "mini", "a.mp4", "-o", "x.npy"]) else { return };
    ran.code(0);
    if let Some(ran) = run(&["embed", "--offline", "a.mp4", "-o", "y.npy"]) {
        ran.code(3).says(&["network is switched off"]);
    }
    if let Some(ran) = run(&["plot", "--model", "mini", "a.mp4", "-o", "x.html"]) {
        ran.code(0);
    }
    if let Some(ran) = run(&["eval-cia", "--offline", "--dataset", "ssv2", "--embeddings", "x.npy"]) {
        ran.code(3);
    }
    if let Some(ran) = run(&["info", "a.mp4"]) {
        ran.code(0);
    }
    assert_eq!(fs::read_to_string(&calls).unwrap_or_default(), "");
    // That the counter counts: with the network allowed and the weights missing it is asked for them.
    if let Some(ran) = run(&["embed", "a.mp4", "-o", "y.npy"]) {
        ran.code(3);
    }
    assert!(fs::read_to_string(&calls).unwrap().contains("getaddrinfo"));
}

#[test]
fn no_answer_is_lost_in_silence_where_standard_output_takes_none() {
    let env = TestEnv::new();
    env.clip("ball_rising.mp4", "a.mp4");
    env.embed(&["a.mp4", "-o", "x.npz", "--parts", "frames,reconstructed", "-q"]).code(0);
    for args in [
        &["info", "a.mp4"][..],
        &["info", "a.mp4", "--json"],
        &["embed", "a.mp4", "-o", "y.npy", "--dry-run"],
        &["embed", "a.mp4", "-o", "out/", "--model", "mini", "--dry-run"],
        &["embed", "a.mp4", "--print-config"],
        &["merge", "-", "x.npz"],
        &["plot", "x.npz", "--json"],
        &["verify", "x.npz"],
        &["weights", "list"],
        &["completions", "fish"],
        &["man"],
    ] {
        let full = fs::OpenOptions::new().write(true).open("/dev/full").unwrap();
        let told = Ran::from(env.command(args).stdout(full).output().unwrap()).code(4);
        assert_eq!(
            told.stderr.matches("standard output: writing failed").count(),
            1,
            "{args:?}: {}",
            told.stderr
        );
        // A reader that left has seen enough.
        let mut lift = env.command(args).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        drop(lift.stdout.take());
        let left = Ran::from(lift.wait_with_output().unwrap()).code(0);
        assert!(!left.stderr.contains("error"), "{args:?}: {}", left.stderr);
    }
}
