//! The short version of the hostile corpus: what CI has time for, over the bundled clips. The long one is
//! `scripts/hostile_corpus.py` with `scripts/hostile_run.py`.

use std::fs;
use std::path::Path;

use lift::video::{Request, VideoError, read_transformed};
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;

use crate::common::data;
use crate::env::{TestEnv, clip};

/// Clips of every container and several codecs among the fixtures.
const CLIPS: [&str; 10] = [
    "b_frames.mp4",
    "many_keys.mp4",
    "open_gop_hevc.mkv",
    "hidden_frames.webm",
    "vp9.webm",
    "late_start.ts",
    "lying_count.avi",
    "mpeg4.avi",
    "no_times.h264",
    "ten_bit_422.mp4",
];

fn frames(path: &Path) -> Result<Vec<Vec<u8>>, VideoError> {
    read_transformed(path, &Request::default()).map(|clip| clip.frames)
}

/// Hands every damaged version of every clip to `check`: its name, its path, and the frames of the whole clip.
fn damaged(damage: impl Fn(&str, &[u8]) -> Vec<(String, Vec<u8>)>, check: impl Fn(&str, &Path, &[Vec<u8>])) {
    let env = TestEnv::new();
    for name in CLIPS {
        let whole = frames(&data("clips").join(name)).unwrap();
        let bytes = fs::read(data("clips").join(name)).unwrap();
        for (what, bytes) in damage(name, &bytes) {
            let path = env.write(&format!("{what}.{name}"), &bytes);
            check(&format!("{name}, {what}"), &path, &whole);
        }
    }
}

#[test]
fn a_cut_file_never_gives_other_frames() {
    damaged(
        |_, bytes| {
            [1, 10, 25, 50, 75, 90, 99]
                .map(|percent| (format!("{percent} %"), bytes[..bytes.len() * percent / 100].to_vec()))
                .into()
        },
        |what, path, whole| match frames(path) {
            Err(error) => assert!(!error.to_string().is_empty() && !error.stage().is_empty(), "{what}"),
            // A raw stream and a transport stream do not say how long they should be.
            Ok(_) if what.starts_with("late_start.ts") || what.starts_with("no_times.h264") => {}
            Ok(frames) => assert!(frames == whole, "{what}: other frames, and not a word"),
        },
    );
}

#[test]
fn a_file_with_flipped_bits_or_holes_is_read_or_refused_but_never_more() {
    let seeded = |name: &str| ChaCha8Rng::seed_from_u64(name.len() as u64);
    damaged(
        |name, bytes| {
            let mut random = seeded(name);
            (0..12)
                .map(|turn| {
                    let mut bytes = bytes.to_vec();
                    let end = if turn % 3 == 0 { bytes.len().min(600) } else { bytes.len() };
                    for _ in 0..6 {
                        let at = random.random_range(0..end);
                        if turn % 3 == 2 {
                            let hole = bytes.len().min(at + 64);
                            bytes[at..hole].fill(0);
                        } else {
                            bytes[at] ^= 1 << random.random_range(0..8);
                        }
                    }
                    (format!("turn {turn}"), bytes)
                })
                .collect()
        },
        |what, path, whole| match frames(path) {
            Err(error) => assert!(!error.to_string().is_empty() && !error.stage().is_empty(), "{what}"),
            Ok(frames) => assert_eq!(frames.len(), whole.len(), "{what}"),
        },
    );
}

#[test]
fn an_mp4_without_its_index_is_refused() {
    let env = TestEnv::new();
    let bytes = fs::read(data("clips/b_frames.mp4")).unwrap();
    let moov = bytes.windows(4).position(|four| four == b"moov").unwrap() - 4;
    let path = env.write("no_moov.mp4", &bytes[..moov]);
    let error = frames(&path).unwrap_err();
    assert_eq!(error.stage(), "truncated", "{error}");
    assert!(error.to_string().contains("moov"), "{error}");
}

/// The boxes of an MP4, its pictures all at this place of the file.
fn with_offset(boxes: &[u8], offset: u64) -> Vec<u8> {
    let (mut out, mut rest) = (Vec::new(), boxes);
    while let Some((size, _)) = rest.split_first_chunk::<4>() {
        let (one, after) = rest.split_at(u32::from_be_bytes(*size) as usize);
        let body = &one[8..];
        let (kind, body) = match &one[4..8] {
            kind @ (b"moov" | b"trak" | b"mdia" | b"minf" | b"stbl") => (kind, with_offset(body, offset)),
            b"stco" => {
                let count = body.len() / 4 - 2;
                (&b"co64"[..], [&body[..8], &offset.to_be_bytes().repeat(count)].concat())
            }
            kind => (kind, body.to_vec()),
        };
        out.extend((body.len() as u32 + 8).to_be_bytes());
        out.extend([kind, &body].concat());
        rest = after;
    }
    out
}

#[test]
fn an_index_that_names_places_beyond_any_file_is_refused() {
    let env = TestEnv::new();
    let bytes = fs::read(data("clips/b_frames.mp4")).unwrap();
    for (offset, cause) in [(1 << 62, "its index names data up to"), (i64::MAX as u64, "no frame")] {
        let path = env.write("far.mp4", &with_offset(&bytes, offset));
        let error = frames(&path).unwrap_err().to_string();
        assert!(error.contains(cause), "{offset}: {error}");
    }
}

#[test]
fn a_colour_tag_that_no_standard_names_is_no_tag() {
    let env = TestEnv::new();
    let mut bytes = fs::read(clip("door_closing.webm")).unwrap();
    // Matroska's elements of a matrix, a transfer curve and primaries, each of one byte.
    for tag in [b"\x55\xb1\x81", b"\x55\xba\x81", b"\x55\xbb\x81"] {
        let at = bytes.windows(3).position(|three| three == tag).unwrap();
        bytes[at + 3] = 42;
    }
    let path = env.write("unnamed.webm", &bytes);
    let info = lift::video::probe(&path).unwrap();
    assert_eq!((info.color_primaries, info.color_transfer), (None, None));
    // The pictures are tagged by the codec.
    assert!(frames(&path).unwrap() == frames(&clip("door_closing.webm")).unwrap());
}

#[cfg(unix)]
#[test]
fn what_is_no_regular_file_is_refused_without_waiting_for_it() {
    let env = TestEnv::new();
    let pipe = env.path("pipe.mp4");
    assert!(std::process::Command::new("mkfifo").arg(&pipe).status().unwrap().success());
    std::os::unix::fs::symlink("nowhere.mp4", env.path("dangling.mp4")).unwrap();
    std::os::unix::fs::symlink("loop.mp4", env.path("loop.mp4")).unwrap();
    std::os::unix::fs::symlink("pipe.mp4", env.path("link.mp4")).unwrap();
    env.write("empty.mp4", b"");
    env.write(
        "list.csv",
        b"id,path\n1,pipe.mp4\n2,/dev/zero\n3,dangling.mp4\n4,loop.mp4\n5,link.mp4\n6,empty.mp4\n7,.\n",
    );
    let ran = env.embed(&["--list", "list.csv", "-o", "x.npy"]).code(1);
    ran.says(&[
        "pipe.mp4: is a pipe, not a file",
        "/dev/zero: is a device, not a file",
        "dangling.mp4: cannot be opened: No such file",
        "loop.mp4: cannot be opened: ",
        "link.mp4: is a pipe, not a file",
        "empty.mp4: the file is empty",
        ".: cannot be opened: it is a folder",
        "0 embedded, 7 failed",
    ]);
}

#[test]
fn a_playlist_is_not_followed_whatever_it_is_called() {
    let env = TestEnv::new();
    env.clip("ball_rising.mp4", "clip.mp4");
    let live = "#EXTM3U\n#EXT-X-TARGETDURATION:100000\n#EXTINF:2,\nclip.mp4\n";
    let ended = format!("{live}#EXT-X-ENDLIST\n");
    let remote = "#EXTM3U\n#EXT-X-TARGETDURATION:1\n#EXTINF:1,\nhttp://127.0.0.1:9/x.ts\n#EXT-X-ENDLIST\n";
    let concat = "ffconcat version 1.0\nfile clip.mp4\n";
    for (name, text) in
        [("live.m3u8", live), ("ended.mp4", ended.as_str()), ("net.mp4", remote), ("list.mp4", concat)]
    {
        env.write(name, text.as_bytes());
        let out = format!("{name}.npy");
        env.embed(&[name, "-o", &out]).code(1).says(&[name, "is a list that names other files"]);
    }
    // A name that is a pattern to FFmpeg's reader of pictures is the name of one file.
    env.clip("ball_rising.mp4", "frame%03d.jpg");
    env.clip("door_opening.mp4", "frame001.jpg");
    env.embed(&["frame%03d.jpg", "-o", "pattern.npy"]).code(0);
    env.embed(&["clip.mp4", "-o", "clip.npy"]).code(0);
    assert_eq!(fs::read(env.path("pattern.npy")).unwrap(), fs::read(env.path("clip.npy")).unwrap());
}

#[test]
fn names_that_would_have_one_id_are_told_apart() {
    let env = TestEnv::new();
    env.clip("ball_rising.mp4", "in/a.mp4");
    env.clip("door_closing.webm", "in/a.webm");
    let mut expected = vec!["a.mp4", "a.webm"];
    #[cfg(unix)]
    {
        use std::os::unix::ffi::OsStrExt;
        fs::create_dir(env.path("in/gbk")).unwrap();
        for name in [b"caf\xe8.mp4", b"caf\xe9.mp4"] {
            let path = env.path("in/gbk").join(std::ffi::OsStr::from_bytes(name));
            fs::copy(clip("ball_rising.mp4"), path).unwrap();
        }
        expected.extend(["gbk/caf%E8", "gbk/caf%E9"]);
    }
    for _ in 0..2 {
        let args = ["in", "-o", "x.npy", "--overwrite"];
        env.embed(&args).code(0).says(&["2 of its files differ from another one in the extension alone"]);
        assert_eq!(
            lift::rows::read(&env.path("x.npy"), lift::rows::Wanted::default()).unwrap().ids().unwrap(),
            expected
        );
    }
    // Two files that are named have their stems as ids; the advice is to name their folder, which helps.
    env.embed(&["in/a.mp4", "in/a.webm", "-o", "y.npy"]).code(3).says(&["name a folder that holds both"]);
}

#[cfg(unix)]
#[test]
fn a_name_never_acts_on_the_terminal_and_never_decides_what_is_read() {
    use std::os::unix::ffi::OsStrExt;
    let env = TestEnv::new();
    let good = fs::read(clip("ball_rising.mp4")).unwrap();
    env.write("in/plain.mp4", &good);
    for name in [
        &b"new\nline.mp4"[..],
        b"quo'te\".mp4",
        b"caf\xe9.mp4",
        b"\x1b]0;title\x07.mp4",
        b"concat:a|b.mp4",
        b"-o.mp4",
    ] {
        fs::write(env.path("in").join(std::ffi::OsStr::from_bytes(name)), &good).unwrap();
        let bad = [b"bad ", name].concat();
        fs::write(env.path("in").join(std::ffi::OsStr::from_bytes(&bad)), &good[..good.len() / 2]).unwrap();
    }
    let ran = env
        .embed(&["in", "-o", "x.npy"])
        .code(1)
        .says(&["7 embedded, 6 failed", "bad \\u{1b}]0;title\\u{7}.mp4: "]);
    assert!(ran.stderr.chars().all(|c| !c.is_control() || c == '\n'), "{:?}", ran.stderr);
    let table = lift::rows::read(&env.path("x.npy"), lift::rows::Wanted::default()).unwrap();
    let rows = table.only().unwrap();
    assert!((1..rows.rows()).all(|at| rows.row(at) == rows.row(0)));
}

#[test]
fn a_gif_that_is_cut_or_has_a_hole_fails_whatever_ffmpeg_tells_of_it() {
    let env = TestEnv::new();
    let whole =
        fs::read(Path::new(env!("CARGO_MANIFEST_DIR")).join("assets/pictures/animation.gif")).unwrap();
    env.write("in/whole.gif", &whole);
    for percent in [60, 99] {
        env.write(&format!("in/cut{percent}.gif"), &whole[..whole.len() * percent / 100]);
    }
    let mut holed = whole.clone();
    holed[whole.len() * 6 / 10..][..2048].fill(0);
    env.write("in/hole.gif", &holed);
    let ran = env.embed(&["in", "-o", "x.npy", "--frames", "2"]).code(1);
    ran.says(&[
        "cut60.gif: is truncated: the file ends at byte",
        "cut99.gif: is truncated: the file ends at byte",
        "hole.gif: is damaged: ",
        "1 embedded, 3 failed",
    ]);
}
