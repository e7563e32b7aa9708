"""Takes from Python what only Unix has: with this folder on ``PYTHONPATH`` every process starts without.

It is no Windows. Modules are gone for all but filelock, which asks ``sys.platform`` what to lock with. Functions are gone that
neither pytest nor the standard library needs here. And a file that any process has open can be neither removed nor replaced.
"""

import builtins
import os
import signal
import sys
from contextlib import suppress

MODULES = {"fcntl", "grp", "pty", "pwd", "resource", "syslog", "termios", "tty"}
FUNCTIONS = ("fchmod", "pread", "pwrite", "sched_getaffinity", "sched_setaffinity")
PROC = "/proc"

_import, _listdir, _readlink = builtins.__import__, os.listdir, os.readlink


def _import_some(name, globals=None, locals=None, fromlist=(), level=0):  # noqa: A002  # as the built-in one has them
    if name in MODULES and not (globals or {}).get("__name__", "").startswith("filelock."):
        raise ModuleNotFoundError(f"No module named {name!r}", name=name)
    return _import(name, globals, locals, fromlist, level)


def _is_open(path):
    """Whether any process has this file open."""
    path = os.path.realpath(path)
    for process in filter(str.isdigit, _listdir(PROC)):
        with suppress(OSError):  # it has ended, or is another user's
            for handle in _listdir(f"{PROC}/{process}/fd"):
                with suppress(OSError):
                    if _readlink(f"{PROC}/{process}/fd/{handle}") == path:
                        return True
    return False


def _refuse_open(function, which):
    def refuse(*paths, **more):
        if "dir_fd" not in more and _is_open(paths[which]):
            raise PermissionError(13, "The process cannot access the file because it is being used", paths[which])
        return function(*paths, **more)

    return refuse


def _without_proc(function):
    def look(path=".", *arguments, **more):
        if str(path).startswith(PROC):
            raise FileNotFoundError(2, "No such file or directory", path)
        return function(path, *arguments, **more)

    return look


def _no_links(*paths, **more):
    raise NotImplementedError("os.link() not available on this system")


builtins.__import__ = _import_some
for _name in FUNCTIONS:
    delattr(os, _name)
for _name, _which in (("unlink", 0), ("remove", 0), ("rename", 1), ("replace", 1)):
    setattr(os, _name, _refuse_open(getattr(os, _name), _which))
for _name in ("stat", "lstat", "listdir", "scandir"):
    setattr(os, _name, _without_proc(getattr(os, _name)))
os.link = _no_links
del signal.SIGPIPE
for _name in MODULES:
    sys.modules.pop(_name, None)
