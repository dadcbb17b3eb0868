"""Model files and run folders, changed at random: what the commands that take them say.

    python -m campaigns.fuzz_models --seed 1 --count 2000     # half model files, half run folders
    python -m campaigns.fuzz_models --seed 1 --count 2000 --only 417     # one case again, with its traceback

Each case starts from what is whole and changes one to three things. Model files: bits, bytes, ends, records of the
archive, bytes of the pickle under a right checksum, values of the record, tensors. Run folders: the same of the files
in them, cells of tables, values of JSON and YAML, links out, pipes, folders and sparse gigabytes in their place. Then a
model is loaded and asked, or ``compare`` and ``evaluate`` do what they do, now and then with the report.

Counted as faults: an error that is not told in words (``ExplainedError``), a case that takes longer than the limit, one
that asks for more memory than the limit, a file that appears outside the folders, and an answer other than the whole
model's where bytes of a file were changed and not its meaning.
"""

import argparse
import copy
import io
import json
import logging
import os
import random
import resource
import shutil
import signal
import sys
import tempfile
import time
import traceback
import zipfile
from collections import Counter
from collections.abc import Callable
from contextlib import redirect_stderr, redirect_stdout
from pathlib import Path
from typing import Any

import numpy as np
import torch
import yaml

from benchmarks.machine import describe
from ecgfounder_ft.config.compose import load_label_map
from ecgfounder_ft.errors import ExplainedError
from ecgfounder_ft.inference.finished_model import load_model, save_model
from ecgfounder_ft.runs.compare import compare_runs
from ecgfounder_ft.runs.facts import states_of
from ecgfounder_ft.runs.folder import RunFolder
from ecgfounder_ft.runs.report import report_again, settings_of
from ecgfounder_ft.untrusted.weights import write_checkpoint
from tests.model_files import content_of, small_model
from tests.run_folders import write_finished_run

SECONDS = 20
"""Processor time that a case may take; a report with its pictures takes some of it."""
WAITING = 600
"""Seconds that it may take in all, on a busy machine; what waits for a pipe takes no processor time."""
MEMORY = 4 * 2**30
"""Bytes that a case may ask for beyond what the process has."""
REPORT_EVERY = 40
"""Of so many run folders one gets its report with all pictures."""

ODD: tuple[Any, ...] = (
    None, True, -1, 0, 1, 10**6, 10**12, 2**63, 1 << 5000, -0.5, 1e-9, 1e300, float("nan"), float("inf"), "", "a",
    "0.5", "../../x", "/etc/passwd", "a\x00b", "x" * 100_000, "${oc.env:HOME}", "<script>", "é\u202e", b"bytes", [], {},
    [[]], {"a": 1}, ["a"] * 1000, {"_target_": "os.system", "_args_": ["true"]}, (1, 2), [None],
)  # fmt: skip
"""Values that do not belong anywhere."""
TEXTS = ("", "a", "NaN", "-1", "2", "1e400", "inf", "0x1", "1,5", "../../x", "\x00", "\u202e", '"', "x" * 70_000)
"""The same for cells of tables."""

Case = Callable[[], Any]


class TooSlowError(BaseException):
    """A case that takes longer than the limit; no Exception, so that nothing catches it on the way."""


class Fuzz:
    """Cases in a folder, each from its own seed.

    Args:
        folder: to work in.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        torch.manual_seed(0)
        self.model = small_model(load_label_map("six_conditions"))
        self.signals = np.random.default_rng(0).normal(size=(2, 12, 64)).astype(np.float32)
        self.answer = self.model.probabilities(self.signals).tobytes()
        self.file = folder / "case" / "model.pth"
        self.run = folder / "run"
        write_finished_run(self.run, self.model)
        sealed, older = io.BytesIO(), io.BytesIO()
        save_model(self.model, folder / "whole.pth")
        sealed.write((folder / "whole.pth").read_bytes())
        torch.save(content_of(self.model), older)
        self.wholes = (sealed.getvalue(), older.getvalue())
        self.before = self._names()

    def model_file(self, draw: random.Random) -> str:
        """Change a model file, load it and ask it; returns what came of it.

        Raises:
            AssertionError: if it answers what it should not.
        """
        self.file.parent.mkdir()
        kind = draw.choice(("bytes", "bytes", "archive", "pickle", "content", "content", "tensors"))
        changed = self._changed_bytes(draw) if kind == "bytes" else self._changed_meaning(kind, draw)
        path = self.file.parent if draw.random() < 0.3 else self.file
        found = load_model(path)
        answer = found.probabilities(self.signals)
        found.decisions(answer)
        if changed and kind == "bytes":
            assert answer.tobytes() == self.answer, "another answer from changed bytes"
            return "the same answer"
        assert np.isfinite(answer).all(), "an answer that is no number"
        return "an answer of another model"

    def _changed_bytes(self, draw: random.Random) -> bool:
        whole = draw.choice(self.wholes)
        content = change_bytes(whole, draw)
        self.file.write_bytes(content)
        return content != whole

    def _changed_meaning(self, kind: str, draw: random.Random) -> bool:
        if kind in ("archive", "pickle"):
            with zipfile.ZipFile(io.BytesIO(self.wholes[1])) as archive:
                records = {record.filename: archive.read(record) for record in archive.infolist()}
            (pickled,) = (name for name in records if name.endswith("/data.pkl"))
            name = pickled if kind == "pickle" else draw.choice(list(records))
            if kind == "archive" and draw.random() < 0.4:
                records.pop(name)
            else:
                records[name] = change_bytes(records[name], draw)
            compression = zipfile.ZIP_DEFLATED if draw.random() < 0.1 else zipfile.ZIP_STORED
            with zipfile.ZipFile(self.file, "w", compression) as out:
                for name, data in records.items():
                    out.writestr(name, data)
            return True
        content = content_of(self.model)
        if kind == "content":
            for _ in range(draw.randint(1, 2)):
                change_value(content, draw, ODD)
        else:
            change_tensor(content["state_dict"], draw)
        if draw.random() < 0.5:
            write_checkpoint(content, self.file)
        else:
            torch.save(content, self.file)
        return True

    def run_folder(self, draw: random.Random) -> str:
        """Change a run's folder, and compare or evaluate it; returns what came of it."""
        case = self.folder / "case" / "run"
        shutil.copytree(self.run, case)
        files = [file for file in sorted(case.iterdir()) if file.name != "model.pth"]
        for _ in range(draw.randint(1, 2)):
            change_file(draw.choice(files), self.folder / "outside", draw)
        run = RunFolder(case)
        if draw.random() < 0.4:
            compare_runs(draw.sample([self.run, case], 2), resamples=20)
            return "compared"
        report = draw.random() < 1 / REPORT_EVERY
        settings = settings_of(run, {"report": report, "attribution": False, "by": ["sex", "age", "signal"]})
        settings.resamples = min(settings.resamples, 20)
        found = load_model(case)
        run.require_model(found)
        target = run.new_evaluation("own-test")
        report_again(run, target, found, settings, refit=False)
        for read in (run.read_plan, run.read_history, run.read_random_encoder, run.read_wise_ft, run.read_skipped):
            read()
        states_of(run.read_splits(), found.record.label_map)
        return "evaluated with its report" if report else "evaluated"

    def _names(self) -> set[str]:
        return {path.name for path in self.folder.iterdir()} - {"case", "outside"}

    def one(self, seed: int, number: int, show: bool = False) -> tuple[str, str, float]:
        """Kind of input, what came of it (a fault begins with "FAULT"), and seconds."""
        draw = random.Random(f"{seed} {number}")
        kind = "model file" if number % 2 else "run folder"
        shutil.rmtree(self.folder / "case", ignore_errors=True)
        begun = time.process_time()
        try:
            with redirect_stdout(io.StringIO()), redirect_stderr(io.StringIO()):
                outcome = limited(lambda: self.model_file(draw) if number % 2 else self.run_folder(draw))
        except ExplainedError as error:
            outcome = f"refused: {type(error).__name__}"
            if show:
                print(error)
        except TooSlowError:
            outcome = f"FAULT: took longer than {SECONDS} s of processor time, or waited"
        except BaseException as error:  # whatever it is, it is what is looked for
            outcome = f"FAULT: {type(error).__name__}: {str(error)[:100]}"
            if show:
                traceback.print_exc()
        if self._names() != self.before:
            outcome = f"FAULT: files outside: {self._names() - self.before}"
        return kind, outcome, time.process_time() - begun


def limited(run: Case) -> Any:
    """Run with a limit to time and memory."""

    def stop(*_: object) -> None:
        raise TooSlowError

    used = int(Path("/proc/self/statm").read_text().split()[0]) * os.sysconf("SC_PAGESIZE")
    soft, hard = resource.getrlimit(resource.RLIMIT_AS)
    before = {number: signal.signal(number, stop) for number in (signal.SIGALRM, signal.SIGPROF)}
    resource.setrlimit(resource.RLIMIT_AS, (used + MEMORY, hard))
    signal.alarm(WAITING)
    signal.setitimer(signal.ITIMER_PROF, SECONDS)
    try:
        return run()
    finally:
        signal.alarm(0)
        signal.setitimer(signal.ITIMER_PROF, 0)
        for number, handler in before.items():
            signal.signal(number, handler)
        resource.setrlimit(resource.RLIMIT_AS, (soft, hard))


def change_bytes(content: bytes, draw: random.Random) -> bytes:
    """Flip, cut, zero, repeat or insert."""
    changed = bytearray(content)
    size = max(len(changed), 1)
    place = draw.choice((draw.randrange(size), draw.randrange(min(size, 200)), max(size - 1 - draw.randrange(300), 0)))
    length = draw.choice((1, 4, 85, 4000, size))
    match draw.randrange(6):
        case 0 | 1:
            for _ in range(draw.choice((1, 1, 8))):
                if changed:
                    changed[draw.randrange(len(changed)) if draw.random() < 0.5 else place] ^= 1 << draw.randrange(8)
        case 2:
            del changed[place : place + length]
        case 3:
            changed[place : place + length] = bytes(min(length, size - place))
        case 4:
            changed[place:place] = changed[place : place + length]
        case _:
            changed[place:place] = draw.randbytes(min(length, 4000))
    return bytes(changed)


def change_value(content: Any, draw: random.Random, values: tuple[Any, ...]) -> None:
    """Replace, remove or add one value somewhere in nested containers."""
    places: list[tuple[Any, Any]] = []
    stack = [content]
    while stack:
        entry = stack.pop()
        keys = list(entry) if isinstance(entry, dict) else list(range(len(entry)))
        places += [(entry, key) for key in keys]
        stack += [entry[key] for key in keys if isinstance(entry[key], dict | list)]
    if not places:
        return
    parent, key = draw.choice(places)
    value = copy.deepcopy(draw.choice(values))
    if draw.random() < 0.2:
        del parent[key]
    elif isinstance(parent, dict) and draw.random() < 0.1:
        parent[str(value)[:50]] = value
    else:
        parent[key] = value


def change_tensor(state: dict[str, Any], draw: random.Random) -> None:
    """Another type, shape, layout, device or number."""
    key = draw.choice(list(state))
    value = state[key]
    changes: tuple[Callable[[], Any], ...] = (
        lambda: value.half(), lambda: value.double(), lambda: value.to(torch.int8), lambda: value.bool(),
        lambda: value.to(torch.complex64), lambda: value[:0], lambda: value[..., None], lambda: value.flatten(),
        lambda: torch.full_like(value, float("nan")), lambda: torch.full_like(value, 3e38), lambda: value.to("meta"),
        lambda: torch.zeros(1).expand(value.shape), lambda: value.to_sparse(),
        lambda: torch.zeros(1).expand(10**6, 10**6),
        lambda: value.t() if value.ndim == 2 else value.flip(0), lambda: value.numpy(), lambda: None, lambda: [value],
        lambda: torch.nn.Parameter(value), lambda: -value,
    )  # fmt: skip
    state[key] = draw.choice(changes)()


def change_file(file: Path, outside: Path, draw: random.Random) -> None:
    """One file of a run's folder: its meaning, its bytes, or what stands in its place."""
    if not file.is_file() or file.is_symlink():
        return
    kind = draw.choice(("meaning",) * 6 + ("bytes", "bytes", "place"))
    if kind == "place":
        change_place(file, outside, draw)
    elif kind == "bytes":
        file.write_bytes(change_bytes(file.read_bytes(), draw))
    elif file.suffix == ".csv":
        change_table(file, draw)
    else:
        values = tuple(value for value in ODD if not isinstance(value, bytes | tuple))
        try:
            content = (json if file.suffix == ".json" else yaml).__dict__[_READ[file.suffix]](file.read_text())
            change_value(content, draw, values)
            text = json.dumps(content) if file.suffix == ".json" else yaml.safe_dump(content, sort_keys=False)
        except (ValueError, TypeError, yaml.YAMLError):
            return  # changed before into what cannot be read, or a value that cannot be written
        file.write_text(text, encoding="utf-8")


_READ = {".json": "loads", ".yaml": "safe_load"}


def change_place(file: Path, outside: Path, draw: random.Random) -> None:
    """A folder, a pipe, a link, nothing, nesting without end, or sparse gigabytes in a file's place."""
    outside.mkdir(exist_ok=True)
    content = file.read_bytes()
    (outside / "copy").write_bytes(content)
    file.unlink()
    match draw.randrange(8):
        case 0:
            file.mkdir()
        case 1:
            os.mkfifo(file)
        case 2:
            file.symlink_to(outside / "copy")
        case 3:
            file.symlink_to(file.name)
        case 4:
            file.write_bytes(b"[" * 200_000)
        case 5:
            with file.open("wb") as stream:
                stream.write(content)
                stream.truncate(3 * 2**30)
        case 6:
            file.write_text(
                "a0: &a0 [x, x, x, x, x, x, x, x, x]\n"
                + "".join(f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 9)}]\n" for n in range(1, 12))
            )


def change_table(file: Path, draw: random.Random) -> None:
    """A cell, a column or a row of a table."""
    rows = [line.split(",") for line in file.read_text(encoding="utf-8", errors="replace").splitlines()]
    if not rows:
        return
    column = draw.randrange(len(rows[0]))
    match draw.randrange(7):
        case 0 | 1 | 2:
            row = draw.choice(rows[1:] or rows)
            row[column % len(row)] = draw.choice(TEXTS)
        case 3:
            rows = [row[:column] + row[column + 1 :] for row in rows]
        case 4:
            rows[0][column] = draw.choice(TEXTS)
        case 5:
            rows.append(list(draw.choice(rows)))
        case _:
            text = draw.choice(TEXTS)
            for row in rows[1:]:
                row[column % len(row)] = text
    file.write_text("\n".join(",".join(row) for row in rows) + "\n", encoding="utf-8")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--count", type=int, default=500)
    parser.add_argument("--only", type=int, help="one case again")
    options = parser.parse_args()
    logging.disable(logging.CRITICAL)
    with tempfile.TemporaryDirectory() as name:
        fuzz = Fuzz(Path(name))
        if options.only is not None:
            print(*fuzz.one(options.seed, options.only, show=True))
            return
        found: dict[str, Counter[str]] = {"model file": Counter(), "run folder": Counter()}
        slowest, faults = 0.0, []
        for number in range(options.count):
            kind, outcome, taken = fuzz.one(options.seed, number)
            found[kind][outcome] += 1
            slowest = max(slowest, taken)
            if outcome.startswith("FAULT"):
                faults.append(number)
                print(f"case {number}, {kind}: {outcome}", flush=True)
    print(
        f"seed {options.seed}, {options.count} cases, slowest {slowest:.1f} s of processor time, {len(faults)} faults; "
        f"{describe()}"
    )
    for kind, outcomes in found.items():
        print(f"{outcomes.total()} of a {kind}: " + ", ".join(f"{n} {what}" for what, n in outcomes.most_common()))
    sys.exit(1 if faults else 0)


if __name__ == "__main__":
    main()
