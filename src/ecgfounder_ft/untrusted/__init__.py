"""Files that anybody may have written: read with bounds, held against what they claim, and never run."""
