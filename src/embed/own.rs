//! LiFT's parts of frame features that are stored in a file, of whatever frame encoder: no video is read.

use std::sync::atomic::{AtomicBool, Ordering};

use rayon::ThreadPool;
use rayon::prelude::*;

use super::{Embedded, LiftAlone, Outcome, StageError};
use crate::files::{FileError, display_text};
use crate::guard::guarded;
use crate::rows::{
    ClipMeta, Dims, Failure, Part, Row, StoredArray, StoredTable, bare_clips, clips, kept_columns,
};

/// Clips per thread between two looks at the signal to stop.
const CLIPS_PER_THREAD: usize = 16;

/// Stored features `(B, T, D)`, and what is known of their clips.
pub struct OwnFeatures {
    table: StoredTable,
    clips: Vec<ClipMeta>,
    named: bool,
}

/// What is computed of each clip.
pub struct OwnParts<'a> {
    /// The network.
    pub lift: &'a LiftAlone,
    /// The parts, in their order.
    pub parts: &'a [Part],
    /// Scale every vector to unit length.
    pub normalize: bool,
}

impl OwnFeatures {
    /// Takes the one array of opened files. Rows without ids get their number for an id. `told`: whether the ids are the files' own, so
    /// that what the files say of their clips belongs to the rows.
    ///
    /// # Errors
    /// `Read` if the array is not `(B, T, D)` with two frames or more, or an id stands twice.
    pub fn new(table: StoredTable, told: bool) -> Result<Self, FileError> {
        let array = table.only()?;
        let (name, whole) = (display_text(&array.name), [&[array.rows()], &array.shape[..]].concat());
        match array.shape[..] {
            [frames, width] if frames >= 2 && width > 0 => {}
            _ => {
                let reason = format!(
                    "'{name}' has the shape {whole:?}; LiFT reads the features of frames, (clips, frames, width), of two frames or more"
                );
                return Err(FileError::read(&table.path, reason));
            }
        }
        let named = table.ids().is_ok();
        let clips = match table.ids() {
            Ok(ids) => {
                table.index()?;
                if told { clips(&table.path, ids)? } else { bare_clips(ids) }
            }
            Err(_) => bare_clips(&(0..table.rows()).map(|row| row.to_string()).collect::<Vec<_>>()),
        };
        Ok(Self { table, clips, named })
    }

    /// Whether the rows have ids; their numbers stand for them where they have none.
    pub fn has_ids(&self) -> bool {
        self.named
    }

    /// Clips, `B`.
    pub fn len(&self) -> usize {
        self.table.rows()
    }

    /// Whether there is no clip.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The table that they were taken of.
    pub fn table(&self) -> &StoredTable {
        &self.table
    }

    fn array(&self) -> &StoredArray {
        &self.table.arrays[0]
    }

    /// Frames per clip, `T`.
    pub fn frames(&self) -> usize {
        self.array().shape[0]
    }

    /// Width of a feature, `D`.
    pub fn width(&self) -> usize {
        self.array().shape[1]
    }

    /// The sizes of the parts that this LiFT computes.
    pub fn dims(&self, lift: &LiftAlone) -> Dims {
        let key_frames = self.clips.iter().any(|clip| clip.key_frames.is_some());
        Dims { frames: Some(self.frames()), width: lift.width(), features: self.width(), key_frames }
    }

    /// The names of the columns that the features keep of the list of their clips.
    pub fn kept_columns(&self) -> Vec<String> {
        kept_columns(&self.clips)
    }

    /// Computes the parts of every clip, on the threads of `pool`, and hands each outcome to `sink` in the order of the rows. Ends early
    /// when `stop` becomes true (after the clips in progress) or when the sink fails.
    ///
    /// # Errors
    /// The sink's.
    pub fn embed<E: Send>(
        &self,
        how: &OwnParts<'_>,
        pool: &ThreadPool,
        stop: &AtomicBool,
        mut sink: impl FnMut(Outcome) -> Result<(), E>,
    ) -> Result<(), E> {
        let at_once = CLIPS_PER_THREAD * pool.current_num_threads();
        let mut from = 0;
        while from < self.len() && !stop.load(Ordering::Acquire) {
            let to = (from + at_once).min(self.len());
            let outcomes: Vec<Outcome> =
                pool.install(|| (from..to).into_par_iter().map(|row| self.outcome(row, how)).collect());
            outcomes.into_iter().try_for_each(&mut sink)?;
            from = to;
        }
        Ok(())
    }

    fn outcome(&self, row: usize, how: &OwnParts<'_>) -> Outcome {
        let clip = ClipMeta { index: row, ..self.clips[row].clone() };
        let parts = match guarded(|| self.parts(row, how)) {
            Ok(parts) => parts,
            Err(cause) => Err(StageError { stage: "internal", cause }),
        };
        let result = match parts {
            Ok(parts) => {
                let rows = vec![Row { clip, window: None, frames: self.frames(), parts }];
                Ok(Embedded { rows, notes: vec![], seconds: vec![], pictures: vec![] })
            }
            Err(StageError { stage, cause }) => Err(Failure { clip, stage: stage.into(), error: cause }),
        };
        Outcome { stamp: None, result }
    }

    fn parts(&self, row: usize, how: &OwnParts<'_>) -> Result<super::Embedding, StageError> {
        let mut features = vec![0.0; self.frames() * self.width()];
        let read = self.array().copy_row(row, &mut features);
        read.map_err(|e| StageError { stage: "open", cause: format!("row {row} cannot be read: {e}") })?;
        if let Some(value) = features.iter().find(|value| !value.is_finite()) {
            let cause = format!("row {row} holds {value}, not a finite number");
            return Err(StageError { stage: "open", cause });
        }
        how.lift.finish(features, self.width(), how.parts, how.normalize)
    }
}
