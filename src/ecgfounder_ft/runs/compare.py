"""Runs on the same recordings side by side."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from ecgfounder_ft.evaluation.run_comparison import RunComparison, compare_evaluations
from ecgfounder_ft.evaluation.run_evaluation import RunEvaluation, evaluate_predictions
from ecgfounder_ft.runs.digests import require_unedited
from ecgfounder_ft.runs.folder import RunFolder, RunFolderError
from ecgfounder_ft.runs.varied import varied_values


def compare_runs(
    paths: Sequence[Path],
    *,
    resamples: int | None = None,
    side: str = "test",
    sort_by: str = "auroc",
    accept_edited: bool = False,
) -> RunComparison:
    """Evaluate runs, each by its own settings, and compare each with the first, recording by recording.

    Args:
        paths: at least two run folders.
        resamples: of the patients; None: as many as the first run was evaluated with.
        side: which recordings are compared.
        sort_by: the macro metric that is compared, and orders the runs by validation.
        accept_edited: compare although files of a run were edited.

    Raises:
        RunFolderError: if fewer than two folders are given, or one lacks something or was edited.
        NotComparableError: if the runs' recordings, labels, conditions or tasks differ, or the metric is unknown.
    """
    if len({path.resolve() for path in paths}) < 2:
        raise RunFolderError("comparing takes at least two different run folders")
    runs: dict[str, RunEvaluation] = {}
    drawn, seed = 0, 0
    for name, path in zip(_names(paths), paths, strict=True):
        folder = RunFolder(path)
        folder.require()
        require_unedited(folder, accept=accept_edited)
        own = folder.settings().evaluation
        if not runs:
            drawn, seed = own.resamples if resamples is None else resamples, own.seed
        predictions = folder.predictions()
        ordered = predictions.table.sort_values("recording", kind="stable").reset_index(drop=True)
        runs[name] = evaluate_predictions(
            replace(predictions, name=name, table=ordered),
            replace(own, by=[], resamples=drawn, seed=seed),
            side=side,
            baselines=folder.baselines(predictions.codes),
        )
    return compare_evaluations(runs, resamples=drawn, seed=seed, sort_by=sort_by)


def _names(folders: Sequence[Path]) -> list[str]:
    """Name trials of one sweep by their own settings, and other runs by the shortest different ends of their paths."""
    if len({folder.resolve().parent for folder in folders}) == 1:
        varied = [varied_values(RunFolder(folder)) for folder in folders]
        told = [key for values in varied for key in values if len({str(one.get(key)) for one in varied}) > 1]
        keys = list(dict.fromkeys(told))
        names = [" ".join(f"{key}={values[key]}" for key in keys if key in values) for values in varied]
        if all(names) and len(set(names)) == len(names):
            return [f"{name} ({folder.resolve().name})" for name, folder in zip(names, folders, strict=True)]
    parts = [folder.resolve().parts for folder in folders]
    for length in range(1, max(map(len, parts)) + 1):
        names = ["/".join(entry[-length:]) for entry in parts]
        if len(set(names)) == len(names):
            break
    return names
