"""The files of a run held against each other: their sha256 as the evaluation left them."""

import logging
from collections.abc import Collection

from ecgfounder_ft.files import sha256_of, write_json
from ecgfounder_ft.runs.evaluation_folder import EvaluationFolder
from ecgfounder_ft.runs.folder import RunFolder
from ecgfounder_ft.untrusted.run_files import RunFolderError, read_json

log = logging.getLogger(__name__)

_FILES = (
    RunFolder.CONFIGURATION,
    RunFolder.OVERRIDES,
    RunFolder.PLAN,
    RunFolder.DATA,
    RunFolder.SPLITS,
    RunFolder.SKIPPED,
    RunFolder.HISTORY,
    RunFolder.SOLVED_HEAD,
    RunFolder.WISE_FT,
    RunFolder.PREDICTIONS,
    RunFolder.START,
    RunFolder.START_PREDICTIONS,
    RunFolder.RANDOM_ENCODER,
    RunFolder.RANDOM_ENCODER_PREDICTIONS,
    RunFolder.CALIBRATION,
    RunFolder.THRESHOLDS,
    RunFolder.METRICS,
    RunFolder.MODEL,
)
"""The files that evaluating, comparing and exporting a run reads."""


def write_digests(folder: EvaluationFolder) -> None:
    """Write the sha256 of every file that is read again later."""
    write_json(folder.path / folder.DIGESTS, _digests(folder, _FILES))


def require_unedited(folder: EvaluationFolder, *, accept: bool = False, but: Collection[str] = ()) -> None:
    """Refuse a run whose files are not those that its evaluation left.

    A run of an earlier version has no digests: it is read, and the log says so.

    Args:
        folder: of the run.
        accept: take edited files as they are, and name them in the log.
        but: names of files that are not read, and so not looked at.

    Raises:
        RunFolderError: that names the files that differ.
    """
    written = read_json(folder.path, folder.path / folder.DIGESTS, dict[str, str], dict.fromkeys(_FILES, str))
    if written is None:
        log.info("%s has no %s, so its files cannot be held against each other", folder, folder.DIGESTS)
        return
    names = [name for name in _FILES if name not in but]
    found = _digests(folder, names)
    changed = [
        f"{name} ({'was removed' if name not in found else 'was added' if name not in written else 'differs'})"
        for name in names
        if written.get(name) != found.get(name)
    ]
    if not changed:
        return
    if not accept:
        raise RunFolderError(
            f"{folder}: not as the run left it by {folder.DIGESTS}: {', '.join(changed)}. Restore what belongs to this "
            "run; or, if it was edited on purpose, add --accept-edited"
        )
    log.warning("%s: taken although edited: %s", folder, ", ".join(changed))


def _digests(folder: EvaluationFolder, names: Collection[str]) -> dict[str, str]:
    return {name: sha256_of(folder.path / name) for name in names if (folder.path / name).is_file()}
