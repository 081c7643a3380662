//! Files of weights made to do harm: each ends in an error that names it, without a panic and without eating memory.

use std::fs;
use std::panic::{AssertUnwindSafe, catch_unwind};

use lift::weights::{LIFT_FAMILY, WeightsSource, load_encoder, load_lift};

use crate::common::data;
use crate::env::TestEnv;
use crate::torch_file::{Pickle, packed, stored};

/// What `load_lift` says of these bytes; the file must be named.
#[track_caller]
fn refusal(bytes: &[u8]) -> String {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("hostile.ckpt");
    fs::write(&path, bytes).unwrap();
    let message = load_lift(&WeightsSource::File(path.clone()), true).unwrap_err().to_string();
    assert!(message.contains(path.to_str().unwrap()), "{message}");
    message
}

/// A checkpoint whose only tensor is what `tensor` writes; its storage `0` has 8 numbers.
fn with(tensor: impl FnOnce(Pickle) -> Pickle) -> Vec<u8> {
    let pickle = Pickle::new().raw(b"}").text("state_dict").raw(b"}").text("model.x");
    stored(&[("data.pkl", tensor(pickle).raw(b"ss").stop()), ("data/0", vec![0; 32])])
}

#[track_caller]
fn says(bytes: &[u8], words: &str) {
    let message = refusal(bytes);
    assert!(message.contains(words), "{words:?} is not in {message:?}");
}

#[test]
fn a_sound_tensor_is_read_and_only_its_names_are_amiss() {
    says(&with(|p| p.tensor("0", 8, &[2, 4], &[4, 1])), "not a LiFT model");
}

#[test]
fn sizes_beyond_the_file_are_refused_before_a_byte_is_touched() {
    says(&with(|p| p.tensor("0", 8, &[3, 4], &[4, 1])), "does not fit its storage of 32 bytes");
    says(&with(|p| p.tensor("0", 1 << 40, &[1 << 20, 1 << 20], &[1 << 20, 1])), "does not fit");
    says(&with(|p| p.tensor("0", 8, &[1 << 40, 1 << 40], &[0, 0])), "does not fit");
    says(&with(|p| p.tensor("0", 8, &[usize::MAX, 2], &[1, 1])), "no tuple of sizes");
    says(&with(|p| p.tensor("9", 8, &[2], &[1])), "storage 9 is missing");
    says(&with(|p| p.tensor("../data.pkl", 8, &[2], &[1])), "is missing");
}

#[test]
fn a_bomb_is_not_unpacked() {
    let pickle = Pickle::new().raw(b"}").stop();
    let bomb = packed(&[("data.pkl", pickle.clone()), ("data/0", vec![0; 50_000_000])]);
    assert!(bomb.len() < 100_000);
    says(&bomb, "packed");
    // An entry that claims 4 GB of a file of a few hundred bytes, in its own header and in the directory.
    let mut claims = stored(&[("data.pkl", pickle), ("data/0", vec![0; 32])]);
    let sizes: Vec<usize> = (0..claims.len() - 8)
        .filter(|&i| claims[i..i + 8] == [32u32.to_le_bytes(), 32u32.to_le_bytes()].concat())
        .collect();
    assert_eq!(sizes.len(), 2);
    for at in sizes {
        claims[at..at + 4].copy_from_slice(&0xf000_0000u32.to_le_bytes());
        claims[at + 4..at + 8].copy_from_slice(&0xf000_0000u32.to_le_bytes());
    }
    says(&claims, "declares 4026531840 bytes");
}

#[test]
fn names_that_come_twice_are_refused() {
    let mut twice = stored(&[
        ("data.pkl", Pickle::new().raw(b"}").stop()),
        ("data/0", vec![0; 32]),
        ("data/1", vec![1; 32]),
    ]);
    while let Some(at) = twice.windows(14).position(|w| w == b"archive/data/1") {
        twice[at + 13] = b'0';
    }
    says(&twice, "under 2 names");
    let tensor = |p: Pickle| p.tensor("0", 8, &[2], &[1]);
    says(&with(|p| tensor(tensor(p).raw(b"s").text("model.x"))), "model.x is in it twice");
    says(&stored(&[("data.pkl", vec![]), ("x/data.pkl", vec![])]), "more than one data.pkl");
}

#[test]
fn short_tuples_and_foreign_objects_are_told_apart() {
    let rebuild = |p: Pickle| p.global("torch._utils", "_rebuild_tensor_v2");
    says(&with(|p| rebuild(p).raw(b")R")), "0 arguments");
    says(&with(|p| rebuild(p).raw(b"NNN\x87R")), "3 arguments");
    says(&with(|p| rebuild(p).raw(b"(NNNNtR")), "no storage");
    says(&with(|p| rebuild(p).raw(b"(N\x85QNNNtR")), "1 fields");
    says(&with(|p| p.global("torch._utils", "_rebuild_parameter").raw(b")R")), "parameter is empty");
    says(&with(|p| p.global("torch._tensor", "_rebuild_from_type_v2").raw(b")R")), "incomplete");
    // A value that is no tensor is none: the model is missing it.
    says(&with(|p| p.global("posix", "system").text("touch /tmp/pwned").raw(b"\x85R")), "not a LiFT model");
    says(&with(|p| p.raw(b"N")), "not a LiFT model");
    let alone = |pickle: Pickle| stored(&[("data.pkl", pickle.stop())]);
    says(&alone(Pickle::new().raw(b"N")), "not a dictionary");
    says(&alone(Pickle::new().raw(b"}").text("state_dict").raw(b"Ns")), "state_dict is not a dictionary");
    says(&alone(Pickle::new()), "empty stack");
    says(&stored(&[("other", vec![])]), "without a data.pkl");
    says(&stored(&[("data.pkl", vec![b'N'; 20_000_000])]), "too many for a description");
    says(b"\x80\x02}q\x00.", "torch before 1.6");
}

#[test]
fn nesting_and_doubling_take_neither_stack_nor_memory() {
    let deep = Pickle::new().raw(b"N").raw(&vec![0x85; 5_000_000]);
    says(&stored(&[("data.pkl", deep.stop())]), "not a dictionary");
    let mut doubling = Pickle::new().raw(b"N");
    for _ in 0..100 {
        doubling = doubling.raw(b"q\x00h\x00\x86");
    }
    says(&stored(&[("data.pkl", doubling.stop())]), "not a dictionary");
}

/// Runs a loader; an error or a model are both fine, a panic is not.
fn survives(what: &str, bytes: &[u8]) {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("x");
    fs::write(&path, bytes).unwrap();
    let load = || {
        let _ = load_lift(&WeightsSource::File(path.clone()), true);
        let _ = load_encoder(LIFT_FAMILY, &WeightsSource::File(path.clone()), Some(3), true);
    };
    assert!(catch_unwind(AssertUnwindSafe(load)).is_ok(), "{what} panics");
}

#[test]
fn no_damaged_byte_and_no_missing_end_panics() {
    let whole = fs::read(data("golden/lift_tiny.ckpt")).unwrap();
    // Its pickle stands first, its directory last: that is where a byte matters.
    let places = (0..32_000).step_by(37).chain((whole.len() - 30_000..whole.len()).step_by(53));
    for at in places {
        let mut bytes = whole.clone();
        bytes[at] ^= 0xff;
        survives(&format!("a checkpoint with byte {at} inverted"), &bytes);
    }
    for end in (0..32_000).step_by(997).chain([whole.len() - 1, whole.len() - 22, whole.len() - 100]) {
        survives(&format!("a checkpoint of {end} bytes"), &whole[..end]);
    }
    let whole = fs::read(data("golden/lift_tiny.safetensors")).unwrap();
    for at in (0..9000).step_by(13) {
        let mut bytes = whole.clone();
        bytes[at] ^= 0x15;
        survives(&format!("a safetensors with byte {at} changed"), &bytes);
    }
}

#[test]
fn the_program_names_the_file_and_does_not_panic() {
    let env = TestEnv::new();
    env.clip("door_opening.mp4", "v.mp4");
    let good = fs::read(data("golden/lift_tiny.ckpt")).unwrap();
    let mut damaged = good.clone();
    damaged[2000..2100].fill(0xff);
    for (name, bytes) in [
        ("half.ckpt", good[..good.len() / 2].to_vec()),
        ("damaged.ckpt", damaged),
        ("short.ckpt", with(|p| p.global("torch._utils", "_rebuild_tensor_v2").raw(b")R"))),
        ("bomb.ckpt", packed(&[("data.pkl", vec![b'N'; 10_000_000])])),
    ] {
        env.write(name, &bytes);
        let ran = env.embed(&["v.mp4", "--lift", name, "-o", "x.npy"]).code(3).says(&[name]);
        assert!(!ran.stderr.contains("panicked"), "{}", ran.stderr);
        assert_eq!(ran.stderr.lines().filter(|l| l.starts_with("error:")).count(), 1, "{}", ran.stderr);
        let ran = env.lift(&["weights", "convert", name, "y.safetensors"]).code(3).says(&[name]);
        assert_eq!(ran.stderr.lines().count(), 1, "{}", ran.stderr);
    }
}
