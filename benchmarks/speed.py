"""Training, inference, probing, data and start-up beside plain implementations.

    make bench          # the whole: about 25 minutes on two cores; its table goes into benchmarks/RESULTS.md
    make bench-short    # a few minutes; the table is printed

Every row is measured side by side: the plain way and ours in turns, medians of several rounds. The plain way: Net1D in
torch's own 1-D layers (plain_net1d.py), float32, Adam; a dataset that reads with ``wfdb`` and filters with ``scipy``
(plain_preprocessing.py) at every access; a full forward pass at every epoch of probing. ``--reference FILE`` takes
another implementation of the network in its place: a Python file that defines ``Net1D(in_channels, num_classes)`` with
the same parameter names. Matrix products alone say what the processor could reach at best.
"""

import argparse
import importlib.util
import json
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from rich.console import Console
from torch import Tensor, nn

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
from benchmarks import machine
from benchmarks.plain_net1d import PlainNet1D
from benchmarks.store import made_up_store
from ecgfounder_ft.model.net1d import Net1D

Rows = list[tuple[str, str, str, str]]
FORWARD_FLOP = 2.34e9
"""Of a recording through the full network: two for each multiplication of its convolutions and products."""
RESULTS = Path(__file__).with_name("RESULTS.md")
BEGIN, END = "<!-- written by make bench -->", "<!-- end of what make bench writes -->"


def in_turns(ways: dict[str, Callable[[], object]], rounds: int) -> dict[str, float]:
    """Median seconds of each way, run in turns after one warm-up each, so that a busy moment hits all alike."""
    for run in ways.values():
        run()
    seconds: dict[str, list[float]] = {name: [] for name in ways}
    for _ in range(rounds):
        for name, run in ways.items():
            begun = time.perf_counter()
            run()
            seconds[name].append(time.perf_counter() - begun)
    return {name: statistics.median(values) for name, values in seconds.items()}


def training_step(
    net: nn.Module, x: Tensor, y: Tensor, optimizer: torch.optim.Optimizer, bf16: bool
) -> Callable[[], None]:
    def step() -> None:
        optimizer.zero_grad(set_to_none=True)
        with torch.autocast("cpu", dtype=torch.bfloat16, enabled=bf16):
            loss = nn.functional.cross_entropy(net(x).float(), y)
        loss.backward()
        optimizer.step()

    return step


def forward(net: nn.Module, x: Tensor, bf16: bool) -> Callable[[], Tensor]:
    @torch.inference_mode()
    def run() -> Tensor:
        with torch.autocast("cpu", dtype=torch.bfloat16, enabled=bf16):
            return net(x)

    return run


def rows_of(work: str, seconds: dict[str, float], recordings: int) -> Rows:
    first = next(iter(seconds.values()))
    return [
        (work if name == next(iter(seconds)) else "", name, f"{recordings / value:.1f}", f"{first / value:.2f}")
        for name, value in seconds.items()
    ]


def network_rows(plain_class: type[nn.Module], batch: int, rounds: int) -> Rows:
    torch.manual_seed(0)
    x, y = torch.randn(batch, 12, 5000), torch.randint(0, 6, (batch,))
    plain, ours = plain_class(12, 6), Net1D(12, 6)
    ours.load_state_dict({key: value for key, value in plain.state_dict().items() if key in ours.state_dict()})
    with torch.inference_mode():
        difference = (plain(x[:4]) - ours(x[:4])).abs().max().item()
    assert difference < 1e-5, f"the two networks differ by {difference}"
    inference = in_turns(
        {
            "plain, float32": forward(plain.eval(), x, bf16=False),
            "ours, float32": forward(ours.eval(), x, bf16=False),
            "ours, bfloat16": forward(ours.eval(), x, bf16=True),
        },
        rounds,
    )
    plain.train(), ours.train()
    ours_bf16 = Net1D(12, 6)
    training = in_turns(
        {
            "plain, float32, Adam": training_step(plain, x, y, torch.optim.Adam(plain.parameters()), bf16=False),
            "ours, float32, AdamW": training_step(ours, x, y, torch.optim.AdamW(ours.parameters()), bf16=False),
            "ours, bfloat16, fused AdamW": training_step(
                ours_bf16, x, y, torch.optim.AdamW(ours_bf16.parameters(), fused=True), bf16=True
            ),
        },
        rounds,
    )
    return rows_of(f"training step, batch {batch}", training, batch) + rows_of(
        f"inference, batch {batch}", inference, batch
    )


def frozen_rows(plain_class: type[nn.Module], recordings: int, epochs: int) -> Rows:
    """Probing and training of the last stages: the whole forward pass at each epoch against what is stored once."""
    torch.manual_seed(0)
    x, y = torch.randn(recordings, 12, 5000), torch.randint(0, 6, (recordings,))
    rows: Rows = []

    def batches(of: int = recordings) -> list[Tensor]:
        return list(torch.randperm(of).split(32))

    def plain_probe() -> None:
        net = plain_class(12, 6)
        for name, parameter in net.named_parameters():
            parameter.requires_grad_(name.startswith("dense"))
        optimizer = torch.optim.Adam(net.dense.parameters())
        for _ in range(epochs):
            for rows_ in batches():
                training_step(net, x[rows_], y[rows_], optimizer, bf16=False)()

    def stored(net: Net1D, last: str, bf16: bool) -> Tensor:
        with torch.inference_mode(), torch.autocast("cpu", dtype=torch.bfloat16, enabled=bf16):
            return torch.cat([net.run_until(last, part).float() for part in x.split(32)])

    def train_from(net: Net1D, part: str, values: Tensor, bf16: bool, epochs: int = epochs) -> None:
        names = list(net.parts())
        trained = [p for name in names[names.index(part) :] for p in net.parts()[name].parameters()]
        optimizer = torch.optim.AdamW(trained, fused=True)
        for _ in range(epochs):
            for rows_ in batches(len(values)):
                optimizer.zero_grad(set_to_none=True)
                with torch.autocast("cpu", dtype=torch.bfloat16, enabled=bf16):
                    loss = nn.functional.cross_entropy(net.run_from(part, values[rows_]).float(), y[rows_])
                loss.backward()
                optimizer.step()

    def timed(run: Callable[[], None]) -> float:
        begun = time.perf_counter()
        run()
        return time.perf_counter() - begun

    net = Net1D(12, 6)
    work = f"linear probe, {recordings} recordings, {epochs} epochs"
    plain_seconds = timed(plain_probe)
    rows.append((work, "plain: full forward pass at each epoch", f"{plain_seconds:.1f} s", "1.00"))
    for name, bf16 in (("float32", False), ("bfloat16", True)):
        seconds = timed(lambda bf16=bf16: train_from(net, "head", stored(net, "stage7", bf16), bf16=False))
        rows.append(("", f"ours: embeddings once, {name}", f"{seconds:.2f} s", f"{plain_seconds / seconds:.1f}"))
    embeddings = stored(net, "stage7", bf16=False)
    seconds = timed(lambda: train_from(net, "head", embeddings, bf16=False))
    rows.append(("", "ours: a further probe on them", f"{seconds:.3f} s", f"{plain_seconds / seconds:.0f}"))

    for before, part, label in (("stage6", "stage7", "last stage"), ("stage5", "stage6", "last two stages")):
        names = list(net.parts())
        trained = set(names[names.index(part) :])

        def plain_last(trained: set[str] = trained) -> None:
            plain = plain_class(12, 6)
            wanted = tuple(f"stage_list.{int(name[5:]) - 1}" for name in trained if name != "head")
            for name, parameter in plain.named_parameters():
                parameter.requires_grad_(name.startswith(("dense", *wanted)))
            optimizer = torch.optim.Adam([p for p in plain.parameters() if p.requires_grad])
            for rows_ in batches():
                training_step(plain, x[rows_], y[rows_], optimizer, bf16=False)()

        activations = stored(net, before, bf16=True)
        train_from(net, part, activations[:64], bf16=True, epochs=1)  # warm-up
        one_epoch = timed(plain_last)
        ours_epoch = timed(lambda part=part, activations=activations: train_from(net, part, activations, True, 1))
        rows.append((f"an epoch of the {label}", "plain: full forward pass", f"{one_epoch:.2f} s", "1.00"))
        rows.append(
            ("", "ours: from stored activations, bfloat16", f"{ours_epoch:.2f} s", f"{one_epoch / ours_epoch:.1f}")
        )
    return rows


def data_rows(recordings: int, rounds: int, folder: Path) -> Rows:
    """Reading and filtering every time against building the store once and reading from it (benchmarks/store.py)."""
    # In a process of its own, since the processes that build import again whatever program starts them
    figures = folder / "build.json"
    command = ["-m", "benchmarks.store", "build", "--recordings", str(recordings), "--rounds", str(rounds)]
    root = Path(__file__).resolve().parents[1]
    subprocess.run([sys.executable, *command, "--json", str(figures)], cwd=root, check=True, capture_output=True)
    found = json.loads(figures.read_text())
    stored = made_up_store(folder / "deliver", recordings, sparse=False)
    order = np.random.default_rng(0)
    batches = [order.choice(recordings, size=32, replace=False) for _ in range(100)]

    def deliver() -> None:
        for batch in batches:
            torch.from_numpy(stored.read(batch))

    read = in_turns({"read": deliver}, rounds)["read"]
    plain_seconds = found["plain loop"]
    ways = {
        "plain: wfdb and scipy, one process": plain_seconds,
        "ours: building the store, 2 processes, their start included": found["store, 2 processes"],
        "ours: every later epoch, from the store": read / (32 * len(batches)),
    }
    return [
        (
            f"a recording of {recordings}, read and filtered" if not number else "",
            name,
            f"{seconds * 1e3:.3g} ms",
            f"{plain_seconds / seconds:.3g}",
        )
        for number, (name, seconds) in enumerate(ways.items())
    ]


def ceiling_rows(rounds: int) -> Rows:
    """Products of large square matrices, and the recordings a second that they would mean for the full network."""
    rows: Rows = []
    for name, dtype in (("float32", torch.float32), ("bfloat16", torch.bfloat16)):
        a, b = torch.randn(2048, 2048).to(dtype), torch.randn(2048, 2048).to(dtype)
        seconds = in_turns({name: lambda a=a, b=b: [a @ b for _ in range(5)]}, rounds)[name]
        rate = 5 * 2 * 2048**3 / seconds
        rows.append(("matrix products" if not rows else "", name, f"{rate / 1e9:.0f} GFLOP/s", ""))
        work = f"forward at most {rate / FORWARD_FLOP:.0f}/s, training {rate / FORWARD_FLOP / 3:.0f}/s"
        rows.append(("", f"the full network at that rate, {name}", work, ""))
    return rows


def start_rows(rounds: int) -> Rows:
    def run(*arguments: str) -> Callable[[], object]:
        return lambda: subprocess.run([sys.executable, *arguments], capture_output=True, check=False)

    root = Path(__file__).resolve().parents[1]
    seconds = in_turns(
        {
            "the imports of a run": run("-c", "import ecgfounder_ft.experiment"),
            "ecgfounder-ft --help": run("-m", "ecgfounder_ft.cli", "--help"),
            "train.py --help": run(str(root / "train.py"), "--help"),
            "a refused configuration": run(str(root / "train.py"), "optimizer.lrr=1"),
        },
        rounds,
    )
    first = seconds["the imports of a run"]
    return [
        ("start" if not n else "", name, f"{s:.2f} s", f"{first / s:.1f}")
        for n, (name, s) in enumerate(seconds.items())
    ]


def reference_class(path: Path | None) -> type[nn.Module]:
    if path is None:
        return PlainNet1D
    spec = importlib.util.spec_from_file_location("reference_net1d", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module.Net1D


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--short", action="store_true", help="fewer rounds, recordings and epochs")
    parser.add_argument("--write", action="store_true", help="put the table into benchmarks/RESULTS.md")
    parser.add_argument("--reference", type=Path, help="a file that defines Net1D, in place of the plain one")
    options = parser.parse_args()
    plain_class = reference_class(options.reference)
    rounds, to_store, to_probe, epochs = (3, 600, 96, 3) if options.short else (5, 2000, 1200, 20)
    rows: Rows = []
    with tempfile.TemporaryDirectory() as folder, Console(stderr=True).status("measuring") as status:
        for name, measure in (
            ("start", lambda: start_rows(rounds)),
            ("data", lambda: data_rows(to_store, 1 if options.short else 3, Path(folder))),
            ("ceilings", lambda: ceiling_rows(rounds)),
            ("network", lambda: network_rows(plain_class, 32, rounds)),
            ("frozen parts", lambda: frozen_rows(plain_class, to_probe, epochs)),
        ):
            status.update(f"measuring: {name}")
            found = measure()
            rows += found
            status.console.print(*(" | ".join(row) for row in found), sep="\n")
    lines = [machine.describe(), "", "| work | way | recordings/s or time | ratio |", "| --- | --- | --- | --- |"]
    table = "\n".join([*lines, *(f"| {' | '.join(row)} |" for row in rows)])
    print(table)
    if options.write:
        before, rest = RESULTS.read_text(encoding="utf-8").split(BEGIN)
        after = rest.split(END)[1]
        RESULTS.write_text(f"{before}{BEGIN}\n{table}\n{END}{after}", encoding="utf-8")


if __name__ == "__main__":
    main()
