"""One file per thing: the class that each module of a package contributes."""

import importlib
import inspect
import pkgutil
from types import ModuleType
from typing import TypeVar

Base = TypeVar("Base")


def classes_in(package: ModuleType, base: type[Base]) -> dict[str, type[Base]]:
    """Module name to the class of that module which derives from ``base``; modules without one are left out.

    The modules are imported, so what is discovered for the sake of a configuration imports nothing heavy at its top.

    Raises:
        TypeError: if a module defines two such classes.
    """
    found: dict[str, type[Base]] = {}
    for module in pkgutil.iter_modules(package.__path__):
        content = vars(importlib.import_module(f"{package.__name__}.{module.name}"))
        classes = [
            value
            for value in content.values()
            if inspect.isclass(value)
            and issubclass(value, base)
            and not inspect.isabstract(value)
            and value.__module__ == content["__name__"]
            and value is not base
        ]
        if len(classes) > 1:
            names = ", ".join(value.__name__ for value in classes)
            raise TypeError(f"{content['__name__']} defines {names}: expected one class per file")
        if classes:
            found[module.name] = classes[0]
    return found
