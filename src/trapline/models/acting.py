"""Which fields of a recipe act for which kind of recipe: one table; no setting is accepted in vain."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

from pydantic import BaseModel

if TYPE_CHECKING:
    from trapline.models.recipe import Recipe

Kind = Literal["linear", "hidden", "tree", "tree by epochs", "network"]
"""What learns: a linear head or hidden layers on a frozen backbone, the linear heads of a tree of taxa (at
their optimum, or by epochs of a gradient method), or a whole network."""

KINDS: dict[Kind, str] = {
    "linear": "a linear head on a frozen backbone (how 'frozen', no head.hidden)",
    "hidden": "hidden layers on a frozen backbone (how 'frozen', head.hidden)",
    "tree": "the heads of taxa at their optimum (taxa.solver 'exact')",
    "tree by epochs": "the heads of taxa by epochs (taxa.solver 'adam')",
    "network": "a network that is trained (how 'scratch', 'whole' or 'gradual')",
}

Condition = Callable[["Recipe"], bool]

BY_GRADIENTS: tuple[Kind, ...] = ("network", "hidden", "tree by epochs")
LAYERS: tuple[Kind, ...] = ("network", "hidden")
HEADS: tuple[Kind, ...] = ("linear", "hidden")
OPTIMA: tuple[Kind, ...] = ("linear", "tree")

_EPOCHS = (
    "it is for what learns in epochs: hidden layers (head.hidden), a network, taxa with the solver 'adam'"
)
_LAYERS = "it is for networks and hidden layers (head.hidden)"
_NETWORK = "it is for networks that are trained, such as the recipe efficientnet-lite0 (extra 'train')"
_PIXELS = f"{_NETWORK}; the features of a frozen backbone are computed once"
_RISES = "it needs a rise of the rate: schedule.warmup_epochs, or schedule.name 'one-cycle'"
_BOXES = "it needs crops to boxes: name some preprocessing.crop, such as preprocessing.crop.context=1.3"


@dataclass(frozen=True)
class Acts:
    """Where some fields act.

    Attributes:
        fields: dotted.
        needs: what they need to act, for people.
        kinds: of recipes in which they do; empty for all.
        when: what else must hold.
    """

    fields: tuple[str, ...]
    needs: str
    kinds: tuple[Kind, ...] = ()
    when: Condition = lambda recipe: True

    def holds(self, recipe: Recipe) -> bool:
        """Whether the fields act in this recipe, as far as this says."""
        return (not self.kinds or recipe.kind in self.kinds) and self.when(recipe)


def _of_augmentation(*names: str) -> tuple[str, ...]:
    return tuple(f"augmentation.{name}" for name in names)


def _own_pooling(recipe: Recipe) -> bool:
    return not recipe.backbone.startswith("model-file:")


def _loss_is_trained(recipe: Recipe) -> bool:
    """A linear head has the loss that `auto` stands for; saying so is true, another name is not."""
    auto = "bce" if recipe.task == "multi-label" else "cross-entropy"
    return recipe.kind in LAYERS or recipe.loss.name in ("auto", auto)


def _epoch_is_chosen(recipe: Recipe) -> bool:
    """Hidden layers on a frozen backbone keep their last state; saying so is true."""
    if recipe.kind == "hidden":
        return recipe.selection == "last"
    return recipe.kind in ("network", "tree by epochs")


def _folds_are_counted(recipe: Recipe) -> bool:
    if recipe.fit == "train":  # folds inside the train part choose the strength
        return recipe.kind in OPTIMA
    return recipe.fold_by != "season"


TABLE: tuple[Acts, ...] = (
    Acts(
        ("weights", "head.pooling"),
        "a model file has weights and pooling of its own: name another backbone",
        when=_own_pooling,
    ),
    Acts(("frozen_epochs",), "it is for how 'gradual'", when=lambda r: r.how == "gradual"),
    Acts(("frozen_stages", "precision", "members", "patience", "ema"), _NETWORK, ("network",)),
    Acts(("patience",), "selection 'last' never stops early", when=lambda r: r.selection != "last"),
    Acts(
        ("drop_path",),
        f"{_NETWORK}, and those of timm: small-cnn has no drop_path, and frozen features are computed once",
        ("network",),
        lambda r: not r.backbone.startswith("small-cnn"),
    ),
    Acts(
        ("freeze_batch_norm",),
        "it is for networks that are trained and have batch normalisation",
        ("network",),
        lambda r: r.backbone != "small-cnn",
    ),
    Acts(
        ("preprocessing.crop_fraction",),
        "it is for preprocessing.fit 'crop'",
        when=lambda r: r.preprocessing.fit == "crop",
    ),
    Acts(
        ("preprocessing.cut_banners",),
        "cut_banners is for frozen backbones: where a network is trained, leave it at false",
        ("linear", "hidden", "tree", "tree by epochs"),
    ),
    Acts(
        ("preprocessing.cut_banners",),
        "there must be banners to cut: preprocessing.mask_top or mask_bottom",
        when=lambda r: r.preprocessing.mask_top + r.preprocessing.mask_bottom > 0,
    ),
    Acts(("head.hidden",), "the heads of taxa are linear", LAYERS),
    Acts(("head.dropout", "head.input_dropout", "head.batch_norm"), _LAYERS, LAYERS),
    Acts(
        ("head.batch_norm",),
        "it is of hidden layers: name some (head.hidden)",
        when=lambda r: bool(r.head.hidden),
    ),
    Acts(
        ("head.dropout",),
        "it is of hidden layers (head.hidden) where head.input_dropout is given",
        when=lambda r: bool(r.head.hidden) or r.head.input_dropout is None,
    ),
    Acts(("optimiser.name", "optimiser.lr", "epochs", "batch_size"), _EPOCHS, BY_GRADIENTS),
    Acts(("optimiser.momentum", "optimiser.nesterov"), _EPOCHS, BY_GRADIENTS),
    Acts(
        ("optimiser.momentum",),
        "it is of sgd and rmsprop, where the schedule does not move it (one-cycle does)",
        when=lambda r: r.optimiser.name in ("sgd", "rmsprop") and r.schedule.name != "one-cycle",
    ),
    Acts(("optimiser.nesterov",), "it is of sgd", when=lambda r: r.optimiser.name == "sgd"),
    Acts(("optimiser.backbone_lr_factor", "optimiser.layer_decay"), _NETWORK, ("network",)),
    Acts(("optimiser.clip", "loss.label_smoothing"), _LAYERS, LAYERS),
    Acts(
        tuple(
            f"schedule.{name}"
            for name in (
                *("name", "warmup_epochs", "start_factor", "final_factor"),
                *("step_epochs", "step_factor"),
            )
        ),
        _LAYERS,
        LAYERS,
    ),
    Acts(
        ("schedule.start_factor",),
        _RISES,
        when=lambda r: r.schedule.warmup_epochs > 0 or r.schedule.name == "one-cycle",
    ),
    Acts(
        ("schedule.final_factor",),
        "it is for schedule.name 'cosine' and 'one-cycle'",
        when=lambda r: r.schedule.name in ("cosine", "one-cycle"),
    ),
    Acts(
        ("schedule.step_epochs", "schedule.step_factor"),
        "it is for schedule.name 'step'",
        when=lambda r: r.schedule.name == "step",
    ),
    Acts(("steps",), "steps are counted where hidden layers train on a frozen backbone only", ("hidden",)),
    Acts(
        ("loss.name",),
        "a linear head has cross-entropy, or bce for several labels; others are for layers that train",
        when=_loss_is_trained,
    ),
    Acts(
        ("keep_blanks", "frames"),
        "heads of taxa train on all media",
        ("linear", "hidden", "network"),
    ),
    Acts(
        ("correct_prior",),
        "there must be a prior to put back: balance, or keep_blanks below 1",
        when=lambda r: r.balance != "none" or r.keep_blanks < 1,
    ),
    Acts(
        _of_augmentation(
            *("vertical_flip", "crop_scale", "crop_ratio", "rotate", "context", "box_shift", "brightness"),
            *("contrast", "gamma", "noise", "blur", "coarse", "grey", "banner", "erase", "mixup", "cutmix"),
            "last_epochs_off",
        ),
        _PIXELS,
        ("network",),
    ),
    Acts(
        _of_augmentation("horizontal_flip", "full_frame"),
        "heads of taxa with the solver 'adam' see each photo as it is: use taxa.solver 'exact'",
        when=lambda r: r.taxa is None or r.taxa.solver != "adam",
    ),
    Acts(
        _of_augmentation("context", "box_shift", "full_frame"),
        _BOXES,
        when=lambda r: r.preprocessing.crop is not None,
    ),
    Acts(
        _of_augmentation("last_epochs_off"),
        "it needs augmentation.mixup or cutmix",
        when=lambda r: bool(r.augmentation.mixup or r.augmentation.cutmix),
    ),
    Acts(
        ("selection",),
        "heads at their optimum have no epochs, and hidden layers on a frozen backbone keep the last",
        when=_epoch_is_chosen,
    ),
    Acts(
        ("event_statistics",),
        "event_statistics are of embeddings that are computed once: use how 'frozen', without taxa",
        HEADS,
    ),
    Acts(
        ("background_view",),
        "background_view needs the frames of an event together: name some event_statistics",
        when=lambda r: bool(r.event_statistics),
    ),
    Acts(
        ("folds",),
        "it is for fit 'all' and 'folds' with fold_by 'location' or 'event', and for heads at their optimum",
        when=_folds_are_counted,
    ),
    Acts(
        ("fold_by",),
        "it is for fit 'all' and 'folds', and for heads at their optimum",
        when=lambda r: r.fit != "train" or r.kind in OPTIMA,
    ),
    Acts(
        ("taxa.ranks",),
        "one flat head has no ranks: use taxa.way 'cascade' or 'path', or name a taxa.node",
        when=lambda r: r.taxa is None or r.taxa.way != "flat" or r.taxa.node is not None,
    ),
)
"""Fields that are not named here act in every recipe."""

CHANGES_NOTHING = (0, 1, None, "", (), "none", "auto", "avg")
"""Values by which a person asks for nothing (no clipping, one member): true where the field cannot act."""


def kind_of(recipe: Recipe) -> Kind:
    """What learns by this recipe."""
    if recipe.taxa is not None:
        return "tree by epochs" if recipe.taxa.solver == "adam" else "tree"
    if recipe.how != "frozen":
        return "network"
    return "hidden" if recipe.head.hidden else "linear"


def idle_fields(recipe: Recipe) -> dict[str, str]:
    """The dotted fields that cannot act in this recipe, whatever their value, and what they need."""
    idle: dict[str, str] = {}
    for one in TABLE:
        if not one.holds(recipe):
            for field in one.fields:
                idle.setdefault(field, one.needs)
    return idle


def idle_settings(recipe: Recipe) -> dict[str, str]:
    """Those of the idle fields that are set to something else than their default."""
    values = dict(_leaves(recipe))
    return {
        field: needs
        for field, needs in idle_fields(recipe).items()
        if field in values and values[field][0] != values[field][1]
    }


def no_effect(idle: Mapping[str, str], recipe: Recipe) -> str:
    """The refusal of fields that cannot act, for people.

    Args:
        idle: the fields, and what each needs.
        recipe: in which they would have no effect.
    """
    of_need: dict[str, list[str]] = {}
    for field, needs in idle.items():
        of_need.setdefault(needs, []).append(field)
    told = "; ".join(f"{', '.join(fields)}: {needs}" for needs, fields in of_need.items())
    return (
        f"The recipe '{recipe.name}' trains {KINDS[recipe.kind]}, where some settings would have no effect. "
        f"{told}. Leave them at their defaults, or change what they need."
    )


def _leaves(section: BaseModel, start: str = "") -> Iterator[tuple[str, tuple[Any, Any]]]:
    """Each dotted field of a section with its value and its default."""
    for name, field in type(section).model_fields.items():
        value = getattr(section, name)
        if isinstance(value, BaseModel):
            yield from _leaves(value, f"{start}{name}.")
        else:
            yield f"{start}{name}", (value, field.default)
