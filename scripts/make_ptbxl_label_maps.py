"""Write the six label maps of PTB-XL's benchmark from the dataset's own table of statements.

    python scripts/make_ptbxl_label_maps.py /data/ptb-xl/1.0.3/scp_statements.csv configs/labels

The levels are those of Strodthoff et al. (2020, https://doi.org/10.1109/jbhi.2020.3022989): all statements, diagnostic
ones, their subclasses and superclasses, form and rhythm. A statement counts at any likelihood, 0 included. The outputs
stand in alphabetical order, as the benchmark's own code has them.
"""

import argparse
import csv
from collections.abc import Mapping, Sequence
from pathlib import Path

LEVELS = ("all", "diagnostic", "subdiagnostic", "superdiagnostic", "form", "rhythm")

_GROUP_NAMES = {
    "superdiagnostic": {
        "CD": "conduction disturbance",
        "HYP": "hypertrophy",
        "MI": "myocardial infarction",
        "NORM": "normal ECG",
        "STTC": "ST/T change",
    },
    "subdiagnostic": {
        "AMI": "anterior myocardial infarction",
        "IMI": "inferior myocardial infarction",
        "ISCA": "ischemia in anterior leads",
        "ISCI": "ischemia in inferior leads",
        "LAFB/LPFB": "left anterior or posterior fascicular block",
        "STTC": "other ST/T change",
        "_AVB": "AV block",
    },
}
"""Names of groups of several statements, of which the table has the abbreviations alone."""

_HEADER = """\
# PTB-XL, level "{level}" of the benchmark of Strodthoff et al. (2020, https://doi.org/10.1109/jbhi.2020.3022989):
# {count} outputs in alphabetical order, the order of the network's. Made by scripts/make_ptbxl_label_maps.py from
# PTB-XL's scp_statements.csv; the number beside a statement is the least likelihood (%) that counts, and 0 counts any.
defaults:
  - label_map_schema
  - _self_

name: ptbxl_{level}
scp_stated_only: true # recordings without any statement of the level are left out, and counted
conditions:
"""


def members_of(level: str, statements: Sequence[Mapping[str, str]]) -> dict[str, dict[str, str]]:
    """The conditions of a level in alphabetical order, each with its statements and their descriptions."""
    found: dict[str, dict[str, str]] = {}
    column = {"subdiagnostic": "diagnostic_subclass", "superdiagnostic": "diagnostic_class"}.get(level, "")
    flag = "diagnostic" if column else level
    for row in statements:
        if level != "all" and row[flag] not in ("1.0", "1"):
            continue
        found.setdefault(row[column], {})[row[""]] = row["description"]
    return dict(sorted(found.items()))


def label_map_text(level: str, statements: Sequence[Mapping[str, str]]) -> str:
    """The YAML file of one level.

    Args:
        level: one of :data:`LEVELS`.
        statements: rows of ``scp_statements.csv``.
    """
    members = members_of(level, statements)
    lines = [_HEADER.format(level=level, count=len(members))]
    for code, stated in members.items():
        name = _GROUP_NAMES.get(level, {}).get(code) or next(iter(stated.values()))
        scp = ", ".join(f'"{statement}": 0' for statement in sorted(stated))
        lines.append(f'  "{code}": {{name: "{name}", scp: {{{scp}}}}}\n')
    return "".join(lines)


def main() -> None:
    """Write a file for each level."""
    parser = argparse.ArgumentParser(description="Write the six label maps of PTB-XL's benchmark.")
    parser.add_argument("table", type=Path, help="scp_statements.csv of PTB-XL")
    parser.add_argument("folder", type=Path, help="folder of label maps")
    given = parser.parse_args()
    with given.table.open(encoding="utf-8-sig", newline="") as stream:
        statements = list(csv.DictReader(stream))
    for level in LEVELS:
        file = given.folder / f"ptbxl_{level}.yaml"
        file.write_text(label_map_text(level, statements), encoding="utf-8")
        print(f"{file}: {len(members_of(level, statements))} outputs")


if __name__ == "__main__":
    main()
