//! Files that public reports tell of, rebuilt: the right frames, in the order and at the times in which they are shown. The first
//! three kinds gave wrong numbers without a word.

use std::collections::HashSet;
use std::path::{Path, PathBuf};

use lift::video::{ClipInfo, RangeBy, Request, Sampling, Video, VideoInfo, Window};

use crate::common::{data, shared};
use crate::env::TestEnv;

fn clip(name: &str) -> PathBuf {
    data("clips").join(name)
}

fn every_frame() -> Request {
    Request { sampling: Sampling::All, ..Request::default() }
}

/// What a request gives, with the bytes of its frames slot by slot (RGB, row by row).
fn read(path: &Path, request: &Request) -> (ClipInfo, Vec<Vec<u8>>) {
    let mut frames = Vec::new();
    let info = Video::open(path)
        .and_then(|mut video| {
            video.read(request, |slot, frame| {
                frames.resize(frames.len().max(slot + 1), Vec::new());
                frames[slot] = frame.to_vec();
            })
        })
        .unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    frames.truncate(info.indices.len());
    (info, frames)
}

fn different(frames: &[Vec<u8>]) -> usize {
    frames.iter().collect::<HashSet<_>>().len()
}

fn mean(frame: &[u8]) -> f64 {
    frame.iter().map(|&v| f64::from(v)).sum::<f64>() / frame.len() as f64
}

/// The notes of a video with this word in them.
fn notes<'a>(info: &'a VideoInfo, word: &str) -> Vec<&'a String> {
    info.notes.iter().filter(|note| note.contains(word)).collect()
}

#[test]
fn pictures_with_a_palette_are_not_black() {
    // Every frame, in order and by its grey, is a test of the module; here that they have colours.
    for name in ["palette.avi", "palette.mov", "palette_changes.avi"] {
        let (_, frames) = read(&clip(name), &Request::default());
        assert_eq!((frames.len(), different(&frames)), (16, 16), "{name}");
        assert!(frames.iter().all(|f| f.chunks(3).any(|rgb| rgb[0].abs_diff(rgb[2]) > 64)), "{name}");
    }
    for (name, first) in [("imagej_grey8.avi", Some(77.94)), ("pal_raw.avi", None), ("pal_raw.mov", None)] {
        let Some(path) = shared(&format!("cases/01_pal8_black/{name}")) else { return };
        let (_, frames) = read(&path, &every_frame());
        assert_eq!((frames.len(), different(&frames)), (20, 20), "{name}");
        assert!(frames.iter().all(|frame| mean(frame) > 20.0), "{name}");
        if let Some(first) = first {
            assert!((mean(&frames[0]) - first).abs() < 0.01, "{name}: {}", mean(&frames[0]));
        }
    }
}

#[test]
fn an_animation_with_an_alpha_plane_gives_its_pictures() {
    for (name, count) in [("alpha_plane.avif", 16), ("alpha_plane_5.avif", 5)] {
        let (info, frames) = read(&clip(name), &every_frame());
        assert_eq!(info.video.pixel_format, "yuv420p", "{name}");
        assert_eq!((frames.len(), different(&frames)), (count, count), "{name}");
        // A red square and a green disc; the plane is grey.
        let more = |rgb: &[u8], a: usize, b: usize| rgb[a].saturating_sub(rgb[b]) > 96;
        for frame in frames {
            assert!(frame.chunks(3).any(|rgb| more(rgb, 0, 1)), "{name}: no red");
            assert!(frame.chunks(3).any(|rgb| more(rgb, 1, 0)), "{name}: no green");
        }
    }
}

#[test]
fn tracks_that_accompany_another_are_not_read_while_it_is_there() {
    let env = TestEnv::new();
    let bytes = std::fs::read(clip("two_tracks.mp4")).unwrap();
    let width = |bytes: &[u8]| lift::video::probe(&env.write("two.mp4", bytes)).unwrap().width;
    let places = |bytes: &[u8], word: &[u8; 4]| -> Vec<usize> {
        let starts = 0..bytes.len() - 4;
        starts.filter(|&at| &bytes[at..at + 4] == word).collect()
    };
    assert_eq!(width(&bytes), 192);
    // The handler's kind stands 8 bytes after its box's name; the edit list of the first track becomes a reference.
    let handlers: Vec<usize> = places(&bytes, b"hdlr").iter().map(|at| at + 12).collect();
    let (edits, list) = (places(&bytes, b"edts")[0], places(&bytes, b"elst")[0]);
    let patched = |changes: &[(usize, &[u8; 4])]| {
        let mut bytes = bytes.clone();
        changes.iter().for_each(|(at, word)| bytes[*at..at + 4].copy_from_slice(*word));
        bytes
    };
    assert_eq!(width(&patched(&[(handlers[0], b"auxv")])), 96);
    assert_eq!(width(&patched(&[(handlers[1], b"auxv")])), 192);
    for kind in [b"auxl", b"thmb", b"vdep"] {
        assert_eq!(width(&patched(&[(edits, b"tref"), (list, kind)])), 96);
    }
    // Where nothing else is there, it is the video.
    assert_eq!(width(&patched(&[(handlers[0], b"auxv"), (handlers[1], b"auxv")])), 192);
}

#[test]
fn joined_recordings_and_times_of_decoding_keep_the_decoders_order_and_say_so() {
    for (name, frames) in [("joined.ts", 100), ("joined.flv", 100), ("decode_times.mkv", 50)] {
        let mut video = Video::open(&clip(name)).unwrap();
        let info = video.read(&every_frame(), |_, _| ()).unwrap();
        assert!(info.indices.iter().copied().eq(0..frames), "{name}");
        assert_eq!(notes(&info.video, "decoder's order").len(), 1, "{name}: {:?}", info.video.notes);
        // Each frame is shown for 40 ms, over the seam too.
        for (i, seconds) in info.seconds.iter().enumerate() {
            assert!((seconds - 0.04 * i as f64).abs() < 1e-3, "{name}, frame {i}: {seconds}");
        }
        assert!((info.video.duration - 0.04 * frames as f64).abs() < 1e-3, "{name}: {}", info.video.duration);
        // A second reading says nothing twice, and the sample knows what the reading found.
        let again = video.read(&every_frame(), |_, _| ()).unwrap();
        assert_eq!((again.video, again.seconds), (info.video, info.seconds), "{name}");
    }
    for (name, frames) in [("ptsdts.mkv", 100), ("ts_phase_0.1111.ts", 100), ("ts_restart_halfframe.ts", 100)]
    {
        let Some(path) = shared(&format!("cases/05_joined_interleaved/{name}")) else { return };
        let (info, every) = read(&path, &every_frame());
        assert_eq!((every.len(), info.video.frames), (frames, frames), "{name}");
        assert_eq!(notes(&info.video, "decoder's order").len(), 1, "{name}: {:?}", info.video.notes);
        let (sampled, sixteen) = read(&path, &Request::default());
        assert!(sampled.indices.starts_with(&[0, 6, 13, 19, 26]), "{name}");
        assert!(sampled.indices.iter().zip(&sixteen).all(|(&i, frame)| frame == &every[i]), "{name}");
    }
}

#[test]
fn what_a_joined_recording_shows_before_its_first_key_frame_is_left_out() {
    let env = TestEnv::new();
    let bytes = |name: &str| std::fs::read(clip(name)).unwrap();
    // Thirty frames after three that refer to what was cut away; after a recording these do come out of the decoder, as mud.
    let (first, open) = (bytes("joined.ts"), bytes("open_start.ts"));
    let alone = read(&clip("open_start.ts"), &every_frame()).1;
    for before in [bytes("late_start.ts"), first[..first.len() / 2].to_vec()] {
        let path = env.write("joined_open.ts", &[before, open.clone()].concat());
        let (info, frames) = read(&path, &every_frame());
        assert_eq!((info.video.frames, frames.len()), (80, 80), "{:?}", info.video.notes);
        assert!(frames[50..] == alone);
    }
}

#[test]
fn a_jump_of_the_clock_is_no_time() {
    let mut paths = vec![clip("clock_jump.ts")];
    paths.extend(shared("cases/12_clock_jump_fps/ts_jump_back.ts"));
    for path in paths {
        let info = lift::video::probe(&path).unwrap();
        assert!((info.duration - 4.0).abs() < 1e-3, "{}", info.duration);
        assert_eq!(notes(&info, "clock jumps once, by 953").len(), 1, "{:?}", info.notes);
        let each_second = Request { sampling: Sampling::Fps(1.0), ..Request::default() };
        assert_eq!(read(&path, &each_second).0.indices, [0, 25, 50, 75]);
        let window = Some(Window { length: 1.0, stride: 1.0 });
        let windows = read(&path, &Request { window, ..Request::default() }).0.windows;
        assert_eq!(windows.len(), 4);
    }
}

#[test]
fn packets_without_a_frame_of_their_own_are_not_counted() {
    let bundled = [
        ("not_coded.avi", 40, 32),
        ("not_coded.mp4", 40, 32),
        ("fields_mixed.mkv", 22, 15),
        ("open_refresh.ts", 30, 26),
    ]
    .map(|(name, packets, frames)| (clip(name), packets, frames));
    let whole =
        [("nvop.avi", 100, 80), ("nvop.mp4", 100, 80), ("paff_mixed.ts", 60, 40), ("ir_mid.ts", 75, 65)].map(
            |(name, packets, frames)| {
                Some((shared(&format!("cases/09_packets_without_frames/{name}"))?, packets, frames))
            },
        );
    for (path, packets, count) in bundled.into_iter().chain(whole.into_iter().flatten()) {
        let (info, frames) = read(&path, &every_frame());
        let name = path.display();
        assert_eq!((info.video.frames, frames.len(), different(&frames)), (count, count, count), "{name}");
        let note = format!("{packets} packets give {count} frames");
        assert_eq!(notes(&info.video, &note).len(), 1, "{name}: {:?}", info.video.notes);
        let (sampled, sixteen) = read(&path, &Request::default());
        assert_eq!(sampled.indices.last(), Some(&(count - 1)), "{name}");
        assert!(sampled.indices.iter().zip(&sixteen).all(|(&i, frame)| frame == &frames[i]), "{name}");
    }
    // A frame that is not coded leaves the one before it on screen.
    let (info, _) = read(&clip("not_coded.mp4"), &every_frame());
    let shown = [0.0, 0.04, 0.08, 0.12, 0.2, 0.24];
    assert!(
        info.seconds.iter().zip(shown).all(|(got, want)| (got - want).abs() < 1e-6),
        "{:?}",
        info.seconds
    );
}

#[test]
fn a_range_of_a_varying_rate_gives_the_frames_shown_in_it() {
    let range = |start, end| Request { start: Some(start), end: Some(end), ..Request::default() };
    let request = Request { sampling: Sampling::Count(8), ..range(10.0, 20.0) };
    // The luma of the frame shown at t seconds is 16 + 7t, of which the colours span 219 levels.
    let shown_at = |request: &Request| {
        let (_, frames) = read(&clip("varying_rate.mp4"), request);
        frames.iter().map(|frame| (mean(frame) * 219.0 / 255.0 / 7.0).round()).collect::<Vec<_>>()
    };
    assert_eq!(shown_at(&request), [10.0, 11.0, 12.0, 14.0, 15.0, 17.0, 18.0, 20.0]);
    let by_rate = Request { range_by: RangeBy::Fps, ..request };
    assert!(shown_at(&by_rate).iter().all(|&time| time <= 2.0));
    let window = Some(Window { length: 10.0, stride: 10.0 });
    let windows = Request { sampling: Sampling::Count(2), window, ..Request::default() };
    assert_eq!(shown_at(&windows)[..4], [0.0, 10.0, 10.0, 20.0]);
    // A browser's recording tells neither its duration nor its rate.
    let (recording, _) = read(&clip("media_recorder.webm"), &range(3.0, 6.0));
    assert!(recording.seconds.iter().all(|seconds| (2.9..=6.0).contains(seconds)), "{:?}", recording.seconds);
    let (_, frames) = read(
        &clip("media_recorder.webm"),
        &Request { window: Some(Window { length: 3.0, stride: 3.0 }), ..Request::default() },
    );
    assert_eq!(frames.len(), 3 * 16);
}
