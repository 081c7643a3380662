"""Brings the embeddings of a collection into another engine, and searches there.

    python engines.py faiss|lance|duckdb|postgresql COLLECTION ID [--part concat] [--place PATH_OR_DSN] [--lift lift]

COLLECTION is a file of `lift embed` (for a dataset: `lift merge all.parquet out/` first). The ten rows that are most similar to the row ID
are printed, with their cosines. With --lift, `lift search` is asked too, and a difference ends the script with 1. Each engine wants its
library: faiss-cpu, pylance, duckdb, or psycopg and a PostgreSQL with the extension pgvector.
"""

import argparse
import csv
import subprocess
import sys
import tempfile

import numpy as np
from load import load


def faiss(ids, unit, query, top, place):
    """An index in memory; faiss.write_index keeps it."""
    import faiss

    index = faiss.IndexFlatIP(unit.shape[1])
    index.add(unit)
    if place:
        faiss.write_index(index, place)
    scores, rows = index.search(query[None], top)
    return [(ids[row], float(score)) for row, score in zip(rows[0], scores[0])]


def lance(ids, unit, query, top, place):
    """A Lance dataset with a column of vectors; without an index the search is exact."""
    import lance
    import pyarrow as pa

    vectors = pa.FixedSizeListArray.from_arrays(pa.array(unit.ravel()), unit.shape[1])
    table = pa.table({"id": ids, "vector": vectors})
    dataset = lance.write_dataset(table, place or tempfile.mkdtemp() + "/clips.lance", mode="overwrite")
    found = dataset.to_table(nearest={"column": "vector", "q": query, "k": top, "metric": "cosine"})
    return list(zip(found["id"].to_pylist(), (1 - found["_distance"].to_numpy()).tolist()))


def duckdb(ids, unit, query, top, place):
    """A table in a DuckDB file, or in memory."""
    import duckdb
    import pyarrow as pa

    width = unit.shape[1]
    clips = pa.table({"id": ids, "vector": pa.FixedSizeListArray.from_arrays(pa.array(unit.ravel()), width)})
    connection = duckdb.connect(place or ":memory:")
    connection.register("arrived", clips)
    connection.execute(f"create or replace table clips as select id, vector::float[{width}] as vector from arrived")
    asked = f"select id, array_cosine_similarity(vector, ?::float[{width}]) as score from clips order by score desc, id limit ?"
    return connection.execute(asked, [query.tolist(), top]).fetchall()


def postgresql(ids, unit, query, top, place):
    """A table with pgvector; add an index (hnsw) for more rows than a scan can do."""
    import psycopg

    def text(vector):
        return "[" + ",".join(repr(float(x)) for x in vector) + "]"

    with psycopg.connect(place or "dbname=postgres") as connection:
        connection.execute("create extension if not exists vector")
        connection.execute("drop table if exists clips")
        connection.execute(f"create table clips (id text primary key, vector vector({unit.shape[1]}))")
        with connection.cursor().copy("copy clips from stdin") as copy:
            for id, vector in zip(ids, unit):
                copy.write_row((id, text(vector)))
        asked = "select id, 1 - (vector <=> %s::vector) from clips order by vector <=> %s::vector, id limit %s"
        return connection.execute(asked, [text(query), text(query), top]).fetchall()


ENGINES = {"faiss": faiss, "lance": lance, "duckdb": duckdb, "postgresql": postgresql}


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("engine", choices=ENGINES)
    parser.add_argument("collection")
    parser.add_argument("id")
    parser.add_argument("--part", default="concat")
    parser.add_argument("--place", help="where the engine keeps the rows: a file, a folder, or how to connect")
    parser.add_argument("--lift", help="the program to compare with")
    args = parser.parse_args()
    ids, array = load(args.collection, args.part)
    rows = array.reshape(len(ids), -1).astype(np.float32)
    unit = rows / np.maximum(np.linalg.norm(rows, axis=1, keepdims=True), 1e-30)
    query = unit[ids.index(args.id)]
    # The row itself is left out, as lift does.
    found = [hit for hit in ENGINES[args.engine](ids, unit, query, 11, args.place) if hit[0] != args.id][:10]
    for rank, (id, score) in enumerate(found, 1):
        print(f"{rank:2}  {score:.6f}  {id}")
    if args.lift:
        with tempfile.NamedTemporaryFile(suffix=".csv") as answer:
            by = {"concat": "all"}.get(args.part, args.part)
            command = [args.lift, "search", args.collection, "--id", args.id, "--by", by, "-o", answer.name, "--overwrite"]
            subprocess.run(command, check=True)
            with open(answer.name, newline="") as file:
                own = [(line["id"], float(line["score"])) for line in csv.DictReader(file)]
        same = [id for id, _ in own] == [id for id, _ in found]
        close = len(own) == len(found) and max(abs(a[1] - b[1]) for a, b in zip(own, found)) < 1e-5
        print("the same ten as lift search" if same and close else f"lift search has {own}")
        sys.exit(not (same and close))


if __name__ == "__main__":
    main()
