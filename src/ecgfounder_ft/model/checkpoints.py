"""Checkpoint files: read without running code, and loaded into a network.

A file is a pickled dictionary with ``state_dict``, beside whatever training state it was saved with, or a bare state
dict.
"""

import pickle
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from ecgfounder_ft.errors import ExplainedError
from ecgfounder_ft.model.network import Network


class WeightsError(ExplainedError):
    """A weights file that is absent, damaged, unsafe or made for another network."""


def first_line(error: Exception) -> str:
    """The first line of an error's message, or its type where it has none."""
    return (str(error).strip().splitlines() or [type(error).__name__])[0]


def read_state_dict(path: Path) -> dict[str, Tensor]:
    """The tensors in a checkpoint file, under the names they have there. No code from the file is run.

    Taken: a dictionary with ``state_dict``, or a bare state dict.

    Raises:
        WeightsError: if the file is truncated, would run code, or holds no tensors.
    """
    try:
        with _numpy_scalars_allowed():
            content = torch.load(path, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as error:
        raise WeightsError(
            f"{path}: refused, because loading it would run code or build objects other than tensors and numbers "
            f"({first_line(error)})"
        ) from error
    except (RuntimeError, EOFError, OSError, ValueError, KeyError) as error:
        raise WeightsError(f"{path}: truncated, or no checkpoint ({first_line(error)})") from error
    state = content.get("state_dict", content) if isinstance(content, Mapping) else None
    named = isinstance(state, Mapping) and all(isinstance(key, str) for key in state)
    if not named or not state or not all(isinstance(value, Tensor) for value in state.values()):
        found = ", ".join(map(str, list(content)[:8])) if isinstance(content, Mapping) else type(content).__name__
        raise WeightsError(f"{path}: no network weights. Found {found}; expected a dictionary with 'state_dict'")
    return dict(state)


def read_tensors(net: Network, path: Path) -> dict[str, Tensor]:
    """The tensors in a checkpoint file, under the network's names.

    Raises:
        WeightsError: as :func:`read_state_dict`, and if a tensor holds NaN or infinity.
    """
    tensors = net.own_tensors(read_state_dict(path))
    broken = [key for key, value in tensors.items() if value.is_floating_point() and not value.isfinite().all()]
    if broken:
        raise WeightsError(f"{path}: NaN or infinity in {_listed(broken)}")
    return tensors


def _numpy_scalars_allowed() -> AbstractContextManager[None]:
    """Published files hold a numpy scalar (the validation AUROC); numbers of numpy run no code."""
    scalar = np._core.multiarray.scalar  # type: ignore[attr-defined]
    allowed: list[Callable | tuple[Callable, str]] = [
        scalar,
        (scalar, "numpy.core.multiarray.scalar"),  # where it stands in files written under numpy 1
        np.dtype,
        *(getattr(np.dtypes, f"{kind}DType") for kind in ("Float16", "Float32", "Float64", "Int32", "Int64", "Bool")),
    ]
    return torch.serialization.safe_globals(allowed)


def load_weights(net: Network, path: Path, head_rows: Sequence[Sequence[int]] | None) -> None:
    """Load a checkpoint into the network.

    Args:
        net: the network; its last layer keeps its own start where ``head_rows`` is None.
        path: the checkpoint file.
        head_rows: for each output of ``net`` the 0-based rows of the checkpoint's last layer that stand for it.
            Several rows are averaged: the logit is then the mean of theirs, the one linear combination that treats
            them alike and keeps the scale of a single task, so that no condition is favoured by having more rows.

    Raises:
        WeightsError: if a tensor is missing, unexpected or of another shape; the message names them.
    """
    tensors = read_tensors(net, path)
    own = net.state_dict()
    made_for, leads = net.leads_of(tensors), net.leads_of(own)
    if made_for is not None and made_for != leads:
        raise WeightsError(
            f"{path}: made for {made_for} lead(s), the model has {leads}. "
            "Choose model=1lead or model=12lead to match the file"
        )
    names = net.head_tensors()
    head = {key: tensors.pop(key) for key in names if key in tensors}
    expected = {key: value for key, value in own.items() if key not in names}
    missing, unexpected = sorted(expected.keys() - tensors.keys()), sorted(tensors.keys() - expected.keys())
    problems = [f"missing: {_listed(missing)}"] if missing else []
    problems += [f"unexpected: {_listed(unexpected)}"] if unexpected else []
    reshaped = [
        f"{key} is {_shape(tensors[key])}, expected {_shape(value)}"
        for key, value in expected.items()
        if key in tensors and tensors[key].shape != value.shape
    ]
    reshaped += [
        f"{key} has rows of {_shape(value[0])}, expected {_shape(own[key][0])}"
        for key, value in head.items()
        if head_rows is not None and value.shape[1:] != own[key].shape[1:]
    ]
    problems += [f"of another shape: {_listed(reshaped)}"] if reshaped else []
    if problems:
        raise WeightsError(f"{path}: not the weights of this network; {'; '.join(problems)}")
    if head_rows is None:
        tensors |= {key: own[key] for key in names}
    elif len(head) != len(names):
        raise WeightsError(f"{path}: has no last layer to start from; choose model.head=random")
    else:
        tensors |= _head_from_rows(head, head_rows, path)
    net.load_state_dict(tensors)


def _head_from_rows(head: Mapping[str, Tensor], rows: Sequence[Sequence[int]], path: Path) -> dict[str, Tensor]:
    tasks = min(len(value) for value in head.values())
    for output, chosen in enumerate(rows):
        if not chosen:
            raise WeightsError(f"output {output} has no task rows in the label map; choose model.head=random")
        if not all(0 <= row < tasks for row in chosen):
            raise WeightsError(f"{path}: has {tasks} tasks, the label map asks for rows {list(chosen)}")
    return {key: torch.stack([value[list(chosen)].mean(dim=0) for chosen in rows]) for key, value in head.items()}


def _shape(tensor: Tensor) -> str:
    return "x".join(map(str, tensor.shape)) or "scalar"


def _listed(names: Sequence[str], limit: int = 8) -> str:
    more = f" and {len(names) - limit} more" if len(names) > limit else ""
    return ", ".join(names[:limit]) + more
