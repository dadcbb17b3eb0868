"""On which device, in which precision and in how many processes a run computes."""

import logging
import warnings

import torch
from pytorch_lightning.utilities.rank_zero import rank_zero_only

from ecgfounder_ft.config.settings import TrainerSettings
from ecgfounder_ft.inference.finished_model import DeviceError
from ecgfounder_ft.model.bfloat16 import PrecisionError, has_bfloat16, require_bfloat16


def is_main_process() -> bool:
    """False in all but one process of a run on several devices."""
    return rank_zero_only.rank == 0  # type: ignore[attr-defined]


def choose_accelerator(wanted: str) -> str:
    """``cuda`` or ``cpu``."""
    return "cuda" if wanted in ("auto", "gpu", "cuda") and torch.cuda.is_available() else "cpu"


def choose_precision(wanted: str, accelerator: str) -> str:
    """``auto`` becomes bfloat16 where the CUDA card has it, else float16; float32 without CUDA."""
    if wanted != "auto":
        return wanted
    if choose_accelerator(accelerator) == "cpu":
        return "32-true"
    return "bf16-mixed" if has_bfloat16("cuda") else "16-mixed"


def lower_precision(precision: str) -> torch.dtype | None:
    """The lower precision of mixed-precision training; None: float32."""
    return {"bf16-mixed": torch.bfloat16, "16-mixed": torch.float16}.get(precision)


def require_device(trainer: TrainerSettings) -> None:
    """Refuse a device that is not there, and a precision that it cannot compute in.

    Raises:
        DeviceError: if torch does not find the device, or so many of them.
        PrecisionError: if the device has no instructions for the precision.
    """
    wanted, precision = trainer.accelerator, trainer.precision
    if wanted in ("gpu", "cuda") and not torch.cuda.is_available():
        built = "" if torch.version.cuda else f"; torch {torch.__version__} is built without CUDA"
        raise DeviceError(
            f"trainer.accelerator={wanted}: torch finds no CUDA device here{built}. Type trainer.accelerator=cpu, or "
            "auto, which takes one where there is one"
        )
    accelerator = choose_accelerator(wanted)
    devices = trainer.devices
    count = max([int(one) + 1 for one in devices]) if isinstance(devices, list) else devices
    if accelerator == "cuda" and isinstance(count, int) and count > torch.cuda.device_count():
        raise DeviceError(f"trainer.devices={devices}: torch finds {torch.cuda.device_count()} CUDA device(s) here")
    if precision == "bf16-mixed":
        require_bfloat16(accelerator, f"trainer.precision={precision}")
    if precision == "16-mixed" and accelerator == "cpu":
        raise PrecisionError(f"trainer.precision={precision}: for CUDA devices alone; type trainer.precision=auto")


def has_several_devices(trainer: TrainerSettings) -> bool:
    """Whether a run would train in several processes."""
    devices = trainer.devices
    if trainer.num_nodes > 1:
        return True
    if devices in ("auto", -1, "-1"):
        return choose_accelerator(trainer.accelerator) == "cuda" and torch.cuda.device_count() > 1
    return len(devices) > 1 if isinstance(devices, list) else int(devices) > 1


def allow_tf32(allowed: bool) -> None:
    """Whether CUDA may round the factors of float32 products to TensorFloat-32; torch allows convolutions to."""
    torch.set_float32_matmul_precision("high" if allowed and torch.cuda.is_available() else "highest")
    torch.backends.cudnn.allow_tf32 = allowed


def quieten() -> None:
    """Warnings of Lightning that describe what this package decided on purpose, and all but one process of several."""
    if not is_main_process():
        logging.getLogger().setLevel(logging.ERROR)
    for message in (
        ".*does not have many workers.*",
        ".*Checkpoint directory .* exists and is not empty.*",
        ".*The number of training batches.*smaller than the logging interval.*",
        ".*Found .* module.* in eval mode.*",
        ".*isinstance.treespec, LeafSpec.*",
        ".*The `srun` command is available.*",
        ".*recommended to use `self.log.*sync_dist=True.*",
    ):
        warnings.filterwarnings("ignore", message=message)
    for name in (
        "pytorch_lightning.utilities.rank_zero",
        "pytorch_lightning.accelerators.cuda",
        "pytorch_lightning.trainer.connectors.checkpoint_connector",
    ):
        logging.getLogger(name).setLevel(logging.WARNING)
