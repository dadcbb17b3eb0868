"""What a run did, as a report says it: plain numbers and words, filled by whoever knows the run.

The checklist, the title and the summary are written from this record and from nothing else, so that none of them can
claim what was not done.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field

from ecgfounder_ft.evaluation.metrics import count_patients, count_recordings


@dataclass(frozen=True)
class SideFacts:
    """One side of the split."""

    recordings: int
    patients: int
    positives: Mapping[str, int]
    """Condition code to recordings that have it."""
    unknown: Mapping[str, int]
    """Condition code to recordings of which it is unknown."""
    patient_unknown: int = 0
    """Recordings whose patient is unknown; each counts as a patient of its own."""

    @property
    def size(self) -> str:
        """Recordings and patients, in words."""
        words = f"{count_recordings(self.recordings)} of {count_patients(self.patients)}"
        if self.patient_unknown:
            words += f", those of {self.patient_unknown:,} recordings unknown and counted as one each"
        return words

    @property
    def fewest(self) -> tuple[str, int] | None:
        """The condition with the fewest recordings, and how many; None where there is no condition."""
        return min(self.positives.items(), key=lambda entry: entry[1]) if self.positives else None


@dataclass(frozen=True)
class RunFacts:
    """What a run did. Empty text, mappings and None mean that it was not done or is not known."""

    # ------------------------------------------------------------------------------------- the model
    network: str
    """Name of its class."""
    parameters: int
    leads: tuple[str, ...]
    weights: str
    """Name of the pretrained weights; empty for a random start."""
    head: str
    """``random`` or ``pretrained``: what the last layer started from."""
    strategy: str
    """Which part trained, by the name of ``configs/finetune``."""
    seed: int
    preprocessing: str
    """Sampling rate, window, filters and scale in one sentence part."""
    missing_samples: str
    """What was put in the place of missing samples: ``zero`` or ``interpolate``."""
    exclusive: bool
    """Whether exactly one condition of a recording is present."""

    # -------------------------------------------------------------------------------------- the data
    source: str
    """``data.source`` that it was trained on."""
    datasets: tuple[str, ...]
    """Datasets of the training and validation recordings."""
    evaluated_source: str
    """``data.source`` of the evaluated recordings."""
    evaluated_datasets: tuple[str, ...]
    elsewhere: bool
    """Whether the evaluated recordings are another set than that which the run divided."""
    natural_prevalence: bool
    """Whether conditions are as frequent among the evaluated recordings as where these were made."""
    label_origin: str
    unlisted: str
    """What was assumed of conditions that a hand-selected recording does not lie under; empty where that is no
    question."""
    split: str
    """How the recordings were divided, in words."""
    external: str
    """Which sources of the evaluated side were kept out of training by design, in words; empty for none of them."""
    side: str
    """Name of the evaluated side."""
    sides: Mapping[str, SideFacts]
    """Train, validation and the evaluated side."""
    left_out: Mapping[str, int] = field(default_factory=dict)
    """Reason to number of readable recordings of no use for the task or the split."""
    capped: Mapping[str, int] = field(default_factory=dict)
    """Side, or ``before the split``, to recordings that a cap left out."""
    skipped: Mapping[str, int] = field(default_factory=dict)
    """Reason to number of recordings that could not be used."""
    excluded: Mapping[str, int] = field(default_factory=dict)
    """Reason to number of stored recordings that were excluded."""
    repairs: Mapping[str, int] = field(default_factory=dict)
    """What was mended in signals or headers to number of recordings."""

    # ---------------------------------------------------------------------------------- the training
    loss: str = ""
    imbalance: str = "none"
    epochs: int = 0
    """Trained."""
    best_epoch: int | None = None
    """From 1."""
    monitor: str = ""
    """The validation metric that the epoch was chosen by."""
    interpolation: float | None = None
    """Share of the trained weights in the final ones, where that was chosen on validation."""
    found: Mapping[str, str] = field(default_factory=dict)
    """Setting to how its value was found, where it was left open."""

    # -------------------------------------------------------------------------------- the evaluation
    calibration: str = "none"
    calibrated_on: int = 0
    """Validation recordings."""
    calibration_notes: int = 0
    """Conditions whose probabilities were left as they are."""
    thresholds: str = ""
    """Rule, empty in a single-label task."""
    threshold_notes: int = 0
    """Conditions that kept the default threshold, or whose threshold rests on few."""
    resamples: int = 0
    with_interval: int = 0
    """Conditions whose AUROC has an interval."""
    conditions: int = 0
    subgroups: Mapping[str, int] = field(default_factory=dict)
    """Attribute to groups that have an AUROC of some condition and are not "not stated", where there are two or more:
    one alone compares nothing."""
    small_subgroups: int = 0
    """The other groups."""
    baselines: tuple[str, ...] = ()
    cases: int = 0
    """Recordings listed, errors and uncertain ones."""
    age_missing: int = 0
    """Evaluated recordings without an age."""
    sex_missing: int = 0

    @property
    def patient_unknown(self) -> int:
        """Recordings on any side whose patient is unknown."""
        return sum(side.patient_unknown for side in self.sides.values())

    @property
    def calibrated(self) -> bool:
        """Whether the calibration changed any condition's probabilities."""
        return self.calibration != "none" and (not self.conditions or self.calibration_notes < self.conditions)

    @property
    def start(self) -> str:
        """Where the weights came from, in words."""
        return self.weights or "a random start"

    @property
    def data(self) -> str:
        """What it was trained on, in words."""
        return _named(self.source, self.datasets)

    @property
    def evaluated_data(self) -> str:
        """What it was evaluated on, in words."""
        return _named(self.evaluated_source, self.evaluated_datasets)

    @property
    def title(self) -> str:
        """Network, start, strategy, data and seed."""
        trained = "fine-tuned" if self.weights else "trained"
        leads = f"{len(self.leads)} lead{'s' if len(self.leads) != 1 else ''}"
        title = f"{self.network} ({leads}, from {self.start}), {trained} ({self.strategy}) on {self.data}"
        if self.elsewhere:
            title += f", evaluated on {self.evaluated_data}"
        return f"{title}, seed {self.seed}"


def _named(source: str, datasets: tuple[str, ...]) -> str:
    names = " and ".join((", ".join(datasets[:-1]), datasets[-1]) if len(datasets) > 1 else datasets)
    return source if names in ("", source) else f"{source} recordings of {names}"
