//! Healthy files that only look broken, as public reports have them: FFmpeg logs errors that no picture depends on, or a
//! header declares a few bytes too many. Each gives the pictures of the file without the flaw, and a note; the same flaw with
//! something missing is refused. And files that hold no video to be had, each with its reason.

use std::fs;
use std::path::Path;

use lift::video::{Request, Sampling, VideoError, VideoInfo, read_clip};

use crate::common::{data, shared};
use crate::env::TestEnv;

/// Every frame of a video: the pixels, and what was seen of the file.
fn read(path: &Path, allow_truncated: bool) -> Result<(Vec<Vec<u8>>, VideoInfo), VideoError> {
    let mut frames = Vec::new();
    let request = Request { sampling: Sampling::All, allow_truncated, ..Request::default() };
    let info = read_clip(path, &request, |slot, frame| {
        frames.resize(frames.len().max(slot + 1), Vec::new());
        frames[slot] = frame.to_vec();
    })?;
    frames.truncate(info.indices.len());
    Ok((frames, info.video))
}

fn bytes(name: &str) -> Vec<u8> {
    fs::read(data("clips").join(name)).unwrap()
}

/// Where `what` begins in `bytes`.
fn find(bytes: &[u8], what: &[u8]) -> usize {
    bytes.windows(what.len()).position(|some| some == what).unwrap()
}

/// Reads `flawed`, which has to give the frames of `whole` and a note with these words.
#[track_caller]
fn same(name: &str, flawed: &[u8], whole: &[u8], note: &str) {
    let env = TestEnv::new();
    let (expected, info) = read(&env.write(&format!("whole.{name}"), whole), false).unwrap();
    assert!(!info.notes.iter().any(|one| one.contains(note)), "{name}: {:?}", info.notes);
    let (frames, info) =
        read(&env.write(name, flawed), false).unwrap_or_else(|error| panic!("{name}: {note}: {error}"));
    assert!(frames == expected, "{name}: {} frames, {} expected", frames.len(), expected.len());
    assert!(info.notes.iter().any(|one| one.contains(note)), "{name}: {note}: {:?}", info.notes);
    assert_eq!(info.damage, Vec::<String>::new(), "{name}");
}

/// Reads `broken`, which has to be refused at this stage.
#[track_caller]
fn refused(name: &str, broken: &[u8], stage: &str) {
    let env = TestEnv::new();
    let error = read(&env.write(name, broken), false).map(|(frames, _)| frames.len()).unwrap_err();
    assert_eq!(error.stage(), stage, "{name}: {error}");
}

/// The boxes of an MP4 with one more behind the children of the box that `path` leads to.
fn with_box(boxes: &[u8], path: &[&[u8; 4]], child: &[u8]) -> Vec<u8> {
    let (mut out, mut rest) = (Vec::new(), boxes);
    while let Some(size) = rest.first_chunk::<4>() {
        let (one, after) = rest.split_at(u32::from_be_bytes(*size) as usize);
        let (kind, body) = (&one[4..8], &one[8..]);
        let own = match kind {
            b"stsd" => 8,
            b"avc1" => 78,
            _ => 0,
        };
        let body = match path {
            [last] if kind == *last => [body, child].concat(),
            [first, inner @ ..] if kind == *first => {
                [&body[..own], &with_box(&body[own..], inner, child)].concat()
            }
            _ => body.to_vec(),
        };
        out.extend((body.len() as u32 + 8).to_be_bytes());
        out.extend([kind, &body].concat());
        rest = after;
    }
    out
}

fn mp4_box(kind: &[u8; 4], body: &[u8]) -> Vec<u8> {
    [&(body.len() as u32 + 8).to_be_bytes()[..], kind, body].concat()
}

#[test]
fn boxes_that_describe_no_picture_may_be_anything() {
    // Its index is at the end, so that nothing moves which the index names.
    let whole = bytes("b_frames.mp4");
    let entry: [&[u8; 4]; 7] = [b"moov", b"trak", b"mdia", b"minf", b"stbl", b"stsd", b"avc1"];
    let sphere = [
        mp4_box(b"svhd", &[0; 5]),
        mp4_box(b"proj", &[mp4_box(b"prhd", &[0; 16]), mp4_box(b"mshp", &[0; 4])].concat()),
    ];
    let chapters = mp4_box(b"tref", &mp4_box(b"chap", &[0, 0, 0, 99]));
    for (path, child, note) in [
        (&entry[..], mp4_box(b"fiel", &[2, 0]), "Unknown MOV field order 0x0200"),
        (&entry, mp4_box(b"sv3d", &sphere.concat()), "Unknown projection type: mshp"),
        (&entry[..2], chapters, "Referenced QT chapter track not found"),
    ] {
        same("boxes.mp4", &with_box(&whole, path, &child), &whole, note);
    }
}

#[test]
fn a_stream_may_forget_pictures_from_before_its_cut() {
    for (name, frames) in [("cut_open_gop.mp4", 20), ("cut_open_gop.mkv", 26)] {
        let path = data("clips").join(name);
        let (pictures, info) = read(&path, false).unwrap_or_else(|error| panic!("{name}: {error}"));
        assert_eq!((pictures.len(), info.frames), (frames, frames), "{name}: {:?}", info.notes);
        assert!(info.notes.iter().any(|one| one.contains("mmco: unref short failure")), "{:?}", info.notes);
        assert!(pictures == read(&path, true).unwrap().0, "{name}");
    }
    // A picture that others refer to, lost in the middle, is no such case.
    let mut lost = bytes("cut_open_gop.mp4");
    let samples = find(&lost, b"stsz") + 16;
    let sizes: Vec<usize> = lost[samples..][..4 * 20]
        .chunks(4)
        .map(|four| u32::from_be_bytes(four.try_into().unwrap()) as usize)
        .collect();
    let mut at = find(&lost, b"mdat") + 4;
    let lost_picture = (0..sizes.len()).find(|&i| {
        let here = at;
        at += sizes[i];
        i > 6 && lost[here + 4] & 0x1f == 1 && lost[here + 4] & 0x60 != 0
    });
    let size = sizes[lost_picture.unwrap()];
    // It becomes filler, which a decoder passes over.
    lost[at - size + 4] = 0x0c;
    let env = TestEnv::new();
    let error = read(&env.write("lost.mp4", &lost), false).map(|(frames, _)| frames.len()).unwrap_err();
    assert!(matches!(error, VideoError::Damaged { .. }), "{error}");
}

#[test]
fn a_message_that_is_too_short_is_no_picture() {
    let flawed = bytes("short_message.mp4");
    // Its header made into that of filler, which a decoder passes over.
    let mut whole = flawed.clone();
    let messages: Vec<usize> =
        (4..flawed.len() - 3).filter(|&at| flawed[at - 4..at + 3] == [0, 0, 0, 0x68, 6, 5, 200]).collect();
    for &at in &messages {
        whole[at] = 12;
    }
    assert!(messages.len() >= 14, "{messages:?}");
    // FFmpeg 5.1 says the size in bits, 7.1 in bytes.
    same("message.mp4", &flawed, &whole, "SEI type 5 size ");
}

#[test]
fn packets_with_a_delimiter_alone_are_no_frames() {
    let path = data("clips/delimiters.mp4");
    let (frames, info) = read(&path, false).unwrap();
    assert_eq!((frames.len(), info.frames), (21, 21), "{:?}", info.notes);
    assert!(
        info.notes.iter().any(|one| one.starts_with("2 of its packets hold no picture")),
        "{:?}",
        info.notes
    );
    assert!(frames == read(&path, true).unwrap().0);
    assert!(frames.windows(2).all(|two| two[0] != two[1]));
    // A slice whose header became that of a delimiter is a picture that is missing.
    let mut broken = bytes("delimiters.mp4");
    let at = find(&broken, b"mdat") + 4;
    let slice =
        (at..broken.len() - 5).find(|&i| broken[i..i + 3] == [0, 0, 3] && broken[i + 4] & 0x1f == 1).unwrap();
    broken[slice + 4] = 9;
    refused("slice.mp4", &broken, "damaged");
}

#[test]
fn an_application_segment_that_is_too_short_is_no_picture() {
    let flawed = bytes("short_segment.avi");
    let mut whole = flawed.clone();
    let mut found = 0;
    for at in 0..flawed.len() - 6 {
        if flawed[at..at + 6] == [0xff, 0xd8, 0xff, 0xe1, 0, 1] {
            // A comment without text.
            whole[at + 2..at + 6].copy_from_slice(&[0xff, 0xfe, 0, 2]);
            found += 1;
        }
    }
    assert_eq!(found, 8);
    same("segment.avi", &flawed, &whole, "application data beside its pictures");
    // Colours may depend on a segment of this name.
    let named = find(&flawed, b"JFIF");
    let mut coloured = flawed.clone();
    coloured[named..named + 5].copy_from_slice(b"Adobe");
    refused("colours.avi", &coloured, "damaged");
}

#[test]
fn b_pictures_need_no_announcement() {
    let path = data("clips/b_pictures.avi");
    let (frames, info) = read(&path, false).unwrap();
    assert!(frames == read(&path, true).unwrap().0);
    assert!((9..=10).contains(&frames.len()), "{}", frames.len());
    assert!(info.notes.iter().any(|one| one.contains("low_delay flag set incorrectly")), "{:?}", info.notes);
}

#[test]
fn zeros_may_follow_the_last_tag() {
    let whole = bytes("tags.flv");
    let zeros = [&whole[..], &[0; 4096]].concat();
    same("zeros.flv", &zeros, &whole, "zeros behind its last tag");
    // Zeros over the end of the last tag: a recording that was not written to its end.
    let mut unwritten = zeros.clone();
    unwritten[whole.len() - 300..whole.len()].fill(0);
    let env = TestEnv::new();
    assert!(read(&env.write("unwritten.flv", &unwritten), false).is_err());
}

#[test]
fn an_mp4_may_declare_more_than_there_is_if_its_samples_are_there() {
    let whole = bytes("many_keys.mp4");
    let mdat = find(&whole, b"mdat");
    let size = u32::from_be_bytes(whole[mdat - 4..mdat].try_into().unwrap());
    assert_eq!(mdat - 4 + size as usize, whole.len(), "the data is the last box");
    for more in [1, 8, 1 << 20] {
        let mut flawed = whole.clone();
        flawed[mdat - 4..mdat].copy_from_slice(&(size + more).to_be_bytes());
        same("size.mp4", &flawed, &whole, "'mdat' box ends at byte");
        refused("cut.mp4", &flawed[..flawed.len() - 1], "truncated");
    }
    let indexed_last = bytes("b_frames.mp4");
    let text = [&indexed_last[..], b"GPS data follows, of no use to a decoder"].concat();
    same("text.mp4", &text, &indexed_last, "'data' box ends at byte");
    // A fragment that reaches beyond the end may have more behind it.
    let fragment = [&indexed_last[..], &[0, 1, 0, 0], b"moof", &[0; 32]].concat();
    refused("fragment.mp4", &fragment, "truncated");
}

#[test]
fn an_avi_may_declare_more_than_there_is_if_its_chunks_are_there() {
    for name in ["lying_count.avi", "mpeg4.avi"] {
        let whole = bytes(name);
        let size = u32::from_le_bytes(whole[4..8].try_into().unwrap());
        for more in [1, 8, 4096] {
            let mut flawed = whole.clone();
            flawed[4..8].copy_from_slice(&(size + more).to_le_bytes());
            same(name, &flawed, &whole, "RIFF chunk ends at byte");
            refused(name, &flawed[..flawed.len() - 1], "truncated");
        }
    }
}

#[test]
fn zeros_may_stand_between_the_chunks_of_an_avi() {
    let whole = bytes("short_segment.avi");
    let movi = find(&whole, b"movi") - 8;
    let gap = |bytes: &[u8]| [&bytes[..movi], &[0; 4], &bytes[movi..]].concat();
    let mut flawed = gap(&whole);
    let size = u32::from_le_bytes(whole[4..8].try_into().unwrap()) + 4;
    flawed[4..8].copy_from_slice(&size.to_le_bytes());
    same("gap.avi", &flawed, &whole, "Something went wrong during header parsing");
    // Without a picture that its index names, it is damaged.
    let last = flawed.windows(4).rposition(|four| four == b"00dc").unwrap();
    let index = find(&flawed, b"idx1");
    assert!(last > index);
    flawed[last + 12] ^= 1;
    refused("gap.avi", &flawed, "damaged");
}

#[test]
fn a_matroska_segment_may_declare_a_few_bytes_too_many() {
    for name in ["intra_refresh.mkv", "vp9.webm"] {
        let whole = bytes(name);
        let at = find(&whole, &[0x18, 0x53, 0x80, 0x67, 1]) + 5;
        let size = whole[at..at + 7].iter().fold(0u64, |size, &byte| size << 8 | u64::from(byte));
        let mut flawed = whole.clone();
        flawed[at..at + 7].copy_from_slice(&(size + 8).to_be_bytes()[1..]);
        same(name, &flawed, &whole, "Matroska segment ends at byte");
        refused(name, &flawed[..flawed.len() - 1], "truncated");
        // So many that a picture fits into them.
        flawed[at..at + 7].copy_from_slice(&(size + 20).to_be_bytes()[1..]);
        refused(name, &flawed, "truncated");
    }
}

#[test]
fn a_still_picture_is_no_truncated_video() {
    let env = TestEnv::new();
    for (brand, format) in [(b"avif", "AVIF"), (b"heic", "HEIF")] {
        let picture = [
            mp4_box(b"ftyp", &[&brand[..], &[0; 4], b"mif1"].concat()),
            mp4_box(b"meta", &[0; 4]),
            mp4_box(b"mdat", &[7; 400]),
        ];
        let error = read(&env.write("still.bin", &picture.concat()), false).map(|_| ()).unwrap_err();
        assert_eq!(error.stage(), "no video stream", "{error}");
        assert!(error.to_string().contains(&format!("a still picture, {format}")), "{error}");
    }
}

#[test]
fn an_encrypted_track_is_named_as_encrypted() {
    let expect = |path: &Path| {
        for allow_truncated in [false, true] {
            let error = read(path, allow_truncated).map(|_| ()).unwrap_err();
            assert_eq!(error.stage(), "encrypted", "{error}");
        }
    };
    expect(&data("clips/encrypted.mp4"));
    // WebM names the key in its track: the elements of an encrypted content encoding, put into a clip.
    let key = [&[0x47, 0xe1, 0x81, 5, 0x47, 0xe2, 0x90][..], &[7; 16]].concat();
    let encryption = [&[0x50, 0x35, 0x80 | key.len() as u8][..], &key].concat();
    let kind = [&[0x50, 0x33, 0x81, 1][..], &encryption].concat();
    let encoding = [&[0x62, 0x40, 0x80 | kind.len() as u8][..], &kind].concat();
    let encodings = [&[0x6d, 0x80, 0x80 | encoding.len() as u8][..], &encoding].concat();
    let mut clip = bytes("vp9.webm");
    // The identity stands in the table of contents first.
    let tracks = clip.windows(4).rposition(|four| four == [0x16, 0x54, 0xae, 0x6b]).unwrap();
    // The list of tracks and its first entry: an identity, and a size of one byte or of eight.
    let mut at = tracks + 4;
    for id in [0, 1] {
        at += id;
        let width = clip[at].leading_zeros() as usize + 1;
        let field = &mut clip[at..at + width];
        let size =
            field.iter().fold(0u64, |size, &byte| size << 8 | u64::from(byte)) + encodings.len() as u64;
        field.copy_from_slice(&size.to_be_bytes()[8 - width..]);
        at += width;
    }
    clip.splice(at..at, encodings);
    let segment = find(&clip, &[0x18, 0x53, 0x80, 0x67, 1]) + 4;
    clip[segment..segment + 8].fill(0xff);
    clip[segment] = 1;
    let env = TestEnv::new();
    expect(&env.write("key.webm", &clip));
}

#[test]
fn the_files_of_the_reports_give_the_pictures_of_their_sources() {
    let Some(cases) = shared("cases") else { return };
    let pictures = |name: &str| {
        let (frames, info) = read(&cases.join(name), false).unwrap_or_else(|error| panic!("{name}: {error}"));
        assert!(!info.notes.is_empty() || name.starts_with("06"), "{name}: not a word");
        assert_eq!(frames.len(), info.frames, "{name}");
        assert!(frames == read(&cases.join(name), true).unwrap().0, "{name}");
        frames
    };
    for (name, frames) in [
        ("03_mmco_open_gop_cut/og_cut2.0.mkv", 100),
        ("03_mmco_open_gop_cut/og_cut2.0.mp4", 100),
        ("03_mmco_open_gop_cut/og_cut3.04.mp4", 74),
        ("07_harmless_log_lines/d_aud_only.mp4", 100),
        ("07_harmless_log_lines/lowdelay.avi", 101),
    ] {
        assert_eq!(pictures(name).len(), frames, "{name}");
    }
    // The first of each row is the source, or has the pictures of the same source.
    for row in [
        &[
            "06_ids_collide/a.mp4",
            "07_harmless_log_lines/d_sei_short.mp4",
            "07_harmless_log_lines/m_fiel0200.mp4",
            "07_harmless_log_lines/m_sv3d_bad.mp4",
            "07_harmless_log_lines/trail_zero.flv",
            "08_sizes_off/trail_text.mp4",
        ][..],
        &[
            "07_harmless_log_lines/mj_app_small.avi",
            "08_sizes_off/s_nullpad.avi",
            "08_sizes_off/s_riff_plus8.avi",
        ],
    ] {
        let expected = pictures(row[0]);
        assert_eq!(expected.len(), if row.len() == 6 { 100 } else { 50 });
        for name in &row[1..] {
            assert!(pictures(name) == expected, "{name}");
        }
    }
}
