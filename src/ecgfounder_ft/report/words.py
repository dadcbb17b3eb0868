"""Words for numbers: how pages, terminal and cards print metrics, intervals, differences and counts."""

from collections.abc import Mapping

from ecgfounder_ft.evaluation.bootstrap import MIN_PATIENTS
from ecgfounder_ft.evaluation.comparison import PairedComparison
from ecgfounder_ft.evaluation.evaluate import Evaluation
from ecgfounder_ft.evaluation.metrics import Estimate

DASH = "–"
"""Printed where there is no number."""


def format_value(estimate: Estimate) -> str:
    """Print three decimals, or a dash."""
    return DASH if estimate.value is None else f"{estimate.value:z.3f}"


def format_interval(estimate: Estimate) -> str:
    """Print both ends, "0.881 to 0.942", or nothing."""
    return "" if estimate.low is None or estimate.high is None else f"{estimate.low:z.3f} to {estimate.high:z.3f}"


def format_difference(estimate: Estimate) -> str:
    """Print three decimals with a sign, or a dash."""
    return DASH if estimate.value is None else f"{estimate.value:+z.3f}"


def with_interval(value: str, estimate: Estimate) -> str:
    """Print a formatted value and, where there is one, its interval: "0.912 (0.881 to 0.942)"."""
    ends = format_interval(estimate)
    return value + (f" ({ends})" if ends else "")


def format_p_value(value: float | None) -> str:
    """Print three decimals, "< 0.001", or a dash."""
    return DASH if value is None else "< 0.001" if value < 0.001 else f"{value:.3f}"


def format_count(number: int) -> str:
    """Print a count with commas between thousands."""
    return f"{number:,}"


def ordinal(number: int) -> str:
    """Print 1st, 2nd, 3rd, 4th, 11th, 21st."""
    ending = "th" if number % 100 in (11, 12, 13) else {1: "st", 2: "nd", 3: "rd"}.get(number % 10, "th")
    return f"{number}{ending}"


def sentence(text: str) -> str:
    """Begin a text with a capital letter."""
    return text[:1].upper() + text[1:]


class Footnotes:
    """Numbered notes under a table, each reason once."""

    def __init__(self) -> None:
        self.texts: list[str] = []

    def mark(self, estimate: Estimate, resamples: int = 0) -> str:
        """Number the note that a metric needs; empty where it needs none."""
        text = estimate.reason
        if estimate.undefined_resamples and "resamples" not in text:
            undefined = f"undefined in {estimate.undefined_resamples:,} of {resamples:,} resamples"
            text = f"{text}; {undefined}" if text else undefined
        if not text:
            return ""
        if text not in self.texts:
            self.texts.append(text)
        return str(self.texts.index(text) + 1)


def baseline_verdict(pair: PairedComparison) -> str:
    """Say what the difference of macro AUROC from a baseline shows, as a sentence without its full stop."""
    difference = pair.macro["auroc"]
    if difference.value is None:
        return f"macro AUROC cannot be compared: {difference.reason}"
    if difference.low is None or difference.high is None:
        reason = difference.reason or "no interval"
        return f"macro AUROC differs by {format_difference(difference)}, which shows nothing by itself ({reason})"
    said = with_interval(format_difference(difference), difference)
    if difference.low <= 0 <= difference.high:
        return f"by macro AUROC these recordings cannot tell this model from it: {said}, which holds 0"
    return f"macro AUROC of this model is {'higher' if difference.value > 0 else 'lower'}: {said}"


def rare_conditions(evaluation: Evaluation) -> str:
    """Warn of conditions that few patients have, as a sentence without its full stop; empty without any."""
    return few_patients({code: condition.positive_patients for code, condition in evaluation.conditions.items()})


def few_patients(counts: Mapping[str, int]) -> str:
    """Do the same as :func:`rare_conditions`, from patients by condition."""
    rare = {code: count for code, count in counts.items() if 0 < count < MIN_PATIENTS}
    if not rare:
        return ""
    listed = ", ".join(f"{code} ({count})" for code, count in rare.items())
    return (
        f"Fewer than {MIN_PATIENTS} patients have {listed}: metrics of these conditions, and macro means with them, "
        "say next to nothing, a perfect 1.000 included"
    )
