//! A report as text. JSON holds everything, Markdown and LaTeX hold tables for reading, and CSV holds a single table: the
//! summary, and below it the groups if they are asked for, whose columns stand behind those of the summary.

use std::path::Path;

use super::published::Published;
use super::report::{BenchmarkReport, Overall};
use super::table::{Table, csv, latex, markdown};
use crate::plot::text::clean;

/// A file format of the report.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ReportFormat {
    /// Everything, numbers unrounded.
    Json,
    /// One table with a header.
    Csv,
    /// Tables with aligned columns.
    Markdown,
    /// `tabular` environments with `booktabs` rules.
    Latex,
}

/// The error for a file name whose extension is not that of a format.
#[derive(Debug, thiserror::Error)]
#[error("{0}: a report is written as .json, .csv, .md or .tex")]
pub struct UnknownFormat(String);

impl ReportFormat {
    /// The format of a file name.
    ///
    /// # Errors
    /// [`UnknownFormat`] for another extension.
    pub fn of(path: &Path) -> Result<Self, UnknownFormat> {
        match path.extension().and_then(|extension| extension.to_str()) {
            Some("json") => Ok(Self::Json),
            Some("csv") => Ok(Self::Csv),
            Some("md") => Ok(Self::Markdown),
            Some("tex") => Ok(Self::Latex),
            _ => Err(UnknownFormat(path.display().to_string())),
        }
    }

    /// The report as text; with `per_group`, with the groups (JSON always has them).
    ///
    /// # Errors
    /// The error of the JSON writer.
    pub fn render(self, report: &BenchmarkReport, per_group: bool) -> serde_json::Result<String> {
        Ok(match self {
            Self::Json => serde_json::to_string_pretty(report)? + "\n",
            Self::Csv if per_group => csv(&both(&summary(report), &groups(report))),
            Self::Csv => csv(&summary(report)),
            Self::Markdown => {
                let title = report.title.iter().map(|title| format!("# {}\n\n", clean(title)));
                title.chain(tables(report, per_group).iter().map(markdown)).collect()
            }
            Self::Latex => tables(report, per_group).iter().map(latex).collect(),
        })
    }
}

fn tables(report: &BenchmarkReport, per_group: bool) -> Vec<Table> {
    let mut tables = vec![summary(report)];
    if per_group {
        tables.push(groups(report));
    }
    tables
}

fn strings<const N: usize>(cells: [&str; N]) -> Vec<String> {
    cells.map(str::to_owned).to_vec()
}

fn one(value: Option<f64>, decimals: usize) -> String {
    value.map_or_else(String::new, |value| format!("{value:.decimals$}"))
}

fn summary(report: &BenchmarkReport) -> Table {
    let any = |of: fn(&super::report::RepresentationScore) -> bool| report.results.iter().any(of);
    let (reversed, retrieval) =
        (any(|outcome| outcome.reversed.is_some()), any(|outcome| outcome.retrieval.is_some()));
    let mut shots: Vec<usize> =
        report.results.iter().flat_map(|outcome| &outcome.shots).map(|point| point.shots).collect();
    shots.sort_unstable();
    shots.dedup();
    let mut header =
        strings(["data set", "representation", "width", "accuracy", "low", "high", "groups", "videos"]);
    header.extend(reversed.then(|| "reversed".to_owned()));
    header.extend(retrieval.then(|| "mAP".to_owned()));
    header.extend(shots.iter().map(|shots| format!("{shots}-shot")));
    let of = |used: usize, listed: usize| {
        if used == listed { used.to_string() } else { format!("{used} of {listed}") }
    };
    let mut rows: Vec<Vec<String>> = Vec::new();
    for outcome in &report.results {
        let mut row = vec![
            outcome.dataset.clone(),
            outcome.representation.clone(),
            outcome.width.to_string(),
            format!("{:.3}", outcome.accuracy),
            format!("{:.1}", outcome.interval[0]),
            format!("{:.1}", outcome.interval[1]),
            of(outcome.groups, outcome.groups_listed),
            of(outcome.videos, outcome.videos_listed),
        ];
        row.extend(reversed.then(|| one(outcome.reversed, 3)));
        row.extend(retrieval.then(|| one(outcome.retrieval, 3)));
        row.extend(shots.iter().map(|&shots| {
            let point = outcome.shots.iter().find(|point| point.shots == shots);
            one(point.and_then(|point| point.accuracy), 3)
        }));
        rows.push(row);
    }
    for overall in &report.overall {
        let Overall { representation, width, .. } = overall;
        for (over, accuracy, [low, high]) in [
            ("mean over data sets", overall.accuracy, overall.interval),
            ("mean over groups", overall.over_groups, overall.over_groups_interval),
        ] {
            let mut row = vec![over.to_owned(), representation.clone(), width.to_string()];
            row.extend([format!("{accuracy:.3}"), format!("{low:.1}"), format!("{high:.1}")]);
            rows.push(row);
        }
    }
    if !report.published.is_empty() {
        header.push("source".to_owned());
        rows.iter_mut().for_each(|row| row.resize(header.len(), String::new()));
    }
    for Published { data_set, representation, width, accuracy, reading_error, source, .. } in
        &report.published
    {
        let width = width.map_or_else(String::new, |width| width.to_string());
        let mut row = vec![format!("published, {data_set}"), representation.clone(), width];
        row.push(format!("{accuracy:.1}"));
        row.resize(header.len() - 1, String::new());
        row.push(format!("{source}, read to ±{reading_error}"));
        rows.push(row);
    }
    rows.iter_mut().for_each(|row| row.resize(header.len(), String::new()));
    let title = format!("Accuracy in percent, {}, 95 % interval over groups", report.probe);
    Table { title, header, rows, text: 2 }
}

/// One table of the rows of two: the columns of the first, then those that only the second has. Cells that a row lacks are empty.
fn both(first: &Table, second: &Table) -> Table {
    let more = second.header.iter().filter(|name| !first.header.contains(name));
    let header: Vec<String> = first.header.iter().chain(more).cloned().collect();
    let rows = [first, second].into_iter().flat_map(|table| {
        table.rows.iter().map(|row| {
            let cell = |name: &String| {
                let at = table.header.iter().position(|column| column == name);
                at.and_then(|at| row.get(at)).cloned().unwrap_or_default()
            };
            header.iter().map(cell).collect()
        })
    });
    Table { title: first.title.clone(), rows: rows.collect(), text: first.text, header: header.clone() }
}

fn groups(report: &BenchmarkReport) -> Table {
    let header = strings([
        "data set",
        "representation",
        "triplet",
        "forward",
        "reverse",
        "noun",
        "train",
        "valid",
        "accuracy",
        "reversed",
        "mAP",
    ]);
    let rows = report.results.iter().flat_map(|outcome| {
        outcome.per_group.iter().map(|group| {
            vec![
                outcome.dataset.clone(),
                outcome.representation.clone(),
                group.triplet.clone(),
                group.verb_forward.clone(),
                group.verb_reverse.clone(),
                group.noun.clone(),
                group.train.to_string(),
                group.valid.to_string(),
                format!("{:.3}", group.accuracy),
                one(group.reversed, 3),
                one(group.retrieval, 3),
            ]
        })
    });
    let mut table = Table { title: "Per group".to_owned(), header, rows: rows.collect(), text: 6 };
    // The last two columns are left out if they were not measured.
    for column in [10, 9] {
        if table.rows.iter().all(|row| row[column].is_empty()) {
            table.header.remove(column);
            table.rows.iter_mut().for_each(|row| drop(row.remove(column)));
        }
    }
    table
}

#[cfg(test)]
mod tests {
    use super::super::report::tests::sample;
    use super::*;

    #[test]
    fn formats_go_by_extension() {
        assert_eq!(ReportFormat::of(Path::new("a/b.tex")).unwrap(), ReportFormat::Latex);
        let error = ReportFormat::of(Path::new("b.xlsx")).unwrap_err().to_string();
        assert_eq!(error, "b.xlsx: a report is written as .json, .csv, .md or .tex");
    }

    #[test]
    fn csv_is_one_table_that_reads_back() {
        for (per_group, first, rows) in
            [(false, "a,lift,768,70.000", 14), (true, "a,lift,768,70.000", 14 + 6)]
        {
            let text = ReportFormat::Csv.render(&sample(), per_group).unwrap();
            assert!(text.lines().nth(1).unwrap().starts_with(first), "{text}");
            let mut reader = csv::Reader::from_reader(text.as_bytes());
            assert!(reader.headers().unwrap().iter().all(|name| !name.contains(' ')));
            let records: Vec<_> = reader.records().collect::<Result<_, _>>().unwrap();
            assert_eq!(records.len(), rows);
            if per_group {
                // The groups stand below the summary, with the accuracy in the same column.
                let header = reader.headers().unwrap().clone();
                let cell = |row: usize, name: &str| {
                    let at = header.iter().position(|column| column == name).unwrap();
                    records[14 + row].get(at).unwrap()
                };
                assert_eq!((cell(0, "triplet"), cell(0, "accuracy"), cell(0, "width")), ("t1", "80.000", ""));
                assert_eq!((cell(1, "forward"), cell(1, "valid")), ("fold, twice", "10"));
            }
        }
    }

    #[test]
    fn json_has_everything() {
        let json: serde_json::Value =
            serde_json::from_str(&ReportFormat::Json.render(&sample(), false).unwrap()).unwrap();
        assert_eq!(json["results"][0]["per_group"][1]["accuracy"], 60.0);
        assert_eq!(json["results"][0]["shots"][0]["accuracy"], 61.5);
        assert_eq!(json["published"][0]["accuracy"], 77.2);
    }

    #[test]
    fn markdown_lines_up_and_latex_is_escaped() {
        let text = ReportFormat::Markdown.render(&sample(), true).unwrap();
        let table: Vec<&str> = text.lines().skip(2).take_while(|line| !line.is_empty()).collect();
        assert_eq!(table.len(), 2 + 14);
        assert!(table.iter().all(|line| line.chars().count() == table[0].chars().count()), "{text}");
        assert!(text.contains("5-shot") && text.contains("61.500") && text.contains("96 of 100"));
        assert!(text.contains("published, mean over groups") && text.contains("read to ±0.1"));
        let latex = ReportFormat::Latex.render(&sample(), true).unwrap();
        assert!(latex.contains(r"door\_\&\_box") && latex.contains(r"\bottomrule"));
    }
}
