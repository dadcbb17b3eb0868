"""What a part of a sweep's answer says: words, tables and pictures, for the terminal and for the page alike."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from matplotlib.figure import Figure


@dataclass(frozen=True)
class SectionTable:
    """A table of text; the first column names the row."""

    caption: str
    columns: Sequence[str]
    rows: Sequence[Sequence[str]]


@dataclass(frozen=True)
class SectionPicture:
    """A picture with what it shows in words."""

    figure: Figure
    alt: str
    caption: str = ""


@dataclass(frozen=True)
class Section:
    """One part of the answer."""

    anchor: str
    title: str
    text: Sequence[str] = ()
    """Paragraphs."""
    tables: Sequence[SectionTable] = ()
    pictures: Sequence[SectionPicture] = ()
    links: Mapping[str, str] = field(default_factory=dict)
    """Words to a file, seen from the sweep's folder."""
