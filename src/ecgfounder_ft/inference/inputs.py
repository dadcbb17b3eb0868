"""From files to the network's input, ahead of the network: read, judged, cut into windows, preprocessed.

Runs in other processes too, and imports no torch.
"""

import logging
from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass, replace
from itertools import islice
from multiprocessing import get_context
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ecgfounder_ft.ecg.description import NOTHING_STATED, SignalDescription
from ecgfounder_ft.ecg.formats import read_recording, with_leads
from ecgfounder_ft.ecg.preprocessing import Preprocessing
from ecgfounder_ft.ecg.recording import Recording, UnreadableRecordingError
from ecgfounder_ft.errors import ExplainedError
from ecgfounder_ft.interruption import children_left_alone, heed_parent

WINDOWS = ("one", "mean", "max", "each")
"""What is done with a recording that is longer than the model's input; see :class:`Reading`."""

WINDOWS_LEFT_OUT = "windows left out"
"""Flag of a recording of which some windows could not be used."""

UNEXPECTED = "unexpected fault of this program"
"""Reason of a recording that raised what no reader foresees; the log has the traceback."""

_RECORDINGS_PER_TASK = 8
_TASKS_AHEAD = 3
"""Tasks that wait for each process."""

log = logging.getLogger(__name__)


class PredictionError(ExplainedError):
    """A prediction that cannot begin or go on as it was asked for."""


@dataclass(frozen=True)
class Reading:
    """How recordings are read and cut. It crosses process borders."""

    preprocessing: Preprocessing
    stated: SignalDescription = NOTHING_STATED
    """Rate, unit and leads for files that do not say them."""
    windows: str = "one"
    """``one``: the window that the model was trained on, from the middle or the start. Otherwise all consecutive
    windows of a longer recording; the last one ends where the recording ends. ``each`` gives every window a row;
    ``mean`` and ``max`` combine their probabilities for each condition."""

    def __post_init__(self) -> None:
        if self.windows not in WINDOWS:
            raise PredictionError(f"windows is {self.windows!r}, expected one of: {', '.join(WINDOWS)}")


@dataclass(frozen=True)
class Input:
    """One recording, ready for the network, or the reason why it is not."""

    path: Path
    signals: NDArray[np.float32]
    """(windows, leads, samples); no window where the recording cannot be used."""
    starts: tuple[float, ...] = ()
    """Seconds from the recording's start to that of each window; 0 for a recording that does not fill one."""
    reader: str = ""
    """The format that it was read as."""
    seconds: float | None = None
    sampling_rate: float | None = None
    """Hz, as stored."""
    flags: tuple[str, ...] = ()
    """What is wrong with the signal (:mod:`ecgfounder_ft.ecg.quality`)."""
    repairs: tuple[str, ...] = ()
    """What was mended or computed on the way."""
    reason: str = ""
    """Why it cannot be used; empty where it can."""
    detail: str = ""


def prepare(given: Path | Recording, reading: Reading) -> Input:
    """Read, where it is not read yet, and preprocess one recording. Nothing that is wrong with it raises."""
    preprocessing = reading.preprocessing
    path = (given.path or Path(given.name)) if isinstance(given, Recording) else given
    result = Input(path, np.empty((0, len(preprocessing.leads), preprocessing.samples), np.float32))
    try:
        if isinstance(given, Recording):
            recording = with_leads(given, preprocessing.leads)
        else:
            recording = read_recording(given, preprocessing.leads, reading.stated)
        result = replace(
            result,
            reader=recording.format,
            seconds=recording.duration,
            sampling_rate=recording.sampling_rate,
            repairs=recording.repairs,
        )
        return _with_windows(result, recording, reading)
    except UnreadableRecordingError as error:
        return replace(result, reason=error.reason, detail=error.detail)
    except OSError as error:
        return replace(result, reason="file cannot be read", detail=str(error))
    except Exception as error:  # one recording of a million shall not end the others; it is logged and counted
        log.exception("%s", path)
        return replace(result, reason=UNEXPECTED, detail=f"{type(error).__name__}: {error}")


def _with_windows(result: Input, recording: Recording, reading: Reading) -> Input:
    preprocessing = reading.preprocessing
    preprocessing.require_plausible_rate(recording)
    if reading.windows == "one" or recording.duration <= preprocessing.window.seconds:
        prepared = preprocessing(recording)
        return replace(
            result,
            signals=prepared.signal[None],
            starts=(prepared.start,),
            flags=prepared.flags,
            repairs=prepared.repairs,
        )
    signals, starts, repairs = [], [], dict.fromkeys(recording.repairs)
    flags: dict[str, None] = {}
    fault: UnreadableRecordingError | None = None
    for start, window in cut_windows(recording, preprocessing.window.seconds):
        try:
            prepared = preprocessing(window)
        except UnreadableRecordingError as error:
            fault = error
            continue
        signals.append(prepared.signal)
        starts.append(start)
        repairs |= dict.fromkeys(prepared.repairs)
        flags |= dict.fromkeys(prepared.flags)
    if fault is not None:
        if not signals:
            raise fault
        flags[WINDOWS_LEFT_OUT] = None
    return replace(result, signals=np.stack(signals), starts=tuple(starts), flags=tuple(flags), repairs=tuple(repairs))


def cut_windows(recording: Recording, seconds: float) -> Iterator[tuple[float, Recording]]:
    """Consecutive windows of a recording that is longer than one, and where each begins (s).

    The last one ends where the recording ends and so overlaps the one before, unless they fit. Each is preprocessed
    as a recording of its own, as the model was trained.
    """
    size = round(seconds * recording.sampling_rate)
    total = recording.signal.shape[1]
    starts = list(range(0, total - size + 1, size)) or [0]
    if starts[-1] + size < total:
        starts.append(total - size)
    for start in starts:
        window = replace(recording, signal=recording.signal[:, start : start + size])
        yield round(start / recording.sampling_rate, 3), window


def prepare_all(recordings: Iterable[Path | Recording], reading: Reading, workers: int) -> Iterator[Input]:
    """Prepare recordings in their order, a few of them ahead of the one that is asked for.

    Args:
        recordings: any number of them, or of their paths; they are asked for as they are needed.
        reading: how.
        workers: processes; 0: this one does it when it is asked. They are started afresh (spawn), so a script that
            calls this needs the usual ``if __name__ == "__main__":``.

    Raises:
        PredictionError: if a process dies.
    """
    if not workers:
        for recording in recordings:
            yield prepare(recording, reading)
        return
    remaining = iter(recordings)
    executor = ProcessPoolExecutor(workers, mp_context=get_context("spawn"), initializer=heed_parent)
    ahead: deque[Future[list[Input]]] = deque()
    try:
        while True:
            while len(ahead) < workers * _TASKS_AHEAD:
                task = list(islice(remaining, _RECORDINGS_PER_TASK))
                if not task:
                    break
                with children_left_alone():  # it starts its processes as work comes
                    ahead.append(executor.submit(_prepare_some, task, reading))
            if not ahead:
                return
            yield from ahead.popleft().result()
    except BrokenProcessPool as error:
        raise PredictionError(
            "a process that was reading recordings died, most likely for want of memory; start the same command again "
            "with fewer --workers: it goes on where it was"
        ) from error
    finally:
        executor.shutdown(wait=True, cancel_futures=True)


def _prepare_some(recordings: Sequence[Path | Recording], reading: Reading) -> list[Input]:
    return [prepare(recording, reading) for recording in recordings]
