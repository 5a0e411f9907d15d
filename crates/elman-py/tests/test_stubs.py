"""The type stubs name what there is."""

import ast
import importlib.resources

from elman import _elman


def members(tree):
    """Names of a stub: functions, and classes with theirs."""
    for node in tree.body:
        if isinstance(node, (ast.FunctionDef, ast.AnnAssign)):
            yield node.name if isinstance(node, ast.FunctionDef) else node.target.id, None
        elif isinstance(node, ast.ClassDef):
            yield node.name, {name for name, _ in members(node)}


def test_the_native_stub_is_complete():
    text = importlib.resources.files("elman").joinpath("_elman.pyi").read_text()
    stub = dict(members(ast.parse(text)))
    there = {name for name in vars(_elman) if not name.startswith("__")} | {"__version__"}
    there -= {"_elman"}
    assert set(stub) == there
    for name, own in stub.items():
        if own is not None and name != "DivergedError":
            native = {member for member in vars(getattr(_elman, name)) if not member.startswith("__")}
            assert {member for member in own if not member.startswith("__")} == native, name


def test_the_package_says_that_it_is_typed():
    assert importlib.resources.files("elman").joinpath("py.typed").is_file()
