//! A linear probe for labels of any number of classes, and how much a representation changes with the order of the frames.
//!
//! A linear classifier is fitted on the embeddings of the training videos and scored on those of the test videos. Where the
//! labels have no split, every video is scored by a classifier that was fitted without it (k-fold cross-validation).
//!
//! In the order data flows: [`labels`] reads the files that say which video is of which class, [`matching`] finds each video's
//! row, [`features`] reads the rows block by block, [`ridge`] and [`logistic`] fit a [`linear`] classifier on them, [`folds`]
//! parts the videos, [`run`] chooses the penalty, fits and predicts, [`scores`] and [`compare`] say what that comes to, [`order`]
//! changes the order of the frames, [`measure`] does all of this, and [`report`], [`tables`], [`predictions`] and [`figure`] present.
//!
//! This module knows neither videos nor networks: embeddings come in as [`StoredParts`](crate::cia::representations::StoredParts),
//! results go out as plain data.

pub mod compare;
pub mod features;
pub mod figure;
pub mod folds;
pub mod labels;
pub mod linear;
pub mod logistic;
pub mod matching;
pub mod measure;
pub mod order;
pub mod predictions;
pub mod report;
pub mod ridge;
pub mod run;
pub mod scores;
pub mod tables;

#[cfg(test)]
mod goldens;
