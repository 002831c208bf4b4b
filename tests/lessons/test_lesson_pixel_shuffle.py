"""The notebook on pixel shuffle runs, and what it tells is so."""

import re

import pytest


@pytest.mark.slow
def test_the_pixel_shuffle_notebook_shows_what_it_claims(executed):
    _, notebook = executed("08_pixel_shuffle")
    outputs = [o for cell in notebook.cells for o in cell.get("outputs", [])]
    told = "".join(output.get("text", "") for output in outputs)
    assert "equal to the last bit: True" in told and "- equal: True" in told
    assert "0 of 810 weights without gradient" in told
    assert "22729 weights" in told and "multiply-adds: 8.1 times" in told
    boards = dict(re.findall(r"^(.*?) +checkerboard +([\d.]+) levels at first", told, re.M))
    assert float(boards["pixel shuffle"]) > 1.0 > float(boards["pixel shuffle, ICNR"])
    shown = [kind for output in outputs for kind in output.get("data", {})]
    assert shown.count("image/png") >= 14
    questions = outputs[-1]["data"]["text/html"]
    assert questions.count("<details>") == 10
