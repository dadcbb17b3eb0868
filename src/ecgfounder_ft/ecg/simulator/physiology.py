"""A patient's heart on one day, drawn so that it has given conditions and findings."""

from collections.abc import Callable, Collection
from dataclasses import dataclass

import numpy as np

from ecgfounder_ft.ecg.simulator.dipole import ST_SHARE
from ecgfounder_ft.ecg.simulator.ranges import EFFECTS, RANGES, Ranges

SIMULATED_CONDITIONS: tuple[str, ...] = ("NORM", "AFIB", "AFLT", "1dAVb", "RBBB", "LBBB")
"""Condition codes that can be simulated."""

PACED_FINDINGS = ("paced", "atrial pacing", "dual-chamber pacing")
"""Pacing; ``paced`` means from the right ventricle alone."""
BLOCK_FINDINGS = ("second-degree block", "Mobitz II block", "two-to-one block", "third-degree block")
"""AV blocks beyond the first degree; ``second-degree block`` is Wenckebach's (Mobitz I)."""
OTHER_RHYTHM_FINDINGS = ("junctional", "svt", "vt", "ectopic atrial", "wandering", "multifocal atrial tachycardia")
RHYTHM_FINDINGS = ("bradycardia", "tachycardia", *OTHER_RHYTHM_FINDINGS, *PACED_FINDINGS, *BLOCK_FINDINGS)
"""Other rhythms; ``bradycardia`` and ``tachycardia`` are those of the sinus node."""
BEAT_FINDINGS = ("slow flutter", "sinus arrhythmia", "PAC", "PVC", "short PR", "atrial enlargement")
CONDUCTION_FINDINGS = ("irbbb", "ilbbb", "ivcd", "wpw")
AXIS_FINDINGS = ("lafb", "lpfb")
WALL_FINDINGS = ("lvh", "rvh", "inferior infarct", "anterior infarct", "lateral infarct")
REPOLARISATION_FINDINGS = ("T change", "ST change", "ST depression", "ST elevation", "acute infarct", "long QT")
RECORDING_FINDINGS = ("limb electrodes reversed", "chest electrodes swapped")
"""Mistakes made while recording. The conditions stay those of the heart."""
FINDINGS: tuple[str, ...] = (
    *RHYTHM_FINDINGS,
    *BEAT_FINDINGS,
    *CONDUCTION_FINDINGS,
    *AXIS_FINDINGS,
    *WALL_FINDINGS,
    *REPOLARISATION_FINDINGS,
    "low voltage",
    *RECORDING_FINDINGS,
)
"""Everything that a recording may show beside the conditions."""


def _each(*names: str) -> tuple[frozenset[str], ...]:
    return tuple(frozenset({name}) for name in names)


_NO_SINUS_NODE = frozenset({"AFIB", "AFLT", "paced", "atrial pacing", *OTHER_RHYTHM_FINDINGS})
_EXCLUSIVE: tuple[tuple[frozenset[str], ...], ...] = (
    (frozenset({"NORM", "1dAVb"}), *_each("AFIB", "AFLT")),
    _each("RBBB", "LBBB", *CONDUCTION_FINDINGS),
    (
        frozenset({"paced", "dual-chamber pacing", "vt"}),
        frozenset({"RBBB", "LBBB", "NORM", "1dAVb", "AFLT", *CONDUCTION_FINDINGS}),
    ),
    _each("AFIB", "AFLT", *OTHER_RHYTHM_FINDINGS, *PACED_FINDINGS),
    (frozenset({"NORM"}), frozenset({*OTHER_RHYTHM_FINDINGS, *PACED_FINDINGS})),
    (frozenset({"1dAVb"}), *_each("junctional", "svt", "vt", "wandering", "multifocal atrial tachycardia")),
    (
        frozenset({"NORM"}),
        frozenset({"bradycardia"}),
        frozenset({"tachycardia"}),
        *_each(*BLOCK_FINDINGS),
    ),
    (
        frozenset({*_NO_SINUS_NODE, "dual-chamber pacing"}),
        frozenset({"bradycardia", "tachycardia", "sinus arrhythmia"}),
    ),
    (frozenset({*_NO_SINUS_NODE, "dual-chamber pacing"}), frozenset(BLOCK_FINDINGS)),
    (frozenset({*_NO_SINUS_NODE, *BLOCK_FINDINGS, "dual-chamber pacing"}), frozenset({"PAC"})),
    (frozenset({*_NO_SINUS_NODE, "dual-chamber pacing"}), frozenset({"short PR"})),
    (frozenset({"vt", *BLOCK_FINDINGS}), frozenset({"PVC"})),
    (frozenset({"third-degree block"}), frozenset({"1dAVb", "wpw", "short PR"})),
    (
        frozenset({"AFLT", "slow flutter"}),
        frozenset({"NORM", "1dAVb", "AFIB", *OTHER_RHYTHM_FINDINGS, *PACED_FINDINGS, "bradycardia", "tachycardia"}),
        frozenset({*BLOCK_FINDINGS, "sinus arrhythmia"}),
    ),
    (frozenset({"1dAVb"}), frozenset({"short PR", "wpw"})),
    (*_each("lafb", "lpfb", "LBBB"), frozenset({"paced", "dual-chamber pacing", "vt"})),
    _each("ST change", "ST depression", "ST elevation", "acute infarct"),
)
"""Rows of alternatives: a heart cannot have members of two sets of one row."""
_MAY_STAND_TOGETHER = frozenset({frozenset({"AFIB", "paced"}), frozenset({"AFIB", "third-degree block"})})


@dataclass(frozen=True)
class Physiology:
    """One patient's heart on one day. Times in seconds, rates per minute, voltages in millivolts, angles in degrees."""

    age: float
    """Years."""
    female: bool
    rhythm: str
    """``sinus``, ``fibrillation``, ``flutter``, ``junctional``, ``svt``, ``vt``, ``ectopic atrial``, ``wandering`` (and
    multifocal, where that is fast) or ``paced``."""
    atria_paced: bool
    circuit: str
    """Circuit of flutter: ``typical``, ``reverse`` or ``atypical``; empty in other rhythms."""
    escape: str
    """Pacemaker of the ventricles in third-degree block: ``junctional`` or ``ventricular``; empty otherwise."""
    conduction: str
    """Conduction pattern, a key of ``dipole.QRS``."""
    rate: float
    """Mean ventricular rate; in flutter it follows from the atrial rate and the conduction ratios."""
    pr: float
    """PR interval; NaN if no P wave is conducted. In third-degree block: that of the atria's own rhythm."""
    qrs: float
    """QRS duration."""
    qtc: float
    """QT at a rate of 60 (Fridericia)."""
    atrial_rate: float
    """Flutter or f-waves per minute; the rate in other rhythms."""
    flutter_ratios: tuple[int, ...]
    """Numbers of flutter waves per beat that occur."""
    atrial_size: float
    """Size of P waves relative to the template. For f-waves (V1) and flutter waves (II): peak to trough, mV."""
    p_duration: float
    qrs_size: float
    t_size: float
    """Size of the T wave relative to the conduction pattern's; negative means inverted."""
    st_share: float
    """ST level as a share of the T wave."""
    frontal: float
    """Rotation of the heart in the frontal plane."""
    horizontal: float
    sagittal: float
    t_rotation: float
    """Additional rotation of the T wave in the frontal and horizontal planes."""
    findings: frozenset[str]
    """Names of ``FINDINGS``. Those not expressed by the numbers above are drawn from ``anatomy`` when recorded."""
    anatomy: int
    """Seed of the patient's individual waves and electrode positions."""


def check_conditions(conditions: Collection[str], findings: Collection[str] = ()) -> frozenset[str]:
    """Return the conditions as a set, once they are known to occur together.

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
    """Draw a heart that has exactly these conditions and findings.

    Args:
        conditions: codes of ``SIMULATED_CONDITIONS``; ``NORM`` beside others means sinus rhythm at a normal rate.
        rng: source of randomness.
        findings: names of ``FINDINGS``.
        ranges: limits that the patient is drawn between.

    Raises:
        ValueError: if :func:`check_conditions` refuses them.
    """
    wanted = check_conditions(conditions, findings)
    found = frozenset(findings)

    age, female = ranges["age"].draw(rng), bool(rng.random() < _FEMALE_SHARE)

    def draw(name: str) -> float:
        effect = EFFECTS.get(name)
        return ranges[name].draw(rng, effect.shift(age, female) if effect else 0.0)

    conduction = _conduction(wanted, found)
    rhythm = _rhythm(wanted, found)
    rate = draw(_rate_of(rhythm, found))
    atrial_rate, atrial_size, pr = rate, draw("P amplitude"), float("nan")
    circuit = ""
    ratios: tuple[int, ...] = ()
    if rhythm == "fibrillation":
        atrial_rate, atrial_size = 60 * draw("f-wave frequency"), draw("f-wave amplitude")
    elif rhythm == "flutter":
        circuit, atrial_rate, atrial_size, ratios = _flutter(found, rng, draw)
        rate = atrial_rate / float(np.mean(ratios))
    elif rhythm not in {"junctional", "svt", "vt", "paced"}:
        pr = _pr(wanted, found, rate, draw, ranges["PR, first-degree block"].low)
    size = "QRS amplitude"
    size += ", low voltage" if "low voltage" in found else ", lvh" if "lvh" in found else ""
    strained = "lvh" in found and rng.random() < 0.6
    escape = str(rng.choice(["junctional", "ventricular"])) if "third-degree block" in found else ""
    return Physiology(
        age=age,
        female=female,
        rhythm=rhythm,
        atria_paced=bool(found & {"atrial pacing", "dual-chamber pacing"}),
        circuit=circuit,
        escape=escape,
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
        st_share=draw("ST level") + ST_SHARE.get(conduction, 0.0) + (_STRAIN if strained else 0.0),
        frontal=draw(_axis(found, conduction)),
        horizontal=draw("horizontal rotation"),
        sagittal=draw("sagittal rotation"),
        t_rotation=draw("T rotation"),
        findings=found,
        anatomy=int(rng.integers(2**63)),
    )


_FEMALE_SHARE = 0.48
"""Share of women (Wagner 2020)."""
_STRAIN = 0.2
"""ST level relative to the inverted T wave in left ventricular strain (AHA-V)."""
_CIRCUIT_SHARES = {"typical": 0.65, "reverse": 0.15, "atypical": 0.20}
"""Shares of flutter circuits; counter-clockwise around the tricuspid valve is by far the commonest (Saoudi 2001)."""
_FLUTTER_RATIOS: tuple[tuple[int, ...], ...] = ((2,), (3,), (4,), (2, 4), (2, 3, 4), (3, 4), (2, 3))
_FLUTTER_RATIO_SHARES = (0.26, 0.10, 0.22, 0.14, 0.12, 0.10, 0.06)
"""Two and four to one are the common fixed ratios (Chou)."""


def _flutter(
    findings: frozenset[str], rng: np.random.Generator, draw: Callable[[str], float]
) -> tuple[str, float, float, tuple[int, ...]]:
    """Draw circuit, atrial rate (1/min), amplitude (mV) and conduction ratios of flutter."""
    circuit = str(rng.choice(list(_CIRCUIT_SHARES), p=list(_CIRCUIT_SHARES.values())))
    rate = draw("flutter rate, slow" if "slow flutter" in findings else "flutter rate")
    amplitude = draw("flutter amplitude, atypical" if circuit == "atypical" else "flutter amplitude")
    return circuit, rate, amplitude, _FLUTTER_RATIOS[rng.choice(len(_FLUTTER_RATIOS), p=_FLUTTER_RATIO_SHARES)]


def _axis(findings: frozenset[str], conduction: str) -> str:
    """Name the range of ``ranges.py`` that the frontal rotation is drawn from."""
    axis = "frontal rotation"
    for name in ("lafb", "lpfb", "lbbb", "paced"):
        axis = f"frontal rotation, {name}" if name in findings or conduction == name else axis
    return axis


def _conduction(conditions: frozenset[str], findings: frozenset[str]) -> str:
    if "RBBB" in conditions:
        return "rbbb"
    if "LBBB" in conditions:
        return "lbbb"
    if findings & {"paced", "dual-chamber pacing"}:
        return "paced"
    return next((name for name in CONDUCTION_FINDINGS if name in findings), "normal")


def _rhythm(conditions: frozenset[str], findings: frozenset[str]) -> str:
    if "AFIB" in conditions:
        return "fibrillation"
    if "AFLT" in conditions:
        return "flutter"
    if "multifocal atrial tachycardia" in findings:
        return "wandering"
    return next((name for name in (*OTHER_RHYTHM_FINDINGS, "paced") if name in findings), "sinus")


def _rate_of(rhythm: str, findings: frozenset[str]) -> str:
    """Name the range of ``ranges.py`` that the ventricular rate is drawn from."""
    if findings & set(PACED_FINDINGS):
        return "paced rate"
    if rhythm == "sinus":
        if findings & set(BLOCK_FINDINGS):
            return "blocked sinus rate"
        name = next((name for name in ("bradycardia", "tachycardia") if name in findings), "")
        return f"sinus rate, {name}" if name else "sinus rate"
    if rhythm == "wandering":
        return "multifocal rate" if "multifocal atrial tachycardia" in findings else "ectopic atrial rate"
    return f"{'afib' if rhythm == 'fibrillation' else rhythm} rate"


def _pr(
    conditions: frozenset[str],
    findings: frozenset[str],
    rate: float,
    draw: Callable[[str], float],
    shortest_block: float,
) -> float:
    if "1dAVb" in conditions:
        # long ones are rarer; a fast heart leaves no room for them
        return max(min(draw("PR, first-degree block"), 0.5 * 60 / rate), shortest_block)
    name = "PR, short" if findings & {"short PR", "wpw"} else "PR"
    if findings & {"ectopic atrial", "wandering"}:
        name = "PR, ectopic atrial"
    return min(draw(name), max(0.5 * 60 / rate, 0.11))
