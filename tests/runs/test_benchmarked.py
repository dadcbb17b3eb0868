"""Published values that ship, and runs that belong to no benchmark."""

from pathlib import Path

import pytest
from typer.testing import CliRunner

from ecgfounder_ft.cli import app
from ecgfounder_ft.config.compose import compose_config, load_label_map
from ecgfounder_ft.config.settings import settings_of
from ecgfounder_ft.evaluation.challenge2021 import EQUIVALENT, PLACES
from ecgfounder_ft.runs.benchmarked import BENCHMARKS, EPOCHS, MONITOR, published_values

CONFIGS = Path(__file__).parents[2] / "configs"


def test_each_benchmark_has_its_files() -> None:
    assert {file.stem for file in (CONFIGS / "benchmark").glob("*.yaml")} == set(BENCHMARKS)
    for name in BENCHMARKS:
        assert load_label_map(name).name == name


@pytest.mark.parametrize("name", BENCHMARKS)
def test_a_benchmark_sets_data_labels_split_and_protocol(name: str) -> None:
    config = compose_config([f"benchmark={name}", "data.root=there"])
    settings = settings_of(config)
    assert settings.label_map.name == name
    assert settings.source.source == BENCHMARKS[name]
    assert settings.source.max_samples is None
    assert config["trainer"]["max_epochs"] == EPOCHS
    assert config["monitor"]["name"] == MONITOR
    assert (settings.split.kind == "published") == name.startswith("ptbxl_")


def test_published_values_name_a_benchmark_and_a_source() -> None:
    found = published_values()
    assert {row.benchmark for row in found} <= set(BENCHMARKS)
    assert all(0.5 < row.value < 1 and row.source and row.protocol for row in found)
    assert len({(row.benchmark, row.model, row.metric) for row in found}) == len(found)
    level = {row.model: row.value for row in found if row.benchmark == "ptbxl_superdiagnostic"}
    assert level["xresnet1d101"] == 0.928
    assert level["ECGFounder (full)"] == 0.935


def test_the_classes_of_the_challenge_are_those_that_it_scores() -> None:
    codes = load_label_map("challenge2021").code_of_snomed()
    assert set(codes) == PLACES.keys() | EQUIVALENT.keys()
    assert all(codes[one] == codes[other] for one, other in EQUIVALENT.items())


def test_a_run_of_other_labels_is_refused_by_name(finished_run: Path, tmp_path: Path) -> None:
    found = CliRunner().invoke(app, ["benchmark", str(finished_run), "--output", str(tmp_path / "page.html")])
    assert found.exit_code != 0
    assert "which is that of no benchmark" in " ".join(found.output.split())
