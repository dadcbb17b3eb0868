"""From folders of recordings to batches: catalogs, splits, the signal store, the data module."""
