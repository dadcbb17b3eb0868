"""Training and inference on one device: recordings per second, beside what the device could reach at best.

    python benchmarks/device.py --device cuda                # batches of 32 and 256; the full network
    python benchmarks/device.py --device cpu --batches 8 --architecture configs/model/architecture/slim.yaml

First counted, not measured: the operations of a recording (torch's own counter for the forward pass; training is taken
as three times that) and the bytes that each operator reads and writes, with every intermediate result going to memory
and back, as it does without fusion. Then measured: the rate of large matrix products and of copies on this device. The
longer of the two least times is the roofline that the measured time is held against. Last, the profiler's ten most
expensive kernels.

The earlier tool's typical job, 6 x 1,000 recordings and 50 epochs, end to end:

    time python train.py data=simulated data.root=outputs/job data.recordings_per_condition=1000 \\
        data.max_samples=null data.batch_size=auto model.weights=null trainer.max_epochs=50 \\
        callbacks.early_stopping.patience=50
"""

import argparse
import statistics
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.profiler import ProfilerActivity, profile
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves
from torch.utils.flop_counter import FlopCounterMode

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
from benchmarks import machine
from benchmarks.plain_net1d import PlainNet1D
from ecgfounder_ft.config.pretraining import sizes_in
from ecgfounder_ft.model.bfloat16 import has_bfloat16
from ecgfounder_ft.model.ecgfounder.net1d import Net1D

VIEWS = (
    "view",
    "transpose",
    "t.",
    "permute",
    "unsqueeze",
    "squeeze",
    "expand",
    "detach",
    "slice",
    "select",
    "split",
    "as_strided",
)


@dataclass
class Traffic(TorchDispatchMode):
    """Sums the bytes that operators read and write; views cost nothing."""

    bytes: int = 0

    def __post_init__(self) -> None:
        super().__init__()

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        out = func(*args, **(kwargs or {}))
        name = str(func).removeprefix("aten.")
        if not name.lstrip("_").startswith(VIEWS):
            tensors = [leaf for leaf in tree_leaves((args, kwargs, out)) if isinstance(leaf, Tensor)]
            self.bytes += sum(tensor.numel() * tensor.element_size() for tensor in tensors)
        return out


def operations(forward: Callable[[], object]) -> int:
    """Floating-point operations of a forward pass; torch's counter overstates grouped convolutions' backward pass."""
    with FlopCounterMode(display=False) as flops:
        forward()
    return flops.get_total_flops()


def traffic(step: Callable[[], object]) -> int:
    """Bytes that the operators of a step read and write."""
    with Traffic() as found:
        step()
    return found.bytes


def synchronize(device: torch.device) -> None:
    if device.type == "cuda":
        torch.cuda.synchronize(device)


def seconds(run: Callable[[], object], device: torch.device, rounds: int) -> float:
    """Median of several rounds after two that warm up."""
    found = []
    for _ in range(rounds + 2):
        synchronize(device)
        begun = time.perf_counter()
        run()
        synchronize(device)
        found.append(time.perf_counter() - begun)
    return statistics.median(found[2:])


def product_rate(device: torch.device, dtype: torch.dtype, rounds: int) -> float:
    """FLOP/s of a large matrix product."""
    size = 8192 if device.type == "cuda" else 2048
    a, b = (torch.randn(size, size, device=device).to(dtype) for _ in range(2))
    return 2 * size**3 / seconds(lambda: a @ b, device, rounds)


def copy_rate(device: torch.device, rounds: int) -> float:
    """Bytes/s of a copy in memory, read and written."""
    a = torch.empty(2**30 if device.type == "cuda" else 2**27, dtype=torch.uint8, device=device)
    b = torch.empty_like(a)
    return 2 * a.numel() / seconds(lambda: b.copy_(a), device, rounds)


def steps(
    net: nn.Module, batch: int, device: torch.device, lower: torch.dtype | None, fused: bool
) -> dict[str, Callable]:
    """A training step and a forward pass."""
    x = torch.randn(batch, 12, 5000, device=device)
    y = torch.randint(0, 6, (batch,), device=device)
    kind = torch.optim.AdamW if fused else torch.optim.Adam
    optimizer = kind(net.parameters(), fused=fused)

    def autocast() -> torch.autocast:
        return torch.autocast(device.type, dtype=lower, enabled=lower is not None)

    def train() -> None:
        net.train()
        optimizer.zero_grad()
        with autocast():
            loss = nn.functional.cross_entropy(net(x).float(), y)
        loss.backward()
        optimizer.step()

    @torch.inference_mode()
    def infer() -> None:
        net.eval()
        with autocast():
            net(x)

    return {"training": train, "inference": infer}


def main() -> None:
    """Count, measure, print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu", choices=["cuda", "cpu"])
    parser.add_argument("--batches", type=int, nargs="+", default=[32, 256])
    parser.add_argument("--rounds", type=int, default=10)
    parser.add_argument("--compile", action="store_true", help="also compile the network, which takes a minute or two")
    parser.add_argument("--architecture", type=Path, default=Path("configs/model/architecture/full.yaml"))
    options = parser.parse_args()
    device = torch.device(options.device)
    architecture = sizes_in(options.architecture)
    on_gpu = device.type == "cuda"
    print(f"{machine.describe()}\n")
    rates = {
        "float32": product_rate(device, torch.float32, options.rounds),
    }
    lower_too = has_bfloat16(device.type)
    if lower_too:
        rates["bfloat16"] = product_rate(device, torch.bfloat16, options.rounds)
    else:
        print("bfloat16 is left out: this device has no instructions for it\n")
    if on_gpu:
        torch.set_float32_matmul_precision("high")
        rates["TF32"] = product_rate(device, torch.float32, options.rounds)
        torch.set_float32_matmul_precision("highest")
    bandwidth = copy_rate(device, options.rounds)
    products = ", ".join(f"{name} {rate / 1e12:.2f} TFLOP/s" for name, rate in rates.items())
    print(f"matrix products: {products}; copies: {bandwidth / 1e9:.0f} GB/s\n")

    def plain() -> nn.Module:
        sizes = {name: value for name, value in architecture.items() if name != "ratio"}  # 1 in all of ours
        return PlainNet1D(12, 6, **sizes).to(device)

    def ours() -> nn.Module:
        return Net1D(12, 6, **architecture).to(device)

    ways: dict[str, tuple[Callable[[], nn.Module], torch.dtype | None, bool, bool]] = {
        "plain, float32, Adam": (plain, None, False, False),
        "ours, float32, fused AdamW": (ours, None, True, False),
    }
    if on_gpu:
        ways["ours, TF32, fused AdamW"] = (ours, None, True, True)
    if lower_too:
        ways["ours, bfloat16, fused AdamW"] = (ours, torch.bfloat16, True, False)
    if options.compile and lower_too:
        ways["ours, bfloat16, compiled"] = (lambda: torch.compile(ours()), torch.bfloat16, True, False)  # type: ignore[return-value, unused-ignore]
    print("| work | way | recordings/s | ratio | of the roofline |\n| --- | --- | ---: | ---: | ---: |")
    for batch in options.batches:
        base: dict[str, float] = {}
        for name, (build, lower, fused, tf32) in ways.items():
            torch.set_float32_matmul_precision("high" if tf32 else "highest")
            torch.backends.cudnn.allow_tf32 = tf32
            net = build()
            both = steps(net, batch, device, lower, fused)
            for work, step in both.items():
                taken = seconds(step, device, options.rounds)
                base.setdefault(work, taken)
                share = ""
                if "compiled" not in name:
                    flop = operations(both["inference"]) * (3 if work == "training" else 1)
                    moved = traffic(step)
                    least = max(flop / rates["bfloat16" if lower else "TF32" if tf32 else "float32"], moved / bandwidth)
                    share = f"{least / taken:.0%} ({flop / batch / 1e9:.2f} GFLOP, {moved / batch / 1e6:.0f} MB each)"
                row = (f"{work}, batch {batch}", name, f"{batch / taken:,.1f}", f"{base[work] / taken:.2f}", share)
                print(f"| {' | '.join(row)} |", flush=True)
    net = ours()
    step = steps(net, options.batches[0], device, torch.bfloat16 if lower_too else None, True)["training"]
    step()
    activities = [ProfilerActivity.CPU, *([ProfilerActivity.CUDA] if on_gpu else [])]
    with profile(activities=activities) as profiler:
        step()
        synchronize(device)
    key = "self_cuda_time_total" if on_gpu else "self_cpu_time_total"
    print("\n" + profiler.key_averages().table(sort_by=key, row_limit=10, max_name_column_width=60))


if __name__ == "__main__":
    main()
