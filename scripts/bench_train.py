#!/usr/bin/env python3
"""Times `lift train` beside PyTorch on the same batches, in turns, and compares their losses.

    python3 scripts/bench_train.py [--lift target/release/lift] [--width 384] [--batch 128] [--steps N] [--rounds 3]

The first run makes an environment outside the repository (`--env`) and installs PyTorch from PyPI; on Linux this takes about 5 GB,
because PyPI's PyTorch brings CUDA. `bench_peers.py` uses the same environment.

Both train the paper's model (4 layers, 8 heads, torch's Adam with weight decay 1e-5, rate 1e-4) from the same weights on the
same features, in the order `lift train` shuffles them, f32 on `--threads` threads. A round is an epoch of `--steps` steps of
each, with dropout. Only the steps are timed: reading features, starting and checkpoints are left out on both sides. Before the rounds,
an epoch without dropout shows that both compute the same: it prints the largest difference between their losses of one step.

On a GPU (`--device cuda`) a process first loads and compiles its kernels. There the time of lift is that of an epoch, minus that of an
epoch with a tenth of the steps.
"""

import argparse
import json
import os
import pathlib
import statistics
import subprocess
import sys
import tempfile
import time
import venv

ROOT = pathlib.Path(__file__).resolve().parents[1]
PACKAGES = ["numpy", "safetensors", "torch"]
FRAMES, LAYERS, HEADS, MAX_LEN = 16, 4, 8, 64
SEED = 3


def default_env():
    if sys.platform == "darwin":
        cache = pathlib.Path.home() / "Library" / "Caches"
    else:
        cache = pathlib.Path(os.environ.get("XDG_CACHE_HOME") or pathlib.Path.home() / ".cache")
    return cache / "lift" / "bench-peers"


def enter(env):
    """Goes on in the environment's interpreter."""
    python = env / "bin" / "python"
    if not python.exists():
        print(f"making an environment in {env}", file=sys.stderr)
        try:
            venv.create(env, with_pip=True)
        except (ImportError, subprocess.CalledProcessError):
            python.unlink(missing_ok=True)  # or the next run would take half an environment for a whole one
            sys.exit("Python makes no environment here: its venv module lacks ensurepip (Debian, Ubuntu: apt-get install python3-venv)")
    missing = [p for p in PACKAGES if subprocess.run([python, "-c", f"import {p}"], capture_output=True).returncode]
    if missing:
        print(f"installing {' '.join(missing)}", file=sys.stderr)
        subprocess.run([python, "-m", "pip", "install", "-q", *missing], check=True)
    os.execv(python, [str(python), __file__, *sys.argv[1:], "--inside"])


# ---------------------------------------------------------------- the order of lift's shuffling

WORD = (1 << 64) - 1
STRIDE = 0x9E3779B97F4A7C15


def mix(z):
    z = ((z ^ (z >> 30)) * 0xBF58476D1CE4E5B9) & WORD
    z = ((z ^ (z >> 27)) * 0x94D049BB133111EB) & WORD
    return z ^ (z >> 31)


def order(count, seed, epoch):
    """The clips of an epoch in the order of `src/train/random.rs`."""
    shuffle, key = 2, STRIDE
    for word in (seed, shuffle, epoch):
        key = mix((key + mix((word + STRIDE) & WORD)) & WORD)
    rows = list(range(count))
    for last in range(count - 1, 0, -1):
        other = mix((key + (last + 1) * STRIDE) & WORD) % (last + 1)
        rows[last], rows[other] = rows[other], rows[last]
    return rows


# ---------------------------------------------------------------- the model in PyTorch


def make_model(width, dropout):
    """The auto-encoder under the names of the published checkpoint."""
    import torch
    from torch import nn

    class Positions(nn.Module):
        def __init__(self):
            super().__init__()
            at = torch.arange(MAX_LEN)[:, None] * torch.exp(torch.arange(0, width, 2) * (-torch.log(torch.tensor(1e4)) / width))
            self.register_buffer("pe", torch.stack([at.sin(), at.cos()], 2).reshape(1, MAX_LEN, width))

    class Encoder(nn.Module):
        def __init__(self):
            super().__init__()
            self.input_proj = nn.Linear(width, width)
            self.pos_encoder = Positions()
            self.cls_static, self.cls_dynamic = (nn.Parameter(torch.randn(1, 1, width)) for _ in range(2))
            layer = nn.TransformerEncoderLayer(width, HEADS, 4 * width, dropout, batch_first=True, norm_first=True)
            self.transformer = nn.TransformerEncoder(layer, LAYERS, enable_nested_tensor=False)
            self.static_proj, self.dynamic_proj = nn.Linear(width, width), nn.Linear(width, width)
            self.static_norm, self.dynamic_norm = nn.LayerNorm(width), nn.LayerNorm(width)

        def forward(self, x):
            tokens = [t.expand(len(x), -1, -1) for t in (self.cls_static, self.cls_dynamic)]
            y = self.transformer(torch.cat([*tokens, self.input_proj(x) + self.pos_encoder.pe[:, : x.shape[1]]], 1))
            return self.static_norm(self.static_proj(y[:, 0])), self.dynamic_norm(self.dynamic_proj(y[:, 1]))

    class Decoder(nn.Module):
        def __init__(self):
            super().__init__()
            linear, norm = nn.Linear, nn.LayerNorm
            self.model = nn.Sequential(
                linear(width, 2 * width), norm(2 * width), nn.GELU(),
                linear(2 * width, 2 * width), norm(2 * width), nn.GELU(), linear(2 * width, width),
            )

    class Lift(nn.Module):
        def __init__(self):
            super().__init__()
            self.encoder, self.decoder = Encoder(), Decoder()

        def loss(self, x):
            static, dynamic = self.encoder(x)
            t = torch.linspace(0, 1, x.shape[1], device=x.device)[None, :, None]
            decoded = self.decoder.model(static[:, None] + t * dynamic[:, None])
            cosine = nn.functional.cosine_similarity(static, dynamic, dim=-1)
            return nn.functional.mse_loss(decoded, x) + 0.1 * cosine.abs().mean()

    return Lift()


def torch_epoch(args, features, weights, dropout):
    """Losses of the steps, and their seconds."""
    import torch

    torch.set_num_threads(args.threads)
    model = make_model(args.width, dropout)
    model.load_state_dict(weights)
    device = "cpu" if args.device == "cpu-batched" else args.device
    model.to(device)
    model.train()
    adam = torch.optim.Adam(model.parameters(), lr=1e-4, weight_decay=1e-5)
    rows = order(len(features), SEED, 1)
    losses, began = [], time.perf_counter()
    for start in range(0, len(rows), args.batch):
        batch = torch.from_numpy(features[rows[start : start + args.batch]]).to(device)
        adam.zero_grad()
        loss = model.loss(batch)
        loss.backward()
        adam.step()
        losses.append(loss.item())
    return losses, time.perf_counter() - began


def lift_epoch(args, folder, dropout, features="frames.npy"):
    with tempfile.TemporaryDirectory() as out:
        flags = f"--epochs 1 --batch-size {args.batch} --held-out 0 --log-every 1 --seed {SEED} --dropout {dropout}"
        command = [args.lift, "train", folder / features, "-o", out, "--init", folder / "init.safetensors", "--quiet"]
        subprocess.run([*command, *flags.split(), "--threads", str(args.threads), "--device", args.device], check=True)
        records = [json.loads(line) for line in open(pathlib.Path(out) / "log.jsonl")]
    losses = [r["loss"]["total"] for r in records if r["what"] == "step"]
    return losses, next(r["seconds"] for r in records if r["what"] == "epoch")


def bench(args):
    import numpy as np
    import torch
    from safetensors.torch import save_file

    with tempfile.TemporaryDirectory() as folder:
        folder = pathlib.Path(folder)
        rng = np.random.default_rng(SEED)
        clips = args.batch * args.steps
        along = np.linspace(0, 1, FRAMES)[None, :, None] * rng.standard_normal((clips, 1, args.width))
        features = (rng.standard_normal((clips, 1, args.width)) + along).astype("<f4")
        np.save(folder / "frames.npy", features)
        short = 0 if args.device == "cpu" else max(1, args.steps // 10)
        if short:
            np.save(folder / "short.npy", features[: short * args.batch])
        torch.manual_seed(SEED)
        weights = make_model(args.width, 0.0).state_dict()
        tensors = {f"model.{name}": tensor.contiguous() for name, tensor in weights.items()}
        save_file(tensors, folder / "init.safetensors", {"num_heads": str(HEADS)})

        ours, theirs = lift_epoch(args, folder, 0.0)[0], torch_epoch(args, features, weights, 0.0)[0]
        apart = max(abs(a - b) for a, b in zip(ours, theirs, strict=True))
        rounds = []
        for _ in range(args.rounds):
            seconds = lift_epoch(args, folder, 0.1)[1]
            if short:
                seconds -= lift_epoch(args, folder, 0.1, "short.npy")[1]
            lift = (args.steps - short) / seconds
            rounds.append((lift, args.steps / torch_epoch(args, features, weights, 0.1)[1]))
    lift, torch_ = (statistics.median(column) for column in zip(*rounds))
    ratio = statistics.median(a / b for a, b in rounds)
    print(f"batch {args.batch} x {FRAMES} x {args.width}, {args.device}, {args.threads} threads, PyTorch {torch.__version__}")
    print(f"steps per second: lift {lift:.2f}, PyTorch {torch_:.2f}; lift is {ratio:.2f} times as fast")
    print(f"losses of {args.steps} steps without dropout: at most {apart:.1e} apart")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--lift", type=pathlib.Path, default=ROOT / "target" / "release" / "lift")
    parser.add_argument("--env", type=pathlib.Path, default=default_env())
    parser.add_argument("--width", type=int, default=384, help="of a feature and of each code")
    parser.add_argument("--batch", type=int, default=128)
    parser.add_argument("--steps", type=int, help="of an epoch (default: 12, on a GPU 100)")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--device", default="cpu", help="cpu, cuda or cuda:N, for both; cpu-batched: lift by a GPU's operations")
    parser.add_argument("--threads", type=int, default=os.cpu_count())
    parser.add_argument("--inside", action="store_true", help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.steps is None:
        args.steps = 12 if args.device == "cpu" else 100
    bench(args) if args.inside else enter(args.env)


if __name__ == "__main__":
    main()
