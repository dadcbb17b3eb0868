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

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from ecgfounder_ft.data.catalog import source_of
from ecgfounder_ft.data.split_settings import EXCLUDED, ONE_SIDE, SIDES, TEST, TRAIN, VALIDATION, SplitSettings
from ecgfounder_ft.errors import ExplainedError
from ecgfounder_ft.labels import PRESENT, STATE_NAMES

_WEIGHT = {EXCLUDED: -1, TRAIN: 0, VALIDATION: 1, TEST: 2}
_PUBLISHED_FOLDS = {**dict.fromkeys(range(1, 9), TRAIN), 9: VALIDATION, 10: TEST}
"""PTB-XL's recommendation: folds 9 and 10 were checked by a cardiologist (Wagner et al., Scientific Data 2020)."""


class LeakageError(ExplainedError, RuntimeError):
    """A patient or a signal stands on two sides."""


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


def unknown_patients(table: pd.DataFrame) -> pd.Series:
    """Source to the number of its recordings whose patient is unknown, without sources that have none."""
    if "patient_known" not in table:
        return pd.Series(dtype=int)
    return source_of(table)[~table["patient_known"].astype(bool)].value_counts().sort_index()


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
            return _deal_by_hash(hashes, shares)
        return _deal_stratified(table[rows], signal_hash[rows], hashes, shares, codes)

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
    """Which recordings share a key with one on a side that matters more."""
    weight = split.map(_WEIGHT)
    best = weight.groupby(key).transform("max")
    return (weight != _WEIGHT[EXCLUDED]) & (weight < best)


# --- Dealing patients out -------------------------------------------------------------------------------------------


def patient_hashes(patients: pd.Series, seed: int, purpose: str) -> NDArray[np.float64]:
    """A number in [0, 1) per recording that depends on nothing but the patient, the seed and the purpose."""
    codes, names = pd.factorize(patients)
    digests = (hashlib.blake2b(f"{seed}\0{purpose}\0{name}".encode(), digest_size=8).digest() for name in names)
    values = np.array([(int.from_bytes(digest, "big") >> 11) / 2**53 for digest in digests])
    return values[codes]


def _deal_by_hash(hashes: NDArray[np.float64], shares: Mapping[str, float]) -> NDArray[np.object_]:
    names = list(shares)
    bounds = np.cumsum(list(shares.values()))[:-1]
    return np.array(names, dtype=object)[np.searchsorted(bounds, hashes, side="right")]


def _deal_stratified(
    table: pd.DataFrame,
    signal_hash: pd.Series,
    hashes: NDArray[np.float64],
    shares: Mapping[str, float],
    codes: Sequence[str],
) -> NDArray[np.object_]:
    """Iterative stratification of linked patients over conditions within sources."""
    group = _linked(table["patient"], signal_hash)
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


def _linked(*keys: pd.Series) -> NDArray[np.int64]:
    """Groups of recordings that share a patient or a signal, directly or through others, (recordings,)."""
    from scipy.sparse import coo_array
    from scipy.sparse.csgraph import connected_components

    n = len(keys[0])
    edges, size = [], n
    for key in keys:
        codes, names = pd.factorize(key)
        edges.append(codes + size)
        size += len(names)
    ends = np.concatenate(edges)
    starts = np.tile(np.arange(n), len(keys))
    graph = coo_array((np.ones(len(ends), dtype=np.int8), (starts, ends)), shape=(size, size))
    _, components = connected_components(graph, directed=False)
    return np.unique(components[:n], return_inverse=True)[1]


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


# --- Checks ---------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class LeakageReport:
    """What stands on two sides, by source; every number must be zero."""

    by_source: pd.DataFrame
    """One row per source, and one for ``all``: patients, patients_on_two_sides, signals, signals_on_two_sides, the
    recordings excluded to keep it so, and patient_unknown, the recordings of which nothing can be said: those whose
    patient is unknown."""
    examples: tuple[str, ...]
    """Some of the patients and signals at fault."""

    @property
    def found(self) -> int:
        """Patients and signals on two sides."""
        return int(self.by_source[["patients_on_two_sides", "signals_on_two_sides"]].loc["all"].to_numpy().sum())

    def with_excluded(self, more: Mapping[str, int]) -> "LeakageReport":
        """The report with recordings that were excluded already before the table was made: source to number."""
        counts = self.by_source.reindex([*sorted({*self.by_source.index, *more} - {"all"}), "all"], fill_value=0)
        counts["recordings_excluded"] += pd.Series({**more, "all": sum(more.values())}).reindex(
            counts.index, fill_value=0
        )
        counts.index.name = self.by_source.index.name
        return LeakageReport(counts, self.examples)

    def require_none(self) -> None:
        """Raise :class:`LeakageError` unless every number is zero."""
        if self.found:
            row = self.by_source.loc["all"]
            raise LeakageError(
                f"{row['patients_on_two_sides']} patient(s) and {row['signals_on_two_sides']} signal(s) stand on two "
                f"sides of the split, for example {', '.join(self.examples)}; results would be too good to be true"
            )


def leakage_report(table: pd.DataFrame, split: pd.Series, signal_hash: pd.Series) -> LeakageReport:
    """Count the patients and signals that stand on two sides, by the source of the recordings concerned.

    It looks at nothing but the finished split, so that it also judges a split made elsewhere.
    """
    used = split != EXCLUDED
    source = source_of(table)
    unknown = unknown_patients(table[used])
    counts = pd.DataFrame(index=[*sorted(set(source)), "all"])
    examples: list[str] = []
    for name, key in (("patients", table["patient"]), ("signals", signal_hash)):
        sides = split[used].groupby(key[used]).nunique()
        faulty = key.isin(sides.index[sides > 1]) & used
        examples += [f"{name[:-1]} {value}" for value in sorted(set(key[faulty]))[:5]]
        for column, rows in ((name, used), (f"{name}_on_two_sides", faulty)):
            counts[column] = key[rows].groupby(source[rows]).nunique()
            counts.loc["all", column] = key[rows].nunique()
    counts["recordings_excluded"] = (~used).groupby(source).sum()
    counts.loc["all", "recordings_excluded"] = (~used).sum()
    counts["patient_unknown"] = unknown
    counts.loc["all", "patient_unknown"] = unknown.sum()
    counts.index.name = "source"
    return LeakageReport(counts.fillna(0).astype(int), tuple(examples))


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
    short = []
    for side in names:
        rows = table[split == side]
        for code in codes:
            found = int((rows[code] == STATE_NAMES[PRESENT]).sum())
            if found < settings.minimum and getattr(settings, side) > 0:
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
