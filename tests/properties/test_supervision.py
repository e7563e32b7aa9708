"""Laws of the losses against the oracle."""

import jax
import numpy as np
import scipy.linalg
from draws import generators, on_sphere, orthogonal
from hypothesis import given
from precision import DOUBLE, compiled

from ladder.manifoldformer import supervision

TIME, DIM = 9, 5
fast = {name: compiled(getattr(supervision, name)) for name in ("oracle", "aligned", "gram")}
slopes = {name: compiled(jax.grad(getattr(supervision, name))) for name in fast}


def two(rng):
    return on_sphere(rng, (2, TIME, DIM)).astype(float)


@given(generators)
def test_each_is_its_formula(rng):
    z, o = two(rng)
    q, _ = scipy.linalg.orthogonal_procrustes(z, o)
    pairs = [(z[s] @ z[t] - o[s] @ o[t]) ** 2 for s in range(TIME) for t in range(TIME)]
    expected = {"oracle": np.mean((z - o) ** 2), "aligned": np.mean((z @ q - o) ** 2), "gram": np.mean(pairs)}
    with DOUBLE.on():
        for name, value in expected.items():
            np.testing.assert_allclose(fast[name](z, o), value, rtol=1e-11, err_msg=name)


@given(generators)
def test_aligned_and_gram_do_not_see_a_rotation_or_reflection_of_the_latent_and_the_oracle_does(rng):
    z, o = two(rng)
    q = orthogonal(rng, DIM)
    with DOUBLE.on():
        for name in ("aligned", "gram"):
            np.testing.assert_allclose(fast[name](z @ q, o), fast[name](z, o), rtol=1e-11, err_msg=name)
            np.testing.assert_allclose(fast[name](o @ q, o), 0.0, atol=1e-26)
        assert float(fast["oracle"](o, o)) == 0.0
        assert abs(float(fast["oracle"](z @ q, o)) - float(fast["oracle"](z, o))) > 1e-6


@given(generators)
def test_to_follow_their_gradients_is_to_come_nearer(rng):
    z, o = two(rng)
    with DOUBLE.on():
        for name, slope in slopes.items():
            g, before = slope(z, o), float(fast[name](z, o))
            after = float(fast[name](z - 1e-3 * g, o))
            # To first order by the squared length of the gradient.
            np.testing.assert_allclose(before - after, 1e-3 * np.sum(g**2), rtol=0.05, err_msg=name)
