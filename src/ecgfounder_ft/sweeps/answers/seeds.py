"""What several seeds of each configuration say: how much is chance of training, and which configurations differ."""

from collections.abc import Sequence

from ecgfounder_ft.report.sweep_section import Section
from ecgfounder_ft.sweeps.answers.trainings import compare_trainings, draws_of, evaluated, trainings_of
from ecgfounder_ft.sweeps.folder import SweepFolder
from ecgfounder_ft.sweeps.trial_results import TrialResult, by_configuration


def sections(folder: SweepFolder, trials: Sequence[TrialResult], metric: str, resamples: int | None) -> list[Section]:
    """Between-seed deviation beside the patients' interval, and the configurations in pairs.

    Args:
        folder: of the sweep.
        trials: finished ones of the design.
        metric: of :data:`~ecgfounder_ft.evaluation.metrics.METRICS`.
        resamples: of the patients; None: as the trials were evaluated.
    """
    draws = draws_of(trials, metric, resamples)
    groups = {
        name: {int(str(one.at("seed"))): evaluated(one).data for one in group}
        for name, group in by_configuration(trials).items()
    }
    compared = compare_trainings(trainings_of(groups, draws), draws)
    text = [
        "Every configuration was trained with several seeds and tested on the same recordings. The deviation between "
        "seeds is chance of training; the intervals say what other patients, and other patients and seeds, would give."
    ]
    return [Section("seeds", "Seeds", [*text, *compared.text], compared.tables, compared.pictures)]
