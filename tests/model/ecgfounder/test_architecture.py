import inspect
import subprocess
import sys
from dataclasses import fields
from pathlib import Path

import pytest

from ecgfounder_ft.config.pretraining import sizes_in
from ecgfounder_ft.config.schema import schemas
from ecgfounder_ft.model.ecgfounder import NET1D
from ecgfounder_ft.model.ecgfounder.net1d import Net1D
from ecgfounder_ft.model.ecgfounder.pretrained import ECGFOUNDER

ARCHITECTURES = sorted((Path(__file__).parents[3] / "configs" / "model" / "architecture").glob("*.yaml"))


def test_the_schema_has_exactly_the_networks_arguments() -> None:
    schema = schemas()["model/architecture"]["net1d_schema"]
    assert {field.name for field in fields(schema)} == {"_target_", *inspect.signature(Net1D).parameters}
    assert {field.name: field.default for field in fields(schema)}["_target_"] == NET1D
    assert NET1D == f"{Net1D.__module__}.{Net1D.__qualname__}" == ECGFOUNDER.network


@pytest.mark.parametrize("file", ARCHITECTURES, ids=lambda file: file.stem)
def test_sizes_of_a_file_are_all_other_arguments(file: Path) -> None:
    sizes = sizes_in(file)
    assert list(inspect.signature(Net1D).parameters) == ["in_channels", "num_classes", *sizes]
    assert Net1D(1, 2, **(sizes | {"m_blocks": [1] * len(sizes["m_blocks"])})).in_channels == 1


def test_records_of_pretrained_networks_import_no_torch() -> None:
    code = "import sys; from ecgfounder_ft.model.pretrained import weights_files; weights_files(); sys.exit("
    code += "'torch' in sys.modules or 'omegaconf' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
