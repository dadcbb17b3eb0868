import pytest

from ecgfounder_ft.labels import ABSENT, PRESENT, UNKNOWN, Condition, LabelMap, Statements, folder_key


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


@pytest.mark.parametrize("snomed", ["713426002", "251120003", "6374002", "195080001", "10370003"])
def test_neighbouring_diagnoses_are_none_of_the_six(label_map, snomed):
    """Incomplete blocks, unspecified block, fibrillation-or-flutter, pacing."""
    assert snomed not in label_map.code_of_snomed()


@pytest.mark.parametrize(
    ("snomed", "code"),
    [("282825002", "AFIB"), ("314208002", "AFIB"), ("426749004", "AFIB"), ("164947007", "1dAVb")],
)
def test_what_implies_a_condition_states_it_but_is_no_name_of_it(label_map, snomed, code):
    """The Challenge scores prolonged PR by itself: nothing is to be written under its code."""
    assert label_map.code_of_snomed()[snomed] == code
    assert all(snomed not in condition.snomed for condition in label_map.conditions.values())


def test_one_code_may_leave_several_conditions_open(label_map):
    assert label_map.codes_left_open_by()["6374002"] == ["RBBB", "LBBB"]
    assert label_map.codes_left_open_by()["195080001"] == ["AFIB", "AFLT"]


def test_it_survives_a_checkpoint(label_map):
    copy = LabelMap.from_dict(label_map.to_dict())
    assert copy == label_map
    assert copy.codes == label_map.codes


def test_a_record_of_an_older_version_is_read_without_the_lists_it_lacks(label_map):
    record = label_map.to_dict()
    del record["unusable"]
    for entry in record["conditions"].values():
        for key in ("implied_by", "uncertain", "unstated_in", "excluded_by"):
            del entry[key]
    old = LabelMap.from_dict(record)
    assert old.codes == label_map.codes
    assert old.codes_left_open_by() == {}
    assert old.unusable == []
    assert "164947007" not in old.code_of_snomed()
    assert LabelMap.from_dict(old.to_dict()) == old


@pytest.mark.parametrize(
    ("lists", "unusable", "message"),
    [
        ({"snomed": ["111111"]}, ["111111"], "111111 states A and makes a recording unusable"),
        ({"implied_by": ["111111"]}, ["111111"], "111111 states A and makes a recording unusable"),
        ({"uncertain": ["111111"]}, ["111111"], "111111 leaves A open and makes a recording unusable"),
        ({"snomed": ["111111"], "uncertain": ["111111"]}, [], r"111111 states A and leaves it open \('uncertain'\)"),
        ({"implied_by": ["111111"], "uncertain": ["111111"]}, [], "111111 states A and leaves it open"),
        ({"words": ["X"], "excluded_by": ["X"]}, [], r"X states A and excludes it \('excluded_by'\)"),
    ],
)
def test_a_code_that_contradicts_itself_is_refused(lists, unusable, message):
    with pytest.raises(ValueError, match=message):
        LabelMap("contradiction", {"A": Condition(name="a", **lists)}, unusable=unusable)


def test_a_code_may_state_one_condition_and_leave_another_open_or_exclude_it():
    conditions = {
        "A": Condition(name="a", snomed=["111111"]),
        "B": Condition(name="b", uncertain=["111111"]),
        "C": Condition(name="c", excluded_by=["111111"]),
    }
    assert LabelMap("related", conditions).codes_left_open_by() == {"111111": ["B"]}


def test_a_code_that_names_one_condition_and_implies_another_is_refused():
    conditions = {"A": Condition(name="a", snomed=["111111"]), "B": Condition(name="b", implied_by=["111111"])}
    with pytest.raises(ValueError, match=r"'111111'.*both A and B"):
        LabelMap("twice", conditions)


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


def test_an_unknown_rule_for_task_rows_is_refused():
    with pytest.raises(ValueError, match="'combine' of A is 'sum', expected one of mean, any, all"):
        LabelMap("odd", {"A": Condition(name="a", combine="sum")})


def test_an_empty_map_and_a_nameless_condition_are_refused():
    with pytest.raises(ValueError, match="no conditions"):
        LabelMap("none", {})
    with pytest.raises(ValueError, match="A has no name"):
        LabelMap("nameless", {"A": Condition()})


@pytest.mark.parametrize("pattern", ["(", "a{99999999999}", "(" * 5000 + ")" * 5000])
def test_a_pattern_that_is_none_is_refused(pattern):
    with pytest.raises(ValueError, match="label map 'odd': pattern '"):
        LabelMap("odd", {"A": Condition(name="a", statements=Statements(present=[pattern]))})
