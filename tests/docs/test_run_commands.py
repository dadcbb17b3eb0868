"""Every training command, and every other, that README.md and docs/ name, run to its end on small stand-ins."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from ecgfounder_ft.data.sources.simulated import write_selected_folders
from ecgfounder_ft.ecg.formats import read_recording
from ecgfounder_ft.labels import LabelMap
from tests.docs.datasets import write_challenge, write_mimic, write_table
from tests.docs.documented import ROOT, Command, commands, files_of, pages
from tests.small_run import train

pytestmark = pytest.mark.slow

SMALL = {
    "model/architecture": "demo",
    "model.weights": "demo_12_lead",
    "trainer.max_epochs": "1",
    "trainer.accelerator": "cpu",
    "data.batch_size": "16",
    "evaluation.resamples": "20",
    "evaluation.baselines": "false",
    "evaluation.report": "false",
}
"""What a command that trains is made small by, where it does not say otherwise."""
SMALLER = {
    "sweep.n_trials=50": "sweep.n_trials=2",
    "sweep.folds=5": "sweep.folds=3",
    "sweep.seeds=5": "sweep.seeds=2",
    "sweep.sizes=100,300,1000,all": "sweep.sizes=20,40,all",
    "model.weights=12_lead_ECGFounder,null": "model.weights=demo_12_lead,null",
    "model/architecture=full,my_network": "model/architecture=demo,my_network",
}
"""What a command says of its own size, and what takes its place."""
LEFT_OUT = {
    "make": "what it does is tested by itself",
    "python -m benchmarks": "it needs recordings, and is tested by itself",
    "python -m studies": "it takes long, and is tested by itself",
    "tensorboard": "it serves until it is stopped",
    "ecgfounder-ft download": "it needs the network",
    "hydra/launcher": "it needs a cluster",
    "--jobs": "it needs a cluster",
    "RUN": "it names no run",
    "RECORDING.hea": "it names no recording",
    "b/0001.edf": "it needs an extra",
    "ecgfounder-ft compare outputs/latest": "tests/sweeps shows the answer of a sweep again",
    "logger": "it needs an extra",
    "ecgfounder-ft push": "it needs the network",
}


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory, label_map: LabelMap) -> Path:
    """A folder with all that the commands name, at the paths that they name, ``/data`` being ``data`` in it."""
    folder = tmp_path_factory.mktemp("place")
    simulated = folder / "data"
    mimic, physionet = write_selected_folders(simulated, label_map, 12, seed=0)
    write_mimic(simulated / "mimic-iv-ecg" / "1.0", mimic, label_map)
    write_challenge(simulated / "challenge-2021" / "1.0.3", physionet)
    shutil.copytree(physionet, folder / "my_recordings")
    write_table(folder / "my_recordings.csv", folder / "my_recordings", tuple(label_map.codes))
    write_table(folder / "my_table.csv", folder / "my_recordings", ("AFIB", "PVC"))
    for page in pages():
        for name, content in files_of(page):
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            (folder / name).write_text(content)
    for name in ("run-a", "run-b", "run-c", "latest"):
        train(folder / "outputs" / name, folder / "small", "trainer.max_epochs=1")
    shutil.copytree(physionet, folder / "recordings")
    (folder / "arrays").mkdir()
    microvolts = 1000 * read_recording(next(physionet.rglob("*.hea"))).signal
    np.save(folder / "arrays" / "one.npy", microvolts)
    return folder


def small(command: Command, place: Path) -> list[str]:
    """The words of a command, on the stand-ins, small where it trains."""
    text = command.text.replace("/data/", f"{place}/data/")
    words = [SMALLER.get(word, word) for word in Command(command.page, text).words]
    if not command.trains or "--help" in words:
        return words
    said = {word.split("=", 1)[0].lstrip("+") for word in words}
    chosen = dict(SMALL)
    if "model=1lead" in words:
        chosen["model.weights"] = "demo_1_lead"
    if "model/architecture" in said:
        chosen.pop("model/architecture")
    if not said & {"data", "experiment", "data.mimic_path", "resume"}:
        words += [
            f"data.mimic_path={place}/data/MIMIC IV Selected",
            f"data.physionet_path={place}/data/Physionet 2021 Selected",
        ]
    if "data=table" in words:  # 36 recordings
        chosen["split.assignment"] = "stratified"
    if "resume" in said:
        chosen = {}
    return [*words, *(f"{key}={value}" for key, value in chosen.items() if key not in said)]


@pytest.mark.timeout(600)
@pytest.mark.parametrize("command", {tuple(command.words): command for command in commands()}.values(), ids=str)
def test_it_runs(command: Command, place: Path) -> None:
    for start, reason in LEFT_OUT.items():
        if command.text.startswith(start) or any(word.partition("=")[0] == start for word in command.words):
            pytest.skip(reason)
    words = small(command, place)
    if words[0] == "ecgfounder-ft":
        words = [sys.executable, "-m", "ecgfounder_ft", *words[1:]]
    elif words[0] == "python":
        words = [sys.executable, *words[1:]]
        words[1:2] = [str(ROOT / words[1])] if (ROOT / words[1]).exists() else [words[1]]
    environment = os.environ | {"OMP_NUM_THREADS": "1", "PYTHONPATH": os.pathsep.join([str(ROOT / "src"), str(place)])}
    found = subprocess.run(words, cwd=place, env=environment, capture_output=True, text=True, timeout=580, check=False)
    assert found.returncode == 0, f"{' '.join(words)}\n{found.stdout[-2000:]}{found.stderr[-4000:]}"
