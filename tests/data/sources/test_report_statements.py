from pathlib import Path

import numpy as np
import pytest
from omegaconf import OmegaConf

from ecgfounder_ft.data.sources.mimic_iv_ecg import report_statements
from ecgfounder_ft.data.sources.mimic_iv_ecg.report_statements import (
    DEFINITE,
    SILENT,
    UNCERTAIN,
    PatternError,
    evidence_of_reports,
    normalise,
    read_lines,
    states_of_reports,
)
from ecgfounder_ft.labels import ABSENT, PRESENT, UNKNOWN, Condition, LabelMap, Statements

LABELS = Path(__file__).resolve().parents[3] / "configs" / "labels"


@pytest.fixture(scope="module")
def strict():
    """The label map that takes NORM as a wholly normal ECG, composed as Hydra does."""
    files = [OmegaConf.load(LABELS / f"six_conditions{suffix}.yaml") for suffix in ("", "_strict_norm")]
    content = OmegaConf.to_container(OmegaConf.merge(*files))
    content.pop("defaults")
    return LabelMap.from_dict(content)


def read(line, label_map):
    """Conditions that a line speaks of, those it leaves open with a question mark."""
    (strength,) = read_lines([normalise(line)], label_map).strength
    mark = {DEFINITE: "", UNCERTAIN: "?"}
    return {code + mark[value] for code, value in zip(label_map.codes, strength, strict=True) if value != SILENT}


def states(report, label_map):
    readings = read_lines([normalise(line) for line in report], label_map)
    (row,) = states_of_reports(np.arange(len(report), dtype=np.int32)[None], readings, label_map)
    return dict(zip(label_map.codes, row.tolist(), strict=True))


def present(report, label_map):
    return {code for code, state in states(report, label_map).items() if state == PRESENT}


# Lines as the carts of MIMIC-IV-ECG print them (Burdick/Spacelabs, Philips, GE), and what each says.
LINES = {
    # the rhythm
    "Sinus rhythm": {"NORM"},
    "Normal sinus rhythm.": {"NORM"},
    "SINUS RHYTHM": {"NORM"},
    "  Sinus   rhythm ": {"NORM"},
    "Sinus rhythm with PAC(s)": {"NORM"},
    "Sinus rhythm with PVC(s)": {"NORM"},
    "Sinus bradycardia": set(),
    "Sinus tachycardia": set(),
    "Sinus arrhythmia": set(),
    "Sinus rhythm with sinus arrhythmia": {"NORM"},
    "Normal sinus rhythm with sinus arrhythmia": {"NORM"},
    "Sinus rhythm with marked sinus arrhythmia": {"NORM"},
    "Marked sinus arrhythmia": set(),
    "Supraventricular tachyarrhythmia": set(),
    "Sinus bradycardia - consider sinus rhythm with 2:1 S-A block.": set(),
    "Sinus or ectopic atrial rhythm": {"NORM?"},
    "Probable sinus rhythm": {"NORM?"},
    "Possible ectopic atrial rhythm": set(),
    "Normal ECG": set(),
    "Abnormal ECG": set(),
    "Unknown rhythm": {"NORM?", "AFIB?", "AFLT?"},
    "Unknown rhythm, irregular rate": {"NORM?", "AFIB?", "AFLT?"},
    "Undetermined rhythm": {"NORM?", "AFIB?", "AFLT?"},
    "Unknown/Undetermined rhythm": {"NORM?", "AFIB?", "AFLT?"},
    "Undetermined regular rhythm": {"NORM?", "AFIB?", "AFLT?"},
    "Rhythm uncertain": {"NORM?", "AFIB?", "AFLT?"},
    "Rhythm: undetermined": {"NORM?", "AFIB?", "AFLT?"},
    "Irregular rhythm - no P waves": {"NORM?", "AFIB?", "AFLT?"},
    "Irregular rhythm, no P-waves found": {"NORM?", "AFIB?", "AFLT?"},
    "Junctional rhythm": set(),
    "Inferior infarct - age undetermined": set(),
    # fibrillation and flutter
    "Atrial fibrillation": {"AFIB"},
    "ATRIAL FIBRILLATION": {"AFIB"},
    "Atrial fibrillation with rapid ventricular response": {"AFIB"},
    "Atrial fibrillation with slow ventricular response": {"AFIB"},
    "Atrial fibrillation with PVC(s) or aberrant ventricular conduction": {"AFIB"},
    "Possible atrial fibrillation": {"AFIB?"},
    "Probable atrial fibrillation with PVC(s)": {"AFIB?"},
    "Consider atrial fibrillation": {"AFIB?"},
    "Cannot rule out atrial fibrillation": {"AFIB?"},
    "Questionable atrial fibrillation": {"AFIB?"},
    "? atrial fibrillation": {"AFIB?"},
    "Atrial fibrillation?": {"AFIB?"},
    "Irregular rhythm, suggests atrial fibrillation": {"AFIB?"},
    "No atrial fibrillation": set(),
    "Irregular rhythm without evidence of atrial fibrillation": set(),
    "Atrial fibrillation is no longer present": set(),
    "Atrial fibrillation has replaced sinus rhythm": {"AFIB"},
    "Ventricular fibrillation": set(),
    "Atrial flutter": {"AFLT"},
    "Atrial flutter with 4:1 A-V block": {"AFLT"},
    "Atrial flutter with variable A-V block": {"AFLT"},
    "A-flutter with 2:1 conduction": {"AFLT"},
    "Probable atrial flutter": {"AFLT?"},
    "Ventricular flutter": set(),
    "Atrial flutter/fibrillation": {"AFIB?", "AFLT?"},
    "Atrial fibrillation/flutter": {"AFIB?", "AFLT?"},
    "Afib/flutter": {"AFIB?", "AFLT?"},
    "A-flutter/fibrillation": {"AFIB?", "AFLT?"},
    "Atrial fibrillation or flutter": {"AFIB?", "AFLT?"},
    "Atrial flutter or atrial fibrillation": {"AFIB?", "AFLT?"},
    "Afib/flut": {"AFIB?", "AFLT?"},
    "A-flut/fib": {"AFIB?", "AFLT?"},
    "Atrial tachycardia or flutter": {"AFLT?"},
    "Supraventricular tachycardia or atrial flutter": {"AFLT?"},
    "Atrial flutter or atrial tachycardia": {"AFLT?"},
    "Ventricular tachycardia or flutter": set(),
    "Atrial tachycardia": set(),
    "Atrial fibrillation replaced by sinus rhythm": {"NORM"},
    "Atrial fibrillation has been replaced by sinus rhythm": {"NORM"},
    "Atrial fibrillation with rapid ventricular response has been replaced by sinus rhythm": {"NORM"},
    "Atrial flutter has been replaced by sinus rhythm": {"NORM"},
    "Sinus rhythm has replaced atrial fibrillation": {"NORM"},
    "Sinus rhythm has been replaced by atrial fibrillation": {"AFIB"},
    # conduction from atria to ventricles
    "Sinus rhythm with 1st degree A-V block": {"NORM", "1dAVb"},
    "Sinus bradycardia with 1st degree A-V block": {"1dAVb"},
    "- first degree A-V block": {"1dAVb"},
    "First degree AV block": {"1dAVb"},
    "Prolonged PR interval": {"1dAVb"},
    "Sinus rhythm with borderline 1st degree A-V block": {"NORM", "1dAVb?"},
    "Borderline prolonged PR interval": {"1dAVb?"},
    "PR interval prolonged": {"1dAVb"},
    "PR interval is prolonged": {"1dAVb"},
    "Sinus rhythm with prolonged P-R interval": {"NORM", "1dAVb"},
    "PR interval borderline prolonged": {"1dAVb?"},
    "A-V block, 1st degree": {"1dAVb"},
    "AV block, first degree": {"1dAVb"},
    "A-V block, 2nd degree": set(),
    "1st degree heart block": {"1dAVb"},
    "First degree heart block": {"1dAVb"},
    "Possible 1st degree heart block": {"1dAVb?"},
    "Complete heart block": set(),
    "A-V block": {"1dAVb?"},
    "- borderline first degree A-V block": {"1dAVb?"},
    "Short PR interval": set(),
    "Second degree AV block, Mobitz II": set(),
    "Prolonged QT interval": set(),
    "Possible ectopic atrial rhythm with 1st degree A-V block": {"1dAVb"},
    # bundle branches
    "Right bundle branch block": {"RBBB"},
    "RBBB with left anterior fascicular block": {"RBBB"},
    "RBBB with RAD - possible left posterior fascicular block": {"RBBB"},
    "RBBB and LAFB": {"RBBB"},
    "Possible RVH and RBBB": {"RBBB"},
    "Consider RVH or RBBB": {"RBBB?"},
    "Bifascicular block": {"RBBB?", "LBBB?"},
    "Trifascicular block": {"1dAVb?", "RBBB?", "LBBB?"},
    "RBBB and LAFB - bifascicular block": {"RBBB"},
    "Bifascicular block: right bundle branch block and left anterior fascicular block": {"RBBB"},
    "RVH or RBBB": {"RBBB?"},
    "Right ventricular hypertrophy or right bundle branch block": {"RBBB?"},
    "RBBB or RVH": {"RBBB?"},
    "LVH or LBBB": {"LBBB?"},
    "Bundle branch block": {"RBBB?", "LBBB?"},
    "Incomplete bundle branch block": set(),
    "No bundle branch block": set(),
    "Lead(s) unsuitable for analysis: V1 V2": {"RBBB?"},
    "Lead(s) unsuitable for analysis: V2": set(),
    "Possible sequence error: V1,V2 omitted": {"RBBB?"},
    "Incomplete right bundle branch block": set(),
    "Incomplete RBBB": set(),
    "IRBBB": set(),
    "Right bundle branch block, incomplete": set(),
    "I.V. CONDUCTION DEFECT OF RIGHT BUNDLE BRANCH BLOCK TYPE": {"RBBB?"},
    "IVCD, consider atypical RBBB": {"RBBB?"},
    "Consider right bundle branch block": {"RBBB?"},
    "Left bundle branch block": {"LBBB"},
    "Incomplete LBBB": set(),
    "Incomplete left bundle branch block": set(),
    "Conduction defect of LBBB type": {"LBBB?"},
    "Anterior Q waves, possibly due to ILBBB": set(),
    "Anterior Q waves, possibly due to LBBB": {"LBBB?"},
    "IV conduction defect": set(),
    "Left anterior fascicular block": set(),
}


@pytest.mark.parametrize("line", LINES)
def test_each_line_says_what_a_reader_would_take_from_it(label_map, line):
    assert read(line, label_map) == LINES[line]


UNUSABLE = [
    "Ventricular pacing",
    "Atrial-paced rhythm",
    "Ventricular-paced rhythm",
    "A-V dual-paced rhythm",
    "Electronic atrial pacemaker",
    "Pacemaker rhythm - no further analysis",
    "Afib/flutter and ventricular-paced rhythm",
    "--- Recording unsuitable for analysis - please repeat ---",
    "Lead(s) unsuitable for analysis: I II III aVR aVL aVF V1",
    "Pacer detection suspended due to external noise-REVIEW ADVISED",
    "Failure to sense and/or capture",
    "Failure to sense and/or capture (?magnet)",
    "--- Possible arm/leg lead interchange - hence only V1-V6 analyzed ---",
    "Lead interchange",
    "--- Technically unsatisfactory tracing ---",
    "All 12 leads are missing",
    "Analysis error",
    "--- Suspect arm lead reversal - only aVF, V1-V6 analyzed ---",
    "--- Suspect limb lead reversal - only V1-V6 analyzed ---",
]


@pytest.mark.parametrize("line", UNUSABLE)
def test_an_unusable_line_silences_the_whole_report(label_map, line):
    assert set(states(["Sinus rhythm", "Right bundle branch block", line], label_map).values()) == {UNKNOWN}


@pytest.mark.parametrize(
    "line",
    [
        "--- Warning: Data quality may affect interpretation ---",
        "Wandering atrial pacemaker",
        "Poor R wave progression",
        "Lead(s) unsuitable for analysis: V2",
        "Lead(s) unsuitable for analysis: V2 V3",
        "Lead(s) unsuitable for analysis: aVR, V4, V5, V6",
        "Reversed R wave progression",
        "Possible faulty V2 - omitted from analysis",
    ],
)
def test_a_usable_report_with_a_warning_stays_usable(label_map, line):
    assert present(["Sinus rhythm", line], label_map) == {"NORM"}


def test_a_report_states_what_one_of_its_lines_states(label_map):
    report = ["Sinus rhythm with 1st degree A-V block", "Possible atrial flutter", "RBBB and LAFB", "Abnormal ECG"]
    assert states(report, label_map) == {
        "NORM": PRESENT,
        "AFIB": ABSENT,
        "AFLT": UNKNOWN,
        "1dAVb": PRESENT,
        "RBBB": PRESENT,
        "LBBB": ABSENT,
    }


def test_a_definite_line_outweighs_a_hedged_one(label_map):
    assert states(["Possible atrial fibrillation", "Atrial fibrillation"], label_map)["AFIB"] == PRESENT
    assert states(["Atrial fibrillation", "Possible atrial fibrillation"], label_map)["AFIB"] == PRESENT


def test_a_report_without_lines_says_nothing(label_map):
    readings = read_lines([], label_map)
    blank = np.full((2, 18), -1, dtype=np.int32)
    assert (states_of_reports(blank, readings, label_map) == UNKNOWN).all()


def test_a_blank_report_among_others_says_nothing(label_map):
    readings = read_lines(["sinus rhythm"], label_map)
    rows = states_of_reports(np.array([[-1, 0], [-1, -1]], dtype=np.int32), readings, label_map)
    assert rows[0, 0] == PRESENT
    assert (rows[1] == UNKNOWN).all()


@pytest.mark.parametrize(
    ("report", "loose_state", "strict_state"),
    [
        (["Sinus rhythm", "Normal ECG"], PRESENT, PRESENT),
        (["Sinus rhythm", "- NORMAL ECG -"], PRESENT, PRESENT),
        (["Normal sinus rhythm", "Normal ECG."], PRESENT, PRESENT),
        (["Sinus rhythm"], PRESENT, ABSENT),
        (["Sinus rhythm", "Borderline ECG"], PRESENT, ABSENT),
        (["Sinus rhythm", "Normal ECG based on available leads"], PRESENT, ABSENT),
        (["Sinus rhythm", "Otherwise normal ECG"], PRESENT, ABSENT),
        (["Sinus rhythm", "Inferior infarct - age undetermined", "Abnormal ECG"], PRESENT, ABSENT),
        (["Sinus rhythm", "Right bundle branch block", "Normal ECG"], PRESENT, ABSENT),
        (["Sinus rhythm with borderline 1st degree A-V block", "Normal ECG"], PRESENT, UNKNOWN),
        (["Sinus tachycardia", "Normal ECG"], ABSENT, ABSENT),
        (["Probable sinus rhythm", "Normal ECG"], UNKNOWN, ABSENT),
        (["Normal ECG"], UNKNOWN, ABSENT),
        (["Sinus rhythm or ectopic atrial rhythm"], UNKNOWN, ABSENT),
        (["Unclassified rhythm", "Abnormal ECG"], UNKNOWN, ABSENT),
        (["Rhythm not determined"], UNKNOWN, ABSENT),
        (["Ventricular pacing", "Sinus rhythm", "Normal ECG"], UNKNOWN, UNKNOWN),
        (["Sinus rhythm with sinus arrhythmia", "Normal ECG"], PRESENT, PRESENT),
        (["Atrial fibrillation has been replaced by sinus rhythm", "Normal ECG"], PRESENT, PRESENT),
        (["Sinus rhythm", "Lead(s) unsuitable for analysis: V2", "Normal ECG"], PRESENT, PRESENT),
        (["Sinus rhythm", "Bifascicular block", "Normal ECG"], PRESENT, UNKNOWN),
        (["Sinus rhythm", "PR interval prolonged", "Normal ECG"], PRESENT, ABSENT),
        (["Undetermined rhythm", "Abnormal ECG"], UNKNOWN, ABSENT),
        (["Irregular rhythm - no P waves", "Sinus rhythm", "Normal ECG"], PRESENT, UNKNOWN),
        (["Sinus rhythm", "Failure to sense and/or capture", "Normal ECG"], UNKNOWN, UNKNOWN),
    ],
)
def test_loose_norm_is_sinus_rhythm_and_strict_norm_a_normal_ecg(label_map, strict, report, loose_state, strict_state):
    assert states(report, label_map)["NORM"] == loose_state
    assert states(report, strict)["NORM"] == strict_state


def test_strict_norm_changes_nothing_else(label_map, strict):
    assert strict.codes == label_map.codes
    for line in LINES:
        assert read(line, strict) - {"NORM", "NORM?"} == LINES[line] - {"NORM", "NORM?"}
    loose, other = label_map.to_dict(), strict.to_dict()
    assert loose["report"] == other["report"]
    assert loose["unreliable"] == other["unreliable"]
    assert loose["unusable"] == other["unusable"]
    for key in ("snomed", "unstated_in", "excluded_by"):
        assert loose["conditions"]["NORM"][key] == other["conditions"]["NORM"][key]


def test_the_strict_map_composes_in_hydra(label_map):
    from hydra import compose, initialize_config_dir
    from hydra.core.config_store import ConfigStore

    ConfigStore.instance().store(group="labels", name="label_map_schema", node=LabelMap)
    with initialize_config_dir(str(LABELS.parent), version_base="1.3"):
        content = OmegaConf.to_container(compose("labels/six_conditions_strict_norm").labels)
        overridden = compose("labels/six_conditions", overrides=["labels.unreliable.ningbo=[]"]).labels
        written = compose("labels/six_conditions", overrides=["labels.conditions.NORM.unstated_in=[]"]).labels
        plain = compose("labels/six_conditions").labels
    assert list(content["conditions"]) == list(label_map.codes)
    assert content["conditions"]["NORM"]["statements"]["only_without_others"]
    assert LabelMap.from_dict(OmegaConf.to_container(plain)) == label_map
    assert overridden.unreliable.ningbo == []
    assert LabelMap.from_dict(OmegaConf.to_container(written)).conditions["NORM"].unstated_in == []
    assert content["conditions"]["NORM"]["unstated_in"] == label_map.conditions["NORM"].unstated_in != []


def test_evidence_is_the_first_line_that_speaks(label_map):
    texts = [
        "Sinus rhythm",
        "RBBB and LAFB",
        "Possible atrial flutter",
        "Right bundle branch block",
        "Ventricular pacing",
    ]
    readings = read_lines([normalise(text) for text in texts], label_map)
    lines = np.array([[0, 1, 2, 3], [4, 0, -1, -1], [-1, -1, -1, -1], [2, 2, 0, -1]], dtype=np.int32)
    rows = states_of_reports(lines, readings, label_map)
    assert evidence_of_reports(lines, texts, readings, rows, label_map).tolist() == [
        "NORM: Sinus rhythm; AFLT?: Possible atrial flutter; RBBB: RBBB and LAFB",
        "unusable: Ventricular pacing",
        "",
        "NORM: Sinus rhythm; AFLT?: Possible atrial flutter",
    ]


def test_a_label_map_of_other_conditions_reads_its_own_patterns():
    other = LabelMap("one", {"LAFB": Condition(name="x", statements=Statements(present=["lafb"]))})
    assert states(["RBBB and LAFB"], other) == {"LAFB": PRESENT}
    assert states(["Possible LAFB"], other) == {"LAFB": PRESENT}, "no hedges were given"
    unread = LabelMap("none", {"X": Condition(name="x")})
    assert states(["Sinus rhythm"], unread) == {"X": UNKNOWN}


def map_of(**lists: list[str]) -> LabelMap:
    return LabelMap("a stranger's", {"X": Condition(name="x", statements=Statements(**lists))})


@pytest.mark.parametrize("pattern", ["(a+)+$", "(a*)*b", "(x+x+)+y"])
def test_nested_repetitions_of_a_label_map_are_answered_at_once(pattern):
    """Python's own engine takes years for each of them."""
    assert states(["a" * 60 + "!" + "x" * 60], map_of(present=[pattern])) == {"X": ABSENT}


@pytest.mark.parametrize("where", ["present", "excluded", "uncertain", "required"])
def test_a_pattern_that_would_take_for_ever_is_ended_with_a_reason(where, monkeypatch):
    monkeypatch.setattr(report_statements, "_SEARCH_SECONDS", 0.05)
    with pytest.raises(PatternError, match=r"'\(\?:.*\(a\|a\)\*\$.*more than 0.05 s in the one report line 'a{60}!'"):
        states(["a" * 60 + "!"], map_of(**{"present": ["a"], where: ["(a|a)*$"]}))


def test_patterns_that_do_not_fit_together_are_refused_with_a_reason():
    with pytest.raises(PatternError, match=r"'\(\?:\(\?x\)a # b\)' cannot be searched together: missing \)"):
        states(["a"], map_of(excluded=["(?x)a # b"]))


@pytest.mark.parametrize(
    ("report", "expected"),
    [
        (["Atrial fibrillation with a competing junctional pacemaker"], {"AFIB": PRESENT}),
        (["Atrial fibrillation with competing junctional pacemaker"], {"AFIB": PRESENT}),
        (["Atrial fibrillation", "No pacemaker spikes"], {"AFIB": PRESENT}),
        (["Unclassified rhythm"], {"AFIB": UNKNOWN, "AFLT": UNKNOWN, "RBBB": ABSENT}),
        (["Rhythm not determined"], {"AFIB": UNKNOWN, "AFLT": UNKNOWN}),
        (["Atrial fibrillation has resolved"], {"AFIB": UNKNOWN}),
        (["Converted from atrial fibrillation"], {"AFIB": UNKNOWN}),
        (["History of atrial flutter", "Atrial flutter"], {"AFLT": PRESENT}),
        (["History of left bundle branch block"], {"LBBB": UNKNOWN}),
        (["Previous ECG showed right bundle branch block"], {"RBBB": UNKNOWN}),
        *((["Sinus rhythm", line], {"1dAVb": PRESENT, "NORM": PRESENT}) for line in (
            "First degree A-V delay", "PR prolongation", "1° AV block", "Prolonged AV conduction",
        )),
        (["Sinus rhythm", "Atrial fibrillation"], {"NORM": UNKNOWN, "AFIB": PRESENT}),
        (["1st degree AV block", "Atrial fibrillation"], {"1dAVb": UNKNOWN, "AFIB": PRESENT}),
    ],
)  # fmt: skip
def test_what_else_lines_say(label_map, report: list[str], expected: dict[str, int]) -> None:
    states = _states(report, label_map)
    assert {code: states[code] for code in expected} == expected


@pytest.mark.parametrize(
    "line",
    [
        "No QRS complexes found, no ECG analysis possible",
        "Suspect limb lead misplacement",
        "Data quality prohibits interpretation",
        "Poor data quality",
    ],
)
def test_a_recording_that_the_device_could_not_read_says_nothing(label_map, line: str) -> None:
    assert set(_states(["Sinus rhythm", line], label_map).values()) == {UNKNOWN}


def _states(report: list[str], label_map) -> dict[str, int]:
    lines = [normalise(line) for line in report]
    readings = read_lines(lines, label_map)
    (states,) = states_of_reports(np.arange(len(lines))[None], readings, label_map)
    return dict(zip(label_map.codes, states.tolist(), strict=True))
