"""What processes that train one network together must agree on: sums, answers, means of a batch.

Each has a part of every batch and the whole network. After a step all have the same weights, so that only the
first one writes and judges.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import torch
from torch import Tensor, distributed, nn
from torch.nn import functional
from torch.overrides import TorchFunctionMode

from trapline.training.arrays import Singles
from trapline.training.batches import Part

Told = TypeVar("Told")

_TIMEOUT = timedelta(minutes=30)
"""That one waits for another: as long as the first may judge and write. One that dies is seen at once."""


@dataclass(frozen=True)
class RankGroup:
    """One process among those that train together; by default it is alone.

    Attributes:
        part: which one, of how many.
        device: on which it computes; None for the accelerator if there is one, else the processor.
    """

    part: Part = field(default_factory=Part)
    device: str | None = None

    @property
    def several(self) -> bool:
        """Whether there are others."""
        return self.part.ranks > 1

    @property
    def first(self) -> bool:
        """Whether it is the one that judges and writes."""
        return self.part.rank == 0

    def torch_device(self) -> torch.device:
        """The device."""
        if self.device is not None:
            return torch.device(self.device)
        return torch.accelerator.current_accelerator(check_available=True) or torch.device("cpu")

    def sum(self, numbers: Tensor) -> Tensor:
        """The sum over all processes."""
        if self.several:
            distributed.all_reduce(numbers)
        return numbers

    def gather(self, rows: Singles) -> Singles:
        """In the first process the rows of all, in order; in the others their own."""
        if not self.several:
            return rows
        pieces: list[Any] | None = [None] * self.part.ranks if self.first else None
        distributed.gather_object(rows, pieces)
        return rows if pieces is None else np.concatenate(pieces)

    def of_first(self, told: Told) -> Told:
        """In all processes what the first one has."""
        if not self.several:
            return told
        one = [told]
        distributed.broadcast_object_list(one)
        return one[0]

    def share(self, answering: nn.Module) -> nn.Module:
        """The module, its gradients the mean over the processes."""
        if not self.several:
            return answering
        device = self.torch_device()
        return nn.parallel.DistributedDataParallel(
            answering,
            device_ids=None if device.type == "cpu" else [device],
            broadcast_buffers=False,  # they follow from sums over all, and are the same
            find_unused_parameters=True,  # the backbone while it is frozen, and whatever a guest's leaves out
        )

    def normalising(self) -> AbstractContextManager[object]:
        """Within it batch normalisation that learns does so over all processes."""
        return _OverAll() if self.several else nullcontext()

    @contextmanager
    def meeting(self, folder: Path) -> Iterator[None]:
        """Within it the processes are joined; by files in a folder of this machine they find each other."""
        device = self.torch_device()
        # Nothing is heard by other machines.
        inward = {"linux": "lo", "darwin": "lo0"}.get(
            os.uname().sysname.lower() if os.name == "posix" else ""
        )
        for name in ("GLOO_SOCKET_IFNAME", "NCCL_SOCKET_IFNAME") if inward else ():
            os.environ.setdefault(name, inward or "")
        if device.type != "cpu":
            torch.accelerator.set_device_index(device)
        distributed.init_process_group(
            "cpu:gloo,cuda:nccl" if device.type == "cuda" else "gloo",
            init_method=(folder / "meeting").absolute().as_uri(),
            rank=self.part.rank,
            world_size=self.part.ranks,
            timeout=_TIMEOUT,
        )
        try:
            yield
        finally:
            distributed.destroy_process_group()


class _OverAll(TorchFunctionMode):
    """Whatever layer asks for batch normalisation of what it sees gets that of the whole batch.

    PyTorch's own SyncBatchNorm is for GPUs only, and takes the place of layers that networks have changed.
    """

    def __torch_function__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        kwargs = kwargs or {}
        if func is functional.batch_norm and (kwargs.get("training") or args[5:6] == (True,)):
            return normalise_over_all(*args, **kwargs)
        return func(*args, **kwargs)


def normalise_over_all(
    images: Tensor,
    running_mean: Tensor | None,
    running_var: Tensor | None,
    weight: Tensor | None = None,
    bias: Tensor | None = None,
    training: bool = True,
    momentum: float = 0.1,
    eps: float = 1e-5,
) -> Tensor:
    """`torch.nn.functional.batch_norm` in training, with mean and variance over all processes' images.

    Args:
        images: [N, C, …], of this process.
        running_mean: [C], moved towards the mean.
        running_var: [C], moved towards the unbiased variance.
        weight: [C].
        bias: [C].
        training: true.
        momentum: how far they are moved.
        eps: added to the variance.
    """
    normal, mean, variance, count = _Normalise.apply(images, eps)
    with torch.no_grad():
        if running_mean is not None and running_var is not None:
            running_mean.lerp_(mean.to(running_mean.dtype), momentum)
            unbiased = variance * (count / (count - 1).clamp(min=1))
            running_var.lerp_(unbiased.to(running_var.dtype), momentum)
    shape = [1, -1] + [1] * (images.ndim - 2)
    if weight is not None:
        normal = normal * weight.view(shape)
    if bias is not None:
        normal = normal + bias.view(shape)
    out: Tensor = normal.to(images.dtype)
    return out


class _Normalise(torch.autograd.Function):
    """Images less their mean, over their standard deviation; both of all processes together.

    Each gives mean, squared differences and count; they are joined as Chan et al. (1983) do, which loses no
    digits where the mean is large.
    """

    @staticmethod
    def forward(ctx: Any, images: Tensor, eps: float) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        shape, over = [1, -1] + [1] * (images.ndim - 2), [0, *range(2, images.ndim)]
        numbers = images.to(torch.promote_types(images.dtype, torch.float32))
        mean = numbers.mean(over)
        squares = (numbers - mean.view(shape)).square().sum(over)
        own = torch.cat([mean, squares, mean.new_tensor([images.numel() / images.shape[1]])])
        pieces = [torch.empty_like(own) for _ in range(distributed.get_world_size())]
        distributed.all_gather(pieces, own)
        told = torch.stack(pieces)
        means, squares, counts = told[:, : len(mean)], told[:, len(mean) : -1], told[:, -1:]
        count = counts.sum()
        mean = (means * counts).sum(0) / count
        variance = (squares + counts * (means - mean).square()).sum(0) / count
        scale = (variance + eps).rsqrt()
        normal = (numbers - mean.view(shape)) * scale.view(shape)
        ctx.save_for_backward(normal, scale, count)
        ctx.mark_non_differentiable(mean, variance, count)
        ctx.kind = images.dtype
        return normal, mean, variance, count

    @staticmethod
    def backward(ctx: Any, slope: Tensor, *_: Tensor) -> tuple[Tensor, None]:
        normal, scale, count = ctx.saved_tensors
        shape, over = [1, -1] + [1] * (normal.ndim - 2), [0, *range(2, normal.ndim)]
        sums = torch.cat([slope.sum(over), (slope * normal).sum(over)])
        distributed.all_reduce(sums)
        by_mean, by_scale = (sums / count).chunk(2)
        slope = (slope - by_mean.view(shape) - normal * by_scale.view(shape)) * scale.view(shape)
        return slope.to(ctx.kind), None
