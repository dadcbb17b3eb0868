"""How test recordings are evaluated, as settings. Apart from what follows them, so that a configuration is checked
without importing numpy."""

from dataclasses import dataclass

from ecgfounder_ft.errors import ExplainedError

CALIBRATIONS = ("auto", "none", "temperature", "platt")
"""``platt`` for multi-label and ``temperature`` for single-label tasks; nothing; one temperature for all (Guo et al.
2017); a slope and an intercept per condition (Platt 1999), shrunken where positives are few."""

THRESHOLD_RULES = ("fixed", "f1", "youden", "sensitivity")
"""0.5 for all; the best F1; the best sensitivity + specificity - 1 (Youden 1950); a wished sensitivity."""

SUBGROUPS = ("source", "constituent", "sex", "age", "condition", "signal")
"""What subgroups can be made by."""

MOST_RESAMPLES = 100_000
"""Ends of a 95% interval then come back to within a hundredth of its width; more would take hours."""


class EvaluationSettingsError(ExplainedError, ValueError):
    """A setting of the evaluation that does not exist or is out of range."""


@dataclass(kw_only=True)
class EvaluationSettings:
    """How predictions are evaluated, and what the report shows. The values are in ``configs/train.yaml``.

    Raises:
        EvaluationSettingsError: if a setting is unknown or out of range.
    """

    calibration: str
    """One of :data:`CALIBRATIONS`; fitted on validation."""
    thresholds: str
    """One of :data:`THRESHOLD_RULES`; chosen on validation, for multi-label tasks."""
    sensitivity: float | None
    """The least sensitivity wished, for ``thresholds=sensitivity``, over 0 and up to 1."""
    by: list[str]
    """Subgroups, of :data:`SUBGROUPS`."""
    error_rate: float | None
    """Of conformal sets, which leave a condition undecided where it has to be, over 0 and under 0.5; None: no sets. For
    multi-label tasks."""
    net_benefit_thresholds: list[float]
    """Lowest and highest threshold probability over which net benefit is told, over 0 and under 1."""
    resamples: int
    """Bootstrap resamples of patients; 0: no intervals."""
    seed: int
    """Of the bootstrap."""
    baselines: bool
    """After training, fit a linear probe on a randomly initialised network of the same architecture, to stand beside
    the trained model; it takes about one pass over all recordings."""
    report: bool
    """Draw the pictures and write ``report.html``; for one of many short runs that is most of its time."""
    cases: bool
    """Draw errors and uncertain recordings in the report, where their files are still at hand."""
    attribution: bool | None
    """Draw what the decisions rest on (integrated gradients), where captum is installed; None: in a run of its own, and
    not in the trials of a sweep."""

    def __post_init__(self) -> None:
        for name, found, allowed in (
            ("calibration", [self.calibration], CALIBRATIONS),
            ("thresholds", [self.thresholds], THRESHOLD_RULES),
            ("by", self.by, SUBGROUPS),
        ):
            unknown = [value for value in found if value not in allowed]
            if unknown:
                raise EvaluationSettingsError(
                    f"evaluation.{name}: '{unknown[0]}', expected one of {', '.join(allowed)}"
                )
        if self.thresholds == "sensitivity" and not (self.sensitivity is not None and 0 < self.sensitivity <= 1):
            raise EvaluationSettingsError(
                f"evaluation.sensitivity is {self.sensitivity}: thresholds=sensitivity needs one over 0 and up to 1"
            )
        if self.error_rate is not None and not 0 < self.error_rate < 0.5:
            raise EvaluationSettingsError(
                f"evaluation.error_rate is {self.error_rate}, expected over 0 and under 0.5, or null for no sets"
            )
        limits = self.net_benefit_thresholds
        if not (len(limits) == 2 and 0 < limits[0] < limits[1] < 1):
            raise EvaluationSettingsError(
                f"evaluation.net_benefit_thresholds is {list(limits)}, expected the lowest and the highest threshold "
                "probability, over 0 and under 1, such as [0.01, 0.5]"
            )
        if not 0 <= self.resamples <= MOST_RESAMPLES:
            raise EvaluationSettingsError(
                f"evaluation.resamples is {self.resamples}, expected 0 or more, and {MOST_RESAMPLES:,} at most"
            )
        if not 0 <= self.seed < 2**63:
            raise EvaluationSettingsError(f"evaluation.seed is {self.seed}, expected 0 or more")
        if len(set(self.by)) < len(self.by):
            raise EvaluationSettingsError(f"evaluation.by names a kind of subgroups twice: {', '.join(self.by[:8])}")
