//! A table of a report as text: CSV, Markdown, LaTeX.

/// A table, independent of its format.
pub struct Table {
    /// The line above it.
    pub title: String,
    /// The columns' names.
    pub header: Vec<String>,
    /// The rows, each of as many cells as the header.
    pub rows: Vec<Vec<String>>,
    /// Columns of text, left-aligned; the others are numbers.
    pub text: usize,
}

/// The table as CSV with a header; names of columns have `_` for spaces, and there is no title.
pub fn csv(table: &Table) -> String {
    let mut csv = csv::Writer::from_writer(Vec::new());
    let header: Vec<String> = table.header.iter().map(|name| name.replace(' ', "_")).collect();
    for row in std::iter::once(&header).chain(&table.rows) {
        // Writing to a vector cannot fail, and every row has as many columns as the header.
        let _ = csv.write_record(row);
    }
    String::from_utf8(csv.into_inner().unwrap_or_default()).unwrap_or_default()
}

/// The table in Markdown, with columns that line up in a terminal, and an empty line at its end.
pub fn markdown(table: &Table) -> String {
    let escaped: Vec<Vec<String>> = std::iter::once(&table.header)
        .chain(&table.rows)
        .map(|row| row.iter().map(|cell| cell.replace('|', "\\|")).collect())
        .collect();
    let width = |column: usize| {
        escaped.iter().map(|row: &Vec<String>| row[column].chars().count()).max().unwrap_or(0).max(3)
    };
    let widths: Vec<usize> = (0..table.header.len()).map(width).collect();
    let mut text = format!("{}\n\n", table.title);
    for (at, row) in escaped.iter().enumerate() {
        for (column, (cell, &width)) in row.iter().zip(&widths).enumerate() {
            if column < table.text {
                text += &format!("| {cell:<width$} ");
            } else {
                text += &format!("| {cell:>width$} ");
            }
        }
        text.push_str("|\n");
        if at == 0 {
            for (column, width) in widths.iter().enumerate() {
                let rule = "-".repeat(width - 1);
                let rule = if column < table.text { format!("-{rule}") } else { format!("{rule}:") };
                text += &format!("| {rule} ");
            }
            text.push_str("|\n");
        }
    }
    text.push('\n');
    text
}

/// The table as a `tabular` with the rules of the package `booktabs`; the title is a comment.
pub fn latex(table: &Table) -> String {
    let escape = |cell: &String| {
        let mut escaped = String::new();
        for letter in cell.chars() {
            match letter {
                '&' | '%' | '$' | '#' | '_' | '{' | '}' => escaped.extend(['\\', letter]),
                '\\' => escaped.push_str("\\textbackslash{}"),
                '~' => escaped.push_str("\\textasciitilde{}"),
                '^' => escaped.push_str("\\textasciicircum{}"),
                _ => escaped.push(letter),
            }
        }
        escaped
    };
    let columns: String =
        (0..table.header.len()).map(|column| if column < table.text { 'l' } else { 'r' }).collect();
    let mut text = format!("% {}\n\\begin{{tabular}}{{{columns}}}\n\\toprule\n", table.title);
    for (at, row) in std::iter::once(&table.header).chain(&table.rows).enumerate() {
        text += &row.iter().map(escape).collect::<Vec<_>>().join(" & ");
        text += " \\\\\n";
        if at == 0 {
            text.push_str("\\midrule\n");
        }
    }
    text.push_str("\\bottomrule\n\\end{tabular}\n\n");
    text
}
