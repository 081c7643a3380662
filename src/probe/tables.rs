//! A report as tables: Markdown and LaTeX hold all of them, CSV the first, JSON everything.

use super::report::ProbeReport;
use crate::cia::formats::ReportFormat;
use crate::cia::published::Published;
use crate::cia::table::{Table, csv, latex, markdown};

/// The most confused pairs that are listed for each representation.
const PAIRS: usize = 5;

/// The report as text.
///
/// # Errors
/// The error of the JSON writer.
pub fn render(report: &ProbeReport, format: ReportFormat) -> serde_json::Result<String> {
    let tables = tables(report);
    Ok(match format {
        ReportFormat::Json => serde_json::to_string_pretty(report)? + "\n",
        ReportFormat::Csv => tables.first().map(csv).unwrap_or_default(),
        ReportFormat::Markdown => tables.iter().map(markdown).collect(),
        ReportFormat::Latex => tables.iter().map(latex).collect(),
    })
}

fn tables(report: &ProbeReport) -> Vec<Table> {
    let all = [summary(report), comparisons(report), confused(report), order(report)];
    all.into_iter().filter(|table| !table.rows.is_empty()).collect()
}

fn strings<const N: usize>(cells: [&str; N]) -> Vec<String> {
    cells.map(str::to_owned).to_vec()
}

fn summary(report: &ProbeReport) -> Table {
    let mut header = strings(["representation", "width", "top-1", "low", "high", "top-5", "class mean"]);
    header.push(report.setting.to_owned());
    let mut rows: Vec<Vec<String>> = Vec::new();
    for score in &report.results {
        let chosen: Vec<String> = score.chosen.iter().map(ToString::to_string).collect();
        let same = chosen.iter().all(|one| *one == chosen[0]);
        rows.push(vec![
            score.representation.clone(),
            score.width.to_string(),
            format!("{:.2}", score.top1),
            format!("{:.1}", score.interval[0]),
            format!("{:.1}", score.interval[1]),
            score.top5.map_or_else(String::new, |top5| format!("{top5:.2}")),
            format!("{:.2}", score.class_mean),
            if same { chosen.first().cloned().unwrap_or_default() } else { chosen.join(" ") },
        ]);
    }
    if !report.published.is_empty() {
        header.push("source".to_owned());
        rows.iter_mut().for_each(|row| row.push(String::new()));
    }
    for Published { data_set, representation, width, accuracy, reading_error, source, .. } in
        &report.published
    {
        let mut row = vec![format!("published, {data_set}: {representation}")];
        row.push(width.map_or_else(String::new, |width| width.to_string()));
        row.push(format!("{accuracy:.1}"));
        row.resize(header.len() - 1, String::new());
        row.push(format!("{source}, read to ±{reading_error}"));
        rows.push(row);
    }
    Table { title: report.title(), header, rows, text: 1 }
}

fn comparisons(report: &ProbeReport) -> Table {
    let header = strings(["first", "second", "difference", "only first right", "only second right", "p"]);
    let rows = report.comparisons.iter().map(|one| {
        vec![
            one.first.clone(),
            one.second.clone(),
            format!("{:+.2}", one.difference),
            one.first_only.to_string(),
            one.second_only.to_string(),
            if one.p < 1e-4 { format!("{:.1e}", one.p) } else { format!("{:.4}", one.p) },
        ]
    });
    let title = "Paired comparison on the same videos, McNemar's exact test".to_owned();
    Table { title, header, rows: rows.collect(), text: 2 }
}

fn confused(report: &ProbeReport) -> Table {
    let header = strings(["representation", "class", "taken for", "videos", "of"]);
    let each = |score: &super::scores::ProbeScore| -> Vec<Vec<String>> {
        let row = |pair: &super::scores::Confusion| {
            let names = [&score.representation, &pair.class, &pair.taken_for].map(String::clone);
            [&names[..], &[pair.videos.to_string(), pair.of.to_string()]].concat()
        };
        score.confused.iter().take(PAIRS).map(row).collect()
    };
    let rows = report.results.iter().flat_map(each).collect();
    Table { title: "Most confused classes".to_owned(), header, rows, text: 3 }
}

fn order(report: &ProbeReport) -> Table {
    let mut header = strings(["representation", "frames", "cosine", "distance"]);
    let scored = report.order.iter().any(|score| score.accuracy.is_some());
    header.extend(scored.then(|| "top-1".to_owned()));
    let rows = report.order.iter().map(|score| {
        let mut row = vec![score.representation.clone(), score.frames.clone()];
        row.extend([format!("{:.4}", score.cosine), format!("{:.4}", score.distance)]);
        row.extend(scored.then(|| score.accuracy.map_or_else(String::new, |value| format!("{value:.2}"))));
        row
    });
    let title =
        "Change with the frames' order: cosine to the original, distance as a share of its length".to_owned();
    Table { title, header, rows: rows.collect(), text: 2 }
}
