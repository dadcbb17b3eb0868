"""Pretrained files as finished models: ECGFounder as it was published, asked without any training.

What such a file is (its network, its preprocessing, the names of its outputs) stands in the record of its network and
in the shipped configuration. Its probabilities are not calibrated and it has no thresholds: decisions are made at .5.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from ecgfounder_ft import __version__
from ecgfounder_ft.config.pretraining import architecture_of, outputs_of, pretraining_of
from ecgfounder_ft.ecg.leads import canonical_lead
from ecgfounder_ft.ecg.preprocessing import Preprocessing
from ecgfounder_ft.files import sha256_of
from ecgfounder_ft.inference.predictor import ModelFileError
from ecgfounder_ft.labels import LabelMap
from ecgfounder_ft.model.checkpoints import load_tensors, read_state_dict
from ecgfounder_ft.model.pretrained import PretrainedNetwork, WeightsFile, class_of, find_weights, weights_files
from ecgfounder_ft.model.record import ModelRecord
from ecgfounder_ft.task import MULTI_LABEL
from ecgfounder_ft.untrusted.errors import WeightsError

if TYPE_CHECKING:
    from ecgfounder_ft.model.network import Network

log = logging.getLogger(__name__)

FOLDER = Path("checkpoint")
"""Folder that published files are looked for in, and downloaded into."""


def load_pretrained(source: str | Path, lead: str | None = None) -> tuple[Network, ModelRecord]:
    """Load a pretrained file with all of its outputs.

    Args:
        source: a name of ``model.weights``, or the path of a file of that form.
        lead: of a file that reads one lead, the lead that it is given; None: the one that it was trained on.

    Raises:
        WeightsError: if the file is absent, damaged, or of no pretrained network that is known.
        ModelFileError: if a lead is named for a file of several, or there is no such lead.
    """
    path = Path(source) if Path(source).is_file() else find_weights(str(source), FOLDER)
    named = weights_files().get(path.stem)
    try:
        tensors = read_state_dict(path)
    except WeightsError as error:
        if named is not None:
            raise
        raise ModelFileError(f"{error}. It carries no record of its label map and preprocessing either") from error
    network, file = named if named is not None else _file_of(path, tensors)
    file = _with_lead(file, lead)
    label_map = outputs_of(network, file)
    record = _record_of(network, file, label_map, path)
    net = record.build_network(where=str(path))
    rows, combine = label_map.task_rows
    own = net.own_tensors(tensors)
    for name in net.head_tensors():
        if name in own and len(own[name]) != network.outputs:
            raise WeightsError(
                f"{path}: its last layer has {len(own[name])} outputs, but {network.name} has {network.outputs} with "
                "names. Was it fine-tuned by another program? Start a training from it: model.weights"
            )
    load_tensors(net, own, path, rows, combine)
    return net.eval(), record


def _with_lead(file: WeightsFile, lead: str | None) -> WeightsFile:
    if lead is None:
        return file
    if not file.any_lead:
        raise ModelFileError(
            f"{file.name} reads {', '.join(file.leads)}; a lead is chosen of files that read one alone"
        )
    try:
        chosen = canonical_lead(lead)
    except ValueError as error:
        raise ModelFileError(f"{file.name}: {error}") from error
    if chosen != file.leads[0]:
        log.warning("%s was trained on lead %s and reads lead %s here", file.name, file.leads[0], chosen)
    return replace(file, leads=(chosen,))


def _record_of(network: PretrainedNetwork, file: WeightsFile, label_map: LabelMap, path: Path) -> ModelRecord:
    return ModelRecord(
        label_map=label_map,
        task=MULTI_LABEL,
        preprocessing=Preprocessing.of(pretraining_of(network, file.leads)),
        architecture=architecture_of(network, file, len(label_map)),
        pretrained={"name": path.name, "sha256": sha256_of(path)},
        head="pretrained",
        versions={"ecgfounder-ft": __version__},
    )


def _file_of(path: Path, tensors: Mapping[str, Tensor]) -> tuple[PretrainedNetwork, WeightsFile]:
    """Find the pretrained file that another file has the form of, by the shapes of its tensors."""
    nearest: tuple[int, str] | None = None
    for network, file in weights_files().values():
        arguments = architecture_of(network, file, network.outputs)
        with torch.device("meta"):
            net = class_of(network)(**{name: value for name, value in arguments.items() if name != "_target_"})
        own, found = net.state_dict(), net.own_tensors(tensors)
        wrong = [name for name, value in own.items() if name not in found or found[name].shape != value.shape]
        wrong = [name for name in wrong if name not in net.head_tensors()]
        if not wrong:
            log.info("%s: has the form of %s", path, file.name)
            return network, file
        if nearest is None or len(wrong) < nearest[0]:
            nearest = (len(wrong), f"the nearest is {file.name}, of which {len(wrong)} tensors differ: {wrong[0]}")
    raise ModelFileError(
        f"{path}: carries no record of its label map and preprocessing, so it was not written by a training, and has "
        f"the form of no pretrained network ({nearest[1] if nearest else 'there are none'})"
    )
