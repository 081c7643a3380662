//! Downloads from servers that stumble, lie or are not there, and among processes that are killed or meet each other.

use std::fs;
use std::process::{Child, Stdio};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use lift::weights::{LIFT_CHECKPOINT, LIFT_DRIVE_ID, MINI_DINOV2};

use crate::env::{Ran, TestEnv};
use crate::server::{Reply, Request, Server};
use crate::weights_world::{
    bytes, dinov2_path, drive, drive_path, good, hub, hub_folder, hub_part, lift_checkpoint, sha256, told,
    wait_until,
};

const PULL_DINOV2: [&str; 3] = ["weights", "pull", "dinov2"];
const PULL_LIFT: [&str; 3] = ["weights", "pull", "lift"];
const HALF: usize = MINI_DINOV2.len() / 2;

/// A hub whose bytes come as `body` says.
fn hub_with(body: impl Fn(&Request) -> Reply + Send + Sync + 'static) -> Server {
    Server::start(move |request| match request.path.as_str() {
        "/cdn/dinov2" => body(request),
        _ => hub(request).unwrap_or_else(|| Reply::new(404)),
    })
}

/// A Drive that answers as `body` says.
fn drive_with(body: impl Fn(&Request) -> Reply + Send + Sync + 'static) -> Server {
    Server::start(
        move |request| {
            if request.path.starts_with("/download?") { body(request) } else { Reply::new(404) }
        },
    )
}

#[track_caller]
fn has_dinov2(env: &TestEnv) {
    let blob = hub_folder(env).join("blobs").join(sha256(MINI_DINOV2));
    assert!(bytes(blob) == MINI_DINOV2, "the file is not whole");
    assert!(!hub_part(env).exists());
    env.lift(&["weights", "verify", "dinov2"]).code(0);
}

/// Nothing is where a file could be taken for whole.
#[track_caller]
fn has_nothing(env: &TestEnv) {
    assert!(!hub_folder(env).join("snapshots").exists());
    assert!(!hub_folder(env).join("blobs").join(sha256(MINI_DINOV2)).exists());
    assert!(!env.path("home/lift/lift.safetensors").exists());
}

/// Where each request for the bytes wanted to start.
fn starts(server: &Server) -> Vec<usize> {
    server.asked("GET", "/cdn").iter().map(|r| r.from().unwrap_or(0)).collect()
}

#[test]
fn a_connection_cut_midway_is_taken_up_where_it_broke() {
    let env = TestEnv::new();
    let server = hub_with(|request| match request.before {
        0 => Reply::file(MINI_DINOV2, request).cut_after(HALF),
        1 => Reply::file(MINI_DINOV2, request).cut_after(1000),
        _ => Reply::file(MINI_DINOV2, request),
    });
    env.pull(&server.url, &PULL_DINOV2).code(0).says(&["broke off after 946.9 kB", "trying again"]);
    assert_eq!(starts(&server), [0, HALF, HALF + 1000]);
    has_dinov2(&env);
}

#[test]
fn a_server_that_ignores_ranges_is_heard_from_the_start() {
    let env = TestEnv::new();
    let server = hub_with(|request| match request.before {
        0 => Reply::new(200).body(MINI_DINOV2).cut_after(HALF),
        _ => Reply::new(200).body(MINI_DINOV2),
    });
    env.pull(&server.url, &PULL_DINOV2).code(0);
    assert_eq!(starts(&server), [0, HALF]);
    has_dinov2(&env);
}

#[test]
fn a_wrong_range_is_not_pasted_in() {
    let env = TestEnv::new();
    let server = hub_with(|request| match request.before {
        0 => Reply::file(MINI_DINOV2, request).cut_after(HALF),
        1 => Reply::new(206)
            .header("Content-Range", format!("bytes 10-{}/{}", MINI_DINOV2.len() - 1, MINI_DINOV2.len()))
            .body(&MINI_DINOV2[10..]),
        _ => Reply::file(MINI_DINOV2, request),
    });
    env.pull(&server.url, &PULL_DINOV2).code(0).says(&["another range than asked for"]);
    assert_eq!(starts(&server), [0, HALF, 0]);
    has_dinov2(&env);
}

#[test]
fn a_connection_that_falls_silent_counts_as_lost() {
    let env = TestEnv::new();
    let server = hub_with(|request| match request.before {
        0 => Reply::file(MINI_DINOV2, request).silent_after(HALF),
        _ => Reply::file(MINI_DINOV2, request),
    });
    let mut command = env.online(&server.url, &PULL_DINOV2);
    command.env("LIFT_HTTP_TIMEOUT", "3");
    Ran::from(command.output().unwrap()).code(0).says(&["no byte for 3 s"]);
    assert_eq!(starts(&server), [0, HALF]);
    has_dinov2(&env);
}

#[test]
fn a_connection_that_always_breaks_ends_in_an_error() {
    let env = TestEnv::new();
    let server = hub_with(|request| Reply::file(MINI_DINOV2, request).cut_after(0));
    env.pull(&server.url, &PULL_DINOV2).code(3).says(&["broke off after 0 bytes", "--dinov2 FILE"]);
    assert_eq!(starts(&server).len(), 5);
    has_nothing(&env);
}

#[test]
fn refusals_are_final_at_once_and_say_what_to_do() {
    for (status, words) in [
        (401, ["401", "HF_TOKEN"]),
        (403, ["403", "accept its terms at"]),
        (404, ["404", "no such repository, revision or file"]),
    ] {
        let env = TestEnv::new();
        let server = Server::start(move |_| Reply::new(status).header("X-Error-Message", "so it is"));
        env.pull(&server.url, &PULL_DINOV2).code(3).says(&words).says(&["so it is", "--dinov2 FILE"]);
        assert_eq!(server.log().len(), 1);
        has_nothing(&env);
    }
    let (env, server) = (TestEnv::new(), Server::start(|_| Reply::new(404)));
    env.pull(&server.url, &PULL_LIFT).code(3).says(&["404", LIFT_CHECKPOINT, LIFT_DRIVE_ID, "--lift FILE"]);
    assert_eq!(server.log().len(), 1);
}

#[test]
fn a_busy_server_is_asked_again_after_the_pause_it_names() {
    let env = TestEnv::new();
    let server = Server::start(|request| match (request.method.as_str(), request.before) {
        ("HEAD", 0) => Reply::new(429).header("Retry-After", "0"),
        ("GET", 0) if request.path == dinov2_path() => Reply::new(503).header("Retry-After", "1"),
        _ => hub(request).unwrap_or_else(|| Reply::new(404)),
    });
    env.pull(&server.url, &PULL_DINOV2).code(0).says(&[
        "answered 429",
        "answered 503",
        "trying again in 1 s",
    ]);
    has_dinov2(&env);
}

#[test]
fn a_server_that_wants_an_hour_is_not_waited_for() {
    let env = TestEnv::new();
    let server = Server::start(|_| Reply::new(429).header("Retry-After", "3600"));
    env.pull(&server.url, &PULL_DINOV2).code(3).says(&["asks to wait 3600 s"]);
    assert_eq!(server.log().len(), 1);
}

#[test]
fn an_error_of_the_server_passes_or_ends_after_five_tries() {
    let env = TestEnv::new();
    let server = Server::start(|request| match request.before {
        0 | 1 => Reply::new(500),
        _ => hub(request).unwrap_or_else(|| Reply::new(404)),
    });
    env.pull(&server.url, &PULL_DINOV2).code(0).says(&["answered 500"]);
    has_dinov2(&env);
    let (env, server) = (TestEnv::new(), Server::start(|_| Reply::new(500).header("Retry-After", "0")));
    env.pull(&server.url, &PULL_LIFT).code(3).says(&["answered 500", "--lift FILE"]);
    assert_eq!(server.log().len(), 5);
}

#[test]
fn wrong_lengths_and_wrong_bytes_are_not_kept() {
    // Shorter than the hub said; as long, but other bytes; shorter than its own header says.
    let mut other = MINI_DINOV2.to_vec();
    other[HALF] ^= 1;
    let short = &MINI_DINOV2[..HALF];
    let cases: [(Reply, &[&str]); 3] = [
        (Reply::new(200).body(short), &["sends a file of 946860 bytes, it should have 1893720"]),
        (Reply::new(200).body(&other), &["SHA-256"]),
        (Reply { claims: Some(MINI_DINOV2.len()), ..Reply::new(200).body(short) }, &["broke off"]),
    ];
    for (reply, words) in cases {
        let env = TestEnv::new();
        let server = hub_with(move |_| reply.clone());
        env.pull(&server.url, &PULL_DINOV2).code(3).says(words);
        has_nothing(&env);
    }
    // The right file, longer than the hub said.
    let env = TestEnv::new();
    let server = Server::start(|request| match request.path.as_str() {
        "/cdn/dinov2" => Reply::file(MINI_DINOV2, request),
        _ => told(&MINI_DINOV2[..HALF], "/cdn/dinov2"),
    });
    env.pull(&server.url, &PULL_DINOV2).code(3).says(&["it should have 946860"]);
    has_nothing(&env);
}

#[test]
fn a_web_page_is_no_file() {
    let env = TestEnv::new();
    let server = hub_with(|_| Reply::page("<html><head><title>Log in to the hotel</title></head></html>"));
    env.pull(&server.url, &PULL_DINOV2)
        .code(3)
        .says(&["sent a web page (\"Log in to the hotel\") instead of the file"]);
    has_nothing(&env);
    // A page that does not say that it is one.
    let server = drive_with(|_| Reply::new(200).body(b"<html>hello</html>"));
    env.pull(&server.url, &PULL_LIFT).code(3).says(&["sent a wrong file", "safetensors"]);
    has_nothing(&env);
    let server = Server::start(|_| Reply::page("<title>A proxy</title>"));
    env.pull(&server.url, &PULL_DINOV2).code(3).says(&["does not answer as the hub does", "HF_ENDPOINT"]);
}

#[test]
fn drives_page_to_confirm_is_answered_once() {
    let page = format!(
        "<title>Google Drive - Virus scan warning</title><form id=\"download-form\" action=\"/download\" method=\"get\">\
         <input type=\"hidden\" name=\"id\" value=\"{LIFT_DRIVE_ID}\"><input type=\"hidden\" name=\"export\" \
         value=\"download\"><input type=\"hidden\" name=\"confirm\" value=\"t\"><input type=\"hidden\" name=\"uuid\" \
         value=\"a1-b2\"></form>"
    );
    let again = page.clone();
    let env = TestEnv::new();
    let server = drive_with(move |request| {
        if request.path.contains("uuid=a1-b2") {
            Reply::file(&lift_checkpoint(), request)
        } else {
            Reply::page(&page)
        }
    });
    env.pull(&server.url, &PULL_LIFT).code(0);
    assert_eq!(server.log().len(), 2);
    env.lift(&["weights", "verify", "lift"]).code(0);

    let (env, server) = (TestEnv::new(), drive_with(move |_| Reply::page(&again)));
    env.pull(&server.url, &PULL_LIFT).code(3).says(&["Virus scan warning", "in a browser"]);
    assert_eq!(server.log().len(), 2);
}

#[test]
fn drives_pages_of_words_are_explained_with_the_way_by_hand() {
    for (status, page, words) in [
        (200, "<title>Google Drive - Quota exceeded</title>", "quota for this file is used up"),
        (
            403,
            "<p>Too many users have viewed or downloaded this file recently.</p>",
            "quota for this file is used up",
        ),
        (200, "<a href='https://accounts.google.com/ServiceLogin?x'>Sign in</a>", "asks to sign in"),
        (404, "<p>Sorry, the file you have requested does not exist.</p>", "does not have the file any more"),
    ] {
        let env = TestEnv::new();
        let server = drive_with(move |_| Reply { status, ..Reply::page(page) });
        env.pull(&server.url, &PULL_LIFT).code(3).says(&[
            words,
            &format!("open https://drive.google.com/file/d/{LIFT_DRIVE_ID}/view in a browser"),
            LIFT_CHECKPOINT,
            "home/lift",
        ]);
        has_nothing(&env);
    }
}

#[test]
fn a_file_that_changed_meanwhile_is_begun_anew() {
    let env = TestEnv::new();
    let server = drive_with(|request| match request.before {
        // Another file of the same size, then the right one.
        0 => {
            Reply::new(200).header("ETag", "\"old\"").body(&vec![7; lift_checkpoint().len()]).cut_after(5000)
        }
        _ => drive(request).unwrap(),
    });
    env.pull(&server.url, &PULL_LIFT).code(0).says(&["has changed meanwhile, starting over"]);
    let starts: Vec<_> = server.log().iter().map(|r| r.from().unwrap_or(0)).collect();
    assert_eq!(starts, [0, 5000, 0]);
    env.lift(&["weights", "verify", "lift"]).code(0);
}

#[test]
fn no_length_at_all_is_good_enough_where_the_end_is_marked() {
    let env = TestEnv::new();
    let server = drive_with(|_| {
        let file = lift_checkpoint();
        let chunks = [format!("{:x}\r\n", file.len()).as_bytes(), &file, b"\r\n0\r\n\r\n"].concat();
        Reply::new(200).header("Transfer-Encoding", "chunked").body(&chunks)
    });
    env.pull(&server.url, &PULL_LIFT).code(0);
    env.lift(&["weights", "verify", "lift"]).code(0);
}

#[test]
fn no_server_is_told_soon() {
    let env = TestEnv::new();
    // A port that was free a moment ago.
    let nobody = {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        format!("http://{}", listener.local_addr().unwrap())
    };
    env.pull(&nobody, &["weights", "pull"]).code(3).says(&[
        "cannot be reached",
        "refused",
        "lift weights pull dinov2",
        "--lift FILE",
    ]);
    env.pull("http://no-such-host.invalid", &PULL_DINOV2).code(3).says(&["cannot be reached"]);
    env.pull("not a url", &PULL_DINOV2).code(3);
    has_nothing(&env);
}

#[test]
fn a_cache_that_cannot_be_written_is_a_writing_failure() {
    let (env, server) = (TestEnv::new(), good());
    env.write("file", b"");
    for (name, place, args) in [("HF_HOME", "file/hub", PULL_DINOV2), ("LIFT_HOME", "file/lift", PULL_LIFT)] {
        let mut command = env.online(&server.url, &args);
        command.env(name, env.path(place));
        let ran = Ran::from(command.output().unwrap()).code(4);
        ran.says(&[place, "cannot be written", "HF_HOME and LIFT_HOME"]);
    }
}

/// A run under the shell's limit of the size of a file, which is what a full disk looks like without one.
#[cfg(unix)]
#[test]
fn a_full_cache_keeps_what_arrived_and_goes_on_later() {
    let (env, server) = (TestEnv::new(), good());
    let limited = |args: &[&str]| {
        let plain = env.online(&server.url, args);
        let mut shell = std::process::Command::new("sh");
        // 512 bytes a unit: half the file. The signal is ignored, so that the write fails instead.
        shell.args(["-c", "trap '' XFSZ; ulimit -f 1849; exec \"$@\"", "sh"]).arg(plain.get_program());
        shell.args(plain.get_args()).current_dir(env.path(""));
        for (name, value) in plain.get_envs() {
            match value {
                Some(value) => shell.env(name, value),
                None => shell.env_remove(name),
            };
        }
        Ran::from(shell.output().unwrap())
    };
    limited(&PULL_DINOV2).code(4).says(&["cannot be written"]);
    has_nothing(&env);
    let kept = fs::metadata(hub_part(&env)).unwrap().len();
    assert_eq!(kept, 1849 * 512);
    env.pull(&server.url, &PULL_DINOV2).code(0).says(&["946.7 kB are here already"]);
    assert_eq!(starts(&server), [0, 1849 * 512]);
    has_dinov2(&env);
}

/// Pulls from a server that falls silent midway, and returns once half the file is there.
fn half_way(env: &TestEnv, server: &Server) -> Child {
    let mut command = env.online(&server.url, &PULL_DINOV2);
    command.env("LIFT_HTTP_TIMEOUT", "60").stdout(Stdio::piped()).stderr(Stdio::piped());
    let child = command.spawn().unwrap();
    wait_until("half a download", || fs::metadata(hub_part(env)).is_ok_and(|meta| meta.len() == HALF as u64));
    child
}

fn silent_once() -> Server {
    hub_with(|request| match request.before {
        0 => Reply::file(MINI_DINOV2, request).silent_after(HALF),
        _ => Reply::file(MINI_DINOV2, request),
    })
}

#[test]
fn a_download_that_was_killed_goes_on_where_it_was() {
    let (env, server) = (TestEnv::new(), silent_once());
    let mut child = half_way(&env, &server);
    child.kill().unwrap();
    child.wait().unwrap();
    has_nothing(&env);
    let listed = env.lift(&["weights", "list"]).code(0).stdout;
    assert!(listed.contains("dinov2  begun, 946.9 kB"), "{listed}");
    env.pull(&server.url, &PULL_DINOV2).code(0).says(&["946.9 kB are here already"]);
    assert_eq!(starts(&server), [0, HALF]);
    has_dinov2(&env);
}

#[cfg(unix)]
#[test]
fn a_signal_ends_a_download_in_order() {
    for (signal, code) in [(libc::SIGINT, 130), (libc::SIGTERM, 143)] {
        let env = TestEnv::new();
        // Slow, not silent: a signal is heard between two pieces.
        let server = hub_with(|request| match request.before {
            0 => Reply {
                silent_after: Some((HALF, Duration::from_secs(2))),
                ..Reply::file(MINI_DINOV2, request)
            },
            _ => Reply::file(MINI_DINOV2, request),
        });
        let child = half_way(&env, &server);
        // SAFETY: the child has not been waited for, so its id is still its own.
        unsafe { libc::kill(libc::pid_t::try_from(child.id()).unwrap(), signal) };
        Ran::from(child.wait_with_output().unwrap()).code(code).says(&["what has arrived is kept"]);
        has_nothing(&env);
        assert_eq!(fs::metadata(hub_part(&env)).unwrap().len(), HALF as u64);
    }
}

#[test]
fn of_two_at_once_one_fetches_and_the_other_waits() {
    let env = TestEnv::new();
    // The bytes come a second after both have asked for the headers: by then one has the lock and one waits for it.
    let heads = AtomicUsize::new(0);
    let server = Server::start(move |request| {
        if request.method == "HEAD" {
            heads.fetch_add(1, Ordering::SeqCst);
        }
        if request.path == "/cdn/dinov2" {
            wait_until("two processes", || heads.load(Ordering::SeqCst) >= 2);
            std::thread::sleep(Duration::from_secs(1));
        }
        hub(request).unwrap_or_else(|| Reply::new(404))
    });
    let start = || {
        let mut command = env.online(&server.url, &PULL_DINOV2);
        command.env("LIFT_HTTP_TIMEOUT", "60").stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap()
    };
    let both = [start(), start()].map(|child| Ran::from(child.wait_with_output().unwrap()).code(0));
    assert_eq!(starts(&server), [0], "one of them fetched");
    let waited = both.iter().filter(|ran| ran.stderr.contains("another process is fetching")).count();
    assert_eq!(waited, 1, "{}\n{}", both[0].stderr, both[1].stderr);
    has_dinov2(&env);
}

#[test]
fn what_is_being_fetched_is_not_removed() {
    let (env, server) = (TestEnv::new(), silent_once());
    let mut child = half_way(&env, &server);
    env.lift(&["weights", "rm", "dinov2"]).code(3).says(&["being fetched by another process"]);
    assert!(hub_part(&env).exists());
    child.kill().unwrap();
    child.wait().unwrap();
    let removed = env.lift(&["weights", "rm", "dinov2"]).code(0).stdout;
    assert!(removed.contains("946.9 kB") && !hub_part(&env).exists(), "{removed}");
}

#[test]
fn drive_is_resumed_too() {
    let env = TestEnv::new();
    let server = drive_with(|request| match request.before {
        0 => drive(request).unwrap().cut_after(100_000),
        _ => drive(request).unwrap(),
    });
    env.pull(&server.url, &PULL_LIFT).code(0);
    let starts: Vec<_> = server.asked("GET", &drive_path()).iter().map(|r| r.from().unwrap_or(0)).collect();
    assert_eq!(starts, [0, 100_000]);
    env.lift(&["weights", "verify", "lift"]).code(0);
}
