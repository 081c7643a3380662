#!/usr/bin/env python3
"""Writes the fuzzer's seeds: small, valid files of each kind. A first byte chooses the variant of the target.

    scripts/fuzz_seeds.py TARGET FOLDER

It needs the standard library only. The program itself writes the files of rows (LIFT names it; default target/release/lift).
"""

import io
import json
import math
import os
import subprocess
import sys
import tempfile
import zipfile
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
LIFT = os.environ.get("LIFT", str(ROOT / "target/release/lift"))
VARIANTS = {"weights": [0, 1, 0x87], "clip": [0, 1, 2, 8, 16, 32, 33], "csv": [0, 1, 2], "list": [0, 1, 2]}


def rows(kind):
    """The rows of two bundled clips, static codes only: small."""
    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder) / f"x.{kind}"
        clips = [str(ROOT / "assets/clips" / name) for name in ("ball_rising.mp4", "door_closing.webm")]
        part = "concat" if kind != "jsonl" else "static"
        subprocess.run([LIFT, "embed", "-q", "--model", "mini", "--parts", part, "-o", str(out), *clips], check=True)
        return [out.read_bytes()]


def npy(descr, shape, values):
    head = f"{{'descr': '{descr}', 'fortran_order': False, 'shape': {shape}, }}\n".encode()
    return b"\x93NUMPY\x01\x00" + len(head).to_bytes(2, "little") + head + values


def npz():
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("ids.npy", npy("<U3", "(2,)", "aü\0b\0\0".encode("utf-32-le")))
        archive.writestr("concat.npy", npy("<f4", "(2, 2)", b"\0\0\x80\x3f" * 4))
    return [out.getvalue(), *rows("npz")]


def checkpoint():
    """The golden checkpoint without most of its numbers: the pickle and the archive's structure are what matters."""
    whole = (ROOT / "tests/data/golden/lift_tiny.ckpt").read_bytes()
    out = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(whole)) as archive, zipfile.ZipFile(out, "w") as small:
        for name in archive.namelist():
            data = archive.read(name)
            if name.endswith("data.pkl") or len(data) <= 16:
                small.writestr(name, data)
    return [out.getvalue()]


def small_safetensors():
    header = b'{"concat":{"dtype":"F32","shape":[2,1],"data_offsets":[0,8]},"__metadata__":{"ids":"[\\"a\\",\\"b\\"]"}}'
    return len(header).to_bytes(8, "little") + header + b"\0\0\x80\x3f" * 2


def tiny_weights():
    """Every tensor of whole models, each axis cut to four at most."""
    files = []
    for name in ("tests/data/golden/lift_tiny.safetensors", "tests/data/golden/dinov2_tiny_random.safetensors"):
        whole = (ROOT / name).read_bytes()
        header = json.loads(whole[8 : 8 + int.from_bytes(whole[:8], "little")])
        tensors, end = {}, 0
        for tensor in sorted(set(header) - {"__metadata__"}):
            shape = [min(size, 4) for size in header[tensor]["shape"]]
            start, end = end, end + 4 * math.prod(shape)
            tensors[tensor] = {"dtype": "F32", "shape": shape, "data_offsets": [start, end]}
        text = json.dumps({"__metadata__": {"num_heads": "2"}, **tensors}).encode()
        files.append(len(text).to_bytes(8, "little") + text + bytes(end))
    return [*files, small_safetensors()]


def clips():
    folder = ROOT / "tests/data/clips"
    return [path.read_bytes() for path in sorted(folder.iterdir()) if path.suffix != ".md"]


def texts(target):
    cia = ROOT / "tests/data/cia"
    files = [path.read_bytes()[:4000] for path in sorted(cia.glob("*.csv"))]
    if target == "csv":
        files.append(b"index,row,id,path,status,frames,fps,duration,start,end,stage,error\n0,0,a,a.mp4,ok,16,25,1,,,,\n")
        files.append(b"id,chiral_triplet_id,chiral_label,video,start,end\n1,t,1.0,v,0:01,0:02\n2,t,0.0,v.mp4,1,2\n")
    else:
        files = [b"id,path,start,end\n7,a b.mp4,1,2.5\n,c.mp4,,\n", b"a.mp4\nb/*.mp4\n#c\n", b"path\tid\na\t1\n", b"a\0b\0"]
    return files


def seeds(target):
    if target in ("csv", "list"):
        return texts(target)
    makers = {
        "checkpoint": checkpoint,
        "weights": tiny_weights,
        "npz": npz,
        "npy": lambda: [npy("<f8", "(1, 2)", b"\0" * 16), *rows("npy")],
        "safetensors": lambda: [small_safetensors(), *rows("safetensors")],
        "clip": clips,
    }
    return makers[target]() if target in makers else rows(target)


def main():
    if len(sys.argv) != 3:
        sys.exit(__doc__)
    target, folder = sys.argv[1], Path(sys.argv[2])
    folder.mkdir(parents=True, exist_ok=True)
    for number, data in enumerate(seeds(target)):
        for variant in VARIANTS.get(target, [0, 1, 2]):
            (folder / f"seed-{number}-{variant}").write_bytes(bytes([variant]) + data)


if __name__ == "__main__":
    main()
