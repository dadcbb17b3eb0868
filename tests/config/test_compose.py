"""Where configurations are looked for: a user's own folder first, then the package's."""

import logging
from pathlib import Path

import pytest
from hydra import compose, initialize_config_dir
from hydra.errors import MissingConfigException

from ecgfounder_ft.config import choices
from ecgfounder_ft.config.choices import ConfigurationError, config_folder, own_config_folder
from ecgfounder_ft.config.compose import compose_config, compose_settings, load_label_map, register_configurations
from ecgfounder_ft.config.schema import register_schemas
from tests.small_run import composed, small_run

ROOT = Path(__file__).resolve().parents[2]
TWO_CONDITIONS = """
defaults: [label_map_schema, _self_]
name: two
conditions:
  A: {name: first, folders: [a], snomed: ["1"]}
  B: {name: second, folders: [b], snomed: ["2"]}
"""


@pytest.fixture
def own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty folder of own configurations in what is now the current folder."""
    monkeypatch.chdir(tmp_path)
    folder = tmp_path / "configs"
    for group in ("model", "optimizer", "labels", "experiment"):
        (folder / group).mkdir(parents=True)
    return folder


def test_the_packages_folder_is_the_checkouts_wherever_one_is(own: Path) -> None:
    (own / "train.yaml").write_text("seed: 1\n")
    assert config_folder() == ROOT / "configs"


def test_an_installed_package_reads_its_own_copy(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    installed = tmp_path / "site-packages" / "ecgfounder_ft"
    monkeypatch.setattr(choices, "__file__", str(installed / "config" / "choices.py"))
    with pytest.raises(ConfigurationError, match="install the package again"):
        config_folder()
    (installed / "configs").mkdir(parents=True)
    (installed / "configs" / "train.yaml").touch()
    assert config_folder() == installed / "configs"


def test_there_is_no_own_folder_in_the_checkout_or_where_none_is(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(ROOT)
    assert own_config_folder() is None
    monkeypatch.chdir(tmp_path)
    assert own_config_folder() is None
    (tmp_path / "configs").symlink_to(ROOT / "configs")
    assert own_config_folder() is None


def test_an_own_choice_is_found_beside_those_of_the_package(own: Path, caplog: pytest.LogCaptureFixture) -> None:
    (own / "model" / "mine.yaml").write_text("defaults: [1lead, _self_]\nleads: [V3]\n")
    with caplog.at_level(logging.INFO):
        config = compose_config(["model=mine", "optimizer=sgd"])
    assert config.model.leads == ["V3"]
    assert config.optimizer._target_.endswith("SGD")
    assert f"{own} take precedence" in caplog.text


def test_an_own_file_takes_the_place_of_the_packages(own: Path) -> None:
    shipped = compose_config()
    (own / "optimizer" / "adamw.yaml").write_text("defaults: [adamw_schema, _self_]\nlr: 0.125\nweight_decay: 0.5\n")
    config = compose_config()
    assert (config.optimizer.lr, config.optimizer.weight_decay) == (0.125, 0.5)
    assert shipped.optimizer.lr != 0.125


@pytest.mark.parametrize(
    ("file", "content", "key", "override"),
    [
        ("model/mine.yaml", "defaults: [1lead, _self_]\nwieghts: null\n", "wieghts", "model=mine"),
        ("model/mine.yaml", "wieghts: null\n", "wieghts", "model=mine"),
        ("optimizer/mine.yaml", "defaults: [adamw_schema, _self_]\nlrr: 1\n", "lrr", "optimizer=mine"),
        ("labels/mine.yaml", TWO_CONDITIONS + "conditons: {}\n", "conditons", "labels=mine"),
        ("experiment/mine.yaml", "# @package _global_\nsede: 3\n", "sede", "experiment=mine"),
    ],
)
def test_a_misspelt_key_in_an_own_file_is_refused(own: Path, file: str, content: str, key: str, override: str) -> None:
    (own / file).write_text(content)
    with pytest.raises(ConfigurationError, match=key):
        compose_config([override])


def test_label_maps_by_name_come_from_both_folders(own: Path) -> None:
    (own / "labels" / "two.yaml").write_text(TWO_CONDITIONS)
    assert load_label_map("two").codes == ("A", "B")
    assert load_label_map("six_conditions").codes[0] == "NORM"
    with pytest.raises(ConfigurationError) as error:
        load_label_map("seven")
    assert "six_conditions, six_conditions_strict_norm, two" in str(error.value)
    assert str(own / "labels") in str(error.value)
    assert str(ROOT / "configs" / "labels") in str(error.value)


def test_an_own_label_map_takes_the_place_of_the_packages(own: Path) -> None:
    (own / "labels" / "six_conditions.yaml").write_text(TWO_CONDITIONS)
    assert load_label_map("six_conditions").codes == ("A", "B")


def test_other_applications_in_the_same_process_search_as_before(own: Path, tmp_path: Path) -> None:
    register_configurations()
    (own / "optimizer" / "mine.yaml").write_text("lr: 1\n")
    other = tmp_path / "other"
    (other / "optimizer").mkdir(parents=True)
    (other / "optimizer" / "adam.yaml").write_text("lr: 2\n")
    (other / "main.yaml").write_text("defaults: [optimizer: adam]\n")
    with initialize_config_dir(str(other), version_base="1.3"):
        assert compose("main").optimizer.lr == 2
        with pytest.raises(MissingConfigException):
            compose("main", overrides=["optimizer=mine"])


def test_registering_again_adds_the_folder_once(own: Path) -> None:
    from hydra.core.global_hydra import GlobalHydra

    for register in (register_configurations, register_schemas, register_configurations):
        register()
    with initialize_config_dir(str(config_folder()), version_base="1.3"):
        path = GlobalHydra.instance().config_loader().get_search_path().get_path()
    assert [entry.path for entry in path].count(f"file://{own}") == 1
    providers = [entry.provider for entry in path]
    assert providers.index("own") < providers.index("main")


def test_schemas_that_another_application_replaced_are_stored_again() -> None:
    from hydra.core.config_store import ConfigStore

    register_schemas()
    stored = ConfigStore.instance().repo["config_schema.yaml"]
    register_schemas()
    assert ConfigStore.instance().repo["config_schema.yaml"] is stored
    ConfigStore.instance().store(name="config_schema", node={"theirs": 1})
    register_schemas()
    assert "theirs" not in ConfigStore.instance().repo["config_schema.yaml"].node


def test_small_runs_are_composed_as_typed(tmp_path: Path) -> None:
    changes = (
        "finetune=gradual",
        "callbacks=ema",
        "callbacks.ema.decay=0.8",
        "evaluation.by=[sex,age]",
        "+optimizer.x=1",
    )
    overrides = small_run(tmp_path, f"output_dir={tmp_path}", *changes)
    assert composed(overrides).content == compose_settings(overrides).content


@pytest.mark.parametrize(
    "override", ["data.mimic_path=s3://bucket/x", "data.store=gs:/bucket", "output_dir=https://a.b/c"]
)
def test_an_address_is_no_path(override: str) -> None:
    with pytest.raises(ConfigurationError, match=f"{override} is an address: copy the files"):
        compose_settings([f"{override.partition('=')[0]}='{override.partition('=')[2]}'"])


def test_a_variable_of_the_environment_that_is_not_set_is_named() -> None:
    with pytest.raises(ConfigurationError, match=r"data\.mimic_path: .*UNSET_VARIABLE"):
        compose_settings(["data.mimic_path=${oc.env:UNSET_VARIABLE}"])


@pytest.mark.parametrize(
    "override", ["data.mimic_path=", "data.store=", "model.checkpoint_dir=' '", "resume=", "output_dir="]
)
def test_an_empty_value_is_refused_by_name(override: str) -> None:
    """As a path it would be the current folder: ``data.mimic_path=$UNSET``."""
    with pytest.raises(ConfigurationError, match=f"{override.split('=')[0]} is empty: give it a value"):
        compose_settings([override])
