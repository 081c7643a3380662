#!/usr/bin/env bash
# Trains the bundled LiFT, assets/mini/lift.safetensors, on clips that lift synth draws, and checks it on other clips.
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

[ -d "$work/train" ] || "$lift" synth -o "$work/train" --groups 9 --per-class 84 --valid-per-class 1 --seed 1
[ -d "$work/held_out" ] || "$lift" synth -o "$work/held_out" --groups 9 --per-class 30 --valid-per-class 15 --seed 2
for set in train held_out; do
    [ -f "$work/$set.npy" ] || "$lift" embed "$work/$set/clips" --model mini --parts frames -o "$work/$set.npy"
done

rm -rf "$work/run"
"$lift" train "$work/train.npy" -o "$work/run" --max-len 256 --epochs 60 --batch-size 64 --lr 1e-3 --seed 1

"$lift" embed "$work/held_out/clips" --model mini --lift "$work/run/best.safetensors" --parts concat,static,dynamic,reversed,frames,reconstructed \
    -o "$work/held_out.npz" --overwrite
"$lift" eval-cia --train "$work/held_out/cia-synth-train.csv" --valid "$work/held_out/cia-synth-validation.csv" \
    --embeddings "$work/held_out.npz" --per-group --reverse-control --model mini --lift "$work/run/best.safetensors" \
    --representation lift,static,dynamic,odd,lift+odd,frames-mean,frames-concat

if python3 -c 'import numpy' 2>/dev/null; then
    python3 - "$work/held_out.npz" <<'EOF'
import sys, numpy
held_out = numpy.load(sys.argv[1])
x, line = held_out["frames"], held_out["reconstructed"]
ratio = numpy.square(line - x).mean() / numpy.square(x.mean(1, keepdims=True) - x).mean()
print(f"the reconstruction errs {ratio:.3f} times as much as the clip's mean feature (mean squared error)")
EOF
fi

cp "$work/run/best.safetensors" assets/mini/lift.safetensors
echo "written: assets/mini/lift.safetensors; build again to bundle it"
