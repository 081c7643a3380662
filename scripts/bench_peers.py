#!/usr/bin/env python3
"""Times the frame encoder in PyTorch, ONNX Runtime and OpenVINO beside `lift bench`, in turns.

    python3 scripts/bench_peers.py [--lift target/release/lift | --lift none] [--json]

The first run makes an environment outside the repository (`--env`) and installs the peers from PyPI; on Linux this takes about
6 GB, because PyPI's PyTorch brings CUDA. If a peer cannot be installed or run, a line says so and it is left out.

All peers run one ViT-S/14 with 4 registers (the one in peer_process.py, in plain PyTorch; the others run its ONNX export), with one
file of random full-size weights, the same 16 frames of 224x224 and `--threads` threads. Every peer has a process of its own, which
waits while the others work. A round runs each of them and `lift bench` once: one pass to warm up, then `--repeat` timed passes. The
figures are medians over the rounds; the ratios are medians of the ratio of each round, so that a machine whose speed changes is the
same for all. The outputs of the peers are compared with those of PyTorch eager; the tests of lift compare its outputs with golden files.

At the end the script times whole processes: `lift embed` of one clip, and a Python process that imports PyTorch, decodes the same clip
with PyAV and runs the eager ViT. This process does less than the authors' program: it imports less and runs no LiFT.

The last line compares `lift embed` of one clip with the networks alone, in turns. The networks alone are what `lift bench` measures on
the same weights in a process that is warm: the frame encoder on all threads, and LiFT. The process finds the weights in a `LIFT_HOME`, as
after `lift weights pull --to`. `--only-process` measures this line and nothing else; it then needs numpy and safetensors alone.
"""

import argparse
import hashlib
import json
import os
import pathlib
import platform
import statistics
import subprocess
import sys
import tempfile
import time
import venv

ROOT = pathlib.Path(__file__).resolve().parents[1]
OWN_PACKAGES = ["numpy", "safetensors"]
PACKAGES = [*OWN_PACKAGES, "torch", "onnx", "onnxscript", "onnxruntime", "openvino", "av", "pillow"]
#        name                  precision  what must be importable
PEERS = {
    "pytorch":               ("f32", "torch"),
    "pytorch-compiled":      ("f32", "torch"),
    "onnxruntime":           ("f32", "onnxruntime"),
    "openvino":              ("f32", "openvino"),
    "pytorch-bf16":          ("bf16", "torch"),
    "pytorch-bf16-compiled": ("bf16", "torch"),
    "openvino-bf16":         ("bf16", "openvino"),
}
PROCESS = pathlib.Path(__file__).with_name("peer_process.py")


def say(*words):
    print(*words, file=sys.stderr, flush=True)


# ---------------------------------------------------------------- the environment (standard library only)


def default_env():
    if sys.platform == "darwin":
        cache = pathlib.Path.home() / "Library" / "Caches"
    else:
        cache = pathlib.Path(os.environ.get("XDG_CACHE_HOME") or pathlib.Path.home() / ".cache")
    return cache / "lift" / "bench-peers"


def env_python(env, packages):
    """The environment's interpreter, with whatever of the packages could be installed."""
    python = env / "bin" / "python"
    if not python.exists():
        say(f"making an environment in {env}")
        try:
            venv.create(env, with_pip=True)
        except (ImportError, subprocess.CalledProcessError):
            python.unlink(missing_ok=True)  # or the next run would take half an environment for a whole one
            sys.exit("Python makes no environment here: its venv module lacks ensurepip (Debian, Ubuntu: apt-get install python3-venv)")
    for package in packages:
        module = {"pillow": "PIL"}.get(package, package)
        find = f"import importlib.util as u, sys; sys.exit(u.find_spec('{module}') is None)"
        if subprocess.run([python, "-c", find]).returncode == 0:
            continue
        say(f"installing {package}")
        pip = subprocess.run([python, "-m", "pip", "install", "-q", package], capture_output=True, text=True)
        if pip.returncode:
            why = (pip.stderr.strip().splitlines() or ["no reason given"])[-1]
            say(f"{package} cannot be had for Python {platform.python_version()}: {why}")
    return python


# ---------------------------------------------------------------- the driver (inside the environment)


class Peer:
    """A peer's process, seen from the driver."""

    def __init__(self, name, job, scratch):
        self.name, self.precision = name, PEERS[name][0]
        self.output, self.log = scratch / f"{name}.npy", scratch / f"{name}.log"
        job = job | {"task": "work", "name": name, "output": str(self.output)}
        with open(self.log, "wb") as log:
            self.process = subprocess.Popen(
                [sys.executable, PROCESS, json.dumps(job)], stdin=-1, stdout=-1, stderr=log, text=True
            )

    def ask(self, passes=None):
        """Waits for readiness, or has `passes` timed passes made; None, with a line said, once the peer has died."""
        try:
            if passes is not None:
                print(passes, file=self.process.stdin, flush=True)
            line = self.process.stdout.readline()
        except BrokenPipeError:
            line = ""
        if not line:
            self.process.wait()
            last = self.log.read_text(errors="replace").strip().splitlines()[-1:] or ["no message"]
            say(f"{self.name} left out: {last[0]}")
            return None
        return line if passes is None else json.loads(line)

    def close(self):
        self.process.stdin.close()
        self.process.wait()


def lift_bench(lift, precision, weights, args):
    """The report of one run of `lift bench --json`; None, with a line said, where it fails."""
    command = [lift, "bench", "--dinov2", weights, "--frames", args.frames, "--threads", args.threads]
    command += ["--precision", precision, "--repeat", args.repeat, "--json"]
    run = subprocess.run([str(word) for word in command], capture_output=True, text=True)
    if run.returncode:
        say(f"lift {precision} left out: {(run.stderr.strip().splitlines() or ['no message'])[-1]}")
        return None
    report = json.loads(run.stdout)
    if report["precision"] != precision:
        say(f"lift {precision} left out: it ran in {report['precision']}")
        return None
    return report


def timed(command, variables=None):
    """Wall seconds and peak resident bytes of a process, with these variables beside those of the environment."""
    with tempfile.TemporaryFile() as log:
        start = time.perf_counter()
        environment = os.environ | (variables or {})
        process = subprocess.Popen([str(word) for word in command], stdout=log, stderr=log, env=environment)
        _, status, usage = os.wait4(process.pid, 0)
        seconds = time.perf_counter() - start
        process.returncode = os.waitstatus_to_exitcode(status)
        log.seek(0)
        if process.returncode:
            raise RuntimeError((log.read().decode(errors="replace").strip().splitlines() or ["no message"])[-1])
    return seconds, usage.ru_maxrss * (1 if sys.platform == "darwin" else 1024)


def processor():
    try:
        lines = pathlib.Path("/proc/cpuinfo").read_text().splitlines()
        return next(line.split(":")[1].strip() for line in lines if line.startswith("model name"))
    except (OSError, StopIteration):
        return platform.processor() or platform.machine()


def versions():
    import importlib.metadata

    found = {"python": platform.python_version()}
    for package in ("torch", "onnxruntime", "openvino"):
        try:
            found[package] = importlib.metadata.version(package)
        except importlib.metadata.PackageNotFoundError:
            pass
    return found


def start_peers(names, job, scratch):
    """The peers that came up, one after the other; exports the ONNX file first if any of them reads it."""
    if any(name.startswith(("onnx", "openvino")) for name in names):
        say("exporting to ONNX")
        run = subprocess.run(
            [sys.executable, PROCESS, json.dumps(job | {"task": "export"})], capture_output=True, text=True
        )
        if run.returncode:
            say(f"no ONNX file, so neither ONNX Runtime nor OpenVINO: {(run.stderr.strip().splitlines() or ['?'])[-1]}")
            names = [name for name in names if name.startswith("pytorch")]
    peers = []
    for name in names:
        say(f"starting {name}")
        peer = Peer(name, job, scratch)
        if peer.ask() is not None:
            peers.append(peer)
    return peers


def measure_backbones(peers, args, weights):
    """{name: one median per round} over peers and lift, and the last reports of `lift bench`."""
    lifts = [] if args.lift is None else ["f32", "bf16", "bf16x3"]
    rounds, reports = {}, {}
    for number in range(1, args.rounds + 1):
        say(f"round {number} of {args.rounds}")
        for peer in list(peers):
            times = peer.ask(args.repeat)
            if times is None:
                peers.remove(peer)
                rounds.pop(peer.name, None)
                continue
            rounds.setdefault(peer.name, []).append(statistics.median(times))
            time.sleep(0.3)  # lets this peer's threads stop spinning before the next one starts
        for precision in list(lifts):
            report = lift_bench(args.lift, precision, weights, args)
            if report is None:
                lifts.remove(precision)
                rounds.pop(f"lift-{precision}", None)
                continue
            # Other work of the machine makes a measured peak too small, so the largest of all rounds counts.
            peaks = [reports[precision]["peak"]] if precision in reports else []
            report["peak"] = max([*peaks, report["peak"]], key=lambda peak: peak["gflops"])
            reports[precision] = report
            rounds.setdefault(f"lift-{precision}", []).append(report["backbone"]["median_s"])
    return rounds, reports


def ratio(rounds, name, base):
    """How many times the seconds of `base` those of `name` are: the median of the rounds' ratios."""
    if base not in rounds or name not in rounds:
        return None
    return statistics.median(a / b for a, b in zip(rounds[name], rounds[base]))


def backbone_rows(rounds, peers):
    """The table's rows, with how far each peer's output lies from PyTorch eager's."""
    import numpy as np

    outputs = {peer.name: np.load(peer.output) for peer in peers}
    base = outputs.get("pytorch")
    rows = []
    for name, values in rounds.items():
        precision = PEERS[name][0] if name in PEERS else name.removeprefix("lift-")
        row = {"name": name, "precision": precision, "median_s": statistics.median(values), "rounds_s": values}
        row["against_eager"] = ratio(rounds, "pytorch", name)
        row["against_lift"] = None if name.startswith("lift-") else ratio(rounds, name, f"lift-{precision}")
        row["max_abs_diff"] = row["min_cosine"] = None
        if base is not None and name in outputs:
            got = outputs[name]
            row["max_abs_diff"] = float(np.abs(got - base).max())
            norms = np.linalg.norm(got, axis=1) * np.linalg.norm(base, axis=1)
            row["min_cosine"] = float(((got * base).sum(1) / norms).min())
            limit = 1e-3 if precision == "f32" else 1.0
            if not row["max_abs_diff"] < limit:
                say(f"{name} DISAGREES with PyTorch eager by {row['max_abs_diff']:.2g}: its time means nothing")
        rows.append(row)
    return rows


def embed_command(args, models, scratch):
    flags = ["--threads", args.threads, "--frames", args.frames, "-o", scratch / "clip_lift.npy", "--overwrite"]
    return [args.lift, "embed", "-q", args.clip, *models, *flags]


def lift_home(weights, scratch):
    """A folder with links to the weights and with their records."""
    home = scratch / "home"
    home.mkdir()
    for name, path in (("dinov2", weights), ("lift", weights.with_name("lift.safetensors"))):
        file = home / f"{name}.safetensors"
        file.symlink_to(path.resolve())
        digest, size = hashlib.sha256(path.read_bytes()).hexdigest(), path.stat().st_size
        record = {"source": "random", "source_sha256": digest, "source_size": size, "sha256": digest, "size": size}
        file.with_name(file.name + ".json").write_text(json.dumps(record))
    return home


def measure_start(args, weights, scratch):
    """`lift embed` of one clip, and the networks alone, in turns; None where one of them fails."""
    process, network = [], []
    command, place = embed_command(args, ["--offline"], scratch), {"LIFT_HOME": str(lift_home(weights, scratch))}
    for number in range(args.rounds + 1):
        report = lift_bench(args.lift, "f32", weights, args)
        if report is None:
            return None
        try:
            seconds = statistics.median(timed(command, place)[0] for _ in range(args.repeat))
        except RuntimeError as why:
            say(f"lift embed left out: {why}")
            return None
        if number == 0:
            continue  # the files are in memory from now on
        lift = next(stage["ms"] for stage in report["stages"] if stage["name"] == "LiFT")
        process.append(seconds)
        network.append(report["backbone"]["median_s"] + lift / 1e3)
    against = statistics.median(a / b for a, b in zip(process, network))
    return {"process_s": statistics.median(process), "network_s": statistics.median(network), "against_network": against}


def measure_processes(job, args, weights, scratch):
    """Whole processes on one clip, in turns."""
    stand = [sys.executable, PROCESS, json.dumps(job | {"task": "stand_in", "output": str(scratch / "clip.npy")})]
    runs = {"stand-in: PyTorch eager + PyAV, no LiFT": stand}
    if args.lift is not None:
        models = ["--dinov2", weights, "--lift", weights.with_name("lift.safetensors")]
        runs["lift embed"] = embed_command(args, models, scratch)
    rounds, memory = {}, {}
    for _ in range(args.rounds):
        for name, command in list(runs.items()):
            try:
                seconds, peak = timed(command)
            except RuntimeError as why:
                say(f"{name} left out: {why}")
                del runs[name]
                continue
            rounds.setdefault(name, []).append(seconds)
            memory[name] = max(memory.get(name, 0), peak)
    return [
        {"name": name, "median_s": statistics.median(v), "rounds_s": v, "peak_bytes": memory[name],
         "against_lift": None if name == "lift embed" else ratio(rounds, name, "lift embed")}
        for name, v in rounds.items()
    ]


def print_start(start):
    print(f"one clip as a process against the networks alone: {start['process_s']:.3f} s, {start['network_s']:.3f} s, "
          f"{start['against_network']:.3f} times")


def print_tables(report):
    cell = lambda value, form: "" if value is None else format(value, form)
    libraries = ", ".join(f"{name} {version}" for name, version in report["versions"].items())
    print(f"{report['processor']}, {report['threads']} threads, {report['frames']} frames, {report['rounds']} rounds; {libraries}\n")
    print("| frame encoder | seconds | times as fast as eager | lift is faster by | from eager at most | cosine at least |")
    print("| --- | ---: | ---: | ---: | ---: | ---: |")
    for r in report["backbone"]:
        print(f"| {r['name']} ({r['precision']}) | {r['median_s']:.3f} | {cell(r['against_eager'], '.2f')} | {cell(r['against_lift'], '.2f')} "
              f"| {cell(r['max_abs_diff'], '.1e')} | {cell(r['min_cosine'], '.5f')} |")
    for precision, r in report["lift"].items():
        speed, peak = r["backbone"]["gflops"], r["peak"]["gflops"]
        print(f"\nlift {precision}: {speed:.0f} GFLOP/s, {100 * speed / peak:.0f} % of the measured peak of {peak:.0f} GFLOP/s")
    if report["processes"]:
        print("\n| one clip, whole process | seconds | peak MB | lift is faster by |\n| --- | ---: | ---: | ---: |")
        for r in report["processes"]:
            print(f"| {r['name']} | {r['median_s']:.2f} | {r['peak_bytes'] / 1e6:.0f} | {cell(r['against_lift'], '.1f')} |")
    if report["start"]:
        print()
        print_start(report["start"])


def drive(args):
    from safetensors.numpy import save_file

    sys.dont_write_bytecode = True  # the repository stays as it is
    from make_mini import lift as random_lift
    from peer_process import WIDTH, random_dinov2

    weights = args.weights or args.env / "weights" / "dinov2.safetensors"
    if args.weights is None and not weights.exists():
        weights.parent.mkdir(parents=True, exist_ok=True)
        save_file(random_lift(width=WIDTH, max_len=5000), weights.with_name("lift.safetensors"))
        save_file(random_dinov2(), weights)
    if args.only_process:
        with tempfile.TemporaryDirectory() as scratch:
            start = measure_start(args, weights, pathlib.Path(scratch))
        if start is None:
            sys.exit(1)
        return print(json.dumps(start, indent=2)) if args.json else print_start(start)
    names = [name for name in PEERS if args.peers is None or name in args.peers.split(",")]
    # Compiled kernels are kept, so that a second run starts sooner.
    os.environ.setdefault("TORCHINDUCTOR_CACHE_DIR", str(args.env / "inductor"))
    os.environ["OMP_NUM_THREADS"] = str(args.threads)
    with tempfile.TemporaryDirectory() as scratch:
        scratch = pathlib.Path(scratch)
        job = {"weights": str(weights), "onnx": str(scratch / "vit.onnx"), "clip": str(args.clip)}
        job |= {"frames": args.frames, "threads": args.threads}
        peers = start_peers(names, job, scratch)
        rounds, lifts = measure_backbones(peers, args, weights)
        rows = backbone_rows(rounds, peers)
        for peer in peers:
            peer.close()
        processes = [] if args.no_process else measure_processes(job, args, weights, scratch)
        start = None if args.no_process or args.lift is None else measure_start(args, weights, scratch)
    report = {"processor": processor(), "threads": args.threads, "frames": args.frames, "rounds": args.rounds}
    report |= {"versions": versions(), "backbone": rows, "lift": lifts, "processes": processes, "start": start}
    print(json.dumps(report, indent=2)) if args.json else print_tables(report)


def options():
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0], epilog="More in the head of this file.")
    parser.add_argument("--env", type=pathlib.Path, default=default_env(), help="folder of the environment (default: %(default)s)")
    parser.add_argument("--lift", default=ROOT / "target" / "release" / "lift", help="the program, or `none` (default: target/release/lift)")
    parser.add_argument("--weights", type=pathlib.Path, help="ViT in safetensors with timm's names (default: random, kept in --env)")
    parser.add_argument("--peers", help=f"only these, by comma: {','.join(PEERS)}")
    parser.add_argument("--frames", type=int, default=16)
    parser.add_argument("--threads", type=int, default=os.cpu_count())
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--repeat", type=int, default=3, help="timed passes in a round")
    parser.add_argument("--clip", type=pathlib.Path, default=ROOT / "assets" / "clips" / "door_opening.mp4")
    parser.add_argument("--no-process", action="store_true", help="leave out the whole processes")
    parser.add_argument("--only-process", action="store_true", help="only one clip as a process against the networks alone, without peers")
    parser.add_argument("--json", action="store_true", help="everything, with each round's figure")
    return parser.parse_args()


def main():
    args = options()
    args.env = args.env.resolve()
    args.lift = None if str(args.lift) == "none" else pathlib.Path(args.lift).resolve()
    if args.lift is not None and not args.lift.exists():
        sys.exit(f"{args.lift} is not there: build it with `cargo build --release`, or give --lift none")
    if unknown := set((args.peers or "").split(",")) - set(PEERS) - {""}:
        sys.exit(f"no such peer: {', '.join(sorted(unknown))}; there are {', '.join(PEERS)}")
    if args.only_process and args.lift is None:
        sys.exit("--only-process measures lift, and --lift none leaves it out")
    if pathlib.Path(sys.prefix).resolve() != args.env:
        python = env_python(args.env, OWN_PACKAGES if args.only_process else PACKAGES)
        os.execv(python, [str(python), __file__, *sys.argv[1:], "--env", str(args.env)])
    drive(args)


if __name__ == "__main__":
    main()
