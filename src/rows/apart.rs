//! Names of videos that should be equal and are not: without the extension, without the folder, and why two lists of ids have
//! nothing in common.

use std::collections::HashMap;

use crate::files::display_text;

/// The longest extension that is taken off a name.
const EXTENSION: usize = 5;

/// A name without its extension, if it has one: up to five letters and digits, at least one letter.
pub(crate) fn stem(name: &str) -> &str {
    match name.rsplit_once('.') {
        Some((stem, end))
            if !stem.is_empty()
                && !stem.ends_with('/')
                && (1..=EXTENSION).contains(&end.len())
                && end.chars().all(|c| c.is_ascii_alphanumeric())
                && end.chars().any(|c| c.is_ascii_alphabetic()) =>
        {
            stem
        }
        _ => name,
    }
}

/// A name without folder and extension.
pub(crate) fn base(name: &str) -> &str {
    let name = stem(name);
    name.rsplit_once('/').map_or(name, |(_, base)| base)
}

/// What is left of a name, and what was taken off.
type Shorter = (&'static str, fn(&str) -> &str);

/// What may make two names of one video differ, the smallest difference first.
const CAUSES: [Shorter; 4] = [
    ("an extension", stem),
    ("a folder", |name| name.rsplit_once('/').map_or(name, |(_, base)| base)),
    ("a folder and an extension", base),
    ("leading zeros", |name| match name.trim_start_matches('0') {
        "" => name,
        short => short,
    }),
];

/// Names looked at of those that are missing.
const LOOKED_AT: usize = 100;

/// One id of each side and the likely cause, for a message about ids that are `missing` among those that are `there`; nothing if one
/// side is empty. `whose` is whose ids those are.
pub fn likely_cause(missing: &[&str], whose: &str, there: &[&str]) -> String {
    let (Some(first), Some(other)) = (missing.first(), there.first()) else { return String::new() };
    for (what, short) in CAUSES {
        let known: HashMap<&str, &str> = there.iter().map(|name| (short(name), *name)).collect();
        let looked_at = missing.iter().take(LOOKED_AT);
        let found = looked_at.filter_map(|name| Some((*name, *known.get(short(name))?)));
        if let Some((asked, name)) = found.into_iter().find(|(asked, name)| asked != name) {
            let (asked, name) = (display_text(asked), display_text(name));
            return format!("; '{asked}' is wanted and {whose} has '{name}': the ids differ by {what}");
        }
    }
    format!("; '{}' is wanted and {whose} has '{}'", display_text(first), display_text(other))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_id_of_each_side_and_the_cause() {
        for (missing, there, said) in [
            (
                &["x", "b"][..],
                &["a.mp4", "b.mp4"][..],
                "; 'b' is wanted and it has 'b.mp4': the ids differ by an extension",
            ),
            (&["a"], &["v/a", "v/b"], "; 'a' is wanted and it has 'v/a': the ids differ by a folder"),
            (
                &["a"],
                &["v/a.mp4"],
                "; 'a' is wanted and it has 'v/a.mp4': the ids differ by a folder and an extension",
            ),
            (&["007"], &["1", "7"], "; '007' is wanted and it has '7': the ids differ by leading zeros"),
            (&["x"], &["y"], "; 'x' is wanted and it has 'y'"),
            (&["x"], &[], ""),
        ] {
            assert_eq!(likely_cause(missing, "it", there), said);
        }
        assert_eq!((stem("clip.2020"), stem("a/.mp4"), base("a/b.mp4")), ("clip.2020", "a/.mp4", "b"));
    }
}
