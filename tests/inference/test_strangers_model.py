"""An exported model of a stranger, whose digests fit: what means nothing, never ends or hides something is refused."""

import hashlib
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
import safetensors.numpy

from ecgfounder_ft.inference.exported_model import (
    CONFIG,
    ONNX,
    SAFETENSORS,
    ExportedModelError,
    read_exported_model,
)
from ecgfounder_ft.untrusted.errors import WeightsError
from tests.inference.test_exported_model import edit, folder, load

__all__ = ["folder"]


def signed(folder: Path, name: str, content: bytes) -> None:
    """Write a file of the model, with the digests that belong to it."""
    (folder / name).write_bytes(content)
    described = {"sha256": hashlib.sha256(content).hexdigest(), "bytes": len(content)}
    edit(folder, lambda config: config["files"].update({name: described}), sign=True)


def recode(model: dict[str, Any], code: str) -> None:
    """Give the first condition another code."""
    conditions = model["label_map"]["conditions"]
    model["label_map"]["conditions"] = {code: conditions.pop("NORM"), **conditions}


def calibrate(model: dict[str, Any], method: str, **values: Any) -> None:
    codes = list(model["label_map"]["conditions"])
    model["calibration"] = {"method": method, "task": model["task"], "codes": codes, **values}


@pytest.mark.parametrize(
    ("change", "message"),
    [
        *[
            (
                lambda model, value=value: model.update(
                    thresholds=dict.fromkeys(model["label_map"]["conditions"], value)
                ),
                "the threshold of NORM is",
            )
            for value in (-1.0, 0.0, 2.0)
        ],
        (lambda model: calibrate(model, "temperature", temperature=1e308), "temperature hold 1e"),
        (lambda model: calibrate(model, "temperature", temperature=-1.0), "temperature hold -1"),
        (lambda model: calibrate(model, "platt", slopes=[-1.0] * 6, intercepts=[0.0] * 6), "slopes hold -1"),
        (lambda model: calibrate(model, "platt", slopes=[1.0] * 6, intercepts=[1e9] * 6), "intercepts hold 1e"),
        (lambda model: recode(model, ""), "is empty or cannot be printed"),
        (lambda model: recode(model, "A\u202eB"), "is empty or cannot be printed"),
        (lambda model: recode(model, "A\x9bB"), "is empty or cannot be printed"),
    ],
)
def test_a_record_that_means_nothing_is_refused(folder: Path, change: Callable[[Any], object], message: str) -> None:
    edit(folder, lambda content: change(content["model"]), sign=True)
    with pytest.raises(ExportedModelError, match=message):
        read_exported_model(folder)


@pytest.mark.parametrize("size", ["1e400", "-1", '"12"', "1.5", "true", "null", "NaN"])
def test_a_size_that_is_no_number_of_bytes_is_refused(folder: Path, size: str) -> None:
    edit(folder, lambda content: content["files"][ONNX].update(bytes="SIZE"), sign=True)
    text = (folder / CONFIG).read_text().replace('"SIZE"', size)
    (folder / CONFIG).write_text(text)
    if size in ("-1", '"12"', "1.5", "true", "null"):
        edit(folder, lambda content: None, sign=True)
    with pytest.raises(ExportedModelError, match="expected"):
        load(folder, "onnxruntime")


@pytest.mark.parametrize("name", [CONFIG, ONNX, SAFETENSORS])
@pytest.mark.parametrize("kind", ["pipe", "/dev/zero", "folder"])
def test_what_is_no_file_is_refused_without_reading_it(folder: Path, name: str, kind: str) -> None:
    (folder / name).unlink()
    if kind == "pipe":
        os.mkfifo(folder / name)
    elif kind == "folder":
        (folder / name).mkdir()
    else:
        (folder / name).symlink_to(kind)
    with pytest.raises(ExportedModelError, match=r"no regular file|cannot be read"):
        read_exported_model(folder).read(name)


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_weights_are_finite_in_every_form(folder: Path, value: float) -> None:
    state = safetensors.numpy.load((folder / SAFETENSORS).read_bytes())
    name = next(name for name, tensor in state.items() if tensor.ndim > 1)
    state[name] = state[name].copy()
    state[name].flat[3] = value
    signed(folder, SAFETENSORS, safetensors.numpy.save(state))
    with pytest.raises(WeightsError, match=f"NaN or infinity in {name}"):
        load(folder, "torch")
    model = onnx.load_from_string((folder / ONNX).read_bytes())
    weights = next(one for one in model.graph.initializer if len(one.dims) > 1 and one.data_type == 1)
    numbers = onnx.numpy_helper.to_array(weights).copy()
    numbers.flat[3] = value
    weights.CopyFrom(onnx.numpy_helper.from_array(numbers, weights.name))
    signed(folder, ONNX, model.SerializeToString())
    with pytest.raises(ExportedModelError, match="NaN or infinity in"):
        load(folder, "onnxruntime")


def _external(model: Any) -> None:
    tensor = model.graph.initializer[0]
    tensor.data_location = 1
    tensor.external_data.add(key="location", value="/etc/passwd")


def _control_flow(model: Any) -> None:
    inner = onnx.helper.make_graph([], "g", [], [])
    model.graph.node.append(onnx.helper.make_node("If", ["c"], ["x"], then_branch=inner, else_branch=inner))


def _other_domain(model: Any) -> None:
    model.graph.node.append(onnx.helper.make_node("Gelu", ["signals"], ["x"], domain="com.microsoft"))


def _strings(model: Any) -> None:
    model.graph.initializer.append(onnx.helper.make_tensor("s", onnx.TensorProto.STRING, [1], [b"x"]))


def _claims_more(model: Any) -> None:
    model.graph.initializer[0].dims[0] = 10**9


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (_external, "refers to data in another file"),
        (_control_flow, "control flow"),
        (_other_domain, "of 'com.microsoft'"),
        (_strings, "elements of the type 8"),
        (_claims_more, "claims"),
    ],
)
def test_a_graph_that_is_not_plain_is_refused_before_it_runs(
    folder: Path, change: Callable[[Any], None], message: str
) -> None:
    model = onnx.load_from_string((folder / ONNX).read_bytes())
    change(model)
    signed(folder, ONNX, model.SerializeToString())
    with pytest.raises(ExportedModelError, match=message):
        load(folder, "onnxruntime")


@pytest.mark.parametrize("content", [b"", b"\xff" * 40, b"\x3a\xff\xff\xff\xff\x0f", b"no onnx file at all"])
def test_damage_is_told(folder: Path, content: bytes) -> None:
    signed(folder, ONNX, content)
    with pytest.raises(ExportedModelError, match=r"model\.onnx: "):
        load(folder, "onnxruntime")


def _with_outputs(folder: Path, nodes: list[Any], constants: list[Any], widths: dict[str, int]) -> tuple[int, int]:
    """Write a graph with the outputs of a model; returns the shape of a recording."""
    helper, record = onnx.helper, read_exported_model(folder).record
    shape = (len(record.preprocessing.leads), record.preprocessing.samples)

    def values(name: str, *sizes: Any) -> Any:
        return helper.make_tensor_value_info(name, onnx.TensorProto.FLOAT, ["n", *sizes])

    outputs = [values(name, width) for name, width in widths.items()]
    graph = helper.make_graph(nodes, "g", [values("signals", *shape)], outputs, constants)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 20)], ir_version=10)
    signed(folder, ONNX, model.SerializeToString())
    return shape


def _table(name: str, rows: int, width: int) -> Any:
    return onnx.numpy_helper.from_array(np.zeros((rows, width), np.float32), name)


def test_an_answer_of_another_number_of_rows_is_refused(folder: Path) -> None:
    widths = {"logits": 6, "probabilities": 6, "embedding": 4}
    make = onnx.helper.make_node
    nodes = [make("ReduceSum", ["signals", "axes"], ["zero"], keepdims=1)]
    nodes += [make("Squeeze", ["zero", "last"], ["one"]), make("Concat", ["one", "one"], ["twice"], axis=0)]
    nodes += [make("MatMul", ["twice", f"{name}_"], [name]) for name in widths]
    constants = [_table(f"{name}_", 1, width) for name, width in widths.items()]
    constants += [onnx.numpy_helper.from_array(np.array(at, np.int64), name) for name, at in _AXES.items()]
    shape = _with_outputs(folder, nodes, constants, widths)
    with pytest.raises(ExportedModelError, match=r"for 3 recordings it gave logits of the shape \(6, 6\)"):
        load(folder, "onnxruntime").uncalibrated(np.zeros((3, *shape), np.float32))


_AXES = {"axes": [1, 2], "last": [2]}


def test_a_failure_of_onnx_runtime_is_told_in_words(folder: Path) -> None:
    widths = {"logits": 6, "probabilities": 6, "embedding": 4}
    make = onnx.helper.make_node
    nodes = [make("Reshape", ["signals", "shape"], ["flat"])]
    nodes += [make("MatMul", ["flat", f"{name}_"], [name]) for name in widths]
    constants = [_table(f"{name}_", 7, width) for name, width in widths.items()]
    constants.append(onnx.numpy_helper.from_array(np.array([-1, 7], np.int64), "shape"))
    shape = _with_outputs(folder, nodes, constants, widths)
    with pytest.raises(ExportedModelError, match="ONNX Runtime cannot compute it"):
        load(folder, "onnxruntime").uncalibrated(np.zeros((3, *shape), np.float32))
