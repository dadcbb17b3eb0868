import inspect
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import fields
from pathlib import Path
from typing import get_type_hints

import pytest

from ecgfounder_ft.model.ecgfounder.architecture import NET1D, Net1DArchitecture, sizes_in
from ecgfounder_ft.model.ecgfounder.net1d import Net1D

ARCHITECTURES = sorted((Path(__file__).parents[3] / "configs" / "model" / "architecture").glob("*.yaml"))


def test_the_schema_has_exactly_the_networks_arguments() -> None:
    parameters = inspect.signature(Net1D).parameters
    assert ["_target_", *parameters] == [field.name for field in fields(Net1DArchitecture)]
    hints = get_type_hints(Net1D.__init__)
    for field in fields(Net1DArchitecture)[1:]:
        expected = hints[field.name]
        assert field.type == (list[int] if expected == Sequence[int] else expected), field.name
    assert NET1D == f"{Net1D.__module__}.{Net1D.__qualname__}" == Net1DArchitecture._target_


@pytest.mark.parametrize("file", ARCHITECTURES, ids=lambda file: file.stem)
def test_sizes_of_a_file_are_all_other_arguments(file: Path) -> None:
    sizes = sizes_in(file)
    assert list(inspect.signature(Net1D).parameters) == ["in_channels", "num_classes", *sizes]
    assert Net1D(1, 2, **(sizes | {"m_blocks": [1] * len(sizes["m_blocks"])})).in_channels == 1


def test_the_schema_imports_no_torch() -> None:
    code = "import sys, ecgfounder_ft.model.ecgfounder.architecture; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
