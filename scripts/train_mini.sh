#!/usr/bin/env bash
# Trains the bundled LiFT, assets/mini/lift.safetensors, on clips that lift synth draws in both of its styles, and checks it on other
# clips and on those of assets/clips.
#
#     scripts/train_mini.sh [WORK_DIR]
#
# The bundled frame encoder stays as scripts/make_mini.py made it: random, never trained. The seeds below decide everything. The
# script takes minutes on two cores. The held-out clips come from another seed: other objects, textures and motions.
set -euo pipefail
cd "$(dirname "$0")/.."
. scripts/setup.sh

work="${1:-$(mktemp -d)}"
mkdir -p "$work"
cargo build --release --locked
lift="${CARGO_TARGET_DIR:-target}/release/lift"

synth() {
    [ -d "$work/$1" ] || "$lift" synth -o "$work/$1" --groups 9 "${@:2}"
}
synth train/plain --per-class 84 --valid-per-class 1 --seed 1
synth train/rich --per-class 84 --valid-per-class 1 --seed 5 --style rich --contrast hard
synth held_out --per-class 30 --valid-per-class 15 --seed 2
[ -f "$work/train.npy" ] || "$lift" embed "$work/train" --model mini --parts frames -o "$work/train.npy"

rm -rf "$work/run"
"$lift" train "$work/train.npy" -o "$work/run" --max-len 256 --epochs 60 --batch-size 64 --lr 1e-3 --seed 1

"$lift" embed "$work/held_out/clips" --model mini --lift "$work/run/best.safetensors" --parts concat,static,dynamic,reversed,frames,reconstructed \
    -o "$work/held_out.npz" --overwrite
"$lift" eval-cia --train "$work/held_out/cia-synth-train.csv" --valid "$work/held_out/cia-synth-validation.csv" \
    --embeddings "$work/held_out.npz" --per-group --reverse-control --model mini --lift "$work/run/best.safetensors" \
    --representation lift,static,dynamic,odd,lift+odd,frames-mean,frames-concat

if python3 -c 'import numpy' 2>/dev/null; then
    "$lift" embed assets/clips --model mini --lift "$work/run/best.safetensors" --parts frames,reconstructed -o "$work/bundled.npz" \
        --overwrite -q
    python3 - "$work/held_out.npz" "$work/bundled.npz" <<'EOF'
import sys, numpy
held_out, bundled = map(numpy.load, sys.argv[1:])
x, line = held_out["frames"], held_out["reconstructed"]
ratio = numpy.square(line - x).mean() / numpy.square(x.mean(1, keepdims=True) - x).mean()
print(f"the reconstruction errs {ratio:.3f} times as much as the clip's mean feature (mean squared error)")
# Of a clip of assets/clips: how far the line is from the features, and whether it leaves the mean in the direction in which they do.
for name, x, line in zip(bundled["ids"], bundled["frames"], bundled["reconstructed"]):
    error = numpy.linalg.norm(line - x, axis=1).mean() / numpy.linalg.norm(x, axis=1).mean()
    a, b = ((rows - rows.mean(0)).ravel() for rows in (x, line))
    print(f"{name}: {100 * error:.0f} % of a feature's length away; cosine of the deviations {a @ b / numpy.linalg.norm(a) / numpy.linalg.norm(b):.2f}")
EOF
fi

cp "$work/run/best.safetensors" assets/mini/lift.safetensors
echo "written: assets/mini/lift.safetensors; build again to bundle it"
