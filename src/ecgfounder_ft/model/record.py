"""What a checkpoint, an exported model and a run folder all carry about a model, as one record of plain containers.

Reading a record imports no torch: only building its network does, and Hydra only one that is not this package's own.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any

from ecgfounder_ft.ecg.preprocessing import Preprocessing
from ecgfounder_ft.labels import LabelMap
from ecgfounder_ft.model.errors import NetworkError
from ecgfounder_ft.model.pretrained import class_of, network_of_class, pretrained_networks
from ecgfounder_ft.records import check_record
from ecgfounder_ft.targets import UntrustedTargetError, leaves_of, refuse_untrusted, targets_in
from ecgfounder_ft.task import Task, task_named

if TYPE_CHECKING:
    from torch import nn

    from ecgfounder_ft.model.network import Network

RECORD_KEY = "ecgfounder_ft"
"""Where the record stands in a checkpoint."""

MOST_LEADS = 256
"""The electrodes of a body-surface map; other recordings have far fewer."""
MOST_SAMPLES = 1_000_000
"""Over half an hour at 500 Hz."""
MOST_CONDITIONS = 10_000
"""Statements on ECGs in SNOMED CT or SCP-ECG are some hundreds."""
LARGEST_NUMBER = 1_000_000
"""Of an argument: the width of a layer that reads a recording of a minute without any pooling."""
MOST_BLOCKS = 1_000
"""Fifty times those of the published Net1D; each takes about a millisecond to build."""
MOST_SHIFTS = 64
"""Each is one more pass through the network."""
MOST_PARAMETERS = 1_000_000_000
"""Thirty times those of the published Net1D, 4 GB in float32."""
MOST_LAYERS = 2_000
"""Of a network of torch's own layers; each takes about a millisecond to build."""
RATES = (1.0, 100_000.0)
"""Hz. Electrodes of pacemakers are sampled at some 10 kHz, and below 1 Hz no heart is seen."""
MOST_ORDER = 20
"""Of a band-pass; with the coefficients of a higher one rounding errors grow without end."""
MOST_MEDIAN_SECONDS = 60.0
"""Of the running median that is taken for the baseline."""


@dataclass
class ModelRecord:
    """The meaning of a model's input and output, and where it came from."""

    label_map: LabelMap
    task: Task
    preprocessing: Preprocessing
    architecture: dict[str, Any]
    """The network's class (``_target_``) and all of its arguments, as ``model.architecture`` has them."""
    pretrained: dict[str, str | None] | None = None
    """``name`` and ``sha256`` of the weights file that training started from; None for a random start."""
    head: str = "random"
    """``random`` or ``pretrained``: what the last layer started from."""
    versions: dict[str, str] = field(default_factory=dict)
    """Package name to version."""
    data_fingerprint: str = ""
    """Digest of the recordings, their labels and their split."""
    seed: int = 0
    shifts: list[float] = field(default_factory=lambda: [0.0])
    """Seconds by which a recording is shifted for the answers that are averaged; none of records before there were."""
    thresholds: dict[str, float] | None = None
    """Decision threshold of each condition, chosen on validation."""
    calibration: dict[str, Any] | None = None
    """What turns the network's outputs into calibrated probabilities, fitted on validation."""

    def build_network(
        self, trusted: Collection[str] = (), where: str = "the model", most_parameters: int = MOST_PARAMETERS
    ) -> Network:
        """The network with a random start.

        What the record says is checked before any class is looked up. A network of this package's and torch's own
        classes is then built without memory first, to learn how large it is.

        Args:
            trusted: dotted names of classes, beside those of this package and of ``torch.nn``, that may be run. What a
                user typed is trusted, what stands in a file is not, unless the user names it.
            where: the file that the record stands in, for messages.
            most_parameters: that may be built, such as fit into the file that has the weights.

        Raises:
            UntrustedTargetError: that names a class which is not trusted. It has not been imported.
            NetworkError: if the network is implausibly large, cannot be built, or does not give one logit for each
                condition.
        """
        self.refuse_implausible_shapes(where)
        if "_target_" not in self.architecture:
            raise NetworkError(f"{where}: architecture has no _target_, the dotted name of the network's class")
        own = {network.network for network in pretrained_networks()}
        refuse_untrusted(self.architecture, own=own, trusted=trusted, where=where)
        for path, target in targets_in(self.architecture):
            if target not in own and target not in trusted and not target.startswith("torch.nn."):
                raise UntrustedTargetError(f"{where}: {path or 'the top'} wants {target!r}, which is in no network")
        if all(target in own or target.startswith("torch.nn.") for _, target in targets_in(self.architecture)):
            self._refuse_implausible_size(where, min(most_parameters, MOST_PARAMETERS))
        net = self._build(where)
        if self.shifts != [0.0]:
            net.average_over([round(seconds * self.preprocessing.sampling_rate) for seconds in self.shifts])
        return net

    def to_dict(self) -> dict[str, Any]:
        """Plain containers only, so that loading needs no code; the task by its name."""
        return {**asdict(self), "task": self.task.name}

    @classmethod
    def from_dict(cls, content: Mapping[str, Any]) -> ModelRecord:
        """Inverse of :meth:`to_dict`.

        Raises:
            ValueError: if something is missing, unknown or of another type, or settings contradict each other; the
                message says where.
        """
        if isinstance(content, Mapping) and isinstance(content.get("task"), str):
            content = {**content, "task": task_named(content["task"])}
        check_record(cls, content)
        return cls(
            **{
                **content,
                "label_map": LabelMap.from_dict(content["label_map"]),
                "preprocessing": Preprocessing.from_dict(content["preprocessing"]),
            }
        )

    def _build(self, where: str) -> Network:
        from ecgfounder_ft.model.network import Network, require_logits
        from ecgfounder_ft.model.plain import PlainNetwork

        module = self._instantiate(where)
        if network_of_class(self.architecture["_target_"]) is not None and isinstance(module, Network):
            return module  # its shapes follow from its arguments, and to try it full-size takes a while
        try:
            net = module if isinstance(module, Network) else PlainNetwork(module)
            require_logits(net, len(self.preprocessing.leads), self.preprocessing.samples, len(self.label_map))
        except NetworkError as error:
            raise NetworkError(f"{where}: {error}") from error
        return net

    def _instantiate(self, where: str) -> nn.Module:
        from hydra.errors import HydraException
        from hydra.utils import instantiate
        from omegaconf.errors import OmegaConfBaseException
        from torch import nn

        target = self.architecture["_target_"]
        network = network_of_class(target)
        if network is not None:
            arguments = {name: value for name, value in self.architecture.items() if name != "_target_"}
            try:
                module: nn.Module = class_of(network)(**arguments)
                return module
            except Exception as error:  # whatever a layer raises at a size that it cannot have
                raise NetworkError(f"{where}: {target} cannot be built. {type(error).__name__}: {error}") from error
        try:
            module = instantiate(self.architecture, _convert_="all")
        except (HydraException, OmegaConfBaseException) as error:
            cause: BaseException = error
            while cause.__cause__ is not None:
                cause = cause.__cause__
            told = "" if str(cause) in str(error) else f" ({type(cause).__name__}: {cause})"
            raise NetworkError(f"{where}: {target} cannot be built. {error}{told}") from error
        if not isinstance(module, nn.Module):
            raise NetworkError(f"{where}: {target} gives a {type(module).__name__}, expected a torch.nn.Module")
        return module

    def refuse_implausible_shapes(self, where: str) -> None:
        """Refuse numbers of leads, samples and conditions, and filters, that no recording has.

        Raises:
            NetworkError: that says what was found and what was expected.
        """
        found = {
            "leads": (len(self.preprocessing.leads), MOST_LEADS),
            "samples of a recording": (
                self.preprocessing.window.seconds * self.preprocessing.sampling_rate,  # which may be infinite
                MOST_SAMPLES,
            ),
            "conditions": (len(self.label_map), MOST_CONDITIONS),
        }
        for name, (number, most) in found.items():
            if not number <= most:
                raise NetworkError(f"{where}: {number:,} {name}, expected {most:,} at most")
        self._refuse_implausible_filters(where)
        self._refuse_implausible_shifts(where)
        network = network_of_class(self.architecture.get("_target_"))
        if network is not None:
            for argument, name in ((network.leads_argument, "leads"), (network.outputs_argument, "conditions")):
                given, expected = self.architecture.get(argument), found[name][0]
                if given != expected:
                    raise NetworkError(f"{where}: architecture.{argument} is {given}, but there are {expected} {name}")

    def _refuse_implausible_shifts(self, where: str) -> None:
        seconds = self.preprocessing.window.seconds
        if not 1 <= len(self.shifts) <= MOST_SHIFTS or not all(abs(one) < seconds for one in self.shifts):
            shown = ", ".join(f"{one:g}" for one in self.shifts[:8])
            raise NetworkError(
                f"{where}: {len(self.shifts)} shifts ({shown}), expected 1 to {MOST_SHIFTS}, each shorter than the "
                f"{seconds:g} s that the network reads"
            )

    def _refuse_implausible_filters(self, where: str) -> None:
        given = self.preprocessing
        if not RATES[0] <= given.sampling_rate <= RATES[1]:
            raise NetworkError(f"{where}: {given.sampling_rate:g} Hz, expected {RATES[0]:g} to {RATES[1]:g}")
        if given.band_pass is not None and not 1 <= given.band_pass.order <= MOST_ORDER:
            raise NetworkError(f"{where}: a band-pass of order {given.band_pass.order}, expected 1 to {MOST_ORDER}")
        if given.notch is not None and not given.notch.quality > 0:
            raise NetworkError(f"{where}: a notch of quality {given.notch.quality:g}, expected above 0")
        if given.baseline_median is not None and not 0 < given.baseline_median.seconds <= MOST_MEDIAN_SECONDS:
            raise NetworkError(
                f"{where}: a running median of {given.baseline_median.seconds:g} s, expected above 0 and up to "
                f"{MOST_MEDIAN_SECONDS:g}"
            )

    def _refuse_implausible_size(self, where: str, most_parameters: int) -> None:
        for path, value in leaves_of(self.architecture):
            if isinstance(value, int | float) and not abs(value) <= LARGEST_NUMBER:
                raise NetworkError(
                    f"{where}: architecture.{path} is no number up to {LARGEST_NUMBER:,}, as a network of ECGs has"
                )
        depths = self.architecture.get("m_blocks", [])
        blocks = [max(depth, 1) for depth in depths if isinstance(depth, int)] if isinstance(depths, list) else []
        if sum(blocks) > MOST_BLOCKS:
            raise NetworkError(f"{where}: architecture.m_blocks is {depths}, expected {MOST_BLOCKS:,} blocks at most")
        layers = sum(1 for _ in targets_in(self.architecture))
        if layers > MOST_LAYERS:
            raise NetworkError(f"{where}: {layers:,} layers, expected {MOST_LAYERS:,} at most")
        import torch

        from ecgfounder_ft.model.network import require_logits

        with torch.device("meta"):
            net = self._build(where)
            try:
                require_logits(net, len(self.preprocessing.leads), self.preprocessing.samples, len(self.label_map))
            except NetworkError as error:
                raise NetworkError(f"{where}: {error}") from error
        numbers = sum(value.numel() for value in (*net.parameters(), *net.buffers()))
        if numbers > most_parameters:
            raise NetworkError(
                f"{where}: the network would have {numbers:,} parameters, expected {most_parameters:,} at most"
            )
