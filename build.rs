//! Refuses an FFmpeg that is too old in words: without this the compiler names functions that FFmpeg 4 does not have.

use std::process::Command;

/// libavcodec's version in FFmpeg 5.0.
const LEAST: u32 = 59;

fn main() {
    println!("cargo::rerun-if-changed=build.rs");
    for name in ["FFMPEG_DIR", "PKG_CONFIG_PATH", "PKG_CONFIG_LIBDIR"] {
        println!("cargo::rerun-if-env-changed={name}");
    }
    // Then pkg-config is not asked for FFmpeg.
    if std::env::var_os("FFMPEG_DIR").is_some() {
        return;
    }
    let Ok(asked) = Command::new("pkg-config").args(["--modversion", "libavcodec"]).output() else { return };
    let version = String::from_utf8_lossy(&asked.stdout).trim().to_owned();
    let major = version.split('.').next().and_then(|number| number.parse::<u32>().ok());
    if major.is_some_and(|major| major < LEAST) {
        println!(
            "cargo::error=lift needs FFmpeg 5.0 or later (libavcodec {LEAST}), and this system has libavcodec {version}: \
             run scripts/static.sh, which builds lift with an FFmpeg of its own"
        );
    }
}
