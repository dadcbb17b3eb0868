"""``ecgfounder-ft compare``."""

from pathlib import Path
from typing import Annotated

import typer

from ecgfounder_ft.commands.options import AcceptEdited, path_argument, path_option
from ecgfounder_ft.console import say
from ecgfounder_ft.errors import run_or_explain


def compare(
    runs: Annotated[
        list[Path],
        path_argument(
            "Folders of runs with the same test recordings, the first as reference; or the folder of one sweep.",
        ),
    ],
    sort_by: Annotated[
        str, typer.Option(help="The macro metric that is compared, and orders the runs by validation.")
    ] = "auroc",
    resamples: Annotated[
        int | None, typer.Option(help="Bootstrap resamples of patients; by default as many as the first run has.")
    ] = None,
    output: Annotated[
        Path, path_option("The page; a CSV stands beside it. Those of a sweep stay in its folder.")
    ] = Path("comparison.html"),
    accept_edited: AcceptEdited = False,
) -> None:
    """Set runs side by side: paired differences with intervals, McNemar tests. Of a sweep, show its answer again."""

    def run() -> None:
        import time

        from ecgfounder_ft.evaluation.run_comparison import comparison_table, require_metric
        from ecgfounder_ft.files import require_place_for, write_csv, write_text
        from ecgfounder_ft.report.comparison_page import comparison_lines, render_comparison
        from ecgfounder_ft.runs.compare import compare_runs
        from ecgfounder_ft.sweeps.folder import SweepFolder

        if len(runs) == 1 and SweepFolder(runs[0]).is_sweep:
            from ecgfounder_ft.sweeps.answer import show_answer

            metric = require_metric(sort_by)
            show_answer(SweepFolder(runs[0]), metric=metric, resamples=resamples, accept_edited=accept_edited)
            return
        for file in (output, output.with_suffix(".csv")):
            require_place_for(file)
        comparison = compare_runs(runs, resamples=resamples, sort_by=sort_by, accept_edited=accept_edited)
        write_csv(output.with_suffix(".csv"), comparison_table(comparison))
        page = render_comparison(comparison, title="Comparison of runs", created=time.strftime("%Y-%m-%d %H:%M"))
        write_text(output, page)
        for line in comparison_lines(comparison):
            say(line)
        say(f"{output} and {output.with_suffix('.csv')}")

    run_or_explain(run)
