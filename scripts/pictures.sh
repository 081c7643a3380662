#!/usr/bin/env bash
# Draws the README's pictures into assets/pictures: a door's path and the line LiFT makes of it and the benchmark's dot plot, as
# scripts/demo.sh draws them, and the same clip beside its mirror in time and as an animation.
#
#     scripts/pictures.sh [WORK_DIR]
#
# The clips are drawn by lift synth from another seed than those the bundled LiFT was trained on. It has seen no other
# kind: of the clips in assets/clips, which have textures and light of their own, it makes a poor line.
set -euo pipefail
cd "$(dirname "$0")/.."

work="${1:-$(mktemp -d)}"
scripts/demo.sh "$work"
lift="${CARGO_TARGET_DIR:-target}/release/lift"
pictures=assets/pictures
door="$(awk -F, '$4 == "opening" && $5 == "door" { print $1; exit }' "$work/synth/cia-synth-train.csv")"

plot() {
    "$lift" plot "$work/synth/clips/$door.mp4" --model mini --title "opening a door" --overwrite -q "$@"
}
cp "$work/trajectory.png" "$work/cia.png" "$pictures/"
plot --with-reverse -o "$pictures/mirror.png"
plot --method pca --dpi 64 -o "$pictures/animation.gif"
ls -l "$pictures"
