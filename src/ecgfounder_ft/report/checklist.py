"""TRIPOD+AI: what a run did about each item, told from the record of what it did.

Items by number and topic after Collins et al., BMJ 2024;385:e078378 (https://www.tripod-statement.org), in our own
short words; the statement itself says what each asks for.
"""

from collections.abc import Callable, Mapping, Sequence, Set
from dataclasses import dataclass

from ecgfounder_ft.evaluation.metrics import count_recordings
from ecgfounder_ft.report.run_facts import RunFacts
from ecgfounder_ft.report.words import ordinal

ANSWERED, IN_PART, NOT_DONE, NOT_KNOWN, AUTHORS = (
    "answered",
    "in part",
    "not done in this run",
    "not known",
    "for the authors",
)
"""States of an item in a report."""


@dataclass(frozen=True)
class Said:
    """What a run did about an item."""

    text: str
    done: bool = True
    """False where it says that it was not done."""
    whole: bool = True
    """False where it was done in part."""


@dataclass(frozen=True)
class Item:
    """One item of the checklist."""

    number: str
    topic: str
    asks: str
    section: str = ""
    """Anchor of the section with more about it, empty where only the authors can answer."""
    said: Callable[[RunFacts], Said] | None = None
    """What the run did about it."""
    to_add: str = ""
    """What the authors have to add."""


@dataclass(frozen=True)
class Answer:
    """An item with its state in one report."""

    item: Item
    state: str
    """One of the states above."""
    text: str = ""
    """What this run did, empty where only the authors can answer."""
    section: str = ""
    """Anchor of a section that the report has, or empty."""


# --- What was done --------------------------------------------------------------------------------------------------


def _title(facts: RunFacts) -> Said:
    return Said("the heading names network, start, strategy, data and seed")


def _objectives(facts: RunFacts) -> Said:
    what = "fine-tuning" if facts.model.weights else "training"
    where = (
        f"on {facts.data.evaluated_on}" if facts.data.elsewhere else f"on the {facts.data.side} side of the same data"
    )
    return Said(f"{what} of a {facts.model.network} from {facts.model.start}, and its evaluation {where}")


def _data(facts: RunFacts) -> Said:
    kind = (
        "with the prevalence of the source"
        if facts.data.natural_prevalence
        else "a selection without natural prevalence"
    )
    return Said(f"{facts.data.evaluated_on}, {kind}")


def _eligibility(facts: RunFacts) -> Said:
    rules = [
        *(f"{count_recordings(n)} left out: {reason}" for reason, n in facts.data.left_out.items()),
        *(f"{count_recordings(n)} left out by a cap ({side})" for side, n in facts.data.capped.items()),
        *(f"{count_recordings(n)} excluded: {reason}" for reason, n in facts.data.excluded.items()),
    ]
    if skipped := sum(facts.data.skipped.values()):
        rules.append(f"{count_recordings(skipped)} unusable")
    return Said("; ".join(rules) or "every recording found was used")


def _preparation(facts: RunFacts) -> Said:
    repaired = "; ".join(f"{what} ({n:,})" for what, n in facts.data.repairs.items()) or "nothing"
    return Said(f"{facts.model.preprocessing}, alike for all recordings; repaired: {repaired}")


def _outcome(facts: RunFacts) -> Said:
    return Said(
        facts.data.label_origin.rstrip(".") or "no word on where the labels come from", bool(facts.data.label_origin)
    )


def _predictors(facts: RunFacts) -> Said:
    return Said(f"leads {' '.join(facts.model.leads)}; age and sex are not given to the model")


def _handling(facts: RunFacts) -> Said:
    return Said(facts.model.preprocessing)


def _size(facts: RunFacts) -> Said:
    parts = []
    for side, of_side in facts.data.sides.items():
        fewest = of_side.fewest
        rarest = f", fewest {fewest[0]} with {fewest[1]:,}" if fewest else ""
        parts.append(f"{side} {of_side.recordings:,}{rarest}")
    capped = f"; capped: {_capped(facts)}" if facts.data.capped else ""
    return Said(f"no sample size was calculated; recordings: {'; '.join(parts)}{capped}", done=False)


def _missing(facts: RunFacts) -> Said:
    unknown = {side: sum(of_side.unknown.values()) for side, of_side in facts.data.sides.items()}
    listed = ", ".join(f"{side} {n:,}" for side, n in unknown.items())
    labels = "no label is unknown"
    if any(unknown.values()):
        labels = f"unknown labels ({listed}) are left out of loss and metrics one by one"
    if facts.model.exclusive:
        labels = "the conditions that a recording is not labelled with count as absent"
    elif facts.data.unlisted == "absent":
        labels += "; a condition whose folder a recording does not lie in was taken as absent"
    samples = {"zero": "missing samples become 0", "interpolate": "missing samples are interpolated"}
    skipped = f"; {count_recordings(sum(facts.data.skipped.values()))} skipped" if facts.data.skipped else ""
    return Said(f"{labels}; {samples.get(facts.model.missing_samples, facts.model.missing_samples)}{skipped}")


def _division(facts: RunFacts) -> Said:
    return Said(
        "; ".join([facts.data.split, *(f"{side}: {of_side.size}" for side, of_side in facts.data.sides.items())])
    )


def _building(facts: RunFacts) -> Said:
    if not facts.training.epochs:
        return Said(f"no epoch was trained: this is {facts.model.start} as it is", done=False)
    found = [f"{name} by {how}" for name, how in facts.training.found.items()]
    searched = f"; found: {', '.join(found)}" if found else "; no setting was searched for in this run"
    mixed = (
        f"; weights between start and end (share {facts.training.interpolation:g})"
        if facts.training.interpolation is not None
        else ""
    )
    best = (
        f", the {ordinal(facts.training.best_epoch)} chosen by {facts.training.monitor}"
        if facts.training.best_epoch
        else ""
    )
    return Said(
        f"{facts.model.network} from {facts.model.start} (last layer: {facts.model.head}), strategy "
        f"{facts.training.strategy}, {facts.training.loss}, {facts.training.epochs} "
        f"epoch{'s' if facts.training.epochs != 1 else ''}{best}{mixed}{searched}; one split and one seed"
    )


def _heterogeneity(facts: RunFacts) -> Said:
    places = {name: n for name, n in facts.evaluation.subgroups.items() if name in ("source", "constituent")}
    if not places:
        return Said("no two sources of the evaluated recordings are large enough to be compared", done=False)
    return Said(f"AUROC by {' and '.join(places)} ({sum(places.values())} groups); no test between them")


def _measures(facts: RunFacts) -> Said:
    chosen = f"; the epoch was chosen by {facts.training.monitor}, as configured" if facts.training.best_epoch else ""
    return Said(
        "AUROC and AUPRC because they need no threshold, sensitivity, specificity, PPV, NPV and F1 because decisions "
        f"are made, Brier score and ECE because probabilities are given, net benefit because errors cost{chosen}"
    )


def _recalibration(facts: RunFacts) -> Said:
    if not facts.calibrated:
        asked = (
            f": {facts.evaluation.calibration} calibration changed no condition"
            if facts.evaluation.calibration != "none"
            else ""
        )
        return Said(f"the probabilities were not recalibrated{asked}", done=False)
    kept = (
        f"; {facts.evaluation.calibration_notes} of {len(facts.model.conditions)} conditions have a note"
        if facts.evaluation.calibration_notes
        else ""
    )
    return Said(
        f"{facts.evaluation.calibration} calibration, fitted on {facts.calibrated_on:,} validation recordings{kept}"
    )


def _predictions(facts: RunFacts) -> Said:
    link = "softmax over the conditions" if facts.model.exclusive else "a sigmoid for each"
    calibrated = f", then {facts.evaluation.calibration} calibration" if facts.calibrated else ""
    return Said(f"one logit for each condition, {link}{calibrated}")


def _imbalance(facts: RunFacts) -> Said:
    how = {
        "none": "",
        "balanced_sampler": "rare conditions were drawn more often in training",
        "pos_weight": "the loss weighed rare conditions more",
    }
    done = [text for text in (how.get(facts.training.imbalance, facts.training.imbalance),) if text]
    if facts.data.capped:
        done.append(f"a cap left recordings out: {_capped(facts)}")
    if not done:
        return Said("neither sampling, nor weights, nor a cap was used against it", done=False)
    return Said(f"{'; '.join(done)}; afterwards: {_recalibration(facts).text}")


def _fairness(facts: RunFacts) -> Said:
    groups = [name for name in ("sex", "age") if facts.evaluation.subgroups.get(name)]
    if not groups:
        return Said("no two groups by sex or age are large enough to be compared", done=False)
    return Said(f"AUROC by {' and '.join(groups)}; ethnicity is not known; nothing was done in training to even them")


def _output(facts: RunFacts) -> Said:
    if facts.model.exclusive:
        return Said("probabilities, and the most probable condition")
    few = (
        f"; with a note on few recordings: {facts.evaluation.threshold_notes}"
        if facts.evaluation.threshold_notes
        else ""
    )
    rule = (
        "0.5 for all"
        if facts.evaluation.thresholds in ("", "fixed")
        else f"chosen on validation by {facts.evaluation.thresholds}"
    )
    return Said(f"probabilities, and decisions by thresholds, {rule}{few}")


def _differences(facts: RunFacts) -> Said:
    if facts.data.elsewhere:
        return Said(f"trained on {facts.data.trained_on}, evaluated on {facts.data.evaluated_on}; by side in Table 1")
    other = facts.data.external or "both were divided from the same sources, so this is no external validation"
    return Said(f"{other}; by side in Table 1")


def _sharing(facts: RunFacts) -> Said:
    weights = "checksum of the pretrained weights, " if facts.model.weights else ""
    return Said(f"versions, {weights}fingerprint of the data and the whole configuration are stated")


def _participants(facts: RunFacts) -> Said:
    found = facts.evaluation
    missing = (
        f"of the {facts.data.side} recordings, {found.age_missing:,} without age and {found.sex_missing:,} without sex"
    )
    unknown = (
        f"; {count_recordings(facts.data.patient_unknown)} of unknown patients" if facts.data.patient_unknown else ""
    )
    return Said(f"Table 1 by side: age, sex, source, length, conditions; {missing}{unknown}")


def _numbers(facts: RunFacts) -> Said:
    of_side = facts.data.sides.get(facts.data.side)
    fewest = of_side.fewest if of_side else None
    rarest = f"; fewest events: {fewest[0]} with {count_recordings(fewest[1])}" if fewest else ""
    return Said(f"recordings, positives and patients beside every metric{rarest}")


def _specification(facts: RunFacts) -> Said:
    return Said(f"{facts.model.parameters:,} parameters, in the run's folder with the whole configuration")


def _performance(facts: RunFacts) -> Said:
    if not facts.evaluation.resamples:
        return Said("metrics without intervals: none were asked for", whole=False)
    return Said(
        f"{facts.evaluation.resamples:,} resamples of patients; AUROC has an interval for "
        f"{facts.evaluation.with_interval} of {len(facts.model.conditions)} conditions",
        whole=facts.evaluation.with_interval == len(facts.model.conditions),
    )


def _subgroup_results(facts: RunFacts) -> Said:
    if not facts.evaluation.subgroups:
        return Said("no two groups by anything are large enough to be compared, or none were asked for", done=False)
    listed = ", ".join(f"{name} ({n})" for name, n in facts.evaluation.subgroups.items())
    small = (
        f"; groups too small or alone: {facts.evaluation.small_subgroups}" if facts.evaluation.small_subgroups else ""
    )
    return Said(f"AUROC of groups by {listed}{small}; not corrected for the number of comparisons")


def _updated(facts: RunFacts) -> Said:
    if not facts.calibrated:
        return Said("nothing was updated after training", done=False)
    return Said("calibration error by condition, before and after")


def _limitations(facts: RunFacts) -> Said:
    limits = ["one split and one seed, so their chance is in no interval"]
    if not facts.data.natural_prevalence:
        limits.append("a selection, so PPV, NPV, AUPRC and calibration describe no population")
    if facts.data.patient_unknown:
        limits.append(f"{count_recordings(facts.data.patient_unknown)} whose patient is unknown")
    if not (facts.data.elsewhere or facts.data.external):
        limits.append("no external data")
    if facts.evaluation.with_interval < len(facts.model.conditions):
        limits.append(
            f"{len(facts.model.conditions) - facts.evaluation.with_interval} conditions without an interval of AUROC"
        )
    if facts.evaluation.errors:
        limits.append(f"{count_recordings(facts.evaluation.errors)} that it got wrong with confidence are listed")
    if facts.evaluation.uncertain:
        limits.append(f"{count_recordings(facts.evaluation.uncertain)} that it was unsure of are listed")
    return Said("; ".join(limits))


def _poor_input(facts: RunFacts) -> Said:
    skipped = "; ".join(f"{n:,} {reason}" for reason, n in facts.data.skipped.items())
    return Said(f"unusable recordings are refused with a reason; here: {skipped or 'none'}")


def _capped(facts: RunFacts) -> str:
    return ", ".join(f"{side} {n:,}" for side, n in facts.data.capped.items())


# --- The items ------------------------------------------------------------------------------------------------------

_ALL = "all of it"

# fmt: off
ITEMS: tuple[Item, ...] = (
    Item("1", "Title", "the kind of study, what is predicted, in whom", "summary", _title, "in whom"),
    Item("2", "Abstract", "a structured abstract", to_add="see TRIPOD+AI for Abstracts; the summary has the metrics"),
    Item("3a–c", "Background", "clinical context, intended use, known inequalities", to_add=_ALL),
    Item("4", "Objectives", "development or evaluation, and of what", "summary", _objectives, "the intended use"),
    Item("5a–b", "Data", "sources, dates, representativeness", "flow", _data, "dates, representativeness"),
    Item("6a–c", "Participants", "setting, eligibility, treatments", "flow", _eligibility, "setting, treatments"),
    Item("7", "Data preparation", "preprocessing and quality checks, alike across groups", "provenance", _preparation),
    Item("8a–c", "Outcome", "how it was defined and assessed, and by whom", "flow", _outcome,
         "qualification of the readers, blinding"),
    Item("9a–c", "Predictors", "what goes into the model and how it was measured", "provenance", _predictors,
         "devices"),
    Item("10", "Sample size", "how it was arrived at", "flow", _size, "the reasoning"),
    Item("11", "Missing data", "how unknown labels and missing samples were handled", "flow", _missing),
    Item("12a", "Use of data", "how data were divided", "flow", _division),
    Item("12b", "Predictor handling", "transformations before the model", "provenance", _handling),
    Item("12c", "Model building", "type, training, tuning, internal validation", "history", _building,
         "settings that were tried before"),
    Item("12d", "Heterogeneity", "how differences between hospitals and the like were assessed", "subgroups",
         _heterogeneity),
    Item("12e", "Performance measures", "which measures, and why", "results", _measures, "why they suit the use"),
    Item("12f", "Updating", "recalibration, where done", "calibration", _recalibration),
    Item("12g", "Predictions", "how the model's predictions come about", "provenance", _predictions),
    Item("13", "Class imbalance", "what was done about it, and recalibration after it", "calibration", _imbalance),
    Item("14", "Fairness", "how it was addressed", "subgroups", _fairness, "the reasoning"),
    Item("15", "Model output", "probabilities or classes, and how thresholds were chosen", "decisions", _output),
    Item("16", "Training and evaluation", "how the two sets differ", "characteristics", _differences),
    Item("17", "Ethics", "approval or waiver", to_add=_ALL),
    Item("18a–d", "Open science", "funding, conflicts, protocol, registration", to_add=_ALL),
    Item("18e–f", "Sharing", "availability of data and code", "provenance", _sharing, "links"),
    Item("19", "Patients and public", "their part in the study", to_add=_ALL),
    Item("20a–c", "Participants", "flow, characteristics, comparison with the development data", "characteristics",
         _participants),
    Item("21", "Numbers", "participants and outcome events in each analysis", "results", _numbers),
    Item("22", "Model specification", "enough to use the model", "provenance", _specification),
    Item("23a", "Performance", "estimates with intervals, for key subgroups too", "results", _performance),
    Item("23b", "Heterogeneity", "performance across hospitals and the like", "subgroups", _subgroup_results),
    Item("24", "Updated model", "results of updating", "calibration", _updated),
    Item("25", "Interpretation", "overall, with fairness", to_add=_ALL),
    Item("26", "Limitations", "of the study and the model", "cases", _limitations, "the discussion"),
    Item("27a", "Poor input", "what happens with bad or missing input", "flow", _poor_input),
    Item("27b–c", "Use", "who would use it, what comes next", to_add=_ALL),
)
# fmt: on


def answers(facts: RunFacts | None, sections: Set[str]) -> list[Answer]:
    """What a run did about every item.

    Args:
        facts: of the run; None where nothing is known of it beyond its predictions.
        sections: anchors of the sections that the report has, for links.
    """
    return [_answer(item, facts, sections) for item in ITEMS]


def count_states(checklist: Sequence[Answer]) -> Mapping[str, int]:
    """State to number of items, in the order of appearance."""
    counts: dict[str, int] = {}
    for answer in checklist:
        counts[answer.state] = counts.get(answer.state, 0) + 1
    return counts


def _answer(item: Item, facts: RunFacts | None, sections: Set[str]) -> Answer:
    section = item.section if item.section in sections else ""
    if item.said is None:
        return Answer(item, AUTHORS)
    if facts is None:
        return Answer(item, NOT_KNOWN, "nothing is known of the run beyond its predictions", section)
    said = item.said(facts)
    state = NOT_DONE if not said.done else IN_PART if item.to_add or not said.whole else ANSWERED
    return Answer(item, state, said.text, section)
