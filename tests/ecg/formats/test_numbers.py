"""NumPy, CSV, HDF5 and EDF: known millivolts come back to within the step of the storage, and every kind of damage."""

import json
import os
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from ecgfounder_ft.ecg import formats
from ecgfounder_ft.ecg.description import SignalDescription
from ecgfounder_ft.ecg.formats import read_recording
from ecgfounder_ft.ecg.leads import STANDARD_LEADS
from ecgfounder_ft.ecg.recording import MissingReaderError, UnreadableRecordingError

RATE = 250
LEADS = ("II", "I", *STANDARD_LEADS[2:])  # in another order than the standard one
SIGNAL = np.random.default_rng(0).normal(scale=0.5, size=(12, 500))
"""Millivolts."""


def npy(folder: Path) -> tuple[Path, float]:
    np.save(folder / "r.npy", (SIGNAL * 1000).astype(np.int16).T)
    said = {"sampling_rate": RATE, "unit": "µV", "leads": LEADS, "device": "any"}
    (folder / "r.json").write_text(json.dumps(said))
    return folder / "r.npy", 0.001


def npz(folder: Path) -> tuple[Path, float]:
    np.savez_compressed(folder / "r.npz", signal=SIGNAL.T, sampling_rate=RATE, unit="mV", leads=np.array(LEADS))
    return folder / "r.npz", 1e-12


def csv(folder: Path) -> tuple[Path, float]:
    head = ",".join(["time (ms)", *(f"{lead} [uV]" for lead in LEADS)])
    rows = [
        f"{place * 1000 / RATE:g}," + ",".join(f"{v:.0f}" for v in row) for place, row in enumerate(SIGNAL.T * 1000)
    ]
    (folder / "r.csv").write_text("\n".join([head, *rows]) + "\n")
    return folder / "r.csv", 0.001


def german_csv(folder: Path) -> tuple[Path, float]:
    rows = [";".join(f"{value:.3f}".replace(".", ",") for value in row) for row in SIGNAL.T]
    (folder / "r.csv").write_text(
        f"# sampling_rate: {RATE} Hz\n# unit: mV\n" + ";".join(LEADS) + "\n" + "\n".join(rows), encoding="utf-8-sig"
    )
    return folder / "r.csv", 0.001


def hdf5(folder: Path) -> tuple[Path, float]:
    h5py = pytest.importorskip("h5py")
    with h5py.File(folder / "r.h5", "w") as file:
        signal = file.create_dataset("ecg/voltage", data=(SIGNAL / 1000).astype(np.float32))
        signal.attrs["unit"] = "V"
        file.attrs["sampling_rate"] = RATE
        file["leads"] = [lead.encode() for lead in LEADS]
    return folder / "r.h5", 1e-6


def edf(folder: Path) -> tuple[Path, float]:
    edfio = pytest.importorskip("edfio")
    signals = [
        edfio.EdfSignal(row * 1000, RATE, label=f"ECG {lead}", physical_dimension="uV", physical_range=(-4000, 4000))
        for row, lead in zip(SIGNAL, LEADS, strict=True)
    ]
    breath = edfio.EdfSignal(np.arange(50.0), 25, label="Resp", physical_dimension="Ohm", physical_range=(0, 50))
    edfio.Edf([breath, *signals]).write(folder / "r.edf")
    return folder / "r.edf", 8.0 / 65535


def bdf(folder: Path) -> tuple[Path, float]:
    edfio = pytest.importorskip("edfio")
    signals = [
        edfio.BdfSignal(row, RATE, label=f"Lead {lead}", physical_dimension="mV", physical_range=(-4, 4))
        for row, lead in zip(SIGNAL, LEADS, strict=True)
    ]
    edfio.Bdf(signals).write(folder / "r.bdf")
    return folder / "r.bdf", 8.0 / (2**24 - 1)


def tsv(folder: Path) -> tuple[Path, float]:
    (folder / "r.tsv").write_text("\n".join("\t".join(f"{value:.5f}" for value in row) for row in SIGNAL.T))
    (folder / "r.json").write_text(json.dumps({"sampling_rate": RATE, "unit": "mV", "leads": LEADS}))
    return folder / "r.tsv", 1e-5


WRITERS = [npy, npz, csv, german_csv, tsv, hdf5, edf, bdf]
Writer = Callable[[Path], tuple[Path, float]]


@pytest.mark.parametrize("write", WRITERS)
def test_known_millivolts_come_back_to_within_one_step(write: Writer, tmp_path: Path) -> None:
    path, step = write(tmp_path)
    found = read_recording(path)
    assert found.leads == LEADS
    assert found.sampling_rate == RATE
    assert np.abs(found.signal - SIGNAL).max() <= step
    picked = read_recording(path, STANDARD_LEADS)
    assert picked.leads == STANDARD_LEADS
    assert np.abs(picked.signal - SIGNAL[[1, 0, *range(2, 12)]]).max() <= step
    assert found.name == "r"
    assert found.format == {"german_csv": "csv", "tsv": "csv", "npz": "npy"}.get(write.__name__, write.__name__)


@pytest.mark.parametrize("write", WRITERS)
def test_damage_is_a_reason_to_skip_never_a_crash(write: Writer, tmp_path: Path) -> None:
    path, _ = write(tmp_path)
    whole = path.read_bytes()
    generator = np.random.default_rng(0)
    refused = 0
    for trial in range(30):
        damaged = bytearray(whole)
        if trial % 2:
            damaged = damaged[: generator.integers(len(whole))]
        else:
            damaged[generator.integers(min(len(whole), 400))] ^= 0xFF
        path.write_bytes(damaged)
        try:
            read_recording(path)
        except UnreadableRecordingError:
            refused += 1
    assert refused >= 10
    for content, reason in ((b"", "file is empty"), (b"version https://git-lfs.github.com/spec/v1\n", "git-lfs")):
        path.write_bytes(content)
        with pytest.raises(UnreadableRecordingError, match=reason):
            read_recording(path)
    path.unlink()
    with pytest.raises(UnreadableRecordingError, match="file cannot be read: No such file"):
        read_recording(path)


def test_an_archive_with_pickled_objects_runs_no_code(tmp_path: Path) -> None:
    class Attack:
        def __reduce__(self) -> tuple:
            return os.mkdir, (str(tmp_path / "owned"),)

    np.savez(tmp_path / "r.npz", signal=np.array([Attack()], dtype=object))
    np.save(tmp_path / "r.npy", np.array([Attack()], dtype=object), allow_pickle=True)
    for name in ("r.npz", "r.npy"):
        with pytest.raises(UnreadableRecordingError, match="not a NumPy array"):
            read_recording(tmp_path / name)
    assert not (tmp_path / "owned").exists()


@pytest.mark.parametrize(
    ("shape", "reason"),
    [((3, 12, 400), "not one recording"), ((11, 400), "another number of leads"), ((12, 0), "no samples"),
     ((12, 12), "leads or samples"), ((400,), "not one recording")],
)  # fmt: skip
def test_an_array_of_another_shape_is_refused(tmp_path: Path, shape: tuple[int, ...], reason: str) -> None:
    np.save(tmp_path / "r.npy", np.zeros(shape))
    with pytest.raises(UnreadableRecordingError, match=reason):
        read_recording(tmp_path / "r.npy", stated=SignalDescription(RATE, "mV", LEADS))


@pytest.mark.parametrize("suffix", [".csv", ".npy", ".npz", ".edf", ".h5", ".xml", ".json"])
def test_a_pipe_does_not_hold_the_reading_up_and_a_huge_file_is_not_read(tmp_path: Path, suffix: str) -> None:
    os.mkfifo(tmp_path / f"pipe{suffix}")
    with pytest.raises(UnreadableRecordingError, match="file cannot be read: not a regular file"):
        read_recording(tmp_path / f"pipe{suffix}")
    with (tmp_path / f"huge{suffix}").open("wb") as stream:
        stream.truncate(1 << 40)
    with pytest.raises(UnreadableRecordingError, match="file is too large"):
        read_recording(tmp_path / f"huge{suffix}")


def test_what_unpacks_to_more_than_a_recording_is_refused_before_it_does(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    h5py = pytest.importorskip("h5py")
    with h5py.File(tmp_path / "r.h5", "w") as file:
        file.create_dataset("signal", shape=(12, 10**9), dtype="f8", chunks=True, compression="gzip")
    assert (tmp_path / "r.h5").stat().st_size < 10_000
    with pytest.raises(UnreadableRecordingError, match=r"too long: 12,000,000,000 samples in all leads"):
        read_recording(tmp_path / "r.h5")
    monkeypatch.setattr("ecgfounder_ft.ecg.formats.npy._MOST_UNPACKED", 10**6)
    np.savez_compressed(tmp_path / "r.npz", signal=np.zeros((12, 20_000)), sampling_rate=500, unit="mV", leads=LEADS)
    assert (tmp_path / "r.npz").stat().st_size < 10_000
    with pytest.raises(UnreadableRecordingError, match=r"too long: .* bytes unpacked"):
        read_recording(tmp_path / "r.npz")


def test_one_lead_may_be_a_plain_row_of_numbers(tmp_path: Path) -> None:
    np.save(tmp_path / "r.npy", SIGNAL[0])
    found = read_recording(tmp_path / "r.npy", stated=SignalDescription(RATE, "mV", ("II",)))
    np.testing.assert_array_equal(found.signal, SIGNAL[:1])
    (tmp_path / "r.csv").write_text("\n".join(f"{value:.6f}" for value in SIGNAL[0]))
    found = read_recording(tmp_path / "r.csv", stated=SignalDescription(RATE, "mV", ("II",)))
    np.testing.assert_allclose(found.signal, SIGNAL[:1], atol=1e-6)


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("I (mV),I (mV)\n1,2\n", "a lead stands there twice"),
        ("I (mV),II (mmHg)\n1,2\n", "unknown unit"),
        ("I (mV),II\n1,2\n", "no unit"),
        ("I (mV),II (mV)\n1,2\n1\n", "not a table of numbers: 1 fields in line 2"),
        ("I (mV),II (mV)\n1,x\n", "not a table of numbers"),
        ("# sampling_rate: fast\nI (mV)\n1\n", "no sampling rate: found 'fast'"),
        ("time (s),I (mV)\n0,1\n0.002,1\n0.009,1\n", "uneven sampling"),
        ("time (s),I (mV)\n0,1\n0,1\n", "no sampling rate: the times do not rise"),
        ("time,I (mV)\n0,1\n2,1\n", "no sampling rate: neither"),
        ("# sampling_rate: 500\n", "not a table of numbers"),
        ("patient,age\nA,54\n", "not a table of numbers"),
    ],
)
def test_a_table_that_leaves_something_open_is_refused(tmp_path: Path, text: str, reason: str) -> None:
    (tmp_path / "r.csv").write_text(text)
    stated = SignalDescription(sampling_rate=None if "rate" in reason else RATE)
    with pytest.raises(UnreadableRecordingError, match=reason):
        read_recording(tmp_path / "r.csv", stated=stated)


def test_an_empty_field_is_a_missing_sample(tmp_path: Path) -> None:
    (tmp_path / "r.csv").write_text("# sampling_rate: 500\nI (mV),II (mV)\n1,\n2,nan\n3,4\n")
    found = read_recording(tmp_path / "r.csv")
    assert np.isnan(found.signal).tolist() == [[False] * 3, [True, True, False]]
    assert "missing samples" in found.repairs


@pytest.mark.parametrize("rate", [RATE, [RATE], str(RATE), f"{RATE} Hz"])
@pytest.mark.parametrize("prefix", ["", "Lead ", "lead_", "ECG:", "EKG-", "MDC_ECG_LEAD_", "Lead: "])
def test_a_sidecar_may_be_written_as_other_programs_do(rate: object, prefix: str, tmp_path: Path) -> None:
    np.save(tmp_path / "r.npy", SIGNAL)
    said = {"sampling_rate": rate, "unit": ["mV"], "leads": [prefix + lead for lead in LEADS]}
    (tmp_path / "r.json").write_text(json.dumps(said), encoding="utf-8-sig")
    found = read_recording(tmp_path / "r.npy")
    assert (found.leads, found.sampling_rate) == (LEADS, RATE)


def test_a_name_full_of_blanks_is_read_in_time_in_proportion_to_it(tmp_path: Path) -> None:
    name = "a" + " " * 400_000 + "b"  # which an expression that tries every end of the name takes an hour for
    (tmp_path / "r.csv").write_text(f"# sampling_rate: 500\n# unit: mV\n{name},I\n1,2\n3,4\n")
    assert read_recording(tmp_path / "r.csv").leads == (name, "I")


def test_times_with_few_digits_give_the_rate(tmp_path: Path) -> None:
    lines = [f"{place / 360:.4f},{place % 7}" for place in range(720)]
    (tmp_path / "r.csv").write_text("time (s),I (mV)\n" + "\n".join(lines))
    assert read_recording(tmp_path / "r.csv").sampling_rate == pytest.approx(360, rel=1e-4)


def test_an_edf_that_was_cut_short_or_has_gaps_is_refused(tmp_path: Path) -> None:
    path, _ = edf(tmp_path)
    whole = path.read_bytes()
    path.write_bytes(whole[:-5000])
    with pytest.raises(UnreadableRecordingError, match="truncated"):
        read_recording(path)
    path.write_bytes(whole[:192] + b"EDF+D" + whole[197:])
    with pytest.raises(UnreadableRecordingError, match=r"gaps|not an EDF file"):
        read_recording(path)


def test_a_format_whose_package_is_absent_says_what_to_install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import sys

    for suffix, package, extra in (
        (".edf", "edfio", "edf"),
        (".h5", "h5py", "hdf5"),
        (".xml", "ecgdatakit", "devices"),
    ):
        monkeypatch.setitem(sys.modules, package, None)
        monkeypatch.setattr(formats, "read_apart", lambda module, path: sys.modules[module].read_numbers(path))
        path = tmp_path / f"r{suffix}"
        path.write_text("anything")
        with pytest.raises(MissingReaderError, match=rf"pip install .*\[{extra}\]"):
            read_recording(path)
