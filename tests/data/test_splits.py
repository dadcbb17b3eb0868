"""The two rules of every split, on tables that hypothesis makes up, and each kind of split."""

import numpy as np
import pandas as pd
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from ecgfounder_ft.data.leakage import LeakageError, leakage_report
from ecgfounder_ft.data.splits import (
    EXCLUDED,
    SIDES,
    TEST,
    TRAIN,
    VALIDATION,
    TooFewRecordingsError,
    exclude_copies,
    require_enough,
    split_recordings,
)
from ecgfounder_ft.data.store.shard import signal_hash
from ecgfounder_ft.ecg.formats import read_recording
from tests.settings import split_settings

CODES = ("NORM", "AFIB", "LBBB")
SOURCES = (("mimic", ""), ("challenge", "georgia"), ("challenge", "ptb_xl"))


def make_table(rows: list[tuple[int, int, int, int]]) -> tuple[pd.DataFrame, pd.Series]:
    """Rows of (source, patient, signal, conditions as bits); a patient stays in its dataset."""
    columns = []
    for number, (source, patient, signal, bits) in enumerate(rows):
        dataset, constituent = SOURCES[source]
        states = {code: "present" if bits >> k & 1 else "absent" for k, code in enumerate(CODES)}
        columns.append(
            {
                "recording": f"{dataset}/{number}",
                "dataset": dataset,
                "constituent": constituent,
                "patient": f"{dataset}/{patient}",
                "fold": float(number % 10 + 1) if constituent == "ptb_xl" else np.nan,
                "signal": f"s{signal}",
                **states,
            }
        )
    table = pd.DataFrame(columns, index=[f"r{number}" for number in range(len(rows))])
    return table, table.pop("signal")


tables = st.lists(
    st.tuples(st.integers(0, 2), st.integers(0, 12), st.integers(0, 25), st.integers(0, 7)), min_size=8, max_size=60
).map(make_table)
assignments = st.sampled_from(["hash", "stratified"])
kinds = st.sampled_from(
    [
        {"kind": "random"},
        {"kind": "kfold", "folds": 4, "fold": 2},
        {"kind": "external", "train_sources": ["challenge"]},
        {"kind": "leave_one_source_out", "held_out": "georgia"},
        {"kind": "published"},
    ]
)


def has_sources(table: pd.DataFrame, kind: dict) -> bool:
    """Whether the table has the sources that the kind needs, and others."""
    needed = {"external": ("dataset", "challenge"), "leave_one_source_out": ("constituent", "georgia")}
    if kind["kind"] == "published":
        return bool((table["constituent"] == "ptb_xl").any())
    if kind["kind"] not in needed:
        return True
    column, name = needed[kind["kind"]]
    return 0 < (table[column] == name).sum() < len(table)


def singles(n: int, seed: int = 0) -> tuple[pd.DataFrame, pd.Series]:
    """n patients with one recording, one signal and one condition each."""
    rng = np.random.default_rng(seed)
    return make_table([(int(rng.integers(3)), k, k, 1 << int(rng.integers(3))) for k in range(n)])


@settings(max_examples=80, deadline=None)
@given(tables, kinds, assignments, st.integers(0, 5))
def test_no_patient_and_no_signal_on_two_sides(made, kind, assignment, seed):
    table, signal = made
    assume(has_sources(table, kind))
    split = split_recordings(table, signal, split_settings(assignment=assignment, **kind), seed, CODES)
    assert split.index.equals(table.index)
    assert set(split["split"]) <= {*SIDES, EXCLUDED}
    assert ((split["exclusion"] != "") == (split["split"] == EXCLUDED)).all()
    used = split["split"] != EXCLUDED
    for key in (table["patient"], signal):
        assert split["split"][used].groupby(key[used]).nunique().max() == 1
    report = leakage_report(table, split["split"], signal)
    assert report.found == 0
    report.require_none()


@settings(max_examples=50, deadline=None)
@given(tables, st.integers(0, 60), st.integers(0, 5))
def test_adding_data_moves_nobody(made, kept, seed):
    table, signal = made
    part = table.index[: max(1, min(kept, len(table)))]
    options = split_settings(assignment="hash")
    before = split_recordings(table.loc[part], signal[part], options, seed, CODES)["split"]
    after = split_recordings(table, signal, options, seed, CODES)["split"][part]
    moved = after[after != before]
    assert (moved == EXCLUDED).all()  # only as the copy of a signal that came in on a side that matters more


@settings(max_examples=50, deadline=None)
@given(tables, kinds, assignments, st.randoms(use_true_random=False))
def test_the_order_of_the_rows_does_not_matter(made, kind, assignment, random):
    table, signal = made
    options = split_settings(assignment=assignment, **kind)
    order = list(table.index)
    random.shuffle(order)
    assume(has_sources(table, kind))
    split = split_recordings(table, signal, options, 3, CODES)
    shuffled = split_recordings(table.loc[order], signal[order], options, 3, CODES)
    pd.testing.assert_frame_equal(split, shuffled.loc[split.index])


@settings(max_examples=40, deadline=None)
@given(st.lists(st.tuples(st.integers(0, 2), st.integers(0, 2)), min_size=3, max_size=80), st.integers(0, 5))
def test_three_patients_of_a_condition_are_enough_for_every_side(kinds_of_patients, seed):
    table, signal = make_table([(source, k, k, 1 << c) for k, (source, c) in enumerate(kinds_of_patients)])
    split = split_recordings(table, signal, split_settings(), seed, CODES)["split"]
    for code in CODES:
        having = table[code] == "present"
        if having.sum() >= 3:
            assert set(split[having]) == set(SIDES)


@pytest.mark.parametrize("assignment", ["hash", "stratified"])
def test_shares_are_near_the_wish(assignment):
    table, signal = singles(3000)
    split = split_recordings(table, signal, split_settings(assignment=assignment), 1, CODES)["split"]
    shares = split.value_counts(normalize=True)
    np.testing.assert_allclose([shares[side] for side in SIDES], [0.7, 0.15, 0.15], atol=0.02)


def test_stratified_shares_hold_in_each_stratum():
    table, signal = singles(600)
    split = split_recordings(table, signal, split_settings(), 1, CODES)["split"]
    for _, rows in table.groupby(["dataset", "constituent", *CODES]):
        counts = split[rows.index].value_counts().reindex(SIDES, fill_value=0).to_numpy()
        assert np.abs(counts - len(rows) * np.array([0.7, 0.15, 0.15])).max() < 1.5


@pytest.mark.parametrize("assignment", ["hash", "stratified"])
def test_the_seed_changes_the_split_and_repeats_it(assignment):
    table, signal = singles(100)
    options = split_settings(assignment=assignment)
    first, again, other = (split_recordings(table, signal, options, seed, CODES)["split"] for seed in (1, 1, 2))
    assert first.equals(again)
    assert (first != other).any()


@pytest.mark.parametrize("assignment", ["hash", "stratified"])
def test_real_copies_under_two_patients_never_stand_on_two_sides(shared, assignment):
    georgia = shared / "ecg" / "physionet2021" / "georgia"
    names = sorted(path.stem for path in georgia.glob("*.hea") if path.with_suffix(".mat").exists())
    table, _ = make_table([(1, number, number, 1 << number % 3) for number in range(len(names))])
    signal = pd.Series([signal_hash(read_recording(georgia / f"{name}.hea")) for name in names], index=table.index)
    copies = table.index[[names.index("E07509"), names.index("E07510")]]
    for seed in range(20):
        split = split_recordings(table, signal, split_settings(assignment=assignment), seed, CODES)["split"]
        assert len(set(split[copies]) - {EXCLUDED}) == 1


@pytest.mark.parametrize("assignment", ["hash", "stratified"])
def test_folds_test_everyone_once(assignment):
    table, signal = singles(90)
    tested = pd.Series(0, index=table.index)
    for fold in range(3):
        options = split_settings(kind="kfold", folds=3, fold=fold, assignment=assignment)
        split = split_recordings(table, signal, options, 1, CODES)["split"]
        tested += split == TEST
        assert {TRAIN, VALIDATION} <= set(split)
    assert (tested == 1).all()


def test_external_trains_on_the_named_sources_alone():
    table, signal = singles(200)
    options = split_settings(kind="external", train_sources=["mimic"])
    split = split_recordings(table, signal, options, 1, CODES)["split"]
    assert set(table["dataset"][split == TEST]) == {"challenge"}
    assert set(table["dataset"][split != TEST]) == {"mimic"}
    trained, validated = (split == TRAIN).sum(), (split == VALIDATION).sum()
    assert abs(validated / (trained + validated) - 0.15 / 0.85) < 0.05


def test_the_held_out_source_keeps_its_copies_out_of_training():
    table, signal = make_table([(1, 0, 0, 1), (2, 1, 0, 1), (2, 2, 1, 1), (2, 3, 2, 1)])
    options = split_settings(kind="leave_one_source_out", held_out="georgia", assignment="hash")
    split = split_recordings(table, signal, options, 1, CODES)
    assert split["split"].iloc[0] == TEST
    assert split.iloc[1].tolist() == [EXCLUDED, "signal on another side"]


def test_published_folds():
    table, signal = make_table([(2, k, k, 1) for k in range(10)] + [(0, 0, 99, 1)])
    split = split_recordings(table, signal, split_settings(kind="published"), 1, CODES)
    assert split["split"].tolist() == [TRAIN] * 8 + [VALIDATION, TEST, EXCLUDED]
    assert split["exclusion"].iloc[-1] == "no published fold"
    table.loc["r0", "fold"] = 11
    with pytest.raises(ValueError, match=r"11\.0"):
        split_recordings(table, signal, split_settings(kind="published"), 1, CODES)


def test_a_signal_of_two_patients_is_excluded_on_the_lesser_side_by_hash_and_grouped_by_stratification():
    rows = [(0, k, k, 1) for k in range(40)] + [(1, k, k, 1) for k in range(40)]
    table, signal = make_table(rows)
    by_hash = split_recordings(table, signal, split_settings(assignment="hash"), 1, CODES)["split"]
    stratified = split_recordings(table, signal, split_settings(), 1, CODES)["split"]
    assert 0 < (by_hash == EXCLUDED).sum() < 40
    assert (stratified != EXCLUDED).all()


def test_unknown_sources_and_blank_patients_are_refused():
    table, signal = singles(10)
    with pytest.raises(ValueError, match=r"'gorgia'.*georgia"):
        split_recordings(table, signal, split_settings(kind="leave_one_source_out", held_out="gorgia"), 1, CODES)
    options = split_settings(kind="external", train_sources=["mimic", "challenge"])
    with pytest.raises(ValueError, match="nothing to test on"):
        split_recordings(table, signal, options, 1, CODES)
    table.loc["r3", "patient"] = " "
    with pytest.raises(ValueError, match="1 recordings name no patient"):
        split_recordings(table, signal, split_settings(), 1, CODES)


@pytest.mark.parametrize(
    ("options", "named"),
    [
        ({"kind": "randm"}, "split.kind"),
        ({"assignment": "luck"}, "split.assignment"),
        ({"train": 0.8}, "add up to 1"),
        ({"kind": "external"}, "split.train_sources"),
        ({"kind": "leave_one_source_out"}, "split.held_out"),
        ({"kind": "kfold", "fold": 5}, "split.fold"),
        ({"minimum": -1}, "split.minimum"),
        ({"unknown_patients": "guess"}, "split.unknown_patients"),
        ({"whole_sides": ["train"]}, "split.whole_sides"),
    ],
)
def test_impossible_settings_are_named(options, named):
    with pytest.raises(ValueError, match=named):
        split_settings(**options)


def partly_known(n: int = 300) -> tuple[pd.DataFrame, pd.Series]:
    """Recordings of three sources: the patients of one are known, of one unknown, of one known in all but one."""
    table, signal = make_table([(number % 3, number, number, 1 << number % 3) for number in range(n)])
    known = table["constituent"] != "georgia"
    known[table.index[table["constituent"] == "ptb_xl"][0]] = False
    return table.assign(patient_known=known), signal


@pytest.mark.parametrize("assignment", ["hash", "stratified"])
def test_sources_with_unknown_patients_stay_on_one_side_if_wished(assignment):
    table, signal = partly_known()
    for seed in range(5):
        options = split_settings(assignment=assignment, unknown_patients="one_side")
        split = split_recordings(table, signal, options, seed, CODES)["split"]
        for constituent in ("georgia", "ptb_xl"):
            assert split[table["constituent"] == constituent].nunique() == 1
        assert set(split[table["dataset"] == "mimic"]) == set(SIDES)
    usual = split_recordings(table, signal, split_settings(assignment=assignment), 1, CODES)["split"]
    assert set(usual[table["constituent"] == "georgia"]) == set(SIDES)
    unsaid = table.drop(columns="patient_known")
    without = split_recordings(unsaid, signal, split_settings(assignment=assignment), 1, CODES)
    assert without["split"].equals(usual)


def test_unknown_patients_are_counted_by_source():
    table, signal = partly_known()
    split = pd.Series(TRAIN, index=table.index)
    split.iloc[1] = EXCLUDED  # of georgia
    report = leakage_report(table, split, signal).by_source
    assert report["patient_unknown"].to_dict() == {"georgia": 99, "mimic": 0, "ptb_xl": 1, "all": 100}
    assert leakage_report(table.drop(columns="patient_known"), split, signal).by_source["patient_unknown"].sum() == 0


def test_copies_found_after_the_split_are_excluded_on_the_lesser_side():
    sides = pd.DataFrame({"split": [TRAIN, TEST, VALIDATION, TRAIN, EXCLUDED], "exclusion": ["", "", "", "", "before"]})
    found = exclude_copies(sides, pd.Series(["a", "a", "a", "b", "b"]))
    assert found["split"].tolist() == [EXCLUDED, TEST, EXCLUDED, TRAIN, EXCLUDED]
    assert found["exclusion"].tolist() == ["signal on another side", "", "signal on another side", "", "before"]
    assert sides["split"].tolist() == [TRAIN, TEST, VALIDATION, TRAIN, EXCLUDED]


def test_the_leakage_report_finds_what_a_careless_split_leaks():
    table, signal = make_table([(0, 0, 0, 1), (0, 0, 1, 1), (1, 5, 2, 1), (2, 6, 2, 1)])
    split = pd.Series([TRAIN, TEST, TRAIN, VALIDATION], index=table.index)
    report = leakage_report(table, split, signal)
    assert report.by_source.loc["all", ["patients_on_two_sides", "signals_on_two_sides"]].tolist() == [1, 1]
    assert report.by_source.loc["mimic", "patients_on_two_sides"] == 1
    assert report.by_source.loc["georgia", "signals_on_two_sides"] == 1
    with pytest.raises(LeakageError, match="patient mimic/0"):
        report.require_none()


def test_too_few_recordings_of_a_condition_stop_with_advice():
    table, signal = make_table([(0, k, k, 1 if k < 20 else 2) for k in range(22)])
    split = split_recordings(table, signal, split_settings(), 1, CODES)["split"]
    with pytest.raises(TooFewRecordingsError, match=r"AFIB has \d on the test side.*split.minimum"):
        require_enough(table, split, CODES[:2], split_settings(minimum=3))
    require_enough(table, split, CODES[:1], split_settings(minimum=3))
    require_enough(table, split, CODES, split_settings(minimum=0))
    with pytest.raises(TooFewRecordingsError, match=r"no recordings on the test side, of 22 in all\. Give the side"):
        require_enough(table, split.replace("test", "train"), CODES, split_settings(minimum=0))


def test_patients_who_share_a_signal_are_dealt_as_others_are() -> None:
    codes = ["A", "B"]
    shares = []
    for seed in range(20):
        table = pd.DataFrame(
            {
                "recording": [f"r{number}" for number in range(600)],
                "patient": [f"p{number}" for number in range(600)],
                "dataset": "d",
                "constituent": "",
                "A": ["present" if number % 3 == 0 else "absent" for number in range(600)],
                "B": ["present" if number % 3 == 1 else "absent" for number in range(600)],
            }
        )
        signals = table["recording"].where(
            table.index >= 120, "s" + (table.index // 2).astype(str)
        )  # 60 pairs of copies
        settings = split_settings(train=0.7, validation=0.15, test=0.15, seed=seed)
        sides = split_recordings(table, signals, settings, seed, codes)["split"]
        shares.append((sides[:120] == "train").mean())
    assert abs(np.mean(shares) - 0.7) < 0.05  # 0.83 where a group's turn is the least number of its patients
