"""The table of observations: what anybody says of a media, an event or a box, and whose word stands."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

import polars as pl

from trapline.arguments import Output, checked
from trapline.catalog import ATTRIBUTES, Catalog, Facts, as_listed, for_polars, read_parquet
from trapline.errors import DataError, kind_of
from trapline.notebook import as_html
from trapline.storage import replace_whole

FORMAT_VERSION = "1"

UNCLASSIFIED, FAILED, UNOBSERVED = "unclassified", "failed", "unobserved"
"""A media without an answer: in the column `status`, and in formats that have no names of their own."""

NO_ANSWER = (UNCLASSIFIED, FAILED, UNOBSERVED)
"""What is therefore never a label."""

ALTERNATIVES = pl.List(pl.Struct({"label": pl.String, "probability": pl.Float64}))

SCHEMA: dict[str, pl.DataType] = {
    "media_id": pl.String(),
    "event_id": pl.String(),
    "file_path": pl.String(),
    "box": pl.Int64(),
    "observer": pl.String(),
    "observed_at": pl.Datetime("us", "UTC"),
    "status": pl.String(),
    "reason": pl.String(),
    "label": pl.String(),
    "scientific_name": pl.String(),
    **ATTRIBUTES,
    "probability": pl.Float64(),
    "alternatives": ALTERNATIVES,
    "stands": pl.Boolean(),
}
"""The columns of every table of observations; one row an answer.

`media_id` and `file_path` are null where an event as a whole is spoken of, `box` (the index in the
catalog's list) where the whole media is. `observer` is `human` or `human:<name>`, `model:<fingerprint>`,
`detector` or `detector:<file>`, `unknown` of labels that may be a machine's; null where nobody says
anything. `status`: `ok`, `unclassified` (looked at, no answer passes), `failed` (`reason` says why) or
`unobserved`. `probability` is null where nobody gives one, as people do not, and a detector's is its
confidence; `count` is null where nobody counted, `life_stage`, `sex` and `behaviour` (Camtrap DP's words)
where nobody says them. A label whose individuals are told apart has a row for those that are alike.
`alternatives` are a model's most probable labels,
whatever the threshold.
"""


@dataclass(frozen=True, kw_only=True)
class ObservationFacts(Facts):
    """What is known of observations as a whole.

    Attributes:
        source: what was observed, for people.
        observers: id → who that is, for people.
        threshold: below which probability a model's labels are no answers; None for the model's own way.
        thresholds: likewise of a label, or of a rank, that has its own.
        min_conf: below which confidence a detector's boxes say nothing.
        others: what only a newer Trapline knows.
    """

    source: str | None = None
    observers: dict[str, str] = field(default_factory=dict)
    threshold: float | None = None
    thresholds: dict[str, float] = field(default_factory=dict)
    min_conf: float | None = None


def kind_of_observer(observer: str | None) -> str | None:
    """`human`, `model`, `detector` or `unknown`; None where nobody says anything."""
    return None if observer is None else observer.split(":", 1)[0]


@dataclass(frozen=True, eq=False)  # as tables are: none has a truth of `==`
class Observations:
    """What people, a model and a detector say of the media of a catalog.

    `trapline.observe` makes them; nothing that anybody says is left out, and `stands` says whose word counts:

    >>> import trapline
    >>> observations = trapline.observe("photos.parquet")
    >>> observations.standing["observer"].unique().to_list()
    ['human']
    >>> observations.save("observations.parquet").name
    'observations.parquet'
    >>> len(trapline.Observations.load("observations.parquet")) == len(observations)
    True

    Attributes:
        table: one row an answer, columns as in `SCHEMA`; each media has a row, or its event has.
        facts: what is known of the whole: who the observers are, from which probability on an answer counts.
    """

    table: pl.DataFrame
    facts: ObservationFacts = field(default_factory=ObservationFacts)

    def __post_init__(self) -> None:
        wrong = [name for name, kind in SCHEMA.items() if self.table.schema.get(name) != kind]
        if wrong:
            raise DataError(f"Observations need the columns {', '.join(SCHEMA)}; wrong: {', '.join(wrong)}.")

    def __len__(self) -> int:
        return self.table.height

    @property
    def standing(self) -> pl.DataFrame:
        """The rows that count: nobody of higher standing says anything else of the same media."""
        return self.table.filter("stands")

    def per_media(self, catalog: Catalog) -> pl.DataFrame:
        """What stands of each media: the standing rows, those of events once for each media of the event.

        Returns:
            The columns of `SCHEMA`, `media_id` never null, in the order of a model's rows, then of the
            catalog; every media of the catalog has at least one.

        Raises:
            DataError: a media or event is not in the catalog.
        """
        pairs = spread(self.table, catalog)
        order = pairs.group_by("media").agg(
            pl.col("_row").filter(pl.col("observer").str.starts_with("model")).min().alias("_first")
        )
        kept = pairs.filter("stands").filter(pl.col("_rank") == pl.col("_rank").min().over("media"))
        index = catalog.table.select(pl.col("media_id").alias("media")).with_row_index("_index")
        rows = kept.join(order, on="media").join(index, on="media")
        rows = rows.sort("_first", "_index", "_row", nulls_last=True)
        return rows.with_columns(pl.col("media").alias("media_id")).select(*SCHEMA)

    def _repr_html_(self) -> str:
        counts = self.standing["label"].drop_nulls().value_counts(name="count", sort=True)
        who = self.standing["observer"].drop_nulls().value_counts(name="count", sort=True)
        rows: list[tuple[str, object]] = [("observations", len(self)), ("that stand", self.standing.height)]
        rows += [(f"by {self.facts.observers.get(name, name)}", number) for name, number in who.iter_rows()]
        rows += [(f"label {label}", number) for label, number in counts.iter_rows()]
        return as_html(f"Observations of {self.facts.source or 'media'}", rows)

    @checked
    def save(self, path: Output) -> Path:
        """Write them as Parquet, their facts in the file's metadata.

        Raises:
            DataError: something else than Parquet is there, or it cannot be written.
        """
        path = Path(path)
        there = kind_of(path) if path.exists() else None
        if there not in (None, "a Parquet table", "an empty file"):
            raise DataError(f"{path} is {there}, which observations do not replace: name another file.")
        header = {"format_version": FORMAT_VERSION, "info": self.facts.as_json()}
        metadata = {"trapline_observations": as_listed(json.dumps(header, ensure_ascii=False))}
        with replace_whole(path) as partial, for_polars(partial, "wb") as file:
            self.table.write_parquet(file, metadata=metadata)
        return path

    @staticmethod
    def is_at(path: Path) -> bool:
        """Whether observations that `save` wrote are there."""
        return kind_of(path) == "a Parquet table" and "trapline_observations" in read_parquet(path)[1]

    @classmethod
    @checked
    def load(cls, path: Path | str) -> Observations:
        """Read what `save` wrote.

        Raises:
            DataError: the file is missing, or holds no observations.
        """
        path = Path(path)
        if not path.is_file():
            raise DataError(f"There are no observations at {path}. `trapline.observe` makes some.")
        table, metadata = read_parquet(path)
        if "trapline_observations" not in metadata:
            raise DataError(f"{path} is Parquet, but holds no observations.")
        try:
            header = json.loads(metadata["trapline_observations"])
            version, info = header["format_version"], header["info"]
        except (ValueError, KeyError, TypeError, RecursionError) as error:
            raise DataError(
                f"The facts that {path} keeps of its observations are damaged: {error!r}."
            ) from error
        if version != FORMAT_VERSION:
            raise DataError(
                f"{path} has observations of format {version}; this Trapline reads {FORMAT_VERSION}."
            )
        lacking = [name for name in ATTRIBUTES if name not in table.columns]  # of earlier versions
        table = table.with_columns(pl.lit(None, SCHEMA[name]).alias(name) for name in lacking)
        table = table.select(*SCHEMA) if lacking and set(SCHEMA) <= set(table.columns) else table
        return cls(table, ObservationFacts.from_json(info, f"The facts that {path} keeps are damaged"))


def spread(rows: pl.DataFrame, catalog: Catalog) -> pl.DataFrame:
    """Rows with the column `media` of whom they speak: one of an event once for each media of it.

    Added are `_row`, the index of the row, and `_rank`: 0 for a person's word of the media, 1 for one of its
    event, 2 and 3 for all others'; a column `_rank` that is there stays.

    Raises:
        DataError: a media or event is not in the catalog.
    """
    numbered = rows.with_row_index("_row")
    if "_rank" not in rows.columns:
        human = pl.col("observer").str.starts_with("human").fill_null(value=False)
        rank = pl.when(human).then(0).otherwise(2) + pl.col("media_id").is_null()
        numbered = numbered.with_columns(rank.alias("_rank"))
    own = catalog.table.select(pl.col("media_id").alias("media"), "event_id")
    of_media = numbered.filter(pl.col("media_id").is_not_null())
    of_events = numbered.filter(pl.col("media_id").is_null())
    _refuse_strangers("media", of_media["media_id"], own["media"])
    _refuse_strangers("event", of_events["event_id"], own["event_id"])
    return pl.concat(
        [
            of_media.with_columns(pl.col("media_id").alias("media")),
            of_events.join(own, on="event_id", how="inner"),
        ]
    )


def _refuse_strangers(kind: str, names: pl.Series, known: pl.Series) -> None:
    unknown = names.filter(~names.is_in(known.drop_nulls().implode()))
    if len(unknown):
        raise DataError(
            f"The predictions are not of this catalog: it has no {kind} {unknown[0]!r} ({len(unknown)} of "
            f"{len(names)} are missing). Give the catalog that was predicted."
        )


def as_rows(columns: Mapping[str, pl.Series | pl.Expr], base: pl.DataFrame) -> pl.DataFrame:
    """Rows of the schema from a table that has some of its columns, and others by name."""
    table = base.with_columns(value.alias(name) for name, value in columns.items())
    return table.select(
        (pl.col(name) if name in table.columns else pl.lit(None)).cast(kind).alias(name)
        for name, kind in SCHEMA.items()
    )
