"""What sets a run apart from others."""

from pathlib import Path

import yaml

from ecgfounder_ft.runs.folder import RunFolder
from ecgfounder_ft.runs.varied import varied_values


def run_with(folder: Path, overrides: list[str]) -> RunFolder:
    (folder / ".hydra").mkdir(parents=True)
    (folder / ".hydra" / "overrides.yaml").write_text(yaml.safe_dump(overrides))
    return RunFolder(folder)


def test_of_a_single_run_what_was_typed_but_for_places(tmp_path: Path) -> None:
    typed = ["optimizer.lr=1e-4", "finetune=lp_ft", "data.root='/a b'", "logger=[csv]", "logger.csv.name=x", "seed=3"]
    typed += ["model.leads=[I,II]", "model.weights=null", "+callbacks.mine.x=true", "~optimizer.fused"]
    run = run_with(tmp_path / "run", typed)
    assert varied_values(run) == {
        "optimizer.lr": 1e-4,
        "finetune": "lp_ft",
        "seed": 3,
        "model.leads": "['I', 'II']",
        "model.weights": "None",
        "callbacks.mine.x": True,
    }


def test_of_a_trial_what_the_sweep_varies(tmp_path: Path) -> None:
    sweep = ["optimizer.lr=1e-3,1e-4", "finetune=full", "trainer.max_epochs=3", "data.batch_size=choice(8,16)"]
    content = {"hydra": {"overrides": {"task": sweep}}}
    (tmp_path / "multirun.yaml").write_text(yaml.safe_dump(content))
    trial = ["optimizer.lr=0.001", "finetune=full", "trainer.max_epochs=3", "data.batch_size=8", "split.fold=2"]
    # split.fold was typed by nobody: a sweeper of its own kind added it
    assert varied_values(run_with(tmp_path / "0", trial)) == {
        "optimizer.lr": 1e-3,
        "data.batch_size": 8,
        "split.fold": 2,
    }


def test_a_run_from_python_has_none(tmp_path: Path) -> None:
    assert varied_values(RunFolder(tmp_path)) == {}
