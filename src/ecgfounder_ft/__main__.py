"""``python -m ecgfounder_ft``: the same as ``ecgfounder-ft``."""

from ecgfounder_ft.cli import app

if __name__ == "__main__":
    app(prog_name="ecgfounder-ft")
