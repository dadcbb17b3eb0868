"""The notebook runs from its first cell to its last, and is committed without outputs."""

import json
import shutil
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).resolve().parents[2]
NOTEBOOK = ROOT / "notebooks" / "fine_tune.ipynb"


@pytest.fixture
def content() -> dict[str, Any]:
    return json.loads(NOTEBOOK.read_text(encoding="utf-8"))


def test_it_is_committed_without_outputs(content: dict[str, Any]) -> None:
    for cell in content["cells"]:
        assert not cell.get("outputs")
        assert cell.get("execution_count") is None


@pytest.mark.slow
def test_it_runs(tmp_path: Path) -> None:
    nbformat = pytest.importorskip("nbformat", reason="the notebook needs the extra [notebook]")
    nbclient = pytest.importorskip("nbclient", reason="the notebook needs the extra [notebook]")
    notebook = nbformat.read(shutil.copy2(NOTEBOOK, tmp_path), as_version=4)
    nbclient.NotebookClient(notebook, timeout=600, resources={"metadata": {"path": str(tmp_path)}}).execute()
    assert (tmp_path / "outputs" / "notebook" / "run" / "report.html").is_file()
    outputs = [output for cell in notebook.cells for output in cell.get("outputs", [])]
    pictures = [output for output in outputs if "image/png" in output.get("data", {})]
    assert len(pictures) >= 5
    assert "AFIB" in notebook.cells[-2]["outputs"][-1]["data"]["text/plain"]
