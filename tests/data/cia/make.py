"""Makes the small CiA fixture out of the shared goldens: `python make.py GOLDEN_DIR` (numpy, safetensors, scikit-learn).

Three of the twelve synthetic groups, the first 256 of the 768 numbers, and what scikit-learn says of them. The narrow
case (the first 24 numbers, fewer than the videos) makes the probes solve in the other dimension.
"""

import csv
import json
import sys
from pathlib import Path

import numpy as np
from safetensors.numpy import save_file
from sklearn.linear_model import LogisticRegression, RidgeClassifier
from sklearn.svm import SVC

GROUPS = ["t01_synth", "t02_synth", "t06_synth"]
golden, here = Path(sys.argv[1]), Path(__file__).parent

groups = {}
for side in ["train", "validation"]:
    for form, column in [("chiral_groups", "triplet_id"), ("cia", "chiral_triplet_id")]:
        rows = list(csv.DictReader(open(golden / f"{form}-synth-{side}.csv")))
        rows = [row for row in rows if row[column] in GROUPS]
        with open(here / f"{form}-small-{side}.csv", "w", newline="") as out:
            writer = csv.DictWriter(out, rows[0], lineterminator="\n")
            writer.writeheader()
            writer.writerows(rows)
        if form == "chiral_groups":
            groups[side] = {row[column]: row for row in rows}

stored = np.load(golden / "cia_synth_features.npz")
place = {str(id): at for at, id in enumerate(stored["ids"])}


def ids(side, triplet):
    """Forward, then reverse, each sorted, and the labels."""
    row = groups[side][triplet]
    forward, reverse = (sorted(row[f"id_{way}"].split(";")) for way in ["forward", "reverse"])
    return forward + reverse, np.array([1] * len(forward) + [0] * len(reverse))


used = sorted(id for side in groups for triplet in GROUPS for id in ids(side, triplet)[0])
features = stored["features"][[place[id] for id in used], :256].astype(np.float32)
save_file({"concat": features}, here / "features.safetensors", metadata={"ids": json.dumps(used)})
place = {id: at for at, id in enumerate(used)}

expected = {}
for width in [256, 24]:
    for triplet in GROUPS:
        (train, y), (valid, truth) = ids("train", triplet), ids("validation", triplet)
        x, v = (features[[place[id] for id in side], :width].astype(np.float64) for side in [train, valid])
        probes = {
            "ridge": RidgeClassifier(),
            "logistic": LogisticRegression(solver="newton-cholesky", tol=1e-12, max_iter=1000),
            "svm": SVC(),
        }
        for name, probe in probes.items():
            probe.fit(x, y)
            expected[f"{triplet}.{width}.{name}"] = {
                "decisions": probe.decision_function(v).tolist(),
                "accuracy": round(float(np.mean(probe.predict(v) == truth)) * 100, 3),
            }
json.dump(expected, open(here / "expected.json", "w"), indent=0)
