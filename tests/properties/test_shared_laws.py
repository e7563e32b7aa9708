"""Laws that several functions obey, each written once and tried on every function that claims it in the catalogue."""

from dataclasses import is_dataclass

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from catalogue import CATALOGUE, DIM, MODULES, TIME
from draws import generators, orthogonal
from hypothesis import given, settings
from hypothesis import strategies as st
from precision import DOUBLE, SINGLE, compiled, precisions

ROWS = (2, 2)


def cases(claims):
    return pytest.mark.parametrize("case", [case for case in CATALOGUE if claims(case)], ids=str)


def close(case, precision, actual, expected, *sizes):
    """Check that two results differ by rounding alone."""
    actual, expected = np.asarray(actual, np.float64), np.asarray(expected, np.float64)
    largest = max(np.abs(v).max(initial=0.0) for v in (expected, *sizes))
    np.testing.assert_allclose(actual, expected, rtol=0, atol=2 * case.roundings * precision.unit * largest)


fast = {case.name: compiled(case.call) for case in CATALOGUE}


def test_complete_catalogue():
    """The catalogue has every public function and module of the mathematics, so that every one is tested."""
    for module in MODULES:
        public = [
            f"{module.__name__.rpartition('.')[2]}.{name}"
            for name, thing in vars(module).items()
            if callable(thing) and getattr(thing, "__module__", None) == module.__name__ and not name.startswith("_")
            # These say which module is wanted, and make it.
            if not is_dataclass(thing)
        ]
        # What goes in or comes out; and what others are kinds of.
        public = set(public) - {"model.Output", "beliefs.Belief", "dynamics.DynamicsModule"}
        assert public
        assert public <= {case.name.partition("[")[0] for case in CATALOGUE}


@cases(lambda case: True)
@settings(max_examples=settings.default.max_examples // 10)  # a call that is not compiled takes its time
@given(generators)
def test_jit(case, rng):
    """A compiled function returns what it returns uncompiled."""
    args = SINGLE.all(case.draw(rng, ()))
    close(case, SINGLE, fast[case.name](*args), case.call(*map(jnp.asarray, args)), *args)


@cases(lambda case: not case.noisy)
@settings(max_examples=settings.default.max_examples // 4)
@given(generators)
def test_float32(case, rng):
    """The float32 result is the float64 result to rounding, and has its argument's dtype."""
    args = SINGLE.all(case.draw(rng, ()))
    actual = fast[case.name](*args)
    assert actual.dtype == SINGLE.dtype
    with DOUBLE.on():
        expected = fast[case.name](*DOUBLE.all(args))
    assert expected.dtype == DOUBLE.dtype
    close(case, SINGLE, actual, expected, *args)


@cases(lambda case: case.batched and not case.noisy)
@given(generators)
def test_batch(case, rng):
    """The result of a batch is that of each row by itself, whatever the other rows."""
    args = DOUBLE.all(case.draw(rng, ROWS))
    for place in set(range(len(args))) - set(case.shared):
        args[place][-1, -1] = 0.0  # padding of the batch: what comes of it is nobody's business
    with DOUBLE.on():
        together = fast[case.name](*args)
        for row in list(np.ndindex(ROWS))[:-1]:
            alone = [arg if place in case.shared else arg[row] for place, arg in enumerate(args)]
            close(case, DOUBLE, together[row], fast[case.name](*alone), *alone)


def in_place(f, args, place):
    """Return the function of this one argument."""
    return lambda value: f(*args[:place], value, *args[place + 1 :])


def padded(arg, how):
    if how == "repeated channels":
        return np.concatenate([arg, arg], axis=-1)
    if how == "repeated rows":
        return np.concatenate([arg, arg], axis=-2)
    rows, columns = {"latent": (0, 1), "rows": (2, 0), "matrix": (1, 1)}[how]
    return np.pad(arg, [(0, 0)] * (arg.ndim - 2) + [(0, rows)] * (arg.ndim > 1) + [(0, columns)])


@pytest.mark.parametrize(
    ("case", "how"), [pytest.param(case, how, id=f"{case}-{how}") for case in CATALOGUE for how in case.padded]
)
@given(generators)
def test_padding(case, how, rng):
    """Padding the arguments leaves the old part of the result unchanged."""
    args = DOUBLE.all(case.draw(rng, ()))
    with DOUBLE.on():
        plain = fast[case.name](*args)
        longer = fast[case.name](*(padded(arg, how) for arg in args))
    close(case, DOUBLE, longer[tuple(slice(n) for n in plain.shape)], plain, *args)


@cases(lambda case: case.turns)
@given(generators)
def test_equivariance(case, rng):
    """A rotation or reflection of the latent space rotates a vector result and leaves a scalar one unchanged."""
    args = DOUBLE.all(case.draw(rng, ()))
    turn = orthogonal(rng, DIM)
    with DOUBLE.on():
        plain = fast[case.name](*args)
        turned = fast[case.name](
            *(arg @ turn if role == "v" else arg for arg, role in zip(args, case.turns[:-1], strict=True))
        )
    close(case, DOUBLE, turned, plain @ turn if case.turns[-1] == "v" else plain, *args)


@pytest.mark.parametrize(
    ("case", "place"), [pytest.param(case, n, id=f"{case}-{n}") for case in CATALOGUE for n in case.linear]
)
@given(generators, st.floats(-3, 3), st.floats(-3, 3))
def test_linearity(case, place, rng, a, b):
    """The result is linear in the argument."""
    args, others = (DOUBLE.all(case.draw(rng, ())) for _ in range(2))
    at = in_place(fast[case.name], args, place)
    with DOUBLE.on():
        mixed, first, second = at(a * args[place] + b * others[place]), at(args[place]), at(others[place])
    close(case, DOUBLE, mixed, a * first + b * second, a * first, b * second, *args, *others)


@precisions
@pytest.mark.parametrize(
    ("case", "place"), [pytest.param(case, n, id=f"{case}-{n}") for case in CATALOGUE for n in case.causal]
)
@given(generators, st.integers(0, TIME - 1), st.sampled_from([1e-3, 1.0, 1e3]))
def test_causality(precision, case, place, rng, when, size):
    """A change of a sample changes the result at that time, and nothing before it."""
    args = precision.all(case.draw(rng, ()))
    changed = list(args)
    changed[place] = args[place].copy()
    if np.isclose(np.linalg.norm(args[place][when]), 1.0, atol=1e-4):
        changed[place][when] *= -1.0  # stays on the sphere
    else:
        changed[place][when] += size
    with precision.on():
        before, after = (np.moveaxis(fast[case.name](*a), case.time, 0) for a in (args, changed))
    if case.spreads:
        close(case, precision, after[:when], before[:when], *args, *changed)
    else:
        np.testing.assert_array_equal(after[:when], before[:when])
    assert (after[when] != before[when]).any()


PROJECTIONS = {"sphere.project": 1, "orthogonal.skew": 0}


@precisions
@cases(lambda case: case.name in PROJECTIONS)
@given(generators)
def test_projection(precision, case, rng):
    """An orthogonal projection is idempotent and self-adjoint."""
    place = PROJECTIONS[case.name]
    args, others = (precision.all(case.draw(rng, ())) for _ in range(2))
    at, v, w = in_place(fast[case.name], args, place), args[place], others[place]
    with precision.on():
        once, other = at(v), at(w)
        close(case, precision, at(once), once, v)
    products = [np.sum(np.asarray(a, np.longdouble) * b) for a, b in ((once, w), (v, other))]
    limit = 2 * case.roundings * precision.unit * np.linalg.norm(v) * np.linalg.norm(w)
    assert abs(products[0] - products[1]) <= limit


def gradient(call):
    """Return a function that computes the value, and the gradient of its weighted sum in every argument."""

    def both(*args):
        value, pull = jax.vjp(call, *args)
        return value, pull(jnp.cos(jnp.arange(1.0, value.size + 1.0)).reshape(value.shape))

    return compiled(both)


gradients = {case.name: gradient(case.call) for case in CATALOGUE}

H = 1e-5


@cases(lambda case: case.smooth)
@settings(max_examples=settings.default.max_examples // 4)
@given(generators)
def test_finite_differences(case, rng):
    """Along a random direction of all arguments, the gradient agrees with finite differences: no part is missing or stopped."""
    args = DOUBLE.all(case.draw(rng, ()))
    along = [rng.normal(size=arg.shape) for arg in args]
    with DOUBLE.on():
        value, slope = gradients[case.name](*args)
        weights = np.cos(np.arange(1.0, value.size + 1.0)).reshape(value.shape)
        near, far, back, behind = (
            np.sum(weights * (fast[case.name](*(a + h * d for a, d in zip(args, along, strict=True))) - value))
            for h in (H, 2 * H, -H, -2 * H)
        )
    actual = sum(np.sum(g * d) for g, d in zip(slope, along, strict=True))
    # A third of H^2 third derivatives, of up to 1e3, and rounding over H; both against the size of what is added up. From
    # either side: an absolute value may have its kink within a step, but not on both sides.
    largest = max(1.0, *(np.abs(g * d).sum() for g, d in zip(slope, along, strict=True)))
    assert min(abs(actual - (4 * near - far) / (2 * H)), abs(actual + (4 * back - behind) / (2 * H))) <= 1e-6 * largest
