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
    """Millivolts in one of a unit, whatever its case; None where it is no unit of voltage that is known.

    >>> millivolts_per("uV"), millivolts_per("Millivolts"), millivolts_per("mmHg")
    (0.001, 1.0, None)
    """
    name = unit.strip().casefold()
    return _MILLIVOLTS.get(name, _MILLIVOLTS.get(name.removesuffix("s")))
