"""The records of pretrained networks, held against the files that they name."""

import pytest

from ecgfounder_ft.config.compose import compose_settings, load_label_map
from ecgfounder_ft.config.pretraining import architecture_of, outputs_of, pretraining_of
from ecgfounder_ft.model.pretrained import PretrainedNetwork, pretrained_networks, weights_files


@pytest.mark.parametrize("network", pretrained_networks(), ids=lambda network: network.name)
def test_its_label_map_names_every_output_once_in_order(network: PretrainedNetwork) -> None:
    rows, _ = outputs_of(network, network.files[0]).task_rows
    assert rows == [[row] for row in range(network.outputs)]


def test_the_150_statements_agree_with_what_is_known_of_their_rows() -> None:
    network, file = weights_files()["12_lead_ECGFounder"]
    statements, six = outputs_of(network, file), load_label_map("six_conditions")
    known = {18: "INCOMPLETE RIGHT BUNDLE BRANCH BLOCK", 62: "INCOMPLETE LEFT BUNDLE BRANCH BLOCK"}
    known |= {81: "WITH PROLONGED AV CONDUCTION", 103: "RBBB AND LEFT ANTERIOR FASCICULAR BLOCK"}
    assert {row: statements.codes[row] for row in known} == known
    by_code = statements.code_of_snomed()
    for condition in six.conditions.values():
        stated = {by_code[code] for code in condition.snomed}
        assert stated == {statements.codes[row] for row in condition.tasks}


@pytest.mark.parametrize("name", weights_files())
def test_preprocessing_and_architecture_are_those_that_a_configuration_composes(name: str) -> None:
    network, file = weights_files()[name]
    leads = f"model.leads=[{','.join(file.leads)}]"
    settings = compose_settings([f"model/architecture={file.architecture}", leads, f"model.weights={name}"])
    assert pretraining_of(network, file.leads).to_dict() == settings.preprocessing.to_dict()
    assert architecture_of(network, file, len(settings.label_map)) == settings.model.architecture
