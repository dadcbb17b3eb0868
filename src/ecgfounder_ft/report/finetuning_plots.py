"""Pictures of what a run tried before and after its training."""

from collections.abc import Mapping, Sequence

from matplotlib.figure import Figure


def wise_ft_figure(rows: Sequence[Mapping[str, float]], chosen: float) -> Figure:
    """Validation metrics over the share of the trained weights (0: the start, 1: the end)."""
    figure = Figure(figsize=(7, 4), layout="constrained")
    axes = figure.subplots()
    coefficients = [row["coefficient"] for row in rows]
    for name, label in (("macro_auroc", "macro AUROC"), ("macro_f1", "macro F1"), ("accuracy", "accuracy")):
        axes.plot(coefficients, [row[f"validation/{name}"] for row in rows], marker="o", label=label)
    axes.axvline(chosen, color="grey", linestyle="--", label=f"chosen: {chosen:g}")
    axes.set(xlabel="share of the trained weights", ylabel="validation", ylim=(0, 1.02))
    axes.grid(alpha=0.3)
    axes.legend()
    return figure


def lr_finder_figure(learning_rates: Sequence[float], losses: Sequence[float], suggestion: float | None) -> Figure:
    """Training loss over the learning rate of a range test."""
    figure = Figure(figsize=(7, 4), layout="constrained")
    axes = figure.subplots()
    axes.semilogx(learning_rates, losses)
    if suggestion is not None:
        axes.axvline(suggestion, color="tab:red", linestyle="--", label=f"suggested: {suggestion:.2g}")
        axes.legend()
    axes.set(xlabel="learning rate", ylabel="training loss, running mean")
    axes.grid(alpha=0.3)
    return figure
