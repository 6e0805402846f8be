"""What every kind of query promises, over the registry."""

from __future__ import annotations

import numpy as np
import pytest
from queries_toys import FORMS, linear, make, outline, pick

from nonmember.extraction.signals import SIGNALS
from nonmember.queries import queries
from nonmember.settings import Settings

CASES = [
    (name, form) for name, query in queries for form in FORMS if not query().check(outline(form))
]


@pytest.mark.parametrize(("name", "form"), CASES)
def test_numbers_are_finite_float32_and_repeatable(name: str, form: str) -> None:
    samples, query = make(form), queries.get(name)()
    found = query.ask(linear(samples), samples, 3)
    assert found.shape == (len(samples.labels), query.width)
    assert found.dtype == np.float32
    assert np.isfinite(found).all()
    assert found.std() > 0
    np.testing.assert_array_equal(found, queries.get(name)().ask(linear(samples), samples, 3))


@pytest.mark.parametrize(("name", "form"), CASES)
def test_a_sample_does_not_depend_on_the_others_or_on_their_order(name: str, form: str) -> None:
    samples, query = make(form), queries.get(name)()
    found = query.ask(linear(samples), samples, 3)
    order = np.random.default_rng(0).permutation(len(found))
    mixed = query.ask(linear(samples), pick(samples, order), 3)
    np.testing.assert_array_equal(mixed, found[order])
    for row in range(len(found)):
        alone = query.ask(linear(samples), pick(samples, np.array([row])), 3)
        np.testing.assert_array_equal(alone[0], found[row])


@pytest.mark.parametrize(("name", "form"), CASES)
@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_answers_that_are_not_finite_are_refused(name: str, form: str, bad: float) -> None:
    samples = make(form)
    with pytest.raises(ValueError, match="answers a query with NaN or infinity"):
        queries.get(name)().ask(lambda raw: linear(samples)(raw) * bad, samples, 3)


@pytest.mark.parametrize("name", queries.names())
def test_options_are_described_settings_with_known_keys_only(name: str) -> None:
    options = queries.get(name).Options
    assert issubclass(options, Settings)
    assert all(field.description for field in options.model_fields.values())
    with pytest.raises(ValueError, match="nonsense"):
        queries.get(name)(nonsense=1)


def test_each_query_is_asked_of_some_data_and_has_a_name_of_its_own() -> None:
    assert {name for name, _ in CASES} == set(queries.names())
    assert not set(queries.names()) & {*SIGNALS, "sample_ids", "labels", "membership"}
