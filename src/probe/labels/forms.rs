//! The forms of label files, each into a flat list of videos.

use std::collections::{BTreeSet, HashMap};
use std::path::{Path, PathBuf};

use serde::Deserialize;

use super::{Entry, LabelError, LabelFiles, Side};

/// Reads a file or folder of any form.
pub(super) fn read(path: &Path, files: &LabelFiles) -> Result<Vec<Entry>, LabelError> {
    let extension = path.extension().and_then(|extension| extension.to_str()).unwrap_or_default();
    let entries = match extension.to_ascii_lowercase().as_str() {
        _ if path.is_dir() => hmdb51(path, files.split)?,
        "csv" => table(path, b',', files)?,
        "tsv" => table(path, b'\t', files)?,
        "txt" => ucf101(path)?,
        "json" => something_something(path)?,
        _ => {
            let what = "labels are a .csv or .tsv (id,label), a .txt of UCF101, a .json of Something-Something, or HMDB51's \
                        folder of splits";
            return Err(LabelError::file(path, what));
        }
    };
    if let (Some(column), true) = (&files.groups, entries.iter().any(|entry| entry.group.is_none())) {
        let what = format!("this form of labels has no column `{column}` (--groups); write them as a .csv");
        return Err(LabelError::file(path, what));
    }
    Ok(entries)
}

fn text(path: &Path) -> Result<String, LabelError> {
    let bytes = std::fs::read(path).map_err(|error| match error.kind() {
        std::io::ErrorKind::NotFound => LabelError::file(path, "no such file"),
        _ => LabelError::file(path, error.to_string()),
    })?;
    String::from_utf8(bytes).map_err(|_| LabelError::file(path, "it is not text in UTF-8"))
}

/// `id,label[,split]`, or Kinetics' `label,youtube_id,time_start,time_end[,split]`.
fn table(path: &Path, delimiter: u8, files: &LabelFiles) -> Result<Vec<Entry>, LabelError> {
    let groups = files.groups.as_deref();
    let text = text(path)?;
    let wrong = |error: csv::Error| LabelError::file(path, format!("it cannot be read as a table: {error}"));
    let mut reader =
        csv::ReaderBuilder::new().delimiter(delimiter).flexible(true).from_reader(text.as_bytes());
    let header = reader.headers().map_err(wrong)?.clone();
    let names: Vec<&str> = header.iter().map(|name| name.trim_start_matches('\u{feff}').trim()).collect();
    let find = |name: &str| names.iter().position(|other| *other == name);
    let column = |name: &str| {
        find(name).ok_or_else(|| {
            let what = format!("there is no column `{name}`; there are {}", names.join(", "));
            LabelError::line(path, 1, what)
        })
    };
    let kinetics = find("id").is_none() && find("youtube_id").is_some();
    let id = column(if kinetics { "youtube_id" } else { "id" })?;
    let (label, split) = (column(files.column.as_deref().unwrap_or("label"))?, find("split"));
    let times = if kinetics { find("time_start").zip(find("time_end")) } else { None };
    let groups = groups.map(column).transpose()?;
    let mut entries = Vec::new();
    let mut tested: Option<String> = None;
    for record in reader.records() {
        let record = record.map_err(wrong)?;
        let line = record.position().map_or(0, csv::Position::line);
        let cell = |at: usize| record.get(at).unwrap_or_default().trim();
        let filled = |at: usize| match cell(at) {
            "" => Err(LabelError::line(path, line, format!("column `{}` is empty", names[at]))),
            text => Ok(text.to_owned()),
        };
        let side = match split.map(cell) {
            None => None,
            Some("train" | "training") => Some(Some(Side::Train)),
            Some(name @ ("test" | "testing" | "val" | "valid" | "validate" | "validation")) => {
                let first = tested.get_or_insert_with(|| name.to_owned());
                if first != name {
                    let what = format!(
                        "split `{name}` besides `{first}`: only one part is scored; leave the rows of the other out"
                    );
                    return Err(LabelError::line(path, line, what));
                }
                Some(Some(Side::Test))
            }
            Some("" | "unused" | "none") => Some(None),
            Some(other) => {
                let what = format!("split `{other}` is neither train nor test, val, validation, or unused");
                return Err(LabelError::line(path, line, what));
            }
        };
        let id = filled(id)?;
        let mut names = vec![id.clone()];
        if let Some((start, end)) = times {
            // The name that the data set's downloaders give the clip.
            let seconds = |at: usize| cell(at).parse::<f64>().map(|seconds| seconds.round() as u64);
            if let (Ok(start), Ok(end)) = (seconds(start), seconds(end)) {
                names.insert(0, format!("{id}_{start:06}_{end:06}"));
            }
        }
        let group = groups.map(filled).transpose()?;
        entries.push(Entry { line, names, class: filled(label)?, side, group });
    }
    Ok(entries)
}

/// Lines `Class/video.avi`, with the class's number behind it in a list for training.
fn ucf101(path: &Path) -> Result<Vec<Entry>, LabelError> {
    let text = text(path)?;
    let mut entries = Vec::new();
    for (line, row) in (1..).zip(text.lines()) {
        let Some(name) = row.split_whitespace().next() else { continue };
        let Some((class, _)) =
            name.split_once('/').filter(|(class, video)| !class.is_empty() && !video.is_empty())
        else {
            let what = format!("`{row}` is no line of UCF101's lists: Class/video.avi");
            return Err(LabelError::line(path, line, what));
        };
        let names = vec![name.to_owned()];
        entries.push(Entry { line, names, class: class.to_owned(), side: None, group: None });
    }
    Ok(entries)
}

/// A file per class with lines `video.avi 1` for training, `2` for testing, `0` for neither.
fn hmdb51(folder: &Path, split: u32) -> Result<Vec<Entry>, LabelError> {
    let end = format!("_test_split{split}.txt");
    let listed = std::fs::read_dir(folder).map_err(|error| LabelError::file(folder, error.to_string()))?;
    let mut files: Vec<(String, PathBuf)> = listed
        .filter_map(|entry| {
            let name = entry.ok()?.file_name().into_string().ok()?;
            Some((name.strip_suffix(&end)?.to_owned(), folder.join(&name)))
        })
        .collect();
    files.sort();
    if files.is_empty() {
        let what = format!("the folder has no file CLASS{end}; --split names another split");
        return Err(LabelError::file(folder, what));
    }
    let mut entries = Vec::new();
    for (class, path) in files {
        for (line, row) in (1..).zip(text(&path)?.lines()) {
            let mut words = row.split_whitespace();
            let (Some(name), part) = (words.next(), words.next()) else { continue };
            let side = match part {
                Some("0") => None,
                Some("1") => Some(Side::Train),
                Some("2") => Some(Side::Test),
                _ => {
                    let what = format!("`{row}` is no line of HMDB51's splits: video.avi and 0, 1 or 2");
                    return Err(LabelError::line(&path, line, what));
                }
            };
            let names = vec![format!("{class}/{name}"), name.to_owned()];
            entries.push(Entry { line, names, class: class.clone(), side: Some(side), group: None });
        }
    }
    Ok(entries)
}

#[derive(Deserialize)]
struct SomethingVideo {
    id: serde_json::Value,
    template: Option<String>,
    label: Option<String>,
}

/// A template's name: the labels' JSON has no brackets around the placeholders.
fn template(text: &str) -> String {
    text.replace(['[', ']'], "")
}

/// A list of objects with `id` and `template`, or `label` where there is no template.
fn something_something(path: &Path) -> Result<Vec<Entry>, LabelError> {
    let text = text(path)?;
    let videos: Vec<SomethingVideo> = serde_json::from_str(&text).map_err(|error| {
        let what = format!("it is no list of objects with `id` and `template`: {error}");
        LabelError::file(path, what)
    })?;
    let one = |(number, video): (u64, SomethingVideo)| {
        let id = match video.id {
            serde_json::Value::String(id) => id,
            id => id.to_string(),
        };
        let class = video.template.map(|text| template(&text)).or(video.label);
        let class = class.ok_or_else(|| {
            let what = format!(
                "the video {id} has neither `template` nor `label`; the answers of a test set are not public"
            );
            LabelError::file(path, what)
        })?;
        Ok(Entry { line: number, names: vec![id], class, side: None, group: None })
    };
    (1..).zip(videos).map(one).collect()
}

/// The names of all classes: a JSON whose keys they are, or lines of a number and a name.
pub(super) fn classes(path: &Path) -> Result<BTreeSet<String>, LabelError> {
    let text = text(path)?;
    if path.extension().is_some_and(|extension| extension == "json") {
        let names: HashMap<String, serde_json::Value> = serde_json::from_str(&text).map_err(|error| {
            LabelError::file(path, format!("it is no JSON object with the classes as keys: {error}"))
        })?;
        return Ok(names.into_keys().map(|name| template(&name)).collect());
    }
    let name = |line: &str| {
        let line = line.trim();
        line.split_once(char::is_whitespace)
            .filter(|(number, _)| number.parse::<u32>().is_ok())
            .map_or(line, |(_, name)| name.trim())
            .to_owned()
    };
    Ok(text.lines().map(name).filter(|name| !name.is_empty()).collect())
}
