#!/usr/bin/env python3
"""Measures what lift search finds on clips that lift synth draws, for everything that --by can compare.

    scripts/search_table.py [WORK_DIR] [--lift PROGRAM] [--style plain|rich] [--seed N]

Needs a built lift (target/release/lift) and some minutes on two cores. It draws 720 clips of nine pairs of opposite actions, embeds
them with the bundled models, and searches for every clip with the program itself. It prints, in percent:

- look: the mean average precision (mAP) of finding the clips of the same pair of actions, in either direction;
- action: the mAP of finding the clips of the same action;
- opposite: the mAP of finding the clips of the opposite action by --opposite;
- the share of the first ten hits that are of the same action (--like), and of the opposite action (--opposite).
"""

import argparse
import csv
import subprocess
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
COMPARED = ["all", "odd", "even", "static", "dynamic", "frames-mean", "frames-concat"]


def actions(drawn):
    """(pair, direction) by id, from the tables that lift synth writes."""
    found = {}
    for table in drawn.glob("cia-synth-*.csv"):
        with open(table, newline="") as file:
            for line in csv.DictReader(file):
                found[line["id"]] = (line["chiral_triplet_id"], line["chiral_label"])
    return found


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("work", nargs="?", type=Path, help="folder of the clips and answers; a second run uses what is there")
    parser.add_argument("--lift", default=ROOT / "target/release/lift", type=Path)
    parser.add_argument("--style", default="plain", help="of the drawn clips")
    parser.add_argument("--seed", default="3", help="of the drawn clips")
    args = parser.parse_args()
    work = args.work or Path(tempfile.mkdtemp())
    work.mkdir(parents=True, exist_ok=True)

    def lift(*words):
        subprocess.run([args.lift, *words, "-q"], check=True, stdout=subprocess.DEVNULL)

    drawn, rows, answer = work / "set", work / "set.npz", work / "answer.csv"
    if not drawn.exists():
        lift("synth", "-o", drawn, "--style", args.style, "--groups", "9", "--per-class", "30", "--valid-per-class", "10", "--seed", args.seed)
    if not rows.exists():
        lift("embed", drawn / "clips", "-o", rows, "--model", "mini", "--parts", "concat,reversed,frames")
    known = actions(drawn)
    ids = work / "ids.txt"
    ids.write_text("".join(f"{id}\n" for id in known))

    def answers(by, *more):
        lift("search", rows, "--list", ids, "--by", by, "--top", str(len(known)), "-o", answer, "--overwrite", *more)
        found = {}
        with open(answer, newline="") as file:
            for line in csv.DictReader(file):
                found.setdefault(line["query"], []).append(known[line["id"]])
        return found

    def precision(found, relevant, first=None):
        """The mean over queries of the average precision, or of the share of relevant ones among the first hits."""
        means = []
        for query, hits in found.items():
            marks = [relevant(known[query], hit) for hit in hits]
            if first:
                means.append(sum(marks[:first]) / first)
                continue
            right, sums = 0, 0.0
            for rank, mark in enumerate(marks, 1):
                if mark:
                    right += 1
                    sums += right / rank
            means.append(sums / max(right, 1))
        return 100 * sum(means) / len(means)

    def same(query, hit):
        return query == hit

    def opposite(query, hit):
        return query[0] == hit[0] and query[1] != hit[1]

    print(f"{len(known)} clips, style {args.style}, seed {args.seed}")
    print("| --by | look | action | opposite | of 10, --like | of 10, --opposite |")
    print("| --- | ---: | ---: | ---: | ---: | ---: |")
    for by in COMPARED:
        like, mirrored = answers(by), answers(by, "--opposite")
        cells = [
            precision(like, lambda query, hit: query[0] == hit[0]),
            precision(like, same),
            precision(mirrored, opposite),
            precision(like, same, 10),
            precision(mirrored, opposite, 10),
        ]
        print(f"| {by} | " + " | ".join(f"{cell:.1f}" for cell in cells) + " |", flush=True)


if __name__ == "__main__":
    main()
