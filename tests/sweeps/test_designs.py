"""Which trials a configuration becomes, and by what a trial is known."""

import pytest

from ecgfounder_ft.config.compose import compose_config
from ecgfounder_ft.config.settings import unchecked_content
from ecgfounder_ft.designs.cross_validation import CrossValidation
from ecgfounder_ft.designs.design import DesignError
from ecgfounder_ft.designs.grid import Grid
from ecgfounder_ft.designs.hospital_out import HospitalOut
from ecgfounder_ft.designs.label_efficiency import LabelEfficiency
from ecgfounder_ft.designs.seeds import Seeds
from ecgfounder_ft.sweeps.layout import command_of, digest_of, parse


def nothing() -> list[str]:
    raise AssertionError("the catalog is read only where it is needed")


def test_a_grid_is_every_combination_once() -> None:
    typed = parse(["optimizer.lr=1e-2,1e-3", "finetune=full,lp_ft", "seed=3"], None)
    assert typed.fixed == ["seed=3"]
    assert len(typed.combinations()) == 4
    assert ("optimizer.lr=0.01", "finetune=full") in typed.combinations() or (
        "optimizer.lr=1e-2",
        "finetune=full",
    ) in typed.combinations()
    assert [point.overrides for point in Grid(resume=True).points(42, nothing)] == [()]


def test_several_values_of_a_sweeps_own_setting_are_one_list() -> None:
    typed = parse(["sweep=label_efficiency", "sweep.sizes=100,300,all", "model.weights=a,null"], None)
    assert "sweep.sizes=[100,300,all]" in typed.fixed
    assert list(typed.axes) == ["model.weights"]


def test_two_designs_at_once_are_refused() -> None:
    with pytest.raises(DesignError, match="one design"):
        parse(["sweep=seeds,cross_validation"], None)


def test_a_range_takes_a_search() -> None:
    with pytest.raises(DesignError, match="sweep=optuna"):
        parse(["optimizer.lr=interval(1e-5,1e-2)"], None).combinations()


def test_folds_share_one_division_whatever_the_seed() -> None:
    points = CrossValidation(resume=True, folds=3, seeds=2).points(7, nothing)
    assert [(point.place["fold"], point.place["seed"]) for point in points] == [
        (0, 7), (0, 8), (1, 7), (1, 8), (2, 7), (2, 8)
    ]  # fmt: skip
    assert all("split.seed=7" in point.overrides for point in points)
    assert {"split=kfold", "split.folds=3", "split.fold=1", "seed=8"} <= set(points[3].overrides)


def test_seeds_are_tested_on_the_same_recordings() -> None:
    points = Seeds(resume=True, seeds=3).points(42, nothing)
    assert [point.overrides for point in points] == [(f"seed={seed}", "split.seed=42") for seed in (42, 43, 44)]


def test_sizes_share_division_and_order_of_the_patients() -> None:
    points = LabelEfficiency(resume=True, sizes=["100", "all"], seeds=2).points(1, nothing)
    assert [point.place["size"] for point in points] == [100, 100, None, None]
    assert all("split.seed=1" in point.overrides for point in points)
    assert "split.training_recordings=null" in points[-1].overrides


@pytest.mark.parametrize("sizes", [["100"], ["100", "some"], ["0", "all"]])
def test_sizes_that_make_no_curve_are_refused(sizes: list[str]) -> None:
    with pytest.raises(ValueError, match=r"sweep\.sizes"):
        LabelEfficiency(resume=True, sizes=sizes, seeds=1)


def test_every_source_is_held_out_beside_a_mixed_split() -> None:
    design = HospitalOut(resume=True, sources=None, seeds=1)
    points = design.points(42, lambda: ["it's one", "two"])
    assert [point.place["held_out"] for point in points] == [None, "it's one", "two"]
    assert "split.held_out='it\\'s one'" in points[1].overrides
    with pytest.raises(DesignError, match="two sources"):
        design.points(42, lambda: ["one"])


def test_what_a_design_sets_cannot_be_given_beside_it() -> None:
    with pytest.raises(DesignError, match=r"split\.seed: sweep=seeds sets this itself"):
        Seeds(resume=True, seeds=2).refuse(["optimizer.lr", "split.seed"])


def test_a_command_is_the_same_in_any_order_and_with_more_trials() -> None:
    first = command_of(["sweep=optuna", "optimizer.lr=1e-2,1e-3", "sweep.n_trials=5"])
    assert first == command_of(["optimizer.lr=1e-2,1e-3", "sweep.n_trials=50", "sweep.resume=true", "sweep=optuna"])
    assert first != command_of(["sweep=optuna", "optimizer.lr=1e-2,1e-4"])


def test_of_what_is_typed_twice_the_last_makes_the_command() -> None:
    assert command_of(["seed=2", "tf32=true", "seed=1"]) == command_of(["tf32=true", "seed=1"])
    assert command_of(["seed=2", "seed=1"]) != command_of(["seed=1", "seed=2"])


def test_a_changed_value_is_another_trial_and_a_changed_place_is_none() -> None:
    def digest(*overrides: str) -> str:
        return digest_of(unchecked_content(compose_config(overrides)))

    first = digest("output_dir=/a", "optimizer.lr=1e-3")
    assert first == digest("output_dir=/b", "optimizer.lr=0.001", "data.workers=7")
    assert first != digest("output_dir=/a", "optimizer.lr=1e-4")
