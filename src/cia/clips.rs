//! Where a benchmark's clip is: the path of its file, made from a template, and for uncut videos the seconds within it.

use std::path::{Path, PathBuf};

use crate::inputs::Input;

/// The names of the columns of a per-video CSV that give the place of a clip within an uncut video.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Columns {
    /// The column naming the file, with or without its extension.
    pub video: Option<String>,
    /// The column of the clip's start.
    pub start: Option<String>,
    /// The column of the clip's end.
    pub end: Option<String>,
}

impl Columns {
    /// The names that are set.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        [&self.video, &self.start, &self.end].into_iter().flatten().map(String::as_str)
    }
}

/// The place of a clip, as its row in the CSV gives it.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct ClipSource {
    /// The file, relative to the folder of the videos; if absent, the id is the file's name.
    pub video: Option<String>,
    /// Start of the clip in seconds.
    pub start: Option<f64>,
    /// End of the clip in seconds.
    pub end: Option<f64>,
}

/// Reads seconds from `12.5`, `mm:ss.cc` or `hh:mm:ss.cc`; `None` for any other text and for negative times.
pub fn seconds(text: &str) -> Option<f64> {
    let parts: Vec<&str> = text.trim().split(':').collect();
    if parts.len() > 3 {
        return None;
    }
    let mut total = 0.0;
    for (at, part) in parts.iter().enumerate() {
        let last = at + 1 == parts.len();
        let value: f64 = if last { part.parse().ok()? } else { f64::from(part.parse::<u32>().ok()?) };
        if !value.is_finite() || value < 0.0 || (at > 0 && value >= 60.0) {
            return None;
        }
        total = total * 60.0 + value;
    }
    Some(total)
}

/// Makes a path from an id: text with the fields `{dir}`, `{id}`, `{video}` and `{ext}`.
#[derive(Debug, Clone, PartialEq)]
pub struct Template(String);

/// The error for a template with an unknown field.
#[derive(Debug, thiserror::Error, PartialEq)]
#[error(
    "`{{{0}}}` in the template is unknown; the fields are {{dir}}, {{id}}, {{video}} (the video column) and {{ext}}"
)]
pub struct UnknownField(String);

impl Template {
    /// The layout of clips that are already cut: `{dir}/{id}.{ext}`.
    pub fn official() -> Self {
        Self("{dir}/{id}.{ext}".to_owned())
    }

    /// Checks the fields of a template.
    ///
    /// # Errors
    /// [`UnknownField`] for a field in braces that is not one of the four.
    pub fn parse(text: &str) -> Result<Self, UnknownField> {
        for after in text.split('{').skip(1) {
            let name = after.split('}').next().unwrap_or(after);
            if !["dir", "id", "video", "ext"].contains(&name) {
                return Err(UnknownField(name.to_owned()));
            }
        }
        Ok(Self(text.to_owned()))
    }

    /// The clip of an id, number `index` of those to embed. If the file name in the video column has an extension, no other
    /// is added.
    pub fn clip(
        &self,
        folder: &Path,
        extension: &str,
        (index, id): (usize, &str),
        source: Option<&ClipSource>,
    ) -> Input {
        let video = source.and_then(|source| source.video.as_deref());
        let official = *self == Self::official();
        let path = match video {
            Some(video) if official && Path::new(video).extension().is_some() => folder.join(video),
            Some(video) if official => folder.join(format!("{video}.{extension}")),
            _ => PathBuf::from(self.fill(folder, extension, id, video.unwrap_or(id))),
        };
        let (start, end) = source.map_or((None, None), |source| (source.start, source.end));
        Input { index, id: id.to_owned(), path, start, end, ..Input::default() }
    }

    /// Fills the fields in one pass from left to right, so that braces within an id are not read as fields.
    fn fill(&self, folder: &Path, extension: &str, id: &str, video: &str) -> String {
        let mut filled = String::new();
        let mut rest = self.0.as_str();
        while let Some(open) = rest.find('{') {
            filled.push_str(&rest[..open]);
            let field = &rest[open..];
            let close = field.find('}').map_or(field.len(), |at| at + 1);
            match &field[..close] {
                "{dir}" => filled.push_str(&folder.to_string_lossy()),
                "{id}" => filled.push_str(id),
                "{video}" => filled.push_str(video),
                "{ext}" => filled.push_str(extension),
                other => filled.push_str(other),
            }
            rest = &field[close..];
        }
        filled.push_str(rest);
        filled
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_read_in_both_forms() {
        assert_eq!(seconds("12.5"), Some(12.5));
        assert_eq!(seconds("01:02.25"), Some(62.25));
        assert_eq!(seconds("00:01:02.50"), Some(62.5));
        assert_eq!(seconds(" 100:00:00 "), Some(360_000.0));
        for wrong in ["", "a", "-1", "1:60", "1:-2", "1:2:3:4", "nan", "inf", "1.5:00"] {
            assert_eq!(seconds(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn templates_make_paths() {
        let folder = Path::new("v");
        let path = |template: &Template, source: Option<&ClipSource>| {
            template.clip(folder, "webm", (0, "12{id}"), source).path.to_string_lossy().into_owned()
        };
        assert_eq!(path(&Template::official(), None), "v/12{id}.webm");
        let own = Template::parse("{dir}/a/{id}/clip.{ext}").unwrap();
        assert_eq!(path(&own, None), "v/a/12{id}/clip.webm");
        let uncut = ClipSource { video: Some("P01".into()), start: Some(1.0), end: None };
        assert_eq!(path(&Template::official(), Some(&uncut)), "v/P01.webm");
        assert_eq!(path(&Template::parse("{dir}/{video}.mkv").unwrap(), Some(&uncut)), "v/P01.mkv");
        let named = ClipSource { video: Some("P01.mp4".into()), ..ClipSource::default() };
        assert_eq!(path(&Template::official(), Some(&named)), "v/P01.mp4");
        assert_eq!(Template::parse("{dir}/{name}"), Err(UnknownField("name".into())));
    }
}
