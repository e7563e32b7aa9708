"""Values of components: the same whatever they are nested in, shown in short, and not without an end."""

import pickle
from dataclasses import dataclass
from functools import partial, update_wrapper
from typing import NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from flax import linen, nnx

from ladder.declare.values import MAX_DEPTH, Configuration, equal, is_too_deep, shortened

NAN = float("nan")


@dataclass(frozen=True)
class Layer:
    """A component of any value."""

    scale: object = 1.0
    width: int = 4


class Pair(NamedTuple):
    """A tuple by another name."""

    one: object
    other: object


class Table:
    """What a data frame is: an array with labels, whose ``==`` is another table."""

    def __init__(self, values, labels):
        self.values, self.labels = np.asarray(values), labels
        self.shape, self.dtype = self.values.shape, self.values.dtype

    def __array__(self, dtype=None, copy=None):
        return self.values

    def __eq__(self, other):
        return Table(self.values == other.values, self.labels)

    __hash__ = None

    def equals(self, other):
        """Compare values and labels."""
        return self.labels == other.labels and np.array_equal(self.values, other.values)


class Raises:
    """Cannot be compared."""

    def __eq__(self, other):
        raise ValueError("which of them?")

    __hash__ = None


class Elementwise(Raises):
    """A sequence that compares its elements but is not an array."""

    def __eq__(self, other):
        return [True, False]


def objects(*values):
    array = np.empty(len(values), object)
    array[:] = values
    return array


@pytest.mark.parametrize(
    ("one", "other", "expected"),
    [
        (1, 1.0, True),
        ("1", 1, False),
        (NAN, float("nan"), True),
        (complex(NAN, 1), complex(NAN, 1), True),
        (NAN, 0.0, False),
        (np.zeros(2), np.zeros(2), True),
        (np.zeros(2), np.ones(2), False),
        (np.zeros(2), np.zeros(3), False),
        (np.zeros(2), np.zeros(2, np.float32), False),
        (jnp.zeros(2), jnp.zeros(3), False),
        (jnp.zeros(2), np.zeros(2, np.float32), True),
        (np.array([NAN, 1.0]), np.array([NAN, 1.0]), True),
        (np.array([NAN, 1.0]), np.array([NAN, 2.0]), False),
        (jnp.full(2, NAN, jnp.bfloat16), jnp.full(2, NAN, jnp.bfloat16), True),
        (np.array(["a", "b"]), np.array(["a", "b"]), True),
        (0.5, np.float32(0.5), True),
        (0.5, np.full(2, 0.5), False),
        (None, np.zeros(2), False),
        ([0.0, 0.0], np.zeros(2), False),
        ((np.zeros(2),), (np.zeros(2),), True),
        ((np.zeros(2),), (np.ones(2),), False),
        ([np.zeros((1,))], [np.zeros((1, 1))], False),
        ([1, 2], [1], False),
        ([], {}, False),
        ({"x": jnp.zeros(2), "y": 1}, {"y": 1, "x": jnp.zeros(2)}, True),
        ({"x": jnp.zeros(2)}, {"y": jnp.zeros(2)}, False),
        ([Layer(np.zeros(2))], [Layer(np.zeros(2))], True),
        ([Layer(np.zeros(2))], [Layer(np.ones(2))], False),
        (Layer(NAN), Layer(float("nan")), True),
        (Pair(1, np.zeros(2)), Pair(1, np.zeros(2)), True),
        (Pair(1, 2), (1, 2), False),
        ({1, NAN}, {float("nan"), 1}, True),
        ({1, NAN}, {1, 2}, False),
        ({1, 2}, {1}, False),
        ({1}, frozenset({1}), False),
        (objects(None, np.zeros(2)), objects(None, np.zeros(2)), True),
        (objects(None, np.zeros(2)), objects(None, np.ones(2)), False),
        (np.zeros((0, 2), object), np.zeros((0, 3), object), False),
        (jax.random.key(0), jax.random.key(0), True),
        (jax.random.key(0), jax.random.key(1), False),
        (jax.random.key(0), jax.random.key(0, impl="rbg"), False),
        (Table([1, 2], "ab"), Table([1, 2], "ab"), True),
        (Table([1, 2], "ab"), Table([1, 2], "ac"), False),
        ((Table([1, 2], "ab"),), (Table([1, 3], "ab"),), False),
        (len, len, True),
        (len, max, False),
    ],
)
def test_same(one, other, expected):
    """Values are the same if type, shape and all nested values agree, with NaN equal to itself."""
    assert equal(one, other) is expected
    assert equal(other, one) is expected
    assert equal(one, one)


@pytest.mark.parametrize(
    ("one", "other", "why"),
    [
        (Raises(), Raises(), r"Raises.* == .*Raises.* raises ValueError"),
        (Elementwise(), Elementwise(), r"is \[True, False\], neither True nor False"),
        ([Raises()], [Raises()], "raises ValueError"),
    ],
)
def test_incomparable(one, other, why):
    """Values whose equality is not a boolean raise an error."""
    with pytest.raises(TypeError, match=why):
        equal(one, other)
    assert equal(one, one)


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (np.zeros((1000, 5), np.float32), "float32[1000, 5]"),
        (jax.random.split(jax.random.key(0), 3), "key<fry>[3]"),
        (np.float32(0.5), "np.float32(0.5)"),
        ((jnp.zeros(3),), "(float32[3],)"),
        ((1, "a"), "(1, 'a')"),
        ({"x": [np.zeros(2), None]}, "{'x': [float64[2], None]}"),
        (Layer(np.zeros(2)), "Layer(scale=float64[2], width=4)"),
        (Pair(np.zeros(2), ()), "Pair(one=float64[2], other=())"),
        (Table([1, 2], "ab"), None),
        (list(range(10**6)), f"[{', '.join(map(str, range(24)))}, ...]"),
        ("x" * 10**6, f"'{'x' * 97}...{'x' * 97}'"),
        (set(), "set()"),
        (Layer, None),
    ],
)
def test_shortened(value, text):
    """A value is shortened to one line of at most 200 characters, and arrays are given by dtype and shape."""
    found = shortened(value)
    assert found == text if text else len(found) <= 200
    assert "\n" not in found


def test_shortened_without_repr():
    """A value whose repr raises an exception is shortened to its type."""

    class Mute:
        def __repr__(self):
            raise ValueError

    assert "Mute(...)" in shortened([Mute()])


def circles():
    straight, inner, array = [], {}, np.empty(1, object)
    straight.append(straight)
    inner["x"] = (Layer(scale=[inner]),)
    array[0] = [array]
    wide = []
    wide += [wide] * 30
    return [straight, inner, array, wide]


@pytest.mark.parametrize("value", circles(), ids=["list", "dict", "array", "wide"])
def test_circular_value(value):
    """A value that contains itself is too deep, and can be shortened."""
    assert is_too_deep(value)
    assert len(shortened(value)) <= 200


def test_depth():
    """The depth of a value counts nesting and not shared references."""
    value = leaf = [1]
    for _ in range(MAX_DEPTH - 1):
        value = [value, value]
    assert not is_too_deep(value)
    assert is_too_deep([value])
    assert not is_too_deep([leaf, [leaf]])


def power(exponent, scale=1.0):
    """A closure, which also has a default."""

    def apply(x, factor=scale):
        return factor * x**exponent

    return apply


def factorial():
    """A closure that contains itself."""

    def apply(n):
        return n * apply(n - 1) if n else 1

    return apply


def mutual(step):
    """Two closures that call each other."""

    def even(n):
        return n == 0 or odd(n - step)

    def odd(n):
        return n != 0 and even(n - step)

    return even


def sign(slope):
    """A function with a derivative of its own."""

    @jax.custom_vjp
    def apply(x):
        return jnp.sign(x)

    apply.defvjp(lambda x: (jnp.sign(x), None), lambda _, g: (slope * g,))
    return apply


def marked(mark):
    """A function with an attribute."""

    def apply(x):
        return x

    apply.mark = mark
    return apply


class Plain:
    """An object that defines no equality, and knows its owner."""

    def __init__(self, inner):
        self.inner, self.owner = inner, self


class Wrapper:
    """A callable object around a function."""

    def __init__(self, function, scale):
        update_wrapper(self, function)
        self.scale = scale

    def __call__(self, x):
        """Scale the result."""
        return self.scale * self.__wrapped__(x)


class SubLayer(Layer):
    """An undecorated subclass of a dataclass, with an attribute of its own."""

    def __init__(self, x, more):
        super().__init__(x)
        object.__setattr__(self, "more", more)


def net(width, activation=jnp.tanh, rate=0.1):
    """A model as flax nnx makes it."""
    rngs = nnx.Rngs(0)
    layers = nnx.Linear(2, width, rngs=rngs), activation, nnx.Dropout(rate, rngs=rngs), nnx.Linear(width, 1, rngs=rngs)
    return nnx.Sequential(*layers)


MADE = {
    "mutual closures": (lambda: mutual(1), lambda: mutual(2)),
    "custom derivative": (lambda: sign(1.0), lambda: sign(0.0)),
    "attribute of a function": (lambda: marked(1), lambda: marked(2)),
    "object": (lambda: Plain([1]), lambda: Plain([2])),
    "method of an object": (lambda: Plain([1]).__init__, lambda: Plain([2]).__init__),
    "wrapper": (lambda: Wrapper(power(2), 1.0), lambda: Wrapper(power(2), 2.0)),
    "subclass of a dataclass": (lambda: SubLayer(1, 2), lambda: SubLayer(1, 3)),
    "nnx widths": (lambda: net(4), lambda: net(8)),
    "nnx activations": (lambda: net(4), lambda: net(4, jax.nn.relu)),
    "nnx dropout": (lambda: net(4), lambda: net(4, rate=0.5)),
    "nnx list": (
        lambda: nnx.List([nnx.Linear(2, 3, rngs=nnx.Rngs(0))]),
        lambda: nnx.List([nnx.Linear(2, 4, rngs=nnx.Rngs(0))]),
    ),
    "accumulated steps": (
        lambda: optax.MultiSteps(optax.adam(1e-3), 4).gradient_transformation(),
        lambda: optax.MultiSteps(optax.adam(1e-3), 5).gradient_transformation(),
    ),
    "equinox batch norm": (
        lambda: eqx.nn.make_with_state(eqx.nn.BatchNorm)(4, "batch", mode="ema")[0],
        lambda: eqx.nn.make_with_state(eqx.nn.BatchNorm)(8, "batch", mode="ema")[0],
    ),
    "gradient": (lambda: jax.grad(power(2)), lambda: jax.grad(power(3))),
    "closure": (lambda: power(2), lambda: power(3)),
    "default": (lambda: power(2), lambda: power(2, 0.5)),
    "recursive closure": (factorial, lambda: power(2)),
    "lambda": (lambda: lambda x: x + 1, lambda: lambda x: x + 2),
    "partial": (lambda: partial(power(2), factor=2.0), lambda: partial(power(2), factor=3.0)),
    "method": (lambda: Layer(1.0).__eq__, lambda: Layer(2.0).__eq__),
    "jitted": (lambda: jax.jit(power(2)), lambda: jax.jit(power(3))),
    "optax": (lambda: optax.adam(1e-3), lambda: optax.adam(1e-2)),
    "chain": (
        lambda: optax.chain(optax.clip(1.0), optax.adamw(optax.cosine_decay_schedule(1e-3, 100))),
        lambda: optax.chain(optax.clip(1.0), optax.adamw(optax.cosine_decay_schedule(1e-3, 101))),
    ),
    "equinox": (
        lambda: eqx.nn.MLP(2, 1, 4, 1, key=jax.random.key(0)),
        lambda: eqx.nn.MLP(2, 1, 4, 1, key=jax.random.key(1)),
    ),
    "linen": (lambda: linen.Dense(3), lambda: linen.Dense(4)),
    "nnx": (lambda: nnx.Linear(2, 3, rngs=nnx.Rngs(0)), lambda: nnx.Linear(2, 3, rngs=nnx.Rngs(1))),
}


@pytest.mark.parametrize(("make", "other"), MADE.values(), ids=MADE)
def test_functions_and_modules(make, other):
    """Functions, transformations and modules are equal if they were made alike, and shown on one line."""
    assert equal(make(), make())
    assert not equal(make(), other())
    assert not is_too_deep(make())
    assert "\n" not in shortened(make())
    assert len(shortened(make())) <= 200


def test_short_function():
    """A closure is shown with the values that it is bound to."""
    assert shortened(power(2)) == "power.apply(exponent=2)"


def test_configuration():
    """A configuration is a mapping whose entries are attributes too, also in it, and cannot be changed."""
    config = Configuration({"rate": 0.1, "optimizer": {"name": "adam", "betas": [0.9, 0.99]}})
    assert config.optimizer.name == config["optimizer"]["name"] == "adam"
    assert {**config} == {"rate": 0.1, "optimizer": config.optimizer}
    assert pickle.loads(pickle.dumps(config)) == config
    with pytest.raises(AttributeError, match="the configuration has no entry 'lr'; it has rate, optimizer"):
        _ = config.lr
    with pytest.raises(ValueError, match="entry 'a b' of a configuration: name it by an identifier"):
        Configuration({"a b": 1})
