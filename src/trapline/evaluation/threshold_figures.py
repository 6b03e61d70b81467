"""What is known of the thresholds of one label, of one rank, and of blanks."""

from __future__ import annotations

from typing import Literal

from trapline.evaluation.result_part import ResultPart
from trapline.models import Interval

Of = Literal["all", "label", "rank"]


class ThresholdPoint(ResultPart):
    """One threshold.

    Attributes:
        threshold: the least probability of an answer.
        answered: the share of all media with such an answer.
        answers: how many such answers there are.
        right: how many of them are right.
        precision: right / answers; None without answers.
        recall: the share of what is to be found that is found; None where nothing is.
    """

    threshold: float
    answered: float
    answers: int
    right: int
    precision: float | None
    recall: float | None


class ChosenThreshold(ResultPart):
    """The threshold that was chosen.

    Attributes:
        wanted: as `precision=0.95`.
        threshold: None where none reaches what is wanted: there is no such answer then.
        too_few: some threshold reaches it, but on fewer answers than tell anything
            (`trapline.metrics.least_answers`).
        promised: it can be said, with 90 % confidence, that what is wanted holds at other locations; else it
            was reached on these, and `elsewhere` says how far that carries.
        answered: the share of media with such an answer, on all; likewise
        precision: on all, and
        recall: on all.
        elsewhere: the wanted figure where it was chosen on some locations and judged at others, with its
            95 % interval; None with one location, or where nothing was answered there.
        bound: at least so much it is at locations like these, with 90 % confidence (of `lost`, at most).
    """

    wanted: str
    threshold: float | None
    too_few: bool = False
    promised: bool = False
    answered: float | None = None
    precision: float | None = None
    recall: float | None = None
    elsewhere: Interval | None = None
    bound: float | None = None

    @property
    def state(self) -> str:
        """For people: how far one can build on it."""
        if self.threshold is None:
            return "not reached: too few" if self.too_few else "not reached"
        return "promised" if self.promised else "reached here"


class SubjectThresholds(ResultPart):
    """The thresholds of one label or rank, or of all labels alike.

    Attributes:
        of: `all` labels with one threshold, a `label`, or a `rank` of a model of taxa.
        name: of the label or rank; `all`.
        media: how many are to be found.
        curve: by rising threshold; those that change nothing are left out.
        chosen: of a rank: where finer ranks answer first, by their own chosen thresholds.
    """

    of: Of
    name: str
    media: int
    curve: tuple[ThresholdPoint, ...]
    chosen: ChosenThreshold


class BlankPoint(ResultPart):
    """One threshold of `blank`.

    Attributes:
        threshold: the least probability.
        removed: share of the blank media that are said to be blank.
        lost: share of the media of animals that are, and
        small_lost: of those whose boxes are all small; None where there are none.
    """

    threshold: float
    removed: float | None
    lost: float | None
    small_lost: float | None


class LabelLoss(ResultPart):
    """How many media of a label go with the blanks, of how many."""

    label: str
    media: int
    lost: int


class BlankThresholds(ResultPart):
    """What goes when photos that are said to be blank are put aside.

    Attributes:
        blanks: media in which nothing is.
        animals: of animals.
        boxed: of these, with boxes.
        small: of these, whose largest box takes less than a hundredth of the photo.
        curve: by rising threshold.
        threshold: of `blank`, as chosen; None where there is none.
        removed: at other locations, by what was chosen without them; likewise
        lost: there, and
        small_lost: there.
        labels: that lose some media at the chosen threshold, on all, those that lose most first.
    """

    blanks: int
    animals: int
    boxed: int
    small: int
    curve: tuple[BlankPoint, ...]
    threshold: float | None
    removed: Interval | None = None
    lost: Interval | None = None
    small_lost: Interval | None = None
    labels: tuple[LabelLoss, ...] = ()


class TogetherThresholds(ResultPart):
    """Each label with its own chosen threshold, at locations on which these were not chosen.

    Attributes:
        answered: the share of media with an answer; None for models that can say several labels.
        precision: the share of right answers.
        recall: the share of labels that are found.
    """

    answered: Interval | None
    precision: Interval | None
    recall: Interval | None
