"""A model from wherever it is: a run, a file of it, an exported model, or the Hugging Face Hub.

An exported model is computed by ONNX Runtime on a processor, where that is faster (benchmarks/RESULTS.md) and needs no
torch, and by PyTorch on a GPU. Both give the same answers.
"""

from __future__ import annotations

import importlib.util
from collections.abc import Collection
from pathlib import Path

from ecgfounder_ft.errors import how_to_install
from ecgfounder_ft.inference.exported_model import (
    ONNX,
    SAFETENSORS,
    ExportedModel,
    ExportedModelError,
    is_exported_model,
    read_exported_model,
)
from ecgfounder_ft.inference.hub import download, download_config, is_repository
from ecgfounder_ft.inference.predictor import DeviceError, ModelFileError, Predictor
from ecgfounder_ft.model.pretrained import weights_files

BACKENDS = ("auto", "onnxruntime", "torch")


def load_predictor(
    source: str | Path,
    *,
    device: str = "auto",
    backend: str = "auto",
    bf16: bool = False,
    trusted: Collection[str] = (),
    revision: str | None = None,
    lead: str | None = None,
) -> Predictor:
    """Load a model. No code from any of its files is run.

    ``auto`` is CUDA where there is one. As a backend it is torch on a GPU and for a run, else ONNX Runtime.

    Args:
        source: the folder of a run or of an exported model, a ``model.pth`` or checkpoint, a pretrained file by its
            name (``12_lead_ECGFounder``), path or repository, or a repository of an exported model on the Hub
            (``group/name``). A path that exists comes first.

        device: ``cpu``, ``cuda`` or ``auto``.
        backend: ``onnxruntime``, ``torch`` or ``auto``.
        bf16: compute in bfloat16, with torch.

        trusted: dotted names of networks of the user's own that torch may build.
        revision: branch, tag or commit of a repository on the Hub.
        lead: of a pretrained file that reads one lead, the lead that it is given.

    Raises:
        ModelFileError: if there is no such model.
        ExportedModelError: if an exported model is damaged or was changed.
        HubError: if the Hub does not serve it and it is not in the cache.
        DeviceError: if device or backend is unknown or not there.
        UntrustedTargetError: if torch would have to build a network that is neither ours nor trusted.
    """
    if backend not in BACKENDS:
        raise DeviceError(f"backend is {backend!r}, expected one of: {', '.join(BACKENDS)}")
    path = Path(source)
    if lead is not None or not path.exists():
        name = pretrained_name(str(source))
        if name is not None or lead is not None:
            return _pretrained(name or path, lead, device, backend, bf16)
    if path.exists():
        if revision is not None:
            raise ModelFileError(f"{path} is on this disk and has no revisions; leave out the revision {revision!r}")
        if not (path.is_dir() and is_exported_model(path)):
            return _of_a_run(path, device, backend, bf16, trusted)
        exported = read_exported_model(path)
        chosen = _backend_for(exported, device, backend, bf16)
    elif is_repository(str(source)):
        exported = read_exported_model(download_config(str(source), revision))
        chosen = _backend_for(exported, device, backend, bf16)
        download(str(source), exported, [ONNX if chosen == "onnxruntime" else SAFETENSORS])
    else:
        raise ModelFileError(
            f"{path}: no such file or folder, and no name of a repository on the Hub (group/name); expected a run's "
            "folder, its model.pth, the folder of an exported model, such a name, or a pretrained file: "
            f"{', '.join(weights_files())}"
        )
    if chosen == "onnxruntime":
        from ecgfounder_ft.inference.onnx_model import load_onnx_model

        return load_onnx_model(exported)
    from ecgfounder_ft.inference.finished_model import load_safetensors

    return load_safetensors(exported, device, bf16, trusted)


def pretrained_name(source: str) -> str | None:
    """Return the name of a pretrained file that a text means: its name, or a repository that holds it; else None."""
    for name, (_, file) in weights_files().items():
        if source.removesuffix(".pth") == name or source == file.repository:
            return name
    return None


def pretrained_source(source: Path) -> str | None:
    """Return the name or path of the pretrained file that an argument means; None for a run, or a file of one."""
    if source.is_file():
        return str(source) if source.stem in weights_files() else None
    return None if source.exists() else pretrained_name(str(source))


def _pretrained(source: str | Path, lead: str | None, device: str, backend: str, bf16: bool) -> Predictor:
    if backend == "onnxruntime" or not _installed("torch"):
        raise DeviceError(
            f"{source}: is loaded by torch; for ONNX Runtime export it first: ecgfounder-ft export {source}"
        )
    from ecgfounder_ft.inference.finished_model import FinishedModel, place_for
    from ecgfounder_ft.inference.published import load_pretrained

    place = place_for(device, bf16)
    net, record = load_pretrained(source, lead)
    return FinishedModel(net.to(place), record, bf16)


def _of_a_run(path: Path, device: str, backend: str, bf16: bool, trusted: Collection[str]) -> Predictor:
    if backend == "onnxruntime":
        raise DeviceError(
            f"{path}: ONNX Runtime takes exported models alone; export the run first: ecgfounder-ft export"
        )
    if not _installed("torch"):
        raise ModelFileError(
            f"{path}: is no exported model, and anything else is loaded by torch, which is not installed: "
            f"{how_to_install('train')}; or export the run where it was trained: ecgfounder-ft export"
        )
    from ecgfounder_ft.inference.finished_model import load_model

    return load_model(path, device, bf16, trusted)


def _backend_for(exported: ExportedModel, device: str, backend: str, bf16: bool) -> str:
    """``onnxruntime`` or ``torch``."""
    needs_torch = device == "cuda" or bf16
    asked = f"device={device}" if device == "cuda" else "bf16"
    if backend == "onnxruntime" and needs_torch:
        raise DeviceError(f"ONNX Runtime computes in float32 on the processor here; for {asked}, take backend=torch")
    if (backend == "torch" or needs_torch) and not _installed("torch"):
        raise DeviceError(f"{'backend=torch' if backend == 'torch' else asked} needs torch: {how_to_install('train')}")
    if backend != "auto":
        chosen = backend
    else:
        chosen = "torch" if needs_torch or (device == "auto" and _cuda_is_there()) else "onnxruntime"
    if chosen == "onnxruntime" and ONNX not in exported.content["files"]:
        if backend == "onnxruntime" or not _installed("torch"):
            raise ExportedModelError(f"{exported.folder}: was exported without {ONNX}; export again, or install torch")
        return "torch"
    return chosen


def _cuda_is_there() -> bool:
    if not _installed("torch"):
        return False
    import torch

    return torch.cuda.is_available()


def _installed(package: str) -> bool:
    return importlib.util.find_spec(package) is not None
