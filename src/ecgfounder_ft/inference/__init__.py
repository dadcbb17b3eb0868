"""A finished model: loaded, and used on arrays and files."""
