"""How good predictions are and what is in a catalog: typed results, and reports a person reads."""

from trapline.evaluation.evaluate import evaluate
from trapline.evaluation.result import Evaluation

__all__ = ["Evaluation", "evaluate"]
