"""The linear layer: the derivative that is written out is that of the product."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from ladder.studies.manifoldformer.linear import product


@pytest.mark.parametrize(("inputs", "outputs"), [(3, 7), (7, 3), (5, 5)])
@pytest.mark.parametrize("batch", [(), (4,), (2, 6)])
def test_product(inputs, outputs, batch):
    """Value and both derivatives are those of ``x @ kernel``, whichever side is the narrower, for any batch."""
    x, kernel, slope = (
        jax.random.normal(key, shape)
        for key, shape in zip(
            jax.random.split(jax.random.key(0), 3),
            ((*batch, inputs), (inputs, outputs), (*batch, outputs)),
            strict=True,
        )
    )
    (value, pull), (expected, expected_pull) = jax.vjp(product, x, kernel), jax.vjp(jnp.matmul, x, kernel)
    np.testing.assert_allclose(value, expected, rtol=1e-6, atol=1e-6)
    for derivative, wanted in zip(pull(slope), expected_pull(slope), strict=True):
        assert derivative.shape == wanted.shape
        np.testing.assert_allclose(derivative, wanted, rtol=1e-5, atol=1e-5)
