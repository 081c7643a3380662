#!/usr/bin/env bash
# Draws the README's pictures into assets/pictures: the path of a door with the line LiFT makes of it, and the benchmark's dot
# plot, as scripts/demo.sh draws them; the same clip with its mirror in time; the clip as an animation; and the accuracy against
# the number of training clips, on more clips (scripts/odd_table.py prints the same numbers).
#
#     scripts/pictures.sh [WORK_DIR]
#
# lift synth draws the clips, from another seed than the clips that the bundled LiFT was trained on.
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

[ -d "$work/shots" ] || "$lift" synth -o "$work/shots" --groups 9 --per-class 30 --valid-per-class 10 --seed 3
"$lift" embed "$work/shots/clips" --model mini --parts concat,reversed,frames -o "$work/shots.npz" --overwrite -q
"$lift" eval-cia --train "$work/shots/cia-synth-train.csv" --valid "$work/shots/cia-synth-validation.csv" \
    --embeddings "$work/shots.npz" --shots 2,4,8,16 --shot-draws 20 --shots-figure "$pictures/shots.png" --overwrite
ls -l "$pictures"
