"""The predictions of one pass over validation or test data, and the figures logged from them during training."""

import torch
from torch import Tensor
from torchmetrics import Metric
from torchmetrics.functional.classification import binary_auroc, binary_f1_score
from torchmetrics.utilities import dim_zero_cat

from ecgfounder_ft.labels import PRESENT, UNKNOWN
from ecgfounder_ft.task import task_named


class EpochPredictions(Metric):
    """Collects logits on the device and across processes; nothing is computed, or synchronised, before the end.

    Args:
        codes: condition codes in output order.
        task: ``single_label`` or ``multi_label``.
    """

    full_state_update = False
    logits: list[Tensor] | Tensor
    target: list[Tensor] | Tensor
    loss: list[Tensor] | Tensor
    index: list[Tensor] | Tensor

    def __init__(self, codes: tuple[str, ...], task: str) -> None:
        super().__init__()
        self.codes = codes
        self.task = task
        for name in ("logits", "target", "loss", "index"):
            self.add_state(name, default=[], dist_reduce_fx="cat")

    def update(self, logits: Tensor, target: Tensor, loss: Tensor, index: Tensor) -> None:
        """Logits (N, k), states (N, k), losses (N,) and dataset rows (N,) of one batch."""
        for name, value in (("logits", logits.float()), ("target", target), ("loss", loss.float()), ("index", index)):
            getattr(self, name).append(value.detach())

    def raw(self) -> dict[str, Tensor]:
        """Everything collected so far, in the order of the updates, under the names of :meth:`update`'s arguments.

        Of this process, or of all of them while they are synchronised; empty before the first update.
        """
        if not len(self.index):
            return {}
        return {name: dim_zero_cat(getattr(self, name)) for name in ("logits", "target", "loss", "index")}

    def collected(self) -> dict[str, Tensor]:
        """Everything collected, a row a recording, in the order of the dataset.

        Distributed sampling repeats recordings to fill the last batch; each is taken once.
        """
        index = dim_zero_cat(self.index)
        order = torch.argsort(index, stable=True)
        index = index[order]
        first = torch.ones_like(index, dtype=torch.bool)
        first[1:] = index[1:] != index[:-1]
        kept = order[first]
        values = {name: dim_zero_cat(getattr(self, name))[kept] for name in ("logits", "target", "loss")}
        return {**values, "index": index[first]}

    def probabilities(self, logits: Tensor) -> Tensor:
        """Softmax or sigmoid, by the task."""
        return task_named(self.task).probabilities(logits)

    def compute(self) -> dict[str, Tensor]:
        """``loss``, ``accuracy``, ``macro_f1``, ``macro_auroc`` and ``auroc/<code>``; NaN where undefined.

        Accuracy is the share of right decisions: of recordings (single-label) or of known labels (multi-label, at
        0.5). Macro figures are means over the conditions for which the figure is defined.
        """
        collected = self.collected()
        target, probability = collected["target"], self.probabilities(collected["logits"])
        known, present = target != UNKNOWN, target == PRESENT
        if self.task == "single_label":
            known = torch.ones_like(known)  # one condition is present, so the others are not, stated or not
            decision = torch.zeros_like(present).scatter_(1, probability.argmax(dim=1, keepdim=True), True)
            accuracy = (decision & present).any(dim=1).float().mean()
        else:
            decision = probability >= 0.5
            accuracy = (decision == present)[known].float().mean()
        auroc, f1 = [], []
        for column in range(len(self.codes)):
            mask = known[:, column]
            truth = present[mask, column].int()
            both = bool(truth.any()) and not bool(truth.all())
            undefined = probability.new_tensor(float("nan"))
            auroc.append(binary_auroc(probability[mask, column], truth) if both else undefined)
            f1.append(binary_f1_score(decision[mask, column].int(), truth) if truth.any() else undefined)
        figures = {
            "loss": collected["loss"].mean(),
            "accuracy": accuracy,
            "macro_f1": torch.stack(f1).nanmean(),
            "macro_auroc": torch.stack(auroc).nanmean(),
        }
        return figures | {f"auroc/{code}": value for code, value in zip(self.codes, auroc, strict=True)}
