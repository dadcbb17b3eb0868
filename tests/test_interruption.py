"""Signals: told apart, put off, passed on; and errors of the machine, told in words."""

import errno
import os
import signal
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path

import pytest

from ecgfounder_ft.errors import WorkerDiedError, run_or_explain, worker_deaths_explained
from ecgfounder_ft.interruption import Interrupted, deferred, end_if_asked, interruptible, is_asked_for


def _signal_myself(number: int = signal.SIGTERM) -> None:
    os.kill(os.getpid(), number)


@pytest.mark.parametrize(("number", "status"), [(signal.SIGTERM, 143), (signal.SIGINT, 130)])
def test_a_signal_ends_work_in_words_and_with_its_own_status(
    number: int, status: int, capsys: pytest.CaptureFixture[str]
) -> None:
    before = signal.getsignal(number)
    with pytest.raises(SystemExit) as end:
        run_or_explain(lambda: _signal_myself(number), exit_on_error=False)
    assert end.value.code == status
    assert f"Interrupted by {signal.Signals(number).name}" in capsys.readouterr().err
    assert signal.getsignal(number) is before


def test_a_deferred_signal_waits_until_it_is_acted_on() -> None:
    waited: list[bool] = []

    def work() -> None:
        with interruptible(), deferred():
            waited.append(is_asked_for())
            end_if_asked()
            _signal_myself()
            _signal_myself()  # at once, as from a program that signals a process and its group: the same signal
            waited.append(is_asked_for())
            end_if_asked()
            waited.append(False)

    with pytest.raises(Interrupted):
        work()
    assert waited == [False, True]


def test_a_deferred_signal_that_nothing_acts_on_ends_the_work_behind() -> None:
    after: list[str] = []

    def work() -> None:
        with interruptible():
            with deferred():
                _signal_myself()
                after.append("inside")
            after.append("behind")

    with pytest.raises(Interrupted):
        work()
    assert after == ["inside"]


def test_a_launcher_s_own_handler_is_called_behind_the_checkpoint() -> None:
    calls: list[str] = []
    before = signal.signal(signal.SIGUSR2, lambda *_: calls.append("requeued"))
    try:
        with interruptible():
            _signal_myself(signal.SIGUSR2)
            with deferred():
                _signal_myself(signal.SIGUSR2)
                calls.append("checkpoint" if is_asked_for() else "nothing asked")
                end_if_asked()
    finally:
        signal.signal(signal.SIGUSR2, before)
    assert calls == ["requeued", "checkpoint", "requeued"]


def test_an_error_that_a_library_makes_of_it_is_told_apart() -> None:
    def work() -> None:
        try:
            _signal_myself()
        finally:
            raise ValueError("half-built")

    with pytest.raises(SystemExit) as end:
        run_or_explain(work)
    assert end.value.code == 143
    with pytest.raises(ValueError, match="alone"):
        run_or_explain(lambda: int("alone"))


def test_what_was_ignored_stays_ignored() -> None:
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        with interruptible():
            _signal_myself(signal.SIGINT)
    finally:
        signal.signal(signal.SIGINT, before)


PROGRAM = """
import multiprocessing, os, signal, sys, time
from ecgfounder_ft import interruption
from ecgfounder_ft.errors import run_or_explain

def wait():
    interruption.heed_parent()
    open(sys.argv[1], "w").close()
    time.sleep(60)

def work():
    with interruption.deferred():
        with interruption.children_left_alone():
            child = multiprocessing.get_context("fork").Process(target=wait, daemon=True)
            child.start()
        while not interruption.is_asked_for():
            time.sleep(0.01)
        {then}

run_or_explain(work)
"""


def _group_signalled(folder: Path, number: int, then: str, again: bool = False) -> subprocess.CompletedProcess[str]:
    """A program with a worker, all of whose group gets a signal."""
    mark = folder / "started"
    command = [sys.executable, "-c", PROGRAM.format(then=then), str(mark)]
    process = subprocess.Popen(
        command, start_new_session=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    while not mark.exists() and process.poll() is None:
        time.sleep(0.01)
    for _ in range(1 + again):
        os.killpg(process.pid, number)
        time.sleep(0.7 * again)
    out, said = process.communicate(timeout=60)
    until = time.monotonic() + 30
    with suppress(ProcessLookupError):  # raised when nobody of the group is left
        while time.monotonic() < until:
            os.killpg(process.pid, 0)
            time.sleep(0.01)
    assert time.monotonic() < until
    return subprocess.CompletedProcess(command, process.returncode, out, said)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_group_s_signal_leaves_workers_to_their_parent(number: int, tmp_path: Path) -> None:
    found = _group_signalled(
        tmp_path, number, "time.sleep(0.2); print(child.is_alive()); child.terminate(); child.join()"
    )
    assert found.returncode == 128 + number, found.stderr
    assert found.stdout.strip() == "True"
    assert "Traceback" not in found.stderr


def test_a_second_signal_ends_at_once(tmp_path: Path) -> None:
    found = _group_signalled(tmp_path, signal.SIGTERM, "time.sleep(60)", again=True)
    assert found.returncode == 143
    assert "second signal (SIGTERM): ended at once" in found.stderr


def test_an_error_of_the_machine_is_told_in_words_and_a_fault_keeps_its_traceback(
    capsys: pytest.CaptureFixture[str],
) -> None:
    def fail(number: int) -> None:
        raise OSError(number, os.strerror(number), "/runs/last.ckpt")

    with pytest.raises(SystemExit, match="2"):
        run_or_explain(lambda: fail(errno.ENOSPC))
    assert "No space left on device (/runs/last.ckpt): make room" in capsys.readouterr().err
    with pytest.raises(FileNotFoundError):
        run_or_explain(lambda: fail(errno.ENOENT))


def test_a_dead_worker_is_told_and_other_errors_are_not_taken_for_one() -> None:
    with pytest.raises(WorkerDiedError, match=r"want of memory .*pid 3"), worker_deaths_explained():
        raise RuntimeError("DataLoader worker (pid 3) is killed by signal: Killed. ")
    with pytest.raises(RuntimeError, match="shapes"), worker_deaths_explained():
        raise RuntimeError("shapes do not match")
