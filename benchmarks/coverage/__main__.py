"""The command; its protocol stands in :mod:`benchmarks.coverage`."""

import argparse
import itertools
import time
from collections.abc import Callable, Sequence

import numpy as np
from scipy.stats import binom

from benchmarks.coverage import areas, folds, models, seeds
from benchmarks.results_between import RESULTS, write_between

COMMAND = "benchmarks.coverage"
ERROR, WANTED_OF_FOLDS, WANTED_OF_AREAS = 0.05, 0.93, 0.93
NUMBERS = {"seeds": 1000, "folds": 500, "models": 1000, "areas": 400}
"""Part to the studies of each of its settings."""
SHORT = {"seeds": 8, "folds": 3, "models": 4, "areas": 2}


def table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Markdown."""
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join(f"| {' | '.join(cells)} |" for cells in lines)


def above(share: float, studies: int, wanted: float, chance: float) -> bool:
    """Whether a share of studies is above what is wanted by more than chance."""
    return bool(binom.sf(round(share * studies) - 1, studies, wanted) < chance)


def below(count: int, studies: int, wanted: float, chance: float) -> bool:
    """Whether a number of studies is below a wanted share by more than chance."""
    return bool(binom.cdf(count, studies, wanted) < chance)


def of_seeds(studies: int, seed: int, short: bool) -> str:
    """Family-wise errors, and how often a difference of .05 is told."""
    grid = itertools.product(
        (2, 4), (3,) if short else (3, 5, 10), (100,) if short else (100, 300, 1000), (False, True),
        (0.0, 0.1) if short else (0.0, 0.02, 0.034, 0.07, 0.1),
    )  # fmt: skip
    cells: dict[tuple[int, float], list[dict[str, float]]] = {}
    worst: dict[str, list[str]] = {}
    largest: dict[str, float] = {}
    for place, (strategies, trained, patients, fixed, deviation) in enumerate(grid):
        if fixed and not deviation:
            continue
        setting = seeds.Setting(strategies, trained, patients, deviation, first_fixed=fixed)
        generator = np.random.default_rng([seed, 0, place])
        found = setting.sweeps(studies, generator).told(generator)
        cells.setdefault((trained, deviation), []).append(found)
        for name, share in found.items():
            largest[name] = max(largest.get(name, 0.0), share)
            if above(share, studies, ERROR, 0.001):
                worst.setdefault(name, []).append(f"{share:.1%} ({strategies} strategies, {trained} seeds)")
    names = list(largest)
    rows = [
        [str(trained), f"{deviation:g}", *(f"{100 * np.mean([one[name] for one in found]):.1f}" for name in names)]
        for (trained, deviation), found in sorted(cells.items())
    ]
    rows.append(["largest of all settings", "", *(f"{100 * largest[name]:.1f}" for name in names)])
    rows.append(["settings above 5% by more than chance", "", *(str(len(worst.get(name, []))) for name in names)])
    for trained, deviation in itertools.product((3,) if short else (3, 5, 10), (0.0, 0.034, 0.07)):
        generator = np.random.default_rng([seed, 1, trained, round(1000 * deviation)])
        found = seeds.Setting(2, trained, 300, deviation, better=0.05).sweeps(studies, generator).told(generator)
        rows.append([f"{trained}: truly apart by .05", f"{deviation:g}", *(f"{100 * found[n]:.1f}" for n in names)])
    return table(["seeds", "deviation between seeds", *names], rows)


def of_folds(studies: int, seed: int, short: bool) -> str:
    """Coverage and width of intervals of cross-validation."""
    settings = [
        folds.Setting(recordings, number, noisy)
        for recordings in ((120,) if short else (120, 300))
        for number in ((5,) if short else (5, 10))
        for noisy in (False, True)
    ]
    results = [
        folds.result_of(setting, studies, np.random.default_rng([seed, 2, place]))
        for place, setting in enumerate(settings)
    ]
    head = ["interval", *(f"{s.recordings}, {s.folds} folds{', noise' if s.noisy else ''}" for s in settings)]
    rows = []
    for name in results[0].held:
        cells = [
            f"{100 * one.held[name] / studies:.1f}{' !' * below(one.held[name], studies, WANTED_OF_FOLDS, 0.01)}, "
            f"{one.width[name]:.3f}; {100 * one.held_elsewhere[name] / studies:.1f}"
            for one in results
        ]
        mean = 100 * np.mean([one.held[name] for one in results]) / studies
        width = np.mean([one.width[name] for one in results])
        rows.append([name, *cells, f"{mean:.1f}, {width:.3f}"])
    numbers = ("pooled", "folds", "elsewhere")
    rows += [[f"mean of {name}", *(f"{one.means[name]:.3f}" for one in results), ""] for name in numbers]
    for name in ("pooled", "folds"):
        distances = [one.distances[name] for one in results]
        cells = [f"{np.sqrt(value):.4f}" for value in (*distances, np.mean(distances))]
        rows.append([f"distance of {name} from elsewhere", *cells])
    return table([*head, "mean"], rows)


def of_models(studies: int, seed: int, short: bool) -> str:
    """How often two equal models are told apart."""
    rows = []
    for positives in models.POSITIVES[:1] if short else models.POSITIVES:
        found = [
            models.told(positives, auroc, studies, np.random.default_rng([seed, 3, positives, round(100 * auroc)]))
            for auroc in models.AUROCS
        ]
        for name in found[0]:
            counts = [one[name][0] for one in found]
            cells = [f"{100 * c / studies:.1f}{' !' * above(c / studies, studies, ERROR, 0.01)}" for c in counts]
            width = np.mean([one[name][1] for one in found])
            rows.append([str(positives), name, *cells, f"{100 * np.mean(counts) / studies:.1f}", f"{width:.4f}"])
    return table(["patients with each", "interval", *(f"AUROC {a}" for a in models.AUROCS), "mean", "width"], rows)


def of_areas(studies: int, seed: int, short: bool) -> str:
    """Coverage and width of intervals of AUROC with few patients."""
    cells: dict[str, list[str]] = {}
    failed: dict[str, int] = {}
    widths: dict[str, list[float]] = {}
    numbers = areas.POSITIVES[:2] if short else areas.POSITIVES
    for positives in numbers:
        settings = areas.settings_of(positives)
        found = [
            areas.studied(setting, studies, np.random.default_rng([seed, 4, positives, place]))
            for place, setting in enumerate(settings)
        ]
        for name in found[0]:
            counts = [one[name][0] for one in found]
            width = float(np.mean([one[name][1] for one in found]))
            share = 100 * np.mean(counts) / studies
            cells.setdefault(name, []).append(f"{share:.1f} ({100 * min(counts) / studies:.0f}), {width:.3f}")
            widths.setdefault(name, []).append(width)
            failed[name] = failed.get(name, 0) + sum(below(c, studies, WANTED_OF_AREAS, 0.001) for c in counts)
    rows = [[name, *found, str(failed[name]), f"{np.mean(widths[name]):.3f}"] for name, found in cells.items()]
    return table(["interval", *map(str, numbers), "settings below 93%", "width"], rows)


PARTS: dict[str, tuple[Callable[[int, int, bool], str], str]] = {
    "seeds": (of_seeds, "Equal strategies told apart, in % of sweeps, on average over the settings of a row"),
    "folds": (
        of_folds,
        "Intervals of cross-validation: % that hold the mean of their number, their width; % that hold the mean of "
        "what the models do elsewhere. ! below 93% by more than chance",
    ),
    "models": (of_models, "Two equal models told apart, in %, ! above 5% by more than chance"),
    "areas": (
        of_areas,
        "AUROC by patients with the condition: % of intervals that hold it (lowest setting), mean width",
    ),
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seed", type=int, default=0, help="0 for looking, 1 for what is reported")
    parser.add_argument("--only", choices=PARTS, action="append", help="parts of the table")
    parser.add_argument("--short", action="store_true", help="few studies of few settings, to see that it runs")
    parser.add_argument("--write", action="store_true", help="write the tables into RESULTS.md")
    options = parser.parse_args()
    texts = []
    for name in options.only or PARTS:
        give, caption = PARTS[name]
        started = time.perf_counter()
        studies = (SHORT if options.short else NUMBERS)[name]
        found = give(studies, options.seed, options.short)
        took = f"{studies} studies of each setting, seed {options.seed}, {time.perf_counter() - started:.0f} s"
        texts.append(f"{caption} ({took}):\n\n{found}")
        print(f"{texts[-1]}\n", flush=True)
    if options.write:
        write_between(RESULTS, COMMAND, "\n\n".join(texts))


if __name__ == "__main__":
    main()
