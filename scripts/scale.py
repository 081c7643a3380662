#!/usr/bin/env python3
"""Measures what a list of a million costs (listing, failing, resuming, merging, verifying), and the system calls per clip.

    scripts/scale.py rows [--rows 100000 1000000]      seconds and peak memory of each step, for each number of rows
    scripts/scale.py calls                             file-system calls per clip and per part (needs strace)

A million rows that name one missing file replace a million videos. Each goes the whole way of an input that fails at once, into parts,
ledgers, _failures.csv and the merge, and costs no decoding. A hundred rows that name one tiny clip come first, so that the parts have
values too. `lift` is taken from PATH, or from LIFT. Peak memory is what the kernel reports for
the process (ru_maxrss). It includes the pages of the listing, a mapped temporary file; the kernel may take these pages back at any time.
The last column is the largest value, sampled every 10 ms, of the memory without mapped files (RssAnon, Linux).
"""

import argparse
import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

LIFT = os.path.abspath(shutil.which(os.environ.get("LIFT", "lift")) or sys.exit("no lift on PATH; set LIFT="))
CLIP = Path(__file__).resolve().parents[1] / "assets" / "clips" / "ball_rising.mp4"
EMBED = ["embed", "--model", "mini", "-q", "--list", "list.csv", "-o"]


def anonymous(pid):
    """MB of a process that no file backs."""
    try:
        return int(re.search(r"RssAnon:\s+(\d+)", Path(f"/proc/{pid}/status").read_text())[1]) / 1000
    except (OSError, TypeError):
        return 0.0


def measured(folder, codes, *args):
    """Runs lift; wall seconds, peak MB, processor seconds, peak anonymous MB."""
    began = time.monotonic()
    with open(folder / "stdout.txt", "wb") as stdout, open(folder / "stderr.txt", "wb") as stderr:
        process = subprocess.Popen([LIFT, *map(str, args)], cwd=folder, stdout=stdout, stderr=stderr)
        most, pid = 0.0, 0
        while pid == 0:
            most = max(most, anonymous(process.pid))
            time.sleep(0.01)
            pid, status, usage = os.wait4(process.pid, os.WNOHANG)
        process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode not in codes:
        tail = (folder / "stderr.txt").read_text()[-2000:]
        sys.exit(f"FAILED: {' '.join(map(str, args))}: exit code {process.returncode}\n{tail}")
    return time.monotonic() - began, usage.ru_maxrss / 1000, usage.ru_utime + usage.ru_stime, most


def write_list(folder, rows, clips):
    with open(folder / "list.csv", "w") as file:
        file.write("id,path\n")
        for i in range(rows):
            file.write(f"video {i:08},{CLIP if i < clips else 'missing.mp4'}\n")


def rows(args, folder):
    print("| step | rows | wall s | CPU s | peak MB | of it anonymous |\n| --- | --- | --- | --- | --- | --- |")
    for count in args.rows:
        write_list(folder, count, 100)
        shards = range(4)
        steps = [
            ("dry run, nothing done", [0], [*EMBED, "out/", "--dry-run"]),
            ("embed, all but 100 missing", [1], [*EMBED, "out/"]),
            ("dry run, all done", [0], [*EMBED, "out/", "--dry-run"]),
            ("again, all done", [1], [*EMBED, "out/"]),
            ("verify", [0], ["verify", "-q", "out"]),
            ("merge into a file", [1], ["merge", "-q", "all.parquet", "out"]),
            *((f"shard {i}/4", [1], [*EMBED, "shards/", "--shard", f"{i}/4"]) for i in shards),
            ("merge 4 shards into a dataset", [1], ["merge", "-q", "whole/", "shards"]),
            ("verify the merged", [0], ["verify", "-q", "whole"]),
            ("retry all that failed", [1], [*EMBED, "out/", "--retry-failed"]),
            ("again, after the retry", [1], [*EMBED, "out/"]),
            ("verify, after the retry", [0], ["verify", "-q", "out"]),
            ("merge into a file, after the retry", [1], ["merge", "-q", "--overwrite", "all.parquet", "out"]),
        ]
        for name, codes, command in steps:
            if args.only and args.only not in name:
                continue
            wall, peak, cpu, anon = measured(folder, codes, *command)
            print(f"| {name} | {count} | {wall:.1f} | {cpu:.1f} | {peak:.0f} | {anon:.0f} |", flush=True)
        for name in ("out", "shards", "whole"):
            shutil.rmtree(folder / name, ignore_errors=True)
        for name in ("all.parquet", "all.parquet.rows.csv"):
            (folder / name).unlink(missing_ok=True)


def counted(folder, name, clips, size):
    """File-system calls of a run over `clips` clips, by name; of all threads."""
    table = folder / f"{name}.strace"
    trace = ["strace", "-f", "-c", "-e", "trace=%file,%desc", "-o", table, LIFT]
    write_list(folder, clips, clips)
    subprocess.run([*trace, *EMBED, f"{name}/", "--shard-size", str(size), "--threads", "1"], cwd=folder, check=True)
    calls = {}
    for line in table.read_text().splitlines():
        found = re.match(r"\s*[\d.]+\s+[\d.]+\s+\d+\s+(\d+)\s+(?:\d+\s+)?(\w+)$", line)
        if found and found[2] != "total":
            calls[found[2]] = int(found[1])
    return calls


def calls(_, folder):
    few, many, parts = counted(folder, "a", 10, 1000), counted(folder, "b", 60, 1000), counted(folder, "c", 60, 6)
    print("| call | per clip | per part |\n| --- | --- | --- |")
    total = [0.0, 0.0]
    for name in sorted(many, key=lambda name: -many[name]):
        clip = (many[name] - few.get(name, 0)) / 50
        part = (parts.get(name, 0) - many[name]) / 9
        total = [total[0] + clip, total[1] + part]
        if round(clip, 2) or round(part, 1):
            print(f"| {name} | {clip:.2f} | {part:.1f} |")
    print(f"| all | {total[0]:.1f} | {total[1]:.1f} |")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=["rows", "calls"])
    parser.add_argument("--rows", type=int, nargs="+", default=[100_000, 1_000_000])
    parser.add_argument("--only", help="steps whose name has this")
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as temporary:
        {"rows": rows, "calls": calls}[args.what](args, Path(temporary))


if __name__ == "__main__":
    main()
