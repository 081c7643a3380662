//! Which of the two labels of a group is the forward direction: 1 of 1 and 0, else the one that the user names, else the first in the
//! order of the alphabet.
//!
//! The choice does not change a score of the ridge probe, which treats both alike; it decides which verb is called forward. A label that
//! is a text also names the direction where the file has no verbs.

use std::collections::BTreeMap;

use super::listing::{SplitError, SplitFile};

/// Groups named in the note about their labels.
const SHOWN: usize = 5;

/// A label in one form: `1.0` is `1`.
fn plain(label: &str) -> &str {
    match label.parse::<f64>() {
        Ok(1.0) => "1",
        Ok(0.0) => "0",
        _ => label,
    }
}

/// Sets the direction of every video of the per-video form, in both files alike. `forward` are the labels that the user names. Returns
/// what should be said of labels whose direction was not given.
///
/// # Errors
/// With the line, for a group with more than two labels, or with two forward ones; and for a label of `forward` that no video has.
pub(super) fn set(files: [&mut SplitFile; 2], forward: &[String]) -> Result<Option<String>, SplitError> {
    let mut labels: BTreeMap<String, Vec<String>> = BTreeMap::new();
    let mut known = vec![false; forward.len()];
    for file in &files {
        for entry in &file.entries {
            let Some(label) = entry.label.as_deref().map(plain) else { continue };
            if let Some(at) = forward.iter().position(|name| plain(name) == label) {
                known[at] = true;
            }
            let of_group = labels.entry(entry.triplet.clone()).or_default();
            if of_group.iter().any(|known| known == label) {
                continue;
            }
            if let [first, second] = &of_group[..] {
                let what = format!(
                    "label `{label}` is the third of group {} beside `{first}` and `{second}`; a group has two directions, 1 (forward) \
                     and 0 (reverse) or two texts",
                    entry.triplet
                );
                return Err(SplitError::Line { path: file.path.clone(), line: entry.line, what });
            }
            of_group.push(label.to_owned());
        }
    }
    if let Some(at) = known.iter().position(|known| !known) {
        let what = format!("no video has the label `{}` of --forward", forward[at]);
        return Err(SplitError::File { path: files[0].path.clone(), what });
    }
    let named = |label: &String| forward.iter().any(|name| plain(name) == label.as_str());
    let mut chosen = Vec::new();
    for (triplet, of_group) in &mut labels {
        of_group.sort_unstable();
        match of_group.iter().filter(|label| named(label)).count() {
            2 => {
                let what = format!(
                    "--forward names both labels of group {triplet}, `{}` and `{}`",
                    of_group[0], of_group[1]
                );
                return Err(SplitError::File { path: files[0].path.clone(), what });
            }
            1 => of_group.sort_by_key(|label| !named(label)),
            _ if of_group.iter().all(|label| ["0", "1"].contains(&label.as_str())) => {
                of_group.sort_by_key(|label| label != "1");
            }
            _ => chosen.push(format!("{triplet}: {}", of_group.join(" / "))),
        }
    }
    for file in files {
        for entry in &mut file.entries {
            let Some(label) = entry.label.as_deref().map(plain) else { continue };
            let of_group = &labels[&entry.triplet];
            // A group with one label alone has one direction: the forward one, unless the label is 0.
            entry.forward = label != "0" && of_group.first().is_some_and(|first| first == label);
            if entry.verb.is_empty() && !["0", "1"].contains(&label) {
                entry.verb = label.to_owned();
            }
        }
    }
    let more = match chosen.len().saturating_sub(SHOWN) {
        0 => String::new(),
        more => format!(", and {more} more"),
    };
    chosen.truncate(SHOWN);
    Ok((!chosen.is_empty()).then(|| {
        format!(
            "labels are texts; forward / reverse by the alphabet: {}{more} (--forward LABEL names the forward one)",
            chosen.join(", ")
        )
    }))
}
