#!/usr/bin/env python3
"""Makes the bundled pair of models, assets/mini/{dinov2,lift}.safetensors (needs numpy only).

    python3 scripts/make_mini.py [OUT_DIR]

Both are random with a fixed seed. The frame encoder is never trained; `lift train` trains LiFT afterwards. They are for trying the
program, not for results.

The frame encoder has the shape of DINOv2 with registers (timm names): 4 blocks, 128 wide, 4 heads of 32, patches of 14,
positions on a 16x16 grid, so a frame of 224 px needs no resampling. At width 192 the pair would take 8 MB instead of 4.
The 128 random features tell where a shape is and how large it is (`check` below says how well), which is enough for the synthetic
clips. Three choices make them useful although nothing is learnt:
- patch filters are smooth (random mixtures of the lowest cosines), so that they respond to light and colour, not to noise;
- positions are random Fourier features of low frequency, so that a moving shape gives a smooth path;
- the final norm is centred on the mean over synthetic pictures, so that the differences between pictures are not small beside a constant.

Matrices are stored in half precision, vectors and the position tables in single precision. This halves the file, and random numbers
lose nothing by it. LiFT is initialised as PyTorch initialises it, with a table of 256 positions.
"""

import hashlib
import json
import math
import pathlib
import sys

import numpy as np

WIDTH, DEPTH, HEADS, PATCH, GRID, REGISTERS = 128, 4, 4, 14, 16, 4
LIFT_LAYERS, MAX_LEN = 4, 256
MEAN, STD = np.array([0.485, 0.456, 0.406]), np.array([0.229, 0.224, 0.225])
NOTE = "random weights with a fixed seed: for trying the program, not for results"


def dinov2(seed=14, width=WIDTH, depth=DEPTH, pos=1.0, pos_freq=1.2, pix=1.0, cut=3, qk=1.0, mlp=1.5, ls=0.7, cls=0.3):
    """The frame encoder's tensors under timm's names, f32."""
    rng = np.random.RandomState(seed)  # the one generator of numpy whose stream never changes

    def normal(*shape, std=1.0):
        return rng.standard_normal(shape) * std

    def matrix(rows, cols, gain=1.0):
        return normal(rows, cols, std=gain / math.sqrt(cols))

    # Filters: cosines (i, j) with i + j < cut, over a patch and three colours, scaled to an output of variance pix^2.
    k = np.arange(PATCH) + 0.5
    waves = np.stack(
        [np.outer(np.cos(math.pi * i * k / PATCH), np.cos(math.pi * j * k / PATCH)) / (1 + i + j)
         for i in range(cut) for j in range(cut - i)]
    )
    filters = np.einsum("dcw,wyx->dcyx", normal(width, 3, len(waves)), waves)
    filters *= pix / np.sqrt((filters.sum((2, 3)) ** 2).sum(1)).mean()

    # Positions: cosines of random low frequency and phase over the unit square.
    y, x = np.meshgrid(*[(np.arange(GRID) + 0.5) / GRID] * 2, indexing="ij")
    angle = np.einsum("fd,fn->nd", normal(2, width, std=pos_freq * math.pi), np.stack([y.ravel(), x.ravel()]))
    positions = pos * math.sqrt(2) * np.cos(angle + rng.uniform(0, 2 * math.pi, width))

    tensors = {
        "cls_token": normal(1, 1, width, std=cls),
        "reg_token": normal(1, REGISTERS, width, std=cls),
        "pos_embed": positions[None],
        "patch_embed.proj.weight": filters,
        "patch_embed.proj.bias": normal(width, std=0.3),
    }
    for i in range(depth):
        block = {
            "norm1.weight": np.ones(width),
            "norm1.bias": np.zeros(width),
            "attn.qkv.weight": np.concatenate([matrix(2 * width, width, qk), matrix(width, width, 2.0)]),
            "attn.qkv.bias": np.zeros(3 * width),
            "attn.proj.weight": matrix(width, width, 2.0),
            "attn.proj.bias": np.zeros(width),
            "ls1.gamma": np.full(width, ls),
            "norm2.weight": np.ones(width),
            "norm2.bias": np.zeros(width),
            "mlp.fc1.weight": matrix(4 * width, width, mlp),
            "mlp.fc1.bias": normal(4 * width, std=0.5),
            "mlp.fc2.weight": matrix(width, 4 * width, mlp),
            "mlp.fc2.bias": np.zeros(width),
            "ls2.gamma": np.full(width, ls),
        }
        tensors |= {f"blocks.{i}.{name}": a for name, a in block.items()}
    tensors |= {"norm.weight": np.ones(width), "norm.bias": np.zeros(width)}
    return {name: a.astype("<f4") for name, a in tensors.items()}


def lift(seed=15, width=WIDTH, layers=LIFT_LAYERS, max_len=MAX_LEN):
    """LiFT's tensors under the names of a Lightning state_dict, f32, as PyTorch initialises them."""
    rng = np.random.RandomState(seed)
    tensors = {}

    def linear(name, rows, cols):
        bound = 1 / math.sqrt(cols)
        tensors[name + ".weight"] = rng.uniform(-bound, bound, (rows, cols))
        tensors[name + ".bias"] = rng.uniform(-bound, bound, rows)

    def norm(name, width):
        tensors[name + ".weight"], tensors[name + ".bias"] = np.ones(width), np.zeros(width)

    encoder, decoder = "model.encoder.", "model.decoder.model."
    for code in ("static", "dynamic"):
        tensors[f"{encoder}cls_{code}"] = rng.standard_normal((1, 1, width))
    linear(encoder + "input_proj", width, width)
    angle = np.arange(max_len)[:, None] * np.exp(np.arange(0, width, 2) * (-math.log(10000.0) / width))
    table = np.zeros((1, max_len, width))
    table[0, :, 0::2], table[0, :, 1::2] = np.sin(angle), np.cos(angle)
    tensors[encoder + "pos_encoder.pe"] = table
    for i in range(layers):
        layer = f"{encoder}transformer.layers.{i}."
        bound = math.sqrt(6 / (3 * width + width))  # Xavier: fan_in + fan_out of the packed matrix
        tensors[layer + "self_attn.in_proj_weight"] = rng.uniform(-bound, bound, (3 * width, width))
        tensors[layer + "self_attn.in_proj_bias"] = np.zeros(3 * width)
        linear(layer + "self_attn.out_proj", width, width)
        tensors[layer + "self_attn.out_proj.bias"] = np.zeros(width)
        linear(layer + "linear1", 4 * width, width)
        linear(layer + "linear2", width, 4 * width)
        norm(layer + "norm1", width)
        norm(layer + "norm2", width)
    for code in ("static", "dynamic"):
        linear(f"{encoder}{code}_proj", width, width)
        norm(f"{encoder}{code}_norm", width)
    linear(decoder + "0", 2 * width, width)
    norm(decoder + "1", 2 * width)
    linear(decoder + "3", 2 * width, 2 * width)
    norm(decoder + "4", 2 * width)
    linear(decoder + "6", width, 2 * width)
    return {name: a.astype("<f4") for name, a in tensors.items()}


def layer_norm(x, weight, bias, eps=1e-6):
    x = x - x.mean(-1, keepdims=True)
    return x / np.sqrt((x * x).mean(-1, keepdims=True) + eps) * weight + bias


def gelu(x):
    """The exact GELU; erf by Abramowitz and Stegun 7.1.26 (error below 1.5e-7), since numpy has none."""
    z = np.abs(x) / math.sqrt(2)
    t = 1 / (1 + 0.3275911 * z)
    poly = t * (0.254829592 + t * (-0.284496736 + t * (1.421413741 + t * (-1.453152027 + t * 1.061405429))))
    return 0.5 * x * (1 + np.sign(x) * (1 - poly * np.exp(-z * z)))


def features(tensors, pictures, heads=HEADS):
    """Class tokens (B, D) of pictures (B, 224, 224, 3) in [0, 1]: a plain forward pass, written to be read."""
    t = {name: a.astype("f8") for name, a in tensors.items()}
    count, width = len(pictures), t["cls_token"].shape[-1]
    x = ((pictures - MEAN) / STD).reshape(count, GRID, PATCH, GRID, PATCH, 3).transpose(0, 1, 3, 5, 2, 4)
    x = x.reshape(count, GRID * GRID, -1) @ t["patch_embed.proj.weight"].reshape(width, -1).T
    x = x + t["patch_embed.proj.bias"] + t["pos_embed"]
    prefix = np.concatenate([t["cls_token"], t["reg_token"]], 1)
    x = np.concatenate([np.repeat(prefix, count, 0), x], 1)
    for i in range(DEPTH):
        b = {name.split(".", 2)[2]: a for name, a in t.items() if name.startswith(f"blocks.{i}.")}
        h = layer_norm(x, b["norm1.weight"], b["norm1.bias"]) @ b["attn.qkv.weight"].T + b["attn.qkv.bias"]
        q, k, v = h.reshape(count, -1, 3, heads, width // heads).transpose(2, 0, 3, 1, 4)
        scores = q @ k.swapaxes(-1, -2) / math.sqrt(width // heads)
        scores = np.exp(scores - scores.max(-1, keepdims=True))
        h = (scores / scores.sum(-1, keepdims=True) @ v).swapaxes(1, 2).reshape(x.shape)
        x = x + b["ls1.gamma"] * (h @ b["attn.proj.weight"].T + b["attn.proj.bias"])
        h = layer_norm(x, b["norm2.weight"], b["norm2.bias"]) @ b["mlp.fc1.weight"].T + b["mlp.fc1.bias"]
        x = x + b["ls2.gamma"] * (gelu(h) @ b["mlp.fc2.weight"].T + b["mlp.fc2.bias"])
    return layer_norm(x[:, 0], t["norm.weight"], t["norm.bias"])


def pictures(seed, count, size=PATCH * GRID):
    """Light discs on darker, striped grounds (B, 224, 224, 3), and where they lie: x, y, radius in parts of the side."""
    rng = np.random.RandomState(seed)
    y, x = np.mgrid[0:size, 0:size] / size
    shots, truth = [], []
    for _ in range(count):
        px, py, radius = rng.uniform(0.2, 0.8), rng.uniform(0.2, 0.8), rng.uniform(0.06, 0.2)
        inside = np.clip((radius - np.hypot(x - px, y - py)) * size + 0.5, 0, 1)[..., None]

        def texture(low, high):
            turn, pitch, phase = rng.uniform(0, math.pi), rng.uniform(10, 80), rng.uniform(0, 6)
            wave = np.sin(pitch * (math.cos(turn) * x + math.sin(turn) * y) + phase)[..., None]
            return low + (high - low) * np.clip(rng.uniform(0.2, 0.8, 3) + 0.2 * wave, 0, 1)

        shots.append(texture(0.0, 0.5) * (1 - inside) + texture(0.6, 1.0) * inside)
        truth.append((px, py, radius))
    return np.array(shots), np.array(truth)


def centre(tensors):
    """Sets the final norm so that features have mean 0 and variance 1 over synthetic pictures.

    The token's constant part is an order of magnitude larger than what pictures change in it. The numbers are rounded so that
    another machine's last bits do not change the file.
    """
    seen = features(tensors, pictures(1, 64)[0])
    gain = np.round(1 / seen.std(0).mean(), 1)
    tensors["norm.weight"] = np.full(seen.shape[1], gain, "<f4")
    tensors["norm.bias"] = np.round(-gain * seen.mean(0), 2).astype("<f4")


def check(tensors):
    """Prints what fresh pictures do to the features; stops the script if they are degenerate."""
    shots, truth = pictures(2, 192)
    f = features(tensors, shots)
    unit = f / np.linalg.norm(f, axis=1, keepdims=True)
    alike = (unit @ unit.T)[~np.eye(len(f), dtype=bool)]
    train, test = slice(0, 128), slice(128, None)
    mean, target = f[train].mean(0), truth[train].mean(0)
    a = f[train] - mean
    w = np.linalg.solve(a.T @ a + 10 * np.eye(a.shape[1]), a.T @ (truth[train] - target))
    left = truth[test] - ((f[test] - mean) @ w + target)
    r2 = 1 - (left**2).mean(0) / truth[test].var(0)
    print(f"features: spread {f.std(0).mean():.2f} per number, cosine between two pictures {alike.mean():+.2f} +- {alike.std():.2f}")
    print("read off by ridge, R2: x %.2f, y %.2f, radius %.2f" % tuple(r2))
    if alike.mean() > 0.5 or r2.min() < 0.5:
        sys.exit("the features are degenerate: they hardly depend on the picture")


def is_matrix(name, tensor):
    """Whether it is stored in half precision: neither a vector, whatever its rank, nor a table of positions."""
    return max(tensor.shape) < tensor.size and not name.endswith(("pos_embed", ".pe"))


def write(path, tensors, metadata, half=True):
    """A safetensors file, matrices as f16 if `half`; f32 comes first, so that every tensor is aligned."""
    stored = {name: a.astype("<f2") if half and is_matrix(name, a) else a for name, a in tensors.items()}
    stored = dict(sorted(stored.items(), key=lambda item: (-item[1].itemsize, item[0])))
    header, offset = {"__metadata__": metadata}, 0
    for name, a in stored.items():
        dtype = {2: "F16", 4: "F32"}[a.itemsize]
        header[name] = {"dtype": dtype, "shape": list(a.shape), "data_offsets": [offset, offset + a.nbytes]}
        offset += a.nbytes
    head = json.dumps(header, separators=(",", ":")).encode()
    head += b" " * (-len(head) % 8)
    data = b"".join([len(head).to_bytes(8, "little"), head, *(a.tobytes() for a in stored.values())])
    path.write_bytes(data)
    print(f"{path}  {len(data) / 1e6:.1f} MB  sha256 {hashlib.sha256(data).hexdigest()[:16]}")


def main():
    if len(sys.argv) > 2 or any(a.startswith("-") for a in sys.argv[1:]):
        sys.exit(__doc__)
    out = pathlib.Path(sys.argv[1] if len(sys.argv) == 2 else pathlib.Path(__file__).parents[1] / "assets" / "mini")
    out.mkdir(parents=True, exist_ok=True)
    backbone = dinov2()
    centre(backbone)
    check(backbone)
    note = {"format": "pt", "lift.model": "mini", "lift.note": NOTE}
    write(out / "dinov2.safetensors", backbone, note | {"num_heads": str(HEADS)})
    write(out / "lift.safetensors", lift(), note)


if __name__ == "__main__":
    main()
