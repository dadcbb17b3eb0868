"""Every configuration tested on each fold of patients in turn."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import ClassVar

from ecgfounder_ft.designs.design import Design, Point, over_seeds, require_seeds


@dataclass(kw_only=True)
class CrossValidation(Design):
    """K-fold cross-validation, grouped by patient and stratified.

    Args:
        folds: how many, at least two.
        seeds: trainings of each fold; the folds are the same for all.

    Raises:
        ValueError: if there are too few of either.
    """

    folds: int
    seeds: int

    SETS: ClassVar[tuple[str, ...]] = ("split", "split.kind", "split.folds", "split.fold", "split.seed")

    def __post_init__(self) -> None:
        require_seeds(self.seeds)
        if self.folds < 2:
            raise ValueError(f"sweep.folds is {self.folds}, expected 2 or more")

    def points(self, seed: int, sources: Callable[[], Sequence[str]]) -> list[Point]:
        """One per fold and seed."""
        folds = [
            Point(("split=kfold", f"split.folds={self.folds}", f"split.fold={fold}"), {"fold": fold})
            for fold in range(self.folds)
        ]
        return over_seeds(seed, self.seeds, folds)
