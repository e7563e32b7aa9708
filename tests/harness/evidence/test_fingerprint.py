"""Fingerprints: which files an experiment's code is, and what makes two measurements incomparable."""

import importlib
import os
import subprocess
import sys
import time
from dataclasses import dataclass, replace
from pathlib import Path
from types import SimpleNamespace
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from toys import Coin

from ladder.evidence import fingerprint as module
from ladder.evidence import provenance
from ladder.evidence.closure import closure
from ladder.evidence.fingerprint import Fingerprint, describe, fingerprint
from ladder.evidence.provenance import commit, machine, versions
from ladder.studies.manifoldformer import Oscillators

SOURCE = Path(module.__file__).parents[1]


def test_closure(lab):
    """The code of an experiment consists of all modules that it imports."""
    found = {
        path.relative_to(lab).as_posix()
        for path in closure("lab.experiments").files.values()
        if path.is_relative_to(lab)
    }
    assert found == {"__init__.py", "experiments.py", "parts.py", "deep/__init__.py", "deep/inner.py", "sibling.py"}


def test_closure_of_the_case_study():
    """The code of the case study includes its model, data and trainer, and excludes the reports."""
    found = {
        path.relative_to(SOURCE).as_posix()
        for path in closure(Oscillators.__module__, *module.TRAINING_MODULES).files.values()
    }
    assert found >= {
        "train/compiled.py",
        "train/trainer.py",
        "declare/experiment.py",
        "studies/geometry/sphere.py",
        "studies/geometry/integrators.py",
        *(
            f"studies/manifoldformer/{name}.py"
            for name in ("experiments", "model", "encoder", "dynamics", "decoder", "losses", "data")
        ),
    }
    assert not [
        name for name in found if name == "__init__.py" or name.startswith(("report/", "plugin/", "cli/", "judge/"))
    ]


def test_installed_packages():
    """Installed packages are in the closure by name only."""
    code = closure(Oscillators.__module__, *module.TRAINING_MODULES)
    assert not [path for path in code.files.values() if "site-packages" in path.parts]
    assert code.packages >= {"jax", "flax", "optax", "numpy"}
    assert not code.packages & sys.stdlib_module_names


def test_module_named_like_a_standard_one(tmp_path, monkeypatch):
    """The user's own module is in the closure even if its name is that of a standard one."""
    (tmp_path / "chunk.py").write_text("import wave\n")
    monkeypatch.syspath_prepend(tmp_path)
    assert closure("chunk") == ({"chunk": tmp_path / "chunk.py"}, frozenset())


@pytest.mark.parametrize(
    ("file", "changes"),
    [("experiments.py", True), ("deep/inner.py", True), ("sibling.py", True), ("unrelated.py", False)],
)
def test_edited_module(lab, file, changes):
    """An edit changes the code only if the experiment imports the module."""
    own = sys.modules["lab.experiments"].Own()
    before = fingerprint(own)
    (lab / file).write_text((lab / file).read_text() + "edited = True\n")
    assert fingerprint(own).changed_since(before) == (["code"] if changes else [])


def edited(monkeypatch, tmp_path, name, edit=lambda source: source + "edited = True\n"):
    source = Path(sys.modules[name].__file__)
    file = tmp_path / source.name
    file.write_text(edit(source.read_text()))
    assert file.read_text() != source.read_text()
    os.utime(file, (0, 0))  # long before this process began
    monkeypatch.setattr(sys.modules[name], "__file__", str(file))


def another_docstring(source):
    start = source.index('"""') + 3
    return f"{source[:start]}Another text. {source[start:]}"


@pytest.mark.parametrize(
    ("name", "edit", "changes"),
    [
        ("ladder.studies.manifoldformer.model", another_docstring, False),
        ("ladder.train.compiled", another_docstring, False),
        ("ladder", another_docstring, False),
        ("ladder", lambda source: source + "edited = True\n", False),
        ("ladder.studies.manifoldformer.model", lambda source: source + "# edited\n", False),
        ("ladder.studies.manifoldformer.model", lambda source: source + "edited = True\n", True),
        ("ladder.train.compiled", lambda source: source + "import this\n", True),
    ],
)
def test_edits_without_effect(monkeypatch, tmp_path, name, edit, changes):
    """A docstring or comment in a model or the trainer, and anything in the public face, keeps evidence and calibrations."""
    before = fingerprint(Oscillators(), "ladder.declare.criteria")
    edited(monkeypatch, tmp_path, name, edit)
    assert fingerprint(Oscillators(), "ladder.declare.criteria").changed_since(before) == ["code"] * changes


@pytest.mark.parametrize("reads", ["import inspect; inspect.signature(print)", "getattr(print, '__doc__')"])
def test_comments_beside_annotation_readers(lab, reads):
    """A comment is a change where something may read annotations, docstrings or sources, by a name or by a string."""
    own = sys.modules["lab.experiments"].Own()
    (lab / "sibling.py").write_text(f"{reads}\n")
    before = fingerprint(own)
    (lab / "parts.py").write_text((lab / "parts.py").read_text() + "# edited\n")
    assert fingerprint(own).changed_since(before) == ["code"]


def test_training_code(monkeypatch, tmp_path):
    """The training code is part of the code of every experiment."""
    before = fingerprint(Oscillators())
    edited(monkeypatch, tmp_path, "ladder.train.compiled")
    assert fingerprint(Oscillators()).changed_since(before) == ["code"]


def test_criterion_code(monkeypatch, tmp_path):
    """The code of the criteria is part of a calibration's fingerprint and not of the curves'."""
    curves, limits = fingerprint(Oscillators()), fingerprint(Oscillators(), "ladder.declare.criteria")
    edited(monkeypatch, tmp_path, "ladder.declare.criteria")
    assert fingerprint(Oscillators()) == curves
    assert fingerprint(Oscillators(), "ladder.declare.criteria").changed_since(limits) == ["code"]


@pytest.fixture
def versions_of(monkeypatch):
    """Gives a distribution another version."""
    installed = provenance.metadata.distribution

    def change(name, version):
        def distribution(asked):
            found = installed(asked)
            if asked != name:
                return found
            return SimpleNamespace(version=version, requires=found.requires, locate_file=found.locate_file)

        monkeypatch.setattr(provenance.metadata, "distribution", distribution)
        provenance.dependency_versions.cache_clear()  # no version changes in a process, but for a test

    yield change
    provenance.dependency_versions.cache_clear()


def test_components():
    """Components are part of the fingerprint."""
    before = fingerprint(Coin())
    assert fingerprint(Coin()) == before
    assert before.experiment == "toys.Coin(p=1.0, shift=0.0, epochs=3)"
    assert fingerprint(Coin(p=0.5)).changed_since(before) == ["experiment"]


@pytest.mark.parametrize(
    ("package", "changes"), [("jax", True), ("ml-dtypes", True), ("optax", False), ("pytest", False)]
)
def test_dependency_version(versions_of, package, changes):
    """The version of a package is in the fingerprint only if the experiment depends on it."""
    before = fingerprint(Coin())
    versions_of(package, "0.0")
    assert fingerprint(Coin()).changed_since(before) == (["versions"] if changes else [])


def test_distribution_of_a_package(versions_of):
    """Few distributions are called unlike their package."""
    assert provenance.dependency_versions(frozenset({"yaml"}))["pyyaml"] == provenance.metadata.version("pyyaml")
    assert (
        provenance.dependency_versions(frozenset({"there_is_none"})).keys()
        == provenance.dependency_versions(frozenset()).keys()
    )


def test_backend(monkeypatch):
    """The backend, the XLA flags and the precision are part of the fingerprint."""
    before = fingerprint(Coin())
    with jax.default_matmul_precision("float32"):
        assert fingerprint(Coin()).changed_since(before) == ["backend"]
    with jax.enable_x64(True):
        assert fingerprint(Coin()).changed_since(before) == ["backend"]
    assert fingerprint(Coin()) == before
    monkeypatch.setenv("XLA_FLAGS", "--xla_cpu_enable_fast_math=true")
    assert fingerprint(Coin()).changed_since(before) == ["backend"]
    monkeypatch.undo()
    monkeypatch.setattr(jax, "default_backend", lambda: "tpu")
    assert fingerprint(Coin()).changed_since(before) == ["backend"]


@dataclass(frozen=True)
class Layer:
    """Part of an experiment."""

    width: int = 8
    scale: object = None


@dataclass(frozen=True)
class Holds:
    """An experiment of one component."""

    part: object


class Pair(NamedTuple):
    """A tuple by another name."""

    one: int
    other: int


class Table:
    """What a data frame is: an array with labels."""

    def __init__(self, labels):
        self.labels, self.shape, self.dtype = labels, (2,), np.dtype(float)

    def __array__(self, dtype=None, copy=None):
        return np.zeros(2)

    def equals(self, other):
        """Compare labels."""
        return self.labels == other.labels


def with_objects(*values):
    array = np.empty(len(values), object)
    array[:] = values
    return array


class Scaler:
    """Not a dataclass; it shows nothing of itself."""

    def __init__(self, by):
        self.by = by

    def __call__(self, x):
        """Do its work."""
        return self.by * x


LONG = np.zeros(5000)
LAST = np.where(np.arange(5000) == 2500, 1e-300, 0.0)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (LONG, LAST),
        (jnp.zeros(3000), jnp.zeros(3000).at[1500].set(1e-30)),
        (np.float32(1), np.float64(1)),
        (np.zeros((2, 3)), np.zeros((3, 2))),
        (0.1, 0.1 + 2**-56),
        (1, True),
        ("1", 1),
        (np.tanh, np.sin),
        (jax.nn.relu, jax.nn.gelu),
        (Layer(8), Layer(9)),
        (Layer(scale=LONG), Layer(scale=LAST)),
        ((Layer(8), Layer(8)), (Layer(8), Layer(9))),
        ([Layer(scale=(LONG,))], [Layer(scale=(LAST,))]),
        ({"a": LONG}, {"a": LAST}),
        ({"a": 1}, {"b": 1}),
        (None, 0),
        ((1, 2), [1, 2]),
        ((1, 2), Pair(1, 2)),
        ({1, 2}, {1, 3}),
        (Layer, Pair),
        (Scaler(1), Scaler(2)),
        (Scaler(1).__call__, Scaler(2).__call__),
        (lambda x: x, lambda x: x + 1),
        (jax.random.key(0), jax.random.key(1)),
        (jax.random.key(0), jax.random.key(0, impl="rbg")),
        (jax.random.split(jax.random.key(0), 5000), jax.random.split(jax.random.key(0), 5000)[::-1]),
        (with_objects(1, LONG), with_objects(1, LAST)),
        (Table("ab"), Table("ac")),
    ],
    ids=lambda value: type(value).__name__,
)
def test_different_components(one, other):
    """Components that differ have different fingerprints."""
    assert fingerprint(Holds(one)) == fingerprint(Holds(one))
    assert fingerprint(Holds(one)).experiment != fingerprint(Holds(other)).experiment


def test_stability_between_processes():
    """Fingerprints are equal in another process, except of values that only an address identifies."""
    stay = [
        "np.arange(5000) / 7",
        "jax.nn.relu",
        "np.tanh",
        "(len, {'a', 'b', 'c'}, {'x': [1.5]})",
        "int",
        "None",
        "...",
        "object()",
        "np.array([None, 'a', (1, 2.5)], dtype=object)",
        "jax.random.key(7)",
        "lambda x: x + 1",
        "functools.partial(lambda x: x, 2)",
        "optax.chain(optax.clip(1.0), optax.adam(optax.cosine_decay_schedule(1e-3, 100)))",
        "equinox.nn.MLP(2, 1, 4, 1, key=jax.random.key(0))",
        "linen.Dense(3)",
        "nnx.Linear(2, 3, rngs=nnx.Rngs(0))",
        "jax.jit(lambda x: -x)",
    ]
    addresses = ["[].append", "type('Local', (), {})()"]
    components = ", ".join([*stay, *addresses])
    program = (
        "import equinox, functools, jax, optax, numpy as np, ladder.evidence.fingerprint as f\n"
        "from flax import linen, nnx\n"
        f"for component in ({components}): print(f._stable_repr(component))"
    )
    one, other = (
        subprocess.run(
            [sys.executable, "-c", program],
            capture_output=True,
            text=True,
            check=True,
            env=os.environ | {"PYTHONHASHSEED": seed},
        ).stdout.splitlines()
        for seed in ("1", "2")
    )
    same = [a == b for a, b in zip(one, other, strict=True)]
    assert same == [True] * len(stay) + [False] * len(addresses)
    assert [a.split(" in ")[-1] != b.split(" in ")[-1] for a, b in zip(one, other, strict=True)] == [
        not x for x in same
    ]


def test_code_of_a_component(lab):
    """The code of a component counts even if the experiment does not import it."""
    (lab.parent / "aside.py").write_text(
        "from dataclasses import dataclass\n\ndef function(): pass\n\nclass Instance: pass\n\n"
        "@dataclass(frozen=True)\nclass Nested:\n    inner: object = None\n"
    )
    aside = importlib.import_module("".join(("as", "ide")))  # as this file does not import it
    try:
        parts = [
            aside.function,
            aside.Instance,
            aside.Instance(),
            aside.Nested(),
            (aside.Nested(),),
            {"a": [aside.function]},
        ]
        parts += [Layer(scale=aside.Instance()), (Layer(scale=aside.Nested(Layer)),), (Layer(scale=aside.function),)]
        before = [fingerprint(Holds(part)) for part in parts]
        apart = fingerprint(Holds(1))
        (lab.parent / "aside.py").write_text((lab.parent / "aside.py").read_text() + "edited = True\n")
        for part, old in zip(parts, before, strict=True):
            assert fingerprint(Holds(part)).changed_since(old) == ["code"], part
        assert fingerprint(Holds(1)) == apart
    finally:
        del sys.modules["aside"]


def made(pace):
    @dataclass(frozen=True)
    class Made(Coin):
        def epoch(self, state, key):
            return state, {"loss": pace * state["loss"]}

    return Made()


class Mute:
    """An object whose repr does not depend on its content."""

    def __init__(self, held):
        self.held = held

    def __repr__(self):
        return "Mute()"


def test_opaque_components():
    """Components with equal representations but different contents have different fingerprints."""
    assert fingerprint(made(0.5)).experiment != fingerprint(made(1.0)).experiment
    assert fingerprint(Holds(Mute(1))).experiment != fingerprint(Holds(Mute(2))).experiment
    assert fingerprint(Holds(Mute(1))) == fingerprint(Holds(Mute(1)))


def test_swapped_modules(lab):
    """An exchange of the contents of two modules changes the code."""
    own = sys.modules["lab.experiments"].Own()
    one, other = lab / "parts.py", lab / "sibling.py"
    both = "import lab.deep.inner, lab.sibling\nx = "
    one.write_text(f"{both}1\n")
    other.write_text(f"{both}2\n")
    before = fingerprint(own)
    one.write_text(f"{both}2\n")
    other.write_text(f"{both}1\n")
    assert fingerprint(own).changed_since(before) == ["code"]


@pytest.mark.parametrize(
    "text",
    ["import lab\nlab.Thing", "from lab import Thing", "import importlib\nimportlib.import_module('lab.hidden')"],
)
def test_lazy_imports(lab, text):
    """A module that a package imports on demand is part of the code."""
    (lab / "hidden.py").write_text("class Thing: pass\n")
    (lab / "__init__.py").write_text(
        "def __getattr__(name):\n    if name != 'Thing': raise AttributeError(name)\n"
        "    from lab import hidden\n    return hidden.Thing\n"
    )
    importlib.reload(sys.modules["lab"])
    (lab / "parts.py").write_text(text)
    assert lab / "hidden.py" in closure("lab.experiments").files.values()


@pytest.mark.parametrize("parts", ["import broken", "import failing"])
def test_broken_imports(lab, parts):
    """An import that fails does not prevent a fingerprint, and a deleted source counts as edited."""
    (lab.parent / "broken.py").write_text("def (")
    (lab.parent / "failing").mkdir()
    (lab.parent / "failing" / "__init__.py").write_text("raise RuntimeError")
    (lab / "parts.py").write_text(f"try:\n    {parts}.inner\nexcept Exception: pass\n")
    own = sys.modules["lab.experiments"].Own()
    assert fingerprint(own) == fingerprint(own)
    (lab / "sibling.py").unlink()
    assert fingerprint(own).code.endswith(f", edited during {module.PROCESS}")


def test_source_edited_after_start(lab, monkeypatch):
    """Code edited after the start of the process has a fingerprint that only this process uses."""
    own = sys.modules["lab.experiments"].Own()
    monkeypatch.setattr("ladder._STARTED", time.time() + 60.0)
    settled = fingerprint(own)
    assert "edited" not in settled.code
    monkeypatch.setattr("ladder._STARTED", time.time() - 3600.0)
    assert fingerprint(own).code == f"{settled.code}, edited during {module.PROCESS}"


def test_base_class(lab):
    """The module of a base class is part of the code."""
    own = sys.modules["lab.experiments"].Own()
    assert Path(sys.modules["toys"].__file__) in closure("builtins", *module._defining_modules(own)).files.values()


def test_objects_inside_objects(lab):
    """The modules of objects that plain objects hold are part of the code, also in a circle."""
    inner = sys.modules["lab.experiments"].Own()
    outer = SimpleNamespace(inner=SimpleNamespace(deeper=inner))
    outer.inner.owner = outer
    assert "lab.experiments" in module._defining_modules(SimpleNamespace(component=outer))


@pytest.mark.parametrize("part", ["experiment", "code", "versions", "backend"])
def test_changed_since(part):
    """A comparison of two fingerprints names the part that changed."""
    old = Fingerprint("a", "a", "a", "a")
    new = replace(old, **{part: "b"})
    assert new.changed_since(old) == [part]


def test_other_loaded_modules():
    """The code does not depend on which other modules are loaded."""
    engine = "ladder.train.compiled"
    program = f"{{}}; import {engine}, ladder.evidence.closure as f; print(*map(sorted, f.closure({engine!r})))"
    alone, beside = (
        subprocess.run([sys.executable, "-c", program.format(also)], capture_output=True, text=True, check=True).stdout
        for also in ("pass", "import ladder.climb")
    )
    assert alone == beside


def test_describe():
    """A description lists the components in order."""
    assert describe(Coin(p=0.5)) == "p=0.5, shift=0.0, epochs=3"


def git(folder, *arguments):
    identity = ("-c", "user.name=t", "-c", "user.email=t@example.org", "-c", "commit.gpgsign=false")
    subprocess.run(["git", "-C", str(folder), *identity, *arguments], check=True, capture_output=True)


def test_commit_and_dirtiness(tmp_path):
    """A commit has its hash, is dirty after any change, and is None outside a repository."""
    assert commit(tmp_path) is None
    assert commit(tmp_path / "nowhere") is None
    git(tmp_path, "init")
    assert commit(tmp_path) is None
    git(tmp_path, "commit", "--allow-empty", "-m", "first")
    clean = commit(tmp_path)
    assert clean is not None
    assert (len(clean["sha"]), clean["dirty"]) == (40, False)
    (tmp_path / "new.txt").write_text("")
    assert commit(tmp_path) == clean | {"dirty": True}


@pytest.mark.parametrize("tracked", [False, True])
@pytest.mark.parametrize("other", ["", "sub/[out]/other", "sub/o/ladder.json", "ladder.json"])
def test_files_of_ladder(tmp_path, tracked, other):
    """Files that ladder writes do not make a commit dirty, and other files do."""
    root, folder = tmp_path / "repository", tmp_path / "repository" / "sub"
    written = [folder / "[out]" / "ladder.json", folder / "[out]" / "pictures", tmp_path / "elsewhere", root]
    (folder / "[out]" / "pictures").mkdir(parents=True)
    (folder / "o").mkdir()
    git(root, "init")
    git(root, "commit", "--allow-empty", "-m", "first")
    files = [written[0], written[1] / "é.png", *([root / other] if other else [])]
    for content in ("old", "new")[not tracked :]:
        for file in files:
            file.write_text(content)
        if content == "old":
            git(root, "add", ".")
            git(root, "commit", "-m", "second")
    git(root, "config", "core.quotePath", "false")
    for inside in (root, folder):
        assert commit(inside, written)["dirty"] == bool(other)
    assert commit(root)["dirty"]


def test_machine_and_versions():
    """The machine has its devices and backend, and the versions include the main packages."""
    assert machine()["devices"]
    assert fingerprint(Coin()).backend.split()[0] == machine()["backend"]
    assert {"python", "jax", "numpy", "pytest-ladder"} <= versions().keys()
