"""How a model fares where it was never trained: each source held out in turn, beside a split that mixes all of them."""

from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np

from ecgfounder_ft.evaluation.inputs import EvaluationInput
from ecgfounder_ft.evaluation.run_evaluation import RunEvaluation
from ecgfounder_ft.evaluation.several_trainings import MACRO, difference_of, draw_trainings, spread_of
from ecgfounder_ft.report.sweep_section import Section, SectionTable
from ecgfounder_ft.report.words import format_difference, format_value, with_interval
from ecgfounder_ft.sweeps.answers.trainings import Draws, draws_of, evaluated, interval_words
from ecgfounder_ft.sweeps.folder import SweepFolder
from ecgfounder_ft.sweeps.trial_results import TrialResult, by_configuration


def sections(folder: SweepFolder, trials: Sequence[TrialResult], metric: str, resamples: int | None) -> list[Section]:
    """Source times condition of each configuration, and what it drops against the mixed split.

    Args:
        folder: of the sweep.
        trials: finished ones of the design.
        metric: of :data:`~ecgfounder_ft.evaluation.metrics.METRICS`.
        resamples: of the patients; None: as the trials were evaluated.
    """
    draws = draws_of(trials, metric, resamples)
    text = [
        "Each row's source was held out: the model was trained and validated on all the others, and tested on all of "
        f"its recordings. {interval_words(trials)}",
        "The drop is over the recordings of the source that the mixed split tests too, so that the same recordings, "
        "patients and seeds stand on both sides of it: held out minus mixed.",
    ]
    tables = []
    for name, group in by_configuration(trials).items():
        ended = f" of {name}" if name != "all" else ""
        tables += matrix(group, draws, ended)
    return [Section("hospital_out", "Sources held out", text, tables)]


def matrix(trials: Sequence[TrialResult], draws: Draws, of: str) -> list[SectionTable]:
    """The metric of each held-out source by condition, and its drop."""
    mixed: dict[int, RunEvaluation] = {}
    tested: dict[str, dict[int, RunEvaluation]] = {}
    for one in trials:
        held_out = one.at("held_out")
        group = mixed if held_out is None else tested.setdefault(str(held_out), {})
        group[int(str(one.at("seed")))] = evaluated(one)
    if not tested:
        return []
    codes = next(iter(next(iter(tested.values())).values())).predictions.codes
    columns = ["source", "n", *codes, MACRO]
    values, drops = [], []
    for source, seeds in tested.items():
        trainings = draw_trainings(
            source,
            {seed: run.data for seed, run in seeds.items()},
            draws.metric,
            resamples=draws.resamples,
            seed=draws.seed,
        )
        spreads = [spread_of(trainings, column).over_both for column in trainings.columns]
        recordings = len(next(iter(seeds.values())).data.targets)
        values.append([source, f"{recordings:,}", *(with_interval(format_value(found), found) for found in spreads)])
        drops.append(_drop(source, seeds, mixed, draws, len(codes) + 1))
    label = draws.label.removeprefix("macro ")
    tables = [SectionTable(f"{label}{of} by source held out and condition", columns, values)]
    if mixed:
        tables.append(SectionTable(f"Drop of {label}{of}: held out minus mixed, same recordings", columns, drops))
    return tables


def _drop(
    source: str, held_out: Mapping[int, RunEvaluation], mixed: Mapping[int, RunEvaluation], draws: Draws, columns: int
) -> list[str]:
    """A row of differences over the recordings that both test."""
    seeds = [seed for seed in held_out if seed in mixed]
    names = [
        set(run.rows["recording"].iloc[run.data.kept]) for one in (held_out, mixed) for run in (one[s] for s in seeds)
    ]
    shared = set.intersection(*names) if names else set()
    if not shared:
        return [source, "0", *["–"] * columns]
    first, second = (
        draw_trainings(
            name, {seed: _only(one[seed], shared) for seed in seeds}, draws.metric,
            resamples=draws.resamples, seed=draws.seed,
        )
        for name, one in (("mixed", mixed), ("held out", held_out))
    )  # fmt: skip
    found = [difference_of(first, second, column).estimate for column in first.columns]
    return [source, f"{len(shared):,}", *(with_interval(format_difference(one), one) for one in found)]


def _only(run: RunEvaluation, recordings: set[str]) -> EvaluationInput:
    """Some of the evaluated recordings; their order is that of their names."""
    names = run.rows["recording"].iloc[run.data.kept]
    chosen = run.data.select(np.flatnonzero(names.isin(recordings)))
    return replace(chosen, kept=np.arange(len(chosen.kept), dtype=np.int64))
