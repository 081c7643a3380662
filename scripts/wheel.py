#!/usr/bin/env python3
"""Packs the program into a wheel, so that pip installs it: the binary as the command `lift`, and the Python module beside it.

    scripts/wheel.py BINARY LICENCES OUT_DIR      prints the wheel's path; scripts/static.sh --wheel calls this

Standard library only. The platform's tag comes from the newest version of the C library that the binary asks for, so pip refuses
the wheel where it would not start. Equal inputs make equal bytes.
"""

import base64
import hashlib
import platform
import re
import subprocess
import sys
import tomllib
import zipfile
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
NAME = "lift_video"


def tag(binary):
    """The platform that the binary runs on, as pip names it."""
    symbols = subprocess.run(["objdump", "-T", binary], capture_output=True, text=True, check=True).stdout
    versions = [tuple(map(int, found.split("."))) for found in re.findall(r"GLIBC_([0-9.]+)", symbols)]
    libraries = subprocess.run(["objdump", "-p", binary], capture_output=True, text=True, check=True).stdout
    foreign = set(re.findall(r"NEEDED +(\S+)", libraries)) - {
        "libc.so.6", "libm.so.6", "libpthread.so.0", "libdl.so.2", "librt.so.1", "ld-linux-x86-64.so.2", "ld-linux-aarch64.so.1",
    }
    if foreign:
        sys.exit(f"{binary} wants {', '.join(sorted(foreign))} of the system: build it with scripts/static.sh")
    # pip knows these tags from 2.17 on for x86-64.
    major, minor = max([*versions, (2, 17)])[:2]
    return f"manylinux_{major}_{minor}_{platform.machine()}"


def main():
    if len(sys.argv) != 4:
        sys.exit(__doc__)
    binary, licences, out = map(Path, sys.argv[1:])
    package = tomllib.loads((ROOT / "Cargo.toml").read_text())["package"]
    info = f"{NAME}-{package['version']}.dist-info"
    platform_tag = tag(binary)
    files = {f"{NAME}-{package['version']}.data/scripts/lift": (binary.read_bytes(), 0o755)}
    module = ROOT / "scripts" / "python"
    for source in sorted(path for path in (module / NAME).rglob("*") if path.suffix in (".py", ".typed")):
        files[source.relative_to(module).as_posix()] = (source.read_bytes(), 0o644)
    for licence in sorted(licences.iterdir()):
        files[f"{info}/licenses/{licence.name}"] = (licence.read_bytes(), 0o644)
    metadata = [
        "Metadata-Version: 2.1",
        f"Name: {NAME.replace('_', '-')}",
        f"Version: {package['version']}",
        f"Summary: {package['description']}",
        "License: MIT, with FFmpeg inside (LGPL-2.1-or-later)",
        "Requires-Python: >=3.9",
        "Requires-Dist: numpy",
        "Requires-Dist: pyarrow",
        "Description-Content-Type: text/markdown",
        "",
        (ROOT / "README.md").read_text(),
    ]
    files[f"{info}/METADATA"] = ("\n".join(metadata).encode(), 0o644)
    wheel = f"Wheel-Version: 1.0\nGenerator: lift\nRoot-Is-Purelib: false\nTag: py3-none-{platform_tag}\n"
    files[f"{info}/WHEEL"] = (wheel.encode(), 0o644)
    record = ""
    for name, (data, _) in files.items():
        digest = base64.urlsafe_b64encode(hashlib.sha256(data).digest()).rstrip(b"=").decode()
        record += f"{name},sha256={digest},{len(data)}\n"
    files[f"{info}/RECORD"] = (f"{record}{info}/RECORD,,\n".encode(), 0o644)

    out.mkdir(parents=True, exist_ok=True)
    path = out / f"{NAME}-{package['version']}-py3-none-{platform_tag}.whl"
    part = path.with_suffix(".part")
    with zipfile.ZipFile(part, "w", zipfile.ZIP_DEFLATED, compresslevel=9) as packed:
        for name, (data, mode) in files.items():
            entry = zipfile.ZipInfo(name, (1980, 1, 1, 0, 0, 0))
            entry.compress_type = zipfile.ZIP_DEFLATED
            entry.external_attr = (0o100000 | mode) << 16
            packed.writestr(entry, data)
    part.replace(path)
    print(path)


if __name__ == "__main__":
    main()
