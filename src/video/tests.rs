//! The whole way from a file to frames, against the authors' code (goldens) and against itself (fixtures).

use std::io::Read as _;
use std::path::{Path, PathBuf};

use super::*;

/// The shared inputs and goldens, or a word that they are not there.
fn shared(path: &str) -> Option<PathBuf> {
    let Some(root) = std::env::var_os("LIFT_SHARED") else {
        eprintln!("skipped: LIFT_SHARED is not set");
        return None;
    };
    Some(Path::new(&root).join(path))
}

/// Shape and bytes of an array of a `.npz`.
fn array(npz: &Path, name: &str) -> (Vec<usize>, Vec<u8>) {
    let mut zip = zip::ZipArchive::new(std::fs::File::open(npz).unwrap()).unwrap();
    let mut bytes = Vec::new();
    zip.by_name(&format!("{name}.npy")).unwrap().read_to_end(&mut bytes).unwrap();
    let header_end = 10 + usize::from(u16::from_le_bytes([bytes[8], bytes[9]]));
    let header = String::from_utf8_lossy(&bytes[10..header_end]).into_owned();
    let shape = header.split_once("'shape': (").unwrap().1.split_once(')').unwrap().0;
    let shape = shape.split(',').filter_map(|n| n.trim().parse().ok()).collect();
    (shape, bytes.split_off(header_end))
}

/// The full-size frames of a request, slot by slot, with their `(height, width)`.
fn frames(path: &Path, request: &Request, strategy: Strategy) -> Vec<(usize, usize, Vec<u8>)> {
    let mut frames = std::collections::BTreeMap::new();
    Video::open(path)
        .and_then(|mut video| {
            video.read_by(request, strategy, |slot, frame| {
                frames.insert(slot, (frame.height, frame.width, frame.to_vec()));
            })
        })
        .unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    frames.into_values().collect()
}

#[test]
fn frames_are_those_of_decord() {
    for (video, golden) in [("76198.webm", "76198"), ("folding_paper.mp4", "folding_paper")] {
        let Some(root) = shared("") else { return };
        let npz = root.join(format!("golden/frames_{golden}_16.npz"));
        let (shape, expected) = array(&npz, "frames");
        let (_, indices) = array(&npz, "indices");
        let indices: Vec<usize> = indices.chunks(8).map(|b| b[0].into()).collect();
        let path = root.join("videos").join(video);
        for strategy in [Strategy::Sequential, Strategy::Seek] {
            let got = frames(&path, &Request::default(), strategy);
            assert!(got.iter().all(|(h, w, _)| [16, *h, *w, 3] == shape[..]));
            assert!(got.iter().flat_map(|(_, _, data)| data).eq(&expected), "{video}, {strategy:?}");
        }
        assert_eq!(read_clip(&path, &Request::default(), |_, _| ()).unwrap().indices, indices);
    }
}

#[test]
fn tagged_full_range_and_rotated_clips_are_those_of_decord() {
    let Some(root) = shared("golden/edge") else { return };
    let request = Request { sampling: Sampling::Count(1), ..Request::default() };
    for (name, levels) in [("bt709.mp4", 0), ("fullrange.mp4", 0), ("rot90.mp4", 0), ("oddh.webm", 2)] {
        let (shape, expected) = array(&root.join("frame0_decord.npz"), &name.replace('.', "_"));
        let (height, width, got) = frames(&root.join(name), &request, Strategy::Auto).remove(0);
        assert_eq!([height, width, 3], shape[..], "{name}");
        let worst = got.iter().zip(&expected).map(|(a, b)| a.abs_diff(*b)).max();
        assert!(worst <= Some(levels), "{name}: {worst:?} levels off");
    }
}

#[test]
fn resized_and_cropped_frames_are_those_of_torchvision() {
    for (video, golden) in [("76198.webm", "76198"), ("folding_paper.mp4", "folding_paper")] {
        let Some(root) = shared("") else { return };
        let file = std::fs::read(root.join(format!("golden/tiny_{golden}_16.safetensors"))).unwrap();
        let tensors = safetensors::SafeTensors::deserialize(&file).unwrap();
        let cropped = tensors.tensor("resized_cropped_u8").unwrap();
        let bytes = transform::Framing::LIFT.frame_bytes();
        let clip = read_transformed(&root.join("videos").join(video), &Request::default()).unwrap();
        let chosen = match cropped.shape() {
            [3, ..] => vec![0, 8, 15],
            _ => vec![0],
        };
        for (i, &slot) in chosen.iter().enumerate() {
            let expected = &cropped.data()[i * bytes..(i + 1) * bytes];
            assert!(clip.frames[slot] == expected, "{video}, slot {slot}");
        }
    }
}

/// A clip of `tests/data/clips`.
fn clip(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/clips").join(name)
}

/// The number drawn into a frame of a fixture: the grey of its last rows grows by four levels a frame from 20.
fn number((height, width, data): &(usize, usize, Vec<u8>)) -> usize {
    let row = &data[height * 15 / 16 * width * 3..][..width * 3];
    let mean = row.iter().map(|&v| f64::from(v)).sum::<f64>() / row.len() as f64;
    ((mean * 219.0 / 255.0 - 4.0) / 4.0).round() as usize
}

/// Every fixture with moving pictures, and the numbers of its frames.
fn moving() -> Vec<(&'static str, Vec<usize>)> {
    let whole: Vec<usize> = (0..50).collect();
    let mut clips: Vec<(&str, Vec<usize>)> = [
        "one_key.mp4",
        "many_keys.mp4",
        "b_frames.mp4",
        "b_frames.avi",
        "open_gop.mp4",
        "open_gop_hevc.mkv",
        "intra_refresh.mkv",
        "late_start.ts",
        "long_audio.mp4",
        "no_times.h264",
        "lying_count.avi",
        "hidden_frames.webm",
        "vp9.webm",
        "mpeg4.avi",
        "ten_bit_422.mp4",
        "chroma_444.mp4",
        "alpha.webm",
        "odd_size.webm",
        "pq.mp4",
        "palette.avi",
        "palette.mov",
        "palette_changes.avi",
        "decode_times.mkv",
        "pyramid.mp4",
        "interlaced.mp4",
        "pyramid_hevc.mp4",
        "pyramid_vp9.mp4",
        "pyramid_av1.mp4",
        "fragmented.mp4",
        "b_frames_mpeg4.mp4",
        "layers_av1.mp4",
    ]
    .map(|name| (name, whole.clone()))
    .into();
    // One recording after the other, whatever their clocks say.
    for name in ["joined.ts", "joined.flv", "clock_jump.ts"] {
        clips.push((name, (0..50).chain(0..50).collect()));
    }
    clips.push(("edit_list.mp4", (13..50).collect()));
    clips.push(("open_start.ts", (20..50).collect()));
    clips.push(("variable_rate.mp4", (0..50).filter(|n| n % 3 == 0 || *n > 30).collect()));
    clips
}

const EVERY_FRAME: Request = Request {
    window: None,
    most: None,
    max_pixels: None,
    sampling: Sampling::All,
    start: None,
    end: None,
    keyframes: false,
    reverse: false,
    range_by: RangeBy::Time,
    allow_truncated: false,
    threads: 1,
    groups: 1,
};

#[test]
fn every_frame_comes_once_and_in_the_order_of_presentation() {
    for (name, expected) in moving() {
        let numbers: Vec<usize> =
            frames(&clip(name), &EVERY_FRAME, Strategy::Auto).iter().map(number).collect();
        assert_eq!(numbers, expected, "{name}");
    }
}

#[test]
fn seeking_gives_the_frames_of_walking() {
    // Few frames, so that jumps pay; the first of them late, so that one comes before anything is decoded.
    let few = Request { sampling: Sampling::Count(4), start: Some(0.9), ..EVERY_FRAME };
    for (name, _) in moving() {
        for request in [Request::default(), few.clone(), EVERY_FRAME] {
            let walked = frames(&clip(name), &request, Strategy::Sequential);
            assert!(walked == frames(&clip(name), &request, Strategy::Seek), "{name}, {request:?}");
            assert!(walked == frames(&clip(name), &request, Strategy::Auto), "{name}, {request:?}");
            let threads = Request { threads: 4, ..request.clone() };
            assert!(walked == frames(&clip(name), &threads, Strategy::Auto), "{name}, {threads:?}");
            let groups = Request { groups: 3, ..request.clone() };
            assert!(walked == frames(&clip(name), &groups, Strategy::Auto), "{name}, {groups:?}");
            let keys = Request { keyframes: true, ..request };
            let walked = frames(&clip(name), &keys, Strategy::Sequential);
            for groups in [1, 3] {
                let keys = Request { groups, ..keys.clone() };
                assert!(walked == frames(&clip(name), &keys, Strategy::Auto), "{name}, {keys:?}");
            }
        }
    }
}

/// Run by `scripts/random_clips.py`, which draws the clips.
#[test]
fn clips_of_random_settings_are_read_alike_in_every_way() {
    let Some(folder) = std::env::var_os("LIFT_RANDOM_CLIPS") else {
        eprintln!("skipped: LIFT_RANDOM_CLIPS names no folder");
        return;
    };
    let (mut clips, mut skipped, mut alone) = (0, 0, 0);
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        for (count, start) in [(3, 0.0), (5, 0.7), (16, 0.0)] {
            let request = Request { sampling: Sampling::Count(count), start: Some(start), ..EVERY_FRAME };
            let walked = frames(&path, &request, Strategy::Sequential);
            let groups = Request { groups: 3, ..request.clone() };
            for (ask, strategy) in
                [(&request, Strategy::Auto), (&request, Strategy::Seek), (&groups, Strategy::Auto)]
            {
                assert!(walked == frames(&path, ask, strategy), "{}, {ask:?}, {strategy:?}", path.display());
            }
            let mut video = Video::open(&path).unwrap();
            video.read(&request, |_, _| ()).unwrap();
            skipped += video.work().skipped;
            let keys = Request { keyframes: true, ..request };
            let walked = frames(&path, &keys, Strategy::Sequential);
            let groups = Request { groups: 3, ..keys.clone() };
            for ask in [&keys, &groups] {
                assert!(walked == frames(&path, ask, Strategy::Auto), "{}, {ask:?}", path.display());
            }
            let mut video = Video::open(&path).unwrap();
            let mut indices = video.read(&keys, |_, _| ()).unwrap().indices;
            indices.dedup();
            alone += usize::from(video.work().packets == indices.len());
        }
        clips += 1;
    }
    assert!(clips > 0);
    println!("{clips} clips, {skipped} pictures skipped, {alone} readings of nothing but key frames");
}

#[test]
fn a_clip_cut_at_an_open_gop_begins_at_its_key_frame() {
    for strategy in [Strategy::Auto, Strategy::Sequential, Strategy::Seek] {
        let frames = frames(&clip("cut_open_gop.mp4"), &EVERY_FRAME, strategy);
        assert!(frames.iter().map(number).eq(30..50), "{strategy:?}");
    }
}

#[test]
fn a_clip_is_read_again_and_reversed() {
    let mut video = Video::open(&clip("open_gop.mp4")).unwrap();
    let mut numbers = |request: &Request| {
        let mut numbers = std::collections::BTreeMap::new();
        let info = video
            .read(request, |slot, f| {
                numbers.insert(slot, number(&(f.height, f.width, f.to_vec())));
            })
            .unwrap();
        assert!(numbers.values().eq(&info.indices));
        info
    };
    let forward = numbers(&Request::default());
    let mut backward = numbers(&Request { reverse: true, ..Request::default() });
    assert_eq!(forward.seconds[15], 1.96);
    backward.indices.reverse();
    backward.seconds.reverse();
    // A time that was measured, the one thing two readings do not share.
    backward.converting = forward.converting;
    assert_eq!(forward, backward);
    let repeated = numbers(&Request { start: Some(1.0), end: Some(1.1), ..Request::default() });
    assert_eq!(repeated.indices[..3], [25, 25, 25]);
}

#[test]
fn a_sample_is_what_a_reading_takes() {
    for (name, _) in moving() {
        let mut video = Video::open(&clip(name)).unwrap();
        let sample = video.sample(&Request::default()).unwrap();
        let read = video.read(&Request::default(), |_, _| ()).unwrap();
        assert_eq!(sample.indices, read.indices, "{name}");
        assert_eq!(video.info().frames, read.video.frames, "{name}");
    }
}

#[test]
fn a_probe_counts_packets_not_headers() {
    for (name, frames, keys) in
        [("lying_count.avi", 50, 1), ("hidden_frames.webm", 50, 1), ("edit_list.mp4", 37, 4)]
    {
        let info = probe(&clip(name)).unwrap();
        assert_eq!((info.frames, info.key_frames), (frames, keys), "{name}");
        assert_eq!(info.damage, Vec::<String>::new(), "{name}");
    }
    let info = probe(&clip("pq.mp4")).unwrap();
    assert_eq!(info.color_transfer.as_deref(), Some("smpte2084"));
    assert_eq!(info.notes.len(), 1, "{:?}", info.notes);
}

#[test]
fn the_index_of_a_container_tells_what_its_packets_tell() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/clips");
    let mut by_index = 0;
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let scanned = |use_index| {
            let mut demuxer = demux::Demuxer::open(&path).ok()?;
            let probed = probe::scan_by(&mut demuxer, &path, use_index).ok()?;
            by_index += usize::from(probed.bytes_read > 0);
            Some((probed.info, format!("{:?} {:?}", probed.index, probed.damage)))
        };
        let [packets, index] = [false, true].map(scanned);
        assert!(index == packets, "{}:\n{index:?}\n{packets:?}", path.display());
    }
    assert!(by_index >= 10, "{by_index} were read by their index");
}

#[test]
fn counting_reads_the_index_and_not_the_pictures() {
    // Pictures enough that what FFmpeg looks at when it opens a file is a small part.
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("long.mp4");
    let bytes = std::fs::read(clip("b_frames.mp4")).unwrap();
    let at = bytes.windows(4).position(|four| four == b"mdat").unwrap();
    let size = u32::from_be_bytes(*bytes[at - 4..].first_chunk().unwrap());
    // Two megabytes behind the samples that belong to none of them, and the index behind those.
    let end = at - 4 + size as usize;
    let grown = (size + (2 << 20)).to_be_bytes();
    let long = [&bytes[..at - 4], &grown, &bytes[at..end], &vec![7; 2 << 20], &bytes[end..]].concat();
    std::fs::write(&path, long).unwrap();
    let video = Video::open(&path).unwrap();
    assert_eq!(video.info().frames, 50);
    assert!(video.work().bytes < 3 * bytes.len() as u64 + (1 << 17), "{} bytes", video.work().bytes);
}

#[test]
fn pictures_that_nothing_refers_to_are_skipped_unless_they_are_wanted() {
    let few = Request { sampling: Sampling::Count(3), ..Request::default() };
    let mut video = Video::open(&clip("b_frames.mp4")).unwrap();
    video.read_by(&few, Strategy::Sequential, |_, _| ()).unwrap();
    assert_eq!(video.work().skipped, 0);
    video.read(&few, |_, _| ()).unwrap();
    let skipped = video.work().skipped;
    assert!(skipped > 5, "{skipped}");
    video.read(&EVERY_FRAME, |_, _| ()).unwrap();
    assert_eq!(video.work().skipped, skipped);
    for name in ["pyramid.mp4", "pyramid_hevc.mp4", "layers_av1.mp4", "b_frames_mpeg4.mp4", "fragmented.mp4"]
    {
        let mut video = Video::open(&clip(name)).unwrap();
        video.read(&few, |_, _| ()).unwrap();
        assert!(video.work().skipped > 5, "{name}: {:?}", video.work());
    }
}

#[test]
fn of_key_frames_nothing_else_is_decoded() {
    let keys = Request { keyframes: true, ..Request::default() };
    for name in
        ["many_keys.mp4", "b_frames.mp4", "open_gop.mp4", "open_gop_hevc.mkv", "vp9.webm", "fragmented.mp4"]
    {
        for groups in [1, 3] {
            let mut video = Video::open(&clip(name)).unwrap();
            let read = video.read(&Request { groups, ..keys.clone() }, |_, _| ()).unwrap();
            assert_eq!(video.work().packets, read.key_frames[0], "{name}");
            assert!(read.key_frames[0] >= 4, "{name}: {:?}", read.indices);
        }
    }
    let mut video = Video::open(&clip("one_key.mp4")).unwrap();
    let exact = video.read(&keys, |_, _| ()).unwrap();
    assert_eq!((exact.indices[15], exact.key_frames), (49, vec![0]));
    assert!(exact.video.notes[0].contains("exact frames are taken"), "{:?}", exact.video.notes);
}

#[test]
fn the_index_of_fragments_is_read_and_not_their_pictures() {
    let path = clip("fragmented.mp4");
    let mut demuxer = demux::Demuxer::open(&path).unwrap();
    let probed = probe::scan(&mut demuxer, &path).unwrap();
    assert!(probed.index.fragmented && probed.bytes_read > 0);
    // A jump to the last fragment, which no packet was read of.
    let last = Request { start: Some(1.9), sampling: Sampling::Count(1), ..EVERY_FRAME };
    let mut video = Video::open(&path).unwrap();
    video.read_by(&last, Strategy::Seek, |_, frame| assert!(frame.width == 96)).unwrap();
    assert!(video.work().packets < 15, "{:?}", video.work());
    let bytes = std::fs::read(&path).unwrap();
    let folder = tempfile::tempdir().unwrap();
    let cut = folder.path().join("cut.mp4");
    for percent in [50, 90] {
        std::fs::write(&cut, &bytes[..bytes.len() * percent / 100]).unwrap();
        let error = read_clip(&cut, &Request::default(), |_, _| ()).unwrap_err();
        assert_eq!(error.stage(), "truncated", "{error}");
        let request = Request { allow_truncated: true, ..EVERY_FRAME };
        assert!(read_clip(&cut, &request, |_, _| ()).unwrap().indices.len() >= 10, "{percent}");
    }
}

#[test]
fn what_is_no_video_says_so() {
    let directory = tempfile::tempdir().unwrap();
    let write = |name: &str, bytes: &[u8]| {
        let path = directory.path().join(name);
        std::fs::write(&path, bytes).unwrap();
        path
    };
    let stage = |path: &Path| read_clip(path, &Request::default(), |_, _| ()).unwrap_err().stage();
    assert_eq!(stage(&clip("audio_only.m4a")), "no video stream");
    assert_eq!(stage(&clip("cover_art.mp3")), "no video stream");
    assert_eq!(stage(&write("empty.mp4", b"")), "open");
    assert_eq!(stage(&write("text.mp4", b"not a video at all\n")), "open");
    assert_eq!(stage(&directory.path().join("missing.mp4")), "open");
    assert_eq!(stage(directory.path()), "open");
}

#[test]
fn any_name_of_a_file_works() {
    use std::os::unix::ffi::OsStrExt;
    let directory = tempfile::tempdir().unwrap();
    for name in [b"http:~x.mp4".as_slice(), b"50% [a] %03d.png", b"caf\xe9.mp4"] {
        let path = directory.path().join(std::ffi::OsStr::from_bytes(name));
        std::fs::copy(clip("vp9.webm"), &path).unwrap();
        assert_eq!(probe(&path).unwrap().frames, 50);
    }
}

#[test]
fn a_cut_file_is_refused_and_read_on_request() {
    let directory = tempfile::tempdir().unwrap();
    for name in [
        "many_keys.mp4",
        "vp9.webm",
        "hidden_frames.webm",
        "open_gop_hevc.mkv",
        "lying_count.avi",
        "mpeg4.avi",
    ] {
        let bytes = std::fs::read(clip(name)).unwrap();
        for percent in [50, 99] {
            let path = directory.path().join(format!("{percent}_{name}"));
            std::fs::write(&path, &bytes[..bytes.len() * percent / 100]).unwrap();
            let error = read_clip(&path, &Request::default(), |_, _| ()).unwrap_err();
            assert_eq!(error.stage(), "truncated", "{percent} % of {name}: {error}");
            let mut numbers = Vec::new();
            let request = Request { allow_truncated: true, ..EVERY_FRAME };
            let info = read_clip(&path, &request, |slot, f| {
                numbers.resize(slot + 1, 0);
                numbers[slot] = number(&(f.height, f.width, f.to_vec()));
            })
            .unwrap();
            let len = info.indices.len();
            assert!(len >= if percent == 50 { 10 } else { 45 }, "{percent} % of {name}: {len} frames");
            // A frame that refers to a lost one may be lost too, so there can be a gap near the end.
            assert!(numbers[..len].is_sorted_by(|a, b| a < b), "{percent} % of {name}: {numbers:?}");
            assert!(numbers[..len - 2].iter().copied().eq(0..len - 2), "{percent} % of {name}: {numbers:?}");
        }
    }
}

#[test]
fn an_mp4_whose_index_is_cut_off_is_truncated_for_good() {
    let directory = tempfile::tempdir().unwrap();
    let bytes = std::fs::read(clip("b_frames.mp4")).unwrap();
    for percent in [50, 99] {
        let path = directory.path().join("cut.mp4");
        std::fs::write(&path, &bytes[..bytes.len() * percent / 100]).unwrap();
        let request = Request { allow_truncated: true, ..Request::default() };
        let error = read_clip(&path, &request, |_, _| ()).unwrap_err();
        assert!(matches!(error, VideoError::Truncated { hopeless: true, .. }), "{error}");
    }
}

#[test]
fn a_hole_in_the_middle_is_damage() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("hole.mp4");
    let mut bytes = std::fs::read(clip("one_key.mp4")).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle..middle + 400].fill(0x55);
    std::fs::write(&path, &bytes).unwrap();
    let error = read_clip(&path, &Request::default(), |_, _| ()).unwrap_err();
    assert_eq!(error.stage(), "damaged", "{error}");
}
