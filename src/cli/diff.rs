//! `lift diff`: compares two outputs.

use std::path::PathBuf;

use clap::Args;

use super::{Verbosity, report};
use crate::exit::{Exit, Fatal};
use crate::files::{self, FileError, display_text};
use crate::rows::{Comparison, PartDifference, Side, compare};

/// How many ids are named in the text; --json has all.
const NAMED: usize = 10;

/// Compare two outputs: ids, values, settings and models
///
/// Rows are compared by their ids, whatever the format and the order. Prints the ids of one output alone, how many rows
/// differ and by how much (the cosine distance, from 0 to 2), and the settings and models that differ. Ends with 0 if the
/// outputs are the same to the bit, with 1 if they differ. The version of lift alone is no difference.
#[derive(Debug, Args)]
#[command(
    after_help = "Examples:\n  lift diff old.parquet new.parquet\n  lift diff before/ after/          datasets, or folders of shards\n  \
    lift diff a.npz b.npz --json | jq .parts"
)]
pub(super) struct DiffArgs {
    /// The first output: a dataset, a folder of shards, or a file of rows
    #[arg(value_name = "A")]
    a: PathBuf,
    /// The second output
    #[arg(value_name = "B")]
    b: PathBuf,
    /// Print one JSON object
    #[arg(long)]
    json: bool,
}

/// Compares, and prints what differs.
pub(super) fn run(args: &DiffArgs, verbosity: &Verbosity) -> Result<Exit, Fatal> {
    let found = compare(&args.a, &args.b)?;
    if args.json {
        let text = serde_json::to_string(&found).map_err(|e| FileError::Usage(e.to_string()))?;
        files::print(format!("{text}\n").as_bytes())?;
    } else if !verbosity.quiet {
        files::print(text(&found).as_bytes())?;
    }
    Ok(if found.is_same() { Exit::Success } else { Exit::SomeFailed })
}

fn text(found: &Comparison) -> String {
    let Comparison { a, b, common, parts, made } = found;
    let mut lines = Vec::new();
    for side in [a, b] {
        let version = side.lift.as_ref().map_or_else(
            || "; it does not say what made it".to_owned(),
            |version| format!(", made by lift {}", display_text(version)),
        );
        lines.push(format!("{}: {}{version}", side.path, report::count(side.rows, "row")));
    }
    lines.push(format!("{} in both", report::count(*common, "id")));
    for side in [a, b] {
        lines.extend(alone(side, "id", &side.ids_alone));
        lines.extend(alone(side, "part", &side.parts_alone));
    }
    lines.extend(parts.iter().map(|part| values(part, *common)));
    lines.extend(made.iter().map(|difference| {
        let words = difference.replace(" there, ", &format!(" in {}, ", a.path));
        let words =
            words.strip_suffix(" here").map_or(words.clone(), |words| format!("{words} in {}", b.path));
        format!("made otherwise: {}", display_text(&words))
    }));
    lines.push(if found.is_same() { "they are the same".into() } else { "they differ".into() });
    lines.join("\n") + "\n"
}

/// What one output has alone.
fn alone(side: &Side, what: &str, names: &[String]) -> Option<String> {
    let shown: Vec<String> = names.iter().take(NAMED).map(|name| display_text(name)).collect();
    let more = names.len().saturating_sub(NAMED);
    let more = if more > 0 { format!(" and {more} more (--json has all)") } else { String::new() };
    let count = report::count(names.len(), what);
    (!names.is_empty()).then(|| format!("{} alone has {count}: {}{more}", side.path, shown.join(", ")))
}

/// How a part differs.
fn values(part: &PartDifference, common: usize) -> String {
    let name = display_text(&part.part);
    let [one, other] = &part.shapes;
    match &part.apart {
        _ if one != other => format!("{name}: rows have the shapes {one:?} and {other:?}"),
        None => format!("{name}: 0 of {common} rows differ"),
        Some(apart) => format!(
            "{name}: {} of {common} rows differ; cosine distance: median {:.2e}, largest {:.2e} ({}); largest difference of a value: {:.2e}",
            part.differing,
            apart.median,
            apart.largest,
            display_text(&apart.id),
            apart.value
        ),
    }
}
