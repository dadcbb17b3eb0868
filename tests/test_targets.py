"""What a configuration from a file may instantiate."""

import pytest

from ecgfounder_ft.config.schema import own_targets
from ecgfounder_ft.targets import UntrustedTargetError, refuse_untrusted, targets_in


def test_targets_are_found_however_deep() -> None:
    content = {"a": {"_target_": "x.Y"}, "b": [{"c": {"_target_": "z.W"}}], "_target_": 3}
    assert dict(targets_in(content)) == {"": 3, "a": "x.Y", "b[0].c": "z.W"}


@pytest.mark.parametrize(
    "target",
    [
        "torch.optim.AdamW",
        "torch.optim.lr_scheduler.StepLR",
        "torch.nn.Conv1d",
        "pytorch_lightning.callbacks.EarlyStopping",
        "pytorch_lightning.loggers.CSVLogger",
        "pytorch_lightning.loggers.WandbLogger",
        "pytorch_lightning.loggers.MLFlowLogger",
        "ecgfounder_ft.training.loggers.TensorBoard",
        "pytorch_lightning.Trainer",
        "ecgfounder_ft.finetune.lora.LoRA",
        "ecgfounder_ft.model.ecgfounder.net1d.Net1D",
    ],
)
def test_classes_that_belong_there_are_taken(target: str) -> None:
    refuse_untrusted({"here": {"_target_": target}}, own_targets(), (), "config.yaml")


@pytest.mark.parametrize(
    "target",
    [
        "os.system",
        "builtins.eval",
        "subprocess.Popen",
        "torch.load",
        "torch.hub.load",
        "torch.optim.optimizer.torch.hub.load",  # a path through a module that imported another
        "torch.nn.modules.module.torch.load",
        "torch.optim.lr_scheduler.types.FunctionType",
        "torch.nn.functional.linear",
        "pytorch_lightning.callbacks.callback.Any",
        "pytorch_lightning.trainer.trainer.os.system",
        "ecgfounder_ft.cli.app",
        "ecgfounder_ft.data.store.building.ProcessPoolExecutor",
        "hydra.utils.instantiate",
        "hydra._internal.instantiate._instantiate2.instantiate",
        "torch.nn.Conv1d ",
        "torch.nn.Conv1d\n",
        "",
        3,
        ["os.system"],
        {"_target_": "os.system"},
        None,
    ],
)
def test_everything_else_is_refused_by_name(target: object) -> None:
    with pytest.raises(UntrustedTargetError, match=r"config\.yaml: here wants"):
        refuse_untrusted({"here": {"_target_": target}}, own_targets(), (), "config.yaml")


def test_what_the_user_names_is_taken() -> None:
    content = {"here": {"_target_": "my_package.Mine"}}
    refuse_untrusted(content, (), ["my_package.Mine"], "config.yaml")
    with pytest.raises(UntrustedTargetError, match=r"trusted_targets=\[my_package\.Mine\]"):
        refuse_untrusted(content, (), ["my_package.Other"], "config.yaml")


def test_interpolations_are_refused_since_they_can_make_a_target() -> None:
    with pytest.raises(UntrustedTargetError, match="expected a plain value"):
        refuse_untrusted({"a": ["${oc.create:{_target_:os.system}}"]}, (), (), "config.yaml")
