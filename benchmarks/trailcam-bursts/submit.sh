#!/usr/bin/env bash
# From the folders to benchmarks/trailcam-bursts/submission.csv: about three minutes on two cores.
# usage: submit.sh TRAILCAM_BURSTS FOLDER [OPTION OF TRAIN …]
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
data=$1 out=$2
mkdir -p "$out"
trapline catalog "$data" --part train -o "$out/train.parquet"
trapline train "$out/train.parquet" -r sequences --recipe-file "$here/recipe.yaml" -o "$out/run" "${@:3}"
# what the season folds say, event by event: each season shifted to its own shares, then leaning on what was near
trapline shares "$out/train.parquet" "$out/run/validation.parquet" --fold-by season -o "$out/shares.parquet"
trapline nearby "$out/train.parquet" "$out/shares.parquet" --fold-by season -o "$out/leaning.parquet"
trapline evaluate "$out/train.parquet" "$out/leaning.parquet" -o "$out/report.html"
# the withheld season; `other` has no example, but the format has it: see benchmarks/RESULTS.md
trapline catalog "$data" --part test -o "$out/test.parquet"
trapline predict "$out/run/model.onnx" "$out/test.parquet" --level event -o "$out/events.parquet"
trapline shares "$out/train.parquet" "$out/events.parquet" -o "$out/events-shares.parquet"
trapline nearby "$out/test.parquet" "$out/events-shares.parquet" --like "$out/leaning.parquet" -o "$out/events-leaning.parquet"
trapline submit "$out/events-leaning.parquet" "$data/submission_format.csv" --absent 0.015 --clip 0.001 -o "$out/submission.csv"
