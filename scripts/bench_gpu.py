#!/usr/bin/env python3
"""Compares the speed of lift and of PyTorch on one GPU, and checks lift's features against those of the CPU.

    scripts/build_cuda.sh && python3 scripts/bench_gpu.py [--json]

Sections (`--only` picks some):

  parity   compares lift embed on the GPU in each precision with lift embed on the CPU in f32, for one clip and random full-size
           weights. With LIFT_SHARED it also compares with the golden features of the authors' code. f32 must agree within 1e-3,
           bf16 and f16 with a cosine above 0.999; anything else is an error.
  encoder  measures frames per second of the frame encoder alone, by batch and precision: lift, PyTorch eager, PyTorch compiled.
           The frames are on the GPU already, and the time ends when all passes are done. The programs run in turns, `--rounds`
           times. The figures are medians over the rounds; the ratios are medians of the ratio of each round. `from memory` is
           lift from frames in the host's memory to features in the host's memory. `peak` is the share of the speed that the
           matrix library reaches on one product of 8192 x 8192 in the same run.
  embed    measures lift embed of many clips as a whole process, with decoding; `running` leaves out the time for one clip.
  train    measures steps per second of lift train and PyTorch, with bench_train.py.

If a section fails, the script says so, continues with the next one, and ends with an error. PyTorch is installed from PyPI into the
environment that bench_peers.py uses. `--device cpu` runs the same on the CPU, to test the script where there is no GPU; with `--tiny`
this takes minutes, and the figures mean nothing.
"""

import argparse
import json
import os
import pathlib
import shutil
import statistics
import subprocess
import sys
import tempfile
import time

sys.dont_write_bytecode = True  # the repository stays as it is
from bench_peers import ROOT, default_env, env_python, say, timed

PRECISIONS = ("f32", "bf16", "f16")
SECTIONS = ("parity", "encoder", "embed", "train")


class Failed(Exception):
    """A part of the measurements that cannot be had, and why."""


def lift(args, *words):
    """Runs lift and gives what it printed; an error has lift's words."""
    run = subprocess.run([str(word) for word in (args.lift, *words)], capture_output=True, text=True)
    if run.returncode:
        raise Failed(f"lift {words[0]} failed: {run.stderr.strip()}")
    return run.stdout


def where(args, precision):
    """The flags that put lift on the device in question."""
    return ["--device", "cpu-batched" if args.device == "cpu" else args.device, "--precision", precision]


# ---------------------------------------------------------------- parity


def features(args, clip, weights, *flags):
    import numpy as np

    with tempfile.TemporaryDirectory() as folder:
        out = pathlib.Path(folder) / "x.npy"
        lift(args, "embed", "-q", clip, "--parts", "frames", "--dinov2", weights, "-o", out, *flags)
        return np.load(out)[0]


def parity(args):
    import numpy as np
    from safetensors.numpy import load_file

    cases = [("the CPU in f32", args.clip, args.weights, features(args, args.clip, args.weights, "--device", "cpu"))]
    if shared := os.environ.get("LIFT_SHARED"):
        shared, made = pathlib.Path(shared), args.env / "weights" / "golden"
        if not made.exists():
            subprocess.run([sys.executable, shared / "golden" / "make_full_weights.py", made], check=True)
        golden = load_file(shared / "golden" / "full_76198_16.safetensors")["dino"]
        weights = made / "dinov2_vits14_reg4_random.safetensors"
        cases.append(("the authors' code", shared / "videos" / "76198.webm", weights, golden.reshape(16, -1)))
    rows = []
    for name, clip, weights, want in cases:
        for precision in args.precisions:
            got = features(args, clip, weights, *where(args, precision))
            norms = np.linalg.norm(got, axis=1) * np.linalg.norm(want, axis=1)
            row = {"against": name, "precision": precision, "max_abs_diff": float(np.abs(got - want).max())}
            row["min_cosine"] = float(((got * want).sum(1) / norms).min())
            if not (row["max_abs_diff"] <= 1e-3 if precision == "f32" else row["min_cosine"] > 0.999):
                raise Failed(f"NO PARITY with {name} in {precision}: {row}")
            rows.append(row)
    return rows


# ---------------------------------------------------------------- the encoder


class Peer:
    """The frame encoder in PyTorch on the device."""

    def __init__(self, args, precision, batch, compiled):
        import torch
        from peer_process import pixels, vit

        torch.backends.cuda.matmul.allow_tf32 = torch.backends.cudnn.allow_tf32 = False
        dtype = {"f32": torch.float32, "bf16": torch.bfloat16, "f16": torch.float16}[precision]
        self.torch, self.cuda = torch, args.device != "cpu"
        model = vit(args.weights).to(args.device, dtype)
        self.model = torch.compile(model) if compiled else model
        self.x = torch.from_numpy(pixels(batch)).to(args.device, dtype)

    def seconds(self, repeat):
        """Of a pass: the median of `repeat`."""
        times = []
        with self.torch.inference_mode():
            for _ in range(repeat + 1):  # one to warm up, which also compiles
                start = time.perf_counter()
                self.model(self.x)
                if self.cuda:
                    self.torch.cuda.synchronize()
                times.append(time.perf_counter() - start)
        return statistics.median(times[1:])


def encoder(args):
    import torch

    rows = []
    for precision in args.precisions:
        for batch in args.batches:
            say(f"encoder, {precision}, batches of {batch}")
            peers = {"eager": Peer(args, precision, batch, False), "compiled": Peer(args, precision, batch, True)}
            rounds = {name: [] for name in ("eager", "compiled", "lift", "from memory")}
            peaks, flags = [], [*where(args, precision), "--batch", batch, "--repeat", args.repeat, "--dinov2", args.weights, "--json"]
            for _ in range(args.rounds):
                for name, peer in list(peers.items()):
                    try:
                        rounds[name].append(peer.seconds(args.repeat))
                    except Exception as why:  # whatever a compiler may raise
                        say(f"PyTorch {name} left out: {(str(why).strip() or repr(why)).splitlines()[0]}")
                        del peers[name]
                        rounds[name] = []
                if torch.cuda.is_available():
                    torch.cuda.empty_cache()
                if flags is None:
                    continue
                try:
                    report = json.loads(lift(args, "bench", *flags))
                except Failed as why:
                    say(f"lift left out: {why}")
                    flags, peaks, rounds["lift"], rounds["from memory"] = None, [], [], []
                    continue
                stage = next(s for s in report["stages"] if s["name"] == "frame encoder")
                rounds["lift"].append(stage["ms"] / 1e3 * batch / report["frames"])
                rounds["from memory"].append(batch / report["backbone"]["frames_per_s"])
                peaks.append((report["peak"]["gflops"], stage["peak_share"]))
            row = {"precision": precision, "batch": batch, "rounds_s": rounds}
            row["peak_gflops"], row["peak_share"] = (statistics.median(column) for column in zip(*peaks)) if peaks else (None, None)
            row["frames_per_s"] = {name: batch / statistics.median(v) for name, v in rounds.items() if v}
            for name in ("eager", "compiled"):
                ratios = [a / b for a, b in zip(rounds[name], rounds["lift"])]
                row[f"against_{name}"] = statistics.median(ratios) if ratios else None
            rows.append(row)
            del peers
    return rows


# ---------------------------------------------------------------- whole runs


def embed(args):
    rows = []
    with tempfile.TemporaryDirectory() as folder:
        folder = pathlib.Path(folder)
        (folder / "clips").mkdir()
        for i in range(args.clips):
            shutil.copyfile(args.clip, folder / "clips" / f"{i:05}{args.clip.suffix}")

        def seconds(clips, precision):
            command = [args.lift, "embed", "-q", clips, "--parts", "frames", "--dinov2", args.weights, "--overwrite"]
            command += ["-o", folder / "out.npy", *where(args, precision)]
            return statistics.median(timed(command)[0] for _ in range(args.rounds))

        for precision in args.precisions:
            say(f"embed, {precision}, {args.clips} clips")
            all_, one = seconds(folder / "clips", precision), seconds(args.clip, precision)
            row = {"precision": precision, "clips": args.clips, "median_s": all_, "one_clip_s": one}
            row["frames_per_s"] = 16 * args.clips / all_
            row["running_frames_per_s"] = 16 * (args.clips - 1) / (all_ - one) if all_ > one else None
            rows.append(row)
    return rows


def train(args):
    command = [sys.executable, ROOT / "scripts" / "bench_train.py", "--inside", "--lift", args.lift, *where(args, "f32")[:2]]
    command += ["--rounds", args.rounds]
    if args.tiny:
        command += ["--width", 64, "--batch", 16, "--steps", 4]
    run = subprocess.run([str(word) for word in command], capture_output=True, text=True)
    if run.returncode:
        raise Failed(f"bench_train.py failed: {run.stderr.strip()}")
    return run.stdout.strip().splitlines()


# ---------------------------------------------------------------- the report


def print_report(report):
    print(f"{report['device']}; {report['versions']}\n")
    cell = lambda value, form: "" if value is None else format(value, form)
    for row in report.get("parity", []):
        print(f"parity with {row['against']}, {row['precision']}: {row['max_abs_diff']:.1e} at most, cosine {row['min_cosine']:.6f} at least")
    if "encoder" in report:
        print("\n| frames/s | batch | PyTorch eager | compiled | lift | from memory | lift / eager | lift / compiled | peak |")
        print("| --- | ---: | ---: | ---: | ---: | ---: | ---: | ---: | ---: |")
    for r in report.get("encoder", []):
        speeds = " | ".join(cell(r["frames_per_s"].get(name), ".0f") for name in ("eager", "compiled", "lift", "from memory"))
        ratios = f"{cell(r['against_eager'], '.2f')} | {cell(r['against_compiled'], '.2f')}"
        peak = f"{100 * r['peak_share']:.0f} % of {r['peak_gflops'] / 1e3:.1f} TFLOP/s" if r["peak_share"] else ""
        print(f"| {r['precision']} | {r['batch']} | {speeds} | {ratios} | {peak} |")
    for r in report.get("embed", []):
        running = cell(r["running_frames_per_s"], ".0f")
        print(f"\nlift embed, {r['precision']}: {r['clips']} clips in {r['median_s']:.2f} s, one in {r['one_clip_s']:.2f} s, "
              f"{r['frames_per_s']:.0f} frames/s with decoding, {running} running")
    print("", *report.get("train", []), sep="\n")


def measure(args):
    import torch
    from peer_process import random_dinov2
    from safetensors.numpy import save_file

    if args.device != "cpu" and not torch.cuda.is_available():
        sys.exit("PyTorch finds no GPU here; --device cpu --tiny shows that the script works")
    if args.weights is None:
        args.weights = args.env / "weights" / "dinov2.safetensors"
        if not args.weights.exists():
            args.weights.parent.mkdir(parents=True, exist_ok=True)
            save_file(random_dinov2(), args.weights)
    name = "the CPU (figures mean nothing)" if args.device == "cpu" else torch.cuda.get_device_name(args.device)
    report = {"device": name, "versions": f"PyTorch {torch.__version__}, {lift(args, '--version').strip()}"}
    failed = []
    for section in args.only:
        try:
            report[section] = globals()[section](args)
        except Failed as why:
            failed.append(f"{section}: {why}")
            say(failed[-1])
    print(json.dumps(report | {"failed": failed}, indent=2)) if args.json else print_report(report)
    if failed:
        sys.exit("\n".join(failed))


def options():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    several = lambda kind: lambda text: [kind(part) for part in text.split(",")]
    parser.add_argument("--env", type=pathlib.Path, default=default_env())
    parser.add_argument("--lift", type=pathlib.Path, default=ROOT / "target" / "release" / "lift")
    parser.add_argument("--device", default="cuda", help="cuda, cuda:N or cpu")
    parser.add_argument("--only", type=several(str), default=list(SECTIONS), help=",".join(SECTIONS))
    parser.add_argument("--weights", type=pathlib.Path, help="ViT in safetensors with timm's names (default: random, kept in --env)")
    parser.add_argument("--precisions", type=several(str), default=list(PRECISIONS))
    parser.add_argument("--batches", type=several(int), default=[16, 64, 256, 1024])
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--repeat", type=int, default=5, help="timed passes in a round")
    parser.add_argument("--clips", type=int, default=512, help="clips that lift embed embeds")
    parser.add_argument("--clip", type=pathlib.Path, default=ROOT / "assets" / "clips" / "door_opening.mp4")
    parser.add_argument("--tiny", action="store_true", help="sizes that a CPU can do")
    parser.add_argument("--json", action="store_true", help="everything, with each round's figure")
    return parser.parse_args()


def main():
    args = options()
    args.env, args.lift = args.env.resolve(), args.lift.resolve()
    if not args.lift.exists():
        sys.exit(f"{args.lift} is not there: build it with scripts/build_cuda.sh, or name it with --lift")
    if unknown := set(args.only) - set(SECTIONS):
        sys.exit(f"no such section: {', '.join(sorted(unknown))}; there are {', '.join(SECTIONS)}")
    if args.tiny:
        args.batches, args.rounds, args.repeat, args.clips = [1, 3], 1, 1, 3
    if pathlib.Path(sys.prefix).resolve() != args.env:
        # Before gigabytes are fetched for it: whether lift can use the GPU, in its own words where it cannot.
        try:
            lift(args, "embed", "-q", "--model", "mini", args.clip, "-o", "-", "--device", args.device)
        except Failed as why:
            sys.exit(f"{why}\n--device cpu --tiny shows that the script works")
        python = env_python(args.env)
        os.execv(python, [str(python), __file__, *sys.argv[1:], "--env", str(args.env)])
    measure(args)


if __name__ == "__main__":
    main()
