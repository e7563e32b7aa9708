"""Source files, parsed once each: digests of what runs, and imports.

What runs is the syntax tree without comments, docstrings, and annotations that nothing reads.
"""

import ast
import hashlib
import re
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

READERS = frozenset(
    {
        *("__annotations__", "get_annotations", "get_type_hints", "signature", "getfullargspec"),
        *("__doc__", "getdoc", "getcomments", "getsource", "getsourcelines", "findsource"),
        *("install_import_hook", "beartype_this_package", "beartype_package", "beartype_packages"),
    }
)
"""Names of functions and attributes that read annotations, docstrings or sources while a program runs."""

READER_WORDS = re.compile("|".join(READERS).encode())
IMPORT_CALLS = re.compile(rb"import_module|__import__")

PLAIN_DECORATORS = frozenset(
    {
        *(
            "property",
            "cached_property",
            "setter",
            "getter",
            "deleter",
            "staticmethod",
            "classmethod",
            "abstractmethod",
        ),
        *("cache", "lru_cache", "wraps", "contextmanager", "total_ordering", "runtime_checkable", "final", "override"),
        *("dataclass", "jit", "vmap", "grad", "value_and_grad"),
        *("custom_jvp", "custom_vjp", "defjvp", "checkpoint", "remat"),
    }
)
"""Decorators that do not read a function's annotations; a dataclass reads those of its fields, which always count."""


class Source(NamedTuple):
    """A source file.

    Attributes:
        digest: A digest of the whole file.
        runtime_digest: A digest of what runs.
        introspects: Whether it may read annotations, docstrings or sources while it runs.
        imports: The dotted names that it imports, relative ones with leading dots. A name may be that of an attribute.
    """

    digest: str
    runtime_digest: str
    introspects: bool
    imports: tuple[str, ...]


@cache
def read_source(path: Path, modified_ns: int) -> Source:
    """Read and parse a file, once for each time of modification; all of a file that is not Python source counts.

    Raises:
        OSError: if it cannot be read.
    """
    content = path.read_bytes()
    digest = hashlib.sha256(content).hexdigest()
    try:
        tree = ast.parse(content)
    except (SyntaxError, ValueError):  # a compiled library, or a file that cannot be imported
        return Source(digest, digest, False, ())
    # Few files have such a name at all, and a search of the text is quicker than one of the tree.
    introspects = READER_WORDS.search(content) is not None and not READERS.isdisjoint(identifiers(tree))
    imports = tuple(_imports(tree, calls=IMPORT_CALLS.search(content) is not None))
    runtime_digest = hashlib.sha256(ast.dump(runtime_tree(tree)).encode()).hexdigest()
    return Source(digest, runtime_digest, introspects, imports)


def _imports(tree: ast.Module, calls: bool) -> Iterator[str]:
    """Yield imported names, in order; those of ``import_module("name")`` only if ``calls`` is set, because that takes longer."""
    for node in _executed(tree, expressions=calls):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.Call) and ast.unparse(node.func).endswith(("import_module", "__import__")):
            yield from (a.value for a in node.args[:1] if isinstance(a, ast.Constant) and isinstance(a.value, str))
        elif isinstance(node, ast.ImportFrom):
            base = "." * node.level + (node.module or "")
            yield base
            yield from (f"{base}{'.' if node.module else ''}{alias.name}" for alias in node.names)


def _executed(tree: ast.AST, expressions: bool) -> Iterator[ast.AST]:
    """Yield every node except those under ``if TYPE_CHECKING:``, in order; without ``expressions`` only those with statements."""
    yield tree
    children = tree.orelse if isinstance(tree, ast.If) and _is_for_type_checkers(tree) else ast.iter_child_nodes(tree)
    for child in children:
        if expressions or not isinstance(child, ast.expr):
            yield from _executed(child, expressions)


def identifiers(tree: ast.AST) -> set[str]:
    """Return every name in a syntax tree, and every string, by which an attribute may be read."""
    names: set[str] = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Name):
            names.add(node.id)
        elif isinstance(node, ast.Attribute):
            names.add(node.attr)
        elif isinstance(node, ast.alias):
            names.update(node.name.split("."))
        elif isinstance(node, ast.Constant) and isinstance(node.value, str):
            names.add(node.value)
    return names


def _is_for_type_checkers(node: ast.If) -> bool:
    """Return whether a node is ``if TYPE_CHECKING:``, which runs only its ``else``."""
    return _last_name(node.test) == "TYPE_CHECKING"


def runtime_tree(tree: ast.Module) -> ast.Module:
    """Remove the nodes of a syntax tree that have no effect when it runs; the tree is changed in place and returned.

    Removed are docstrings and other strings used as statements, imports under ``if TYPE_CHECKING:``, annotations of functions,
    and annotations of variables outside classes. An annotation is not removed if a decorator may read it or if its evaluation
    calls something.
    """
    return _Stripper().visit(tree)  # type: ignore[no-any-return]  # visiting a module returns the module


class _Stripper(ast.NodeTransformer):
    def __init__(self) -> None:
        self._scope = "module"
        self._decorated = False  # with a decorator that may read annotations

    def visit(self, node: ast.AST) -> Any:
        # An expression contains no statement, and nothing is removed from a part of one.
        return node if isinstance(node, ast.expr) else super().visit(node)

    def visit_Expr(self, node: ast.Expr) -> ast.AST | None:  # NodeVisitor calls it by this name
        is_text = isinstance(node.value, ast.Constant) and isinstance(node.value.value, str)
        return None if is_text else self.generic_visit(node)

    def visit_If(self, node: ast.If) -> ast.AST | list[ast.stmt]:
        self.generic_visit(node)
        return node.orelse if _is_for_type_checkers(node) else node

    def visit_AnnAssign(self, node: ast.AnnAssign) -> ast.AST | None:
        self.generic_visit(node)
        if self._scope == "class" or _calls(node.annotation):
            return node
        if node.value is not None:
            return ast.Assign(targets=[node.target], value=node.value)
        if self._scope == "module":
            return None
        node.annotation = ast.Constant(value=None)  # without its annotation, but the name is still local
        return node

    def visit_FunctionDef(self, node: ast.FunctionDef) -> ast.AST:
        return self._function(node)

    def visit_AsyncFunctionDef(self, node: ast.AsyncFunctionDef) -> ast.AST:
        return self._function(node)

    def visit_ClassDef(self, node: ast.ClassDef) -> ast.AST:
        return self._inside("class", node, _may_read(node))

    def _function(self, node: ast.FunctionDef | ast.AsyncFunctionDef) -> ast.AST:
        if not (self._decorated or _may_read(node)):
            if node.returns is not None and not _calls(node.returns):
                node.returns = None
            arguments = node.args
            starred = (arguments.vararg, arguments.kwarg)
            for argument in (*arguments.posonlyargs, *arguments.args, *arguments.kwonlyargs, *filter(None, starred)):
                if argument.annotation is not None and not _calls(argument.annotation):
                    argument.annotation = None
        return self._inside("function", node, False)

    def _inside(self, scope: str, node: ast.AST, decorated: bool) -> ast.AST:
        before = self._scope, self._decorated
        self._scope, self._decorated = scope, decorated
        self.generic_visit(node)
        self._scope, self._decorated = before
        return node


def _may_read(node: ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef) -> bool:
    """Return whether one of its decorators may read annotations."""
    return any(_last_name(decorator) not in PLAIN_DECORATORS for decorator in node.decorator_list)


def _last_name(node: ast.expr) -> str:
    """Return the last part of a dotted name, of the function called, or of the first argument of ``partial``; empty otherwise."""
    if isinstance(node, ast.Call):
        name = _last_name(node.func)
        return _last_name(node.args[0]) if name == "partial" and node.args else name
    if isinstance(node, ast.Attribute):
        return node.attr
    return node.id if isinstance(node, ast.Name) else ""


def _calls(annotation: ast.expr) -> bool:
    """Return whether evaluating an annotation does more than look names up."""
    effects = (ast.Call, ast.NamedExpr, ast.Await, ast.Yield, ast.YieldFrom)
    return any(isinstance(node, effects) for node in ast.walk(annotation))
