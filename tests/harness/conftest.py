"""What several tests of the harness stand on: rung files for an inner pytest, and a package whose sources can be edited."""

import importlib
import os
import pkgutil
import sys
from importlib.util import find_spec
from pathlib import Path

import jax
import pytest
from jax.experimental.compilation_cache import compilation_cache
from toys import HEAD, INI, TEST

import ladder

RUNG = """
LEARNS = below("loss", {limit}, by=3, source="made up for the test"{calibrated})
RUNGS = [Rung(number={number}, name="{name}", experiment={experiment}, gates=(LEARNS,){parent})]
"""


def configure_jax(options):
    for name, value in options.items():
        jax.config.update(name, value)
    compilation_cache.reset_cache()


@pytest.fixture(scope="session")
def programs(tmp_path_factory):
    """Return the folder of the programs that inner runs compile: what one has compiled is there for the next."""
    return tmp_path_factory.mktemp("compiled")


@pytest.fixture(scope="module", autouse=True)
def compiled(programs):
    """Have inner runs, and the workers that they start, use the compiled programs of earlier ones."""
    # pytester forgets whatever an inner run is the first to import; JAX cannot be loaded twice and the rest takes its time.
    for module in pkgutil.walk_packages(ladder.__path__, "ladder."):
        if module.name != "ladder.torch" or find_spec("torch"):  # which the set-up does not install
            importlib.import_module(module.name)
    options = {
        "jax_compilation_cache_dir": str(programs),
        "jax_persistent_cache_min_compile_time_secs": 0.0,
        "jax_persistent_cache_min_entry_size_bytes": -1,
    }
    before = {name: getattr(jax.config, name) for name in options}
    configure_jax(options)
    with pytest.MonkeyPatch.context() as workers:
        for name, value in options.items():
            workers.setenv(name.upper(), str(value))
        yield
    configure_jax(before)


@pytest.fixture
def rungs(compiled, pytester, monkeypatch):
    """Writes rung files: ``rungs(coin="Coin()", shift="Coin(shift=0.1)")``, each on the one before."""
    monkeypatch.setenv("PYTHONPATH", str(Path(__file__).parent), prepend=os.pathsep)
    monkeypatch.delenv("PYTEST_XDIST_WORKER", raising=False)  # this suite's own worker is none of its runs' business
    pytester.makeini(f"{INI}ladder_seeds = 16\n")

    def write(*, test="climb(rung)", limit=0.5, calibrated="", **experiments):
        for number, (name, experiment) in enumerate(experiments.items(), start=1):
            parent = f", parent='rung{number - 1}', adds='{name}', compare={{'loss': ''}}" if number > 1 else ""
            text = RUNG.format(
                number=number,
                name=name,
                experiment=experiment,
                parent=parent,
                limit=limit,
                calibrated=calibrated,
            )
            pytester.makepyfile(**{f"test_rung{number}_{name}": HEAD + text + TEST.replace("climb(rung)", test)})

    return write


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


@pytest.fixture(autouse=True)
def nobody_collects(monkeypatch):
    """Where these tests run under GitHub Actions, the inner runs are none of its business."""
    for name in ("GITHUB_ACTIONS", "GITHUB_STEP_SUMMARY"):
        monkeypatch.delenv(name, raising=False)
