"""Where recordings come from: one module per dataset.

A module holds all that there is to know of its dataset: its settings, how it is read, and what its labels rest on. It
is imported whenever a configuration is checked, so it imports no numpy, pandas or torch at its top; where reading takes
several files, the module is a folder, of which ``__init__.py`` alone is imported then.
"""
