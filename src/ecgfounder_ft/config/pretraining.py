"""What the shipped files say of a pretrained network: its preprocessing and the arguments of its class."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import yaml

from ecgfounder_ft.config.choices import ConfigurationError, config_folder
from ecgfounder_ft.ecg.preprocessing_settings import PreprocessingSettings
from ecgfounder_ft.labels import LabelMap
from ecgfounder_ft.model.pretrained import PretrainedNetwork, WeightsFile, weights_files


def pretraining_of(network: PretrainedNetwork, leads: Sequence[str]) -> PreprocessingSettings:
    """Read the preprocessing of a network's pretraining.

    Args:
        network: the record.
        leads: leads of the input.
    """
    return PreprocessingSettings.from_dict({**_content("preprocessing", network.preprocessing), "leads": list(leads)})


def architecture_of(network: PretrainedNetwork, file: WeightsFile, outputs: int) -> dict[str, Any]:
    """Read the arguments of a network's class for a file of its weights, ``_target_`` among them.

    Args:
        network: the record.
        file: the weights.
        outputs: of the last layer.
    """
    sizes = sizes_in(config_folder() / "model" / "architecture" / f"{file.architecture}.yaml")
    given = {network.leads_argument: len(file.leads), network.outputs_argument: outputs}
    return {"_target_": network.network, **given, **sizes}


def outputs_of(network: PretrainedNetwork, file: WeightsFile) -> LabelMap:
    """Read the label map of the outputs that a file of a network's weights answers.

    The file is read as it stands: composing a map of 150 statements takes seconds.
    """
    return LabelMap.from_dict(_content("labels", file.labels or network.labels))


def overrides_of(source: str) -> list[str]:
    """Return what a user would type to start from a pretrained file, all of its last layer's rows included.

    Args:
        source: a name of ``model.weights``, or the path of a file that is called as one of these.

    Raises:
        ConfigurationError: if the file is called otherwise, so that its network is not known.
    """
    name = Path(source).stem if Path(source).is_file() else source
    if name not in weights_files():
        raise ConfigurationError(
            f"{source}: is called like no pretrained file; expected one of {', '.join(weights_files())}. Rename it, or "
            "evaluate it as the start of a run: model.weights=... model.head=pretrained trainer.max_epochs=0"
        )
    _, file = weights_files()[name]
    leads = f"model.leads=[{','.join(file.leads)}]"
    weights = f"model.weights='{Path(source).absolute()}'" if Path(source).is_file() else f"model.weights={name}"
    return [leads, f"model/architecture={file.architecture}", weights, "model.head=pretrained"]


def sizes_in(file: Path) -> dict[str, Any]:
    """Read the arguments of a network's class in a file of ``configs/model/architecture``.

    Those that follow from the rest of a configuration, as the number of leads does, are left out.
    """
    content = yaml.safe_load(file.read_text(encoding="utf-8"))
    return {
        key: value
        for key, value in content.items()
        if key not in ("defaults", "_target_") and not (isinstance(value, str) and "${" in value)
    }


def _content(group: str, name: str) -> dict[str, Any]:
    """Read a file of the package, without the schemas that it names."""
    content = yaml.safe_load((config_folder() / group / f"{name}.yaml").read_text(encoding="utf-8"))
    return {key: value for key, value in content.items() if key != "defaults"}
