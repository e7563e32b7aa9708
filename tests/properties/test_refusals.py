"""Invalid configurations: each raises an error when it is made, with the reason."""

import re

import pytest

from ladder.studies.manifoldformer import (
    Annealed,
    Causal,
    Coupling,
    Dynamic,
    Fixed,
    Flow,
    Gap,
    Learned,
    Memory,
    Model,
    Oscillators,
    Pointwise,
    Refine,
    Residual,
    Signals,
    Static,
    objective,
)

SPHERE = {"latent": "sphere"}
NAN = float("nan")


@pytest.mark.ill_typed
@pytest.mark.parametrize(
    ("make", "fields", "reason"),
    [
        (Signals, {"tones": 0}, "Signals(tones=0): choose 1 to 5 of the frequencies"),
        (Signals, {"tones": 6}, "Signals(tones=6)"),
        (Signals, {"length": 1}, "Signals(length=1, batches=15): choose at least 2 samples and 1 batch of 64"),
        (Signals, {"batches": 0}, "batches=0"),
        (Signals, {"noise": -0.1}, "Signals(noise=-0.1): choose a standard deviation of at least 0"),
        (Signals, {"noise": NAN}, "Signals(noise=nan)"),
        (Signals, {"phases": "any"}, "Signals(phases='any'): choose one of 'zero', 'random'"),
        (
            Signals,
            {"withheld": 20},
            "Signals(withheld=20): choose 0 to 19 of the 20 ordered choices of tones",
        ),
        (Signals, {"withheld": -4}, "withheld=-4"),
        (Gap, {"samples": 0}, "Gap(samples=0): choose at least 1"),
        (
            Oscillators,
            {"task": "next step", "gap": Gap(samples=64)},
            "there is no sample before it; of 64 samples leave at least 1",
        ),
        (Oscillators, {"gap": Gap(samples=16)}, "such a model continues nothing; choose task='next step'"),
        (
            Oscillators,
            {"task": "next step", "loss": "consistency"},
            "so that the latent would be held still; choose Residual() or Flow(), or leave 'consistency' out",
        ),
        (
            Oscillators,
            {"loss": "mse + consistency", "model": Model(**SPHERE, dynamics=Residual())},
            "choose task='next step', or leave 'consistency' out",
        ),
        (Oscillators, {"loss": "mse + consistency"}, "latent would be held still"),
        (
            Oscillators,
            {"refine": Refine(after=1, loss="consistency"), "model": Model(**SPHERE, dynamics=Residual())},
            "choose task='next step', or leave 'consistency' out",
        ),
        (Pointwise, {"features": 0}, "Pointwise(features=0): choose at least 1"),
        (Causal, {"features": 0}, "Causal(features=0, taps=5, dilations=(1, 1)): choose at least 1 of each"),
        (Causal, {"taps": 0}, "taps=0"),
        (Causal, {"dilations": ()}, "at least one dilation"),
        (Causal, {"dilations": (1, 0)}, "dilations=(1, 0)"),
        (Fixed, {"sigma": 0.0}, "Fixed(sigma=0.0): choose a positive number, or sampling=None for no noise"),
        (Fixed, {"sigma": NAN}, "Fixed(sigma=nan)"),
        (Annealed, {"start": 0.1, "end": 0.1}, "choose a start above an end of at least 0"),
        (Annealed, {"start": 0.1, "end": 0.2}, "Annealed(start=0.1, end=0.2)"),
        (Annealed, {"start": 0.1, "end": -0.1}, "Annealed(start=0.1, end=-0.1)"),
        (
            Dynamic,
            {"context": "median"},
            "Dynamic(context='median'): choose one of 'mean', 'velocity', 'end points', 'cov",
        ),
        (Dynamic, {"features": 0}, "Dynamic(features=0): choose at least 1"),
        (Memory, {"kernel": "gaussian"}, "Memory(kernel='gaussian'): choose one of 'random', 'power law'"),
        (Memory, {"trained": False}, "noise is not a memory; train it, or freeze the power law"),
        (Memory, {"order": 1.0}, "Memory(order=1.0, taps=None): choose an order in [0, 1)"),
        (Memory, {"order": -0.1}, "order=-0.1"),
        (Memory, {"taps": 0}, "a kernel has at least one tap"),
        (Coupling, {"between": "pairs"}, "Coupling(between='pairs'): choose one of 'points', 'projections'"),
        (Coupling, {"lag": "fixed"}, "Coupling(lag='fixed'): choose one of 'learned', 'none'"),
        (Residual, {"init": "ones"}, "Residual(init='ones'): choose one of 'random', 'zero'"),
        (Flow, {"init": "ones"}, "Flow(init='ones'): choose one of 'random', 'zero'"),
        (Flow, {"integrator": "leapfrog"}, "Flow(integrator='leapfrog'): choose one of 'rk4', 'euler'"),
        (Flow, {"step": 0.0}, "Flow(step=0.0, substeps=1): choose a positive step, at least once"),
        (Flow, {"step": NAN}, "step=nan"),
        (Flow, {"substeps": 0}, "substeps=0"),
        (Flow, {"memory": None, "coupling": None}, "nothing moves it; choose Identity()"),
        (Flow, {"init": "zero", "memory": Memory(kernel="power law")}, "a power law is not zero; add projection=True"),
        (
            Flow,
            {"init": "zero", "memory": Memory(kernel="power law", trained=False)},
            "a power law is not zero; add projection=True",
        ),
        (Model, {"latent": "torus"}, "Model(latent='torus'): choose one of 'euclidean', 'sphere'"),
        (Model, {"latent_dim": 1}, "Model(latent_dim=1, decoder=64): choose at least 2 coordinates and 1 feature"),
        (Model, {"decoder": 0}, "decoder=0"),
        (Model, {"dynamics": Flow()}, "these dynamics move points of the sphere; choose latent='sphere'"),
        (Model, {"dynamics": Residual()}, "these dynamics move points of the sphere"),
        (Model, {"alignment": Static()}, "the Dense before it can do any rotation of a flat latent"),
        (Refine, {"after": 0, "loss": "mse"}, "Refine(after=0): choose at least 1 epoch of the first stage"),
        (Refine, {"after": 1, "loss": "mae"}, "'mae' is not a term"),
        (Oscillators, {"task": "classify"}, "Oscillators(task='classify'): choose one of 'identity', 'next step'"),
        (
            Oscillators,
            {"optimiser": "lion"},
            "Oscillators(optimiser='lion'): choose one of 'adam', 'adamw', 'muon', 'sgd'",
        ),
        (Oscillators, {"schedule": "linear"}, "Oscillators(schedule='linear'): choose one of 'constant', 'cosine'"),
        (Oscillators, {"during": "always"}, "Oscillators(during='always'): choose one of '', 'before', 'after'"),
        (Oscillators, {"batch_size": 7}, "Oscillators(batch_size=7): choose a divisor of the 960 sequences"),
        (Oscillators, {"batch_size": 0}, "batch_size=0"),
        (Oscillators, {"learning_rate": -1e-3}, "Oscillators(learning_rate=-0.001): choose a rate of at least 0"),
        (Oscillators, {"learning_rate": NAN}, "learning_rate=nan"),
        (Oscillators, {"epochs": 0}, "Oscillators(epochs=0): train at least 1 epoch"),
        (Oscillators, {"refine": Refine(after=5, loss="spectral")}, "the second stage would never begin; train longer"),
        (Oscillators, {"loss": "mae"}, "'mae' is not a term"),
        (Oscillators, {"loss": "mse + kl"}, "the KL divergence is a constant of this model"),
        (Oscillators, {"refine": Refine(after=1, loss="orthogonality")}, "there is no rotation to keep orthogonal"),
        (
            Oscillators,
            {"data": Signals(tones=3), "model": Model(latent_dim=5)},
            "3 tones need a latent of 6 coordinates",
        ),
        (
            Oscillators,
            {"data": Signals(length=8), "model": Model(**SPHERE, dynamics=Flow(memory=Memory(taps=9)))},
            "reaches further back than the 8 samples there are",
        ),
        (Model, {"encoder": "causal"}, "Model(encoder='causal'): give Pointwise(...) or Causal(...)"),
        (
            Model,
            {"sampling": Learned},
            "give Fixed(...) or Annealed(...) or Learned(...) or None",  # without its parentheses it would be no sampling
        ),
        (Model, {"dynamics": None}, "Model(dynamics=None): give Identity(...) or Residual(...) or Flow(...)"),
        (Model, {"latent_dim": 16.0}, "Model(latent_dim=16.0): give a whole number"),
        (Causal, {"dilations": [1, 2]}, "Causal(dilations=[1, 2]): give a tuple, each entry a whole number"),
        (Flow, {"memory": True}, "Flow(memory=True): give Memory(...) or None"),
        (Flow, {"substeps": 1.5}, "Flow(substeps=1.5): give a whole number"),
        (Fixed, {"sigma": float("inf")}, "Fixed(sigma=inf): give a finite number"),
        (Refine, {"after": 1.5, "loss": "mse"}, "Refine(after=1.5): give a whole number"),
        (Signals, {"length": 64.5}, "Signals(length=64.5): give a whole number"),
        (Oscillators, {"loss": None}, "Oscillators(loss=None): give a string"),
        (Oscillators, {"shuffle": 1}, "Oscillators(shuffle=1): give True or False"),
    ],
)
def test_invalid_fields(make, fields, reason):
    """A field with a value without a meaning raises an error with the value and the remedy."""
    with pytest.raises(ValueError, match=re.escape(reason)):
        make(**fields)


@pytest.mark.parametrize(
    ("loss", "reason"),
    [
        ("", "'' is not a term"),
        ("mse +", "'' is not a term"),
        ("mse - entropy", "'mse - entropy' is not a term"),
        ("-1 entropy", "'-1 entropy' is not a term"),
        ("mse entropy", "'mse entropy' is not a term"),
        ("huber", "write terms as '0.05 entropy', joined by '+', of mse, reconstruction"),
        ("mse + mse", "give 'mse' one positive, finite weight"),
        ("0 mse", "give 'mse' one positive, finite weight"),
        ("0.0 mse + phase", "give 'mse' one positive, finite weight"),
        ("1e400 mse", "give 'mse' one positive, finite weight"),
        ("1..5 mse", "'1..5 mse' is not a term"),
    ],
)
def test_unreadable_objectives(loss, reason):
    """An objective that cannot be parsed raises an error that shows the term."""
    with pytest.raises(ValueError, match=re.escape(reason)):
        objective.weights(loss)


@pytest.mark.parametrize(
    ("loss", "model", "reason"),
    [
        ("kl", Model(), "loss='kl' with sampling=None on a latent that is euclidean"),
        (
            "kl",
            Model(**SPHERE, sampling=Fixed(sigma=0.1)),
            "on a latent that is sphere: the KL divergence is a constant",
        ),
        ("kl", Model(**SPHERE, sampling=Annealed(start=1.0, end=0.1)), "sample with Learned(), or leave 'kl' out"),
        ("kl", Model(sampling=Annealed(start=1.0, end=0.0)), "of no noise at all is infinite; end above 0"),
        ("orthogonality", Model(**SPHERE, sampling=Learned()), "align with Static() or Dynamic()"),
    ],
)
def test_meaningless_objectives(loss, model, reason):
    """An objective that is meaningless for the model raises an error with the reason."""
    with pytest.raises(ValueError, match=re.escape(reason)):
        objective.check(loss, model)


def test_oracle_dimensions():
    """An oracle with fewer than two coordinates per tone raises an error."""
    with pytest.raises(ValueError, match="3 tones needs 6 dimensions, not 5"):
        Signals(tones=3).oracle(5)
