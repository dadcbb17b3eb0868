"""How patients are dealt to sides: by a hash of their name, or stratified over conditions and sources."""

import hashlib
from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from ecgfounder_ft.data.catalog import source_of
from ecgfounder_ft.data.near_copies import groups_of
from ecgfounder_ft.labels import PRESENT, STATE_NAMES


def patient_hashes(patients: pd.Series, seed: int, purpose: str) -> NDArray[np.float64]:
    """Return a number in [0, 1) per recording that follows from its patient, the seed and the purpose alone."""
    codes, names = pd.factorize(patients)
    digests = (hashlib.blake2b(f"{seed}\0{purpose}\0{name}".encode(), digest_size=8).digest() for name in names)
    values = np.array([(int.from_bytes(digest, "big") >> 11) / 2**53 for digest in digests])
    return values[codes]


def deal_by_hash(hashes: NDArray[np.float64], shares: Mapping[str, float]) -> NDArray[np.object_]:
    """Deal each recording to the side whose part of [0, 1) its patient's number lies in."""
    names = list(shares)
    bounds = np.cumsum(list(shares.values()))[:-1]
    return np.array(names, dtype=object)[np.searchsorted(bounds, hashes, side="right")]


def deal_stratified(
    table: pd.DataFrame,
    signal_hash: pd.Series,
    hashes: NDArray[np.float64],
    shares: Mapping[str, float],
    codes: Sequence[str],
) -> NDArray[np.object_]:
    """Deal linked patients by iterative stratification over conditions within sources."""
    group = groups_of(pd.factorize(table["patient"])[0], pd.factorize(signal_hash)[0])
    source, sources = pd.factorize(source_of(table), sort=True)
    present = np.zeros((len(table), len(codes)), dtype=bool)
    for column, code in enumerate(codes):
        present[:, column] = table[code] == STATE_NAMES[PRESENT]
    conditions = present.shape[1]
    # What a recording counts for: its conditions within its source, and its source where it has none.
    strata = np.zeros((len(table), conditions + 1, len(sources)), dtype=bool)
    strata[np.arange(len(table)), :conditions, source] = present
    strata[np.arange(len(table)), conditions, source] = ~present.any(axis=1)
    n_groups = group.max() + 1
    member = np.zeros((n_groups, conditions + 1, len(sources)), dtype=bool)
    np.logical_or.at(member, group, strata)
    # The turn of a group is that of one patient, chosen by name. The least number of all would come earlier in large
    # groups, and what comes first is dealt to training.
    ordered = np.lexsort((table["patient"].to_numpy(dtype=str), group))
    turn = hashes[ordered[np.searchsorted(group[ordered], np.arange(n_groups))]]
    names = np.array(list(shares), dtype=object)
    return names[_iterative_stratification(member, turn, np.array(list(shares.values())))[group]]


def _iterative_stratification(
    member: NDArray[np.bool_], order: NDArray[np.float64], shares: NDArray[np.float64]
) -> NDArray[np.int64]:
    """One side per group, so that each stratum and each condition is divided by the shares.

    Args:
        member: (groups, conditions, sources): which strata a group belongs to, at least one.
        order: (groups,): the groups' turn.
        shares: (sides,), which add up to 1.
    """
    of_condition: NDArray[np.bool_] = np.any(member, axis=2)
    wish_stratum = member.sum(axis=0)[:, :, None] * shares
    wish_condition = of_condition.sum(axis=0)[:, None] * shares
    wish_all = len(member) * shares
    has = np.zeros(wish_condition.shape, dtype=bool)  # condition has been dealt to the side
    wanted = shares > 0
    side_of = np.full(len(member), -1)
    turn = np.lexsort((order,))
    while (side_of < 0).any():
        left = of_condition[side_of < 0].sum(axis=0)
        condition = int(np.argmin(np.where(left > 0, left, len(member) + 1)))
        for group in turn[of_condition[turn, condition] & (side_of[turn] < 0)]:
            lacking = wanted & ~has[condition]
            # From three patients on, no side goes without the condition.
            allowed = lacking if lacking.sum() >= left[condition] else wanted
            strata = member[group]
            wishes = (wish_stratum[condition, strata[condition]].sum(axis=0), wish_condition[condition], wish_all)
            side = int(np.lexsort([np.where(allowed, wish, -np.inf) for wish in reversed(wishes)])[-1])
            side_of[group] = side
            has[of_condition[group], side] = True
            wish_stratum[strata, side] -= 1
            wish_condition[of_condition[group], side] -= 1
            wish_all[side] -= 1
            left[condition] -= 1
    return side_of
