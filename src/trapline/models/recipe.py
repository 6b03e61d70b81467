"""The recipe: everything that makes a training run repeatable, checked without touching a file."""

from __future__ import annotations

import re
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationInfo, field_validator, model_validator

from trapline.errors import UsageError
from trapline.images import Preprocessing
from trapline.models.acting import Kind, idle_settings, kind_of, no_effect
from trapline.models.trainable import BACKBONES

MODEL_FILE = "model-file:"
"""Prefix of a backbone that is the embedding of a Trapline model file (its path or shipped name)."""
TIMM = "timm/"
"""Prefix of a backbone that timm builds."""

Statistic = Literal["mean", "std", "max"]
"""Over the frames of an event, one number a feature."""

Selection = Literal["log_loss", "loss", "accuracy", "balanced_accuracy", "macro_f1", "last"]


class _Section(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Head(_Section):
    """From the backbone's feature map to one logit a label.

    Attributes:
        pooling: over the map's places: `avg`, `max`, `avgmax` (both, joined), `gem` (generalised mean,
            Radenović et al. 2018) or `flatten` (keep every place, as small networks do).
        hidden: sizes of the hidden layers, each followed by ReLU and dropout.
        dropout: after each hidden layer.
        input_dropout: after pooling; None for the same as `dropout`.
        batch_norm: batch normalisation in each hidden layer, before its ReLU.
    """

    pooling: Literal["avg", "max", "avgmax", "gem", "flatten"] = "avg"
    hidden: tuple[int, ...] = ()
    dropout: float = Field(0.0, ge=0, lt=1)
    input_dropout: float | None = Field(None, ge=0, lt=1)
    batch_norm: bool = False

    @field_validator("hidden")
    @classmethod
    def _sizes_are_positive(cls, sizes: tuple[int, ...]) -> tuple[int, ...]:
        if any(size < 1 for size in sizes):
            raise ValueError("hidden layers need at least one unit each")
        return sizes


class Optimiser(_Section):
    """What turns gradients into steps.

    Attributes:
        name: `adam`, `adamw`, `sgd` (with Nesterov's momentum if `nesterov`) or `rmsprop`.
        lr: learning rate of the head (and of everything, if the factors below are 1).
        weight_decay: not applied to biases and normalisation layers.
        momentum: of sgd and rmsprop.
        backbone_lr_factor: the backbone's rate over the head's.
        layer_decay: each stage of the backbone has this times the rate of the stage after it.
        clip: largest norm of the gradient; None for no limit.
    """

    name: Literal["adam", "adamw", "sgd", "rmsprop"] = "adamw"
    lr: float = Field(1e-3, gt=0, le=10)
    weight_decay: float = Field(0.0, ge=0)
    momentum: float = Field(0.9, ge=0, lt=1)
    nesterov: bool = False
    backbone_lr_factor: float = Field(1.0, gt=0, le=1)
    layer_decay: float = Field(1.0, gt=0, le=1)
    clip: float | None = Field(None, gt=0)


class Schedule(_Section):
    """How the learning rate moves over the run.

    Attributes:
        name: `none` (constant), `cosine`, `one-cycle` (rise over `warmup_epochs`, then cosine, with the
            momentum moving the other way) or `step`.
        warmup_epochs: epochs of rise from `start_factor`; may be a fraction. For one-cycle 0 stands for 20 %
            of the run.
        start_factor: the first rate over the full one, where there is a rise.
        final_factor: the last rate over the first, for cosine and one-cycle.
        step_epochs: for `step`, epochs between two falls.
        step_factor: for `step`, the rate after a fall over the rate before.
    """

    name: Literal["none", "cosine", "one-cycle", "step"] = "none"
    warmup_epochs: float = Field(0.0, ge=0)
    start_factor: float = Field(0.04, gt=0, le=1)
    final_factor: float = Field(0.01, ge=0, le=1)
    step_epochs: int = Field(10, ge=1)
    step_factor: float = Field(0.1, gt=0, le=1)


class Loss(_Section):
    """What is made small. `auto` is cross-entropy for single-label tasks, `bce` for multi-label ones."""

    name: Literal["auto", "cross-entropy", "bce"] = "auto"
    label_smoothing: float = Field(0.0, ge=0, lt=1)


class Augmentation(_Section):
    """Changes to the training images that leave the label true; the defaults change nothing.

    Attributes:
        horizontal_flip: chance of a mirror image.
        vertical_flip: chance of an upside-down image; cameras hang upright, so 0 unless you know better.
        crop_scale: smallest share of the picture's area that a random crop keeps; 1 for no crops. A crop
            always holds the animal's box where there is one.
        crop_ratio: largest change of the aspect ratio by a crop; 1 for none.
        rotate: largest rotation, degrees.
        context: least and most context around a box (see `CropPolicy.context`), drawn anew for each image
            and epoch; None keeps the preprocessing's. Like the next two, it acts on images that the
            preprocessing crops to a box.
        box_shift: largest shift of the crop off the box's centre, as a share of the crop's side.
        full_frame: chance of the whole frame in place of the crop.
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

    horizontal_flip: float = Field(0.0, ge=0, le=1)
    vertical_flip: float = Field(0.0, ge=0, le=1)
    crop_scale: float = Field(1.0, gt=0, le=1)
    crop_ratio: float = Field(1.0, ge=1, le=3)
    rotate: float = Field(0.0, ge=0, le=180)
    context: tuple[float, float] | None = None
    box_shift: float = Field(0.0, ge=0, le=0.5)
    full_frame: float = Field(0.0, ge=0, le=1)
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

    @field_validator("context")
    @classmethod
    def _context_is_a_range(cls, context: tuple[float, float] | None) -> tuple[float, float] | None:
        if context is not None and not 1 <= context[0] <= context[1] <= 10:
            raise ValueError("context is [least, most] with 1 ≤ least ≤ most ≤ 10")
        return context


class Choice(_Section):
    """A dimension of the search space: one of these values."""

    choices: tuple[Any, ...] = Field(min_length=1)

    @field_validator("choices")
    @classmethod
    def _as_json_has_them(cls, choices: tuple[Any, ...]) -> tuple[Any, ...]:
        return tuple(list(choice) if isinstance(choice, tuple) else choice for choice in choices)


class Range(_Section):
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


class Sample(_Section):
    """A share of the labelled media, drawn at random; see `trapline.catalog.sample_catalog`.

    Attributes:
        share: of the media (whole events where they have any) of each part of the split.
        seed: of the draw.
    """

    share: float = Field(gt=0, lt=1)
    seed: int = Field(1, ge=0, lt=2**32)


class Taxa(_Section):
    """Classes that are taxa of a tree; see docs/taxonomy.md. Only with how `frozen`.

    Attributes:
        way: `flat` is one head over all classes, its probabilities summed up the tree; `cascade` a head for
            each node, each fitted by itself; `path` the same heads fitted together, on the log loss of the
            whole path down to each media's label.
        ranks: the ranks at which `cascade` and `path` have nodes.
        node: train the head of this name only.
        solver: `exact` finds the optimum of each head, its regularisation chosen by location folds; `adam`
            takes `optimiser`, `epochs` and `batch_size` and keeps the epoch that `selection` chooses.
        promise: the share of right answers that the roll-up is to keep at each rank.
        confidence: that the promise holds on new locations.
    """

    way: Literal["flat", "cascade", "path"]
    ranks: tuple[Literal["class", "order", "family", "genus", "species", "subspecies"], ...] = Field(
        ("family", "genus", "species", "subspecies"), min_length=1
    )
    node: str | None = None
    solver: Literal["exact", "adam"] = "exact"
    promise: float = Field(0.95, gt=0.5, lt=1)
    confidence: float = Field(0.9, gt=0.5, lt=1)


PARTS_ALONE = "parts alone"
"""Key of a validation context: with it each field is checked, but not whether the fields fit together."""


def joined_fields(name: str) -> list[str]:
    """The dotted fields that one dimension of the search space sets together."""
    return [field.strip() for field in name.split(",")]


class Recipe(_Section):
    """Everything that makes a training run repeatable; stored whole in the model file.

    A field that cannot act in a recipe stays at its default: another value is refused (`idle_settings`).

    Attributes:
        name: of the recipe.
        task: `single-label` (one label an image, softmax) or `multi-label` (any number, sigmoid).
        backbone: `small-cnn`, `small-cnn-bn`, `resnet50`, `efficientnet-lite0` (1, 2), `timm/<name>`, or
            `model-file:<path or shipped name>` (the embedding of a model file, always frozen).
        weights: to start from: `none`, `pretrained` (offline where a package brings them), or the path of a
            safetensors file or torch state dict.
        how: `scratch`; `frozen` (the head only, on features computed once); `whole`; or `gradual` (the head
            alone for `frozen_epochs`, then everything).
        frozen_epochs: with `gradual`, epochs before the backbone is freed.
        frozen_stages: the first stages of the backbone stay as they came (0: none); saves time too.
        drop_path: largest chance that a residual block is left out in training (stochastic depth, also called
            drop-connect); of timm's networks, and not with how `frozen`, whose features are computed once.
        freeze_batch_norm: keep the backbone's batch-norm statistics as they came.
        preprocessing: from the file to the pixels, shared with prediction.
        flip_average: the model file averages each image with its mirror image (twice the work).
        head: see `Head`.
        optimiser: see `Optimiser`.
        schedule: see `Schedule`.
        epochs: at most this many.
        steps: stop after this many steps, whatever the epoch; None for no limit. Only with hidden layers on
            a frozen backbone.
        batch_size: images a step.
        patience: stop after this many epochs without a better `selection`; None never stops early.
        loss: see `Loss`.
        exclusive: a multi-label task all the same with a softmax and cross-entropy: the form of published
            pipelines, which cannot say two species. It costs log loss; it is there to be compared with.
        balance: `class-weights` weighs the loss, `sampling` draws rare labels more often, `logit-adjustment`
            trains on logits to which the log prior is added (Menon et al. 2021).
        sample: train and validate on a share of the labelled media only: see `Sample`; None for all of them.
            `trapline run` draws before it splits, so that what is tested is of the sample too.
        keep_blanks: train on this share of the blank media only, drawn one by one with the seed.
        correct_prior: after balancing or leaving blanks out, put the natural prior back into the
            probabilities.
        learn_from: the labels of each `media`, or for every media those of its `event` (weak labels: the
            animal may be in any frame).
        frames: train on `all` frames of an event, or on the `first` only.
        event_statistics: over the frames of an event; with some, the head sees these of the frames'
            embeddings, and the model says one thing of a whole event (`Card.batch`). Only with how `frozen`.
        background_view: show the network each frame a second time, less the median of its event's frames:
            what moved, without the place (twice the work). Only with `event_statistics`.
        augmentation: see `Augmentation`.
        ema: decay of an average of the weights over steps, used for validation and export; None for none.
        selection: the validation metric that chooses the best epoch (`loss` is the one that is trained,
            `log_loss` that of the probabilities); `last` keeps the last epoch and chooses nothing. Hidden
            layers on a frozen backbone always keep their last state.
        calibration: fitted on the validation locations: `temperature`, `labels` (multi-label: a slope and an
            offset a label, held near one another), or `none`.
        fit: `train` trains on the split's train part. `all` trains on train and validation together, for the
            number of epochs that location folds found best; `folds` keeps the folds' models and averages
            them in one graph. Both take calibration and metrics from out-of-fold predictions.
        folds: number of folds, for `all` and `folds`, and inside the train part for heads.
        fold_by: what the folds keep together (also those inside the train part, by which heads choose their
            strength, where it can be so dealt): each `location`, each `season` (one fold a season, whatever
            `folds` says), or each `event`.
        members: with `fit` `train` or `all`, train this many times with other seeds and average the logits.
        precision: of the multiplications in training. `auto` is bf16 (weights stay float32) on a GPU that has
            it, and on a processor that has it if the network has no depthwise convolutions; else float32.
        seed: of everything that is random.
        taxa: classes that are taxa of a tree: see `Taxa`; None for labels as they are.
        search: dotted field -> the values `trapline tune` may try. Several fields, joined by commas, move
            together: their choices are lists of one value a field.
    """

    name: str
    task: Literal["single-label", "multi-label"] = "single-label"
    backbone: str
    weights: str = "none"
    how: Literal["scratch", "frozen", "whole", "gradual"] = "whole"
    frozen_epochs: int = Field(1, ge=0)
    frozen_stages: int = Field(0, ge=0)
    drop_path: float = Field(0.0, ge=0, lt=1)
    freeze_batch_norm: bool = False
    preprocessing: Preprocessing = Preprocessing()
    flip_average: bool = False
    head: Head = Head()
    optimiser: Optimiser = Optimiser()
    schedule: Schedule = Schedule()
    epochs: int = Field(20, ge=1, le=10_000)
    steps: int | None = Field(None, ge=1)
    batch_size: int = Field(32, ge=1, le=65_536)
    patience: int | None = Field(None, ge=1)
    loss: Loss = Loss()
    exclusive: bool = False
    balance: Literal["none", "class-weights", "sampling", "logit-adjustment"] = "none"
    sample: Sample | None = None
    keep_blanks: float = Field(1.0, gt=0, le=1)
    correct_prior: bool = True
    augmentation: Augmentation = Augmentation()
    ema: float | None = Field(None, gt=0, lt=1)
    selection: Selection = "log_loss"
    learn_from: Literal["media", "event"] = "media"
    frames: Literal["all", "first"] = "all"
    event_statistics: tuple[Statistic, ...] = ()
    background_view: bool = False
    calibration: Literal["temperature", "labels", "none"] = "temperature"
    fit: Literal["train", "all", "folds"] = "train"
    folds: int = Field(5, ge=2, le=100)
    fold_by: Literal["location", "season", "event"] = "location"
    members: int = Field(1, ge=1, le=20)
    precision: Literal["auto", "float32", "bf16"] = "auto"
    seed: int = 42
    taxa: Taxa | None = None
    search: dict[str, Choice | Range] = {}

    @field_validator("backbone")
    @classmethod
    def _backbone_is_known(cls, backbone: str) -> str:
        if backbone in BACKBONES or re.fullmatch(r"timm/[\w.\-]+", backbone):
            return backbone
        if backbone.startswith(MODEL_FILE) and len(backbone) > len(MODEL_FILE):
            return backbone
        raise ValueError(
            f"'{backbone}' is no backbone; use {', '.join(BACKBONES)}, timm/<name> or model-file:<path>"
        )

    @field_validator("search")
    @classmethod
    def _joined_fields_have_a_value_each(cls, search: dict[str, Choice | Range]) -> dict[str, Choice | Range]:
        for joined, dimension in search.items():
            fields = len(joined_fields(joined))
            choices = dimension.choices if isinstance(dimension, Choice) else (None,)
            if fields > 1 and any(not isinstance(one, list) or len(one) != fields for one in choices):
                raise ValueError(f"'{joined}' takes choices that are lists of {fields} values, one a field")
        return search

    @model_validator(mode="after")
    def _parts_fit_together(self, info: ValidationInfo) -> Recipe:
        if info.context and info.context.get(PARTS_ALONE):
            return self
        for rule, broken in self._rules():
            if broken:
                raise ValueError(rule)
        idle = idle_settings(self)
        if idle:
            raise UsageError(no_effect(idle, self))
        return self

    @property
    def kind(self) -> Kind:
        """What learns by this recipe: which of its fields can act depends on that."""
        return kind_of(self)

    def _rules(self) -> list[tuple[str, bool]]:
        model_file = self.backbone.startswith(MODEL_FILE)
        weightless = self.weights == "none" and not model_file
        return [
            ("how 'scratch' takes weights 'none'", self.how == "scratch" and self.weights != "none"),
            (
                f"how '{self.how}' needs weights: 'pretrained' or a file (with none, use how 'scratch')",
                self.how in ("frozen", "gradual") and weightless,
            ),
            (
                "the embedding of a model file is always frozen: use how 'frozen'",
                model_file and self.how != "frozen",
            ),
            (
                "cross-entropy cannot say two labels; a multi-label task takes bce (or exclusive)",
                self.task == "multi-label" and self.loss.name == "cross-entropy" and not self.exclusive,
            ),
            (
                "labels of a single-label task exclude each other already; leave exclusive at false",
                self.exclusive and self.task == "single-label",
            ),
            (
                "exclusive trains cross-entropy, not bce",
                self.exclusive and self.loss.name == "bce",
            ),
            (
                "the softmax of exclusive is left as it is: use calibration 'none'",
                self.exclusive and self.calibration != "none",
            ),
            (
                "hidden layers of several folds cannot be averaged: use fit 'train' or 'all'",
                self.how == "frozen" and bool(self.head.hidden) and self.fit == "folds",
            ),
            (
                "calibration 'labels' is for multi-label tasks",
                self.calibration == "labels" and self.task == "single-label",
            ),
            (
                "event_statistics see whole events: leave learn_from at 'event', frames at 'all' and "
                "flip_average at false",
                bool(self.event_statistics)
                and (self.learn_from != "event" or self.frames != "all" or self.flip_average),
            ),
            (
                "fit 'folds' already has one member a fold; leave members at 1",
                self.fit == "folds" and self.members > 1,
            ),
            (
                f"a multi-label task has no {self.selection}: select by log_loss, loss, macro_f1 or last",
                self.task == "multi-label" and self.selection in ("accuracy", "balanced_accuracy"),
            ),
            (
                "taxa are heads on features that are computed once: use how 'frozen'",
                self.taxa is not None and self.how != "frozen",
            ),
            (
                "taxa exclude one another: use task 'single-label'",
                bool(self.taxa) and self.task != "single-label",
            ),
            ("taxa take fit 'train' or 'all'", self.taxa is not None and self.fit == "folds"),
            (
                "the solver 'adam' chooses its epoch on the validation part: use fit 'train'",
                self.taxa is not None and self.taxa.solver == "adam" and self.fit != "train",
            ),
            (
                f"heads of taxa take balance 'none' or 'class-weights', not '{self.balance}'",
                self.taxa is not None and self.balance not in ("none", "class-weights"),
            ),
            (
                "the solver 'adam' fits each head by itself: use taxa.way 'flat' or 'cascade'",
                self.taxa is not None and self.taxa.solver == "adam" and self.taxa.way == "path",
            ),
            (
                "Nesterov's momentum needs one: set optimiser.momentum above 0",
                self.optimiser.nesterov and self.optimiser.momentum == 0,
            ),
            ("warm-up is as long as the run", self.schedule.warmup_epochs >= self.epochs),
            (
                "the run ends before the rate falls: make schedule.step_epochs less than epochs",
                self.schedule.name == "step" and self.schedule.step_epochs >= self.epochs,
            ),
        ]
