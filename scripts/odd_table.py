#!/usr/bin/env python3
"""Measures what the odd part of the embedding is good for, on clips that lift synth draws.

    scripts/odd_table.py [WORK_DIR] [--lift PROGRAM] [--weights FILE] [--seed N]

Needs numpy and a built lift (target/release/lift), and takes some minutes on two cores. It draws 720 clips in nine groups of
opposite motions, embeds them with the bundled models (or another LiFT for the bundled frame encoder: --weights), and prints:

- the mean average precision (mAP) of finding clips of the same direction by cosine, within the group and among all groups;
- the same for finding clips of the opposite direction, with three queries: the mirrored clip's embedding, the negated odd part,
  and the algebraic mirror [s + d, -d] of the embedding [s, d];
- the accuracy of a ridge classifier for each group, from 2, 4, 8, 16 and all training clips per class.
"""

import argparse
import csv
import json
import subprocess
import tempfile
from pathlib import Path

import numpy

ROOT = Path(__file__).resolve().parent.parent
SHOTS = [2, 4, 8, 16]
PROBED = ["lift", "odd", "even", "lift+odd", "frames-mean", "frames-concat", "frames-concat:odd"]


def average_precision(similarity, relevant, candidates):
    """The mean over queries (rows), percent; ties are broken by the order of the clips."""
    precisions = []
    for scores, wanted, allowed in zip(similarity, relevant, candidates):
        order = numpy.argsort(-scores[allowed], kind="stable")
        hits = wanted[allowed][order]
        if hits.any():
            precisions.append((numpy.cumsum(hits)[hits] / (numpy.flatnonzero(hits) + 1)).mean())
    return 100 * numpy.mean(precisions)


def unit(x):
    x = x.reshape(len(x), -1).astype(numpy.float64)
    return x / numpy.maximum(numpy.linalg.norm(x, axis=1, keepdims=True), 1e-30)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("work", nargs="?", type=Path, help="folder of the clips and tables; a second run uses what is there")
    parser.add_argument("--lift", default=ROOT / "target/release/lift", type=Path)
    parser.add_argument("--weights", type=Path, help="another LiFT for the bundled frame encoder")
    parser.add_argument("--seed", default="3", help="of the drawn clips")
    args = parser.parse_args()
    work = args.work or Path(tempfile.mkdtemp())

    def lift(*words):
        subprocess.run([args.lift, *words, "-q"], check=True, stdout=subprocess.DEVNULL)

    drawn, rows, report = work / "set", work / "set.npz", work / "odd.json"
    if not (drawn / "cia-synth-train.csv").exists():
        lift("synth", "-o", drawn, "--groups", "9", "--per-class", "30", "--valid-per-class", "10", "--seed", args.seed)
    weights = ["--lift", args.weights] if args.weights else []
    parts = "concat,reversed,odd,even,frames"
    lift("embed", drawn / "clips", "--model", "mini", *weights, "--parts", parts, "-o", rows, "--overwrite")
    tables = [drawn / f"cia-synth-{side}.csv" for side in ("train", "validation")]
    lift("eval-cia", "--train", tables[0], "--valid", tables[1], "--embeddings", rows, "--shots", ",".join(map(str, SHOTS)),
         "--shot-draws", "20", "--representation", ",".join(PROBED), "-o", report, "--overwrite")

    labels = {}
    for table in tables:
        for row in csv.DictReader(table.open(encoding="utf-8")):
            labels[row["id"]] = (row["chiral_triplet_id"], float(row["chiral_label"]))
    with Path(f"{rows}.rows.csv").open(encoding="utf-8") as companion:
        ids = [row["id"] for row in csv.DictReader(companion) if row["row"]]
    groups = numpy.array([labels[one][0] for one in ids])
    direction = numpy.array([labels[one][1] for one in ids])
    group, alike = groups[:, None] == groups[None], direction[:, None] == direction[None]
    others = ~numpy.eye(len(ids), dtype=bool)

    z = dict(numpy.load(rows))
    z["frames-concat"] = z["frames"]
    z["frames-concat:odd"] = (z["frames"] - z["frames"][:, ::-1]) / 2
    z["frames-mean"] = z["frames"].mean(axis=1)
    print(f"{len(ids)} clips, {len(set(groups))} groups; mAP in percent")
    print(f"\n{'same direction':26} {'within the group':>17} {'among all groups':>17}")
    for name in ["concat", "odd", "even", "frames-mean", "frames-concat", "frames-concat:odd"]:
        similarity = unit(z[name]) @ unit(z[name]).T
        within = average_precision(similarity, alike & group, others & group)
        print(f"{name:26} {within:17.1f} {average_precision(similarity, alike & group, others):17.1f}")
    half = z["concat"].shape[1] // 2
    s, d = z["concat"][:, :half], z["concat"][:, half:]
    print(f"\n{'opposite direction':26} {'within the group':>17} {'among all groups':>17}")
    for name, queries, database in [
        ("mirrored clip", z["reversed"], z["concat"]),
        ("-odd", -z["odd"], z["odd"]),
        ("[s + d, -d]", numpy.concatenate([s + d, -d], axis=1), z["concat"]),
    ]:
        similarity = unit(queries) @ unit(database).T
        within = average_precision(similarity, ~alike & group, others & group)
        print(f"{name:26} {within:17.1f} {average_precision(similarity, ~alike & group, others):17.1f}")

    print("\naccuracy in percent, mean over groups and 20 draws")
    print(f"{'training clips per class':26}" + "".join(f"{shots:>8}" for shots in [*SHOTS, "all"]))
    for result in json.loads(report.read_text())["results"]:
        points = [point["accuracy"] for point in result["shots"]] + [result["accuracy"]]
        print(f"{result['representation']:26}" + "".join(f"{point:8.1f}" for point in points))


if __name__ == "__main__":
    main()
