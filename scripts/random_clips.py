#!/usr/bin/env python3
"""Reads clips of random x264, x265, VP9, AV1 and MPEG-4 settings in every way, and compares the frames with those of a full decoding.

    scripts/random_clips.py [--count 40] [--seed 1]

Needs the program ffmpeg with these encoders, and cargo. The settings: lengths of groups, pyramids of B-frames, open groups, intra
refresh, slices, fields, references; containers MP4 (in fragments too), Matroska and TS. The comparison is a test of src/video/tests.rs.
"""

import argparse
import os
import pathlib
import random
import subprocess
import tempfile

ROOT = pathlib.Path(__file__).resolve().parents[1]


def x264(r):
    options = {
        "keyint": r.choice([8, 12, 25, 60, 250]), "bframes": r.randint(0, 8), "b-pyramid": r.choice(["none", "strict", "normal"]),
        "b-adapt": r.choice([0, 1, 2]), "ref": r.randint(1, 8), "open-gop": r.randint(0, 1), "slices": r.choice([1, 1, 2, 4]),
        "weightp": r.choice([0, 1, 2]), "scenecut": r.choice([0, 40]), "threads": 1,
    }
    if r.random() < 0.2:
        options.update({"intra-refresh": 1, "open-gop": 0})
    if r.random() < 0.2:
        options["tff"] = 1
    return ["-c:v", "libx264", "-preset", "veryfast", "-crf", str(r.randint(20, 34)), "-x264-params", join(options)]


def x265(r):
    options = {
        "keyint": r.choice([8, 12, 25, 60]), "bframes": r.randint(0, 8), "b-pyramid": r.randint(0, 1), "b-adapt": r.choice([0, 2]),
        "ref": r.randint(1, 5), "open-gop": r.randint(0, 1), "temporal-layers": r.randint(0, 1), "pools": 1, "log-level": "none",
    }
    return ["-c:v", "libx265", "-preset", "veryfast", "-crf", str(r.randint(20, 34)), "-x265-params", join(options)]


def vp9(r):
    return ["-c:v", "libvpx-vp9", "-b:v", "120k", "-cpu-used", "8", "-g", str(r.choice([10, 25, 100])), "-lag-in-frames",
            str(r.choice([0, 16, 25])), "-auto-alt-ref", str(r.randint(0, 1))]


def av1(r):
    return ["-c:v", "libaom-av1", "-b:v", "150k", "-cpu-used", "8", "-g", str(r.choice([10, 25, 100])), "-lag-in-frames",
            str(r.choice([0, 16]))]


def svt_av1(r):
    return ["-c:v", "libsvtav1", "-preset", str(r.randint(8, 12)), "-crf", str(r.randint(35, 55)), "-g", str(r.choice([10, 25, 100]))]


def mpeg4(r):
    return ["-c:v", "mpeg4", "-q:v", str(r.randint(2, 12)), "-bf", str(r.randint(0, 4)), "-g", str(r.choice([8, 12, 25, 100]))]


def join(options):
    return ":".join(f"{name}={value}" for name, value in options.items())


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--count", type=int, default=40)
    parser.add_argument("--seed", type=int, default=1)
    args = parser.parse_args()
    r = random.Random(args.seed)
    with tempfile.TemporaryDirectory() as folder:
        for number in range(args.count):
            encoder = r.choice([x264, x264, x264, x265, x265, x265, vp9, av1, svt_av1, mpeg4])
            kind = r.choice(["mp4", "mkv"] + (["ts"] if encoder in (x264, x265) else []))
            source = f"testsrc2=size=192x128:rate=25:duration={r.choice([2, 4])},noise=alls={r.choice([0, 8])}:allf=t,format=yuv420p"
            settings = encoder(r)
            if kind == "mp4" and r.random() < 0.3:
                settings += ["-movflags", r.choice(["frag_keyframe+empty_moov", "frag_keyframe", "frag_every_frame+default_base_moof"])]
            print(number, kind, *settings, flush=True)
            subprocess.run(["ffmpeg", "-nostdin", "-v", "error", "-y", "-f", "lavfi", "-i", source, *settings,
                            f"{folder}/{number:04}.{kind}"], check=True, env={**os.environ, "SVT_LOG": "1"})
        test = ["cargo", "test", "--release", "--locked", "--lib", "clips_of_random_settings", "--", "--nocapture"]
        subprocess.run(test, check=True, cwd=ROOT, env={**os.environ, "LIFT_RANDOM_CLIPS": folder})


if __name__ == "__main__":
    main()
