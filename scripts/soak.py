#!/usr/bin/env python3
"""Checks a long run with broken files, and a run that is killed again and again, to the byte.

    scripts/soak.py broken [--clips 2000]                  3 % broken clips: which are embedded, which are listed, and the memory over time
    scripts/soak.py kills [--clips 300] [--kills 60]       kill -9 at random moments, then compared with an undisturbed run
    scripts/soak.py flat [--seconds 3600]                  one process over the bundled clips again and again: memory, file
                                                           handles and processor time per clip must not grow

`lift` is taken from PATH, or from LIFT; the clips are drawn by `lift synth` (306 of them, taken again under other names) and
the bundled model embeds them. Everything is in a temporary folder (--folder keeps it). Memory is the memory of the
process without mapped files (RssAnon in /proc, so Linux only), because the system loads and drops the pages of mapped files as it
needs. The script exits with 1 at the first failed check.
"""

import argparse
import csv
import json
import os
import random
import shutil
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

LIFT = os.path.abspath(shutil.which(os.environ.get("LIFT", "lift")) or sys.exit("no lift on PATH; set LIFT="))


def must(holds, text):
    if not holds:
        sys.exit(f"FAILED: {text}")


def ways_to_break(good):
    """Bytes that are no video any more; each way leaves no decodable last frame."""
    return [
        good[: len(good) // 2],
        bytes(len(good)),
        b"path,id\nthis is a list,not a video\n",
        b"",
        good[:64] + bytes(len(good) - 64),
    ]


def make_clips(folder, count, share):
    """`count` clips in `folder`/in, a share of them broken; the ids of the good and of the broken."""
    drawn = folder / "set"
    if not drawn.exists():
        args = [LIFT, "synth", "-o", drawn, "-q", "--groups", "9", "--per-class", "12", "--valid-per-class", "5"]
        subprocess.run([*args, "--size", "160"], check=True)
    sources = [path.read_bytes() for path in sorted((drawn / "clips").iterdir())]
    target = folder / "in"
    shutil.rmtree(target, ignore_errors=True)
    target.mkdir()
    draw = random.Random(0)
    broken = set(draw.sample(range(count), round(count * share)))
    good = set()
    for i in range(count):
        data = sources[i % len(sources)]
        if i in broken:
            data = draw.choice(ways_to_break(data))
        else:
            good.add(f"{i:05}")
        (target / f"{i:05}.mp4").write_bytes(data)
    return good, {f"{i:05}" for i in broken}


def memory(pid):
    """MB of its own now, or None where the process has ended."""
    try:
        lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    except OSError:
        return None
    kb = [line.split()[1] for line in lines if line.startswith("RssAnon:")]
    return int(kb[0]) / 1000 if kb else None


def failed_ids(dataset):
    with open(dataset / "_failures.csv", newline="") as file:
        return [row["id"] for row in csv.DictReader(file)]


def broken(args, folder):
    good, bad = make_clips(folder, args.clips, 0.03)
    out = folder / "out"
    shutil.rmtree(out, ignore_errors=True)
    command = [LIFT, "embed", "--model", "mini", "in", "-o", "out/", "--shard-size", "100", "-q"]
    samples = []
    with open(folder / "stderr.txt", "wb") as stderr:
        process = subprocess.Popen(command, cwd=folder, stderr=stderr)
        while process.poll() is None:
            samples.append(memory(process.pid))
            time.sleep(0.2)
    samples = [s for s in samples if s]
    must(process.returncode == 1, f"exit code {process.returncode}, expected 1")
    must(subprocess.run([LIFT, "verify", "-q", out]).returncode == 0, "lift verify refused the dataset")
    listed = failed_ids(out)
    must(len(listed) == len(set(listed)) and set(listed) == bad, f"_failures.csv: {set(listed) ^ bad}")
    table = folder / "all.npy"
    subprocess.run([LIFT, "merge", "-q", "--overwrite", table, out])
    with open(f"{table}.rows.csv", newline="") as file:
        embedded = {row["id"] for row in csv.DictReader(file) if row["status"] == "ok"}
    must(embedded == good, f"rows: {embedded ^ good}")
    said = (folder / "stderr.txt").read_text()
    must(all(f"{name}.mp4" in said for name in bad), "a broken clip was not told on standard error")
    size = len(samples) // 4
    quarters = [statistics.median(samples[i * size : (i + 1) * size]) for i in range(4)]
    print(f"{len(good)} embedded, {len(bad)} broken listed, none else, of {args.clips}")
    shown = " ".join(f"{q:.0f}" for q in quarters)
    print(f"memory in MB, median of each quarter of the run: {shown}; peak {max(samples):.0f}; {len(samples)} samples")
    must(quarters[3] <= 1.15 * quarters[1], "memory grew")


def files(dataset):
    return {p.name: p.read_bytes() for p in dataset.iterdir() if p.name != ".lock"}


def kills(args, folder):
    make_clips(folder, args.clips, 0.03)
    command = [LIFT, "embed", "--model", "mini", "in", "--shard-size", "20", "-q", "-o"]

    def start(name):
        return subprocess.Popen([*command, f"{name}/"], cwd=folder, stderr=subprocess.DEVNULL)

    for name in ("alone", "killed"):
        shutil.rmtree(folder / name, ignore_errors=True)
    began = time.monotonic()
    must(start("alone").wait() == 1, "the run left alone did not end with 1")
    whole = time.monotonic() - began
    expected = files(folder / "alone")
    draw = random.Random(args.seed)
    killed = stopped = finished = 0
    while killed < args.kills:
        process = start("killed")
        # Most get a part or two further, some die while they load.
        try:
            code = process.wait(draw.uniform(0, whole / 6))
        except subprocess.TimeoutExpired:
            if draw.random() < 0.2:
                # An orderly stop, with the kill right behind it or not at all.
                process.send_signal(signal.SIGTERM)
                try:
                    code = process.wait(draw.uniform(0, 0.5))
                    stopped += 1
                    must(code in (1, 143), f"stopped, exit code {code}")
                    continue
                except subprocess.TimeoutExpired:
                    pass
            process.kill()
            process.wait()
            killed += 1
            continue
        must(code == 1, f"exit code {code}, expected 1")
        must(files(folder / "killed") == expected, f"other bytes after {killed} kills")
        finished += 1
        shutil.rmtree(folder / "killed")
    must(start("killed").wait() == 1, "the last run did not end with 1")
    must(files(folder / "killed") == expected, f"other bytes after {killed} kills")
    finished += 1
    print(f"{killed} times kill -9, {stopped} orderly stops; {finished} datasets finished, each equal byte for byte")


def flat(args, _folder):
    """The bundled clips through one process (`embed --stream`) for so many seconds; a line in thirty of them."""
    clips = sorted(str(path) for path in (Path(__file__).resolve().parent.parent / "assets/clips").iterdir())
    child = subprocess.Popen([LIFT, "embed", "--model", "mini", "--threads", "1", "-q", "--stream"],
                             stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, bufsize=1)
    tick = os.sysconf("SC_CLK_TCK")
    answers, count, lines = {}, 0, []
    start = told = time.monotonic()
    seen = (0, 0.0)
    print("seconds  clips    memory MB  handles  processor ms per clip")
    while time.monotonic() - start < args.seconds:
        path = clips[count % len(clips)]
        child.stdin.write(json.dumps({"path": path, "id": path}) + "\n")
        line = child.stdout.readline()
        must(line, f"it ended after {count} clips")
        answer = json.loads(line)
        # The same clip gives the same numbers, however long the process has lived.
        must(answers.setdefault(path, answer["concat"]) == answer["concat"], f"another embedding of {path} at clip {count}")
        count += 1
        if time.monotonic() - told >= 30:
            told = time.monotonic()
            words = Path(f"/proc/{child.pid}/stat").read_text().rsplit(")", 1)[1].split()
            spent = (int(words[11]) + int(words[12])) / tick
            each = 1000 * (spent - seen[1]) / (count - seen[0])
            seen = (count, spent)
            lines.append((told - start, count, memory(child.pid), len(os.listdir(f"/proc/{child.pid}/fd")), each))
            print("%7.0f %6d %12.1f %8d %22.1f" % lines[-1], flush=True)
    child.stdin.close()
    must(child.wait() == 0, "it ended with a failure")
    must(len(lines) >= 4, "too short to say anything; --seconds 150 at least")
    # The first line holds what is loaded once.
    early, late = lines[1 : 1 + len(lines) // 4], lines[-(len(lines) // 4):]
    mean = lambda rows, at: statistics.mean(row[at] for row in rows)
    grown, slower = mean(late, 2) / mean(early, 2) - 1, mean(late, 4) / mean(early, 4) - 1
    print(f"{count} clips in {lines[-1][0]:.0f} s: memory {100 * grown:+.2f} %, handles {late[-1][3] - early[0][3]:+d}, "
          f"processor time per clip {100 * slower:+.1f} %")
    must(abs(grown) <= 0.01, "memory is not flat to 1 %")
    must(len({row[3] for row in lines}) == 1, "the number of open files changes")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=["broken", "kills", "flat"])
    parser.add_argument("--clips", type=int, help="how many [2000, 300]")
    parser.add_argument("--kills", type=int, default=60)
    parser.add_argument("--seconds", type=float, default=3600)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--folder", type=Path, help="work here and leave it")
    args = parser.parse_args()
    run = {"broken": broken, "kills": kills, "flat": flat}[args.what]
    args.clips = args.clips or {"broken": 2000, "kills": 300, "flat": 0}[args.what]
    with tempfile.TemporaryDirectory() as temporary:
        folder = args.folder or Path(temporary)
        folder.mkdir(parents=True, exist_ok=True)
        run(args, folder)


if __name__ == "__main__":
    main()
