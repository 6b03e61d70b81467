"""Every arrow of the data's way as one function that takes what its command takes.

Media are a catalog, the path of one, anything that `trapline catalog` reads (a card folder, a table, COCO …),
one photo, a `.txt` list of paths, a list of paths, or a Polars table with the columns `media_id` and
`file_path`. A model is a `ModelFile`, its path, or the name of a backbone that Trapline ships; a recipe is
one, its name, or the path of its YAML. Everything else is refused with what is accepted.

The commands parse, call these and print; the methods of `Catalog`, `ModelFile` and `Predictions` are these
functions with the noun first. What a function needs is imported when it is called, so that `import trapline`
stays quick.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal, TypeAlias, TypedDict

from trapline.addresses import Use, address_of
from trapline.arguments import (
    Count,
    File,
    Folds,
    From,
    LocalFile,
    Output,
    Resumable,
    Source,
    Whole,
    checked,
    refuse_own_input,
)
from trapline.errors import DataError, TraplineError, UsageError
from trapline.storage import AnyPath, RemotePath, as_any_path

Changes: TypeAlias = Annotated[
    Mapping[str, object] | Sequence[str] | str, 'fields and their values, {"epochs": 20}, or texts, epochs=20'
]

__all__ = [
    "Predicted",
    "as_catalog",
    "as_gap",
    "as_media",
    "as_predictions",
    "as_recipe",
    "card",
    "check_package",
    "check_submission",
    "close_audit",
    "combine",
    "combine_to_file",
    "compare",
    "crossval",
    "deal_shards",
    "detect",
    "download",
    "embed",
    "estimate",
    "evaluate",
    "explain",
    "explore",
    "export",
    "export_detector",
    "export_saved_model",
    "export_thresholds",
    "get_model",
    "import_model",
    "lean_on_nearby",
    "list_models",
    "merge_shards",
    "observe",
    "open_model",
    "package",
    "plan_shards",
    "pool",
    "pool_to_file",
    "predict",
    "predict_to_file",
    "read",
    "recalibrate",
    "recalibrate_predictions",
    "review",
    "run",
    "run_status",
    "shift_to_shares",
    "show_decisions",
    "split",
    "submit",
    "take_decisions",
    "train",
    "tune",
    "weigh_by_region",
    "work",
    "write",
    "write_catalog",
    "write_job_file",
]

if TYPE_CHECKING:
    from datetime import timedelta

    import polars as pl

    from trapline.card_walk import CardWalk
    from trapline.catalog import Catalog as Catalog
    from trapline.catalog import Splitter as Splitter
    from trapline.cluster import Attempt, JobOptions, Merged, Plan, RunStatus, ToPlan, Worked
    from trapline.competitions import Fill as Fill
    from trapline.competitions import Submission as Submission
    from trapline.competitions.code_execution import Checked, CodePackage
    from trapline.ecology import EcologyOverview as EcologyOverview
    from trapline.ecology import Records as Records
    from trapline.ensemble import CombinedTable as CombinedTable
    from trapline.ensemble import FoldBy
    from trapline.ensemble import Recalibrated as Recalibrated
    from trapline.evaluation import Comparison, Over, SeveralLabels, UnknownLabels, Way
    from trapline.evaluation import Evaluation as Evaluation
    from trapline.evaluation import Exploration as Exploration
    from trapline.formats import ForeignPredictions as ForeignPredictions
    from trapline.formats import WriteReport as WriteReport
    from trapline.images import Box as Box
    from trapline.models import Card, PoolingMethod, TfSignature
    from trapline.models import Detector as Detector
    from trapline.models import Imported as Imported
    from trapline.models import Int8Export as Int8Export
    from trapline.models import KeptModel as KeptModel
    from trapline.models import ModelFile as ModelFile
    from trapline.models import ReadyModel as ReadyModel
    from trapline.observations import Observations as Observations
    from trapline.pipeline import Walk
    from trapline.prediction import Blanks as Blanks
    from trapline.prediction import Explained as Explained
    from trapline.prediction import Level as Level
    from trapline.prediction import PooledTable as PooledTable
    from trapline.prediction import Predictions as Predictions
    from trapline.prediction import Progress, RunEstimate, SideBySide
    from trapline.prediction import Rows as Rows
    from trapline.prediction import Summary as Summary
    from trapline.recipes import Recipe
    from trapline.review import DecisionLog, Judged, Overview, Taken
    from trapline.storage import Downloaded
    from trapline.taxonomy import Taxonomy
    from trapline.training import CrossValidation, Seeing, StepReport, TrialReport
    from trapline.training import Tuned as Tuned

    CatalogLike: TypeAlias = Annotated[
        "Catalog | Path | RemotePath | str | pl.DataFrame",
        "a catalog, its path, or a Polars table with the columns media_id and file_path",
        Use.LEADS_ON,
    ]
    Media: TypeAlias = Annotated[
        "Catalog | Path | RemotePath | str | pl.DataFrame | Sequence[Path | str]",
        "a catalog, the path of a catalog, folder, table, photo or .txt list, a list of paths, or a Polars "
        "table with the columns media_id and file_path",
        Use.LEADS_ON,
    ]
    Model: TypeAlias = Annotated[
        "ModelFile | Path | str", "a ModelFile, the path of one, or the id of a ready model"
    ]
    DetectorLike: TypeAlias = Annotated[
        "Detector | Path | str",
        "a Detector, the path of its ONNX file, the id of a ready one, or auto for the one that is shipped",
    ]
    Boxes: TypeAlias = Annotated[
        "Path | str",
        "the path of MegaDetector's JSON or of a detector's ONNX file, the id of a ready detector, or auto",
    ]
    Answers: TypeAlias = Annotated["Predictions | Path | str", "Predictions, or the path of such a table"]
    Speaking: TypeAlias = Annotated[
        "Predictions | Catalog | Path | RemotePath | str | pl.DataFrame | Sequence[Path | str]",
        "Predictions, a catalog, or the path of one or of what a catalog is read from",
        Use.LEADS_ON,
    ]
    RecipeLike: TypeAlias = Annotated["Recipe | Path | str", "a recipe, its name, or the path of its YAML"]
    TaxonomyLike: TypeAlias = Annotated["Taxonomy | Path | str", "a Taxonomy, or the path of one"]
    Decisions: TypeAlias = Annotated[
        "DecisionLog | Path | str", "a DecisionLog, or the path of one (decisions.db)"
    ]
    Recalibration: TypeAlias = Literal["auto", "temperature", "labels"]
    ThresholdsLike: TypeAlias = Annotated[
        "Path | str | Mapping[str, float]",
        'the path of the table that evaluate wrote, or thresholds by their labels, {"lynx": 0.83}',
    ]
    Gap: TypeAlias = Annotated["timedelta | str", "a time as in 60s, 5min or 1h"]
    Evaluations: TypeAlias = Annotated[
        "Mapping[str, Evaluation | Path | str]", 'evaluations by name, {"mine": evaluation}'
    ]
    AnySplitter: TypeAlias = Annotated[
        "Splitter", "ByLocation(), ByEvent(), AtRandom(), BySeason(), ByDate() or ByColumn()"
    ]

    # The options of the functions below, for the methods that are these functions.

    class ExploreOptions(TypedDict, total=False):
        """Of `explore`."""

        predictions: Answers | None
        decisions: Decisions | None
        sure_only: bool
        sample: Whole
        full: bool
        files: bool
        pictures: bool
        seed: Whole
        on_file: Callable[[int], object]

    class DetectOptions(TypedDict, total=False):
        """Of `detect`."""

        kinds: bool | None
        part: str | None
        where_none: bool
        layout: str | None
        side: Count | None
        channels: str | None
        min_conf: float
        overlap: float | None
        categories: Sequence[str] | None
        workers: Count | None
        threads: Count | None
        runtime: str
        on: str | None
        fresh: bool
        say: Callable[[str], object]
        progress: Callable[[Progress], None] | None

    class TuneOptions(TypedDict, total=False):
        """Of `tune`."""

        trials: Count
        folds: Folds
        metric: str
        changes: Changes
        recipe_file: File | None
        taxonomy: TaxonomyLike | None
        seed: Whole
        devices: Count | str | None
        cache: Path | None
        on: str | None
        report: TrialReport | None
        step_report: StepReport | None

    class TrainOptions(TypedDict, total=False):
        """Of `train`."""

        decisions: Decisions | None
        sure_only: bool
        changes: Changes
        recipe_file: File | None
        taxonomy: TaxonomyLike | None
        node: str | None
        folds: Folds | None
        allow_leak: bool
        resume: bool
        seed: Whole | None
        devices: Count | str | None
        compiled: bool
        force: bool
        cache: Path | None
        on: str | None
        report: StepReport | None

    class PredictOptions(TypedDict, total=False):
        """Of `predict`."""

        level: Level
        part: str | None
        boxes: Boxes | None
        promise: float | None
        answer: str | float | None
        batch_size: Count | None
        workers: Count | None
        on: str | None
        strict: bool
        fresh: bool
        rows_per_file: Count | None
        say: Callable[[str], object]
        progress: Callable[[Progress], None] | None
        boxes_progress: Callable[[Progress], None] | None

    class ExportOptions(TypedDict, total=False):
        """Of `export`."""

        media: Count
        seven_bits: bool
        seed: Whole

    class PoolOptions(TypedDict, total=False):
        """Of `pool`."""

        how: PoolingMethod | Literal["node-mean"] | None
        without_box: float
        place_days: float | None
        blanks: Blanks | None

    class EvaluateOptions(TypedDict, total=False):
        """Of `evaluate`."""

        decisions: Decisions | None
        asked: Judged | None
        sure_only: bool
        tables: Output | None
        thresholds: Output | None
        want: Sequence[str]
        taxonomy: TaxonomyLike | None
        answers: Way
        part: str | None
        training: Catalog | Path | str | Collection[str] | None
        name: str | None
        over: Over | None
        samples: Annotated[int, From(10)]
        pictures: Whole
        unknown_labels: UnknownLabels
        several_labels: SeveralLabels
        allow_unmatched: bool
        alike: Path | str | None
        seed: Whole

    class ObserveOptions(TypedDict, total=False):
        """Of `observe`."""

        decisions: Decisions | None
        sure_only: bool
        taxonomy: TaxonomyLike | None
        threshold: float | None
        thresholds: ThresholdsLike | None
        observers: Sequence[str] | None
        min_conf: float | None
        labelled_by: str | None
        part: str | None

    class WriteOptions(TypedDict, total=False):
        """Of `write`."""

        decisions: Decisions | None
        sure_only: bool
        taxonomy: TaxonomyLike | None
        observers: Sequence[str] | None
        min_conf: float | None
        labelled_by: str | None
        part: str | None
        threshold: float | None
        thresholds: ThresholdsLike | None
        deployments: File | None
        timezone: str | None
        metadata: File | None
        media_prefix: str | None
        file_public: bool | None
        leave_out: bool | None
        mode: Literal["symlink", "hardlink", "copy", "sidecar"] | None
        naming: Literal["full", "adobe"] | None
        blur_people: bool | None
        layout: Literal["photo", "detection"] | None
        interval: float | None
        force: bool
        options: Mapping[str, object] | None

    class SubmitOptions(TypedDict, total=False):
        """Of `submit`."""

        clip: float
        fill: Fill | None
        absent: float | None


# ---- what is given, as objects


@checked
def as_catalog(catalog: CatalogLike) -> Catalog:
    """A catalog, or the one saved at a path, or that of a table whose paths start from the current folder.

    One of more than two million rows is scanned (`trapline.catalog.ScannedCatalog`): what is written for that
    asks it in parts, all else reads it whole.

    Raises:
        UsageError: it is nothing that is accepted.
        DataError: nothing is there, or it is no catalog.
    """
    from trapline.catalog import Catalog, open_catalog

    if isinstance(catalog, Catalog):
        return catalog
    if isinstance(catalog, Path | RemotePath | str):
        return open_catalog(str(catalog))
    return Catalog.from_rows(catalog, Path.cwd(), "a table")


@checked
def as_media(media: Media) -> Catalog:
    """The catalog that any kind of media stands for; see the module.

    Raises:
        UsageError: it is nothing that is accepted.
        DataError: nothing is there, or it cannot be read.
    """
    from trapline.formats import read
    from trapline.images import SUFFIXES
    from trapline.prediction import as_catalog as of_files
    from trapline.prediction import read_list

    if isinstance(media, Path | RemotePath | str):
        source = as_any_path(media)
        if source.is_file() and source.suffix.lower() in SUFFIXES:
            return of_files([source])
        if source.is_file() and source.suffix.lower() == ".txt":
            return of_files(read_list(source))
        return read(source)
    return of_files(media) if isinstance(media, Sequence) else as_catalog(media)


@checked
def open_model(model: Model, *, threads: Count | None = None, runtime: str = "auto") -> ModelFile:
    """A model file, opened.

    Args:
        model: a path, or the id of a ready model (`lite0`); one that is open stays so.
        threads: the network runs on; None for one a core.
        runtime: `auto`, `cpu`, `cuda`, `directml`, `coreml` or `openvino`.

    Raises:
        DataError: there is no such file, or it is no model.
        UsageError: the model is open already, on other threads or another runtime.
    """
    from trapline.models import ModelFile

    if isinstance(model, ModelFile):
        if threads is not None or runtime != "auto":
            raise UsageError(
                f"{model.path} is open already, on {model.runtime}; to choose threads or runtime give "
                "its path."
            )
        return model
    return ModelFile(model, threads=threads, runtime=runtime)


@checked
def as_predictions(predictions: Answers) -> Predictions:
    """Predictions, or those of a file that `predict` wrote."""
    from trapline.prediction import Predictions

    return predictions if isinstance(predictions, Predictions) else Predictions.load(predictions)


@checked
def as_recipe(
    recipe: RecipeLike | None,
    changes: Changes = (),
    *,
    recipe_file: File | None = None,
    folds: Folds | None = None,
    node: str | None = None,
    seed: Whole | None = None,
) -> Recipe:
    """A recipe with changes.

    Args:
        recipe: one, its name (`head`, `timm/<any name of timm>`), or the path of a YAML file; None if
            `recipe_file` holds a whole one.
        changes: fields and their values, `{"optimiser.lr": 1e-4}`, or texts as `--set` takes them.
        recipe_file: YAML with fields, changed before `changes` are.
        folds: judge by so many location folds, then train on all that is labelled.
        node: recipes of taxa: train this head only.
        seed: of everything random.

    Raises:
        UsageError: an unknown name or field, or a value that cannot be.
    """
    from trapline.recipes import Recipe, change_recipe, recipe_names, resolve_recipe

    settings = _settings(changes)
    settings += [f"seed={seed}"] if seed is not None else []
    settings += [f"taxa.node={node}"] if node is not None else []
    file = None if recipe_file is None else Path(recipe_file)
    if isinstance(recipe, Recipe):
        if file is not None:
            raise UsageError("A file changes a recipe that is named: give its name, or leave the file out.")
        trains = recipe.fit == "train"
        settings = _with_folds(settings, folds, trains)
        return change_recipe(recipe, _values(settings)) if settings else recipe
    if recipe is not None and (isinstance(recipe, Path) or str(recipe).endswith((".yaml", ".yml"))):
        if file is not None:
            raise UsageError(f"{recipe} and {file} are both files with a recipe; give one of them.")
        recipe, file = None, Path(str(recipe))
    if recipe is None and file is None:
        raise UsageError(
            f"Name a recipe with -r: {', '.join(recipe_names())}, timm/<any name of timm>; "
            "or give one with --recipe-file."
        )
    if folds is not None:
        settings = _with_folds(settings, folds, resolve_recipe(recipe, file).fit == "train")
    return resolve_recipe(recipe, file, settings)


def _with_folds(settings: list[str], folds: Folds | None, trains: bool) -> list[str]:
    if folds is None:
        return settings
    return [*(["fit=all"] if trains else []), f"folds={folds}", *settings]


def _settings(changes: Changes) -> list[str]:
    """As `--set` takes them."""
    if isinstance(changes, Mapping):
        return [f"{field}={json.dumps(value, default=str)}" for field, value in changes.items()]
    if isinstance(changes, str):
        return [changes]
    return list(changes)


def _values(settings: Sequence[str]) -> dict[str, object]:
    import yaml

    pairs = (text.partition("=") for text in settings)
    return {field.strip(): yaml.safe_load(value) for field, _, value in pairs}


def _log(decisions: Decisions) -> DecisionLog:
    from trapline.review import DecisionLog

    return decisions if isinstance(decisions, DecisionLog) else DecisionLog.open(decisions, read_only=True)


def _decided(catalog: Catalog, decisions: Decisions | None, sure_only: bool) -> Catalog:
    """The catalog with the decisions, if some are given."""
    from trapline.review import with_decisions

    if decisions is None:
        _refuse_without_decisions(sure_only=sure_only)
        return catalog
    return with_decisions(catalog, _log(decisions), sure_only=sure_only)


def _refuse_without_decisions(**options: object) -> None:
    for name, value in options.items():
        if value not in (None, False):
            raise UsageError(f"--{name.replace('_', '-')} is of decisions: give them with --decisions.")


def _taxonomy(taxonomy: TaxonomyLike | None) -> Taxonomy | None:
    from trapline.taxonomy import Taxonomy, read_taxonomy

    if taxonomy is None or isinstance(taxonomy, Taxonomy):
        return taxonomy
    return read_taxonomy(Path(taxonomy))


def _report_path(output: File | None) -> Path | None:
    if output is None:
        return None
    path = Path(output)
    if path.suffix.lower() not in (".html", ".json"):
        raise UsageError(f"The report is written as .html or .json, not as '{path.name}'.")
    return path


def _files(catalog: CatalogLike | None, predictions: Answers | None) -> tuple[AnyPath, ...]:
    """The two as files, for a command that names them; empty unless both are."""
    files = tuple(
        as_any_path(one) for one in (catalog, predictions) if isinstance(one, Path | RemotePath | str)
    )
    return tuple(map(address_of, files)) if len(files) == 2 else ()


# ---- into a catalog


@checked
def read(
    source: Source,
    *,
    format: str = "auto",
    columns: Mapping[str, str] | None = None,
    label_separator: str | None = None,
    encoding: str | None = None,
    not_missing: Sequence[str] | None = None,
    strict: bool | None = None,
    root: Source | None = None,
    location: str | None = None,
    location_level: Whole | None = None,
    pattern: str | None = None,
    levels: str | None = None,
    label_from: Literal["deepest", "path"] | None = None,
    label_names: Literal["scientific", "common"] | None = None,
    boxes: File | None = None,
    labels: Media | None = None,
    part: Literal["train", "test"] | None = None,
    classified_by: Literal["human", "machine", "all"] | None = None,
    event_labels: bool | None = None,
    keep_urls: bool | None = None,
    unpack_to: LocalFile | None = None,
    blank: Sequence[str] | None = None,
    timezone: str | None = None,
    exif: bool | None = None,
    time_format: str | None = None,
    clock_shifts: File | None = None,
    event_gap: Gap | None = None,
    join_events: Gap | None = None,
    content: bool = False,
    decisions: Decisions | None = None,
    sure_only: bool = False,
    options: Mapping[str, object] | None = None,
) -> Catalog:
    """Read camera-trap media and labels from any source; pixels are not read.

    Args:
        source: a folder, a table, or a catalog that was saved.
        format: the name of a reader (`trapline.formats.READERS`), or `auto` to recognise it.
        columns: tables: what a column is for, `{"label": "species"}`.
        label_separator: tables: what stands between several labels in one cell.
        encoding: of the source's text files, as in `cp1252`; otherwise each one's is found out.
        not_missing: words that are no missing values here, as in `["NA"]` or `["country=NA"]`.
        strict: refuse the source where a row cannot be used; otherwise such rows are listed in
            `facts.rejected` and left out.
        root: the folder that a table's paths start from; of a saved catalog the one that its photos are in
            now, in which they are looked for by path, by content, and by folder.
        location: card folder: the one location of all photos.
        location_level: card folder: which folder level is the location; 0 for none.
        pattern: folders: a regular expression over paths, with `(?P<location>…)`.
        levels: class folders: what each folder level is, as in `location/label`.
        label_from: class folders: whether the deepest folder or the whole path is the label.
        label_names: Wildlife Insights: whether labels are scientific names or common ones.
        boxes: MegaDetector's JSON, to join its boxes by file name.
        labels: another source or catalog, whose labels are put on the same photos, known by their content.
        part: DrivenData, Hakuna Ma-data: this part only.
        classified_by: Camtrap DP, Wildlife Insights: labels by whom.
        event_labels: Camtrap DP, Hakuna Ma-data, Wildlife Insights: labels of events count for their photos.
        keep_urls: Camtrap DP: keep the rows of media that are URLs.
        unpack_to: Camtrap DP: unpack a zip's photos into this folder.
        blank: labels that mean "nothing there".
        timezone: of the cameras' clocks, as Area/City or +01:00.
        exif: take the times from the photos' EXIF data.
        time_format: `day-first`, `month-first`, `excel`, `excel-1904`, or as in `%d/%m/%y %H:%M`.
        clock_shifts: a CSV of cameras whose clocks were wrong, and by how much.
        event_gap: media closer in time than this are one event, as in `60s`.
        join_events: join the source's own events closer in time than this.
        content: read every file whole, and keep what it is known by when it is renamed or moved.
        decisions: made in a review; they become labels (`trapline.review.with_decisions`).
        sure_only: leave out decisions of which the person was not sure.
        options: those of a reader that another package has brought.

    Raises:
        DataError: the source is missing, of no known format, or wrong; file and line are named.
        UsageError: there is no such reader, or it has no such option.
    """
    given = _options_given(locals(), _NOT_OF_READERS)  # before there are other names than the arguments'
    from trapline.catalog import join_events as join
    from trapline.catalog import relabel
    from trapline.formats import join_boxes
    from trapline.formats import read as read_source

    gap = as_gap(event_gap, "--event-gap")
    catalog = read_source(as_any_path(source), format=format, event_gap=gap, content=content, **given)
    if boxes is not None:
        catalog = join_boxes(catalog, Path(boxes), strict=given.get("strict") is True)
    if labels is not None:
        catalog = relabel(catalog, as_media(labels))
    if (most := as_gap(join_events, "--join-events")) is not None:
        catalog = join(catalog, most)
    return _decided(catalog, decisions, sure_only)


_NOT_OF_READERS = (
    *("source", "format", "boxes", "labels", "event_gap", "join_events", "content", "options"),
    *("decisions", "sure_only"),
)
_NOT_OF_WRITERS = (
    *("source", "catalog", "output", "format", "taxonomy", "force", "options"),
    *("observers", "min_conf", "labelled_by", "part", "decisions", "sure_only", "thresholds"),
)
_PATHS = ("deployments", "metadata")
"""Options of writers, which take no text for a path."""


def _options_given(arguments: Mapping[str, Any], others: Collection[str]) -> dict[str, Any]:
    """The options of a format among a function's arguments: what is given of them, and of a guest's own.

    Args:
        arguments: by name; `options` holds those of a format that another package has brought.
        others: names of those that every format has.
    """
    own = {name: value for name, value in arguments.items() if name not in others and value is not None}
    return own | dict(arguments["options"] or {})


@checked
def as_gap(gap: Gap | None, option: str) -> timedelta | None:
    """A time between media, as text `60s`, `5min` or `1h`."""
    import re
    from datetime import timedelta

    if gap is None or isinstance(gap, timedelta):
        return gap
    match = re.fullmatch(r"(\d+(?:\.\d+)?)\s*(s|min|m|h)?", gap.strip())
    if match is None:
        raise UsageError(f"{option} takes a time as in 60s, 5min or 1h; not '{gap}'.")
    unit = {"s": 1, None: 1, "min": 60, "m": 60, "h": 3600}[match[2]]
    return timedelta(seconds=float(match[1]) * unit)


@checked
def split(
    catalog: CatalogLike,
    splitter: AnySplitter | None = None,
    *,
    check_files: bool = True,
    decisions: Decisions | None = None,
    sure_only: bool = False,
) -> Catalog:
    """Say of every labelled media whether it trains, validates or tests.

    Args:
        catalog: with labels; a split it has is replaced.
        splitter: see `trapline.catalog.Splitter`. None: whole locations; of one location alone, in order of
            time (read from the photos' EXIF where the catalog has no times) or by event (`ByDefault`).
        check_files: whether the leak check compares the content of files.
        decisions: made in a review; they become labels. What an audit keeps is in no part.
        sure_only: leave out decisions of which the person was not sure.
    """
    from trapline.catalog import ByDefault
    from trapline.formats import with_times_for

    chosen = ByDefault() if splitter is None else splitter
    media = _decided(as_catalog(catalog), decisions, sure_only)
    return chosen.apply(with_times_for(chosen, media), check_files=check_files)


@checked
def card(
    source: Source,
    output: Resumable | None = None,
    *,
    model: Model | None = None,
    detector: DetectorLike = "auto",
    format: str = "auto",
    show_people: bool = False,
    pictures: Whole = 24,
    strict: bool = False,
    workers: Count | None = None,
    threads: Count | None = None,
    fresh: bool = False,
    force: bool = False,
    say: Callable[[str], object] = lambda line: None,
    report: Callable[[str, int, int, str], None] = lambda what, done, total, detail: None,
) -> CardWalk:
    """From a card without labels to a table of answers, locations and visits, and a page to look at.

    Called again it goes on where it stopped, and after the end it looks only at new photos.

    Args:
        source: a card, a folder of cards, or anything else that `read` reads; boxes that it has stay.
        output: a folder; None for `<name of the source>-card` in the current one.
        model: names the animals; None leaves it at what the detector says.
        detector: finds the boxes.
        format: the name of a reader, or `auto`.
        show_people: show photos in which people may be, as they are.
        pictures: photos of each answer on the page.
        strict: raise `DataError`, after everything is written, if a photo could not be read.
        workers: processes that decode photos; None for one a core.
        threads: the networks run on; None for one a core.
        fresh: begin again instead of going on.
        force: write over tables of the folder that were edited, and leave out photos that are gone.
        say: told how the card was read.
        report: told of the progress: what, photos done, photos in all, how fast.

    Raises:
        UsageError: the folder was not made of this source, or lies among the photos; it holds a table that
            was edited, or photos that are gone.
        DataError: there is no photo.
    """
    from trapline.card_walk import CardOptions, default_folder, refuse_folder, walk_card
    from trapline.models import Detector

    path = as_any_path(source)
    folder = default_folder(path) if output is None else Path(output)
    refuse_folder(path, folder, force)

    def opened() -> Detector:
        return detector if isinstance(detector, Detector) else Detector(detector, threads=threads)

    done = walk_card(
        path,
        folder,
        opened,
        None if model is None else open_model(model, threads=threads),
        CardOptions(
            format,
            str(detector.path if isinstance(detector, Detector) else detector),
            show_people,
            pictures,
            workers,
            fresh,
            force,
        ),
        say,
        report,
    )
    return done.refuse_failures() if strict else done


@checked
def explore(
    catalog: CatalogLike,
    output: Output | None = None,
    *,
    predictions: Answers | None = None,
    decisions: Decisions | None = None,
    sure_only: bool = False,
    sample: Whole = 500,
    full: bool = False,
    files: bool = True,
    pictures: bool = True,
    seed: Whole = 42,
    on_file: Callable[[int], object] = lambda media: None,
) -> Exploration:
    """What is in a catalog, and what could go wrong in training on it.

    Args:
        catalog: labelled or not.
        decisions: made in a review; they become labels (`trapline.review.with_decisions`).
        sure_only: leave out decisions of which the person was not sure.
        output: `.html` to read, `.json` for scripts.
        predictions: of a model, against which the labels are held. The page then has those that it
            contradicts, and so has a table beside the page, `NAME.label_errors.csv`.
        sample: how many photos are opened for sizes, colour and damage.
        full: open every photo, and look for those that look alike.
        files: whether the photos are looked at at all: which are missing or equal, and the sample. Without
            that a catalog of any size is explored in little memory.
        pictures: whether the page has example photos.
        seed: of the sample and the examples.
        on_file: called for each photo that was opened, with how many are to be.
    """
    from trapline.evaluation import survey

    if full and not files:
        raise UsageError("--full opens every photo, and --no-files none: leave one of them out.")
    path = _report_path(output)
    media = _decided(as_catalog(catalog), decisions, sure_only)
    total = len(media) if full else min(sample, len(media))
    exploration = survey(
        media,
        None if predictions is None else as_predictions(predictions),
        sample=sample,
        full=full,
        files=files,
        seed=seed,
        on_file=lambda: on_file(total),
    )
    if path is not None and path.suffix.lower() == ".json":
        exploration.save_json(path)
    elif path is not None:
        exploration.save_report(path, pictures=pictures, files=_files(catalog, predictions))
    return exploration


@checked
def detect(
    detector: DetectorLike,
    media: Media,
    output: Resumable,
    *,
    kinds: bool | None = None,
    part: str | None = None,
    where_none: bool = False,
    layout: str | None = None,
    side: Count | None = None,
    channels: str | None = None,
    min_conf: float = 0.05,
    overlap: float | None = None,
    categories: Sequence[str] | None = None,
    workers: Count | None = None,
    threads: Count | None = None,
    runtime: str = "auto",
    on: str | None = None,
    fresh: bool = False,
    say: Callable[[str], object] = lambda line: None,
    progress: Callable[[Progress], None] | None = None,
) -> Catalog:
    """Find boxes in every photo; called again it goes on where it stopped.

    Args:
        detector: an ONNX file, a ready detector's id, or `auto` for the one that comes with Trapline; the
            options about it are for one that is not open yet.
        media: see the module.
        output: a catalog (`.parquet`) or MegaDetector's JSON (`.json`).
        kinds: whether a model of its own tells animal, person and vehicle apart in the boxes; None where the
            detector is the one that comes with Trapline, which calls everything an animal.
        part: only this part of the split.
        where_none: only photos without a box; the others keep theirs.
        layout: of the file (docs/detect.md lists them); None where it tells.
        side: of its input, pixels, where it takes any.
        channels: in which order it takes them, `RGB` or `BGR`; None for its layout's.
        min_conf: boxes below this confidence are left out.
        overlap: of boxes that overlap more than this the most confident one stays; None for 0.45.
        categories: what the detector finds, in its order.
        workers: processes that decode photos; None for one a core.
        threads: the network runs on; None for one a core.
        runtime: what runs the network.
        on: have it done in shards by an engine, as in `predict`.
        fresh: begin again instead of going on.
        say: told what of the source is not in it.
        progress: called after every batch.
    """
    from trapline.models import Detector
    from trapline.prediction import detect as find
    from trapline.prediction import journal_path
    from trapline.tasks import check_engine

    path = _boxes_path(output)
    if on is not None:
        check_engine(on)
        given: dict[str, Any] = {"kinds": kinds, "layout": layout, "side": side, "channels": channels}
        given |= {"min_conf": None if min_conf == 0.05 else min_conf, "overlap": overlap}
        given |= {"categories": categories, "where_none": where_none or None}
        given = {name: value for name, value in given.items() if value is not None}
        to_plan = _detection_to_plan(detector, media, part, runtime, say, **given)
        return _detect_on(on, to_plan, path, workers, threads, fresh, say, progress)
    if not isinstance(detector, Detector):
        detector = Detector(
            detector,
            layout=layout,
            side=side,
            channels=channels,
            categories=categories,
            kinds=kinds,
            min_conf=min_conf,
            overlap=overlap,
            threads=threads,
            runtime=runtime,
        )
    elif (
        min_conf != 0.05
        or runtime != "auto"
        or {kinds, layout, side, channels, overlap, threads} != {None}
        or categories
    ):
        raise UsageError(f"{detector.path} is open already; give its path to choose its options.")
    catalog = as_media(media)
    _tell_left_out(catalog, say)
    detected = find(
        detector,
        catalog,
        journal_path(path),
        part=part,
        where_none=where_none,
        workers=workers,
        fresh=fresh,
        progress=progress,
    )
    write_catalog(detected, path)
    return detected


def _detect_on(
    on: str,
    to_plan: ToPlan,
    output: Path,
    workers: int | None,
    threads: int | None,
    fresh: bool,
    say: Callable[[str], object],
    progress: Callable[[Progress], None] | None,
) -> Catalog:
    """Boxes found in shards by an engine."""
    from trapline.catalog import Catalog
    from trapline.cluster import deal_shards, merge_shards, planned_beside

    _refuse_address_on(on, output)
    with planned_beside(to_plan, output, fresh=fresh) as folder:
        deal_shards(folder, on, workers=workers, threads=threads, progress=progress, say=say)
        detected = Catalog.load(merge_shards(folder, folder / "detected.parquet").output)
        write_catalog(detected, output)
    return detected


@checked
def write_catalog(catalog: CatalogLike, output: Output, *, rows_per_file: Count | None = None) -> Path:
    """Write a catalog as Parquet, or its boxes alone as MegaDetector's JSON, by the suffix of the output.

    Args:
        catalog: the media.
        output: `.parquet` or `.json`.
        rows_per_file: write the Parquet as a folder of files of so many rows each.
    """
    from trapline.formats import write_boxes

    path, loaded = _boxes_path(output), as_catalog(catalog)
    if path.suffix.lower() != ".json":
        return loaded.save(path, rows_per_file=rows_per_file)
    if rows_per_file is not None:
        raise UsageError("--rows-per-file is of Parquet; boxes are one file of JSON.")
    return write_boxes(loaded, path)


def _boxes_path(output: File) -> Path:
    path = Path(output)
    if path.suffix.lower() not in (".parquet", ".json"):
        raise UsageError(f"Boxes are written as a catalog (.parquet) or as .json, not as '{path.name}'.")
    return path


def _tell_left_out(catalog: Catalog, say: Callable[[str], object]) -> None:
    """What of its source is not in a catalog: other files, folders not read."""
    for sentence in catalog.facts.left_out:
        say(f"{sentence}.")


# ---- into a model


@checked
def train(
    catalog: CatalogLike,
    recipe: RecipeLike,
    folder: Resumable | None = None,
    *,
    decisions: Decisions | None = None,
    sure_only: bool = False,
    changes: Changes = (),
    recipe_file: File | None = None,
    taxonomy: TaxonomyLike | None = None,
    node: str | None = None,
    folds: Folds | None = None,
    allow_leak: bool = False,
    resume: bool = False,
    seed: Whole | None = None,
    devices: Count | str | None = None,
    compiled: bool = False,
    force: bool = False,
    cache: Path | None = None,
    on: str | None = None,
    report: StepReport | None = None,
) -> ModelFile:
    """Train a recipe on the part train, judge it on validation, write a model file.

    Args:
        catalog: with a split, unless the recipe deals folds.
        recipe: see `as_recipe`, as are `changes`, `recipe_file`, `node`, `folds` and `seed`.
        folder: of the run; None for `runs/RECIPE`.
        decisions: made in a review; they become labels and what an audit keeps is not learnt.
        sure_only: leave out decisions of which the person was not sure.
        changes: `{"epochs": 20}`.
        recipe_file: YAML with fields of the recipe.
        taxonomy: what the labels are, for recipes of taxa.
        node: recipes of taxa: train this head only.
        folds: judge by so many location folds.
        allow_leak: train though the split leaks; the card says so.
        resume: go on with the run in the folder.
        seed: of everything random.
        devices: on which a network is trained: a number, `auto` for all GPUs, `cpu:2` for two processes on
            the processor, or names with commas (`cuda:0,cuda:2`); None for one GPU, or the processor.
        compiled: have PyTorch compile the network first, which takes a minute and may pay on a GPU.
        force: remove an earlier run in the folder, and nothing that is none.
        cache: folder for pixels and features; None for the user's.
        on: fit folds, or members, several at once, in processes of their own: `local:4`, `ray`,
            `ray://HOST:PORT`.
        report: told of each step.

    Returns:
        the model, opened; its `card` has the figures.
    """
    from trapline.models import ModelFile
    from trapline.training import need_weights
    from trapline.training import train as fit

    chosen = as_recipe(recipe, changes, recipe_file=recipe_file, folds=folds, node=node, seed=seed)
    path = Path("runs") / chosen.name.replace("/", "-") if folder is None else Path(folder)
    if force and not resume:
        need_weights(chosen, cache)  # before the earlier run is gone
        _remove_run(path)
    return ModelFile(
        fit(
            chosen,
            _decided(as_catalog(catalog), decisions, sure_only),
            path,
            taxonomy=_taxonomy(taxonomy),
            allow_leak=allow_leak,
            resume=resume,
            devices=devices,
            compiled=compiled,
            cache=cache,
            on=on,
            report=report,
        )
    )


def _remove_run(folder: Path) -> None:
    """Remove an earlier run, and nothing that is not one."""
    import shutil

    from trapline.training import is_run

    if not folder.exists():
        return
    around = folder.resolve() in (Path.cwd(), *Path.cwd().parents)
    if around or (any(folder.iterdir()) and not is_run(folder)):
        raise UsageError(f"{folder} is not the folder of a training run; it is not removed. Name another.")
    shutil.rmtree(folder)


@checked
def crossval(
    catalog: CatalogLike,
    recipe: RecipeLike,
    folds: Folds | AnySplitter = 5,
    *,
    changes: Changes = (),
    recipe_file: File | None = None,
    taxonomy: TaxonomyLike | None = None,
    seed: Whole | None = None,
    devices: Count | str | None = None,
    folder: LocalFile | None = None,
    cache: Path | None = None,
    on: str | None = None,
    report: StepReport | None = None,
) -> CrossValidation:
    """Judge a recipe by models of the other folds, and keep none of them.

    Args:
        catalog: with labels.
        recipe: see `as_recipe`.
        folds: how many, dealt as the recipe says; or a splitter, as `BySeason(folds="each")`.
        changes: `{"epochs": 20}`.
        recipe_file: YAML with fields of the recipe.
        taxonomy: what the labels are, for recipes of taxa.
        seed: of everything random.
        devices: on which networks are trained; see `train`.
        folder: for checkpoints of networks, so that an interrupted call goes on; None for a temporary one.
        cache: folder for pixels and features; None for the user's.
        on: fit several folds at once, in processes of their own: `local:4`; `ray`, `ray://HOST:PORT`, with a
            folder that all machines share.
        report: told of each step.
    """
    from trapline.training import crossval as judge

    chosen, media = as_recipe(recipe, changes, recipe_file=recipe_file, seed=seed), as_catalog(catalog)
    dealt = folds if isinstance(folds, int) else list(folds.folds(media))
    return judge(
        chosen,
        media,
        dealt,
        taxonomy=_taxonomy(taxonomy),
        run_folder=None if folder is None else Path(folder),
        devices=devices,
        cache=cache,
        on=on,
        report=report,
    )


@checked
def tune(
    catalog: CatalogLike,
    recipe: RecipeLike,
    folder: Resumable | None = None,
    *,
    trials: Count = 20,
    folds: Folds = 3,
    metric: str = "log_loss",
    changes: Changes = (),
    recipe_file: File | None = None,
    taxonomy: TaxonomyLike | None = None,
    seed: Whole = 42,
    devices: Count | str | None = None,
    cache: Path | None = None,
    on: str | None = None,
    report: TrialReport | None = None,
    step_report: StepReport | None = None,
) -> Tuned:
    """Search a recipe's settings by location folds, and write `report.html`; called again it goes on.

    Called on the same folder elsewhere at the same time, it helps: together they make `trials`.

    Args:
        catalog: with labels.
        recipe: see `as_recipe`, as are `changes` and `recipe_file`.
        folder: None for `runs/tune-RECIPE`.
        trials: in all.
        folds: location folds a trial.
        metric: what is compared.
        changes: `{"epochs": 20}`.
        recipe_file: YAML with fields of the recipe.
        taxonomy: what the labels are, for recipes of taxa.
        seed: of everything random.
        devices: on which networks are trained; see `train`.
        cache: folder for pixels and features; None for the user's.
        on: make several trials at once, in processes of their own: `local:4`, `ray`, `ray://HOST:PORT`.
        report: told after each trial.
        step_report: told of each step of a trial.
    """
    from trapline.reports import tuning_report
    from trapline.training import tune as search

    chosen = as_recipe(recipe, changes, recipe_file=recipe_file, seed=seed)
    path = Path("runs") / f"tune-{chosen.name.replace('/', '-')}" if folder is None else Path(folder)
    study = search(
        chosen,
        as_catalog(catalog),
        path,
        trials=trials,
        folds=folds,
        metric=metric,
        taxonomy=_taxonomy(taxonomy),
        devices=devices,
        cache=cache,
        on=on,
        report=report,
        step_report=step_report,
    )
    tuning_report(study, path / "report.html")
    return study


@checked
def run(
    source: Source,
    output: Output,
    recipe: RecipeLike = "head",
    *,
    changes: Changes = (),
    recipe_file: File | None = None,
    taxonomy: TaxonomyLike | None = None,
    format: str = "auto",
    boxes: Boxes | None = None,
    splitter: AnySplitter | None = None,
    absent: float | None = None,
    allow_leak: bool = False,
    say: Callable[[str], None] = lambda line: None,
    report: StepReport | None = None,
) -> Walk:
    """Run a recipe whole: catalog, explore, split, train, predict, evaluate and, where asked for, submit.

    Args:
        source: labelled photos, in any format that `read` reads.
        output: a new folder for everything.
        recipe: see `as_recipe`, as are `changes` and `recipe_file`.
        changes: `{"epochs": 20}`.
        recipe_file: YAML with fields of the recipe.
        taxonomy: what the labels are, for recipes of taxa.
        format: the name of a reader, or `auto`.
        boxes: to cut to, as of `predict`.
        splitter: `ByColumn()` takes the source's own parts. None: see `split`.
        absent: in the submission, the probability of labels that no photo has; None makes them an error.
        allow_leak: train although the split leaks.
        say: told of each step.
        report: told of the progress of training.
    """
    from trapline.catalog import ByDefault
    from trapline.pipeline import run_pipeline

    return run_pipeline(
        as_any_path(source),
        as_recipe(recipe, changes, recipe_file=recipe_file),
        Path(output),
        read_options={"format": format},
        boxes=boxes,
        taxonomy=_taxonomy(taxonomy),
        splitter=ByDefault() if splitter is None else splitter,
        allow_leak=allow_leak,
        absent=absent,
        say=say,
        report=report,
    )


@checked
def export(
    model: Model,
    output: Output,
    *,
    calibrate: Media,
    media: Count = 200,
    seven_bits: bool = False,
    seed: Whole = 42,
) -> Int8Export:
    """Write a model again in eight bits, and measure what that costs.

    Args:
        model: a classifier.
        output: the new model file.
        calibrate: labelled, with the split of the training: ranges are read from its training photos, the
            cost is measured on its validation photos.
        media: training photos that ranges are read from.
        seven_bits: safe on processors without VNNI too, and less exact.
        seed: of the choice of photos.
    """
    from trapline.models import export_int8

    refuse_own_input(output, model, calibrate)
    return export_int8(
        open_model(model),
        as_media(calibrate),
        Path(output),
        media=media,
        seven_bits=seven_bits,
        seed=seed,
    )


@checked
def export_thresholds(model: Model, output: Output, *, thresholds: File) -> Path:
    """Write a model again with thresholds of its labels, by which all that it predicts is answered then.

    Args:
        model: a classifier.
        output: the new model file.
        thresholds: the table that `evaluate` wrote of this model's predictions.

    Raises:
        UsageError: a backbone, or a model of taxa, whose ranks have thresholds.
        DataError: a table of another model, or of probabilities that became others afterwards.
    """
    from trapline.models import read_graph, write_model_file
    from trapline.observations import with_thresholds

    refuse_own_input(output, model, thresholds)
    opened = open_model(model)
    card = with_thresholds(opened.card, opened.fingerprint, Path(thresholds))
    return write_model_file(read_graph(opened), card, Path(output))


@checked
def export_saved_model(model: Model, output: Output, signature: TfSignature | None = None) -> Path:
    """Write a model as a SavedModel for TensorFlow Serving: the folder of one version, as `species_model/1`.

    Args:
        model: a classifier.
        output: the folder to make.
        signature: how clients ask, where they know another model; see `TfSignature`.
    """
    from trapline.models import PLAIN, ModelFile, find_model
    from trapline.models import export_saved_model as export_model

    path = model.path if isinstance(model, ModelFile) else find_model(model)
    return export_model(path, Path(output), PLAIN if signature is None else signature)


@checked
def export_detector(
    detector: File,
    output: Output,
    *,
    layout: str | None = None,
    side: Count | None = None,
    channels: str | None = None,
    categories: Sequence[str] | None = None,
    licence: str | None = None,
) -> Detector:
    """Write a detector as an ONNX file that says of itself how it is read, and open it.

    Args:
        detector: an ONNX file or a ready detector's id (see `describe_detector`), or PyTorch's checkpoint of
            a YOLOX, with the tensors under `model` (see `convert_detector`); nothing in it is executed.
        output: the ONNX file.
        layout: of an ONNX file, where it does not tell.
        channels: in which order an ONNX file takes them, `RGB` or `BGR`; None for its layout's.
        side: of its input, pixels: a multiple of 32. A checkpoint's is 640 if it is not said.
        categories: what it finds, in its order.
        licence: under which it may be used.
    """
    from trapline.models import convert_detector, describe_detector, is_onnx

    options: dict[str, Any] = {"side": side, "categories": categories, "licence": licence}
    if is_onnx(detector):
        return describe_detector(detector, output, layout=layout, channels=channels, **options)
    if layout is not None or channels is not None:
        raise UsageError("A checkpoint that is converted is a YOLOX: leave out --layout and --channels.")
    return convert_detector(detector, output, **options)


@checked
def import_model(
    source: File,
    output: Output,
    *,
    labels: Sequence[str] | File | None = None,
    manifest: File | None = None,
    about: Mapping[str, object] | None = None,
) -> Imported:
    """Make a model file of a classifier that was trained elsewhere.

    Args:
        source: an ONNX, Keras, PyTorch or safetensors file, or the folder of a SavedModel.
        output: the model file.
        labels: in the order of its answers: a list, or a file of them.
        manifest: YAML or JSON with fields of `trapline.models.Description`.
        about: such fields, which stand above the manifest's.

    Raises:
        DataError: the file is no such model; what it is.
        UsageError: something must be said that the file does not say, or contradicts it.
    """
    from trapline.models import describe, read_labels, read_manifest
    from trapline.models import import_model as import_foreign

    refuse_own_input(output, source)
    fields = dict({} if manifest is None else read_manifest(Path(manifest)))
    fields |= {name: value for name, value in (about or {}).items() if value is not None}
    if labels is not None:
        fields["labels"] = read_labels(Path(labels)) if isinstance(labels, Path | str) else tuple(labels)
    return import_foreign(Path(source), Path(output), describe(fields))


@checked
def recalibrate(
    model: Model,
    catalog: Media,
    output: Output,
    *,
    part: str | None = None,
    method: Recalibration = "auto",
) -> Recalibrated:
    """Fit a model's probabilities again to labelled media, 50 to 100 are enough; measure what that changes.

    Args:
        model: a classifier, of another place or made elsewhere.
        catalog: labelled media that it was not trained on.
        output: the new model file.
        part: of the split; None for `validation` of a catalog with a split, else for all labelled media.
        method: `temperature`; `labels`, an offset each besides; `auto` takes what the media bear.
    """
    from trapline.ensemble import recalibrate as fit_to

    refuse_own_input(output, model, catalog)
    return fit_to(open_model(model), as_media(catalog), Path(output), part=part, method=method)


@checked
def recalibrate_predictions(
    predictions: Answers,
    catalog: Media,
    output: Output,
    *,
    part: str | None = None,
    method: Recalibration = "auto",
) -> Recalibrated:
    """The same of a table of predictions, as other tools leave it, by those of its media that are labelled.

    Args:
        predictions: of media, with the probability of every label.
        catalog: with labels of some of them.
        output: the new table.
        part: as of `recalibrate`, likewise `method`.
    """
    from trapline.ensemble import recalibrate_table

    refuse_own_input(output, predictions, catalog)
    table = as_predictions(predictions)
    return recalibrate_table(table, as_media(catalog), Path(output), part=part, method=method)


# ---- into predictions


@dataclass(frozen=True)
class Predicted:
    """What a run of prediction left behind.

    Attributes:
        output: the table.
        catalog: of the media, with no more than prediction needs.
        summary: counts of the table.
        runtime: what ran the network.
    """

    output: Path
    catalog: Catalog
    summary: Summary
    runtime: str

    def refuse_failures(self) -> None:
        """Raise `DataError` if any media failed, or a folder of the source could not be read."""
        from trapline.prediction import refuse_failures

        refuse_failures(self.summary, self.catalog)


@checked
def predict(
    model: Model,
    media: Media,
    output: Resumable,
    *,
    level: Level = "media",
    part: str | None = None,
    boxes: Boxes | None = None,
    promise: float | None = None,
    answer: str | float | None = None,
    batch_size: Count | None = None,
    workers: Count | None = None,
    threads: Count | None = None,
    runtime: str = "auto",
    on: str | None = None,
    strict: bool = False,
    fresh: bool = False,
    rows_per_file: Count | None = None,
    say: Callable[[str], object] = lambda line: None,
    progress: Callable[[Progress], None] | None = None,
    boxes_progress: Callable[[Progress], None] | None = None,
) -> Predictions:
    """One row a media, box or event, whatever happens to the run; called again it goes on where it stopped.

    Args:
        model: a classifier.
        media: see the module.
        output: the table to write, `.csv` or `.parquet`; overwritten.
        level: a row a `media`, a row a `box` of a detector, or a row an `event`.
        part: only this part of the split.
        boxes: to cut to: MegaDetector's JSON; or `auto`, a detector's ONNX file or id, to find them first for
            media without a box. What was found is kept in `<output>.boxes.journal`.
        promise: of a model of taxa: answers that keep another promise at each rank than the card's.
        answer: of a model of taxa: the share of photos to answer, `0.8`, `80%` or at a rank `family:80%`, by
            the highest promise with which so many are.
        batch_size: media a batch.
        workers: processes that decode photos; None for one a core.
        threads: the network runs on; None for one a core.
        runtime: what runs the network.
        on: have it done in shards by an engine, each in a process of its own: `local:4`, `ray`,
            `ray://HOST:PORT`. The table is the same; what is done stands in `<output>.run` until it is whole.
        strict: raise `DataError`, after the table is written, if any media failed or a folder was not read.
        fresh: begin again instead of going on with an earlier run.
        rows_per_file: write a folder of Parquet files of so many rows each, and not one file.
        say: told what a person must know of the source and the boxes.
        progress: called after every batch.
        boxes_progress: likewise, while boxes are found.

    Returns:
        the table; it knows its catalog, for `pool`, `write` and `evaluate`.
    """
    from trapline.models import ModelFile, find_model

    refuse_own_input(output, model, media, boxes)
    if on is not None:
        done = predict_to_file(
            model,
            media,
            output,
            level=level,
            part=part,
            boxes=boxes,
            promise=promise,
            answer=answer,
            batch_size=batch_size,
            workers=workers,
            threads=threads,
            runtime=runtime,
            rows_per_file=rows_per_file,
            on=on,
            strict=strict,
            fresh=fresh,
            say=say,
            progress=progress,
        )
        return replace(as_predictions(done.output), catalog=done.catalog)
    if not isinstance(model, ModelFile):
        model = find_model(model)
    options: dict[str, Any] = {"level": level, "part": part, "batch_size": batch_size, "workers": workers}
    options["rows_per_file"] = rows_per_file
    finding = _Finding(model, Path(output), options, threads, runtime, fresh, progress, boxes_progress)
    catalog = _with_boxes(as_media(media), boxes, say, finding)
    done = predict_to_file(
        model,
        catalog,
        output,
        promise=promise,
        answer=answer,
        threads=threads,
        runtime=runtime,
        strict=strict,
        fresh=fresh and not finding.begun,
        say=say,
        progress=None if finding.begun else progress,
        **options,
    )
    return replace(as_predictions(done.output), catalog=catalog)


@checked
def predict_to_file(
    model: Model,
    media: Media,
    output: Resumable,
    *,
    level: Level = "media",
    part: str | None = None,
    boxes: Boxes | None = None,
    promise: float | None = None,
    answer: str | float | None = None,
    batch_size: Count | None = None,
    workers: Count | None = None,
    threads: Count | None = None,
    runtime: str = "auto",
    on: str | None = None,
    strict: bool = False,
    fresh: bool = False,
    rows_per_file: Count | None = None,
    say: Callable[[str], object] = lambda line: None,
    progress: Callable[[Progress], None] | None = None,
    boxes_progress: Callable[[Progress], None] | None = None,
) -> Predicted:
    """The same as `predict`, without the table in memory: more media need little more."""
    from trapline.prediction import predict_to_file as predict_rows
    from trapline.tasks import check_engine

    refuse_own_input(output, model, media, boxes)
    path = Path(output)
    if on is not None:
        check_engine(on)
        if rows_per_file is not None:
            raise UsageError("--rows-per-file is of a run without --on: the shards are merged into one file.")
        given: dict[str, Any] = {"promise": promise, "answer": answer, "boxes": _boxes_of_file(boxes)}
        given |= {"level": level} | ({} if batch_size is None else {"batch_size": batch_size})
        to_plan = _prediction_to_plan(model, media, part, runtime, say, **given)
        return _predict_on(on, to_plan, path, workers, threads, strict, fresh, say, progress)
    options: dict[str, Any] = {"level": level, "part": part, "batch_size": batch_size, "workers": workers}
    options["rows_per_file"] = rows_per_file
    finding = _Finding(model, path, options, threads, runtime, fresh, progress, boxes_progress)
    opened, catalog = _opened(model, media, boxes, threads, runtime, say, finding)
    if promise is not None or answer is not None:
        opened = opened.answering(promise=promise, answer=answer)
        say(_describe_choice(opened.card))
    _tell_of_training(opened, catalog, say)
    begun = finding.begun
    options |= {"fresh": fresh and not begun, "progress": None if begun else progress}
    summary = predict_rows(opened, catalog, path, **options)
    _tell_of_far(summary, say)
    done = Predicted(path, catalog, summary, opened.runtime)
    if strict:
        done.refuse_failures()
    return done


def _boxes_of_file(boxes: Boxes | None) -> Boxes | None:
    """Refuse boxes that are to be found first: that is a run of its own."""
    if boxes is None or not isinstance(boxes, str | Path) or Path(boxes).suffix.lower() == ".json":
        return boxes
    raise UsageError(
        f"--boxes {boxes} finds boxes first, which with --on is a run of its own: `trapline detect MODEL "
        "SOURCE -o boxes.json --on …`, then --boxes boxes.json."
    )


def _refuse_address_on(on: str, output: Path) -> None:
    """Refuse to begin a run in this machine's cache that others are to do."""
    if on.startswith("ray") and address_of(output) != output:
        raise UsageError(
            f"--on {on} needs a folder that all machines have: name an output on a disk that they share, or "
            "plan it there or in a bucket (`trapline cluster plan`), and deal it by `trapline cluster work`."
        )


def _predict_on(
    on: str,
    to_plan: ToPlan,
    output: Path,
    workers: int | None,
    threads: int | None,
    strict: bool,
    fresh: bool,
    say: Callable[[str], object],
    progress: Callable[[Progress], None] | None,
) -> Predicted:
    """Predictions, or embeddings, made in shards by an engine."""
    from trapline.cluster import deal_shards, merge_shards, planned_beside

    _refuse_address_on(on, output)
    with planned_beside(to_plan, output, fresh=fresh) as folder:
        deal_shards(folder, on, workers=workers, threads=threads, progress=progress, say=say)
        merged = merge_shards(folder, output)
    _tell_of_far(merged.counts, say)
    done = Predicted(output, to_plan.media, merged.counts, str(merged.plan.options["runtime"]))
    if strict:
        done.refuse_failures()
    return done


@checked
def estimate(
    model: Model,
    media: Media,
    output: Resumable,
    *,
    level: Level = "media",
    part: str | None = None,
    boxes: Boxes | None = None,
    batch_size: Count | None = None,
    workers: Count | None = None,
    threads: Count | None = None,
    runtime: str = "auto",
    fresh: bool = False,
    rows_per_file: Count | None = None,
    say: Callable[[str], object] = lambda line: None,
) -> RunEstimate:
    """Time a sample and say how long `predict` with these arguments would take; nothing is written.

    Boxes that `predict` would find first are not there, so that `boxes` names a file that has them.
    """
    from trapline.prediction import estimate as guess

    opened, catalog = _opened(model, media, boxes, threads, runtime, say)
    return guess(
        opened,
        catalog,
        Path(output),
        level=level,
        part=part,
        batch_size=batch_size,
        workers=workers,
        fresh=fresh,
        rows_per_file=rows_per_file,
    )


def _opened(
    model: Model,
    media: Media,
    boxes: Boxes | None,
    threads: Count | None,
    runtime: str,
    say: Callable[[str], object],
    finding: _Finding | None = None,
) -> tuple[ModelFile, Catalog]:
    """The model and what of the media prediction needs.

    The model is tried before the media are listed, which may take minutes, and opened after: what listing
    them needed for a while, the network can use again.
    """
    from trapline.models import STANDARD, ModelFile, find_model, read_tried
    from trapline.prediction import narrow

    if not isinstance(model, ModelFile):
        model = find_model(model)
        read_tried(model, "model", runtime, STANDARD)
    catalog_given = as_media(media)
    _tell_left_out(catalog_given, say)
    catalog = narrow(_with_boxes(catalog_given, boxes, say, finding))
    del catalog_given
    return open_model(model, threads=threads, runtime=runtime), catalog


@dataclass
class _Finding:
    """How boxes are found for a prediction: as it is done itself, in one pass with it, and written down.

    Attributes:
        begun: whether the pass was made: both journals are of this run then, begun anew if that was asked,
            and what is still to be done is no progress worth telling.
    """

    model: Model
    output: Path
    options: dict[str, Any]
    threads: int | None
    runtime: str
    fresh: bool
    progress: Callable[[Progress], None] | None
    boxes_progress: Callable[[Progress], None] | None
    begun: bool = False

    def find(self, catalog: Catalog, named: Path | str) -> Catalog:
        """The catalog with the detector's boxes for media that have none.

        Raises:
            UsageError: the model looks at whole photos.
        """
        from trapline.models import Detector
        from trapline.prediction import detect as find
        from trapline.prediction import journal_path, look_once, narrow

        model = open_model(self.model, threads=self.threads, runtime=self.runtime)
        if model.card.preprocessing.crop is None:
            raise UsageError(
                "This model looks at whole photos, so that no boxes need be found: leave --boxes out."
            )
        detector = Detector(named, threads=self.threads, runtime=self.runtime)
        journal = journal_path(self.output.with_name(self.output.name + ".boxes"))
        options = self.options | {"fresh": self.fresh, "progress": self.progress}
        self.begun = look_once(detector, model, narrow(catalog), journal, self.output, **options)
        return find(
            detector,
            catalog,
            journal,
            part=self.options["part"],
            where_none=True,
            workers=self.options["workers"],
            fresh=self.fresh and not self.begun,
            progress=None if self.begun else self.boxes_progress,
        )


def _with_boxes(
    catalog: Catalog, boxes: Boxes | None, say: Callable[[str], object], finding: _Finding | None
) -> Catalog:
    from trapline.catalog import JoinedBoxes
    from trapline.formats import join_boxes

    if boxes is None:
        return catalog
    from trapline.models import names_detector

    if names_detector(boxes):
        if finding is None:
            raise UsageError(
                "Without a run no boxes are found. Find them with `trapline detect` first, and give --boxes "
                "the JSON that it wrote."
            )
        return finding.find(catalog, boxes)
    joined = join_boxes(catalog, Path(boxes))
    box_source = joined.facts.boxes
    assert isinstance(box_source, JoinedBoxes)
    counts = (
        (box_source.media_not_in_file, "media are not in it"),
        (box_source.failed, "media failed in the detector"),
        (box_source.names_not_in_catalog, "of its names are no media here"),
        (box_source.videos, "of its entries are videos"),
    )
    if without := [f"{count:,} {what}" for count, what in counts if count]:
        say(f"{box_source.file} has boxes of {box_source.matched:,} media; {', '.join(without)}.")
    return joined


def _describe_choice(card: Card) -> str:
    """What the answers that were chosen promise, and what they reach at places not chosen on."""
    from trapline.models import describe_answers, promise_doubt

    made = card.taxonomy["rollup"]
    if lacking := promise_doubt(card):
        return lacking
    kept = f"answers promise {made['promise']:.0%} right at each rank, with confidence {made['confidence']:g}"
    return f"{kept}; {describe_answers(card)}." if describe_answers(card) else f"{kept}."


def _tell_of_far(summary: Summary, say: Callable[[str], object]) -> None:
    """Say which locations are unlike what the model has learnt from."""
    for sentence in () if summary.familiar is None else summary.familiar.sentences():
        say(sentence)


def _tell_of_training(model: ModelFile, catalog: Catalog, say: Callable[[str], object]) -> None:
    """Say where the model sees other cuts of photos than it has learnt from, knows few cameras, or cannot
    tell what is unlike them."""
    import polars as pl

    from trapline.catalog import streamed
    from trapline.models import familiar_doubt, few_locations_doubt

    for doubt in filter(None, (few_locations_doubt(model.card), familiar_doubt(model.card))):
        say(doubt)
    if model.card.preprocessing.crop is None:
        return
    no_boxes = streamed(catalog.frame.select(pl.col("boxes").is_null().all()), catalog.source)
    boxes, learnt = not no_boxes.item(), model.card.saw_crops
    if not boxes and learnt is not False:
        say(
            "this model cuts photos to detector boxes where there are some. There are none here, so it "
            "sees full frames; have them found with --boxes auto."
        )
    elif boxes and learnt is False:
        say(
            "no photo had a box when this model was trained: it learnt from full frames. Here photos "
            "are cut to boxes, which it has never seen. Predict the folder of the photos, or a catalog "
            "without boxes; or train again with boxes."
        )


# ---- in shards, on many machines


@checked
def plan_shards(
    model: Model | DetectorLike,
    media: Media,
    folder: Source,
    *,
    task: Literal["predict", "detect", "embed"] = "predict",
    shard_size: Count = 8192,
    tries: Count = 3,
    lease: float = 120.0,
    part: str | None = None,
    runtime: str = "auto",
    level: Level | None = None,
    boxes: Boxes | None = None,
    promise: float | None = None,
    answer: str | float | None = None,
    batch_size: Count | None = None,
    kinds: bool | None = None,
    where_none: bool | None = None,
    layout: str | None = None,
    side: Count | None = None,
    channels: str | None = None,
    min_conf: float | None = None,
    overlap: float | None = None,
    categories: Sequence[str] | None = None,
    say: Callable[[str], object] = lambda line: None,
) -> Plan:
    """Plan `predict`, `detect` or `embed` in shards that any number of machines can do; see `work`.

    Args:
        model: a classifier; or a detector, to detect; or what `embed` takes.
        media: see the module.
        folder: of the run; made, with all that a worker needs but the photos.
        task: which of them.
        shard_size: media a shard has at least: it ends with a batch, or between events that a model sees
            whole.
        tries: how often a shard's process may die without getting further before the photo is looked for.
        lease: seconds after which a worker that says nothing has lost its shard.
        part: only this part of the split.
        runtime: what runs the network on all machines; `auto` is what this one would take.
        level: to predict, a row a `media` (as for None), `box` or `event`; see `predict`, as for the next.
        boxes: MegaDetector's JSON.
        promise: of a model of taxa.
        answer: of a model of taxa.
        batch_size: media a batch; None for 16.
        kinds: to detect; see `detect`, as for the others.
        where_none: only photos without a box.
        layout: of the file.
        side: of its input.
        channels: of its input.
        min_conf: boxes below this confidence are left out; None for 0.05.
        overlap: of boxes that overlap more the most confident one stays.
        categories: what the detector finds.
        say: told what a person must know of the source and the plan.

    Raises:
        UsageError: the folder is not empty, or an option is of the other task.
    """
    from trapline.cluster import plan_shards as plan

    predicting = {
        "level": level,
        "boxes": boxes,
        "promise": promise,
        "answer": answer,
        "batch_size": batch_size,
    }
    detecting = {
        "kinds": kinds,
        "where_none": where_none,
        "layout": layout,
        "side": side,
        "channels": channels,
        "min_conf": min_conf,
        "overlap": overlap,
        "categories": categories,
    }
    embedding = {name: predicting[name] for name in ("boxes", "batch_size")}
    of_task: dict[str, Mapping[str, Any]] = {
        "predict": predicting,
        "detect": detecting,
        "embed": embedding,
    }
    taken = of_task[task]
    others = {name: value for name, value in (predicting | detecting).items() if name not in taken}
    if given := [f"--{name.replace('_', '-')}" for name, value in others.items() if value is not None]:
        raise UsageError(f"{', '.join(given)} does nothing in a plan to {task}: leave it out.")
    options: dict[str, Any] = {name: value for name, value in taken.items() if value is not None}
    make: dict[str, Callable[..., ToPlan]] = {
        "predict": _prediction_to_plan,
        "detect": _detection_to_plan,
        "embed": _embedding_to_plan,
    }
    to_plan = make[task](model, media, part, runtime, say, **options)
    made = plan(to_plan, folder, shard_size=shard_size, tries=tries, lease=lease)
    largest = max((shard.stop - shard.start for shard in made.shards), default=0)
    if largest > 2 * shard_size:
        say(
            f"The largest shard has {largest:,} media: there is no bound within it at which the answers stay "
            "the same, as where the media of events are scattered over the catalog."
        )
    return made


def _prediction_to_plan(
    model: Any,
    media: Media,
    part: str | None,
    runtime: str,
    say: Callable[[str], object],
    *,
    boxes: Boxes | None = None,
    promise: float | None = None,
    answer: str | float | None = None,
    **options: Any,
) -> ToPlan:
    from trapline.cluster import prediction
    from trapline.models import ModelFile

    at_hand = runtime if isinstance(model, ModelFile) else _at_hand(runtime)
    opened, catalog = _opened(model, media, boxes, None, at_hand, say)
    if promise is not None or answer is not None:
        opened = opened.answering(promise=promise, answer=answer)
        say(_describe_choice(opened.card))
    _tell_of_training(opened, catalog, say)
    to_plan = prediction(opened, catalog if part is None else catalog.part(part), **options)
    return to_plan if runtime == at_hand else to_plan.on(runtime)


def _detection_to_plan(
    detector: Any,
    media: Media,
    part: str | None,
    runtime: str,
    say: Callable[[str], object],
    *,
    where_none: bool = False,
    **options: Any,
) -> ToPlan:
    from trapline.cluster import detection
    from trapline.models import Detector

    at_hand = _at_hand(runtime)
    if not isinstance(detector, Detector):
        detector = Detector(detector, runtime=at_hand, **options)
    elif options or runtime != "auto":
        raise UsageError(f"{detector.path} is open already; give its path to choose its options.")
    catalog = as_media(media)
    _tell_left_out(catalog, say)
    to_plan = detection(detector, catalog, part=part, where_none=where_none)
    return to_plan if runtime == at_hand else to_plan.on(runtime)


def _embedding_to_plan(
    model: Any,
    media: Media,
    part: str | None,
    runtime: str,
    say: Callable[[str], object],
    *,
    changes: Changes = (),
    boxes: Boxes | None = None,
    **options: Any,
) -> ToPlan:
    from trapline.cluster import embedding
    from trapline.models import ModelFile

    at_hand = runtime if isinstance(model, ModelFile) else _at_hand(runtime)
    seeing = _as_seeing(model, changes, None, at_hand, None)
    if len({view.preprocessing for view in seeing.views}) > 1:
        say("The recipe looks at full frames too, which are no part of the shards: training embeds them.")
    to_plan = embedding(seeing, _looked_at(media, boxes, part, say), **options)
    return to_plan if runtime == at_hand else to_plan.on(runtime)


def _at_hand(runtime: str) -> str:
    """With what a model can be opened here to be planned with: a login node has no GPU."""
    from trapline.models import is_present

    return runtime if is_present(runtime) else "cpu"


@checked
def work(
    folder: Source,
    shard: Whole | None = None,
    *,
    claim: bool = False,
    root: Source | None = None,
    workers: Count | None = None,
    threads: Count | None = None,
    report: Callable[[Attempt], None] | None = None,
) -> Worked:
    """Do one shard of a plan, or take one after the other until none is left; see `trapline.cluster.work`.

    Args:
        folder: of the run.
        shard: which, from 0; None for that of the task of a Slurm array or of Kubernetes' Indexed Job that
            this is.
        claim: take whichever nobody is at, until all are done.
        root: where the photos are, if not where the plan says.
        workers: processes that decode photos; None for one a core.
        threads: the network runs on; None for one a core.
        report: told how far it is, every now and then.
    """
    from trapline.cluster import work as do

    return do(folder, shard, claim=claim, root=root, workers=workers, threads=threads, report=report)


@checked
def deal_shards(
    folder: Source,
    on: str,
    *,
    root: Source | None = None,
    workers: Count | None = None,
    threads: Count | None = None,
    progress: Callable[[Progress], object] | None = None,
    say: Callable[[str], object] = lambda line: None,
) -> Worked:
    """Have all shards of a plan done that are not, by an engine; see `trapline.cluster.deal_shards`.

    Args:
        folder: of the run.
        on: `local:N` for N processes on this machine, `ray`, or `ray://HOST:PORT`.
        root: where the photos are, if not where the plan says.
        workers: processes that decode photos for a shard; None for one a core of its own.
        threads: the network runs on for a shard.
        progress: told how far it is, now and then.
        say: told of tries that were lost.
    """
    from trapline.cluster import deal_shards as deal

    return deal(folder, on, root=root, workers=workers, threads=threads, progress=progress, say=say)


@checked
def write_job_file(
    folder: Source, output: LocalFile, scheduler: str, options: JobOptions | None = None
) -> Path:
    """Write the file by which `slurm`, `kubernetes` or `ray` does all shards of a run; nothing is started.

    Args:
        folder: of the run.
        output: the file.
        scheduler: for which; `ray` is a RayJob for KubeRay.
        options: those that act there.
    """
    from trapline.cluster import JobOptions
    from trapline.cluster import write_job_file as write

    return write(folder, output, scheduler, options or JobOptions())


@checked
def run_status(folder: Source) -> RunStatus:
    """How far a run in shards is; nothing is changed, and nobody is waited for."""
    from trapline.cluster import run_status as status

    return status(folder)


@checked
def merge_shards(folder: Source, output: Output, *, strict: bool = False) -> Merged:
    """Put the tables of all shards together: byte for byte what a single run would have written.

    Args:
        folder: of the run.
        output: what `predict` or `detect` would have written; overwritten.
        strict: raise `DataError`, after it is written, if any media failed or a folder was not read.

    Raises:
        DataError: a shard is missing or there twice, or a table is another than planned; nothing is written.
    """
    from trapline.cluster import merge_shards as merge

    merged = merge(folder, output)
    if strict:
        merged.refuse_failures()
    return merged


@checked
def embed(
    model: Model | RecipeLike,
    media: Media,
    output: Resumable,
    *,
    changes: Changes = (),
    part: str | None = None,
    boxes: Boxes | None = None,
    batch_size: Count | None = None,
    workers: Count | None = None,
    threads: Count | None = None,
    runtime: str = "auto",
    on: str | None = None,
    strict: bool = False,
    fresh: bool = False,
    cache: Path | None = None,
    say: Callable[[str], object] = lambda line: None,
    progress: Callable[[Progress], None] | None = None,
    views_progress: Callable[[int, int], None] | None = None,
) -> Predicted:
    """Write a table of what a network sees in each media; called again it goes on where it stopped.

    Heads that are trained later on the same photos find all of it in the cache.

    Args:
        model: a model file or the id of a ready one (`lite0`), or a recipe, by whose backbone, preprocessing
            and views its heads look.
        media: see the module.
        output: `.parquet`, a row a media: `media_id`, `event_id`, `file_path`, `status`, `reason` and
            `embedding`, float32 [D].
        changes: of the recipe, `{"preprocessing.height": 300}`.
        part: only this part of the split.
        boxes: MegaDetector's JSON, to cut to.
        batch_size: media a batch; None for 16.
        workers: processes that decode photos; None for one a core.
        threads: the network runs on; None for one a core.
        runtime: what runs it.
        on: deal shards of the media to an engine: `local:N` processes on this machine, `ray`, or
            `ray://HOST:PORT`. The table is the same; `workers` and `threads` are a shard's, and features are
            kept in the cache of the machine that computed them.
        strict: raise `DataError`, after it is written, if any media failed or a folder was not read.
        fresh: forget what an earlier call has done.
        cache: folder for features; None for the user's.
        say: told what a person must know of the source.
        progress: told how far it is.
        views_progress: told how many of the other views of a recipe are done, which only the cache gets.
    """
    from trapline.prediction import DEFAULT_BATCH_SIZE, check_embeddings_path
    from trapline.tasks import check_engine
    from trapline.training import embed_to_file

    refuse_own_input(output, model, media, boxes)
    if on is not None:
        check_engine(on)
        check_embeddings_path(Path(output))
        if cache is not None:
            raise UsageError("With --on each machine has its own cache: name it there by TRAPLINE_CACHE.")
        given: dict[str, Any] = {"changes": changes, "boxes": boxes}
        given |= {} if batch_size is None else {"batch_size": batch_size}
        to_plan = _embedding_to_plan(model, media, part, runtime, say, **given)
        return _predict_on(on, to_plan, Path(output), workers, threads, strict, fresh, say, progress)
    seeing = _as_seeing(model, changes, threads, runtime, cache)
    catalog = _looked_at(media, boxes, part, say)
    summary = embed_to_file(
        seeing,
        catalog,
        output,
        cache=cache or "user",
        batch_size=batch_size or DEFAULT_BATCH_SIZE,
        workers=workers,
        fresh=fresh,
        progress=progress,
        views_progress=views_progress,
    )
    done = Predicted(Path(output), catalog, summary, seeing.network.runtime)
    if strict:
        done.refuse_failures()
    return done


def _looked_at(media: Media, boxes: Boxes | None, part: str | None, say: Callable[[str], object]) -> Catalog:
    from trapline.prediction import narrow

    catalog = as_media(media)
    _tell_left_out(catalog, say)
    catalog = narrow(_with_boxes(catalog, boxes, say, None))
    return catalog if part is None else catalog.part(part)


def _as_seeing(
    model: Any, changes: Changes, threads: Count | None, runtime: str, cache: Path | None
) -> Seeing:
    """What looks: a model file, or a recipe's backbone."""
    from trapline.models import ready_of
    from trapline.recipes import Recipe
    from trapline.training import Seeing

    named = isinstance(model, Recipe) or (
        isinstance(model, Path | str)
        and ready_of(model) is None
        and (not Path(model).is_file() or Path(model).suffix in (".yaml", ".yml"))
        and Path(model).suffix != ".onnx"
    )
    if named:
        return Seeing.of_recipe(as_recipe(model, changes), cache, threads=threads, runtime=runtime)
    if _settings(changes):
        raise UsageError(f"--set changes a recipe, and {model} is a model: leave it out.")
    return Seeing.of_model(open_model(model, threads=threads, runtime=runtime))


@checked
def explain(
    model: Model, photo: Source, *, catalog: Media | None = None, box: Box | None = None
) -> Explained:
    """What a model of taxa says of one photo, taxon by taxon.

    Args:
        model: of taxa.
        photo: its file, on a disk or in a bucket.
        catalog: has the photo; the model sees the box that `predict` takes.
        box: cut to this one instead.
    """
    from trapline.prediction import explain as say_of

    has_it = None if catalog is None else as_media(catalog)
    return say_of(open_model(model), photo, catalog=has_it, box=box)


# ---- from predictions to predictions


@checked
def read_answers(
    source: File,
    catalog: Media,
    *,
    format: str = "auto",
    rename: File | None = None,
    encoding: str | None = None,
    strict: bool = False,
    options: Mapping[str, object] | None = None,
) -> ForeignPredictions:
    """Read another tool's answers as predictions, to evaluate, pool and write them as one's own.

    Args:
        source: of SpeciesNet, MegaDetector, AddaxAI, PyTorch-Wildlife, Wildlife Insights, zamba, or a table
            with a column of files and one for each label.
        catalog: the media.
        format: the name of a reader (`trapline.formats.ANSWER_READERS`), or `auto` to recognise it.
        rename: a CSV with the columns `from` and `to`: the tool's labels, and those of the catalog.
        encoding: of a table, as in `cp1252`.
        strict: refuse entries that cannot be used; else they fail alone.
        options: the reader's own.

    Raises:
        DataError: the file is missing, of no known form, or names no media of the catalog.
        UsageError: there is no such reader, or it has no such option.
    """
    from trapline.formats import read_answers as read_source

    renaming = None if rename is None else Path(rename)
    return read_source(
        Path(source),
        as_media(catalog),
        format=format,
        rename=renaming,
        encoding=encoding,
        strict=strict,
        **dict(options or {}),
    )


@checked
def pool(
    predictions: Answers,
    catalog: CatalogLike | None = None,
    *,
    rows: Rows = "media",
    how: PoolingMethod | Literal["node-mean"] | None = None,
    without_box: float = 1.0,
    place_days: float | None = None,
    blanks: Blanks | None = None,
) -> Predictions:
    """Pool the predictions of the photos of each event into one answer.

    Args:
        predictions: of media, or of boxes.
        catalog: that was predicted, with its events; None where the predictions know it.
        rows: `media`: a row a photo, of which its event says what is there, and its own answer whether
            anything is; `event`: a row an event.
        how: None as the model was fitted; else `mean`, `max`, `noisy-or`, … (`trapline.prediction.frames`).
        without_box: weight of media in which the detector found nothing, 0 to 1.
        place_days: answer events without a box by what else their location shows within so many days.
        blanks: `event`: a row a photo has its event's whole answer, also where the photo is blank; None
            leaves that to its `own`.
    """
    from trapline.prediction import pool_events

    loaded = as_predictions(predictions)
    media = _catalog_of(loaded, None if catalog is None else as_catalog(catalog))
    pooled = pool_events(
        loaded,
        media,
        how=how,
        without_box=without_box,
        place_days=place_days,
        rows=rows,
        blanks=blanks,
    )
    return replace(pooled, catalog=media)


@checked
def pool_to_file(
    predictions: File,
    catalog: CatalogLike,
    output: Output,
    *,
    rows: Rows = "media",
    how: PoolingMethod | Literal["node-mean"] | None = None,
    without_box: float = 1.0,
    place_days: float | None = None,
    blanks: Blanks | None = None,
    rows_per_file: Count | None = None,
) -> PooledTable:
    """The same as `pool`, from table to table some events at a time: more media need little more memory.

    Args:
        predictions: the path of a table.
        catalog: that was predicted, with its events.
        output: of the pooled table.
        rows: as of `pool`, likewise the next three.
        how: see there.
        without_box: see there.
        place_days: see there; with it all is in memory at once.
        blanks: see there.
        rows_per_file: write a folder of Parquet files of so many rows each, and not one file.
    """
    from trapline.prediction import pool_table, scan_table

    refuse_own_input(output, predictions, catalog)
    return pool_table(
        scan_table(predictions),
        _scan_media(catalog),
        output,
        rows=rows,
        how=how,
        without_box=without_box,
        place_days=place_days,
        blanks=blanks,
        rows_per_file=rows_per_file,
    )


def _scan_media(catalog: CatalogLike) -> tuple[Catalog, pl.LazyFrame]:
    """A catalog without rows, and its rows, which stay on the disk where they are there."""
    from trapline.catalog import ScannedCatalog
    from trapline.prediction import media_of

    if isinstance(catalog, Path | str):
        return media_of(ScannedCatalog.load(catalog))
    return media_of(as_catalog(catalog))


@checked
def combine(
    predictions: Annotated[Sequence[Answers], "a list of predictions, a table a model"],
    catalog: CatalogLike,
    *,
    like: Answers | None = None,
    fold_by: FoldBy = "location",
    folds: Folds = 5,
) -> Predictions:
    """Several models as one, and each calibrated for what it can see.

    Args:
        predictions: a table a model, of the same media or events.
        catalog: that was predicted, with its boxes and events; with labels where weights are learnt.
        like: weigh the models as in this combined table; None learns it from the labels.
        fold_by: what is kept together where it is learnt: location or season, as the models' folds did.
        folds: of the locations, where it is learnt.
    """
    from trapline.ensemble import combine as weigh
    from trapline.ensemble import learn_combination
    from trapline.prediction import Combination

    if not predictions:
        raise UsageError("There is nothing to combine: give at least one table of predictions.")
    media, members = as_catalog(catalog), [as_predictions(member) for member in predictions]
    if like is None:
        combination = learn_combination(members, media, fold_by=fold_by, folds=folds)
    else:
        combination = weigh(members, media, Combination.of(as_predictions(like).facts))
    return replace(combination, catalog=media)


@checked
def combine_to_file(
    predictions: Annotated[Sequence[Path | str], "a list of paths of predictions, a table a model"],
    catalog: CatalogLike,
    output: Output,
    *,
    like: Answers | None = None,
    fold_by: FoldBy = "location",
    folds: Folds = 5,
    rows_per_file: Count | None = None,
) -> CombinedTable:
    """The same as `combine`, from tables to table; with `like` some events at a time.

    Args:
        predictions: the paths of tables, one a model, of the same media.
        catalog: as of `combine`, likewise the next two.
        output: of the combined table.
        like: see there; without it all is in memory, as it is learnt from.
        fold_by: see there.
        folds: see there.
        rows_per_file: write a folder of Parquet files of so many rows each, and not one file.
    """
    from trapline.ensemble import CombinedTable, combine_tables
    from trapline.prediction import Combination, Predictions, scan_table

    refuse_own_input(output, catalog, list(predictions), like)
    if like is None:
        combined = combine(predictions, catalog, fold_by=fold_by, folds=folds)
        combined.save(output, rows_per_file=rows_per_file)
        return CombinedTable(Combination.of(combined.facts), len(combined))
    if not predictions:
        raise UsageError("There is nothing to combine: give at least one table of predictions.")
    how = Combination.of(like.facts if isinstance(like, Predictions) else scan_table(like)[0].facts)
    tables = [scan_table(path) for path in predictions]
    return combine_tables(tables, _scan_media(catalog), output, how, rows_per_file=rows_per_file)


@checked
def weigh_by_region(predictions: Answers, species: File, *, unlisted: float = 0.01) -> Predictions:
    """Weigh predictions of a model of taxa by how much more often each is met than in training.

    Args:
        predictions: of a model of taxa.
        species: a CSV: name (label, taxon or common name) and, if you like, weight, genus, family, ….
        unlisted: the weight of animals that are not named; 0 rules them out.
    """
    from trapline.ensemble import read_region
    from trapline.ensemble import weigh_by_region as weigh

    loaded = as_predictions(predictions)
    return replace(weigh(loaded, read_region(Path(species)), unlisted), catalog=loaded.catalog)


@checked
def lean_on_nearby(
    predictions: Answers,
    catalog: CatalogLike,
    *,
    like: Answers | None = None,
    fold_by: FoldBy = "location",
    folds: Folds = 5,
) -> Predictions:
    """Answers that lean on what their location shows around that time, as far as labels have taught.

    Args:
        predictions: of media or events that the model was not trained on.
        catalog: that was predicted, with locations and times; with labels where it is learnt how far.
        like: lean as far as in this table; None learns it from the labels.
        fold_by: what is kept together where it is learnt: location or season, as the model's folds did.
        folds: of the locations, where it is learnt.
    """
    from trapline.ensemble import lean_on_nearby as lean
    from trapline.ensemble import learn_nearby
    from trapline.prediction import NearbyWeights

    media, loaded = as_catalog(catalog), as_predictions(predictions)
    if like is None:
        leant = learn_nearby(loaded, media, fold_by=fold_by, folds=folds)
    else:
        leant = lean(loaded, media, NearbyWeights.of_table(as_predictions(like).facts))
    return replace(leant, catalog=media)


@checked
def shift_to_shares(
    predictions: Answers, learnt: CatalogLike, *, fold_by: FoldBy | None = None, kept: float = 100.0
) -> Predictions:
    """Answers as they are where labels have the shares that these media seem to have.

    Args:
        predictions: all of those whose shares are asked for: of a new season, say.
        learnt: the labelled media that the model learnt from; those of its test part are left out.
        fold_by: of predictions of these very media by the models of folds: location or season.
        kept: so many media of the old shares count beside the new; the more, the less changes.
    """
    from trapline.ensemble import shift_to_shares as shift

    loaded = as_predictions(predictions)
    return replace(shift(loaded, as_catalog(learnt), fold_by=fold_by, kept=kept), catalog=loaded.catalog)


# ---- out of predictions


@checked
def evaluate(
    catalog: CatalogLike | None,
    predictions: Answers,
    output: Output | None = None,
    *,
    decisions: Decisions | None = None,
    asked: Judged | None = None,
    sure_only: bool = False,
    tables: Output | None = None,
    thresholds: Output | None = None,
    want: Sequence[str] = (),
    taxonomy: TaxonomyLike | None = None,
    answers: Way = "rolled-up",
    part: str | None = None,
    training: Catalog | Path | str | Collection[str] | None = None,
    name: str | None = None,
    over: Over | None = None,
    samples: Annotated[int, From(10)] = 1000,
    pictures: Whole = 24,
    unknown_labels: UnknownLabels = "error",
    several_labels: SeveralLabels = "error",
    allow_unmatched: bool = False,
    alike: Path | str | None = None,
    seed: Whole = 42,
) -> Evaluation:
    """Judge predictions by the labels of a catalog: figures with 95 % intervals over locations.

    Args:
        catalog: with the true labels; None where the predictions know theirs.
        predictions: one row a media, an event or a box.
        output: write a report: `.html` to read, with `NAME.mistakes.csv` beside it, or `.json` for scripts.
        decisions: made in a review; they alone are the truth then.
        asked: on which of them: `audit`, `calibration`, `chosen` or `all`; None for those of the audit, if
            there are some and not everything is decided.
        sure_only: leave out decisions of which the person was not sure.
        tables: models of taxa: a folder for the tables by rank and node, as CSV.
        thresholds: a CSV for the thresholds of each label and rank, which `write` takes. They are chosen for
            this table, for a report and where something is wanted of them.
        want: what they are to keep: `precision=0.95`, `recall=0.9`, of one label `lynx:recall=0.9`; of blanks
            `lost=0.02`, the share of photos of animals that may be called blank.
        taxonomy: what the labels are: an answer that says less of the same ("human" of a hunter) is right
            then; None for the tree of a model of taxa.
        answers: models of taxa: `rolled-up` (stop in time) or `greedy` (always to a leaf).
        part: judge one part of the split; None for the one predicted.
        training: the catalog the model was trained on, if it is another, or the ids of its locations.
        name: what the model is called in the report.
        over: what the intervals are over.
        samples: as of `metrics.estimate`, for the intervals.
        pictures: worst mistakes that the report shows.
        unknown_labels: what becomes of true labels that the model does not know.
        several_labels: what becomes of photos with several labels and a model that says one.
        allow_unmatched: count photos without prediction, and the other way, and do not refuse them.
        alike: embeddings of the whole catalog (`embed`): beside the mistakes that are shown stand the
            training photos that look most like them.
        seed: likewise.
    """
    from trapline.evaluation import Wants, evaluate_parts, with_neighbours
    from trapline.evaluation import evaluate as judge
    from trapline.review import as_truth

    path = _report_path(output)
    _refuse_to_lose(path, thresholds, catalog, predictions, decisions, taxonomy, alike, training)
    asks = bool(want) or thresholds is not None or path is not None
    wanted, tree = Wants.parse(want) if asks else None, _taxonomy(taxonomy)
    side = _if_long(catalog, predictions) if decisions is None else None
    if side is not None:
        _refuse_without_decisions(asked=asked, sure_only=sure_only)
        if alike is not None:
            raise UsageError("--alike is not for so many media: judge a smaller table.")
        if tables is not None or answers != "rolled-up":
            raise UsageError(
                "Figures by rank are not computed of so many media: leave out --tables and --answers, or "
                "judge a smaller table."
            )
        evaluation = evaluate_parts(
            side,
            training=as_catalog(training) if isinstance(training, Path | str) else training,
            part=part,
            name=name,
            samples=samples,
            seed=seed,
            over=over,
            unknown_labels=unknown_labels,
            several_labels=several_labels,
            allow_unmatched=allow_unmatched,
            taxonomy=tree,
            want=wanted,
        )
        return _report(evaluation, path, thresholds, pictures, _files(catalog, predictions))
    loaded = as_predictions(predictions)
    if tables is not None and loaded.facts.taxonomy is None:
        raise UsageError("--tables is for predictions of a model of taxa; these have no taxonomy.")
    truth = whole = _catalog_of(loaded, None if catalog is None else as_catalog(catalog))
    if decisions is None:
        _refuse_without_decisions(asked=asked, sure_only=sure_only)
    else:
        truth = as_truth(truth, _log(decisions), asked=asked, sure_only=sure_only)
    evaluation = judge(
        truth,
        loaded,
        training=as_catalog(training) if isinstance(training, Path | str) else training,
        part=part,
        name=name,
        samples=samples,
        seed=seed,
        over=over,
        unknown_labels=unknown_labels,
        several_labels=several_labels,
        allow_unmatched=allow_unmatched,
        answers=answers,
        taxonomy=tree,
        want=wanted,
    )
    if tables is not None and evaluation.ranks is not None:
        evaluation.ranks.save_tables(tables)
    if alike is not None:
        evaluation = with_neighbours(evaluation, whole, Path(alike), pictures)
    return _report(evaluation, path, thresholds, pictures, _files(catalog, predictions))


def _refuse_to_lose(path: Path | None, thresholds: Output | None, *sources: object) -> None:
    """Neither the report nor the thresholds may be written over what is read, nor over each other."""
    for written in (path, thresholds):
        if written is not None:
            refuse_own_input(written, *sources)
    if None not in (path, thresholds) and Path(str(thresholds)).absolute() == Path(str(path)).absolute():
        raise UsageError(f"The report and the thresholds cannot both be {path}: name another for one.")


def _report(
    evaluation: Evaluation,
    path: Path | None,
    thresholds: Output | None,
    pictures: int,
    files: Sequence[AnyPath | str],
) -> Evaluation:
    """The evaluation, written where that is asked for."""
    if thresholds is not None and evaluation.thresholds is not None:
        evaluation.thresholds.save_csv(thresholds)
    if path is not None and path.suffix.lower() == ".json":
        evaluation.save_json(path)
    elif path is not None:
        evaluation.save_report(path, pictures=pictures, files=files)
    return evaluation


def _if_long(catalog: CatalogLike | None, predictions: Answers) -> SideBySide | None:
    """Tables on the disk that are too long to be judged whole, side by side; None for others.

    People's decisions are told of one by one, so a catalog that has them is judged whole.
    """
    from trapline.catalog import DECISIONS
    from trapline.evaluation import MOST_WHOLE
    from trapline.prediction import SideBySide, count_rows, scan_table

    if catalog is None or not isinstance(predictions, Path | str):
        return None
    table = scan_table(predictions)
    if count_rows(table) <= MOST_WHOLE:
        return None
    media = _scan_media(catalog)
    return None if DECISIONS in media[1].collect_schema() else SideBySide.open([table], media)


@checked
def compare(evaluations: Evaluations) -> Comparison:
    """Set evaluations, or the `.json` files of such, beside each other by name."""
    from trapline.evaluation import Evaluation
    from trapline.evaluation import compare as set_beside

    opened = {
        name: one if isinstance(one, Evaluation) else Evaluation.load_json(one)
        for name, one in evaluations.items()
    }
    return set_beside(opened)


@checked
def observe(
    source: Speaking,
    catalog: Media | None = None,
    *,
    decisions: Decisions | None = None,
    sure_only: bool = False,
    taxonomy: TaxonomyLike | None = None,
    threshold: float | None = None,
    thresholds: ThresholdsLike | None = None,
    observers: Sequence[str] | None = None,
    min_conf: float | None = None,
    labelled_by: str | None = None,
    part: str | None = None,
) -> Observations:
    """What people, a model and a detector say of media, as one table, and whose word stands.

    Args:
        source: predictions; or a catalog, whose labels and boxes speak alone.
        catalog: that was predicted; None where the predictions know it.
        decisions: made in a review; they become labels (`trapline.review.with_decisions`).
        sure_only: leave out decisions of which the person was not sure.
        taxonomy: what the labels are.
        threshold: labels of the model below this probability are no answers.
        thresholds: each label with its own: the table of `evaluate`, or `{"lynx": 0.83}`; of a model of taxa
            of ranks.
        observers: whose word counts: `human`, `model`, `detector`; None for all that there are.
        min_conf: the confidence from which a detector's box counts; None for 0.2.
        labelled_by: the name of who gave the catalog's labels.
        part: only this part of the split.

    Raises:
        UsageError: an option is of what is not there.
        DataError: nobody says anything, or the predictions are not of this catalog.
    """
    from trapline.observations import gather

    predictions, media = _speaking(source, catalog, part, decisions, sure_only)
    return gather(
        predictions,
        media,
        taxonomy=_taxonomy(taxonomy),
        observers=observers,
        min_conf=min_conf,
        labelled_by=labelled_by,
        thresholds=thresholds,
    ).observe(threshold)


@checked
def write(
    source: Speaking,
    catalog: Media | None = None,
    output: Output | None = None,
    *,
    format: str,
    decisions: Decisions | None = None,
    sure_only: bool = False,
    taxonomy: TaxonomyLike | None = None,
    observers: Sequence[str] | None = None,
    min_conf: float | None = None,
    labelled_by: str | None = None,
    part: str | None = None,
    threshold: float | None = None,
    thresholds: ThresholdsLike | None = None,
    deployments: File | None = None,
    timezone: str | None = None,
    metadata: File | None = None,
    media_prefix: str | None = None,
    file_public: bool | None = None,
    leave_out: bool | None = None,
    mode: Literal["symlink", "hardlink", "copy", "sidecar"] | None = None,
    naming: Literal["full", "adobe"] | None = None,
    blur_people: bool | None = None,
    layout: Literal["photo", "detection"] | None = None,
    interval: float | None = None,
    force: bool = False,
    options: Mapping[str, object] | None = None,
) -> WriteReport:
    """Write what is said of media for another tool, and say what its format cannot carry.

    The labels of people stand above predictions, and both above a detector's boxes.

    Args:
        source: predictions of media, boxes or events; or a catalog, whose labels and boxes are written alone.
        catalog: that was predicted; None where the predictions know it. Of two arguments the second is the
            output.
        output: the file or folder to write.
        format: the name of a writer (`trapline.formats.WRITERS`).
        decisions: made in a review; they become labels (`trapline.review.with_decisions`).
        sure_only: leave out decisions of which the person was not sure.
        taxonomy: what the labels are.
        observers: whose word counts: `human`, `model`, `detector`; None for all that there are.
        min_conf: the confidence from which a detector's box counts; None for 0.2.
        labelled_by: the name of who gave the catalog's labels.
        part: only this part of the split.
        threshold: labels below this probability are no answers.
        thresholds: each label with its own: the table of `evaluate`, or `{"lynx": 0.83}`; of a model of taxa
            of ranks.
        deployments: CSV of deployments: id or location, coordinates, start, end.
        timezone: Camtrap DP: of the cameras' clocks, as Area/City or +01:00.
        metadata: YAML with what only you know of the project.
        media_prefix: put before every file path: a folder, or the start of a URL.
        file_public: Camtrap DP: anybody can get the photos at their paths.
        leave_out: leave out media whose time is not known, and say so.
        mode: sorted folders: `symlink`, `hardlink` or `copy`; XMP: `sidecar` or `copy`.
        naming: XMP: `full` (photo.jpg.xmp) or `adobe` (photo.xmp).
        blur_people: sorted folders, XMP: make people in copies unrecognisable, by a detector's boxes.
        layout: SpeciesNet: a prediction a detection (as version 5 has it), or a photo.
        interval: summary: minutes between independent events.
        force: replace what is there.
        options: those of a writer that another package has brought.

    Raises:
        UsageError: there is no such writer or option, or the output exists.
        DataError: the predictions are not of this catalog, or a file is wrong.
    """
    arguments = dict(locals())  # before there are other names than the arguments'
    if output is None:
        return write(**arguments | {"catalog": None, "output": _as_output(catalog)})
    given = _options_given(arguments, _NOT_OF_WRITERS)
    given |= {name: Path(path) for name, path in given.items() if name in _PATHS and isinstance(path, str)}
    from trapline.formats import write as write_format

    refuse_own_input(output, source, catalog, taxonomy, deployments, metadata, decisions)
    if isinstance(thresholds, Path | str):
        refuse_own_input(output, thresholds)
    predictions, media = _speaking(source, catalog, part, decisions, sure_only)
    return write_format(
        predictions,
        media,
        Path(output),
        format=format,
        taxonomy=_taxonomy(taxonomy),
        observers=observers,
        min_conf=min_conf,
        labelled_by=labelled_by,
        thresholds=thresholds,
        force=force,
        **given,
    )


@checked
def submit(
    predictions: Answers,
    format_path: File,
    output: Output = "submission.csv",
    *,
    clip: float = 0.0,
    fill: Fill | None = None,
    absent: float | None = None,
) -> Submission:
    """Write predictions in the rows, columns and order that a competition wants.

    Args:
        predictions: one row a media or an event.
        format_path: the competition's `submission_format.csv`.
        output: the file to write.
        clip: keep probabilities at least this far from 0 and 1.
        fill: give ids without a prediction equal shares (`uniform`), or the mean of the others (`prior`).
        absent: probability of labels in the format that the model does not know.
    """
    from trapline.competitions import write_submission

    refuse_own_input(output, predictions, format_path)
    return write_submission(
        as_predictions(predictions),
        Path(format_path),
        Path(output),
        clip=clip,
        fill=fill,
        absent=absent,
    )


@checked
def check_submission(submission: File, format_path: File) -> list[str]:
    """What a competition would refuse of a finished submission; empty if nothing."""
    from trapline.competitions import check_submission as check

    return check(Path(submission), Path(format_path))


@checked
def package(
    model: Model,
    output: Output,
    *,
    format_path: File | None = None,
    clip: float = 0.0,
    absent: float | None = None,
    hours: float = 8.0,
) -> CodePackage:
    """Write a zip with a model and the code to run it, as code-execution competitions want it.

    Args:
        model: a classifier.
        output: the zip.
        format_path: the competition's `submission_format.csv`, to find out now what would not fit.
        clip: keep probabilities at least this far from 0 and 1.
        absent: probability of labels in the format that the model does not know.
        hours: that the organisers give.
    """
    from trapline.competitions.code_execution import build_package
    from trapline.models import ModelFile, find_model

    given = model if isinstance(model, ModelFile) else find_model(model)
    return build_package(given, Path(output), format_path=format_path, clip=clip, absent=absent, hours=hours)


@checked
def check_package(
    zip_path: File,
    data: File,
    output: Output | None = None,
    *,
    hours: float = 8.0,
    memory: float = 16.0,
    disk: float = 10.0,
    python: File | None = None,
) -> Checked:
    """Run such a zip as the organisers would, and check its answer.

    Args:
        zip_path: the zip.
        data: the organisers' data folder.
        output: keep there what the run wrote.
        hours: that the organisers give.
        memory: that they give, GiB.
        disk: that it may fill beside the zip's content, GiB.
        python: that runs `main.py`; None for this one.
    """
    import sys

    from trapline.competitions.code_execution import check_package as check

    return check(
        Path(zip_path),
        Path(data),
        time_limit_s=hours * 3600,
        memory_limit=int(memory * 2**30),
        disk_limit=int(disk * 2**30),
        python=sys.executable if python is None else python,
        output=output,
    )


def _as_output(output: object) -> AnyPath | str:
    if not isinstance(output, Path | RemotePath | str):
        raise UsageError(
            "output must be a path: of what is to be written, after the catalog if one is given."
        )
    return output


def _speaking(
    source: Speaking, catalog: Media | None, part: str | None, decisions: Decisions | None, sure_only: bool
) -> tuple[Predictions | None, Catalog]:
    """The predictions, if the source is some, and the media; with decisions, and of a part of the split."""
    from trapline.prediction import Predictions, are_predictions

    known = isinstance(source, Predictions) or catalog is not None
    if known or (isinstance(source, Path | RemotePath | str) and are_predictions(source)):
        predictions = as_predictions(source)  # type: ignore[arg-type]
        media = _catalog_of(predictions, catalog)
    else:
        predictions, media = None, as_media(source)  # type: ignore[arg-type]
    media = _decided(media, decisions, sure_only)
    if part is not None:
        media = media.part(part)
        predictions = None if predictions is None else predictions.narrowed(media)
    return predictions, media


def _catalog_of(predictions: Predictions, catalog: Media | None) -> Catalog:
    """What is given, or else what the predictions know that they are of."""
    if catalog is not None:
        return as_media(catalog)
    if predictions.catalog is None:
        raise UsageError(
            "These predictions were read from a file and do not know their media: give the catalog, or the "
            'source, that was predicted (catalog="photos.parquet").'
        )
    return predictions.catalog


@checked
def ecology_report(
    source: Source,
    output: Output | None = None,
    *,
    catalog: Media | None = None,
    stations: File | None = None,
    decisions: Decisions | None = None,
    sure_only: bool = False,
    made_of: Literal["decisions", "threshold", "probabilities"] | None = None,
    threshold: float | None = None,
    thresholds: ThresholdsLike | None = None,
    taxonomy: TaxonomyLike | None = None,
    observers: Sequence[str] | None = None,
    minutes: float = 30.0,
    occasion_days: Count = 7,
    timezone: str | None = None,
    species: Sequence[str] = (),
    exclude: Sequence[str] = (),
    columns: Mapping[str, str] | None = None,
    stations_columns: Mapping[str, str] | None = None,
) -> EcologyOverview:
    """What a survey says of its species: effort, rates, occupancy, activity, richness, on one page.

    Args:
        source: a table of records, a Camtrap DP package or Wildlife Insights download; a folder of `card`, a
            catalog, predictions or observations of Trapline.
        output: the page, `.html`, with its tables beside it; or `.json` for scripts.
        catalog: the media, of predictions and observations.
        stations: the table of cameras; None for that of a package, else the span of the photos is a guess.
        decisions: made in a review; they become labels (`trapline.review.with_decisions`).
        sure_only: leave out decisions of which the person was not sure.
        made_of: of what records are made (see `trapline.ecology.records_of`).
        threshold: labels of the model below this probability are no answers.
        thresholds: each label with its own, as of `observe`.
        taxonomy: what the labels are.
        observers: whose word counts: `human`, `model`, `detector`; None for all that there are.
        minutes: between independent records, since the last independent one.
        occasion_days: of the occasions of occupancy.
        timezone: of the cameras' clocks; with it, and coordinates, activity is by the sun.
        species: labels; none for all but people and vehicles.
        exclude: labels that are no species here.
        columns: what a column of a table of records holds → its name, where that is not a usual one.
        stations_columns: likewise of the table of stations.

    Raises:
        UsageError: an option is of what is not there.
        DataError: there is no record, or one is at none of the stations.
    """
    from trapline.ecology import (
        guess_stations,
        leave_out_labels,
        overview,
        read_records,
        read_stations_beside,
    )

    page = _report_path(output)
    own = _own_records(
        source,
        catalog,
        decisions=decisions,
        sure_only=sure_only,
        made_of=made_of,
        threshold=threshold,
        thresholds=thresholds,
        taxonomy=taxonomy,
        observers=observers,
    )
    if own is None:
        records, photos = read_records(str(source), timezone=timezone, columns=columns), None
    elif columns:
        raise UsageError(f"--column is of tables of records, and {source} is none.")
    else:
        records, photos = own
    records = leave_out_labels(records, exclude)
    if stations is not None or (own is None and _has_stations(Path(str(source)))):
        placed = read_stations_beside(
            stations or Path(str(source)), columns=stations_columns, timezone=timezone
        )
    elif stations_columns:
        raise UsageError("--stations-column is of a table of stations, and none was named (--stations).")
    else:
        placed = guess_stations(records if photos is None else photos)
    result = overview(
        records,
        placed,
        minutes=minutes,
        occasion_days=occasion_days,
        timezone=timezone,
        species=species,
    )
    if page is not None and page.suffix.lower() == ".json":
        from trapline.storage import replace_whole

        with replace_whole(page) as partial:
            partial.write_text(json.dumps(result.as_json(), indent=1, ensure_ascii=False), encoding="utf-8")
    elif page is not None:
        from trapline.reports import write_ecology_report

        write_ecology_report(result, page)
    return result


def _has_stations(source: Path) -> bool:
    """Whether records came with where their cameras stood: of a package or download."""
    from trapline.formats import choose_reader

    try:
        return choose_reader(source)[0].name in ("camtrap_dp", "wildlife_insights")
    except DataError:
        return False


def _own_records(
    source: Path | RemotePath | str, catalog: Media | None, **options: Any
) -> tuple[Records, Catalog] | None:
    """Records of what Trapline itself has made, and the photos; None where the source is somebody's table.

    Raises:
        UsageError: an option is of Trapline's own, and this is a table.
    """
    from trapline.card_walk import card_files
    from trapline.catalog import is_catalog_folder
    from trapline.ecology import predicted_media, records_of
    from trapline.observations import Observations
    from trapline.prediction import Predictions, are_predictions

    path = Path(str(source))
    walked = card_files(path) if path.is_dir() else None
    if walked is not None:
        media, answers = walked
        source, catalog = (media, None) if answers is None else (answers, media)
    predicted = are_predictions(source)
    spoken = not predicted and Observations.is_at(Path(str(source)))
    if not (predicted or spoken or path.suffix.lower() == ".parquet" or is_catalog_folder(path) or walked):
        given = [name for name, value in options.items() if value not in (None, False)]
        if given or catalog is not None:
            name = (given or ["catalog"])[0].replace("_", "-")
            raise UsageError(f"--{name} is of catalogs and predictions of Trapline, and {source} is a table.")
        return None
    decided = _decided(
        as_catalog(str(source)) if not (predicted or spoken) else _catalog_of_file(catalog),
        options.pop("decisions"),
        options.pop("sure_only"),
    )
    options["taxonomy"] = _taxonomy(options["taxonomy"])
    speaking = (
        as_predictions(str(source)) if predicted else Observations.load(str(source)) if spoken else decided
    )
    asked = predicted_media(speaking, decided) if isinstance(speaking, Predictions) else decided
    return records_of(speaking, decided, **options), asked


def _catalog_of_file(catalog: Media | None) -> Catalog:
    if catalog is None:
        raise UsageError("Where and when photos were taken stands in their catalog: give it, --catalog.")
    return as_media(catalog)


# ---- people decide

_TO_CALIBRATE = 0.1
"""The share of the events asked that is drawn by chance for a model that learns to be calibrated on."""


@checked
def review(
    source: Media,
    predictions: Answers | None = None,
    output: LocalFile = "decisions.db",
    *,
    person: str | None = None,
    stream: str | None = None,
    labels: Sequence[str] | None = None,
    taxonomy: TaxonomyLike | None = None,
    only: File | None = None,
    train: bool = False,
    audit: float = 0.15,
    blur_people: bool = False,
    host: str = "127.0.0.1",
    port: Whole = 0,
    token: str | None = None,
    say: Callable[[str], object] = lambda line: None,
    started: Callable[[str], object] = lambda link: None,
) -> Path | None:
    """Serve a page on which people decide what photos show, until it is stopped (SIGINT, SIGTERM).

    Args:
        source: what is reviewed: media, or a folder that `card` made, with its answers.
        predictions: what a model says of it.
        output: the file of decisions; gone on with if it is there.
        person: who decides, unless she names herself otherwise on the page.
        stream: what is asked next, unless another is chosen on the page; None for what fits.
        labels: that may be chosen, beside those of the catalog, the model and the taxonomy.
        taxonomy: what the labels are.
        only: a CSV or text file of media ids, event ids or file paths: these alone are reviewed.
        train: a model learns from what is decided, meanwhile and at the end, and fills in its answers.
        audit: the share of the events asked that is drawn by chance, to estimate how good the table is;
            nothing is where `only` names events, or nothing is suggested.
        blur_people: show what is in boxes of people unrecognisable.
        host: the address to listen on.
        port: 0 for that where this review was served before, else any free one.
        token: what the link ends with; None for a new one.
        say: told what a person should know.
        started: told the link, once the page can be opened.

    Returns:
        The model file that was learnt; None where nothing was.

    Raises:
        UsageError: another server reviews with this file, it is of other photos, or the token cannot be one.
        DataError: there are no photos, or the predictions are not of them.
        TraplineError: the address cannot be had, or what was decided could not be learnt; it is kept.
    """
    from trapline.card_walk import card_files
    from trapline.review import (
        DeskOptions,
        Shares,
        as_token,
        open_project,
        open_review,
        read_ids,
        serve_review,
    )

    path, token = Path(output), as_token(token)
    named = as_any_path(source) if isinstance(source, Path | RemotePath | str) else None
    made = card_files(named) if isinstance(named, Path) else None
    if made is not None:
        source, answers = made
        predictions = answers if predictions is None else predictions
    project = open_project(
        as_media(source),
        None if predictions is None else as_predictions(predictions),
        labels=labels or (),
        taxonomy=_taxonomy(taxonomy),
        only=None if only is None else read_ids(Path(only)),
    )
    for sentence in project.notes:
        say(sentence)
    audited = audit if only is None and (train or any(project.suggestions.answers)) else 0.0
    options = DeskOptions(person, stream, blur_people, Shares(audited, _TO_CALIBRATE if train else 0.0))
    with open_review(project, path, options, train=train) as desk:
        serve_review(desk, host, port, token, started)
        if desk.teacher is None:
            return None
        say("The model learns a last time from what is decided. Ctrl-C leaves it at what it knows.")
        model = desk.teacher.finish()
        now = desk.teacher.state()
    if now.state == "failed":
        there = "There is no model." if model is None else f"The last model is {model}."
        raise TraplineError(
            f"What was decided is kept in {path}, and not all of it is learnt: {now.message} {there}"
        )
    if model is None:
        say(f"There is no model yet: {now.message}.")
    return model


# ---- decisions


@checked
def show_decisions(log: File) -> Overview:
    """What a log of decisions holds: people, labels, where they differ, what the audit last said.

    Args:
        log: the path of a review's decisions.
    """
    from trapline.review import overview

    return overview(_log(log))


@checked
def take_decisions(
    log: LocalFile, source: Media, catalog: Media | None = None, *, by: str, unmoved: bool = False
) -> Taken:
    """Keep what a person decided elsewhere as decisions of a log, by the content of the photos.

    Args:
        log: the path of a review's decisions; made if it is not there.
        source: folders sorted by hand, Timelapse's or AddaxAI's table, a Camtrap DP package, a catalog.
        catalog: the photos that are reviewed: decisions name media and events as it does.
        by: who decided.
        unmoved: of folders that `write` sorted take also what lies where it was put: the person has looked
            at every photo.

    Raises:
        UsageError: the labels may be a machine's.
        DataError: nothing in the source is a decision, or none of its photos is of the catalog.
    """
    from trapline.review import DecisionLog
    from trapline.review import take_decisions as take

    media = None if catalog is None else as_media(catalog)
    elsewhere, path = as_media(source), Path(log)
    new = not path.exists()
    try:
        with DecisionLog.open(path, create=True) as opened:
            return take(opened, elsewhere, by, catalog=media, unmoved=unmoved)
    except (DataError, UsageError):
        if new:  # no empty log is left
            path.unlink(missing_ok=True)
        raise


@checked
def close_audit(log: LocalFile) -> int:
    """End the open audit of a log: what was decided for it may be learnt of.

    Returns:
        its number.

    Raises:
        UsageError: none is open.
    """
    from trapline.review import DecisionLog

    with DecisionLog.open(Path(log)) as opened:
        audits = opened.audits()
        still_open = audits.filter(audits["closed_at"].is_null())["audit"].to_list()
        if not still_open:
            raise UsageError(f"{log} has no open audit.")
        for audit in still_open:
            opened.close_audit(audit)
        return int(still_open[-1])


# ---- from elsewhere


@checked
def download(
    url: str,
    output: Resumable,
    *,
    sha256: str | None = None,
    unpack: bool = False,
    most_bytes: Count = 20 * 10**9,
    force: bool = False,
    progress: Callable[[int, int | None], None] = lambda done, total: None,
) -> Downloaded:
    """Fetch a data set or another file, checked; called again it goes on where it broke off.

    Args:
        url: `https://…`.
        output: the file to write; with `unpack` the new folder.
        sha256: what the file must have, in hexadecimal.
        unpack: unpack a zip or tar archive; only its content is kept.
        most_bytes: refuse more than this, packed or unpacked.
        force: replace a file that is there.
        progress: told how many bytes are there, and how many there will be.

    Returns:
        what was fetched; `files` are the names in the archive that was unpacked.
    """
    from trapline.storage import download as fetch
    from trapline.storage import unpack as take_apart

    path = Path(output)
    if not unpack:
        return fetch(url, path, sha256=sha256, most_bytes=most_bytes, force=force, progress=progress)
    if path.exists():
        raise UsageError(f"{path} exists. Name another folder with -o, or remove it.")
    archive = path.with_name(f"{path.name}.archive")
    downloaded = fetch(url, archive, sha256=sha256, most_bytes=most_bytes, force=True, progress=progress)
    try:
        names = take_apart(archive, path, max_bytes=most_bytes)
    except DataError as error:
        raise DataError(f"{error}\nThe archive is kept as {archive}.") from error
    archive.unlink()
    return replace(downloaded, files=tuple(names))


@checked
def list_models() -> tuple[ReadyModel, ...]:
    """The catalogue of ready models: what is known of each, its licence among it.

    `trapline.models.kept_model` says of each what is on this machine.
    """
    from trapline.models import ready_models

    return ready_models()


@checked
def get_model(
    model: str,
    *,
    source: str | None = None,
    file: File | None = None,
    sha256: str | None = None,
    unchecked: bool = False,
    accept_licence: bool = False,
    force: bool = False,
    most_bytes: Count = 20 * 10**9,
    progress: Callable[[int, int | None], None] = lambda done, total: None,
) -> KeptModel:
    """Have a ready model on this machine; its id is then enough, wherever a model or detector is named.

    It is opened once; a foreign classifier becomes a model file, by what its archive or the catalogue says.

    Args:
        model: its id in the catalogue.
        source: a mirror: the address, or the folder, that has the publishers' files by their names.
        file: take this file, and fetch none.
        sha256: what the file must have, in hexadecimal.
        unchecked: take what comes where no SHA-256 is known.
        accept_licence: agree to the licence's terms.
        most_bytes: refuse more than this, packed or unpacked.
        force: replace what is there.
        progress: told how many bytes are there, and how many there will be.

    Returns:
        what is here; its `trouble` says why it cannot be used, if it cannot.

    Raises:
        UsageError: the licence's terms were not accepted, or nothing is known to check the file.
        DataError: it is not the wanted file.
        TraplineError: the network or the server failed.
    """
    from trapline.models import get_model as get
    from trapline.models import make_usable, named_model

    ready = named_model(model)
    kept = get(
        ready,
        source=source,
        file=None if file is None else Path(file),
        sha256=sha256,
        unchecked=unchecked,
        accept_licence=accept_licence,
        force=force,
        most_bytes=most_bytes,
        progress=progress,
    )
    return make_usable(ready, kept)
