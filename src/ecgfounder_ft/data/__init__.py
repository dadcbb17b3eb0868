"""The way from folders of recordings to batches: catalogs, splits, the signal store, the data module."""
