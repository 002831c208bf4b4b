"""pytest -m slow tests/lessons/test_lesson_umeyama_warping.py: 06 and 07 show what they claim."""

import re

import nbformat
import pytest

pytestmark = pytest.mark.slow


class Told:
    """What an executed notebook shows: its printed text, its HTML, how many pictures."""

    def __init__(self, notebook: nbformat.NotebookNode) -> None:
        outputs = [output for cell in notebook.cells for output in cell.get("outputs", [])]
        self.text = "".join(output.get("text", "") for output in outputs)
        data = [output.get("data", {}) for output in outputs]
        self.html = "".join(each.get("text/html", "") for each in data)
        self.pictures = sum("image/png" in each for each in data)

    def number(self, pattern: str) -> float:
        """The number that a printed line holds at the place of `#`."""
        found = re.search(re.escape(pattern).replace(r"\#", r"\s*([-+.\de]+)"), self.text)
        assert found is not None, (pattern, self.text)
        return float(found[1])


@pytest.fixture(scope="module")
def umeyama(executed):
    return Told(executed("06_umeyama")[1])


@pytest.fixture(scope="module")
def warping(executed):
    return Told(executed("07_warping")[1])


def test_nothing_does_better_than_the_fit(umeyama):
    assert "\n0 of 10000 are better" in umeyama.text
    assert umeyama.number("the closest has # times the error") < 1.001
    left = umeyama.number("(33) # = measured")
    assert left == umeyama.number("= measured # <") < umeyama.number("< true similarity #")


def test_the_steps_are_the_librarys(umeyama):
    assert umeyama.number("largest difference to the library: #") < 1e-12
    assert umeyama.number("by the SVD # degrees") == pytest.approx(50.0, abs=5.0)


def test_what_goes_wrong_is_shown(umeyama):
    assert "ValueError: expected points that differ" in umeyama.text
    assert umeyama.number("3-D: U V^T right in 100% of 200 cases, U V wrong in #%") > 90


def test_the_pair_by_hand_is_the_librarys(warping):
    assert warping.number("largest difference in levels of 255: warped #,") <= 1
    assert warping.number(", target #\n") <= 1
    assert warping.number("left of the squared error of the points: #;") == pytest.approx(
        0.92, abs=0.03
    )
    assert 0.3 < warping.number("faces cut the wrong way round are # %") < 1.2


def test_albumentations_leaves_a_label_as_it_is_unless_told(warping):
    said = re.findall(r"(?:input|target) mirrored: (\w+)", warping.text)
    assert said == ["True", "False", "True"]


def test_each_step_has_a_picture_and_ten_questions_end_it(umeyama, warping):
    for told, pictures in ((umeyama, 24), (warping, 22)):
        assert told.pictures >= pictures
        assert told.html.count("<details>") == told.html.count("</details>") == 10
        assert not re.search(r"\bnan\b", told.html)
