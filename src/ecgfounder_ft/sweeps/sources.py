"""Where the recordings of a configuration come from."""

from omegaconf import DictConfig

from ecgfounder_ft.config.compose import typed
from ecgfounder_ft.data.catalog import source_of, targets
from ecgfounder_ft.data.sources.source import read_catalog, source_named
from ecgfounder_ft.labels import LabelMap
from ecgfounder_ft.task import task_named


def sources_of(config: DictConfig) -> list[str]:
    """Constituents, or datasets without any, of the recordings that the task can use; reads the catalog."""
    label_map = typed(LabelMap, config.labels)
    table = read_catalog(typed(source_named(config.data.source), config.data), label_map).table
    usable = task_named(config.task.name).usable(targets(table, label_map))
    return sorted(set(source_of(table[usable])))
