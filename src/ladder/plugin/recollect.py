"""A second collection, for rungs that a selected rung requires and that pytest has not collected.

A command line names paths and node ids, the ladder's own search skips files that seem to have no rungs, and other plugins filter
during collection: ``--lf`` skips files without a failure. Here the same folders are collected again, by the collectors that
pytest has built, without these filters and without ``--ignore``.
"""

from collections.abc import Iterable, Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from ladder.plugin.search import files_below, may_have_rungs


class Recollection:
    """The folders that pytest has collected, and the files that the ladder's search has skipped.

    Attributes:
        failed: Reports of files and folders that could not be collected here.
    """

    def __init__(self, config: pytest.Config):
        self.failed: list[pytest.CollectReport] = []
        self._manager = config.pluginmanager
        self._folders: dict[Path, pytest.Directory] = {}
        self._skipped: list[Path] = []
        self._done: set[Path] = set()

    def collected(self, collector: pytest.Collector) -> None:
        """Note a collector that pytest collects from."""
        if isinstance(collector, pytest.Directory):
            self._folders[collector.path] = collector

    def skipped(self, path: Path) -> None:
        """Note a file or folder that the ladder's search has skipped."""
        self._skipped += files_below(path) if path.is_dir() else [path]

    def in_skipped_files(self) -> list[pytest.Item]:
        """Collect the files that the search has skipped."""
        return [item for file in self._skipped for item in self._in_file(file)]

    def beside(self, items: Iterable[pytest.Item]) -> list[pytest.Item]:
        """Collect the files in the folders of these tests."""
        folders = dict.fromkeys(item.path.parent for item in items)
        return [item for folder in folders for item in self._in_files(folder.glob("*.py"))]

    def further_away(self, items: Iterable[pytest.Item]) -> Iterator[list[pytest.Item]]:
        """Collect below each parent folder of these tests, the nearest first; without tests, below all collected folders.

        Only files that may have rungs are imported.
        """
        homes = {folder for item in items for folder in item.path.parents}
        folders = [folder for folder in self._folders if folder in homes or not homes]
        for folder in sorted(folders, key=lambda folder: len(folder.parts), reverse=True):
            yield list(self._below(self._folders[folder]))

    def _below(self, folder: pytest.Directory) -> Iterator[pytest.Item]:
        try:
            own = sorted(folder.path.iterdir())
        except OSError:  # the folder may not be read
            return
        yield from self._in_files(file for file in own if file.suffix == ".py" and may_have_rungs(file, ""))
        for path in own:
            if path.is_dir() and (inner := self._folder(path)) is not None:
                yield from self._below(inner)

    def _in_files(self, files: Iterable[Path]) -> Iterator[pytest.Item]:
        for file in sorted(files):
            yield from self._in_file(file)

    def _in_file(self, file: Path) -> Iterator[pytest.Item]:
        folder = self._folder(file.parent)
        if folder is None or file in self._done or not file.is_file() or self._is_ignored(folder, file):
            return
        self._done.add(file)
        for collector in folder.ihook.pytest_collect_file(file_path=file, parent=folder):
            yield from self._items(collector)

    def _items(self, node: pytest.Item | pytest.Collector) -> Iterator[pytest.Item]:
        if isinstance(node, pytest.Item):
            node.ihook.pytest_itemcollected(item=node)
            yield node
        else:
            for inner in self._collect(node):
                yield from self._items(inner)

    def _folder(self, path: Path) -> pytest.Directory | None:
        """Return the collector of a folder, with its ``conftest.py`` loaded; None if pytest would not collect it."""
        if path in self._folders:
            return self._folders[path]
        above = self._folder(path.parent) if path.parent != path else None
        if above is None or self._is_ignored(above, path):
            return None
        folder = above.ihook.pytest_collect_directory(path=path, parent=above)
        if folder is not None:
            self._folders[path] = folder
            self._collect(folder)  # loads its conftest.py; its files are collected one by one later
        return folder if isinstance(folder, pytest.Directory) else None

    def _collect(self, collector: pytest.Collector) -> list[pytest.Item | pytest.Collector]:
        report = self._unfiltered("pytest_make_collect_report")(collector=collector)
        report.__dict__.pop("call", None)  # as pytest does, because a worker cannot send it
        if report.failed:
            self.failed.append(report)
        return list(report.result or ())

    def _is_ignored(self, folder: pytest.Directory, path: Path) -> bool:
        """Return whether pytest's own rules or those of a ``conftest.py`` ignore a path, without regard to ``--ignore``."""
        hook = self._unfiltered("pytest_ignore_collect")
        # Before version 9 the hook also takes the path as a py.path object.
        legacy = {"path": type(folder.fspath)(path)} if "path" in hook.spec.argnames else {}
        with pytest.MonkeyPatch.context() as options:
            options.setattr(folder.config.option, "ignore", None)
            options.setattr(folder.config.option, "ignore_glob", None)
            return bool(hook(collection_path=path, config=folder.config, **legacy))

    def _unfiltered(self, hook: str) -> Any:
        """Return a hook with only the implementations of pytest and of ``conftest.py`` files, without ``--lf``."""
        others = [plugin for plugin in self._manager.get_plugins() if not _is_pytests_or_conftest(plugin)]
        return self._manager.subset_hook_caller(hook, others)


def _is_pytests_or_conftest(plugin: object) -> bool:
    if isinstance(plugin, ModuleType):
        return plugin.__name__.startswith("_pytest.") or Path(plugin.__file__ or "").name == "conftest.py"
    module = type(plugin).__module__
    return module.startswith("_pytest.") and module != "_pytest.cacheprovider"
