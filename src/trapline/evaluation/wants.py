"""What is wanted of thresholds, as a command says it: `precision=0.95`, `lynx:recall=0.9`, `lost=0.02`."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal, get_args

from trapline.errors import UsageError
from trapline.taxonomy import BLANK

Figure = Literal["precision", "recall", "lost"]


@dataclass(frozen=True)
class Want:
    """A figure and how much of it.

    Attributes:
        figure: `precision`, of the answers at least this share is right; `recall`, of what has the label at
            least this share is found; `lost`, of the photos of animals at most this share is called blank.
        value: the share.
    """

    figure: Figure
    value: float

    def __str__(self) -> str:
        return f"{self.figure}={self.value:g}"


USUAL = Want("precision", 0.95)
USUAL_LOST = Want("lost", 0.02)


@dataclass(frozen=True)
class Wants:
    """Of every label, and of some.

    Attributes:
        of_all: of every label and rank that nothing else is wanted of, and of all answers together.
        of_label: label → what is wanted of it.
    """

    of_all: Want = USUAL
    of_label: Mapping[str, Want] = field(default_factory=dict)

    def of(self, label: str) -> Want:
        """What is wanted of a label; of `blank`, unless it is named, that few animals go with it."""
        usual = USUAL_LOST if label == BLANK else self.of_all
        return self.of_label.get(label, usual)

    @classmethod
    def parse(cls, texts: Iterable[str]) -> Wants:
        """Of texts `[LABEL:]precision=0.95`, `[LABEL:]recall=0.9` or `lost=0.02`, which is of `blank`.

        Raises:
            UsageError: another text, a share that is none, or two that want different things of the same.
        """
        of_all: Want | None = None
        of_label: dict[str, Want] = {}
        for text in texts:
            label, want = _parse(text)
            if (of_all is not None) if label is None else label in of_label:
                whose = "all labels" if label is None else f"'{label}'"
                raise UsageError(
                    f"Two things are wanted of {whose}: a label has one threshold, so want one (of some "
                    "labels another: --want lynx:recall=0.9)."
                )
            if label is None:
                of_all = want
            else:
                of_label[label] = want
        return cls(USUAL if of_all is None else of_all, of_label)

    def refuse_unknown(self, labels: Sequence[str]) -> None:
        """Refuse labels that there are not.

        Raises:
            UsageError: something is wanted of one.
        """
        unknown = [label for label in self.of_label if label not in labels]
        if unknown:
            raise UsageError(
                f"--want names '{unknown[0]}', which is no label of the model: {', '.join(labels)}."
            )


def _parse(text: str) -> tuple[str | None, Want]:
    head, _, number = text.rpartition("=")
    label, colon, figure = head.rpartition(":")
    try:
        value = float(number)
    except ValueError:
        value = -1.0
    if figure not in get_args(Figure) or not 0 < value < 1 or (colon and not label):
        raise UsageError(
            f"'{text}' is nothing that can be wanted: say precision=0.95, recall=0.9, of one label "
            "lynx:recall=0.9, or lost=0.02 (photos of animals that may be called blank); a share lies "
            "between 0 and 1."
        )
    want = Want(next(one for one in get_args(Figure) if one == figure), value)
    if want.figure == "lost" and label not in ("", BLANK):
        raise UsageError(f"'{text}': animals are lost among blanks; say lost={number}.")
    return (label or (BLANK if want.figure == "lost" else None)), want
