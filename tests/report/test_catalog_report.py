import numpy as np
import pandas as pd
import pytest
from matplotlib.figure import Figure

from ecgfounder_ft.data.catalog import Catalog, build_table, skipped_table
from ecgfounder_ft.data.sources.physionet2021 import read_physionet2021
from ecgfounder_ft.ecg.leads import STANDARD_LEADS
from ecgfounder_ft.ecg.recording import Recording, UnreadableRecordingError
from ecgfounder_ft.labels import ABSENT, PRESENT, UNKNOWN
from ecgfounder_ft.report.catalog_report import (
    age_sex_figure,
    beside_others,
    choose_examples,
    conditions_by_source_figure,
    cooccurrence_figure,
    length_figure,
    rate_figure,
    source_of,
    write_catalog_report,
)


def row(name, dataset, constituent="", age=np.nan, sex="", **states):
    return {
        "recording": f"{dataset}/{name}",
        "dataset": dataset,
        "constituent": constituent,
        "path": f"/{dataset}/{name}.hea",
        "patient": f"{dataset}/{name}",
        "sampling_rate": 500.0 if dataset == "a" else 257.0,
        "samples": 5000,
        "age": age,
        "sex": sex,
        **states,
    }


@pytest.fixture
def table(label_map):
    others = dict.fromkeys(label_map.codes, ABSENT)
    rows = [row(f"n{i}", "a", "one", 40 + i, "female", **others | {"NORM": PRESENT}) for i in range(6)]
    rows += [row(f"r{i}", "a", "two", 70, "male", **others | {"RBBB": PRESENT, "AFIB": PRESENT}) for i in range(3)]
    rows += [row(f"u{i}", "b", **dict.fromkeys(label_map.codes, UNKNOWN)) for i in range(2)]
    return build_table(rows, label_map)


def texts(figure: Figure):
    found = [text.get_text() for axes in figure.axes for text in axes.texts]
    assert figure.canvas is not None
    figure.canvas.draw()
    return found


def test_counts_by_source_are_of_those_that_know(table, label_map):
    figure = conditions_by_source_figure(table, label_map)
    (axes,) = figure.axes
    assert [label.get_text() for label in axes.get_yticklabels()] == ["b  (n = 2)", "one  (n = 6)", "two  (n = 3)"]
    shown = np.array(texts(figure)).reshape(3, len(label_map))
    assert set(shown[0]) == {"unknown"}
    assert shown[1][0] == "6\n100% of 6"
    assert shown[2][list(label_map.codes).index("RBBB")] == "3\n100% of 3"
    assert shown[2][0] == "0\n0% of 3"


def test_cooccurrence_counts_pairs(table, label_map):
    shown = np.array(texts(cooccurrence_figure(table, label_map))).reshape(len(label_map), len(label_map))
    afib, rbbb = label_map.codes.index("AFIB"), label_map.codes.index("RBBB")
    assert shown[afib][rbbb] == shown[rbbb][afib] == "3\n100% of 3"
    assert shown[0][rbbb] == "0\n0% of 6"


def test_a_condition_beside_others_is_counted_by_source_and_state(table, label_map):
    """Two recordings of source b know nothing; r0 to r2 state RBBB and AFIB, and exclude NORM."""
    found = {(row.source, row.beside): (row.present, row.absent, row.unknown) for row in beside(table, label_map)}
    assert found == {
        ("b", "none of them"): (0, 0, 2),
        ("one", "none of them"): (6, 0, 0),
        ("two", "AFIB"): (0, 3, 0),
        ("two", "RBBB"): (0, 3, 0),
    }
    others = {
        (row.source, row.beside): (row.present, row.absent, row.unknown) for row in beside(table, label_map, "RBBB")
    }
    assert others[("two", "AFIB")] == (3, 0, 0)
    assert others[("one", "NORM")] == (0, 6, 0)
    assert ("two", "RBBB") not in others


def beside(table, label_map, code="NORM"):
    return beside_others(table, label_map, code).itertuples()


def test_lengths_rates_ages_draw_every_recording(table, label_map):
    def total(axes):
        return sum(patch.get_height() for patch in axes.patches)

    lengths = length_figure(table)
    assert [total(axes) for axes in lengths.axes] == [9, 2]
    rates = rate_figure(table)
    assert set(texts(rates)) >= {"9", "2"}
    ages = age_sex_figure(table, label_map)
    assert total(ages.axes[0]) == 9
    assert "age unknown 2" in ages.axes[0].get_title()
    assert "n = 3" in ages.axes[1 + label_map.codes.index("RBBB")].get_title()


def test_an_empty_catalog_draws_too(label_map, tmp_path):
    assert write_catalog_report(Catalog(build_table([], label_map)), label_map, tmp_path / "new").is_file()


def test_source_is_the_constituent_where_there_is_one(table):
    assert set(source_of(table)) == {"one", "two", "b"}


def test_examples_alternate_between_sources_and_prefer_pure_recordings(label_map):
    rows = [row(f"p{i}", "a", "one", NORM=PRESENT) for i in range(5)]
    rows += [row(f"m{i}", "a", "one", NORM=PRESENT, RBBB=PRESENT) for i in range(5)]
    rows += [row(f"q{i}", "a", "two", NORM=PRESENT) for i in range(5)]
    table = build_table(rows, label_map)
    chosen = choose_examples(table, label_map, "NORM", 4, seed=1)
    assert sorted(chosen["constituent"]) == ["one", "one", "two", "two"]
    assert (chosen["RBBB"] != "present").all()
    assert chosen.equals(choose_examples(table, label_map, "NORM", 4, seed=1))
    assert not len(choose_examples(table, label_map, "LBBB", 4))


def test_the_page_names_what_was_found_and_skipped(table, label_map, tmp_path):
    def read(path):
        if path.stem == "n0":
            raise UnreadableRecordingError("no samples", path=path)
        return Recording(path.stem, STANDARD_LEADS, np.zeros((12, 5000), np.float32), 500.0)

    skipped = skipped_table([UnreadableRecordingError("signal file is missing", path="x<y>.hea")])
    index = write_catalog_report(Catalog(table, skipped, ("two & three",)), label_map, tmp_path, examples=2, read=read)
    page = index.read_text(encoding="utf-8")
    assert "11 recordings" in page
    assert "signal file is missing" in page
    assert "two &amp; three" in page
    assert "<td>RBBB, right bundle branch block</td><td>3</td><td>6</td><td>2</td><td>3</td><td>70</td>" in page
    pictures = {path.name for path in tmp_path.glob("*.png")}
    assert {name for name in pictures if name in page} == pictures
    assert {"example_0_NORM_1.png", "example_0_NORM_2.png", "example_4_RBBB_2.png"} <= pictures
    assert not any("LBBB" in name for name in pictures)
    assert page.count("No recording to show.") == 3
    assert "<h2>NORM beside other conditions, by source</h2>" in page
    assert "<td>two</td><td>RBBB</td><td>0</td><td>3</td><td>0</td>" in page
    assert "cpsc_2018, cpsc_2018_extra" in page
    assert "AFIB beside other conditions" not in page, "every source of the shipped label map writes it down"


def test_real_recordings(shared, label_map, tmp_path):
    catalog = read_physionet2021(shared / "ecg" / "physionet2021", label_map)
    index = write_catalog_report(catalog, label_map, tmp_path, examples=1)
    page = index.read_text(encoding="utf-8")
    assert "<td>signal file is missing</td><td>20</td>" in page
    for source, (present, absent, unknown) in {
        "georgia": (0, 2, 1),
        "ningbo": (1, 0, 0),
        "cpsc_2018": (0, 0, 3),
    }.items():
        assert f"<td>{source}</td><td>RBBB</td><td>{present}</td><td>{absent}</td><td>{unknown}</td>" in page
    assert len(list(tmp_path.glob("example_*.png"))) == 5  # no left bundle branch block among them


def test_a_table_of_plain_strings_is_drawn_alike(table, label_map):
    plain = table.astype(dict.fromkeys(label_map.codes, str))
    assert isinstance(plain, pd.DataFrame)
    assert texts(cooccurrence_figure(plain, label_map)) == texts(cooccurrence_figure(table, label_map))
