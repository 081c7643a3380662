//! The benchmark's protocol on one data set: which videos have embeddings, what of them is probed, and what is measured.
//!
//! The score on fewer videos is not comparable. So videos without an embedding are an error, unless the protocol allows them
//! to be left out.

use std::collections::HashSet;

use rayon::ThreadPool;

use super::evaluate::{EvaluateError, EvaluationPlan, GroupScore, evaluate};
use super::probe::ProbeMethod;
use super::report::{Coverage, RepresentationScore};
use super::representations::{Matrix, Representation, RepresentationError, StoredParts};
use super::shots::{self, ShotDraws, ShotPoint};
use super::splits::Splits;
use crate::rows::likely_cause;

/// Video ids in one line of a message.
const IDS_PER_LINE: usize = 10;

/// The most lines of them.
const LINES: usize = 5;

/// What is measured on every data set, and how.
pub struct Protocol {
    /// The classifier.
    pub probe: ProbeMethod,
    /// The names of what is probed; if empty, everything that the embeddings hold.
    pub representations: Vec<String>,
    /// Whether the probes are also scored on the validation videos in reversed time.
    pub reverse_control: bool,
    /// Whether to measure retrieval.
    pub retrieval: bool,
    /// The numbers of training videos per class to measure besides; their list may be empty.
    pub draws: ShotDraws,
    /// Whether videos and groups without embeddings may be left out.
    pub allow_missing: bool,
    /// The threads that fit the probes.
    pub pool: ThreadPool,
}

/// What a protocol found on one data set.
pub struct DatasetResult {
    /// One outcome per representation.
    pub outcomes: Vec<RepresentationScore>,
    /// Whether every listed video and group was used.
    pub complete: bool,
}

/// Why a data set has no result.
#[derive(Debug, thiserror::Error)]
pub enum BenchmarkError {
    /// No representation can be made of the embeddings.
    #[error("the embeddings hold no representation to probe; the help of --representation lists them")]
    NothingToProbe,
    /// A representation cannot be made of the embeddings.
    #[error(transparent)]
    Representation(#[from] RepresentationError),
    /// Videos have no embedding, and the protocol does not allow that.
    #[error(
        "{0}; a score on fewer videos is not comparable: embed them, or leave them out with --allow-missing"
    )]
    Missing(String),
    /// No group has embeddings on both sides of the split.
    #[error("{0}: no group has embeddings to probe")]
    NoGroup(String),
    /// The control in reversed time has nothing to reverse.
    #[error(
        "--reverse-control needs the frame features or the mirrored clips: embed with --parts concat,frames or concat,reversed"
    )]
    NoFrames,
    /// A group could not be scored.
    #[error(transparent)]
    Evaluate(#[from] EvaluateError),
}

impl Protocol {
    /// Measures the data set `name`: the groups and videos `listed`, whose embeddings are `parts`.
    ///
    /// `lift` computes LiFT's embedding `[static, dynamic]` of stored frame features `(T, D)` for the videos named; it is
    /// called for the control in reversed time, where a representation needs it. `note` takes a line for people.
    ///
    /// # Errors
    /// [`BenchmarkError`], and what `lift` says.
    pub fn measure<E: From<BenchmarkError>>(
        &self,
        name: &str,
        listed: &Splits,
        parts: &StoredParts,
        lift: impl FnOnce(&Matrix, &[&str]) -> Result<Matrix, E>,
        note: &dyn Fn(&str),
    ) -> Result<DatasetResult, E> {
        let representations = self.representations(parts)?;
        let splits = self.present(name, listed, &representations, note)?;
        let reversed = match self.reverse_control {
            true => Some(reverse(parts, &representations, &splits, lift)?),
            false => None,
        };
        let counts = Coverage {
            groups_listed: listed.groups.len() + listed.left_out,
            videos: splits.ids().len(),
            videos_listed: listed.ids().len(),
        };
        let mut outcomes: Vec<RepresentationScore> = Vec::new();
        for representation in &representations {
            let scores = self.pool.install(|| self.score(&splits, representation, reversed.as_ref()));
            let (groups, points) = scores.map_err(BenchmarkError::from)?;
            // This depends on the groups only, so it is noted once, with the first representation.
            for ShotPoint { shots, .. } in
                points.iter().filter(|point| point.groups == 0 && outcomes.is_empty())
            {
                note(&format!("{name}: no group has {shots} training videos of each direction"));
            }
            if reversed.is_some() && groups.iter().all(|group| group.reversed.is_none()) {
                note(&format!(
                    "{} cannot be reversed in time; the control leaves it out",
                    representation.name
                ));
            }
            let (of, width) = (&representation.name, representation.width());
            outcomes.push(RepresentationScore::new(name, of, width, counts, groups, points, self.draws.seed));
        }
        let complete = listed.left_out == 0 && counts.videos == counts.videos_listed;
        Ok(DatasetResult { outcomes, complete })
    }

    fn representations(&self, parts: &StoredParts) -> Result<Vec<Representation>, BenchmarkError> {
        if !self.representations.is_empty() {
            let named = self.representations.iter().map(|name| parts.representation(name));
            return Ok(named.collect::<Result<_, _>>()?);
        }
        let all = parts.all()?;
        if all.is_empty() { Err(BenchmarkError::NothingToProbe) } else { Ok(all) }
    }

    /// The part of the benchmark that every representation has embeddings for.
    fn present(
        &self,
        name: &str,
        listed: &Splits,
        representations: &[Representation],
        note: &dyn Fn(&str),
    ) -> Result<Splits, BenchmarkError> {
        let ids = listed.ids();
        let has = |id: &str| representations.iter().all(|representation| representation.has(id));
        let missing: Vec<&str> = ids.iter().copied().filter(|id| !has(id)).collect();
        if missing.is_empty() {
            return Ok(listed.clone());
        }
        let more = match missing.len().saturating_sub(IDS_PER_LINE) {
            0 => String::new(),
            more => format!(" and {more} more"),
        };
        let some = missing[..missing.len().min(IDS_PER_LINE)].join(", ");
        let lacking = representations.iter().filter(|one| !ids.iter().all(|id| one.has(id)));
        let lacking: Vec<&Representation> = lacking.collect();
        let cause = lacking.first().map(|one| {
            let missing: Vec<&str> = missing.iter().copied().filter(|id| !one.has(id)).collect();
            let mut there = one.ids();
            there.sort_unstable();
            likely_cause(&missing, &one.origin(), &there)
        });
        let lacking: Vec<&str> = lacking.iter().map(|one| one.name.as_str()).collect();
        let of = match lacking.len() < representations.len() {
            true => format!(" ({})", lacking.join(", ")),
            false => String::new(),
        };
        let what =
            format!("{name}: {} of {} videos have no embedding{of}: {some}{more}", missing.len(), ids.len());
        let what = what + &cause.unwrap_or_default();
        if !more.is_empty() {
            let lines = missing.chunks(IDS_PER_LINE);
            lines.take(LINES).for_each(|ids| note(&format!("{name}: no embedding of {}", ids.join(", "))));
            if missing.len() > LINES * IDS_PER_LINE {
                note(&format!("{name}: and {} more without embedding", missing.len() - LINES * IDS_PER_LINE));
            }
        }
        if !self.allow_missing {
            return Err(BenchmarkError::Missing(what));
        }
        note(&what);
        let (splits, left_out) = listed.without(&missing.into_iter().collect::<HashSet<_>>());
        if !left_out.is_empty() {
            note(&format!("{name}: groups left out because they lack videos: {}", left_out.join(", ")));
        }
        if splits.groups.is_empty() { Err(BenchmarkError::NoGroup(name.to_owned())) } else { Ok(splits) }
    }

    /// The groups' scores and the points of the curve over training videos.
    fn score(
        &self,
        splits: &Splits,
        representation: &Representation,
        reversed: Option<&StoredParts>,
    ) -> Result<(Vec<GroupScore>, Vec<ShotPoint>), EvaluateError> {
        let reversed = reversed.and_then(|parts| parts.representation(&representation.name).ok());
        let plan =
            EvaluationPlan { probe: self.probe, reversed: reversed.as_ref(), retrieval: self.retrieval };
        let groups = evaluate(splits, representation, plan)?;
        let points = match self.draws.shots.is_empty() {
            true => Vec::new(),
            false => shots::curve(splits, representation, self.probe, &self.draws)?,
        };
        Ok((groups, points))
    }
}

/// The parts in reversed time; LiFT runs again only where a representation needs it and `reversed` is not stored.
fn reverse<E: From<BenchmarkError>>(
    parts: &StoredParts,
    representations: &[Representation],
    splits: &Splits,
    lift: impl FnOnce(&Matrix, &[&str]) -> Result<Matrix, E>,
) -> Result<StoredParts, E> {
    if let Some(embedding) = parts.own.get("reversed") {
        return Ok(parts.reversed(Some(embedding.clone())));
    }
    let Some(frames) = parts.own.get("frames") else { return Err(BenchmarkError::NoFrames.into()) };
    let latent = |name: &str| name.split('+').any(|one| ["lift", "static", "dynamic"].contains(&one.trim()));
    let embedding = match frames.reversed() {
        Some(frames) if representations.iter().any(|all| latent(&all.name)) => {
            let ids: Vec<&str> = splits.valid_ids().into_iter().collect();
            Some(lift(&frames, &ids)?)
        }
        _ => None,
    };
    Ok(parts.reversed(embedding))
}
