"""What the package offers: each name is documented with shapes, units and errors."""

from __future__ import annotations

import ast
import dataclasses
import functools
import importlib
import inspect
import re
import textwrap
from typing import get_origin

import pytest

import deepfake_utils as du

ROOMS = {name: importlib.import_module(f"deepfake_utils.{name}") for name in du.FOLDERS}
# A shape such as (N, 68, 2), (H, W, 3), (3, S, S) or (N,).
SIDE = r"[A-Za-z0-9*'.]+(?: (?:or|[+]) [A-Z0-9]+)?"
SHAPE = re.compile(rf"\((?:{SIDE}, ?)+(?:{SIDE})?\)|\(\.\.\.\)")
ARRAYS = re.compile(r"\b(Image|Points|Matrix|Mask|Plane|Luma|NDArray|Tensor)\b")
# "As `Curation.drop_below`.", "arguments and errors are those of `read_timed_frames`"
ELSEWHERE = re.compile(r"(?:\b[Aa]s|those of|other than) `[\w.]+`")
UNITS = re.compile(
    r"pixel|px|second|minute|degree|share|times|frames?\b|steps?\b|dB|Hz|level|0\.\.1|number|"
    r"how many|how often|how much|index|seed|count|factor|MB|bytes|weight|chance|"
    r"points|columns|crops|pairs|bits|pictures|page|measure|higher is|"
    r"|letters|(?:\d|\)) (?:is|to) ",
    re.IGNORECASE,
)


def public() -> dict[str, object]:
    """Functions and classes by the name they are used under, each once."""
    found: dict[int, tuple[str, object]] = {}
    for room, module in [("", du), *ROOMS.items()]:
        for name in module.__all__:
            each = getattr(module, name)
            if inspect.isfunction(each) or (inspect.isclass(each) and not get_origin(each)):
                found.setdefault(id(each), (f"{room}.{name}".lstrip("."), each))
    return dict(found.values())


PUBLIC = public()


def callables() -> dict[str, tuple[object, str]]:
    """(function, the text that documents its arguments) by name; methods of the classes, too."""
    found = {}
    for name, each in PUBLIC.items():
        if inspect.isfunction(each):
            found[name] = (each, inspect.getdoc(each) or "")
            continue
        text = inspect.getdoc(each) or ""
        init = vars(each).get("__init__")
        if inspect.isfunction(init) and not dataclasses.is_dataclass(each):
            found[f"{name}()"] = (init, f"{text}\n{inspect.getdoc(init) or ''}")
        for key, member in vars(each).items():
            plain = member.__func__ if isinstance(member, staticmethod | classmethod) else member
            if not key.startswith("_") and inspect.isfunction(plain):
                # What a class says of its arguments holds in its methods, too.
                found[f"{name}.{key}"] = (plain, f"{inspect.getdoc(plain) or ''}\n{text}")
    return {
        name: pair
        for name, pair in found.items()
        if (pair[0].__module__ or "").startswith("deepfake_utils")
    }


CALLABLES = callables()


@functools.cache
def node_of(function: object) -> ast.FunctionDef:
    return ast.parse(textwrap.dedent(inspect.getsource(function))).body[0]


def test_the_top_level_is_short():
    assert 40 <= len(du.__all__) <= 48
    assert callable(du.umeyama)


@pytest.mark.parametrize("room", ROOMS)
def test_a_room_says_what_is_in_it_and_offers_names_that_are_there(room):
    module = ROOMS[room]
    assert len(module.__doc__.split()) >= 10
    assert len(module.__all__) == len(set(module.__all__))
    assert all(hasattr(module, name) for name in module.__all__)
    assert getattr(du, room) is module


@pytest.mark.parametrize("name", PUBLIC)
def test_each_name_is_documented(name):
    text = inspect.getdoc(PUBLIC[name])
    assert text and text.splitlines()[0].endswith((".", ":", "?"))


@pytest.mark.parametrize("name", CALLABLES)
def test_arrays_have_shapes(name):
    function, text = CALLABLES[name]
    hints = " ".join(str(hint) for hint in inspect.get_annotations(function).values())
    if ARRAYS.search(hints) and not ELSEWHERE.search(text):
        assert SHAPE.search(text), f"no shape for {hints}"


@pytest.mark.parametrize("name", CALLABLES)
def test_numbers_have_units(name):
    function, text = CALLABLES[name]
    for argument, hint in inspect.get_annotations(function).items():
        if hint not in ("float", "int", "float | None", "int | None") or argument == "return":
            continue
        if re.search(r"_(s|hz|deg|px|db|mb|wh|hw)$", argument) or ELSEWHERE.search(text):
            continue  # the unit is in the name, or the argument is told where the text points
        said = re.search(rf"^ *{argument}: (.*(?:\n {{8,}}.*)*)", text, re.MULTILINE)
        assert said or re.search(rf"`{argument}`", text), f"{argument} is not described"
        assert UNITS.search(said[1] if said else text), f"{argument}: of what unit?"


@pytest.mark.parametrize("name", CALLABLES)
def test_errors_are_told(name):
    function, text = CALLABLES[name]
    raised = {
        node.exc.func.id
        for node in ast.walk(node_of(function))
        if isinstance(node, ast.Raise)
        and isinstance(node.exc, ast.Call)
        and isinstance(node.exc.func, ast.Name)
    }
    section = text.partition("Raises:\n")[2]
    assert {kind for kind in raised if kind not in section} == set()
