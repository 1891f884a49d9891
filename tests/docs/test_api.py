"""Every public name is documented, and every module is on an API page of the site."""

import ast
import importlib
import inspect
import re

import pytest
from support.pages import hooks
from support.programs import ROOT

PACKAGE = ROOT / "onebp_jax"
MODULES = sorted(path for path in PACKAGE.rglob("*.py") if "compat" not in path.parts)
every_module = pytest.mark.parametrize("path", MODULES, ids=lambda path: str(path.relative_to(PACKAGE)))
Definition = ast.FunctionDef | ast.ClassDef


def dotted(path):
    return ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__")


def definitions(tree, prefix=""):
    """Public functions and classes of a module and the public methods of its classes, by their names."""
    for node in tree.body:
        if isinstance(node, Definition) and not node.name.startswith("_"):
            yield f"{prefix}{node.name}", node
            if isinstance(node, ast.ClassDef):
                yield from definitions(node, f"{node.name}.")


def undocumented(tree):
    """The public names without a docstring; a property may be described in the docstring of its class."""
    classes = {node.name: ast.get_docstring(node) or "" for node in tree.body if isinstance(node, ast.ClassDef)}
    for name, node in definitions(tree):
        owner, _, own = name.rpartition(".")
        is_property = any(isinstance(by, ast.Name) and by.id == "property" for by in node.decorator_list)
        told = is_property and re.search(rf"\b{own}\b", classes.get(owner, ""))
        if not ast.get_docstring(node) and not told:
            yield name


def test_every_module_is_on_an_api_page():
    on_pages = [module for modules in hooks().rooms().values() for module in modules]
    assert sorted(on_pages) == sorted(dotted(path) for path in MODULES if path.name != "__init__.py")


@every_module
def test_public_functions_classes_and_methods_have_docstrings(path):
    tree = ast.parse(path.read_text())
    assert ast.get_docstring(tree)
    assert list(undocumented(tree)) == []


@every_module
def test_arguments_of_docstrings_are_those_of_the_function(path):
    wrong = []
    for name, node in definitions(ast.parse(path.read_text())):
        if isinstance(node, ast.ClassDef):
            continue
        given = {arg.arg for arg in ast.walk(node.args) if isinstance(arg, ast.arg)}
        section = re.search(r"^Args:\n((?:[ ]+.*\n?|\n)*)", ast.get_docstring(node) or "", re.MULTILINE)
        for names in re.findall(r"^  ((?:\w+, )*\w+): ", section.group(1) if section else "", re.MULTILINE):
            wrong += [f"{name}({argument})" for argument in names.split(", ") if argument not in given]
    assert wrong == []


@pytest.mark.parametrize("room", [path for path in MODULES if path.name == "__init__.py"], ids=dotted)
def test_names_that_a_room_offers_exist_and_are_documented(room):
    module = importlib.import_module(dotted(room))
    for name in getattr(module, "__all__", ()):
        found = getattr(module, name)
        if inspect.isfunction(found) or inspect.isclass(found):
            assert found.__doc__, f"{module.__name__}.{name}"
