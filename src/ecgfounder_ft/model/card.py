"""What a checkpoint, an exported model and a run folder all carry about a model, as one record of plain containers."""

from dataclasses import asdict, dataclass, field
from typing import Any

from torch import Tensor

from ecgfounder_ft.ecg.preprocessing import Preprocessing
from ecgfounder_ft.labels import TASKS, LabelMap
from ecgfounder_ft.model.ecgfounder.net1d import Net1D

CARD_KEY = "ecgfounder_ft"
"""Where the record stands in a checkpoint."""


def probabilities_of(logits: Tensor, task: str) -> Tensor:
    """Logits (N, conditions) to probabilities (N, conditions): softmax or sigmoid, by the task."""
    return logits.softmax(dim=1) if task == "single_label" else logits.sigmoid()


@dataclass
class ModelCard:
    """The meaning of a model's input and output, and where it came from.

    Raises:
        ValueError: if the task is unknown.
    """

    label_map: LabelMap
    task: str
    """``single_label`` (softmax, one condition a recording) or ``multi_label`` (a sigmoid a condition)."""
    preprocessing: Preprocessing
    architecture: dict[str, Any]
    """Arguments of :class:`Net1D` beside its numbers of leads and classes."""
    pretrained: dict[str, str | None] | None = None
    """``name`` and ``sha256`` of the weights file that training started from; None for a random start."""
    head: str = "random"
    """``random`` or ``pretrained``: what the last layer started from."""
    versions: dict[str, str] = field(default_factory=dict)
    """Package name to version."""
    data_fingerprint: str = ""
    """Digest of the recordings, their labels and their split."""
    seed: int = 0
    thresholds: dict[str, float] | None = None
    """Decision threshold a condition, chosen on validation."""
    calibration: dict[str, Any] | None = None
    """What turns the network's outputs into calibrated probabilities, fitted on validation."""

    def __post_init__(self) -> None:
        if self.task not in TASKS:
            raise ValueError(f"task is '{self.task}', expected one of: {', '.join(TASKS)}")

    def build_net(self) -> Net1D:
        """The network with a random start."""
        return Net1D(in_channels=len(self.preprocessing.leads), num_classes=len(self.label_map), **self.architecture)

    def to_dict(self) -> dict[str, Any]:
        """Plain containers only, so that loading needs no code."""
        return asdict(self)

    @classmethod
    def from_dict(cls, content: dict[str, Any]) -> "ModelCard":
        """Inverse of :meth:`to_dict`."""
        return cls(
            **{
                **content,
                "label_map": LabelMap.from_dict(content["label_map"]),
                "preprocessing": Preprocessing.from_dict(content["preprocessing"]),
            }
        )
