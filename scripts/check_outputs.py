#!/usr/bin/env python3
"""Opens outputs of `lift embed` with common libraries, and checks that all formats agree.

    scripts/check_outputs.py FOLDER [--venv DIR]

FOLDER has one run in several formats: NAME.npz, NAME.safetensors, NAME.parquet, NAME.jsonl (any of them, any number of names),
and NAME.PART.npy for single parts. numpy, pandas, the safetensors library and DuckDB read them. The parts must be equal bit for bit,
the ids must be equal and in the same order, and each file's companion must list the same rows.

The first run installs the libraries into a virtual environment in the platform's cache folder.
"""

import argparse
import json
import os
import subprocess
import sys
import venv
from pathlib import Path

PACKAGES = ["numpy>=2,<3", "pandas>=2,<4", "pyarrow>=15", "safetensors>=0.4,<1", "duckdb>=1"]
PARTS = ["concat", "static", "dynamic", "reversed", "odd", "even", "reconstructed", "frames", "mean"]
COLUMNS = ["index", "id", "path", "start", "end", "frames", "fps", "duration", "distinct_frames"]
COMPANION = ["index", "row", "id", "path", "status", "frames", "fps", "duration", "start", "end", "stage", "error", "distinct_frames"]


def column(part):
    """Where a column `frames` counts frames already, the features of that part are `frame_features`."""
    return "frame_features" if part == "frames" else part


def cache_folder():
    if sys.platform == "darwin":
        return Path.home() / "Library" / "Caches"
    if os.name == "nt":
        return Path(os.environ.get("LOCALAPPDATA", Path.home()))
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")


def enter(folder):
    """Runs this script again in the environment, which is made if it is not there."""
    folder = folder.resolve()
    if Path(sys.prefix).resolve() == folder:
        return
    python = folder / ("Scripts/python.exe" if os.name == "nt" else "bin/python")
    stamp = folder / "packages"
    wanted = "\n".join(PACKAGES)
    if not stamp.is_file() or stamp.read_text() != wanted:
        print(f"making {folder} with {', '.join(PACKAGES)}", file=sys.stderr)
        try:
            venv.create(folder, with_pip=True)
        except (ImportError, subprocess.CalledProcessError):
            python.unlink(missing_ok=True)  # or the next run would take half an environment for a whole one
            sys.exit("Python makes no environment here: its venv module lacks ensurepip (Debian, Ubuntu: apt-get install python3-venv)")
        subprocess.run([python, "-m", "pip", "install", "--quiet", *PACKAGES], check=True)
        stamp.write_text(wanted)
    sys.exit(subprocess.run([python, __file__, *sys.argv[1:], "--venv", folder]).returncode)


def of_npz(path):
    import numpy as np

    with np.load(path, allow_pickle=False) as arrays:
        values = {name: arrays[name] for name in arrays.files}
    json.loads(str(values.pop("lift.provenance")))
    return values, [str(name) for name in values.pop("ids")]


def of_npy(path):
    import numpy as np

    return {path.stem.rsplit(".", 1)[1]: np.load(path, allow_pickle=False)}, None


def of_safetensors(path):
    from safetensors import safe_open

    with safe_open(path, framework="numpy") as file:
        ids = json.loads(file.metadata()["ids"])
        return {name: file.get_tensor(name) for name in file.keys()}, ids


def of_parquet(path):
    import duckdb
    import numpy as np
    import pandas as pd
    import pyarrow.parquet as pq

    schema = pq.read_schema(path)
    parts = [part for part in PARTS if column(part) in schema.names]
    assert schema.names[: len(COLUMNS)] == COLUMNS, f"{path}: columns {schema.names}"
    assert set(schema.names[len(COLUMNS) :]) == {column(part) for part in parts}, f"{path}: columns {schema.names}"
    frame = pd.read_parquet(path)
    table = duckdb.sql(f"select * from read_parquet('{quoted(path)}') order by index").fetchall()
    names = [d[0] for d in duckdb.sql(f"describe select * from read_parquet('{quoted(path)}')").fetchall()]
    assert list(frame.columns) == names == schema.names
    assert [row[names.index("id")] for row in table] == list(frame["id"])
    arrays = {}
    for part in parts:
        shape = json.loads(schema.field(column(part)).metadata[b"shape"])
        stacked = np.array([np.asarray(v) for v in frame[column(part)]], np.float32).reshape(-1, *shape)
        assert all(np.asarray(v).dtype == np.float32 for v in frame[column(part)]), "pandas does not see f32"
        duck = np.array([row[names.index(column(part))] for row in table], np.float32).reshape(-1, *shape)
        assert stacked.tobytes() == duck.tobytes(), f"{path}: pandas and DuckDB differ in {part}"
        arrays[part] = stacked
    return arrays, list(frame["id"])


def of_jsonl(path):
    import duckdb
    import numpy as np
    import pandas as pd

    def refuse(name):
        raise ValueError(f"{name} is not JSON")

    with open(path, encoding="utf-8", newline="\n") as file:
        rows = [json.loads(line, parse_constant=refuse) for line in file]
    if not rows:
        return {}, []
    parts = [part for part in PARTS if column(part) in rows[0]]
    for row in rows:
        assert list(row)[: len(COLUMNS)] == COLUMNS, f"keys {list(row)}"
    ids = [row["id"] for row in rows]
    frame = pd.read_json(path, lines=True, dtype=False)
    assert list(frame["id"]) == ids, "pandas reads other ids"
    duck = duckdb.sql(f"select id from read_json('{quoted(path)}', columns={{id: 'VARCHAR'}}) ").fetchall()
    assert [row[0] for row in duck] == ids, "DuckDB reads other ids"
    return {part: np.array([row[column(part)] for row in rows], np.float32) for part in parts}, ids


def quoted(path):
    return str(path).replace("'", "''")


def companion(path):
    """The ids of a data file's rows, by its companion, checked with pandas and DuckDB."""
    import duckdb
    import pandas as pd

    csv = Path(f"{path}.rows.csv")
    rows = pd.read_csv(csv, dtype=str, keep_default_na=False)
    columns = [name for name in rows.columns if name != "provenance"]  # only beside .npy and .jsonl
    assert columns == COMPANION, f"{csv}: columns {columns}"
    sql = f"select index, row, id from read_csv('{quoted(csv)}', header=true, all_varchar=true, quote='\"', escape='\"', delim=',')"
    duck = [tuple(cell or "" for cell in row) for row in duckdb.sql(sql).fetchall()]
    assert duck == list(zip(rows["index"], rows["row"], rows["id"])), f"{csv}: DuckDB reads other rows"
    assert [int(i) for i in rows["index"]] == list(range(len(rows))), f"{csv}: index does not count up"
    good = rows[rows["status"] == "ok"]
    assert set(rows["status"]) <= {"ok", "failed"} and (rows[rows["status"] == "failed"]["error"] != "").all()
    assert (rows[rows["status"] == "failed"]["row"] == "").all()
    assert [int(r) for r in good["row"]] == list(range(len(good))), f"{csv}: row does not count up"
    return list(good["id"])


READERS = {".npz": of_npz, ".npy": of_npy, ".safetensors": of_safetensors, ".parquet": of_parquet, ".jsonl": of_jsonl}


def check(name, files):
    """Compares the forms of one run; returns a line on it."""
    import numpy as np

    ids, arrays = None, {}
    for path in files:
        found, own = READERS[path.suffix](path)
        listed = companion(path)
        assert own is None or own == listed, f"{path}: its ids are not its companion's"
        assert ids is None or ids == listed, f"{path}: its ids are not those of {files[0]}"
        ids = listed
        for part, values in found.items():
            assert part in PARTS, f"{path}: unknown part {part}"
            assert values.dtype == np.float32 and values.shape[0] == len(ids), f"{path}: {part} {values.shape}"
            assert np.isfinite(values).all(), f"{path}: {part} is not finite"
            same = arrays.setdefault(part, values)
            assert values.shape == same.shape, f"{path}: {part} is {values.shape}, elsewhere {same.shape}"
            assert values.tobytes() == same.tobytes(), f"{path}: {part} differs from the other forms"
    parts = ", ".join(f"{part} {values.shape}" for part, values in arrays.items())
    return f"{name}: {len(files)} files agree on {len(ids)} rows: {parts}"


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--venv", type=Path, default=cache_folder() / "lift" / "check-outputs")
    options = parser.parse_args()
    enter(options.venv)
    groups = {}
    for path in sorted(options.folder.iterdir()):
        if path.suffix in READERS and not path.name.startswith("."):
            name = path.stem.rsplit(".", 1)[0] if path.suffix == ".npy" else path.stem
            groups.setdefault(name, []).append(path)
    if not groups:
        sys.exit(f"{options.folder}: no outputs to check")
    for name, files in groups.items():
        print(check(name, files))


if __name__ == "__main__":
    main()
