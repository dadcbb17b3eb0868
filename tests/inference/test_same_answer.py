"""One recording gives one answer, whatever format, gain, unit, rate and order of leads it is stored in."""

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from numpy.typing import NDArray

from benchmarks.predict import make_model
from ecgfounder_ft.ecg.formats.wfdb import write_recording
from ecgfounder_ft.ecg.leads import STANDARD_LEADS
from ecgfounder_ft.ecg.preprocessing import resample
from ecgfounder_ft.ecg.simulator import simulate
from ecgfounder_ft.inference.finished_model import FinishedModel, load_model
from ecgfounder_ft.inference.inputs import Reading
from ecgfounder_ft.inference.predict_command import Wanted, predict_into_file
from tests.ecg.formats import device_files

RATE = 500
STEP = 0.0025
"""mV, of the files that store whole numbers."""
OTHER_ORDER = [5, 4, 3, 2, 1, 0, 6, 8, 7, 9, 11, 10]
INDEPENDENT = [0, 1, 6, 7, 8, 9, 10, 11]


def names_of(rows: list[int]) -> list[str]:
    return [STANDARD_LEADS[row] for row in rows]


def store_as_wfdb(folder: Path, signal: NDArray) -> None:
    def write(name: str, rows: list[int], rate: float, gain: float = 1 / STEP, storage: str = "dat") -> Path:
        stored = resample(signal[rows], RATE, rate) if rate != RATE else signal[rows]
        return write_recording(folder, name, stored, names_of(rows), rate, storage=storage, gain=gain)

    everything = list(range(12))
    write("as it is", everything, RATE)
    write("gain", everything, RATE, 2000, "mat")
    write("order", OTHER_ORDER, RATE)
    write("eight leads", INDEPENDENT, RATE)
    for rate in (250, 257, 400, 1000):
        write(f"{rate} Hz", everything, rate, 2000)
    header = write("unit", everything, RATE)
    header.write_text(header.read_text().replace(f"{1 / STEP:.1f}(0)/mV", f"{0.001 / STEP:g}(0)/uV"))


def store_as_numbers(folder: Path, signal: NDArray) -> None:
    said = {"sampling_rate": RATE, "unit": "uV", "leads": names_of(OTHER_ORDER)}
    np.save(folder / "array.npy", (signal[OTHER_ORDER] * 1000).astype(np.float32).T)
    (folder / "array.json").write_text(json.dumps(said))
    np.savez(folder / "archive.npz", signal=signal / 1000, sampling_rate=RATE, unit="V", leads=STANDARD_LEADS)
    head = ["time (s)", *(f"{lead} [mV]" for lead in STANDARD_LEADS)]
    rows = [f"{place / RATE:.3f};" + ";".join(f"{value:.4f}" for value in row) for place, row in enumerate(signal.T)]
    (folder / "table.csv").write_text("\n".join([";".join(head), *rows]))


def store_as_edf_and_hdf5(folder: Path, signal: NDArray) -> None:
    edfio, h5py = pytest.importorskip("edfio"), pytest.importorskip("h5py")
    edfio.Edf(
        [
            edfio.EdfSignal(row, RATE, label=f"ECG {lead}", physical_dimension="mV", physical_range=(-20, 20))
            for row, lead in zip(signal, STANDARD_LEADS, strict=True)
        ]
    ).write(folder / "european.edf")
    with h5py.File(folder / "tree.h5", "w") as file:
        dataset = file.create_dataset("signal", data=signal)
        dataset.attrs.update({"sampling_rate": RATE, "unit": "mV", "leads": list(STANDARD_LEADS)})


def store_as_devices_do(folder: Path, signal: NDArray) -> None:
    pytest.importorskip("ecgdatakit")
    pytest.importorskip("pydicom")
    counts = np.round(signal / STEP).astype(np.int16)[OTHER_ORDER]
    for write, file in (
        (device_files.ge_muse_xml, "muse.xml"),
        (device_files.hl7_aecg, "aecg.xml"),
        (device_files.sierra_xml, "sierra.xml"),
        (device_files.mortara_xml, "mortara.xml"),
        (device_files.scp_ecg, "scp.scp"),
        (device_files.dicom, "dicom.dcm"),
        (device_files.ishne, "holter.ecg"),
        (device_files.mfer, "mfer.mwf"),
    ):
        write(folder / file, counts, names_of(OTHER_ORDER), RATE, STEP * 1000)
    device_files.kardia_json(folder / "phone.json", counts[:6], names_of(OTHER_ORDER[:6]), RATE, STEP * 1000)


READERS = {
    "array.npy": "npy",
    "archive.npz": "npy",
    "table.csv": "csv",
    "european.edf": "edf",
    "tree.h5": "hdf5",
    "muse.xml": "GE MUSE XML",
    "aecg.xml": "HL7 aECG",
    "sierra.xml": "Philips Sierra XML",
    "mortara.xml": "Mortara ELI (EL250/ELI280)",
    "scp.scp": "SCP-ECG",
    "dicom.dcm": "DICOM Waveform",
    "holter.ecg": "ISHNE Holter",
    "mfer.mwf": "MFER",
}


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> FinishedModel:
    """The one that ships, zero-shot: a network that has learnt something is moved by what matters."""
    return load_model(make_model("demo", tmp_path_factory.mktemp("model")))


def answers(model: FinishedModel, folder: Path) -> pd.DataFrame:
    output = folder.parent / "predictions.csv"
    wanted = Wanted(output, None, None, 8, 0, restart=False, progress=False)
    predict_into_file(model, [folder], Reading(model.record.preprocessing), wanted)
    table = pd.read_csv(output, keep_default_na=False)
    return table.set_index(table["path"].map(lambda path: Path(path).name))


@pytest.mark.parametrize(
    "store", [store_as_wfdb, store_as_numbers, store_as_edf_and_hdf5, store_as_devices_do], ids=lambda f: f.__name__
)
@pytest.mark.parametrize("conditions", [("AFIB",), ("NORM",), ("1dAVb", "RBBB")], ids=str)
def test_a_folder_of_the_same_recording_stored_otherwise(
    model: FinishedModel, tmp_path: Path, store, conditions: tuple[str, ...]
) -> None:
    signal = simulate(conditions, np.random.default_rng(1)).recording.signal
    signal = np.round(signal / STEP) * STEP
    folder = tmp_path / "recordings"
    folder.mkdir()
    write_recording(folder, "as it is", signal, STANDARD_LEADS, RATE, storage="dat", gain=1 / STEP)
    store(folder, signal)
    found = answers(model, folder)
    if "phone.json" in found.index:
        assert found.loc["phone.json", "skipped"] == "leads are missing"
        found = found.drop("phone.json")
    assert set(found["skipped"]) == {""}
    probabilities = found.filter(like="probability_").astype(float)
    moved = (probabilities - probabilities.loc["as it is.hea"]).abs().max(axis=1)
    assert moved.max() < 1e-2
    resampled = [name for name in found.index if name.endswith("Hz.hea")]
    assert moved.drop(resampled).max() < 1e-3
    for name, reader in found["reader"].items():
        assert reader == READERS.get(str(name), "wfdb")
    assert len(found) > 2
