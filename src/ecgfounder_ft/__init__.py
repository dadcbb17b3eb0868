"""Fine-tune ECGFounder on clinical ECG datasets.

Importing the package imports no torch: ``ecgfounder-ft --help`` and a refused configuration answer at once. What is for
use in Python is imported when it is first asked for: ``ECGClassifier`` asks a finished model, ``ECGEmbedding`` and
``ECGFineTuner`` are estimators of scikit-learn.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from ecgfounder_ft.inference.ecg_classifier import ECGClassifier
    from ecgfounder_ft.inference.estimators import ECGEmbedding
    from ecgfounder_ft.training.estimator import ECGFineTuner

__version__ = "0.1.0"
__all__ = ["ECGClassifier", "ECGEmbedding", "ECGFineTuner", "__version__"]

_PLACES = {
    "ECGClassifier": "inference.ecg_classifier",
    "ECGEmbedding": "inference.estimators",
    "ECGFineTuner": "training.estimator",
}


def __getattr__(name: str) -> Any:
    if name in _PLACES:
        return getattr(importlib.import_module(f"ecgfounder_ft.{_PLACES[name]}"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
