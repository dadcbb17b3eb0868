"""Files that recordings are stored in, one reader per format."""
