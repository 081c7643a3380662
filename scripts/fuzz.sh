#!/usr/bin/env bash
# Fuzzes the code that reads foreign files, with libFuzzer: scripts/fuzz.sh [SECONDS [TARGET...]], SECONDS for each target.
#
# The fuzzing is guided by coverage and needs the stable compiler only: `-C passes` turns on the LLVM pass with libFuzzer's
# counters, so neither cargo-fuzz nor a nightly compiler is needed, and `cc` builds libFuzzer itself. The build has a folder of
# its own (LIFT_FUZZ_BUILD, default target/fuzz). The working corpus and the findings are written there too. A finding that is
# fixed is made small and kept in tests/fuzz/corpus/TARGET, where the tests replay it.
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

# A wrapper adds the counters to our own crates only, so that the ordinary build of the dependencies can be used.
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

# The files of a target are kept in memory if there is a folder for this.
folder="$(mktemp -d -p "$([ -d /dev/shm ] && echo /dev/shm || echo "${TMPDIR:-/tmp}")" lift-fuzz.XXXXXX)"
trap 'rm -rf "$folder"' EXIT

# The seeds are files that lift itself writes. The program is built for that.
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
