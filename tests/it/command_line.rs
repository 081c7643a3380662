//! The command line as a whole: completions, manual pages, settings in a file, messages for programs.

use std::fs;

use crate::env::TestEnv;

const COMMANDS: [&str; 17] = [
    "embed",
    "info",
    "plot",
    "search",
    "duplicates",
    "eval-cia",
    "probe",
    "train",
    "synth",
    "merge",
    "verify",
    "diff",
    "status",
    "bench",
    "weights",
    "completions",
    "man",
];

/// The long flags that a command's help names.
fn flags(help: &str) -> Vec<String> {
    let mut flags: Vec<String> = help
        .lines()
        .filter_map(|line| {
            line.trim_start().strip_prefix("--").or_else(|| line.trim_start().split_once(", --").map(|x| x.1))
        })
        .map(|rest| rest.chars().take_while(|c| c.is_ascii_alphanumeric() || *c == '-').collect())
        .collect();
    flags.sort();
    flags.dedup();
    flags
}

#[test]
fn completions_and_manual_pages_know_every_flag_of_the_help() {
    let env = TestEnv::new();
    let shells = ["bash", "zsh", "fish", "powershell", "elvish"];
    let completions = shells.map(|shell| env.lift(&["completions", shell]).code(0).stdout);
    for command in COMMANDS {
        let help = env.lift(&[command, "--help"]).code(0).stdout;
        let flags = flags(&help);
        assert!(flags.contains(&"help".to_string()) && flags.len() >= 5, "{command}: {flags:?}");
        let page = env.lift(&["man", command]).code(0).stdout.replace("\\-", "-");
        for flag in &flags {
            assert!(page.contains(&format!("--{flag}")), "--{flag} is not in the page of {command}");
            for (shell, text) in shells.iter().zip(&completions) {
                let named = if *shell == "fish" { format!("-l {flag}") } else { format!("--{flag}") };
                assert!(text.contains(&named), "--{flag} of {command} is not completed in {shell}");
            }
        }
    }
    env.lift(&["man", "-o", "pages"]).code(0);
    // lift's own page, and one for each of the six actions of lift weights.
    assert_eq!(fs::read_dir(env.path("pages/man1")).unwrap().count(), COMMANDS.len() + 7);
    let pull = env.lift(&["man", "weights", "pull"]).code(0).stdout;
    assert!(pull.contains("\\-\\-to") && pull.contains("lift\\-weights\\-pull"), "{pull}");
    env.lift(&["man", "nothing"]).code(2).says(&["no command 'nothing'"]);
}

#[test]
fn every_topic_is_printed_listed_and_made_a_manual_page() {
    let env = TestEnv::new();
    let texts = fs::read_dir(concat!(env!("CARGO_MANIFEST_DIR"), "/assets/help")).unwrap();
    let texts: Vec<_> = texts.map(|entry| entry.unwrap().path()).collect();
    assert!(texts.len() > 10, "{texts:?}");
    let list = env.lift(&["help"]).code(0).stdout;
    assert_eq!(list, env.lift(&["--help"]).code(0).stdout);
    env.lift(&["man", "-o", "pages"]).code(0);
    assert_eq!(fs::read_dir(env.path("pages/man7")).unwrap().count(), texts.len());
    for path in &texts {
        let name = path.file_stem().unwrap().to_str().unwrap();
        assert_eq!(env.lift(&["help", name]).code(0).stdout, fs::read_to_string(path).unwrap());
        assert!(list.contains(&format!("\n  {name} ")), "{name} is not in the list");
        let page = env.lift(&["man", name]).code(0).stdout;
        assert_eq!(page, fs::read_to_string(env.path(&format!("pages/man7/lift-{name}.7"))).unwrap());
        assert!(page.contains(&format!(".TH lift-{name} 7")), "{page}");
    }
    env.lift(&["help", "nothing"]).code(2).says(&["'nothing'", "formats", "settings"]);
}

#[test]
fn every_command_has_examples_under_its_help() {
    let env = TestEnv::new();
    for command in COMMANDS {
        let help = env.lift(&[command, "--help"]).code(0).stdout;
        assert!(help.contains("\nExamples:\n  lift "), "{command}");
    }
}

#[test]
fn settings_come_from_a_file_and_the_command_line_holds_over_it() {
    let env = TestEnv::new();
    env.clip("ball_rising.mp4", "a.mp4");
    env.write(
        "run.toml",
        b"[embed]\nmodel = \"mini\"\nframes = 8\nparts = [\"frames\"]\ninputs = [\"a.mp4\"]\n",
    );
    env.lift(&["embed", "--config", "run.toml", "-o", "x.npy"]).code(0);
    let shape = |name: &str| {
        lift::rows::read(&env.path(name), lift::rows::Wanted::default())
            .unwrap()
            .only()
            .unwrap()
            .shape
            .clone()
    };
    assert_eq!(shape("x.npy")[..2], [1, 8]);
    env.lift(&["embed", "--config", "run.toml", "-o", "y.npy", "--frames", "4"]).code(0);
    assert_eq!(shape("y.npy")[..2], [1, 4]);
    let printed = env.lift(&["embed", "--config", "run.toml", "--print-config"]).code(0).stdout;
    assert!(printed.starts_with("[embed]\n") && printed.contains("\nframes = 8\n"), "{printed}");
    env.write("bad.toml", b"[embed]\nframse = 8\n");
    env.lift(&["embed", "--config", "bad.toml", "a.mp4"]).code(2).says(&["bad.toml", "'framse'"]);
}

#[test]
fn messages_are_objects_on_request() {
    let env = TestEnv::new();
    env.clip("ball_rising.mp4", "a.mp4");
    env.write("list.txt", b"gone.mp4\n");
    let args = ["a.mp4", "--list", "list.txt", "-o", "x.npy", "--log-format", "json", "-v"];
    let ran = env.embed(&args).code(1);
    let lines: Vec<serde_json::Value> = ran
        .stderr
        .lines()
        .map(|line| serde_json::from_str(line).unwrap_or_else(|e| panic!("{e}: {line}")))
        .collect();
    let of = |event: &str| {
        lines.iter().find(|l| l["event"] == event).unwrap_or_else(|| panic!("{event}: {lines:?}"))
    };
    for line in &lines {
        let time = line["time"].as_str().unwrap();
        assert!(time.len() == 24 && time.ends_with('Z') && &time[10..11] == "T", "{time}");
        assert!(["error", "warn", "info"].contains(&line["level"].as_str().unwrap()), "{line}");
        assert!(line["message"].is_string(), "{line}");
    }
    let failed = of("failed");
    let text = |name: &str| failed[name].as_str().unwrap_or_default();
    assert_eq!(
        (text("level"), text("path"), text("id"), text("stage")),
        ("error", "gone.mp4", "gone", "open")
    );
    assert!(
        text("message") == format!("gone.mp4: {}", text("cause"))
            && text("cause").starts_with("cannot be opened")
    );
    let progress = of("progress");
    assert_eq!(
        (&progress["done"], &progress["failed"], &progress["total"]),
        (&2.into(), &1.into(), &2.into())
    );
    assert!(progress["rate"].as_f64().unwrap() > 0.0 && progress["seconds_left"] == 0.0, "{progress}");
    let finished = of("finished");
    assert!(
        finished["message"].as_str().unwrap().contains("1 embedded, 1 failed")
            && finished["seconds"].is_number()
    );
    assert!(
        lines
            .iter()
            .any(|l| l["event"] == "log" && l["message"].as_str().unwrap().contains("settings: [embed]"))
    );
    let ended = env.embed(&["no.mp4", "-o", "y.npy", "--log-format", "json"]).code(3).stderr;
    let ended: serde_json::Value = serde_json::from_str(ended.trim_end()).unwrap();
    assert_eq!(
        (&ended["event"], &ended["level"], &ended["exit"]),
        (&"ended".into(), &"error".into(), &3.into())
    );
    assert!(ended["cause"].as_str().unwrap().starts_with("no.mp4: no such file"));
}

#[test]
fn what_is_not_there_is_called_missing() {
    let env = TestEnv::new();
    env.lift(&["verify", "gone"]).code(1).says(&["gone: there is no such file or folder"]);
    env.lift(&["merge", "x.npy", "gone/"]).code(3).says(&["gone/: there is no such file or folder"]);
    env.lift(&["train", "gone.npy", "-o", "run"]).code(3).says(&["gone.npy: no such file"]);
    assert!(!env.path("run").exists(), "nothing was learned, so no folder is left");
    let help = env.lift(&["help", "embed"]).code(0).stdout;
    assert!(help.contains("--fps <RATE>"), "{help}");
}

#[cfg(target_os = "linux")]
#[test]
fn a_terminal_shows_a_bar_in_colour_unless_that_is_unwanted() {
    let env = TestEnv::new();
    env.clip("ball_rising.mp4", "a.mp4");
    env.clip("ball_rising.mp4", "b.mp4");
    let on_a_terminal = |set: &[(&str, &str)]| {
        // util-linux's `script` gives the command a terminal, and copies what appears there.
        let line =
            format!("{} embed --model mini a.mp4 b.mp4 -o x.npy --overwrite", env!("CARGO_BIN_EXE_lift"));
        let mut script = std::process::Command::new("script");
        script.args(["-qec", &line, "/dev/null"]).current_dir(env.path("")).env("TERM", "xterm");
        script.env_remove("NO_COLOR").envs(set.iter().copied()).stdin(std::process::Stdio::null());
        script.output().ok().map(|output| String::from_utf8_lossy(&output.stdout).into_owned())
    };
    let Some(shown) = on_a_terminal(&[]).filter(|shown| shown.contains("2 embedded")) else {
        println!("skipped: there is no `script` to run the program on a terminal");
        return;
    };
    assert!(shown.contains('█') && shown.contains("\u{1b}[36m"), "{shown:?}");
    let plain = on_a_terminal(&[("NO_COLOR", "1")]).unwrap();
    assert!(plain.contains('█') && !plain.contains("\u{1b}[36m"), "{plain:?}");
}
