"""Prints the clips nearest to one clip, by cosine: `python nearest.py clips.npz ID`."""

import sys

import numpy as np
from load import load

path, query = sys.argv[1:3]
ids, z = load(path)
z = z / np.linalg.norm(z, axis=1, keepdims=True)
cosine = z @ z[ids.index(query)]
for at in np.argsort(-cosine, kind="stable")[:6]:
    print(f"{cosine[at]:.3f}  {ids[at]}")
