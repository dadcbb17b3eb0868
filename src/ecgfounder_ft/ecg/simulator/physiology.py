"""A patient's heart on one day, and drawing one that has given conditions and findings."""

from collections.abc import Collection
from dataclasses import dataclass

import numpy as np

from ecgfounder_ft.ecg.simulator.dipole import ST_SHARE
from ecgfounder_ft.ecg.simulator.ranges import RANGES, Ranges

SIMULATED_CONDITIONS: tuple[str, ...] = ("NORM", "AFIB", "AFLT", "1dAVb", "RBBB", "LBBB")
"""Condition codes that the simulator knows."""

RHYTHM_FINDINGS = ("bradycardia", "tachycardia", "junctional", "svt", "vt", "paced", "second-degree block")
"""Other rhythms; ``bradycardia`` and ``tachycardia`` are those of the sinus node."""
BEAT_FINDINGS = ("slow flutter", "sinus arrhythmia", "PAC", "PVC", "short PR", "atrial enlargement")
CONDUCTION_FINDINGS = ("irbbb", "ilbbb", "ivcd", "wpw")
AXIS_FINDINGS = ("lafb", "lpfb")
WALL_FINDINGS = ("lvh", "rvh", "inferior infarct", "anterior infarct", "lateral infarct")
REPOLARISATION_FINDINGS = ("T change", "ST change", "long QT")
FINDINGS: tuple[str, ...] = (
    *RHYTHM_FINDINGS,
    *BEAT_FINDINGS,
    *CONDUCTION_FINDINGS,
    *AXIS_FINDINGS,
    *WALL_FINDINGS,
    *REPOLARISATION_FINDINGS,
    "low voltage",
)
"""What a recording may show beside the conditions."""

_EXCLUSIVE: tuple[tuple[frozenset[str], ...], ...] = (
    (frozenset({"NORM", "1dAVb"}), frozenset({"AFIB"}), frozenset({"AFLT"})),
    (frozenset({"RBBB"}), frozenset({"LBBB"}), *(frozenset({name}) for name in CONDUCTION_FINDINGS)),
    (frozenset({"paced", "vt"}), frozenset({"RBBB", "LBBB", "NORM", "1dAVb", "AFLT", *CONDUCTION_FINDINGS})),
    (
        frozenset({"NORM", "1dAVb", "AFIB", "AFLT"}),
        frozenset({"junctional"}),
        frozenset({"svt"}),
        frozenset({"vt"}),
        frozenset({"paced"}),
    ),
    (frozenset({"NORM"}), frozenset({"bradycardia"}), frozenset({"tachycardia"}), frozenset({"second-degree block"})),
    (
        frozenset({"AFIB", "AFLT", "junctional", "svt", "vt"}),
        frozenset({"bradycardia", "tachycardia", "PAC", "short PR"}),
    ),
    (frozenset({"vt"}), frozenset({"PVC"})),
    (
        frozenset({"AFIB", "AFLT", "junctional", "svt", "vt", "paced"}),
        frozenset({"second-degree block", "sinus arrhythmia"}),
    ),
    (frozenset({"AFLT", "slow flutter"}), frozenset({"NORM", "1dAVb", "AFIB", "junctional", "svt", "vt", "paced"})),
    (frozenset({"1dAVb"}), frozenset({"short PR", "wpw"})),
    (frozenset({"lafb"}), frozenset({"lpfb"}), frozenset({"LBBB"}), frozenset({"paced", "vt"})),
)
"""Alternatives: members of two sets of one row cannot stand together."""
_MAY_STAND_TOGETHER = frozenset({frozenset({"AFIB", "paced"})})


@dataclass(frozen=True)
class Physiology:
    """One patient's heart on one day. Times in seconds, rates per minute, voltages in millivolts, angles in degrees."""

    rhythm: str
    """``sinus``, ``fibrillation``, ``flutter``, ``junctional``, ``svt``, ``vt`` or ``paced``."""
    conduction: str
    """A pattern of ``dipole.QRS``."""
    rate: float
    """Mean ventricular rate; in flutter it follows from the atrial rate and the conduction ratios."""
    pr: float
    """PR interval, NaN without sinus P waves."""
    qrs: float
    """QRS duration."""
    qtc: float
    """QT at a rate of 60 (Fridericia)."""
    atrial_rate: float
    """Flutter or f-waves per minute; the rate in other rhythms."""
    flutter_ratios: tuple[int, ...]
    """Flutter waves per beat, those that occur."""
    atrial_size: float
    """Of P waves against the template; of f-waves and flutter waves in mV."""
    p_duration: float
    qrs_size: float
    t_size: float
    """Of the T wave against the conduction pattern's; negative is inverted."""
    st_share: float
    """ST level as a share of the T wave."""
    frontal: float
    """Rotation of the heart in the frontal plane."""
    horizontal: float
    sagittal: float
    t_rotation: float
    """Further rotation of the T wave in the frontal and horizontal planes."""
    findings: frozenset[str]
    """Of ``FINDINGS``; those that the numbers above don't hold are drawn from ``anatomy`` when recorded."""
    anatomy: int
    """Seed of what makes this patient's waves and electrodes differ from another's with the same numbers."""


def check_conditions(conditions: Collection[str], findings: Collection[str] = ()) -> frozenset[str]:
    """The conditions as a set.

    Raises:
        ValueError: if a condition or a finding is unknown, or two cannot occur in one heart.
    """
    wanted = frozenset(conditions)
    unknown = sorted(wanted - set(SIMULATED_CONDITIONS))
    if unknown:
        raise ValueError(f"cannot simulate {', '.join(unknown)}; known are {', '.join(SIMULATED_CONDITIONS)}")
    unknown = sorted(set(findings) - set(FINDINGS))
    if unknown:
        raise ValueError(f"cannot simulate {', '.join(unknown)}; known findings are {', '.join(FINDINGS)}")
    everything = wanted | frozenset(findings)
    for alternatives in _EXCLUSIVE:
        met = [group & everything for group in alternatives if group & everything]
        for index, first in enumerate(met):
            for second in met[index + 1 :]:
                for one in sorted(first):
                    for other in sorted(second):
                        if frozenset({one, other}) not in _MAY_STAND_TOGETHER:
                            raise ValueError(f"{one} and {other} cannot occur together")
    return wanted


def sample_physiology(
    conditions: Collection[str],
    rng: np.random.Generator,
    findings: Collection[str] = (),
    *,
    ranges: Ranges = RANGES,
) -> Physiology:
    """Draw a heart that has exactly these of the known conditions and findings.

    Args:
        conditions: codes of ``SIMULATED_CONDITIONS``; ``NORM`` beside others means a sinus rhythm of normal rate.
        rng: source of randomness.
        findings: of ``FINDINGS``.
        ranges: what the patient is drawn from.

    Raises:
        ValueError: as :func:`check_conditions`.
    """
    wanted = check_conditions(conditions, findings)
    found = frozenset(findings)

    def draw(name: str) -> float:
        return ranges[name].draw(rng)

    conduction = _conduction(wanted, found)
    rhythm = _rhythm(wanted, found)
    rate = _rate(rhythm, found, rng, ranges)
    atrial_rate, atrial_size, pr = rate, draw("P amplitude"), float("nan")
    ratios: tuple[int, ...] = ()
    if rhythm == "fibrillation":
        atrial_rate = 60 * draw("f-wave frequency")
        atrial_size = draw("f-wave amplitude")
    elif rhythm == "flutter":
        atrial_rate = draw("flutter rate, slow" if "slow flutter" in found else "flutter rate")
        atrial_size = draw("flutter amplitude")
        ratios = _FLUTTER_RATIOS[rng.choice(len(_FLUTTER_RATIOS), p=_FLUTTER_RATIO_SHARES)]
        rate = atrial_rate / float(np.mean(ratios))
    elif rhythm == "sinus":
        pr = _pr(wanted, found, rate, rng, ranges)
    size = "QRS amplitude"
    size += ", low voltage" if "low voltage" in found else ", lvh" if "lvh" in found else ""
    strained = "lvh" in found and rng.random() < 0.6
    axis = "frontal rotation"
    for name in ("lafb", "lpfb", "lbbb", "paced"):
        axis = f"frontal rotation, {name}" if name in found or conduction == name else axis
    return Physiology(
        rhythm=rhythm,
        conduction=conduction,
        rate=rate,
        pr=pr,
        qrs=draw(f"QRS, {conduction}"),
        qtc=draw("QTc, long" if "long QT" in found else "QTc") + (0.03 if conduction in {"rbbb", "lbbb"} else 0.0),
        atrial_rate=atrial_rate,
        flutter_ratios=ratios,
        atrial_size=atrial_size,
        p_duration=draw("P duration, enlarged" if "atrial enlargement" in found else "P duration"),
        qrs_size=draw(size),
        t_size=draw("T amplitude, abnormal" if "T change" in found or strained else "T amplitude"),
        st_share=draw("ST level") + ST_SHARE.get(conduction, 0.0),
        frontal=draw(axis),
        horizontal=draw("horizontal rotation"),
        sagittal=draw("sagittal rotation"),
        t_rotation=draw("T rotation"),
        findings=found,
        anatomy=int(rng.integers(2**63)),
    )


_FLUTTER_RATIOS: tuple[tuple[int, ...], ...] = ((2,), (3,), (4,), (2, 4), (2, 3, 4), (3, 4), (2, 3))
_FLUTTER_RATIO_SHARES = (0.26, 0.10, 0.22, 0.14, 0.12, 0.10, 0.06)
"""Two and four to one are the common fixed ratios (Chou)."""


def _conduction(conditions: frozenset[str], findings: frozenset[str]) -> str:
    if "RBBB" in conditions:
        return "rbbb"
    if "LBBB" in conditions:
        return "lbbb"
    for name in (*CONDUCTION_FINDINGS, "paced"):
        if name in findings:
            return name
    return "normal"


def _rhythm(conditions: frozenset[str], findings: frozenset[str]) -> str:
    if "AFIB" in conditions:
        return "fibrillation"
    if "AFLT" in conditions:
        return "flutter"
    for name in ("junctional", "svt", "vt", "paced"):
        if name in findings:
            return name
    return "sinus"


def _rate(rhythm: str, findings: frozenset[str], rng: np.random.Generator, ranges: Ranges) -> float:
    if rhythm == "sinus":
        for name in ("bradycardia", "tachycardia"):
            if name in findings:
                return ranges[f"sinus rate, {name}"].draw(rng)
    name = {"sinus": "sinus", "fibrillation": "afib", "flutter": "flutter"}.get(rhythm, rhythm)
    if rhythm == "fibrillation" and "paced" in findings:
        name = "paced"
    return ranges[f"{name} rate"].draw(rng)


def _pr(
    conditions: frozenset[str], findings: frozenset[str], rate: float, rng: np.random.Generator, ranges: Ranges
) -> float:
    if "1dAVb" in conditions:
        block = ranges["PR, first-degree block"]
        # long ones are rarer; a fast heart leaves no room for them
        pr = block.low + (block.high - block.low) * float(rng.beta(1.2, 2.5))
        return max(min(pr, 0.5 * 60 / rate), block.low)
    pr = ranges["PR, short" if findings & {"short PR", "wpw"} else "PR"].draw(rng)
    return min(pr, max(0.5 * 60 / rate, 0.11))
