"""``ecgfounder-ft benchmark``."""

from pathlib import Path
from typing import Annotated

import typer

from ecgfounder_ft.commands.options import AcceptEdited, path_argument, path_option
from ecgfounder_ft.console import say
from ecgfounder_ft.errors import run_or_explain


def benchmark(
    runs: Annotated[list[Path], path_argument("Folders of runs that were trained with benchmark=...")],
    resamples: Annotated[
        int | None, typer.Option(help="Bootstrap resamples of patients; by default as many as each run has.", min=0)
    ] = None,
    output: Annotated[Path, path_option("The page; Markdown stands beside it.")] = Path("benchmark.html"),
    accept_edited: AcceptEdited = False,
) -> None:
    """Set runs on PTB-XL or the Challenges beside published values: macro AUROC and Fmax, with intervals."""

    def run() -> None:
        import time

        from ecgfounder_ft.files import require_place_for, write_text
        from ecgfounder_ft.report.benchmark_page import benchmarks_markdown, render_benchmarks
        from ecgfounder_ft.report.words import format_value, with_interval
        from ecgfounder_ft.runs.benchmarked import benchmarked_runs, published_values

        beside = output.with_suffix(".md")
        for file in (output, beside):
            require_place_for(file)
        found = benchmarked_runs(runs, resamples=resamples, accept_edited=accept_edited)
        published = published_values()
        write_text(beside, benchmarks_markdown(found, published))
        write_text(output, render_benchmarks(found, published, created=time.strftime("%Y-%m-%d %H:%M")))
        for one in found:
            area, best = one.scores.macro_auroc, one.scores.fmax
            say(
                f"{one.name}, {one.benchmark}: macro AUROC {with_interval(format_value(area), area)}, "
                f"Fmax {with_interval(format_value(best), best)}"
            )
            if one.scores.left_out:
                say(f"  left out, without a test recording: {', '.join(one.scores.left_out)}")
            for difference in one.differs:
                say(f"  differs from the benchmark: {difference}")
        say(f"{output} and {beside}")

    run_or_explain(run)
