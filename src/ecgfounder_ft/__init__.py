"""Fine-tune ECGFounder on clinical ECG datasets.

Importing the package imports no torch: ``ecgfounder-ft --help`` and a refused configuration answer at once.
"""

__version__ = "0.1.0"
