"""Simulated recordings in the two folders that users have: 'MIMIC IV Selected' and 'Physionet 2021 Selected'.

They let the whole way from folders to report run where no dataset is at hand.
"""

from __future__ import annotations

import hashlib
import json
import shutil
from dataclasses import asdict, dataclass
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ecgfounder_ft.data.sources.selected import Selected
from ecgfounder_ft.ecg.leads import STANDARD_LEADS, lead_indices
from ecgfounder_ft.files import file_lock, write_json
from ecgfounder_ft.labels import LabelMap

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from ecgfounder_ft.data.catalog import Catalog
    from ecgfounder_ft.ecg.simulator.hospital import Hospital
    from ecgfounder_ft.ecg.simulator.population import Shares

MIMIC_FOLDER = "MIMIC IV Selected"
PHYSIONET_FOLDER = "Physionet 2021 Selected"
MIMIC_LEADS: tuple[str, ...] = ("I", "II", "III", "aVR", "aVF", "aVL", "V1", "V2", "V3", "V4", "V5", "V6")
"""The order in which MIMIC-IV-ECG stores the leads."""

MARKER = "simulated.json"
"""Beside the two folders: the settings they were written with, and whether they are complete."""
TRUTH = "truth.json"
"""Beside the two folders: what every recording shows, and what its folders and header state."""

_PHYSIONET_SPELLING = {"1dAVb": "1st Degree AV Block"}
_PAIRS = (("AFIB", "RBBB"), ("1dAVb", "LBBB"), ("AFLT", "RBBB"), ("AFIB", "LBBB"), ("1dAVb", "RBBB"))
_PAIR_SHARE = 0.05
_TRIES = 100  # patients drawn for each one that is wanted, before a hospital is given up as having none


@dataclass(kw_only=True)
class Simulated(Selected):
    """The two folders of hand-selected recordings, filled by the simulator."""

    label_origin = "The simulator's own settings; these are no patients."

    root: str
    """Folder that the two folders are made in."""
    hospital: str
    """Of ``ecg/simulator/hospital.py``: ``textbook``, ``shifted`` or ``everyday``."""
    wrong_labels: float
    """Share of recordings for which one condition is stated in place of another, 0 to 1."""
    recordings_per_condition: int
    """In both together, at least 2; the mean over the conditions where the hospital has a prevalence of its own."""
    seed: int
    """Of the simulation."""

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.recordings_per_condition < 2:
            raise ValueError(
                f"data.recordings_per_condition is {self.recordings_per_condition}, expected 2 or more: one per dataset"
            )
        if not 0 <= self.wrong_labels <= 1:
            raise ValueError(f"data.wrong_labels is {self.wrong_labels}, expected a share from 0 to 1")

    def require(self, label_map: LabelMap, minimum: int) -> None:
        """Whether every condition can be simulated.

        Raises:
            ValueError: if one cannot.
        """
        from ecgfounder_ft.ecg.simulator import check_conditions
        from ecgfounder_ft.ecg.simulator.hospital import hospital_named

        for code in label_map.codes:
            check_conditions([code])
        hospital_named(self.hospital)

    def read(self, label_map: LabelMap) -> Catalog:
        """Simulate the recordings, unless they are there, and read them as if a user had sorted them."""
        write_selected_folders(
            Path(self.root), label_map, self.recordings_per_condition, self.seed, self.hospital, self.wrong_labels
        )
        return super().read(label_map)


@dataclass(frozen=True)
class _Plan:
    """One recording to write."""

    dataset: str
    conditions: tuple[str, ...]
    """That it shows."""
    findings: tuple[str, ...]
    """Other ones that it shows."""
    stated: tuple[str, ...]
    """Conditions by its folders and header."""
    patient: int
    name: str


def write_selected_folders(
    root: Path,
    label_map: LabelMap,
    recordings_per_condition: int = 100,
    seed: int = 0,
    hospital: str = "textbook",
    wrong_labels: float = 0.0,
) -> tuple[Path, Path]:
    """Write simulated recordings in the layout and spelling of both datasets, half of each condition in each.

    Some recordings show two conditions and lie in the folders of both; some MIMIC patients have several recordings.
    The same settings give the same bytes. Folders that are there with the same settings are kept, folders written with
    other settings or left incomplete are written anew. :data:`TRUTH` beside them says what every recording shows.

    Args:
        root: the two folders are made here.
        label_map: the conditions and their folder names and SNOMED codes.
        recordings_per_condition: in both datasets together, at least 2.
        seed: of everything random.
        hospital: of ``ecg/simulator/hospital.py``. With a prevalence of its own, the number is the conditions' mean.
        wrong_labels: share of recordings for which one condition is stated in place of another, 0 to 1. For a test
            set with right labels beside such a training set, write two roots with different seeds.

    Returns:
        Paths of 'MIMIC IV Selected' and 'Physionet 2021 Selected'.

    Raises:
        ValueError: if the label map holds a condition that cannot be simulated, there is no such hospital, or a number
            is out of its bounds.
        FileExistsError: if one of the two folders exists and was not written by this function.
    """
    from rich.progress import track

    from ecgfounder_ft.ecg.simulator.hospital import hospital_named

    _require_possible(label_map, recordings_per_condition, wrong_labels)
    described = hospital_named(hospital)
    folders = root / MIMIC_FOLDER, root / PHYSIONET_FOLDER
    marker = root / MARKER
    settings = {
        "hospital": hospital,
        "wrong_labels": wrong_labels,
        "recordings_per_condition": recordings_per_condition,
        "seed": seed,
        "label_map": label_map.to_dict(),
        "simulator": _simulator_digest(),
    }
    root.mkdir(parents=True, exist_ok=True)
    with file_lock(root / f".{MARKER}.lock"):
        if _read_marker(marker) == {"complete": True, "settings": settings}:
            return folders
        _require_own(folders, marker)
        write_json(marker, {"complete": False, "settings": settings})
        for folder in folders:
            shutil.rmtree(folder, ignore_errors=True)
        plans = _plan(label_map.codes, recordings_per_condition, seed, described, wrong_labels)
        for plan in track(plans, description="simulating recordings"):
            _write(plan, folders, label_map, seed, described)
        _write_truth(root / TRUTH, plans)
        write_json(marker, {"complete": True, "settings": settings})
    return folders


def _require_possible(label_map: LabelMap, recordings_per_condition: int, wrong_labels: float) -> None:
    """Refuse conditions that cannot be simulated, and numbers out of their bounds."""
    from ecgfounder_ft.ecg.simulator import check_conditions

    for code in label_map.codes:
        check_conditions([code])
    if not 0 <= wrong_labels <= 1:
        raise ValueError(f"wrong_labels is {wrong_labels}; expected a share from 0 to 1")
    if wrong_labels and len(label_map) < 2:
        raise ValueError("wrong_labels with a label map of one condition; expected 0, as there is no other to state")
    if recordings_per_condition < 2:
        raise ValueError(
            f"recordings_per_condition is {recordings_per_condition}; expected at least 2, one per dataset"
        )


def _require_own(folders: tuple[Path, Path], marker: Path) -> None:
    """Refuse folders that this module did not write."""
    for folder in folders:
        if folder.exists() and not marker.is_file():
            raise FileExistsError(
                f"{folder} exists and was not simulated (no {marker.name} beside it); choose another folder"
            )


def _simulator_digest() -> str:
    """Changes whenever the simulator does."""
    from ecgfounder_ft.ecg import simulator

    files = sorted(Path(simulator.__file__).parent.glob("*.py"))
    return hashlib.sha256(b"".join(file.read_bytes() for file in [*files, Path(__file__)])).hexdigest()[:16]


def _read_marker(path: Path) -> Any:
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None


def _plan(
    codes: tuple[str, ...], per_condition: int, seed: int, hospital: Hospital, wrong_labels: float
) -> list[_Plan]:
    """Every recording of both datasets."""
    import numpy as np

    rng, errors = np.random.default_rng([seed, 0]), np.random.default_rng([seed, 5])
    plans = []
    for dataset, share in (("mimic", per_condition - per_condition // 2), ("physionet", per_condition // 2)):
        if hospital.shares is None:
            cases: list[_Case] = [(conditions, ()) for conditions in _asked_for(codes, share)]
        else:
            cases = _drawn(codes, share * len(codes), rng, hospital.shares)
        names = _names(dataset, len(cases), rng)
        patients = list(range(len(cases)))
        if dataset == "mimic":  # headers of the other name no patient
            for index in range(1, len(cases)):
                again = hospital.shares is not None or cases[index] == cases[index - 1]
                if again and rng.random() < hospital.repeats:
                    cases[index], patients[index] = cases[index - 1], patients[index - 1]
        for (conditions, findings), patient, name in zip(cases, patients, names, strict=True):
            stated = tuple(code for code in codes if code in conditions)
            if errors.random() < wrong_labels and len(stated) < len(codes):  # else there is no other to state
                stated = _misread(stated, codes, errors)
            plans.append(_Plan(dataset, conditions, findings, stated, patient, name))
    return plans


_Case = tuple[tuple[str, ...], tuple[str, ...]]
"""Conditions and other findings of a patient."""


def _asked_for(codes: tuple[str, ...], share: int) -> list[tuple[str, ...]]:
    """Conditions of recordings of which each condition gets ``share``, pairs counted for both."""
    remaining = dict.fromkeys(codes, share)
    wanted: list[tuple[str, ...]] = []
    for pair in _PAIRS:
        if set(pair) <= set(codes):
            n = min(round(share * _PAIR_SHARE), *(remaining[code] - 1 for code in pair))
            wanted += [pair] * max(n, 0)
            for code in pair:
                remaining[code] -= max(n, 0)
    return wanted + list(chain.from_iterable([(code,)] * n for code, n in remaining.items()))


def _drawn(codes: tuple[str, ...], n: int, rng: np.random.Generator, shares: Shares) -> list[_Case]:
    """Cases of n of the hospital's patients that have a condition of the label map, and so a folder to lie in.

    NORM is kept for those that have no other condition, as where a user sorts recordings by what is wrong.
    """
    from ecgfounder_ft.ecg.simulator.population import draw_case

    cases: list[_Case] = []
    for _ in range(_TRIES * n):
        conditions, findings = draw_case(rng, shares)
        if conditions > {"NORM"}:
            conditions -= {"NORM"}
        if conditions & set(codes):
            cases.append((tuple(sorted(conditions)), tuple(sorted(findings))))
        if len(cases) == n:
            return cases
    raise ValueError(f"hardly a patient of this hospital has one of {', '.join(codes)}; choose another hospital")


def _misread(right: tuple[str, ...], codes: tuple[str, ...], rng: np.random.Generator) -> tuple[str, ...]:
    """The conditions with one replaced by one that is not there."""
    left_out = str(rng.choice(right))
    added = str(rng.choice([code for code in codes if code not in right]))
    return tuple(code for code in codes if code == added or (code in right and code != left_out))


def _names(dataset: str, n: int, rng: np.random.Generator) -> list[str]:
    if dataset == "physionet":
        return [f"SIM{index:05d}" for index in range(1, n + 1)]
    return [str(40_000_000 + int(number)) for number in rng.choice(10_000_000, n, replace=False)]


def _write(plan: _Plan, folders: tuple[Path, Path], label_map: LabelMap, seed: int, hospital: Hospital) -> None:
    import numpy as np

    from ecgfounder_ft.ecg.simulator import record, sample_physiology

    mimic = plan.dataset == "mimic"
    patient_rng = np.random.default_rng([seed, 1 if mimic else 2, plan.patient])
    physiology = sample_physiology(plan.conditions, patient_rng, plan.findings, ranges=hospital.ranges)
    age, sex = int(physiology.age), "Female" if physiology.female else "Male"
    digits = int(plan.name.removeprefix("SIM"))
    signal, _ = record(physiology, np.random.default_rng([seed, 3 if mimic else 4, digits]), ranges=hospital.ranges)
    for code in plan.stated:
        condition = label_map.conditions[code]
        folder = condition.folders[0]
        if mimic:
            comments = {"<subject_id>": str(10_000_000 + plan.patient)}
            gain = min(200.0, hospital.largest_gain)
            _store(folders[0] / folder, plan.name, signal, MIMIC_LEADS, "dat", gain, comments)
        else:
            spelling = _PHYSIONET_SPELLING.get(code, folder)
            dx = ",".join(label_map.conditions[one].snomed[0] for one in plan.stated)
            comments = {"Age": str(age), "Sex": sex, "Dx": dx}
            chosen = spelling if spelling in condition.folders else folder
            gain = min(1000.0, hospital.largest_gain)
            _store(folders[1] / chosen, plan.name, signal, STANDARD_LEADS, "mat", gain, comments)


def _write_truth(path: Path, plans: list[_Plan]) -> None:
    """JSON and no table, which reading a folder would take for a recording."""
    write_json(path, [asdict(plan) for plan in plans])


def _store(
    folder: Path,
    name: str,
    signal: NDArray[np.float32],
    leads: tuple[str, ...],
    storage: str,
    gain: float,
    comments: dict[str, str],
) -> None:
    from ecgfounder_ft.ecg.formats.wfdb import write_recording

    ordered = signal[lead_indices(STANDARD_LEADS, leads)]
    write_recording(folder, name, ordered, leads, 500.0, storage=storage, gain=gain, comments=comments)
