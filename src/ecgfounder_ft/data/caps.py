"""Which recordings a run uses at most: by condition to train on, by patient to evaluate on.

Each choice follows from the seed and the names of recordings or patients, not from the order of the rows.

A part of the training side shows what more labels are worth (:func:`exclude_beyond`). Patients stand in one fixed
order, and the part is its beginning, so that a smaller part is inside every larger one. The order serves the
conditions in turn: next is always a patient with the condition of which the smallest share has been taken. Each part
then holds the conditions in about the shares of the whole, and even a small one holds each of them.
"""

import logging
from collections.abc import Sequence

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from ecgfounder_ft.data.catalog import describe_counts, targets
from ecgfounder_ft.data.dealing import patient_hashes
from ecgfounder_ft.data.split_settings import EXCLUDED, TRAIN
from ecgfounder_ft.data.splits import TooFewRecordingsError
from ecgfounder_ft.labels import ABSENT, PRESENT, STATE_NAMES, LabelMap

logger = logging.getLogger(__name__)

BEYOND = "beyond split.training_recordings"
"""Why a recording is excluded."""


def select_max_samples(
    table: pd.DataFrame, label_map: LabelMap, max_samples: int | None, seed: int = 0
) -> pd.DataFrame:
    """At most ``max_samples`` recordings per condition of a selection, an even share of each dataset, filled up from
    the others.

    For recordings that were selected by condition already, as many as possible: which conditions occur together may
    change (:func:`draw_by_condition` is for those that were not).

    The rarest condition chooses first, so that recordings with several conditions serve the one that needs
    them; a recording is taken only while each of its conditions lacks some. Recordings that state no condition
    but exclude some form one more group of the same size; those that know nothing of any condition are left
    out.

    The choice follows from the seed and the recordings' names, not from the order of the rows.

    Returns:
        The chosen rows in their given order, all of them where ``max_samples`` is None. The counts are
        logged.
    """
    if max_samples is None:
        return table
    if max_samples < 1:
        raise ValueError(f"max_samples is {max_samples}; expected a positive number, or null for every recording")
    member = _groups(table, label_map)
    order = _random_order(table["recording"], seed)
    datasets = table["dataset"].to_numpy(dtype=str)
    chosen = np.zeros(len(table), dtype=bool)
    taken = np.zeros(member.shape[1], dtype=np.int64)
    for group in np.argsort(member.sum(0), kind="stable"):
        candidates = order[member[order, group]]
        names, counts = np.unique(datasets[candidates], return_counts=True)
        shares = dict(zip(names, _even_shares(counts, max_samples), strict=True))
        for name in names:
            shares[name] -= int(chosen[candidates[datasets[candidates] == name]].sum())
        for enforce_shares in (True, False):
            for row in candidates:
                if taken[group] >= max_samples:
                    break
                if chosen[row] or (taken[member[row]] >= max_samples).any():
                    continue
                if enforce_shares:
                    if shares[datasets[row]] <= 0:
                        continue
                    shares[datasets[row]] -= 1
                chosen[row] = True
                taken += member[row]
    selected = table[chosen]
    logger.info(
        "max_samples=%d keeps %d of %d recordings:\n%s",
        max_samples,
        len(selected),
        len(table),
        describe_counts(selected, label_map),
    )
    return selected


def draw_by_condition(
    table: pd.DataFrame, label_map: LabelMap, max_samples: int | None, seed: int = 0
) -> NDArray[np.bool_]:
    """At most ``max_samples`` recordings per condition to train on, without a preference for any combination of them.

    The recordings come in a random order, and each is taken unless it is too many:

    1. while none of its conditions has reached its share of the recording's dataset, where the shares of a condition
       are even, and what one dataset lacks goes to the others;
    2. then, in the same order, those left over while none of their conditions has reached ``max_samples``, for what
       other conditions kept from being taken.

    A recording counts for all its conditions. Recordings that state no condition but exclude some form one more group
    of the same size; those that know nothing of any condition are not drawn.

    So all combinations grow at the same rate until a condition is full, and then those with it stop. Within the most
    frequent condition every combination keeps its share, none is left out, and no rate could be raised without
    lowering a lower one (max-min fairness). What cannot be kept as well: a rare condition goes on without recordings
    that also have a frequent, full one, so that beside it the frequent one is rarer than it was.

    The choice follows from the seed and the recordings' names, not from the order of the rows.

    Returns:
        (recordings,): which are drawn, all of them where ``max_samples`` is None.

    Raises:
        ValueError: if ``max_samples`` is below 1.
    """
    if max_samples is None:
        return np.ones(len(table), dtype=bool)
    if max_samples < 1:
        raise ValueError(f"max_samples is {max_samples}; expected a positive number, or null for every recording")
    member = _groups(table, label_map)
    names, dataset = np.unique(table["dataset"].to_numpy(dtype=str), return_inverse=True)
    available = np.stack([member[dataset == number].sum(0) for number in range(len(names))], axis=1)
    shares = np.array([_even_shares(counts, max_samples) for counts in available], dtype=np.int64)
    combinations, combination = np.unique(np.column_stack([dataset, member]), axis=0, return_inverse=True)
    combination = combination.ravel()
    groups = [np.flatnonzero(row[1:]) for row in combinations]
    taken = np.zeros_like(shares)
    drawn = np.zeros(len(table), dtype=bool)
    order = _random_order(table["recording"], seed)
    for enforce_shares in (True, False):
        closed = [not len(of) for of in groups]
        for row in order[~drawn[order]].tolist():
            number = combination[row]
            if closed[number]:
                continue
            source, of = dataset[row], groups[number]
            full = taken[of, source] >= shares[of, source] if enforce_shares else taken[of].sum(1) >= max_samples
            if full.any():
                closed[number] = True  # what is full stays full
                continue
            drawn[row] = True
            taken[of, source] += 1
    return drawn


def sample_patients(patients: pd.Series, recordings: int | None, seed: int = 0) -> NDArray[np.bool_]:
    """All recordings of patients drawn at random, until the next patient would make them more than ``recordings``.

    Patients are drawn whatever they have, so conditions, and what occurs together, stay as frequent as they are. The
    draw follows from the seed and the patients' names: a larger one holds a smaller one.

    Args:
        patients: of each recording.
        recordings: at most; None: all.
        seed: another seed draws others.

    Returns:
        (recordings,): which are drawn. The first patient is, however many recordings that is.

    Raises:
        ValueError: if ``recordings`` is below 1.
    """
    if recordings is None:
        return np.ones(len(patients), dtype=bool)
    if recordings < 1:
        raise ValueError(
            f"max_evaluation_recordings is {recordings}; expected a positive number, or null for every recording"
        )
    numbers, names = pd.factorize(patients)
    order = _random_order(pd.Series(names), seed)
    total = np.cumsum(np.bincount(numbers, minlength=len(names))[order])
    kept = order[: max(1, int(np.searchsorted(total, recordings, side="right")))]
    return np.isin(numbers, kept)


def exclude_beyond(table: pd.DataFrame, codes: Sequence[str], recordings: int, seed: int) -> pd.DataFrame:
    """The table with no more than so many training recordings; the others are excluded.

    Args:
        table: divided, with ``patient``, ``split``, ``exclusion`` and the conditions.
        codes: the conditions.
        recordings: at most; those of a patient stay together, so that there may be a few fewer.
        seed: another seed gives another order of the patients.

    Raises:
        TooFewRecordingsError: if the training side has fewer, or its first patient more.
    """
    training = np.flatnonzero(table["split"] == TRAIN)
    if recordings > len(training):
        raise TooFewRecordingsError(
            f"split.training_recordings={recordings}, but the training side has {len(training)} recordings. Ask for at "
            "most as many, or raise data.max_samples if that is what limits it"
        )
    kept = first_patients(table.iloc[training], codes, recordings, seed)
    if not kept.any():
        raise TooFewRecordingsError(
            f"split.training_recordings={recordings}, but the first patient alone has more recordings than that; a "
            "patient's recordings stay together. Ask for more"
        )
    logger.info("%d of %d training recordings are used (split.training_recordings)", kept.sum(), len(training))
    beyond = table.index[training[~kept]]
    smaller = table.copy()
    smaller.loc[beyond, "split"] = EXCLUDED
    smaller.loc[beyond, "exclusion"] = BEYOND
    return smaller


def first_patients(table: pd.DataFrame, codes: Sequence[str], recordings: int, seed: int) -> NDArray[np.bool_]:
    """Which recordings belong to the first patients of the order, (recordings,): whole patients, as many as fit.

    Args:
        table: ``patient`` and the conditions.
        codes: the conditions.
        recordings: of the patients together, at most.
        seed: of the order among the patients of a condition.
    """
    patient, names = pd.factorize(table["patient"])
    size = np.bincount(patient, minlength=len(names))
    # A patient counts for each condition that one of its recordings has, or for none of them.
    member = np.zeros((len(names), len(codes) + 1), dtype=bool)
    for column, code in enumerate(codes):
        member[patient[(table[code] == STATE_NAMES[PRESENT]).to_numpy()], column] = True
    member[:, -1] = ~member.any(axis=1)
    hashes = np.zeros(len(names))
    hashes[patient] = patient_hashes(table["patient"], seed, "training subset")
    turn = np.lexsort((names.to_numpy(dtype=str), hashes))
    queues = [iter(turn[member[turn, column]]) for column in range(member.shape[1])]
    total, taken = member.sum(axis=0), np.zeros(member.shape[1], dtype=np.int64)
    used = np.zeros(len(names), dtype=bool)
    left = recordings
    while not used.all():
        share = np.divide(taken, total, out=np.ones(len(total)), where=total > 0)
        column = np.lexsort((total, share))[0]  # of equal shares the rarest condition
        following = next(one for one in queues[column] if not used[one])
        if size[following] > left:
            break
        used[following] = True
        left -= size[following]
        taken += member[following]
    return used[patient]


def _groups(table: pd.DataFrame, label_map: LabelMap) -> NDArray[np.bool_]:
    """(recordings, conditions + 1): the conditions that each states; the last one: it states none but excludes some."""
    states = targets(table, label_map)
    return np.column_stack([states == PRESENT, (states != PRESENT).all(1) & (states == ABSENT).any(1)])


def _random_order(names: pd.Series, seed: int) -> NDArray[np.intp]:
    """Positions in an order that follows from the seed and the names."""
    key = pd.util.hash_array(names.to_numpy(dtype=object), hash_key=f"{seed & (2**64 - 1):016x}")
    return np.lexsort((names.to_numpy(dtype=str), key))


def _even_shares(available: NDArray[np.integer], total: int) -> list[int]:
    """Split ``total`` evenly over sources, none above what it has; what one lacks the others fill up."""
    shares = [0] * len(available)
    left = total
    for waiting, source in enumerate(np.argsort(available, kind="stable")):
        sources_left = len(available) - waiting
        shares[source] = min(int(available[source]), -(-left // sources_left))
        left -= shares[source]
    return shares
