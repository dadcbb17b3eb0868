"""Reading files through C libraries in a process apart, which has limits of time and memory.

HDF5, XML and DICOM are parsed by libraries that can spin or take gigabytes on a damaged file, where neither SIGTERM nor
Ctrl-C is heard. A format whose module says ``APART = True`` is read by a child process. It stays for the files that
follow, and is replaced when a file exceeds a limit; that file is then one skipped recording.
"""

import atexit
import contextlib
import importlib
import io
import json
import os
import select
import subprocess
import sys
import threading
import time
from dataclasses import fields
from pathlib import Path
from typing import IO, Any

import numpy as np

from ecgfounder_ft.ecg.description import StoredNumbers
from ecgfounder_ft.ecg.recording import MissingReaderError, UnreadableRecordingError
from ecgfounder_ft.ecg.recording_size import MOST_SAMPLES

MOST_SECONDS = 10.0
"""Time that reading one file may take; an hour of twelve leads takes about a second."""
MOST_MEMORY = 6 << 30
"""Address space of the child in bytes, several times what the longest recording needs."""
_END_WITH_PARENT = 1
"""PR_SET_PDEATHSIG: the signal that a process gets when its parent ends."""
_MOST_ANSWER = 8 * MOST_SAMPLES + (1 << 20)


class _Child:
    """The process that reads; one for each process that asks."""

    def __init__(self) -> None:
        self.lock = threading.Lock()
        self.process: subprocess.Popen[bytes] | None = None
        self.owner = 0

    def ask(self, module: str, path: Path) -> StoredNumbers:
        with self.lock:
            process = self._running()
            assert process.stdin is not None
            deadline = time.monotonic() + MOST_SECONDS
            try:
                process.stdin.write(json.dumps([module, os.fsencode(path).hex()]).encode() + b"\n")
                process.stdin.flush()
                head = json.loads(self._line(process, deadline))
                body = self._bytes(process, int(head.pop("bytes")), deadline)
            except TimeoutError as error:
                self.end()
                raise UnreadableRecordingError(
                    "reading took too long", f"more than {MOST_SECONDS:g} s; the file is damaged", path
                ) from error
            except (OSError, ValueError) as error:
                told = f"the process that read it ended ({self.end()}): {error}"
                raise UnreadableRecordingError("reading failed", told, path) from error
            except BaseException:  # a signal in the middle of an answer
                self.end()
                raise
        return _answer(head, body, path)

    def _running(self) -> subprocess.Popen[bytes]:
        if self.process is None or self.owner != os.getpid() or self.process.poll() is not None:
            command = [sys.executable, "-c", "from ecgfounder_ft.ecg.formats_apart import serve; serve()"]
            paths = os.pathsep.join(path for path in sys.path if path)
            self.process = subprocess.Popen(
                command,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL,
                env={**os.environ, "PYTHONPATH": paths},
            )
            self.owner = os.getpid()
            assert self.process.stdout is not None
            self._line(self.process, time.monotonic() + MOST_SECONDS)  # ready: its imports do not count for a file
        return self.process

    def _line(self, process: subprocess.Popen[bytes], deadline: float) -> bytes:
        line = b""
        while not line.endswith(b"\n"):
            line += self._bytes(process, 1, deadline)
        return line

    def _bytes(self, process: subprocess.Popen[bytes], size: int, deadline: float) -> bytes:
        if not 0 <= size <= _MOST_ANSWER:
            raise ValueError(f"an answer of {size} bytes")
        assert process.stdout is not None
        found = bytearray()
        number = process.stdout.fileno()
        while len(found) < size:
            ready, _, _ = select.select([number], [], [], max(0.0, deadline - time.monotonic()))
            if not ready:
                raise TimeoutError
            part = os.read(number, min(size - len(found), 1 << 20))
            if not part:
                raise OSError("no answer")
            found += part
        return bytes(found)

    def end(self) -> str:
        """End the child and return how it ended."""
        process, self.process = self.process, None
        if process is None or self.owner != os.getpid():
            return "never started"
        with contextlib.suppress(OSError):
            process.kill()
        return f"status {process.wait()}"


_child = _Child()
atexit.register(_child.end)


def read_apart(module: str, path: Path) -> StoredNumbers:
    """Read a file by the ``read_numbers`` of a module, in the process apart.

    Raises:
        UnreadableRecordingError: with the module's reason, or because a limit was exceeded.
    """
    return _child.ask(module, path)


def _answer(head: dict[str, Any], body: bytes, path: Path) -> StoredNumbers:
    kind = {"unreadable": UnreadableRecordingError, "missing": MissingReaderError}.get(head.pop("kind"))
    if kind is not None:
        raise kind(head["reason"], head["detail"], path)
    values = np.load(io.BytesIO(body), allow_pickle=False)
    texts = {name: None if head[name] is None else tuple(head[name]) for name in ("units", "leads")}
    return StoredNumbers(**{**head, **texts, "values": values, "repairs": tuple(head["repairs"])})


def serve() -> None:
    """Read one file for each line of standard input, until it ends. This is what the child does."""
    import ctypes
    import resource
    import signal

    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the parent decides what an interruption means
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_END_WITH_PARENT, signal.SIGKILL)
    resource.setrlimit(resource.RLIMIT_AS, (MOST_MEMORY, MOST_MEMORY))
    answers = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)  # what a library prints is no answer
    _send(answers, {"kind": "ready"})
    for line in sys.stdin:
        module, name = json.loads(line)
        try:
            numbers = importlib.import_module(module).read_numbers(Path(os.fsdecode(bytes.fromhex(name))))
            body = io.BytesIO()
            np.save(body, np.ascontiguousarray(numbers.values), allow_pickle=False)
            head = {entry.name: getattr(numbers, entry.name) for entry in fields(numbers) if entry.name != "values"}
            _send(answers, {"kind": "read", **head, "metadata": dict(numbers.metadata)}, body.getvalue())
        except Exception as error:
            reason, detail = _told(error)
            kind = "missing" if isinstance(error, MissingReaderError) else "unreadable"
            _send(answers, {"kind": kind, "reason": reason, "detail": detail})


def _told(error: Exception) -> tuple[str, str]:
    """Reason and detail of an error."""
    if isinstance(error, UnreadableRecordingError):
        return error.reason, error.detail
    if isinstance(error, MemoryError):
        return "reading took too much memory", f"over {MOST_MEMORY:,} bytes"
    if isinstance(error, OSError):
        return "file cannot be read", str(error.strerror or error)
    return "reading failed", f"{type(error).__name__}: {error}"


def _send(stream: IO[bytes], head: dict[str, Any], body: bytes = b"") -> None:
    stream.write(json.dumps({**head, "bytes": len(body)}).encode() + b"\n" + body)
    stream.flush()
