#!/usr/bin/env python3
"""Runs `lift embed --model mini` over the hostile corpus, with one process per file, and reports the results.

    scripts/hostile_run.py FOLDER [--lift PROGRAM] [--limit SECONDS] [--memory MB] [--table FILE.md] [--only WORD]

scripts/hostile_corpus.py wrote FOLDER. The run fails (exit code 1) if for any file the program ends by a signal or with a code other
than 0 and 1, exceeds the time limit or the memory limit, refuses the file without a message, or gives an embedding that is not right.
An embedding is right if
  - the file is whole (a healthy video of its own), or
  - it is, bit for bit, that of the undamaged file, or
  - a note on standard error says what is missing (a note that nothing is missing does not count), or
  - the file is a valid video of another content: the program ffmpeg, told to stop at any error and to report every warning,
    decodes it to its end without a message. No decoder can tell such a file from a healthy one.
The program must refuse every other damaged file, and every file without a video. It must embed a whole file, unless its pictures
exceed the limit of pixels.
"""

import argparse
import collections
import json
import os
import resource
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
NPY_HEADER = 192
# Words of notes which say that the pictures are complete, or which say nothing about them.
NOTHING_MISSING = (
    "no picture depends on it",
    "everything that it holds is inside the file",
    "hold no picture and are not counted",
    "a jump is not counted as time",
)


def quiet_limits():
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))


def run(lift, path, limit, scratch):
    """Exit code (negative: a signal; None: the limit), seconds, peak MB, the embedding's bytes, the message."""
    out = scratch / "out.npy"
    for name in scratch.iterdir():
        name.unlink()
    command = [lift, "embed", "--model", "mini", "--threads", "1", "-o", str(out), "--", path]
    environment = {**os.environ, "LIFT_OFFLINE": "1", "LIFT_HOME": str(scratch)}
    with open(scratch / "err", "wb") as errors:
        start = time.monotonic()
        child = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=errors,
                                 env=environment, preexec_fn=quiet_limits, start_new_session=True)
        status = None
        while status is None:
            pid, status_, usage = os.wait4(child.pid, os.WNOHANG)
            if pid:
                status = os.waitstatus_to_exitcode(status_)
            elif time.monotonic() - start > limit:
                child.send_signal(signal.SIGKILL)
                _, _, usage = os.wait4(child.pid, 0)
                child.returncode = -9
                return None, limit, usage.ru_maxrss / 1024, None, ""
            else:
                time.sleep(0.002)
        child.returncode = status
        seconds = time.monotonic() - start
    lines = (scratch / "err").read_bytes().decode("utf-8", "backslashreplace").strip().splitlines()
    # What every run says, whatever the file.
    said = ("not for results", "embedded, ", "embedded in ")
    message = "\n".join(line for line in lines if not any(word in line for word in said))
    embedding = out.read_bytes()[NPY_HEADER:] if out.exists() else None
    return status, seconds, usage.ru_maxrss / 1024, embedding or None, message


def strictly_valid(path):
    """Whether FFmpeg decodes the file without a word."""
    command = ["ffmpeg", "-nostdin", "-hide_banner", "-v", "warning", "-xerror", "-err_detect", "explode", "-protocol_whitelist",
               "file", "-i", b"file:" + os.fsencode(path), "-map", "0:V:0", "-f", "null", "-"]
    done = subprocess.run(command, capture_output=True, timeout=120)
    return done.returncode == 0 and not done.stderr.strip()


def judge(case, path, result, whole, options):
    """What came of the file, and what is wrong with that (empty if nothing)."""
    code, seconds, megabytes, embedding, message = result
    wrong = []
    if code is None:
        return "no end", [f"no end within {options.limit} s"]
    if code < 0:
        return "a signal", [f"ended by {signal.Signals(-code).name}"]
    # A named folder without videos and a name that leads nowhere stop the run before any work.
    if code not in (0, 1) and not (code == 3 and case["name"] in ("files/folder.mp4", "files/dangling.mp4")):
        wrong.append(f"exit code {code}")
    if megabytes > options.memory:
        wrong.append(f"{megabytes:.0f} MB")
    if embedding is None:
        if not message or "error: " not in message:
            wrong.append("a refusal without a word")
        if code == 0:
            wrong.append("a refusal with exit code 0")
        if any(ord(c) < 32 and c != "\n" for c in message):
            wrong.append("a message with control characters")
        if case["kind"] in ("whole", "copy") and "limit of" not in message:
            wrong.append("a healthy file is refused")
        return "refused", wrong
    if code != 0:
        wrong.append(f"an embedding with exit code {code}")
    if case["kind"] == "whole":
        return "embedded", wrong
    if embedding == whole.get(case["base"]):
        if case["kind"] == "none":
            wrong.append("an embedding of no video")
        return "embedded, as the whole file", wrong
    notes = [line for line in message.splitlines() if line.startswith("note: ")]
    if case["kind"] == "damaged" and any(not any(words in note for words in NOTHING_MISSING) for note in notes):
        return "embedded, and told what is missing", wrong
    if case["kind"] == "damaged" and strictly_valid(path):
        return "embedded, as a valid other video", wrong
    wrong.append("an embedding that is not right")
    return "embedded, wrongly", wrong


def shown(name):
    return os.fsencode(name).decode("utf-8", "backslashreplace").encode("unicode_escape").decode()[:60].replace("|", "\\|")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--lift", default=str(ROOT / "target/release/lift"))
    parser.add_argument("--limit", type=float, default=60, help="seconds for a file")
    parser.add_argument("--memory", type=float, default=1024, help="peak megabytes for a file")
    parser.add_argument("--table", type=Path, help="write the table of all files")
    parser.add_argument("--only", default="", help="only files whose name has this word (and the whole ones)")
    options = parser.parse_args()
    if not shutil.which("ffmpeg"):
        sys.exit("the judge of odd files is the ffmpeg command line, which is not here: apt-get install ffmpeg")
    options.folder = options.folder.resolve()
    listing = json.loads((options.folder / "cases.json").read_text())
    whole, rows, failures = {}, [], []
    counts = collections.Counter()
    peak, longest = (0.0, ""), (0.0, "")
    with tempfile.TemporaryDirectory() as scratch:
        for case in listing["cases"]:
            name = case["name"]
            if options.only not in name and not name.startswith("whole/"):
                continue
            path = options.folder / name
            result = run(options.lift, str(path), options.limit, Path(scratch))
            if case["kind"] == "whole":
                whole[name] = result[3]
            outcome, wrong = judge(case, path, result, whole, options)
            code, seconds, megabytes, _, message = result
            counts[f"{name.split('/')[0]}: {outcome}"] += 1
            peak, longest = max(peak, (megabytes, name)), max(longest, (seconds, name))
            said = message.splitlines()[-1] if message else ""
            said = said.replace(str(options.folder) + "/", "").replace("|", "\\|")
            rows.append(f"| {shown(name)} | {outcome} | {code} | {seconds:.2f} | {megabytes:.0f} | {said[:300]} |")
            if wrong:
                failures.append(f"{shown(name)}: {', '.join(wrong)}\n    {message[:400]}")
                print(f"WRONG {failures[-1]}", flush=True)
    table = ["| file | outcome | exit code | seconds | peak MB | message |", "| --- | --- | --- | --- | --- | --- |", *rows]
    if options.table:
        options.table.write_text("\n".join(table) + "\n")
    for outcome, count in sorted(counts.items()):
        print(f"{count:5} {outcome}")
    print(f"{len(rows)} files; most memory {peak[0]:.0f} MB ({shown(peak[1])}); longest {longest[0]:.2f} s ({shown(longest[1])})")
    print(f"{len(failures)} wrong")
    sys.exit(1 if failures else 0)


if __name__ == "__main__":
    main()
