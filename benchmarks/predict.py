"""``predict`` beside the plain loop, and its memory over few and many recordings.

    python -m benchmarks.predict                             # about eight minutes on two idle cores
    python -m benchmarks.predict --write                     # the tables also go into benchmarks/RESULTS.md
    python -m benchmarks.predict --recordings 100 --many 1000

The plain loop does what a script does at first: for each file ``wfdb.rdrecord``, the filters by ``scipy``
(plain_preprocessing.py), a forward pass of one recording, a row in a list; at the end a CSV. It has the same network
with the same weights, and its probabilities have to agree with ours, or this stops. Both run in turns, each time in a
process of its own, which also says what they need beside the work itself (starting Python, loading the model). Where
other programs run beside them, the time that the processors spent says more than the clock, with ``--threads 1``.

Memory is the peak resident memory of ``predict``'s own process over links to the same few files, in one folder per
thousand, by the demo's model of lead I. The recordings are simulated, 12 leads of 10 s at 500 Hz.
"""

import argparse
import json
import os
import shlex
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from statistics import median

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
from benchmarks import machine
from benchmarks.results_between import RESULTS, write_between


def make_model(architecture: str, folder: Path, leads: int = 12) -> Path:
    """A model of random weights (full) or of the shipped ones (demo), in a file as training leaves it."""
    import torch

    from ecgfounder_ft.config.compose import compose_settings
    from ecgfounder_ft.ecg.preprocessing import Preprocessing
    from ecgfounder_ft.inference.finished_model import FinishedModel, save_model
    from ecgfounder_ft.model.checkpoints import load_weights
    from ecgfounder_ft.model.pretrained import find_weights
    from ecgfounder_ft.model.record import ModelRecord
    from ecgfounder_ft.task import MULTI_LABEL

    torch.manual_seed(0)
    settings = compose_settings([f"model={leads}lead", f"model/architecture={architecture}"])
    label_map = settings.label_map
    preprocessing = Preprocessing.of(settings.preprocessing)
    record = ModelRecord(label_map, MULTI_LABEL, preprocessing, dict(settings.model.architecture))
    net = record.build_network()
    if architecture == "demo":
        load_weights(net, find_weights(f"demo_{leads}_lead", folder), *label_map.task_rows)
    file = folder / f"{architecture}-{leads}.pth"
    save_model(FinishedModel(net.eval(), record), file)
    return file


def make_recordings(folder: Path, number: int) -> None:
    """Simulated recordings as MIMIC-IV-ECG stores them."""
    from ecgfounder_ft.config.compose import load_label_map
    from ecgfounder_ft.data.sources.simulated import write_selected_folders

    write_selected_folders(folder, load_label_map("six_conditions"), -(-number // 6), 0)


def link(folder: Path, into: Path, number: int) -> None:
    """Links to the recordings of a folder, again and again, under new names, in folders of a thousand."""
    headers = sorted(folder.rglob("*.hea"))
    for place in range(number):
        source = headers[place % len(headers)]
        target = into / f"{place // 1000:04d}" / f"{place:07d}.hea"
        target.parent.mkdir(parents=True, exist_ok=True)
        target.symlink_to(source)
        for signal in (source.with_suffix(".dat"), source.with_suffix(".mat")):
            if signal.exists():
                target.with_suffix(signal.suffix).symlink_to(signal)


def plain_loop(model: Path, folder: Path, output: Path) -> None:
    """Read, filter, forward: one by one."""
    import pandas as pd
    import torch

    from benchmarks.plain_preprocessing import read_and_filter
    from ecgfounder_ft.inference.finished_model import load_model

    loaded = load_model(model)
    codes = loaded.record.label_map.codes
    rows = []
    begun, started = time.perf_counter(), time.process_time()
    for header in sorted(folder.rglob("*.hea")):
        with torch.no_grad():
            found = loaded.net(torch.from_numpy(read_and_filter(header))[None]).sigmoid()[0]
        row = {f"probability_{code}": float(value) for code, value in zip(codes, found, strict=True)}
        rows.append({"path": str(header), **row})
    pd.DataFrame(rows).to_csv(output, index=False)
    _tell(time.perf_counter() - begun, started, len(rows))


def ours(model: Path, folder: Path, output: Path, workers: int) -> None:
    """What the command does, without its progress bar."""
    from ecgfounder_ft.inference.finished_model import load_model
    from ecgfounder_ft.inference.inputs import Reading
    from ecgfounder_ft.inference.predict_command import Wanted, predict_into_file
    from ecgfounder_ft.memory import keep_freed_memory

    keep_freed_memory()
    loaded = load_model(model)
    wanted = Wanted(output, None, None, 32, workers, restart=True, progress=False)
    begun, started = time.perf_counter(), time.process_time()
    summary = predict_into_file(loaded, [folder], Reading(loaded.record.preprocessing), wanted)
    _tell(time.perf_counter() - begun, started, summary.answered)


def _tell(seconds: float, started: float, recordings: int) -> None:
    """Seconds by the clock and by the processors, the latter since ``started``."""
    # of this process alone: what getrusage says begins with the memory of the process that started this one
    status = dict(line.split(":", 1) for line in Path("/proc/self/status").read_text().splitlines())
    peak = int(status["VmHWM"].removesuffix("kB")) / 1024
    used = os.times()
    busy = used.user + used.system + used.children_user + used.children_system - started
    print(json.dumps({"seconds": seconds, "busy": busy, "recordings": recordings, "peak": peak}))


def run(*arguments: object) -> dict[str, float]:
    """One of the ways, in a process of its own: seconds of the work, of the whole process, and peak memory in MiB."""
    begun = time.perf_counter()
    command = [sys.executable, "-m", "benchmarks.predict", *map(str, arguments)]
    done = subprocess.run(command, capture_output=True, text=True, check=False, cwd=RESULTS.parents[1])
    if done.returncode:
        raise SystemExit(done.stdout + done.stderr)
    return {**json.loads(done.stdout.strip().splitlines()[-1]), "whole": time.perf_counter() - begun}


def compare(name: str, model: Path, folder: Path, work: Path, rounds: int) -> list[str]:
    """Rows of the table for one network, and the check that both say the same."""
    import pandas as pd

    ways = {
        "plain loop": ("--way", "plain", model, folder, work / "plain.csv"),
        "`predict`": ("--way", "ours", model, folder, work / "ours.csv", "--workers", 0),
        f"`predict --workers {os.cpu_count()}`": (
            "--way", "ours", model, folder, work / "workers.csv", "--workers", os.cpu_count()
        ),
    }  # fmt: skip
    found: dict[str, list[dict[str, float]]] = {way: [] for way in ways}
    for _ in range(rounds):
        for way, arguments in ways.items():
            found[way].append(run(*arguments))
    plain, own = (pd.read_csv(work / f"{file}.csv").set_index("path").sort_index() for file in ("plain", "ours"))
    difference = float((plain.filter(like="probability_") - own.filter(like="probability_")).abs().to_numpy().max())
    if not difference < 1e-4:
        raise SystemExit(f"the two ways differ by {difference} in a probability")
    rates = {way: median(one["recordings"] / one["seconds"] for one in rows) for way, rows in found.items()}
    whole = {way: median(one["whole"] - one["seconds"] for one in rows) for way, rows in found.items()}
    busy = {way: 1000 * median(one["busy"] / one["recordings"] for one in rows) for way, rows in found.items()}
    return [
        f"| {name} | {way} | {rates[way]:.1f} | {rates[way] / rates['plain loop']:.2f} | {busy[way]:.0f} | "
        f"{busy['plain loop'] / busy[way]:.2f} | {whole[way]:.1f} | "
        f"{max(one['peak'] for one in found[way]):.0f} | {'' if way == 'plain loop' else f'{difference:.0e}'} |"
        for way in ways
    ]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--recordings", type=int, default=200, help="of the comparison")
    parser.add_argument("--few", type=int, default=1000, help="of the smaller measurement of memory")
    parser.add_argument("--many", type=int, default=50_000, help="of the larger one")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--threads", type=int, default=os.cpu_count(), help="of torch in each process")
    parser.add_argument("--write", action="store_true")
    parser.add_argument("--way", nargs=4, metavar=("WAY", "MODEL", "FOLDER", "OUTPUT"), help=argparse.SUPPRESS)
    parser.add_argument("--workers", type=int, default=0, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.way:
        way, *paths = options.way
        model, folder, output = map(Path, paths)
        return plain_loop(model, folder, output) if way == "plain" else ours(model, folder, output, options.workers)

    os.environ["OMP_NUM_THREADS"] = str(options.threads)
    lines = [
        f"`{shlex.join(['python', '-m', 'benchmarks.predict', *sys.argv[1:]])}`. {machine.describe()}.",
        f"{options.recordings} simulated recordings, medians of {options.rounds} rounds in turns, "
        f"{options.threads} threads.",
        "",
        "| network | way | recordings/s | ratio | processor ms a recording | ratio | s to start | peak MiB | "
        "largest difference |",
        "| --- | --- | --- | --- | --- | --- | --- | --- | --- |",
    ]
    with tempfile.TemporaryDirectory() as name:
        work = Path(name)
        make_recordings(work / "recordings", options.recordings)
        models = {architecture: make_model(architecture, work) for architecture in ("full", "demo")}
        for architecture, model in models.items():
            lines += compare(architecture, model, work / "recordings", work, options.rounds)
        small = make_model("demo", work, leads=1)
        lines += ["", "| recordings | network | peak MiB of `predict` | recordings/s |", "| --- | --- | --- | --- |"]
        for number in (options.few, options.many):
            link(work / "recordings", work / f"links-{number}", number)
            found = run("--way", "ours", small, work / f"links-{number}", work / f"{number}.parquet")
            rate = found["recordings"] / found["seconds"]
            lines.append(f"| {number:,} | demo, lead I | {found['peak']:.0f} | {rate:.1f} |")
    text = "\n".join(lines)
    print(text)
    if options.write:
        write_between(RESULTS, "benchmarks.predict", text)


if __name__ == "__main__":
    main()
