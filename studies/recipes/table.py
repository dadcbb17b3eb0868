"""The table of the comparison of recipes, in Markdown."""

from argparse import Namespace
from collections.abc import Sequence

from studies.paired_costs import signed
from studies.recipes.arms import Judged


def table_of(judged: Sequence[Judged], best: str, options: Namespace) -> list[str]:
    """The lines of the table, and below it what stands in no row.

    Args:
        judged: arms in the order of their rows.
        best: of the first stage, by validation.
        options: of the command.
    """
    sizes = sorted(judged[0].auroc)
    head = ["arm", "validation", *(f"{size:,}" for size in sizes), "gain (95% interval)", "over its start"]
    head += ["worst condition", "log loss", "below start, val / test", "s", "rule"]
    lines = [f"| {' | '.join(head)} |", "| --- | ---: |" + " ---: |" * (len(head) - 3) + " --- |"]
    for one in judged:
        cells = [f"`{one.name}`", f"{one.validation:.3f}"]
        cells += [f"{one.auroc[size]:.3f} ± {one.deviation[size]:.3f}" for size in sizes]
        cells += [signed(one.gain.estimate), signed(one.over_start.estimate), f"{one.worst[1]:+.3f} ({one.worst[0]})"]
        cells.append(" / ".join(f"{one.log_loss[size]:.3f}" for size in sizes))
        validation, test, trainings = one.below_start
        cells.append(f"{validation} / {test} of {trainings}")
        cells += [f"{one.seconds:.0f}", "passes" if one.passes else ""]
        lines.append(f"| {' | '.join(cells)} |")
    return [
        f"Macro AUROC of the test recordings, mean and deviation of {options.seeds} seeds; at most {options.epochs} "
        f"epochs; {options.resamples:,} draws. Gain over `today`; second stage with `{best}`.",
        "",
        *lines,
    ]
