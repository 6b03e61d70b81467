"""What an evaluation found: a typed result that is saved as JSON and shown as a report."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

from pydantic import BeforeValidator, Field, JsonValue, PlainSerializer, ValidationError

from trapline.arguments import Output, Source, checked
from trapline.errors import DataError
from trapline.evaluation import words
from trapline.evaluation.coarser import CoarserAnswer
from trapline.evaluation.matching import Counts
from trapline.evaluation.mistakes import Mistake
from trapline.evaluation.ranks import RankEvaluation
from trapline.evaluation.result_part import ResultPart, SavedResult
from trapline.evaluation.thresholds import Thresholds
from trapline.models import AtNewLocations, Interval
from trapline.notebook import as_html
from trapline.prediction import Level, PredictionFacts
from trapline.storage import AnyPath

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

Over = Literal["location", "event", "season", "media"]
"""What the intervals are over."""


class LabelResult(ResultPart):
    """One label: figures with intervals; None where a figure is undefined.

    Attributes:
        label: its name.
        known: whether the model knows it.
        log_loss: of the label alone, for models that can say several.
        media: that truly have it.
        locations: where it was seen.
        said: media for which the model said it.
    """

    label: str
    known: bool
    media: int
    locations: int
    said: int
    precision: Interval | None
    recall: Interval | None
    f1: Interval | None
    average_precision: Interval | None
    auc: Interval | None
    log_loss: Interval | None = None


class LocationResult(ResultPart):
    """One location.

    Attributes:
        location: its id; None stands for all media of no known location.
        media: evaluated there.
        labels: how many different true labels they have.
        accuracy: share of media whose label (multi-label: whose every label) is right.
        log_loss: mean over its media; None where the probabilities of some labels are not known.
        seen: whether training used this location; None if that is not known.
    """

    location: str | None
    media: int
    labels: int
    accuracy: float
    log_loss: float | None
    seen: bool | None


class SeasonResult(ResultPart):
    """One season.

    Attributes:
        season: its name; None stands for all media of no known season.
        media: evaluated in it.
        metrics: figure -> value and interval; figures that are undefined in this season are absent.
        only_here: labels that no other season shows: what was not trained on this one cannot know them.
        shared_log_loss: over the labels that other seasons show as well; None but for models that can say
            several labels.
        label_media: label -> media of this season that have it.
        label_log_loss: label -> its mean binary log loss; empty but for models that can say several labels.
    """

    season: str | None
    media: int
    metrics: dict[str, Interval]
    only_here: tuple[str, ...] = ()
    shared_log_loss: float | None = None
    label_media: dict[str, int] = Field(default_factory=dict)
    label_log_loss: dict[str, float] = Field(default_factory=dict)


class LocationGroup(ResultPart):
    """The figures over the locations that training saw, or over those it did not."""

    media: int
    locations: int
    metrics: dict[str, Interval]


class ConstantGuess(ResultPart):
    """A guess that looks at no photo, to compare the model with."""

    name: str
    meaning: str
    metrics: dict[str, float]


class Bin(ResultPart):
    """One bin of the reliability diagram: predictions with a confidence in (`low`, `high`]."""

    low: float
    high: float
    count: int
    confidence: float | None
    accuracy: float | None


class Leak(ResultPart):
    """How the evaluated media and the training media are tangled; `findings` is empty where they are not.

    Attributes:
        checked: whether it is known which media were trained on; where it is not, a finding says why.
        findings: for people, one sentence each.
        by_name: evaluated media that were compared by their ids alone, as files could not be read.
    """

    checked: bool
    findings: tuple[str, ...] = ()
    by_name: int = 0


def _as_facts(content: object) -> object:
    try:
        return PredictionFacts.from_json(content, "it") if isinstance(content, dict) else content
    except DataError as error:
        raise ValueError(str(error)) from error


class Evaluation(SavedResult):
    """How good a model's predictions are, and how sure one can be of that.

    Attributes:
        measured_on: for people: which part of which catalog.
        intervals_over: what the 95 % intervals are over: whole locations, events, or single media.
        metrics: figure -> value and interval. Figures that are undefined on these media are absent.
        new_locations: headline figure -> in what interval it will be on so many locations that nobody
            measured at, in 95 of 100 cases; empty where these are too few, were all trained on, or it is
            not known which were.
        few_locations: what stands above all figures, where they or the model's own are of too few locations.
        level: what one row is: a media, an event or a box.
        per_season: the seasons of a catalog that has them.
        confusion: media of true label (row) that were said to be label (column); None for multi-label.
        seen: the figures over the locations that training used; None if there are none or it is not known.
        unseen: those over the others.
        constants: guesses that look at no photo.
        calibration: the bins of the reliability diagram.
        mistakes: the worst first, at most a thousand,
        wrong: of how many; None in files of versions that did not count them.
        ranks: figures by rank and node, and of the rolled-up answers; None but of a model of taxa.
        coarser: answers that say less than the label and count as right, the most frequent first.
        thresholds: how many answers each leaves, and which to take; None where that was not asked.
        notes: what a reader must know about these figures.
        root: the folder of the photos, for the report's pictures; not saved.
    """

    format_version: Literal["1"] = "1"
    name: str
    task: Literal["single-label", "multi-label"]
    level: Level = "media"
    labels: tuple[str, ...]
    measured_on: str
    part: str | None
    model: str
    model_info: Annotated[
        PredictionFacts, BeforeValidator(_as_facts), PlainSerializer(PredictionFacts.as_json)
    ]
    catalog: str
    split: dict[str, JsonValue]
    leak: Leak
    counts: Counts
    failures: dict[str, int]
    intervals_over: Over
    samples: int
    seed: int
    metrics: dict[str, Interval]
    new_locations: AtNewLocations = Field(default_factory=dict)
    few_locations: tuple[str, ...] = ()
    per_label: tuple[LabelResult, ...]
    per_location: tuple[LocationResult, ...]
    per_season: tuple[SeasonResult, ...] = ()
    confusion: tuple[tuple[int, ...], ...] | None
    seen: LocationGroup | None
    unseen: LocationGroup | None
    constants: tuple[ConstantGuess, ...]
    calibration: tuple[Bin, ...]
    mistakes: tuple[Mistake, ...]
    wrong: int | None = None
    ranks: RankEvaluation | None = None
    coarser: tuple[CoarserAnswer, ...] = ()
    thresholds: Thresholds | None = None
    notes: tuple[str, ...]
    trapline: str
    created: str
    root: AnyPath | None = Field(None, exclude=True)

    def to_text(self) -> str:
        """The figures with their intervals as a table, leaks and notes after it."""
        rows = [("", self.name, "95 % interval", *(constant.name for constant in self.constants))]
        for title, one, figure in self._rows():
            guesses = (
                "" if figure is None else words.number(guess.metrics.get(figure)) for guess in self.constants
            )
            rows.append((title, words.number(one.value), words.span(one), *guesses))
        by_rank = [] if self.ranks is None else ["", *words.rank_lines(self.ranks)]
        coarse = [words.describe_coarser(self.coarser, self.counts)] if self.coarser else []
        limits = [] if self.thresholds is None else ["", *words.threshold_lines(self.thresholds)]
        known = "LEAK" if self.leak.checked else "WARNING"
        leaks = [f"{known}: {finding}" for finding in self.leak.findings]
        notes = [f"Note: {note}" for note in self.notes]
        head = f"{self.name} on {self.measured_on}"
        guesses_are = "; ".join(f"{constant.name}, {constant.meaning}" for constant in self.constants)
        legend = [f"Guesses that look at no photo: {guesses_are}."] if self.constants else []
        return "\n".join(
            [
                head,
                *(f"FEW LOCATIONS: {sentence}" for sentence in self.few_locations),
                "",
                *words.columns(rows),
                *legend,
                *coarse,
                *self._elsewhere(),
                *by_rank,
                *limits,
                *([""] if leaks or notes else []),
                *leaks,
                *notes,
            ]
        )

    @property
    def of_untrained(self) -> Mapping[str, Interval]:
        """The figures beside `new_locations`: of the media of locations that training did not have."""
        return self.metrics if self.unseen is None else self.unseen.metrics

    def _elsewhere(self) -> list[str]:
        sentences = words.at_new(self.of_untrained, self.new_locations, self.intervals_over)
        among = f" (by {self.unseen.locations} of those judged)" if self.seen and self.unseen else ""
        return [f"New locations{among}: {sentence}" for sentence in sentences]

    def _rows(self) -> Iterator[tuple[str, Interval, str | None]]:
        """Title, interval and, of the figures that the guesses have too, the name."""
        for figure, interval in self.metrics.items():
            yield words.title(figure), interval, figure
        first = next(iter(self.metrics))
        for side, group in (("seen", self.seen), ("unseen", self.unseen)):
            if group is not None and first in group.metrics:
                title = f"{words.title(first)}, {group.locations} {side} locations"
                yield title, group.metrics[first], None
        for season in self.per_season:
            if "log_loss" in season.metrics:
                yield f"Log loss, season {season.season or 'not known'}", season.metrics["log_loss"], None

    def _repr_html_(self) -> str:
        rows = [(words.title(figure), words.with_span(one)) for figure, one in self.metrics.items()]
        leaks = [("leak", finding) for finding in self.leak.findings]
        few = [("few locations", sentence) for sentence in self.few_locations]
        told = " ".join([*self._elsewhere(), *self.notes])
        return as_html(f"{self.name} on {self.measured_on}", [*few, *leaks, *rows], told)

    @classmethod
    @checked
    def load_json(cls, path: Path | str) -> Evaluation:
        """Read what `save_json` wrote.

        Raises:
            DataError: it is missing or something else.
        """
        path = Path(path)
        try:
            return cls.model_validate(json.loads(path.read_text(encoding="utf-8")))
        except (OSError, ValueError, ValidationError) as error:
            raise DataError(f"{path} cannot be read as an evaluation: {error}") from error

    @checked
    def save_report(
        self,
        path: Output,
        *,
        pictures: int = 24,
        beside: Mapping[str, Evaluation] | None = None,
        files: Sequence[Source] = (),
    ) -> Path:
        """Write one self-contained HTML page; beside it, as CSV, the mistakes.

        Args:
            path: of the page.
            pictures: how many of the worst mistakes are shown; 0 leaves pictures out.
            beside: other evaluations by name, set beside this one in a table ("random split": …).
            files: the catalog and the predictions, for the command that the page offers.
        """
        from trapline.reports import write_evaluation

        return write_evaluation(self, Path(path), pictures=pictures, beside=dict(beside or {}), files=files)
