"""Exported models on the Hugging Face Hub: put there, and loaded from there.

Signing in is the Hub's own business (``hf auth login``, ``HF_TOKEN``): no token passes through this package. Its cache
is used and ``HF_HUB_OFFLINE`` respected.
"""

from __future__ import annotations

import logging
import re
import socket
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit
from urllib.request import getproxies

from ecgfounder_ft import __version__
from ecgfounder_ft.errors import ExplainedError, first_line
from ecgfounder_ft.inference.exported_model import (
    CONFIG,
    EARLIER_FILES,
    FILES,
    README,
    ExportedModel,
    read_exported_model,
)

_REPOSITORY = re.compile(r"[A-Za-z0-9][\w.-]*/[A-Za-z0-9][\w.-]*")
_LIBRARY = "ecgfounder-ft"
_CONNECT_SECONDS = 5.0
"""Seconds to wait for the Hub; its client would try for half a minute."""

log = logging.getLogger(__name__)


class HubError(ExplainedError):
    """What the Hub does not serve or take; the message says why and what to do."""


@dataclass(frozen=True)
class Push:
    """What was, or would be, put on the Hub."""

    repository: str
    revision: str
    private: bool
    files: dict[str, int]
    """Name to bytes."""
    left_out: tuple[str, ...]
    """Files of the folder that belong to no exported model."""
    url: str | None
    """Address of the commit; None after a dry run."""


def is_repository(name: str) -> bool:
    """Whether a text has the form ``group/name``."""
    return _REPOSITORY.fullmatch(name) is not None


def download_config(repository: str, revision: str | None = None) -> Path:
    """Fetch ``config.json`` into the cache; return the folder of that commit, for :func:`download`.

    Raises:
        HubError: if it is neither served nor in the cache.
    """
    log.info("Asking the Hub for %s (HF_HUB_OFFLINE=1 takes what is in the cache)", repository)
    return _fetch(repository, CONFIG, revision).parent


def download(repository: str, exported: ExportedModel, names: Sequence[str]) -> None:
    """Fetch files of the commit that :func:`download_config` returned the folder of.

    Raises:
        HubError: if one is neither served nor in the cache.
    """
    commit = exported.folder.name  # so the cache names its folders
    for name in names:
        _fetch(repository, name, commit)


def push(
    folder: Path, repository: str, *, private: bool = True, revision: str | None = None, dry_run: bool = False
) -> Push:
    """Put an exported model on the Hub, in one commit.

    Args:
        folder: of the exported model; every file is checked first.
        repository: ``group/name``; made if absent.
        private: whether it shall be seen by its group alone. An existing public one is then refused.
        revision: branch, made if absent; None: the main one.
        dry_run: check, and say what would be done, without any connection.

    Raises:
        ExportedModelError: if the folder is no whole exported model.
        HubError: if the repository's name is malformed, or the Hub refuses.
    """
    if not is_repository(repository):
        raise HubError(f"{repository!r} is no name of a repository on the Hub, expected group/name")
    exported = read_exported_model(folder)
    for name in exported.content["files"]:
        exported.read(name)
    if not (folder / README).is_file():
        raise HubError(f"{folder / README}: no such file. A model is not passed on without its card; export it again")
    names = [name for name in FILES + EARLIER_FILES if name in (CONFIG, README) or name in exported.content["files"]]
    files = {name: (folder / name).stat().st_size for name in names}
    left_out = tuple(sorted(entry.name for entry in folder.iterdir() if entry.name not in files))
    planned = Push(repository, revision or "main", private, files, left_out, None)
    if dry_run:
        return planned
    return Push(**{**vars(planned), "url": _commit(planned, folder, revision)})


def _commit(planned: Push, folder: Path, revision: str | None) -> str:
    from huggingface_hub import CommitOperationAdd, CommitOperationDelete, HfApi

    log.info(
        "Sending %d files of %.0f MB to %s", len(planned.files), sum(planned.files.values()) / 1e6, planned.repository
    )
    api = HfApi(library_name=_LIBRARY, library_version=__version__)
    with _explained(planned.repository):
        api.create_repo(planned.repository, private=planned.private, exist_ok=True)
        if planned.private and not api.repo_info(planned.repository).private:
            raise HubError(
                f"{planned.repository} is there already and public: nothing was sent. Push with --public if that is "
                "meant, else make it private on the Hub or take another name"
            )
        if revision is not None:
            api.create_branch(planned.repository, branch=revision, exist_ok=True)
        there = api.list_repo_files(planned.repository, revision=revision)
        stale = [name for name in there if name in FILES + EARLIER_FILES and name not in planned.files]
        info = api.create_commit(
            planned.repository,
            [
                *(CommitOperationAdd(name, str(folder / name)) for name in planned.files),
                *(CommitOperationDelete(name) for name in stale),
            ],
            commit_message=f"Model exported by ecgfounder-ft {__version__}",
            revision=revision,
        )
    return str(info.commit_url)


def _fetch(repository: str, name: str, revision: str | None) -> Path:
    from huggingface_hub import hf_hub_download

    with _explained(repository if revision is None else f"{repository} at {revision}"):
        return Path(
            hf_hub_download(
                repository,
                name,
                revision=revision,
                library_name=_LIBRARY,
                library_version=__version__,
                local_files_only=not _is_reachable(),
            )
        )


def _is_reachable() -> bool:
    """Whether the Hub takes a connection; behind a proxy this is left to the client."""
    from huggingface_hub import constants

    address = urlsplit(constants.ENDPOINT)
    if constants.HF_HUB_OFFLINE or getproxies().get(address.scheme):
        return True
    try:
        port = address.port or (443 if address.scheme == "https" else 80)
        with socket.create_connection((address.hostname, port), timeout=_CONNECT_SECONDS):
            return True
    except OSError:
        return False


@contextmanager
def _explained(what: str) -> Iterator[None]:
    """Errors of the Hub's client in words. Their own text holds addresses and request numbers, and no token."""
    from huggingface_hub import errors

    client = logging.getLogger("huggingface_hub")
    level = client.level
    client.setLevel(logging.ERROR)  # its warnings, one for each attempt, are what the error says once
    try:
        yield
    except errors.LocalEntryNotFoundError as error:
        raise HubError(
            f"{what}: the Hub cannot be reached and the file is not in the cache. Connect and try again, or copy the "
            f"folder of the exported model here and name that ({first_line(error)})"
        ) from error
    except errors.RepositoryNotFoundError as error:
        raise HubError(
            f"{what}: no such repository on the Hub, or a private one that you are not signed in for (hf auth login). "
            "Is it meant to be a folder? There is none of that name here"
        ) from error
    except errors.RevisionNotFoundError as error:
        raise HubError(f"{what}: no such branch, tag or commit") from error
    except errors.EntryNotFoundError as error:
        raise HubError(f"{what}: holds no exported model of this package ({first_line(error)})") from error
    except (errors.HfHubHTTPError, errors.HFValidationError, OSError, ValueError) as error:
        raise HubError(f"{what}: {first_line(error)}") from error
    finally:
        client.setLevel(level)
