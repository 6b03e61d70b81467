"""Fitting one network: a plain loop over memory-mapped pixels, resumable epoch by epoch."""

from __future__ import annotations

import json
import math
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm
from torch.optim.swa_utils import AveragedModel

from trapline.errors import DataError, UsageError
from trapline.metrics import LOWER_IS_BETTER, measure
from trapline.models import Calibration, Weights, apply_calibration, blank_column
from trapline.models.networks import Network, build_network
from trapline.recipes import NetworkRecipe
from trapline.storage import replace_whole
from trapline.training.arrays import Pixels, Rows, Singles
from trapline.training.augment import augment, cut, mix
from trapline.training.batches import Batches, TrainingPixels, made_ahead, needs_mixing
from trapline.training.devices import Devices, Steps, work_together
from trapline.training.history import write_history
from trapline.training.memory import keep_memory
from trapline.training.optimisation import (
    build_optimiser,
    build_schedule,
    diverged,
    first_stages,
    training_loss,
)
from trapline.training.pixels import Store
from trapline.training.ranks import RankGroup
from trapline.training.targets import added_prior, label_weights, truth_of

BATCH = 64
"""Media that are judged at once."""
SHOWN = (
    *("log_loss", "accuracy", "balanced_accuracy", "macro_f1"),
    *("top_5_accuracy", "categorical_cross_entropy"),
)


@dataclass(frozen=True)
class Examples:
    """The labelled media of a training: everything that fits and folds share.

    Attributes:
        labels: in the order of the outputs.
        targets: float32 [N, labels].
        exact: the pixels that prediction sees.
        training: where training looks.
    """

    labels: tuple[str, ...]
    targets: Singles
    exact: Store
    training: TrainingPixels


@dataclass(frozen=True)
class Fitted:
    """A trained network, the best epoch's weights in it, on the CPU.

    Attributes:
        network: ready to be exported.
        weights: the origin of its backbone.
        best_epoch: counted from 1.
        history: one dictionary an epoch.
        batch_losses: the training loss of each batch, an array [batches] an epoch.
        answers: of every epoch about the validation media; None without validation.
    """

    network: Network
    weights: Weights
    best_epoch: int
    history: list[dict[str, float]] = field(default_factory=list)
    batch_losses: list[Singles] = field(default_factory=list)
    answers: Answers | None = None

    def said_at(self, epoch: int) -> Singles:
        """float32 [media, labels], what was said of the validation media after an epoch, counted from 1."""
        assert self.answers is not None  # asked only of what was validated
        return self.answers.of_epoch(epoch)


@dataclass(frozen=True)
class Answers:
    """The logits of each epoch about the validation media, before shift and temperature, kept in a file.

    Attributes:
        path: of the file; the epochs follow one another.
        media: how many there are.
        labels: how many there are.
    """

    path: Path
    media: int
    labels: int

    def keep(self, epoch: int, logits: Singles) -> None:
        """Write down those of an epoch, counted from 1; one that a resumed run makes again is replaced."""
        self.path.touch()
        with self.path.open("r+b") as file:
            file.seek((epoch - 1) * logits.nbytes)
            file.write(logits.tobytes())

    def of_epoch(self, epoch: int) -> Singles:
        """float32 [media, labels], of an epoch counted from 1."""
        size = self.media * self.labels
        logits = np.fromfile(self.path, np.float32, size, offset=(epoch - 1) * size * 4)
        return logits.reshape(self.media, self.labels)


@dataclass(frozen=True)
class NetworkFit:
    """What one network is fitted on, and how: all that a process needs to have a part in it.

    Attributes:
        recipe: `fit` and `members` are not looked at.
        examples: pixels and targets of all rows.
        train: rows to train on.
        validation: rows that choose the epoch; None keeps the last epoch.
        folder: for checkpoints and the history.
        base: what puts priors right before an epoch is judged.
        stop_after: end after this epoch, with rates and augmentation as they are in a run of all
            `recipe.epochs`.
        compiled: train on what PyTorch's compiler makes of the network.
    """

    recipe: NetworkRecipe
    examples: Examples
    train: Rows
    validation: Rows | None
    folder: Path
    base: Calibration
    stop_after: int
    compiled: bool = False

    @property
    def last(self) -> Path:
        """The checkpoint from which a killed run goes on."""
        return self.folder / "last.ckpt"

    def begin(self, ranks: RankGroup = RankGroup()) -> tuple[Fitting, Weights]:
        """The network as it starts, for one of the processes that train it; the origin of its weights."""
        torch.manual_seed(self.recipe.seed)
        network, weights = build_network(self.recipe, len(self.examples.labels), load=not self.last.is_file())
        return Fitting(self, network, ranks), weights

    def take_part(self, ranks: RankGroup, report: Steps | None) -> None:
        """Train as one of several processes."""
        self.run(self.begin(ranks)[0], report)

    def run(self, fitting: Fitting, report: Steps | None) -> None:
        """Train what has begun to its end, or go on where a killed run stopped."""
        loop = _Loop(fitting, self.stop_after, report)
        if self.last.is_file():
            loop.go_on_from(self.last)
        with _compiling() if self.compiled else nullcontext():
            loop.run()


def fit_network(fit: NetworkFit, devices: Devices, report: Steps | None = None) -> Fitted:
    """Train a network on some rows of the examples, judge it on others; go on where a killed run stopped.

    Args:
        fit: what, on what, and where; of a finished folder the result is only read.
        devices: on which; of several each has a process.
        report: told of each step.

    Raises:
        UsageError: there are more devices than a batch can be dealt to.
        DataError: training diverged: a loss, an answer or a weight is not a number, or the network says the
            same of all validation media.
        TraplineError: one of several processes died.
    """
    fit.folder.mkdir(parents=True, exist_ok=True)
    done, resumed = fit.folder / "fitted.json", fit.last.is_file()
    fitting, weights = fit.begin(RankGroup(device=devices.names[0]))
    if resumed:
        weights = _origin(fit.folder)
    else:
        _keep_origin(fit.folder, weights)
    if not done.is_file():
        names = devices.for_batches(fitting.batches)
        if len(names) == 1:
            fit.run(fitting, report)
        else:
            work_together(fit, names, report)
    ended = state = torch.load(fit.last, map_location="cpu", weights_only=True)
    done.write_text(json.dumps({"epochs": len(ended["history"])}), encoding="utf-8")
    if fitting.chooses:
        state = torch.load(fit.folder / "best.ckpt", map_location="cpu", weights_only=True)
    losses = [of_epoch.numpy() for of_epoch in ended.get("batch_losses", [])]
    fitting.load_state_dict(state["state_dict"])
    fitting.cpu().eval()
    best_epoch, answers = len(state["history"]), fitting.answers
    looked_at = fit.train[:64] if fit.validation is None else fit.validation
    if answers is None:
        logits = network_logits(fitting.judged, fit.examples.exact, looked_at)
    else:
        logits = answers.of_epoch(best_epoch)
    _refuse_broken(logits, fit.examples.exact.pixels[looked_at], best_epoch)
    return Fitted(fitting.judged, weights, best_epoch, ended["history"], losses, answers)


@contextmanager
def _compiling() -> Iterator[None]:
    """A compiler that is missing, or that cannot take a network, is no fault of the training."""
    from torch._dynamo.exc import TorchDynamoException

    try:
        yield
    except TorchDynamoException as error:
        lines = [line for line in str(error).splitlines() if line.strip()]
        raise UsageError(
            f"PyTorch cannot compile this network here: leave --compile out. ({lines[0]})"
        ) from error


def _refuse_broken(logits: Singles, pixels: Pixels, epoch: int) -> None:
    """A network that cannot answer is no model, nor is one whose units have died and always say the same."""
    if not np.isfinite(logits).all():
        raise diverged(f"after epoch {epoch} an answer of the network is not a number")
    if (logits == logits[0]).all() and (pixels != pixels[0]).any():
        raise diverged(f"after epoch {epoch} the network says exactly the same of all photos")


def network_logits(network: Network, store: Store, rows: Rows, flip_average: bool = False) -> Singles:
    """float32 [rows, labels], of the exact pixels (and their mirror images), in float32.

    Where the network is; it is left judging, not learning.
    """
    return _outputs(network, store, rows, flip_average, 0, network.labels)


def network_embeddings(network: Network, store: Store, rows: Rows, flip_average: bool = False) -> Singles:
    """float32 [rows, D], as `network_logits`."""
    return _outputs(network, store, rows, flip_average, 1, network.embedding_size)


def _outputs(
    network: Network, store: Store, rows: Rows, flip_average: bool, output: int, width: int
) -> Singles:
    network.eval()
    parts = [np.empty((0, width), np.float32)]  # one of several processes may have no rows
    with torch.inference_mode():
        for start in range(0, len(rows), BATCH):
            images = torch.from_numpy(store.pixels[rows[start : start + BATCH]]).to(network.mean.device)
            parts.append(_answer(network, images, flip_average, output).float().cpu().numpy())
    return np.concatenate(parts)


def _answer(network: Network, images: Tensor, flip_average: bool, output: int) -> Tensor:
    """float [B, labels or D], as the model file gives it: in float32, averaged with the mirror images."""
    with (
        torch.autocast(images.device.type, enabled=False),
        torch.backends.cudnn.flags(enabled=True, allow_tf32=False),
    ):
        values: Tensor = network(images)[output]
        if flip_average:
            values = (values + network(images.flip(2))[output]) / 2
    return values


class Fitting(nn.Module):
    """What one training step and one validation are; its state is what a checkpoint keeps."""

    def __init__(self, fit: NetworkFit, network: Network, ranks: RankGroup) -> None:
        super().__init__()
        self.fit, self.network, self.ranks = fit, network, ranks
        self.recipe, examples, train = fit.recipe, fit.examples, fit.train
        self._freeze_first_stages()
        self.average = self._averaged() if self.recipe.ema else None
        least = 2 if self._needs_two() else 1
        self.batches = Batches(self.recipe, examples.training, examples.targets, train, least, ranks.part)
        self.answers = None
        if fit.validation is not None:
            path = fit.folder / "validation_logits.f32"
            self.answers = Answers(path, len(fit.validation), len(examples.labels))
        self.chooses = fit.validation is not None and self.recipe.selection != "last"
        self.history: list[dict[str, float]] = []
        self.batch_losses: list[Tensor] = []
        self._losses: list[Tensor] = []
        self._right: list[Tensor] = []
        taught = examples.targets[train]
        weights = np.ones(taught.shape[1])
        if self.recipe.balance == "class-weights":
            weights = label_weights(taught, self.recipe.task)
        for name, values in (("label_weights", weights), ("log_prior", added_prior(self.recipe, taught))):
            self.register_buffer(name, torch.tensor(values, dtype=torch.float32), persistent=False)

    def _freeze_first_stages(self) -> None:
        backbone = self.network.backbone
        names = first_stages(backbone, self.recipe.frozen_stages)
        for name in names:
            backbone.get_parameter(name).requires_grad_(False)
        owners = {backbone.get_submodule(name.rpartition(".")[0]) for name in names}
        norms = [layer for layer in backbone.modules() if isinstance(layer, _BatchNorm)]
        everywhere = self.recipe.freeze_batch_norm
        self.still = [layer for layer in norms if everywhere or layer in owners]

    def _needs_two(self) -> bool:
        """Whether some batch normalisation that learns sees one value a channel and image.

        It cannot learn from a batch of one image, which would be its own mean.
        """
        several: list[bool] = []

        def look(_: nn.Module, inputs: tuple[Tensor, ...]) -> None:
            several.append(inputs[0][0, 0].numel() == 1)

        learning = [
            layer
            for layer in self.network.modules()
            if isinstance(layer, _BatchNorm) and layer not in self.still
        ]
        hooks = [layer.register_forward_pre_hook(look) for layer in learning]
        size, training = self.recipe.preprocessing, self.network.training
        with torch.no_grad():
            self.network.eval()(torch.zeros(1, size.height, size.width, 3, dtype=torch.uint8))
        self.network.train(training)
        for hook in hooks:
            hook.remove()
        return any(several)

    def _averaged(self) -> AveragedModel:
        """An average of the weights over steps, that follows quickly at first."""
        decay = self.recipe.ema or 0.0

        def follow(average: Tensor, current: Tensor, steps: Tensor | int) -> Tensor:
            share = min(decay, (1 + float(steps)) / (10 + float(steps)))
            return average * share + current * (1 - share)

        return AveragedModel(self.network, avg_fn=follow, use_buffers=True)

    @property
    def judged(self) -> Network:
        """The network that is validated and exported: the average if there is one."""
        network = self.network if self.average is None else self.average.module
        assert isinstance(network, Network)
        return network

    @property
    def epoch(self) -> int:
        """The one that is about to run or runs, counted from 0."""
        return len(self.history)

    @property
    def backbone_frozen(self) -> bool:
        """Whether only the head learns in this epoch."""
        return self.recipe.how == "gradual" and self.epoch < self.recipe.frozen_epochs

    def start_epoch(self) -> None:
        """Set what depends on the epoch alone, so that a resumed run finds it again."""
        # what dropout leaves out is another thing in each process
        torch.manual_seed(self.recipe.seed * 100_003 + self.epoch + 1_000_003 * self.ranks.part.rank)
        self.batches.epoch = self.epoch
        self._losses, self._right = [], []
        self.network.train()
        if self.backbone_frozen:
            self.network.backbone.eval()
        for layer in self.still:
            layer.eval()

    def training_step(
        self, batch: dict[str, Tensor], random: torch.Generator, answer: Callable[..., Tensor]
    ) -> Tensor:
        """What is made small for one batch, under changes that `random`, on its device, decides.

        Of several processes each has the part of its own media, so that the mean of the gradients is the
        gradient of the mean loss of the batch.
        """
        size, change = self.recipe.preprocessing, self.recipe.augmentation
        media = int(batch["media"])
        with torch.no_grad(), torch.autocast(random.device.type, enabled=False):
            images, targets = (
                cut(batch["images"], batch.get("matrices"), size.height, size.width),
                batch["targets"],
            )
            images = augment(images, change, random, media, batch["own"] if self.ranks.several else None)
            if needs_mixing(change, self.epoch, self.recipe.epochs):
                images, targets = mix(images, targets, change, random)
            images = images.contiguous(memory_format=torch.channels_last)
        logits = answer(images, self.backbone_frozen)
        loss = self.loss(logits, targets) * (len(images) / media)
        self._losses.append(loss.detach())
        self._right.append(logits.detach().argmax(dim=1) == targets.argmax(dim=1))
        return loss * self.ranks.part.ranks

    def loss(self, logits: Tensor, targets: Tensor) -> Tensor:
        """The recipe's loss of logits to which training may have added the log prior."""
        weights: Any = self.label_weights
        added: Any = self.log_prior
        return training_loss(self.recipe, logits + added, targets, weights)

    def follow(self) -> None:
        """Let the average follow the step that was made."""
        if self.average is not None:
            self.average.update_parameters(self.network)

    def end_epoch(self, rate: float, started: float) -> None:
        """Validate and write down the epoch, unless it broke the network.

        Args:
            rate: the largest learning rate at its end.
            started: when it did, by `time.monotonic`.
        """
        epoch = self.epoch + 1
        losses = self.ranks.sum(torch.stack(self._losses).float()).cpu()
        loss = float(losses.mean())
        if not math.isfinite(loss):
            raise diverged(f"the training loss of epoch {epoch} is not a number")
        if not all(bool(torch.isfinite(numbers).all()) for numbers in self.judged.state_dict().values()):
            raise diverged(f"after epoch {epoch} a weight of the network is not a number")
        row = {"epoch": epoch, "lr": rate, "train_loss": loss}
        if self.recipe.task == "single-label":  # of the batches as they were seen: with dropout, augmented
            right = self.ranks.sum(torch.cat(self._right).float().sum())
            row["train_accuracy"] = float(right / len(self.batches.rows))
        row |= self._judge()
        self.batch_losses.append(losses)
        self.history.append(self.ranks.of_first({**row, "seconds": time.monotonic() - started}))

    def _judge(self) -> dict[str, float]:
        """What the first process finds of the validation media, of which each has asked about its share."""
        if self.fit.validation is None:
            return {}
        rows, flips = self.ranks.part.piece(self.fit.validation), self.recipe.flip_average
        raw = self.ranks.gather(network_logits(self.judged, self.fit.examples.exact, rows, flips))
        return self._figures(raw, self.fit.validation) if self.ranks.first else {}

    def _figures(self, raw: Singles, rows: Rows) -> dict[str, float]:
        assert self.answers is not None  # there are such media
        targets, labels = self.fit.examples.targets[rows], self.fit.examples.labels
        there = [torch.from_numpy(numbers).to(self.network.mean.device) for numbers in (raw, targets)]
        with torch.no_grad():
            loss = self.loss(*there)
        measured = {"loss": float(loss)}
        if not (math.isfinite(measured["loss"]) and np.isfinite(raw).all()):
            raise diverged(f"the validation loss of epoch {self.epoch + 1} is not a number")
        self.answers.keep(self.epoch + 1, raw)
        probabilities = apply_calibration(raw, self.fit.base, self.recipe.task, labels)
        truth = truth_of(targets, self.recipe.task)
        blank = blank_column(labels)
        figures = measure(truth, probabilities, blank=blank, exclusive=self.recipe.exclusive)
        measured |= {name: float(value) for name, value in figures.items()}
        chosen = self.recipe.selection
        if self.chooses and not math.isfinite(measured.get(chosen, math.nan)):
            raise DataError(f"'{chosen}' is undefined on the validation part: select by log_loss.")
        shown = dict.fromkeys(("loss", *SHOWN, chosen))
        return {f"validation_{name}": measured[name] for name in shown if name in measured}

    @property
    def best(self) -> int:
        """The index in the history of the epoch that the selection chooses: the first of equals."""
        name = self.recipe.selection
        sign = -1 if name == "loss" or name in LOWER_IS_BETTER else 1
        scores = np.array([sign * row[f"validation_{name}"] for row in self.history])
        return int(np.argmax(np.where(np.isnan(scores), -np.inf, scores)))

    @property
    def ended(self) -> bool:
        """Whether the selection has not become better for as long as the recipe waits."""
        patience = self.recipe.patience
        if patience is None or not self.chooses or not self.history:
            return False
        return self.epoch - 1 - self.best >= patience


class _Answering(nn.Module):
    """What learns, as one call: float images [N, 3, H, W] in 0..1 -> logits [N, labels]."""

    def __init__(self, network: Network, ranks: RankGroup) -> None:
        super().__init__()
        self.network, self.ranks = network, ranks

    def forward(self, images: Tensor, backbone_frozen: bool) -> Tensor:
        with self.ranks.normalising():
            with torch.set_grad_enabled(not backbone_frozen):
                features = self.network.embed(images)
            logits: Tensor = self.network.head(features)
            return logits


class _Loop:
    """The epochs of a fitting, and the checkpoints that a killed run goes on from.

    Args:
        fitting: what is trained; moved to its device.
        epochs: where to end.
        report: told of each step.
    """

    def __init__(self, fitting: Fitting, epochs: int, report: Steps | None) -> None:
        keep_memory()
        self.fitting, self.epochs, self.report = fitting, epochs, report
        recipe, network = fitting.recipe, fitting.network
        self.device = fitting.ranks.torch_device()
        self.numbers = number_type(recipe, network, self.device)
        self.scaler = torch.amp.GradScaler(self.device.type, enabled=self.numbers is torch.float16)
        fitting.to(self.device)
        answering: Any = _Answering(network, fitting.ranks)
        if fitting.fit.compiled:
            answering = torch.compile(answering)
        self.answer = fitting.ranks.share(answering)
        steps = len(fitting.batches)
        self.optimiser = build_optimiser(recipe.optimiser, network)
        self.schedule = build_schedule(recipe.schedule, self.optimiser, recipe.epochs, steps)

    def go_on_from(self, path: Path) -> None:
        """Put everything back as it was when the checkpoint was written."""
        state = torch.load(path, map_location="cpu", weights_only=True)
        self.fitting.load_state_dict(state["state_dict"])
        self.optimiser.load_state_dict(state["optimizer_states"][0])
        self.schedule.load_state_dict(state["lr_schedulers"][0])
        if state.get("scaler"):  # it trained in fp16
            self.scaler.load_state_dict(state["scaler"])
        self.fitting.history = state["history"]
        self.fitting.batch_losses = state.get("batch_losses", [])  # older runs have none

    def run(self) -> None:
        """Train to the last epoch, or to where the recipe's patience ends."""
        while self.fitting.epoch < self.epochs and not self.fitting.ended:
            started = time.monotonic()
            self.fitting.start_epoch()
            on_gpu, batches = self.device.type == "cuda", self.fitting.batches
            for index, batch in enumerate(made_ahead(batches) if on_gpu else batches):
                self._step(batch)
                self._tell(index + 1)
            rate = max(group["lr"] for group in self.optimiser.param_groups)
            self.fitting.end_epoch(rate, started)
            if self.fitting.ranks.first:
                self._keep()

    def _step(self, batch: dict[str, Tensor]) -> None:
        random = torch.Generator(device=self.device).manual_seed(int(batch["seed"]))
        there = {  # what is no array is asked for here, and would have to come back
            name: numbers.to(self.device, non_blocking=True) if numbers.ndim else numbers
            for name, numbers in batch.items()
        }
        with torch.autocast(self.device.type, self.numbers, enabled=self.numbers is not None):
            loss = self.fitting.training_step(there, random, self.answer)
        self.optimiser.zero_grad()
        self.scaler.scale(loss).backward()  # type: ignore[no-untyped-call]
        if clip := self.fitting.recipe.optimiser.clip:
            self.scaler.unscale_(self.optimiser)
            nn.utils.clip_grad_norm_(self.fitting.network.parameters(), clip)
        self.scaler.step(self.optimiser)
        self.scaler.update()
        self.schedule.step()
        self.fitting.follow()

    def _tell(self, index: int) -> None:
        """How far the run is, `index` steps into its epoch, and what the last epoch brought."""
        if self.report is not None:
            steps, history = len(self.fitting.batches), self.fitting.history
            line = _line(history[-1], self.epochs) if history else ""
            self.report(self.fitting.epoch * steps + index, self.epochs * steps, line)

    def _keep(self) -> None:
        """Write the history and the checkpoints; who kills the run finds old ones or new ones, whole."""
        fitting, folder = self.fitting, self.fitting.fit.folder
        write_history(fitting.history, folder)
        state = {
            "epoch": fitting.epoch - 1,
            "state_dict": fitting.state_dict(),
            "optimizer_states": [self.optimiser.state_dict()],
            "lr_schedulers": [self.schedule.state_dict()],
            "scaler": self.scaler.state_dict(),
            "history": fitting.history,
            "batch_losses": fitting.batch_losses,
        }
        names = ["best.ckpt"] if fitting.chooses and fitting.best == fitting.epoch - 1 else []
        for name in (*names, "last.ckpt"):  # that one last: until it is there the epoch is made again
            with replace_whole(folder / name) as partial:
                torch.save(state, partial)


def number_type(recipe: NetworkRecipe, network: nn.Module, device: torch.device) -> torch.dtype | None:
    """In what training multiplies; None for float32.

    On processors with the instructions for it dense convolutions train in bf16 in about half the time (small
    CNN 5.8 against 10.7 ms an image, ResNet-50 80 against 226), and depthwise ones in more than before.
    """
    named = {"float32": None, "bf16": torch.bfloat16, "fp16": torch.float16}
    if recipe.precision != "auto":
        return named[recipe.precision]
    if device.type == "cuda":
        able = torch.cuda.is_bf16_supported(including_emulation=False)
        return torch.bfloat16 if able else torch.float16
    if device.type != "cpu":
        return None
    has = torch.cpu.get_capabilities()
    convolutions = [layer for layer in network.modules() if isinstance(layer, nn.Conv2d)]
    dense = all(layer.groups == 1 for layer in convolutions)
    return torch.bfloat16 if dense and (has.get("avx512_bf16") or has.get("amx_bf16")) else None


def _line(row: dict[str, float], epochs: int) -> str:
    parts = [f"epoch {int(row['epoch'])}/{epochs}", f"loss {row['train_loss']:.3f}"]
    parts += [f"{name} {row[f'validation_{name}']:.3f}" for name in SHOWN[:2] if f"validation_{name}" in row]
    return "  ".join(parts)


def _keep_origin(folder: Path, weights: Weights) -> None:
    origin = {"name": weights.name, "fingerprint": weights.fingerprint, "notices": weights.notices}
    (folder / "weights.json").write_text(json.dumps(origin, indent=1), encoding="utf-8")


def _origin(folder: Path) -> Weights:
    origin = json.loads((folder / "weights.json").read_text(encoding="utf-8"))
    return Weights(origin["name"], fingerprint=origin["fingerprint"], notices=tuple(origin["notices"]))
