"""A part of the training side, so that what more labels are worth can be measured.

Patients stand in one fixed order, and a part of the training side is the beginning of it. So a smaller part is inside
every larger one, and the parts are the same whatever is trained on them. The order serves the conditions in turn: next
is always a patient with the condition of which the smallest share has been taken so far. Each part then holds the
conditions in about the shares of the whole, and even a small one holds each of them.
"""

import logging
from collections.abc import Sequence

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from ecgfounder_ft.data.split_settings import EXCLUDED, TRAIN
from ecgfounder_ft.data.splits import TooFewRecordingsError, patient_hashes
from ecgfounder_ft.labels import PRESENT, STATE_NAMES

log = logging.getLogger(__name__)

BEYOND = "beyond split.training_recordings"
"""Why a recording is excluded."""


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
    log.info("%d of %d training recordings are used (split.training_recordings)", kept.sum(), len(training))
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
