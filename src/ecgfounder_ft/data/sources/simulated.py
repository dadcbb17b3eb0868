"""Simulated recordings in the two folders that users have: 'MIMIC IV Selected' and 'Physionet 2021 Selected'.

They let the whole way from folders to report run where no dataset is at hand.
"""

from __future__ import annotations

import hashlib
import json
import shutil
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ecgfounder_ft.data.sources.selected import Selected
from ecgfounder_ft.ecg.leads import STANDARD_LEADS, lead_indices
from ecgfounder_ft.files import write_json
from ecgfounder_ft.labels import LabelMap

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from ecgfounder_ft.data.catalog import Catalog

MIMIC_FOLDER = "MIMIC IV Selected"
PHYSIONET_FOLDER = "Physionet 2021 Selected"
MIMIC_LEADS: tuple[str, ...] = ("I", "II", "III", "aVR", "aVF", "aVL", "V1", "V2", "V3", "V4", "V5", "V6")
"""The order in which MIMIC-IV-ECG stores the leads."""

MARKER = "simulated.json"
"""Beside the two folders: the settings they were written with, and whether they are complete."""

_PHYSIONET_SPELLING = {"1dAVb": "1st Degree AV Block"}
_PAIRS = (("AFIB", "RBBB"), ("1dAVb", "LBBB"), ("AFLT", "RBBB"), ("AFIB", "LBBB"), ("1dAVb", "RBBB"))
_PAIR_SHARE = 0.05
_REPEAT_SHARE = 0.15


@dataclass(kw_only=True)
class Simulated(Selected):
    """The two folders of hand-selected recordings, filled by the simulator."""

    label_origin = "The simulator's own settings; these are no patients."

    root: str
    """Folder that the two folders are made in."""
    recordings_per_condition: int
    """In both together, at least 2."""
    seed: int
    """Of the simulation."""

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.recordings_per_condition < 2:
            raise ValueError(
                f"data.recordings_per_condition is {self.recordings_per_condition}, expected 2 or more: one per dataset"
            )

    def require(self, label_map: LabelMap, minimum: int) -> None:
        """Whether every condition can be simulated.

        Raises:
            ValueError: if one cannot.
        """
        from ecgfounder_ft.ecg.simulator import check_conditions

        for code in label_map.codes:
            check_conditions([code])

    def read(self, label_map: LabelMap) -> Catalog:
        """Simulate the recordings, unless they are there, and read them as if a user had sorted them."""
        write_selected_folders(Path(self.root), label_map, self.recordings_per_condition, self.seed)
        return super().read(label_map)


@dataclass(frozen=True)
class _Plan:
    """One recording to write."""

    dataset: str
    conditions: tuple[str, ...]
    patient: int
    name: str


def write_selected_folders(
    root: Path, label_map: LabelMap, recordings_per_condition: int = 100, seed: int = 0
) -> tuple[Path, Path]:
    """Write simulated recordings in the layout and spelling of both datasets, half of each condition in each.

    Some recordings show two conditions and lie in the folders of both; some MIMIC patients have several recordings.
    The same settings give the same bytes. Folders that are there with the same settings are kept, folders written with
    other settings or left incomplete are written anew.

    Args:
        root: the two folders are made here.
        label_map: the conditions and their folder names and SNOMED codes.
        recordings_per_condition: in both datasets together, at least 2.
        seed: of everything random.

    Returns:
        Paths of 'MIMIC IV Selected' and 'Physionet 2021 Selected'.

    Raises:
        ValueError: if the label map holds a condition that cannot be simulated, or the number is below 2.
        FileExistsError: if one of the two folders exists and was not written by this function.
    """
    from filelock import FileLock
    from rich.progress import track

    from ecgfounder_ft.ecg.simulator import check_conditions

    for code in label_map.codes:
        check_conditions([code])
    if recordings_per_condition < 2:
        raise ValueError(
            f"recordings_per_condition is {recordings_per_condition}; expected at least 2, one per dataset"
        )
    folders = root / MIMIC_FOLDER, root / PHYSIONET_FOLDER
    marker = root / MARKER
    settings = {
        "recordings_per_condition": recordings_per_condition,
        "seed": seed,
        "label_map": label_map.to_dict(),
        "simulator": _fingerprint(),
    }
    root.mkdir(parents=True, exist_ok=True)
    with FileLock(root / f".{MARKER}.lock"):
        if _read_marker(marker) == {"complete": True, "settings": settings}:
            return folders
        for folder in folders:
            if folder.exists() and not marker.is_file():
                raise FileExistsError(
                    f"{folder} exists and was not simulated (no {MARKER} beside it); choose another folder"
                )
        write_json(marker, {"complete": False, "settings": settings})
        for folder in folders:
            shutil.rmtree(folder, ignore_errors=True)
        plans = _plan(label_map.codes, recordings_per_condition, seed)
        for plan in track(plans, description="simulating recordings"):
            _write(plan, folders, label_map, seed)
        write_json(marker, {"complete": True, "settings": settings})
    return folders


def _fingerprint() -> str:
    """Changes whenever the simulator does."""
    from ecgfounder_ft.ecg import simulator

    files = sorted(Path(simulator.__file__).parent.glob("*.py"))
    return hashlib.sha256(b"".join(file.read_bytes() for file in [*files, Path(__file__)])).hexdigest()[:16]


def _read_marker(path: Path) -> Any:
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None


def _plan(codes: tuple[str, ...], per_condition: int, seed: int) -> list[_Plan]:
    """Every recording of both datasets; each condition gets ``per_condition`` of them, pairs counted for both."""
    import numpy as np

    rng = np.random.default_rng([seed, 0])
    plans = []
    for dataset, share in (("mimic", per_condition - per_condition // 2), ("physionet", per_condition // 2)):
        remaining = dict.fromkeys(codes, share)
        wanted: list[tuple[str, ...]] = []
        for pair in _PAIRS:
            if set(pair) <= set(codes):
                n = min(round(share * _PAIR_SHARE), *(remaining[code] - 1 for code in pair))
                wanted += [pair] * max(n, 0)
                for code in pair:
                    remaining[code] -= max(n, 0)
        wanted += list(chain.from_iterable([(code,)] * n for code, n in remaining.items()))
        names = _names(dataset, len(wanted), rng)
        patients = list(range(len(wanted)))
        if dataset == "mimic":
            for index in range(1, len(wanted)):  # the same patient again, with the same conditions
                if wanted[index] == wanted[index - 1] and rng.random() < _REPEAT_SHARE:
                    patients[index] = patients[index - 1]
        plans += [_Plan(dataset, *rest) for rest in zip(wanted, patients, names, strict=True)]
    return plans


def _names(dataset: str, n: int, rng: np.random.Generator) -> list[str]:
    if dataset == "physionet":
        return [f"SIM{index:05d}" for index in range(1, n + 1)]
    return [str(40_000_000 + int(number)) for number in rng.choice(10_000_000, n, replace=False)]


def _write(plan: _Plan, folders: tuple[Path, Path], label_map: LabelMap, seed: int) -> None:
    import numpy as np

    from ecgfounder_ft.ecg.simulator import record, sample_physiology

    mimic = plan.dataset == "mimic"
    patient_rng = np.random.default_rng([seed, 1 if mimic else 2, plan.patient])
    physiology = sample_physiology(plan.conditions, patient_rng)
    age, sex = int(patient_rng.integers(18, 95)), str(patient_rng.choice(["Male", "Female"]))
    digits = int(plan.name.removeprefix("SIM"))
    signal, _ = record(physiology, np.random.default_rng([seed, 3 if mimic else 4, digits]))
    for code in plan.conditions:
        condition = label_map.conditions[code]
        folder = condition.folders[0]
        if mimic:
            comments = {"<subject_id>": str(10_000_000 + plan.patient)}
            _store(folders[0] / folder, plan.name, signal, MIMIC_LEADS, "dat", 200.0, comments)
        else:
            spelling = _PHYSIONET_SPELLING.get(code, folder)
            dx = ",".join(label_map.conditions[one].snomed[0] for one in plan.conditions)
            comments = {"Age": str(age), "Sex": sex, "Dx": dx}
            chosen = spelling if spelling in condition.folders else folder
            _store(folders[1] / chosen, plan.name, signal, STANDARD_LEADS, "mat", 1000.0, comments)


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
