"""``ecgfounder-ft compare``."""

from pathlib import Path
from typing import Annotated

import typer

from ecgfounder_ft.commands.options import path_argument, path_option
from ecgfounder_ft.console import say
from ecgfounder_ft.errors import run_or_explain


def compare(
    runs: Annotated[
        list[Path],
        path_argument(
            "Folders of runs with the same test recordings, the first as reference; or the folder of one sweep.",
        ),
    ],
    sort_by: Annotated[str, typer.Option(help="The macro metric that orders the table.")] = "auroc",
    resamples: Annotated[
        int | None, typer.Option(help="Bootstrap resamples of patients; by default as many as the first run has.")
    ] = None,
    output: Annotated[
        Path, path_option("The page; a CSV stands beside it. Those of a sweep stay in its folder.")
    ] = Path("comparison.html"),
) -> None:
    """Set runs side by side: paired differences with intervals, McNemar tests. Of a sweep, show its answer again."""

    def run() -> None:
        import time

        from ecgfounder_ft.evaluation.run_comparison import comparison_table, require_metric
        from ecgfounder_ft.files import require_place_for, write_csv, write_text
        from ecgfounder_ft.report.page import render_comparison
        from ecgfounder_ft.runs.compare import compare_runs
        from ecgfounder_ft.sweeps.folder import SweepFolder

        if len(runs) == 1 and SweepFolder(runs[0]).is_sweep:
            from ecgfounder_ft.sweeps.answer import show_answer

            show_answer(SweepFolder(runs[0]), metric=require_metric(sort_by), resamples=resamples)
            return
        for file in (output, output.with_suffix(".csv")):
            require_place_for(file)
        comparison = compare_runs(runs, resamples=resamples, sort_by=sort_by)
        table = comparison_table(comparison)
        write_csv(output.with_suffix(".csv"), table)
        page = render_comparison(comparison, title="Comparison of runs", created=time.strftime("%Y-%m-%d %H:%M"))
        write_text(output, page)
        shown = ["run", "recordings", f"macro_{sort_by}", "difference_value", "difference_low", "difference_high"]
        say(table[shown].to_string(index=False, float_format=lambda value: f"{value:.3f}", na_rep="-"))
        say(f"{output} and {output.with_suffix('.csv')}")

    run_or_explain(run)
