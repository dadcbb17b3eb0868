"""What a training run imports or looks up on its way, before processes are forked: half a second of each of them."""

import gc
import importlib

from ecgfounder_ft.config.preflight import looked_through
from tests.small_run import SMALL, composed

for name in (
    "ecgfounder_ft.cli",
    "ecgfounder_ft.data.recording_facts",
    "ecgfounder_ft.ecg.formats.wfdb.writing",
    "ecgfounder_ft.ecg.simulator",
    "ecgfounder_ft.model.plain",
    "ecgfounder_ft.training.progress_bar",
    "matplotlib.pyplot",
    "rich.progress",
    "torch.utils.tensorboard",
    "pyarrow.parquet",
):
    importlib.import_module(name)
composed(SMALL)  # with Hydra's plugins, and the classes that configurations name
looked_through(SMALL)
gc.collect()
gc.freeze()
gc.set_threshold(100_000)  # as in tests/conftest.py
