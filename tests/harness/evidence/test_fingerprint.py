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


def test_the_code_of_an_experiment_is_all_that_it_imports(lab):
    found = {
        path.relative_to(lab).as_posix()
        for path in closure("lab.experiments").files.values()
        if path.is_relative_to(lab)
    }
    assert found == {"__init__.py", "experiments.py", "parts.py", "deep/__init__.py", "deep/inner.py", "sibling.py"}


def test_the_case_study_runs_on_its_models_geometry_and_training_but_on_no_report():
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


def test_of_installed_packages_the_names_are_enough():
    code = closure(Oscillators.__module__, *module.TRAINING_MODULES)
    assert not [path for path in code.files.values() if "site-packages" in path.parts]
    assert code.packages >= {"jax", "flax", "optax", "numpy"}
    assert not code.packages & sys.stdlib_module_names


def test_a_module_of_ones_own_counts_also_if_it_is_called_like_one_of_pythons(tmp_path, monkeypatch):
    (tmp_path / "chunk.py").write_text("import wave\n")
    monkeypatch.syspath_prepend(tmp_path)
    assert closure("chunk") == ({"chunk": tmp_path / "chunk.py"}, frozenset())


@pytest.mark.parametrize(
    ("file", "changes"),
    [("experiments.py", True), ("deep/inner.py", True), ("sibling.py", True), ("unrelated.py", False)],
)
def test_an_edit_changes_the_code_if_the_experiment_runs_on_it(lab, file, changes):
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
def test_only_what_runs_counts(monkeypatch, tmp_path, name, edit, changes):
    """A docstring or comment in a model or the trainer, and anything in the public face, keeps evidence and calibrations."""
    before = fingerprint(Oscillators(), "ladder.declare.criteria")
    edited(monkeypatch, tmp_path, name, edit)
    assert fingerprint(Oscillators(), "ladder.declare.criteria").changed_since(before) == ["code"] * changes


def test_every_byte_counts_beside_what_reads_annotations(lab):
    """A comment is a change where something may read annotations, docstrings or sources."""
    own = sys.modules["lab.experiments"].Own()
    (lab / "sibling.py").write_text("import inspect\nx = inspect.signature(print)\n")
    before = fingerprint(own)
    (lab / "parts.py").write_text((lab / "parts.py").read_text() + "# edited\n")
    assert fingerprint(own).changed_since(before) == ["code"]


def test_what_trains_is_part_of_every_experiments_code(monkeypatch, tmp_path):
    before = fingerprint(Oscillators())
    edited(monkeypatch, tmp_path, "ladder.train.compiled")
    assert fingerprint(Oscillators()).changed_since(before) == ["code"]


def test_what_measures_is_part_of_the_code_of_what_it_decides(monkeypatch, tmp_path):
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


def test_components_are_part_of_it():
    before = fingerprint(Coin())
    assert fingerprint(Coin()) == before
    assert before.experiment == "toys.Coin(p=1.0, shift=0.0, epochs=3)"
    assert fingerprint(Coin(p=0.5)).changed_since(before) == ["experiment"]


@pytest.mark.parametrize(
    ("package", "changes"), [("jax", True), ("ml-dtypes", True), ("optax", False), ("pytest", False)]
)
def test_the_version_of_a_package_counts_where_the_experiment_stands_on_it(versions_of, package, changes):
    before = fingerprint(Coin())
    versions_of(package, "0.0")
    assert fingerprint(Coin()).changed_since(before) == (["versions"] if changes else [])


def test_a_package_is_found_by_what_it_holds(versions_of):
    """Few distributions are called unlike their package."""
    assert provenance.dependency_versions(frozenset({"yaml"}))["pyyaml"] == provenance.metadata.version("pyyaml")
    assert (
        provenance.dependency_versions(frozenset({"there_is_none"})).keys()
        == provenance.dependency_versions(frozenset()).keys()
    )


def test_backend_flags_and_precision_are_part_of_it(monkeypatch):
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
def test_no_two_components_that_differ_are_told_alike(one, other):
    assert fingerprint(Holds(one)) == fingerprint(Holds(one))
    assert fingerprint(Holds(one)).experiment != fingerprint(Holds(other)).experiment


def test_another_process_tells_a_component_alike_unless_only_its_address_is_known():
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
    ]
    addresses = ["[].append", "lambda x: x", "functools.partial(lambda x: x, 2)", "type('Local', (), {})()"]
    components = ", ".join([*stay, *addresses])
    program = (
        "import functools, jax, numpy as np, ladder.evidence.fingerprint as f\n"
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


def test_the_code_of_a_component_counts_also_if_the_experiment_does_not_import_it(lab):
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
    """Says the same whatever it holds."""

    def __init__(self, held):
        self.held = held

    def __repr__(self):
        return "Mute()"


def test_what_hides_what_it_holds_is_told_apart():
    assert fingerprint(made(0.5)).experiment != fingerprint(made(1.0)).experiment
    assert fingerprint(Holds(Mute(1))).experiment != fingerprint(Holds(Mute(2))).experiment
    assert fingerprint(Holds(Mute(1))) == fingerprint(Holds(Mute(1)))


def test_two_modules_that_swap_their_contents_are_a_change(lab):
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
def test_what_a_package_loads_when_it_is_asked_for_is_followed(lab, text):
    (lab / "hidden.py").write_text("class Thing: pass\n")
    (lab / "__init__.py").write_text(
        "def __getattr__(name):\n    if name != 'Thing': raise AttributeError(name)\n"
        "    from lab import hidden\n    return hidden.Thing\n"
    )
    importlib.reload(sys.modules["lab"])
    (lab / "parts.py").write_text(text)
    assert lab / "hidden.py" in closure("lab.experiments").files.values()


@pytest.mark.parametrize("parts", ["import broken", "import failing"])
def test_what_cannot_be_imported_costs_nothing(lab, parts):
    (lab.parent / "broken.py").write_text("def (")
    (lab.parent / "failing").mkdir()
    (lab.parent / "failing" / "__init__.py").write_text("raise RuntimeError")
    (lab / "parts.py").write_text(f"try:\n    {parts}.inner\nexcept Exception: pass\n")
    own = sys.modules["lab.experiments"].Own()
    assert fingerprint(own) == fingerprint(own)
    (lab / "sibling.py").unlink()
    assert fingerprint(own).code.endswith(f", edited during {module.PROCESS}")


def test_sources_saved_since_the_process_began_are_taken_for_no_other_processs(lab, monkeypatch):
    own = sys.modules["lab.experiments"].Own()
    monkeypatch.setattr("ladder._STARTED", time.time() + 60.0)
    settled = fingerprint(own)
    assert "edited" not in settled.code
    monkeypatch.setattr("ladder._STARTED", time.time() - 3600.0)
    assert fingerprint(own).code == f"{settled.code}, edited during {module.PROCESS}"


def test_the_code_of_a_base_class_counts(lab):
    own = sys.modules["lab.experiments"].Own()
    assert Path(sys.modules["toys"].__file__) in closure("builtins", *module._homes(own)).files.values()


@pytest.mark.parametrize("part", ["experiment", "code", "versions", "backend"])
def test_it_says_which_part_changed(part):
    old = Fingerprint("a", "a", "a", "a")
    new = replace(old, **{part: "b"})
    assert new.changed_since(old) == [part]


def test_the_code_does_not_depend_on_what_else_is_loaded():
    engine = "ladder.train.compiled"
    program = f"{{}}; import {engine}, ladder.evidence.closure as f; print(*map(sorted, f.closure({engine!r})))"
    alone, beside = (
        subprocess.run([sys.executable, "-c", program.format(also)], capture_output=True, text=True, check=True).stdout
        for also in ("pass", "import ladder.climb")
    )
    assert alone == beside


def test_described_lists_components_in_order():
    assert describe(Coin(p=0.5)) == "p=0.5, shift=0.0, epochs=3"


def git(folder, *arguments):
    identity = ("-c", "user.name=t", "-c", "user.email=t@example.org", "-c", "commit.gpgsign=false")
    subprocess.run(["git", "-C", str(folder), *identity, *arguments], check=True, capture_output=True)


def test_commit_and_dirtiness(tmp_path):
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
def test_what_ladder_writes_makes_no_commit_dirty_and_all_else_does(tmp_path, tracked, other):
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


def test_machine_and_versions_say_where_it_ran():
    assert machine()["devices"]
    assert fingerprint(Coin()).backend.split()[0] == machine()["backend"]
    assert {"python", "jax", "numpy", "pytest-ladder"} <= versions().keys()
