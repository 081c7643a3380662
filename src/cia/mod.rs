//! CiA, *Chirality in Action*: this benchmark measures whether an embedding tells an action from the same action reversed
//! in time.
//!
//! A *chiral group* is a pair of actions that look alike frame by frame and differ in their direction (opening and
//! closing a door). For each group a small classifier, the *probe*, is fitted on the embeddings of the training videos and
//! scored on those of the validation videos. The score of a data set is the plain mean of the groups' accuracies (LiFT,
//! arXiv 2509.08502, section 4).
//!
//! In the order data flows: [`datasets`] names the official files, [`listing`] reads one CSV, [`splits`] pairs the
//! training and validation files and checks them, [`clips`] finds the videos, [`stored`] opens the
//! embeddings, [`representations`] turns their parts into the matrices compared (with those of `mirror`), [`probe`] (with [`ridge`], [`logistic`], [`svm`] over [`linalg`]) is fitted and scored by
//! [`evaluate`], [`shots`] and [`retrieval`] measure more of the same, [`benchmark`] does all of this for one data set, and
//! [`report`] (with the intervals of [`bootstrap`] and the figures of [`published`]), [`formats`] (over [`table`]), [`figure`] and [`shots_figure`] present it.
//!
//! This module knows neither videos nor networks: embeddings come in as numbers by id, results go out as plain data.

pub mod benchmark;
pub mod bootstrap;
pub mod clips;
pub mod datasets;
mod directions;
pub mod evaluate;
pub mod figure;
pub mod formats;
pub mod linalg;
pub mod listing;
pub mod logistic;
mod mirror;
pub mod probe;
pub mod published;
pub mod report;
pub mod representations;
pub mod retrieval;
pub mod ridge;
pub mod scaling;
pub mod shots;
pub mod shots_figure;
pub mod splits;
pub mod stored;
pub mod svm;
pub mod table;

#[cfg(test)]
mod goldens;
