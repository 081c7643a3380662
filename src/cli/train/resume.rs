//! `lift train --resume`: the flags of the run in the folder, which its log begins with.

use std::collections::BTreeMap;
use std::path::Path;

use serde_json::Value;

use crate::files::display_path;
use crate::train::{LOG, flags_in_force, read_log};

/// Flags that may be others when a run goes on: how long it runs, where and how often it writes, where its data is (which is compared by
/// its digest), and what of the machine is used.
const FREE: [&str; 14] = [
    "inputs",
    "validation",
    "probe-train",
    "probe-valid",
    "probe-features",
    "ids",
    "id-column",
    "epochs",
    "save-every",
    "log-every",
    "cache",
    "threads",
    "offline",
    "device",
];

/// Flags that are not taken from the run: they say what this command does.
const OF_THE_COMMAND: [&str; 5] = ["output", "resume", "init", "plot", "overwrite"];

/// The flags of the run in `folder`, by their names, for those that the command line does not give. `given` are those that it does.
///
/// # Errors
/// If one of `given` decides the result and differs from the run's: the message names it, and both values.
pub(in crate::cli) fn flags_of_run(
    folder: &Path,
    given: &BTreeMap<String, Value>,
) -> Result<BTreeMap<String, Value>, String> {
    // A folder without a log has no run: that is said where the state is looked for.
    let mut flags = flags_in_force(&read_log(&folder.join(LOG)).unwrap_or_default());
    flags.retain(|name, _| !OF_THE_COMMAND.contains(&name.as_str()));
    for (name, now) in given {
        let decides = !FREE.contains(&name.as_str()) && !OF_THE_COMMAND.contains(&name.as_str());
        let Some(then) = flags.get(name).filter(|then| decides && !same(then, now)) else { continue };
        return Err(format!(
            "--{name} {}: the run in {} was started with --{name} {}; leave it out, or start a run in another folder",
            text(now),
            display_path(folder),
            text(then)
        ));
    }
    Ok(flags)
}

/// Whether two values are the same; 1 and 1.0 are.
fn same(then: &Value, now: &Value) -> bool {
    then == now || then.as_f64().zip(now.as_f64()).is_some_and(|(then, now)| then == now)
}

fn text(value: &Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), str::to_owned)
}
