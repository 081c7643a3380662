//! The examples under `--help`, wrapped so that the second line of an example cannot be mistaken for another example.
//!
//! clap breaks a long line at the width of the terminal and gives its second line the indent of the first. So the lines are
//! wrapped here, before clap prints them: a command goes on after a backslash, further to the right, and can be copied as it
//! stands; a remark beside a command goes on below its own beginning.

use clap::Command;
use clap::builder::StyledStr;
use terminal_size::{Width, terminal_size};

/// Columns where there is no terminal and no COLUMNS, as for clap.
const DEFAULT_WIDTH: usize = 100;
/// Further indent of the second line of a command.
const FURTHER: usize = 4;

/// The command and its subcommands with their examples wrapped to the width of the terminal.
pub(super) fn wrapped(command: &Command) -> Command {
    let columns = || std::env::var("COLUMNS").ok()?.parse().ok();
    let width = terminal_size().map(|(Width(width), _)| usize::from(width)).or_else(columns);
    wrapped_to(command.clone(), width.unwrap_or(DEFAULT_WIDTH))
}

fn wrapped_to(command: Command, width: usize) -> Command {
    let mut command = command.mut_subcommands(|sub| wrapped_to(sub, width));
    let wrap = |help: &StyledStr| {
        help.to_string().lines().map(|line| wrap(line, width)).collect::<Vec<_>>().join("\n")
    };
    if let Some(help) = command.get_after_help().map(wrap) {
        command = command.after_help(help);
    }
    if let Some(help) = command.get_after_long_help().map(wrap) {
        command = command.after_long_help(help);
    }
    command
}

/// A line of at most `width` columns, or several.
fn wrap(line: &str, width: usize) -> String {
    let indent = line.len() - line.trim_start().len();
    if line.chars().count() <= width || indent == 0 {
        return line.to_owned();
    }
    // Two spaces within a line divide a command, or an exit code, from the remark beside it.
    let remark = line.rfind("  ").map(|at| at + 2).filter(|at| *at > indent);
    let (first, rest) = line.split_at(remark.unwrap_or(indent));
    let (hang, mark) = if remark.is_some() { (first.chars().count(), "") } else { (indent + FURTHER, " \\") };
    let (mut done, mut current) = (String::new(), first.to_owned());
    for word in words(rest) {
        let apart = if current.ends_with(' ') { "" } else { " " };
        if apart == " " && (current.len() + 1 + word.len() + mark.len()) > width {
            done += &format!("{current}{mark}\n");
            current = format!("{}{word}", " ".repeat(hang));
        } else {
            current = format!("{current}{apart}{word}");
        }
    }
    done + &current
}

/// The words of a line; what stands in quotes is not broken.
fn words(text: &str) -> Vec<&str> {
    let mut words = Vec::new();
    let (mut start, mut quote) = (0, None);
    for (at, c) in text.char_indices() {
        match (c, quote) {
            (' ', None) => {
                words.push(&text[start..at]);
                start = at + 1;
            }
            ('\'' | '"', None) => quote = Some(c),
            (c, Some(open)) if c == open => quote = None,
            _ => {}
        }
    }
    words.push(&text[start..]);
    words.into_iter().filter(|word| !word.is_empty()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn second_lines_are_indented_further() {
        assert_eq!(wrap("  lift embed a b", 20), "  lift embed a b");
        assert_eq!(
            wrap("  lift embed a --parts 'x y' b", 20),
            "  lift embed a \\\n      --parts \\\n      'x y' b"
        );
        assert_eq!(wrap("  lift info    what is in it", 24), "  lift info    what is\n               in it");
        assert_eq!(wrap("  3    a model or an input", 20), "  3    a model or an\n       input");
        assert_eq!(wrap("A sentence that clap wraps by itself", 20), "A sentence that clap wraps by itself");
    }

    #[test]
    fn every_example_fits_a_terminal_of_80_columns() {
        fn check(command: &Command) {
            let help = [command.get_after_help(), command.get_after_long_help()]
                .map(|help| help.map(ToString::to_string));
            for line in help.iter().flatten().flat_map(|help| help.lines()) {
                assert!(line.chars().count() <= 80, "{}: {line}", command.get_name());
            }
            command.get_subcommands().for_each(check);
        }
        let command = <crate::cli::Cli as clap::CommandFactory>::command();
        check(&wrapped_to(command, 80));
    }
}
