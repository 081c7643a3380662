#!/usr/bin/env bash
# Runs the unsafe code under a checker of memory: scripts/sanitize.sh [address|valgrind] [CORPUS].
#
#   address   AddressSanitizer, with leaks and with what the compiler itself checks of unsafe code (null and unaligned
#             pointers, the conditions of std's unchecked functions, overflow): the unit tests of the kernels, the decoding
#             and the mapped files, and the integration tests that decode, embed and read foreign files
#   valgrind  memcheck, which sees into FFmpeg too: `lift embed --model mini` over healthy clips, and the unit tests of the
#             kernels; valgrind's own processor has AVX2 and no more, so it is that backend and the portable one
#
# CORPUS is a folder of scripts/hostile_corpus.py: all its files then go through the program (`address`), or a score of the
# damaged ones (`valgrind`).
#
# Neither wants a nightly compiler. Checked are our own crates: a wrapper hands them the flags, the dependencies are built as
# ever, in trees of their own (LIFT_SANITIZE_BUILD, default target/sanitize). No checker can see into mimalloc's pages, so
# the program keeps the system's allocator there (`--cfg lift_sanitize`, see src/main.rs). Inline assembly (AMX) is out of
# AddressSanitizer's sight; Miri is not in the stable toolchain and stops at FFmpeg's door; MemorySanitizer wants the
# standard library and FFmpeg instrumented: memcheck stands in for it.
set -euo pipefail
cd "$(dirname "$0")/.."
. scripts/setup.sh

kind="${1:-address}"
corpus="${2:-}"
case "$kind" in
# Less optimised: an access that the optimiser takes away is not checked.
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
# The models of full size have nothing that the small ones lack.
unset LIFT_SHARED
lift="$CARGO_TARGET_DIR/release/lift"

address() {
    # The program answers for SIGBUS itself (a mapped file that became shorter), as a test pins; and under abort_on_error its
    # handler of SIGABRT would have the last word.
    export ASAN_OPTIONS="exitcode=86:handle_sigbus=0:detect_stack_use_after_return=1:strict_string_checks=1:${ASAN_OPTIONS:-}"
    # Not: limits of address space, which the checker's own shadow is over, and what the checker's own memory would decide.
    cargo test --release --locked --test it -- hostile:: fuzz_corpus:: faults:: embed_command:: weights_files:: \
        --skip without_memory --skip no_more_memory
    cargo test --release --locked --lib -- kernels:: video:: weights:: rows:: inputs:: model:: train::clips
    if [ -n "$corpus" ]; then
        scripts/hostile_run.py "$corpus" --lift "$lift" --memory 4096
    fi
}

# Twenty of a corpus's damaged files, evenly spread.
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
    # What is still reachable at the end is FFmpeg's tables and the threads that the end does not wait for.
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
    # shellcheck disable=SC2064 # the folder of now
    trap "rm -rf '$folder'" EXIT
    for clip in "${clips[@]}"; do
        code=0
        # Two frames take every way that sixteen do.
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
