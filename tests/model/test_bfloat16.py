"""bfloat16 is refused where it would be emulated."""

from pathlib import Path

import pytest
import torch

from ecgfounder_ft.config.compose import compose_settings
from ecgfounder_ft.inference.finished_model import load_model
from ecgfounder_ft.model import bfloat16
from ecgfounder_ft.model.bfloat16 import PrecisionError, has_bfloat16, require_bfloat16
from ecgfounder_ft.training.device import require_device


def test_the_processor_is_asked() -> None:
    assert has_bfloat16("cpu") == torch.ops.mkldnn._is_mkldnn_bf16_supported()


def test_a_processor_without_instructions_refuses_and_says_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bfloat16, "has_bfloat16", lambda device_type: False)
    with pytest.raises(
        PrecisionError, match=r"trainer\.precision=bf16-mixed: this processor .*trainer\.precision=auto"
    ):
        require_device(compose_settings(["trainer.precision=bf16-mixed", "trainer.accelerator=cpu"]).trainer)
    with pytest.raises(PrecisionError, match=r"--bf16: this processor has no bfloat16 instructions.*leave it out"):
        load_model(tmp_path, "cpu", bf16=True)
    require_device(compose_settings(["trainer.accelerator=cpu"]).trainer)


def test_a_processor_with_them_takes_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bfloat16, "has_bfloat16", lambda device_type: True)
    require_bfloat16("cpu", "--bf16")
