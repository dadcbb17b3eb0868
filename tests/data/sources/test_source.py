"""Sources are found by their modules, their settings are those of the YAML, and what is not there is told in words."""

import subprocess
import sys
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from omegaconf import OmegaConf
from omegaconf.errors import ConfigKeyError, ValidationError

from ecgfounder_ft.config.compose import compose_settings
from ecgfounder_ft.data.catalog import Catalog, CatalogError, build_table, skipped_table, targets
from ecgfounder_ft.data.sources import source as source_module
from ecgfounder_ft.data.sources.downloaded import DownloadedDataset, downloaded_datasets
from ecgfounder_ft.data.sources.merged import Merged
from ecgfounder_ft.data.sources.mimic_iv_ecg import MimicIvEcg, MimicIvEcgFolder
from ecgfounder_ft.data.sources.physionet2021 import Physionet2021
from ecgfounder_ft.data.sources.ptbxl import Ptbxl
from ecgfounder_ft.data.sources.selected import Selected
from ecgfounder_ft.data.sources.simulated import Simulated
from ecgfounder_ft.data.sources.source import DataSource, NoDataError, data_sources, read_catalog, source_named
from ecgfounder_ft.data.sources.table import Table
from ecgfounder_ft.ecg.formats.wfdb import write_recording
from ecgfounder_ft.ecg.leads import STANDARD_LEADS
from ecgfounder_ft.ecg.recording import UnreadableRecordingError
from ecgfounder_ft.labels import ABSENT, PRESENT, UNKNOWN, LabelMap

KNOWN = {
    "merged": Merged,
    "mimic_iv_ecg": MimicIvEcg,
    "physionet2021": Physionet2021,
    "ptbxl": Ptbxl,
    "selected": Selected,
    "simulated": Simulated,
    "table": Table,
}
CLASSES = data_sources()
CONFIGS = Path(__file__).parents[3] / "configs" / "data"
COMMON: dict[str, Any] = {
    "max_samples": None,
    "max_evaluation_recordings": None,
    "workers": 1,
    "store": "store",
}


def settings_of(name: str, **changes: Any) -> Any:
    """The shipped settings of a source, with some changed; what a user has to give is ``there``."""
    needed = ["data.path=there"] if name == "table" else []
    needed += ["data.root=there"] if name in ("mimic_iv_ecg", "physionet2021", "ptbxl") else []
    return replace(compose_settings([f"data={name}", *needed]).source, **changes)


def test_every_module_of_a_dataset_is_found() -> None:
    assert data_sources().items() >= KNOWN.items()
    assert downloaded_datasets().items() >= {"mimic_iv_ecg": MimicIvEcg, "physionet2021": Physionet2021}.items()
    assert not downloaded_datasets().keys() & {"merged", "selected", "simulated", "table"}


def test_every_source_has_its_file_of_values() -> None:
    assert {file.stem for file in CONFIGS.glob("*.yaml")} - {"common"} == data_sources().keys()


def test_an_unknown_source_is_refused_by_name() -> None:
    with pytest.raises(NoDataError, match=r"data\.source is 'georgia', expected one of: merged, mimic_iv_ecg, .*table"):
        source_named("georgia")


@pytest.mark.parametrize("name", CLASSES)
def test_the_shipped_settings_become_the_class_of_the_source(name: str) -> None:
    settings = settings_of(name)
    assert type(settings) is CLASSES[name]
    assert settings.source == name
    assert settings.max_samples == 1000
    assert settings.max_evaluation_recordings == 20_000
    assert settings.natural_prevalence == (name not in ("selected", "simulated"))
    assert settings.label_origin.endswith(".")


@pytest.mark.parametrize("name", CLASSES)
def test_the_classes_are_schemas_that_refuse_what_they_do_not_know(name: str) -> None:
    schema = OmegaConf.structured(CLASSES[name])
    with pytest.raises(ConfigKeyError, match="max_sampels"):
        OmegaConf.merge(schema, {"max_sampels": 3})
    with pytest.raises(ValidationError):
        OmegaConf.merge(schema, {"max_samples": "many"})


def test_the_datasets_of_the_merged_source_keep_their_keys() -> None:
    schema = OmegaConf.structured(Merged)
    given = {"mimic_iv_ecg": {"root": "/m", "check_files": False}, "physionet2021": {"root": None}}
    merged = OmegaConf.merge(schema, given)
    assert OmegaConf.to_object(merged.mimic_iv_ecg) == MimicIvEcgFolder(root="/m", check_files=False)
    with pytest.raises(ConfigKeyError, match="rooot"):
        OmegaConf.merge(schema, {"mimic_iv_ecg": {"rooot": "/m"}})
    with pytest.raises(ValidationError, match="root"):  # alone it has to have a folder
        OmegaConf.merge(OmegaConf.structured(MimicIvEcg), {"root": None})


def test_settings_are_known_without_importing_what_reads_the_data() -> None:
    code = """
import sys
from ecgfounder_ft.data.sources.source import data_sources
from ecgfounder_ft.data.split_settings import SplitSettings
from ecgfounder_ft.data.augmentation import Augmentation
assert len(data_sources()) > 5
print(sorted({"numpy", "pandas", "scipy", "torch", "pyarrow"} & set(sys.modules)))
"""
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert found.stdout == "[]\n"


@dataclass(kw_only=True)
class Given(DataSource):
    """A source of what it is given."""

    label_origin = "A test."
    found: Catalog | Exception

    def read(self, label_map: LabelMap) -> Catalog:
        if isinstance(self.found, Exception):
            raise self.found
        return self.found


def test_what_is_not_there_is_told_with_what_to_download(label_map: LabelMap) -> None:
    missing = Given(source="given", found=FileNotFoundError("no folder of georgia"), **COMMON)
    with pytest.raises(NoDataError, match=r"(?s)no folder of georgia.*physionet\.org.*experiment=demo"):
        read_catalog(missing, label_map)
    wrong = Given(source="given", found=CatalogError("no column path"), **COMMON)
    with pytest.raises(CatalogError, match="no column path"):
        read_catalog(wrong, label_map)


def test_an_empty_catalog_is_explained(label_map: LabelMap) -> None:
    errors = [UnreadableRecordingError("no samples", path=f"{n}.hea") for n in range(3)]
    empty = Catalog(build_table([], label_map), skipped_table(errors), ("a note",))
    with pytest.raises(NoDataError, match=r"3 x no samples\. The first: 0\.hea: no samples\. a note"):
        read_catalog(Given(source="given", found=empty, **COMMON), label_map)
    nothing = Catalog(build_table([], label_map))
    with pytest.raises(NoDataError, match="none found at all"):
        read_catalog(Given(source="given", found=nothing, **COMMON), label_map)


def write(folder: Path, name: str, **comments: str) -> Path:
    signal = np.random.default_rng(0).normal(size=(12, 100)).astype(np.float32)
    return write_recording(folder, name, signal, STANDARD_LEADS, 500, storage="mat", comments=comments)


def test_what_a_folder_does_not_say_is_absent_or_unknown_as_wished(tmp_path: Path, label_map: LabelMap) -> None:
    write(tmp_path / "NORMAL", "1")
    for unlisted, state in (("absent", ABSENT), ("unknown", UNKNOWN)):
        selected = settings_of("selected", mimic_path=str(tmp_path), physionet_path=None, unlisted=unlisted)
        states = targets(read_catalog(selected, label_map).table, label_map)[0].tolist()
        assert states == [PRESENT] + [state] * (len(label_map) - 1)
    with pytest.raises(ValueError, match=r"data\.unlisted is 'maybe', expected one of: absent, unknown"):
        replace(selected, unlisted="maybe")


def test_the_merged_source_needs_a_dataset(tmp_path: Path, label_map: LabelMap) -> None:
    merged = settings_of("merged", catalogs=str(tmp_path / "catalogs"))
    with pytest.raises(NoDataError, match=r"set data\.mimic_iv_ecg\.root, .*, data\.ptbxl\.root, or several"):
        read_catalog(merged, label_map)
    write(tmp_path / "data", "E00001", Dx="164889003")
    merged.physionet2021.root = str(tmp_path / "data")
    assert read_catalog(merged, label_map).table["recording"].tolist() == ["physionet2021/E00001"]
    assert (tmp_path / "catalogs" / "physionet2021.parquet").is_file()


def test_a_downloaded_dataset_remembers_its_headers(
    tmp_path: Path, label_map: LabelMap, caplog: pytest.LogCaptureFixture
) -> None:
    root = tmp_path / "data"
    write(root, "E00001", Dx="164889003")
    dataset = settings_of("physionet2021", root=str(root), catalogs=str(tmp_path / "catalogs"))
    assert isinstance(dataset, DownloadedDataset)
    caplog.set_level("INFO")
    first = read_catalog(dataset, label_map).table
    write(root, "E00002", Dx="426783006")
    second = read_catalog(dataset, label_map).table
    assert (len(first), len(second)) == (1, 2)
    assert "1 header(s) read, 0 unchanged" in caplog.text
    assert "1 header(s) read, 1 unchanged" in caplog.text


def test_tables_of_mimic_are_read_again_only_when_they_change(
    tmp_path: Path, label_map: LabelMap, monkeypatch: pytest.MonkeyPatch
) -> None:
    from ecgfounder_ft.data.sources.mimic_iv_ecg import tables

    calls: list[bool] = []
    read = tables.read_mimic_iv_ecg

    def counted(*arguments: Any, check_files: bool) -> Catalog:
        calls.append(check_files)
        return read(*arguments, check_files=check_files)

    monkeypatch.setattr(tables, "read_mimic_iv_ecg", counted)
    reports = ",".join(f"report_{number}" for number in range(18))
    blank = "," * 17
    (tmp_path / "record_list.csv").write_text("subject_id,study_id,path\n1,11,files/p1/s11/11\n")
    measured = tmp_path / "machine_measurements.csv"
    measured.write_text(f"subject_id,study_id,{reports}\n1,11,Atrial fibrillation{blank}\n")
    dataset = settings_of("mimic_iv_ecg", root=str(tmp_path), catalogs=str(tmp_path / "catalogs"), check_files=False)
    for _ in range(2):
        assert read_catalog(dataset, label_map).table["AFIB"].tolist() == ["present"]
    assert calls == [False]
    measured.write_text(f"subject_id,study_id,{reports}\n1,11,Sinus rhythm{blank}\n")
    assert read_catalog(dataset, label_map).table["AFIB"].tolist() == ["absent"]
    for _ in range(2):
        read_catalog(replace(dataset, check_files=True), label_map)
    assert calls == [False, False, True, True]


def test_a_source_has_to_say_how_it_is_read() -> None:
    class Silent(DataSource):
        pass

    with pytest.raises(TypeError, match="abstract"):
        Silent(source="silent", **COMMON)  # type: ignore[abstract]
    assert "Silent" not in {found.__name__ for found in source_module.data_sources().values()}
