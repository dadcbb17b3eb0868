"""Every shipped YAML file composes and instantiates, and a misspelt key is refused wherever it stands."""

import inspect
import re
from pathlib import Path

import pytest
import yaml
from hydra import compose, initialize_config_dir
from hydra.errors import HydraException
from hydra.utils import get_object, instantiate
from omegaconf import DictConfig, OmegaConf

from ecgfounder_ft.config.compose import ConfigurationError, compose_config, load_label_map
from ecgfounder_ft.config.schema import register_schemas, schemas

CONFIGS = Path(__file__).parents[2] / "configs"
GROUPS = {
    str(folder.relative_to(CONFIGS)): sorted(path.stem for path in folder.glob("*.yaml"))
    for folder in sorted(CONFIGS.rglob("*"))
    if folder.is_dir() and not folder.is_relative_to(CONFIGS / "hydra")
}
CHOICES = [(group, name) for group, names in GROUPS.items() for name in names]
REQUIRED = {  # what a choice leaves to the user
    ("data", "physionet2021"): ["data.root=somewhere"],
    ("data", "mimic_iv_ecg"): ["data.root=somewhere"],
    ("data", "table"): ["data.path=table.csv"],
    ("split", "external"): ["split.train_sources=[mimic_iv_ecg]"],
    ("split", "leave_one_source_out"): ["split.held_out=georgia"],
}
FRAGMENTS = {("data", "common")}
"""Parts of other files, not choices of their own."""


def composed(overrides: list[str]) -> DictConfig:
    register_schemas()
    with initialize_config_dir(str(CONFIGS), version_base="1.3"):
        config = compose("train", overrides=[*overrides, "output_dir=/tmp/run"])
    OmegaConf.resolve(config)
    return config


def targets(node: object, path: str = "") -> list[tuple[str, DictConfig]]:
    if not isinstance(node, DictConfig):
        return []
    found = [(path, node)] if "_target_" in node else []
    for key in node:
        found += targets(node[key], f"{path}.{key}" if path else str(key))
    return found


@pytest.mark.parametrize(("group", "name"), [choice for choice in CHOICES if choice not in FRAGMENTS])
def test_every_choice_composes_and_binds_to_what_it_instantiates(group: str, name: str) -> None:
    config = composed([f"{group}={name}", *REQUIRED.get((group, name), [])])
    assert not OmegaConf.missing_keys(config)
    for path, node in targets(config):
        target = get_object(node["_target_"])
        given = [str(key) for key in node if not str(key).startswith("_")]
        parameters = inspect.signature(target).parameters
        if any(parameter.kind is parameter.VAR_KEYWORD for parameter in parameters.values()):
            continue
        assert set(given) <= set(parameters), f"{path}: {sorted(set(given) - set(parameters))} are no arguments"


@pytest.mark.parametrize("group", ["labels", "preprocessing", "split"])
def test_every_choice_of_settings_becomes_its_class(group: str) -> None:
    for name in GROUPS[group]:
        node = composed([f"{group}={name}", *REQUIRED.get((group, name), [])])[group]
        settings = OmegaConf.to_object(node)
        assert type(settings).__name__ in {"LabelMap", "PreprocessingSettings", "SplitSettings"}


def test_every_target_that_stands_alone_is_instantiated() -> None:
    for group in ("finetune", "callbacks", "logger"):
        for name in GROUPS[group]:
            config = composed([f"{group}={name}"])
            nodes = [config[group]] if "_target_" in config[group] else config[group].values()
            for node in nodes:
                if node is not None:
                    assert instantiate(node) is not None


@pytest.mark.parametrize("name", ["adam", "adamw", "sgd"])
def test_every_optimizer_takes_its_settings(name: str) -> None:
    import torch

    config = composed([f"optimizer={name}"]).optimizer
    optimizer = instantiate(config, _partial_=True, _convert_="all")([torch.nn.Parameter(torch.zeros(2))])
    assert optimizer.param_groups[0]["lr"] == config.lr
    assert optimizer.param_groups[0]["weight_decay"] == config.weight_decay


@pytest.mark.parametrize(
    "key", ["optimizer.lrr", "data.batchsize", "model.wieghts", "split.validaton", "trainer.epochs"]
)
def test_a_misspelt_key_on_the_command_line_is_refused(key: str) -> None:
    with pytest.raises(HydraException, match=key.split(".")[1]):
        composed([f"{key}=1"])


@pytest.mark.parametrize(
    "content",
    [
        {"optimizer": {"lrr": 1e-4}},
        {"data": {"max_sampels": 5}},
        {"trainer": {"max_epoch": 5}},
        {"model": {"architecture": {"base_filter": 3}}},
        {"callbacks": {"early_stopping": {"patiense": 3}}},
        {"sede": 3},
    ],
)
def test_a_misspelt_key_in_an_experiment_file_is_refused(content: dict, tmp_path: Path) -> None:
    (tmp_path / "experiment").mkdir()
    text = "# @package _global_\n" + yaml.safe_dump(content)
    (tmp_path / "experiment" / "mine.yaml").write_text(text)
    register_schemas()
    with initialize_config_dir(str(CONFIGS), version_base="1.3"), pytest.raises(HydraException):
        compose("train", overrides=[f"hydra.searchpath=[file://{tmp_path}]", "experiment=mine", "output_dir=/tmp/run"])


def test_the_same_experiment_file_without_the_slip_is_taken(tmp_path: Path) -> None:
    (tmp_path / "experiment").mkdir()
    (tmp_path / "experiment" / "mine.yaml").write_text("# @package _global_\noptimizer:\n  lr: 0.5\n")
    register_schemas()
    with initialize_config_dir(str(CONFIGS), version_base="1.3"):
        overrides = [f"hydra.searchpath=[file://{tmp_path}]", "experiment=mine", "output_dir=/tmp/run"]
        assert compose("train", overrides=overrides).optimizer.lr == 0.5


def test_the_earlier_command_line_has_its_values_as_defaults() -> None:
    config = composed([])
    assert (config.data.batch_size, config.trainer.max_epochs, config.data.max_samples) == (32, 50, 1000)
    assert (config.optimizer.lr, config.optimizer.weight_decay) == (1e-3, 1e-4)
    assert config.data.mimic_path == "../MIMIC IV Selected"
    assert config.data.physionet_path == "../Physionet 2021 Selected"
    assert config.callbacks.early_stopping.patience == 10
    assert config.trainer.gradient_clip_val == 1.0


def test_the_one_lead_model_gets_lead_i_or_any_other() -> None:
    assert composed(["model=1lead"]).preprocessing.leads == ["I"]
    assert composed(["model=1lead", "model.leads=[V2]"]).preprocessing.leads == ["V2"]


def test_help_lists_every_choice() -> None:
    text = (CONFIGS / "help.txt").read_text()
    for group, name in CHOICES:
        if (group, name) in FRAGMENTS or group in ("callbacks/parts",):
            continue
        line = next((line for line in text.splitlines() if re.match(rf"\s+{group}\s{{2,}}", line)), "")
        assert re.search(rf"(^|[\s,]){name}($|[\s,(])", line), f"{group}={name} is not in the help"


def test_every_schema_is_used_by_a_file() -> None:
    texts = [path.read_text() for path in CONFIGS.rglob("*.yaml")]
    for found in schemas().values():
        for name in found:
            assert any(re.search(rf"\b{name}\b", text) for text in texts), name


def test_label_maps_are_found_by_name() -> None:
    assert load_label_map("six_conditions").codes == ("NORM", "AFIB", "AFLT", "1dAVb", "RBBB", "LBBB")
    with pytest.raises(ConfigurationError, match=r"no label map 'seven'.*there are six_conditions"):
        load_label_map("seven")
    with pytest.raises(ConfigurationError, match="nothing"):
        compose_config(["data=nothing"])
