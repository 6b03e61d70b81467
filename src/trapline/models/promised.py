"""What a model of taxa could not promise of its rolled-up answers, for people."""

from __future__ import annotations

from trapline.models.card import Card

MORE_ANSWERS = (
    "Train with --folds 5, which judges on all photos (where locations are not known, with --set "
    "fold_by=event too; taxa.solver=adam takes no folds: give it more validation locations), or promise less "
    "(--set taxa.promise=0.9)."
)
"""What helps where a model of taxa answers nothing."""


def without_promise(card: Card) -> str:
    """Which answers a model of taxa will never give, as it could promise no rank; empty if it could any.

    The ranks that could be promised have a threshold in the card.
    """
    made = card.taxonomy.get("rollup")
    if not made or set(card.thresholds) - {"kind"}:
        return ""
    left = (
        "its answers name no taxon, only animal, human, vehicle or blank"
        if "kind" in card.thresholds
        else "it answers nothing (the column answer stays empty)"
    )
    return (
        f"No rank could be promised: on {made['media']} single photos of {made['groups']} {made['over']} no "
        f"probability was found from which {made['promise']:.0%} of answers are right, with confidence "
        f"{made['confidence']:.2f}; so {left}. {MORE_ANSWERS} Or take the ranks' own columns as they are."
    )
