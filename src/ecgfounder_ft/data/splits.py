"""Which recordings train, validate and test.

Two rules hold whatever the kind of split: a patient stands on one side, and so does a signal, under however many names
and patients it was published (several hundred of the recordings of PhysioNet/CinC 2021 stand in it twice). Where the
patient is unknown, ``unknown_patients`` says whether each recording counts as a patient of its own or its whole source
stays together.

``assignment: hash``
    A patient's side follows from a hash of the seed and the patient's name alone, so that adding data, conditions or
    sources never moves anyone. The shares come out right in large sets. A signal whose patients fell on two sides
    stays on the one that matters more (test before validation before train) and its other copies are ``excluded``.

``assignment: stratified``
    For small, hand-selected sets, where chance would leave a side without a rare condition: patients (together with
    those who share a signal with them) are dealt out condition by condition and source by source, rarest first, in the
    order of their hashes (iterative stratification: Sechidis, Tsoumakas & Vlahavas, ECML PKDD 2011). Adding data
    may move patients.
"""

from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from ecgfounder_ft.data.catalog import source_of
from ecgfounder_ft.data.dealing import deal_by_hash, deal_stratified, patient_hashes
from ecgfounder_ft.data.split_settings import EXCLUDED, ONE_SIDE, SIDES, TEST, TRAIN, VALIDATION, SplitSettings
from ecgfounder_ft.errors import ExplainedError
from ecgfounder_ft.labels import PRESENT, STATE_NAMES

_WEIGHT = {EXCLUDED: -1, TRAIN: 0, VALIDATION: 1, TEST: 2}
_PUBLISHED_FOLDS = {**dict.fromkeys(range(1, 9), TRAIN), 9: VALIDATION, 10: TEST}
"""PTB-XL's recommendation: folds 9 and 10 were checked by a cardiologist (Wagner et al., Scientific Data 2020)."""


class TooFewRecordingsError(ExplainedError, RuntimeError):
    """A side has too few recordings of a condition to train on it or to measure it; says which, and what to do."""


def split_recordings(
    table: pd.DataFrame,
    signal_hash: pd.Series,
    settings: SplitSettings,
    seed: int,
    codes: Sequence[str] = (),
) -> pd.DataFrame:
    """Divide recordings.

    Args:
        table: a catalog; ``patient``, ``patient_known`` (where it is there), ``dataset``, ``constituent``, ``fold`` and
            the conditions are used.
        signal_hash: of each recording, aligned to the table; the same for recordings of the same signal. Where signals
            are not known yet, the recordings' names, and :func:`exclude_copies` when they are.
        settings: how.
        seed: another seed gives another division.
        codes: the condition columns, for the stratified assignment.

    Returns:
        A frame aligned to the table: ``split`` (train, validation, test, excluded) and ``exclusion`` (why, or "").

    Raises:
        ValueError: if a source that the settings name is not in the table, a patient is blank, or a fold is unknown.
    """
    _require_patients(table)
    table = table.assign(patient=kept_together(table, settings))
    split = _fixed_sides(table, settings)
    free = split == ""
    if free.any():
        split[free] = _deal_sides(table[free], signal_hash[free], settings, seed, codes)
    exclusion = pd.Series("", index=table.index, dtype=object)
    exclusion[split == EXCLUDED] = "no published fold"
    lesser = _on_lesser_side(table["patient"], split)
    split[lesser] = EXCLUDED
    exclusion[lesser] = "patient on another side"
    return exclude_copies(pd.DataFrame({"split": split, "exclusion": exclusion}), signal_hash)


def exclude_copies(sides: pd.DataFrame, signal: pd.Series) -> pd.DataFrame:
    """A division in which no signal stands on two sides: it stays on the one that matters more, test before validation
    before train, and its other copies are excluded.

    Args:
        sides: ``split`` and ``exclusion``, as of :func:`split_recordings`.
        signal: the same for recordings of the same signal, aligned.
    """
    lesser = _on_lesser_side(signal, sides["split"])
    return pd.DataFrame(
        {
            "split": sides["split"].mask(lesser, EXCLUDED),
            "exclusion": sides["exclusion"].mask(lesser, "signal on another side"),
        }
    )


def kept_together(table: pd.DataFrame, settings: SplitSettings) -> pd.Series:
    """What stays on one side, by name: a recording's patient, or with ``unknown_patients: one_side`` the whole source
    of a recording whose patient is unknown."""
    patient = table["patient"]
    if settings.unknown_patients != ONE_SIDE or "patient_known" not in table:
        return patient
    source = source_of(table)
    return patient.where(~source.isin(set(source[~table["patient_known"].astype(bool)])), "source " + source)


# --- Sides ----------------------------------------------------------------------------------------------------------


def _require_patients(table: pd.DataFrame) -> None:
    blank = table["patient"].isna() | (table["patient"].astype(str).str.strip() == "")
    if blank.any():
        raise ValueError(
            f"{blank.sum()} recordings name no patient, the first {table.loc[blank, 'recording'].iloc[0]!r}; "
            "where the patient is not known, give the recording's own name"
        )


def _fixed_sides(table: pd.DataFrame, settings: SplitSettings) -> pd.Series:
    """The side that a source or a published fold decides, "" where it is to be dealt."""
    if settings.kind == "published":
        return _published_sides(table["fold"])
    if settings.kind == "external":
        tested = ~_is_from(table, settings.train_sources, "train_sources")
    elif settings.kind == "leave_one_source_out":
        tested = _is_from(table, [settings.held_out or ""], "held_out")
    else:
        return pd.Series("", index=table.index, dtype=object)
    if tested.all() or not tested.any():
        raise ValueError(
            f"split.kind={settings.kind} leaves {'nothing to train on' if tested.all() else 'nothing to test on'}: "
            f"the sources are {', '.join(sorted(set(source_of(table))))}"
        )
    return pd.Series(np.where(tested, TEST, ""), index=table.index, dtype=object)


def _is_from(table: pd.DataFrame, sources: Sequence[str], setting: str) -> pd.Series:
    known = set(table["dataset"]) | set(table["constituent"]) - {""}
    unknown = [source for source in sources if source not in known]
    if unknown:
        raise ValueError(
            f"split.{setting} names {', '.join(map(repr, unknown))}; "
            f"the datasets and constituents at hand are {', '.join(sorted(map(str, known)))}"
        )
    return table["dataset"].isin(sources) | table["constituent"].isin(sources)


def _published_sides(fold: pd.Series) -> pd.Series:
    strange = sorted(set(fold.dropna()) - set(_PUBLISHED_FOLDS))
    if strange:
        raise ValueError(f"split.kind=published knows the folds 1 to 10; found {', '.join(map(str, strange))}")
    if fold.isna().all():
        raise ValueError("split.kind=published, but no recording has a published fold (PTB-XL: ptbxl_database.csv)")
    return fold.map(_PUBLISHED_FOLDS).astype(object).where(fold.notna(), EXCLUDED)


def _deal_sides(
    table: pd.DataFrame, signal_hash: pd.Series, settings: SplitSettings, seed: int, codes: Sequence[str]
) -> NDArray[np.object_]:
    """The sides of recordings that nothing else decides, (recordings,)."""

    def deal(rows: NDArray[np.bool_], purpose: str, shares: Mapping[str, float]) -> NDArray[np.object_]:
        hashes = patient_hashes(table["patient"][rows], seed, purpose)
        if settings.assignment == "hash":
            return deal_by_hash(hashes, shares)
        return deal_stratified(table[rows], signal_hash[rows], hashes, shares, codes)

    everyone = np.ones(len(table), dtype=bool)
    if settings.kind == "random":
        return deal(everyone, "side", {TRAIN: settings.train, VALIDATION: settings.validation, TEST: settings.test})
    sides = np.full(len(table), TEST, dtype=object)
    rest = everyone
    if settings.kind == "kfold":
        folds = {str(number): 1 / settings.folds for number in range(settings.folds)}
        rest = deal(everyone, "fold", folds) != str(settings.fold)
    kept = settings.train + settings.validation
    shares = {TRAIN: settings.train / kept, VALIDATION: settings.validation / kept}
    sides[rest] = deal(rest, "validation", shares)
    return sides


def _on_lesser_side(key: pd.Series, split: pd.Series) -> pd.Series:
    """Tell which recordings share a key with one on a side that matters more."""
    weight = split.map(_WEIGHT)
    best = weight.groupby(key).transform("max")
    return (weight != _WEIGHT[EXCLUDED]) & (weight < best)


# --- Checks ---------------------------------------------------------------------------------------------------------


def require_enough(
    table: pd.DataFrame, split: pd.Series, codes: Sequence[str], settings: SplitSettings, names: Sequence[str] = SIDES
) -> None:
    """Stop where a side holds too few recordings of a condition.

    Args:
        table: the recordings that the task uses (in a single-label task, those with exactly one condition).
        split: their sides, aligned.
        codes: the conditions.
        settings: gives the minimum, and the sides that have a share at all.
        names: the sides to look at. A test side of sources that are not trained on may lack a condition.

    Raises:
        TooFewRecordingsError: with every side and condition that is short, and advice.
    """
    wanted = [side for side in names if getattr(settings, side) > 0]
    empty = [side for side in wanted if not (split == side).any()]
    if empty:
        raise TooFewRecordingsError(
            f"no recordings on the {' or '.join(empty)} side, of {len(table)} in all. {_what_would_help(settings)}"
        )
    short = []
    for side in wanted:
        rows = table[split == side]
        for code in codes:
            found = int((rows[code] == STATE_NAMES[PRESENT]).sum())
            if found < settings.minimum:
                short.append(f"{code} has {found} on the {side} side")
    if short:
        raise TooFewRecordingsError(
            f"too few recordings to train and to measure ({settings.minimum} of each condition are needed on each "
            f"side): {'; '.join(short)}. {_what_would_help(settings)}"
        )


def _what_would_help(settings: SplitSettings) -> str:
    """Advice that this split can follow, what costs least first."""
    advice = []
    if settings.assignment == "hash" and settings.kind != "published":
        advice.append("use split.assignment=stratified, which gives each side its share of every condition")
    if settings.training_recordings is not None:
        advice.append(f"train on more than split.training_recordings={settings.training_recordings}")
    if settings.kind == "kfold":
        advice.append(f"use fewer than split.folds={settings.folds}, so that each fold is larger")
    elif settings.kind != "published":
        advice.append("give the side a larger share")
    advice.append("add recordings of these conditions (see the list of skipped ones)")
    advice.append("leave the conditions out of the label map")
    advice.append("lower split.minimum")
    text = "; ".join(advice[:-1]) + f"; or {advice[-1]}"
    return text[0].upper() + text[1:]
