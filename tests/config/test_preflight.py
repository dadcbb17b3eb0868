"""Slips of a user, and files of a stranger: refused in one line before anything is made, and nothing of a file runs."""

import copy
import shlex
from collections.abc import Mapping
from pathlib import Path

import pytest
import yaml
from omegaconf import DictConfig, OmegaConf

from ecgfounder_ft.config.compose import ConfigurationError, compose_config
from ecgfounder_ft.config.preflight import looked_through
from ecgfounder_ft.config.settings import settings_of
from ecgfounder_ft.errors import ExplainedError
from ecgfounder_ft.targets import UntrustedTargetError

SLIPS = {
    "optimizer.lrr=1": "Did you mean optimizer.lr?",
    "optimizr.lr=1": "Did you mean optimizer?",
    "modle=1lead": "Did you mean model?",
    "max_epochs=3": "Did you mean trainer.max_epochs?",
    "+seeed=3": "Did you mean seed?",
    "model.wieghts=null": "Did you mean model.weights?",
    "callbacks.early_stopping.patiense=3": "Did you mean callbacks.early_stopping.patience?",
    "hydra.run.dirr=x": "Did you mean hydra.run.dir?",
    "optimizer=adamx": "Did you mean adam? There are adamw, adam, sgd",
    "model/architecture=demos": "Did you mean demo? There are",
    "data=adamw": "There are selected, merged",
    "labels=two": "There are six_conditions",
    "hydra/launcher=foo": "There are basic",
    "data.path=x": "only data=table has a value data.path",
    "finetune.rank=3": "only finetune=lora has a value finetune.rank",
    "optimizer.lr=abc": "optimizer.lr=abc: expected a number",
    "optimizer.lr=null": "expected a number above 0",
    "trainer.max_epochs=1.5": "expected a whole number",
    "trainer.enable_progress_bar=maybe": "expected true or false",
    "model.leads=V1": "expected a list, as [a,b]",
    "model.leads=[": "stands in quotes of its own",
    "data.mimic_path=/a(b": "'data.mimic_path=\"/a(b\"'",
    "lr": "lr: expected group=choice or key=value",
    "~foo": "there is no value foo",
    "~optimizer.lr": "cannot be taken away",
    "~data": "type data=...",
    "+experiment=demo": "each group has one choice",
    "finetune=[full,lora]": "-m group=one,other",
    "optimizer.lr=1,2": "Type -m before them for a sweep",
    "experiment=/tmp/x.yaml": "choices are named, not given by a path",
    "experiment=../x": "choices are named, not given by a path",
    "model_type=12lead": "now model=12lead",
    "lr=0.1 batch_size=16": "now optimizer.lr=0.1 data.batch_size=16",
    "--lr 0.1": "now optimizer.lr=0.1",
    "--batch-size=3": "now data.batch_size=3",
    "linear_prob=True": "now finetune=linear_probe",
    "linear_prob=False": "now finetune=full",
    "-m resume=outputs/a optimizer.lr=1,2": "one run goes on without -m",
    "-m hydra.sweep.subdir=x optimizer.lr=1,2": "hydra.sweep.dir=FOLDER names the one of the sweep",
    "'hydra.run.dir=${oc.env:NOT_SET_ANYWHERE}'": "Environment variable 'NOT_SET_ANYWHERE' not found",
    "-m 'hydra.sweep.dir=${oc.env:NOT_SET_ANYWHERE}' optimizer.lr=1,2": "NOT_SET_ANYWHERE' not found",
    "hydra.run.dir=": "empty, which would mean the current folder",
    "--info nothing": "invalid choice: 'nothing'",
    "--foo": "Values are typed without dashes",
    "--config-name foo": "no such file",
    "--config-dir /nope": "no such folder",
    "--config-path /nope": "--config-dir FOLDER adds one of yours",
    "--experimental-rerun x.pickle": "can run any code",
    "hydra.searchpath=[/tmp]": "type --config-dir FOLDER",
    "data=table": "type data.path=...",
    "data=mimic_iv_ecg": "type data.root=...",
    "data.max_samples=0": "data.max_samples is 0, expected 1 or more",
    "optimizer.lr=-1": "optimizer.lr=-1.0: expected a number above 0",
    "task=multi_label task/loss=cross_entropy": "its own is task/loss=binary_cross_entropy",
    "finetune=lora finetune.rank=0": "finetune.rank is 0, expected 1 or more",
    "split=external": "needs split.train_sources",
    "seed=1 -m optimizer.lr=1,2": "type flags such as -m before all values",
    "-m optimizer.lr=1,-2": "optimizer.lr=-2.0",
    "-m optimizer=adamw,adamq": "optimizer=adamq: no such file",
}
"""What was typed, to words of the answer."""
IMPOSSIBLE = {
    "data.batch_size=0": "data.batch_size is 0, expected a number of recordings or auto",
    "data.batch_size=large": "data.batch_size is 'large'",
    "data.workers=-1": "data.workers is -1",
    "data.imbalance=sampler": "expected one of: none, balanced_sampler, pos_weight",
    "optimizer.lr=nan": "expected a number above 0",
    "optimizer.weight_decay=-1": "expected a number from 0",
    "optimizer.betas=[0.9]": "expected two numbers",
    "trainer.max_epochs=-5": "expected a whole number from 0",
    "trainer.accelerator=tpu": "expected one of auto, cpu, gpu, cuda",
    "trainer.precision=16": "expected one of auto, 32-true, bf16-mixed, 16-mixed",
    "trainer.devices=0": "expected a number from 1",
    "trainer.limit_train_batches=-1": "expected a number of batches",
    "seed=-1": "expected a whole number from 0",
    "model.leads=[X1]": "There are I, II, III, aVR, aVL, aVF, V1",
    "model.leads=[]": "expected some of [I,II",
    "model.leads=[I,I]": "names a lead twice",
    "preprocessing.leads=[II]": "type model.leads=[...] alone",
    "model.head=imagenet": "expected one of random, pretrained, auto",
    "scheduler.factor=2": "expected a number above 0 and below 1",
    "augment.mixup=-1": "augment.mixup is -1.0",
    "split.train=0.9": "shares that add up to 1",
    "evaluation.by=[age,sexx]": "expected one of source",
    "lr_finder.highest=1e-9": "lr_finder.lowest is not below",
    "wise_ft.coefficients=[2]": "expected a list of shares",
    "finetune.stochastic_depth=1": "finetune.stochastic_depth is 1.0, expected a probability from 0 to below 1",
}
"""Values among the shipped ones that are of the right kind and cannot be meant, to words of the answer."""

INTERNAL = ("_schema", "Config'", "full_key", "object_type", "omegaconf", "hydra.errors", "Traceback", "DictConfig")


@pytest.fixture(autouse=True)
def _elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")


def require_one_plain_line(said: str, words: str) -> None:
    assert words in said
    assert "\n" not in said
    assert not [name for name in INTERNAL if name in said]


@pytest.mark.parametrize("typed", SLIPS)
def test_a_slip_is_answered_in_one_line(typed: str, tmp_path: Path) -> None:
    with pytest.raises(ExplainedError) as error:
        looked_through(shlex.split(typed))
    require_one_plain_line(str(error.value), SLIPS[typed])
    assert not list((tmp_path / "here").iterdir())


@pytest.fixture(scope="module")
def shipped() -> DictConfig:
    """The configuration without overrides, composed once: that is most of the time of a check."""
    config = compose_config()
    OmegaConf.set_struct(config, False)
    return config


@pytest.mark.parametrize("typed", IMPOSSIBLE)
def test_an_impossible_value_is_answered_in_one_line(typed: str, shipped: DictConfig) -> None:
    config = copy.deepcopy(shipped)
    key, _, value = typed.partition("=")
    OmegaConf.update(config, key, yaml.safe_load(value))
    with pytest.raises(ExplainedError) as error:
        settings_of(config)
    require_one_plain_line(str(error.value), IMPOSSIBLE[typed])


@pytest.mark.parametrize(
    "typed",
    [
        "experiment=demo",
        "data.mimic_path='\"/a (b)/c=d\"'",
        "model=1lead model.leads=[v2]",
        "+optimizer.amsgrad=true",
        "~callbacks.progress_bar",
        "finetune=lora task=multi_label data.max_samples=null",
        "-m optimizer.lr=1,2 finetune=full,lora",
        "resume=/nope",
        "--cfg job optimizer.lr=-1",
    ],
)
def test_what_is_meant_is_taken(typed: str) -> None:
    looked_through(shlex.split(typed))


def test_a_slip_in_a_file_names_the_file() -> None:
    folder = Path("configs/experiment")
    folder.mkdir(parents=True)
    (folder / "mine.yaml").write_text("# @package _global_\noptimizer: {lrr: 1}\n")
    with pytest.raises(ConfigurationError, match=r"experiment/mine\.yaml: .*Did you mean optimizer\.lr\?"):
        looked_through(["experiment=mine"])
    (folder / "mine.yaml").write_text("# @package _global_\noptimizer: {lr: fast}\n")
    with pytest.raises(ConfigurationError, match=r"experiment/mine\.yaml: optimizer\.lr is 'fast', expected a number"):
        looked_through(["experiment=mine"])
    (folder / "mine.yaml").write_text("# @package _global_\ntrusted_targets: [os.system]\n")
    with pytest.raises(UntrustedTargetError, match="on the command line alone"):
        looked_through(["experiment=mine"])


# ------------------------------------------------------------------------------------------ files of a stranger

TOUCH = {"_target_": "pathlib.Path.touch", "self": "ran"}
TRAPS: dict[str, Mapping[str, object]] = {
    "a callback": {"callbacks": {"trap": TOUCH}},
    "a logger": {"logger": {"trap": TOUCH}},
    "nested in an argument": {"model": {"architecture": {"_target_": "torch.nn.Sequential", "_args_": [[TOUCH]]}}},
    "a partial": {"optimizer": {"_target_": "pathlib.Path.touch", "_partial_": True}},
    "through another module": {"optimizer": {"_target_": "torch.optim.optimizer.torch.hub.load"}},
    "a target by interpolation": {"optimizer": {"_target_": "${optimized_metric}"}},
    "a mapping by a resolver": {"callbacks": {"trap": "${oc.create:{_target_:pathlib.Path.touch,self:ran}}"}},
    "a resolver within a resolver": {"callbacks": {"trap": "${${x}:{a:b}}"}},
    "the environment": {"data": {"mimic_path": "${oc.env:HOME}"}},
    "decoded text": {"callbacks": {"trap": "${oc.decode:'{_target_: pathlib.Path.touch, self: ran}'}"}},
    "hydra's callbacks": {"hydra": {"callbacks": {"trap": TOUCH}}},
    "hydra's log handlers": {"hydra": {"job_logging": {"handlers": {"file": {"()": "pathlib.Path.touch"}}}}},
    "hydra's launcher": {"defaults": [{"override /hydra/launcher": "submitit_local"}]},
    "defaults in hydra": {"defaults": ["/callbacks@hydra.callbacks: default"]},
    "defaults out of the folder": {"defaults": ["../../../../etc/x"]},
    "defaults by interpolation": {"defaults": ["${seed}"]},
    "trust": {"trusted_targets": ["pathlib.Path.touch"]},
    "the folder of results": {"output_dir": "/tmp/elsewhere"},
}


def strangers(folder: Path, content: Mapping[str, object] | str, package: str = "_global_") -> Path:
    (folder / "experiment").mkdir(parents=True, exist_ok=True)
    text = content if isinstance(content, str) else yaml.safe_dump(dict(content), sort_keys=False)
    (folder / "experiment" / "theirs.yaml").write_text(f"# @package {package}\n{text}")
    return folder


@pytest.mark.parametrize("sweep", [False, True])
@pytest.mark.parametrize("trap", TRAPS)
def test_a_file_of_a_stranger_runs_nothing(trap: str, sweep: bool, tmp_path: Path) -> None:
    folder = strangers(tmp_path / "theirs", TRAPS[trap])
    typed = ["-m"] if sweep else []
    with pytest.raises(UntrustedTargetError, match=r"theirs\.yaml: "):
        looked_through([*typed, "--config-dir", str(folder), "experiment=theirs"])
    assert not list(Path.cwd().iterdir())


def test_a_package_header_does_not_lead_into_hydra(tmp_path: Path) -> None:
    folder = strangers(tmp_path / "theirs", {"trap": {"_target_": "torch.nn.ReLU"}}, package="hydra.callbacks")
    with pytest.raises(UntrustedTargetError, match="sets something of hydra"):
        looked_through(["--config-dir", str(folder), "experiment=theirs"])


def test_a_choice_by_a_path_is_refused(tmp_path: Path) -> None:
    from ecgfounder_ft.config.compose import config_folder

    folder = strangers(tmp_path / "theirs", TRAPS["hydra's callbacks"])
    up = "../" * len((config_folder() / "experiment").parts[1:])
    for flags in ([], ["-m"]):
        for value in ("{path}", "demo,{path}") if flags else ("{path}",):
            path = f"{up}{str(folder / 'experiment' / 'theirs')[1:]}"
            with pytest.raises(ConfigurationError, match="choices are named, not given by a path"):
                looked_through([*flags, f"experiment={value.format(path=path)}"])
    (folder / "theirs_too.yaml").write_text(yaml.safe_dump({"defaults": ["train"], **TRAPS["hydra's callbacks"]}))
    (folder / "experiment" / "theirs.yaml").unlink()
    with pytest.raises(UntrustedTargetError, match=r"theirs_too\.yaml: sets something of hydra"):
        looked_through(["--config-dir", str(folder), "--config-name", "theirs_too"])
    with pytest.raises(ConfigurationError, match="files are named, not given by a path"):
        looked_through(["--config-name", f"../../{folder}/theirs_too"])


def test_a_file_of_a_stranger_that_only_sets_values_is_taken(tmp_path: Path) -> None:
    content = {"optimizer": {"lr": 0.5}, "callbacks": {"early_stopping": {"monitor": "${monitor.name}"}}}
    folder = strangers(tmp_path / "theirs", content)
    _, configurations = looked_through(["--config-dir", str(folder), "experiment=theirs"])
    assert configurations[0].learning_rate == 0.5  # type: ignore[union-attr]
    folder = strangers(tmp_path / "theirs", {"callbacks": {"mine": {"_target_": "my_package.Mine"}}})
    with pytest.raises(UntrustedTargetError, match=r"trusted_targets=\[my_package\.Mine\]"):
        looked_through(["--config-dir", str(folder), "experiment=theirs"])
    looked_through(["--config-dir", str(folder), "experiment=theirs", "trusted_targets=[my_package.Mine]"])


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("a: &a {b: *a}", "no configuration"),
        ("a: &a [x,x,x,x,x,x,x,x]\nb: &b [*a,*a,*a,*a,*a,*a,*a,*a]\nc: &c [*b,*b,*b,*b,*b,*b,*b,*b]\n"
         "d: &d [*c,*c,*c,*c,*c,*c,*c,*c]\ne: &e [*d,*d,*d,*d,*d,*d,*d,*d]\nf: [*e,*e,*e,*e,*e,*e,*e,*e]\n", "values"),
        ("a: " + "[" * 5000, "cannot be read as YAML"),
        ("!!python/object/apply:os.system ['touch ran']", "cannot be read as YAML"),
        ("- 1", "expected the keys of a configuration"),
        ("a: \x00", "cannot be read as YAML"),
    ],
)  # fmt: skip
def test_a_file_that_is_none_or_would_not_end_is_refused(text: str, words: str, tmp_path: Path) -> None:
    folder = strangers(tmp_path / "theirs", text)
    with pytest.raises(ExplainedError, match=words):
        looked_through(["--config-dir", str(folder), "experiment=theirs"])
    assert not list(Path.cwd().iterdir())
