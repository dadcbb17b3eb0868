import numpy as np
import pandas as pd
import pytest

from ecgfounder_ft.data.caps import draw_by_condition, sample_patients, select_max_samples
from ecgfounder_ft.data.catalog import (
    Catalog,
    CatalogError,
    build_table,
    catalog_columns,
    count_conditions,
    label_patterns,
    merge_catalogs,
    skipped_table,
    state_column,
    targets,
    validate,
)
from ecgfounder_ft.ecg.recording import UnreadableRecordingError
from ecgfounder_ft.labels import ABSENT, PRESENT, UNKNOWN, Condition, LabelMap


def row(name, dataset="a", **states):
    recording = f"{dataset}/{name}"
    return {
        "recording": recording,
        "dataset": dataset,
        "path": f"/{recording}.hea",
        "patient": recording,
        "sampling_rate": 500,
        "samples": 5000,
        **states,
    }


def test_patterns_of_conditions_are_counted_by_source(label_map):
    absent = dict.fromkeys(label_map.codes, ABSENT)
    rows = [row(f"p{i}", constituent="ptb-xl", **absent | {"NORM": PRESENT, "RBBB": PRESENT}) for i in range(3)]
    rows += [row(f"g{i}", constituent="georgia", **absent | {"NORM": UNKNOWN, "RBBB": PRESENT}) for i in range(2)]
    rows += [row("g9", constituent="georgia", **absent), row("g8", constituent="georgia", NORM=ABSENT)]
    rows += [row("m1", "mimic", constituent=""), row("m2", "mimic", constituent="", LBBB=PRESENT, AFIB=PRESENT)]
    table = build_table(rows, label_map)
    patterns = label_patterns(table, label_map)
    assert patterns == {
        "georgia": {"RBBB": 2, "none present": 2},
        "mimic": {"AFIB + LBBB": 1, "none known": 1},
        "ptb-xl": {"NORM + RBBB": 3},
    }
    assert list(patterns) == ["georgia", "mimic", "ptb-xl"]
    assert label_patterns(table.sample(frac=1, random_state=0), label_map) == patterns
    assert label_patterns(table.iloc[:0], label_map) == {}


def test_columns_follow_the_label_map(label_map):
    other = LabelMap("two", {"X": Condition(name="x"), "Y": Condition(name="y")})
    assert catalog_columns(other)[-3:] == ("X", "Y", "evidence")
    assert list(build_table([row("1", X=PRESENT)], other)) == list(catalog_columns(other))
    assert catalog_columns(label_map)[11:17] == label_map.codes


def test_a_condition_that_a_row_does_not_name_is_unknown_not_absent(label_map):
    table = build_table([row("1", NORM=PRESENT), row("2", AFIB=ABSENT)], label_map)
    assert targets(table, label_map)[:, :2].tolist() == [[PRESENT, UNKNOWN], [UNKNOWN, ABSENT]]
    assert (targets(table, label_map)[:, 2:] == UNKNOWN).all()
    assert table["AFIB"].tolist() == ["unknown", "absent"]


def test_targets_keep_the_order_of_the_label_map(label_map):
    table = build_table([row("1", LBBB="present", NORM="absent")], label_map)
    expected = [UNKNOWN] * len(label_map)
    expected[label_map.codes.index("LBBB")] = PRESENT
    expected[label_map.codes.index("NORM")] = ABSENT
    assert targets(table, label_map).tolist() == [expected]
    assert targets(table, label_map).dtype == np.int8
    assert targets(table.iloc[:0], label_map).shape == (0, len(label_map))


def test_plain_strings_are_read_as_states_too(label_map):
    table = build_table([row("1", NORM="present")], label_map)
    as_text = table.astype(dict.fromkeys(label_map.codes, str))
    validate(as_text, label_map)
    assert (targets(as_text, label_map) == targets(table, label_map)).all()


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"NORM": "perhaps"}, "NORM: 1 row"),
        ({"NORM": 7}, "NORM: 1 row"),
        ({"patient": ""}, "patient: 1 row.* empty"),
        ({"sampling_rate": 0}, "sampling_rate: 1 row"),
        ({"samples": -1}, "samples: 1 row"),
        ({"samples": None}, "samples: 1 row"),
        ({"age": 300}, "age: 1 row"),
        ({"sex": "M"}, "sex: 1 row"),
    ],
)
def test_what_must_not_stand_in_a_catalog_is_named(label_map, change, message):
    with pytest.raises(CatalogError, match=message):
        build_table([{**row("1"), **change}], label_map)


def test_every_problem_is_listed_at_once(label_map):
    with pytest.raises(CatalogError, match=r"(?s)repeat a name.*sex"):
        build_table([{**row("1"), "sex": "x"}, row("1")], label_map)
    with pytest.raises(CatalogError, match="no column patient, LBBB"):
        validate(build_table([row("1")], label_map).drop(columns=["patient", "LBBB"]), label_map)


def test_no_recordings_are_a_catalog_too(label_map):
    table = build_table([], label_map)
    assert list(table) == list(catalog_columns(label_map))
    assert not len(table)


def test_merge_keeps_rows_skips_and_notes_of_each(label_map):
    skipped = skipped_table([UnreadableRecordingError("no samples", "0", "x.hea")])
    one = Catalog(build_table([row("1", NORM=PRESENT)], label_map), skipped, ("one",))
    two = Catalog(build_table([row("1", "b", AFIB=PRESENT)], label_map), notes=("two",))
    merged = merge_catalogs([one, two], label_map)
    assert merged.table["recording"].tolist() == ["a/1", "b/1"]
    assert merged.skipped.to_numpy().tolist() == [["x.hea", "no samples", "0"]]
    assert merged.notes == ("one", "two")
    assert merged.table["NORM"].dtype == one.table["NORM"].dtype
    with pytest.raises(CatalogError, match="a/1"):
        merge_catalogs([one, one], label_map)


def test_counts_by_dataset(label_map):
    table = build_table(
        [row("1", NORM=PRESENT, RBBB=PRESENT), row("2", NORM=ABSENT), row("1", "b", RBBB=PRESENT)], label_map
    )
    counts = count_conditions(table, label_map)
    assert counts.loc["a", ["NORM", "RBBB", "AFIB", "recordings"]].tolist() == [1, 1, 0, 2]
    assert counts.loc["b", ["NORM", "RBBB", "AFIB", "recordings"]].tolist() == [0, 1, 0, 1]


def test_state_column_refuses_other_numbers():
    assert state_column([1, 0, -1, np.nan]).tolist() == ["present", "absent", "unknown", "unknown"]
    assert pd.isna(state_column([2])[0])


class TestMaxSamples:
    def table(self, label_map, counts):
        rows = []
        for (dataset, code), count in counts.items():
            rows += [row(f"{code}{i}", dataset, **{code: PRESENT}) for i in range(count)]
        return build_table(rows, label_map)

    def counts(self, table, label_map, code):
        return count_conditions(table, label_map)[code].to_dict()

    def test_even_share_of_each_dataset(self, label_map):
        table = self.table(label_map, {("a", "NORM"): 50, ("b", "NORM"): 50})
        chosen = select_max_samples(table, label_map, 20, seed=1)
        assert self.counts(chosen, label_map, "NORM") == {"a": 10, "b": 10}

    def test_one_dataset_fills_up_what_the_other_lacks(self, label_map):
        table = self.table(label_map, {("a", "NORM"): 50, ("b", "NORM"): 4, ("c", "NORM"): 50})
        chosen = select_max_samples(table, label_map, 20, seed=1)
        assert self.counts(chosen, label_map, "NORM") == {"a": 8, "b": 4, "c": 8}

    def test_fewer_than_asked_for_are_all_kept(self, label_map):
        table = self.table(label_map, {("a", "NORM"): 5, ("b", "AFIB"): 3})
        pd.testing.assert_frame_equal(select_max_samples(table, label_map, 20), table)
        assert select_max_samples(table, label_map, None) is table

    def test_seed_decides_and_row_order_does_not(self, label_map):
        table = self.table(label_map, {("a", "NORM"): 50, ("b", "AFIB"): 50})
        chosen = set(select_max_samples(table, label_map, 10, seed=3)["recording"])
        shuffled = table.sample(frac=1, random_state=0)
        assert set(select_max_samples(shuffled, label_map, 10, seed=3)["recording"]) == chosen
        assert set(select_max_samples(table, label_map, 10, seed=4)["recording"]) != chosen
        assert len(chosen) == 20

    def test_rows_keep_their_order(self, label_map):
        table = self.table(label_map, {("a", "NORM"): 50})
        chosen = select_max_samples(table, label_map, 10)
        assert chosen.index.is_monotonic_increasing

    def test_no_condition_exceeds_the_limit_though_recordings_have_two(self, label_map):
        rng = np.random.default_rng(0)
        rows = [
            row(str(i), "ab"[i % 2], **dict.fromkeys(rng.choice(label_map.codes, 2, replace=False), PRESENT))
            for i in range(300)
        ]
        chosen = select_max_samples(build_table(rows, label_map), label_map, 15, seed=0)
        counts = (targets(chosen, label_map) == PRESENT).sum(0)
        assert counts.max() <= 15
        assert counts.min() >= 13

    def test_recordings_of_no_condition_are_one_more_group(self, label_map):
        absent = dict.fromkeys(label_map.codes, ABSENT)
        rows = [row(f"n{i}", **absent) for i in range(30)] + [row(f"u{i}") for i in range(5)]
        chosen = select_max_samples(build_table(rows, label_map), label_map, 10)
        assert len(chosen) == 10
        assert chosen["recording"].str.startswith("a/n").all()

    def test_zero_is_refused(self, label_map):
        with pytest.raises(ValueError, match="max_samples is 0"):
            select_max_samples(build_table([row("1")], label_map), label_map, 0)


def hospital(label_map, blocks_with_sinus, n=200_000, seed=0):
    """A catalog as issued by a hospital: sinus rhythm in most, blocks in a few, some of these with sinus rhythm."""
    rng = np.random.default_rng(seed)
    kind = rng.choice(4, n, p=[0.6, 0.1, 0.05, 0.25])  # clean sinus rhythm, fibrillation, flutter, blocks
    states = np.zeros((n, len(label_map.codes)), dtype=np.int8)
    column = {code: position for position, code in enumerate(label_map.codes)}
    states[kind == 0, column["NORM"]] = 1
    states[kind == 1, column["AFIB"]] = 1
    states[kind == 2, column["AFLT"]] = 1
    for position, code in enumerate(("1dAVb", "RBBB", "LBBB")):
        of = (kind == 3) & (np.arange(n) % 3 == position)
        states[of, column[code]] = 1
        states[of & (rng.random(n) < blocks_with_sinus), column["NORM"]] = 1
    names = [f"{number:06d}" for number in range(n)]
    dataset = np.where(rng.random(n) < 0.8, "a", "b")
    table = pd.DataFrame({"recording": dataset + np.array("/") + names, "dataset": dataset, "patient": names})
    return table.assign(**{code: state_column(states[:, column[code]]) for code in label_map.codes}), states


class TestDrawByCondition:
    @pytest.mark.parametrize("blocks_with_sinus", [0.5, 0.2])
    def test_what_occurs_together_keeps_its_share_of_the_most_frequent_condition(self, label_map, blocks_with_sinus):
        table, states = hospital(label_map, blocks_with_sinus)
        drawn = draw_by_condition(table, label_map, 1000, seed=1)
        norm = label_map.codes.index("NORM")
        blocks = [label_map.codes.index(code) for code in ("1dAVb", "RBBB", "LBBB")]
        for rows in (drawn, drawn & (table["dataset"] == "a"), drawn & (table["dataset"] == "b")):
            of_norm = states[rows & (states[:, norm] == 1)]
            natural = states[states[:, norm] == 1]
            assert len(of_norm) >= 480
            for column in blocks:  # joint counts: sinus rhythm with each block
                share, wish = of_norm[:, column].mean(), natural[:, column].mean()
                assert of_norm[:, column].sum() > 0
                assert abs(share - wish) < 4 * np.sqrt(wish * (1 - wish) / len(of_norm))
            clean, wish = (of_norm.sum(1) == 1).mean(), (natural.sum(1) == 1).mean()
            assert abs(clean - wish) < 0.04
        assert (states[drawn].sum(0) == 1000).all()

    def test_what_was_done_before_leaves_hardly_a_clean_normal(self, label_map):
        """The fault that the draw is for: rarest first, while all conditions have room."""
        table, states = hospital(label_map, 0.5)
        rows = table.index.get_indexer(select_max_samples(table, label_map, 1000, seed=1).index)
        of_norm = states[rows][states[rows][:, label_map.codes.index("NORM")] == 1]
        assert (of_norm.sum(1) == 1).mean() < 0.05

    def test_shares_are_even_and_filled_up(self, label_map):
        rows = [row(f"{number}", "a", NORM=PRESENT) for number in range(50)]
        rows += [row(f"{number}", "b", NORM=PRESENT) for number in range(4)]
        rows += [row(f"{number}", "c", NORM=PRESENT) for number in range(50)]
        table = build_table(rows, label_map)
        drawn = draw_by_condition(table, label_map, 20, seed=1)
        assert table["dataset"][drawn].value_counts().to_dict() == {"a": 8, "c": 8, "b": 4}

    def test_what_another_condition_keeps_out_is_filled_up_from_the_other_dataset(self, label_map):
        rows = [row(f"{number}", "a", NORM=PRESENT, LBBB=PRESENT) for number in range(300)]
        rows += [row(f"n{number}", "a", NORM=PRESENT) for number in range(3000)]
        rows += [row(f"{number}", "b", LBBB=PRESENT) for number in range(300)]
        table = build_table(rows, label_map)
        drawn = draw_by_condition(table, label_map, 100, seed=0)
        counts = count_conditions(table[drawn], label_map)
        assert counts.loc["a", "NORM"] == 100
        assert 3 <= counts.loc["a", "LBBB"] <= 20
        assert counts["LBBB"].sum() == 100

    def test_no_condition_exceeds_the_cap_and_none_of_them_is_one_more_group(self, label_map):
        rng = np.random.default_rng(0)
        rows = [
            row(f"{i}", "ab"[i % 2], **dict.fromkeys(rng.choice(label_map.codes, 2, replace=False), PRESENT))
            for i in range(300)
        ]
        rows += [row(f"n{i}", **dict.fromkeys(label_map.codes, ABSENT)) for i in range(30)]
        rows += [row(f"u{i}") for i in range(5)]
        table = build_table(rows, label_map)
        drawn = draw_by_condition(table, label_map, 15, seed=0)
        counts = (targets(table[drawn], label_map) == PRESENT).sum(0)
        assert counts.max() <= 15
        assert counts.min() >= 13
        assert table["recording"][drawn].str.startswith("a/n").sum() == 15
        assert not table["recording"][drawn].str.startswith("a/u").any()

    def test_seed_and_names_decide(self, label_map):
        table, _ = hospital(label_map, 0.5, n=3000)
        first = set(table["recording"][draw_by_condition(table, label_map, 50, seed=3)])
        shuffled = table.sample(frac=1, random_state=0)
        assert set(shuffled["recording"][draw_by_condition(shuffled, label_map, 50, seed=3)]) == first
        assert set(table["recording"][draw_by_condition(table, label_map, 50, seed=4)]) != first
        assert draw_by_condition(table, label_map, None).all()
        with pytest.raises(ValueError, match="max_samples is 0"):
            draw_by_condition(table, label_map, 0)


class TestSamplePatients:
    def test_whole_patients_and_no_more_than_asked_for(self):
        rng = np.random.default_rng(0)
        patients = pd.Series([f"p{number}" for number in rng.integers(400, size=2000)])
        drawn = sample_patients(patients, 500, seed=1)
        assert 480 <= drawn.sum() <= 500
        assert not set(patients[drawn]) & set(patients[~drawn])
        assert (sample_patients(patients, 700, seed=1) | ~drawn).all()  # a larger draw holds the smaller one
        assert set(patients[sample_patients(patients, 500, seed=2)]) != set(patients[drawn])
        assert sample_patients(patients, None).all()
        with pytest.raises(ValueError, match="max_evaluation_recordings is 0"):
            sample_patients(patients, 0)

    def test_prevalence_is_kept(self, label_map):
        table, states = hospital(label_map, 0.5)
        drawn = sample_patients(table["patient"], 20_000, seed=1)
        spread = np.sqrt(states.mean(0) * (1 - states.mean(0)) / 20_000)
        assert (np.abs(states[drawn].mean(0) - states.mean(0)) < 4 * spread).all()


def test_a_patient_is_known_unless_it_is_the_recording_itself(label_map):
    rows = [
        row("1", patient="a/p1"),
        row("2"),
        row("3", patient_known=True),
        row("4", patient="a/p", patient_known=False),
    ]
    assert build_table(rows, label_map)["patient_known"].tolist() == [True, False, True, False]
