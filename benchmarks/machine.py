"""What a number was measured on."""

import os
import platform
from pathlib import Path


def describe() -> str:
    """One line: processor, cores, instruction sets that matter, GPU, torch."""
    import torch  # here, since processes that a benchmark starts import its program, and with it this file, again

    info = Path("/proc/cpuinfo").read_text(encoding="utf-8") if Path("/proc/cpuinfo").is_file() else ""
    name = next((line.split(":", 1)[1].strip() for line in info.splitlines() if line.startswith("model name")), "")
    flags = next((line for line in info.splitlines() if line.startswith("flags")), "")
    sets = [
        label
        for flag, label in (("avx512f", "AVX-512"), ("avx512_bf16", "AVX-512 bf16"), ("amx_bf16", "AMX"))
        if flag in flags
    ]
    parts = [name or platform.processor(), f"{len(os.sched_getaffinity(0))} cores", ", ".join(sets)]
    if torch.cuda.is_available():
        parts.append(torch.cuda.get_device_name())
    return "; ".join(
        part for part in [*parts, f"torch {torch.__version__}", f"Python {platform.python_version()}"] if part
    )
