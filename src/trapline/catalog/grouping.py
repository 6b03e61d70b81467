"""Dealing groups of media into parts so that every part gets its share of every class."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import polars as pl

_RESTARTS = 16
_MANY_GROUPS = 3000  # so many groups balance without a search

_ROWS_AT_ONCE = 1_000_000

Ints = npt.NDArray[np.signedinteger[Any]]
Parts = npt.NDArray[np.int16]
Floats = npt.NDArray[np.float64]


def assign_groups(counts: Ints, shares: Sequence[float], seed: int, kinds: Ints | None = None) -> Parts:
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
        kinds: int [groups], where many groups count alike: the row of `counts` that is each group's.

    Returns:
        int [groups], the part of each; no part is empty.

    Raises:
        ValueError: there are fewer groups than parts.
    """
    counts, kind_of = np.unique(counts, axis=0, return_inverse=True)
    kinds = kind_of.ravel() if kinds is None else kind_of.ravel()[kinds]
    if len(kinds) < len(shares):
        raise ValueError(f"{len(kinds)} groups cannot fill {len(shares)} parts")
    rng = np.random.default_rng(seed)
    wanted = np.asarray(shares, float)
    weights = _normalise(counts, kinds)
    dealt = _deal_alike(kinds, wanted, rng)
    rest = int((dealt < 0).sum())
    excess = _excess(weights, kinds, dealt, wanted)
    best, least = dealt, np.inf
    for _ in range(_RESTARTS if rest < 500 else 1):
        parts = _deal_rest(dealt.copy(), weights, kinds, excess.copy(), wanted, rng)
        cost = float((_excess(weights, kinds, parts, wanted) ** 2 / wanted[:, None]).sum())
        if cost < least:
            best, least = parts, cost
    return _fill_empty(best, counts[:, 0], kinds, len(shares))


def _normalise(counts: Ints, kinds: Ints) -> Floats:
    """Each column as shares of its total; the classes together weigh as much as the number of media."""
    weights = counts / np.maximum(np.bincount(kinds, minlength=len(counts)) @ counts, 1)
    if counts.shape[1] > 1:
        weights[:, 1:] /= np.sqrt(counts.shape[1] - 1)
    return np.asarray(weights, float)


def _excess(weights: Floats, kinds: Ints, parts: Parts, wanted: Floats) -> Floats:
    """float [parts, columns]: what each part has (groups with part −1 are in none) above what it should."""
    held = np.stack([_sum_rows(weights, kinds[parts == part]) for part in range(len(wanted))])
    return np.asarray(held - wanted[:, None] * _sum_rows(weights, kinds))


def _sum_rows(weights: Floats, rows: Ints) -> Floats:
    """The sum of rows, one after the other, of which only some are in memory at a time.

    A seed gives the same split however many are: sums of other order differ in their last digit, which
    decides where two parts are equally good.
    """
    total = weights[rows[:_ROWS_AT_ONCE]].sum(0)
    for start in range(_ROWS_AT_ONCE, len(rows), _ROWS_AT_ONCE):
        some = weights[rows[start : start + _ROWS_AT_ONCE]]
        total = np.concatenate([total[None], some]).sum(0)
    return np.asarray(total)


def _deal_alike(kinds: Ints, wanted: Floats, rng: np.random.Generator) -> Parts:
    """Give each part its whole quota of the groups that count alike; −1 for what is left over."""
    parts = np.full(len(kinds), -1, np.int16)
    sizes = np.bincount(kinds)
    order = rng.permutation(len(kinds))
    order = order[np.argsort(kinds[order], kind="stable")]
    starts = np.concatenate([[0], np.cumsum(sizes)])
    for start, size in zip(starts, sizes, strict=False):
        quotas = np.floor(wanted * size + 1e-9).astype(int)
        ends = start + np.cumsum(quotas)
        for part, (end, quota) in enumerate(zip(ends, quotas, strict=True)):
            parts[order[end - quota : end]] = part
    return parts


def _deal_rest(
    parts: Parts,
    weights: Floats,
    kinds: Ints,
    excess: Floats,
    wanted: Floats,
    rng: np.random.Generator,
) -> Parts:
    rest = rng.permutation(np.flatnonzero(parts < 0))
    rest = rest[np.argsort(-weights[kinds[rest]].std(1), kind="stable")]
    for group in rest:
        weight = weights[kinds[group]]
        # the rise of the cost if the group came to each part
        rise = (2 * excess @ weight + weight @ weight) / wanted
        part = int(np.argmin(rise))
        parts[group] = part
        excess[part] += weight
    return parts if len(parts) > _MANY_GROUPS else _improve(parts, weights[kinds], wanted)


def _improve(parts: Parts, weights: Floats, wanted: Floats) -> Parts:
    """Move the one group whose move lowers the cost most, until none does."""
    groups = np.arange(len(parts))
    excess = _excess(weights, groups, parts, wanted)
    squares = (weights**2).sum(1)
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


def _fill_empty(parts: Parts, sizes: Ints, kinds: Ints, number: int) -> Parts:
    """Give a part without any group the smallest group of a part that has several."""
    for part in range(number):
        if not (parts == part).any():
            spare = np.flatnonzero(np.bincount(parts, minlength=number)[parts] > 1)
            parts[spare[np.argmin(sizes[kinds[spare]])]] = part
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
