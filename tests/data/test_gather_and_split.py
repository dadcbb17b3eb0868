"""From a source to divided recordings: what each step counts, what is left out and why, and what is refused."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from ecgfounder_ft.data.catalog import Catalog, build_table, skipped_table
from ecgfounder_ft.data.gather_and_split import SPLIT_COLUMNS, Gathered, divide_recordings, gather_recordings
from ecgfounder_ft.data.sources.source import DataSource, NoDataError
from ecgfounder_ft.data.splits import LeakageError, TooFewRecordingsError
from ecgfounder_ft.ecg.formats.wfdb import write_recording
from ecgfounder_ft.ecg.leads import STANDARD_LEADS
from ecgfounder_ft.ecg.preprocessing import Preprocessing
from ecgfounder_ft.ecg.preprocessing_settings import Window
from ecgfounder_ft.ecg.recording import UnreadableRecordingError
from ecgfounder_ft.labels import ABSENT, PRESENT, UNKNOWN, LabelMap
from ecgfounder_ft.task import MULTI_LABEL, SINGLE_LABEL, Task
from tests.settings import split_settings

PREPROCESSING = Preprocessing(window=Window(seconds=1.0, min_seconds=1.0))


@dataclass(kw_only=True)
class Listed(DataSource):
    """A source of a list of recordings: states of the first two conditions; None is one that cannot be read."""

    label_origin = "A test."
    natural_prevalence = False
    states: list[tuple[int, int]]
    folder: Path
    unreadable: tuple[int, ...] = ()
    patients: int = 1000

    def read(self, label_map: LabelMap) -> Catalog:
        first, second = label_map.codes[:2]
        rows = []
        for number, states in enumerate(self.states):
            path = self.folder / f"{number:03d}.hea"
            if number not in self.unreadable and not path.exists():
                signal = np.random.default_rng(number).normal(size=(12, 600)).astype(np.float32)
                write_recording(self.folder, path.stem, signal, STANDARD_LEADS, 500, storage="dat")
            rows.append(
                dict.fromkeys(label_map.codes, ABSENT if UNKNOWN not in states else UNKNOWN)
                | {"recording": f"x/{number:03d}", "dataset": "x", "path": str(path), "sampling_rate": 500.0}
                | {"patient": f"x/{number % self.patients}", "samples": 600, first: states[0], second: states[1]}
            )
        skipped = skipped_table([UnreadableRecordingError("no signals", path="elsewhere.hea")])
        return Catalog(build_table(rows, label_map), skipped)


def listed(tmp_path: Path, states: list[tuple[int, int]], max_samples: int | None = None, **rest: Any) -> Listed:
    common: dict[str, Any] = {"source": "x", "batch_size": 32, "imbalance": "none", "workers": 1}
    common["max_evaluation_recordings"] = None
    return Listed(
        states=states,
        folder=tmp_path / "data",
        store=str(tmp_path / "store"),
        max_samples=max_samples,
        **(common | rest),
    )


def gather(source: Listed, label_map: LabelMap, task: Task = SINGLE_LABEL) -> Gathered:
    return gather_recordings(source, label_map, task, PREPROCESSING, seed=1)


ONE, OTHER, BOTH, NEITHER = (PRESENT, ABSENT), (ABSENT, PRESENT), (PRESENT, PRESENT), (ABSENT, ABSENT)
NOTHING_KNOWN = (UNKNOWN, UNKNOWN)


def test_each_step_is_counted(tmp_path: Path, label_map: LabelMap) -> None:
    source = listed(tmp_path, [ONE] * 6 + [OTHER] * 3 + [BOTH, NEITHER], max_samples=4, unreadable=(6,))
    found = gather(source, label_map)
    assert found.counts.pop("copies")["pairs of fingerprints compared"] == 15
    assert found.counts.pop("notes")
    assert found.counts == {
        "catalog": 11,
        "left out": {SINGLE_LABEL.unusable: 2},
        "left out by a cap": [
            {
                "side": "before the split",
                "source": "x",
                "cap": "data.max_samples",
                "recordings": 2,
                "conditions": dict.fromkeys(label_map.codes, 0) | {label_map.codes[0]: 2},
            }
        ],
        "chosen": 7,
        "stored": 6,
        "repairs": {"cropped": 6},
        "skipped": {"no signals": 1, "header cannot be read": 1},
        "patient unknown": {},
    }
    assert found.skipped["reason"].tolist() == ["no signals", "header cannot be read"]
    assert len(found.table) == len(found.signals) == 6
    assert found.table["recording"].tolist() == found.signals.rows["recording"].tolist()
    assert found.table["signal_hash"].nunique() == 6
    found.require_any()


def test_the_task_decides_what_is_left_out(tmp_path: Path, label_map: LabelMap) -> None:
    source = listed(tmp_path, [ONE, BOTH, NEITHER, NOTHING_KNOWN])
    single, multi = (gather(source, label_map, task) for task in (SINGLE_LABEL, MULTI_LABEL))
    assert single.table["recording"].tolist() == ["x/000"]
    assert multi.table["recording"].tolist() == ["x/000", "x/001", "x/002"]
    assert multi.counts["left out"] == {MULTI_LABEL.unusable: 1}


def test_nothing_left_is_told_after_it_could_be_written_down(tmp_path: Path, label_map: LabelMap) -> None:
    unreadable = gather(listed(tmp_path, [ONE, ONE], unreadable=(0, 1)), label_map)
    assert len(unreadable.table) == 0
    assert unreadable.skipped["reason"].tolist() == ["no signals"] + ["header cannot be read"] * 2
    with pytest.raises(NoDataError, match=r"none of 2 recordings can be used:.*2 x header cannot be read"):
        unreadable.require_any()
    useless = gather(listed(tmp_path / "other", [BOTH] * 3), label_map)
    with pytest.raises(NoDataError, match=r"none of 3 recordings.*3 x not exactly one condition"):
        useless.require_any()


def test_the_tables_of_a_run_are_its_callers_to_write(
    tmp_path: Path, label_map: LabelMap, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    found = gather(listed(tmp_path, [ONE] * 6, unreadable=(0,)), label_map)
    divide_recordings(found, label_map, split_settings(), seed=1)
    assert not list((tmp_path / "here").iterdir())
    assert not list(tmp_path.rglob("*.csv"))


def test_recordings_are_divided_and_tabulated(tmp_path: Path, label_map: LabelMap) -> None:
    found = gather(listed(tmp_path, [ONE, OTHER] * 10), label_map)
    data = divide_recordings(found, label_map, split_settings(), seed=1)
    table = data.splits_table()
    assert table.columns.tolist() == [*SPLIT_COLUMNS, *label_map.codes]
    assert table["split"].value_counts().to_dict() == data.counts["sides"] == {"train": 14, "validation": 3, "test": 3}
    assert "sides" not in found.counts
    assert data.leakage.found == 0
    assert (data.targets[:, 0] == (table[label_map.codes[0]] == "present").astype(int)).all()
    again = divide_recordings(found, label_map, split_settings(), seed=1)
    other = divide_recordings(found, label_map, split_settings(), seed=2)
    assert data.fingerprint == again.fingerprint != other.fingerprint


def test_a_side_without_a_condition_is_refused_after_the_split_could_be_written_down(
    tmp_path: Path, label_map: LabelMap
) -> None:
    data = divide_recordings(
        gather(listed(tmp_path, [ONE] * 8 + [OTHER]), label_map), label_map, split_settings(minimum=1), seed=1
    )
    assert len(data.splits_table()) == 9
    with pytest.raises(TooFewRecordingsError, match=rf"{label_map.codes[1]} has 0 on the"):
        data.require_sound()


def test_a_test_side_of_foreign_sources_may_lack_a_condition(tmp_path: Path, label_map: LabelMap) -> None:
    two = LabelMap(label_map.name, {code: label_map.conditions[code] for code in label_map.codes[:2]})
    found = gather(listed(tmp_path, [ONE, OTHER] * 6 + [ONE] * 3), two)
    found.table["constituent"] = ["home"] * 12 + ["abroad"] * 3
    elsewhere = split_settings(kind="leave_one_source_out", held_out="abroad")
    divide_recordings(found, two, elsewhere, seed=1).require_sound()
    abroad = split_settings(kind="leave_one_source_out", held_out="home")
    with pytest.raises(TooFewRecordingsError, match="train side"):
        divide_recordings(found, two, abroad, seed=1).require_sound()


def test_leakage_is_refused(tmp_path: Path, label_map: LabelMap, monkeypatch: pytest.MonkeyPatch) -> None:
    from ecgfounder_ft.data import gather_and_split

    def careless(table: pd.DataFrame, *_: object) -> pd.DataFrame:
        sides = (["train", "validation", "test"] * len(table))[: len(table)]
        return pd.DataFrame({"split": sides, "exclusion": ""}, index=table.index)

    monkeypatch.setattr(gather_and_split, "split_recordings", careless)
    source = listed(tmp_path, [ONE] * 6, patients=2)
    data = divide_recordings(gather(source, label_map), label_map, split_settings(minimum=0), seed=1)
    assert data.leakage.by_source.loc["all", "patients_on_two_sides"] == 2
    with pytest.raises(LeakageError, match="2 patients"):
        data.require_sound()
