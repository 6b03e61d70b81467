"""Other tools' answers as predictions; each form registers its reader, in the order in which `auto` asks."""

from trapline.formats.answers import speciesnet  # noqa: F401, I001  they register themselves, in this order
from trapline.formats.answers import megadetector  # noqa: F401
from trapline.formats.answers import coco  # noqa: F401
from trapline.formats.answers import wildlife_insights  # noqa: F401
from trapline.formats.answers import addaxai  # noqa: F401
from trapline.formats.answers import probability_table  # noqa: F401
from trapline.formats.answers.registry import (
    ANSWER_READERS,
    AnswerReader,
    ToolAnswers,
    ForeignPredictions,
    answer_reader,
    read_answers,
)

__all__ = [
    "ANSWER_READERS",
    "AnswerReader",
    "ForeignPredictions",
    "ToolAnswers",
    "answer_reader",
    "read_answers",
]
