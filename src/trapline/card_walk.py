"""From a card without labels to a table and a page to look at, in one call that goes on where it stopped."""

from __future__ import annotations

import hashlib
import json
import os
import shlex
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import polars as pl

from trapline.addresses import address_of
from trapline.catalog import Catalog, as_name
from trapline.errors import DataError, UsageError, many, name_some
from trapline.reports import quoted as _quoted
from trapline.storage import AnyPath, RemotePath, replace_text

if TYPE_CHECKING:
    from trapline.evaluation import CardFigures
    from trapline.models import Detector, ModelFile
    from trapline.observations import Observations, Sources
    from trapline.prediction import Predictions, Progress
    from trapline.reports import NextStep

PAGE, CATALOG, ANSWERS = "index.html", "photos.parquet", "answers.parquet"
OBSERVATIONS = "observations.parquet"
TABLES = ("species.csv", "species.xlsx")
_RECORD = "card.json"

Say = Callable[[str], object]
Report = Callable[[str, int, int, str], None]


@dataclass(frozen=True)
class CardWalk:
    """What was made of a card.

    Attributes:
        folder: with everything below in it.
        page: `index.html`, to look at.
        tables: of answers, locations and visits: `species.csv` and `species.xlsx`.
        catalog: `photos.parquet`: the photos with times, locations, visits and boxes.
        observations: `observations.parquet`: what the detector, the model and people say of each photo.
        figures: what was seen, as on the page.
    """

    folder: Path
    page: Path
    tables: tuple[Path, ...]
    catalog: Path
    observations: Observations
    figures: CardFigures

    def refuse_failures(self) -> CardWalk:
        """The same, or `DataError` if a photo could not be read; the message names the first."""
        failed = self.figures.of_kind("failed")
        if failed:
            named = "; ".join(f"{one.media_id}: {one.reason}" for one in failed[0].photos[:3])
            raise DataError(
                f"{failed[0].media} of {many(self.figures.media, 'photo')} could not be read: {named}."
            )
        return self


@dataclass(frozen=True)
class CardOptions:
    """How a card is looked at; see `trapline.api.card`.

    Attributes:
        detector: what was named to find the boxes, for the commands that are to be pasted.
    """

    format: str = "auto"
    detector: str = "auto"
    show_people: bool = False
    pictures: int = 24
    workers: int | None = None
    fresh: bool = False
    force: bool = False


def walk_card(
    source: AnyPath,
    folder: Path,
    detector: Callable[[], Detector],
    model: ModelFile | None,
    options: CardOptions,
    say: Say = lambda line: None,
    report: Report = lambda what, done, total, detail: None,
) -> CardWalk:
    """Read a card, find boxes, answer, count visits, and write the table and the page.

    Args:
        source: a card, a folder of cards, or anything else that `trapline.read` reads.
        folder: what is written goes there; made if needed, and gone on with (see `refuse_folder`).
        detector: opens what finds the boxes; not asked where the catalog has boxes.
        model: names what is in the boxes; None leaves it at what the detector says.
        options: the rest.
        say: told each sentence that a person should read.
        report: told of the progress: what, how many photos are done, of how many, and how fast.

    Raises:
        UsageError: the folder lies among the photos, or is of another card.
        DataError: there is no photo, or whatever a step finds wrong.
        SourceGoneError: the photos cannot be read, or no longer.
    """
    from trapline.observations import describe_thresholds, gather

    report("read the card", 0, 1, "")
    catalog = _read(source, options.format)
    _refuse_among_photos(source, catalog, folder)
    if not options.force:
        _refuse_another_card(catalog, folder)
    for sentence in catalog.facts.notes:
        say(f"{sentence}.")
    folder.mkdir(parents=True, exist_ok=True)
    record = _Record(folder, source)
    catalog, doubts, options = _find_boxes(catalog, folder, detector, model, options, report)
    saved = catalog.save(folder / CATALOG)
    answers = None if model is None else _answer(catalog, folder, model, options, report)
    sources = gather(answers, catalog)
    observations = sources.observe()
    if answers is not None and answers.facts.familiar is not None:
        doubts += answers.facts.familiar.sentences()
    doubts += _count_doubts(catalog, model, observations)
    observations.save(folder / OBSERVATIONS)
    _write_tables(answers, catalog, folder, record)
    figures = _figures(sources, model, options, report)
    again = _command_again(source, folder, model, options)
    few = [] if answers is None else list(answers.facts.few_locations)
    limits = describe_thresholds(sources.thresholds, answers)
    doubts += [f"{sentence[0].upper()}{sentence[1:]}." for sentence in limits]
    for sentence in [*few, *limits]:
        say(sentence)
    page = _write_page(figures, folder, doubts, few, again, options)
    return CardWalk(folder, page, tuple(folder / name for name in TABLES), saved, observations, figures)


def default_folder(source: AnyPath) -> Path:
    """Where a card's table goes unless asked otherwise: `<its name>-card` here."""
    whole = source.resolve() if isinstance(source, Path) else source
    return Path(f"{whole.stem if source.is_file() else whole.name}-card")


def _whole(source: AnyPath) -> str:
    """A source as any folder of this machine would name it."""
    return str(source.resolve() if isinstance(source, Path) else source)


# ---- the folder


class _Record:
    """`card.json`: of what a folder was made, and what its tables were when they were written."""

    def __init__(self, folder: Path, source: AnyPath) -> None:
        self._path = folder / _RECORD
        self._content = _read_record(folder) or {"source": _whole(source), "tables": {}}
        self._write()

    def may_become(self, name: str, *contents: bytes) -> None:
        """Note what a table may be from now on: what it is, and what it is about to become."""
        self._content["tables"][name] = [_digest(content) for content in contents]
        self._write()

    def _write(self) -> None:
        replace_text(self._path, json.dumps(self._content, indent=1, ensure_ascii=True) + "\n")


def _read_record(folder: Path) -> dict[str, Any] | None:
    """The record of a folder; None where it has none, or another file is called so."""
    try:
        content = json.loads((folder / _RECORD).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    known = isinstance(content, dict) and isinstance(content.get("source"), str)
    return content if known and isinstance(content.get("tables"), dict) else None


def card_files(folder: Path) -> tuple[Path, Path | None] | None:
    """The catalog and the answers of a folder that `card` made; None where a model gave no answers.

    None where it is another folder.
    """
    if _read_record(folder) is None or not (folder / CATALOG).is_file():
        return None
    answers = folder / ANSWERS
    return folder / CATALOG, answers if answers.is_file() else None


def _digest(content: bytes) -> str:
    return hashlib.blake2b(content, digest_size=16).hexdigest()


def refuse_folder(source: AnyPath, folder: Path, force: bool) -> None:
    """Refuse a folder that was not made of this source, or whose tables a person has edited.

    Raises:
        UsageError: so it is; `force` writes over edited tables alone.
    """
    if folder.exists() and not folder.is_dir():
        raise UsageError(f"{folder} is a file. Name a folder with -o.")
    if not folder.exists() or not any(folder.iterdir()):
        return
    record = _read_record(folder)
    if record is None:
        raise UsageError(
            f"{folder} is not empty and was not made by `trapline card`. Name another folder with -o."
        )
    if record["source"] != _whole(source):
        raise UsageError(f"{folder} was made of {record['source']}. Name another folder with -o.")
    for name, digests in record["tables"].items():
        table = folder / Path(name).name
        if not force and table.is_file() and _digest(table.read_bytes()) not in digests:
            raise UsageError(
                f"{table} was edited since it was written. Keep it under another name, or write over it with "
                "--force."
            )


def _refuse_among_photos(source: AnyPath, catalog: Catalog, folder: Path) -> None:
    """Refuse a folder in the card, or, where a file names the photos, in the folder that holds them all."""
    root = catalog.root
    if isinstance(root, RemotePath):
        if f"{address_of(folder)}/".startswith(f"{root}/"):
            raise UsageError(f"{address_of(folder)} lies among the photos. Name a folder elsewhere with -o.")
        return
    if source.is_file():
        paths = [str(root / as_name(path)) for path in catalog.table["file_path"]]
        root = Path(os.path.commonpath([str(Path(path).parent) for path in paths]))
    target = folder.resolve()
    if target == root.resolve() or root.resolve() in target.parents:
        raise UsageError(
            f"{folder} lies in the folder of the photos, {root}, which is left as it is. Name a folder "
            "elsewhere with -o."
        )


def _refuse_another_card(catalog: Catalog, folder: Path) -> None:
    """Refuse where photos that were looked at are gone, or were taken at another time: the next card."""
    path = folder / CATALOG
    if not path.is_file():
        return
    columns = ("media_id", "camera_time")
    before, now = Catalog.load(path).table.select(columns), catalog.table.select(columns)
    kept = before.join(now, on=columns, how="semi", nulls_equal=True).height
    if kept < before.height:
        gone = before.height - kept
        raise UsageError(
            f"{folder} has {many(gone, 'photo that is')} no longer in {catalog.root}, or taken at another "
            "time there. If it is another card, name another folder with -o; --force leaves out what is "
            "gone."
        )


# ---- the steps


def _read(source: AnyPath, format: str) -> Catalog:
    """The card; where nobody says of which cameras its photos are, folders and serial numbers do."""
    from trapline.formats import choose_reader, read

    if not source.exists() or source.suffix.lower() == ".parquet":
        return read(source)
    reader, _ = choose_reader(source, format)
    if reader.name == "photo_folder":
        return read(source, format=reader.name, location="auto")
    return read(source, format=reader.name)


def _find_boxes(
    catalog: Catalog,
    folder: Path,
    opened: Callable[[], Detector],
    model: ModelFile | None,
    options: CardOptions,
    report: Report,
) -> tuple[Catalog, list[str], CardOptions]:
    """The catalog with boxes, what must be known of them, and the options for what is to come.

    A model that looks into boxes does so on the way, where it can: then nothing begins anew any more.
    """
    from trapline.prediction import detect, look_once

    if not catalog.table["boxes"].is_null().all():
        return catalog, ["The boxes are those that the catalog came with."], options
    report("open the detector", 0, 1, "")
    detector = opened()
    journal = folder / f"boxes-{detector.fingerprint[:8]}.journal"
    if model is not None and model.card.preprocessing.crop is not None:
        answered = look_once(
            detector,
            model,
            catalog,
            journal,
            _table_of(folder, model),
            workers=options.workers,
            fresh=options.fresh,
            progress=_as_report("find boxes and name the animals", report),
        )
        options = replace(options, fresh=options.fresh and not answered)
    detected = detect(
        detector,
        catalog,
        journal,
        workers=options.workers,
        fresh=options.fresh,
        progress=_as_report("find boxes", report),
    )
    return detected, list(_detector_doubts(detector, options.show_people)), options


def _table_of(folder: Path, model: ModelFile) -> Path:
    """Where the answers of a model are written, with their journal."""
    return folder / f"predictions-{model.fingerprint[:8]}.parquet"


def _as_report(what: str, report: Report) -> Callable[[Progress], None]:
    return lambda now: report(what, now.done, now.total, f"{now.rate:.1f}/s")


def _answer(
    catalog: Catalog, folder: Path, model: ModelFile, options: CardOptions, report: Report
) -> Predictions:
    """What the model says of each photo, one answer for those of a visit; and where there is no animal."""
    from trapline.observations import leave_to_detector
    from trapline.prediction import pool_events, predict

    predictions = predict(
        model,
        catalog,
        _table_of(folder, model),
        workers=options.workers,
        fresh=options.fresh,
        progress=_as_report("name the animals", report),
    )
    answers = leave_to_detector(pool_events(predictions, catalog), catalog)
    answers.save(folder / ANSWERS)
    return answers


def _write_tables(answers: Predictions | None, catalog: Catalog, folder: Path, record: _Record) -> None:
    """The tables of answers, locations and visits; each takes the place of what an earlier run wrote."""
    from trapline.formats import write

    for name in TABLES:
        table, new = folder / name, folder / f".new-{name}"
        write(answers, catalog, new, format="summary", force=True)
        before = [table.read_bytes()] if table.is_file() else []
        record.may_become(name, new.read_bytes(), *before)
        new.replace(table)
        record.may_become(name, table.read_bytes())


def _figures(sources: Sources, model: ModelFile | None, options: CardOptions, report: Report) -> CardFigures:
    from trapline.catalog import check_files
    from trapline.evaluation import figures_of_card

    report("look for equal files", 0, len(sources.catalog), "")
    name = None if model is None else model.card.name
    return figures_of_card(sources, check_files(sources.catalog), model=name, pictures=options.pictures)


def _write_page(
    figures: CardFigures, folder: Path, doubts: list[str], few: list[str], again: str, options: CardOptions
) -> Path:
    from trapline.observations import SURE
    from trapline.reports import write_card

    return write_card(
        figures,
        folder / PAGE,
        tables=TABLES,
        steps=tuple(next_steps(figures, folder, again, options.show_people)),
        doubts=doubts,
        few_locations=few,
        show_people=options.show_people,
        sure=SURE,
    )


# ---- what must be known


def _detector_doubts(detector: Detector, show_people: bool) -> Iterator[str]:
    """What the detector can tell, and how often it is wrong."""
    from trapline.models import kinds_doubt
    from trapline.observations import SURE

    name, kinds = detector.path.stem, detector.categories
    if "person" in kinds:
        told = ", ".join(kind for kind in kinds if kind != "unknown")
        shown = "" if show_people else " Photos in which it finds people are not shown."
        yield f"The detector, {name}, tells {told} apart.{shown}"
        if detector.kinds is not None:
            yield kinds_doubt(detector.kinds.model.card)
    else:
        shown = "" if show_people else " So what is in boxes is blurred; a person whom it misses is seen."
        yield (
            f"The detector, {name}, calls all that it finds {' or '.join(kinds)}, people and vehicles too: "
            f"it does not tell them apart.{shown} A detector of your own that knows people is named with "
            "--detector."
        )
    measured = detector.facts.get("measured")
    yield (
        f"Nothing seen means that no box is as sure as {SURE:g}. No detector finds everything: small, far "
        f"and half-hidden animals are missed{f' ({measured})' if isinstance(measured, str) else ''}."
    )


def _count_doubts(catalog: Catalog, model: ModelFile | None, spoken: Observations) -> Iterator[str]:
    """Who names the animals, and what is counted."""
    from trapline.models import blank_column, card_doubts, familiar_doubt, few_locations_doubt
    from trapline.observations import kind_of_observer

    by_people = [name for name in spoken.facts.observers if kind_of_observer(name) in ("human", "unknown")]
    labelled = spoken.per_media(catalog).filter(pl.col("observer").is_in(by_people))["media_id"].n_unique()
    if labelled:
        yield (
            f"{labelled:,} of {many(len(catalog), 'photo is')} called what the labels that came with them "
            "say; no number stands below their pictures."
        )
    if model is None and labelled < len(catalog):
        yield (
            f"No {'other ' if labelled else ''}species are named: that takes a model, your own (below) or "
            "another, named with --model. The numbers below the pictures are the detector's confidence, not "
            "a probability."
        )
    if model is not None:
        labels, events = model.card.labels, catalog.table["event_id"].drop_nulls()
        together = "" if events.is_empty() else " Photos of one visit are answered together."
        yield (
            f"The model, {model.card.name}, knows {name_some(labels, 30)}. An animal that it does not know "
            f"is called one of these, often surely.{together}"
        )
        few = few_locations_doubt(model.card)  # stands at the top
        yield from (doubt for doubt in card_doubts(model.card) if doubt != few)
        if unknown := familiar_doubt(model.card):
            yield unknown
        if blank_column(labels) is None:
            yield "Where the detector sees no animal, its word stands: the model cannot say that."
        else:
            yield "Whether a photo is blank, its own answer says."
    yield "Photos and visits are counted, not animals. Times are those of the camera's clock."
    if catalog.table["camera_time"].is_null().all():
        yield (
            "No photo has a time, so that no visits are counted and no hours shown. Where a table or the "
            "names of the files have times, read them with `trapline catalog`, and give `trapline card` its "
            "catalog."
        )
    elif catalog.table["location_id"].is_null().all():
        yield (
            "No photo has a location, so that no visits are counted. Name it when the catalog is made "
            "(of a folder `trapline catalog … --location NAME`, of a table `--column location=NAME`), and "
            "give `trapline card` that catalog."
        )


# ---- what next


def _command_again(source: AnyPath, folder: Path, model: ModelFile | None, options: CardOptions) -> str:
    """The command that goes on in the folder as it was begun."""
    words = ["trapline card", _quoted(source), "-o", _quoted(folder)]
    words += [] if options.format == "auto" else ["--format", shlex.quote(options.format)]
    words += [] if options.detector == "auto" else ["--detector", _quoted(Path(options.detector))]
    words += [] if model is None else ["--model", _quoted(model.path)]
    return " ".join(words)


def next_steps(figures: CardFigures, folder: Path, again: str, show_people: bool) -> Iterator[NextStep]:
    """What can be done next, with commands to be pasted; `again` goes on in the folder."""
    from trapline.reports import NextStep

    write = _write_command(figures, folder)
    yield NextStep(
        "Decide",
        "A page in your browser shows visit after visit with the answer filled in, and a key accepts or "
        "corrects it. With the second command a model learns your species meanwhile; the third writes what "
        "was decided.",
        (
            f"trapline review {_quoted(folder)} -o {_quoted(folder / 'decisions.db')}",
            f"trapline review {_quoted(folder)} -o {_quoted(folder / 'decisions.db')} --train",
            f"{write} --decisions {_quoted(folder / 'decisions.db')} --format summary -o "
            f"{_quoted(folder / 'decided.csv')}",
        ),
    )
    if figures.model is None:
        yield _label_step(figures, folder, again)
    yield NextStep(
        "Go on in other programs",
        "Timelapse and AddaxAI open the first, R and spreadsheets the second; the third puts the answers "
        "into copies of the photos as keywords (with ExifTool). There are more: `trapline write --help`.",
        (
            f"{write} --format megadetector -o {_quoted(folder / 'timelapse.json')}",
            f"{write} --format csv -o {_quoted(folder / 'photos.csv')}",
            f"{write} --format xmp --mode copy -o {_quoted(folder / 'keywords')}",
        ),
    )
    if not show_people:
        yield NextStep(
            "See the people too", "All pictures are then shown as they are.", (f"{again} --show-people",)
        )


def _label_step(figures: CardFigures, folder: Path, again: str) -> NextStep:
    """Photos sorted into folders are labels: the way to a model of one's own."""
    from trapline.reports import NextStep

    photos, labelled = _quoted(folder / CATALOG), _quoted(folder / "labelled.parquet")
    by, leak = ("", "") if figures.locations >= 3 else (" --by date", "")
    if not figures.events and by:
        by, leak = " --by random", " --allow-leak"
    return NextStep(
        "Or name the species by sorting: label some photos, train, and look again",
        "The first command puts a link to each photo into a folder of its answer; the photos stay where they "
        "are.",
        (f"{_write_command(figures, folder)} --format sorted -o {_quoted(folder / 'sorted')}",),
        f"In {folder / 'sorted'} make a folder for each species, and move links of its photos there, twenty "
        "of each to begin with; leave those that show nothing in blank, and delete the links that you have "
        "not looked at. A photo of which several things were said has a link for each: keep one. Then:",
        (
            f"trapline catalog {photos} --labels {_quoted(folder / 'sorted')} -o {labelled}",
            f"trapline split {labelled}{by} -o {labelled} --force",
            f"trapline train {labelled} -r head -o {_quoted(folder / 'species')}{leak}",
            f"{again} --model {_quoted(folder / 'species' / 'model.onnx')}",
        ),
    )


def _write_command(figures: CardFigures, folder: Path) -> str:
    """What writes all that is said: of a model before the catalog, whose boxes and labels speak too."""
    paths = [folder / ANSWERS] * (figures.model is not None) + [folder / CATALOG]
    return f"trapline write {' '.join(map(_quoted, paths))}"
