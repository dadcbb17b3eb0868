"""An exported model: the same answers everywhere, how fast ONNX Runtime is, and how small its installation.

    python -m benchmarks.exported answers --recordings DIR    # largest differences over all recordings below a folder
    python -m benchmarks.exported speed                       # the full network, in batches of 1 and of 32
    python -m benchmarks.exported install                     # a fresh environment; downloads the core dependencies

``answers`` and ``speed`` take the full network with random weights, its last layer drawn wide enough for probabilities
from 0 to 1, and a calibration for each condition. ``speed`` has three ways in turns in one process: the plain network
(plain_net1d.py), ours in torch, and ONNX Runtime, each with as many threads as cores. The fastest round of each
counts, since whatever else runs on a machine only slows; the probabilities have to agree to 1e-4, or it stops.
``install`` tells processor time, for the same reason.
"""

import argparse
import os
import statistics
import subprocess
import sys
import tempfile
import time
import venv
from collections.abc import Callable
from dataclasses import replace
from itertools import islice
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
from benchmarks import machine

ROOT = Path(__file__).resolve().parents[1]
TOLERANCE = 1e-4
RUN = "run.pth"
"""As a run leaves it."""
HEAD_SPREAD = 40.0
"""By how much the last layer is widened; random weights alone answer one half to everything."""


def export_full_network(folder: Path, architecture: str) -> Path:
    """Export the network; returns the folder of the exported model, with the run's own file beside it."""
    import torch

    from benchmarks.predict import make_model
    from ecgfounder_ft.evaluation.calibration import Calibration
    from ecgfounder_ft.inference.export import exported_files, write_exported_model
    from ecgfounder_ft.inference.finished_model import load_model, save_model

    model = load_model(make_model(architecture, folder))
    codes = list(model.record.label_map.codes)
    with torch.no_grad():
        list(model.net.parts().values())[-1].weight *= HEAD_SPREAD  # type: ignore[operator]
    slopes = np.linspace(0.5, 2, len(codes)).tolist()
    calibration = Calibration("platt", model.record.task.name, codes, slopes=slopes, intercepts=[0.3] * len(codes))
    model = replace(model, record=replace(model.record, calibration=calibration.to_dict()))
    save_model(model, folder / RUN)
    target = folder / "model"
    write_exported_model(exported_files(model), "# benchmark\n", target)
    for path in sorted(target.iterdir()):
        print(f"{path.name}: {path.stat().st_size:,} bytes")
    return target


def answers(recordings: Path, architecture: str, filtered: int, skip: int) -> None:
    """Print the largest difference of each way from the run's own file."""
    from ecgfounder_ft.ecg.formats import find_recordings, read_recording
    from ecgfounder_ft.inference.inputs import Reading, prepare_all
    from ecgfounder_ft.inference.loading import load_predictor
    from ecgfounder_ft.inference.onnx_model import session_of
    from scripts.preprocessing_onnx import preprocessing_as_onnx

    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        target = export_full_network(folder, architecture)
        run = load_predictor(folder / RUN, device="cpu")
        ways = {
            "torch, model.safetensors": load_predictor(target, backend="torch", device="cpu"),
            "torch, model.pth": load_predictor(target / "model.pth", device="cpu"),
            "ONNX Runtime, model.onnx": load_predictor(target, backend="onnxruntime"),
        }
        preprocessing = run.record.preprocessing
        filters = session_of(preprocessing_as_onnx(preprocessing), "preprocessing.onnx")
        onnx = ways["ONNX Runtime, model.onnx"]
        largest = dict.fromkeys((*ways, "ONNX Runtime, preprocessing.onnx then model.onnx"), 0.0)
        counts = {"answered": 0, "skipped": 0, "of the window's length and rate, filtered in ONNX too": 0}
        lowest, highest = 1.0, 0.0
        paths = islice(find_recordings(recordings), skip, None)
        for found in prepare_all(paths, Reading(preprocessing), workers=0):
            if found.reason:
                counts["skipped"] += 1
                continue
            counts["answered"] += 1
            if counts["answered"] % 25 == 0:
                worst = max(largest.values())
                print(f"{counts['answered']} answered, largest difference {worst:.1e}", file=sys.stderr, flush=True)
            expected = run.probabilities(found.signals)
            lowest, highest = min(lowest, float(expected.min())), max(highest, float(expected.max()))
            for name, model in ways.items():
                largest[name] = max(largest[name], float(np.abs(model.probabilities(found.signals) - expected).max()))
            exact = found.sampling_rate == preprocessing.sampling_rate and found.seconds == preprocessing.window.seconds
            if exact and counts["of the window's length and rate, filtered in ONNX too"] < filtered:
                counts["of the window's length and rate, filtered in ONNX too"] += 1
                millivolts = read_recording(found.path, preprocessing.leads).signal.astype(np.float32)[None]
                (signals,) = filters.run(None, {"millivolts": millivolts})
                difference = np.abs(onnx.probabilities(signals) - expected).max()
                name = "ONNX Runtime, preprocessing.onnx then model.onnx"
                largest[name] = max(largest[name], float(difference))
    print(machine.describe())
    print(", ".join(f"{name}: {n}" for name, n in counts.items()), f"probabilities from {lowest:.4f} to {highest:.4f}")
    print("| way | largest difference in a probability |\n| --- | ---: |")
    for name, difference in largest.items():
        print(f"| {name} | {difference:.1e} |")
    if max(largest.values()) > TOLERANCE:
        sys.exit(f"a difference above {TOLERANCE:g}")


def speed(architecture: str, rounds: int) -> None:
    """Print recordings per second of the three ways."""
    import torch

    from benchmarks.plain_net1d import PlainNet1D
    from ecgfounder_ft.inference.finished_model import FinishedModel
    from ecgfounder_ft.inference.loading import load_predictor
    from ecgfounder_ft.memory import keep_freed_memory

    keep_freed_memory()
    threads = len(os.sched_getaffinity(0))
    torch.set_num_threads(threads)
    os.environ["OMP_NUM_THREADS"] = str(threads)
    with tempfile.TemporaryDirectory() as temporary:
        target = export_full_network(Path(temporary), architecture)
        ours = load_predictor(target, backend="torch", device="cpu")
        onnx = load_predictor(target, backend="onnxruntime")
    assert isinstance(ours, FinishedModel)
    sizes = {key: value for key, value in ours.record.architecture.items() if key not in ("_target_", "ratio")}
    plain = PlainNet1D(**sizes).eval()
    plain.load_state_dict(ours.net.state_dict())

    def by_plain(signals: NDArray[np.float32]) -> NDArray[np.float64]:
        with torch.inference_mode():
            return ours.record.task.probabilities(plain(torch.from_numpy(signals))).double().numpy()

    ways: dict[str, Callable[[NDArray[np.float32]], NDArray[np.float64]]] = {
        "plain torch": by_plain,
        "ours in torch": ours.uncalibrated,
        "ONNX Runtime": onnx.uncalibrated,
    }
    print(f"{machine.describe()}; {threads} threads")
    print("| batch | way | recordings/s | ratio |\n| ---: | --- | ---: | ---: |")
    for batch in (1, 32):
        preprocessing = ours.record.preprocessing
        shape = (batch, len(preprocessing.leads), preprocessing.samples)
        signals = np.random.default_rng(0).normal(size=shape).astype(np.float32)
        found = {name: way(signals) for name, way in ways.items()}
        for name, values in found.items():
            assert np.abs(values - found["plain torch"]).max() <= TOLERANCE, f"{name} gives other numbers"
        times: dict[str, list[float]] = {name: [] for name in ways}
        for _ in range(rounds * (4 if batch == 1 else 1)):
            for name, way in ways.items():
                begun = time.perf_counter()
                way(signals)
                times[name].append(time.perf_counter() - begun)
        base = min(times["plain torch"])
        for name, taken in times.items():
            fastest = min(taken)
            print(f"| {batch} | {name} | {batch / fastest:.1f} | {base / fastest:.2f} |")


def install() -> None:
    """Print what a fresh environment with the package alone holds, and how long its imports take."""
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        build = ["-m", "hatchling", "build", "--target", "wheel", "--directory", str(folder)]
        subprocess.run([sys.executable, *build], cwd=ROOT, check=True, capture_output=True)
        venv.create(folder / "environment", with_pip=True)
        python = str(folder / "environment" / "bin" / "python")
        empty = _megabytes(folder / "environment")
        wheel = str(next(folder.glob("*.whl")))
        constraints = ["--constraint", str(ROOT / "constraints.txt")]
        subprocess.run([python, "-m", "pip", "install", "--quiet", *constraints, wheel], check=True)
        listed = subprocess.run(
            [python, "-m", "pip", "list", "--format", "freeze"], capture_output=True, text=True, check=True
        )
        packages = [line for line in listed.stdout.splitlines() if not line.startswith(("pip==", "setuptools=="))]
        print(f"{_megabytes(folder / 'environment') - empty:.0f} MB in {len(packages)} packages")
        hidden = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
        for label, program in (
            ("from ecgfounder_ft import ECGClassifier", "from ecgfounder_ft import ECGClassifier"),
            ("numpy alone", "import numpy"),
            ("nothing", ""),
        ):
            times = []
            for _ in range(7):
                begun = _processor_seconds()
                subprocess.run([python, "-c", program], check=True, env=hidden, cwd=folder)
                times.append(_processor_seconds() - begun)
            print(f"{label}: {statistics.median(times):.2f} s of processor time")


def _processor_seconds() -> float:
    """Of the processes that this one started; what else runs on the machine does not count."""
    times = os.times()
    return times.children_user + times.children_system


def _megabytes(folder: Path) -> float:
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file() and not path.is_symlink()) / 1e6


def main() -> None:
    """Run one of the three."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("task", choices=["answers", "speed", "install"])
    parser.add_argument("--recordings", type=Path, help="for answers")
    parser.add_argument("--architecture", default="full", help="a file of configs/model/architecture")
    parser.add_argument("--filtered", type=int, default=10**6, help="of answers: recordings for preprocessing.onnx")
    parser.add_argument("--skip", type=int, default=0, help="of answers: recordings to begin behind")
    parser.add_argument("--rounds", type=int, default=9, help="of speed")
    options = parser.parse_args()
    if options.task == "install":
        install()
    elif options.task == "speed":
        speed(options.architecture, options.rounds)
    elif options.recordings is None:
        parser.error("answers needs --recordings")
    else:
        answers(options.recordings, options.architecture, options.filtered, options.skip)


if __name__ == "__main__":
    main()
