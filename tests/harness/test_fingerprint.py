"""Fingerprints: which files an experiment's code is, and what makes two measurements incomparable."""

import importlib
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
from toys import Coin

from ladder import fingerprint as module
from ladder.fingerprint import Fingerprint, closure, commit, described, fingerprint, machine, versions
from ladder.manifoldformer import Bench

SOURCE = Path(module.__file__).parent


@pytest.fixture
def lab(tmp_path, monkeypatch):
    """A package with an experiment, something it imports, directly or not, and something it does not."""
    files = {
        "__init__.py": "",
        "experiments.py": "from toys import Coin\nfrom . import parts\nclass Own(Coin): pass\n",
        "parts.py": "def part():\n    import lab.deep.inner\n",
        "deep/__init__.py": "",
        "deep/inner.py": "from ..sibling import x\n",
        "sibling.py": "x = 1\n",
        "unrelated.py": "",
    }
    for name, text in files.items():
        file = tmp_path / "lab" / name
        file.parent.mkdir(exist_ok=True, parents=True)
        file.write_text(text)
    monkeypatch.syspath_prepend(tmp_path)
    for name in ("experiments", "deep.inner", "unrelated"):
        importlib.import_module(f"lab.{name}")
    yield tmp_path / "lab"
    for name in [name for name in sys.modules if name.partition(".")[0] == "lab"]:
        del sys.modules[name]


def test_the_code_of_an_experiment_is_all_that_it_imports(lab):
    found = {path.relative_to(lab).as_posix() for path in closure("lab.experiments") if path.is_relative_to(lab)}
    assert found == {"__init__.py", "experiments.py", "parts.py", "deep/__init__.py", "deep/inner.py", "sibling.py"}


def test_the_case_study_runs_on_its_models_geometry_and_training_but_on_no_report():
    found = {
        path.relative_to(SOURCE).as_posix() for path in closure(Bench.__module__).union(*map(closure, module.ENGINE))
    }
    assert found >= {
        "training.py",
        "experiment.py",
        "geometry/sphere.py",
        "geometry/integrators.py",
        *(
            f"manifoldformer/{name}.py"
            for name in ("experiments", "model", "encoder", "dynamics", "decoder", "losses", "data")
        ),
    }
    assert not [name for name in found if name.startswith(("report/", "plugin/", "cli.py"))]


def test_installed_packages_are_not_part_of_the_code():
    assert not [path for path in closure(Bench.__module__) if "site-packages" in path.parts]


@pytest.mark.parametrize(
    ("file", "changes"),
    [("experiments.py", True), ("deep/inner.py", True), ("sibling.py", True), ("unrelated.py", False)],
)
def test_an_edit_changes_the_code_if_the_experiment_runs_on_it(lab, file, changes):
    own = sys.modules["lab.experiments"].Own()
    before = fingerprint(own)
    (lab / file).write_text((lab / file).read_text() + "# edited\n")
    assert fingerprint(own).changed_since(before) == (["code"] if changes else [])


@pytest.mark.parametrize("engine", ["ladder.training", "ladder.criteria"])
def test_what_trains_and_measures_is_part_of_every_experiments_code(engine, monkeypatch, tmp_path):
    before = fingerprint(Coin())
    edited = tmp_path / "edited.py"
    edited.write_text(Path(sys.modules[engine].__file__).read_text() + "# edited\n")
    monkeypatch.setattr(sys.modules[engine], "__file__", str(edited))
    assert fingerprint(Coin()).changed_since(before) == ["code"]


def test_components_and_versions_are_part_of_it(monkeypatch):
    before = fingerprint(Coin())
    assert fingerprint(Coin()) == before
    assert before.experiment == "toys.Coin(p=1.0, shift=0.0, epochs=3)"
    assert fingerprint(Coin(p=0.5)).changed_since(before) == ["experiment"]
    monkeypatch.setattr(module.metadata, "version", lambda name: "0.0")
    assert fingerprint(Coin()).changed_since(before) == ["versions"]


@pytest.mark.parametrize("part", ["experiment", "code", "versions", "backend"])
def test_it_says_which_part_changed(part):
    old = Fingerprint("a", "a", "a", "a")
    new = replace(old, **{part: "b"})
    assert new.changed_since(old) == [part]


def test_the_code_does_not_depend_on_what_else_is_loaded():
    program = "{}; import ladder.training, ladder.fingerprint as f; print(sorted(f.closure('ladder.training')))"
    alone, beside = (
        subprocess.run([sys.executable, "-c", program.format(also)], capture_output=True, text=True, check=True).stdout
        for also in ("pass", "import ladder.climb")
    )
    assert alone == beside


def test_described_lists_components_in_order():
    assert described(Coin(p=0.5)) == "p=0.5, shift=0.0, epochs=3"


def test_commit_and_dirtiness(tmp_path):
    assert commit(tmp_path) is None
    assert commit(tmp_path / "nowhere") is None

    def git(*arguments):
        identity = ("-c", "user.name=t", "-c", "user.email=t@example.org", "-c", "commit.gpgsign=false")
        subprocess.run(["git", "-C", str(tmp_path), *identity, *arguments], check=True, capture_output=True)

    git("init")
    assert commit(tmp_path) is None
    git("commit", "--allow-empty", "-m", "first")
    clean = commit(tmp_path)
    assert clean is not None
    assert (len(clean["sha"]), clean["dirty"]) == (40, False)
    (tmp_path / "new.txt").write_text("")
    assert commit(tmp_path) == clean | {"dirty": True}


def test_machine_and_versions_say_where_it_ran():
    assert machine()["devices"]
    assert machine()["backend"] == fingerprint(Coin()).backend
    assert {"python", "jax", "numpy", "pytest-ladder"} <= versions().keys()
