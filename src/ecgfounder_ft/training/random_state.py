"""Where every source of random numbers stands, so that a resumed run draws what it would have drawn."""

import random
from typing import Any

import numpy as np
import torch


def random_state() -> dict[str, Any]:
    """Of Python, numpy, torch and each GPU, in what a checkpoint holds without code."""
    name, keys, *numpy_rest = np.random.get_state()  # noqa: NPY002  the state that libraries draw from
    return {
        "python": random.getstate(),
        "numpy": (name, torch.from_numpy(np.asarray(keys).astype(np.int64)), *numpy_rest),
        "torch": torch.get_rng_state(),
        "cuda": torch.cuda.get_rng_state_all() if torch.cuda.is_initialized() else [],
    }


def set_random_state(state: dict[str, Any]) -> None:
    """Inverse of :func:`random_state`. GPUs keep theirs where there are not as many as before."""
    random.setstate(state["python"])
    name, keys, *numpy_rest = state["numpy"]
    np.random.set_state((name, keys.numpy().astype(np.uint32), *numpy_rest))  # noqa: NPY002
    torch.set_rng_state(state["torch"].cpu())
    if state["cuda"] and len(state["cuda"]) == torch.cuda.device_count():
        torch.cuda.set_rng_state_all([each.cpu() for each in state["cuda"]])
