"""Reads the ids and values of any file that `lift embed` writes, as numpy arrays: `from load import load`.

.npy, .npz and .jsonl need numpy only, .safetensors needs the library safetensors, .parquet needs pyarrow.
"""

import csv
import json

import numpy as np


def load(path, part="concat"):
    """The ids and the array of a part: (B, 2W), (B, W) or (B, T, D), float32."""
    if path.endswith((".npy", ".npz")):
        array = np.load(path)
        if path.endswith(".npz"):
            array = array[part]
        with open(path + ".rows.csv", newline="") as rows:
            return [row["id"] for row in csv.DictReader(rows) if row["status"] == "ok"], array
    if path.endswith(".safetensors"):
        from safetensors import safe_open

        with safe_open(path, "np") as file:
            return json.loads(file.metadata()["ids"]), file.get_tensor(part)
    column = "frame_features" if part == "frames" else part  # `frames` counts them already
    if path.endswith(".parquet"):
        import pyarrow.parquet as pq

        table = pq.read_table(path)
        shape = json.loads(table.schema.field(column).metadata[b"shape"])
        values = table[column].combine_chunks().flatten().to_numpy()
        return table["id"].to_pylist(), values.reshape(-1, *shape)
    with open(path) as lines:
        rows = [json.loads(line) for line in lines]
    return [row["id"] for row in rows], np.array([row[column] for row in rows], np.float32)
