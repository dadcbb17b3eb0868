"""Checkpoints known by name: those that ECGFounder's authors published, and the small ones that ship with this project.

Source of the published files: https://huggingface.co/PKUDigitalHealth/ECGFounder (MIT). A file is a pickled dictionary
with ``state_dict`` beside the training state it was saved with.
"""

import logging
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from ecgfounder_ft.errors import first_line
from ecgfounder_ft.files import sha256_of
from ecgfounder_ft.untrusted.weights import WeightsError

log = logging.getLogger(__name__)

REPOSITORY = "PKUDigitalHealth/ECGFounder"


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

SHIPPED = {"demo_12_lead": 12, "demo_1_lead": 1, "demo_limb_leads": 6, "demo_any_lead": 1}
"""Names of the checkpoints that come with this project to the leads they read; see ``checkpoint/demo_models.md``."""

_PACKAGE = Path(__file__).parents[2]
SHIPPED_FOLDERS = (_PACKAGE / "checkpoint", _PACKAGE.parents[1] / "checkpoint")
"""Where they stand in an installed package, and in a checkout."""


def find_weights(weights: str, folder: Path) -> Path:
    """The local file of a checkpoint.

    Args:
        weights: the name of a published checkpoint, which is downloaded once into ``folder``, the name of one that
            ships with the project, or a path.
        folder: of the published checkpoints.

    Raises:
        WeightsError: if there is no such file and it cannot be downloaded, or its sha256 is not the published one.
    """
    published = PUBLISHED.get(weights.removesuffix(".pth"))
    if published is None:
        return _shipped(weights) if weights in SHIPPED else _file(weights)
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
    published = PUBLISHED.get(weights.removesuffix(".pth"))
    expected = SHIPPED.get(weights) if published is None else published.leads
    if expected is not None and expected != leads:
        if published is None:
            fitting = [f"model.weights={name}" for name, count in SHIPPED.items() if count == leads]
        else:
            fitting = [f"model={name}" for name, count in (("1lead", 1), ("12lead", 12)) if count == leads]
        raise WeightsError(
            f"model.weights={weights} was trained on {expected} lead(s), and model.leads names {leads}; "
            f"type {' or '.join(fitting or ['model.weights=null'])}"
        )
    find_weights(weights, folder)


def download(published: PublishedCheckpoint, folder: Path) -> Path:
    """Download a published checkpoint into ``folder``. huggingface_hub tries again and resumes what was interrupted.

    Raises:
        WeightsError: that says which file to put where, if the network does not serve it.
    """
    from huggingface_hub import hf_hub_download
    from huggingface_hub.errors import HfHubHTTPError, LocalEntryNotFoundError

    target, was_there = folder / published.file, folder.exists()
    log.info("Downloading %s from huggingface.co/%s to %s", published.file, REPOSITORY, target)
    try:
        with _one_message_of_retries():
            return Path(hf_hub_download(REPOSITORY, published.file, local_dir=folder))
    except (LocalEntryNotFoundError, HfHubHTTPError, OSError) as error:
        if not was_there and not any(folder.rglob("*.incomplete")):  # those go on where they stopped
            shutil.rmtree(folder, ignore_errors=True)
        raise WeightsError(
            f"{published.file} is not at {target.absolute()} and could not be downloaded ({_reason(error)}). "
            f"Download it from https://huggingface.co/{REPOSITORY} on a machine with a network and put it at "
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
        f"start, a published checkpoint: {', '.join(PUBLISHED)}; or one that ships with this project: "
        f"{', '.join(SHIPPED)}"
    )
