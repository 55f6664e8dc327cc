# SPDX-License-Identifier: Apache-2.0
"""The compiled arithmetic: what no estimator and no detector can pass by, and when it compiles."""

import importlib.util
import sys

import numpy as np
import pytest

from smooth_motion import kernels

UNKNOWN = (np.nan, np.inf, -np.inf)
S = 1_000_000_000


def judge(reference, deviation, bounds, times=None, differences=None):
    times = np.zeros(4, np.int64) if times is None else times
    differences = np.zeros((4, 2)) if differences is None else differences
    size, jerk, peak = np.zeros((3, 2)), np.zeros(2), np.zeros(2)
    newest = int(times[1]) + S // 100
    return kernels.judge_reference(
        newest, reference, deviation, 1, S, bounds, times, differences, size, jerk, peak
    )


def sound():
    bounds = np.array([[-1.0, -1.0], [1.0, 1.0], [2.0, 2.0], [3.0, 3.0], [4.0, 4.0], [0.1, 0.1]])
    return np.zeros((3, 2)), np.zeros(2), bounds


@pytest.mark.parametrize("value", UNKNOWN)
@pytest.mark.parametrize("joint", [0, 1])
def test_a_reference_that_is_no_number_is_beyond_every_bound(value, joint):
    found = [kernels.POSITION, kernels.VELOCITY, kernels.ACCELERATION]
    assert judge(*sound()) == 0
    for row, bit in enumerate(found):
        reference, deviation, bounds = sound()
        reference[row, joint] = value
        assert judge(reference, deviation, bounds) & bit
    reference, deviation, bounds = sound()
    deviation[joint] = value
    assert judge(reference, deviation, bounds) == kernels.DEVIATION


def test_a_bound_that_is_no_number_is_kept_by_nothing():
    bits = [1, 1, 2, 4, 8, 16]
    for row, bit in enumerate(bits):
        reference, deviation, bounds = sound()
        bounds[row, 1] = np.nan
        times, differences = np.array([3, 3 * S, 2 * S, S]), np.zeros((4, 2))
        found = judge(reference, deviation, bounds, times, differences)
        assert found == bit | kernels.HAS_JERK


@pytest.mark.parametrize("value", UNKNOWN)
def test_a_measurement_that_is_no_number_is_beyond_its_bound_if_there_is_one(value):
    bounds, size = np.ones((2, 2)), np.zeros((2, 2))
    bad, good = np.array([0.0, value]), np.array([0.5, -0.5])
    both = kernels.JERK | kernels.DEVIATION
    assert kernels.judge_measurement(good, good, both, bounds, size) == 0
    assert kernels.judge_measurement(bad, good, both, bounds, size) == kernels.JERK
    assert kernels.judge_measurement(good, bad, both, bounds, size) == kernels.DEVIATION
    # What there is not is not judged, and leaves what was judged last.
    size[0] = 7.0
    assert kernels.judge_measurement(bad, good, kernels.DEVIATION, bounds, size) == 0
    np.testing.assert_array_equal(size, [[7.0, 7.0], [0.5, 0.5]])


def test_a_share_that_is_no_number_is_the_largest():
    levels = np.array([1.0, 1.0, 1.0])
    assert kernels.largest_share(np.array([0.1, -0.7, 0.2]), levels) == 0.7
    assert np.isnan(kernels.largest_share(np.array([0.1, np.nan, 9.0]), levels))
    assert np.isnan(kernels.largest_share(np.zeros(3), np.zeros(3)))


def test_columns_are_put_in_order_and_the_first_that_is_no_number_is_named():
    columns = np.array([[1.0, 2.0, 3.0], [4.0, 5.0, 6.0]])
    index, ordered = np.array([2, 0]), np.zeros((2, 2))
    assert kernels.gather(columns, index, ordered) == -1
    np.testing.assert_array_equal(ordered, [[3.0, 1.0], [6.0, 4.0]])
    columns[1] = np.nan, np.inf, np.inf  # field 1; its joints are columns 2 and 0
    assert kernels.gather(columns, index, ordered) == 2
    columns[1, 2] = 0.0
    assert kernels.gather(columns, index, ordered) == 3


@pytest.fixture
def interpreted(monkeypatch):
    """The module as it is where numba cannot be imported."""
    monkeypatch.setitem(sys.modules, "numba", None)
    spec = importlib.util.spec_from_file_location("smooth_motion._interpreted", kernels.__file__)
    module = importlib.util.module_from_spec(spec)
    with pytest.warns(RuntimeWarning, match="numba cannot be used.*install python3-numba"):
        spec.loader.exec_module(module)
    return module


def test_without_numba_the_same_is_judged(interpreted):
    assert not interpreted.COMPILED
    rng = np.random.default_rng(0)
    found = []
    for module in (kernels, interpreted):
        rng = np.random.default_rng(0)
        times, differences = np.zeros(4, np.int64), np.zeros((4, 3))
        size, jerk, peak = np.zeros((3, 3)), np.zeros(3), np.zeros(3)
        bounds = np.array([[-1.0], [1.0], [1.0], [1e3], [1e6], [0.1]]) * np.ones(3)
        for cycle in range(200):
            reference = np.ascontiguousarray(rng.normal(0.0, [[0.5], [0.7], [500.0]], (3, 3)))
            if cycle % 50 == 20:
                reference[0, 1] = (np.nan, np.inf, 1e308, -1e308)[cycle // 50]
            deviation = rng.normal(0.0, 0.05, 3)
            bits = module.judge_reference(
                cycle * 10_000_000, reference, deviation, 1, 10**9, bounds, times, differences,
                size, jerk, peak,
            )  # fmt: skip
            found.append((bits, *size.ravel(), *jerk, *peak))
    compiled, written = np.array(found[:200]), np.array(found[200:])
    # Compiled code may fuse a product and a sum.
    np.testing.assert_allclose(written, compiled, rtol=1e-9)
    assert len(np.unique(compiled[:, 0])) > 5


@pytest.mark.skipif(not kernels.COMPILED, reason="numba is not installed")
def test_nothing_compiles_after_the_import():
    """Another type is refused, not compiled: that would take a second in which nothing is seen."""
    for name in ("gather", "follow", "newton", "judge_reference", "judge_measurement"):
        assert len(getattr(kernels, name).signatures) == 1
    with pytest.raises(TypeError, match="No matching definition"):
        kernels.largest_share(np.zeros(3, np.float32), np.zeros(3, np.float32))
