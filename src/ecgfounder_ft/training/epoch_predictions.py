"""The predictions of one pass over validation or test data, and the metrics logged from them during training."""

import torch
from torch import Tensor
from torchmetrics import Metric
from torchmetrics.functional.classification import binary_auroc, binary_f1_score
from torchmetrics.utilities import dim_zero_cat

from ecgfounder_ft.labels import PRESENT, UNKNOWN
from ecgfounder_ft.task import Task


class EpochPredictions(Metric):
    """Collects logits on the device and across processes; nothing is computed, or synchronised, before the end.

    Args:
        codes: condition codes in output order.
        task: of the model.
    """

    full_state_update = False
    logits: list[Tensor] | Tensor
    target: list[Tensor] | Tensor
    loss: list[Tensor] | Tensor
    index: list[Tensor] | Tensor

    def __init__(self, codes: tuple[str, ...], task: Task) -> None:
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
        """Everything collected, one row per recording, in the order of the dataset.

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
        """Logits (N, k) to probabilities (N, k), by the task."""
        return self.task.probabilities(logits)

    def compute(self) -> dict[str, Tensor]:
        """``loss``, ``accuracy``, ``macro_f1``, ``macro_auroc`` and ``auroc/<code>``; NaN where undefined.

        Accuracy is the share of right decisions: of recordings (single-label) or of known labels (multi-label, at
        0.5). Macro metrics are means over the conditions for which the metric is defined. Where a logit is NaN or
        infinite, only the loss is defined: the order of such scores is that of the rows.
        """
        collected = self.collected()
        target, probability = collected["target"], self.probabilities(collected["logits"])
        target = self._as_read_by_the_task(target)
        known, present = target != UNKNOWN, target == PRESENT
        decision = torch.from_numpy(self.task.decisions(probability.cpu().numpy())).to(probability.device)
        if self.task.exclusive:
            accuracy = (decision & present).any(dim=1).float().mean()
        else:
            accuracy = (decision == present)[known].float().mean()
        undefined = probability.new_tensor(float("nan"))
        finite = bool(collected["logits"].isfinite().all())
        accuracy = accuracy if finite else undefined
        auroc, f1 = [], []
        for column in range(len(self.codes)):
            mask = known[:, column]
            truth = present[mask, column].int()
            some = finite and bool(truth.any())
            both = some and not bool(truth.all())
            auroc.append(binary_auroc(probability[mask, column], truth) if both else undefined)
            f1.append(binary_f1_score(decision[mask, column].int(), truth) if some else undefined)
        metrics = {
            "loss": collected["loss"].mean(),
            "accuracy": accuracy,
            "macro_f1": torch.stack(f1).nanmean(),
            "macro_auroc": torch.stack(auroc).nanmean(),
        }
        return metrics | {f"auroc/{code}": value for code, value in zip(self.codes, auroc, strict=True)}

    def _as_read_by_the_task(self, target: Tensor) -> Tensor:
        return torch.from_numpy(self.task.states(target.cpu().numpy())).to(target.device)
