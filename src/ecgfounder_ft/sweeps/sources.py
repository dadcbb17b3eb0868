"""Sources of the recordings that settings name."""

from ecgfounder_ft.config.settings import Settings
from ecgfounder_ft.data.catalog import source_of, targets
from ecgfounder_ft.data.sources.source import read_catalog


def sources_of(settings: Settings) -> list[str]:
    """List the constituents, or datasets without any, of the recordings that the task can use; reads the catalog."""
    table = read_catalog(settings.source, settings.label_map).table
    usable = settings.task.usable(targets(table, settings.label_map))
    return sorted(set(source_of(table[usable])))
