"""What labels mean, however long or hostile they are."""

import random

from tests.builders import POLICY


def test_a_key_never_outgrows_an_index_and_long_ones_stay_apart() -> None:
    noise = "".join(random.Random(1).choices("abcdefghij漢字0123456789", k=4000))
    one, other = POLICY.correlation_key({"service": noise + "1"}), POLICY.correlation_key({"service": noise + "2"})
    assert len(one.encode()) <= 1000
    assert one != other


def test_values_that_look_like_two_labels_are_told_apart() -> None:
    joined = POLICY.correlation_key({"service": "web,env=prod"})
    assert joined != POLICY.correlation_key({"service": "web", "env": "prod,env="})
    assert POLICY.correlation_key({"service": "web", "env": "prod"}) == "service=web,env=prod"


def test_fallbacks_stand_in_for_missing_labels() -> None:
    assert POLICY.correlation_key({"job": "api", "cluster": "eu"}) == "service=api,env=eu"
    assert POLICY.correlation_key({"alertname": "Down"}) == "service=Down,env="
