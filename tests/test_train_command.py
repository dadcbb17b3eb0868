"""``python train.py`` and ``ecgfounder-ft`` as a user types them."""

import csv
import functools
import os
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from ecgfounder_ft.train import help_text
from tests import forked
from tests.small_run import SMALL, small_run

ROOT = Path(__file__).parents[1]
FORMS = {
    "train.py": [str(ROOT / "train.py")],
    "module": ["-m", "ecgfounder_ft", "train"],
    "command": ["-c", "from ecgfounder_ft.cli import app; app()", "train"],  # as the installed script
}
"""What stands after ``python`` in each form of the training command."""
EACH_FORM = ["command", *(pytest.param(form, marks=pytest.mark.slow) for form in FORMS if form != "command")]
"""For what takes ten seconds."""


def train(*arguments: str, cwd: Path = ROOT, form: str = "train.py") -> subprocess.CompletedProcess[str]:
    command = [sys.executable, *FORMS[form], *arguments]
    return subprocess.run(command, cwd=cwd, capture_output=True, text=True, timeout=240, check=False)


def command(*arguments: str, cwd: Path = ROOT) -> subprocess.CompletedProcess[str]:
    """``ecgfounder-ft train``, where it is not the form or what is imported that is looked at."""
    return forked.command("train", *arguments, cwd=cwd)


def test_without_data_it_says_what_to_download_and_names_the_demo(tmp_path: Path) -> None:
    found = command("data.mimic_path=/nowhere/mimic", f"hydra.run.dir={tmp_path}")
    assert found.returncode == 2
    assert "/nowhere/mimic" in found.stderr
    assert "https://physionet.org/content/mimic-iv-ecg" in found.stderr
    assert "ecgfounder-ft train experiment=demo" in found.stderr
    assert "Traceback" not in found.stderr + found.stdout


def test_a_table_whose_files_are_absent_names_the_first_and_lists_all(tmp_path: Path) -> None:
    rows = "".join(f"ecgs/{number}.hea,1,0,0,0,0,0\n" for number in range(3))
    (tmp_path / "table.csv").write_text(f"path,NORM,AFIB,AFLT,1dAVb,RBBB,LBBB\n{rows}")
    found = command("data=table", "data.path=table.csv", "hydra.run.dir=run", "model.weights=null", cwd=tmp_path)
    assert found.returncode == 2
    said = " ".join(found.stderr.split())
    assert f"The first: {tmp_path}/ecgs/0.hea: header cannot be read (No such file or directory)" in said
    assert "does data.root, or the table's folder, lead to where paths start?" in said
    listed = list(csv.DictReader((tmp_path / "run" / "skipped.csv").open()))
    assert [Path(row["path"]).name for row in listed] == ["0.hea", "1.hea", "2.hea"]


@pytest.mark.parametrize("form", FORMS)
def test_help_says_what_can_be_done(form: str) -> None:
    found = train("--help", form=form)
    assert found.returncode == 0
    assert found.stdout.strip() == help_text().strip()
    for word in ("experiment=demo", "data.max_samples=500", "tensorboard --logdir outputs", "finetune"):
        assert word in found.stdout
    for usage in ("python train.py [", "ecgfounder-ft train [", "python -m ecgfounder_ft train ["):
        assert usage in found.stdout


@pytest.mark.parametrize("command", ["train.py", "-m ecgfounder_ft.cli", "-m ecgfounder_ft train"])
def test_help_imports_no_torch(command: str) -> None:
    arguments = [sys.executable, "-X", "importtime", *command.split(), "--help"]
    found = subprocess.run(arguments, cwd=ROOT, capture_output=True, text=True, timeout=120, check=True)
    imported = {line.rsplit("|", 1)[-1].strip() for line in found.stderr.splitlines() if "import time" in line}
    assert "ecgfounder_ft" in imported
    assert not imported & {"numpy", "torch", "pytorch_lightning", "wfdb", "matplotlib", "sklearn"}


@pytest.mark.parametrize("form", ["train.py", "ecgfounder_ft train"])
def test_a_refused_configuration_imports_no_numpy(form: str) -> None:
    program = f"""
import runpy, sys
name, *given = {form.split()}
sys.argv = [name, *given, "optimizer.lrr=1"]
try:
    run = runpy.run_path if name.endswith(".py") else runpy.run_module
    run(name, run_name="__main__")
except SystemExit as end:
    print(end.code, sorted({{"numpy", "torch", "pandas"}} & sys.modules.keys()))
"""
    found = subprocess.run([sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, check=True)
    assert found.stdout.strip() == "2 []"
    assert "lrr" in found.stderr


@pytest.mark.parametrize("form", EACH_FORM)
def test_each_form_passes_what_is_typed_on_to_hydra(form: str, tmp_path: Path) -> None:
    """From another folder; values with blanks, an equals sign, a minus."""
    overrides = ["data.mimic_path='/a b/c=d'", "~callbacks.progress_bar", "optimizer.lr=-1.0"]
    found = train("-c", "job", *overrides, cwd=tmp_path, form=form)
    assert found.stderr == ""
    assert found.returncode == 0, found.stderr
    config = yaml.safe_load(found.stdout)
    assert config["data"]["mimic_path"] == "/a b/c=d"
    assert config["optimizer"]["lr"] == -1.0
    assert "progress_bar" not in config["callbacks"]
    about = train("--info", "searchpath", cwd=tmp_path, form=form).stdout
    assert about == train("--info", "searchpath", cwd=tmp_path).stdout
    assert str(ROOT / "configs") in about
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("form", FORMS)
def test_each_form_refuses_to_go_on_where_no_run_is(form: str, tmp_path: Path) -> None:
    found = train(f"resume={tmp_path / 'nothing'}", cwd=tmp_path, form=form)
    assert found.returncode == 2
    assert "no run there" in found.stderr
    assert not list(tmp_path.iterdir())


REFUSED_IN_A_TRIAL = ("data.mimic_path=/nowhere", "seed=1,2")
"""Two trials that are refused at once, each on its own: a sweep may run on another machine than it is started on."""


@pytest.mark.slow
@pytest.mark.parametrize("form", FORMS)
def test_each_form_runs_a_sweep(form: str, tmp_path: Path) -> None:
    """Trials that are refused at once, since what is at stake is that there are two."""
    sweep = f"hydra.sweep.dir={tmp_path / 'sweep'}"
    found = train("-m", *REFUSED_IN_A_TRIAL, sweep, cwd=tmp_path, form=form)
    assert found.stderr.count("no folder of mimic_iv_ecg") == 2, found.stdout + found.stderr
    assert {path.parent.name for path in (tmp_path / "sweep").glob("*/train.log")} == {"0", "1"}


@pytest.mark.parametrize("form", ["forked", *(pytest.param(form, marks=pytest.mark.slow) for form in FORMS)])
def test_own_configurations_are_found_by_each_form_and_in_a_sweep(form: str, tmp_path: Path) -> None:
    """Trials that are composed and then refused, for the same reason."""
    own = tmp_path / "configs" / "optimizer"
    own.mkdir(parents=True)
    (own / "mine.yaml").write_text("defaults: [adamw, _self_]\nlr: 0.125\n")
    (own / "adam.yaml").write_text(
        "defaults: [adam_schema, _self_]\nlr: 0.25\nweight_decay: 0\nbetas: [0.9, 0.99]\nfused: true\n"
    )
    (own / "slip.yaml").write_text("defaults: [adamw, _self_]\nlrr: 0.125\n")
    folder = tmp_path / "sweep"
    sweep = ("-m", "optimizer=mine,adam", "data.mimic_path=/nowhere", f"hydra.sweep.dir={folder}")
    typed = command if form == "forked" else functools.partial(train, form=form)
    typed(*sweep, cwd=tmp_path)
    composed = [folder / trial / ".hydra" / "config.yaml" for trial in ("0", "1")]
    assert [yaml.safe_load(file.read_text())["optimizer"]["lr"] for file in composed] == [0.125, 0.25]
    assert f"{tmp_path / 'configs'} take precedence" in (folder / "0" / "train.log").read_text()
    refused = typed("optimizer=slip", cwd=tmp_path)
    assert refused.returncode == 2
    assert "optimizer/slip.yaml: there is no value" in refused.stderr
    assert "Did you mean optimizer.lr?" in refused.stderr


@pytest.mark.slow
@pytest.mark.timeout(600)
@pytest.mark.parametrize("form", FORMS)
def test_each_form_trains_in_two_processes(form: str, tmp_path: Path) -> None:
    """From another folder than the checkout; the second process writes a log of its own."""
    small = [one for one in SMALL if not one.startswith(("data.batch_size=", "trainer.max_epochs="))]
    settings = ["data.batch_size=8", "trainer.max_epochs=1", f"hydra.run.dir={tmp_path / 'a run'}"]
    found = subprocess.run(
        [sys.executable, *FORMS[form], "trainer=ddp", *small, *settings],
        cwd=tmp_path,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        timeout=250,
        check=False,
    )
    assert found.returncode == 0, found.stdout + found.stderr
    run = tmp_path / "a run"
    assert {"train.log", "train_ddp_process_1.log"} <= {path.name for path in run.glob("*.log")}
    assert (run / "metrics.json").is_file()


def test_a_refused_configuration_has_no_traceback(tmp_path: Path) -> None:
    for slip in ("optimizer.lrr=1", "model.weights=/nowhere.pth"):  # tests/config/test_preflight.py has many more
        found = command(slip, "experiment=demo", f"hydra.run.dir={tmp_path / 'run'}", cwd=tmp_path)
        assert found.returncode == 2, slip
        assert len(found.stderr.strip().splitlines()) == 1, found.stderr
        assert "Traceback" not in found.stderr
        assert not list(tmp_path.iterdir()), slip


def test_a_stranger_s_run_folder_and_configurations_run_nothing(tmp_path: Path) -> None:
    """As typed, with everything a folder may hold that Hydra or this package reads."""
    ran = tmp_path / "ran"
    touch = {"_target_": "pathlib.Path.touch", "self": str(ran)}
    run = tmp_path / "outputs"
    (run / ".hydra").mkdir(parents=True)
    content = {"callbacks": {"trap": touch}, "hydra": {"callbacks": {"trap": touch}}, "output_dir": str(run)}
    content["trusted_targets"] = ["pathlib.Path.touch"]
    for file in ("config.yaml", ".hydra/config.yaml", ".hydra/hydra.yaml"):
        (run / file).write_text(yaml.safe_dump(content))
    (run / ".hydra" / "overrides.yaml").write_text(
        yaml.safe_dump(["+hydra.callbacks.trap._target_=pathlib.Path.touch"])
    )
    before = sorted(run.rglob("*"))
    found = train(f"resume={run}", cwd=tmp_path)
    assert found.returncode == 2
    assert "callbacks.trap wants 'pathlib.Path.touch' to be run" in found.stderr
    for flags in (["--config-dir", str(run / ".hydra"), "--config-name", "config"], ["--config-dir", str(run)]):
        found = train(*flags, cwd=tmp_path)
        assert found.returncode == 2, found.stderr
        assert "config.yaml: " in found.stderr
    assert not ran.exists()
    assert sorted(run.rglob("*")) == before


def test_a_sweep_runs_all_trials_and_a_failed_one_shows(small_root: Path, tmp_path: Path) -> None:
    found = command(
        "-m",
        *small_run(small_root, "trainer.max_epochs=1", "trainer.limit_train_batches=1"),
        "split.minimum=1,1000",
        f"hydra.sweep.dir={tmp_path}",
    )
    assert found.returncode == 1, found.stderr
    assert "1 of 2 trials did not finish (failed: 1)" in found.stderr
    rows = list(csv.DictReader((tmp_path / "sweep.csv").open()))
    assert [row["state"] for row in rows] == ["finished", "failed"]
    assert float(rows[0]["validation/macro_auroc"]) > 0
    assert [row["split.minimum"] for row in rows] == ["1", "1000"]
    assert "too few recordings" in rows[1]["error"]
    assert (tmp_path / "0" / "model.pth").is_file()


@pytest.mark.slow
def test_a_design_of_a_sweep_without_its_flag_is_refused(tmp_path: Path) -> None:
    found = train("sweep=seeds", f"hydra.run.dir={tmp_path}")
    assert found.returncode == 2
    assert "add -m" in found.stderr
