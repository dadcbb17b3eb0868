"""Published checkpoints: find, download, verify, read without running code, and load into Net1D.

Source of the files: https://huggingface.co/PKUDigitalHealth/ECGFounder (MIT). A file is a pickled dictionary with
``state_dict`` beside the training state it was saved with.
"""

import hashlib
import logging
import pickle
import re
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from ecgfounder_ft.config.compose import config_folder
from ecgfounder_ft.errors import ExplainedError
from ecgfounder_ft.model.ecgfounder.net1d import Net1D

log = logging.getLogger(__name__)

REPOSITORY = "PKUDigitalHealth/ECGFounder"

_UNUSED_BATCH_NORM = re.compile(r"(^|\.)(first_bn|bn[123])\.")
"""Tensors that the published network owns but, with ``use_bn=False``, never uses."""


class WeightsError(ExplainedError):
    """A weights file that is absent, damaged, unsafe or made for another network."""


@dataclass(frozen=True)
class PublishedCheckpoint:
    """A file of the published repository."""

    file: str
    leads: int
    sha256: str | None
    """None where the publisher's digest is not known."""


PUBLISHED: dict[str, PublishedCheckpoint] = {
    "12_lead_ECGFounder": PublishedCheckpoint(
        "12_lead_ECGFounder.pth", 12, "ee199f3781f4ae1f732973267f003da0a759ea12bddb0dd28a77faa60aca7997"
    ),
    "1_lead_ECGFounder": PublishedCheckpoint("1_lead_ECGFounder.pth", 1, None),
}
"""Names that ``model.weights`` understands beside file paths."""


def find_weights(weights: str, folder: Path) -> Path:
    """The local file of a published checkpoint (downloaded once into ``folder``) or of a path.

    A relative path is looked for in the current folder, then among the files that ship with the package.

    Raises:
        WeightsError: if there is no such file and it cannot be downloaded, or its sha256 is not the published one.
    """
    published = PUBLISHED.get(weights.removesuffix(".pth"))
    if published is None:
        path = Path(weights)
        shipped = config_folder().parent / path  # the demo models, which stand beside the package's configurations
        if path.is_file() or shipped.is_file():
            return path if path.is_file() else shipped
        raise WeightsError(
            f"model.weights={weights}: no such file (looked at {path.absolute()}). Expected a file, null for a random "
            f"start, or a published checkpoint: {', '.join(PUBLISHED)}"
        )
    path = folder / published.file
    if not path.is_file():
        download(published, folder)
    if published.sha256 is not None:
        found = sha256_of(path)
        if found != published.sha256:
            raise WeightsError(
                f"{path}: sha256 {found}, expected {published.sha256}. The file is damaged or not the published one: "
                "delete it, and it is downloaded again"
            )
    return path


def download(published: PublishedCheckpoint, folder: Path) -> Path:
    """Download a published checkpoint into ``folder``. huggingface_hub tries again and resumes what was interrupted.

    Raises:
        WeightsError: that says which file to put where, if the network does not serve it.
    """
    from huggingface_hub import hf_hub_download
    from huggingface_hub.errors import HfHubHTTPError, LocalEntryNotFoundError

    target = folder / published.file
    log.info("Downloading %s from huggingface.co/%s to %s", published.file, REPOSITORY, target)
    try:
        return Path(hf_hub_download(REPOSITORY, published.file, local_dir=folder))
    except (LocalEntryNotFoundError, HfHubHTTPError, OSError) as error:
        raise WeightsError(
            f"{published.file} is not at {target.absolute()} and could not be downloaded ({_first_line(error)}). "
            f"Download it from https://huggingface.co/{REPOSITORY} on a machine with a network and put it at "
            f"{target.absolute()}, or start without it: model.weights=null, or experiment=demo"
        ) from error


def _first_line(error: Exception) -> str:
    return (str(error).strip().splitlines() or [type(error).__name__])[0]


def sha256_of(path: Path) -> str:
    """Hex digest of a file."""
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def read_state_dict(path: Path) -> dict[str, Tensor]:
    """The network's tensors in a checkpoint file, under Net1D's names. No code from the file is run.

    Taken: a published dictionary with ``state_dict``, or a bare state dict; ``module.`` and ``net.`` prefixes are
    stripped, unused batch-norm tensors dropped.

    Raises:
        WeightsError: if the file is truncated, would run code, holds no tensors, or holds NaN or infinity.
    """
    try:
        with _numpy_scalars_allowed():
            content = torch.load(path, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as error:
        raise WeightsError(
            f"{path}: refused, because loading it would run code or build objects other than tensors and numbers "
            f"({_first_line(error)})"
        ) from error
    except (RuntimeError, EOFError, OSError, ValueError, KeyError) as error:
        raise WeightsError(f"{path}: truncated, or no checkpoint ({_first_line(error)})") from error
    state = content.get("state_dict", content) if isinstance(content, Mapping) else None
    if not isinstance(state, Mapping) or not all(isinstance(value, Tensor) for value in state.values()) or not state:
        found = ", ".join(map(str, list(content)[:8])) if isinstance(content, Mapping) else type(content).__name__
        raise WeightsError(f"{path}: no network weights. Found {found}; expected a dictionary with 'state_dict'")
    tensors = {re.sub(r"^(module\.|net\.)+", "", key): value for key, value in state.items()}
    tensors = {key: value for key, value in tensors.items() if not _UNUSED_BATCH_NORM.search(key)}
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


def load_weights(net: Net1D, path: Path, head_rows: Sequence[Sequence[int]] | None) -> None:
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
    tensors = read_state_dict(path)
    stem = tensors.get("first_conv.conv.weight")
    if stem is not None and stem.shape[1] != net.in_channels:
        raise WeightsError(
            f"{path}: made for {stem.shape[1]} lead(s), the model has {net.in_channels}. "
            "Choose model=1lead or model=12lead to match the file"
        )
    own = net.state_dict()
    head: dict[str, Tensor] = {key: tensors.pop(key) for key in ("dense.weight", "dense.bias") if key in tensors}
    expected = {key: value for key, value in own.items() if not key.startswith("dense.")}
    missing, unexpected = sorted(expected.keys() - tensors.keys()), sorted(tensors.keys() - expected.keys())
    problems = [f"missing: {_listed(missing)}"] if missing else []
    problems += [f"unexpected: {_listed(unexpected)}"] if unexpected else []
    reshaped = [
        f"{key} is {_shape(tensors[key])}, expected {_shape(value)}"
        for key, value in expected.items()
        if key in tensors and tensors[key].shape != value.shape
    ]
    problems += [f"of another shape: {_listed(reshaped)}"] if reshaped else []
    if problems:
        raise WeightsError(f"{path}: not the weights of this network; {'; '.join(problems)}")
    if head_rows is None:
        tensors |= {key: own[key] for key in ("dense.weight", "dense.bias")}
    else:
        tensors |= _head_from_rows(head, head_rows, path)
    net.load_state_dict(tensors)


def _head_from_rows(head: Mapping[str, Tensor], rows: Sequence[Sequence[int]], path: Path) -> dict[str, Tensor]:
    if len(head) != 2:
        raise WeightsError(f"{path}: has no last layer to start from; choose model.head=random")
    tasks = len(head["dense.bias"])
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
