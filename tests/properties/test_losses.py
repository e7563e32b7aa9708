"""Laws of the losses. ``u`` in a comment is the unit roundoff."""

import jax.numpy as jnp
import numpy as np
import pytest
from draws import generators, without_empty_bins
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from precision import DOUBLE, SINGLE, compiled, precisions

from ladder.studies.manifoldformer import losses
from ladder.studies.manifoldformer.losses import EPSILON, ORDERS

TIME, CHANNELS = 16, 2
BINS = TIME // 2 + 1
PARTS = ("fractional_log_magnitude", "fractional_phase")
DISTANCES = ("mse", "log_magnitude", "phase", "spectral", "energy_spectral", "fractional", *PARTS)
SPECTRAL = ("log_magnitude", "phase", "spectral", "energy_spectral", "fractional")
fast = {name: compiled(getattr(losses, name)) for name in (*DISTANCES, "amplitude")}
of_one_order = compiled(losses.fractional, static_argnames=("orders", "taps"))
distances = pytest.mark.parametrize("name", DISTANCES)


def signal(rng, low=1.0):
    return without_empty_bins(rng, (3, TIME, CHANNELS), low)


# Anything at all, zeros and repeated values among it; the squares of these can be represented.
signals = arrays(np.float64, (TIME, CHANNELS), elements=st.floats(-1e15, 1e15, allow_subnormal=False))


@distances
@precisions
@given(signals, signals)
def test_distance_axioms(precision, name, p, y):
    """Every loss but the amplitude is zero for equal signals, never negative, finite and symmetric."""
    p, y = precision.round(p, y)
    with precision.on():
        there, back = float(fast[name](p, y)), float(fast[name](y, p))
        assert float(fast[name](y, y)) == 0.0
        assert float(fast[name](y.copy(), y)) == 0.0
    assert there >= 0.0
    assert np.isfinite(there)
    # Two differences of the same sizes; only the order in which products are contracted may differ.
    assert back == pytest.approx(there, rel=8 * precision.unit)


@pytest.mark.parametrize("name", ["log_magnitude"])
@given(signals, signals, signals)
def test_triangle_inequality(name, p, q, y):
    """The log-magnitude loss obeys the triangle inequality."""
    with DOUBLE.on():
        direct, first, second = (float(fast[name](*DOUBLE.round(*pair))) for pair in ((p, y), (p, q), (q, y)))
    assert direct <= (first + second) * (1 + 100 * DOUBLE.unit)


@given(generators)
def test_definitions(rng):
    """Each loss equals its formula in NumPy, written with the angles that the code avoids."""
    p, y = signal(rng), signal(rng)
    a, b = np.fft.rfft(p, axis=-2), np.fft.rfft(y, axis=-2)
    size = np.abs(np.log(np.abs(a)) - np.log(np.abs(b))).mean(axis=(-2, -1))
    phase = (1 - np.cos(np.angle(a) - np.angle(b))).mean(axis=(-2, -1))
    energy = np.abs(a) ** 2 + np.abs(b) ** 2
    each = np.abs(np.log(np.abs(a)) - np.log(np.abs(b))) + 1 - np.cos(np.angle(a) - np.angle(b))
    expected = {
        "mse": np.mean((p - y) ** 2, axis=(-2, -1)),
        "log_magnitude": size,
        "phase": phase,
        "spectral": size + phase,
        "energy_spectral": np.sum(energy * each, axis=(-2, -1)) / np.sum(energy, axis=(-2, -1)),
        "amplitude": np.sqrt(np.mean(p**2, axis=(-2, -1)) / np.mean(y**2, axis=(-2, -1))),
    }
    with DOUBLE.on():
        for name, value in expected.items():
            # 1e-8 beside magnitudes of at least 1, twice over.
            np.testing.assert_allclose(fast[name](p, y), value, rtol=0, atol=4 * EPSILON, err_msg=name)


@pytest.mark.parametrize("scale", [1e-6, 1e-3, 0.5, 1.0, 2.0, 1e6])
@given(generators)
def test_scaled_prediction(scale, rng):
    """A prediction of ``c`` times the target has the log-magnitude loss ``|log c|``, no phase loss, and amplitude ``c``."""
    y = signal(rng)
    with DOUBLE.on():
        magnitude, phase = (np.asarray(fast[name](scale * y, y)) for name in ("log_magnitude", "phase"))
        amplitude = fast["amplitude"](-scale * 1e-3 * y, 1e-3 * y)
        # Whatever the signal's own size, as long as that is well above 1e-8.
        of_larger = fast["log_magnitude"](1e3 * scale * y, 1e3 * y)
    limit = EPSILON / min(scale, 1.0) + 1e-13
    np.testing.assert_allclose(magnitude, abs(np.log(scale)), rtol=0, atol=limit)
    np.testing.assert_allclose(of_larger, abs(np.log(scale)), rtol=0, atol=limit)
    np.testing.assert_allclose(phase, 0.0, rtol=0, atol=limit)
    np.testing.assert_allclose(amplitude, scale, rtol=1e-12)


@given(generators, st.floats(0.0, np.pi))
def test_phase(rng, lag):
    """The phase loss of a common lag is one minus its cosine, whatever the size of the signals."""
    y = signal(rng)
    turned = np.fft.rfft(y, axis=-2)
    turned[:, 1:-1] *= np.exp(1j * lag)  # the first and the last bin are real and cannot turn
    p = np.fft.irfft(turned, TIME, axis=-2)
    with DOUBLE.on():
        plain, louder, opposite = (fast["phase"](*pair) for pair in ((p, y), (3.0 * p, y), (-y, y)))
    np.testing.assert_allclose(plain, (1 - np.cos(lag)) * (BINS - 2) / BINS, rtol=0, atol=4 * EPSILON)
    np.testing.assert_allclose(louder, plain, rtol=0, atol=4 * EPSILON)
    np.testing.assert_allclose(opposite, 2.0, rtol=0, atol=4 * EPSILON)


@given(generators)
def test_small_phase(rng):
    """A phase loss of 1e-4 radians is right in float32, where one minus a cosine is zero below 3e-4 radians."""
    y = signal(rng)
    turned = np.fft.rfft(y, axis=-2)
    turned[:, 1:-1] *= np.exp(1e-4j)
    actual = fast["phase"](*SINGLE.round(np.fft.irfft(turned, TIME, axis=-2), y))
    # Two transforms of 4 stages, off by some 16 roundings of their norm (12 at most) each, beside 1e-4.
    error = 2 * 16 * 12 * SINGLE.unit
    expected = 0.5 * 1e-8 * (BINS - 2) / BINS
    assert (np.abs(np.asarray(actual) - expected) <= 1e-4 * error + error**2).all()


@pytest.mark.parametrize("name", ["log_magnitude", "phase", "spectral", "energy_spectral"])
@given(generators, st.integers(1, TIME - 1))
def test_shift_invariance(name, rng, by):
    """The spectral losses are invariant to a common circular shift."""
    p, y = signal(rng), signal(rng)
    with DOUBLE.on():
        plain, shifted = fast[name](p, y), fast[name](np.roll(p, by, axis=-2), np.roll(y, by, axis=-2))
    np.testing.assert_allclose(shifted, plain, rtol=0, atol=1e-12)


def test_silent_amplitude():
    """The amplitude is 0 for a silent prediction, infinite for a silent target, and NaN for both."""
    y, nothing = jnp.ones((TIME, 1)), jnp.zeros((TIME, 1))
    assert float(fast["amplitude"](nothing, y)) == 0.0
    assert float(fast["amplitude"](y, nothing)) == np.inf
    assert np.isnan(fast["amplitude"](nothing, nothing))


def test_empty_bin_phase():
    """Two empty bins have no phase loss, and an empty one against a full one has a half."""
    y = np.ones((TIME, 1))  # all in the first bin
    tone = np.sin(2 * np.pi * 3 * np.arange(TIME) / TIME)[:, None]
    with DOUBLE.on():
        assert float(fast["phase"](y, y)) == 0.0
        assert float(fast["phase"](y, np.zeros_like(y))) == pytest.approx(0.5 / BINS, rel=1e-6)
        both = float(fast["phase"](y + tone, y))
    # A sine's other bins are empty but for rounding, 1e-15 beside 1e-8.
    assert both == pytest.approx(0.5 / BINS, rel=1e-6)


def test_leakage():
    """Of a strong tone beside weak noise, the spectral loss prefers the noise alone, the energy-weighted loss the tone alone."""
    rng, t = np.random.default_rng(0), np.arange(TIME)[:, None]
    noise = 1e-3 * rng.normal(size=(TIME, 1))
    tone = np.sin(2 * np.pi * 3 * t / TIME)
    with DOUBLE.on():
        by_mean, by_energy = (
            [float(fast[name](p, tone + noise)) for p in (noise, tone)] for name in ("spectral", "energy_spectral")
        )
    assert by_mean[0] < by_mean[1]
    assert by_energy[0] > 100 * by_energy[1]


# The fractional bank


@given(generators)
def test_fractional_orders(rng):
    """The fractional loss is the same for every order: a common kernel cancels in the log ratio and in the phase difference."""
    p, y = signal(rng), signal(rng)
    with DOUBLE.on():
        each = [np.asarray(of_one_order(p, y, orders=(order,))) for order in (0.0, *ORDERS)]
        bank = np.asarray(fast["fractional"](p, y))
    for one in each:
        np.testing.assert_allclose(one, each[0], rtol=0, atol=3e-3)  # what is left of the order is the 1e-8's
    np.testing.assert_allclose(bank, np.mean(each[1:], axis=0), rtol=1e-12)
    # It is the spectral loss of the signals themselves, on the longer transform of 128 published taps.
    padded = [np.pad(x, ((0, 0), (0, 128 - 1), (0, 0))) for x in (p, y)]
    with DOUBLE.on():
        np.testing.assert_allclose(bank, fast["spectral"](*padded), rtol=0, atol=3e-3)


@given(generators)
def test_fractional(rng):
    """The fractional loss is the spectral loss of the signals convolved with the power-law kernel."""
    p, y, taps = signal(rng), signal(rng), 5
    kernel = np.arange(1.0, taps + 1) ** -0.5 / np.sqrt(np.pi)  # Gamma(1/2)
    full = [np.apply_along_axis(np.convolve, -2, x, kernel) for x in (p, y)]
    with DOUBLE.on():
        actual = of_one_order(p, y, orders=(0.5,), taps=taps)
        np.testing.assert_allclose(actual, fast["spectral"](*full), rtol=0, atol=1e-6)


@given(generators)
def test_fractional_parts(rng):
    """The fractional loss is the sum of its magnitude part and its phase part."""
    p, y = signal(rng), signal(rng)
    with DOUBLE.on():
        whole, size, angle = (np.asarray(fast[name](p, y)) for name in ("fractional", *PARTS))
        louder = np.asarray(fast["fractional_log_magnitude"](3 * y, y))
    np.testing.assert_allclose(whole, size + angle, rtol=1e-12)
    np.testing.assert_allclose(louder, np.log(3.0), rtol=1e-3)


@given(generators)
def test_integer_signals(rng):
    """Signals of integers give the losses of the same signals in float32."""
    p, y = rng.integers(-9, 9, size=(2, TIME, CHANNELS))
    for name in SPECTRAL:
        actual, expected = (float(fast[name](*pair)) for pair in ((p, y), SINGLE.round(p, y)))
        assert actual == pytest.approx(expected, rel=1e-5), name


@pytest.mark.parametrize(
    ("options", "message"),
    [({"orders": ()}, "at least one order"), ({"orders": (0.5, 1.0)}, "order=1.0"), ({"taps": 0}, "taps=0")],
)
def test_invalid_bank(options, message):
    """An empty bank, an order outside its range or no taps raise an error."""
    with pytest.raises(ValueError, match=message):
        losses.fractional(jnp.ones((4, 1)), jnp.ones((4, 1)), **options)
