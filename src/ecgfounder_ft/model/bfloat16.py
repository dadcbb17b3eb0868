"""Whether a device computes in bfloat16 itself. A processor that does not runs some 40 times slower than in float32."""

import torch

from ecgfounder_ft.errors import ExplainedError


class PrecisionError(ExplainedError):
    """A precision that the device has no instructions for."""


def has_bfloat16(device_type: str) -> bool:
    """Whether a device (``cpu`` or ``cuda``) has instructions for bfloat16; emulation does not count."""
    if device_type == "cuda":
        return torch.cuda.is_bf16_supported(including_emulation=False)
    return bool(torch.ops.mkldnn._is_mkldnn_bf16_supported())


def require_bfloat16(device_type: str, option: str) -> None:
    """Refuse bfloat16 where it would be emulated.

    Args:
        device_type: ``cpu`` or ``cuda``.
        option: as typed, for the message.

    Raises:
        PrecisionError: that says what to type instead.
    """
    if not has_bfloat16(device_type):
        device = "this processor" if device_type == "cpu" else "this graphics card"
        instead = "leave it out" if option.startswith("--") else f"type {option.partition('=')[0]}=auto"
        raise PrecisionError(
            f"{option}: {device} has no bfloat16 instructions, and would compute many times slower than in float32, "
            f"without being any better: {instead}"
        )
