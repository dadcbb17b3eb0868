"""What SIGTERM and Ctrl-C do: the first ends the work in order, the second at once.

Outside training a signal raises :class:`Interrupted` where the program stands; every file is written whole or not at
all, so nothing is torn. Training asks for it to be put off (:func:`deferred`) to the end of an optimizer step, where a
checkpoint is written first.

A launcher that has handlers of its own (submitit's, which put a job back into the queue) keeps them: they are called
too, in training after the checkpoint.
"""

import multiprocessing
import multiprocessing.connection
import os
import signal
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Any

_LAUNCHERS = tuple(getattr(signal, name) for name in ("SIGUSR1", "SIGUSR2") if hasattr(signal, name))
"""Signals by which launchers tell a job that its time is over; they mean nothing to this package alone."""
_SAME_SIGNAL_SECONDS = 0.5
"""Signals closer than this are one: timeout(1) and launchers signal a process and then its whole group."""


class Interrupted(BaseException):
    """A signal has ended the work. No Exception, so that nothing takes it for a failure.

    Args:
        number: of the signal.
    """

    def __init__(self, number: int) -> None:
        super().__init__(number)
        self.number = number
        self.goes_on_with = ""
        """The command that goes on, where there is one."""

    def __str__(self) -> str:
        ended = f"Interrupted by {signal.Signals(self.number).name}"
        return f"{ended}. To go on: {self.goes_on_with}" if self.goes_on_with else ended

    @property
    def exit_status(self) -> int:
        """Exit status of the process, as shells have it: 130 after Ctrl-C, 143 after SIGTERM."""
        return 128 + self.number


class _Signals:
    """The process's handlers, of which there is one set."""

    def __init__(self) -> None:
        self.before: dict[int, Any] = {}
        """What handled each signal before; empty while nothing is handled here."""
        self.putting_off = False
        self.received: int | None = None
        self.received_at = 0.0
        self.for_launcher: list[int] = []

    def handle(self, number: int, frame: FrameType | None) -> None:
        launcher = _of_launcher(self.before.get(number))
        if launcher is not None:
            if self.putting_off:
                self.for_launcher.append(number)
            else:
                launcher(number, frame)
            return
        now = time.monotonic()
        if self.received is not None:
            if now - self.received_at > _SAME_SIGNAL_SECONDS:
                _end_at_once(number)
            return
        self.received, self.received_at = number, now
        if not self.putting_off:
            raise Interrupted(number)
        _say(f"{signal.Signals(number).name}: ends after this step, with a checkpoint; a second signal ends at once")

    def end_if_asked(self) -> None:
        if self.received is not None:
            raise Interrupted(self.received)
        while self.for_launcher:
            number = self.for_launcher.pop(0)
            self.before[number](number, None)


_signals = _Signals()


@contextmanager
def interruptible() -> Iterator[None]:
    """Inside, SIGTERM and Ctrl-C raise :class:`Interrupted`; a second one ends the process.

    What is ignored stays ignored, as Ctrl-C is in the background of a shell. In a thread that is not the main one, and
    inside itself, it does nothing.
    """
    if _signals.before or threading.current_thread() is not threading.main_thread():
        with kept_apart():
            yield
        return
    numbers: list[int] = [signal.SIGINT, signal.SIGTERM]
    numbers = [number for number in numbers if signal.getsignal(number) is not signal.SIG_IGN]
    numbers += [number for number in _LAUNCHERS if _of_launcher(signal.getsignal(number)) is not None]
    _signals.before = {number: signal.getsignal(number) for number in numbers}
    try:
        take_signals()
        with kept_apart():
            yield
    finally:
        for number, before in _signals.before.items():
            signal.signal(number, signal.SIG_DFL if before is None else before)
        _signals.__init__()  # type: ignore[misc]


@contextmanager
def kept_apart() -> Iterator[None]:
    """Raise :class:`Interrupted` in place of an error inside, once a signal has come.

    Some libraries turn it into an error of their own (omegaconf, whose clean-up fails in the middle of a build).
    """
    try:
        yield
    except Exception as error:
        if _signals.received is None or _signals.putting_off:
            raise
        raise Interrupted(_signals.received) from error


def take_signals() -> None:
    """Handle the signals here again, after a library has put handlers of its own in their place."""
    for number in _signals.before:
        signal.signal(number, _signals.handle)


@contextmanager
def deferred() -> Iterator[None]:
    """Inside, a signal only leaves word (:func:`is_asked_for`); at the end it does what it would have done.

    Raises:
        Interrupted: at the end, if a signal came that nothing inside has acted on.
    """
    _signals.end_if_asked()
    _signals.putting_off = True
    try:
        yield
    finally:
        _signals.putting_off = False
    _signals.end_if_asked()


def is_asked_for() -> bool:
    """Whether a signal waits to be acted on."""
    return _signals.received is not None or bool(_signals.for_launcher)


def end_if_asked(otherwise: int | None = None) -> None:
    """Act on a signal that waits.

    Args:
        otherwise: the signal to end by where none has come, since it came to another process of the same run.

    Raises:
        Interrupted: if no launcher handles the signal; a launcher's handler is called instead.
    """
    waits = is_asked_for()
    _signals.end_if_asked()
    if otherwise is not None and not waits:
        raise Interrupted(otherwise)


@contextmanager
def children_left_alone() -> Iterator[None]:
    """Processes started inside never see SIGTERM and Ctrl-C, which go to the whole group: their parent ends them.

    So that it can, each has to call :func:`heed_parent` as it starts.
    """
    if not hasattr(signal, "pthread_sigmask"):
        yield
        return
    from multiprocessing import resource_tracker

    resource_tracker.ensure_running()  # would otherwise be started inside, and unblock the signals
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT, signal.SIGTERM})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def heed_parent(_: int = 0) -> None:
    """Let a process started among :func:`children_left_alone` end with its parent, or by a SIGTERM of its parent's.

    A worker whose parent was killed would wait forever, for work or for somebody to take its results. Takes and ignores
    a number, as torch gives its workers one.
    """
    parent = multiprocessing.parent_process()
    if parent is not None:
        threading.Thread(target=_end_with, args=(parent.sentinel,), daemon=True).start()
    if hasattr(signal, "sigwaitinfo"):
        threading.Thread(target=_end_when_told, args=(os.getppid(),), daemon=True).start()
    elif hasattr(signal, "pthread_sigmask"):
        signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGTERM})


def _end_with(sentinel: int) -> None:
    multiprocessing.connection.wait([sentinel])
    os._exit(1)


def _end_when_told(parent: int) -> None:
    while signal.sigwaitinfo({signal.SIGTERM}).si_pid != parent:
        pass
    os._exit(128 + signal.SIGTERM)


def _of_launcher(handler: Any) -> Callable[[int, FrameType | None], Any] | None:
    known = (signal.default_int_handler, _signals.handle)
    return handler if callable(handler) and not isinstance(handler, signal.Handlers) and handler not in known else None


def _end_at_once(number: int) -> None:
    for process in multiprocessing.active_children():
        process.kill()
    _say(f"second signal ({signal.Signals(number).name}): ended at once")
    os._exit(128 + number)


def _say(text: str) -> None:
    os.write(2, f"\n{text}\n".encode())  # print could stand in the middle of a print
