import pytest

from ecgfounder_ft.labels import ABSENT, PRESENT, UNKNOWN, Condition, LabelMap, folder_key


def test_the_order_of_the_outputs_is_not_alphabetical(label_map):
    assert label_map.codes == ("NORM", "AFIB", "AFLT", "1dAVb", "RBBB", "LBBB")
    assert label_map.codes != tuple(sorted(label_map.codes))


def test_states_are_distinct_and_as_targets_expect():
    assert (PRESENT, ABSENT, UNKNOWN) == (1, 0, -1)


@pytest.mark.parametrize(
    ("folder", "code"),
    [
        ("NORMAL", "NORM"),
        ("Sinus_Rhythm", "NORM"),
        ("Atrial Fibrillation", "AFIB"),
        ("Atrial Flutter", "AFLT"),
        ("1st-degree AV block", "1dAVb"),
        ("1st Degree AV Block", "1dAVb"),
        ("right_bundle BRANCH block", "RBBB"),
        ("Left bundle branch block", "LBBB"),
    ],
)
def test_folder_names_in_use(label_map, folder, code):
    assert label_map.code_of_folder()[folder_key(folder)] == code


@pytest.mark.parametrize(
    ("snomed", "code"),
    [
        ("426783006", "NORM"),
        ("164889003", "AFIB"),
        ("164890007", "AFLT"),
        ("270492004", "1dAVb"),
        ("59118001", "RBBB"),
        ("713427006", "RBBB"),
        ("164909002", "LBBB"),
        ("733534002", "LBBB"),
    ],
)
def test_snomed_codes(label_map, snomed, code):
    assert label_map.code_of_snomed()[snomed] == code


@pytest.mark.parametrize("snomed", ["713426002", "251120003", "164947007", "6374002", "195080001"])
def test_neighbouring_diagnoses_are_none_of_the_six(label_map, snomed):
    """Incomplete blocks, long PR, unspecified block, fibrillation-or-flutter."""
    assert snomed not in label_map.code_of_snomed()


def test_it_survives_a_checkpoint(label_map):
    copy = LabelMap.from_dict(label_map.to_dict())
    assert copy == label_map
    assert copy.codes == label_map.codes


@pytest.mark.parametrize("attribute", ["folders", "snomed", "words"])
def test_an_alias_of_two_conditions_is_refused(attribute):
    conditions = {
        "A": Condition(name="a", **{attribute: ["One name"]}),
        "B": Condition(name="b", **{attribute: ["One name"]}),
    }
    with pytest.raises(ValueError, match=r"'One name'.*both A and B"):
        LabelMap("twice", conditions)


def test_folders_that_differ_in_spelling_only_are_the_same_alias():
    conditions = {"A": Condition(name="a", folders=["x y"]), "B": Condition(name="b", folders=["X_Y"])}
    with pytest.raises(ValueError, match="both A and B"):
        LabelMap("twice", conditions)


def test_an_empty_map_and_a_nameless_condition_are_refused():
    with pytest.raises(ValueError, match="no conditions"):
        LabelMap("none", {})
    with pytest.raises(ValueError, match="A has no name"):
        LabelMap("nameless", {"A": Condition()})
