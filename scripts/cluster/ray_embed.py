#!/usr/bin/env python3
"""Embeds a list of videos with Ray Data. Each actor runs one `lift embed --stream`; the rows are written as Parquet.

    pip install 'ray[data]'
    scripts/cluster/ray_embed.py clips.csv out/ --actors 2 --timeout 600         # further flags are those of lift embed
    RAY_ADDRESS=auto scripts/cluster/ray_embed.py clips.csv out/ --actors 64     # on a running cluster

clips.csv has a column path, which all nodes must be able to open, and may have id, start and end (seconds). out/rows/*.parquet has
the answers in any order, out/failed/*.parquet has the videos without a row, with the cause. At the end `lift merge` makes out/all.npz
of the rows and checks that no row is there twice, and `lift verify` reads it. LIFT is the program, if not `lift` on PATH.

If an actor or its lift dies, Ray starts it again and repeats its batch, up to five times. Ray keeps finished results in memory, so a
driver that dies starts from the beginning. To survive that too, use shards (slurm.sbatch, kubernetes.yaml).
"""

import argparse
import json
import os
import subprocess
import sys
from pathlib import Path

import pyarrow as pa
import ray
from pyarrow import csv

LIFT, COLUMNS = os.environ.get("LIFT", "lift"), ["path", "id", "start", "end"]
TEXTS = csv.ConvertOptions(column_types={"path": pa.string(), "id": pa.string()})  # an id of digits too


class Embedder:
    def __init__(self, folder, threads, flags):
        command = [LIFT, "embed", "--stream=arrow", "-q", "--threads", str(threads), *flags]
        self.lift = subprocess.Popen(command, cwd=folder, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        self.answers = None

    def __call__(self, batch):
        try:
            for row in batch.to_pylist():
                asked = {name: row[name] for name in COLUMNS if row.get(name) not in (None, "")}
                self.lift.stdin.write(json.dumps(asked).encode() + b"\n")
            self.lift.stdin.flush()
            self.answers = self.answers or pa.ipc.open_stream(self.lift.stdout)
            return pa.Table.from_batches([self.answers.read_next_batch() for _ in range(batch.num_rows)])
        except (OSError, StopIteration, pa.ArrowInvalid) as error:
            code = self.lift.wait(60)
            if code in (2, 3):
                raise RuntimeError("lift cannot run, see its message above; no retry helps") from None
            # An exception would end the run; an actor that is gone is replaced, and its batch given again.
            print(f"lift ended with {code} ({error!r}), so its actor ends", file=sys.stderr, flush=True)
            os._exit(1)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("list")
    parser.add_argument("out", type=lambda text: Path(text).resolve(), help="a new folder")
    parser.add_argument("--actors", type=int, default=2)
    parser.add_argument("--threads", type=int, default=1, help="of each lift, reserved as its CPUs")
    parser.add_argument("--batch", type=int, default=16, help="videos given at a time")
    args, flags = parser.parse_known_args()
    args.out.mkdir(parents=True)
    # A task that reads would wait for ever where the actors have all CPUs.
    rows = csv.read_csv(args.list, convert_options=TEXTS)
    batches = [rows.slice(at, args.batch) for at in range(0, rows.num_rows, args.batch)]
    answers = ray.data.from_arrow(batches).map_batches(
        Embedder, fn_constructor_args=(os.getcwd(), args.threads, flags), batch_size=None, batch_format="pyarrow",
        compute=ray.data.ActorPoolStrategy(size=args.actors), num_cpus=args.threads, max_task_retries=5,
    ).materialize()
    for status, folder in ("ok", "rows"), ("failed", "failed"):
        found = answers.filter(expr=ray.data.expressions.col("status") == status)
        found.write_parquet(str(args.out / folder), compression="zstd")
    rows = sorted((args.out / "rows").glob("*.parquet"))
    subprocess.run([LIFT, "merge", args.out / "all.npz", *rows], check=True)
    subprocess.run([LIFT, "verify", args.out / "all.npz"], check=True)


if __name__ == "__main__":
    main()
