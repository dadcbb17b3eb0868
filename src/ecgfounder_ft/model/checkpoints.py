"""Weights from a checkpoint file into a network.

A file is a pickled dictionary with ``state_dict``, beside whatever training state it was saved with, or a bare state
dict.
"""

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from ecgfounder_ft.labels import COMBINATIONS
from ecgfounder_ft.model.network import Network
from ecgfounder_ft.untrusted.weights import WeightsError, read_checkpoint, require_plain_tensors


def read_state_dict(path: Path) -> dict[str, Tensor]:
    """The tensors in a checkpoint file, under the names they have there. No code from the file is run.

    Taken: a dictionary with ``state_dict``, or a bare state dict.

    Raises:
        WeightsError: as :func:`~ecgfounder_ft.untrusted.weights.read_checkpoint`, and if it holds no tensors.
    """
    return state_dict_in(read_checkpoint(path), path)


def state_dict_in(content: Mapping[str, Any], path: Path) -> dict[str, Tensor]:
    """The tensors in what a checkpoint file holds, under the names they have there.

    Raises:
        WeightsError: if it holds none, or one that is not simply numbers.
    """
    state = content.get("state_dict", content)
    named = isinstance(state, Mapping) and all(isinstance(key, str) for key in state)
    if not named or not state or not all(isinstance(value, Tensor) for value in state.values()):
        found = ", ".join(list(content)[:8])
        raise WeightsError(f"{path}: no network weights. Found {found}; expected a dictionary with 'state_dict'")
    require_plain_tensors(state, path)
    return dict(state)


def read_tensors(net: Network, path: Path) -> dict[str, Tensor]:
    """The tensors in a checkpoint file, under the network's names.

    Raises:
        WeightsError: as :func:`read_state_dict`, and if a tensor holds NaN or infinity.
    """
    tensors = net.own_tensors(read_state_dict(path))
    _require_finite(tensors, path)
    return tensors


def load_all(net: Network, state: Mapping[str, Tensor], path: Path) -> None:
    """Load every tensor of a network from a file of it; what the file has beside them is not used.

    Args:
        net: the network.
        state: as :func:`read_state_dict` reads it.
        path: the file, for messages.

    Raises:
        WeightsError: if a tensor is missing, of another shape or type, or holds NaN or infinity.
    """
    own = net.state_dict()
    tensors = {key: value for key, value in net.own_tensors(state).items() if key in own}
    problems = _differences(tensors, own)
    problems += [
        f"of another type: {key} is {value.dtype}, expected {own[key].dtype}"
        for key, value in tensors.items()
        if value.is_floating_point() != own[key].is_floating_point()
    ][:1]
    if problems:
        raise WeightsError(f"{path}: not the weights of the network that it says it holds; {'; '.join(problems)}")
    _require_finite(tensors, path)
    net.load_state_dict(tensors)


def _require_finite(tensors: Mapping[str, Tensor], path: Path) -> None:
    broken = [key for key, value in tensors.items() if value.is_floating_point() and not value.isfinite().all()]
    if broken:
        raise WeightsError(f"{path}: NaN or infinity in {_listed(broken)}")


def _differences(tensors: Mapping[str, Tensor], expected: Mapping[str, Tensor]) -> list[str]:
    missing = sorted(expected.keys() - tensors.keys())
    reshaped = [
        f"{key} is {_shape(tensors[key])}, expected {_shape(value)}"
        for key, value in expected.items()
        if key in tensors and tensors[key].shape != value.shape
    ]
    found = [f"missing: {_listed(missing)}"] if missing else []
    return found + ([f"of another shape: {_listed(reshaped)}"] if reshaped else [])


def load_weights(
    net: Network, path: Path, head_rows: Sequence[Sequence[int]] | None, combine: Sequence[str] | None = None
) -> None:
    """Load a checkpoint into the network.

    Args:
        net: the network; its last layer keeps its own start where ``head_rows`` is None.
        path: the checkpoint file.
        head_rows: for each output of ``net`` the 0-based rows of the checkpoint's last layer that stand for it; this
            and ``combine`` are what :attr:`LabelMap.task_rows <ecgfounder_ft.labels.LabelMap.task_rows>` gives.
        combine: for each output how several rows make one, of ``labels.COMBINATIONS``; their mean where None.

    Raises:
        WeightsError: if a tensor is missing, unexpected or of another shape; the message names them.
    """
    load_tensors(net, read_tensors(net, path), path, head_rows, combine)


def load_tensors(
    net: Network,
    tensors: Mapping[str, Tensor],
    path: Path,
    head_rows: Sequence[Sequence[int]] | None,
    combine: Sequence[str] | None = None,
) -> None:
    """Load tensors under a network's own names, as :func:`load_weights` does; ``path`` is for messages.

    Raises:
        WeightsError: as :func:`load_weights`.
    """
    _require_finite(tensors, path)
    tensors = dict(tensors)
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
        tensors |= _head_from_rows(head, head_rows, combine or ["mean"] * len(head_rows), path)
    net.load_state_dict(tensors)


def has_task_rows(net: Network, path: Path, head_rows: Sequence[Sequence[int]], outputs: int | None) -> bool:
    """Tell whether the last layer of a file is the pretrained one, and every output of a network has rows of it.

    Args:
        net: the network.
        path: the checkpoint file.
        head_rows: as for :func:`load_weights`.
        outputs: of the pretrained last layer; None where no pretraining of this network is known.

    Raises:
        WeightsError: as :func:`read_tensors`.
    """
    tensors, own = read_tensors(net, path), net.state_dict()
    layer = {name: tensors[name] for name in net.head_tensors() if name in tensors}
    fits = all(
        value.ndim and len(value) == outputs and value.shape[1:] == own[name].shape[1:] for name, value in layer.items()
    )
    return all(head_rows) and len(layer) == len(net.head_tensors()) and fits


def _head_from_rows(
    head: Mapping[str, Tensor], rows: Sequence[Sequence[int]], combine: Sequence[str], path: Path
) -> dict[str, Tensor]:
    tasks = min(len(value) for value in head.values())
    for output, chosen in enumerate(rows):
        if not chosen:
            raise WeightsError(f"output {output} has no task rows in the label map; choose model.head=random")
        if not all(0 <= row < tasks for row in chosen):
            raise WeightsError(f"{path}: has {tasks} tasks, the label map asks for rows {list(chosen)}")
    combined = {key: torch.stack([value[list(chosen)].mean(dim=0) for chosen in rows]) for key, value in head.items()}
    added = [COMBINATIONS[rule] * math.log(len(chosen)) for rule, chosen in zip(combine, rows, strict=True)]
    for key, value in combined.items():
        if value.ndim == 1:  # the biases
            combined[key] = value + torch.tensor(added, dtype=value.dtype)
    return combined


def _shape(tensor: Tensor) -> str:
    return "x".join(map(str, tensor.shape)) or "scalar"


def _listed(names: Sequence[str], limit: int = 8) -> str:
    more = f" and {len(names) - limit} more" if len(names) > limit else ""
    return ", ".join(names[:limit]) + more
