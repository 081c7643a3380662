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
        let folder = PathBuf::from(std::env::var_os("LIFT_FUZZ_FOLDER").expect("LIFT_FUZZ_FOLDER names an empty folder"));
        // A relative path leads not far.
        let below = folder.join("a/b");
        std::fs::create_dir_all(&below).and_then(|()| std::env::set_current_dir(&below)).expect("a folder to work in");
        TARGET.set((target, folder)).expect("set once");
    },
    |bytes: &[u8]| {
        let (target, folder) = TARGET.get().expect("set at the start");
        targets::run(target, bytes, folder);
    }
);
