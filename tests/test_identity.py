"""What is said of two runs that differ."""

from headspex.support.identity import first_difference

VERSIONS = {"numpy": "2.4.6", "torch": "2.13.0", "xgboost": "3.2.0"}
HERE = {"prune": {}, "seed": 0, "versions": VERSIONS}


def test_equal_identities_do_not_differ() -> None:
    assert first_difference(HERE, {**HERE, "versions": dict(VERSIONS)}) is None


def test_of_versions_those_that_differ_are_named_and_why_they_matter() -> None:
    there = {**HERE, "versions": {"numpy": "2.0.0", "torch": "2.6.0", "xgboost": "3.2.0"}}
    assert first_difference(there, HERE) == (
        "versions, on which the last digits of scores depend: numpy '2.0.0' there, '2.4.6' here; "
        "torch '2.6.0' there, '2.13.0' here"
    )


def test_a_package_that_one_run_did_not_know_of_is_named_too() -> None:
    there = {**HERE, "versions": {"numpy": "2.4.6", "torch": "2.13.0"}}
    assert first_difference(there, HERE) == (
        "versions, on which the last digits of scores depend: xgboost None there, '3.2.0' here"
    )


def test_of_other_settings_the_first_is_named() -> None:
    assert first_difference({**HERE, "seed": 1}, HERE) == "seed: 1 there, 0 here"
