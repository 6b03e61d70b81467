"""How TensorFlow Serving's clients ask: what they call the input and the output, and how they send pixels.

Apart from `saved_model`, because a server that answers them needs this and not what writes a SavedModel.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Literal, cast, get_args

from trapline.errors import UsageError
from trapline.models.file import INPUT, OUTPUTS

SIGNATURE = "serving_default"
"""Asked unless a client names another: `images` → `probabilities`, under whatever names the clients have."""

EVERYTHING = "all_outputs"
"""`images` → `probabilities`, `logits`, `embedding`, by these names and in uint8 always."""

Range = Literal["0-1", "0-255"]

_NAME = re.compile(r"[A-Za-z0-9.][A-Za-z0-9_.\\/>-]{0,199}")
"""What TensorFlow lets a layer be called."""


@dataclass(frozen=True)
class TfSignature:
    """The signature `serving_default`, as the clients of another model know it.

    Attributes:
        input: what they call the pixels; None for `images`.
        output: what they call the probabilities.
        range: within which they send pixels as float32; None if the signature takes uint8.
    """

    input: str | None = None
    output: str = OUTPUTS[0]
    range: Range | None = None

    def __post_init__(self) -> None:
        for option, name in (("--tf-input", self.input), ("--tf-output", self.output)):
            if name is not None and not _NAME.fullmatch(name):
                raise UsageError(
                    f"{option} takes a layer's name, as in output_0: letters, digits and . _ - / after a "
                    f"first letter or digit; not '{name[:50]}'."
                )
        if self.range not in (None, *get_args(Range)):
            raise UsageError(f"--tf-range is {' or '.join(get_args(Range))}, not '{self.range}'.")

    @classmethod
    def of_options(cls, input: str | None, output: str | None, range: str | None) -> TfSignature:
        """From `--tf-input`, `--tf-output` and `--tf-range`; None where they were left out.

        Raises:
            UsageError: a name or the range cannot be right.
        """
        return cls(input, OUTPUTS[0] if output is None else output, cast("Range | None", range))

    @property
    def pixels(self) -> str:
        """What the input is called."""
        return self.input or INPUT

    @property
    def most(self) -> int:
        """The largest value of a pixel that is a float; without a range a share of 255."""
        return 255 if self.range == "0-255" else 1


PLAIN = TfSignature()
"""`images`, uint8, → `probabilities`."""
