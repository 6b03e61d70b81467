"""The parts of a recipe: each class holds what can be set together, and says what a field needs to act."""

from __future__ import annotations

from typing import Annotated, Any, ClassVar, Literal, get_args

from pydantic import AfterValidator, Field, field_validator, model_validator

from trapline.errors import UsageError
from trapline.metrics import Task, metric_names
from trapline.recipes.needs import Needs, Section
from trapline.taxonomy import AnswerShare

Statistic = Literal["mean", "std", "max"]
"""Over the frames of an event, one number a feature."""


def _is_figure(name: str) -> str:
    """The name, if something can be selected by it; figures of other packages are looked up."""
    if name in NO_FIGURE or any(name in metric_names(task) for task in get_args(Task)):
        return name
    known = dict.fromkeys(figure for task in get_args(Task) for figure in metric_names(task))
    raise ValueError(f"'{name}' is no figure to select by; there are {', '.join([*NO_FIGURE, *known])}")


NO_FIGURE = ("loss", "last")
"""What may be selected by that is no metric."""
Selection = Annotated[str, AfterValidator(_is_figure)]
"""A figure of `trapline.metrics`, the loss that is trained, or the last epoch."""


class LinearHead(Section):
    """From the backbone's feature map to one logit a label.

    Attributes:
        pooling: over the map's places: `avg`, `max`, `avgmax` (both, joined), `gem` (generalised mean,
            Radenović et al. 2018) or `flatten` (keep every place, as small networks do).
    """

    pooling: Literal["avg", "max", "avgmax", "gem", "flatten"] = "avg"


class Head(LinearHead):
    """The same by way of hidden layers, if there are any.

    Attributes:
        hidden: sizes of the hidden layers, each followed by ReLU and dropout.
        dropout: after each hidden layer.
        input_dropout: after pooling; None for the same as `dropout`.
        batch_norm: batch normalisation in each hidden layer, before its ReLU.
    """

    hidden: tuple[int, ...] = ()
    dropout: float = Field(0.0, ge=0, lt=1)
    input_dropout: float | None = Field(None, ge=0, lt=1)
    batch_norm: bool = False

    needs: ClassVar[tuple[Needs, ...]] = (
        Needs(
            ("batch_norm",), "it is of hidden layers: name some (head.hidden)", lambda head: bool(head.hidden)
        ),
        Needs(
            ("dropout",),
            "it is of hidden layers (head.hidden) where head.input_dropout is given",
            lambda head: bool(head.hidden) or head.input_dropout is None,
        ),
    )

    @field_validator("hidden")
    @classmethod
    def _sizes_are_positive(cls, sizes: tuple[int, ...]) -> tuple[int, ...]:
        if any(size < 1 for size in sizes):
            raise ValueError("hidden layers need at least one unit each")
        return sizes


class HiddenHead(Head):
    """A head that has hidden layers."""

    hidden: tuple[int, ...] = Field(min_length=1)


class Strength(Section):
    """How strongly a head at its optimum is regularised.

    Attributes:
        weight_decay: half of this times the squared weights of standardised features is added to the loss;
            0 chooses among some by folds.
    """

    weight_decay: float = Field(0.0, ge=0)


class Optimiser(Strength):
    """What turns gradients into steps.

    Attributes:
        name: `adam`, `adamw`, `sgd` (with Nesterov's momentum if `nesterov`) or `rmsprop`.
        lr: learning rate of the head (and of everything, where no factor is named).
        weight_decay: not applied to biases and normalisation layers.
        momentum: of sgd and rmsprop.
        nesterov: of sgd.
    """

    name: Literal["adam", "adamw", "sgd", "rmsprop"] = "adamw"
    lr: float = Field(1e-3, gt=0, le=10)
    momentum: float = Field(0.9, ge=0, lt=1)
    nesterov: bool = False

    needs: ClassVar[tuple[Needs, ...]] = (
        Needs(("momentum",), "it is of sgd and rmsprop", lambda one: one.name in ("sgd", "rmsprop")),
        Needs(("nesterov",), "it is of sgd", lambda one: one.name == "sgd"),
    )

    @model_validator(mode="after")
    def _nesterov_has_a_momentum(self) -> Optimiser:
        if self.nesterov and self.momentum == 0:
            raise ValueError("Nesterov's momentum needs one: set optimiser.momentum above 0")
        return self


class LayerOptimiser(Optimiser):
    """The same for layers that train on one loss.

    Attributes:
        clip: largest norm of the gradient; None for no limit.
    """

    clip: float | None = Field(None, gt=0)


class NetworkOptimiser(LayerOptimiser):
    """The same for a backbone with its head.

    Attributes:
        backbone_lr_factor: the backbone's rate over the head's.
        layer_decay: each stage of the backbone has this times the rate of the stage after it.
    """

    backbone_lr_factor: float = Field(1.0, gt=0, le=1)
    layer_decay: float = Field(1.0, gt=0, le=1)


class _Rate(Section):
    """How the learning rate moves over the run.

    Attributes:
        warmup_epochs: epochs of rise from `start_factor`; may be a fraction.
        start_factor: the first rate over the full one, where there is a rise.
    """

    warmup_epochs: float = Field(0.0, ge=0)
    start_factor: float = Field(0.04, gt=0, le=1)

    needs: ClassVar[tuple[Needs, ...]] = (
        Needs(
            ("start_factor",),
            "it needs a rise of the rate: schedule.warmup_epochs, or schedule.name 'one-cycle'",
            lambda rate: rate.warmup_epochs > 0 or rate.name == "one-cycle",
        ),
    )


class Constant(_Rate):
    """The full rate, once it has risen."""

    name: Literal["none"] = "none"


class Cosine(_Rate):
    """The rate falls along half a cosine.

    Attributes:
        final_factor: the last rate over the full one.
    """

    name: Literal["cosine"] = "cosine"
    final_factor: float = Field(0.01, ge=0, le=1)


class OneCycle(_Rate):
    """A rise, then a cosine, with the momentum moving the other way.

    Attributes:
        warmup_epochs: of the rise; 0 stands for 20 % of the run.
        final_factor: the last rate over the first.
    """

    name: Literal["one-cycle"] = "one-cycle"
    final_factor: float = Field(0.01, ge=0, le=1)


class Steps(_Rate):
    """The rate falls now and then.

    Attributes:
        step_epochs: epochs between two falls.
        step_factor: the rate after a fall over the rate before.
    """

    name: Literal["step"] = "step"
    step_epochs: int = Field(10, ge=1)
    step_factor: float = Field(0.1, gt=0, le=1)


Schedule = Constant | Cosine | OneCycle | Steps
"""How the learning rate moves over the run; `name` says which."""


class Loss(Section):
    """What is made small. `auto` is cross-entropy for single-label tasks, `bce` for multi-label ones."""

    name: Literal["auto", "cross-entropy", "bce"] = "auto"
    label_smoothing: float = Field(0.0, ge=0, lt=1)


class Views(Section):
    """How else a photo may be looked at with its label left true; the defaults change nothing.

    Attributes:
        horizontal_flip: chance of a mirror image.
        full_frame: chance of the whole frame in place of the crop.
    """

    horizontal_flip: float = Field(0.0, ge=0, le=1)
    full_frame: float = Field(0.0, ge=0, le=1)


class Augmentation(Views):
    """Changes to the training images that leave the label true; the defaults change nothing.

    Attributes:
        vertical_flip: chance of an upside-down image; cameras hang upright, so 0 unless you know better.
        crop_scale: smallest share of the picture's area that a random crop keeps; 1 for no crops. A crop
            always holds the animal's box where there is one.
        crop_ratio: largest change of the aspect ratio by a crop; 1 for none.
        rotate: largest rotation, degrees.
        context: least and most context around a box (see `CropPolicy.context`), drawn anew for each image
            and epoch; None keeps the preprocessing's. Like the next, it acts on images that the
            preprocessing crops to a box.
        box_shift: largest shift of the crop off the box's centre, as a share of the crop's side.
        brightness: largest change of the mean brightness, as a factor minus 1.
        contrast: largest change of contrast, as a factor minus 1.
        gamma: largest change of gamma, as a factor minus 1.
        noise: largest standard deviation of sensor noise, grey (infrared), as a share of the full range.
        blur: chance of a slight blur (motion, dew).
        coarse: chance of a loss of detail, as of an animal far away (down to a third of the pixels a side).
        grey: chance of a grey image (infrared by night).
        banner: chance that a band at the top or bottom is blackened.
        erase: chance that a rectangle of up to a fifth of the picture is greyed out.
        mixup: parameter of the Beta distribution (Zhang et al. 2018); 0 for none.
        cutmix: parameter of the Beta distribution (Yun et al. 2019); 0 for none.
        last_epochs_off: epochs at the end without mixup and cutmix.
    """

    vertical_flip: float = Field(0.0, ge=0, le=1)
    crop_scale: float = Field(1.0, gt=0, le=1)
    crop_ratio: float = Field(1.0, ge=1, le=3)
    rotate: float = Field(0.0, ge=0, le=180)
    context: tuple[float, float] | None = None
    box_shift: float = Field(0.0, ge=0, le=0.5)
    brightness: float = Field(0.0, ge=0, le=1)
    contrast: float = Field(0.0, ge=0, lt=1)
    gamma: float = Field(0.0, ge=0, lt=1)
    noise: float = Field(0.0, ge=0, le=1)
    blur: float = Field(0.0, ge=0, le=1)
    coarse: float = Field(0.0, ge=0, le=1)
    grey: float = Field(0.0, ge=0, le=1)
    banner: float = Field(0.0, ge=0, le=1)
    erase: float = Field(0.0, ge=0, le=1)
    mixup: float = Field(0.0, ge=0)
    cutmix: float = Field(0.0, ge=0)
    last_epochs_off: int = Field(0, ge=0)

    needs: ClassVar[tuple[Needs, ...]] = (
        Needs(
            ("last_epochs_off",),
            "it needs augmentation.mixup or cutmix",
            lambda change: bool(change.mixup or change.cutmix),
        ),
    )

    @field_validator("context")
    @classmethod
    def _context_is_a_range(cls, context: tuple[float, float] | None) -> tuple[float, float] | None:
        if context is not None and not 1 <= context[0] <= context[1] <= 10:
            raise ValueError("context is [least, most] with 1 ≤ least ≤ most ≤ 10")
        return context


class Choice(Section):
    """A dimension of the search space: one of these values."""

    choices: tuple[Any, ...] = Field(min_length=1)

    @field_validator("choices")
    @classmethod
    def _as_json_has_them(cls, choices: tuple[Any, ...]) -> tuple[Any, ...]:
        return tuple(list(choice) if isinstance(choice, tuple) else choice for choice in choices)


class Range(Section):
    """A dimension of the search space: a number between two others."""

    low: float
    high: float
    log: bool = False
    whole: bool = False

    @model_validator(mode="after")
    def _low_is_below_high(self) -> Range:
        if not self.low < self.high or (self.log and self.low <= 0):
            raise ValueError("a range needs low < high, and low > 0 where it is logarithmic")
        return self


class Sample(Section):
    """A share of the labelled media, drawn at random; see `trapline.catalog.sample_catalog`.

    Attributes:
        share: of the media (whole events where they have any) of each part of the split.
        seed: of the draw.
    """

    share: float = Field(gt=0, lt=1)
    seed: int = Field(1, ge=0, lt=2**32)


class Taxa(Section):
    """Classes that are taxa of a tree; see docs/taxonomy.md.

    Attributes:
        way: `flat` is one head over all classes, its probabilities summed up the tree; `cascade` a head for
            each node, each fitted by itself; `path` the same heads fitted together, on the log loss of the
            whole path down to each media's label.
        ranks: the ranks at which `cascade` and `path` have nodes.
        node: train the head of this name only.
        promise: the share of right answers that the roll-up is to keep at each rank; None for the highest of
            0.95, 0.9 and 0.8 that there are locations enough for, whatever is right there.
        answer: the share of photos to answer (`80%`), or at a rank (`family:80%`): the highest promise with
            which that many are is then taken.
        confidence: that the promise holds on new locations.
    """

    way: Literal["flat", "cascade", "path"]
    ranks: tuple[Literal["class", "order", "family", "genus", "species", "subspecies"], ...] = Field(
        ("family", "genus", "species", "subspecies"), min_length=1
    )
    node: str | None = None
    promise: float | None = Field(None, gt=0.5, lt=1)
    confidence: float = Field(0.9, gt=0.5, lt=1)
    answer: str | None = None

    needs: ClassVar[tuple[Needs, ...]] = (
        Needs(
            ("ranks",),
            "one flat head has no ranks: use taxa.way 'cascade' or 'path', or name a taxa.node",
            lambda taxa: taxa.way != "flat" or taxa.node is not None,
        ),
        Needs(
            ("promise",),
            "taxa.answer asks for a share of photos, and the promise follows: give one of them",
            lambda taxa: taxa.answer is None,
        ),
    )

    @field_validator("answer", mode="before")
    @classmethod
    def _answer_is_a_share(cls, answer: object) -> str | None:
        try:
            return None if answer is None else str(AnswerShare.parse(answer))
        except UsageError as error:
            raise ValueError(str(error)) from None


class ExactTaxa(Taxa):
    """Heads at their optimum, their regularisation chosen by folds."""

    solver: Literal["exact"] = "exact"


class EpochTaxa(Taxa):
    """Heads that are each trained by itself, by epochs of a gradient method."""

    way: Literal["flat", "cascade"]
    solver: Literal["adam"] = "adam"


def joined_fields(name: str) -> list[str]:
    """The dotted fields that one dimension of the search space sets together."""
    return [field.strip() for field in name.split(",")]
