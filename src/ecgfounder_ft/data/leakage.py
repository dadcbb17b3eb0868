"""Patients and signals on two sides of a split, counted from the finished split alone."""

from collections.abc import Mapping
from dataclasses import dataclass

import pandas as pd

from ecgfounder_ft.data.catalog import source_of, unknown_patients
from ecgfounder_ft.data.split_settings import EXCLUDED
from ecgfounder_ft.errors import ExplainedError


class LeakageError(ExplainedError, RuntimeError):
    """A patient or a signal stands on two sides."""


@dataclass(frozen=True)
class LeakageReport:
    """What stands on two sides, by source; every number must be zero."""

    by_source: pd.DataFrame
    """One row per source, and one for ``all``: patients, patients_on_two_sides, signals, signals_on_two_sides, the
    recordings excluded to keep it so, and patient_unknown, the recordings of which nothing can be said: those whose
    patient is unknown."""
    examples: tuple[str, ...]
    """Some of the patients and signals at fault."""

    @property
    def found(self) -> int:
        """Patients and signals on two sides."""
        return int(self.by_source[["patients_on_two_sides", "signals_on_two_sides"]].loc["all"].to_numpy().sum())

    def with_excluded(self, more: Mapping[str, int]) -> "LeakageReport":
        """The report with recordings that were excluded already before the table was made: source to number."""
        counts = self.by_source.reindex([*sorted({*self.by_source.index, *more} - {"all"}), "all"], fill_value=0)
        counts["recordings_excluded"] += pd.Series({**more, "all": sum(more.values())}).reindex(
            counts.index, fill_value=0
        )
        counts.index.name = self.by_source.index.name
        return LeakageReport(counts, self.examples)

    def require_none(self) -> None:
        """Raise :class:`LeakageError` unless every number is zero."""
        if self.found:
            row = self.by_source.loc["all"]
            raise LeakageError(
                f"{row['patients_on_two_sides']} patient(s) and {row['signals_on_two_sides']} signal(s) stand on two "
                f"sides of the split, for example {', '.join(self.examples)}; results would be too good to be true"
            )


def leakage_report(table: pd.DataFrame, split: pd.Series, signal_hash: pd.Series) -> LeakageReport:
    """Count the patients and signals that stand on two sides, by the source of the recordings concerned.

    It looks at nothing but the finished split, so that it also judges a split made elsewhere.
    """
    used = split != EXCLUDED
    source = source_of(table)
    unknown = unknown_patients(table[used])
    counts = pd.DataFrame(index=[*sorted(set(source)), "all"])
    examples: list[str] = []
    for name, key in (("patients", table["patient"]), ("signals", signal_hash)):
        sides = split[used].groupby(key[used]).nunique()
        faulty = key.isin(sides.index[sides > 1]) & used
        examples += [f"{name[:-1]} {value}" for value in sorted(set(key[faulty]))[:5]]
        for column, rows in ((name, used), (f"{name}_on_two_sides", faulty)):
            counts[column] = key[rows].groupby(source[rows]).nunique()
            counts.loc["all", column] = key[rows].nunique()
    counts["recordings_excluded"] = (~used).groupby(source).sum()
    counts.loc["all", "recordings_excluded"] = (~used).sum()
    counts["patient_unknown"] = unknown
    counts.loc["all", "patient_unknown"] = unknown.sum()
    counts.index.name = "source"
    return LeakageReport(counts.fillna(0).astype(int), tuple(examples))
