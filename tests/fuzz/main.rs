//! The fuzzer's way in: libFuzzer hands bytes to the target that `LIFT_FUZZ_TARGET` names.
#![no_main]

use std::path::PathBuf;
use std::sync::OnceLock;

use libfuzzer_sys::fuzz_target;

mod targets;

static TARGET: OnceLock<(String, PathBuf)> = OnceLock::new();

fuzz_target!(
    init: {
        // libFuzzer's own hook ends the process at any panic, also at those that a reader catches and turns into an error.
        std::panic::set_hook(Box::new(|_| ()));
        let target = std::env::var("LIFT_FUZZ_TARGET").expect("LIFT_FUZZ_TARGET names a target");
        assert!(targets::TARGETS.contains(&target.as_str()), "targets: {:?}", targets::TARGETS);
        // In memory where there is such a folder.
        let shm = PathBuf::from("/dev/shm");
        let root = if shm.is_dir() { shm } else { std::env::temp_dir() };
        let folder = tempfile::Builder::new().prefix("lift-fuzz").tempdir_in(root).expect("a folder").keep();
        TARGET.set((target, folder)).expect("set once");
    },
    |bytes: &[u8]| {
        let (target, folder) = TARGET.get().expect("set at the start");
        targets::run(target, bytes, folder);
    }
);
