"""What is refused of the folder of an exported model: whatever is not as it was exported."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from ecgfounder_ft.inference.exported_model import (
    CONFIG,
    FILES,
    ONNX,
    PTH,
    SAFETENSORS,
    ExportedModelError,
    digest_of_config,
    is_exported_model,
    read_exported_model,
)
from ecgfounder_ft.inference.loading import load_predictor
from ecgfounder_ft.inference.predictor import DeviceError, ModelFileError, Predictor
from ecgfounder_ft.model.errors import NetworkError
from ecgfounder_ft.targets import UntrustedTargetError
from ecgfounder_ft.untrusted.errors import WeightsError


@pytest.fixture
def folder(exported_run: Path, tmp_path: Path) -> Path:
    """A copy that may be spoilt."""
    return shutil.copytree(exported_run, tmp_path / "model")


def edit(folder: Path, change: Callable[[dict[str, Any]], object], *, sign: bool = False) -> None:
    """Change ``config.json``; with a digest that fits, as somebody who knows the format would."""
    content = json.loads((folder / CONFIG).read_text())
    change(content)
    if sign:
        content["sha256"] = digest_of_config(content)
    (folder / CONFIG).write_text(json.dumps(content))


def load(folder: Path, backend: str) -> Predictor:
    return load_predictor(folder, backend=backend, device="cpu")


@pytest.mark.parametrize(("name", "backend"), [(ONNX, "onnxruntime"), (SAFETENSORS, "torch")])
@pytest.mark.parametrize("place", [0, 0.5, 1])
def test_a_file_of_which_one_byte_was_changed_is_refused(folder: Path, name: str, backend: str, place: float) -> None:
    content = bytearray((folder / name).read_bytes())
    content[min(int(place * len(content)), len(content) - 1)] ^= 1
    (folder / name).write_bytes(content)
    with pytest.raises(ExportedModelError, match=rf"{name}: .* sha256 .* but config.json has"):
        load(folder, backend)


@pytest.mark.parametrize(("name", "backend"), [(ONNX, "onnxruntime"), (SAFETENSORS, "torch")])
def test_a_file_that_is_not_there_is_told(folder: Path, name: str, backend: str) -> None:
    (folder / name).unlink()
    with pytest.raises(ExportedModelError, match=f"{name}: cannot be read"):
        load(folder, backend)


@pytest.mark.parametrize(
    "change",
    [
        lambda content: content["model"]["label_map"].update(name="other"),
        lambda content: content["model"]["preprocessing"].update(scale=None),
        lambda content: content["id2label"].update({"0": "AFIB", "1": "NORM"}),
        lambda content: content["files"][ONNX].update(sha256="0" * 64),
        lambda content: content.update(notice="approved"),
        lambda content: content.pop("sha256"),
    ],
)
def test_an_edited_config_is_refused(folder: Path, change: Callable[[dict[str, Any]], object]) -> None:
    edit(folder, change)
    with pytest.raises(ExportedModelError, match=r"config.json: was changed after the export"):
        read_exported_model(folder)


def test_a_config_that_was_only_laid_out_anew_is_taken(folder: Path) -> None:
    edit(folder, lambda content: None)
    assert read_exported_model(folder).record.label_map.codes[0] == "NORM"


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda content: content["id2label"].update({"0": "AFIB", "1": "NORM"}), "which output is which condition"),
        (lambda content: content["id2label"].pop("0"), "no record of a model"),
        (lambda content: content["model"].pop("task"), "no record of a model"),
        (lambda content: content["model"].update(calibration={"method": "magic"}), "no record of a model"),
        (lambda content: content["model"].update(thresholds={"NORM": 0.5}), "no record of a model"),
        (lambda content: content["files"].update({"../x": {"sha256": "", "bytes": 0}}), r"names the file '\.\./x'"),
        (lambda content: content.update(format="ecgfounder-ft/exported-model/9"), "another version"),
    ],
)
def test_a_config_that_contradicts_itself_is_refused_though_its_digest_fits(
    folder: Path, change: Callable[[dict[str, Any]], object], message: str
) -> None:
    edit(folder, change, sign=True)
    with pytest.raises(ExportedModelError, match=message):
        read_exported_model(folder)


@pytest.mark.parametrize("content", [b"", b"{", b"[" * 100_000, b"\xff\xfe", b"[]", b'{"format": 1}'])
def test_what_is_no_config_is_refused(folder: Path, content: bytes) -> None:
    (folder / CONFIG).write_bytes(content)
    with pytest.raises(ExportedModelError, match=r"config\.json: "):
        read_exported_model(folder)


def test_files_of_two_models_do_not_pass_for_one(folder: Path) -> None:
    """Signed anew, but the network has another number of leads."""

    def three_leads(content: dict[str, Any]) -> None:
        content["model"]["preprocessing"]["leads"] = ["I", "II", "V1"]
        content["model"]["architecture"]["in_channels"] = 3

    edit(folder, three_leads, sign=True)
    with pytest.raises(
        ExportedModelError, match=r"signals has the shape \(12, 2000\) a recording, expected \(3, 2000\)"
    ):
        load(folder, "onnxruntime")
    with pytest.raises(WeightsError, match="not the weights of the network that it says it holds"):
        load(folder, "torch")


def test_a_file_of_another_size_is_refused_before_it_is_read(folder: Path) -> None:
    with (folder / ONNX).open("r+b") as stream:
        stream.truncate(2**40)  # takes no place on the disk
    with pytest.raises(ExportedModelError, match=r"model\.onnx: has 1,099,511,627,776 bytes, expected"):
        load(folder, "onnxruntime")


def test_implausible_shapes_are_refused_though_onnx_builds_nothing(folder: Path) -> None:
    edit(folder, lambda content: content["model"]["preprocessing"]["band_pass"].update(order=10**6), sign=True)
    with pytest.raises(NetworkError, match=r"config\.json: a band-pass of order 1000000"):
        load(folder, "onnxruntime")


def test_an_onnx_file_that_is_none_is_refused_in_words(folder: Path) -> None:
    import hashlib

    (folder / ONNX).write_bytes(b"not onnx")
    digest = hashlib.sha256(b"not onnx").hexdigest()
    edit(folder, lambda content: content["files"][ONNX].update(sha256=digest, bytes=8), sign=True)
    with pytest.raises(ExportedModelError, match=r"model\.onnx: refused: it is "):
        load(folder, "onnxruntime")


def test_nothing_that_a_folder_names_is_run(folder: Path, tmp_path: Path) -> None:
    """A network of another class needs the user's word in torch; ONNX builds none."""
    edit(folder, lambda content: content["model"]["architecture"].update(_target_="os.system"), sign=True)
    with pytest.raises(UntrustedTargetError, match=r"os\.system"):
        load(folder, "torch")
    assert load(folder, "onnxruntime").backend == "onnxruntime"


def test_a_network_that_is_implausibly_large_is_refused_before_it_is_built(folder: Path) -> None:
    edit(folder, lambda content: content["model"]["architecture"].update(base_filters=10**9), sign=True)
    with pytest.raises(NetworkError, match="no number up to"):
        load(folder, "torch")


def test_other_folders_are_told_apart(folder: Path, finished_run: Path, tmp_path: Path) -> None:
    assert is_exported_model(folder)
    assert not is_exported_model(finished_run)
    with pytest.raises(ExportedModelError, match="no such file"):
        read_exported_model(finished_run)
    with pytest.raises(ModelFileError, match="no such file or folder, and no name"):
        load_predictor(tmp_path / "none")
    with pytest.raises(ModelFileError, match="has no revisions"):
        load_predictor(folder, revision="main")
    with pytest.raises(DeviceError, match="export the run first"):
        load_predictor(finished_run, backend="onnxruntime")
    with pytest.raises(DeviceError, match="backend is 'tensorrt'"):
        load_predictor(folder, backend="tensorrt")
    with pytest.raises(DeviceError, match="take backend=torch"):
        load_predictor(folder, backend="onnxruntime", bf16=True)


def test_every_file_is_named_with_its_digest(exported_run: Path) -> None:
    assert {path.name for path in exported_run.iterdir()} == set(FILES)
    found = read_exported_model(exported_run)
    for name in (SAFETENSORS, ONNX, PTH):
        assert found.read(name) == (exported_run / name).read_bytes()
    assert "no medical device" in found.content["notice"]
