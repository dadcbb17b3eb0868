"""Every shipped YAML file composes and instantiates, and a misspelt key is refused wherever it stands."""

import functools
import importlib.util
import inspect
import itertools
import re
from collections.abc import Sequence
from pathlib import Path

import pytest
import torch
import yaml
from hydra import compose, initialize_config_dir
from hydra.errors import HydraException
from hydra.utils import get_object, instantiate
from omegaconf import DictConfig, OmegaConf

from ecgfounder_ft.config.choices import ConfigurationError
from ecgfounder_ft.config.compose import compose_config, load_label_map
from ecgfounder_ft.config.schema import register_schemas, schemas
from ecgfounder_ft.config.settings import settings_of
from ecgfounder_ft.data.augmentation import Augmentation
from ecgfounder_ft.data.sources.source import DataSource
from ecgfounder_ft.data.split_settings import SplitSettings
from ecgfounder_ft.designs.design import Design
from ecgfounder_ft.ecg.preprocessing_settings import PreprocessingSettings
from ecgfounder_ft.evaluation.settings import EvaluationSettings
from ecgfounder_ft.finetune.strategy import Strategy
from ecgfounder_ft.labels import LabelMap
from ecgfounder_ft.losses.loss import Loss
from ecgfounder_ft.train import help_text
from ecgfounder_ft.training.build import scheduler_of

CONFIGS = Path(__file__).parents[2] / "configs"
GROUPS = {
    str(folder.relative_to(CONFIGS)): sorted(path.stem for path in folder.glob("*.yaml"))
    for folder in sorted(CONFIGS.rglob("*"))
    if folder.is_dir() and not folder.is_relative_to(CONFIGS / "hydra")
}
FRAGMENTS = {("data", "common")}
"""Parts of other files, not choices of their own."""
CHOICES = [(group, name) for group, names in GROUPS.items() for name in names if (group, name) not in FRAGMENTS]
NEEDED = {  # what a choice leaves to the user
    "external": ["split.train_sources=[mimic_iv_ecg]"],
    "leave_one_source_out": ["split.held_out=georgia"],
}


def rounds() -> list[list[str]]:
    """Overrides of a few configurations that have every choice of every group among them."""
    groups: dict[str, list[str]] = {}
    for group, name in CHOICES:
        if group not in ("experiment", "benchmark") and not group.startswith("sweep/"):
            groups.setdefault(group, []).append(name)
    longest = max(map(len, groups.values()))
    together = [[f"{group}={names[turn % len(names)]}" for group, names in groups.items()] for turn in range(longest)]
    searches = [
        ["sweep=optuna", f"sweep/pruner={pruner}", f"sweep/sampler={sampler}"]
        for pruner, sampler in zip(GROUPS["sweep/pruner"], itertools.cycle(GROUPS["sweep/sampler"]), strict=False)
    ]
    overlays = [[f"{group}={name}"] for group in ("experiment", "benchmark") for name in GROUPS[group]]
    return together + searches + overlays


def composed(overrides: Sequence[str] = ()) -> DictConfig:
    """Composed and resolved; what is left to the user is filled in."""
    return _composed(tuple(overrides)).copy()


@functools.cache
def _composed(overrides: tuple[str, ...]) -> DictConfig:
    register_schemas()
    needed = [more for override in overrides for more in NEEDED.get(override.partition("=")[2], [])]
    with initialize_config_dir(str(CONFIGS), version_base="1.3"):
        config = compose("train", overrides=[*overrides, *needed, "output_dir=/tmp/run"])
    for key in OmegaConf.missing_keys(config):
        OmegaConf.update(config, key, "somewhere")
    OmegaConf.resolve(config)
    return config


def targets(node: object, path: str = "") -> list[tuple[str, DictConfig]]:
    if not isinstance(node, DictConfig):
        return []
    found = [(path, node)] if "_target_" in node else []
    for key in node:
        found += targets(node[key], f"{path}.{key}" if path else str(key))
    return found


def test_every_choice_is_in_one_of_the_rounds() -> None:
    given = {override for overrides in rounds() for override in overrides}
    assert {f"{group}={name}" for group, name in CHOICES} <= given


@pytest.mark.parametrize("overrides", rounds(), ids=" ".join)
def test_every_choice_composes_and_binds_to_what_it_instantiates(overrides: list[str]) -> None:
    config = composed(overrides)
    assert not OmegaConf.missing_keys(config)
    for path, node in targets(config):
        target = get_object(node["_target_"])
        given = [str(key) for key in node if not str(key).startswith("_")]
        parameters = inspect.signature(target).parameters
        if any(parameter.kind is parameter.VAR_KEYWORD for parameter in parameters.values()):
            continue
        assert set(given) <= set(parameters), f"{path}: {sorted(set(given) - set(parameters))} are no arguments"


@pytest.mark.parametrize("overrides", rounds(), ids=" ".join)
def test_every_choice_becomes_its_class(overrides: list[str]) -> None:
    config = composed(overrides)
    loss = instantiate(config.task.loss)  # rounds pair tasks and losses that do not belong together
    config.task.name = "single_label" if loss.exclusive else "multi_label"
    settings = settings_of(config)
    for found, kind in (
        (settings.label_map, LabelMap),
        (settings.preprocessing, PreprocessingSettings),
        (settings.split, SplitSettings),
        (settings.evaluation, EvaluationSettings),
        (settings.source, DataSource),
        (settings.strategy, Strategy),
        (settings.loss, Loss),
        (settings.augmentation, Augmentation),
        (settings.design, Design),
    ):
        assert isinstance(found, kind)
    for node in settings.callbacks.values():
        assert instantiate(node) is not None
    for node in settings.loggers.values():
        package = {"WandbLogger": "wandb", "MLFlowLogger": "mlflow"}.get(node["_target_"].rpartition(".")[2])
        if package is None or importlib.util.find_spec(package) is not None:
            assert instantiate(node) is not None
    optimizer = instantiate(settings.optimizer, _partial_=True, _convert_="all")([torch.nn.Parameter(torch.zeros(2))])
    assert optimizer.param_groups[0]["lr"] == settings.learning_rate
    assert optimizer.param_groups[0]["weight_decay"] == settings.optimizer["weight_decay"]
    scheduler = scheduler_of(settings.scheduler)(optimizer, 10)
    assert scheduler.optimizer is optimizer


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
    lines = re.sub(r",\n\s+", ", ", help_text()).splitlines()  # a long list goes on in a second line
    for group, name in CHOICES:
        line = next((line for line in lines if re.match(rf"\s+{group}\s{{2,}}", line)), "")
        assert re.search(rf"(^|[\s,]){name}\*?($|[\s,])", line), f"{group}={name} is not in the help"


def test_every_schema_is_used_by_a_file() -> None:
    texts = [path.read_text() for path in CONFIGS.rglob("*.yaml")]
    for found in schemas().values():
        for name in found:
            assert any(re.search(rf"\b{name}\b", text) for text in texts), name


def test_label_maps_are_found_by_name() -> None:
    assert load_label_map("six_conditions").codes == ("NORM", "AFIB", "AFLT", "1dAVb", "RBBB", "LBBB")
    with pytest.raises(ConfigurationError, match=r"no label map 'seven'.*there are .*six_conditions"):
        load_label_map("seven")
    with pytest.raises(ConfigurationError, match="nothing"):
        compose_config(["data=nothing"])
