#!/usr/bin/env bash
# Builds lift and shows what it does with the bundled models and clips. After the build it uses no network. It embeds clips,
# draws a set of clips in opposite pairs, shows that the embedding reads time, and draws the figure.
#
#     scripts/demo.sh [OUT_DIR]      writes into OUT_DIR (default: demo/)
set -euo pipefail
cd "$(dirname "$0")/.."
. scripts/setup.sh

cargo build --release --locked
lift="${CARGO_TARGET_DIR:-target}/release/lift"
out="${1:-demo}"
mkdir -p "$out"

table() {
    if command -v column >/dev/null; then column -s, -t; else cat; fi
}

echo
echo "== what lift sees in a file"
"$lift" info assets/clips/door_opening.mp4

echo
echo "== the four bundled clips are embedded"
"$lift" embed assets/clips --model mini -o "$out/embeddings.npy" --overwrite
cut -d, -f1-8 "$out/embeddings.npy.rows.csv" | table
if python3 -c 'import numpy' 2>/dev/null; then
    echo "the same file in numpy:"
    python3 -c 'import sys, numpy; z = numpy.load(sys.argv[1]); print(z.shape, z.dtype)' "$out/embeddings.npy"
fi

echo
echo "== a chiral set of clips is drawn: every clip has an opposite, which is its mirror in time"
"$lift" synth -o "$out/synth" --groups 9 --per-class 10 --valid-per-class 5 --seed 3 --overwrite

echo
echo "== it is embedded and probed: can a linear classifier tell opening from closing?"
"$lift" embed "$out/synth/clips" --model mini --parts concat,reversed,frames -o "$out/synth.npz" --overwrite -q
"$lift" eval-cia --train "$out/synth/cia-synth-train.csv" --valid "$out/synth/cia-synth-validation.csv" \
    --embeddings "$out/synth.npz" --figure "$out/cia.png" --overwrite
echo "frames-mean, the average of the frames, cannot: its accuracy is near chance. lift reads time. odd is the part of lift that"
echo "changes its sign when the clip runs backwards."

echo
echo "== the path of a door through feature space, and the line LiFT makes of it"
# The first clip of the training table that shows a door being opened.
door="$(awk -F, '$4 == "opening" && $5 == "door" { print $1; exit }' "$out/synth/cia-synth-train.csv")"
"$lift" plot "$out/synth/clips/$door.mp4" --model mini --method pca --title "opening a door" \
    -o "$out/trajectory.png" --overwrite -q

echo
echo "written:"
echo "  $out/embeddings.npy, $out/embeddings.npy.rows.csv   the bundled clips"
echo "  $out/synth/                                         the drawn clips and their tables"
echo "  $out/synth.npz                                      their embeddings"
echo "  $out/cia.png                                        the probe, group by group"
echo "  $out/trajectory.png                                 the figure, the README's first picture"
