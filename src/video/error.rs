//! What can be wrong with a video, each with its cause and what to try.
//!
//! A message never holds the path: whoever knows it (the batch, the command) puts it in front, once. `stage()` is the
//! short name that goes into a run's table of failures.

/// Why a video gave no clip.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum VideoError {
    /// The file cannot be read at all: missing, a folder, no permission.
    #[error("cannot be opened: {cause}; check the path and its permissions")]
    Open {
        /// The operating system's words.
        cause: String,
    },
    /// There is something of that name, but no regular file.
    #[error("is {what}, not a file; a video is read more than once: save it to a file first")]
    NoFile {
        /// What it is, with its article.
        what: &'static str,
    },
    /// The operating system failed to give its bytes.
    #[error("cannot be read: {cause}; check the disk or the connection that it is on")]
    Reading {
        /// The operating system's words.
        cause: String,
    },
    /// Something wrote to the file while it was read.
    #[error(
        "changed while it was read (it had {before} bytes, now it has {now}); run again when it is complete"
    )]
    Changed {
        /// Bytes when it was opened.
        before: u64,
        /// Bytes when it was looked at again.
        now: u64,
    },
    /// A playlist or the like.
    #[error("is a list that names other files ({format}), and is not followed; name the videos themselves")]
    Refers {
        /// FFmpeg's name of the format.
        format: String,
    },
    /// The file has no bytes.
    #[error("the file is empty (0 bytes); copy or download it again")]
    Empty,
    /// FFmpeg does not recognise a media container in it.
    #[error("is not a media file that FFmpeg recognises ({cause}); check that it is a video, or convert it")]
    NotMedia {
        /// FFmpeg's words.
        cause: String,
    },
    /// A media file, but without moving pictures.
    #[error("has no video stream (it holds {found}); name a file with video in it")]
    NoVideoStream {
        /// The streams there are, in words.
        found: String,
    },
    /// A video stream without a single frame.
    #[error("its video stream has no frame; record or export it again")]
    NoFrames,
    /// The end of the file is missing.
    #[error(
        "is truncated: {sign}; copy or download it again{}",
        if *.hopeless { " (what is left cannot be read)" } else { ", or take what is there with --allow-truncated" }
    )]
    Truncated {
        /// What shows it.
        sign: String,
        /// Whether nothing can be read of what is left.
        hopeless: bool,
    },
    /// The stream is broken somewhere before its end.
    #[error(
        "is damaged: {what}; get the file again, or take the frames that are whole with --allow-truncated"
    )]
    Damaged {
        /// Where and how.
        what: String,
    },
    /// A frame that the packets announce never left the decoder.
    #[error("frame {index} (at {seconds:.3} s) does not come out of the decoder; re-encode the file")]
    MissingFrame {
        /// Its index in presentation order.
        index: usize,
        /// Its time from the start of the clip.
        seconds: f64,
    },
    /// This FFmpeg cannot decode or convert the stream.
    #[error("cannot be decoded: {what}; convert it, for example to H.264 in MP4")]
    Unsupported {
        /// The codec or pixel format, and FFmpeg's words.
        what: String,
    },
    /// The pictures are encrypted, and there is no key.
    #[error(
        "its video track is encrypted ({how}), and without its key no picture can be read; decrypt it first"
    )]
    Encrypted {
        /// What shows it.
        how: &'static str,
    },
    /// Its pictures are larger than allowed.
    #[error(
        "its pictures of {width}x{height} are over the limit of {most} pixels; scale it down, or raise --max-pixels"
    )]
    TooLarge {
        /// Pixels across.
        width: usize,
        /// Pixels down.
        height: usize,
        /// Pixels allowed.
        most: u64,
    },
    /// Reading took too long.
    #[error(
        "was not read within {seconds} s; its decoder may hang: re-encode it, or allow more with --timeout"
    )]
    TimedOut {
        /// Seconds allowed.
        seconds: f64,
    },
    /// The pictures are larger than the memory that is left.
    #[error("needs more memory than there is ({what}); free some, use fewer --threads, or scale it down")]
    Memory {
        /// For what.
        what: String,
    },
    /// The range asked for holds no frame.
    #[error(
        "the range {start} s to {end} has no frame: the clip's last one is at {last:.3} s; choose one before that",
        end = .end.map_or_else(|| "the end".to_owned(), |end| format!("{end} s"))
    )]
    EmptyRange {
        /// Start asked for, in seconds.
        start: f64,
        /// End asked for, in seconds; the clip's end if absent.
        end: Option<f64>,
        /// When the clip's last frame is shown, in seconds from the first.
        last: f64,
    },
    /// More frames than whoever asks can take.
    #[error(
        "gives {frames} frames, but the model reads at most {most}; ask for fewer (--frames, --fps, --start, --end)"
    )]
    TooManyFrames {
        /// Frames the request would take.
        frames: usize,
        /// The most that are taken.
        most: usize,
    },
    /// The request itself makes no sense.
    #[error("cannot sample {what}; ask for at least one frame, at most a million")]
    BadRequest {
        /// What was asked for.
        what: String,
    },
}

impl VideoError {
    /// The step that failed, as it stands in the table of failures.
    #[must_use]
    pub fn stage(&self) -> &'static str {
        match self {
            Self::Open { .. }
            | Self::NoFile { .. }
            | Self::Empty
            | Self::NotMedia { .. }
            | Self::Refers { .. } => "open",
            Self::Reading { .. } => "read",
            Self::Changed { .. } => "changed",
            Self::Memory { .. } => "memory",
            Self::NoVideoStream { .. } => "no video stream",
            Self::NoFrames => "no frames",
            Self::Truncated { .. } => "truncated",
            Self::Damaged { .. } => "damaged",
            Self::MissingFrame { .. } => "missing frame",
            Self::Unsupported { .. } => "unsupported",
            Self::Encrypted { .. } => "encrypted",
            Self::TooLarge { .. } => "too large",
            Self::TimedOut { .. } => "timeout",
            Self::EmptyRange { .. } | Self::TooManyFrames { .. } | Self::BadRequest { .. } => "range",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_message_has_cause_and_remedy() {
        let error = VideoError::EmptyRange { start: 9.0, end: None, last: 4.0 };
        assert_eq!(
            error.to_string(),
            "the range 9 s to the end has no frame: the clip's last one is at 4.000 s; choose one before that"
        );
        let error = VideoError::Truncated { sign: "the last packet is cut".into(), hopeless: false };
        assert!(error.to_string().ends_with("with --allow-truncated"), "{error}");
        assert_eq!(error.stage(), "truncated");
    }
}
