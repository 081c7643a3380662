#!/usr/bin/env bash
# Repeats the tests that scripts/cluster/README.md reports. If a program is missing, the script says so and skips its test.
#
#   scripts/cluster/check.sh [kubernetes] [slurm] [ray]        # default: all three
#
# kubernetes  compares the manifest with its schema, and its exit-code policy with the program's codes (check_kubernetes.py)
# slurm       starts one node (Debian's packages slurmctld, slurmd, slurm-client, munge) in a temporary folder and stops it at the
#             end. It runs an array of 8 over 216 clips; the lift of one task gets kill -9, another task is requeued from outside
# ray         runs two actors over the same clips; the lift of one actor gets kill -9, then the other actor itself
#
# LIFT names the program (default: lift on PATH). The Python libraries are installed into an environment in the cache folder, or
# LIFT_CLUSTER_PYTHON names a Python that has them.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
LIFT=$(realpath -e "$(command -v "${LIFT:-lift}")" 2>/dev/null) || { echo "no lift on PATH; set LIFT=" >&2; exit 1; }
export LIFT
work=$(mktemp -d)
daemons=()
tidy() {
    for pid in "${daemons[@]}"; do kill "$pid" 2>/dev/null || true; done
    wait
    rm -rf "$work"
}
trap tidy EXIT

python() {
    local env="${XDG_CACHE_HOME:-$HOME/.cache}/lift-cluster/python"
    if [ -z "${LIFT_CLUSTER_PYTHON:-}" ]; then
        LIFT_CLUSTER_PYTHON="$env/bin/python"
        if ! "$LIFT_CLUSTER_PYTHON" -c 'import psutil, ray, kubernetes_validate, yaml' 2>/dev/null; then
            python3 -m venv "$env"
            "$env/bin/pip" -q install 'ray[data]>=2.50' 'kubernetes-validate>=1.35' pyyaml psutil
        fi
    fi
    "$LIFT_CLUSTER_PYTHON" "$@"
}

# Draws 216 clips, breaks 4 of them, lists them with absolute paths, and embeds them in one process for comparison.
clips() {
    [ -e "$work/list.csv" ] && return
    "$LIFT" synth -q -o "$work/set" --per-class 8 --valid-per-class 4 --size 160
    for clip in $(find "$work/set/clips" -name '*.mp4' | sort | awk 'NR % 54 == 0'); do
        truncate -s 3000 "$clip"
    done
    (echo id,path; find "$work/set/clips" -name '*.mp4' | sort | awk '{ printf "%05d,%s\n", NR, $0 }') >"$work/list.csv"
    status 1 "$LIFT" embed -q --model mini --list "$work/list.csv" -o "$work/one.parquet" 2>/dev/null
}

status() {
    local wanted=$1 code=0
    shift
    "$@" || code=$?
    [ $code = "$wanted" ] || { echo "FAILED: exit code $code, expected $wanted: $*" >&2; exit 1; }
}

# until_true SECONDS COMMAND...: waits at most so long until the command succeeds; if it does not, shows the ends of the logs.
until_true() {
    local end=$((SECONDS + $1))
    shift
    while [ $SECONDS -lt $end ]; do
        if "$@" >/dev/null 2>&1; then return; fi
        sleep 0.2
    done
    echo "FAILED: waited in vain for: $*" >&2
    tail -n 20 "$work"/slurm/*.log >&2
    exit 1
}

slurm() {
    local tool
    for tool in munged slurmctld slurmd sbatch; do
        PATH=$PATH:/usr/sbin command -v $tool >/dev/null || { echo "slurm: skipped, no $tool"; return; }
    done
    PATH=$PATH:/usr/sbin
    clips
    local s=$work/slurm
    mkdir -p "$s/state" "$s/spool"
    dd if=/dev/urandom of="$s/key" bs=1024 count=1 status=none
    chmod 0400 "$s/key"
    chmod 0711 "$work" "$s"
    cat >"$s/slurm.conf" <<CONF
ClusterName=check
SlurmctldHost=$(hostname -s)(127.0.0.1)
SlurmctldPort=26817
SlurmdPort=26818
AuthType=auth/munge
AuthInfo=socket=$s/munge.socket
SlurmUser=$(id -un)
SlurmdUser=$(id -un)
StateSaveLocation=$s/state
SlurmdSpoolDir=$s/spool
SlurmctldPidFile=$s/slurmctld.pid
SlurmdPidFile=$s/slurmd.pid
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
SelectType=select/cons_tres
SelectTypeParameters=CR_CPU
ReturnToService=2
SchedulerParameters=batch_sched_delay=1,sched_interval=5
NodeName=$(hostname -s) NodeAddr=127.0.0.1 CPUs=2 State=UNKNOWN
PartitionName=all Nodes=ALL Default=YES State=UP
CONF
    export SLURM_CONF=$s/slurm.conf
    munged --foreground --force --key-file="$s/key" --socket="$s/munge.socket" --pid-file="$s/munged.pid" \
        --log-file="$s/munged.log" --seed-file="$s/munged.seed" 2>"$s/munged.err" &
    daemons+=($!)
    until_true 30 test -S "$s/munge.socket"
    slurmctld -D >"$s/slurmctld.log" 2>&1 &
    daemons+=($!)
    slurmd -D -N "$(hostname -s)" >"$s/slurmd.log" 2>&1 &
    daemons+=($!)
    until_true 60 sh -c 'sinfo -h -o %T | grep -q idle'
    cd "$work"
    local job merge
    job=$(sbatch --parsable --array=0-7 --output="$s/task-%a.log" "$here/slurm.sbatch" list.csv out \
        --model mini --shard-size 3)
    merge=$(sbatch --parsable --dependency="afterok:$job" --kill-on-invalid-dep=yes --output="$s/merge.log" \
        "$here/slurm.sbatch" list.csv out)
    # Task 1 is killed while it writes its second part; task 4 is requeued from outside.
    until_true 300 test -e out/shard-00001-of-00008/part-00001.parquet
    kill -9 "$(pgrep -f "^$LIFT embed --list list.csv" | while read -r pid; do
        if tr '\0' '\n' <"/proc/$pid/environ" | grep -qx SLURM_ARRAY_TASK_ID=1; then echo "$pid"; fi
    done)"
    until_true 300 test -e out/shard-00004-of-00008/part-00001.parquet
    scontrol requeue "${job}_4"
    # Slurm delays a requeued task for a while.
    until_true 900 sh -c "! squeue -h -j $job,$merge | grep -q ."
    grep -h 'exit code' "$s"/task-*.log
    cat "$s/merge.log"
    cmp one.parquet out.parquet
    cmp one.parquet.rows.csv out.parquet.rows.csv
    status 1 "$LIFT" merge -q whole/ out
    status 1 "$LIFT" embed -q --model mini --list list.csv -o single/ --shard-size 3 2>/dev/null
    diff -r --exclude=.lock whole single
    echo "slurm: the merged file and the merged dataset equal one run in one process byte for byte"
}

kubernetes() {
    clips
    python "$here/check_kubernetes.py" "$here/kubernetes.yaml" "$work/list.csv"
}

ray() {
    clips
    export RAY_USAGE_STATS_ENABLED=0 RAY_DATA_DISABLE_PROGRESS_BARS=1
    python "$here/check_ray.py" "$here/ray_embed.py" "$work"
}

if [ $# = 0 ]; then set -- kubernetes slurm ray; fi
for what in "$@"; do
    case $what in
        kubernetes | slurm | ray) "$what" ;;
        *) echo "no such check: $what" >&2; exit 2 ;;
    esac
done
