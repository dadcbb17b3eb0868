"""Damaged recordings, read by us and by wfdb.

    python -m campaigns.fuzz_readers --seed 0 --count 3000 [--recordings DIR] [--keep DIR]

Each mutant of a small recording (``campaigns/recording_mutants.py``), or of one below ``--recordings``, is read,
looked at as a catalog does, and preprocessed. It may be read or refused; nothing else. Counted are

- uncaught: any other error than the one by which a recording is skipped,
- over 2 s: of processor time for all of it, or no answer at all,
- over 256 MB: growth of the memory of the process that reads,
- different: read by wfdb and by us as other numbers, or refused by us as no header at all. Only headers that follow the
  format's grammar count, which stands below and not in the package: of another one, nobody's reading is right,
- unnoticed: samples of up to 16 bits changed beneath a header that gives their checksums, and read as something else
  than before. Of 24 and 32 bits a checksum of 16 does not see the highest.

The status is 1 if there is any, and the mutants at fault are kept.
"""

import argparse
import multiprocessing
import random
import re
import resource
import shutil
import sys
import tempfile
import time
import warnings
from collections import Counter
from dataclasses import dataclass, field
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks import machine
from campaigns.recording_mutants import LEADS, MOST_BYTES, Mutant, mutant, write_originals
from ecgfounder_ft.data.recording_facts import read_facts
from ecgfounder_ft.ecg.formats import other_files, read_recording
from ecgfounder_ft.ecg.formats.wfdb import read_header
from ecgfounder_ft.ecg.preprocessing import Preprocessing
from ecgfounder_ft.ecg.preprocessing_settings import Window
from ecgfounder_ft.ecg.recording import UnreadableRecordingError

MOST_LETTERS = 4000
"""Of a line that we read, which the format does not bound; expressions of wfdb's take quadratic time in longer ones."""
MOST_SECONDS = 2.0
MOST_KILOBYTES = 256 * 1024
NO_ANSWER_SECONDS = 60

_FLOAT = r"\d{1,30}(\.\d{0,30})?"
_RECORD_LINE = re.compile(
    rf"[-\w]+ +\d{{1,9}}( +{_FLOAT}(/{_FLOAT}(\({_FLOAT}\))?)?"
    r"( +\d{1,12}( +\d\d?:\d\d:\d\d( +\d\d?/\d\d?/\d{4})?)?)?)?",
    re.ASCII,
)
_SIGNAL_LINE = re.compile(
    r"[-\w]+(\.\w+)? +\d{1,3}(x\d{1,4})?(:\d{1,9})?(\+\d{1,9})?"
    rf"( +-?{_FLOAT}(e[-+]?\d{{1,2}})?(\(-?\d{{1,9}}\))?(/[\w^%-]+)?"
    r"( +\d{1,4}( +-?\d{1,9}(( +-?\d{1,9}( +-?\d{1,9}( +\d{1,9}( +[^\d\s][^\t]*)?)?)?)| +[A-Za-z]\S*)?)?)?)?",
    re.ASCII,
)


@dataclass
class Answer:
    """What came of one mutant, in the process that read it."""

    reason: str = ""
    """Why it was refused; empty where it was read."""
    fault: str = ""
    """Empty, or one of those that are counted."""
    detail: str = ""


@dataclass
class Tally:
    outcomes: Counter[str] = field(default_factory=Counter)
    faults: Counter[str] = field(default_factory=Counter)
    slowest: float = 0.0


def examine(header: Path, only_samples: bool, before: np.ndarray | None, leads: tuple[str, ...]) -> Answer:
    """Read a mutant every way there is, and compare.

    Args:
        header: of the mutant.
        only_samples: whether its header is that of the original, which gives checksums.
        before: the original's millivolts.
        leads: that preprocessing asks for.
    """
    answer = Answer()
    found = None
    try:
        found = read_recording(header)
    except UnreadableRecordingError as error:
        answer.reason = error.reason
    for use in (read_facts, other_files, lambda path: _preprocess(path, leads)):
        try:
            use(header)
        except UnreadableRecordingError as error:
            if found is not None and use is not read_facts:
                answer.reason = answer.reason or f"(read, then) {error.reason}"
    if only_samples and found is not None and before is not None and not _same(found.signal, before):
        return Answer(answer.reason, "unnoticed")
    return _beside_wfdb(header, found, answer)


def _preprocess(header: Path, leads: tuple[str, ...]) -> None:
    preprocessing = Preprocessing(leads=list(leads), window=Window(seconds=2.0, min_seconds=0.5))
    signal = preprocessing(read_recording(header, leads=leads)).signal
    if not np.isfinite(signal).all():
        raise ValueError("preprocessing gave numbers that are not finite")


def _beside_wfdb(header: Path, found: Any, answer: Answer) -> Answer:
    import wfdb

    if not _is_grammatical(header) or any(_is_mat_v5(file) for file in header.parent.iterdir()):
        return answer
    try:
        theirs = wfdb.rdrecord(str(header.with_suffix("")))
        signal = theirs.p_signal.T
    except Exception:  # what wfdb cannot read says nothing about us
        return answer
    if found is None:
        if answer.reason in ("not a WFDB header", "wfdb cannot read it", "no signals"):
            return Answer(answer.reason, "different", "wfdb reads it")
        return answer
    factor = np.array([{"mv": 1.0, "uv": 1e-3, "v": 1e3}[unit.casefold()] for unit in theirs.units])[:, None]
    if theirs.fs != found.sampling_rate or not _same(found.signal, signal * factor):
        return Answer(answer.reason, "different", f"{found.signal.shape} and {signal.shape}")
    return answer


def _is_grammatical(header: Path) -> bool:
    try:
        text = header.read_bytes().decode("ascii")
    except UnicodeDecodeError:
        return False
    lines = [line.strip() for line in text.splitlines() if line.strip() and not line.strip().startswith("#")]
    if not lines or "\0" in text or not _RECORD_LINE.fullmatch(lines[0]):
        return False
    if max(map(len, lines)) > MOST_LETTERS:
        return False
    return all(_SIGNAL_LINE.fullmatch(line) for line in lines[1 : int(lines[0].split()[1]) + 1])


def _is_mat_v5(file: Path) -> bool:
    """Of which wfdb takes the bytes for samples."""
    with file.open("rb") as stream:
        return stream.read(6) == b"MATLAB"


def _same(one: np.ndarray, other: np.ndarray) -> bool:
    return one.shape == other.shape and np.allclose(one, other, rtol=1e-6, atol=1e-9, equal_nan=True)


# --- The process that reads -----------------------------------------------------------------------------------------


def _answer_questions(questions: Connection) -> None:
    warnings.simplefilter("ignore")
    while True:
        arguments = questions.recv()
        before = resource.getrusage(resource.RUSAGE_SELF)
        try:
            answer = examine(*arguments)
        except UnreadableRecordingError as error:  # raised where only reading was meant to raise it
            answer = Answer(error.reason, "uncaught", str(error))
        except BaseException as error:
            answer = Answer("", "uncaught", f"{type(error).__name__}: {error}")
        after = resource.getrusage(resource.RUSAGE_SELF)
        seconds = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
        if not answer.fault and seconds > MOST_SECONDS:
            answer.fault, answer.detail = "over 2 s", f"{seconds:.1f} s"
        if not answer.fault and after.ru_maxrss - before.ru_maxrss > MOST_KILOBYTES:
            answer.fault, answer.detail = "over 256 MB", f"{(after.ru_maxrss - before.ru_maxrss) / 1024:.0f} MB"
        questions.send((answer, seconds))


class Reader:
    """A process that reads mutants, started again where one of them holds it up or ends it."""

    def __init__(self, whole: Path) -> None:
        """Start the process.

        Args:
            whole: header of a sound recording. It is read first, so that no mutant pays for what reading imports.
        """
        self._whole = whole
        self._start()

    def _start(self) -> None:
        context = multiprocessing.get_context("spawn")
        self._questions, theirs = context.Pipe()
        self._process = context.Process(target=_answer_questions, args=(theirs,), daemon=True)
        self._process.start()
        theirs.close()
        self._questions.send((self._whole, False, None, read_recording(self._whole).leads[:1]))
        self._questions.recv()

    def ask(self, *arguments: Any) -> tuple[Answer, float]:
        """What :func:`examine` answers, and the seconds it took."""
        try:
            self._questions.send(arguments)
            if self._questions.poll(NO_ANSWER_SECONDS):
                return self._questions.recv()
            fault = Answer("", "over 2 s", f"no answer in {NO_ANSWER_SECONDS} s")
        except (EOFError, OSError):
            fault = Answer("", "uncaught", "the process died")
        self.stop()
        self._start()
        return fault, 0.0

    def stop(self) -> None:
        self._process.kill()
        self._process.join()


# --- The campaign ---------------------------------------------------------------------------------------------------


def campaign(seed: int, count: int, work: Path, recordings: Path | None, keep: Path) -> Tally:
    """Read ``count`` mutants; those at fault are copied to ``keep``."""
    source = random.Random(seed)
    originals = write_originals(work / "originals", np.random.default_rng(seed))
    if recordings is not None:
        originals += _small_recordings(recordings, source)
    before = {}
    for header in originals:
        found = read_recording(header)
        before[header.stem] = found.signal if _has_full_sums(header) else None
        leads = LEADS if set(LEADS) <= set(found.leads) else found.leads[:1]
        before[header.stem, "leads"] = leads
    tally = Tally()
    reader = Reader(originals[0])
    try:
        for number in range(count):
            made = mutant(originals, work / "mutant", source)
            stem = made.header.stem
            answer, seconds = reader.ask(made.header, made.only_samples, before[stem], before[stem, "leads"])
            tally.slowest = max(tally.slowest, seconds)
            tally.outcomes[answer.reason or "read"] += 1
            if answer.fault:
                tally.faults[answer.fault] += 1
                _keep(made, answer, keep / f"seed{seed}-{number}")
    finally:
        reader.stop()
    return tally


def _has_full_sums(header: Path) -> bool:
    """Whether any change of a sample changes a checksum, of 16 bits, that the header gives."""
    return all(
        spec.checksum is not None and spec.format not in ("24", "32", "61") for spec in read_header(header).signals
    )


def _small_recordings(folder: Path, source: random.Random, most: int = 100) -> list[Path]:
    usable = []
    for header in sorted(folder.rglob("*.hea")):
        try:
            sizes = [(header.parent / name).stat().st_size for name in other_files(header)]
            if sum(sizes) <= MOST_BYTES and read_recording(header).repairs == ():
                usable.append(header)
        except (UnreadableRecordingError, OSError):
            continue
    return source.sample(usable, min(most, len(usable)))


def _keep(made: Mutant, answer: Answer, folder: Path) -> None:
    shutil.copytree(made.header.parent, folder, dirs_exist_ok=True)
    print(f"{answer.fault}: {made.what}: {answer.detail[:200]} ({folder})")


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--count", type=int, default=3000, help="mutants")
    parser.add_argument("--recordings", type=Path, help="a folder of WFDB recordings, to make mutants of these too")
    parser.add_argument("--keep", type=Path, default=Path("outputs/fuzz-readers"), help="for the mutants at fault")
    options = parser.parse_args()
    started = time.perf_counter()
    with tempfile.TemporaryDirectory() as work:
        tally = campaign(options.seed, options.count, Path(work), options.recordings, options.keep)
    print(machine.describe())
    print(f"\n{options.count} mutants, seed {options.seed}, {time.perf_counter() - started:.0f} s\n")
    print("| outcome | mutants |\n| --- | ---: |")
    for outcome, number in tally.outcomes.most_common():
        print(f"| {outcome} | {number} |")
    faults = ("uncaught", "over 2 s", "over 256 MB", "different", "unnoticed")
    print(
        f"\n{', '.join(f'{tally.faults[fault]} {fault}' for fault in faults)}; the slowest took {tally.slowest:.2f} s"
    )
    return 1 if tally.faults else 0


if __name__ == "__main__":
    sys.exit(main())
