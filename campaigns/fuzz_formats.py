"""Recordings of every format but WFDB, and exported models, damaged at random: what reading them says.

    python -m campaigns.fuzz_formats --seed 1 --count 3000           # a third of the cases are exported models
    python -m campaigns.fuzz_formats --seed 1 --count 300 --no-onnx  # without ONNX: half a minute less

A file is read, or refused as one recording is skipped; a model answers with probabilities, or is refused in words.
Counted as faults: any other error, an answer that is no probability, and a case that takes longer than the limit. How
many files the process apart was ended for is printed beside them.
"""

import argparse
import hashlib
import json
import random
import shutil
import sys
import tempfile
import time
import traceback
import warnings
from collections import Counter
from pathlib import Path

import numpy as np

from benchmarks.machine import describe
from campaigns.fuzz_models import ODD, change_bytes, change_value
from ecgfounder_ft.config.compose import load_label_map
from ecgfounder_ft.ecg import formats_apart
from ecgfounder_ft.ecg.formats import read_recording
from ecgfounder_ft.ecg.recording import UnreadableRecordingError
from ecgfounder_ft.errors import ExplainedError
from ecgfounder_ft.inference.export import exported_files, write_exported_model
from ecgfounder_ft.inference.exported_model import CONFIG, digest_of_config
from ecgfounder_ft.inference.loading import load_predictor
from tests.ecg.formats import test_devices, test_numbers
from tests.model_files import small_model

SECONDS = 4.0
"""Time that a case may take beyond the limit of the process apart."""
OTHER_FORMATS = ("npy", "npz", "csv", "german_csv", "hdf5", "edf", "bdf")


class Fuzz:
    """Cases in a folder, each from its own seed.

    Args:
        folder: to work in.
        onnx: whether the exported model has an ONNX form.
    """

    def __init__(self, folder: Path, onnx: bool) -> None:
        self.folder = folder
        self.recordings = []
        for name in (*OTHER_FORMATS, *test_devices.FORMATS):
            place = folder / name.replace("/", "-")
            place.mkdir()
            device = name in test_devices.FORMATS
            self.recordings.append(
                test_devices.written(place, name)[0] if device else getattr(test_numbers, name)(place)[0]
            )
        model = small_model(load_label_map("six_conditions"))
        self.model = folder / "model"
        write_exported_model(exported_files(model, onnx=onnx), "# A model", self.model)
        self.signals = np.random.default_rng(0).normal(size=(2, 12, 64)).astype(np.float32)

    def recording(self, draw: random.Random) -> str:
        """Damage a recording and read it; returns what came of it."""
        original = draw.choice(self.recordings)
        case = self.folder / "case"
        shutil.copytree(original.parent, case)
        target = draw.choice(sorted(case.iterdir()))
        for _ in range(draw.choice((1, 1, 2, 3))):
            target.write_bytes(change_bytes(target.read_bytes(), draw))
        try:
            found = read_recording(case / original.name)
        except UnreadableRecordingError as error:
            return f"refused: {error.reason}"
        assert found.signal.shape == (len(found.leads), found.signal.shape[1])
        assert not np.isinf(found.signal).any(), "a sample that is infinite"
        assert np.isfinite(found.sampling_rate)
        assert found.sampling_rate > 0
        return "read"

    def exported(self, draw: random.Random) -> str:
        """Damage an exported model, now and then with digests that fit, load it and ask it."""
        case = self.folder / "case"
        shutil.copytree(self.model, case)
        target = draw.choice(sorted(case.iterdir()))
        if target.name == CONFIG and draw.random() < 0.8:
            content = json.loads(target.read_text())
            change_value(content["model"], draw, tuple(value for value in ODD if not isinstance(value, bytes | tuple)))
        else:
            target.write_bytes(change_bytes(target.read_bytes(), draw))
            content = None
        if draw.random() < 0.7:
            self._sign(case, content)
        answer = load_predictor(case).probabilities(self.signals)
        assert ((answer >= 0) & (answer <= 1) | np.isnan(answer)).all(), "an answer that is no probability"
        return "answered"

    def _sign(self, case: Path, content: dict | None) -> None:
        """Write digests that fit, as whoever made the files would."""
        try:
            config = content or json.loads((case / CONFIG).read_text())
            for name in config["files"]:
                held = (case / name).read_bytes()
                config["files"][name] = {"sha256": hashlib.sha256(held).hexdigest(), "bytes": len(held)}
            (case / CONFIG).write_text(json.dumps(config | {"sha256": digest_of_config(config)}))
        except (ValueError, TypeError, KeyError, AttributeError, OSError):
            return  # its configuration was damaged

    def one(self, seed: int, number: int, show: bool = False) -> tuple[str, str, float]:
        """Kind of input, what came of it (a fault begins with "FAULT"), and seconds."""
        draw = random.Random(f"{seed} {number}")
        kind = "exported model" if number % 3 == 0 else "recording"
        shutil.rmtree(self.folder / "case", ignore_errors=True)
        begun = time.monotonic()
        try:
            outcome = self.exported(draw) if number % 3 == 0 else self.recording(draw)
        except ExplainedError as error:
            outcome = f"refused: {type(error).__name__}"
        except Exception as error:
            outcome = f"FAULT: {type(error).__name__}: {str(error)[:100]}"
            if show:
                traceback.print_exc()
        taken = time.monotonic() - begun
        if taken > formats_apart.MOST_SECONDS + SECONDS:
            outcome = f"FAULT: took {taken:.1f} s"
        return kind, outcome, taken


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--count", type=int, default=600)
    parser.add_argument("--only", type=int, help="one case again, with its traceback")
    parser.add_argument("--no-onnx", dest="onnx", action="store_false")
    options = parser.parse_args()
    warnings.simplefilter("ignore")
    outcomes: Counter[tuple[str, str]] = Counter()
    faults = 0
    numbers = [options.only] if options.only is not None else range(options.count)
    with tempfile.TemporaryDirectory() as name:
        fuzz = Fuzz(Path(name), options.onnx)
        for number in numbers:
            kind, outcome, _ = fuzz.one(options.seed, number, options.only is not None)
            outcomes[kind, outcome] += 1
            if outcome.startswith("FAULT"):
                faults += 1
                print(f"case {number}, {kind}: {outcome}", flush=True)
    ended = sum(count for (_, outcome), count in outcomes.items() if "took too long" in outcome)
    told = f"{len(numbers)} cases, seed {options.seed}: {faults} faults, the process apart ended {ended} times"
    print(f"{describe()}\n{told}")
    for (kind, outcome), count in outcomes.most_common():
        print(f"  {count:5}  {kind}: {outcome}")
    sys.exit(bool(faults))


if __name__ == "__main__":
    main()
