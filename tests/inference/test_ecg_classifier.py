"""``ECGClassifier``: files, folders and arrays to answers, by whatever computes."""

import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

import ecgfounder_ft
from ecgfounder_ft import ECGClassifier
from ecgfounder_ft.ecg.description import DescriptionError
from ecgfounder_ft.ecg.formats import find_recordings, read_recording
from ecgfounder_ft.ecg.recording import UnreadableRecordingError
from ecgfounder_ft.inference.ecg_classifier import Result
from ecgfounder_ft.inference.inputs import PredictionError


@pytest.fixture(scope="module")
def classifier(exported_run: Path) -> ECGClassifier:
    return ECGClassifier.from_pretrained(exported_run, device="cpu")


@pytest.fixture(scope="module")
def paths(simulated_folders: tuple[Path, Path]) -> list[Path]:
    return list(find_recordings(simulated_folders[0]))[:4]


def close(one: Result, other: Result) -> bool:
    return one.probabilities.keys() == other.probabilities.keys() and all(
        abs(value - other.probabilities[code]) < 1e-5 for code, value in one.probabilities.items()
    )


def test_a_file_its_array_and_its_unit_and_order_are_all_the_same(classifier: ECGClassifier, paths: list[Path]) -> None:
    found = classifier.predict(paths[0])
    assert isinstance(found, Result)
    assert list(found.probabilities) == list(classifier.conditions)
    assert sum(found.probabilities.values()) == pytest.approx(1, abs=1e-5)
    assert sum(found.decisions.values()) == 1
    assert (found.name, found.reader, found.skipped, found.windows) == (str(paths[0]), "wfdb", "", 1)
    assert "no medical device" in found.notice
    stored = read_recording(paths[0])
    rate, leads = stored.sampling_rate, list(stored.leads)
    array = classifier.predict(stored.signal, sampling_rate=rate, leads=leads)
    reversed_leads = classifier.predict(stored.signal[::-1] * 1000, sampling_rate=rate, leads=leads[::-1], unit="uV")
    for other in (array, reversed_leads):
        assert isinstance(other, Result)
        assert close(found, other)
    # limb leads follow from two of them
    kept = [row for row, lead in enumerate(leads) if lead in ("I", "II") or lead.startswith("V")]
    few = classifier.predict(stored.signal[kept], sampling_rate=rate, leads=[leads[row] for row in kept])
    assert isinstance(few, Result)
    assert "limb leads computed from I and II" in few.repairs


def test_a_result_reads_and_a_list_of_them_is_a_table(
    classifier: ECGClassifier, paths: list[Path], tmp_path: Path
) -> None:
    (tmp_path / "damaged\u202e.hea").write_text("no header\n")
    results = classifier.predict([paths[0], tmp_path / "damaged\u202e.hea"])
    assert isinstance(results, list)
    said = repr(results[0])
    decided = next(code for code, yes in results[0].decisions.items() if yes)
    assert f"{decided} {results[0].probabilities[decided]:.2f} yes" in said
    assert "no medical device" in said
    assert repr(results[1]).endswith("damaged\\u202e.hea: skipped: not a WFDB header)")
    table = pd.DataFrame([result.to_dict() for result in results])
    assert list(table["path"]) == [result.name for result in results]
    assert table[f"probability_{decided}"].tolist()[0] == results[0].probabilities[decided]
    assert np.isnan(table[f"probability_{decided}"].tolist()[1])


def test_lists_folders_and_stacks_keep_their_order(classifier: ECGClassifier, paths: list[Path]) -> None:
    many = classifier.predict(paths)
    assert isinstance(many, list)
    assert [result.name for result in many] == [str(path) for path in paths]
    one = classifier.predict(str(paths[2]))
    assert isinstance(one, Result)
    assert close(many[2], one)
    folder = classifier.predict(paths[0].parent)
    assert isinstance(folder, list)
    assert [result.name for result in folder] == list(map(str, list(find_recordings(paths[0].parent))))
    stored = [read_recording(path) for path in paths[:2]]
    stack = np.stack([recording.signal for recording in stored])
    answered = classifier.predict(stack, sampling_rate=500, leads=stored[0].leads)
    assert isinstance(answered, list)
    assert [result.name for result in answered] == ["array 0", "array 1"]
    assert close(answered[1], many[1])
    assert classifier.predict([]) == []


def test_one_that_cannot_be_used_is_raised_and_among_others_listed(
    classifier: ECGClassifier, paths: list[Path], tmp_path: Path
) -> None:
    broken = tmp_path / "broken.hea"
    broken.write_text("nothing to see")
    with pytest.raises(UnreadableRecordingError, match=r"broken\.hea"):
        classifier.predict(broken)
    with pytest.raises(UnreadableRecordingError):
        classifier.embed(broken)
    flat = np.zeros((12, 5000))
    leads = read_recording(paths[0]).leads
    with pytest.raises(UnreadableRecordingError, match=r"array 0: flat recording"):
        classifier.predict(flat, sampling_rate=500, leads=leads)
    answered, refused, silent = classifier.predict([paths[0], broken, flat], sampling_rate=500, leads=leads)  # type: ignore[misc]
    assert answered.probabilities
    assert not answered.skipped
    assert refused.skipped
    assert refused.detail
    assert refused.probabilities == {}
    assert silent.skipped == "flat recording"
    vectors = classifier.embed([paths[0], broken])
    assert np.isfinite(vectors[0]).all()
    assert np.isnan(vectors[1]).all()


@pytest.mark.parametrize(
    ("array", "how", "message"),
    [
        (np.zeros((12, 500)), {"leads": ["I"]}, "sampling_rate is not stated"),
        (np.zeros((12, 500)), {"sampling_rate": 500}, "leads is not stated"),
        (np.zeros((500, 2)), {"sampling_rate": 500, "leads": ["I", "II"]}, r"other way round\? Give array\.T"),
        (np.zeros((3, 500)), {"sampling_rate": 500, "leads": ["I", "II"]}, r"shape \(3, 500\), expected \(leads, sam"),
        (np.full((2, 9), "x"), {"sampling_rate": 500, "leads": ["I", "II"]}, "numbers of the type"),
    ],
)
def test_an_array_that_cannot_be_meant_is_refused(
    classifier: ECGClassifier, array: np.ndarray, how: dict, message: str
) -> None:
    with pytest.raises(PredictionError, match=message):
        classifier.predict(array, **how)


def test_impossible_statements_are_refused(classifier: ECGClassifier) -> None:
    for how in ({"sampling_rate": -1}, {"unit": "mmHg"}, {"leads": ["I", "I"]}):
        with pytest.raises(DescriptionError):
            classifier.predict(np.zeros((2, 500)), **{"sampling_rate": 500, "leads": ["I", "II"], **how})
    with pytest.raises(PredictionError, match="windows is 'some'"):
        classifier.predict(np.zeros((1, 500)), sampling_rate=500, leads=["I"], windows="some")
    with pytest.raises(PredictionError, match="an embedding has no maximum"):
        classifier.embed(np.zeros((1, 500)), sampling_rate=500, leads=["I"], windows="max")


def test_windows_of_a_long_recording(classifier: ECGClassifier, paths: list[Path]) -> None:
    each = classifier.predict(paths[0], windows="each")
    assert isinstance(each, list)
    assert [result.start for result in each] == [0, 4, 6]
    mean, largest = classifier.predict(paths[0], windows="mean"), classifier.predict(paths[0], windows="max")
    assert isinstance(mean, Result)
    assert isinstance(largest, Result)
    for code in classifier.conditions:
        values = [result.probabilities[code] for result in each]
        assert mean.probabilities[code] == pytest.approx(np.mean(values), abs=1e-6)
        assert largest.probabilities[code] == pytest.approx(np.max(values), abs=1e-6)


def test_embeddings_are_what_the_last_layer_reads(
    classifier: ECGClassifier, finished_run: Path, paths: list[Path]
) -> None:
    vectors = classifier.embed(paths)
    assert vectors.shape == (4, 32)
    np.testing.assert_allclose(classifier.embed(paths[1]), vectors[1], atol=1e-5)
    by_run = ECGClassifier.from_pretrained(finished_run, device="cpu")
    np.testing.assert_allclose(by_run.embed(paths), vectors, atol=1e-4)


def test_a_prediction_needs_no_package_of_training(exported_run: Path, paths: list[Path], tmp_path: Path) -> None:
    """As where the package alone is installed: all that the extras bring is out of reach."""
    program = """
import sys
from importlib.machinery import PathFinder
from ecgfounder_ft.errors import EXTRAS
class WithoutExtras:
    def find_spec(self, name, *arguments):
        return None if name.partition(".")[0] in EXTRAS else PathFinder.find_spec(name, *arguments)
sys.meta_path[:] = [finder for finder in sys.meta_path if finder is not PathFinder] + [WithoutExtras()]
from ecgfounder_ft import ECGClassifier
from ecgfounder_ft.cli import app
classifier = ECGClassifier.from_pretrained(sys.argv[1])
print(classifier.predict(sys.argv[2]).probabilities)
for command in (["predict", *sys.argv[1:3], "--output", "p.csv", "--embeddings", "e.npy"], ["predict", *sys.argv[3:]]):
    try:
        app(command)
    except SystemExit as end:
        print("exit", end.code)
"""
    arguments = [str(exported_run), str(paths[0]), "run-that-is-none", str(paths[0])]
    found = subprocess.run(
        [sys.executable, "-c", program, *arguments], cwd=tmp_path, capture_output=True, text=True, check=True
    )
    assert "AFIB" in found.stdout
    assert "1 of 1 recordings answered" in found.stdout
    assert found.stdout.count("exit 0") == 1
    assert found.stdout.count("exit 2") == 1
    assert (tmp_path / "p.csv").is_file()
    assert np.load(tmp_path / "e.npy").shape == (1, 32)


def test_the_package_names_it_and_nothing_that_is_not_there() -> None:
    assert ecgfounder_ft.ECGClassifier is ECGClassifier
    assert not hasattr(ecgfounder_ft, "Nothing")
