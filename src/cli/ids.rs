//! The flags that say where the ids of rows are: `--ids` and `--id-column`.

use std::path::{Path, PathBuf};

use anyhow::anyhow;
use clap::Args;

use crate::exit::Fatal;
use crate::rows::Wanted;

/// The ids of embeddings, and of features with a name of their own.
#[derive(Debug, Args)]
pub(super) struct NamedIdArgs {
    /// Ids of the embeddings' rows, for a file without ids [default: the ids in the file]
    ///
    /// One per line, or a CSV with the column id, or an .npy. NAME=FILE is for the features NAME of --features.
    ///
    /// Example: --ids clip=clip-ids.txt
    #[arg(long, value_name = "[NAME=]FILE")]
    pub(super) ids: Vec<String>,
    /// Column or array that holds the ids, texts or integers [default: id, in an .npz also ids]
    ///
    /// Of the file in --ids, else of the file of features. NAME=COLUMN is for the features NAME of --features.
    ///
    /// Example: --id-column clip=video_id
    #[arg(long, value_name = "[NAME=]COLUMN")]
    id_column: Vec<String>,
}

/// The ids of one file.
#[derive(Debug, Args)]
pub(super) struct IdArgs {
    /// The ids of the rows of a file of features, if it does not have them itself [default: its own]
    ///
    /// One per line, or a CSV with the column id, or an .npy. Example: --ids ids.txt
    #[arg(long, value_name = "FILE")]
    ids: Option<PathBuf>,
    /// Column or array that holds the ids, texts or integers: of the file in --ids, else of the features
    ///
    /// Default: id, in an .npz also ids. Example: --id-column video_id
    #[arg(long, value_name = "COLUMN")]
    id_column: Option<String>,
}

impl IdArgs {
    /// Whether a list of ids or a column of them is named.
    pub(super) fn is_given(&self) -> bool {
        self.ids.is_some() || self.id_column.is_some()
    }

    /// What is wanted of the file: all arrays, with these ids.
    pub(super) fn wanted(&self) -> Wanted<'_> {
        Wanted { array: None, id_column: self.id_column.as_deref(), ids: self.ids.as_deref() }
    }
}

/// The names of `--features NAME=FILE`.
fn names(features: &[String]) -> Vec<&str> {
    features.iter().filter_map(|value| Some(value.split_once('=')?.0)).collect()
}

/// The value of a `[NAME=]VALUE` flag for the embeddings, or for the features `of`.
fn value_of<'a>(values: &'a [String], features: &[String], of: Option<&str>) -> Option<&'a str> {
    let names = names(features);
    let named = |value: &'a String| {
        let (name, rest) = value.split_once('=')?;
        names.contains(&name).then_some((name, rest))
    };
    values.iter().find_map(|value| match (named(value), of) {
        (Some((name, rest)), Some(of)) => (name == of).then_some(rest),
        (None, None) => Some(value.as_str()),
        _ => None,
    })
}

/// Refuses a value of `flag` that nothing would read; `embeddings`: whether there are embeddings that it may be of; `stands` tells a
/// value with `=` that is no `NAME=VALUE`.
fn check(
    flag: &str,
    values: &[String],
    features: &[String],
    embeddings: bool,
    stands: impl Fn(&str) -> bool,
) -> Result<(), Fatal> {
    let names = names(features);
    let mut given: Vec<Option<&str>> = Vec::new();
    for value in values {
        let name = match value.split_once('=') {
            Some((name, _)) if names.contains(&name) => Some(name),
            Some((name, _)) if !stands(value) => {
                let known = if names.is_empty() { "nothing".to_owned() } else { names.join(", ") };
                return Err(Fatal::usage(anyhow!(
                    "{flag} {value}: --features names no {name}; it names {known}"
                )));
            }
            _ if embeddings => None,
            _ => {
                let name = names.first().unwrap_or(&"NAME");
                return Err(Fatal::usage(anyhow!(
                    "{flag} {value}: ids without a name are those of --embeddings, which is not given; for features write \
                     {flag} {name}={value}"
                )));
            }
        };
        if given.contains(&name) {
            let of = name.unwrap_or("--embeddings");
            return Err(Fatal::usage(anyhow!("{flag} {value}: the ids of {of} are given twice")));
        }
        given.push(name);
    }
    Ok(())
}

impl NamedIdArgs {
    /// Refuses ids that would be read by nothing; `embeddings`: whether there are embeddings that they may be of.
    ///
    /// # Errors
    /// `Usage`, with the form that is read.
    pub(super) fn check(&self, features: &[String], embeddings: bool) -> Result<(), Fatal> {
        check("--ids", &self.ids, features, embeddings, |value| Path::new(value).exists())?;
        check("--id-column", &self.id_column, features, embeddings, |_| false)
    }

    /// What is wanted of the embeddings, or of the features with the name `of`: all arrays, with these ids.
    pub(super) fn wanted(&self, features: &[String], of: Option<&str>) -> Wanted<'_> {
        Wanted {
            array: None,
            id_column: value_of(&self.id_column, features, of),
            ids: value_of(&self.ids, features, of).map(Path::new),
        }
    }
}
