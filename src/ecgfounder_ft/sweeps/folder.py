"""The folder of a sweep: which trials it has, which folder each of them has, and who runs one now.

A trial is known by the digest of its configuration. The same configuration finds the folder that it had before, another
one gets a new folder, and no folder ever holds two.
"""

import json
import logging
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

from ecgfounder_ft.designs.design import Value
from ecgfounder_ft.errors import ExplainedError
from ecgfounder_ft.files import HeldError, WriteError, file_lock, write_json
from ecgfounder_ft.runs.folder import RunFolder

log = logging.getLogger(__name__)

_PEEK_SECONDS = 2.0
"""Another process may hold a trial's lock for an instant, to see whether it runs."""


class SweepFolderError(ExplainedError):
    """A sweep's folder that cannot be read; the message says what and what to do."""


class TrialHeldError(ExplainedError):
    """A trial that another process runs at this moment."""


@dataclass(frozen=True)
class Trial:
    """One training of a sweep."""

    digest: str
    """Of its configuration."""
    overrides: tuple[str, ...]
    """What it is composed from, as typed on a command line."""
    configuration: tuple[str, ...]
    """Those of them that set it apart from other configurations; what the design adds is not among them."""
    design: str
    """The choice of ``sweep=`` that laid it out."""
    place: Mapping[str, Value] = field(default_factory=dict)
    """Where it stands in the design, as :class:`~ecgfounder_ft.designs.design.Point` says."""
    name: str = ""
    """Of its folder; none before it has one."""


class SweepFolder:
    """The folder of a sweep.

    Args:
        path: of the folder.
    """

    RECORD = "sweep.json"
    TABLE = "sweep.csv"
    PAGE = "sweep.html"
    JOURNAL = "search.journal"
    LOCKS = ".locks"

    def __init__(self, path: Path) -> None:
        self.path = path
        self._is_locked = False

    def __str__(self) -> str:
        return str(self.path)

    @property
    def is_sweep(self) -> bool:
        """Whether a sweep has been started in it."""
        return (self.path / self.RECORD).is_file()

    @property
    def table_file(self) -> Path:
        """The table of all trials."""
        return self.path / self.TABLE

    @property
    def page_file(self) -> Path:
        """Everything that the trials say, in one page."""
        return self.path / self.PAGE

    @property
    def journal_file(self) -> Path:
        """What a search has asked and been told."""
        return self.path / self.JOURNAL

    def run(self, trial: Trial) -> RunFolder:
        """The folder of a trial."""
        return RunFolder(self.path / trial.name)

    # -------------------------------------------------------------------------------------- record

    def commands(self) -> list[list[str]]:
        """The commands that have put trials into this folder."""
        return [list(command) for command in self._read().get("commands", [])]

    def typed(self) -> list[list[str]]:
        """Those commands as they were typed last, with what may change from one start to the next."""
        content = self._read()
        commands = [list(command) for command in content.get("commands", [])]
        last = content.get("typed", [])
        return [list(last[place]) if place < len(last) else command for place, command in enumerate(commands)]

    def trials(self) -> list[Trial]:
        """Every trial, in the order in which they were laid out."""
        return [
            Trial(
                entry["digest"],
                tuple(entry["overrides"]),
                tuple(entry["configuration"]),
                entry["design"],
                entry["place"],
                name,
            )
            for name, entry in self._read().get("trials", {}).items()
        ]

    def trial(self, name: str) -> Trial | None:
        """The trial with a folder of this name; None where it is none of this sweep's."""
        return next((trial for trial in self.trials() if trial.name == name), None)

    def open(self, command: Sequence[str], typed: Sequence[str] = ()) -> None:
        """Make the folder, and note who puts trials into it.

        Args:
            command: what makes two starts of a sweep the same.
            typed: all that was typed; none: the command.
        """
        with self.locked():
            content = self._read()
            commands = content.setdefault("commands", [])
            if list(command) not in commands:
                commands.append(list(command))
            known = [list(one) for one in (*content.get("typed", []), *commands[len(content.get("typed", [])) :])]
            known[commands.index(list(command))] = list(typed or command)
            content["typed"] = known
            write_json(self.path / self.RECORD, {"trials": {}} | content)

    def add(self, trials: Sequence[Trial]) -> list[Trial]:
        """The trials with their folders' names: those that they had before, or the next numbers."""
        with self.locked():
            content = self._read()
            known = content.setdefault("trials", {})
            names = {entry["digest"]: name for name, entry in known.items()}
            number, named = 0, []
            for trial in trials:
                if trial.digest not in names:
                    while str(number) in known or (self.path / str(number)).exists():
                        number += 1
                    names[trial.digest] = str(number)
                    entry = asdict(trial)
                    del entry["name"]
                    known[str(number)] = entry
                named.append(replace(trial, name=names[trial.digest]))
            write_json(self.path / self.RECORD, content)
        return named

    def _read(self) -> dict[str, Any]:
        file = self.path / self.RECORD
        if not file.is_file():
            return {}
        try:
            content = json.loads(file.read_text(encoding="utf-8"))
            typed = {"typed": list(content["typed"])} if "typed" in content else {}
            return {"commands": content["commands"], "trials": dict(content["trials"]), **typed}
        except (ValueError, KeyError, TypeError) as error:
            raise SweepFolderError(
                f"{file} cannot be read ({error}): restore it, or start with another folder"
            ) from error

    # --------------------------------------------------------------------------------------- locks

    @contextmanager
    def locked(self) -> Iterator[None]:
        """Alone with the record and the search; may be entered again inside itself."""
        if self._is_locked:
            yield
            return
        with file_lock(self._lock_of("sweep")):
            self._is_locked = True
            try:
                yield
            finally:
                self._is_locked = False

    @contextmanager
    def holding(self, trial: Trial) -> Iterator[None]:
        """Alone with a trial. The system lets go of it when the process ends, however it ends.

        Raises:
            TrialHeldError: if another process runs it.
        """
        with ExitStack() as stack:
            try:
                stack.enter_context(file_lock(self._lock_of(trial.name), wait=_PEEK_SECONDS))
            except HeldError as error:
                raise TrialHeldError(f"trial {trial.name} of {self}: another process is running it") from error
            yield

    def is_held(self, trial: Trial) -> bool:
        """Whether a process runs the trial at this moment."""
        try:
            with file_lock(self._lock_of(trial.name), wait=0):
                return False
        except HeldError:
            return True
        except WriteError:  # no right to write, and so no telling
            return False

    def _lock_of(self, name: str) -> Path:
        folder = self.path / self.LOCKS
        folder.mkdir(parents=True, exist_ok=True)
        return folder / f"{name}.lock"


def choose_folder(template: Path, command: Sequence[str], *, resume: bool, typed: Sequence[str] = ()) -> SweepFolder:
    """The folder of the newest sweep of the same command, or a new one; opened.

    Args:
        template: ``<base>/<date>/<time>``, where a new sweep would lie.
        command: as of :func:`~ecgfounder_ft.sweeps.layout.command_of`.
        resume: False: a new one.
        typed: all that was typed, for :meth:`SweepFolder.open`.
    """
    base = template.parent.parent
    base.mkdir(parents=True, exist_ok=True)
    with file_lock(base / ".sweeps.lock"):  # so that two processes that start together meet in one folder
        folder = _newest(base, command) if resume else None
        if folder is None:
            numbered = (template.with_name(f"{template.name}-{number}") for number in range(2, 10_000))
            path = template if not template.exists() else next(path for path in numbered if not path.exists())
            folder = SweepFolder(path)
        folder.open(command, typed)
    return folder


def _newest(base: Path, command: Sequence[str]) -> SweepFolder | None:
    for record in sorted(base.glob(f"*/*/{SweepFolder.RECORD}"), reverse=True):
        folder = SweepFolder(record.parent)
        try:
            if list(command) in folder.commands():
                return folder
        except SweepFolderError as error:
            log.warning("%s", error)
    return None
