#!/usr/bin/env bash
# Fuzzes the readers of foreign files with libFuzzer: scripts/fuzz.sh [SECONDS [TARGET...]], SECONDS for each target.
#
# Coverage-guided on the stable compiler: libFuzzer's counters are an LLVM pass that `-C passes` switches on, so neither
# cargo-fuzz nor a nightly compiler is needed; `cc` builds libFuzzer itself. The build is a tree of its own
# (LIFT_FUZZ_BUILD, default target/fuzz); the working corpus grows under it, findings land beside it. A finding that is
# fixed is kept, cut small, in tests/fuzz/corpus/TARGET, where the tests replay it.
set -euo pipefail
cd "$(dirname "$0")/.."
. scripts/setup.sh

seconds="${1:-60}"
shift || true
targets=("$@")
if [ "${#targets[@]}" = 0 ]; then
    targets=(checkpoint weights npy npz safetensors parquet jsonl csv list clip)
fi
build="${LIFT_FUZZ_BUILD:-target/fuzz}"
mkdir -p "$build"
build="$(cd "$build" && pwd)"

# The counters go into our own crates alone, by a wrapper, so that the dependencies' ordinary build serves.
cat >"$build/rustc" <<'WRAPPER'
#!/bin/sh
counters="-Cpasses=sancov-module -Cllvm-args=-sanitizer-coverage-level=4 -Cllvm-args=-sanitizer-coverage-inline-8bit-counters
    -Cllvm-args=-sanitizer-coverage-pc-table -Cllvm-args=-sanitizer-coverage-trace-compares -Clto=off"
case " $* " in
*" --crate-name lift "* | *" --crate-name lift_fuzz "*) exec "$@" $counters ;;
*) exec "$@" ;;
esac
WRAPPER
chmod +x "$build/rustc"
RUSTC_WRAPPER="$build/rustc" CARGO_TARGET_DIR="${LIFT_FUZZ_TARGET_DIR:-$build/target}" \
    cargo build --release --manifest-path tests/fuzz/Cargo.toml
program="${LIFT_FUZZ_TARGET_DIR:-$build/target}/release/lift-fuzz"

# The files of a target stand in memory where there is such a folder.
folder="$(mktemp -d -p "$([ -d /dev/shm ] && echo /dev/shm || echo "${TMPDIR:-/tmp}")" lift-fuzz.XXXXXX)"
trap 'rm -rf "$folder"' EXIT

# The seeds are files that lift itself writes.
cargo build --release --locked --bin lift
export LIFT="${CARGO_TARGET_DIR:-target}/release/lift"

for target in "${targets[@]}"; do
    mkdir -p "$build/corpus/$target" "$build/findings/$target" "tests/fuzz/corpus/$target"
    python3 scripts/fuzz_seeds.py "$target" "$build/seeds/$target"
    echo "== $target: $seconds s"
    LIFT_FUZZ_TARGET="$target" LIFT_FUZZ_FOLDER="$folder" CANDLE_NUM_THREADS=1 RAYON_NUM_THREADS=1 "$program" \
        -max_total_time="$seconds" -timeout=20 -rss_limit_mb=2048 -max_len=65536 -len_control=20 \
        -artifact_prefix="$build/findings/$target/" -print_final_stats=1 -close_fd_mask=1 \
        "$build/corpus/$target" "$build/seeds/$target" "$PWD/tests/fuzz/corpus/$target" 2>"$build/$target.log" || {
        echo "a finding:"
        tail -n 40 "$build/$target.log"
        exit 1
    }
    tail -n 12 "$build/$target.log"
done
