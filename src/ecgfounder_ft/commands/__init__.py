"""The commands of ``ecgfounder-ft``, one module each: what it parses, what it calls, what it prints.

A module imports what its command needs when the command runs, so that ``--help`` stays fast and imports no torch.
"""
