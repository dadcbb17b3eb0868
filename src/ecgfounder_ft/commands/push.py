"""``ecgfounder-ft push``."""

from pathlib import Path
from typing import Annotated

import typer

from ecgfounder_ft.commands.options import path_argument
from ecgfounder_ft.console import say
from ecgfounder_ft.errors import run_or_explain


def push(
    model: Annotated[Path, path_argument("The folder of an exported model.")],
    repository: Annotated[str, typer.Argument(help="On the Hugging Face Hub: group/name; made if absent.")],
    private: Annotated[
        bool, typer.Option("--private/--public", help="Whether the repository is seen by its group alone.")
    ] = True,
    revision: Annotated[str | None, typer.Option(help="Branch, made if absent; default: main.")] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Check the model and say what would be sent.")] = False,
) -> None:
    """Put an exported model on the Hugging Face Hub. Sign in first: hf auth login, or HF_TOKEN."""

    def run() -> None:
        from ecgfounder_ft.inference.hub import push as push_model

        done = push_model(model, repository, private=private, revision=revision, dry_run=dry_run)
        for name, size in done.files.items():
            say(f"{name}  {size:,} bytes")
        for name in done.left_out:
            say(f"left out, no part of an exported model: {name}", err=True)
        kind = "private" if done.private else "public"
        where = f"{done.repository} ({kind}), revision {done.revision}"
        say(f"would be sent to {where}; nothing was" if done.url is None else f"sent to {where}: {done.url}")

    run_or_explain(run)
