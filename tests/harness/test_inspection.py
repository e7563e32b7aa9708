"""Inspections of NumPy arrays: the same summary as of JAX arrays, without JAX."""

import subprocess
import sys

import jax.numpy as jnp
import numpy as np
import pytest

from ladder.inspection import Inspection, step_traces, summarise

RNG = np.random.default_rng(0)
X, Y = (RNG.normal(size=(3, 9, 4)).astype(np.float32) for _ in range(2))


def summary(x, y, convert=np.asarray):
    x, y = convert(x), convert(y)
    inspection = Inspection(
        stages={"input": x, "z": 2.0 * x}, latent="z", prediction=x, target=y, noise=convert(np.full((3, 9), 0.1))
    )
    return summarise(inspection)


@pytest.mark.parametrize("bad", [None, np.inf, np.nan])
def test_summary_of_numpy_arrays(bad):
    """The summary of NumPy arrays has NumPy arrays of the values that JAX computes, also if entries are not finite."""
    x = X.copy()
    if bad is not None:
        x[1, 2, 0] = bad
    ours, theirs = summary(x, Y), summary(x, Y, jnp.asarray)
    assert list(ours) == list(theirs)
    for name, value in ours.items():
        assert isinstance(value, np.ndarray | np.generic)
        np.testing.assert_allclose(value, theirs[name], rtol=1e-5, atol=1e-6, err_msg=name)


def test_summary_of_constants():
    """The summary of a constant model and target warns of no division."""
    found = summary(np.ones_like(X), np.zeros_like(Y))
    assert (found["latent/rank"], found["latent/variance"]) == (0.0, 0.0)
    assert np.isnan(found["prediction/amplitude"])


@pytest.mark.parametrize("convert", [np.asarray, jnp.asarray])
def test_stages_without_entries(convert):
    """A stage of size zero is one error that names it, of an inspection and of the traces of a step."""
    stages = {"input": convert(X), "crop": convert(X[:, 9:])}
    message = r"^stage 'crop' has the shape \(3, 0, 4\), without entries; leave it out"
    with pytest.raises(ValueError, match=message):
        summarise(Inspection(stages=stages, prediction=X, target=Y))
    weights = {"kernel": convert(X)}
    with pytest.raises(ValueError, match=message):
        step_traces(stages=stages, params=weights, gradient=weights, update=weights)


@pytest.mark.ill_typed
def test_other_arrays():
    """A value without the functions of the array standard is an error that says what to give."""

    class Foreign:
        shape, ndim = (3, 9, 4), 3

    with pytest.raises(TypeError, match="Foreign; give arrays of NumPy or JAX"):
        summarise(Inspection(stages={"x": Foreign()}, prediction=X, target=Y))


def test_inspection_without_jax():
    """An inspection of NumPy arrays is summarised without loading JAX: workers of host experiments have no need of it."""
    program = (
        "import sys, numpy as np; from ladder.inspection import Inspection, summarise; x = np.eye(3);"
        "summarise(Inspection(stages={'x': x}, latent='x', prediction=x, target=x)); sys.exit('jax' in sys.modules)"
    )
    subprocess.run([sys.executable, "-c", program], check=True)
