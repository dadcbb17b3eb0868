"""Files from which the official scorer of PhysioNet/CinC Challenge 2021 gives the same metrics per condition.

The scorer (https://github.com/physionetchallenges/evaluation-2021) reads a folder of headers, of which only the line
``#Dx: <codes>`` counts, and a folder with a ``<record>.csv`` for each: ``#<record>``, the codes, the decisions and the
probabilities. It takes every code that a header lacks as absent, so only recordings whose labels are all known can be
written. Its macro metrics are over its 26 classes and mean nothing for fewer; its metrics per class do.

Its Challenge metric gives a decision for another class than the label a part of the credit, by the table
``weights.csv`` of that repository: 1 on the diagonal, and elsewhere 0.5 less the distance of two classes on one scale
(:data:`PLACES`), but for two pairs (:data:`CLOSE`). All of its 676 entries were compared with this.
"""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ecgfounder_ft.evaluation.bootstrap import DEFAULT_RESAMPLES
from ecgfounder_ft.evaluation.evaluate import evaluate_input
from ecgfounder_ft.evaluation.inputs import EvaluationInput
from ecgfounder_ft.labels import PRESENT

WEIGHTS = "weights.csv of https://github.com/physionetchallenges/evaluation-2021, 26 classes"
"""Where the table of the Challenge metric is published."""

SINUS_RHYTHM = "426783006"
"""The class that the Challenge metric's worst model always decides."""

EQUIVALENT = {"59118001": "713427006", "164909002": "733534002", "63593006": "284470004", "17338001": "427172004"}
"""SNOMED CT codes that the Challenge scores as another: right and left bundle branch block as the complete ones,
supraventricular as atrial and ventricular as premature ventricular beats."""

PLACES = {
    SINUS_RHYTHM: 0.0,
    "270492004": 0.05,  # 1st degree AV block
    "713426002": 0.05,  # incomplete right bundle branch block
    "426627000": 0.05,  # bradycardia
    "164947007": 0.05,  # prolonged PR interval
    "427393009": 0.05,  # sinus arrhythmia
    "426177001": 0.05,  # sinus bradycardia
    "284470004": 0.0875,  # premature atrial contraction
    "39732003": 0.1,  # left axis deviation
    "445118002": 0.1,  # left anterior fascicular block
    "698252002": 0.1,  # nonspecific intraventricular conduction disorder
    "47665007": 0.1,  # right axis deviation
    "10370003": 0.125,  # pacing rhythm
    "427172004": 0.125,  # premature ventricular contractions
    "427084000": 0.125,  # sinus tachycardia
    "713427006": 0.15,  # complete right bundle branch block
    "251146004": 0.175,  # low QRS voltages
    "365413008": 0.175,  # poor R wave progression
    "111975006": 0.2,  # prolonged QT interval
    "733534002": 0.225,  # complete left bundle branch block
    "6374002": 0.225,  # bundle branch block
    "164889003": 0.25,  # atrial fibrillation
    "164890007": 0.25,  # atrial flutter
    "164934002": 0.25,  # T wave abnormal
    "59931005": 0.25,  # T wave inversion
    "164917005": 0.35,  # Q wave abnormal
}
"""SNOMED CT code of each of the 26 scored classes to its place on the scale: 0.5 less its weight with sinus rhythm."""

CLOSE = {frozenset(("6374002", "733534002")): 0.475, frozenset(("251146004", "365413008")): 0.475}
"""Two classes at one place to their weight, where it is not 0.5: the unspecified and the left bundle branch block, low
voltages and poor R wave progression."""


@dataclass(frozen=True)
class ChallengeMetric:
    """The Challenge metric of some recordings, over the scored classes that a label map has."""

    value: float | None
    """1 for decisions that are the labels, 0 for always sinus rhythm alone; below 0 where it is worse than that."""
    classes: dict[str, str]
    """Condition code to the SNOMED CT code that it is scored as."""
    weights: dict[str, dict[str, float]]
    """Condition code (label) to condition code (decision) to weight."""
    unscored_conditions: list[str]
    """Conditions of the label map that the Challenge does not score."""
    classes_left_out: list[str]
    """SNOMED CT codes of the scored classes that the label map lacks."""
    source: str = WEIGHTS
    reason: str = ""
    """Why there is no value, or what to know about it."""


def challenge_weight(label: str, decision: str) -> float:
    """The credit for a decision where the label is another or the same class, by the published table.

    Args:
        label: SNOMED CT code of a scored class.
        decision: likewise.

    Raises:
        KeyError: if a code is not scored.
    """
    one, other = EQUIVALENT.get(label, label), EQUIVALENT.get(decision, decision)
    distance = abs(PLACES[one] - PLACES[other])
    return 1.0 if one == other else CLOSE.get(frozenset((one, other)), round(0.5 - distance, 4))


def challenge_metric(data: EvaluationInput, snomed: Mapping[str, Sequence[str]]) -> ChallengeMetric:
    """The Challenge metric of recordings whose labels are all known.

    For each recording, every pair of a present and a decided class adds its weight over the number of classes that are
    present or decided. Of the sum S, (S - S of sinus rhythm alone, always decided) / (S of the labels, decided - the
    same) is the metric (Perez Alday et al., Physiol Meas 2020;41:124003). The official scorer prints the same for the
    files of these recordings, as classes that are in neither labels nor decisions add nothing.

    Args:
        data: with every label known and every probability a number.
        snomed: condition code to SNOMED CT codes, of which the first is taken.
    """
    scored = {code: EQUIVALENT.get(str(codes[0]), str(codes[0])) for code, codes in snomed.items() if codes}
    scored = {code: scored[code] for code in data.codes if scored.get(code) in PLACES}
    classes = list(dict.fromkeys([*scored.values(), SINUS_RHYTHM]))
    shape = (len(data.targets), len(classes))
    present, decided = np.zeros(shape, dtype=bool), np.zeros(shape, dtype=bool)
    for code, name in scored.items():  # two conditions may be scored as one class
        column, place = data.codes.index(code), classes.index(name)
        present[:, place] |= data.targets[:, column] == PRESENT
        decided[:, place] |= data.decisions[:, column]
    weights = np.array([[challenge_weight(one, other) for other in classes] for one in classes])
    always = np.zeros(shape, dtype=bool)
    always[:, classes.index(SINUS_RHYTHM)] = True
    observed, perfect, inactive = (_credit(present, answer, weights) for answer in (decided, present, always))
    left_out = [name for name in PLACES if name not in scored.values()]
    room = perfect - inactive
    reason = (
        f"over {len(set(scored.values()))} of the 26 scored classes, so not to be set beside results over all of them"
    )
    if abs(room) < 1e-12:
        reason = "no recording has a scored class other than sinus rhythm alone"
    return ChallengeMetric(
        value=None if abs(room) < 1e-12 else float((observed - inactive) / room),
        classes=scored,
        weights={one: {other: challenge_weight(scored[one], scored[other]) for other in scored} for one in scored},
        unscored_conditions=[code for code in data.codes if code not in scored],
        classes_left_out=left_out,
        reason=reason,
    )


def _credit(present: NDArray[np.bool_], decided: NDArray[np.bool_], weights: NDArray[np.float64]) -> float:
    """Sum of the weights (classes, classes) of all pairs, of masks (n, classes)."""
    involved = np.maximum((present | decided).sum(axis=1), 1)
    return float((((present @ weights) * decided).sum(axis=1) / involved).sum())


@dataclass(frozen=True)
class ChallengeFiles:
    """What was written."""

    labels: Path
    """Folder of headers."""
    outputs: Path
    """Folder of CSV files."""
    data: EvaluationInput
    """The recordings written; our metrics of these are those of the scorer."""
    left_out: int
    """Recordings with an unknown label or a missing probability."""
    challenge_metric: ChallengeMetric
    """Of the recordings written."""

    def metrics(self, *, resamples: int = DEFAULT_RESAMPLES, seed: int = 0) -> dict[str, Any]:
        """What the files say, as plain containers: metrics of exactly the recordings written."""
        return {
            "recordings": len(self.data.targets),
            "left_out": self.left_out,
            "challenge_metric": asdict(self.challenge_metric),
            "evaluation": evaluate_input(self.data, resamples=resamples, seed=seed).to_dict(),
        }


def write_challenge_files(
    folder: Path,
    data: EvaluationInput,
    recordings: Sequence[str],
    snomed: Mapping[str, Sequence[str]],
    *,
    ages: Sequence[float] | None = None,
    sexes: Sequence[str] | None = None,
) -> ChallengeFiles:
    """Write ``labels/<record>.hea`` and ``outputs/<record>.csv`` for each recording whose labels are all known.

    Args:
        folder: created; it must not hold the two folders yet.
        data: prepared from the recordings.
        recordings: (n,) names of the recordings that the data was prepared from, ``<dataset>/<record>``; the files are
            named by the record, and by both where two records share a name.
        snomed: condition code to SNOMED CT codes, of which the first is written.
        ages: (n,) years, NaN where unknown.
        sexes: (n,) ``female``, ``male`` or "".

    Raises:
        FileExistsError: if the folder holds such files already, which the scorer would score too.
        KeyError: if a condition has no SNOMED CT code.
    """
    missing = [code for code in data.codes if not snomed.get(code)]
    if missing:
        raise KeyError(f"no SNOMED CT code for {', '.join(missing)}: the Challenge's scorer knows no other names")
    names = _file_names(recordings)
    codes = [str(snomed[code][0]) for code in data.codes]
    labels, outputs = folder / "labels", folder / "outputs"
    for part in (labels, outputs):
        if part.is_dir() and any(part.iterdir()):
            raise FileExistsError(f"{part} is not empty: the scorer would score its files too; name another folder")
        part.mkdir(parents=True, exist_ok=True)
    complete = np.asarray(data.known.all(axis=1))
    written = data.select(complete)
    for row, place in enumerate(written.kept):
        name = names[place]
        present = [code for column, code in enumerate(codes) if written.targets[row, column] == PRESENT]
        header = [
            f"{name} 0",
            f"#Age: {_text(ages, place)}",
            f"#Sex: {_text(sexes, place)}",
            f"#Dx: {','.join(present)}",
        ]
        (labels / f"{name}.hea").write_text("\n".join(header) + "\n", encoding="utf-8")
        output = [
            f"#{name}",
            ",".join(codes),
            ",".join(str(int(decided)) for decided in written.decisions[row]),
            ",".join(repr(float(value)) for value in written.probabilities[row]),
        ]
        (outputs / f"{name}.csv").write_text("\n".join(output) + "\n", encoding="utf-8")
    return ChallengeFiles(labels, outputs, written, int((~complete).sum()), challenge_metric(written, snomed))


def _file_names(recordings: Sequence[str]) -> list[str]:
    """Record names, with the dataset's before it where two datasets have the same."""
    short = [recording.rsplit("/", 1)[-1] for recording in recordings]
    _, position, count = np.unique(short, return_inverse=True, return_counts=True)
    twice: NDArray[np.bool_] = count[position.reshape(-1)] > 1
    return [
        recording.replace("/", "_") if shared else name
        for recording, name, shared in zip(recordings, short, twice, strict=True)
    ]


def _text(values: Sequence[float] | Sequence[str] | None, place: int) -> str:
    if values is None:
        return "Unknown"
    value = values[place]
    if isinstance(value, str):
        return value.capitalize() or "Unknown"
    return "NaN" if np.isnan(value) else f"{value:g}"
