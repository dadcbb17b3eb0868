"""Configuration: the typed schema, and how a configuration is composed and checked."""
