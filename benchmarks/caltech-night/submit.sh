#!/usr/bin/env bash
# From the photos to benchmarks/caltech-night/submission.csv: about an hour on two cores, one training on each.
# usage: submit.sh CALTECH_NIGHT DETECTOR FOLDER [OPTION OF TRAIN …]
# DETECTOR is MegadetectorLite as docs/detect.md makes it. Steps that are done already are not done again.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
data=$1 detector=$2 out=$3
settings=${*:4}
mkdir -p "$out"

photos() { # PART: its photos, visits and boxes; where MegaDetector found none, a second detector looks
  local gap=--join-events
  [ "$1" = train ] || gap=--event-gap # the withheld photos come without sequences
  [ -e "$out/$1.parquet" ] && return
  trapline catalog "$data" --part "$1" --boxes "$data/boxes.json" $gap 5min -o "$out/$1-first.parquet" --force
  trapline detect "$detector" "$out/$1-first.parquet" --where-none --min-conf 0.2 -o "$out/$1.parquet"
}

train() { # NAME RECIPE, on one thread: sums in another order would train another network
  [ -e "$out/$1/validation.parquet" ] && return
  local resume=
  [ -e "$out/$1" ] && resume=--resume
  [ "$1" != head ] || settings=$(sed -E 's/--set epochs=[^ ]*//' <<<"$settings") # a linear head has none
  OMP_NUM_THREADS=1 trapline train "$out/train.parquet" -r "$2" --recipe-file "$here/$1.yaml" -o "$out/$1" $resume $settings
}

member() { # NAME: what its folds say of photos they did not see, and what it says of the withheld, pooled
  trapline predict "$out/$1/model.onnx" "$out/test.parquet" -o "$out/$1-test.parquet" --fresh --force
  local pool="--without-box 0.1 --place-days 60 --force"
  trapline pool "$out/$1/validation.parquet" "$out/train.parquet" $pool -o "$out/$1-train-visits.parquet"
  trapline pool "$out/$1-test.parquet" "$out/test.parquet" $pool -o "$out/$1-test-visits.parquet"
}

photos train
photos test
export -f train
export here out settings
xargs -P 2 -L 1 bash -euo pipefail -c 'train "$@"' train <<'MEMBERS'
lite2 efficientnet-lite2
lite2-close efficientnet-lite2
lite0 efficientnet-lite0
head lite0-frozen
MEMBERS
for name in lite0 lite2 lite2-close head; do member "$name"; done
# what the folds say, photo by photo and visit by visit
trapline combine "$out/train.parquet" "$out"/{lite0,lite2,lite2-close,head}/validation.parquet -o "$out/photos.parquet" --force
trapline combine "$out/train.parquet" "$out"/{lite0,lite2,lite2-close,head}-train-visits.parquet -o "$out/visits.parquet" --force
trapline evaluate "$out/train.parquet" "$out/photos.parquet" -o "$out/photos.html" --force
trapline evaluate "$out/train.parquet" "$out/visits.parquet" -o "$out/visits.html" --force
# the withheld photos
trapline combine "$out/test.parquet" "$out"/{lite0,lite2,lite2-close,head}-test-visits.parquet --like "$out/visits.parquet" \
  -o "$out/test-visits.parquet" --force
trapline submit "$out/test-visits.parquet" "$data/submission_format.csv" -o "$out/submission.csv" --force
