"""The recipe: everything that makes a training run repeatable, checked without touching a file.

There are five kinds, a class each. What cannot go together has no place in the same class; where a field
needs another one of its class to act, the class says so (`needs`), as it does of values that exclude one
another (`rules`).
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Annotated, Any, ClassVar, Literal

from pydantic import (
    BeforeValidator,
    Field,
    ModelWrapValidatorHandler,
    ValidationInfo,
    field_validator,
    model_validator,
)

from trapline.errors import UsageError
from trapline.images import Preprocessing
from trapline.metrics import metric_names
from trapline.recipes.backbones import BACKBONES
from trapline.recipes.needs import PARTS_ALONE, Needs, Section, idle_settings, told
from trapline.recipes.sections import (
    NO_FIGURE,
    Augmentation,
    Choice,
    Constant,
    EpochTaxa,
    ExactTaxa,
    Head,
    HiddenHead,
    LayerOptimiser,
    LinearHead,
    Loss,
    NetworkOptimiser,
    Optimiser,
    Range,
    Sample,
    Schedule,
    Selection,
    Statistic,
    Strength,
    Views,
    joined_fields,
)

MODEL_FILE = "model-file:"
"""Prefix of a backbone that is the embedding of a Trapline model file (its path or shipped name)."""
TIMM = "timm/"
"""Prefix of a backbone that timm builds."""
Kind = Literal["linear", "hidden", "tree", "tree by epochs", "network"]
Rule = tuple[str, bool]
"""What is wrong, and whether it is."""


def _as_names(value: object) -> object:
    """Names with commas between them, as a command has them; a list of names is taken as it is."""
    return tuple(name.strip() for name in value.split(",")) if isinstance(value, str) else value


class Recipe(Section):
    """What every kind of recipe has; stored whole in the model file.

    Attributes:
        name: of the recipe.
        task: `single-label` (one label an image, softmax) or `multi-label` (any number, sigmoid).
        backbone: `small-cnn`, `small-cnn-bn`, `resnet50`, `efficientnet-lite0` (1, 2), `timm/<name>`, or
            `model-file:<path, or id of a ready model>` (the embedding of a model file, always frozen).
        weights: to start from: `none`, `pretrained` (offline where a package brings them), or the path of a
            safetensors file or torch state dict.
        how: `frozen` (the features of the backbone are computed once, and heads train on them); `scratch`,
            `whole`, or `gradual` (the head alone for `frozen_epochs`, then everything).
        preprocessing: from the file to the pixels, shared with prediction.
        flip_average: the model file averages each image with its mirror image (twice the work).
        head: from the backbone's features to a logit a label.
        balance: `class-weights` weighs the loss, `sampling` draws rare labels more often (of several labels a
            photo without `correct_prior` only), `logit-adjustment` trains on logits to which the log prior is
            added (Menon et al. 2021).
        correct_prior: after balancing or leaving blanks out, put the natural prior back into the
            probabilities.
        sample: train and validate on a share of the labelled media only: see `Sample`; None for all of them.
            `trapline run` draws before it splits, so that what is tested is of the sample too.
        leave_out: labels that are neither taught nor judged; media that show nothing else are left out.
        learn_from: the labels of each `media`, or for every media those of its `event` (weak labels: the
            animal may be in any frame).
        calibration: fitted on the validation locations: `temperature`, `labels` (an offset a label, and of
            several labels a media a slope each, held near one another), `auto` (what of the two does better
            on other locations; of fewer than 200 media or 5 locations the temperature), or `none`.
        fit: `train` trains on the split's train part. `all` trains on train and validation together, for the
            number of epochs that location folds found best; `folds` keeps the folds' models and averages
            them in one graph. Both take calibration and metrics from out-of-fold predictions.
        seed: of everything that is random.
        search: dotted field -> the values `trapline tune` may try. Several fields, joined by commas, move
            together: their choices are lists of one value a field.
    """

    kind: ClassVar[Kind]
    trains: ClassVar[str]
    """What learns by such a recipe, for people."""

    name: str
    task: Literal["single-label", "multi-label"] = "single-label"
    backbone: str
    weights: str = "none"
    how: Literal["scratch", "frozen", "whole", "gradual"]
    preprocessing: Preprocessing = Preprocessing(decoding="quick")
    flip_average: bool = False
    head: LinearHead = LinearHead()
    balance: Literal["none", "class-weights", "sampling", "logit-adjustment"] = "none"
    correct_prior: bool = True
    sample: Sample | None = None
    leave_out: Annotated[tuple[str, ...], BeforeValidator(_as_names)] = ()
    learn_from: Literal["media", "event"] = "media"
    calibration: Literal["auto", "temperature", "labels", "none"] = "auto"
    fit: Literal["train", "all", "folds"] = "train"
    seed: int = 42
    search: dict[str, Choice | Range] = Field({})

    needs: ClassVar[tuple[Needs, ...]] = (
        Needs(
            ("weights", "head.pooling"),
            "a model file has weights and pooling of its own: name another backbone",
            lambda recipe: not recipe.backbone.startswith(MODEL_FILE),
        ),
        Needs(
            ("preprocessing.crop_fraction",),
            "it is for preprocessing.fit 'crop'",
            lambda recipe: recipe.preprocessing.fit == "crop",
        ),
        Needs(
            ("preprocessing.cut_banners",),
            "there must be banners to cut: preprocessing.mask_top or mask_bottom",
            lambda recipe: recipe.preprocessing.mask_top + recipe.preprocessing.mask_bottom > 0,
        ),
        Needs(
            ("correct_prior",),
            "there must be a prior to put back: balance, or keep_blanks below 1",
            lambda recipe: recipe.balance != "none" or getattr(recipe, "keep_blanks", 1) < 1,
        ),
    )

    @property
    def answers(self) -> Literal["media", "event"]:
        """What the model says one thing of."""
        return "media"

    @property
    def chooses_epoch(self) -> bool:
        """Whether media that do not train choose the epoch that is kept."""
        return False

    def rules(self) -> Iterator[Rule]:
        """Values that exclude one another."""
        weightless = self.weights == "none" and not self.backbone.startswith(MODEL_FILE)
        yield (
            f"how '{self.how}' needs weights: 'pretrained' or a file (with none, use how 'scratch')",
            self.how in ("frozen", "gradual") and weightless,
        )
        yield (
            "of several labels a photo, sampling draws whole photos by their rarest label, which nothing "
            "added to the logits puts right: use balance 'class-weights', whose prior is put back exactly, "
            "or correct_prior=false to keep the prior that was drawn",
            self.task == "multi-label" and self.balance == "sampling" and self.correct_prior,
        )

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

    def __new__(cls, *_: Any, **__: Any) -> Recipe:
        """An object of some kind; `Recipe` itself is none."""
        if cls not in KINDS.values():
            kinds = ", ".join(kind.__name__ for kind in KINDS.values())
            raise UsageError(f"Each recipe is of a kind: make one of {kinds}.")
        return super().__new__(cls)

    @model_validator(mode="wrap")
    @classmethod
    def _of_its_kind(
        cls, fields: Any, handler: ModelWrapValidatorHandler[Recipe], info: ValidationInfo
    ) -> Recipe:
        """Where any recipe is wanted, the kind that the fields make."""
        if cls is not Recipe or isinstance(fields, Recipe):
            return handler(fields)
        return KINDS[kind_of(fields)].model_validate(fields, context=info.context)

    @model_validator(mode="after")
    def _parts_fit_together(self, info: ValidationInfo) -> Recipe:
        if info.context and info.context.get(PARTS_ALONE):
            return self
        for rule, broken in self.rules():
            if broken:
                raise ValueError(rule)
        if idle := idle_settings(self):
            raise UsageError(no_effect(idle, self))
        return self


def _boxes(*names: str) -> Needs:
    return Needs(
        tuple(f"augmentation.{name}" for name in names),
        "it needs crops to boxes: name some preprocessing.crop, such as preprocessing.crop.context=1.3",
        lambda recipe: recipe.preprocessing.crop is not None,
    )


class FoldedRecipe(Recipe):
    """A recipe that folds can judge.

    Attributes:
        folds: number of folds, for `fit` `all` and `folds`, and inside the train part for heads at their
            optimum.
        fold_by: what the folds keep together (also those inside the train part, where it can be so dealt):
            each `location`, each `season` (one fold a season, whatever `folds` says), or each `event`.
    """

    optimal: ClassVar[bool] = False
    """Whether heads have an optimum, whose strength folds inside the train part choose."""

    folds: int = Field(5, ge=2, le=100)
    fold_by: Literal["location", "season", "event"] = "location"

    needs: ClassVar[tuple[Needs, ...]] = (
        Needs(
            ("folds",),
            "it is for fit 'all' and 'folds' with fold_by 'location' or 'event', and for heads at their "
            "optimum",
            lambda recipe: recipe.optimal if recipe.fit == "train" else recipe.fold_by != "season",
        ),
        Needs(
            ("fold_by",),
            "it is for fit 'all' and 'folds', and for heads at their optimum",
            lambda recipe: recipe.optimal or recipe.fit != "train",
        ),
    )


class LabelRecipe(FoldedRecipe):
    """A recipe whose classes are the labels as they are.

    Attributes:
        exclusive: a multi-label task all the same with a softmax and cross-entropy, in which a photo of
            several labels counts once for each: the form of published pipelines, which cannot say two
            species. It costs log loss; it is there to be compared with.
        keep_blanks: train on this share of the blank media only, drawn one by one with the seed.
        frames: train on `all` frames of an event, or on the `first` only.
    """

    exclusive: bool = False
    keep_blanks: float = Field(1.0, gt=0, le=1)
    frames: Literal["all", "first"] = "all"

    @property
    def softmax(self) -> Literal["single-label", "multi-label"]:
        """The task by which logits become probabilities."""
        return "single-label" if self.exclusive else self.task

    def rules(self) -> Iterator[Rule]:
        """Values that exclude one another."""
        yield from super().rules()
        single = self.task == "single-label"
        yield (
            "labels of a single-label task exclude each other already; leave exclusive at false",
            self.exclusive and single,
        )
        yield (
            "the softmax of exclusive is left as it is: use calibration 'none'",
            self.exclusive and self.calibration != "none",
        )


class FeatureRecipe(LabelRecipe):
    """A recipe by which heads train on the features of a frozen backbone, computed once for each view.

    Attributes:
        event_statistics: over the frames of an event; with some, the head sees these of the frames'
            embeddings, and the model says one thing of a whole event (`Card.batch`).
        background_view: show the network each frame a second time, less the median of its event's frames:
            what moved, without the place (twice the work). Only with `event_statistics`.
        augmentation: see `Views`.
    """

    how: Literal["frozen"] = "frozen"
    event_statistics: tuple[Statistic, ...] = ()
    background_view: bool = False
    augmentation: Views = Views()

    needs: ClassVar[tuple[Needs, ...]] = (
        _boxes("full_frame"),
        Needs(
            ("background_view",),
            "background_view needs the frames of an event together: name some event_statistics",
            lambda recipe: bool(recipe.event_statistics),
        ),
    )

    @property
    def answers(self) -> Literal["media", "event"]:
        """What the model says one thing of."""
        return "event" if self.event_statistics else "media"

    def rules(self) -> Iterator[Rule]:
        """Values that exclude one another."""
        yield from super().rules()
        yield (
            "event_statistics see whole events: leave learn_from at 'event', frames at 'all' and "
            "flip_average at false",
            bool(self.event_statistics)
            and (self.learn_from != "event" or self.frames != "all" or self.flip_average),
        )


class LayersRecipe(LabelRecipe):
    """A recipe by which layers train in epochs, on one loss.

    Attributes:
        optimiser: see `LayerOptimiser`.
        schedule: see `Schedule`.
        epochs: at most this many.
        batch_size: images a step.
        loss: see `Loss`.
    """

    head: Head = Head()
    optimiser: LayerOptimiser = LayerOptimiser()
    schedule: Schedule = Field(Constant(), discriminator="name")
    epochs: int = Field(20, ge=1, le=10_000)
    batch_size: int = Field(32, ge=1, le=65_536)
    loss: Loss = Loss()

    needs: ClassVar[tuple[Needs, ...]] = (
        Needs(
            ("optimiser.momentum",),
            "it is of sgd and rmsprop, where the schedule does not move it (one-cycle does)",
            lambda recipe: recipe.schedule.name != "one-cycle",
        ),
    )

    def rules(self) -> Iterator[Rule]:
        """Values that exclude one another."""
        yield from super().rules()
        yield (
            "cross-entropy cannot say two labels; a multi-label task takes bce (or exclusive)",
            self.task == "multi-label" and self.loss.name == "cross-entropy" and not self.exclusive,
        )
        yield "exclusive trains cross-entropy, not bce", self.exclusive and self.loss.name == "bce"
        yield "warm-up is as long as the run", self.schedule.warmup_epochs >= self.epochs
        yield (
            "the run ends before the rate falls: make schedule.step_epochs less than epochs",
            self.schedule.name == "step" and self.schedule.step_epochs >= self.epochs,
        )


class HeadRecipe(FeatureRecipe):
    """A linear head at its optimum.

    Attributes:
        optimiser: how strongly it is regularised.
    """

    kind: ClassVar[Kind] = "linear"
    trains: ClassVar[str] = "a linear head on a frozen backbone (how 'frozen', no head.hidden)"
    optimal: ClassVar[bool] = True

    optimiser: Strength = Strength()


class DenseRecipe(FeatureRecipe, LayersRecipe):
    """Hidden layers; their last state is kept.

    Attributes:
        steps: stop after this many steps, whatever the epoch; None for no limit.
    """

    kind: ClassVar[Kind] = "hidden"
    trains: ClassVar[str] = "hidden layers on a frozen backbone (how 'frozen', head.hidden)"

    head: HiddenHead
    steps: int | None = Field(None, ge=1)
    fit: Literal["train", "all"] = "train"


class TreeRecipe(FoldedRecipe):
    """Linear heads for the taxa of a tree, at their optimum.

    Attributes:
        taxa: see `Taxa`.
        optimiser: how strongly they are regularised.
        augmentation: see `Views`.
    """

    kind: ClassVar[Kind] = "tree"
    trains: ClassVar[str] = "the heads of taxa at their optimum (taxa.solver 'exact')"
    optimal: ClassVar[bool] = True

    task: Literal["single-label"] = "single-label"
    how: Literal["frozen"] = "frozen"
    taxa: ExactTaxa
    optimiser: Strength = Strength()
    augmentation: Views = Views()
    balance: Literal["none", "class-weights"] = "none"
    fit: Literal["train", "all"] = "train"

    needs: ClassVar[tuple[Needs, ...]] = (_boxes("full_frame"),)


class EpochTreeRecipe(Recipe):
    """Heads for the taxa of a tree, each trained by epochs on photos as they are, without augmentation.

    Attributes:
        taxa: see `Taxa`.
        optimiser: see `Optimiser`.
        epochs: so many.
        batch_size: images a step.
        selection: the metric of the validation part that chooses the epoch of each head; `last` keeps the
            last one.
    """

    kind: ClassVar[Kind] = "tree by epochs"
    trains: ClassVar[str] = "the heads of taxa by epochs (taxa.solver 'adam')"

    task: Literal["single-label"] = "single-label"
    how: Literal["frozen"] = "frozen"
    taxa: EpochTaxa
    optimiser: Optimiser = Optimiser()
    epochs: int = Field(20, ge=1, le=10_000)
    batch_size: int = Field(32, ge=1, le=65_536)
    selection: Selection = "log_loss"
    balance: Literal["none", "class-weights"] = "none"
    fit: Literal["train"] = "train"

    @property
    def chooses_epoch(self) -> bool:
        """Whether media that do not train choose the epoch that is kept."""
        return self.selection != "last"


class NetworkRecipe(LayersRecipe):
    """A network that is trained, whole or with its first stages as they came.

    Attributes:
        how: `scratch`, `whole` or `gradual`.
        frozen_epochs: with `gradual`, epochs before the backbone is freed.
        frozen_stages: the first stages of the backbone stay as they came (0: none); saves time too.
        drop_path: largest chance that a residual block is left out in training (stochastic depth, also called
            drop-connect); of timm's networks.
        freeze_batch_norm: keep the backbone's batch-norm statistics as they came.
        patience: stop after this many epochs without a better `selection`; None never stops early.
        augmentation: see `Augmentation`.
        ema: decay of an average of the weights over steps, used for validation and export; None for none.
        selection: what chooses the best epoch: a metric of the validation part, any that `evaluate` gives of
            the task, or `loss`, the one that is trained (`log_loss` is that of the probabilities); `last`
            keeps the last epoch and chooses nothing.
        members: with `fit` `train` or `all`, train this many times with other seeds and average the logits.
        precision: of the multiplications in training; weights stay float32. `auto` is bf16 on a GPU that has
            it and fp16 (its loss scaled, so that small gradients are not lost) on one of NVIDIA's that has
            not, bf16 on a processor that has it if the network has no depthwise convolutions; else float32.
    """

    kind: ClassVar[Kind] = "network"
    trains: ClassVar[str] = "a network (how 'scratch', 'whole' or 'gradual'; extra 'train')"

    how: Literal["scratch", "whole", "gradual"] = "whole"
    frozen_epochs: int = Field(1, ge=0)
    frozen_stages: int = Field(0, ge=0)
    drop_path: float = Field(0.0, ge=0, lt=1)
    freeze_batch_norm: bool = False
    optimiser: NetworkOptimiser = NetworkOptimiser()
    patience: int | None = Field(None, ge=1)
    augmentation: Augmentation = Augmentation()
    ema: float | None = Field(None, gt=0, lt=1)
    selection: Selection = "log_loss"
    members: int = Field(1, ge=1, le=20)
    precision: Literal["auto", "float32", "bf16", "fp16"] = "auto"

    needs: ClassVar[tuple[Needs, ...]] = (
        Needs(("frozen_epochs",), "it is for how 'gradual'", lambda recipe: recipe.how == "gradual"),
        Needs(("patience",), "selection 'last' never stops early", lambda recipe: recipe.selection != "last"),
        Needs(
            ("drop_path",),
            "it is for networks of timm: small-cnn has no drop_path",
            lambda recipe: not recipe.backbone.startswith("small-cnn"),
        ),
        Needs(
            ("freeze_batch_norm",),
            "it is for networks that have batch normalisation",
            lambda recipe: recipe.backbone != "small-cnn",
        ),
        Needs(
            ("preprocessing.cut_banners",),
            "it is for frozen backbones: where a network is trained, leave it at false",
            lambda recipe: False,
        ),
        _boxes("context", "box_shift", "full_frame"),
    )

    @property
    def chooses_epoch(self) -> bool:
        """Whether media that do not train choose the epoch that is kept."""
        return self.selection != "last"

    def rules(self) -> Iterator[Rule]:
        """Values that exclude one another."""
        yield (
            "the embedding of a model file is always frozen: use how 'frozen'",
            self.backbone.startswith(MODEL_FILE),
        )
        yield from super().rules()
        yield "how 'scratch' takes weights 'none'", self.how == "scratch" and self.weights != "none"
        yield (
            "fit 'folds' already has one member a fold; leave members at 1",
            self.fit == "folds" and self.members > 1,
        )
        yield (
            f"a {self.task} task has no {self.selection}: select by log_loss, loss, macro_f1 or last",
            self.selection not in (*NO_FIGURE, "log_loss", *metric_names(self.task)),
        )


def kind_of(fields: Any) -> Kind:
    """The kind of recipe that fields make: by `taxa` and its solver, `how`, and the head's hidden layers."""
    if isinstance(fields, Recipe):
        return fields.kind
    taxa, head = fields.get("taxa"), fields.get("head")
    if taxa is not None:
        solver = taxa.get("solver") if isinstance(taxa, Mapping) else getattr(taxa, "solver", None)
        return "tree by epochs" if solver == "adam" else "tree"
    if fields.get("how", "whole") != "frozen":
        return "network"
    hidden = head.get("hidden") if isinstance(head, Mapping) else getattr(head, "hidden", ())
    return "hidden" if hidden else "linear"


AnyRecipe = HeadRecipe | DenseRecipe | TreeRecipe | EpochTreeRecipe | NetworkRecipe
"""A recipe of any kind; which one fields make, `kind_of` says, and `Recipe.model_validate` makes it."""

KINDS: dict[Kind, type[Recipe]] = {
    recipe.kind: recipe for recipe in (HeadRecipe, DenseRecipe, TreeRecipe, EpochTreeRecipe, NetworkRecipe)
}


def no_effect(idle: Mapping[str, str], recipe: Recipe) -> str:
    """The refusal of fields that cannot act, for people.

    Args:
        idle: the fields, and what each needs.
        recipe: in which they would have no effect.
    """
    return (
        f"The recipe '{recipe.name}' trains {recipe.trains}, where some settings would have no effect. "
        f"{told(idle)}. Leave them at their defaults, or change what they need."
    )
