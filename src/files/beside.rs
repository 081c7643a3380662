//! Names of files that stand beside another one.

use std::path::{Path, PathBuf};

/// The path with `suffix` appended to its file name: `x.json` of `x` and `.json`.
pub fn beside(path: &Path, suffix: &str) -> PathBuf {
    let mut name = path.file_name().unwrap_or_default().to_os_string();
    name.push(suffix);
    path.with_file_name(name)
}
