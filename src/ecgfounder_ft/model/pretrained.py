"""Pretrained networks: the record that stands beside each network's code, and the files of its weights.

All that is particular to a pretrained network stands in one :class:`PretrainedNetwork`, in the module ``pretrained`` of
the network's folder. Nothing here imports torch.
"""

import functools
import importlib
import logging
import pkgutil
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import ecgfounder_ft.model
from ecgfounder_ft.errors import first_line
from ecgfounder_ft.files import sha256_of
from ecgfounder_ft.untrusted.errors import WeightsError

log = logging.getLogger(__name__)

_PACKAGE = Path(__file__).parents[1]
SHIPPED_FOLDERS = (_PACKAGE / "checkpoint", _PACKAGE.parents[1] / "checkpoint")
"""Folders of the files that ship with the project: in an installed package, and in a checkout."""


@dataclass(frozen=True)
class WeightsFile:
    """One file of pretrained weights."""

    name: str
    """The name that ``model.weights`` understands; the file is called so, with ``.pth``."""
    leads: tuple[str, ...]
    """Leads of the recordings that it was trained on, in the order of the network's input."""
    architecture: str
    """File of ``configs/model/architecture`` with the network's arguments."""
    trained_on: str
    """The recordings of the pretraining, as a phrase."""
    sha256: str | None = None
    """None where the publisher's digest is not known."""
    repository: str | None = None
    """Repository on the Hugging Face Hub; None: the file ships with this project."""
    licence: str | None = None
    """Identifier on the Hub, of published files."""
    labels: str | None = None
    """Label map of the outputs that it answers where these are fewer than the network's."""
    any_lead: bool = False
    """Whether one lead of another name may take the place of its only lead."""

    @property
    def file(self) -> str:
        """Name of the file, in the repository and in a folder."""
        return f"{self.name}.pth"


@dataclass(frozen=True)
class PretrainedNetwork:
    """All that is particular to a pretrained network."""

    name: str
    """The name that publications use."""
    network: str
    """Dotted name of the network's class."""
    leads_argument: str
    """Argument of the class that takes the number of leads."""
    outputs_argument: str
    """Argument of the class that takes the number of outputs."""
    outputs: int
    """Outputs of the pretrained last layer, whose rows the ``tasks`` of label maps number."""
    labels: str
    """File of ``configs/labels`` that names the outputs, in order."""
    preprocessing: str
    """File of ``configs/preprocessing`` with the preprocessing of the pretraining."""
    citation: str
    """The publication to cite."""
    files: tuple[WeightsFile, ...]
    """The files of its weights."""


@functools.cache
def pretrained_networks() -> tuple[PretrainedNetwork, ...]:
    """Return the record of each network folder in ``ecgfounder_ft.model``."""
    found = []
    for folder in pkgutil.iter_modules(ecgfounder_ft.model.__path__):
        if folder.ispkg:
            content = vars(importlib.import_module(f"ecgfounder_ft.model.{folder.name}.pretrained"))
            found += [value for value in content.values() if isinstance(value, PretrainedNetwork)]
    return tuple(found)


def network_of_class(target: object) -> PretrainedNetwork | None:
    """Return the record of the network whose class a ``_target_`` names; None if there is none."""
    return next((network for network in pretrained_networks() if network.network == target), None)


def class_of(network: PretrainedNetwork) -> Any:
    """Import the class of a network."""
    module, _, name = network.network.rpartition(".")
    return getattr(importlib.import_module(module), name)


def weights_files() -> dict[str, tuple[PretrainedNetwork, WeightsFile]]:
    """Return each name that ``model.weights`` understands, with its network and its file; published ones first."""
    found = [(network, file) for network in pretrained_networks() for file in network.files]
    return {file.name: (network, file) for network, file in sorted(found, key=lambda pair: pair[1].repository is None)}


def published_names() -> list[str]:
    """Return the names of the files that are downloaded from the Hub."""
    return [name for name, (_, file) in weights_files().items() if file.repository is not None]


def shipped_names() -> list[str]:
    """Return the names of the files that come with this project."""
    return [name for name, (_, file) in weights_files().items() if file.repository is None]


def _file_named(weights: str) -> WeightsFile | None:
    """The pretrained file of a name; published ones may be typed with ``.pth``."""
    found = weights_files().get(weights) or weights_files().get(weights.removesuffix(".pth"))
    if found is None or (found[1].name != weights and found[1].repository is None):
        return None
    return found[1]


def find_weights(weights: str, folder: Path) -> Path:
    """The local file of a checkpoint.

    Args:
        weights: the name of a published checkpoint, which is downloaded once into ``folder``, the name of one that
            ships with the project, or a path.
        folder: of the published checkpoints.

    Raises:
        WeightsError: if there is no such file and it cannot be downloaded, or its sha256 is not the published one.
    """
    published = _file_named(weights)
    if published is None:
        return _file(weights)
    if published.repository is None:
        return _shipped(weights)
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


def require_weights(weights: str, folder: Path, leads: int) -> None:
    """Look for a checkpoint before anything else is done; a published one that is not there is downloaded.

    Args:
        weights, folder: as for :func:`find_weights`.
        leads: that the network will read.

    Raises:
        WeightsError: if it is not there and cannot be had, or was trained on another number of leads.
    """
    file = _file_named(weights)
    if file is not None and len(file.leads) != leads:
        others = [other for _, other in weights_files().values() if other.architecture == file.architecture]
        fitting = [f"model.weights={other.name}" for other in others if len(other.leads) == leads]
        raise WeightsError(
            f"model.weights={weights} was trained on {len(file.leads)} lead(s), and model.leads names {leads}; "
            f"type {' or '.join(fitting or ['model.weights=null'])}"
        )
    find_weights(weights, folder)


def download(published: WeightsFile, folder: Path) -> Path:
    """Download a published checkpoint into ``folder``. huggingface_hub tries again and resumes what was interrupted.

    Raises:
        WeightsError: that says which file to put where, if the network does not serve it.
    """
    assert published.repository is not None
    from huggingface_hub import hf_hub_download
    from huggingface_hub.errors import HfHubHTTPError, LocalEntryNotFoundError

    target, was_there = folder / published.file, folder.exists()
    log.info("Downloading %s from huggingface.co/%s to %s", published.file, published.repository, target)
    try:
        with _one_message_of_retries():
            return Path(hf_hub_download(published.repository, published.file, local_dir=folder))
    except (LocalEntryNotFoundError, HfHubHTTPError, OSError) as error:
        if not was_there and not any(folder.rglob("*.incomplete")):  # those go on where they stopped
            shutil.rmtree(folder, ignore_errors=True)
        raise WeightsError(
            f"{published.file} is not at {target.absolute()} and could not be downloaded ({_reason(error)}). "
            f"Download it from https://huggingface.co/{published.repository} on a machine with a network and put it at "
            f"{target.absolute()}. What works without a network: model/architecture=demo model.weights=demo_12_lead (a "
            "small network that comes with the package), model.weights=null (random weights), or experiment=demo"
        ) from error


@contextmanager
def _one_message_of_retries() -> Iterator[None]:
    """huggingface_hub says each failed attempt in two lines, and both of them twice; one line says enough."""

    class Once(logging.Handler):
        said = False

        def emit(self, record: logging.LogRecord) -> None:
            if record.levelno >= logging.WARNING and not self.said:
                self.said = True
                log.warning("huggingface.co does not answer; trying again for half a minute")

    library = logging.getLogger("huggingface_hub")
    handlers, propagates = library.handlers, library.propagate
    library.handlers, library.propagate = [Once()], False
    try:
        yield
    finally:
        library.handlers, library.propagate = handlers, propagates


def _reason(error: Exception) -> str:
    """The error that a download ended in, rather than the advice that stands above it."""
    cause: BaseException = error
    while cause.__cause__ is not None:
        cause = cause.__cause__
    return first_line(cause if isinstance(cause, Exception) else error)


def _shipped(name: str) -> Path:
    candidates = [folder / f"{name}.pth" for folder in SHIPPED_FOLDERS]
    for path in candidates:
        if path.is_file():
            return path
    raise WeightsError(
        f"model.weights={name}: ships with this project, but is not there (looked at "
        f"{' and '.join(map(str, candidates))}). Install the package anew, or use the whole checkout"
    )


def _file(weights: str) -> Path:
    path = Path(weights)
    if path.is_file():
        return path
    raise WeightsError(
        f"model.weights={weights}: no such file (looked at {path.absolute()}). Expected a file, null for a random "
        f"start, a published checkpoint: {', '.join(published_names())}; or one that ships with this project: "
        f"{', '.join(shipped_names())}"
    )
