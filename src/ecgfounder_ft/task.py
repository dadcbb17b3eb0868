"""What a model is asked: the one condition of a recording, or each condition by itself.

Everything that differs between the two stands here: which recordings can be used, what a logit means, how a probability
is decided, and how the loss is balanced. Nothing else in the package compares a task's name.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import TYPE_CHECKING, Any, ClassVar

from ecgfounder_ft.labels import ABSENT, PRESENT, UNKNOWN

if TYPE_CHECKING:  # a configuration is refused before numpy or torch is imported
    import numpy as np
    from numpy.typing import NDArray
    from torch import Tensor

DEFAULT_THRESHOLD = 0.5
"""Probability from which a condition is decided present where no threshold was chosen."""


class Task(ABC):
    """A task. The two that there are stand in :data:`TASKS`."""

    name: ClassVar[str]
    """Name in configurations and records."""
    exclusive: ClassVar[bool]
    """Exactly one condition of a recording is present: probabilities add up to 1, and the most probable one is decided,
    without thresholds."""
    unusable: ClassVar[str]
    """Why a recording is of no use for the task, as counted in reports."""
    default_loss: ClassVar[str]
    """Choice of the configuration group ``task/loss``."""

    @abstractmethod
    def usable(self, states: NDArray[np.int8]) -> NDArray[np.bool_]:
        """Tell which recordings (n,) the task can learn from and be judged by, from their states (n, k)."""

    @abstractmethod
    def states(self, states: NDArray[np.int8]) -> NDArray[np.int8]:
        """States (n, k) of usable recordings as the task reads them: 1 present, 0 absent, -1 unknown."""

    @abstractmethod
    def probabilities(self, logits: Tensor) -> Tensor:
        """Logits (n, k) to probabilities (n, k)."""

    @abstractmethod
    def probabilities_of_array(self, logits: NDArray[np.floating]) -> NDArray[np.float64]:
        """Compute :meth:`probabilities` of an array, without torch."""

    @abstractmethod
    def decisions(
        self, probabilities: NDArray[np.floating], thresholds: NDArray[np.floating] | None = None
    ) -> NDArray[np.bool_]:
        """Probabilities (n, k) to decisions (n, k).

        Args:
            probabilities: NaN is decided absent.
            thresholds: (k,), without effect in an exclusive task; None: :data:`DEFAULT_THRESHOLD`.
        """

    @abstractmethod
    def loss_weights(self, states: NDArray[np.int8]) -> NDArray[np.float32]:
        """Weights (k,) that make rare conditions count as much as frequent ones in the task's losses.

        A condition that never occurs gets 1.

        Args:
            states: (n, k), of the training side.
        """


class SingleLabel(Task):
    """The one condition of a recording: a softmax over all of them."""

    name = "single_label"
    exclusive = True
    unusable = "not exactly one condition (task=single_label)"
    default_loss = "cross_entropy"

    def usable(self, states: NDArray[np.int8]) -> NDArray[np.bool_]:
        """Tell which recordings have exactly one condition present."""
        return (states == PRESENT).sum(axis=1) == 1

    def states(self, states: NDArray[np.int8]) -> NDArray[np.int8]:
        """One condition is present, so the others are absent, whether stated or not."""
        return (states == PRESENT).astype(states.dtype)

    def probabilities(self, logits: Tensor) -> Tensor:
        """Softmax."""
        return logits.softmax(dim=1)

    def probabilities_of_array(self, logits: NDArray[np.floating]) -> NDArray[np.float64]:
        """Softmax."""
        from scipy.special import softmax

        return softmax(logits.astype("float64"), axis=1)

    def decisions(
        self, probabilities: NDArray[np.floating], thresholds: NDArray[np.floating] | None = None
    ) -> NDArray[np.bool_]:
        """The most probable condition."""
        import numpy as np

        return np.arange(probabilities.shape[1]) == probabilities.argmax(axis=1)[:, None]

    def loss_weights(self, states: NDArray[np.int8]) -> NDArray[np.float32]:
        """Recordings over (conditions x recordings of the condition), for ``CrossEntropyLoss(weight=...)``."""
        import numpy as np

        return _ratio(np.full(states.shape[1], len(states) / states.shape[1]), (states == PRESENT).sum(axis=0))


class MultiLabel(Task):
    """Any number of conditions in a recording: a sigmoid for each."""

    name = "multi_label"
    exclusive = False
    unusable = "none of the conditions known"
    default_loss = "binary_cross_entropy"

    def usable(self, states: NDArray[np.int8]) -> NDArray[np.bool_]:
        """Tell of which recordings at least one condition is known."""
        return (states != UNKNOWN).any(axis=1)

    def states(self, states: NDArray[np.int8]) -> NDArray[np.int8]:
        """Return the states as they are."""
        return states

    def probabilities(self, logits: Tensor) -> Tensor:
        """Sigmoid."""
        return logits.sigmoid()

    def probabilities_of_array(self, logits: NDArray[np.floating]) -> NDArray[np.float64]:
        """Sigmoid."""
        from scipy.special import expit

        return expit(logits.astype("float64"))

    def decisions(
        self, probabilities: NDArray[np.floating], thresholds: NDArray[np.floating] | None = None
    ) -> NDArray[np.bool_]:
        """Each condition by its threshold."""
        return probabilities >= (DEFAULT_THRESHOLD if thresholds is None else thresholds)

    def loss_weights(self, states: NDArray[np.int8]) -> NDArray[np.float32]:
        """Absent over present recordings, for ``BCEWithLogitsLoss(pos_weight=...)``; unknown ones do not count."""
        return _ratio((states == ABSENT).sum(axis=0), (states == PRESENT).sum(axis=0))


def _ratio(wanted: NDArray[Any], present: NDArray[Any]) -> NDArray[np.float32]:
    import numpy as np

    usable = (present > 0) & (wanted > 0)
    return np.divide(wanted, present, out=np.ones(present.shape), where=usable).astype(np.float32)


SINGLE_LABEL, MULTI_LABEL = SingleLabel(), MultiLabel()

TASKS: dict[str, Task] = {task.name: task for task in (SINGLE_LABEL, MULTI_LABEL)}
"""Name to task."""


def task_named(name: str) -> Task:
    """The task of a configuration or record.

    Raises:
        ValueError: if no task has that name.
    """
    if name not in TASKS:
        raise ValueError(f"task is {name!r}, expected one of: {', '.join(TASKS)}")
    return TASKS[name]
