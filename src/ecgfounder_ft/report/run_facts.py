"""The facts of a run, derived once: the report, its checklist and the Hub's card are written from them alone.

Empty text, empty mappings and None mean that something was not done or is not known.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from ecgfounder_ft.report.characteristics import Characteristics


@dataclass(frozen=True)
class ModelFacts:
    """The network, its input and its output."""

    network: str
    """Name of its class."""
    parameters: int
    leads: tuple[str, ...]
    sampling_rate: float
    """Hz."""
    seconds: float
    """Length of its input."""
    preprocessing: str
    """Sampling rate, window, filters and scale as part of a sentence."""
    missing_samples: str
    """Replacement of missing samples: ``zero`` or ``interpolate``."""
    exclusive: bool
    """Whether exactly one condition of a recording is present."""
    conditions: Mapping[str, str]
    """Condition code to name, in the order of outputs."""
    weights: str
    """Name of the pretrained weights; empty for a random start."""
    head: str
    """Start of the last layer: ``random`` or ``pretrained``."""

    @property
    def start(self) -> str:
        """Origin of the weights in words."""
        return self.weights or "a random start"

    @property
    def number_of_leads(self) -> str:
        """ "12 leads" or "1 lead"."""
        return f"{len(self.leads)} lead{'s' if len(self.leads) != 1 else ''}"


@dataclass(frozen=True)
class DataFacts:
    """The recordings of the run and of one evaluation."""

    source: str
    """``data.source`` of the training."""
    datasets: tuple[str, ...]
    """Datasets of the training and validation recordings."""
    evaluated_source: str
    """``data.source`` of the evaluated recordings."""
    evaluated_datasets: tuple[str, ...]
    elsewhere: bool
    """Whether the evaluated recordings are another set than the one that the run divided."""
    natural_prevalence: bool
    """Whether conditions are as frequent among the evaluated recordings as where these were made."""
    label_origin: str
    """Who or what stated the labels, and how they were read, in sentences."""
    unlisted: str
    """Assumption about conditions whose folder a hand-selected recording does not lie in."""
    split: str
    """Division of the recordings in words."""
    external: str
    """Sources of the evaluated side that the design kept out of training, in words."""
    side: str
    """Name of the evaluated side."""
    sides: Mapping[str, Characteristics]
    """Train, validation and the evaluated side."""
    flow: Mapping[str, Sequence[Characteristics]] = field(default_factory=dict)
    """Side to its recordings by source, the whole side last."""
    skipped: Mapping[str, int] = field(default_factory=dict)
    """Reason to number of unusable recordings."""
    excluded: Mapping[str, int] = field(default_factory=dict)
    """Reason to number of stored recordings on no side."""
    repairs: Mapping[str, int] = field(default_factory=dict)
    """Repair of a signal or header to number of recordings."""
    left_out: Mapping[str, int] = field(default_factory=dict)
    """Reason to number of readable recordings of no use for the task or the split."""
    left_out_labels: Mapping[str, Mapping[str, int]] = field(default_factory=dict)
    """Source of these to their conditions (``NORM + RBBB``, ``none present``) to number of recordings."""
    capped: Mapping[str, int] = field(default_factory=dict)
    """Side, or ``before the split``, to number of recordings beyond a cap."""
    caps: Sequence[Mapping[str, Any]] = ()
    """Rows of ``side``, ``source``, ``cap``, ``recordings`` and ``conditions`` (code to recordings that have it)."""
    notes: Sequence[str] = ()
    """Sentences, without their full stop, that a reader has to know of the recordings."""

    @property
    def patient_unknown(self) -> int:
        """Number of recordings on any side whose patient is unknown."""
        return sum(side.patient_unknown for side in self.sides.values())

    @property
    def trained_on(self) -> str:
        """Training data in words."""
        return _named(self.source, self.datasets)

    @property
    def evaluated_on(self) -> str:
        """Evaluated data in words."""
        return _named(self.evaluated_source, self.evaluated_datasets)


@dataclass(frozen=True)
class TrainingFacts:
    """The training."""

    strategy: str
    """Name of the file in ``configs/finetune``."""
    seed: int
    loss: str = ""
    imbalance: str = "none"
    epochs: int = 0
    """Number of trained epochs."""
    best_epoch: int | None = None
    """Number of the chosen epoch, from 1."""
    monitor: str = ""
    """Validation metric that chose the epoch."""
    interpolation: float | None = None
    """Share of the trained weights in the final ones, where validation chose it."""
    found: Mapping[str, str] = field(default_factory=dict)
    """Setting to the way in which its value was found, where it was left open."""


@dataclass(frozen=True)
class EvaluationFacts:
    """The counts of one evaluation that the checklist states."""

    calibration: str = "none"
    """Method of calibration."""
    calibration_notes: int = 0
    """Number of conditions whose probabilities calibration left as they are."""
    thresholds: str = ""
    """Rule of the thresholds; empty in a single-label task."""
    threshold_notes: int = 0
    """Number of conditions that kept the default threshold, or whose threshold rests on few recordings."""
    resamples: int = 0
    with_interval: int = 0
    """Number of conditions whose AUROC has an interval."""
    subgroups: Mapping[str, int] = field(default_factory=dict)
    """Attribute to number of its groups with an AUROC, "not stated" apart, where there are two or more."""
    small_subgroups: int = 0
    """Number of all other groups."""
    errors: int = 0
    """Number of confident errors listed."""
    uncertain: int = 0
    """Number of uncertain recordings listed."""
    age_missing: int = 0
    """Number of evaluated recordings without an age."""
    sex_missing: int = 0


@dataclass(frozen=True)
class RunFacts:
    """Everything that a run did."""

    name: str
    """Name of the run's folder."""
    model: ModelFacts
    data: DataFacts
    training: TrainingFacts
    evaluation: EvaluationFacts = field(default_factory=EvaluationFacts)
    baselines: Mapping[str, str] = field(default_factory=dict)
    """Name of a baseline to a sentence on what it is."""
    provenance: Mapping[str, str] = field(default_factory=dict)
    """Versions, checksums, fingerprints and seeds: name to value."""
    configuration: str = ""
    """The composed configuration as YAML."""

    @property
    def calibrated(self) -> bool:
        """Whether calibration changed the probabilities of any condition."""
        evaluation = self.evaluation
        return evaluation.calibration != "none" and evaluation.calibration_notes < len(self.model.conditions)

    @property
    def calibrated_on(self) -> int:
        """Number of validation recordings."""
        return self.data.sides["validation"].recordings if "validation" in self.data.sides else 0

    @property
    def title(self) -> str:
        """Network, start, strategy, data and seed."""
        model, training = self.model, self.training
        done = "fine-tuned" if model.weights else "trained"
        begun = f"{model.network} ({model.number_of_leads}, from {model.start})"
        title = f"{begun}, {done} ({training.strategy}) on {self.data.trained_on}"
        if self.data.elsewhere:
            title += f", evaluated on {self.data.evaluated_on}"
        return f"{title}, seed {training.seed}"


def _named(source: str, datasets: tuple[str, ...]) -> str:
    names = " and ".join((", ".join(datasets[:-1]), datasets[-1]) if len(datasets) > 1 else datasets)
    return source if names in ("", source) else f"{source} recordings of {names}"
