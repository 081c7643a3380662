//! One row of an output: a video's description and its values, or why it has none.

use std::borrow::Cow;
use std::fmt;
use std::path::{Path, PathBuf};
use std::str::FromStr;

use serde::ser::SerializeMap;
use serde::{Deserialize, Serialize, Serializer};

use crate::files::{FileError, display_text};
use crate::inputs::{Columns, Input};

/// What of a video is written. Letters: `W` the latent width, `D` the frame feature's width, `T` the frames of the clip.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Part {
    /// `[static, dynamic]`, `(2W)`: the embedding.
    Concat,
    /// What stays over the clip, `(W)`.
    Static,
    /// The direction of change, `(W)`.
    Dynamic,
    /// The embedding of the clip mirrored in time, `(2W)`.
    Reversed,
    /// `(concat - reversed)/2`, `(2W)`: what changes its sign when the clip runs backwards.
    Odd,
    /// `(concat + reversed)/2`, `(2W)`: what stays the same when the clip runs backwards.
    Even,
    /// The frame features as decoded from the straight line, `(T, D)`.
    Reconstructed,
    /// The frame encoder's features, `(T, D)`.
    Frames,
    /// The frame features, each scaled to length 1, averaged, and the average scaled to length 1, `(D)`.
    Mean,
}

impl Part {
    /// Every part, in the order they are documented.
    pub const ALL: [Part; 9] = [
        Part::Concat,
        Part::Static,
        Part::Dynamic,
        Part::Reversed,
        Part::Odd,
        Part::Even,
        Part::Reconstructed,
        Part::Frames,
        Part::Mean,
    ];

    /// The name on the command line and in every format.
    pub fn name(self) -> &'static str {
        match self {
            Part::Concat => "concat",
            Part::Static => "static",
            Part::Dynamic => "dynamic",
            Part::Reversed => "reversed",
            Part::Odd => "odd",
            Part::Even => "even",
            Part::Reconstructed => "reconstructed",
            Part::Frames => "frames",
            Part::Mean => "mean",
        }
    }

    /// Refuses a list in which a part stands twice.
    ///
    /// # Errors
    /// `Usage`, naming it.
    pub fn check_single(parts: &[Part]) -> Result<(), FileError> {
        match parts.iter().enumerate().find(|(i, part)| parts[..*i].contains(part)) {
            Some((_, part)) => Err(FileError::Usage(format!("the part {part} is listed twice"))),
            None => Ok(()),
        }
    }

    /// Whether the part has a row per frame, so that its shape depends on `T`.
    pub fn per_frame(self) -> bool {
        matches!(self, Part::Reconstructed | Part::Frames)
    }

    /// Whether LiFT computes the part; the others come from the frame encoder alone.
    pub fn needs_lift(self) -> bool {
        !matches!(self, Part::Frames | Part::Mean)
    }

    /// Whether the part needs a second pass of LiFT, over the mirrored clip.
    pub fn needs_mirror(self) -> bool {
        matches!(self, Part::Reversed | Part::Odd | Part::Even)
    }

    /// The name of its column where the clips' columns stand beside it (`.parquet`, `.jsonl`): there `frames` is the
    /// number of frames already, so the features of the part `frames` are called `frame_features`.
    pub fn column(self) -> &'static str {
        match self {
            Part::Frames => "frame_features",
            other => other.name(),
        }
    }

    /// The shape of this part for one clip of `frames` frames.
    pub fn shape(self, frames: usize, dims: Dims) -> Vec<usize> {
        match self {
            Part::Concat | Part::Reversed | Part::Odd | Part::Even => vec![2 * dims.width],
            Part::Static | Part::Dynamic => vec![dims.width],
            Part::Reconstructed | Part::Frames => vec![frames, dims.features],
            Part::Mean => vec![dims.features],
        }
    }
}

impl fmt::Display for Part {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

impl FromStr for Part {
    type Err = String;

    fn from_str(name: &str) -> Result<Self, String> {
        Part::ALL.into_iter().find(|p| p.name() == name).ok_or_else(|| {
            format!(
                "unknown part '{}'; the parts are {}",
                display_text(name),
                Part::ALL.map(Part::name).join(", ")
            )
        })
    }
}

/// What the models and the flags fix for the rows of a whole run.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Dims {
    /// `T` where it is fixed (`--frames N`); `None` where each clip has its own (`--frames all`, `--fps`).
    pub frames: Option<usize>,
    /// `W`: the width of the static and the dynamic latent.
    pub width: usize,
    /// `D`: the width of a frame's feature.
    pub features: usize,
    /// Whether the rows say how many different key frames they are made of (`--keyframes`).
    pub key_frames: bool,
}

impl Dims {
    /// The bytes of the values of one row of these parts; `None` where rows differ.
    pub fn row_bytes(&self, parts: &[Part]) -> Option<u64> {
        let frames = match (self.frames, parts.iter().any(|part| part.per_frame())) {
            (None, true) => return None,
            (frames, _) => frames.unwrap_or(0),
        };
        let values = |part: &Part| part.shape(frames, *self).iter().map(|size| *size as u64).product::<u64>();
        Some(size_of::<f32>() as u64 * parts.iter().map(values).sum::<u64>())
    }

    /// Takes what the shape of a part in one row tells of the sizes.
    ///
    /// # Errors
    /// If the part cannot have that shape.
    pub fn take(&mut self, part: Part, shape: &[usize]) -> Result<(), String> {
        match (part, shape) {
            (Part::Concat | Part::Reversed | Part::Odd | Part::Even, &[both]) => self.width = both / 2,
            (Part::Static | Part::Dynamic, &[width]) => self.width = width,
            (Part::Mean, &[features]) => self.features = features,
            (Part::Frames | Part::Reconstructed, &[frames, features]) => {
                (self.frames, self.features) = (Some(frames), features);
            }
            _ => return Err(format!("the part {part} cannot have rows of shape {shape:?}")),
        }
        Ok(())
    }
}

/// What every output says of a clip, embedded or failed.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct ClipMeta {
    /// Its place among the inputs, from 0.
    pub index: usize,
    /// Its id, unique in the run. (The parts of a dataset may keep the ids elsewhere.)
    #[serde(default)]
    pub id: String,
    /// The file, as given. Outputs write invalid UTF-8 as U+FFFD.
    #[serde(serialize_with = "lossy")]
    pub path: PathBuf,
    /// Where the clip was asked to start, in seconds; `None` for the beginning.
    pub start: Option<f64>,
    /// Where the clip was asked to end, in seconds; `None` for the end.
    pub end: Option<f64>,
    /// The container's average frame rate, per second; `None` if unknown.
    pub fps: Option<f64>,
    /// The video's duration in seconds; `None` if unknown.
    pub duration: Option<f64>,
    /// How many different frames the row is made of: a clip with fewer frames than asked for repeats some. `None` of a clip that
    /// failed, and in outputs of older versions.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub distinct_frames: Option<usize>,
    /// Of a run with `--keyframes`, how many different key frames were taken; 0 if exact frames were. `None` in any other run, and of
    /// a clip that failed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub key_frames: Option<usize>,
    /// What else the list says of the clip and a run with `--keep` keeps.
    #[serde(default, skip_serializing_if = "Columns::is_empty")]
    pub columns: Columns,
}

/// How a JSON object has the id of its clip.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum IdForm {
    /// Elsewhere.
    Absent,
    /// As a text.
    #[default]
    Text,
    /// As an integer, where it is one: whoever asked with an integer reads it back as one.
    Integer,
}

fn lossy<S: Serializer>(path: &Path, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(&path.to_string_lossy())
}

impl ClipMeta {
    /// The description of an input; `fps` and `duration` are what its file says, if it could be read.
    pub fn new(input: &Input, fps: Option<f64>, duration: Option<f64>) -> Self {
        let Input { index, id, path, start, end, columns } = input.clone();
        Self { index, id, path, start, end, fps, duration, columns, distinct_frames: None, key_frames: None }
    }

    /// The input that it describes.
    pub fn input(&self) -> Input {
        let Self { index, id, path, start, end, columns, .. } = self.clone();
        Input { index, id, path, start, end, columns }
    }

    /// The path as outputs write it.
    pub(crate) fn path_text(&self) -> Cow<'_, str> {
        self.path.to_string_lossy()
    }

    /// Writes the entries of a JSON object in the order that all outputs share, without the kept columns. `id`: whether the id is one of
    /// them, and how; `status` and `frames`: only where they are given.
    pub(crate) fn serialize_entries<M: SerializeMap>(
        &self,
        map: &mut M,
        id: IdForm,
        status: Option<&str>,
        frames: Option<usize>,
    ) -> Result<(), M::Error> {
        map.serialize_entry("index", &self.index)?;
        match (id, self.id.parse::<i64>(), self.id.parse::<u64>()) {
            (IdForm::Absent, ..) => {}
            (IdForm::Integer, Ok(number), _) => map.serialize_entry("id", &number)?,
            (IdForm::Integer, _, Ok(number)) => map.serialize_entry("id", &number)?,
            _ => map.serialize_entry("id", &self.id)?,
        }
        map.serialize_entry("path", &self.path_text())?;
        if let Some(status) = status {
            map.serialize_entry("status", status)?;
        }
        map.serialize_entry("start", &known(self.start))?;
        map.serialize_entry("end", &known(self.end))?;
        if let Some(frames) = frames {
            map.serialize_entry("frames", &frames)?;
        }
        map.serialize_entry("fps", &known(self.fps))?;
        map.serialize_entry("duration", &known(self.duration))?;
        if let Some(distinct_frames) = self.distinct_frames {
            map.serialize_entry("distinct_frames", &distinct_frames)?;
        }
        match self.key_frames {
            Some(key_frames) => map.serialize_entry("key_frames", &key_frames),
            None => Ok(()),
        }
    }
}

/// A clip that was embedded.
#[derive(Debug, Clone, PartialEq)]
pub struct Row {
    /// Which clip it is. Of a window, `start` and `end` are the window's.
    pub clip: ClipMeta,
    /// Which window of the clip it is, from 0, where the clip was cut into windows.
    pub window: Option<usize>,
    /// How many frames were embedded (`T`).
    pub frames: usize,
    /// The values, row-major, for every part the output was prepared for.
    pub parts: Vec<(Part, Vec<f32>)>,
}

impl Row {
    /// The values of a part; empty if the row has none (which [`Output::push`](crate::rows::Output::push) refuses).
    pub(crate) fn values(&self, part: Part) -> &[f32] {
        self.parts.iter().find(|(p, _)| *p == part).map_or(&[], |(_, values)| values)
    }
}

/// A clip that was not embedded: it has a line in the companion and none in the data.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Failure {
    /// Which clip it is; its frame rate and duration only if the run came far enough to know them.
    #[serde(flatten)]
    pub clip: ClipMeta,
    /// Where it failed: `open`, `decode`, ...
    pub stage: String,
    /// What went wrong, and what to try.
    pub error: String,
}

impl Failure {
    /// The failure of an input whose row an output refused.
    pub fn unfit(row: &Row, error: String) -> Self {
        Self { clip: row.clip.clone(), stage: "write".into(), error }
    }
}

/// A clip as an output takes it: its row, or why there is none.
pub(crate) type RowOrFailure<'a> = Result<&'a Row, &'a Failure>;

/// A finite number, or none: JSON has no NaN, and an unknown rate is not a number either.
pub(crate) fn known(value: Option<f64>) -> Option<f64> {
    value.filter(|v| v.is_finite())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_are_read_by_their_names() {
        for part in Part::ALL {
            assert_eq!(part.to_string().parse::<Part>(), Ok(part));
        }
        let error = "Concat".parse::<Part>().unwrap_err();
        assert!(
            error.contains("concat, static, dynamic, reversed, odd, even, reconstructed, frames, mean"),
            "{error}"
        );
    }

    #[test]
    fn shapes_follow_the_letters() {
        let dims = Dims { width: 5, features: 7, ..Dims::default() };
        assert_eq!(Part::Concat.shape(3, dims), [10]);
        assert_eq!(Part::Dynamic.shape(3, dims), [5]);
        assert_eq!(Part::Reconstructed.shape(3, dims), [3, 7]);
        for part in Part::ALL {
            let (mut taken, shape) = (Dims::default(), part.shape(3, dims));
            taken.take(part, &shape).unwrap();
            assert_eq!(part.shape(3, taken), shape, "{part}");
            assert!(taken.take(part, &[1, 2, 3]).is_err(), "{part}");
        }
    }
}
