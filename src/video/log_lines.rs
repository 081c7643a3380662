//! What the lines of FFmpeg's log mean for the pictures.
//!
//! FFmpeg logs an error wherever a file departs from a standard, also where no picture depends on it. A line counts as
//! damage unless it stands in [`HARMLESS`]. A line has its place there if FFmpeg's source shows that the pictures come out
//! the same with and without what the line reports, either always or under a [`Condition`] that the caller checks. Lines about
//! slices, macroblocks, coefficients, missing references, concealment or unreadable packets are never harmless.
//!
//! The texts are those of FFmpeg 5.1. Where a version has another text for one of them, its line counts as damage: the file is
//! refused, never read wrongly.

use super::ffmpeg_log::{FRAME_GAP, MOST_LINES};

/// What has to hold for a line to be harmless.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Condition {
    /// Nothing more.
    Always,
    /// The stream begins, or goes on after a join, at a key frame shortly before, so that the pictures which are missing can
    /// only be those that were cut away.
    AfterCut,
    /// As [`Condition::AfterCut`], and fewer pictures follow the cut than the decoder keeps, so that the one it discards, the
    /// oldest, only stands for a picture that was cut away.
    OldestFromBeforeCut,
    /// The packet holds no picture, so that none is missing.
    NoPicture,
    /// No application segment of the JPEG picture decides on its colours.
    NoColourSegment,
    /// The stream has several B-pictures, so that the one in question is no damaged picture of another kind.
    BPictures,
    /// The file declares a size a little too large, and all that it holds lies inside it.
    DeclaredTooLarge,
    /// Nothing but zeros follows the last whole tag of the FLV file.
    ZerosBehindTags,
    /// The index of the AVI file names as many pictures as were read, and all of their chunks lie inside the file.
    ChunksInside,
}

/// A kind of line that can be harmless.
#[derive(Debug, PartialEq)]
pub struct Harmless {
    /// FFmpeg's name of the demuxer (the first, if it has several) or of the codec.
    source: &'static str,
    /// The line; `*` stands for any text.
    pattern: &'static str,
    /// When it is harmless.
    pub condition: Condition,
    /// What it is about, for the note.
    about: &'static str,
}

const fn line(
    source: &'static str,
    pattern: &'static str,
    condition: Condition,
    about: &'static str,
) -> Harmless {
    Harmless { source, pattern, condition, about }
}

/// Every kind of line that can be harmless.
#[rustfmt::skip]
const HARMLESS: [Harmless; 26] = [
    // Demuxers: boxes, elements and tags beside the samples. FFmpeg goes on behind them by the sizes that they declare.
    line("mov", "Unknown MOV field order *", Condition::Always, "the order of its fields"),
    line("mov", "Unknown projection type: *", Condition::Always, "how a spherical picture is projected"),
    line("mov", "Missing spherical video header", Condition::Always, "how a spherical picture is projected"),
    line("mov", "Missing projection box", Condition::Always, "how a spherical picture is projected"),
    line("mov", "Missing projection header box", Condition::Always, "how a spherical picture is projected"),
    line("mov", "Referenced QT chapter track not found", Condition::Always, "its chapters"),
    line("mov", "Chapter * not found in file", Condition::Always, "its chapters"),
    line("mov", "Chapter end time * before start *", Condition::Always, "its chapters"),
    line("matroska", "Chapter end time * before start *", Condition::Always, "its chapters"),
    line("matroska", "File ended prematurely at pos. *", Condition::DeclaredTooLarge, "bytes that its size declares in excess"),
    line("flv", "AMF_DATA_TYPE_STRING parsing failed", Condition::Always, "its metadata"),
    line("flv", "Keyframe index parsing failed", Condition::Always, "its metadata"),
    line("flv", "Missing AMF_END_OF_OBJECT in *", Condition::Always, "its metadata"),
    line("flv", "unsupported amf type *", Condition::Always, "its metadata"),
    line("flv", "Packet mismatch 0 11 *", Condition::ZerosBehindTags, "zeros behind its last tag"),
    line("avi", "Something went wrong during header parsing, tag * has size *", Condition::ChunksInside,
        "bytes between its chunks"),
    // Decoders: messages beside the pictures. H.264, 7.4.2.3: they are not needed to reconstruct the samples. One of them,
    // number 6, decides in FFmpeg which pictures of a cut stream are whole, and is not listed.
    line("h264", "SEI type 1 size * truncated at *", Condition::Always, "the timing beside its pictures"),
    line("h264", "SEI type 4 size * truncated at *", Condition::Always, "text beside its pictures"),
    line("h264", "SEI type 5 size * truncated at *", Condition::Always, "text beside its pictures"),
    line("h264", "no frame!", Condition::NoPicture, "packets without a picture"),
    // A stream wants the decoder to forget a reference picture that it does not have.
    line("h264", "mmco: unref short failure", Condition::AfterCut, "pictures from before it was cut"),
    // It does not forget that picture, and so keeps one too many.
    line("h264", "number of reference frames * exceeds max (*; probably corrupt input), discarding one",
        Condition::OldestFromBeforeCut, "pictures from before it was cut"),
    line("mjpeg", "unable to decode APP fields: *", Condition::NoColourSegment, "application data beside its pictures"),
    // The same in FFmpeg 9.
    line("mjpeg", "app: invalid len *", Condition::NoColourSegment, "application data beside its pictures"),
    line("mjpeg", "mjpeg: * EXIF data", Condition::Always, "camera data beside its pictures"),
    // A header without the field that announces B-pictures; from the first one on FFmpeg reorders.
    line("mpeg4", "low_delay flag set incorrectly, clearing it", Condition::BPictures, "the announcement of B-pictures"),
];

/// Decides on the lines that the demuxer or decoder `source` wrote: the first that is a sign of damage is returned, a note on
/// each harmless kind goes to `notes`. `holds` decides whether a condition is fulfilled for a line.
pub fn judge(
    source: &str,
    lines: &[String],
    mut holds: impl FnMut(Condition, &str) -> bool,
    notes: &mut Notes,
) -> Option<String> {
    if lines.len() >= MOST_LINES {
        return Some(format!("{}, and {} other lines or more", lines[0], MOST_LINES - 1));
    }
    let mut damage = None;
    for line in lines.iter().filter(|line| !line.starts_with(FRAME_GAP)) {
        match kind(source, line) {
            Some(kind) if holds(kind.condition, line) => notes.add(kind, line),
            _ => damage = damage.or_else(|| Some(line.clone())),
        }
    }
    damage
}

/// The kind of line that `text` is, if it can be harmless where `source` wrote it.
fn kind(source: &str, text: &str) -> Option<&'static Harmless> {
    let source = source.split(',').next().unwrap_or_default();
    HARMLESS.iter().find(|kind| kind.source == source && matches(kind.pattern, text))
}

/// Whether `text` is `pattern`, in which each `*` stands for any text.
fn matches(pattern: &str, text: &str) -> bool {
    let Some((start, rest)) = pattern.split_once('*') else { return pattern == text };
    let Some(after) = text.strip_prefix(start) else { return false };
    let ends = after.char_indices().map(|(at, _)| at).chain([after.len()]);
    ends.into_iter().any(|at| matches(rest, &after[at..]))
}

/// The harmless lines of a file, one of each kind.
#[derive(Debug, Default)]
pub struct Notes(Vec<(&'static Harmless, String)>);

impl Notes {
    fn add(&mut self, kind: &'static Harmless, line: &str) {
        if self.0.iter().all(|(known, _)| known.about != kind.about) {
            self.0.push((kind, line.to_owned()));
        }
    }

    /// A sentence on each, for the user.
    pub fn sentences(&self) -> impl Iterator<Item = String> {
        self.0.iter().map(|(kind, line)| {
            format!("FFmpeg reports \"{line}\", but no picture depends on it: it is about {}", kind.about)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn judged(source: &str, lines: &[&str], holds: bool) -> (Option<String>, Vec<String>) {
        let lines: Vec<String> = lines.iter().map(|&line| line.to_owned()).collect();
        let mut notes = Notes::default();
        let damage =
            judge(source, &lines, |condition, _| holds || condition == Condition::Always, &mut notes);
        (damage, notes.sentences().collect())
    }

    /// A line of each kind, as FFmpeg 5.1 or 9 writes it.
    const SEEN: [(&str, &str); 14] = [
        ("mov,mp4,m4a,3gp,3g2,mj2", "Unknown MOV field order 0x0200"),
        ("mov,mp4,m4a,3gp,3g2,mj2", "Unknown projection type: mshp"),
        ("mov,mp4,m4a,3gp,3g2,mj2", "Referenced QT chapter track not found"),
        ("matroska,webm", "File ended prematurely at pos. 11089 (0x2b51)"),
        ("flv", "Packet mismatch 0 11 88620"),
        ("flv", "Missing AMF_END_OF_OBJECT in AMF_DATA_TYPE_MIXEDARRAY, found 0"),
        (
            "avi",
            "Something went wrong during header parsing, tag [0][0][0][0] has size 1414744396, I will ignore it and try to continue anyway",
        ),
        ("h264", "mmco: unref short failure"),
        ("h264", "number of reference frames (0+4) exceeds max (3; probably corrupt input), discarding one"),
        ("h264", "SEI type 5 size 1600 truncated at 808"),
        ("h264", "no frame!"),
        ("mjpeg", "unable to decode APP fields: Invalid data found when processing input"),
        ("mjpeg", "app: invalid len 1"),
        ("mpeg4", "low_delay flag set incorrectly, clearing it"),
    ];

    #[test]
    fn lines_that_no_picture_depends_on_become_notes() {
        for (source, line) in SEEN {
            let (damage, notes) = judged(source, &[line, line], true);
            assert_eq!((damage, notes.len()), (None, 1), "{line}");
            assert!(notes[0].contains(line), "{notes:?}");
            assert_eq!(judged("vp9", &[line], true).0.as_deref(), Some(line));
        }
    }

    #[test]
    fn a_condition_that_does_not_hold_makes_damage_of_a_line() {
        let damage = |(source, line)| judged(source, &[line], false).0.is_some();
        let damaged: Vec<bool> = SEEN.map(damage).into();
        let (no, yes) = (false, true);
        assert_eq!(damaged, [no, no, no, yes, yes, no, yes, yes, yes, no, yes, yes, yes, yes]);
    }

    #[test]
    fn lines_about_pictures_are_damage_whatever_holds() {
        for line in [
            "error while decoding MB 3 4, bytestream -5",
            "Missing reference picture, default is 65536",
            "reference picture missing during reorder",
            "co located POCs unavailable",
            "Invalid NAL unit size (1000 > 8)",
            "decode_slice_header error",
            "non-existing PPS 0 referenced",
            "SEI type 6 size 8 truncated at 0",
            "",
        ] {
            assert_eq!(judged("h264", &[line], true), (Some(line.to_owned()), vec![]));
        }
        for (source, line) in [
            ("mjpeg", "error count: 64"),
            ("mpeg4", "Error at MB: 55"),
            ("hevc", "Could not find ref with POC 8"),
            ("flv", "Packet mismatch 17 11 88620"),
            ("matroska,webm", "Read error at pos. 400 (0x190)"),
            ("mov,mp4,m4a,3gp,3g2,mj2", "stream 0, offset 0x30: partial file"),
        ] {
            assert_eq!(judged(source, &[line], true).0.as_deref(), Some(line));
        }
    }

    #[test]
    fn the_first_sign_of_damage_is_named_behind_harmless_lines() {
        let lines = [
            "Frame num gap 4 2",
            "SEI type 5 size 8 truncated at 0",
            "error while decoding MB 1 1",
            "no frame!",
        ];
        let (damage, notes) = judged("h264", &lines, false);
        assert_eq!(damage.as_deref(), Some("error while decoding MB 1 1"));
        assert_eq!(notes.len(), 1);
    }

    #[test]
    fn more_lines_than_are_kept_are_damage() {
        let line = "SEI type 5 size 8 truncated at 0";
        assert!(judged("h264", &[line; MOST_LINES], true).0.is_some());
        assert!(judged("h264", &[line; MOST_LINES - 1], true).0.is_none());
    }

    #[test]
    fn a_star_stands_for_any_text() {
        assert!(matches("a * b *", "a 1 2 b ") && matches("a*", "a") && matches("abc", "abc"));
        assert!(!matches("a * b", "a 1 c") && !matches("abc", "abcd") && !matches("*x", "y"));
    }
}
