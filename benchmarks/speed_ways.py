"""The ways that speed.py measures: the plain ones and ours, each made in the process that runs it."""

import importlib.util
import time
from collections.abc import Callable, Iterable
from functools import partial
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from torch import Tensor, nn

from benchmarks.plain_net1d import PlainNet1D
from ecgfounder_ft.ecg.preprocessing import Preprocessing
from ecgfounder_ft.memory import keep_freed_memory
from ecgfounder_ft.model.ecgfounder.net1d import Net1D

PRODUCT_SIZE, PRODUCTS = 2048, 5
PRODUCT_FLOP = PRODUCTS * 2 * PRODUCT_SIZE**3
"""Of a call of what :func:`products` makes."""


def reference_class(path: Path | None) -> type[nn.Module]:
    if path is None:
        return PlainNet1D
    spec = importlib.util.spec_from_file_location("reference_net1d", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module.Net1D


def require_equal_outputs(reference: Path | None) -> None:
    plain, ours = plain_net(reference), Net1D(12, 6)
    ours.load_state_dict({key: value for key, value in plain.state_dict().items() if key in ours.state_dict()})
    x = random_batch(4)[0]
    with torch.inference_mode():
        difference = (plain.eval()(x) - ours.eval()(x)).abs().max().item()
    assert difference < 1e-5, f"the two networks differ by {difference}"


def products(dtype: str) -> Callable[[], object]:
    a, b = (torch.randn(PRODUCT_SIZE, PRODUCT_SIZE).to(getattr(torch, dtype)) for _ in range(2))
    return lambda: [a @ b for _ in range(PRODUCTS)]


def plain_net(reference: Path | None) -> nn.Module:
    return reference_class(reference)(12, 6)


def our_net() -> Net1D:
    """And this process works as a run does."""
    keep_freed_memory()
    return Net1D(12, 6)


def step_of(
    net: nn.Module, optimizer: torch.optim.Optimizer, bf16: bool, run: Callable[[Tensor], Tensor] | None = None
) -> Callable[[Tensor, Tensor], None]:
    def step(x: Tensor, y: Tensor) -> None:
        optimizer.zero_grad(set_to_none=True)
        with torch.autocast("cpu", dtype=torch.bfloat16, enabled=bf16):
            loss = nn.functional.cross_entropy((run or net)(x).float(), y)
        loss.backward()
        optimizer.step()

    return step


def random_batch(recordings: int) -> tuple[Tensor, Tensor]:
    torch.manual_seed(0)
    return torch.randn(recordings, 12, 5000), torch.randint(0, 6, (recordings,))


def plain_training(reference: Path | None, batch: int) -> Callable[[], None]:
    net = plain_net(reference)
    step = step_of(net, torch.optim.Adam(net.parameters()), bf16=False)
    return partial(step, *random_batch(batch))


def our_training(batch: int, bf16: bool) -> Callable[[], None]:
    net = our_net()
    step = step_of(net, torch.optim.AdamW(net.parameters(), fused=True), bf16)
    return partial(step, *random_batch(batch))


def forward(net: nn.Module, x: Tensor, bf16: bool) -> Callable[[], Tensor]:
    @torch.inference_mode()
    def run() -> Tensor:
        with torch.autocast("cpu", dtype=torch.bfloat16, enabled=bf16):
            return net(x)

    return run


def plain_inference(reference: Path | None, batch: int) -> Callable[[], Tensor]:
    return forward(plain_net(reference).eval(), random_batch(batch)[0], bf16=False)


def our_inference(batch: int, bf16: bool) -> Callable[[], Tensor]:
    return forward(our_net().eval(), random_batch(batch)[0], bf16)


def plain_probe(reference: Path | None, table: pd.DataFrame, epochs: int) -> tuple[float, float]:
    """Seconds of reading and filtering, and of the network: both for every recording in every epoch."""
    from benchmarks.plain_preprocessing import read_and_filter

    net = plain_net(reference)
    trained = freeze_all_but(net, ("dense",))
    step = step_of(net, torch.optim.Adam(trained), bf16=False)
    y = random_batch(len(table))[1]
    step(torch.zeros(2, 12, 5000), y[:2])  # what torch imports at a first step does not count
    reading = computing = 0.0
    for _ in range(epochs):
        for rows in torch.randperm(len(table)).split(32):
            begun = time.perf_counter()
            x = torch.from_numpy(np.stack([read_and_filter(Path(table["path"][row])) for row in rows.tolist()]))
            read = time.perf_counter()
            step(x, y[rows])
            reading += read - begun
            computing += time.perf_counter() - read
    return reading, computing


def our_probe(table: pd.DataFrame, folder: Path, epochs: int, bf16: bool) -> tuple[float, float, float, float]:
    """Seconds of building the store, of the embeddings, and of training on them for the first and a second time."""
    from ecgfounder_ft.data.store.signal_store import build_store

    net = our_net()
    y = random_batch(len(table))[1]
    train_from(net, "head", torch.zeros(2, net.dense.in_features), y, bf16=False, epochs=1)
    begun = time.perf_counter()
    signals = build_store(table, Preprocessing(), folder, workers=2, progress=False)
    built = time.perf_counter()
    batches = (torch.from_numpy(signals.read(rows.numpy())) for rows in torch.arange(len(table)).split(32))
    embeddings = stored(net, "stage7", batches, bf16)
    embedded = time.perf_counter()
    train_from(net, "head", embeddings, y, bf16=False, epochs=epochs)
    trained = time.perf_counter()
    train_from(net, "head", embeddings, y, bf16=False, epochs=epochs)
    return built - begun, embedded - built, trained - embedded, time.perf_counter() - trained


def plain_last(reference: Path | None, recordings: int, trained: tuple[str, ...]) -> float:
    """Seconds of an epoch that trains some modules and computes all."""
    net = plain_net(reference)
    step = step_of(net, torch.optim.Adam(freeze_all_but(net, trained)), bf16=False)
    x, y = random_batch(recordings)
    seconds_of_epoch(step, x[:64], y[:64])  # warm-up
    return seconds_of_epoch(step, x, y)


def our_last(recordings: int, before: str, part: str, bf16: bool) -> float:
    """Seconds of an epoch from stored outputs of the part before."""
    net = our_net()
    x, y = random_batch(recordings)
    activations = stored(net, before, x.split(32), bf16)
    train_from(net, part, activations[:64], y, bf16, epochs=1)  # warm-up
    begun = time.perf_counter()
    train_from(net, part, activations, y, bf16, epochs=1)
    return time.perf_counter() - begun


def freeze_all_but(net: nn.Module, names: tuple[str, ...]) -> list[nn.Parameter]:
    """Returns the parameters that train."""
    for name, parameter in net.named_parameters():
        parameter.requires_grad_(name.startswith(names))
    return [parameter for parameter in net.parameters() if parameter.requires_grad]


def stored(net: Net1D, last: str, batches: Iterable[Tensor], bf16: bool) -> Tensor:
    with torch.inference_mode(), torch.autocast("cpu", dtype=torch.bfloat16, enabled=bf16):
        return torch.cat([net.run_until(last, part).float() for part in batches])


def train_from(net: Net1D, part: str, values: Tensor, y: Tensor, bf16: bool, epochs: int) -> None:
    names = list(net.parts())
    trained = [p for name in names[names.index(part) :] for p in net.parts()[name].parameters()]
    step = step_of(net, torch.optim.AdamW(trained, fused=True), bf16, run=partial(net.run_from, part))
    for _ in range(epochs):
        for rows in torch.randperm(len(values)).split(32):
            step(values[rows], y[rows])


def seconds_of_epoch(step: Callable[[Tensor, Tensor], None], x: Tensor, y: Tensor) -> float:
    begun = time.perf_counter()
    for rows in torch.randperm(len(x)).split(32):
        step(x[rows], y[rows])
    return time.perf_counter() - begun
