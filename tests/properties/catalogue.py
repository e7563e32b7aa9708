"""Every public function of the mathematics, with what it takes and which of the shared laws it obeys.

A law that several functions obey is written once, in ``test_shared_laws.py``, and tried on all that claim it here.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
from draws import on_sphere, rotation, without_empty_bins
from flax import nnx

from ladder.geometry import integrators, orthogonal, sphere
from ladder.manifoldformer import coupling, decoder, dynamics, encoder, losses, memory, metrics
from ladder.manifoldformer import model as manifoldformer
from ladder.manifoldformer.decoder import Decoder
from ladder.manifoldformer.encoder import Encoder
from ladder.manifoldformer.model import ManifoldFormer
from ladder.purefep import beliefs, transport
from ladder.purefep.beliefs import Belief

MODULES = (
    sphere,
    orthogonal,
    integrators,
    memory,
    coupling,
    losses,
    metrics,
    encoder,
    decoder,
    dynamics,
    manifoldformer,
    beliefs,
    transport,
)
DIM, TIME = 4, 6


@dataclass(frozen=True)
class Case:
    """A function, how to draw its arguments, and what it claims.

    ``draw(rng, batch)`` returns arguments with those batch axes in front. ``roundings`` bounds the error of one evaluation in
    units of the roundoff times the largest number that goes in or comes out: the longest chain of sums and
    products on the way, times what the drawn arguments magnify it by.
    """

    name: str
    call: Callable
    draw: Callable
    roundings: float
    turns: str = ""  # under a rotation of the latent space, each argument and the result: v(ector) or s(calar)
    linear: tuple[int, ...] = ()  # the arguments, by place, in which it is linear
    causal: tuple[int, ...] = ()  # those in which it is causal
    spreads: bool = False  # whether a Fourier transform spreads rounding over all times
    padded: tuple[str, ...] = ()  # how arguments may be made longer without changing what was there before
    shared: tuple[int, ...] = ()  # arguments that all rows of a batch have in common
    batched: bool = True
    smooth: bool = True  # whether finite differences are safe: a ReLU has kinks anywhere

    def __str__(self):
        return self.name


# Arguments


def vector(rng, batch):
    return (rng.normal(size=(*batch, DIM)),)


def two_points(rng, batch):
    return tuple(on_sphere(rng, (2, *batch, DIM)))


def point_and_vector(rng, batch):
    return on_sphere(rng, (*batch, DIM)), *vector(rng, batch)


def two_points_and_vector(rng, batch):
    return *two_points(rng, batch), *vector(rng, batch)


def square(rng, batch):
    """The identity and something smaller, so that nothing is singular."""
    return (np.eye(DIM) + 0.5 * rng.uniform(-1, 1, size=(*batch, DIM, DIM)) / DIM,)


def skew(rng, batch):
    m = rng.normal(size=(*batch, DIM, DIM))
    return (m - np.swapaxes(m, -1, -2),)


def clouds(rng, batch):
    """Two clouds of points close to each other and spread in every direction, so that their alignment is no accident."""
    x = np.tile(2 * np.eye(DIM), (2, 1)) + 0.3 * rng.normal(size=(*batch, 2 * DIM, DIM))
    return x, x + 0.1 * rng.normal(size=x.shape)


def order(rng, batch):
    return (rng.uniform(0.1, 0.9, size=batch),)


def cosine(rng, batch):
    return (rng.uniform(-1, 1, size=batch),)


def trajectory(rng, batch):
    return (on_sphere(rng, (*batch, TIME, DIM)),)


def two_trajectories(rng, batch):
    return tuple(on_sphere(rng, (2, *batch, TIME, DIM)))


def trajectory_and_kernel(rng, batch):
    return *trajectory(rng, batch), rng.normal(size=(TIME, DIM))


def one_signal(rng, batch):
    return (without_empty_bins(rng, (*batch, TIME, DIM)),)


def two_signals(rng, batch):
    return *one_signal(rng, batch), *one_signal(rng, batch)


def samples(rng, batch):
    return (rng.normal(size=(*batch, TIME, 3)),)


def belief(rng, batch):
    return rng.normal(size=(*batch, DIM)), rng.uniform(-1, 1, size=(*batch, DIM))


def two_beliefs(rng, batch):
    return *belief(rng, batch), *belief(rng, batch)


def rotations(rng, batch):
    return (np.stack([rotation(rng, DIM) for _ in range(TIME)]),)


def two_trajectories_of_beliefs(rng, batch):
    return *two_beliefs(rng, (*batch, TIME)), *rotations(rng, batch)


def of_beliefs(function):
    """As a function of arrays: each pair of them, a mean and a log variance, is a belief."""

    def call(*parts):
        pairs = [Belief(*parts[place : place + 2]) for place in range(0, len(parts) - 1, 2)]
        found = function(*pairs, *parts[2 * len(pairs) :])
        return jnp.stack(found, axis=-1) if isinstance(found, Belief) else found

    return call


# Modules


def module(build):
    """The call of a module whose every parameter, biases too, is drawn anew in the precision of the argument."""

    def call(x):
        graph, params = nnx.split(nnx.eval_shape(lambda: build(rngs=nnx.Rngs(0))))
        leaves, tree = jax.tree.flatten(params)
        drawn = [np.random.default_rng(n).normal(scale=0.5, size=leaf.shape) for n, leaf in enumerate(leaves)]
        return nnx.merge(graph, jax.tree.unflatten(tree, [jnp.asarray(value, x.dtype) for value in drawn]))(x)

    return call


def model(latent, moves):
    whole = module(
        partial(ManifoldFormer, channels=3, length=TIME, latent_dim=DIM, latent=latent, moves=moves, init="random")
    )
    return lambda x: whole(x).signal


def step(x, pole):
    """Along the tangent part of a constant vector: a field that turns with the vector it is given."""
    return integrators.rk4_step(lambda y: sphere.project(y, pole), x, 0.5)


# Chains of roundings. A mean or a norm of n terms is n additions and a few more; a transform of up to 256 values is
# 8 stages of 4; a Dense of n inputs is n, and its kernel, drawn at half the usual size of one, magnifies by 0.5 n^(1/2).
VECTORS = 2 * DIM + 10
TRANSFORM = 3 * 4 * 8
MATRICES = 3 * DIM**2 * 10  # elimination, at condition numbers up to 10
POINTWISE = (3 + 64) * 0.5 * 3**0.5 * 0.5 * 64**0.5  # 3 inputs, 64 hidden, each kernel's gain

CATALOGUE = [
    Case("sphere.normalise", sphere.normalise, vector, VECTORS, "vv", padded=("latent",)),
    Case("sphere.project", sphere.project, point_and_vector, VECTORS, "vvv", linear=(1,), padded=("latent",)),
    Case("sphere.retract", sphere.retract, point_and_vector, 4 * VECTORS, "vvv", padded=("latent",)),
    Case("sphere.exp", sphere.exp, point_and_vector, VECTORS, "vvv", padded=("latent",)),
    Case("sphere.distance", sphere.distance, two_points, VECTORS, "vvs", padded=("latent",)),
    Case("sphere.log", sphere.log, two_points, 10 * VECTORS, "vvv", padded=("latent",)),
    Case("sphere.transport", sphere.transport, two_points_and_vector, 10 * VECTORS, "vvvv", linear=(2,), padded=("latent",)),
    Case("sphere.slerp", partial(sphere.slerp, t=0.3), two_points, 10 * VECTORS, "vvv", padded=("latent",)),
    Case("sphere.norm_error", sphere.norm_error, vector, VECTORS, "vs", padded=("latent",)),
    Case("orthogonal.skew", orthogonal.skew, square, 2, linear=(0,), padded=("matrix",)),
    Case("orthogonal.cayley", orthogonal.cayley, skew, MATRICES, padded=("matrix",)),
    Case("orthogonal.polar_factor", orthogonal.polar_factor, square, MATRICES, padded=("matrix",)),
    Case("orthogonal.procrustes", orthogonal.procrustes, clouds, MATRICES, padded=("rows", "latent")),
    Case("integrators.rk4_step", step, point_and_vector, 4 * VECTORS, "vvv", padded=("latent",)),
    Case("memory.power_law_kernel", partial(memory.power_law_kernel, taps=TIME), order, 40, batched=False),
    Case("memory.causal_convolution", memory.causal_convolution, trajectory_and_kernel, TRANSFORM, linear=(0, 1), causal=(0,),
         spreads=True, padded=("rows", "latent"), shared=(1,)),
    Case("coupling.coupling", partial(coupling.coupling, lag=0.7), two_trajectories, TIME * VECTORS, "vvv", causal=(0, 1),
         padded=("rows", "latent")),
    Case("coupling.order_parameter", coupling.order_parameter, trajectory, TIME + VECTORS, "vs", padded=("latent",)),
    Case("coupling.sin_cos", lambda u: jnp.stack(coupling.sin_cos(u), axis=-1), cosine, 12),
    Case("coupling.lagged_sine", lambda u: coupling.lagged_sine(u, 0.8, 0.6), cosine, 16),
    Case("losses.mse", losses.mse, two_signals, TIME * DIM, "vvs", padded=("repeated channels",)),
    Case("losses.log_magnitude", losses.log_magnitude, two_signals, TRANSFORM, padded=("repeated channels",)),
    Case("losses.phase", losses.phase, two_signals, TRANSFORM, padded=("repeated channels",)),
    Case("losses.spectral", losses.spectral, two_signals, TRANSFORM, padded=("repeated channels",)),
    Case("losses.fractional", losses.fractional, two_signals, 10 * TRANSFORM, padded=("repeated channels",)),
    Case("losses.spectral_entropy", losses.spectral_entropy, one_signal, TRANSFORM, padded=("repeated channels",)),
    Case("losses.amplitude", losses.amplitude, two_signals, TIME * DIM, "vvs", padded=("repeated channels",)),
    Case("metrics.oracle_distance", metrics.oracle_distance, clouds, MATRICES, "vvs", padded=("repeated rows",)),
    Case("beliefs.divergence", of_beliefs(beliefs.divergence), two_beliefs, 4 * VECTORS, padded=("latent",)),
    Case("beliefs.natural_gradient", of_beliefs(beliefs.natural_gradient), two_beliefs, 10, padded=("latent",)),
    Case("beliefs.squared_length", of_beliefs(beliefs.squared_length), two_beliefs, 4 * VECTORS, padded=("latent",)),
    Case("transport.frames", transport.frames, skew, MATRICES, padded=("matrix",)),
    Case("transport.transport", transport.transport, rotations, VECTORS, batched=False),
    Case("transport.transported_divergence", of_beliefs(transport.transported_divergence), two_trajectories_of_beliefs,
         20 * VECTORS, shared=(4,)),
    Case("encoder.Encoder[euclidean]", module(partial(Encoder, 3, DIM, "euclidean")), samples, POINTWISE, causal=(0,),
         smooth=False),
    Case("encoder.Encoder[sphere]", module(partial(Encoder, 3, DIM, "sphere")), samples, 3 * POINTWISE, causal=(0,),
         smooth=False),
    Case("decoder.Decoder", module(partial(Decoder, DIM, 3)), trajectory, POINTWISE, causal=(0,), smooth=False),
    Case("dynamics.Identity", dynamics.Identity(), trajectory, 1, "vv", linear=(0,), causal=(0,)),
    Case("dynamics.Residual", module(partial(dynamics.Residual, DIM, "random")), trajectory, 4 * VECTORS, causal=(0,)),
    Case("dynamics.Full", module(partial(dynamics.Full, TIME, DIM, "random")), trajectory, 4 * TRANSFORM, causal=(0,),
         spreads=True),
    Case("model.ManifoldFormer[euclidean]", model("euclidean", "identity"), samples, POINTWISE**2, causal=(0,), smooth=False),
    Case("model.ManifoldFormer[residual]", model("sphere", "residual"), samples, POINTWISE**2, causal=(0,), smooth=False),
    Case("model.ManifoldFormer[full]", model("sphere", "full"), samples, POINTWISE**2, causal=(0,), spreads=True, smooth=False),
]  # fmt: skip
