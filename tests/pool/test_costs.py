import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from jupyter_astroml.pool.costs import Costs

KIND = ("galaxy", (3, 64, 64))
# A busy machine takes its time.
calm = settings(deadline=None, max_examples=60)
parts = st.tuples(st.floats(0.0, 0.05), st.floats(1e-5, 0.05))
sizes = st.lists(st.integers(1, 256), min_size=30, max_size=60)


def taught(times):
    costs = Costs()
    for n, seconds in times:
        costs.learn(KIND, objects=n, seconds=seconds)
    return costs


def test_an_unknown_kind_gets_a_guess_that_is_not_a_measurement():
    costs = Costs()

    assert not costs.known(KIND)
    assert costs.seconds(KIND, 10) > 0
    assert costs.objects(KIND, seconds=0.1, most=1000) > 1


def test_the_fixed_part_is_found_from_batches_of_different_sizes():
    # As the bundled galaxies take on one core: 14 ms, and 5.3 ms for each.
    costs = taught([(n, 0.014 + 0.0053 * n) for n in (8, 1, 64, 4, 16, 32, 2) * 5])

    assert costs.each(KIND) == pytest.approx(0.0053, rel=0.05)
    assert costs.seconds(KIND, 0) == pytest.approx(0.014, rel=0.2)


@calm
@given(parts, sizes)
def test_a_batch_of_a_usual_size_is_expected_to_take_what_it_took(line, ns):
    fixed, each = line
    costs = taught([(n, fixed + each * n) for n in ns])

    mean = sum(ns[-5:]) / 5
    assert costs.seconds(KIND, mean) == pytest.approx(fixed + each * mean, rel=0.5)


@calm
@given(parts, st.integers(1, 200))
def test_batches_of_one_size_are_expected_to_take_their_time_exactly(line, n):
    seconds = line[0] + line[1] * n

    assert taught([(n, seconds)] * 20).seconds(KIND, n) == pytest.approx(seconds)


@calm
@given(st.lists(st.tuples(st.integers(1, 4096), st.floats(1e-6, 100.0)), min_size=1, max_size=40))
def test_no_measurement_makes_a_part_negative_or_a_size_senseless(times):
    costs = taught(times)

    assert costs.each(KIND) >= 0
    assert costs.seconds(KIND, 0) >= -1e-9
    assert costs.seconds(KIND, 1) > 0
    assert 1 <= costs.objects(KIND, seconds=0.1, most=1024) <= 1024


@calm
@given(parts, st.floats(0.02, 1.0))
def test_units_that_are_used_settle_where_a_batch_takes_its_time(line, wished):
    fixed, each = line
    costs = taught([(8, fixed + 8 * each)])
    for _ in range(40):
        n = costs.objects(KIND, seconds=wished, most=10**6)
        costs.learn(KIND, objects=n, seconds=fixed + each * n)

    took = fixed + each * costs.objects(KIND, seconds=wished, most=10**6)
    # Never much over what is wished for, but for one object; whole micro-batches are rounded.
    assert took <= max(1.5 * costs.aim(KIND, seconds=wished), fixed + each)
    assert took >= 0.6 * wished or each > wished / 3


def test_units_get_longer_where_much_of_them_is_fixed():
    cheap = taught([(n, 0.001 * n) for n in (8, 16, 32, 64) * 5])
    dear = taught([(n, 0.02 + 0.001 * n) for n in (8, 16, 32, 64) * 5])
    hopeless = taught([(n, 5.0 + 0.001 * n) for n in (8, 16, 32, 64) * 5])

    assert cheap.aim(KIND, seconds=0.1) == pytest.approx(0.1)
    assert dear.aim(KIND, seconds=0.1) == pytest.approx(0.2, rel=0.1)
    assert hopeless.aim(KIND, seconds=0.1) == pytest.approx(0.3)


def test_a_unit_is_never_more_than_twice_as_large_as_what_was_measured():
    # One line through two noisy neighbours says that objects cost nothing.
    costs = taught([(8, 0.05), (9, 0.05)] * 10)

    assert costs.objects(KIND, seconds=0.1, most=10**6) <= 18


def test_a_worker_that_became_slower_is_known_after_some_units():
    costs = taught(
        [(n, 0.001 * n) for n in (50, 100) * 10] + [(n, 0.004 * n) for n in (50, 100) * 10]
    )

    assert costs.seconds(KIND, 100) == pytest.approx(0.4, rel=0.1)
