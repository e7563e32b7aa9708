"""Every public function of the mathematics, with its arguments and the shared laws that it obeys.

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

from ladder.studies.geometry import integrators, orthogonal, sphere
from ladder.studies.manifoldformer import (
    MINIMAL,
    Annealed,
    Causal,
    Coupling,
    Dynamic,
    Fixed,
    Flow,
    Identity,
    Learned,
    Memory,
    Model,
    Pointwise,
    Residual,
    Static,
    alignment,
    coupling,
    decoder,
    dynamics,
    encoder,
    losses,
    memory,
    metrics,
    regularisers,
    sampling,
    supervision,
)
from ladder.studies.manifoldformer import model as manifoldformer
from ladder.studies.purefep import beliefs, transport
from ladder.studies.purefep.beliefs import Belief

MODULES = (
    sphere,
    orthogonal,
    integrators,
    memory,
    coupling,
    losses,
    regularisers,
    supervision,
    metrics,
    encoder,
    sampling,
    alignment,
    decoder,
    dynamics,
    manifoldformer,
    beliefs,
    transport,
)
DIM, TIME = 4, 6


@dataclass(frozen=True)
class Case:
    """A function, a way to draw its arguments, and its claims.

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
    noisy: bool = False  # whether it draws numbers, others for another shape or precision
    time: int = 0  # the result's axis of time, where it is causal and has another in front
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
    """Draw the identity plus a smaller matrix, so that none is singular."""
    return (np.eye(DIM) + 0.5 * rng.uniform(-1, 1, size=(*batch, DIM, DIM)) / DIM,)


def skew(rng, batch):
    m = rng.normal(size=(*batch, DIM, DIM))
    return (m - np.swapaxes(m, -1, -2),)


def clouds(rng, batch):
    """Draw two close clouds of points, spread in every direction so that their alignment is well determined."""
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


def features(rng, batch):
    return (rng.normal(size=(*batch, TIME, DIM)),)


def trajectory_and_tones(rng, batch):
    """Draw a signal of two tones, whose three delays of four channels have four principal components far from zero."""
    t, start = np.arange(TIME).reshape(-1, 1), rng.uniform(0, 2 * np.pi, size=(2, *batch, 1, DIM))
    return *trajectory(rng, batch), np.sin(0.9 * t + start[0]) + np.sin(2.1 * t + start[1])


def mean_and_sigma(rng, batch):
    return *trajectory(rng, batch), rng.uniform(0.1, 1.0, size=(*batch, TIME, DIM))


def trajectory_and_signal(rng, batch):
    return *trajectory(rng, batch), *features(rng, batch)


def near_rotations(rng, batch):
    """Draw almost orthogonal matrices, so that the loss is not zero."""
    return (np.eye(DIM) + 0.1 * rng.normal(size=(*batch, DIM, DIM)),)


def belief(rng, batch):
    return rng.normal(size=(*batch, DIM)), rng.uniform(-1, 1, size=(*batch, DIM))


def two_beliefs(rng, batch):
    return *belief(rng, batch), *belief(rng, batch)


def rotations(rng, batch):
    return (np.stack([rotation(rng, DIM) for _ in range(TIME)]),)


def two_trajectories_of_beliefs(rng, batch):
    return *two_beliefs(rng, (*batch, TIME)), *rotations(rng, batch)


def of_beliefs(function):
    """Return the function with arrays for arguments: each pair of them, a mean and a log variance, is a belief."""

    def call(*parts):
        pairs = [Belief(*parts[place : place + 2]) for place in range(0, len(parts) - 1, 2)]
        result = function(*pairs, *parts[2 * len(pairs) :])
        return jnp.stack(result, axis=-1) if isinstance(result, Belief) else result

    return call


# Modules


def module(build, apply=lambda built, *args: built(*args)):
    """Return the call of a module whose every parameter, biases included, is drawn in the precision of the argument."""

    def call(*args):
        graph, params = nnx.split(nnx.eval_shape(lambda: build(rngs=nnx.Rngs(0))))
        leaves, tree = jax.tree.flatten(params)
        drawn = [np.random.default_rng(n).normal(scale=0.5, size=leaf.shape) for n, leaf in enumerate(leaves)]
        drawn = [jnp.asarray(value, args[0].dtype) for value in drawn]
        return apply(nnx.merge(graph, jax.tree.unflatten(tree, drawn)), *args)

    return call


def moves(config):
    return module(partial(config.build, TIME, DIM))


def remembers(**config):
    return module(partial(Memory(**config).build, TIME, DIM, False))


def couples(**config):
    return module(partial(Coupling(**config).build, DIM, False), lambda built, query, key: built.force_from(key)(query))


def turns(config):
    return module(partial(config.build, DIM))


def drawn_around(latent):
    return lambda mean, sigma: jnp.stack(sampling.draw(mean, sigma, jax.random.key(0), latent))


def model(key=None, **config):
    """Return the call of a small model; with a key its latent has noise, halfway through training."""
    config = Model(**({"latent": "sphere", "latent_dim": DIM, "decoder": 8} | config))

    def build(rngs):
        return config.build(TIME, 3, rngs.params())

    return module(build, lambda built, x: built(x, key, 0.5).signal)


def stepped(by):
    """Return a step along the tangent part of a constant vector, a field that rotates with that vector."""
    return lambda x, pole: by(lambda y: sphere.project(y, pole), x, 0.5)


DILATED = Causal(features=8, taps=2, dilations=(1, 2, 4), residual=True)
FROZEN = Memory(kernel="power law", trained=False)

# Chains of roundings. A mean or a norm of n terms is n additions and a few more; a transform of up to 256 values is
# 8 stages of 4; a Dense of n inputs is n, and its kernel, drawn at half the usual size of one, magnifies by 0.5 n^(1/2).
VECTORS = 2 * DIM + 10
TRANSFORM = 3 * 4 * 8
MATRICES = 3 * DIM**2 * 10  # elimination, at condition numbers up to 10
POINTWISE = (3 + 64) * 0.5 * 3**0.5 * 0.5 * 64**0.5  # 3 inputs, 64 hidden, each kernel's gain
SMALL = (3 + 8) * 0.5 * 3**0.5 * 0.5 * 8**0.5
CONVOLUTIONS = 3 * 8 * 3 * (0.5 * 24**0.5) ** 3  # 3 layers of 3 taps and 8 features
SPECTRUM = TRANSFORM * 0.5 * (3 * 4) ** 0.5  # 4 bins of 3 channels

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
    Case("orthogonal.exponential", orthogonal.exponential, skew, MATRICES, padded=("matrix",)),
    Case("orthogonal.polar_factor", orthogonal.polar_factor, square, MATRICES, padded=("matrix",)),
    Case("orthogonal.procrustes", orthogonal.procrustes, clouds, MATRICES, padded=("rows", "latent")),
    Case("integrators.euler_step", stepped(integrators.euler_step), point_and_vector, 4 * VECTORS, "vvv", padded=("latent",)),
    Case("integrators.rk4_step", stepped(integrators.rk4_step), point_and_vector, 4 * VECTORS, "vvv", padded=("latent",)),
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
    Case("losses.energy_spectral", losses.energy_spectral, two_signals, 2 * TRANSFORM, padded=("repeated channels",)),
    Case("losses.fractional", losses.fractional, two_signals, 10 * TRANSFORM, padded=("repeated channels",)),
    Case("losses.fractional_log_magnitude", losses.fractional_log_magnitude, two_signals, 10 * TRANSFORM,
         padded=("repeated channels",)),
    Case("losses.fractional_phase", losses.fractional_phase, two_signals, 10 * TRANSFORM, padded=("repeated channels",)),
    Case("losses.amplitude", losses.amplitude, two_signals, TIME * DIM, "vvs", padded=("repeated channels",)),
    Case("regularisers.spectral_entropy", regularisers.spectral_entropy, one_signal, TRANSFORM, padded=("repeated channels",)),
    Case("regularisers.kl", regularisers.kl, mean_and_sigma, TIME * DIM * 4, "vss"),
    Case("regularisers.isometry", regularisers.isometry, trajectory_and_signal, 40 * DIM * TIME**2, "vvs",
         padded=("latent", "repeated channels")),
    Case("regularisers.smoothness", regularisers.smoothness, features, TIME * DIM * 4, "vs", padded=("latent",)),
    Case("regularisers.decorrelation", regularisers.decorrelation, features, 8 * TIME * DIM**2, padded=("latent",)),
    Case("regularisers.orthogonality", regularisers.orthogonality, near_rotations, 4 * DIM**3),
    Case("supervision.oracle", supervision.oracle, two_trajectories, TIME * DIM, "vvs", padded=("repeated channels",)),
    Case("supervision.aligned", supervision.aligned, clouds, MATRICES, "vvs", padded=("repeated rows",)),
    Case("supervision.gram", supervision.gram, two_trajectories, TIME**2 * DIM, "vvs", padded=("latent",)),
    Case("supervision.delay_gram", partial(supervision.delay_gram, delays=3), trajectory_and_tones, 1e5 * TIME * DIM, "vvs",
         padded=("latent",)),
    Case("supervision.consistency", supervision.consistency, two_trajectories, TIME * DIM, "vvs", padded=("repeated channels",)),
    Case("metrics.oracle_distance", metrics.oracle_distance, clouds, MATRICES, "vvs", padded=("repeated rows",)),
    Case("beliefs.divergence", of_beliefs(beliefs.divergence), two_beliefs, 4 * VECTORS, padded=("latent",)),
    Case("beliefs.natural_gradient", of_beliefs(beliefs.natural_gradient), two_beliefs, 10, padded=("latent",)),
    Case("beliefs.squared_length", of_beliefs(beliefs.squared_length), two_beliefs, 4 * VECTORS, padded=("latent",)),
    Case("transport.frames", transport.frames, skew, MATRICES, padded=("matrix",)),
    Case("transport.transport", transport.transport, rotations, VECTORS, batched=False),
    Case("transport.transported_divergence", of_beliefs(transport.transported_divergence), two_trajectories_of_beliefs,
         20 * VECTORS, shared=(4,)),
    Case("encoder.PointwiseFeatures", module(partial(Pointwise().build, 3)), samples, POINTWISE, causal=(0,), smooth=False),
    Case("encoder.CausalConvolution", module(partial(encoder.CausalConvolution, 3, DIM, 3, 2)), samples, 10 * 0.5 * 3,
         causal=(0,)),
    Case("encoder.CausalFeatures", module(partial(Causal(features=8, taps=3).build, 3)), samples, CONVOLUTIONS, causal=(0,),
         smooth=False),
    Case("encoder.CausalFeatures[residual]", module(partial(DILATED.build, 3)), samples, CONVOLUTIONS, causal=(0,), smooth=False),
    Case("encoder.FourierBranch", module(partial(encoder.FourierBranch, TIME, 3, DIM)), samples, SPECTRUM),
    Case("sampling.Spread", module(partial(sampling.Spread, DIM, DIM)), features, 4 * VECTORS, causal=(0,)),
    Case("sampling.draw[euclidean]", drawn_around("euclidean"), mean_and_sigma, 4, causal=(0, 1), noisy=True, time=-2),
    Case("sampling.draw[sphere]", drawn_around("sphere"), mean_and_sigma, 4 * VECTORS, causal=(0, 1), noisy=True, time=-2),
    Case("alignment.context[mean]", partial(alignment.context, kind="mean"), trajectory, TIME, "vv", linear=(0,),
         padded=("latent",)),
    Case("alignment.context[velocity]", partial(alignment.context, kind="velocity"), trajectory, 2, "vv", linear=(0,),
         padded=("latent",)),
    Case("alignment.context[end points]", partial(alignment.context, kind="end points"), trajectory, 1, linear=(0,)),
    Case("alignment.context[covariance]", partial(alignment.context, kind="covariance"), trajectory, TIME + 2),
    Case("alignment.rotation", alignment.rotation, square, MATRICES, padded=("matrix",)),
    Case("alignment.StaticRotation", turns(Static()), trajectory, MATRICES, batched=False),
    Case("alignment.DynamicRotation[mean]", turns(Dynamic(features=8)), trajectory, 10 * MATRICES, smooth=False),
    Case("alignment.DynamicRotation[velocity]", turns(Dynamic(context="velocity", features=8)), trajectory, 10 * MATRICES,
         smooth=False),
    Case("alignment.DynamicRotation[end points]", turns(Dynamic(context="end points", features=8)), trajectory, 10 * MATRICES,
         smooth=False),
    Case("alignment.DynamicRotation[covariance]", turns(Dynamic(context="covariance", features=8)), trajectory, 10 * MATRICES,
         smooth=False),
    Case("decoder.Decoder", module(partial(decoder.Decoder, DIM, 64, 3)), trajectory, POINTWISE, causal=(0,), smooth=False),
    Case("memory.MemoryModule", remembers(), trajectory, TRANSFORM, linear=(0,), causal=(0,), spreads=True),
    Case("memory.MemoryModule[short, projection]", remembers(taps=3, projection=True), trajectory, 2 * TRANSFORM, linear=(0,),
         causal=(0,), spreads=True),
    Case("memory.MemoryModule[power law]", remembers(kernel="power law"), trajectory, TRANSFORM, linear=(0,), causal=(0,),
         spreads=True),
    Case("memory.MemoryModule[frozen]", remembers(kernel="power law", trained=False), trajectory, TRANSFORM, "vv", linear=(0,),
         causal=(0,), spreads=True),
    Case("memory.MemoryModule[frozen, projection]", remembers(kernel="power law", trained=False, projection=True), trajectory,
         2 * TRANSFORM, linear=(0,), causal=(0,), spreads=True),
    Case("coupling.CouplingModule", couples(), two_trajectories, 2 * TIME * VECTORS, causal=(0, 1)),
    Case("coupling.CouplingModule[projections]", couples(between="projections", lag="none"), two_trajectories,
         20 * TIME * VECTORS, causal=(0, 1)),
    Case("dynamics.IdentityDynamics", moves(Identity()), trajectory, 1, "vv", linear=(0,), causal=(0,)),
    Case("dynamics.ResidualDynamics", moves(Residual()), trajectory, 4 * VECTORS, causal=(0,)),
    Case("dynamics.FlowDynamics", moves(Flow()), trajectory, 4 * TRANSFORM, causal=(0,), spreads=True),
    Case("dynamics.FlowDynamics[drift]", moves(MINIMAL), trajectory, 4 * VECTORS, causal=(0,)),
    Case("dynamics.FlowDynamics[frozen memory]", moves(Flow(memory=FROZEN, coupling=None, step=0.3)),
         trajectory, 4 * TRANSFORM, "vv", causal=(0,), spreads=True),
    Case("dynamics.FlowDynamics[all by Euler]", moves(Flow(drift=True, memory=Memory(taps=3, projection=True), integrator="euler",
         coupling=Coupling(between="projections"), step=0.2, substeps=3)), trajectory, 8 * TRANSFORM, causal=(0,), spreads=True),
    Case("model.ManifoldFormer[euclidean]", model(latent="euclidean"), samples, POINTWISE**2, causal=(0,), smooth=False),
    Case("model.ManifoldFormer[residual]", model(dynamics=Residual()), samples, POINTWISE**2, causal=(0,), smooth=False),
    Case("model.ManifoldFormer[full]", model(dynamics=Flow()), samples, POINTWISE**2, causal=(0,), spreads=True, smooth=False),
    Case("model.ManifoldFormer[causal, learned, static]", model(encoder=Causal(features=8, taps=3), sampling=Learned(),
         alignment=Static()), samples, CONVOLUTIONS * SMALL, causal=(0,), smooth=False),
    Case("model.ManifoldFormer[learned noise]", model(jax.random.key(0), sampling=Learned(), dynamics=MINIMAL), samples,
         POINTWISE**2, causal=(0,), noisy=True, smooth=False),
    Case("model.ManifoldFormer[annealed noise]", model(jax.random.key(0), latent="euclidean",
         sampling=Annealed(start=1.0, end=0.1)), samples, POINTWISE**2, causal=(0,), noisy=True, smooth=False),
    Case("model.ManifoldFormer[fixed noise]", model(jax.random.key(0), sampling=Fixed(sigma=0.3)), samples, POINTWISE**2,
         causal=(0,), noisy=True, smooth=False),
    Case("model.ManifoldFormer[branch]", model(fourier_branch=True, encoder=Pointwise(features=8)), samples, SPECTRUM * SMALL,
         smooth=False),
    Case("model.ManifoldFormer[dynamic, flow]", model(alignment=Dynamic(features=8), dynamics=Flow()), samples,
         POINTWISE * MATRICES, smooth=False),
]  # fmt: skip
