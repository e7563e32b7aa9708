"""The dynamics, maps from latent to latent that move the trajectory before it is decoded. All are causal in time."""

from abc import abstractmethod
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import reduce
from typing import Literal

import jax
import jax.numpy as jnp
from flax import nnx
from jax import Array
from jaxtyping import Float, Int

from ladder.declare.fields import check_fields
from ladder.studies.geometry.integrators import euler_step, rk4_step
from ladder.studies.geometry.sphere import project, retract
from ladder.studies.manifoldformer.coupling import Coupling, CouplingModule
from ladder.studies.manifoldformer.linear import Linear
from ladder.studies.manifoldformer.memory import Memory, MemoryModule

Init = Literal["random", "zero"]
Integrator = Literal["rk4", "euler"]
INTEGRATORS = {"rk4": rk4_step, "euler": euler_step}


@dataclass(frozen=True)
class Identity:
    """The identity: no dynamics, so the trajectory is decoded as it was encoded."""

    def build(self, length: int, latent_dim: int, rngs: nnx.Rngs) -> "DynamicsModule":
        """Build the module."""
        return IdentityDynamics()


@dataclass(frozen=True, kw_only=True)
class Residual:
    """A residual cell, ``z + Dense(z)``, put back on the sphere.

    Source: patch D.

    Raises:
        ValueError: for another initialisation.
    """

    init: Init = "random"

    def __post_init__(self) -> None:
        check_fields(self)

    def build(self, length: int, latent_dim: int, rngs: nnx.Rngs) -> "DynamicsModule":
        """Build the module."""
        return ResidualDynamics(latent_dim, self.init == "zero", rngs)


@dataclass(frozen=True, kw_only=True)
class Flow:
    """A flow: steps along a vector field on the sphere, the tangent part of drift plus memory plus coupling.

    The drift is linear, ``W z``. Memory and the coupling's keys are fixed by the encoded trajectory; drift and queries follow
    the point through the integrator's stages. ``step`` is the size of each of ``substeps`` steps in units of one sample. With
    random initialisation the kernels are LeCun-normal; with zero initialisation the last kernel of each force is zero, so the
    force is zero, and the flow is the identity.

    The defaults are the published full dynamics, one RK4 step of 1; ``MINIMAL`` is the debug plan's minimal manifold step.

    Raises:
        ValueError: for another initialisation or integrator, a step or substeps that are not positive, no force at all, or a
            zero initialisation of a power-law memory with no projection behind it.
    """

    drift: bool = False
    memory: Memory | None = field(default_factory=Memory)
    coupling: Coupling | None = field(default_factory=Coupling)
    integrator: Integrator = "rk4"
    step: float = 1.0
    substeps: int = 1
    init: Init = "random"

    def __post_init__(self) -> None:
        check_fields(self)
        if not self.step > 0.0 or self.substeps < 1:
            raise ValueError(f"Flow(step={self.step}, substeps={self.substeps}): choose a positive step, at least once")
        if not (self.drift or self.memory or self.coupling):
            raise ValueError("Flow(drift=False, memory=None, coupling=None): nothing moves it; choose Identity()")
        if self.init == "zero" and self.memory and self.memory.kernel == "power law" and not self.memory.projection:
            raise ValueError(
                "Flow(init='zero', memory=Memory(kernel='power law')): a power law is not zero; add projection=True, which "
                "can be, or choose init='random'"
            )

    def build(self, length: int, latent_dim: int, rngs: nnx.Rngs) -> "DynamicsModule":
        """Build the module, for sequences of this length."""
        return FlowDynamics(self, length, latent_dim, rngs)


Dynamics = Identity | Residual | Flow
MINIMAL = Flow(drift=True, memory=None, coupling=None, integrator="euler", step=0.1)
"""The step ``(z + 0.1 v) / |z + 0.1 v|`` with ``v`` the tangent part of ``W z``. Source: the debug plan, section 7."""


class DynamicsModule(nnx.Module):
    """A base class of all dynamics."""

    @abstractmethod
    def __call__(self, z: Float[Array, "*batch time latent"]) -> Float[Array, "*batch time latent"]:
        """Move the trajectory."""

    def last(
        self, z: Float[Array, "*batch time latent"], length: int | Int[Array, ""]
    ) -> Float[Array, "*batch 1 latent"]:
        """Return the last of the points of ``self(z[..., :length, :])``, without those before it; ``length`` may be traced."""
        return self(_last_point(z, length))


class IdentityDynamics(DynamicsModule):
    """The module of :class:`Identity`."""

    def __call__(self, z: Float[Array, "*batch time latent"]) -> Float[Array, "*batch time latent"]:
        """Return the trajectory itself."""
        return z


class ResidualDynamics(DynamicsModule):
    """The module of :class:`Residual`."""

    def __init__(self, latent_dim: int, zero: bool, rngs: nnx.Rngs):
        self.step: nnx.Linear = Linear(latent_dim, latent_dim, kernel_init=_kernel(zero), rngs=rngs)

    def __call__(self, z: Float[Array, "*batch time latent"]) -> Float[Array, "*batch time latent"]:
        """Move every point by its own step."""
        return retract(z, self.step(z))


class FlowDynamics(DynamicsModule):
    """The module of :class:`Flow`."""

    def __init__(self, config: Flow, length: int, latent_dim: int, rngs: nnx.Rngs):
        zero = config.init == "zero"
        self.memory: MemoryModule | None = (
            config.memory.build(length, latent_dim, zero, rngs) if config.memory else None
        )
        self.coupling: CouplingModule | None = (
            config.coupling.build(latent_dim, zero, rngs) if config.coupling else None
        )
        self.drift: nnx.Linear | None = (
            Linear(latent_dim, latent_dim, use_bias=False, kernel_init=_kernel(zero), rngs=rngs)
            if config.drift
            else None
        )
        self.integrator: Integrator = config.integrator
        self.step: float = config.step
        self.substeps: int = config.substeps

    def __call__(self, z: Float[Array, "*batch time latent"]) -> Float[Array, "*batch time latent"]:
        """Move every point along the flow."""
        memory = None if self.memory is None else self.memory(z)
        return self._integrate(z, memory, None if self.coupling is None else self.coupling.force_from(z))

    def last(
        self, z: Float[Array, "*batch time latent"], length: int | Int[Array, ""]
    ) -> Float[Array, "*batch 1 latent"]:
        """Return the last point, as :meth:`DynamicsModule.last` does.

        Each integration step costs as many products as there are samples, not the square of their number.
        """
        memory = None if self.memory is None else self.memory.last(z, length)
        return self._integrate(
            _last_point(z, length), memory, None if self.coupling is None else self.coupling.force_from(z, length)
        )

    def _integrate(self, z: Array, memory: Array | None, coupling: Callable[[Array], Array] | None) -> Array:
        forces: list[Callable[[Array], Array]] = [] if memory is None else [lambda point: memory]
        forces += [force for force in (coupling, self.drift) if force is not None]

        def field(point: Array) -> Array:
            return project(point, reduce(jnp.add, [force(point) for force in forces]))

        for _ in range(self.substeps):
            z = INTEGRATORS[self.integrator](field, z, self.step)
        return z


def _last_point(z: Float[Array, "*batch time latent"], length: int | Int[Array, ""]) -> Float[Array, "*batch 1 latent"]:
    """Return the last of the first ``length`` points."""
    return jax.lax.dynamic_slice_in_dim(z, length - 1, 1, axis=z.ndim - 2)


def _kernel(zero: bool) -> nnx.Initializer:
    return nnx.initializers.zeros_init() if zero else nnx.initializers.lecun_normal()
