#!/usr/bin/env python3
"""Runs ray_embed.py with two actors, kills one actor's lift and then the other actor, and compares the rows with one run's.

    check_ray.py ray_embed.py FOLDER        # check.sh calls it: FOLDER has list.csv, and one.parquet of `lift embed`
"""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pyarrow.parquet as pq


def actors(driver):
    """Pairs of an actor's process and its lift, below the driver."""
    pairs = []
    for process in psutil.Process(driver).children(recursive=True):
        try:
            if "--stream=arrow" in process.cmdline():
                pairs.append((process.parent(), process))
        except psutil.Error:
            continue
    return pairs


def wait_for_work(driver, known):
    """An actor not among `known` whose lift has computed for half a second since it was first seen."""
    first = {}
    until = time.monotonic() + 300
    while time.monotonic() < until and driver.poll() is None:
        for actor, lift in actors(driver.pid):
            try:
                spent = sum(lift.cpu_times()[:2])
            except psutil.Error:
                continue
            if lift.pid not in known and spent - first.setdefault(lift.pid, spent) > 0.5:
                return actor, lift
        time.sleep(0.05)
    sys.exit("FAILED: no actor was at work")


def main():
    script, folder = sys.argv[1], Path(sys.argv[2])
    command = [sys.executable, script, "list.csv", "ray", "--actors", "2", "--batch", "8", "--model", "mini"]
    with open(folder / "ray.log", "wb") as log:
        driver = subprocess.Popen(command, cwd=folder, stdout=log, stderr=log)
        first, lift = wait_for_work(driver, set())
        os.kill(lift.pid, signal.SIGKILL)
        print(f"ray: killed the lift of one actor with {lift.pid=}")
        second, other = wait_for_work(driver, {lift.pid})
        os.kill(second.pid, signal.SIGKILL)
        print(f"ray: killed an actor with {second.pid=}, the first's was {first.pid}")
        code = driver.wait()
    if code != 0:
        print((folder / "ray.log").read_text()[-5000:])
        sys.exit(f"FAILED: exit code {code}")
    columns = ["id", "path", "frames", "fps", "duration", "concat"]
    alone = pq.read_table(folder / "one.parquet", columns=columns).sort_by("id").to_pylist()
    rows = pq.read_table(folder / "ray" / "rows", columns=columns).sort_by("id").to_pylist()
    failed = pq.read_table(folder / "ray" / "failed", columns=["id"]).num_rows
    if rows != alone:
        sys.exit(f"FAILED: {len(rows)} rows of {len(alone)}, or other values")
    total = sum(1 for _ in open(folder / "list.csv")) - 1
    if len(rows) + failed != total:
        sys.exit(f"FAILED: {failed} failed, expected {total - len(rows)}")
    print(f"ray: {len(rows)} rows equal those of one run, {failed} failed")


if __name__ == "__main__":
    main()
