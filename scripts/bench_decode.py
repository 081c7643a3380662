#!/usr/bin/env python3
"""Times 16 frames of a video in torchcodec, decord, PyAV and lift, in turns.

    python3 scripts/bench_decode.py [--lift target/release/lift] [--rounds 5] [--threads 2] [--only WORD]

The first run makes an environment outside the repository (`--env`) with the peers from PyPI (several GB: PyPI's PyTorch brings CUDA),
and the clips (`--clips`) with the program ffmpeg: minutes of encoding, once. A clip of ten minutes is one minute, ten times, joined by
copy. A peer that cannot be installed is left out, with a line.

All but `lift --keyframes` take the same 16 frames, evenly spaced, from opening the file to RGB pictures in memory (lift: to pictures of 224 x 224 for the network).
A peer runs in a process of its own and times itself after its imports: wall and processor time, and the bytes it read (`rchar` of
/proc/self/io, Linux). lift's times are those of the stage of decoding in `lift bench --json`. A round runs each once; the figures are medians
over the rounds, the ratios medians of the ratio of each round. The peers' pictures are compared with those of the last one named.
"""

import argparse
import json
import os
import pathlib
import platform
import statistics
import subprocess
import sys
import venv

ROOT = pathlib.Path(__file__).resolve().parents[1]
CACHE = pathlib.Path(os.environ.get("XDG_CACHE_HOME") or pathlib.Path.home() / ".cache") / "lift"
PEERS = ["torchcodec exact", "torchcodec approximate", "decord", "pyav"]
NOISE = "noise=alls=12:allf=t"
# A key frame every 250 pictures and nowhere else: the noise would look like cuts.
X264 = ["-c:v", "libx264", "-crf", "28", "-sc_threshold", "0"]
#        name            size         what is drawn    seconds  times  encoder
CLIPS = {
    "1080p_x264_veryfast.mp4": ("1920x1080", NOISE, 60, 10, [*X264, "-preset", "veryfast", "-g", "250"]),
    "1080p_x264_medium.mp4": ("1920x1080", NOISE, 60, 10, [*X264, "-preset", "medium", "-g", "250"]),
    "2160p_hevc.mp4": ("3840x2160", NOISE, 8, 5, ["-c:v", "libx265", "-preset", "ultrafast", "-crf", "30", "-x265-params",
                       "log-level=none:keyint=50:bframes=4:b-adapt=0:b-pyramid=1"]),
    "1080p_vp9.webm": ("1920x1080", NOISE, 20, 3, ["-c:v", "libvpx-vp9", "-deadline", "realtime", "-cpu-used", "8", "-crf", "40",
                       "-b:v", "0", "-g", "250"]),
    "1080p_av1.mp4": ("1920x1080", NOISE, 20, 3, ["-c:v", "libsvtav1", "-preset", "12", "-crf", "45", "-g", "250"]),
    "screen.mp4": ("1920x1080", "null", 60, 1, [*X264, "-preset", "veryfast", "-g", "100000"]),
    "240p.mp4": ("320x240", NOISE, 3, 1, [*X264, "-preset", "veryfast"]),
}


def say(*words):
    print(*words, file=sys.stderr, flush=True)


def make(folder, name):
    path = folder / name
    if path.exists():
        return path
    size, draw, seconds, times, encoder = CLIPS[name]
    say("making", path)
    folder.mkdir(parents=True, exist_ok=True)
    ffmpeg = ["ffmpeg", "-nostdin", "-v", "error", "-y"]
    one = folder / f"one_{name}"
    source = f"testsrc2=size={size}:rate=25,{draw},format=yuv420p"
    subprocess.run([*ffmpeg, "-f", "lavfi", "-i", source, "-t", str(seconds), *encoder, str(one)], check=True)
    part = folder / f"part_{name}"
    subprocess.run([*ffmpeg, "-stream_loop", str(times - 1), "-i", str(one), "-c", "copy", str(part)], check=True)
    one.unlink()
    return part.rename(path)


def environment(folder):
    python = folder / "bin" / "python"
    if not python.exists():
        say("making", folder)
        venv.create(folder, with_pip=True)
        for packages in (["numpy", "av"], ["decord"], ["torch", "torchcodec"]):
            if subprocess.run([python, "-m", "pip", "install", "-q", *packages], check=False).returncode:
                say("not installed:", *packages)
    return python


# ---------------------------------------------------------------- a peer, in its own process


def peer(name, path, threads):
    import time

    import numpy

    def choose(count):
        return numpy.linspace(0, count - 1, 16).astype(int).tolist()

    if name.startswith("torchcodec"):
        import torch
        from torchcodec.decoders import VideoDecoder

        torch.set_num_threads(threads)

        def read():
            decoder = VideoDecoder(path, num_ffmpeg_threads=threads, seek_mode=name.split()[1], dimension_order="NHWC")
            return decoder.get_frames_at(choose(len(decoder))).data.numpy()
    elif name == "decord":
        import decord

        def read():
            reader = decord.VideoReader(path, num_threads=threads)
            return reader.get_batch(choose(len(reader))).asnumpy()
    else:
        import av

        def read():
            with av.open(path) as container:
                times = sorted(p.pts for p in container.demux(video=0) if p.size)
            wanted = [times[i] for i in choose(len(times))]
            pictures = {}
            with av.open(path) as container:
                stream = container.streams.video[0]
                stream.thread_type, stream.codec_context.thread_count = "AUTO", threads
                for frame in container.decode(stream):
                    if frame.pts in wanted:
                        pictures[frame.pts] = frame.to_ndarray(format="rgb24")
                    if frame.pts >= wanted[-1]:
                        break
            return numpy.stack([pictures[time] for time in wanted])

    def bytes_read():
        try:
            return int(open("/proc/self/io").readline().split()[1])
        except OSError:
            return 0

    before, wall, processor = bytes_read(), time.perf_counter(), time.process_time()
    pictures = read()
    wall, processor = time.perf_counter() - wall, time.process_time() - processor
    numpy.save(os.environ["PICTURES"], pictures[[0, 7, 15]])
    print(json.dumps({"wall": wall, "processor": processor, "bytes": bytes_read() - before}))


# ---------------------------------------------------------------- the rounds


def run_peer(python, name, path, threads, pictures):
    done = subprocess.run([python, __file__, "--peer", name, "--threads", str(threads), "--only", str(path)], check=False,
                          capture_output=True, text=True, env={**os.environ, "PICTURES": str(pictures)})
    if done.returncode:
        say(f"{name}: {(done.stderr.strip().splitlines() or ['?'])[-1]}")
        return None
    return json.loads(done.stdout.splitlines()[-1])


def run_lift(lift, path, threads, *flags):
    command = [lift, "bench", path, "--json", "--repeat", "1", "--threads", str(threads), "-q", *flags]
    d = json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout)["decoding"]
    return {"wall": d["all_threads_ms"] / 1e3, "processor": d["processor_ms"] / 1e3, "bytes": d["bytes_read"]}


def compare(python, reference, other):
    code = "import numpy, sys; a, b = (numpy.load(p).astype(int) for p in sys.argv[1:]); " \
           "print('equal' if a.shape == b.shape and (a == b).all() else f'up to {abs(a - b).max()} levels' " \
           "if a.shape == b.shape else 'other sizes')"
    done = subprocess.run([python, "-c", code, reference, other], check=False, capture_output=True, text=True)
    return done.stdout.strip()


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--lift", default=str(ROOT / "target/release/lift"))
    parser.add_argument("--env", type=pathlib.Path, default=CACHE / "bench-decode")
    parser.add_argument("--clips", type=pathlib.Path, default=CACHE / "bench-decode-clips")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--only", default="", help="only clips with this word in their names")
    parser.add_argument("--peers", default=",".join(PEERS), help="readers to compare with (default: %(default)s)")
    parser.add_argument("--peer", help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.peer:
        return peer(args.peer, args.only, args.threads)
    python = environment(args.env)
    peers = args.peers.split(",")
    print(f"{platform.processor() or platform.machine()}, {os.cpu_count()} cores, {args.threads} threads, {args.rounds} rounds\n")
    print("| clip | reader | wall s | processor s | MB read | wall / lift | processor / lift | pictures |")
    print("| --- | --- | ---: | ---: | ---: | ---: | ---: | --- |")
    for name in (name for name in CLIPS if args.only in name):
        path = make(args.clips, name)
        rounds = []
        for _ in range(args.rounds):
            one = {"lift": run_lift(args.lift, path, args.threads)}
            one["lift --keyframes"] = run_lift(args.lift, path, args.threads, "--keyframes")
            for peer_name in peers:
                one[peer_name] = run_peer(python, peer_name, path, args.threads, args.clips / f"{peer_name}.npy")
            rounds.append(one)
        for reader in ["lift", "lift --keyframes", *peers]:
            both = [(r[reader], r["lift"]) for r in rounds if r[reader]]
            if not both:
                continue
            median = lambda of: statistics.median(of(a, b) for a, b in both)
            pictures = "" if reader.startswith("lift") or reader == peers[-1] else compare(python, args.clips / f"{peers[-1]}.npy", args.clips / f"{reader}.npy")
            print(f"| {name} | {reader} | {median(lambda a, b: a['wall']):.3f} | {median(lambda a, b: a['processor']):.3f} | "
                  f"{median(lambda a, b: a['bytes']) / 1e6:.1f} | {median(lambda a, b: a['wall'] / b['wall']):.2f} | "
                  f"{median(lambda a, b: a['processor'] / b['processor']):.2f} | {pictures} |", flush=True)


if __name__ == "__main__":
    main()
