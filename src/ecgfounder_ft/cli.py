"""The program ``ecgfounder-ft``: its commands, its version and its log."""

import logging
from typing import Annotated

import typer
from rich.logging import RichHandler

from ecgfounder_ft import __version__
from ecgfounder_ft.commands.benchmark import benchmark
from ecgfounder_ft.commands.catalog import catalog
from ecgfounder_ft.commands.compare import compare
from ecgfounder_ft.commands.download import download
from ecgfounder_ft.commands.draw import draw
from ecgfounder_ft.commands.embed import embed
from ecgfounder_ft.commands.evaluate import evaluate
from ecgfounder_ft.commands.export import export
from ecgfounder_ft.commands.predict import predict
from ecgfounder_ft.commands.push import push
from ecgfounder_ft.commands.simulate import simulate
from ecgfounder_ft.commands.store import store
from ecgfounder_ft.commands.train import train
from ecgfounder_ft.console import PlainFormatter, plain_console

app = typer.Typer(
    name="ecgfounder-ft",
    help="Fine-tune ECGFounder, prepare data for it and work with its results.",
    no_args_is_help=True,
    pretty_exceptions_show_locals=False,
)
app.command(
    add_help_option=False,
    context_settings={"allow_extra_args": True, "ignore_unknown_options": True},
    options_metavar="",
)(train)
for _command in (simulate, download, catalog, store, draw, predict, embed, export, push, evaluate, compare, benchmark):
    app.command()(_command)


def _show_version(wanted: bool) -> None:
    if wanted:
        typer.echo(__version__)
        raise typer.Exit


@app.callback()
def _main(
    context: typer.Context,
    version: Annotated[
        bool, typer.Option("--version", callback=_show_version, is_eager=True, help="Print the version and exit.")
    ] = False,
) -> None:
    if context.invoked_subcommand == "train":  # its configuration sets up the log
        return
    handler = RichHandler(console=plain_console(), show_path=False, rich_tracebacks=False, log_time_format="%H:%M:%S")
    handler.setFormatter(PlainFormatter("%(message)s"))
    logging.basicConfig(level=logging.INFO, handlers=[handler])


if __name__ == "__main__":
    app()
