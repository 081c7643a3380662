#!/usr/bin/env bash
# Draws the README's pictures with the bundled model into assets/pictures: a door's path and the line LiFT makes of it, the
# same clip beside its mirror in time, the animation, and the benchmark's dot plot.
#
#     scripts/pictures.sh [WORK_DIR]
#
# The clips are drawn by lift synth from another seed than those the bundled LiFT was trained on. It has seen no other
# kind: of the clips in assets/clips, which have textures and light of their own, it makes a poor line.
set -euo pipefail
cd "$(dirname "$0")/.."
. scripts/setup.sh

work="${1:-$(mktemp -d)}"
mkdir -p "$work"
cargo build --release --locked
lift="${CARGO_TARGET_DIR:-target}/release/lift"
pictures=assets/pictures

"$lift" synth -o "$work/synth" --groups 9 --per-class 10 --valid-per-class 5 --seed 3 --overwrite
train="$work/synth/cia-synth-train.csv"
valid="$work/synth/cia-synth-validation.csv"

# The first clip of the training table that shows this.
clip_of() {
    local id
    id="$(awk -F, -v verb="$1" -v noun="$2" '$4 == verb && $5 == noun { print $1; exit }' "$train")"
    echo "$work/synth/clips/$id.mp4"
}
door="$(clip_of opening door)"

plot() {
    "$lift" plot "$door" --model mini --title "opening a door" --overwrite -q "$@"
}
plot --method pca -o "$pictures/trajectory.png"
plot --with-reverse -o "$pictures/mirror.png"
plot --method pca --dpi 64 -o "$pictures/animation.gif"

"$lift" embed "$work/synth/clips" --model mini --parts concat,static,dynamic,frames -o "$work/synth.npz" --overwrite -q
"$lift" eval-cia --train "$train" --valid "$valid" --embeddings "$work/synth.npz" --figure "$pictures/cia.png" --overwrite

ls -l "$pictures"
