"""Units of voltage by their names."""

_MILLIVOLTS = {
    "nv": 1e-6,
    "nanovolt": 1e-6,
    "uv": 1e-3,
    "µv": 1e-3,  # micro sign
    "μv": 1e-3,  # Greek mu
    "microvolt": 1e-3,
    "mv": 1.0,
    "millivolt": 1.0,
    "v": 1e3,
    "volt": 1e3,
}


def millivolts_per(unit: str) -> float | None:
    """Return the millivolts in one of a unit, whatever its case; None for an unknown unit.

    A letter before the V that is not ASCII is a micro sign, in whatever encoding it was written.

    >>> millivolts_per("uV"), millivolts_per("Millivolts"), millivolts_per("mmHg")
    (0.001, 1.0, None)
    """
    name = unit.strip().strip("\0").casefold()
    prefix = name[: -len("v")] if name.endswith("v") else ""
    if prefix and not any(letter.isascii() for letter in prefix):
        name = "uv"
    return _MILLIVOLTS.get(name, _MILLIVOLTS.get(name.removesuffix("s")))
