//! A folder of its own for each test, with the program in it: one `TestEnv` for all command tests.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

/// A temporary folder in which `lift` runs.
pub struct TestEnv {
    dir: tempfile::TempDir,
}

/// What a run printed and returned.
pub struct Ran {
    pub code: i32,
    pub stdout: String,
    pub stderr: String,
}

impl TestEnv {
    pub fn new() -> Self {
        Self { dir: tempfile::tempdir().unwrap() }
    }

    /// A path in the folder.
    pub fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    /// Writes a file, making its folders.
    pub fn write(&self, name: &str, bytes: &[u8]) -> PathBuf {
        let path = self.path(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(&path, bytes).unwrap();
        path
    }

    /// Copies a bundled clip.
    pub fn clip(&self, name: &str, to: &str) -> PathBuf {
        self.write(to, &fs::read(clip(name)).unwrap())
    }

    /// The names in the folder, sorted, temporary ones included.
    pub fn names(&self) -> Vec<String> {
        let mut names: Vec<_> = fs::read_dir(self.dir.path())
            .unwrap()
            .map(|e| e.unwrap().file_name().into_string().unwrap())
            .collect();
        names.sort();
        names
    }

    /// The command, not yet run: in the folder, offline, with empty caches and no settings of the machine's.
    pub fn command(&self, args: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_lift"));
        command.args(args).current_dir(self.dir.path());
        for name in ["HF_HOME", "HF_HUB_CACHE", "HF_TOKEN", "HF_ENDPOINT", "RUST_LOG", "XDG_CACHE_HOME"] {
            command.env_remove(name);
        }
        for name in ["HF_HUB_OFFLINE", "LIFT_DRIVE_ENDPOINT", "LIFT_HTTP_TIMEOUT", "SSL_CERT_FILE"] {
            command.env_remove(name);
        }
        command
            .env("HOME", self.path("home"))
            .env("LIFT_HOME", self.path("home/lift"))
            .env("LIFT_OFFLINE", "1");
        command
    }

    /// The command with a network of which this server is all there is.
    pub fn online(&self, server: &str, args: &[&str]) -> Command {
        let mut command = self.command(args);
        command.env_remove("LIFT_OFFLINE").env("NO_PROXY", "127.0.0.1").env("LIFT_HTTP_TIMEOUT", "6");
        command.env("HF_ENDPOINT", server).env("LIFT_DRIVE_ENDPOINT", server);
        command
    }

    /// Runs it.
    pub fn pull(&self, server: &str, args: &[&str]) -> Ran {
        Ran::from(self.online(server, args).output().unwrap())
    }

    /// Runs `lift` with these arguments.
    pub fn lift(&self, args: &[&str]) -> Ran {
        Ran::from(self.command(args).output().unwrap())
    }

    /// Runs `lift embed --model mini` with these arguments.
    pub fn embed(&self, args: &[&str]) -> Ran {
        self.lift(&[&["embed", "--model", "mini"], args].concat())
    }
}

impl From<Output> for Ran {
    fn from(o: Output) -> Self {
        let text = |b: Vec<u8>| String::from_utf8(b).unwrap();
        Self { code: o.status.code().unwrap_or(-1), stdout: text(o.stdout), stderr: text(o.stderr) }
    }
}

impl Ran {
    /// Panics unless the run ended with this code.
    #[track_caller]
    pub fn code(self, code: i32) -> Self {
        assert_eq!(self.code, code, "stdout: {}\nstderr: {}", self.stdout, self.stderr);
        self
    }

    /// Panics unless standard error has each of these words.
    #[track_caller]
    pub fn says(self, words: &[&str]) -> Self {
        for word in words {
            assert!(self.stderr.contains(word), "{word:?} is not in:\n{}", self.stderr);
        }
        self
    }
}

/// A bundled clip.
pub fn clip(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("assets/clips").join(name)
}

/// Sends a signal to a process; a minimal system has no `kill` to do it.
#[track_caller]
pub fn send(signal: libc::c_int, process: u32) {
    // SAFETY: the call takes any two numbers.
    let sent = unsafe { libc::kill(process as libc::pid_t, signal) };
    assert_eq!(sent, 0, "{}", std::io::Error::last_os_error());
}
