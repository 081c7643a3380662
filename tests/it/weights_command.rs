//! `lift weights` and the commands that fetch what they miss, with servers that do as they should.

use std::fs;
use std::path::Path;

use lift::weights::{DINOV2_REPO, LIFT_CHECKPOINT, LIFT_DRIVE_ID, MINI_DINOV2, MINI_LIFT};
use serde_json::Value;

use crate::common::data;
use crate::env::TestEnv;
use crate::server::{Reply, Server};
use crate::weights_world::{COMMIT, bytes, good, hub, hub_folder, lift_checkpoint, sha256, told};

fn lines(text: &str) -> Vec<Value> {
    text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

#[test]
fn pull_fetches_both_once_says_so_and_keeps_only_the_tensors() {
    let (env, server) = (TestEnv::new(), good());
    let ran = env.pull(&server.url, &["weights", "pull"]).code(0).says(&[
        &format!("downloading model.safetensors of {DINOV2_REPO} (1.9 MB) from {}", server.url),
        &format!("downloading the LiFT checkpoint (4.1 MB) from {}", server.url),
    ]);
    assert!(
        ran.stdout.contains("dinov2 is here: ") && ran.stdout.contains("lift is here: "),
        "{}",
        ran.stdout
    );

    // The hub's own layout, so that its Python library finds the file.
    let folder = hub_folder(&env);
    assert_eq!(fs::read_to_string(folder.join("refs/main")).unwrap(), COMMIT);
    let pointer = folder.join("snapshots").join(COMMIT).join("model.safetensors");
    let blob = Path::new("../../blobs").join(sha256(MINI_DINOV2));
    assert_eq!(fs::read_link(&pointer).unwrap(), blob);
    assert_eq!(fs::read(pointer).unwrap(), MINI_DINOV2);

    // LiFT's tensors, without the checkpoint they came in.
    let names: Vec<_> =
        fs::read_dir(env.path("home/lift")).unwrap().map(|e| e.unwrap().file_name()).collect();
    let mut names: Vec<_> = names.iter().map(|n| n.to_str().unwrap()).collect();
    names.sort_unstable();
    assert_eq!(names, [".lift.lock", "lift.safetensors", "lift.safetensors.json"]);
    let record: Value = serde_json::from_slice(&bytes(env.path("home/lift/lift.safetensors.json"))).unwrap();
    assert_eq!(record["source_sha256"], sha256(&lift_checkpoint()));
    assert_eq!(record["sha256"], sha256(&bytes(env.path("home/lift/lift.safetensors"))));

    let before = server.log().len();
    let ran = env.pull(&server.url, &["weights", "pull"]).code(0);
    assert!(ran.stdout.contains("is here already"), "{}", ran.stdout);
    assert_eq!(server.log().len(), before, "what is here is not asked for again");

    let items = lines(&env.lift(&["weights", "list", "--json"]).code(0).stdout);
    assert_eq!(items.len(), 2);
    for item in &items {
        assert_eq!(item["presence"], "here", "{item}");
    }
    let verdicts = lines(&env.lift(&["weights", "verify", "--json"]).code(0).stdout);
    assert_eq!(verdicts[0]["against"], "the hub's name for it");
    assert_eq!(verdicts[1]["against"], "its record");
    let paths = env.lift(&["weights", "path"]).code(0).stdout;
    assert!(paths.lines().all(|path| Path::new(path).is_file()) && paths.lines().count() == 2, "{paths}");
}

#[test]
fn embed_fetches_what_it_misses_and_gives_the_same_bits_as_from_files() {
    let (env, server) = (TestEnv::new(), good());
    env.clip("door_opening.mp4", "v.mp4");
    env.pull(&server.url, &["embed", "v.mp4", "-o", "fetched.npy"])
        .code(0)
        .says(&["downloading model.safetensors", "downloading the LiFT checkpoint"]);
    env.embed(&["v.mp4", "-o", "bundled.npy"]).code(0);
    assert_eq!(bytes(env.path("fetched.npy")), bytes(env.path("bundled.npy")));
    // From now on without a network; and quiet is quiet.
    env.lift(&["embed", "v.mp4", "-o", "offline.npy"]).code(0);
    assert_eq!(bytes(env.path("offline.npy")), bytes(env.path("bundled.npy")));
    env.lift(&["weights", "rm", "all"]).code(0);
    let ran = env.pull(&server.url, &["embed", "-q", "v.mp4", "-o", "quiet.npy"]).code(0);
    assert_eq!(ran.stderr, "");
}

#[test]
fn each_switch_forbids_the_network_and_the_message_says_what_to_bring() {
    let (env, server) = (TestEnv::new(), good());
    env.clip("door_opening.mp4", "v.mp4");
    let command = |args: &[&str]| env.online(&server.url, args);
    for (switch, mut run) in [
        ("--offline", command(&["embed", "v.mp4", "--offline", "-o", "x.npy"])),
        ("LIFT_OFFLINE", command(&["embed", "v.mp4", "-o", "x.npy"])),
        ("HF_HUB_OFFLINE", command(&["embed", "v.mp4", "-o", "x.npy"])),
    ] {
        if !switch.starts_with('-') {
            run.env(switch, "1");
        }
        let ran = crate::env::Ran::from(run.output().unwrap());
        ran.code(3).says(&[switch, "lift weights pull dinov2", "model.safetensors", "--dinov2 FILE", "mini"]);
    }
    let dinov2 = env.write("d.safetensors", MINI_DINOV2);
    env.lift(&["embed", "v.mp4", "--dinov2", dinov2.to_str().unwrap(), "-o", "x.npy"]).code(3).says(&[
        "LIFT_OFFLINE",
        "lift weights pull lift",
        LIFT_CHECKPOINT,
        LIFT_DRIVE_ID,
        "--lift FILE",
    ]);
    assert!(server.log().is_empty(), "{:?}", server.log());
    assert!(!env.path("x.npy").exists());
}

#[test]
fn a_token_goes_to_the_hub_and_not_where_it_redirects_to() {
    let env = TestEnv::new();
    let cdn = Server::start(|request| Reply::file(MINI_DINOV2, request));
    let at = format!("{}/blob", cdn.url);
    let hub = Server::start(move |_| told(MINI_DINOV2, &at));
    let ran =
        env.online(&hub.url, &["weights", "pull", "dinov2"]).env("HF_TOKEN", "hf_secret").output().unwrap();
    crate::env::Ran::from(ran).code(0);
    for request in hub.log() {
        assert_eq!(request.header("authorization"), Some("Bearer hf_secret"), "{request:?}");
    }
    assert!(!cdn.log().is_empty());
    for request in cdn.log() {
        assert_eq!(request.header("authorization"), None, "{request:?}");
    }
}

#[test]
fn a_checkpoint_put_there_by_hand_is_converted_once_and_stays() {
    let env = TestEnv::new();
    env.clip("door_opening.mp4", "v.mp4");
    let dinov2 = env.write("d.safetensors", MINI_DINOV2);
    let checkpoint = env.write(&format!("home/lift/{LIFT_CHECKPOINT}"), &lift_checkpoint());
    // What a process that was killed while it converted left there is no obstacle.
    env.write("home/lift/.converting/lift.safetensors", b"half");
    assert!(env.lift(&["weights", "list"]).stdout.contains("becomes lift.safetensors when it is first used"));
    let embed =
        |out: &str| env.lift(&["embed", "v.mp4", "--dinov2", dinov2.to_str().unwrap(), "-o", out]).code(0);
    let first = embed("a.npy").says(&["converting ", "to lift.safetensors, once"]);
    let second = embed("b.npy");
    assert!(!second.stderr.contains("converting"), "{}{}", first.stderr, second.stderr);
    assert_eq!(bytes(env.path("a.npy")), bytes(env.path("b.npy")));
    assert!(checkpoint.is_file(), "it is the user's");
    env.embed(&["v.mp4", "-o", "c.npy"]).code(0);
    assert_eq!(bytes(env.path("a.npy")), bytes(env.path("c.npy")));
}

#[test]
fn a_home_that_cannot_be_written_serves_all_the_same() {
    let env = TestEnv::new();
    env.clip("door_opening.mp4", "v.mp4");
    let dinov2 = env.write("d.safetensors", MINI_DINOV2);
    env.write(&format!("home/lift/{LIFT_CHECKPOINT}"), &lift_checkpoint());
    // A folder where the lock's file should be stops even root from writing.
    fs::create_dir(env.path("home/lift/.lift.lock")).unwrap();
    env.lift(&["embed", "v.mp4", "--dinov2", dinov2.to_str().unwrap(), "-o", "a.npy"]).code(0);
    env.embed(&["v.mp4", "-o", "b.npy"]).code(0);
    assert_eq!(bytes(env.path("a.npy")), bytes(env.path("b.npy")));
    assert!(!env.path("home/lift/lift.safetensors").exists());
}

#[test]
fn a_folder_to_carry_serves_on_a_machine_without_a_network() {
    let (env, server) = (TestEnv::new(), good());
    env.pull(&server.url, &["weights", "pull", "--to", "carried"]).code(0);
    let elsewhere = TestEnv::new();
    elsewhere.clip("door_opening.mp4", "v.mp4");
    for name in ["dinov2.safetensors", "lift.safetensors", "dinov2.safetensors.json", "lift.safetensors.json"]
    {
        elsewhere.write(&format!("home/lift/{name}"), &bytes(env.path(&format!("carried/{name}"))));
    }
    elsewhere.lift(&["embed", "v.mp4", "-o", "a.npy"]).code(0);
    elsewhere.embed(&["v.mp4", "-o", "b.npy"]).code(0);
    assert_eq!(bytes(elsewhere.path("a.npy")), bytes(elsewhere.path("b.npy")));
    let verdicts = lines(&elsewhere.lift(&["weights", "verify", "--json"]).code(0).stdout);
    assert!(verdicts.iter().all(|v| v["against"] == "its record"), "{verdicts:?}");
}

#[test]
fn a_url_serves_once_fetched_and_its_secrets_stay_out_of_sight() {
    let env = TestEnv::new();
    let server = Server::start(|request| match request.path.split('?').next() {
        Some("/a/lift.safetensors") => Reply::file(MINI_LIFT, request),
        Some("/a/dinov2.safetensors") => Reply::file(MINI_DINOV2, request),
        _ => Reply::new(404),
    });
    env.clip("door_opening.mp4", "v.mp4");
    let (dinov2, lift) = (
        format!("{}/a/dinov2.safetensors", server.url),
        format!("{}/a/lift.safetensors?sig=secret", server.url),
    );
    let args = |out: &'static str| ["embed", "v.mp4", "--dinov2", &dinov2, "--lift", &lift, "-o", out];
    let ran = env.pull(&server.url, &args("a.npy")).code(0).says(&["downloading lift.safetensors (4.0 MB)"]);
    assert!(!ran.stderr.contains("secret"), "{}", ran.stderr);
    let before = server.log().len();
    env.lift(&args("b.npy")).code(0);
    assert_eq!(server.log().len(), before);
    assert_eq!(bytes(env.path("a.npy")), bytes(env.path("b.npy")));

    let listed = env.lift(&["weights", "list", "--json"]).code(0).stdout;
    assert!(!listed.contains("secret"), "{listed}");
    let kept: Vec<Value> = lines(&listed).into_iter().filter(|i| i["presence"] == "here").collect();
    assert_eq!(kept.len(), 2, "{listed}");
    env.lift(&["weights", "verify"]).code(0);
    let there = |file: &&Value| Path::new(file["path"].as_str().unwrap()).exists();
    env.lift(&["weights", "rm", &lift]).code(0);
    let left: Vec<&Value> = kept.iter().filter(there).collect();
    assert_eq!(left.len(), 1);
    env.lift(&["weights", "rm", left[0]["name"].as_str().unwrap()]).code(0);
    assert!(!there(&left[0]));
    env.lift(&args("c.npy")).code(3).says(&["was not fetched before", "LIFT_OFFLINE", "--dinov2"]);
}

#[test]
fn the_benchmarks_files_come_from_the_hub_too() {
    let env = TestEnv::new();
    let server = Server::start(|request| {
        let side = request.path.rsplit('-').next().unwrap_or_default();
        if !request.path.starts_with("/datasets/bpiyush/chirality-in-action/resolve/main/") {
            return Reply::new(404);
        }
        let file = fs::read(data(&format!("cia/chiral_groups-small-{side}"))).unwrap();
        // Small files lie at the hub itself, named by git's digest.
        Reply::file(&file, request)
            .header("X-Repo-Commit", COMMIT)
            .header("ETag", format!("\"{}\"", &sha256(&file)[..40]))
            .header("Content-Type", "text/plain; charset=utf-8")
    });
    let features = data("cia/features.safetensors");
    let features = format!("lift={}", features.display());
    let args = ["eval-cia", "--dataset", "ssv2", "--features", &features, "-o", "r.json"];
    env.pull(&server.url, &args).code(0).says(&[
        "downloading chiral_groups-ssv2-train.csv of bpiyush/chirality-in-action",
        "chiral_groups-ssv2-validation.csv",
    ]);
    let before = server.log().len();
    env.lift(&[&args[..], &["--overwrite"]].concat()).code(0);
    assert_eq!(server.log().len(), before);
}

#[test]
fn any_repository_serves_by_branch_or_commit() {
    let env = TestEnv::new();
    let server = Server::start(|request| match request.path.as_str() {
        "/owner/base/resolve/v1/model.safetensors" => told(MINI_DINOV2, "/cdn/dinov2"),
        path if path == format!("/owner/base/resolve/{COMMIT}/model.safetensors") => {
            told(MINI_DINOV2, "/cdn/dinov2")
        }
        _ => hub(request).unwrap_or_else(|| Reply::new(404)),
    });
    env.clip("door_opening.mp4", "v.mp4");
    env.pull(&server.url, &["weights", "pull", "owner/base@v1"]).code(0);
    let bodies = || server.asked("GET", "/cdn").len();
    assert_eq!(bodies(), 1);
    let listed = env.lift(&["weights", "list"]).code(0).stdout;
    assert!(listed.contains("owner/base@v1"), "{listed}");
    let commit = format!("owner/base@{COMMIT}");
    // The commit is here under the branch's name; a commit has no name of its own.
    for id in ["owner/base@v1", &commit] {
        env.lift(&["embed", "v.mp4", "--dinov2", id, "--parts", "frames", "-o", "x.npy", "--overwrite"])
            .code(0);
    }
    env.pull(&server.url, &["weights", "pull", "owner/base"]).code(3).says(&["404", "no such repository"]);
    env.lift(&["weights", "rm", "owner/base@v1"]).code(0);
    env.lift(&["weights", "path", "owner/base@v1"]).code(3).says(&["lift weights pull owner/base@v1"]);
}

#[test]
fn damage_is_noticed_by_size_when_loaded_and_by_digest_when_verified() {
    let (env, server) = (TestEnv::new(), good());
    env.clip("door_opening.mp4", "v.mp4");
    env.pull(&server.url, &["weights", "pull"]).code(0);
    let lift = env.path("home/lift/lift.safetensors");
    let good = fs::read(&lift).unwrap();
    let mut flipped = good.clone();
    let last = flipped.len() - 1;
    flipped[last] ^= 1;
    fs::write(&lift, &flipped).unwrap();
    let ran = env
        .lift(&["weights", "verify", "lift"])
        .code(3)
        .says(&["lift weights rm lift", "lift weights pull lift"]);
    assert!(ran.stdout.contains("WRONG") && ran.stdout.contains("SHA-256"), "{}", ran.stdout);
    fs::write(&lift, &good[..last]).unwrap();
    env.lift(&["embed", "v.mp4", "-o", "x.npy"]).code(3).says(&["were recorded", "lift weights rm"]);
    let blob = hub_folder(&env).join("blobs").join(sha256(MINI_DINOV2));
    let mut dinov2 = MINI_DINOV2.to_vec();
    *dinov2.last_mut().unwrap() ^= 1;
    fs::write(&blob, dinov2).unwrap();
    let ran = env.lift(&["weights", "verify", "dinov2"]).code(3);
    assert!(ran.stdout.contains("the hub's name for it"), "{}", ran.stdout);
    // The way out that the messages name.
    env.lift(&["weights", "rm", "all"]).code(0);
    assert!(!lift.exists() && !blob.exists());
    env.pull(&server.url, &["weights", "pull"]).code(0);
    env.lift(&["weights", "verify"]).code(0);
}

#[test]
fn numbers_that_are_not_finite_do_not_pass_verification() {
    let env = TestEnv::new();
    let mut lift = MINI_LIFT.to_vec();
    let last = lift.len() - 4;
    lift[last..].copy_from_slice(&f32::NAN.to_le_bytes());
    env.write("home/lift/lift.safetensors", &lift);
    let ran = env.lift(&["weights", "verify", "lift"]).code(3);
    assert!(ran.stdout.contains("not finite"), "{}", ran.stdout);
}

#[test]
fn convert_keeps_the_model_and_tells_what_narrow_numbers_cost() {
    let env = TestEnv::new();
    env.clip("door_opening.mp4", "v.mp4");
    let checkpoint = env.write("in.ckpt", &lift_checkpoint());
    let input = checkpoint.to_str().unwrap();
    let convert = |out: &str, more: &[&str]| {
        env.lift(&[&["weights", "convert", input, out, "--json"], more].concat()).code(0)
    };
    let whole = lines(&convert("f32.safetensors", &[]).stdout);
    assert_eq!(whole[0]["largest_error"], 0.0);
    assert_eq!(whole[0]["sha256"], sha256(&bytes(env.path("f32.safetensors"))));
    for (dtype, most) in [("f16", 5e-4), ("bf16", 4e-3)] {
        let out = format!("{dtype}.safetensors");
        let half = lines(&convert(&out, &["--dtype", dtype]).stdout);
        let cost = half[0]["relative_error"].as_f64().unwrap();
        assert!(cost > 0.0 && cost < most, "{half:?}");
        assert!(bytes(env.path(&out)).len() < 6 * bytes(env.path("f32.safetensors")).len() / 10);
        env.embed(&["v.mp4", "--lift", &out, "-o", &format!("{dtype}.npy")]).code(0);
    }
    env.embed(&["v.mp4", "--lift", "f32.safetensors", "-o", "f32.npy"]).code(0);
    env.embed(&["v.mp4", "-o", "bundled.npy"]).code(0);
    assert_eq!(bytes(env.path("f32.npy")), bytes(env.path("bundled.npy")));
    assert_ne!(bytes(env.path("bf16.npy")), bytes(env.path("bundled.npy")));

    env.lift(&["weights", "convert", input, "f32.safetensors"]).code(2).says(&["--overwrite"]);
    env.lift(&["weights", "convert", input, "no/x.safetensors"]).code(2).says(&["does not exist"]);
    env.write("hello.ckpt", b"hello");
    env.lift(&["weights", "convert", "hello.ckpt", "y.safetensors"]).code(3).says(&["hello.ckpt"]);
    let other = data("golden/tiny_76198_8.safetensors");
    env.lift(&["weights", "convert", other.to_str().unwrap(), "y.safetensors"])
        .code(3)
        .says(&["holds no model that is known here: a DINOv2, DINOv3, CLIP or SigLIP"]);
    assert!(!env.path("y.safetensors").exists());
}

#[test]
fn widths_that_do_not_fit_are_told_in_one_sentence_with_both_numbers() {
    let env = TestEnv::new();
    env.clip("door_opening.mp4", "v.mp4");
    let lift = data("golden/lift_tiny.ckpt");
    env.embed(&["v.mp4", "--lift", lift.to_str().unwrap(), "-o", "x.npy"])
        .code(3)
        .says(&["LiFT reads features of width 48, the frame encoder (dinov2) gives 128; "]);
}

#[test]
fn names_that_are_no_weights_are_usage() {
    let env = TestEnv::new();
    env.lift(&["weights", "pull", "dino"]).code(2).says(&["'dino' is no weights", "owner/name"]);
    env.lift(&["weights", "rm"]).code(2);
    env.lift(&["weights", "path", "lift"]).code(3).says(&["lift is not here", "lift weights pull lift"]);
    env.lift(&["weights", "pull"]).code(3).says(&["LIFT_OFFLINE"]);
}
