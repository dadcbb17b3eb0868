"""From a source to divided recordings: what each step counts, what is left out and why, and what is refused."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from ecgfounder_ft.data.catalog import Catalog, build_table, skipped_table
from ecgfounder_ft.data.gather_and_split import (
    CONTRADICTION,
    SPLIT_COLUMNS,
    Gathered,
    PreparedData,
    divide_recordings,
    gather_recordings,
)
from ecgfounder_ft.data.leakage import LeakageError
from ecgfounder_ft.data.notes import SELECTION_NOTE
from ecgfounder_ft.data.sources.source import DataSource, NoDataError
from ecgfounder_ft.data.splits import TooFewRecordingsError
from ecgfounder_ft.ecg.formats.wfdb import write_recording
from ecgfounder_ft.ecg.leads import STANDARD_LEADS
from ecgfounder_ft.ecg.limb_leads import LIMB_LEADS_OF_I_AND_II
from ecgfounder_ft.ecg.preprocessing import Preprocessing
from ecgfounder_ft.ecg.preprocessing_settings import Window
from ecgfounder_ft.ecg.quality import misfit
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
    copy_of: tuple[tuple[int, int], ...] = ()
    """(number, another): the first has the signal of the second, three times as large."""
    patients_known: bool = True

    def read(self, label_map: LabelMap) -> Catalog:
        first, second = label_map.codes[:2]
        rows = []
        for number, states in enumerate(self.states):
            path = self.folder / f"{number:03d}.hea"
            if number not in self.unreadable and not path.exists():
                original = dict(self.copy_of).get(number, number)
                signal = np.random.default_rng(original).normal(size=(12, 600)).astype(np.float32)
                signal *= 3 if original != number else 1
                write_recording(self.folder, path.stem, signal, STANDARD_LEADS, 500, storage="dat")
            rows.append(
                dict.fromkeys(label_map.codes, ABSENT if UNKNOWN not in states else UNKNOWN)
                | {"recording": f"x/{number:03d}", "dataset": "x", "path": str(path), "sampling_rate": 500.0}
                | {"patient": f"x/{number % self.patients}", "patient_known": self.patients_known}
                | {"samples": 600, first: states[0], second: states[1]}
            )
        skipped = skipped_table([UnreadableRecordingError("no signals", path="elsewhere.hea")])
        return Catalog(build_table(rows, label_map), skipped)


@dataclass(kw_only=True)
class Hospital(Listed):
    """The same as issued by a hospital, with the prevalence that it has."""

    natural_prevalence = True


def listed(tmp_path: Path, states: list[tuple[int, int]], max_samples: int | None = None, **rest: Any) -> Listed:
    return source_of(Listed, tmp_path, states, max_samples, **rest)


def source_of(
    kind: type[Listed], tmp_path: Path, states: list[tuple[int, int]], max_samples: int | None = None, **rest: Any
) -> Listed:
    common: dict[str, Any] = {"source": "x", "workers": 1}
    common["max_evaluation_recordings"] = None
    return kind(
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
        "left out labels": {"x": {"NORM + AFIB": 1, "none present": 1}},
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
        "repairs": {"cropped": 6, **{misfit(lead): 6 for lead in LIMB_LEADS_OF_I_AND_II}},  # the recordings are noise
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
    divide_recordings(found, label_map, split_settings(seed=1))
    assert not list((tmp_path / "here").iterdir())
    assert not list(tmp_path.rglob("*.csv"))


def test_recordings_are_divided_and_tabulated(tmp_path: Path, label_map: LabelMap) -> None:
    found = gather(listed(tmp_path, [ONE, OTHER] * 10), label_map)
    data = divide_recordings(found, label_map, split_settings(seed=1))
    table = data.splits_table()
    assert table.columns.tolist() == [*SPLIT_COLUMNS, *label_map.codes]
    assert table["split"].value_counts().to_dict() == data.counts["sides"] == {"train": 14, "validation": 3, "test": 3}
    assert "sides" not in found.counts
    assert data.leakage.found == 0
    assert (data.targets[:, 0] == (table[label_map.codes[0]] == "present").astype(int)).all()
    again = divide_recordings(found, label_map, split_settings(seed=1))
    other = divide_recordings(found, label_map, split_settings(seed=2))
    assert data.digest == again.digest != other.digest


def test_a_side_without_a_condition_is_refused_after_the_split_could_be_written_down(
    tmp_path: Path, label_map: LabelMap
) -> None:
    data = divide_recordings(
        gather(listed(tmp_path, [ONE] * 8 + [OTHER]), label_map), label_map, split_settings(minimum=1, seed=1)
    )
    assert len(data.splits_table()) == 9
    with pytest.raises(TooFewRecordingsError, match=rf"{label_map.codes[1]} has 0 on the"):
        data.require_sound()


def test_a_test_side_of_other_sources_may_lack_a_condition(tmp_path: Path, label_map: LabelMap) -> None:
    two = LabelMap(label_map.name, {code: label_map.conditions[code] for code in label_map.codes[:2]})
    found = gather(listed(tmp_path, [ONE, OTHER] * 6 + [ONE] * 3), two)
    found.table["constituent"] = ["home"] * 12 + ["abroad"] * 3
    elsewhere = split_settings(kind="leave_one_source_out", held_out="abroad", seed=1)
    divide_recordings(found, two, elsewhere).require_sound()
    abroad = split_settings(kind="leave_one_source_out", held_out="home", seed=1)
    with pytest.raises(TooFewRecordingsError, match="train side"):
        divide_recordings(found, two, abroad).require_sound()


def test_leakage_is_refused(tmp_path: Path, label_map: LabelMap, monkeypatch: pytest.MonkeyPatch) -> None:
    from ecgfounder_ft.data import gather_and_split

    def careless(table: pd.DataFrame, *_: object) -> pd.DataFrame:
        sides = (["train", "validation", "test"] * len(table))[: len(table)]
        return pd.DataFrame({"split": sides, "exclusion": ""}, index=table.index)

    monkeypatch.setattr(gather_and_split, "split_recordings", careless)
    source = listed(tmp_path, [ONE] * 6, patients=2)
    data = divide_recordings(gather(source, label_map), label_map, split_settings(minimum=0, seed=1))
    assert data.leakage.by_source.loc["all", "patients_on_two_sides"] == 2
    with pytest.raises(LeakageError, match=r"2 patient\(s\)"):
        data.require_sound()


class TestNaturalPrevalence:
    """Datasets as issued: divided first, then capped side by side."""

    STATES = [ONE] * 45 + [OTHER] * 15

    def prepare(self, tmp_path: Path, label_map: LabelMap, task: Task = MULTI_LABEL, **rest: Any) -> PreparedData:
        changes = rest.pop("split", {})
        split = split_settings(**({"assignment": "hash", "minimum": 0, "seed": 1} | changes))
        states = rest.pop("states", self.STATES)
        source = source_of(Hospital, tmp_path, states, **rest)
        found = gather_recordings(source, label_map, task, PREPROCESSING, seed=1, split=split)
        return divide_recordings(found, label_map, split)

    def test_max_samples_caps_the_training_side_alone(self, tmp_path: Path, label_map: LabelMap) -> None:
        whole = self.prepare(tmp_path, label_map)
        capped = self.prepare(tmp_path, label_map, max_samples=8)
        first, second = label_map.codes[:2]
        for side in ("validation", "test"):
            rows = {one: data.table[data.table["split"] == side] for one, data in (("all", whole), ("cap", capped))}
            assert len(rows["all"]) > 4
            assert rows["cap"]["recording"].tolist() == rows["all"]["recording"].tolist()
        train = capped.table[capped.table["split"] == "train"]
        assert [(train[code] == "present").sum() for code in (first, second)] == [8, 8]
        everyone = whole.table[whole.table["split"] == "train"]
        assert capped.counts["divided"]["train"] == len(everyone)
        assert capped.counts["left out by a cap"] == [
            {
                "side": "train",
                "source": "x",
                "cap": "data.max_samples",
                "recordings": len(everyone) - 16,
                "conditions": dict.fromkeys(label_map.codes, 0)
                | {code: int((everyone[code] == "present").sum()) - 8 for code in (first, second)},
            }
        ]
        assert whole.counts["left out by a cap"] == []

    def test_only_what_is_chosen_is_preprocessed(self, tmp_path: Path, label_map: LabelMap) -> None:
        data = self.prepare(tmp_path, label_map, max_samples=2, max_evaluation_recordings=3)
        assert data.counts["chosen"] == data.counts["stored"] == len(data.signals) == 4 + 3 + 3
        shards = Path(data.signals.folder).glob("shard-*.npy")
        assert sum(len(np.load(shard, mmap_mode="r")) for shard in shards) == 10

    def test_evaluation_recordings_are_those_of_whole_patients_whatever_they_have(
        self, tmp_path: Path, label_map: LabelMap
    ) -> None:
        even: dict[str, Any] = {"patients": 30, "split": {"train": 0.4, "validation": 0.3, "test": 0.3}}
        data = self.prepare(tmp_path, label_map, max_evaluation_recordings=6, **even)
        whole = self.prepare(tmp_path, label_map, **even)
        for side in ("validation", "test"):
            chosen = data.table[data.table["split"] == side]
            everyone = whole.table[whole.table["split"] == side]
            assert 4 <= len(chosen) <= 6 < len(everyone)
            assert everyone["patient"].isin(chosen["patient"]).sum() == len(chosen)
        assert {(row["side"], row["cap"]) for row in data.counts["left out by a cap"]} == {
            ("validation", "data.max_evaluation_recordings"),
            ("test", "data.max_evaluation_recordings"),
        }

    def test_sides_that_are_to_be_whole_are(self, tmp_path: Path, label_map: LabelMap) -> None:
        data = self.prepare(tmp_path, label_map, max_evaluation_recordings=2, split={"whole_sides": ["test"]})
        sides = data.counts["sides"]
        assert sides["validation"] == 2
        assert sides["test"] == data.counts["divided"]["test"] > 2

    def test_everything_is_there_to_be_evaluated_where_nothing_is_divided(
        self, tmp_path: Path, label_map: LabelMap
    ) -> None:
        source = source_of(Hospital, tmp_path, self.STATES, max_samples=2)
        found = gather_recordings(source, label_map, MULTI_LABEL, PREPROCESSING, seed=1)
        assert len(found.table) == 60
        assert found.sides is None
        source = source_of(Hospital, tmp_path, self.STATES, max_evaluation_recordings=20)
        assert len(gather_recordings(source, label_map, MULTI_LABEL, PREPROCESSING, seed=1).table) == 20

    def test_near_copies_on_two_sides_are_excluded_and_counted(self, tmp_path: Path, label_map: LabelMap) -> None:
        copy_of = tuple((number, number - 30) for number in range(30, 60))
        data = self.prepare(tmp_path, label_map, copy_of=copy_of, states=[ONE] * 60)
        assert data.table["signal_hash"].nunique() == 60
        assert data.table["signal"].nunique() == 30
        assert data.counts["copies"]["recordings with a near copy"] == 60
        used = data.table[data.table["split"] != "excluded"]
        assert used.groupby("signal")["split"].nunique().max() == 1
        left_out = data.table[data.table["split"] == "excluded"]
        assert set(left_out["exclusion"]) == {"signal on another side"}
        assert data.leakage.found == 0
        assert data.leakage.by_source.loc["all", "recordings_excluded"] == len(left_out) > 3
        data.require_sound()

    def test_what_the_split_excludes_is_not_stored_but_counted(self, tmp_path: Path, label_map: LabelMap) -> None:
        source = source_of(Hospital, tmp_path, [ONE, OTHER] * 5)
        split = split_settings(
            kind="published", assignment="hash", minimum=0, seed=1, whole_sides=["validation", "test"]
        )
        table = source.read(label_map).table.assign(fold=[float(number) for number in range(1, 9)] + [9.0, np.nan])
        source.read = lambda _: Catalog(table)  # type: ignore[method-assign]
        found = gather_recordings(source, label_map, MULTI_LABEL, PREPROCESSING, seed=1, split=split)
        data = divide_recordings(found, label_map, split)
        assert data.counts["divided"] == {"train": 8, "validation": 1, "test": 0, "excluded": 1}
        assert data.counts["stored"] == 9
        assert data.counts["left out"] == {"no published fold (split.kind=published)": 1}
        assert data.leakage.by_source["recordings_excluded"].to_dict() == {"x": 1, "all": 1}


def test_copies_of_one_signal_are_grouped_in_a_selection(tmp_path: Path, label_map: LabelMap) -> None:
    copy_of = tuple((number, number - 20) for number in range(20, 40))
    found = gather(listed(tmp_path, [ONE] * 40, copy_of=copy_of), label_map)
    data = divide_recordings(found, label_map, split_settings(minimum=0, seed=1))
    assert (data.table["split"] != "excluded").all()
    assert data.table.groupby("signal")["split"].nunique().max() == 1
    assert data.table["signal"].nunique() == 20


def test_what_a_copy_states_holds_and_contradictions_are_unknown_and_counted(
    tmp_path: Path, label_map: LabelMap, caplog: pytest.LogCaptureFixture
) -> None:
    first, second = label_map.codes[:2]
    states = [(PRESENT, UNKNOWN), (UNKNOWN, ABSENT), (PRESENT, ABSENT), (ABSENT, ABSENT), ONE, ONE]
    with caplog.at_level("WARNING"):
        found = gather(listed(tmp_path, states, copy_of=((1, 0), (3, 2))), label_map, MULTI_LABEL)
    table = found.table.set_index("recording")
    assert table.loc[["x/000", "x/001"], [first, second]].to_numpy().tolist() == [["present", "absent"]] * 2
    assert table.loc[["x/002", "x/003"], [first, second]].to_numpy().tolist() == [["unknown", "absent"]] * 2
    copies = found.counts["copies"]
    assert {code: n for code, n in copies["labels taken from a copy"].items() if n} == {first: 1, second: 1}
    assert {code: n for code, n in copies["labels unknown because copies contradict"].items() if n} == {first: 2}
    assert "copies contradict: 2" in caplog.text
    assert any("where they contradict, the condition is unknown (2 labels)" in note for note in found.counts["notes"])


def test_a_recording_of_which_contradiction_leaves_nothing_is_excluded(tmp_path: Path, label_map: LabelMap) -> None:
    source = listed(tmp_path, [ONE, OTHER, *[ONE, OTHER] * 9], copy_of=((1, 0),))
    data = divide_recordings(gather(source, label_map), label_map, split_settings(seed=1))
    useless = data.table.set_index("recording").loc[["x/000", "x/001"]]
    assert useless["split"].tolist() == ["excluded"] * 2
    assert set(useless["exclusion"]) == {CONTRADICTION}
    assert (data.table["split"] == "excluded").sum() == 2


@pytest.mark.parametrize("known", [True, False])
def test_unknown_patients_are_told(
    tmp_path: Path, label_map: LabelMap, caplog: pytest.LogCaptureFixture, known: bool
) -> None:
    with caplog.at_level("WARNING"):
        found = gather(listed(tmp_path, [ONE, OTHER] * 10, patients_known=known), label_map)
    data = divide_recordings(found, label_map, split_settings(seed=1))
    assert data.leakage.by_source["patient_unknown"].to_dict() == dict.fromkeys(("x", "all"), 0 if known else 20)
    assert data.counts["patient unknown"] == ({} if known else {"x": 20})
    assert ("Patient unknown: 20 recordings of x" in caplog.text) is not known
    told = any("intervals treat recordings as patients" in note for note in data.counts["notes"])
    assert told is not known
    assert (data.splits_table()["patient_known"] == known).all()


def test_a_selection_says_that_it_is_one(tmp_path: Path, label_map: LabelMap) -> None:
    assert gather(listed(tmp_path, [ONE]), label_map).counts["notes"] == [SELECTION_NOTE]
    source = source_of(Hospital, tmp_path, [ONE])
    assert gather(source, label_map).counts["notes"] == []
