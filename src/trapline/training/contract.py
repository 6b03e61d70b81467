"""What a learner is: the one contract behind which linear heads, hidden layers, trees and networks stand."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Generic, TypeVar

import numpy.typing as npt

from trapline.models import Calibration, ModelFile, scale_logits
from trapline.prediction import PredictionFacts
from trapline.recipes import Recipe
from trapline.training.arrays import Floats, Rows, Singles
from trapline.training.folds import Dealt
from trapline.training.judging import Judged, judge
from trapline.training.selection import Selected, base_calibration

if TYPE_CHECKING:
    import onnx


StepReport = Callable[[str, int, int, str], None]
"""Called with what is being done, how much is done, how much there is in all, and a line of detail."""


@dataclass(frozen=True)
class Origin:
    """The backbone that a model started from.

    Attributes:
        name: of it.
        fingerprint: of its file.
        notices: licences that must travel with its weights.
        embedding_size: of the model that is made of it.
    """

    name: str
    fingerprint: str
    notices: tuple[str, ...]
    embedding_size: int


@dataclass(frozen=True)
class LearntModel:
    """What a learner has learnt, before it is a file; each kind of learner has its own.

    Attributes:
        note: what a reader of the figures must know of how it was made.
    """

    note: str = ""

    @property
    def best_epochs(self) -> tuple[int, ...]:
        """Of each fit that chose one, counted from 1."""
        return ()

    @property
    def histories(self) -> tuple[list[dict[str, float]], ...]:
        """Of each fit by epochs, one dictionary an epoch."""
        return ()


@dataclass(frozen=True)
class FitPart:
    """A fit of several that do not depend on one another, so that another process can make it.

    Attributes:
        name: of its folder in that of the run, as in `fold-2`.
        arrays: what it is to be fitted on, by the learner's own names.
        leaves: the file in its folder that is there once it is made.
    """

    name: str
    arrays: Mapping[str, Any]
    leaves: str


MakeParts = Callable[[Sequence[FitPart], Path], None]
"""From parts and the folder of the run, in which each leaves what its learner keeps of it."""


M = TypeVar("M", bound=LearntModel)


@dataclass(frozen=True)
class OutOfFold(Generic[M]):
    """What models say of media that they never saw.

    Attributes:
        logits: [rows, labels], of the rows that were dealt, with the priors of the other folds put right.
        model: the folds' models together. `fit` takes from it what the folds have chosen.
    """

    logits: Floats
    model: M


class Learner(ABC, Generic[M]):
    """Fits models of one recipe on rows of one selection; what it looks at is prepared once, when it is made.

    Attributes:
        recipe: as it was asked for.
        selected: the media, without those that cannot be read.
        report: told of what is being done.
        libraries: whose versions the card keeps.
        needs_every_label: whether each fold must train with every label; None for single-label tasks.
        fits_embedding: whether the embedding is fitted to the media that train, and not a frozen network's.
        elsewhere: makes parts in other processes; None where all is made here.
    """

    libraries: ClassVar[tuple[str, ...]]
    needs_every_label: ClassVar[bool | None] = None
    fits_embedding: ClassVar[bool] = False
    recipe: Recipe
    selected: Selected
    report: StepReport | None
    elsewhere: MakeParts | None = None

    @abstractmethod
    def fit(self, rows: Rows, held: Rows | None, chosen: M | None, folder: Path) -> M:
        """Learn from some rows.

        Args:
            rows: that train.
            held: that are looked at to choose an epoch; None for none.
            chosen: of folds over the same rows: its strength or its epochs are taken. None chooses anew.
            folder: for checkpoints, from which a killed run goes on.
        """

    @abstractmethod
    def out_of_fold(self, dealt: Dealt, folder: Path) -> OutOfFold[M]:
        """Learn fold after fold from the others; no label of a fold has a part in what is said of it."""

    @abstractmethod
    def logits(self, model: M, rows: Rows) -> Floats:
        """[rows, labels]: what the model file will say of the rows, before any calibration."""

    @abstractmethod
    def embeddings(self, model: M, rows: Rows) -> Singles:
        """float32 [rows, D]: the embedding that the model file will give of the rows."""

    @abstractmethod
    def graph(self, model: M) -> onnx.ModelProto:
        """From pixels to logits and an embedding."""

    @abstractmethod
    def file_logits(self, file: ModelFile, rows: Rows) -> Floats:
        """[rows, labels]: what the model file says of the photos themselves."""

    @abstractmethod
    def origin(self, model: M) -> Origin:
        """What the model started from."""

    @abstractmethod
    def write_files(self, model: M, folder: Path) -> None:
        """Write `history.csv`, what is drawn of it, and what else belongs beside the model file."""

    def make_part(self, part: FitPart, folder: Path) -> None:
        """Fit a part, and leave it in its folder for the process that asked for it, which goes on with it.

        It is to the last bit what that process would have fitted itself, with as many threads.
        """
        raise NotImplementedError(f"{type(self).__name__} has no parts")

    def share_out(self, parts: Sequence[FitPart], folder: Path) -> None:
        """Have parts made elsewhere, where that is wanted."""
        if self.elsewhere is not None:
            self.elsewhere(parts, folder)

    def held_logits(self, model: M) -> Floats:
        """[validation, labels]: what a model that was judged on the validation part says of it."""
        return self.logits(model, self.selected.validation)

    def base(self, rows: Rows) -> Calibration:
        """What balancing the rows, and leaving blanks out, calls for; see `base_calibration`."""
        return base_calibration(self.recipe, self.selected, rows)

    def natural(self, logits: npt.ArrayLike, rows: Rows) -> Floats:
        """What a model fitted on the rows says of any media, with the priors of the rows put right."""
        return scale_logits(logits, self.base(rows), self.recipe.task, self.selected.labels)

    def judge(self, rows: Rows, logits: Floats, base: Calibration, dealt: Dealt | None = None) -> Judged:
        """Calibrate and measure what is said of rows that did not train; see `trapline.training.judging`."""
        folds, by = (None, "") if dealt is None else (dealt.numbers, dealt.by)
        return judge(self.recipe, self.selected, rows, logits, base, folds=folds, by=by)

    def describe(self, model: M, judged: Judged) -> dict[str, Any]:
        """What the card says beside what every card says."""
        return {}

    def facts(self, judged: Judged, described: Mapping[str, Any]) -> PredictionFacts:
        """What the predictions of what was judged say of themselves."""
        return PredictionFacts(recipe=self.recipe.name, measured_on=judged.measured_on)

    def tell(self, what: str) -> Callable[[int, int], None]:
        """Progress of one thing that is being done."""

        def told(done: int, total: int) -> None:
            if self.report is not None:
                self.report(what, done, total, "")

        return told
