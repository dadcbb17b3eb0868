"""Runs on the field's benchmarks, and the values that others published for them."""

from __future__ import annotations

import csv
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ecgfounder_ft.runs.digests import require_unedited
from ecgfounder_ft.runs.folder import RunFolder, RunFolderError

if TYPE_CHECKING:
    from ecgfounder_ft.config.settings import Settings
    from ecgfounder_ft.evaluation.benchmark_scores import BenchmarkScores

BENCHMARKS = {
    **{
        f"ptbxl_{level}": "ptbxl"
        for level in ("all", "diagnostic", "subdiagnostic", "superdiagnostic", "form", "rhythm")
    },
    "challenge2021": "physionet2021",
    "cpsc2018": "physionet2021",
}
"""Label map of each benchmark to its data source."""

EPOCHS, MONITOR = 100, "validation/macro_auroc"
"""Longest training of a benchmark, and what chooses its epoch."""


@dataclass(frozen=True)
class PublishedValue:
    """One row of ``published_values.csv``."""

    benchmark: str
    model: str
    metric: str
    value: float
    uncertainty: str
    """Published uncertainty in units of the last digit of the value; empty where none was published."""
    protocol: str
    differs: str
    """How its protocol differs from that of this project's ``benchmark=`` files; empty where it does not."""
    source: str


@dataclass(frozen=True)
class BenchmarkedRun:
    """One run on a benchmark."""

    name: str
    benchmark: str
    scores: BenchmarkScores
    protocol: str
    differs: tuple[str, ...]
    """How it differs from the protocol of the benchmark."""
    seconds: float | None
    """Time from start to end of the run; None where it is not known."""


def published_values() -> list[PublishedValue]:
    """The published values that ship with the package."""
    text = files("ecgfounder_ft.runs").joinpath("published_values.csv").read_text(encoding="utf-8")
    found = []
    for row in csv.DictReader(text.splitlines()):
        value = float(row.pop("value"))
        found.append(PublishedValue(value=value, **row))
    return found


def benchmarked_run(path: Path, *, resamples: int | None = None, accept_edited: bool = False) -> BenchmarkedRun:
    """Score the test recordings of a run on the benchmark of its label map.

    Args:
        path: the run's folder.
        resamples: of patients; None: as many as the run was evaluated with.
        accept_edited: go on although files of the run were edited.

    Raises:
        RunFolderError: if it is no finished run, was edited, or its label map is that of no benchmark.
    """
    from ecgfounder_ft.evaluation.benchmark_scores import benchmark_scores
    from ecgfounder_ft.evaluation.inputs import prepare

    folder = RunFolder(path)
    folder.require()
    require_unedited(folder, accept=accept_edited)
    settings = folder.settings()
    benchmark = settings.label_map.name
    if benchmark not in BENCHMARKS:
        raise RunFolderError(
            f"{path} has the label map '{benchmark}', which is that of no benchmark; train with benchmark= one of: "
            f"{', '.join(BENCHMARKS)}"
        )
    configuration = folder.plain_configuration()
    predictions = folder.predictions()
    rows = predictions.rows("test")
    if rows.empty:
        raise RunFolderError(f"{path} has no predictions of test recordings: has the run finished?")
    data = prepare(
        predictions.targets(rows),
        predictions.probabilities(rows),
        rows["patient"].to_numpy(),
        predictions.codes,
        task=predictions.task,
    )
    own = settings.evaluation
    drawn = own.resamples if resamples is None else resamples
    return BenchmarkedRun(
        name=path.resolve().name,
        benchmark=benchmark,
        scores=benchmark_scores(data, resamples=drawn, seed=own.seed),
        protocol=_protocol(settings, configuration),
        differs=_differences(settings, configuration, BENCHMARKS[benchmark]),
        seconds=_number(folder.read_status().get("seconds")),
    )


def benchmarked_runs(
    paths: Sequence[Path], *, resamples: int | None = None, accept_edited: bool = False
) -> list[BenchmarkedRun]:
    """Score several runs, those of a benchmark beside each other; see :func:`benchmarked_run`."""
    found = [benchmarked_run(path, resamples=resamples, accept_edited=accept_edited) for path in paths]
    order = list(BENCHMARKS)
    return sorted(found, key=lambda run: order.index(run.benchmark))


def _protocol(settings: Settings, configuration: Mapping[str, Any]) -> str:
    used = settings.preprocessing
    filters = "filtered" if used.band_pass is not None else "not filtered"
    scale = "millivolts" if used.scale is None else used.scale
    start = configuration["model"]["weights"] or "random start"
    strategy = str(configuration["finetune"]["_target_"]).rpartition(".")[2]
    return f"{start}, {strategy}; {used.window.seconds:g} s at {used.sampling_rate:g} Hz, {filters}, {scale}"


def _differences(settings: Settings, configuration: Mapping[str, Any], source: str) -> tuple[str, ...]:
    """How a run differs from the protocol that ``benchmark=`` sets."""
    found = []
    if settings.source.source != source:
        found.append(f"data={settings.source.source} in place of {source}")
    if source == "ptbxl" and settings.split.kind != "published":
        found.append(f"split={settings.split.kind} in place of the published folds")
    if settings.source.max_samples is not None:
        found.append(f"at most {settings.source.max_samples} training recordings per condition")
    if (epochs := configuration["trainer"]["max_epochs"]) != EPOCHS:
        found.append(f"{epochs} epochs in place of {EPOCHS}")
    if (monitor := configuration["monitor"]["name"]) != MONITOR:
        found.append(f"best epoch by {monitor} in place of {MONITOR}")
    return tuple(found)


def _number(value: Any) -> float | None:
    return float(value) if isinstance(value, int | float) and not isinstance(value, bool) else None
