"""The part of a source file that runs: its syntax tree without comments, docstrings, and annotations that nothing reads."""

import ast

READERS = frozenset(
    {
        *("__annotations__", "get_annotations", "get_type_hints", "signature", "getfullargspec"),
        *("__doc__", "getdoc", "getcomments", "getsource", "getsourcelines", "findsource"),
        *("install_import_hook", "beartype_this_package", "beartype_package", "beartype_packages"),
    }
)
"""Names of what reads annotations, docstrings or sources while a program runs."""

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
        *(
            "dataclass",
            "jit",
            "vmap",
            "grad",
            "value_and_grad",
            "custom_jvp",
            "custom_vjp",
            "defjvp",
            "checkpoint",
            "remat",
        ),
    }
)
"""Decorators that do not read a function's annotations; a dataclass reads those of its fields, which are always kept."""

TYPE_CHECKING = "TYPE_CHECKING"


def identifiers(tree: ast.AST) -> set[str]:
    """Return every name in a syntax tree: of variables, attributes and imports."""
    found: set[str] = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Name):
            found.add(node.id)
        elif isinstance(node, ast.Attribute):
            found.add(node.attr)
        elif isinstance(node, ast.alias):
            found.update(node.name.split("."))
    return found


def is_for_type_checkers(node: ast.AST) -> bool:
    """Return whether a node is an ``if TYPE_CHECKING:``, of which only the ``else`` runs."""
    return isinstance(node, ast.If) and _last_name(node.test) == TYPE_CHECKING


def running(tree: ast.Module) -> ast.Module:
    """Return a syntax tree, changed in place, without what has no effect when it runs.

    Left out are docstrings and other strings that stand alone, what is imported for type checkers alone, and the annotations of
    variables outside classes and of functions. Annotations stay where a decorator may read them or where computing one calls
    something.
    """
    return _Stripper().visit(tree)  # type: ignore[no-any-return]  # of a module this is the module


class _Stripper(ast.NodeTransformer):
    def __init__(self) -> None:
        self._scope = "module"
        self._decorated = False  # by something that may read annotations

    def visit_Expr(self, node: ast.Expr) -> ast.AST | None:  # as ast asks for it
        is_text = isinstance(node.value, ast.Constant) and isinstance(node.value.value, str)
        return None if is_text else self.generic_visit(node)

    def visit_If(self, node: ast.If) -> ast.AST | list[ast.stmt]:
        self.generic_visit(node)
        return node.orelse if is_for_type_checkers(node) else node

    def visit_AnnAssign(self, node: ast.AnnAssign) -> ast.AST | None:
        self.generic_visit(node)
        if self._scope == "class" or _calls(node.annotation):
            return node
        if node.value is not None:
            return ast.Assign(targets=[node.target], value=node.value)
        if self._scope == "module":
            return None
        node.annotation = ast.Constant(value=None)  # it makes the name a local one all the same
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
            several = (arguments.vararg, arguments.kwarg)
            for argument in (*arguments.posonlyargs, *arguments.args, *arguments.kwonlyargs, *filter(None, several)):
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
    """Return the last part of a dotted name, of what is called, or of what ``partial`` is given; empty for anything else."""
    if isinstance(node, ast.Call):
        name = _last_name(node.func)
        return _last_name(node.args[0]) if name == "partial" and node.args else name
    if isinstance(node, ast.Attribute):
        return node.attr
    return node.id if isinstance(node, ast.Name) else ""


def _calls(annotation: ast.expr) -> bool:
    """Return whether computing an annotation does more than look names up."""
    effects = (ast.Call, ast.NamedExpr, ast.Await, ast.Yield, ast.YieldFrom)
    return any(isinstance(node, effects) for node in ast.walk(annotation))
