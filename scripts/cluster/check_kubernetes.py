#!/usr/bin/env python3
"""Checks kubernetes.yaml without a cluster: its schema, its script for every exit code of lift, and what its policy then does.

    check_kubernetes.py kubernetes.yaml list.csv        # check.sh calls it; LIFT names the program

It runs the script in the manifest unchanged, with the bundled model, for every way in which lift can end. Then it applies the rules
of the policy as Kubernetes documents them: the first rule that matches decides, no match is Count, and Count retries up to
backoffLimitPerIndex.
"""

import os
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import kubernetes_validate
import yaml

VERSIONS = ["1.31", "1.33", "1.35"]


def must(holds, text):
    if not holds:
        sys.exit(f"FAILED: {text}")


def container(job):
    return job["spec"]["template"]["spec"]["containers"][0]


def action(job, code):
    """What the Job does about a container that ended with `code`."""
    if code == 0:
        return "done"
    for rule in job["spec"]["podFailurePolicy"]["rules"]:
        on = rule.get("onExitCodes")
        if on and (code in on["values"]) == (on["operator"] == "In"):
            return rule["action"]
    return "Count"


def start(job, folder, **changes):
    """The container's script, in a process group of its own."""
    values = {item["name"]: item["value"] for item in container(job)["env"]}
    here = {"LIST": str(folder / "list.csv"), "OUT": str(folder / "out"), "JOB_COMPLETION_INDEX": "0"}
    environment = {**os.environ, **values, **here, **changes}
    command = container(job)["command"] + container(job)["args"]
    return subprocess.Popen(command, env=environment, stderr=subprocess.DEVNULL, start_new_session=True)


def lift_of(shell):
    """The process id of the lift below a shell that has started it."""
    while True:
        children = Path(f"/proc/{shell.pid}/task/{shell.pid}/children").read_text().split()
        if children and Path(f"/proc/{children[0]}/comm").read_text().strip() != "sh":
            return int(children[0])
        time.sleep(0.01)


def main():
    manifest = yaml.safe_load(Path(sys.argv[1]).read_text())
    jobs = manifest["items"]
    for version in VERSIONS:
        for item in jobs:
            kubernetes_validate.validate(item, version, strict=True)
    print(f"kubernetes: {len(jobs)} Jobs agree with the strict schemas of {', '.join(VERSIONS)}")
    job, merge = jobs
    shards = {item["name"]: item["value"] for item in container(job)["env"]}["LIFT_SHARDS"]
    must(int(shards) == job["spec"]["completions"], "LIFT_SHARDS is not completions")

    header, *rows = Path(sys.argv[2]).read_text().splitlines()
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        (folder / "list.csv").write_text("\n".join([header, *rows]))
        (folder / "good.csv").write_text("\n".join([header, *rows[:8]]))
        wrong = folder / "wrong"
        wrong.mkdir()
        (wrong / "part-00000.parquet").write_bytes(b"")
        outcomes = {}

        def ends(name, code, what, process):
            got = process.wait()
            must(got == code, f"{name}: exit code {got}, expected {code}")
            must(action(job, got) == what, f"{name}: {action(job, got)}, expected {what}")
            outcomes[name] = (got, what)

        one = {"LIFT_SHARDS": "1"}
        ends("good (0)", 0, "done", start(job, folder, LIST=str(folder / "good.csv"), OUT=str(folder / "good"), **one))
        ends("usage (2)", 2, "FailIndex", start(job, folder, JOB_COMPLETION_INDEX="8"))
        ends("no list (3)", 3, "FailIndex", start(job, folder, LIST=str(folder / "no.csv")))
        ends("cannot write (4)", 4, "Count", start(job, folder, OUT="/proc/lift"))
        # The whole container, as the kernel does for memory, then lift alone.
        process = start(job, folder, **one)
        lift_of(process)
        time.sleep(1)
        os.killpg(process.pid, signal.SIGKILL)
        must(process.wait() == -signal.SIGKILL and action(job, 137) == "Count", "killed")
        process = start(job, folder, **one)
        os.kill(lift_of(process), signal.SIGKILL)
        ends("lift killed (137)", 137, "Count", process)
        process = start(job, folder, **one)
        lift_of(process)
        while not (folder / "out" / "shard-00000-of-00001" / "_manifest.json").exists():
            time.sleep(0.05)
        time.sleep(1)
        os.kill(process.pid, signal.SIGTERM)
        ends("terminated (143)", 143, "Count", process)
        for index in range(int(shards)):
            process = start(job, folder, JOB_COMPLETION_INDEX=str(index), OUT=str(folder / "all"))
            ends("some failed (1)", 0, "done", process)
        ends("merged", 0, "done", start(merge, folder, OUT=str(folder / "all")))
        alone = Path(sys.argv[2]).parent / "one.parquet"
        must((folder / "all.parquet").read_bytes() == alone.read_bytes(), "the merged file is not that of one run")
    for name, (code, what) in outcomes.items():
        print(f"kubernetes: {name}: the container ends with {code}: {what}")
    print("kubernetes: 8 indices, merged, equal one run in one process byte for byte")


if __name__ == "__main__":
    main()
