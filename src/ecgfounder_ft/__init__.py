"""Fine-tune ECGFounder on clinical ECG datasets.

Importing the package imports no torch: ``ecgfounder-ft --help`` and a refused configuration answer at once.
``ECGClassifier``, for the use of a finished model, is imported when it is first asked for.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from ecgfounder_ft.inference.ecg_classifier import ECGClassifier

__version__ = "0.1.0"
__all__ = ["ECGClassifier", "__version__"]


def __getattr__(name: str) -> Any:
    if name == "ECGClassifier":
        from ecgfounder_ft.inference.ecg_classifier import ECGClassifier

        return ECGClassifier
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
