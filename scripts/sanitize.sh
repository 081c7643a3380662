#!/usr/bin/env bash
# Runs the unsafe code under a memory checker: scripts/sanitize.sh [address|valgrind] [CORPUS].
#
#   address   AddressSanitizer with leak detection, and the compiler's own checks of unsafe code (null and unaligned pointers,
#             the conditions of std's unchecked functions, overflow). It runs the unit tests of the kernels, the decoding and
#             the mapped files, and the integration tests that decode, embed and read foreign files.
#   valgrind  memcheck, which checks FFmpeg too. It runs `lift embed --model mini` over healthy clips, and the unit tests of
#             the kernels. valgrind supports AVX2 at most, so it checks the AVX2 and the portable kernels.
#
# CORPUS is a folder made by scripts/hostile_corpus.py. The program then reads all its files (`address`), or twenty of the
# damaged ones (`valgrind`).
#
# Neither needs a nightly compiler. Only our own crates are checked: a wrapper passes them the flags, and the dependencies are
# built as usual, in a folder of their own (LIFT_SANITIZE_BUILD, default target/sanitize). The checkers cannot follow mimalloc,
# so the program keeps the system's allocator in these builds (`--cfg lift_sanitize`, see src/main.rs). AddressSanitizer does
# not see inline assembly (AMX). Miri is not in the stable toolchain and cannot run FFmpeg. MemorySanitizer needs an instrumented
# standard library and FFmpeg; memcheck replaces it.
set -euo pipefail
cd "$(dirname "$0")/.."
. scripts/setup.sh

kind="${1:-address}"
corpus="${2:-}"
case "$kind" in
# With less optimisation, because an access that the optimiser removes is not checked.
address) flags="-Zsanitizer=address -Copt-level=1 -Cdebug-assertions=on -Coverflow-checks=on" ;;
valgrind) flags="" ;;
*)
    echo "usage: scripts/sanitize.sh [address|valgrind] [CORPUS]" >&2
    exit 2
    ;;
esac
build="${LIFT_SANITIZE_BUILD:-target/sanitize}/$kind"
mkdir -p "$build"
build="$(cd "$build" && pwd)"

# RUSTC_BOOTSTRAP lets the stable compiler take the one unstable flag.
cat >"$build/rustc" <<WRAPPER
#!/bin/sh
flags="--cfg lift_sanitize -Clto=off -Cdebuginfo=line-tables-only -Cstrip=none $flags"
case " \$* " in
*" --crate-name lift "* | *" --crate-name it "*) RUSTC_BOOTSTRAP=1 exec "\$@" \$flags ;;
*) exec "\$@" ;;
esac
WRAPPER
chmod +x "$build/rustc"
export RUSTC_WRAPPER="$build/rustc" CARGO_TARGET_DIR="$build/target" CARGO_PROFILE_RELEASE_LTO=off
export CANDLE_NUM_THREADS=1 RAYON_NUM_THREADS=1
# The full-size models run the same code as the small ones.
unset LIFT_SHARED
lift="$CARGO_TARGET_DIR/release/lift"

address() {
    # The program handles SIGBUS itself (a mapped file that became shorter), and a test checks that. With abort_on_error, the
    # program's handler of SIGABRT would choose the exit code.
    export ASAN_OPTIONS="exitcode=86:handle_sigbus=0:detect_stack_use_after_return=1:strict_string_checks=1:${ASAN_OPTIONS:-}"
    # Skipped: tests that limit the address space, which the checker's shadow memory exceeds, and tests that depend on how much
    # memory is used.
    cargo test --release --locked --test it -- hostile:: fuzz_corpus:: faults:: embed_command:: weights_files:: \
        --skip without_memory --skip no_more_memory
    cargo test --release --locked --lib -- kernels:: video:: weights:: rows:: inputs:: model:: train::clips
    if [ -n "$corpus" ]; then
        scripts/hostile_run.py "$corpus" --lift "$lift" --memory 4096
    fi
}

# Prints twenty of the damaged files of the corpus, evenly spread.
damaged() {
    python3 - "$corpus" <<'PYTHON'
import json, pathlib, sys
folder = pathlib.Path(sys.argv[1])
names = [case["name"] for case in json.loads((folder / "cases.json").read_text())["cases"] if case["kind"] == "damaged"]
for name in names[:: max(1, len(names) // 20)]:
    print(folder / name)
PYTHON
}

memcheck() {
    # What is still reachable at the end are FFmpeg's tables, and threads that the program does not wait for.
    valgrind -q --fair-sched=yes --error-exitcode=86 --leak-check=full --show-leak-kinds=definite --errors-for-leak-kinds=definite \
        --num-callers=30 "$@"
}

memory() {
    command -v valgrind >/dev/null || bring valgrind
    cargo build --release --locked --bin lift
    local folder code clips=(assets/clips/ball_rising.mp4 assets/clips/door_closing.webm
        tests/data/clips/{mpeg4.avi,late_start.ts,open_gop_hevc.mkv})
    if [ -n "$corpus" ]; then
        mapfile -t -O "${#clips[@]}" clips < <(damaged)
    fi
    folder="$(mktemp -d)"
    # shellcheck disable=SC2064 # the folder as it is named now
    trap "rm -rf '$folder'" EXIT
    for clip in "${clips[@]}"; do
        code=0
        # Two frames run the same code as sixteen.
        LIFT_OFFLINE=1 LIFT_HOME="$folder" memcheck "$lift" embed --model mini --threads 1 --frames 2 --overwrite -o "$folder/x.npy" \
            -- "$clip" >"$folder/log" 2>&1 || code=$?
        echo "$clip: exit code $code, $(tail -n 1 "$folder/log")"
        # A refused video ends with 1.
        if [ "$code" -gt 1 ]; then
            cat "$folder/log"
            exit 1
        fi
    done
    local tests
    tests="$(cargo test --release --locked --lib --no-run 2>&1 | tee /dev/stderr | sed -n 's/.*Executable.*(\(.*\))$/\1/p')"
    memcheck "$tests" --test-threads 1 kernels::
}

if [ "$kind" = address ]; then address; else memory; fi
