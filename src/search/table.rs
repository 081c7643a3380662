//! Tables in files: the answers of searches, and the groups of duplicates.

use std::io::Write;
use std::path::Path;
use std::sync::Arc;

use ::parquet::arrow::ArrowWriter;
use arrow_array::{ArrayRef, BooleanArray, Float64Array, RecordBatch, StringArray, UInt64Array};
use serde::Serialize;

use crate::files::{AtomicFile, FileError, display_path};
use crate::inputs::{Columns, column_names};

/// How a table is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TableFormat {
    /// Comma-separated values.
    Csv,
    /// A JSON object per line.
    JsonLines,
    /// Parquet.
    Parquet,
    /// A Markdown table.
    Markdown,
}

impl TableFormat {
    /// The format that a file's extension names.
    pub fn of(path: &Path) -> Option<Self> {
        match path.extension()?.to_str()?.to_ascii_lowercase().as_str() {
            "csv" => Some(Self::Csv),
            "jsonl" => Some(Self::JsonLines),
            "parquet" => Some(Self::Parquet),
            "md" => Some(Self::Markdown),
            _ => None,
        }
    }

    /// The format of a file for `what`, such as `groups`.
    ///
    /// # Errors
    /// `Usage` for another extension.
    pub fn named(path: &Path, what: &str) -> Result<Self, FileError> {
        Self::of(path).ok_or_else(|| {
            let path = display_path(path);
            FileError::Usage(format!(
                "{path}: {what} are written as .csv, .jsonl, .parquet or .md; name such a file"
            ))
        })
    }
}

/// A value of a table.
pub enum Cell<'a> {
    /// Text.
    Text(&'a str),
    /// A whole number.
    Count(usize),
    /// A number, if there is one.
    Number(Option<f64>),
    /// Yes or no.
    Flag(bool),
}

/// A line of a table. The fields that `serde` writes have the names and the order of the columns; kept columns stand behind them.
pub trait TableLine: Serialize {
    /// The names of the columns.
    const COLUMNS: &'static [&'static str];

    /// The values, one per column.
    fn cells(&self) -> Vec<Cell<'_>>;

    /// What the collection keeps of the list of its clips.
    fn kept(&self) -> &Columns;
}

/// A line of a table with its kept columns, as a JSON object.
#[derive(Serialize)]
struct Whole<'a, L> {
    #[serde(flatten)]
    line: &'a L,
    #[serde(flatten)]
    kept: &'a Columns,
}

/// Writes a table, whole or not at all.
///
/// # Errors
/// `Write` if the disk refuses.
pub fn write_table<L: TableLine>(
    mut file: AtomicFile,
    format: TableFormat,
    lines: &[L],
) -> Result<(), FileError> {
    let path = file.target().to_path_buf();
    let names = column_names(lines.iter().map(TableLine::kept));
    let fail = |error: std::io::Error| FileError::write(&path, error);
    match format {
        TableFormat::Csv => {
            let mut csv = csv::WriterBuilder::new().has_headers(false).from_writer(&mut file);
            csv.write_record(L::COLUMNS.iter().chain(&names)).map_err(|e| fail(e.into()))?;
            for line in lines {
                let kept: Vec<_> = names.iter().map(|name| line.kept().get(*name)).collect();
                csv.serialize((line, kept)).map_err(|e| fail(e.into()))?;
            }
            csv.flush().map_err(fail)?;
        }
        TableFormat::JsonLines => {
            for line in lines {
                let mut bytes =
                    serde_json::to_vec(&Whole { line, kept: line.kept() }).map_err(|e| fail(e.into()))?;
                bytes.push(b'\n');
                file.write_all(&bytes).map_err(fail)?;
            }
        }
        TableFormat::Markdown => file.write_all(markdown(lines, &names).as_bytes()).map_err(fail)?,
        TableFormat::Parquet => {
            let other = |error: ::parquet::errors::ParquetError| fail(std::io::Error::other(error));
            let batch = record_batch(lines, &names).map_err(|e| other(e.into()))?;
            let mut writer = ArrowWriter::try_new(&mut file, batch.schema(), None).map_err(other)?;
            writer.write(&batch).map_err(other)?;
            writer.close().map_err(other)?;
        }
    }
    file.commit()
}

/// The values of each column.
enum Column {
    Text(Vec<String>),
    Count(Vec<u64>),
    Number(Vec<Option<f64>>),
    Flag(Vec<bool>),
}

fn record_batch<L: TableLine>(lines: &[L], kept: &[&str]) -> Result<RecordBatch, arrow_schema::ArrowError> {
    let mut columns: Vec<Option<Column>> = L::COLUMNS.iter().map(|_| None).collect();
    for line in lines {
        for (column, cell) in columns.iter_mut().zip(line.cells()) {
            match (column, cell) {
                (Some(Column::Text(all)), Cell::Text(text)) => all.push(text.to_owned()),
                (Some(Column::Count(all)), Cell::Count(count)) => all.push(count as u64),
                (Some(Column::Number(all)), Cell::Number(number)) => all.push(number),
                (Some(Column::Flag(all)), Cell::Flag(flag)) => all.push(flag),
                (column, cell) => {
                    *column = Some(match cell {
                        Cell::Text(text) => Column::Text(vec![text.to_owned()]),
                        Cell::Count(count) => Column::Count(vec![count as u64]),
                        Cell::Number(number) => Column::Number(vec![number]),
                        Cell::Flag(flag) => Column::Flag(vec![flag]),
                    });
                }
            }
        }
    }
    let array = |column: Option<Column>| -> (ArrayRef, bool) {
        match column {
            // A table without lines: the type of a column is unknown.
            None => (Arc::new(StringArray::from_iter_values(std::iter::empty::<&str>())), false),
            Some(Column::Text(all)) => (Arc::new(StringArray::from_iter_values(all)), false),
            Some(Column::Count(all)) => (Arc::new(UInt64Array::from(all)), false),
            Some(Column::Number(all)) => (Arc::new(Float64Array::from(all)), true),
            Some(Column::Flag(all)) => (Arc::new(BooleanArray::from(all)), false),
        }
    };
    let named = L::COLUMNS.iter().zip(columns).map(|(name, column)| {
        let (array, nullable) = array(column);
        (*name, array, nullable)
    });
    let kept = kept.iter().map(|name| {
        let values: StringArray = lines.iter().map(|line| line.kept().get(*name)).collect();
        (*name, Arc::new(values) as ArrayRef, true)
    });
    RecordBatch::try_from_iter_with_nullable(named.chain(kept))
}

fn markdown<L: TableLine>(lines: &[L], kept: &[&str]) -> String {
    let escaped = |text: &str| text.replace('\\', "\\\\").replace('|', "\\|").replace(['\n', '\r'], " ");
    let row = |cells: Vec<String>| format!("| {} |\n", cells.join(" | "));
    let names = L::COLUMNS.iter().chain(kept);
    let mut text = row(names.clone().map(|name| escaped(name)).collect());
    text += &row(names.map(|_| "---".to_owned()).collect());
    for line in lines {
        let cell = |cell: Cell| match cell {
            Cell::Text(text) => escaped(text),
            Cell::Count(count) => count.to_string(),
            Cell::Number(number) => number.map_or(String::new(), |number| format!("{number:.4}")),
            Cell::Flag(flag) => if flag { "yes" } else { "" }.to_owned(),
        };
        let kept =
            kept.iter().map(|name| line.kept().get(*name).map_or(String::new(), |value| escaped(value)));
        text += &row(line.cells().into_iter().map(cell).chain(kept).collect());
    }
    text
}
