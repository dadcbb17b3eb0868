"""The datasets that recordings come from, one file each."""
