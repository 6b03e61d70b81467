"""Which kinds of work there are."""

from __future__ import annotations

from collections.abc import Mapping

from trapline.cluster.detecting import Detecting
from trapline.cluster.embedding import Embedding
from trapline.cluster.kinds import ShardedWork
from trapline.cluster.plan import Plan
from trapline.cluster.predicting import Predicting
from trapline.errors import DataError

SHARDED_WORK: Mapping[str, ShardedWork] = {
    "predict": Predicting(),
    "detect": Detecting(),
    "embed": Embedding(),
}
"""Name, as in a plan -> kind."""


def kind_of_work(plan: Plan) -> ShardedWork:
    """What a plan plans.

    Raises:
        DataError: this Trapline knows no such work.
    """
    kind = SHARDED_WORK.get(plan.work)
    if kind is None:
        raise DataError(
            f"The plan is of the work '{plan.work}', which this Trapline does not know: it was made by "
            f"{plan.trapline}. Use the same version on all machines."
        )
    return kind
