"""The last layer solved to its optimum on stored embeddings; no epochs."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from ecgfounder_ft.finetune.linear_probe import LinearProbe

TOWARDS = ("zero", "start")


@dataclass(kw_only=True)
class SolvedHead(LinearProbe):
    """A regularised logistic regression on what the last layer reads, as the last layer.

    The problem is convex: its solution is the one that a linear probe trains towards, found without a learning rate.
    The strength of the L2 penalty is chosen by cross-validation over patients.

    Args:
        strengths: inverse strengths of the penalty (scikit-learn's ``C``), embeddings standardised; one is chosen.
        folds: of the cross-validation over the patients of training and validation.
        towards: ``zero``: the penalty pulls the weights to zero; ``start``: to the rows that the last layer starts
            from, scaled as fits the data.

    Raises:
        ValueError: as :class:`~ecgfounder_ft.finetune.linear_probe.LinearProbe`, or if a number is out of range.
    """

    solves: ClassVar[bool] = True

    strengths: list[float]
    folds: int
    towards: str

    def __post_init__(self) -> None:
        super().__post_init__()
        if not self.strengths or min(self.strengths) <= 0:
            raise ValueError(f"finetune.strengths is {self.strengths}, expected at least one number above 0")
        if self.folds < 2:
            raise ValueError(f"finetune.folds is {self.folds}, expected 2 or more")
        if self.towards not in TOWARDS:
            raise ValueError(f"finetune.towards is '{self.towards}', expected one of: {', '.join(TOWARDS)}")
