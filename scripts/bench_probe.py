#!/usr/bin/env python3
"""Times lift probe beside scikit-learn on random features, with the results, the CPU time and the peak memory of both.

    scripts/bench_probe.py [--lift target/release/lift] [--videos 100000] [--width 768] [--classes 100] [--runs ridge,logistic]

Needs numpy and scikit-learn. Features are f32 with a noisy centre per class, and directions of falling strength as embeddings have them (the k-th is (1 + k)^-0.7; with
--flat all are alike); a tenth of the videos are for testing. Each run is a
process of its own, from the files to the accuracy; so the reading of the files counts for both. scikit-learn's ridge runs on f32 as
stored, and on f64; its logistic regression (lbfgs, f64 inside) at its default tolerance, and, with --tight, at 1e-12.
"""

import argparse
import json
import multiprocessing
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy

ROOT = Path(__file__).resolve().parent.parent


def make(folder, videos, width, classes, flat=False):
    random = numpy.random.default_rng(0)
    centres = random.standard_normal((classes, width), numpy.float32)
    labels = random.integers(0, classes, videos)
    x = random.standard_normal((videos, width), numpy.float32) + numpy.float32(0.12) * centres[labels]
    if not flat:
        turn = numpy.linalg.qr(random.standard_normal((width, width)))[0]
        x = x @ ((1 + numpy.arange(width))[:, None] ** -0.7 * turn).astype(numpy.float32)
    numpy.save(folder / "x.npy", x)
    numpy.save(folder / "y.npy", labels)
    (folder / "ids.txt").write_text("".join(f"v{i}\n" for i in range(videos)))
    first_test = videos - videos // 10
    lines = (f"v{i},c{k:04},{'test' if i >= first_test else 'train'}\n" for i, k in enumerate(labels))
    (folder / "labels.csv").write_text("id,label,split\n" + "".join(lines))


def peer(folder, name):
    """Runs in a process of its own; prints the accuracy."""
    from sklearn.linear_model import LogisticRegression, RidgeClassifier

    x, y = numpy.load(folder / "x.npy"), numpy.load(folder / "y.npy")
    cut = len(x) - len(x) // 10
    probe = {
        "ridge-f32": lambda: RidgeClassifier(alpha=1.0),
        "ridge-f64": lambda: RidgeClassifier(alpha=1.0),
        "logistic": lambda: LogisticRegression(C=1.0, max_iter=10000),
        "logistic-tight": lambda: LogisticRegression(C=1.0, tol=1e-12, max_iter=10000),
    }[name]()
    if name == "ridge-f64":
        x = x.astype(numpy.float64)
    begin = time.perf_counter()
    probe.fit(x[:cut], y[:cut])
    fitted = time.perf_counter() - begin
    right = (probe.predict(x[cut:]) == y[cut:]).sum()
    print(json.dumps({"accuracy": 100 * float(right) / (len(x) - cut), "fit": fitted}))


def timed(command):
    before = time.perf_counter()
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    out = process.stdout.read()
    _, status, usage = os.wait4(process.pid, 0)
    if status:
        sys.exit(f"{command[0]} failed")
    scale = 1 if sys.platform == "darwin" else 1024
    return time.perf_counter() - before, usage.ru_utime + usage.ru_stime, usage.ru_maxrss * scale / 1e6, out


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--lift", default=ROOT / "target/release/lift", type=Path)
    parser.add_argument("--videos", default=100_000, type=int)
    parser.add_argument("--width", default=768, type=int)
    parser.add_argument("--classes", default=100, type=int)
    parser.add_argument("--runs", default="ridge,logistic")
    parser.add_argument("--tight", action="store_true")
    parser.add_argument("--flat", action="store_true", help="directions of equal strength")
    parser.add_argument("--alone", action="store_true", help="lift only")
    parser.add_argument("--work", type=Path, help="folder of the files; a second run uses what is there")
    parser.add_argument("--peer", help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.peer:
        return peer(args.work, args.peer)
    work = args.work or Path(tempfile.mkdtemp())
    work.mkdir(parents=True, exist_ok=True)
    if not (work / "labels.csv").exists():
        # In a process of its own: the system counts this one's memory for the programs that it starts.
        maker = multiprocessing.Process(target=make, args=(work, args.videos, args.width, args.classes, args.flat))
        maker.start()
        maker.join()
        if maker.exitcode:
            sys.exit(f"the files in {work} could not be made")
    print(f"{args.videos} videos x {args.width} numbers, {args.classes} classes; the last tenth for testing")
    for run in args.runs.split(","):
        report = work / "report.json"
        flags = ["--labels", work / "labels.csv", "--features", f"x={work / 'x.npy'}", "--ids", f"x={work / 'ids.txt'}"]
        seconds, busy, memory, _ = timed([args.lift, "probe", *flags, "--probe", run, "-o", report, "--overwrite", "-q"])
        accuracy = json.loads(report.read_text())["results"][0]["top1"]
        print(f"{run:10} lift probe              {seconds:7.1f} s  {busy:6.1f} s of CPU  {memory:6.0f} MB  top-1 {accuracy:.2f}", flush=True)
        peers = {"ridge": ["ridge-f32", "ridge-f64"], "logistic": ["logistic"] + ["logistic-tight"] * args.tight}[run]
        for name in [] if args.alone else peers:
            command = [sys.executable, __file__, "--work", work, "--peer", name]
            all_seconds, all_busy, memory, out = timed(command)
            found = json.loads(out)
            print(
                f"{run:10} scikit-learn {name:14} {all_seconds:4.1f} s  {all_busy:6.1f} s of CPU  {memory:6.0f} MB"
                f"  top-1 {found['accuracy']:.2f}  (fit alone {found['fit']:.1f} s; {all_seconds / seconds:.1f} times lift's time,"
                f" {all_busy / busy:.1f} times its CPU time)",
                flush=True,
            )


if __name__ == "__main__":
    main()
