"""AUROC of a rare condition: how often an interval holds it, and how wide it is."""

from dataclasses import dataclass

import numpy as np
from scipy.special import expit, logit
from scipy.stats import norm, t

from benchmarks.bootstrap import AUROCS, DESIGNS, PREVALENCES, Setting
from ecgfounder_ft.evaluation.auroc_variance import auroc_variance
from ecgfounder_ft.evaluation.intervals import AurocStudy, Interval, further, perfect_bound

POSITIVES = (5, 6, 8, 15, 44)
DRAWN_TO_ONE = (2, 4, 8, 16)
LEVEL = 0.95


@dataclass(frozen=True)
class Found:
    """What a study shows."""

    auroc: float
    variance: float
    positive: int
    """Patients with the condition."""
    negative: int
    """Patients without it."""

    def intervals(self) -> dict[str, Interval]:
        """Candidate to interval."""
        names = ["further", "newcombe", "logit z", "logit t"]
        scores = [(f"score {known}{'+' * least}", known, least) for least in (0, 1) for known in DRAWN_TO_ONE]
        rarer = min(self.positive, self.negative)
        if not 0 < self.auroc < 1:
            bound = perfect_bound(self.auroc, rarer, LEVEL)
            return dict.fromkeys([*names, *(name for name, _, _ in scores)], bound)
        study = AurocStudy(self.auroc, self.variance, self.positive, self.negative)
        newcombe = study.solved(float(norm.ppf((1 + LEVEL) / 2)) ** 2)
        wald = {
            "logit z": self._wald(float(norm.ppf((1 + LEVEL) / 2))),
            "logit t": self._wald(float(t.ppf((1 + LEVEL) / 2, rarer - 1))),
        }
        found = {"further": further(newcombe, wald["logit t"]), "newcombe": newcombe, **wald}
        return found | {name: self._score(known, rarer, bool(least)) for name, known, least in scores}

    def _wald(self, quantile: float) -> Interval:
        reach = quantile * np.sqrt(self.variance) / (self.auroc * (1 - self.auroc))
        low, high = expit(logit(self.auroc) + np.array([-reach, reach]))
        return float(low), float(high)

    def _score(self, known: int, rarer: int, least: bool) -> Interval:
        freedom = known + rarer - 1
        study = AurocStudy(self.auroc, self.variance, self.positive, self.negative)
        ratio = (known + (rarer - 1) * self.variance / study.modelled(self.auroc)) / freedom
        if least:
            ratio = max(1.0, ratio)
        return study.solved(float(t.ppf((1 + LEVEL) / 2, freedom)) ** 2 * ratio)


def settings_of(positives: int) -> list[Setting]:
    """Every kind of study with so many positive patients."""
    return [
        Setting(positives, prevalence, auroc, design)
        for prevalence in PREVALENCES
        for design in DESIGNS
        for auroc in AUROCS
    ]


def studied(setting: Setting, studies: int, generator: np.random.Generator) -> dict[str, tuple[int, float]]:
    """Candidate to how many intervals hold the truth, and their mean width."""
    held: dict[str, int] = {}
    width: dict[str, float] = {}
    for _ in range(studies):
        study = setting.study(generator)
        scores, _ = study.models[0]
        auroc, variance = auroc_variance(study.label, scores, study.patient)
        with_it, without = (len(np.unique(study.patient[which])) for which in (study.label, ~study.label))
        for name, (low, high) in Found(auroc, variance, with_it, without).intervals().items():
            held[name] = held.get(name, 0) + (low - 1e-12 <= setting.auroc <= high + 1e-12)
            width[name] = width.get(name, 0.0) + (high - low) / studies
    return {name: (held[name], width[name]) for name in held}
