"""What every data source has in common, and how the catalog of one is read."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from ecgfounder_ft.discovery import classes_in
from ecgfounder_ft.errors import ExplainedError
from ecgfounder_ft.labels import LabelMap

if TYPE_CHECKING:
    import pandas as pd

    from ecgfounder_ft.data.catalog import Catalog
    from ecgfounder_ft.ecg.description import SignalDescription


class NoDataError(ExplainedError):
    """No recordings where the configuration says.

    Args:
        message: what was looked for.
        skipped: path, reason and detail of each recording that was found and cannot be used.
    """

    def __init__(self, message: str, skipped: pd.DataFrame | None = None) -> None:
        super().__init__(message)
        self.skipped = skipped


@dataclass(kw_only=True)
class DataSource(ABC):
    """Settings of the configuration's ``data`` group, and the way from them to a catalog.

    The values stand in ``configs/data/``; no class of settings has any.
    """

    label_origin: ClassVar[str]
    """What the labels rest on: one or two sentences for reports."""
    natural_prevalence: ClassVar[bool] = True
    """Whether conditions are as frequent in it as where it was recorded. Then validation and test keep that, and
    ``max_samples`` caps the training side alone; else the recordings are a selection, and it caps all of them."""

    source: str
    """Name of the source, which is that of its module."""
    max_samples: int | None
    """Recordings per condition at most, an even share from each dataset; None: all. On the training side, and where
    :attr:`natural_prevalence` is False in all before they are divided."""
    max_evaluation_recordings: int | None
    """Recordings of the validation and of the test side at most, those of patients drawn at random; None: all. Without
    effect where :attr:`natural_prevalence` is False, and on ``split.whole_sides``."""
    workers: int | None
    """Processes that fill the signal store; None: one per core."""
    store: str
    """Folder of the signal store."""

    def __post_init__(self) -> None:
        for name in ("max_samples", "max_evaluation_recordings", "workers"):
            value, least = getattr(self, name), 0 if name == "workers" else 1
            if value is not None and value < least:
                every = "one per core" if name == "workers" else "all"
                raise ValueError(f"data.{name} is {value}, expected {least} or more, or null: {every}")

    def require(self, label_map: LabelMap, minimum: int) -> None:  # noqa: B027 - some have nothing to look for
        """Look, before anything is read, for what can be missed at a glance: folders, columns of a table.

        Args:
            label_map: the conditions.
            minimum: recordings of each condition that will be asked for.

        Raises:
            FileNotFoundError: if there is nothing where the settings say.
            ExplainedError: if what is there is not what it should be.
        """

    @property
    def stated(self) -> SignalDescription:
        """Rate, unit and leads for files that do not say them; nothing, unless the source has settings of that."""
        from ecgfounder_ft.ecg.description import NOTHING_STATED

        return NOTHING_STATED

    @abstractmethod
    def read(self, label_map: LabelMap) -> Catalog:
        """The catalog of the recordings, with the states of the label map's conditions.

        Raises:
            FileNotFoundError: if there is nothing where the settings say.
            ExplainedError: if what is there is not what it should be.
        """


def data_sources() -> dict[str, type[DataSource]]:
    """Name to settings of every source there is: the modules of this package."""
    from ecgfounder_ft.data import sources

    # mypy takes no abstract class for a type[...] parameter, though nothing is instantiated
    return classes_in(sources, DataSource)  # type: ignore[type-abstract]


def source_named(name: str) -> type[DataSource]:
    """The class of settings of a source.

    Raises:
        NoDataError: if there is no source of that name; the message lists those that there are.
    """
    known = data_sources()
    if name not in known:
        raise NoDataError(f"data.source is '{name}', expected one of: {', '.join(known)}")
    return known[name]


def require_data(source: DataSource, label_map: LabelMap, minimum: int) -> None:
    """Refuse, before anything is made, a source whose folders or table cannot be what is meant.

    Raises:
        NoDataError: if there is nothing where the settings say.
        ExplainedError: if what is there is not what it should be.
    """
    try:
        source.require(label_map, minimum)
    except FileNotFoundError as error:
        raise NoDataError(_advice(error)) from error
    except ValueError as error:
        raise NoDataError(str(error)) from error


def _advice(error: FileNotFoundError) -> str:
    return (
        f"{error}\n\nThe datasets are MIMIC-IV-ECG (https://physionet.org/content/mimic-iv-ecg), PhysioNet/CinC "
        "2021 (https://physionet.org/content/challenge-2021) and PTB-XL (https://physionet.org/content/ptb-xl).\n"
        "To see the project at work without any data: ecgfounder-ft train experiment=demo"
    )


def read_catalog(source: DataSource, label_map: LabelMap) -> Catalog:
    """The catalog of a source, with at least one recording.

    Raises:
        NoDataError: if its folders are not there or hold no usable recording.
    """
    try:
        catalog = source.read(label_map)
    except FileNotFoundError as error:
        raise NoDataError(_advice(error)) from error
    if not len(catalog):
        reasons = catalog.skipped["reason"].value_counts()
        skipped = "; ".join(f"{count} x {reason}" for reason, count in reasons.items()) or "none found at all"
        raise NoDataError(
            f"no usable recording in the configured folders. Skipped: {skipped}. "
            + " ".join([*first_skipped(catalog.skipped), *catalog.notes]),
            catalog.skipped,
        )
    return catalog


def first_skipped(skipped: pd.DataFrame) -> list[str]:
    """Sentences on the first recording that was skipped, and on what is likely at fault where all share the reason."""
    if skipped.empty:
        return []
    path, reason, detail = skipped.iloc[0][["path", "reason", "detail"]]
    told = [f"The first: {path}: {reason}{f' ({detail})' if detail else ''}."]
    if skipped["detail"].str.contains("No such file", regex=False).mean() > 0.9:
        told.append(
            "Nearly all of these files are absent: does data.root, or the table's folder, lead to where paths start?"
        )
    elif skipped["reason"].eq("signal file is missing").mean() > 0.9:
        told.append("Headers are there without their signal files (.dat, .mat): was only a part of the folder copied?")
    return told
