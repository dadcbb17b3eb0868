"""``ecgfounder-ft train``."""

import typer


def train(context: typer.Context) -> None:
    """Fine-tune: group=choice key=value ...; `ecgfounder-ft train --help` lists them."""
    from ecgfounder_ft.train import main_of_command

    main_of_command(context.args)
