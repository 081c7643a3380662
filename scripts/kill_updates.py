#!/usr/bin/env python3
"""Kills `lift embed --update` at moments spread over its runs, and checks after each kill that the dataset is whole.

    scripts/kill_updates.py [--kills 60] [--clips 120] [--seed 1]

The folder has copies of the bundled clips, and `lift` embeds them with the bundled model. In each round some clips are added, replaced and
deleted; then the update is killed (SIGKILL) up to eight times, at moments spread over its run or right after the next state has become
valid, before a run may come to its end. After each kill, `lift verify` must agree, and `lift merge` must
give the rows of the last state or those of the next. After each round, the parts must have the bytes of those of a fresh run over the
same folder. `lift` is taken from PATH, or from LIFT.
"""

import argparse
import filecmp
import os
import random
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

LIFT = os.path.abspath(shutil.which(os.environ.get("LIFT", "lift")) or sys.exit("no lift on PATH; set LIFT="))
CLIPS = sorted((Path(__file__).resolve().parents[1] / "assets" / "clips").iterdir())
EMBED = ["embed", "--model", "mini", "-q", "in", "--shard-size", "16", "-o"]


def lift(folder, *args):
    ran = subprocess.run([LIFT, *args], cwd=folder, capture_output=True, text=True)
    if ran.returncode != 0:
        sys.exit(f"FAILED: lift {' '.join(args)}: exit code {ran.returncode}\n{ran.stderr}")


def rows(folder, dataset):
    """What lift merge makes of a dataset."""
    lift(folder, "merge", "-q", "--overwrite", "rows.jsonl", dataset)
    return (folder / "rows.jsonl").read_bytes()


def parts(folder):
    return sorted(path.name for path in folder.iterdir() if path.name != ".lock")


def change(folder, numbers, chance):
    """Adds, replaces and deletes some clips."""
    for _ in range(chance.randrange(2, 12)):
        shutil.copy(chance.choice(CLIPS), folder / f"in/{chance.randrange(numbers):04}.mp4")
    for path in chance.sample(sorted((folder / "in").iterdir()), chance.randrange(4)):
        path.unlink()


def is_valid(dataset):
    """Whether an update has become valid whose parts do not all have their places yet."""
    try:
        names = os.listdir(dataset / "_update")
    except FileNotFoundError:
        return False
    return "_manifest.json" not in names and any(name.startswith("part-") for name in names)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--kills", type=int, default=60)
    parser.add_argument("--clips", type=int, default=120)
    parser.add_argument("--seed", type=int, default=1)
    args = parser.parse_args()
    chance = random.Random(args.seed)
    kills = rounds = old = new = middle = 0
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "in").mkdir()
        for i in range(args.clips):
            shutil.copy(chance.choice(CLIPS), folder / f"in/{2 * i:04}.mp4")
        lift(folder, *EMBED, "out/")
        longest = 0.3
        while kills < args.kills:
            rounds += 1
            change(folder, 2 * args.clips, chance)
            fresh = folder / f"fresh-{rounds}"
            lift(folder, *EMBED, f"{fresh.name}/")
            expected, before = rows(folder, fresh.name), rows(folder, "out")
            for attempt in range(9):
                began = time.monotonic()
                process = subprocess.Popen([LIFT, *EMBED, "out/", "--update", "--prune"], cwd=folder)
                if attempt == 8:
                    process.wait()
                elif chance.random() < 0.3:
                    while process.poll() is None and not is_valid(folder / "out"):
                        pass
                    time.sleep(chance.uniform(0.0, 0.004))
                else:
                    try:
                        process.wait(timeout=chance.uniform(0.0, longest))
                    except subprocess.TimeoutExpired:
                        pass
                code = process.poll()
                if code is not None:
                    longest = max(0.2, time.monotonic() - began)
                    if code != 0:
                        sys.exit(f"FAILED: the update ended with {code}")
                    break
                process.kill()
                process.wait()
                kills += 1
                middle += is_valid(folder / "out")
                lift(folder, "verify", "-q", "out")
                now = rows(folder, "out")
                if now not in (before, expected):
                    sys.exit(f"FAILED: after kill {kills} the rows are neither the old nor the new ones")
                old, new = old + (now == before), new + (now != before)
            names = parts(folder / "out")
            if names != parts(fresh):
                sys.exit(f"FAILED: {names} are not {parts(fresh)}")
            same = [name for name in names if name.startswith("part-")]
            if filecmp.cmpfiles(folder / "out", fresh, same, shallow=False)[0] != same:
                sys.exit("FAILED: the parts have other bytes than those of a fresh run")
            shutil.rmtree(fresh)
    print(f"{kills} kills in {rounds} rounds: {old} left the rows of the last state, {new} those of the next ({middle} before all "
          f"parts had their places); every round ended in the "
          "bytes of a fresh run")


if __name__ == "__main__":
    main()
