"""The model card of a pretrained file that is passed on as it was published, untrained and untested."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ecgfounder_ft.report.templating import environment

if TYPE_CHECKING:
    from ecgfounder_ft.model.pretrained import PretrainedNetwork, WeightsFile
    from ecgfounder_ft.model.record import ModelRecord


def render_pretrained_card(
    name: str, network: PretrainedNetwork, file: WeightsFile, record: ModelRecord, licence: str | None
) -> str:
    """Fill the card, in Markdown with the Hub's metadata.

    Args:
        name: of the exported model.
        network: record of the pretrained network.
        file: the weights.
        record: record of the model.
        licence: identifier of the Hub; None where nobody has said it.
    """
    return (
        environment(autoescape=False)
        .get_template("pretrained_card.md.j2")
        .render(name=name, network=network, file=file, record=record, licence=licence)
    )
