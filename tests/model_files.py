"""Model files as nobody should trust them: one small model that is whole, and some ninety that are not."""

import functools
import io
import os
import pickle
import struct
import zipfile
from collections import OrderedDict
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch

from ecgfounder_ft.inference.finished_model import FinishedModel, save_model
from ecgfounder_ft.labels import LabelMap
from ecgfounder_ft.model.record import RECORD_KEY
from ecgfounder_ft.task import MULTI_LABEL
from ecgfounder_ft.untrusted.weights import write_checkpoint
from tests.small_training import small_classifier

Content = dict[str, Any]

OPERATIONS = ("os system", "builtins eval", "builtins exec", "builtins getattr", "subprocess Popen", "shutil rmtree")


def small_model(label_map: LabelMap) -> FinishedModel:
    """A model of three stages with calibration and thresholds."""
    classifier = small_classifier(label_map)
    classifier.record.task = MULTI_LABEL
    classifier.record.thresholds = dict.fromkeys(label_map.codes, 0.5)
    codes = list(label_map.codes)
    ones, zeros = [1.0] * len(codes), [0.0] * len(codes)
    classifier.record.calibration = {
        "method": "platt", "task": "multi_label", "codes": codes, "slopes": ones, "intercepts": zeros,
    }  # fmt: skip
    return FinishedModel(classifier.net.eval(), classifier.record)


def content_of(model: FinishedModel) -> Content:
    """What stands in a model's file, to be changed."""
    state = {key: value.detach().clone() for key, value in model.net.state_dict().items()}
    return {"state_dict": state, RECORD_KEY: model.record.to_dict()}


def bad_files(model: FinishedModel, folder: Path, marker: Path) -> dict[str, Path]:
    """Name to file. Those with code in them would make ``marker``."""
    folder.mkdir(parents=True, exist_ok=True)
    whole = folder / "whole.pth"
    save_model(model, whole)
    made = {}
    makers = {**_bytes_wrong(whole, marker), **_archives_wrong(whole), **_content_wrong(model), **_places_wrong(whole)}
    for name, make in makers.items():
        made[name] = folder / f"{name.replace(' ', '-')}.pth"
        make(made[name])
    whole.unlink()
    return made


Maker = Callable[[Path], object]


class _Touches:
    """Code in a pickle."""

    def __init__(self, marker: Path) -> None:
        self.marker = marker

    def __reduce__(self) -> tuple[Any, ...]:
        return Path.touch, (self.marker,)


def _bytes_wrong(whole: Path, marker: Path) -> dict[str, Maker]:
    content = whole.read_bytes()
    size = len(content)
    writes: dict[str, bytes] = {
        "empty": b"",
        "one byte": b"P",
        "text": b"<html>404 Not Found</html>" * 100,
        "zeros": bytes(size),
        "only the magic number": b"PK\x03\x04",
        "half": content[: size // 2],
        "without its last byte": content[:-1],
        "without its digest": content[:-85],
        "without its end": content[:-200],
        "without its beginning": content[100:],
        "twice": content * 2,
        "with a tail": content + b"tail",
        "with a head": b"head" + content,
        "another digest": content[:-64] + b"0" * 64,
        "zeros in the middle": content[: size // 2] + bytes(4000) + content[size // 2 + 4000 :],
        "code alone": pickle.dumps(_Touches(marker)),
        "code alone by torch": _by_torch({"state_dict": _Touches(marker)}),
        "code beside": _by_torch({"state_dict": {"a": torch.zeros(1)}, "extra": _Touches(marker)}),
        "code in a legacy file": _by_torch({"state_dict": _Touches(marker)}, legacy=True),
        "recursion": b"\x80\x02" + b"]" * 100_000 + b"a" * 99_999 + b".",
        "a pickle without end": b"\x80\x02" + b"(" * 1000,
        "pickle of protocol 5": pickle.dumps({"state_dict": {}}, protocol=5),
        "a claim of 8 EB": b"\x80\x04\x8e" + struct.pack("<Q", 2**63 - 1) + b".",
        "memo at four thousand million": b"\x80\x02Nr\xff\xff\xff\xff.",
        "legacy with nothing behind": pickle.dumps(0x1950A86A20F9469CFC6C, protocol=2),
    }
    for number, name in enumerate(OPERATIONS):
        module, function = name.split()
        code = b"\x80\x02c" + module.encode() + b"\n" + function.encode() + b"\nX\x04\x00\x00\x00true\x85R."
        writes[f"operation {number}"] = code
    return {name: functools.partial(_write, content=data) for name, data in writes.items()}


def _write(path: Path, content: bytes) -> None:
    path.write_bytes(content)


def _by_torch(content: Any, legacy: bool = False) -> bytes:
    stream = io.BytesIO()
    torch.save(content, stream, _use_new_zipfile_serialization=not legacy)
    return stream.getvalue()


def _archives_wrong(whole: Path) -> dict[str, Maker]:
    with zipfile.ZipFile(whole) as archive:
        records = {record.filename: archive.read(record) for record in archive.infolist()}
    root = next(iter(records)).partition("/")[0]
    pickled = f"{root}/data.pkl"

    def archive_of(content: dict[str, bytes], compression: int = zipfile.ZIP_STORED) -> Maker:
        def write(path: Path) -> None:
            with zipfile.ZipFile(path, "w", compression) as out:
                for name, data in content.items():
                    out.writestr(name, data)

        return write

    def pickle_replaced(old: bytes, new: bytes) -> Maker:
        assert old in records[pickled]
        return archive_of({**records, pickled: records[pickled].replace(old, new)})

    def twice(path: Path) -> None:
        archive_of(records)(path)
        with zipfile.ZipFile(path, "a") as out:
            out.writestr(pickled.upper(), b"\x80\x02N.")

    return {
        "zip bomb": archive_of({**records, f"{root}/data/0": bytes(2**28)}, zipfile.ZIP_DEFLATED),
        "compressed": archive_of(records, zipfile.ZIP_DEFLATED),
        "a zip of something else": archive_of({"a.txt": b"text"}),
        "an empty zip": archive_of({}),
        "no pickle in it": archive_of({name: data for name, data in records.items() if name != pickled}),
        "two roots": archive_of({**records, "other/data.pkl": records[pickled]}),
        "two pickles": twice,
        "no tensors in it": archive_of({name: data for name, data in records.items() if "/data/" not in name}),
        "shorter tensors": archive_of({name: data[:8] if "/data/" in name else data for name, data in records.items()}),
        "a path out of it": archive_of({**records, "../../out": b"x"}),
        "many records": archive_of({**records, **{f"{root}/data/x{n}": b"" for n in range(100_001)}}),
        "an empty pickle": archive_of({**records, pickled: b""}),
        "half a pickle": archive_of({**records, pickled: records[pickled][: len(records[pickled]) // 2]}),
        "a huge pickle": archive_of({**records, pickled: b"\x80\x02" + b"N0" * 2**23 + b"N."}),
        "a function of torch": pickle_replaced(b"ctorch._utils\n_rebuild_tensor_v2", b"ctorch.hub\nload"),
        "a big array": pickle_replaced(b"ccollections\nOrderedDict", b"c__builtin__\nbytearray"),
        "another storage": pickle_replaced(b"ctorch\nFloatStorage", b"ctorch\nDoubleStorage"),
        "a storage of quantized numbers": pickle_replaced(b"ctorch\nFloatStorage", b"ctorch\nQInt8Storage"),
        "code of a class": pickle_replaced(b"ccollections\nOrderedDict", b"cposix\nsystem"),
    }


def _content_wrong(model: FinishedModel) -> dict[str, Maker]:
    def changed(change: Callable[[Content], object]) -> Maker:
        def write(path: Path) -> None:
            content = content_of(model)
            change(content)
            write_checkpoint(content, path)

        return write

    def record(**changes: Any) -> Maker:
        return changed(lambda content: content[RECORD_KEY].update(changes))

    def without(name: str) -> Maker:
        return changed(lambda content: content[RECORD_KEY].pop(name))

    def architecture(**changes: Any) -> Maker:
        return changed(lambda content: content[RECORD_KEY]["architecture"].update(changes))

    def preprocessing(**changes: Any) -> Maker:
        return changed(lambda content: content[RECORD_KEY]["preprocessing"].update(changes))

    def tensor(value: Any, name: str = "dense.weight") -> Maker:
        return changed(lambda content: content["state_dict"].update({name: value}))

    def weight(value: float) -> Maker:
        return changed(lambda content: content["state_dict"]["dense.bias"].fill_(value))

    def saved(content: Any) -> Maker:
        return functools.partial(torch.save, content)

    codes = list(model.record.label_map.codes)
    calibration = model.record.calibration or {}
    laughs: list[Any] = ["ha"] * 10
    for _ in range(12):
        laughs = [laughs] * 10
    deep: Any = 1
    for _ in range(200):
        deep = {"a": deep}
    conditions = model.record.to_dict()["label_map"]["conditions"]
    head = dict(model.net.state_dict())["dense.weight"].detach()
    return {
        "not a number in the weights": weight(float("nan")),
        "infinity in the weights": weight(float("inf")),
        "no record": changed(lambda content: content.pop(RECORD_KEY)),
        "no weights": changed(lambda content: content.pop("state_dict")),
        "weights of no names": saved({"state_dict": {1: torch.zeros(1)}}),
        "weights in a list": changed(lambda content: content.update(state_dict=[torch.zeros(1)])),
        "empty weights": changed(lambda content: content.update(state_dict={})),
        "a list": saved([1, 2, 3]),
        "a tensor": saved(torch.zeros(3)),
        "a number": saved(3),
        "nothing": saved(None),
        "a dictionary of numbers": saved({1: 2}),
        "record a text": changed(lambda content: content.update({RECORD_KEY: "record"})),
        "record a list": changed(lambda content: content.update({RECORD_KEY: []})),
        "record empty": changed(lambda content: content.update({RECORD_KEY: {}})),
        "record a tensor": changed(lambda content: content.update({RECORD_KEY: torch.zeros(2)})),
        "no label map": without("label_map"),
        "no architecture": without("architecture"),
        "no preprocessing": without("preprocessing"),
        "an entry too many": record(more=1),
        "an unknown task": record(task="regression"),
        "a task of numbers": record(task=3),
        "conditions a list": record(label_map={"name": "x", "conditions": codes}),
        "no conditions": record(label_map={"name": "x", "conditions": {}}),
        "a condition without a name": record(label_map={"name": "x", "conditions": {"A": {}}}),
        "other conditions": record(label_map={"name": "x", "conditions": dict(list(conditions.items())[:4])}),
        "a pattern that is none": record(
            label_map={"name": "x", "conditions": {"A": {"name": "a", "statements": {"present": ["("]}}}}
        ),
        "thresholds of others": record(thresholds={"A": 0.5}),
        "thresholds of text": record(thresholds=dict.fromkeys(codes, "0.5")),
        "thresholds that are no number": record(thresholds=dict.fromkeys(codes, float("nan"))),
        "thresholds a list": record(thresholds=[0.5] * len(codes)),
        "calibration of text": record(calibration="platt"),
        "calibration unknown": record(calibration={**calibration, "method": "isotonic"}),
        "calibration in another order": record(calibration={**calibration, "codes": codes[::-1]}),
        "calibration too short": record(calibration={**calibration, "slopes": [1.0]}),
        "calibration that is no number": record(calibration={**calibration, "slopes": [float("nan")] * len(codes)}),
        "temperature zero": record(
            calibration={"method": "temperature", "task": "multi_label", "codes": codes, "temperature": 0.0}
        ),
        "a huge network": architecture(filter_list=[16, 32, 900_000]),
        "a network of a thousand million": architecture(base_filters=10**9),
        "a wide network": architecture(filter_list=[4096, 4096, 4096]),
        "a deep network": architecture(m_blocks=[1, 1, 10**6]),
        "blocks below zero": architecture(m_blocks=[-(10**6), 1, 10**6]),
        "stride zero": architecture(stride=0),
        "kernel of text": architecture(kernel_size="16"),
        "kernel below zero": architecture(kernel_size=-1),
        "ratio no number": architecture(ratio=float("nan")),
        "widths a text": architecture(filter_list="163232"),
        "an argument too many": architecture(dropout=0.5),
        "code as a network": architecture(_target_="os.system"),
        "code as an argument": architecture(ratio={"_target_": "os.system", "_args_": ["true"]}),
        "code by interpolation": architecture(ratio="${oc.env:HOME}"),
        "an import": architecture(_target_="antigravity.Network"),
        "a layer in place of a network": architecture(_target_="torch.nn.Linear"),
        "ten thousand layers": record(
            architecture={"_target_": "torch.nn.Sequential", "_args_": [{"_target_": "torch.nn.ReLU"}] * 10_000}
        ),
        "an integer of a million bits": architecture(stride=1 << 10**6),
        "many leads": preprocessing(leads=[f"lead {n}" for n in range(10_000)]),
        "no leads": preprocessing(leads=[]),
        "leads of numbers": preprocessing(leads=[1] * 12),
        "a rate of text": preprocessing(sampling_rate="500"),
        "a rate near zero": preprocessing(sampling_rate=1e-9),
        "a rate that is no number": preprocessing(sampling_rate=float("nan")),
        "an endless window": preprocessing(window={"seconds": 1e12, "min_seconds": 1.0}),
        "a window that is no number": preprocessing(window={"seconds": float("nan"), "min_seconds": 1.0}),
        "a filter of order a thousand": preprocessing(band_pass={"low": 0.67, "high": 40.0, "order": 1000}),
        "an hour's median": preprocessing(baseline_median={"seconds": 3600.0}),
        "a billion laughs": record(versions={"a": laughs}),
        "deep containers": record(versions=deep),
        "a text of 20 MB": record(data_fingerprint="0" * 20_000_000),
        "another shape": tensor(torch.zeros(2, 2)),
        "an expanded tensor": tensor(torch.zeros(1).expand(6, 32)),
        "a tensor of halves of bytes": tensor(head.to(torch.int8)),
        "a complex tensor": tensor(head.to(torch.complex64)),
        "a sparse tensor": tensor(head.to_sparse()),
        "a tensor on no device": tensor(head.to("meta")),
        "a number for a tensor": tensor(1.0),
        "a missing tensor": changed(lambda content: content["state_dict"].pop("dense.weight")),
        "numpy for a tensor": tensor(np.zeros((6, 32), np.float32)),
        "names of others": changed(
            lambda content: content.update(
                state_dict=OrderedDict((f"x.{key}", value) for key, value in content["state_dict"].items())
            )
        ),
    }


def _places_wrong(whole: Path) -> dict[str, Maker]:
    def sparse(path: Path) -> None:
        with path.open("wb") as stream:
            stream.write(whole.read_bytes())
            stream.truncate(2**34 + 1)

    def folder_with_a_way_out(path: Path) -> None:
        path.mkdir()
        outside = path.parent / "outside.pth"
        outside.write_bytes(whole.read_bytes())
        (path / "model.pth").symlink_to(outside)

    return {
        "a folder without a model": lambda path: path.mkdir(),
        "a folder in a folder": lambda path: (path / "model.pth").mkdir(parents=True),
        "a pipe": os.mkfifo,
        "a link to nothing": lambda path: path.symlink_to("nowhere"),
        "a link to itself": lambda path: path.symlink_to(path.name),
        "a device": lambda path: path.symlink_to("/dev/zero"),
        "a model outside the folder": folder_with_a_way_out,
        "a sparse file of 16 GiB": sparse,
        "nothing there": lambda path: None,
    }
