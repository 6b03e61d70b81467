#!/usr/bin/env bash
# From the photos to benchmarks/caltech-night/submission.csv: about half an hour on two cores.
# usage: submit.sh CALTECH_NIGHT FOLDER
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
data=$1 out=$2
mkdir -p "$out"
trapline catalog "$data" --part train --boxes "$data/boxes.json" --join-events 5min -o "$out/labelled.parquet"
trapline train "$out/labelled.parquet" -r efficientnet-lite0 --recipe-file "$here/recipe.yaml" -o "$out/run"
# what the folds say, photo by photo and visit by visit
trapline pool "$out/run/validation.parquet" "$out/labelled.parquet" --without-box 0.3 -o "$out/pooled.parquet"
trapline evaluate "$out/labelled.parquet" "$out/run/validation.parquet" -o "$out/photos.html"
trapline evaluate "$out/labelled.parquet" "$out/pooled.parquet" -o "$out/visits.html"
# the withheld photos
trapline catalog "$data" --part test --boxes "$data/boxes.json" --event-gap 5min -o "$out/test.parquet"
trapline predict "$out/run/model.onnx" "$out/test.parquet" -o "$out/test-photos.parquet"
trapline pool "$out/test-photos.parquet" "$out/test.parquet" --without-box 0.3 -o "$out/test-visits.parquet"
trapline submit "$out/test-visits.parquet" "$data/submission_format.csv" -o "$out/submission.csv"
