"""Makes README's pictures from the demo: a report, a sweep, and a recording with its answer.

python docs/pictures.py

Trains the demo once and three of its strategies with three seeds each (some ten minutes on two cores), then takes the
pages' pictures with Chromium. Everything but the pictures goes into ``outputs/pictures``.
"""

import csv
import shutil
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
WORK = Path("outputs/pictures")
PICTURES = ROOT / "docs" / "pictures"
WIDTH = 1000
"""Of a page's picture, in pixels."""
_BROWSERS = ("chromium", "chromium-browser", "google-chrome")


def main() -> None:
    """Train, predict, and take the pictures.

    Raises:
        SystemExit: if there is no Chromium.
    """
    browser = next(filter(None, map(shutil.which, _BROWSERS)), None)
    if browser is None:
        raise SystemExit(f"no browser found: expected one of {', '.join(_BROWSERS)} on PATH")
    shutil.rmtree(ROOT / WORK, ignore_errors=True)
    PICTURES.mkdir(exist_ok=True)
    demo, new = "experiment=demo", WORK / "new_patients"
    _python("train.py", demo, f"hydra.run.dir={WORK / 'run'}")
    strategies = "finetune=linear_probe,discriminative,full"
    _python("train.py", "-m", demo, "sweep=seeds", "sweep.seeds=3", strategies, f"hydra.sweep.dir={WORK / 'sweep'}")
    _python("-m", "ecgfounder_ft", "simulate", new, "--recordings", "2", "--seed", "7", "--hospital", "shifted")
    answers = ("--output", WORK / "new_patients.csv", "--plots", WORK / "pages")
    _python("-m", "ecgfounder_ft", "predict", WORK / "run", new, *answers)
    shutil.copyfile(_page_of("Atrial Flutter"), PICTURES / "recording.png")
    _screenshot(browser, ROOT / WORK / "run" / "report.html", PICTURES / "report.png", height=1330)
    _screenshot(browser, ROOT / WORK / "sweep" / "sweep.html", PICTURES / "sweep.png", height=1330)


def _page_of(condition: str) -> Path:
    """The page of the first recording whose folder is of a condition."""
    with (ROOT / WORK / "new_patients.csv").open(encoding="utf-8", newline="") as file:
        number = next(number for number, row in enumerate(csv.DictReader(file)) if condition in row["path"])
    return next((ROOT / WORK / "pages").rglob(f"{number:07d}-*.png"))


def _python(*arguments: str | Path) -> None:
    subprocess.run([sys.executable, *map(str, arguments)], cwd=ROOT, check=True)


def _screenshot(browser: str, page: Path, picture: Path, height: int) -> None:
    options = (
        "--headless=new",
        "--no-sandbox",
        "--disable-gpu",
        "--hide-scrollbars",
        f"--window-size={WIDTH},{height}",
    )
    subprocess.run([browser, *options, f"--screenshot={picture}", page.as_uri()], check=True, capture_output=True)


if __name__ == "__main__":
    main()
