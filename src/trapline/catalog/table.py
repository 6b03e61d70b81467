"""The catalog: one row a media file, and what is known of it.

The methods that lead to a room further right are functions of `trapline.api` with the noun first; that import
is a declared exception to "data goes one way", and they hold nothing of their own.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Unpack, overload

import polars as pl

from trapline.arguments import Count, Output, checked
from trapline.catalog.counting import count_distinct, count_values
from trapline.catalog.decision_column import DECISIONS, as_today
from trapline.catalog.facts import CatalogFacts
from trapline.catalog.names import as_listed, as_name
from trapline.catalog.parquet_file import read_parquet, streamed
from trapline.catalog.stored import Header, find_stored, write_stored
from trapline.errors import DataError, name_some
from trapline.notebook import as_html
from trapline.storage import AnyPath, as_any_path
from trapline.taxonomy import BLANK

if TYPE_CHECKING:
    from trapline import api

BLANK_WORDS = (BLANK, "empty")
"""Words that can only mean "looked at, nothing there"; compared without regard to case."""

BOX = pl.Struct({"category": pl.String} | dict.fromkeys(("conf", "x", "y", "width", "height"), pl.Float64))
"""One detected box: position and size as fractions of the upright image, origin at top left."""

SCHEMA: dict[str, pl.DataType] = {
    "media_id": pl.String(),
    "file_path": pl.String(),
    "location_id": pl.String(),
    "deployment_id": pl.String(),
    "event_id": pl.String(),
    "camera_time": pl.Datetime("us"),
    "timestamp": pl.Datetime("us", "UTC"),
    "timestamp_source": pl.String(),
    "frame": pl.Int64(),
    "labels": pl.List(pl.String),
    "split": pl.String(),
    "boxes": pl.List(BOX),
}
"""The columns of every catalog. A reader may add columns of its own after them (`season`, …).

`camera_time` is the wall clock the camera wrote, without a zone (put right only where a table of clocks says
so; `clock_shift_seconds` then says by how much); `timestamp` is the same instant in UTC and
is null unless the zone is known. `labels`: null = not labelled, `["blank"]` = looked at, nothing there.
`boxes`: null = no detector was run, `[]` = it found nothing.
"""

EVENT_LABELS = "event_labels"
"""A column that readers of labelled sequences add: what is known of the media's whole event, the same for all
its media (List[String], null = the event is not labelled). It says of no single media what it shows."""

TIMESTAMP_SOURCES = ("exif", "filename", "metadata", "none")
_HASHES_AT_ONCE = 25_000_000

SPLIT_PARTS = ("train", "validation", "test")


def known_labels(table: pl.DataFrame | pl.LazyFrame) -> pl.Expr:
    """What is known of each media: its own labels, else those of its event; null where neither is."""
    columns = table.collect_schema()
    names = [name for name in ("labels", EVENT_LABELS) if name in columns]
    return pl.coalesce(names)


def event_key() -> pl.Expr:
    """What tells events apart, as text: the event of each media, or the media itself where it has none."""
    return pl.coalesce(
        pl.concat_str(pl.lit("event:"), "event_id"), pl.concat_str(pl.lit("media:"), "media_id")
    )


@dataclass(frozen=True, eq=False)  # as tables are: none has a truth of `==`
class Catalog:
    """A checked table of media, the folder their paths start from, and where they came from.

    `trapline.read` makes one of any source; `split` says what trains, and `train` leaves a model file:

    >>> import trapline
    >>> catalog = trapline.read("world/labels.csv")      # or a card folder, COCO, Camtrap DP, a saved catalog
    >>> len(catalog), catalog.labels
    (141, ['badger', 'bird', 'blank', 'boar', 'deer', 'fox', 'hare'])
    >>> catalog = catalog.split(trapline.ByLocation(seed=42))
    >>> catalog.part("test").table["location_id"].n_unique()
    2
    >>> model = catalog.train("head", "runs/head")
    >>> print(model.path)
    runs/head/model.onnx

    It is a Polars table with a few facts, and is filtered as one:

    >>> import polars as pl
    >>> foxes = catalog.filter(pl.col("labels").list.contains("fox"))
    >>> foxes.labels
    ['fox']
    >>> catalog.explore("explore.html").media            # a page to read, and the same as an object
    141
    >>> print(catalog.write("photos.parquet").name)
    photos.parquet
    >>> catalog.write("summary", "labelled.csv").unit    # what people labelled, in any format
    'rows'

    Attributes:
        table: one row a media file, columns as in `SCHEMA` and any more after them.
        root: the folder that `file_path` is relative to, on a disk or in a bucket.
        source: what was read, for people ("DrivenData CSVs in …").
        facts: what is known of the whole: how it was read, the split's record, …

    Build one with `Catalog.from_rows`, which checks everything and names bad rows by file and line.
    """

    table: pl.DataFrame
    root: AnyPath
    source: str
    facts: CatalogFacts = field(default_factory=CatalogFacts)

    @classmethod
    def from_rows(
        cls,
        rows: pl.DataFrame | Sequence[Mapping[str, Any]],
        root: AnyPath | str,
        source: str,
        *,
        where: Sequence[str] | None = None,
        facts: CatalogFacts | None = None,
    ) -> Catalog:
        """Make a checked catalog from rows that may lack any column but `media_id` and `file_path`.

        Args:
            rows: a table, or a list of dictionaries, with columns named as in `SCHEMA`.
            root: the folder that `file_path` is relative to.
            source: what was read, for people.
            where: for each row the line it came from ("train_features.csv line 7"), named in errors.
            facts: what is known of the whole.

        Raises:
            DataError: a row is wrong; the message names its line.
        """
        table = conform(rows)
        check(table, where)
        return cls(table, as_any_path(root).absolute(), as_listed(source), facts or CatalogFacts())

    def __len__(self) -> int:
        return self.table.height

    @property
    def labels(self) -> list[str]:
        """The label names that occur, sorted; `blank` among them if it occurs."""
        names = self.frame.select(pl.col("labels").explode().drop_nulls().unique())
        return sorted(streamed(names, self.source).to_series().to_list())

    @property
    def frame(self) -> pl.LazyFrame:
        """The table to ask in parts (`trapline.catalog.streamed`): of a scanned catalog it is on the disk."""
        return self.table.lazy()

    def with_frame(self, frame: pl.LazyFrame) -> Catalog:
        """The same catalog over other rows, which are right."""
        return replace(self, table=streamed(frame, self.source))

    def with_facts(self, facts: CatalogFacts) -> Catalog:
        """The same catalog with other facts."""
        return replace(self, facts=facts)

    def path(self, file_path: str) -> AnyPath:
        """The path of a media file of this catalog, on a disk or in a bucket; never outside the root."""
        return self.root / as_name(file_path)

    def on_disk(self, file_path: str) -> Path:
        """The same for what needs the file on this machine's disk: to link to it, or to copy it as it is.

        Raises:
            DataError: it is in a bucket.
        """
        path = self.path(file_path)
        if isinstance(path, Path):
            return path
        raise DataError(
            f"The photos are in {self.root}, and what is asked for needs them on a disk. Copy them (with "
            "rclone, aws s3 sync, gsutil or azcopy), and name the folder: `trapline catalog OLD.parquet "
            "--root FOLDER -o NEW.parquet`."
        )

    def paths(self) -> list[AnyPath]:
        """The path of every media file, in the order of the table."""
        return [self.path(file_path) for file_path in self.table["file_path"]]

    def with_table(self, table: pl.DataFrame, facts: CatalogFacts | None = None) -> Catalog:
        """The same catalog over another checked table, and with other facts if these are given."""
        table = conform(table)
        check(table, None)
        return Catalog(table, self.root, self.source, facts or self.facts)

    def filter(self, *predicates: pl.Expr) -> Catalog:
        """The media for which all `predicates` hold."""
        return self.with_frame(self.frame.filter(*predicates))

    @checked
    def part(self, name: str) -> Catalog:
        """The media of one part of the split; an error if there is none."""
        media = self.filter(pl.col("split") == name)
        if len(media) == 0:
            parts = sorted(streamed(self.frame.select(pl.col("split").drop_nulls().unique()))["split"])
            have = ", ".join(parts) if parts else "no split at all (run `trapline split` first)"
            raise DataError(f"The catalog has no media in the part '{name}'; it has: {have}.")
        return media

    def _repr_html_(self) -> str:
        frame = self.frame
        parts = dict(count_values(frame, "split").iter_rows())
        counts = count_values(frame.select(pl.col("labels").explode()), "labels")
        counts = counts.sort("count", "labels", descending=[True, False])
        rows = [
            ("media", len(self)),
            ("locations", count_distinct(frame, "location_id", len(self))),
            ("events", count_distinct(frame, "event_id", len(self))),
            ("not labelled", streamed(frame.select(pl.col("labels").null_count())).item()),
            ("split", ", ".join(f"{part} {number:,}" for part, number in parts.items())),
            *((f"label {label}", number) for label, number in counts.iter_rows()),
        ]
        return as_html(f"Catalog of {self.source}", rows, f"photos in {self.root}")

    def split(self, splitter: api.Splitter | None = None, *, check_files: bool = True) -> Catalog:
        """The catalog with its split: `ByDefault()` unless another splitter is given; see `api.split`."""
        from trapline import api

        return api.split(self, splitter, check_files=check_files)

    def explore(
        self, output: Path | str | None = None, **options: Unpack[api.ExploreOptions]
    ) -> api.Exploration:
        """What is in it, and what could go wrong in training on it; see `api.explore`."""
        from trapline import api

        return api.explore(self, output, **options)

    def detect(
        self, detector: api.Detector | Path | str, output: Path | str, **options: Unpack[api.DetectOptions]
    ) -> Catalog:
        """The catalog with a detector's boxes; see `api.detect`."""
        from trapline import api

        return api.detect(detector, self, output, **options)

    def train(
        self,
        recipe: api.RecipeLike,
        folder: Path | str | None = None,
        **options: Unpack[api.TrainOptions],
    ) -> api.ModelFile:
        """A model, trained and judged on the parts of the split; see `api.train`."""
        from trapline import api

        return api.train(self, recipe, folder, **options)

    def tune(
        self, recipe: api.RecipeLike, folder: Path | str | None = None, **options: Unpack[api.TuneOptions]
    ) -> api.Tuned:
        """The best settings of a recipe, by location folds; see `api.tune`."""
        from trapline import api

        return api.tune(self, recipe, folder, **options)

    def observe(self, **options: Unpack[api.ObserveOptions]) -> api.Observations:
        """What people and a detector say of its media; see `api.observe`."""
        from trapline import api

        return api.observe(self, **options)

    @overload
    def write(self, format_or_output: Path | str) -> Path: ...
    @overload
    def write(
        self, format_or_output: str, output: Path | str, **options: Unpack[api.WriteOptions]
    ) -> api.WriteReport: ...
    def write(
        self,
        format_or_output: Path | str,
        output: Path | str | None = None,
        **options: Unpack[api.WriteOptions],
    ) -> Path | api.WriteReport:
        """Write its labels and boxes in a format for another tool; see `api.write`.

        With an output alone it is written itself, as `.parquet`, or its boxes as `.json`; see
        `api.write_catalog`.
        """
        from trapline import api

        if output is None:
            return api.write_catalog(self, format_or_output)
        return api.write(self, output, format=str(format_or_output), **options)

    @checked
    def save(self, path: Output, *, rows_per_file: Count | None = None) -> Path:
        """Write the catalog as Parquet; its root is kept relative to the file where that is possible.

        Args:
            path: of the file, or of the folder.
            rows_per_file: write a folder of files of so many rows each instead, in their order.

        Raises:
            DataError: something else than a catalog is there, or it cannot be written.
        """
        path = Path(path).absolute()
        header = Header(self.root, self.source, self.facts)
        write_stored(self._rows(), path, header, rows_per_file)
        return path

    def _rows(self) -> pl.DataFrame | pl.LazyFrame:
        """The table as it is held."""
        return self.table

    @classmethod
    @checked
    def load(cls, path: Path | str) -> Catalog:
        """Read a catalog that `save` wrote, a file or a folder, whole into memory.

        Raises:
            DataError: it is missing, is no catalog, or was written by a newer Trapline.
        """
        stored = find_stored(Path(path).absolute())
        single = stored.files == (stored.path,)
        table = conform(read_parquet(stored.path)[0] if single else streamed(stored.scan(), stored.path))
        check(table, None)
        return Catalog(table, stored.header.root, stored.header.source, stored.header.facts)


@overload
def conform(rows: pl.LazyFrame) -> pl.LazyFrame: ...
@overload
def conform(rows: pl.DataFrame | Sequence[Mapping[str, Any]]) -> pl.DataFrame: ...
def conform(
    rows: pl.DataFrame | pl.LazyFrame | Sequence[Mapping[str, Any]],
) -> pl.DataFrame | pl.LazyFrame:
    """Give `rows` the columns, order and types of `SCHEMA`; columns that are missing become null."""
    table: pl.DataFrame | pl.LazyFrame
    if isinstance(rows, pl.DataFrame | pl.LazyFrame):
        table = rows
    else:
        table = pl.DataFrame(rows, infer_schema_length=None)
    schema = table.collect_schema()
    names = schema.names()
    missing = [name for name in ("media_id", "file_path") if name not in names]
    if missing and names:
        raise DataError(f"A catalog needs the columns media_id and file_path; missing: {', '.join(missing)}.")
    extra = [name for name in names if name not in SCHEMA]
    try:
        return table.select(
            *(
                (pl.col(name) if name in names else pl.lit(None)).cast(dtype).alias(name)
                for name, dtype in SCHEMA.items()
            ),
            *(pl.col(name).cast(as_today(schema[name])) if name == DECISIONS else name for name in extra),
        ).with_columns(pl.col("timestamp_source").fill_null("none"))
    except pl.exceptions.PolarsError as error:
        raise DataError(f"A catalog column has values of the wrong type: {error}") from error


def check(table: pl.DataFrame | pl.LazyFrame, where: Sequence[str] | None, source: object = "") -> int:
    """Check the rules of the catalog, in parts; the first rows that break one are named.

    Args:
        table: that `conform` made.
        where: for each row the line it came from.
        source: where the table is, for errors.

    Returns:
        how many rows it has.

    Raises:
        DataError: an empty or double id, an empty path, a path that leaves the root, an unknown
            timestamp source, an empty label, a doubled label, `blank` beside another label, or a box
            outside the image.
    """
    frame = table.lazy()
    rules = row_rules(frame.collect_schema().names())
    counts = (expression.fill_null(False).sum().alias(rule) for rule, expression in rules)
    broken = streamed(frame.select(*counts, _rows=pl.len()), source).row(0, named=True)
    rows = int(broken.pop("_rows"))
    if rows == 0:
        raise DataError("The catalog would be empty: no media were found. Check the path and the reader.")
    for rule, expression in rules:
        if broken[rule]:
            raise DataError(_bad_rows(frame, rule, expression, broken[rule], rows, where))
    doubled = _doubled(frame, rows, source)
    if doubled is not None:
        rule = "has a media_id that occurs more than once"
        several = pl.col("media_id").is_in(doubled.implode())
        count = streamed(frame.select(several.sum()), source).item()
        raise DataError(_bad_rows(frame, rule, several, count, rows, where))
    return rows


def row_rules(columns: Sequence[str]) -> list[tuple[str, pl.Expr]]:
    """What is wrong with a row that no catalog can hold while others can stay, and which rows are such.

    Args:
        columns: of a table that `conform` made.
    """
    ids, paths = pl.col("media_id"), pl.col("file_path")
    return [
        ("has no media_id", ids.is_null() | (ids == "")),
        ("has no file_path", paths.is_null() | (paths == "")),
        (
            "has a file_path that is not relative to the root with forward slashes",
            paths.str.contains(r"^(/|~/|[A-Za-z]:)|\\|(^|/)\.\.(/|$)"),
        ),
        ("has a file_path with a NUL in it", paths.str.contains("\0", literal=True)),
        ("has an unknown timestamp_source", ~pl.col("timestamp_source").is_in(TIMESTAMP_SOURCES)),
        *_label_rules(pl.col("labels")),
        *(_label_rules(pl.col(EVENT_LABELS), " of its event") if EVENT_LABELS in columns else ()),
        ("has an unknown split part", ~pl.col("split").is_in(SPLIT_PARTS)),
        ("has a box outside the image", _has_box_outside()),
    ]


def _doubled(frame: pl.LazyFrame, rows: int, source: object) -> pl.Series | None:
    """The ids that occur more than once; None if none does.

    Hashes first, some of them at a time, since a table of strings takes long and much memory.
    """
    hashed = frame.select("media_id", _hash=pl.col("media_id").hash())
    slices = 1 + rows // _HASHES_AT_ONCE
    for number in range(slices):
        some = hashed.filter(pl.col("_hash") % slices == number) if slices > 1 else hashed
        hashes = streamed(some.select("_hash"), source).to_series().sort()
        twice = hashes.filter(hashes == hashes.shift()).unique()
        if len(twice):
            ids = streamed(some.filter(pl.col("_hash").is_in(twice.implode())), source)["media_id"]
            if ids.is_duplicated().any():
                return ids.filter(ids.is_duplicated()).unique()
    return None


def _label_rules(labels: pl.Expr, of: str = "") -> list[tuple[str, pl.Expr]]:
    empty = pl.element().is_null() | (pl.element() == "")
    return [
        (f"has an empty list of labels{of} (use null for 'not labelled')", labels.list.len() == 0),
        (f"has an empty label{of}", labels.list.eval(empty).list.any()),
        (f"has the same label{of} twice", labels.list.n_unique() != labels.list.len()),
        (f"has '{BLANK}' beside another label{of}", labels.list.contains(BLANK) & (labels.list.len() > 1)),
    ]


def _has_box_outside() -> pl.Expr:
    return pl.col("boxes").list.eval(~is_box(pl.element())).list.any()


def is_box(box: pl.Expr) -> pl.Expr:
    """Whether a `BOX` has numbers, inside the image."""
    x, y, width, height = (box.struct.field(name) for name in ("x", "y", "width", "height"))
    slack = 1e-4  # writers round to four digits
    inside = (
        (x >= -slack)
        & (y >= -slack)
        & (width >= 0)
        & (height >= 0)
        & (x + width <= 1 + slack)
        & (y + height <= 1 + slack)
    )
    return inside.fill_null(False)


def _bad_rows(
    frame: pl.LazyFrame,
    rule: str,
    broken: pl.Expr,
    count: int,
    rows: int,
    where: Sequence[str] | None,
) -> str:
    named = frame.select("media_id", "file_path", _broken=broken).with_row_index("_row").filter("_broken")
    shown = [
        f"{where[row['_row']] if where is not None else 'row {}'.format(row['_row'] + 1)} "
        f"(media_id {row['media_id']!r}, file_path {row['file_path']!r})"
        for row in streamed(named.head(5)).iter_rows(named=True)
    ]
    listed = name_some(shown, of=count, between="; ")
    return f"{count} of {rows} rows are wrong: a row {rule}: {listed}."
