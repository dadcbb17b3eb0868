"""A finding has the same states whichever dataset it comes from: as codes of a header, or as lines of a report."""

import numpy as np
import pytest

from ecgfounder_ft.data.sources.mimic_iv_ecg.report_statements import normalise, read_lines, states_of_reports
from ecgfounder_ft.data.sources.physionet2021 import DiagnosisReader
from ecgfounder_ft.labels import LabelMap

FINDINGS = {
    ("Sinus rhythm", "PR interval prolonged"): "426783006,164947007",
    ("Sinus rhythm", "Bundle branch block"): "426783006,6374002",
    ("Sinus rhythm with 1st degree A-V block",): "426783006,270492004",
    ("Sinus rhythm", "A-V block"): "426783006,233917008",
    ("Sinus rhythm with sinus arrhythmia",): "426783006,427393009",
    ("Sinus arrhythmia",): "427393009",
    ("Sinus bradycardia",): "426177001",
    ("Sinus tachycardia", "Right bundle branch block"): "427084000,59118001",
    ("Atrial fibrillation/flutter",): "195080001",
    ("Paroxysmal atrial fibrillation",): "282825002",
    ("Rapid atrial fibrillation",): "314208002",
    ("Chronic atrial fibrillation", "RBBB"): "426749004,713427006",
    ("Atrial flutter", "Left bundle branch block"): "164890007,733534002",
    ("Atrial tachycardia",): "713422000",
    ("Ventricular pacing", "Atrial fibrillation"): "10370003,164889003",
    ("Ventricular-paced rhythm",): "251266004",
    ("Atrial-paced rhythm",): "251268003",
    ("--- Suspect arm lead reversal - only aVF, V1-V6 analyzed ---",): "251139008",
    ("Sinus rhythm", "Incomplete right bundle branch block"): "426783006,713426002",
    ("Sinus rhythm", "Incomplete LBBB"): "426783006,251120003",
    ("Sinus rhythm", "IV conduction defect"): "426783006,698252002",
    ("Wandering atrial pacemaker",): "195101003",
}


def read_diagnoses(line: str, label_map: LabelMap, constituent: str = "") -> tuple[dict[str, int], str, list[str]]:
    """States, evidence and strange entries of one ``Dx`` line."""
    said = DiagnosisReader(label_map).read(line, constituent)
    return said.states, said.evidence, list(said.strange)


@pytest.mark.parametrize("lines", FINDINGS)
def test_codes_and_report_lines_say_the_same(label_map: LabelMap, lines: tuple[str, ...]) -> None:
    readings = read_lines([normalise(line) for line in lines], label_map)
    (reported,) = states_of_reports(np.arange(len(lines), dtype=np.int32)[None], readings, label_map)
    coded, _, strange = read_diagnoses(FINDINGS[lines], label_map)
    assert dict(zip(label_map.codes, reported.tolist(), strict=True)) == coded
    assert strange == []
