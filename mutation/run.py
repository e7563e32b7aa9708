"""Mutation tests: mutants of the mathematics, made by cosmic-ray, each against the tests of its own module only."""

import argparse
import hashlib
import json
import os
import re
import shlex
import shutil
import subprocess
import sys
import tempfile
import time
import tomllib
from collections import Counter
from collections.abc import Collection, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import dataclass
from difflib import unified_diff
from importlib.metadata import version
from multiprocessing import Queue
from pathlib import Path

from cosmic_ray.commands import init
from cosmic_ray.mutating import mutate_and_test, mutate_code
from cosmic_ray.plugins import get_operator
from cosmic_ray.work_db import use_db
from cosmic_ray.work_item import MutationSpec, TestOutcome

ROOT = Path(__file__).resolve().parents[1]
MODULES = {name: f"src/ladder/studies/geometry/{name}.py" for name in ("sphere", "orthogonal", "integrators")} | {
    name: f"src/ladder/studies/manifoldformer/{name}.py"
    for name in ("memory", "coupling", "dynamics", "losses", "metrics")
}
RECORD = ROOT / "mutation/results.json"
OUTCOMES = ("killed", "timeout", "broken", "survived")  # see `test`
TARGET = 0.95
# Left out, since they would flatter the score: `//`, `%`, `**` and bits in place of arithmetic, which any test of a
# value notices; `|` between types; comparisons by identity; and second ways to drop a minus sign.
LEFT_OUT = re.compile(
    r"core/(ReplaceBinaryOperator_(BitOr_\w+|\w+_(BitOr|BitAnd|BitXor|RShift|LShift|FloorDiv|Mod|Pow))"
    r"|ReplaceComparisonOperator_\w+_(Is|IsNot)|ReplaceUnaryOperator_USub_\w+)"
)


@dataclass(frozen=True, eq=False)
class Mutant:
    """One mutation, identified by the text it changes, which stays the same when lines above it are added or removed."""

    module: str
    function: str
    before: str
    after: str
    mutation: MutationSpec

    @property
    def key(self) -> tuple[str, str, str, str]:
        """The text by which explanations name the mutant and samples draw it."""
        return self.module, self.function, self.before, self.after

    @property
    def digest(self) -> str:
        """The mutant's place in the order of the sample."""
        return hashlib.sha256("\0".join(self.key).encode()).hexdigest()[:16]

    @property
    def at(self) -> str:
        """The mutant's present place, and cosmic-ray's name for it."""
        return (
            f"{MODULES[self.module]}:{self.mutation.start_pos[0]} {self.mutation.operator_name.removeprefix('core/')}"
        )

    def __str__(self) -> str:
        """Return the mutant as an entry of survivors.toml without its reason."""
        texts = (json.dumps(text, ensure_ascii=False) for text in self.key)
        return "# {}\n[[survivor]]\nroom = {}\nfunction = {}\nbefore = {}\nafter  = {}".format(self.at, *texts)


def mutants(directory: Path) -> list[Mutant]:
    """Return every mutant of every module, in an order that does not depend on edits elsewhere; the sample is its start."""
    with use_db(directory / "mutants.sqlite") as database:
        init([Path(path) for path in MODULES.values()], database, {})
        mutations = [mutation for item in database.work_items for mutation in item.mutations]
    result = []
    for mutation in mutations:
        if LEFT_OUT.fullmatch(mutation.operator_name):
            continue
        source = mutation.module_path.read_text()
        mutated = mutate_code(source, get_operator(mutation.operator_name)(), mutation.occurrence)
        changed = list(unified_diff(source.splitlines(), mutated.splitlines(), n=0, lineterm=""))[2:]
        before, after = (" ".join(" ".join(line[1:] for line in changed if line[0] == sign).split()) for sign in "-+")
        result.append(Mutant(mutation.module_path.stem, mutation.definition_name or "", before, after, mutation))
    return sorted(result, key=lambda mutant: mutant.digest)


def explanations(existing: Collection[Mutant]) -> dict[tuple[str, str, str, str], str]:
    """Return the reasons why mutants survive, by their keys; exit if the mutant of an entry no longer exists."""
    entries = tomllib.loads((ROOT / "mutation/survivors.toml").read_text()).get("survivor", [])
    reasons = {(e["module"], e["function"], e["before"], e["after"]): e["reason"] for e in entries}
    if gone := reasons.keys() - {mutant.key for mutant in existing}:
        sys.exit("\n".join(["in survivors.toml, but no mutants any more:", *map(" | ".join, gone)]))
    return reasons


def copy_work_tree(to: Path) -> Path:
    """Copy what git tracks or would track, uncommitted changes included: cosmic-ray mutates files in place."""
    git = ["git", "-C", str(ROOT), "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
    for name in subprocess.run(git, check=True, capture_output=True, text=True).stdout.split("\0"):
        if (ROOT / name).is_file():
            (to / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(ROOT / name, to / name)
    return to


def move_in(copies: "Queue[Path]") -> None:
    """Give this worker process a copy of the work tree of its own."""
    os.chdir(copies.get())
    os.environ |= {"PYTHONPATH": str(Path("src").resolve()), "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1"}


def test(module: str, mutations: Sequence[MutationSpec], limit: float, cache: Path) -> tuple[str, float, str]:
    """Run a module's tests under these mutations, or under none; return outcome, seconds and output.

    The programs that the unchanged code compiles are cached for its mutants. Mutants write nothing: JAX does not write an
    entry in one go, so another process could find half of it, and a mutant that is stopped leave half of it.
    """
    os.environ |= {
        "JAX_COMPILATION_CACHE_DIR": str(cache / module),
        "JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS": "1e9" if mutations else "0",
        "JAX_PERSISTENT_CACHE_MIN_ENTRY_SIZE_BYTES": "-1",
    }
    # The module's own tests, which its name selects by their file's, and then its share of the shared laws.
    files = [f"tests/properties/test_{name}.py" for name in (module, "shared_laws", "gradients")]
    plugins = ["ladder.plugin", "_hypothesis_pytestplugin", "mutation.hypothesis_profile", "no:cacheprovider"]
    options = ["-k", f"{module}.", "-x", "-q", "--no-header", *(word for plugin in plugins for word in ("-p", plugin))]
    start = time.monotonic()
    result = mutate_and_test(mutations, shlex.join([sys.executable, "-m", "pytest", *files, *options]), limit)
    if result.test_outcome not in (TestOutcome.KILLED, TestOutcome.SURVIVED):
        raise RuntimeError(f"cosmic-ray could not test {mutations}: {result.output}")
    outcome = result.test_outcome.value
    if outcome == "killed" and result.output == "timeout":
        outcome = "timeout"
    elif outcome == "killed" and "ERROR collecting" in result.output:
        outcome = "broken"  # the tests could not be imported: no law had its say
    return outcome, time.monotonic() - start, result.output


def run(chosen: Collection[Mutant], workers: int, directory: Path) -> dict[Mutant, str]:
    """Run every mutant and return the outcomes."""
    copies: Queue[Path] = Queue()
    for number in range(workers):
        # Hypothesis draws constants it finds in the source, a mutant's too, except below a directory of this name.
        copies.put(copy_work_tree(directory / "test" / str(number)))
    cache, limits, outcomes = directory / "cache", {}, {}
    with ProcessPoolExecutor(workers, initializer=move_in, initargs=(copies,)) as pool:
        modules = sorted({mutant.module for mutant in chosen})
        for module, unmutated in [(module, pool.submit(test, module, (), 1800.0, cache)) for module in modules]:
            outcome, seconds, output = unmutated.result()
            if outcome != "survived":
                pool.shutdown(cancel_futures=True)
                sys.exit(f"{module}: its tests must pass without a mutation\n{output}")
            print(f"{module}: passes in {seconds:.0f} s, compiling everything", flush=True)
            limits[module] = 60.0 + 3.0 * seconds  # a mutant may have to compile everything again, on a busier machine
        tasks = {pool.submit(test, m.module, (m.mutation,), limits[m.module], cache): m for m in chosen}
        for number, task in enumerate(as_completed(tasks), 1):
            mutant, (outcome, seconds, output) = tasks[task], task.result()
            outcomes[mutant] = outcome
            failed = re.search(r"^FAILED \S+/(\S+)", output, re.MULTILINE)
            by = f" by {failed[1]}" if failed else ""
            print(f"{number}/{len(tasks)} {outcome}{by} in {seconds:.0f} s: {mutant.at}  {mutant.after}", flush=True)
    return outcomes


def main() -> int:
    """Read the command line, run, and return the exit status."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        "--module", action="append", choices=MODULES, help="test this one's mutants only; may be repeated"
    )
    parser.add_argument(
        "--sample", type=int, default=600, help="draw at most so many mutants, from all modules together"
    )
    parser.add_argument("--workers", type=int, default=2, help="mutants tested at a time")
    parser.add_argument("--open", action="store_true", help="test only those that results.json does not have as killed")
    parser.add_argument("--list", action="store_true", help="count the mutants and stop")
    args = parser.parse_args()

    os.chdir(ROOT)
    with tempfile.TemporaryDirectory() as directory:
        existing = mutants(Path(directory))
        reasons = explanations(existing)
        chosen = [mutant for mutant in existing[: args.sample] if mutant.module in (args.module or MODULES)]
        killed = set(json.loads(RECORD.read_text())["killed"]) if args.open and RECORD.exists() else set()
        outcomes = {mutant: "killed" for mutant in chosen if mutant.digest in killed}
        if not args.list:
            outcomes |= run([mutant for mutant in chosen if mutant not in outcomes], args.workers, Path(directory))

    rule = f"all {len(existing)} mutants"
    if len(existing) > args.sample:
        rule = f"the first {args.sample} of {rule} by SHA-256 of module, function, line before and line after"
    modules = {}
    print(f"\n{rule}\n\n| module | mutants | drawn | {' | '.join(OUTCOMES)} |\n|{'---|' * (3 + len(OUTCOMES))}")
    for module in args.module or MODULES:
        counts = Counter(outcome for mutant, outcome in outcomes.items() if mutant.module == module)
        modules[module] = {
            name: sum(m.module == module for m in ms) for name, ms in (("mutants", existing), ("drawn", chosen))
        }
        modules[module] |= {outcome: counts[outcome] for outcome in OUTCOMES}
        print(f"| {module} | {' | '.join(map(str, modules[module].values()))} |")
    if args.list:
        return 0

    wrong = []
    noteworthy: dict[str, list[dict[str, str]]] = {outcome: [] for outcome in OUTCOMES[1:]}
    for mutant in chosen:
        outcome, reason = outcomes[mutant], reasons.get(mutant.key)
        if outcome != "killed":
            noteworthy[outcome].append({"at": mutant.at, "before": mutant.before, "after": mutant.after})
            print(
                f"\n# {outcome}\n{mutant}" + (f"\nreason = {json.dumps(reason, ensure_ascii=False)}" if reason else "")
            )
        if (outcome == "survived") != (reason is not None):
            wrong.append(f"{outcome}, but {'not ' * (reason is None)}explained: {mutant.at}")
    counts = Counter(outcomes.values())
    dead = counts["killed"] + counts["timeout"]
    score = dead / max(1, dead + counts["survived"])
    if score < TARGET:
        wrong.append(f"fewer than {TARGET:.0%} killed")
    if not args.module:
        record = {"cosmic-ray": version("cosmic-ray"), "sample": rule, "score": score, "modules": modules, **noteworthy}
        record |= {"killed": [mutant.digest for mutant in chosen if outcomes[mutant] == "killed"]}
        RECORD.write_text(json.dumps(record, indent=2, ensure_ascii=False) + "\n")
    print(f"\n{score:.1%} killed", *wrong, sep="\n")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
