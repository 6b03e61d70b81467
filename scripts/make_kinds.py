"""Make the model that Trapline ships to tell what is in a box: an animal, a person or a vehicle.

    uv run --all-extras python scripts/make_kinds.py src/trapline/models/kinds/kinds.onnx --sets shared/data

The sets are `caltech-night` (Caltech Camera Traps, CDLA-Permissive), `trailcam-bursts` (CDLA-Permissive; one
camera, S1 to S4 with labels of frames) and `jura` (one camera, CC BY 4.0), their labelled parts only. Boxes
are those of the detector that Trapline ships, cut out of the picture that the detector saw: what
`trapline detect` asks the model about. The network is the shipped EfficientNet-Lite0 in eight bits; a linear
head is fitted on its embedding of each crop, the crop mirrored, and without colours: one set is grey
throughout, and that is not what makes an animal.

A photo whose keywords, or whose burst, name two kinds does not say which of its boxes is what. Each of these
boxes trains as the one of the two that a model of all other photos finds likelier; no figure counts them.
Figures are of the most confident box of each photo. Twice: *apart* of seasons, cameras and days that the
model did not see, with all sets in training, answered by temperature and thresholds of the other seasons,
cameras and days; *left out* of each set by head, temperature and thresholds of the others alone, which is
what a new camera can expect. The file's own temperature and thresholds are chosen on all photos kept apart
and are in no figure. The head's strength is chosen on them too, and on the views of a crop both figures had
been seen; so all figures are of these.
"""

from __future__ import annotations

import argparse
import csv
import re
import tempfile
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from zlib import crc32

import numpy as np
import numpy.typing as npt
import onnx
from PIL import Image

from trapline.images import CropPolicy, Preprocessing, prepare
from trapline.metrics import estimate_ratio, log_loss
from trapline.models import (
    Calibration,
    Card,
    Detector,
    Interval,
    ModelFile,
    apply_calibration,
    attach_head,
    backbones,
    fit_calibration,
    fold_scaling,
    read_graph,
    write_model_file,
)
from trapline.models.box_kinds import choose_kinds, crop_of
from trapline.models.quantize import quantise
from trapline.training.linear import LinearLayer, fit_head

KINDS = ("animal", "person", "vehicle")
SETS = ("caltech-night", "trailcam-bursts", "jura")
FOLDS = 4
BOXES, SURE = 3, 0.3
"""Of a photo train its most confident box, and as many in all whose confidence is that high."""
STRENGTH = 0.1
"""Of the regularisation: of 0.01, 0.1, 0.3 and 1 the one with the least log loss on photos kept apart."""
CALIBRATION_CROPS = 200

Floats = npt.NDArray[np.float64]
Rows = npt.NDArray[np.int64]
Pixels = npt.NDArray[np.uint8]


@dataclass(frozen=True)
class Photo:
    """One photo with something in it.

    Attributes:
        set: which of `SETS` it is of.
        path: of the file.
        kinds: what it shows; of two it is not known which box is which.
        unit: what intervals are drawn over: a camera of caltech-night, a burst, a day of jura.
        fold: photos of a season, a camera or a day are of one.
    """

    set: str
    path: Path
    kinds: tuple[str, ...]
    unit: str
    fold: int


def lines_of(table: Path) -> list[dict[str, str]]:
    """The rows of a CSV."""
    with table.open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def photos_of(sets: Path) -> list[Photo]:
    """The labelled photos of the three sets that show something."""
    return [
        *caltech_night(sets / "caltech-night"),
        *trailcam_bursts(sets / "trailcam-bursts"),
        *jura(sets / "jura"),
    ]


def caltech_night(folder: Path) -> Iterator[Photo]:
    """Animals all, of the cameras of the training part."""
    for line in lines_of(folder / "train_features.csv"):
        site = line["site"]
        fold = crc32(site.encode()) % FOLDS
        yield Photo("caltech-night", folder / line["filepath"], ("animal",), site, fold)


def trailcam_bursts(folder: Path) -> Iterator[Photo]:
    """Frames that are not empty; those of a burst that names two kinds have both."""
    bursts = {line["file_name"]: line["seq_id"] for line in lines_of(folder / "train_metadata.csv")}
    shown = {
        line["file_name"]: {"human": "person", "vehicle": "vehicle"}.get(line["label"], "animal")
        for line in lines_of(folder / "train_frame_labels.csv")
        if line["label"] != "empty"
    }
    of_burst: dict[str, set[str]] = defaultdict(set)
    for name, kind in shown.items():
        of_burst[bursts[name]].add(kind)
    for name in shown:
        kinds = tuple(sorted(of_burst[bursts[name]]))
        yield Photo("trailcam-bursts", folder / name, kinds, bursts[name], int(name[1]) - 1)


def jura(folder: Path) -> Iterator[Photo]:
    """Photos of the published list; what they show is read from their keywords, of which some have two."""
    for line in lines_of(folder / "labels.csv"):
        path = folder / line["file_name"]
        with Image.open(path) as image:
            day = str(image.getexif().get_ifd(0x8769).get(0x9003, ""))[:10]
        yield Photo("jura", path, kinds_by_keyword(path), day, crc32(day.encode()) % FOLDS)


def kinds_by_keyword(path: Path) -> tuple[str, ...]:
    """Of digiKam's keywords: `humain` and `chasseur`, `véhicule`, and dogs and all mammals."""
    words = set(re.findall(r"<rdf:li[^>]*>([^<]*)</rdf:li>", path.read_bytes().decode("utf-8", "ignore")))
    kinds = set()
    if words & {"humain", "chasseur"}:
        kinds.add("person")
    if "véhicule" in words:
        kinds.add("vehicle")
    if "chien" in words or any(word.startswith("mammifères") for word in words):
        kinds.add("animal")
    return tuple(sorted(kinds))


def draft_card() -> Card:
    """What decides a crop; the finished card says more."""
    return Card(
        name="kinds",
        task="single-label",
        labels=KINDS,
        embedding_size=lite0().card.embedding_size,
        preprocessing=Preprocessing(crop=CropPolicy(categories=("animal",), min_conf=0.1)),
    )


def crops_of(
    photos: Sequence[Photo], detector: Detector, card: Card
) -> Iterator[tuple[int, Floats, list[Pixels]]]:
    """Of each photo that has boxes its index, their confidences and what the model sees of them."""
    assert card.preprocessing.crop is not None
    for index, photo in enumerate(photos):
        seen = prepare(photo.path, detector.preprocessing)
        (found,) = detector.detect(seen.pixels[None], [seen.inner])
        count = min(int((found.conf >= card.preprocessing.crop.min_conf).sum()), BOXES)
        if count:
            cut = [crop_of(seen.pixels, seen.inner, box, card) for box in found.boxes[:count]]
            yield index, found.conf[:count].astype(np.float64), cut


def views_of(crops: Pixels) -> list[Pixels]:
    """Batches [N, height, width, 3] as training sees them: plain first, which is how they are judged."""
    mirrored = np.ascontiguousarray(crops[:, :, ::-1])
    grey = (mirrored @ np.array([0.299, 0.587, 0.114])).astype(np.uint8)
    return [crops, mirrored, np.repeat(grey[..., None], 3, axis=-1)]


@dataclass(frozen=True)
class Boxes:
    """All boxes that train or are judged.

    Attributes:
        photos: of the sets.
        photo: [N], which photo each is of.
        first: [N], whether it is the photo's most confident one.
        features: float32 [N, views, D].
    """

    photos: list[Photo]
    photo: Rows
    first: npt.NDArray[np.bool_]
    features: npt.NDArray[np.float32]

    def column(self, value: Callable[[Photo], object]) -> npt.NDArray[np.object_]:
        """[N], something of each box's photo."""
        return np.array([value(self.photos[index]) for index in self.photo])


def embed(photos: list[Photo], detector: Detector, network: ModelFile, card: Card) -> Boxes:
    """Find the boxes of all photos, and what the network makes of them."""
    photo, first, features = [], [], []
    for index, conf, crops in crops_of(photos, detector, card):
        kept = [crop for number, crop in enumerate(crops) if number == 0 or conf[number] >= SURE]
        views = views_of(np.stack(kept))
        features.append(np.stack([network.run(view).embedding for view in views], axis=1))
        photo += [index] * len(kept)
        first += [number == 0 for number in range(len(kept))]
    return Boxes(photos, np.array(photo), np.array(first), np.concatenate(features))


def eight_bits(photos: list[Photo], detector: Detector, card: Card) -> onnx.ModelProto:
    """Lite0 with ranges seen on crops of all sets."""
    chosen = np.random.default_rng(42).permutation(len(photos))[:CALIBRATION_CROPS]
    crops = [cut[0] for _, _, cut in crops_of([photos[index] for index in chosen], detector, card)]
    batches = (np.stack(crops[start : start + 8]) for start in range(0, len(crops), 8))
    return quantise(read_graph(backbones.path("lite0")), batches, seven_bits=True)


class Judge:
    """Heads fitted to some boxes, and what they say of others.

    Args:
        boxes: all of them.
    """

    def __init__(self, boxes: Boxes) -> None:
        self.boxes = boxes
        self.sets = boxes.column(lambda photo: photo.set)
        self.folds = boxes.column(lambda photo: photo.fold).astype(np.int64)
        self.units = boxes.column(lambda photo: f"{photo.set} {photo.unit}")
        kinds = [boxes.photos[index].kinds for index in boxes.photo]
        self.known = np.array([len(names) == 1 for names in kinds])
        self.possible = np.array([[kind in names for kind in KINDS] for names in kinds])

    @property
    def judged(self) -> Rows:
        """The most confident box of each photo of one kind."""
        return np.flatnonzero(self.boxes.first & self.known)

    @property
    def truth(self) -> Rows:
        """int64 [N]: the kind, where it is known."""
        return np.asarray(self.possible.argmax(axis=1), np.int64)

    def fit(self, rows: Rows) -> LinearLayer:
        """A head; boxes of two kinds are first given the one that the others' head finds likelier."""
        truth, alone = self.truth, rows[self.known[rows]]
        head = self._fit(alone, truth)
        shared = rows[~self.known[rows]]
        if len(shared) == 0:
            return head
        said = np.where(self.possible[shared], head.logits(self.boxes.features[shared, 0]), -np.inf)
        truth[shared] = said.argmax(axis=1)
        return self._fit(rows, truth)

    def _fit(self, rows: Rows, truth: Rows) -> LinearLayer:
        weights = balance(self.sets[rows], truth[rows])
        views = self.boxes.features.shape[1]
        return fit_head(
            self.boxes.features[rows],
            truth[rows],
            len(KINDS),
            STRENGTH,
            media_weights=weights,
            view_weights=(1.0,) * views,
        )

    def logits(self, learnt: npt.NDArray[np.bool_], rows: Rows) -> Floats:
        """[rows, kinds]: of a head of the boxes that were learnt, bool [N], about these."""
        head = self.fit(np.flatnonzero(learnt))
        return np.asarray(head.logits(self.boxes.features[rows, 0]), np.float64)

    def apart(self, among: npt.NDArray[np.bool_]) -> Floats:
        """[judged, kinds]: logits of heads that saw no photo of the same fold, nor one that is not among.

        Args:
            among: [N], the boxes that take part; the others' logits are NaN.
        """
        logits = np.full((len(self.judged), len(KINDS)), np.nan)
        for fold in np.unique(self.folds):
            inside = among[self.judged] & (self.folds[self.judged] == fold)
            logits[inside] = self.logits(among & (self.folds != fold), self.judged[inside])
        return logits


def balance(sets: npt.NDArray[np.object_], truth: Rows) -> Floats:
    """Weights by which the kinds count alike, and a kind's sets as the roots of their numbers of boxes."""
    cells = np.array([f"{one} {kind}" for one, kind in zip(sets, truth, strict=True)])
    names, counts = np.unique(cells, return_counts=True)
    weights = 1 / np.sqrt(counts[np.searchsorted(names, cells)])
    for kind in np.unique(truth):
        weights[truth == kind] /= weights[truth == kind].sum()
    return np.asarray(weights / weights.mean(), np.float64)


def share_of_sets(
    hits: npt.NDArray[np.bool_], among: npt.NDArray[np.bool_], sets: npt.NDArray[np.object_]
) -> float:
    """The mean over the sets that have any of what share of theirs is hit."""
    return float(
        np.mean([hits[among & (sets == one)].mean() for one in SETS if (among & (sets == one)).any()])
    )


MOST_ANIMALS_AS_PERSONS, MOST_PERSONS_AS_OTHERS = 0.05, 0.07
"""What the thresholds keep, in the mean of the sets, on the photos kept apart."""


def choose_thresholds(probabilities: Floats, truth: Rows, sets: npt.NDArray[np.object_]) -> dict[str, float]:
    """Thresholds that err towards a person, and then towards not sure.

    A person is said from the least chance on at which so few animals are taken for persons; an animal and a
    vehicle from the least at which so few persons are taken for either.
    """
    steps = np.round(np.arange(0.05, 0.96, 0.01), 2)
    animal, person, vehicle = (KINDS.index(kind) for kind in KINDS)

    def animals_as_persons(least: float) -> float:
        return share_of_sets(probabilities[:, person] >= least, truth == animal, sets)

    for_person = next(step for step in steps if animals_as_persons(step) <= MOST_ANIMALS_AS_PERSONS)
    best = np.where(probabilities[:, person] >= for_person, person, probabilities.argmax(axis=1))
    thresholds = {KINDS[person]: float(for_person)}
    for kind in (animal, vehicle):

        def persons_as_it(least: float, kind: int = kind) -> float:
            said = (best == kind) & (probabilities[:, kind] >= least)
            return share_of_sets(said, truth == person, sets)

        enough = (step for step in steps[steps >= 0.5] if persons_as_it(step) <= MOST_PERSONS_AS_OTHERS)
        thresholds[KINDS[kind]] = float(next(enough, steps[-1]))
    return {kind: thresholds[kind] for kind in KINDS}


def settle(card: Card, judge: Judge, apart: Floats, among: npt.NDArray[np.bool_]) -> Card:
    """The card with temperature and thresholds chosen on photos kept apart.

    Args:
        card: to be settled.
        judge: knows what the photos show.
        apart: [judged, kinds], logits.
        among: [judged], the photos to choose on.
    """
    rows = judge.judged[among]
    truth, logits = judge.truth[rows], apart[among]
    calibration = fit_calibration("temperature", logits, truth, Calibration(), card.task, card.labels)
    probabilities = apply_calibration(logits, calibration, card.task, card.labels)
    thresholds = choose_thresholds(probabilities, truth, judge.sets[rows])
    return card.model_copy(update={"calibration": calibration, "thresholds": thresholds})


def answer(card: Card, logits: Floats) -> Rows:
    """[n]: the kinds that are said by a card's temperature and thresholds; their number for unknown."""
    return choose_kinds(apply_calibration(logits, card.calibration, card.task, card.labels), card)


def answer_apart(card: Card, judge: Judge, apart: Floats) -> Rows:
    """[judged]: of each fold what is said by temperature and thresholds of the others."""
    folds, said = judge.folds[judge.judged], np.empty(len(apart), np.int64)
    for fold in np.unique(folds):
        inside = folds == fold
        said[inside] = answer(settle(card, judge, apart, ~inside), apart[inside])
    return said


def answer_left_out(card: Card, judge: Judge) -> Rows:
    """[judged]: of each set what is said by head, temperature and thresholds of the others alone."""
    sets, said = judge.sets[judge.judged], np.empty(len(judge.judged), np.int64)
    for one in SETS:
        others, inside = judge.sets != one, sets == one
        settled = settle(card, judge, judge.apart(others), ~inside)
        print(f"without {one}: {describe(settled)}")
        said[inside] = answer(settled, judge.logits(others, judge.judged[inside]))
    return said


def describe(card: Card) -> str:
    """Temperature and thresholds, for people."""
    return f"temperature {card.calibration.temperature:.3f}, thresholds {card.thresholds}"


NOTICES = (
    "Trained on photos of: Caltech Camera Traps (Beery et al. 2018; LILA BC), Community Data License "
    "Agreement - Permissive 1.0; one camera of the challenge Hakuna Ma-data, CDLA-Permissive 1.0; Gimenez et "
    "al. 2022, Computo (camera traps of the Jura), CC BY 4.0. No photo is in the file.",
)
MEASURED_ON = (
    "the most confident box (0.1 or more) of each photo that shows one kind. `apart`: seasons of "
    "trailcam-bursts, cameras of caltech-night and days of jura that the model did not see, answered by "
    "temperature and thresholds that were chosen on the others. `left_out`: a whole set, as a new camera is, "
    "answered by a head, temperature and thresholds of the other sets alone. Temperature and thresholds of "
    "this file were chosen on all photos kept apart and are in no figure. The strength of the regularisation "
    "and the views of a crop were chosen with both figures seen. `person_not_shown`: persons that are called "
    "person or unknown. Photos without a box are in none of these figures."
)


def figures(judge: Judge, said: Rows, name: str) -> dict[str, Interval]:
    """Recall by kind and set, with intervals over cameras, bursts and days; printed as a table too."""
    rows = judge.judged
    found: dict[str, Interval] = {}
    for one in SETS:
        for number, kind in enumerate(KINDS):
            among = (judge.sets[rows] == one) & (judge.truth[rows] == number)
            if not among.any():
                continue
            safe = (said == KINDS.index("person")) | (said == len(KINDS))
            hits = {"recall": said == number} | ({"not_shown": safe} if kind == "person" else {})
            of_set = f"{one.replace('-', '_')}_{name}"
            for figure, hit in hits.items():
                share = estimate_ratio(hit[among], np.ones(among.sum()), judge.units[rows][among])
                if (interval := Interval.of(share)) is not None:
                    found[f"{kind}_{figure}_{of_set}"] = interval
            print_row([name, one, kind], found[f"{kind}_recall_{of_set}"], said[among])
    return found


def print_row(of: list[str], recall: Interval, said: Rows) -> None:
    """A row of the table: of what, its recall, and how often each kind was said."""
    span = "" if recall.low is None else f" ({recall.low:.3f}–{recall.high:.3f})"
    counts = np.bincount(said, minlength=len(KINDS) + 1)
    shares = [f"{count / len(said):.3f}" for count in counts]
    print("| " + " | ".join([*of, str(len(said)), f"{recall.value:.3f}{span}", *shares]) + " |")


def count_photos(boxes: Boxes) -> dict[str, dict[str, object]]:
    """How many photos and boxes of each set trained, and the kinds of those that show one."""
    counts: dict[str, dict[str, object]] = {}
    for one in SETS:
        indices = [index for index in np.unique(boxes.photo) if boxes.photos[index].set == one]
        kinds = [boxes.photos[index].kinds for index in indices]
        labels = {kind: sum(names == (kind,) for names in kinds) for kind in KINDS}
        counts[one] = {
            "media": len(indices),
            "boxes": int(np.isin(boxes.photo, indices).sum()),
            "of_two_kinds": sum(len(names) > 1 for names in kinds),
            "labels": labels,
        }
    return counts


def read_boxes(sets: Path, *, floats: bool) -> tuple[Boxes, onnx.ModelProto]:
    """What the network makes of the boxes of all photos, and the network."""
    photos, detector, card = photos_of(sets), Detector(kinds=False, threads=1), draft_card()
    graph = read_graph(backbones.path("lite0")) if floats else eight_bits(photos, detector, card)
    with tempfile.TemporaryDirectory(prefix="trapline-kinds-") as folder:
        path = write_model_file(graph, lite0().card, Path(folder) / "lite0.onnx")
        return embed(photos, detector, ModelFile(path, threads=1), card), graph


def lite0() -> ModelFile:
    """The backbone that Trapline ships."""
    return ModelFile(backbones.path("lite0"), threads=1)


def judged_card(judge: Judge) -> Card:
    """The card of the head of all boxes, with temperature, thresholds and what it is worth; printed too."""
    everywhere = np.ones(len(judge.sets), bool)
    apart = judge.apart(everywhere)
    card = settle(draft_card(), judge, apart, everywhere[judge.judged])
    probabilities = apply_calibration(apart, card.calibration, card.task, card.labels)
    print(f"log loss apart {log_loss(judge.truth[judge.judged], probabilities):.4f}; {describe(card)}")
    said = {"apart": answer_apart(card, judge, apart), "left_out": answer_left_out(card, judge)}
    on = f"photos kept apart by season, camera and day: {len(apart)} media"
    print("| " + " | ".join(("judged", "set", "kind", "photos", "recall", *KINDS, "unknown")) + " |")
    print("| --- " * 9 + "|")
    return card.model_copy(
        update={
            "calibration": card.calibration.model_copy(update={"fitted_on": on}),
            "training_data": dict(count_photos(judge.boxes)),
            "backbone": {"name": "lite0", "fingerprint": lite0().fingerprint},
            "notices": (*lite0().card.notices, *NOTICES),
            "metrics": {key: one for name in said for key, one in figures(judge, said[name], name).items()},
            "metrics_on": MEASURED_ON,
        }
    )


def main() -> None:
    """Write the file named on the command line, and print what it is worth."""
    parser = argparse.ArgumentParser(description="Make the model of kinds that Trapline ships.")
    parser.add_argument("output", type=Path)
    parser.add_argument("--sets", type=Path, required=True, help="folder of the three sets")
    parser.add_argument("--float", action="store_true", help="with Lite0 in float32, to compare")
    options = parser.parse_args()
    boxes, graph = read_boxes(options.sets, floats=options.float)
    judge = Judge(boxes)
    card = judged_card(judge)
    head = judge.fit(np.arange(len(boxes.photo)))
    layer = fold_scaling(head.weights, head.bias, head.mean, head.scale)
    write_model_file(attach_head(graph, [layer]), card, options.output)
    print(f"{options.output}: {options.output.stat().st_size / 1e6:.1f} MB")


if __name__ == "__main__":
    main()
