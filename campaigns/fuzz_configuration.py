"""Mutated command lines, files, run folders, tables and label maps: only this package's own errors come of them.

    python -m campaigns.fuzz_configuration --count 300 --seed 0

Each case is a valid one with something broken in it: characters swapped, values of another kind, keys that are none,
targets of functions, bytes cut or turned. It has to be taken, or refused in words (an ``ExplainedError``) that name no
schema and hold no traceback, in bounded time, with nothing left in the folder that it was started in, and without
running what a file names. What happens is counted; a case that does otherwise is printed with its seed, and the exit
code is 1.
"""

import argparse
import contextlib
import copy
import io
import os
import random
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from benchmarks import machine
from ecgfounder_ft.config.choices import choices, config_folder
from ecgfounder_ft.config.compose import compose_settings, keys_of, load_label_map
from ecgfounder_ft.config.preflight import looked_through
from ecgfounder_ft.errors import ExplainedError

LONGEST = 5.0
"""Seconds of a case on an idle machine, most of which is composing up to twenty trials of a sweep."""

INTERNAL = ("_schema", "full_key", "object_type", "omegaconf.", "hydra.errors", "Traceback", "(DictConfig)")
"""What stands in messages of Hydra and OmegaConf, and means nothing to a user."""

# fmt: off
VALUES = (
    "", "0", "-1", "1e999", "nan", "null", "true", "[1,2]", "[]", "{}", "{a: 1}", "'x'", '"', "[", "a b", "é",
    "x" * 500,
    "1,2", "${seed}", "${oc.env:HOME}", "${x", "choice(1,2)", "range(0,3)", "\\", "#", "=", "1_0", "0x1F", "../x", "/x",
)
# fmt: on
MARK = "ran"
"""A file that targets of these files would make."""
TARGETS = (
    "pathlib.Path.touch",
    "os.system",
    "builtins.eval",
    "torch.load",
    "torch.optim.SGD",
    "",
    "a.b",
    3,
    None,
    ["x"],
)


@dataclass(frozen=True)
class Case:
    """What is tried."""

    shown: str
    run: Callable[[], object]


def slipped(text: str, rng: random.Random) -> str:
    """A text with one or a few characters dropped, doubled, swapped or replaced."""
    characters = list(text)
    for _ in range(rng.choice((1, 1, 2, 3))):
        place = rng.randrange(len(characters) + 1)
        kind = rng.randrange(4)
        if kind == 0 and place < len(characters):
            del characters[place]
        elif kind == 1 and place + 1 < len(characters):
            characters[place : place + 2] = reversed(characters[place : place + 2])
        elif kind == 2 and place < len(characters):
            characters[place] = rng.choice("abcxyz._-=+~@/[]{}$:, 019'\"é")
        else:
            characters.insert(place, rng.choice("abcxyz._-=+~@/[]{}$:, 019'\"é"))
    return "".join(characters)


def command_line(rng: random.Random, keys: list[str], folder: Path) -> Case:
    """Overrides with slips, in any order, with flags."""
    groups = choices()
    typed = []
    for _ in range(rng.randint(1, 4)):
        if rng.random() < 0.4:
            group = rng.choice(sorted(groups))
            one = f"{group}={rng.choice(groups[group]).rstrip('*')}"
        else:
            one = f"{rng.choice(('', '', '', '+', '++', '~'))}{rng.choice(keys)}={rng.choice(VALUES)}"
        typed.append(slipped(one, rng) if rng.random() < 0.6 else one)
    if rng.random() < 0.2:
        typed.insert(0, rng.choice(("-m", "--multirun", "--cfg=job", "--lr", "--config-dir=/nowhere", "--info", "-x")))
    return Case(" ".join(typed), lambda: looked_through(typed))


def mutated_content(rng: random.Random, content: Any) -> Any:
    """Nested containers with up to three values, keys or targets exchanged."""
    changed = copy.deepcopy(content)
    for _ in range(rng.randint(0, 3)):
        mapping = rng.choice(_mappings(changed))
        kind = rng.randrange(5)
        if kind == 0:
            mapping["_target_"], mapping["self"] = rng.choice(TARGETS), MARK
        elif kind == 1 and rng.random() < 0.5:
            changed["hydra"] = {"callbacks": {"trap": {"_target_": "pathlib.Path.touch", "self": MARK}}}
        elif mapping:
            key = rng.choice(list(mapping))
            if kind == 2:
                mapping[slipped(str(key), rng)] = mapping.pop(key)
            elif kind == 3:
                del mapping[key]
            else:
                mapping[key] = yaml_value(rng)
    return changed


def _mappings(content: Any) -> list[dict[Any, Any]]:
    found = [content] if isinstance(content, dict) else []
    for value in content.values() if isinstance(content, dict) else content if isinstance(content, list) else ():
        found += _mappings(value)
    return found


def yaml_value(rng: random.Random) -> Any:
    """One of another kind than was there."""
    made = "${oc.create:{_target_:os.system}}"
    plain = (None, -1, 0, 1e308, float("nan"), True, "", "x", [], {}, [1], {"a": 1}, "a" * 1000)
    return copy.deepcopy(rng.choice((*plain, "${seed}", "${oc.env:HOME}", made)))


def turned(rng: random.Random, content: bytes) -> bytes:
    """Bytes cut, turned or put in."""
    changed = bytearray(content)
    for _ in range(rng.choice((0, 0, 1, 3))):
        place = rng.randrange(len(changed) + 1)
        if rng.random() < 0.5 and place < len(changed):
            changed[place] = rng.randrange(256)
        else:
            changed[place:place] = rng.choice(
                (b"\x00", b"\xff", b"\t", b"&a", b"*a", b"!!python/object/apply:os.system ", b"{")
            )
    return bytes(changed[: rng.randrange(len(changed) + 1)] if rng.random() < 0.1 else changed)


def experiment_file(rng: random.Random, keys: list[str], folder: Path) -> Case:
    """A file from elsewhere, by ``--config-dir``."""
    shipped = sorted(config_folder().rglob("*.yaml"))
    file = rng.choice([one for one in shipped if one.parent != config_folder() and one.parent.name != "job_logging"])
    content = yaml.safe_load(file.read_text(encoding="utf-8")) or {}
    text = yaml.safe_dump(mutated_content(rng, content), sort_keys=False).encode()
    group = file.parent.relative_to(config_folder()).as_posix()
    place = folder / group / "theirs.yaml"
    place.parent.mkdir(parents=True)
    place.write_bytes(turned(rng, text))
    typed = [*rng.choice(([], ["-m"])), "--config-dir", str(folder), f"{group}=theirs"]
    return Case(f"{group}/{file.name}", lambda: looked_through(typed))


def run_folder(rng: random.Random, keys: list[str], folder: Path) -> Case:
    """A stranger's run, by ``resume=``."""
    from ecgfounder_ft.runs.folder import RunFolder
    from ecgfounder_ft.training.resume import resumed_settings

    folder.mkdir(parents=True)
    content = compose_settings([f"output_dir={folder}"]).content
    text = yaml.safe_dump(mutated_content(rng, content), sort_keys=False).encode()
    (folder / "config.yaml").write_bytes(turned(rng, text) if rng.random() < 0.5 else text)
    return Case("config.yaml of a run", lambda: resumed_settings(RunFolder(folder), ["seed=1"][: rng.randint(0, 1)]))


def label_map(rng: random.Random, keys: list[str], folder: Path) -> Case:
    """The user's own, in ``configs/labels``."""
    source = config_folder() / "labels" / "six_conditions.yaml"
    content = mutated_content(rng, yaml.safe_load(source.read_text(encoding="utf-8")))
    own = Path("configs/labels")
    own.mkdir(parents=True, exist_ok=True)
    text = yaml.safe_dump(content, sort_keys=False).encode()
    (own / "mine.yaml").write_bytes(turned(rng, text) if rng.random() < 0.5 else text)
    return Case("configs/labels/mine.yaml", lambda: load_label_map("mine"))


def table(rng: random.Random, keys: list[str], folder: Path) -> Case:
    """The user's own table, as far as its columns are looked at before the recordings."""
    from ecgfounder_ft.data.sources.source import read_catalog
    from ecgfounder_ft.data.sources.table.rows import require_columns

    map_ = load_label_map("six_conditions")
    columns = ["path", *map_.codes, "patient", "age", "sex", "fold"]
    columns = [slipped(one, rng) if rng.random() < 0.03 else one for one in columns if rng.random() > 0.1]
    separator = rng.choice((",", ",", ",", ";", "\t", "|"))
    cells = ("1", "0", "", "present", "x", "-1", "nan", "a.hea", "../b.hea", "/c.hea", '"', "é" * 50)
    rows = [separator.join(columns)] + [
        separator.join(rng.choice(cells) for _ in columns) for _ in range(rng.randint(0, 5))
    ]
    folder.mkdir(parents=True)
    file = folder / rng.choice(("t.csv", "t.csv", "t.csv", "t.parquet"))
    file.write_bytes(turned(rng, "\n".join(rows).encode()))

    def read() -> None:
        require_columns(file, map_, rng.randint(0, 1))
        read_catalog(compose_settings(["data=table", f"data.path='{file}'"]).source, map_)

    return Case(rows[0], read)


KINDS: dict[str, Callable[[random.Random, list[str], Path], Case]] = {
    "command lines": command_line,
    "experiment files": experiment_file,
    "run folders": run_folder,
    "label maps": label_map,
    "tables": table,
}


def tried(case: Case, here: Path) -> tuple[str, str]:
    """What came of a case: ``taken``, ``refused`` or a fault; and what was said."""
    before = sorted(here.rglob("*"))
    begun = time.process_time()
    said, outcome = "", "taken"
    try:
        with contextlib.redirect_stderr(io.StringIO()), contextlib.redirect_stdout(io.StringIO()):
            case.run()
    except ExplainedError as error:
        outcome, said = "refused", str(error)
    except SystemExit as end:
        outcome, said = "fault", f"SystemExit({end.code})"
    except BaseException as error:  # the point of it
        outcome, said = "fault", f"{type(error).__name__}: {error}"
    seconds = time.process_time() - begun
    if any(name in said for name in INTERNAL):
        outcome = "fault"
    if sorted(here.rglob("*")) != before:
        outcome, said = "fault", f"something was left: {sorted(set(here.rglob('*')) - set(before))}; {said}"
    if seconds > LONGEST:
        outcome, said = "fault", f"{seconds:.1f} s of processor time; {said}"
    return outcome, said


def fuzz(count: int, seed: int) -> tuple[dict[str, Counter[str]], list[str]]:
    """Outcomes by kind of input, and what was no proper answer."""
    found: dict[str, Counter[str]] = {kind: Counter() for kind in KINDS}
    faults = []
    keys = keys_of(())
    start = Path.cwd()
    for number in range(count):
        kind = list(KINDS)[number % len(KINDS)]
        rng = random.Random(f"{seed} {number}")
        with tempfile.TemporaryDirectory() as folder:
            here = Path(folder, "here")
            here.mkdir()
            os.chdir(here)
            try:
                case = KINDS[kind](rng, keys, Path(folder, "theirs"))
                outcome, said = tried(case, here)
            finally:
                os.chdir(start)
        found[kind][outcome] += 1
        if outcome == "fault":
            faults.append(f"{kind}, --seed {seed}, number {number}: {case.shown[:200]!r}: {said[:500]}")
    return found, faults


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--count", type=int, default=300, help="cases, of each kind in turn")
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    begun = time.monotonic()
    found, faults = fuzz(options.count, options.seed)
    print(f"{machine.describe()}\n\n| input | tried | taken | refused in words | anything else |")
    print("| --- | ---: | ---: | ---: | ---: |")
    for kind, outcomes in found.items():
        print(f"| {kind} | {outcomes.total()} | {outcomes['taken']} | {outcomes['refused']} | {outcomes['fault']} |")
    print(f"\n{options.count} cases, seed {options.seed}, {time.monotonic() - begun:.0f} s")
    print(*faults, sep="\n", file=sys.stderr)
    sys.exit(1 if faults else 0)


if __name__ == "__main__":
    main()
