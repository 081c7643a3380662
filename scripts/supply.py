#!/usr/bin/env python3
"""Lists what the program is built from: every crate of Cargo.lock, its source and its licence. Fails if one is not allowed.

    scripts/supply.py            after `cargo fetch --locked` or any build: licences are read from the crates themselves
    scripts/supply.py --texts    prints the licences' texts of the crates in the program, as a release has to carry them

It needs the standard library only (Python 3.11). It does not check security advisories, which need a database: use `cargo deny check
advisories` or `cargo audit` where there is a network.
"""

import collections
import os
import subprocess
import sys
import tomllib
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
# Licences that ask for no more than their text beside the program.
ALLOWED = {
    "MIT", "Apache-2.0", "Apache-2.0 WITH LLVM-exception", "BSD-2-Clause", "BSD-3-Clause", "ISC", "Zlib", "0BSD", "BSL-1.0",
    "Unicode-3.0", "Unlicense", "CC0-1.0", "MIT-0", "CDLA-Permissive-2.0", "NCSA", "bzip2-1.0.6", "WTFPL",
}


# option-ext (through hf-hub's dirs) is under a licence that asks for its own source, which the registry has, unchanged.
ALLOWED |= {"MPL-2.0"}


def acceptable(expression):
    """Whether one alternative of an SPDX expression is allowed in all its parts; in a nested one every licence must be."""
    text = expression.replace("/", " OR ")
    if "(" in text:
        text = text.replace("(", "").replace(")", "").replace(" OR ", " AND ")
    return any(all(part.strip() in ALLOWED for part in choice.split(" AND ")) for choice in text.split(" OR "))


def texts():
    """Prints every crate in the program with its licence, then each text once."""
    tree = ["cargo", "tree", "--locked", "--edges", "normal", "--prefix", "none", "--format", "{p}"]
    lines = subprocess.run(tree, cwd=ROOT, capture_output=True, text=True, check=True).stdout.splitlines()
    crates = sorted({tuple(line.split()[:2]) for line in lines if line and not line.startswith("lift ")})
    home = Path(os.environ.get("CARGO_HOME", Path.home() / ".cargo"))
    found = collections.defaultdict(list)
    for name, version in crates:
        folder = next(home.glob(f"registry/src/*/{name}-{version[1:]}"))
        licence = tomllib.loads((folder / "Cargo.toml").read_text())["package"].get("license", "see its text")
        print(f"{name} {version[1:]}: {licence}")
        for path in sorted(folder.iterdir()):
            if path.is_file() and path.name.upper().startswith(("LICENSE", "LICENCE", "COPYING", "NOTICE", "UNLICENSE")):
                found[path.read_text(errors="replace").strip()].append(f"{name} {version[1:]}")
    for text, names in found.items():
        print(f"\n{'-' * 80}\nOf {', '.join(names)}:\n\n{text}")


def main():
    if sys.argv[1:] == ["--texts"]:
        return texts()
    locked = tomllib.loads((ROOT / "Cargo.lock").read_text())["package"]
    home = Path(os.environ.get("CARGO_HOME", Path.home() / ".cargo"))
    wrong, licences, versions, unread = [], collections.Counter(), collections.defaultdict(list), 0
    for crate in locked:
        name, version, source = crate["name"], crate["version"], crate.get("source")
        if source is None:
            if name != "lift":
                wrong.append(f"{name} comes from a folder")
            continue
        versions[name].append(version)
        if not source.startswith("registry+") or "checksum" not in crate:
            wrong.append(f"{name} {version} comes from {source}, without a checksum of the registry's")
        manifests = list(home.glob(f"registry/src/*/{name}-{version}/Cargo.toml"))
        if not manifests:
            # A dependency of another platform or of a feature that is off is not fetched by every build.
            unread += 1
            continue
        package = tomllib.loads(manifests[0].read_text())["package"]
        licence = package.get("license") or f"a file of its own ({package.get('license-file', 'none')})"
        licences[licence] += 1
        if not acceptable(licence):
            wrong.append(f"{name} {version} has the licence {licence}")
    for licence, count in licences.most_common():
        print(f"{count:5} {licence}")
    twice = {name: found for name, found in versions.items() if len(found) > 1}
    print(f"{len(locked) - 1} crates, {unread} not at hand here; in several versions: "
          + ", ".join(f"{name} ({', '.join(found)})" for name, found in sorted(twice.items())))
    for line in wrong:
        print(f"NOT ALLOWED: {line}")
    sys.exit(1 if wrong else 0)


if __name__ == "__main__":
    main()
