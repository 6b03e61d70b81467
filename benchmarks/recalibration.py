"""What a few labels of one's own do for the probabilities of a model that learnt elsewhere.

Snapshot Serengeti: three networks' published answers (is a photo empty?) for 69,000 photos of 168 sites. The
sites are dealt into two halves. `A → B`: everything is fitted on one half and judged on the other, medians
over drawings. *Middle* are the probabilities from 0.3 to 0.7: what is said there on the mean, how often it is
so, and how many photos have one. The curve: 0 to 200 labels drawn of A's photos, judged on B;
*made right*: the truth is drawn of the fitted answers, so that whatever is changed is a loss.

Between the sets: a head that learnt one set answers another's photos of the labels that both have; half of
the other's bursts (of jura: runs of ten photos) give the labels, the other half judges.

Log loss: the median over drawings and the range in which nine of ten lie; `worse` is the share of drawings
that do worse than the model as it came. Labels that a drawing lacks stay in the model.

usage: python benchmarks/recalibration.py DATA -o FOLDER [--draws 100] [--halves 10] [--every 1]
       [--networks …] [--sets …]
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import polars as pl

from trapline import api
from trapline.catalog import Catalog
from trapline.metrics import encode_truth, log_loss
from trapline.models import Asked, Calibration, apply_calibration, fit_again
from trapline.prediction import pooled_logits

NETWORKS = ("efficientnetb0", "mobilenetv2", "resnet50")
COUNTS = (0, 25, 50, 100, 200)
METHODS: tuple[Asked, ...] = ("temperature", "auto")
WHOLE: tuple[Asked, ...] = ("none", "temperature", "labels", "auto")
SAME = {"red_fox": "fox", "wild_boar": "wild_pig", "canidae": "coyote", "elk": "deer", "roe_deer": "deer"}
"""Labels of the sets that are near enough to be one, by the name that they get."""
EVENTS = 5
"""A label of fewer bursts is left out of a set."""
PAIRS = ("trailcam-bursts jura", "jura trailcam-bursts", "caltech-night trailcam-bursts")

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]


@dataclass(frozen=True)
class Answers:
    """A model's logits [N, K] of media, their truth [N], and what of them belongs together [N]."""

    labels: tuple[str, ...]
    logits: Floats
    truth: Ints
    groups: npt.NDArray[np.str_]

    def rows(self, rows: npt.NDArray[np.generic]) -> Answers:
        return Answers(self.labels, self.logits[rows], self.truth[rows], self.groups[rows])

    def fit(self, method: Asked) -> Calibration:
        if not len(self.truth):
            return Calibration()
        return fit_again(
            method, self.logits, self.truth, Calibration(), "single-label", self.labels, self.groups
        )

    def answer(self, calibration: Calibration) -> Floats:
        return apply_calibration(self.logits, calibration, "single-label", self.labels)

    def loss(self, calibration: Calibration) -> float:
        return float(log_loss(self.truth, self.answer(calibration)))

    def halves(self, random: np.random.Generator) -> tuple[Answers, Answers]:
        """Half of the groups, and the others."""
        names = random.permutation(np.unique(self.groups))
        first = np.isin(self.groups, names[: len(names) // 2])
        return self.rows(first), self.rows(~first)


def serengeti(folder: Path, network: str, every: int) -> Answers:
    """One network's answers, the logits as exact as float32 scores are."""
    table = pl.read_csv(folder / f"{network}_serengeti.csv.gz").gather_every(every)
    empty = np.clip(table["pred_confidence"].to_numpy(), 1e-7, 1 - 1e-7)
    logits = np.log(np.stack([1 - empty, empty], axis=1))
    sites = table["file_name_x"].str.split("/").list.get(1).to_numpy().astype(str)
    return Answers(("animal", "blank"), logits, table["real"].to_numpy().astype(np.int64), sites)


def made_right(answers: Answers) -> Answers:
    """The answers as they are once fitted, and a truth drawn of them: there is nothing to put right."""
    chances = answers.answer(answers.fit("labels"))
    drawn = np.random.default_rng(0).random((len(chances), 1))
    truth = (chances.cumsum(axis=1) > drawn).argmax(axis=1)
    return Answers(answers.labels, np.log(chances), truth, answers.groups)


def middle(answers: Answers, calibration: Calibration) -> tuple[float, float, float]:
    """Of the last label: what is said between 0.3 and 0.7 on the mean, how often it is so, of what share."""
    said = answers.answer(calibration)[:, -1]
    inside = (said >= 0.3) & (said <= 0.7)
    right = answers.truth[inside] == len(answers.labels) - 1
    return float(said[inside].mean()), float(right.mean()), float(inside.mean())


def whole_halves(data: Path, networks: Sequence[str], halves: int, every: int) -> Iterator[str]:
    """A → B with all of A's labels."""
    yield f"| network | fitted on A | log loss on B | middle: said | so | of photos |\n|{' --- |' * 6}"
    for network in networks:
        answers = serengeti(data, network, every)
        for method in WHOLE:
            losses, middles = [], []
            for seed in range(halves):
                first, second = answers.halves(np.random.default_rng(seed))
                calibration = first.fit(method)
                losses.append(second.loss(calibration))
                middles.append(middle(second, calibration))
            said, right, share = np.median(middles, axis=0)
            yield f"| {network} | {method} | {spread(losses)} | {said:.3f} | {right:.3f} | {share:.3f} |"


def spread(values: Sequence[float]) -> str:
    """The median, and where nine of ten lie."""
    low, mean, high = np.quantile(values, (0.05, 0.5, 0.95))
    return f"{mean:.3f} ({low:.3f}–{high:.3f})"


def curve(name: str, answers: Answers, draws: int, judged: int = 5000) -> Iterator[str]:
    """A row a method: the log loss after so many labels, each drawing with halves of its own."""
    found: dict[tuple[Asked, int], list[float]] = {}
    before = []
    for seed in range(draws):
        random = np.random.default_rng(seed)
        first, second = answers.halves(random)
        second = second.rows(random.permutation(len(second.truth))[:judged])
        drawn = random.permutation(len(first.truth))
        before.append(second.loss(Calibration()))
        for count in COUNTS[1:]:
            if count <= len(drawn):
                for method in METHODS:
                    loss = second.loss(first.rows(drawn[:count]).fit(method))
                    found.setdefault((method, count), []).append(loss)
    for method in METHODS:
        cells = [spread(before)]
        for count in COUNTS[1:]:
            losses = found.get((method, count), [])
            worse = np.mean(np.array(losses) > before[: len(losses)]) if len(losses) == draws else None
            change = np.mean(losses) - np.mean(before) if worse is not None else None
            cells.append("–" if worse is None else f"{spread(losses)}; {change:+.3f}, worse {worse:.0%}")
        yield f"| {name} | {method} | {' | '.join(cells)} |"


def media_of(data: Path, name: str, every: int) -> Catalog:
    """A set's photos of one label each, with the names of `SAME`; an event is a burst, or photos in a row."""
    folder = data / name
    if name == "caltech-night":
        wide = pl.read_csv(folder / "train_labels.csv")
        labels = [column for column in wide.columns if column != "id"]
        shown = wide.select(
            "id", label=pl.concat_list(labels).list.arg_max().replace_strict(dict(enumerate(labels)))
        )
        table = pl.read_csv(folder / "train_features.csv").join(shown, on="id")
        table = table.select(file=pl.col("filepath"), label="label", location="site", event="id")
    elif name == "trailcam-bursts":
        bursts = pl.read_csv(folder / "train_metadata.csv").select("file_name", event="seq_id")
        table = pl.read_csv(folder / "train_frame_labels.csv").join(bursts, on="file_name")
        table = table.select(file="file_name", label="label", location=pl.lit("CA01"), event="event")
    else:
        table = pl.read_csv(folder / "labels.csv").select("label", file="file_name", location="location")
        table = table.with_columns(event=(pl.int_range(pl.len()) // 10).cast(pl.String))
    named = table.gather_every(every).with_columns(
        pl.col("label").replace(SAME | {"empty": "blank"}), pl.col("location").cast(pl.String)
    )
    rows = named.filter(pl.col("event").n_unique().over("label") >= EVENTS).select(
        media_id="file",
        file_path="file",
        labels=pl.concat_list("label"),
        location_id="location",
        event_id="event",
    )
    return Catalog.from_rows(rows, folder, "benchmark")


def foreign(data: Path, source: str, target: str, folder: Path, every: int) -> Answers:
    """What a head that learnt the source says of the target's photos whose label it knows."""
    there = media_of(data, source, every)
    changes = [] if source == "caltech-night" else ["fold_by=event"]
    model = api.train(there, "head", folder / source, folds=3, changes=["fit=all", *changes], force=True)
    media = media_of(data, target, every)
    known = pl.col("labels").list.first().is_in(list(model.card.labels))
    media = media.with_table(media.table.filter(known))
    predictions = api.predict(model, media, folder / f"{source}-{target}.parquet")
    good = predictions.ok.select("media_id").join(
        media.table, on="media_id", how="left", maintain_order="left"
    )
    values = predictions.probabilities()[(predictions.table["status"] == "ok").to_numpy()]
    truth = encode_truth(good["labels"].to_list(), model.card.labels, "single-label")
    logits = pooled_logits(values, "single-label")
    return Answers(model.card.labels, logits, truth, good["event_id"].to_numpy().astype(str))


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("data", type=Path)
    parser.add_argument("-o", "--output", type=Path, required=True)
    parser.add_argument("--draws", type=int, default=100)
    parser.add_argument("--halves", type=int, default=10)
    parser.add_argument("--every", type=int, default=1, help="Every so manieth photo.")
    parser.add_argument("--networks", nargs="*", default=NETWORKS)
    parser.add_argument("--sets", nargs="*", default=PAIRS, help="Pairs of sets, 'FROM TO'.")
    given = parser.parse_args()
    published = given.data / "predictions-empty-vs-animal"
    for line in whole_halves(published, given.networks, given.halves, given.every):
        print(line, flush=True)
    print(f"\n| answers | fitted | {' | '.join(map(str, COUNTS))} labels |\n|{' --- |' * (2 + len(COUNTS))}")
    for network in given.networks:
        answers = serengeti(published, network, given.every)
        for name, those in ((network, answers), (f"{network}, made right", made_right(answers))):
            for line in curve(name, those, given.draws):
                print(line, flush=True)
    for pair in given.sets:
        source, target = pair.split()
        answers = foreign(given.data, source, target, given.output, given.every)
        shown, known = len(np.unique(answers.truth)), len(answers.labels)
        name = f"{pair.replace(' ', ' → ')}, {len(answers.truth)} photos of {shown} of {known} labels"
        for line in curve(name, answers, given.draws):
            print(line, flush=True)


if __name__ == "__main__":
    main()
