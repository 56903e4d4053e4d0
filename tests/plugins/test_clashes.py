"""Names that two plugins use: both are named, nothing is dropped in silence, ``distribution:name`` selects one."""

from __future__ import annotations

import pytest

TOYS = ["toy_a", "toy_b"]


def flops(width):
    return 2 * width * width


def test_two_plugins_with_one_model_name_both_stay_active_and_say_what_is_refused(perfkit):
    found = {one["distribution"]: one for one in perfkit("plugins", "--json", beside=TOYS).json}
    for distribution in ("perfkit-toy-a", "perfkit-toy-b"):
        assert found[distribution]["status"] == "active"
        assert "model 'toy' is provided by perfkit-toy-a 1.0 and perfkit-toy-b 2.0" in found[distribution]["error"]


def test_the_bare_name_is_refused_with_both_distributions_named(perfkit, tmp_path):
    outcome = perfkit("run", "--model", "toy", "--out", "R", beside=TOYS)
    assert outcome.code == 3
    assert "perfkit-toy-a 1.0 and perfkit-toy-b 2.0" in outcome.stderr
    assert "perfkit-toy-a:toy or perfkit-toy-b:toy" in outcome.stderr
    assert not (tmp_path / "R").exists()


@pytest.mark.parametrize(
    ("name", "width"), [("perfkit-toy-a:toy", 10), ("perfkit-toy-b:toy", 20), ("Perfkit_Toy.B:toy", 20)]
)
def test_a_distribution_selects_its_own_model_workload_and_costs(perfkit, name, width):
    outcome = perfkit("run", "--model", name, "--json", beside=TOYS)
    assert outcome.code == 0, outcome.stderr
    assert outcome.json["model"] == "toy"
    assert outcome.json["workload"] == "only"
    assert outcome.json["totals"]["flops"] == flops(width)


def test_a_named_workload_of_a_selected_model_comes_from_the_same_distribution(perfkit):
    outcome = perfkit("run", "--model", "perfkit-toy-b:toy", "--workload", "only", "--json", beside=TOYS)
    assert outcome.code == 0, outcome.stderr
    assert outcome.json["totals"]["flops"] == flops(20)


def test_listing_shows_what_to_write(perfkit):
    names = {one["name"] for one in perfkit("list", "models", "--json", beside=TOYS).json}
    assert {"perfkit-toy-a:toy", "perfkit-toy-b:toy", "wan2_1"} <= names
    assert "toy" not in names


def test_turning_one_off_ends_the_clash(perfkit):
    outcome = perfkit("run", "--model", "toy", "--json", beside=TOYS, PERFKIT_DISABLE="toy_a")
    assert outcome.code == 0, outcome.stderr
    assert outcome.json["totals"]["flops"] == flops(20)


def test_an_unknown_distribution_in_front_of_a_name_is_a_usage_error(perfkit):
    outcome = perfkit("run", "--model", "perfkit-toy-c:toy", beside=TOYS)
    assert outcome.code == 2
    assert "perfkit-toy-a:toy" in outcome.stderr


def test_a_clash_does_not_touch_other_names(perfkit):
    outcome = perfkit("run", "--model", "wan2_1", "--variant", "tiny", "--json", beside=TOYS)
    assert outcome.code == 0, outcome.stderr


@pytest.mark.parametrize("order", [["same_a", "same_b"], ["same_b", "same_a"]])
def test_two_distributions_with_one_entry_point_name_are_both_loaded(perfkit, order):
    same = [one for one in perfkit("plugins", "--json", beside=order).json if one["name"] == "same"]
    assert [(one["distribution"], one["status"]) for one in same] == [
        ("perfkit-same-a", "active"),
        ("perfkit-same-b", "active"),
    ]
    assert ["model:from_a" in one["provides"] for one in same] == [True, False]
    # Both have a workload named "only": such names are unique per model, so that is no clash.
    assert [one["error"] for one in same] == ["", ""]
    for model, width in (("from_a", 3), ("from_b", 4)):
        outcome = perfkit("run", "--model", model, "--json", beside=order)
        assert outcome.code == 0, outcome.stderr
        assert outcome.json["totals"]["flops"] == flops(width)


def test_one_of_two_with_the_same_entry_point_name_can_be_turned_off(perfkit):
    outcome = perfkit("plugins", "--json", beside=["same_a", "same_b"], PERFKIT_DISABLE="perfkit-same-a:same")
    same = {one["distribution"]: one["status"] for one in outcome.json if one["name"] == "same"}
    assert same == {"perfkit-same-a": "disabled", "perfkit-same-b": "active"}


def test_one_distribution_that_provides_a_name_twice_is_told_how_to_choose(perfkit):
    outcome = perfkit("run", "--model", "perfkit-twin:twin", beside=["twin"])
    assert outcome.code == 3
    assert "perfkit-twin 1.0 (plugin left) and perfkit-twin 1.0 (plugin right)" in outcome.stderr
    assert "PERFKIT_DISABLE=left or PERFKIT_DISABLE=right" in outcome.stderr
    assert perfkit("run", "--model", "twin", "--json", beside=["twin"], PERFKIT_DISABLE="left").code == 0
