//! `lift help TOPIC`: manual pages about what belongs to more than one command.
//!
//! A new topic is a file `assets/help/NAME.md` and a name in [`TOPICS`]. `lift help` prints the file as it is; `lift man`
//! makes a page of section 7 from it. The file is Markdown, with what [`page`] knows: a title `# NAME: summary`, `## `
//! headings, paragraphs, `- ` lists, tables, and commands that are indented by four spaces. clap's own `lift help COMMAND`
//! answers for the commands.

use std::ffi::OsString;

use clap_mangen::roff::{Inline, Roff, bold, roman};

/// One topic.
pub(super) struct Topic {
    /// Its name on the command line; no command has the same.
    pub(super) name: &'static str,
    /// The text, in Markdown.
    pub(super) text: &'static str,
}

macro_rules! topics {
    ($($name:literal),+ $(,)?) => {
        [$(Topic { name: $name, text: include_str!(concat!("../../assets/help/", $name, ".md")) }),+]
    };
}

/// Every topic, in the order of the list.
pub(super) const TOPICS: [Topic; 17] = topics![
    "formats",
    "frames",
    "models",
    "encoders",
    "datasets",
    "streams",
    "settings",
    "exit-codes",
    "faults",
    "figures",
    "searching",
    "benchmark",
    "probing",
    "training",
    "speed",
    "gpu",
    "python",
];

impl Topic {
    /// The topic of this name.
    pub(super) fn named(name: &str) -> Option<&'static Self> {
        TOPICS.iter().find(|topic| topic.name == name)
    }

    /// What it is about, from the title.
    pub(super) fn summary(&self) -> &'static str {
        let title = self.text.lines().next().unwrap_or_default();
        title.split_once(": ").map_or(title, |(_, summary)| summary)
    }
}

/// The list under `lift --help`.
pub(super) fn list() -> String {
    let line = |topic: &Topic| format!("\n  {:<11} {}", topic.name, topic.summary());
    format!("Topics (lift help TOPIC):{}", TOPICS.iter().map(line).collect::<String>())
}

/// The topic that `lift help TOPIC` asks for; `None` leaves the command line to clap.
pub(super) fn asked(args: &[OsString]) -> Option<&'static Topic> {
    match args {
        [_, help, name] if help == "help" => Topic::named(name.to_str()?),
        _ => None,
    }
}

/// A topic as a manual page of section 7, in roff.
pub(super) fn page(topic: &Topic) -> Vec<u8> {
    let source = concat!("lift ", env!("CARGO_PKG_VERSION"));
    let title = format!("lift-{}", topic.name);
    let mut roff = Roff::new();
    // An empty date is written as two quotes, or the source would take its place.
    roff.control("TH", [title.as_str(), "7", "\"\"", source]).control("SH", ["NAME"]);
    roff.text([roman(format!("{title} - {}", topic.summary()))]).control("SH", ["DESCRIPTION"]);
    let body = topic.text.split_once('\n').map_or("", |(_, body)| body);
    for block in body.split("\n\n").map(|block| block.trim_matches('\n')).filter(|block| !block.is_empty()) {
        match block {
            _ if block.starts_with("## ") => {
                roff.control("SH", [block[3..].to_uppercase().as_str()]);
            }
            _ if block.starts_with("    ") || block.starts_with('|') => {
                roff.control("PP", []).control("nf", []);
                for line in block.lines() {
                    roff.text([roman(line)]);
                }
                roff.control("fi", []);
            }
            _ if block.starts_with("- ") => {
                for item in block[2..].split("\n- ") {
                    roff.control("IP", ["\\(bu", "2"]).text(inlines(item));
                }
            }
            _ => {
                roff.control("PP", []).text(inlines(block));
            }
        }
    }
    roff.render().into_bytes()
}

/// Running text, joined into one line; `code` is bold.
fn inlines(text: &str) -> Vec<Inline> {
    let joined = text.split_whitespace().collect::<Vec<_>>().join(" ").replace("**", "");
    let pieces = joined.split('`').enumerate();
    pieces.map(|(i, piece)| if i % 2 == 1 { bold(piece) } else { roman(piece) }).collect()
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use clap::{Command, CommandFactory};

    use super::*;

    /// The documents that name flags, besides the topics.
    const DOCUMENTS: [&str; 7] = [
        "README.md",
        "SECURITY.md",
        "CHANGELOG.md",
        "scripts/README.md",
        "scripts/HOSTILE.md",
        "scripts/cluster/README.md",
        "scripts/recipes/README.md",
    ];

    /// Programs whose flags are their own.
    const OTHERS: [&str; 9] =
        ["cargo", "curl", "docker", "git", "kubectl", "python", "python3", "sbatch", "srun"];

    /// Every document with its path, topics first.
    fn documents() -> Vec<(String, String)> {
        let root = Path::new(env!("CARGO_MANIFEST_DIR"));
        let topics =
            TOPICS.iter().map(|topic| (format!("assets/help/{}.md", topic.name), topic.text.to_string()));
        let others = DOCUMENTS
            .iter()
            .map(|path| ((*path).to_string(), std::fs::read_to_string(root.join(path)).unwrap()));
        topics.chain(others).collect()
    }

    /// The text in pieces: code between backticks, and what is left line by line, each divided where a shell divides commands.
    fn pieces(text: &str) -> Vec<String> {
        let text = text.replace("```", "");
        let spans = text.split('`').enumerate().flat_map(|(i, span)| match i % 2 {
            1 => vec![span.replace('\n', " ")],
            _ => span.lines().map(str::to_string).collect(),
        });
        spans
            .flat_map(|line| line.split(['|', '&', ';', '#']).map(str::to_string).collect::<Vec<_>>())
            .collect()
    }

    /// The command that a piece calls: `lift weights pull` in `A=b lift weights pull --to x`.
    fn called<'a>(piece: &str, root: &'a Command) -> Option<&'a Command> {
        let mut words = piece.split_whitespace().skip_while(|word| *word != "lift").skip(1).peekable();
        words.peek()?;
        let mut command = root;
        while let Some(found) = words.next().and_then(|word| command.find_subcommand(word)) {
            command = found;
        }
        (!std::ptr::eq(command, root)).then_some(command)
    }

    fn has(command: &Command, flag: &str) -> bool {
        command.get_arguments().any(|arg| arg.get_long() == Some(flag))
    }

    fn anywhere(command: &Command, flag: &str) -> bool {
        has(command, flag) || command.get_subcommands().any(|sub| anywhere(sub, flag))
    }

    #[test]
    fn every_flag_that_the_documents_name_exists() {
        let mut root = crate::cli::Cli::command();
        root.build();
        let mut wrong = Vec::new();
        let mut seen = 0;
        for (path, text) in documents() {
            for piece in pieces(&text) {
                let first = piece.split_whitespace().find(|word| !word.contains('='));
                if first.is_some_and(|word| OTHERS.contains(&word) || word.starts_with("scripts/")) {
                    continue;
                }
                let command = called(&piece, &root);
                for word in piece.split(|c: char| !c.is_ascii_alphanumeric() && c != '-') {
                    let Some(flag) = word.strip_prefix("--").filter(|flag| !flag.is_empty()) else {
                        continue;
                    };
                    seen += 1;
                    let known = match command {
                        Some(command) => has(command, flag),
                        None => anywhere(&root, flag) || flag == "version",
                    };
                    if !known && !flag.starts_with('-') {
                        wrong.push(format!("{path}: --{flag} in '{}'", piece.trim()));
                    }
                }
            }
        }
        assert!(seen > 100, "{seen}");
        assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    }

    #[test]
    fn every_file_and_topic_that_the_documents_name_exists() {
        let root = Path::new(env!("CARGO_MANIFEST_DIR"));
        let definition = crate::cli::Cli::command();
        let mut wrong = Vec::new();
        let mut seen = 0;
        for (path, text) in documents() {
            let folder = root.join(&path).parent().unwrap().to_path_buf();
            let links = text.split("](").skip(1).filter_map(|rest| rest.split_once(')')).map(|(to, _)| to);
            for link in links.filter(|to| !to.contains("://")) {
                let file = link.split('#').next().unwrap_or_default();
                seen += 1;
                if !folder.join(file).exists() {
                    wrong.push(format!("{path}: the link {link}"));
                }
            }
            let words = text.split(|c: char| c.is_whitespace() || "`()[],;:{".contains(c));
            let named = |word: &&str| {
                ["assets/", "scripts/", "src/", "tests/"].iter().any(|folder| word.starts_with(folder))
            };
            for word in words.filter(named).map(|word| word.trim_end_matches(['.', '*'])) {
                seen += 1;
                if !root.join(word).exists() {
                    wrong.push(format!("{path}: the file {word}"));
                }
            }
            for rest in text.split("lift help ").skip(1) {
                let name = rest.split(|c: char| !c.is_ascii_alphanumeric() && c != '-').next().unwrap();
                seen += 1;
                let known = Topic::named(name).is_some() || definition.find_subcommand(name).is_some();
                if !known && !["TOPIC", "COMMAND"].contains(&name) {
                    wrong.push(format!("{path}: lift help {name}"));
                }
            }
        }
        assert!(seen > 50, "{seen}");
        assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    }

    #[test]
    fn topics_have_a_title_short_lines_and_names_of_their_own() {
        let definition = crate::cli::Cli::command();
        for topic in &TOPICS {
            let title = format!("# {}: {}", topic.name, topic.summary());
            assert_eq!(topic.text.lines().next(), Some(title.as_str()));
            assert!(topic.text.ends_with('\n') && !topic.text.contains('\t'), "{}", topic.name);
            assert!(definition.find_subcommand(topic.name).is_none(), "{} is a command", topic.name);
            for line in topic.text.lines() {
                assert!(line.chars().count() <= 100, "{}: {line}", topic.name);
            }
        }
    }
}
