"""``ecgfounder-ft catalog``."""

from pathlib import Path
from typing import Annotated

import typer

from ecgfounder_ft.commands.options import Labels, path_argument, path_option
from ecgfounder_ft.console import say
from ecgfounder_ft.errors import ExitCode, run_or_explain


def catalog(
    dataset: Annotated[str, typer.Argument(help="Which dataset: mimic-iv-ecg, physionet2021 or ptbxl.")],
    root: Annotated[Path, path_argument("Its folder, as downloaded from PhysioNet.")],
    output: Annotated[Path, path_option("Folder of the catalogs.")] = Path("outputs/catalogs"),
    labels: Labels = "six_conditions",
    ptbxl_database: Annotated[
        Path | None, path_option("PTB-XL's ptbxl_database.csv, for patients and folds of its recordings.")
    ] = None,
    report: Annotated[bool, typer.Option(help="Also draw distributions and example recordings.")] = False,
) -> None:
    """List a dataset's recordings with their labels, and the evidence for each, in one Parquet table."""

    def run() -> bool:
        from ecgfounder_ft.config.compose import compose_settings
        from ecgfounder_ft.data.catalog import describe_counts
        from ecgfounder_ft.data.sources.downloaded import downloaded_datasets
        from ecgfounder_ft.data.sources.source import NoDataError
        from ecgfounder_ft.designs.design import quoted

        name = dataset.replace("-", "_")
        known = downloaded_datasets()
        if name not in known:
            raise NoDataError(f"dataset '{dataset}', expected one of: {', '.join(known)}")
        places = {"root": root, "catalogs": output}
        if ptbxl_database is not None:
            places["ptbxl_database"] = ptbxl_database
        typed = [f"data.{key}={quoted(str(place))}" for key, place in places.items()]
        settings = compose_settings([f"labels={labels}", f"data={name}", *typed])
        label_map = settings.label_map
        found = settings.source.read(label_map)
        if not len(found):
            skipped = found.skipped["reason"].value_counts().to_dict()
            say(f"no recording of {dataset} in {root}; skipped: {skipped or 'none found at all'}", err=True)
            return False
        say(describe_counts(found.table, label_map))
        for note in found.notes:
            say(note)
        if len(found.skipped):
            say(f"{len(found.skipped)} skipped: {found.skipped['reason'].value_counts().to_dict()}")
        say(f"{len(found)} recordings in {output / name}.parquet")
        if report:
            from ecgfounder_ft.report.catalog_report import write_catalog_report

            say(f"report: {write_catalog_report(found, label_map, output / f'{name}-report')}")
        return True

    if not run_or_explain(run):
        raise typer.Exit(ExitCode.NO_RESULT)
