"""Formats of ECG devices: files as specified, from known counts, come back in millivolts under the leads' own names."""

import contextlib
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from ecgfounder_ft.ecg.description import SignalDescription
from ecgfounder_ft.ecg.formats import devices, read_recording
from ecgfounder_ft.ecg.leads import STANDARD_LEADS
from ecgfounder_ft.ecg.recording import UnreadableRecordingError
from tests.ecg.formats import device_files

pytest.importorskip("ecgdatakit")
pytest.importorskip("pydicom")

COUNTS = np.random.default_rng(0).integers(-3000, 3000, size=(12, 1000)).astype(np.int16)
LEADS = ["V6", *STANDARD_LEADS[:-1]]  # in another order than the standard one
FORMATS: dict[str, tuple[Callable[..., None], str, float]] = {
    "GE MUSE XML": (device_files.ge_muse_xml, "r.xml", 4.88),
    "HL7 aECG": (device_files.hl7_aecg, "r.xml", 2.5),
    "Philips Sierra XML": (device_files.sierra_xml, "r.xml", 5.0),
    "Mortara ELI (EL250/ELI280)": (device_files.mortara_xml, "r.xml", 2.5),
    "SCP-ECG": (device_files.scp_ecg, "r.scp", 4.88),
    "DICOM Waveform": (device_files.dicom, "r.dcm", 2.5),
    "ISHNE Holter": (device_files.ishne, "r.ecg", 2.5),
    "MFER": (device_files.mfer, "r.mwf", 2.5),
    "AliveCor Kardia JSON": (device_files.kardia_json, "r.json", 0.5),
}


def written(folder: Path, name: str) -> tuple[Path, list[str], float]:
    write, file, microvolts = FORMATS[name]
    leads = LEADS if name != "AliveCor Kardia JSON" else list(STANDARD_LEADS[5::-1])  # which has limb leads only
    write(folder / file, COUNTS[: len(leads)], leads, 500, microvolts)
    return folder / file, leads, microvolts


@pytest.mark.parametrize("name", FORMATS)
def test_known_counts_come_back_in_millivolts(name: str, tmp_path: Path) -> None:
    path, leads, microvolts = written(tmp_path, name)
    found = read_recording(path)
    assert found.format == name
    assert found.leads == tuple(leads)
    assert found.sampling_rate == 500
    np.testing.assert_allclose(found.signal, COUNTS[: len(leads)] * microvolts / 1000, atol=1e-9)
    picked = read_recording(path, ["aVF", "I"])
    np.testing.assert_allclose(picked.signal, found.signal[[leads.index("aVF"), leads.index("I")]])


@pytest.mark.parametrize("name", FORMATS)
def test_damage_is_a_reason_to_skip_never_a_crash(name: str, tmp_path: Path) -> None:
    path, _, _ = written(tmp_path, name)
    whole = path.read_bytes()
    generator = np.random.default_rng(0)
    for trial in range(40):
        damaged = bytearray(whole)
        if trial % 2:
            damaged = damaged[: generator.integers(len(whole))]
        else:
            for place in generator.integers(min(len(whole), 900), size=3):
                damaged[place] = generator.integers(256)
        path.write_bytes(damaged)
        with contextlib.suppress(UnreadableRecordingError):  # anything else fails the test
            read_recording(path)


@pytest.mark.parametrize(
    ("name", "old", "new"),
    [
        ("GE MUSE XML", "<LeadAmplitudeUnits>MICROVOLTS</LeadAmplitudeUnits>", ""),
        ("HL7 aECG", 'unit="uV"', ""),
        ("Philips Sierra XML", 'resolution="5.0"', ""),
    ],
)
def test_a_scale_without_a_unit_is_refused_until_the_user_states_it(
    name: str, old: str, new: str, tmp_path: Path
) -> None:
    path, leads, microvolts = written(tmp_path, name)
    text = path.read_text()
    assert old in text
    text = text.replace(old, new).replace("<resolution>5.0</resolution>", "")
    path.write_text(text)
    with pytest.raises(UnreadableRecordingError, match="no unit"):
        read_recording(path)
    scale = microvolts if name != "Philips Sierra XML" else 1.0  # whose resolution is the scale itself
    found = read_recording(path, stated=SignalDescription(unit="uV"))
    np.testing.assert_allclose(found.signal, COUNTS[: len(leads)] * scale / 1000, atol=1e-9)


@pytest.mark.parametrize(
    ("name", "old", "new"),
    [
        ("GE MUSE XML", "<SampleBase>500</SampleBase>", ""),
        ("HL7 aECG", '<increment value="0.002" unit="s"/>', ""),
        ("HL7 aECG", '<increment value="0.002" unit="s"/>', '<increment value="0.002"/>'),
        ("Mortara ELI (EL250/ELI280)", 'SAMPLE_FREQ="500"', ""),
        ("AliveCor Kardia JSON", '"frequency": 500, ', ""),
    ],
)
def test_a_file_of_a_device_without_its_rate_is_refused(name: str, old: str, new: str, tmp_path: Path) -> None:
    path, _, _ = written(tmp_path, name)
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new))
    with pytest.raises(UnreadableRecordingError, match=r"not a readable ECG file: .*(SampleBase|increment|FREQ|freq)"):
        read_recording(path)


def test_a_rate_that_the_format_only_assumes_is_refused_until_the_user_states_it(tmp_path: Path) -> None:
    """MFER's standard has a rate for files that say none."""
    path, leads, _ = written(tmp_path, "MFER")
    content = path.read_bytes()
    rate = bytes([0x0B, 4, 0, 0]) + (500).to_bytes(2, "little")
    assert rate in content
    path.write_bytes(content.replace(rate, b""))
    with pytest.raises(UnreadableRecordingError, match="no sampling rate"):
        read_recording(path)
    found = read_recording(path, stated=SignalDescription(500))
    assert found.sampling_rate == 500
    assert found.leads == tuple(leads)


@pytest.mark.parametrize(("unit", "millivolts"), [("uV", 1e-3), ("mV", 1.0)])
def test_units_are_taken_from_the_file(unit: str, millivolts: float, tmp_path: Path) -> None:
    path, leads, scale = written(tmp_path, "HL7 aECG")
    path.write_text(path.read_text().replace('unit="uV"', f'unit="{unit}"'))
    np.testing.assert_allclose(read_recording(path).signal, COUNTS[: len(leads)] * scale * millivolts, atol=1e-9)


def test_only_the_eight_independent_leads_are_stored(tmp_path: Path) -> None:
    """As GE's and SCP-ECG's files have it: the other limb leads follow."""
    stored = ["I", "II", *STANDARD_LEADS[6:]]
    device_files.ge_muse_xml(tmp_path / "r.xml", COUNTS[:8], stored, 500, 4.88)
    found = read_recording(tmp_path / "r.xml", STANDARD_LEADS)
    assert found.leads == STANDARD_LEADS
    millivolts = COUNTS[:8] * 4.88 / 1000
    np.testing.assert_allclose(found.signal[2], millivolts[1] - millivolts[0])
    assert "limb leads computed from I and II" in found.repairs


def test_a_checksum_that_differs_and_a_file_that_is_too_short_are_told(tmp_path: Path) -> None:
    path, _, _ = written(tmp_path, "GE MUSE XML")
    path.write_text(path.read_text().replace("<LeadDataCRC32>", "<LeadDataCRC32>1", 1))
    assert devices.CHECKSUM_DIFFERS in read_recording(path).repairs
    path, _, _ = written(tmp_path, "ISHNE Holter")
    path.write_bytes(path.read_bytes()[:-2400])
    assert devices.SHORTER_THAN_DECLARED in read_recording(path).repairs


def test_a_lead_that_was_off_is_missing_in_ishne(tmp_path: Path) -> None:
    counts = COUNTS.copy()
    counts[3, 10:20] = -32768
    device_files.ishne(tmp_path / "r.ecg", counts, LEADS, 500, 2.5)
    missing = np.isnan(read_recording(tmp_path / "r.ecg").signal)
    assert missing[3, 10:20].all()
    assert missing.sum() == 10


def test_entities_are_not_expanded_and_other_files_are_no_ecg(tmp_path: Path) -> None:
    bomb = '<!DOCTYPE a [<!ENTITY a "aaaa"><!ENTITY b "&a;&a;">]>'
    path, _, _ = written(tmp_path, "HL7 aECG")
    path.write_text(path.read_text().replace("?>\n", f"?>\n{bomb}", 1))
    with pytest.raises(UnreadableRecordingError, match="not a readable ECG file"):
        read_recording(path)
    for name, text in (("page.xml", "<html/>"), ("settings.json", '{"sampling_rate": 500}'), ("x.dcm", "DICOM")):
        (tmp_path / name).write_text(text)
        with pytest.raises(
            UnreadableRecordingError, match=r"unknown recording format: no ECG by its content|not a DICOM waveform"
        ):
            read_recording(tmp_path / name)
