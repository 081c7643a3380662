#!/usr/bin/env python3
"""Makes tests/data/probe/goldens.json: what scikit-learn says on features that a formula gives, so that only results are stored.

    scripts/make_probe_goldens.py

Needs numpy and scikit-learn. The test src/probe/goldens.rs has the same formula. Ridge is scikit-learn's RidgeClassifier on f64;
logistic regression is its LogisticRegression with the Newton solver at a tight tolerance, which is the optimum that all its
solvers approach.
"""

import json
from pathlib import Path

import numpy
import sklearn
from sklearn.linear_model import LogisticRegression, RidgeClassifier

OUT = Path(__file__).resolve().parent.parent / "tests/data/probe/goldens.json"
#        classes, training videos, test videos, width, strength of the class
CASES = [(2, 80, 60, 12, 0.3), (3, 120, 90, 10, 0.35), (3, 60, 60, 150, 0.2), (10, 400, 150, 24, 0.35), (101, 1010, 202, 32, 0.5)]
RIDGE = [0.1, 10.0]
LOGISTIC = [0.05, 1.0]
# Decision values are stored of the first videos.
SHOWN = {2: 60, 3: 60, 10: 40, 101: 8}


def noise(i, j, salt):
    """Multiples of 2^-15 in -1..1, by mixing bits."""
    h = (i * 2654435761 + j * 40503 + salt * 97) % 2**32
    h ^= h >> 15
    h = h * 2246822519 % 2**32
    h ^= h >> 13
    return (h % 65536) / 32768 - 1


def features(case, classes, first, videos, width, strength):
    labels = [int((noise(i, 7, case + 50) + 1) / 2 * classes) for i in range(first, first + videos)]
    rows = [[noise(i, j, case) + strength * noise(k, j, case + 20) for j in range(width)] for i, k in zip(range(first, first + videos), labels)]
    return numpy.array(rows, numpy.float32).astype(numpy.float64), numpy.array(labels)


def main():
    cases = []
    for case, (classes, train, test, width, strength) in enumerate(CASES):
        x, y = features(case, classes, 0, train, width, strength)
        z, t = features(case, classes, train, test, width, strength)
        assert set(y) == set(range(classes)), "a class has no training video"
        results = []
        probes = [("ridge", alpha, RidgeClassifier(alpha=alpha)) for alpha in RIDGE]
        probes += [("logistic", c, LogisticRegression(C=c, solver="newton-cholesky", tol=1e-12, max_iter=1000)) for c in LOGISTIC]
        for name, setting, probe in probes:
            probe.fit(x, y)
            values = probe.decision_function(z).reshape(test, -1)[: SHOWN[classes]]
            right = int((probe.predict(z) == t).sum())
            results.append({"probe": name, "setting": setting, "right": right, "decisions": numpy.round(values, 8).tolist()})
            print(case, classes, width, name, setting, right / test)
        cases.append({"classes": classes, "train": train, "test": test, "width": width, "strength": strength, "results": results})
    OUT.write_text(json.dumps({"made_by": f"scripts/make_probe_goldens.py, scikit-learn {sklearn.__version__}", "cases": cases}, separators=(",", ":")) + "\n")
    print(OUT, OUT.stat().st_size)


if __name__ == "__main__":
    main()
