#!/usr/bin/env python3
"""Compares lift search with FAISS's flat indexes and numpy on random vectors of length 1, all exact, in turns.

    scripts/bench_search.py [WORK_DIR] [--rows 500000] [--width 768] [--queries 64] [--rounds 5] [--lift PROGRAM]
    scripts/bench_search.py --duplicates 100000 [WORK_DIR]

Needs numpy and faiss-cpu in the Python that runs it, a built lift (target/release/lift), and room for eight bytes per number in
WORK_DIR. Every program has two threads and the data in memory or in the page cache. What is timed is the comparison alone: lift's
own time is what `lift search -v` tells, FAISS's and numpy's that of the call. The last line of the table is the time in which two
threads of this script read the file that lift scans, without looking at it. The answers are compared with the exact cosines in f64.

With --duplicates, lift duplicates looks for copies and for clips that are others backwards among so many rows, which have both
planted, and FAISS looks for the copies alone (a range search of the flat index, the rows themselves as queries). What was planted has
to be found, and nothing else. Seconds and memory are those of lift's whole process.
"""

import argparse
import csv
import json
import os
import re
import statistics
import subprocess
import tempfile
import threading
import time
from pathlib import Path

import faiss
import numpy

ROOT = Path(__file__).resolve().parent.parent
THREADS = 2


def timed(call):
    begun = time.perf_counter()
    result = call()
    return time.perf_counter() - begun, result


def read_all(path, first, size):
    """Reads `size` bytes from byte `first` on with as many threads as the programs have."""

    def part(start, end):
        buffer = bytearray(1 << 20)
        with open(path, "rb", buffering=0) as file:
            file.seek(start)
            while start < end:
                start += file.readinto(buffer)

    step = size // THREADS
    threads = [threading.Thread(target=part, args=(first + at * step, first + (at + 1) * step)) for at in range(THREADS)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


def unit(rng, count, width):
    """Random rows of length 1."""
    x = rng.standard_normal((count, width), dtype=numpy.float32)
    return x / numpy.linalg.norm(x, axis=1, keepdims=True)


def write_companion(path, rows):
    """The list of inputs that stands beside an .npy file, which gives the rows their ids."""
    with open(path, "w") as file:
        file.write("index,row,id,path,status,frames,fps,duration,start,end,stage,error\n")
        for row in range(rows):
            file.write(f"{row},{row},clip-{row:07},clips/{row:07}.mp4,ok,16,,,,,,\n")


def duplicates(work, rows, width, program):
    """Times lift duplicates, and FAISS on the same rows, and compares what lift found with what was planted."""
    rng = numpy.random.default_rng(2)
    straight, backwards = unit(rng, rows, width), unit(rng, rows, width)
    # Of 50 rows in a row, the second is a copy of the first with a little noise, and the fourth is the third backwards.
    firsts = numpy.arange(0, rows - 4, 50)
    near = lambda of: of + 0.05 * unit(rng, len(of), width)
    straight[firsts + 1], backwards[firsts + 1] = near(straight[firsts]), near(backwards[firsts])
    straight[firsts + 3], backwards[firsts + 3] = near(backwards[firsts + 2]), near(straight[firsts + 2])
    planted = {("same", first, first + 1) for first in firsts} | {("mirror", first + 2, first + 3) for first in firsts}
    collection, answer = work / "pairs.npz", work / "pairs.csv"
    ids = numpy.array([f"clip-{row:07}" for row in range(rows)])
    numpy.savez(collection, concat=straight, reversed=backwards)
    (work / "ids.txt").write_text("\n".join(ids) + "\n")
    command = [program, "duplicates", collection, "--ids", work / "ids.txt", "--threads", str(THREADS), "-o", answer, "--overwrite", "-q"]
    begun = time.perf_counter()
    _, status, used = os.wait4(subprocess.Popen(command).pid, 0)
    seconds = time.perf_counter() - begun
    if status:
        raise SystemExit("lift duplicates failed")
    groups = {}
    with open(answer, newline="") as file:
        for line in csv.DictReader(file):
            groups.setdefault((line["kind"], line["group"]), []).append(int(line["id"].split("-")[1]))
    found = {(kind, *sorted(rows)) for (kind, _), rows in groups.items()}
    print(f"lift duplicates, {rows} x {width}, straight and backwards, {THREADS} threads: {seconds:.1f} s, {used.ru_maxrss / 1024:.0f} MB; "
          f"{len(found & planted)} of {len(planted)} planted pairs found, {len(found - planted)} others")
    faiss.omp_set_num_threads(THREADS)
    straight /= numpy.linalg.norm(straight, axis=1, keepdims=True)
    flat = faiss.IndexFlatIP(width)
    flat.add(straight)
    theirs, _ = timed(lambda: flat.range_search(straight, 0.98))
    print(f"FAISS, flat, f32, straight alone: {theirs:.1f} s, {theirs / seconds:.2f} times lift's")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("work", nargs="?", type=Path)
    parser.add_argument("--rows", type=int, default=500_000)
    parser.add_argument("--width", type=int, default=768)
    parser.add_argument("--queries", type=int, default=64)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--top", type=int, default=10)
    parser.add_argument("--lift", type=Path, default=ROOT / "target/release/lift")
    parser.add_argument("--duplicates", type=int, metavar="ROWS")
    args = parser.parse_args()
    work = args.work or Path(tempfile.mkdtemp())
    work.mkdir(parents=True, exist_ok=True)
    if args.duplicates:
        return duplicates(work, args.duplicates, args.width, args.lift)
    collection, ids = work / "rows.npy", work / "rows.npy.rows.csv"
    rng = numpy.random.default_rng(1)
    rows, queries = unit(rng, args.rows, args.width), unit(rng, args.queries, args.width)
    if not ids.exists():
        numpy.save(collection, rows)
        write_companion(ids, args.rows)
    rows = numpy.load(collection)
    numpy.save(work / "one.npy", queries[:1])
    numpy.save(work / "many.npy", queries)
    seconds, _ = timed(lambda: subprocess.run([args.lift, "search", collection, "--prepare", "-q"], check=True))
    prepared = work / "rows.npy.lift.search"
    scanned = rows.size + 8 * len(rows)
    print(f"prepared in {seconds:.1f} s: {prepared.stat().st_size / 1e6:.0f} MB, of which a search reads {scanned / 1e6:.0f}")

    faiss.omp_set_num_threads(THREADS)
    flat = faiss.IndexFlatIP(args.width)
    flat.add(rows)
    half = faiss.IndexScalarQuantizer(args.width, faiss.ScalarQuantizer.QT_fp16, faiss.METRIC_INNER_PRODUCT)
    half.train(rows[:1])
    half.add(rows)

    def lift(name):
        answer = work / f"{name}.jsonl"
        command = [args.lift, "search", collection, "--vector", work / f"{name}.npy", "--top", str(args.top), "-o", answer]
        command += ["--overwrite", "--threads", str(THREADS), "-v"]
        whole, run = timed(lambda: subprocess.run(command, check=True, capture_output=True, text=True))
        told = re.search(r"compared \d+ rows with \d+ queries in ([\d.]+) s", run.stderr)
        found = {}
        for line in answer.read_text().splitlines():
            hit = json.loads(line)
            found.setdefault(hit["query"], []).append((hit["id"], hit["score"]))
        return float(told[1]), whole, list(found.values())

    def top(scores):
        best = numpy.argpartition(-scores, args.top, axis=1)[:, : args.top]
        return numpy.take_along_axis(best, numpy.argsort(-numpy.take_along_axis(scores, best, 1), axis=1), 1)

    programs = {
        "lift": None,
        "FAISS flat, f32": lambda q: flat.search(q, args.top),
        "FAISS flat, f16": lambda q: half.search(q, args.top),
        "numpy, f32": lambda q: top(q @ rows.T),
    }
    for name, count in [("one", 1), ("many", args.queries)]:
        times, whole = {program: [] for program in [*programs, "plain read"]}, []
        for _ in range(args.rounds):
            for program, search in programs.items():
                if search is None:
                    own, all_of_it, found = lift(name)
                    times[program].append(own)
                    whole.append(all_of_it)
                else:
                    times[program].append(timed(lambda: search(queries[:count]))[0])
            times["plain read"].append(timed(lambda: read_all(prepared, 64, scanned))[0])
        # The exact answer, in f64, among the rows that either could mean.
        wrong = 0
        for query, hits in zip(queries, found):
            near = top((query[None] @ rows.T) * 1.0)[0]
            near = numpy.union1d(near, [int(hit[0].split("-")[1]) for hit in hits])
            q = query.astype(numpy.float64)
            r = rows[near].astype(numpy.float64)
            cosines = r @ q / numpy.linalg.norm(r, axis=1) / numpy.linalg.norm(q)
            order = numpy.lexsort((near, -cosines))[: args.top]
            for (hit, score), at in zip(hits, order):
                wrong += hit != f"clip-{near[at]:07}" or abs(score - cosines[at]) > 1e-6
        print(f"\n{count} {'query' if count == 1 else 'queries'}, {args.rows} x {args.width}, {THREADS} threads; medians of {args.rounds}")
        mine = statistics.median(times["lift"])
        for program, seconds in times.items():
            middle = statistics.median(seconds)
            print(f"  {program:16} {1000 * middle:9.1f} ms   {middle / mine:6.2f} times lift's   (fastest {1000 * min(seconds):.1f})")
        print(f"  lift as a process {1000 * statistics.median(whole):8.1f} ms;  hits that are not the exact answer: {wrong}")


if __name__ == "__main__":
    main()
