"""Dealing groups of media into parts so that every part gets its share of every class."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
import polars as pl

_RESTARTS = 16
_MANY_GROUPS = 3000  # so many groups balance without a search

Ints = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]


def assign_groups(counts: Ints, shares: Sequence[float], seed: int) -> Ints:
    """Deal groups into parts, none torn, with the shares of size and of every class kept close.

    Groups with equal counts are dealt by quota in random order, the others one by one, most uneven first, to
    where they hurt least, as in scikit-learn's `StratifiedGroupKFold`; then single groups move as long as
    that helps, and the best of several random beginnings is taken. Unlike there, parts may be of different
    size and a medium may have several labels. What is minimised is the sum over parts p and classes c of
    (s_pc − s_p)² / s_p, with s_pc the share of class c that lies in p and s_p the share wanted; the number of
    media counts as much as all the classes together.

    Args:
        counts: int [groups, 1 + classes], at first the media of a group, then those of each class.
        shares: what share of the media each part is to have; they sum to 1.
        seed: of everything random.

    Returns:
        int [groups], the part of each; no part is empty.

    Raises:
        ValueError: there are fewer groups than parts.
    """
    if len(counts) < len(shares):
        raise ValueError(f"{len(counts)} groups cannot fill {len(shares)} parts")
    rng = np.random.default_rng(seed)
    wanted = np.asarray(shares, float)
    weights = _normalise(counts)
    dealt = _deal_alike(counts, wanted, rng)
    rest = int((dealt < 0).sum())
    tries = [_deal_rest(dealt.copy(), weights, wanted, rng) for _ in range(_RESTARTS if rest < 500 else 1)]
    costs = [_cost(weights, parts, wanted) for parts in tries]
    return _fill_empty(tries[int(np.argmin(costs))], counts[:, 0], len(shares))


def _normalise(counts: Ints) -> Floats:
    """Each column as shares of its total; the classes together weigh as much as the number of media."""
    weights = counts / np.maximum(counts.sum(0), 1)
    if counts.shape[1] > 1:
        weights[:, 1:] /= np.sqrt(counts.shape[1] - 1)
    return np.asarray(weights, float)


def _cost(weights: Floats, parts: Ints, wanted: Floats) -> float:
    return float((_excess(weights, parts, wanted) ** 2 / wanted[:, None]).sum())


def _excess(weights: Floats, parts: Ints, wanted: Floats) -> Floats:
    """float [parts, columns]: what each part has (groups with part −1 are in none) above what it should."""
    held = np.stack([weights[parts == part].sum(0) for part in range(len(wanted))])
    return np.asarray(held - wanted[:, None] * weights.sum(0))


def _deal_alike(counts: Ints, wanted: Floats, rng: np.random.Generator) -> Ints:
    """Give each part its whole quota of the groups that count alike; −1 for what is left over."""
    parts = np.full(len(counts), -1)
    _, kinds, sizes = np.unique(counts, axis=0, return_inverse=True, return_counts=True)
    order = rng.permutation(len(counts))
    order = order[np.argsort(kinds.ravel()[order], kind="stable")]
    starts = np.concatenate([[0], np.cumsum(sizes)])
    for start, size in zip(starts, sizes, strict=False):
        quotas = np.floor(wanted * size + 1e-9).astype(int)
        ends = start + np.cumsum(quotas)
        for part, (end, quota) in enumerate(zip(ends, quotas, strict=True)):
            parts[order[end - quota : end]] = part
    return parts


def _deal_rest(parts: Ints, weights: Floats, wanted: Floats, rng: np.random.Generator) -> Ints:
    rest = rng.permutation(np.flatnonzero(parts < 0))
    rest = rest[np.argsort(-weights[rest].std(1), kind="stable")]
    excess = _excess(weights, parts, wanted)
    for group in rest:
        # the rise of the cost if the group came to each part
        rise = (2 * excess @ weights[group] + weights[group] @ weights[group]) / wanted
        part = int(np.argmin(rise))
        parts[group] = part
        excess[part] += weights[group]
    return parts if len(parts) > _MANY_GROUPS else _improve(parts, weights, wanted)


def _improve(parts: Ints, weights: Floats, wanted: Floats) -> Ints:
    """Move the one group whose move lowers the cost most, until none does."""
    excess = _excess(weights, parts, wanted)
    squares = (weights**2).sum(1)
    groups = np.arange(len(parts))
    for _ in range(4 * len(parts)):
        along = 2 * weights @ excess.T  # [groups, parts]
        leave = (squares - along[groups, parts]) / wanted[parts]
        change = leave[:, None] + (along + squares[:, None]) / wanted
        change[groups, parts] = 0
        group, part = np.unravel_index(int(np.argmin(change)), change.shape)
        if change[group, part] > -1e-12:
            break
        excess[parts[group]] -= weights[group]
        excess[part] += weights[group]
        parts[group] = part
    return parts


def _fill_empty(parts: Ints, sizes: Ints, number: int) -> Ints:
    """Give a part without any group the smallest group of a part that has several."""
    for part in range(number):
        if not (parts == part).any():
            spare = np.flatnonzero(np.bincount(parts, minlength=number)[parts] > 1)
            parts[spare[np.argmin(sizes[spare])]] = part
    return parts


def connected(values: pl.Series, events: pl.Series) -> npt.NDArray[np.int64]:
    """int [rows]: connected components of values and events; rows that share either are in one.

    `events` may be null; `values` may not.
    """
    value = values.rank("dense").to_numpy().astype(np.int64) - 1
    event = events.rank("dense").fill_null(0).to_numpy().astype(np.int64) - 1
    known = event >= 0
    of_event = np.full(int(event.max(initial=-1)) + 1, -1)
    of_event[event[known]] = value[known]
    if (of_event[event[known]] == value[known]).all():  # no event joins two values
        return value
    from scipy.sparse import coo_array
    from scipy.sparse.csgraph import connected_components

    size = int(value.max()) + 1 + int(event.max(initial=-1)) + 1
    edges = (np.ones(known.sum(), np.int8), (value[known], int(value.max()) + 1 + event[known]))
    _, component = connected_components(coo_array(edges, shape=(size, size)), directed=False)
    return np.unique(component[value], return_inverse=True)[1].astype(np.int64)
