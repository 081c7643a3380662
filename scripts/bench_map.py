#!/usr/bin/env python3
"""Times the t-SNE of `lift plot --figure map` beside scikit-learn's on the same rows in the same run.

usage: bench_map.py [--rows N] [--width W] [--clusters K] [--threads N] [--lift-only] [LIFT]

LIFT is the program (default: target/release/lift). The rows are normal clusters of unequal sizes, each row scaled to length 1,
because a map compares rows as a search does. Both programs get the same file, perplexity 30, the same start (principal
components), angle 0.5 and at most 1000 iterations, and run one after the other in processes of their own. Wall time and
the largest memory of each process are told, and the Kullback-Leibler divergence that each reports.

It needs Python with numpy and scikit-learn.
"""

import argparse
import os
import pathlib
import re
import subprocess
import sys
import tempfile
import time

PEER = """
import sys, time, numpy
from sklearn.manifold import TSNE
rows = numpy.load(sys.argv[1])
start = time.perf_counter()
tsne = TSNE(perplexity=30, init="pca", learning_rate="auto", random_state=0, n_jobs=int(sys.argv[2]))
tsne.fit_transform(rows)
print(f"{time.perf_counter() - start:.1f} s without loading, KL divergence {tsne.kl_divergence_:.4f}")
"""


def measured(command, **more):
    """Runs a command; returns its wall time in seconds, its largest memory in MB, and what it printed."""
    start = time.perf_counter()
    with tempfile.TemporaryFile("w+") as output:
        process = subprocess.Popen(command, stdout=output, stderr=subprocess.STDOUT, **more)
        _, status, usage = os.wait4(process.pid, 0)
        output.seek(0)
        text = output.read()
    assert status == 0, text
    return time.perf_counter() - start, usage.ru_maxrss / 1024, text


def processor():
    for line in open("/proc/cpuinfo", encoding="utf-8"):
        if line.startswith("model name"):
            return line.split(":", 1)[1].strip()
    return "unknown"


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("lift", nargs="?", default="target/release/lift")
    parser.add_argument("--rows", type=int, default=50_000)
    parser.add_argument("--width", type=int, default=768)
    parser.add_argument("--clusters", type=int, default=60)
    parser.add_argument("--threads", type=int, default=os.cpu_count())
    parser.add_argument("--lift-only", action="store_true")
    args = parser.parse_args()
    import numpy

    lift = str(pathlib.Path(args.lift).resolve())
    random = numpy.random.default_rng(0)
    centres = random.normal(size=(args.clusters, args.width))
    # Clusters lie in a space of fewer numbers than the rows have, as embeddings do.
    of = (args.clusters * random.random(args.rows) ** 1.5).astype(int)
    basis = random.normal(size=(args.clusters, 20, args.width)) / 6
    rows = numpy.empty((args.rows, args.width), dtype=numpy.float32)
    for first in range(0, args.rows, 1000):
        part = of[first : first + 1000]
        inner = numpy.einsum("nk,nkw->nw", random.normal(size=(len(part), 20)), basis[part])
        rows[first : first + 1000] = centres[part] + inner + 0.3 * random.normal(size=inner.shape)
    rows = (rows / numpy.linalg.norm(rows, axis=1, keepdims=True)).astype(numpy.float32)
    print(f"{args.rows} rows of {args.width} numbers, {args.threads} threads, {processor()}")
    environment = {**os.environ, "OMP_NUM_THREADS": str(args.threads), "OPENBLAS_NUM_THREADS": str(args.threads)}
    with tempfile.TemporaryDirectory() as folder:
        path = pathlib.Path(folder)
        numpy.save(path / "rows.npy", rows)
        (path / "ids.txt").write_text("".join(f"clip {row:06}\n" for row in range(args.rows)), encoding="utf-8")
        command = [lift, "plot", "rows.npy", "--figure", "map", "--ids", "ids.txt", "-o", "map.svg", "--clusters", "1", "-v"]
        command += ["--threads", str(args.threads)]
        seconds, memory, text = measured(command, cwd=folder, env=environment)
        told = re.search(r"KL divergence ([\d.]+); (.*descent)", text)
        ours = float(told.group(1))
        print(f"lift, the whole command: {seconds:.1f} s, {memory:.0f} MB, KL divergence {ours}; {told.group(2)}")
        if args.lift_only:
            return
        peer = [sys.executable, "-c", PEER, str(path / "rows.npy"), str(args.threads)]
        theirs, peak, text = measured(peer, env=environment)
        print(f"scikit-learn, the whole process: {theirs:.1f} s, {peak:.0f} MB; {text.strip()}")
        divergence = float(re.search(r"KL divergence ([\d.]+)", text).group(1))
        print(f"lift is {theirs / seconds:.1f} times as fast; its divergence is {100 * (ours / divergence - 1):+.2f} %")


if __name__ == "__main__":
    main()
