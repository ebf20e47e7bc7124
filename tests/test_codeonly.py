"""Python text without its comments and docstrings, however odd the text is."""

from __future__ import annotations

import pytest
from hypothesis import given

from model.evidence.codeonly import code_of
from tests.strategies import texts

LONG = 200_000


@pytest.mark.parametrize(
    ("text", "code"),
    [
        ("x = 1  # one\n\n\ny = 2\n", "x = 1\ny = 2\n"),
        ('def f():\n    """What it does."""\n    return 1\n', "def f():\n    return 1\n"),
        ("def f():\n    r'''What\n    it does.'''  # noqa\n    a()\n", "def f():\n    a()\n"),
        ('x = "# kept"\n', 'x = "# kept"\n'),
        ('x = (\n    """a""" + y + """b"""\n)\n', 'x = (\n    """a""" + y + """b"""\n)\n'),
        ("x = 'it\n# gone\n", "x = 'it\n"),
        ("x = '''it\n# kept\n", "x = '''it\n# kept\n"),
        ("def f():\n    '''It says \\''' and ''.'''\n    a()\n", "def f():\n    a()\n"),
    ],
)
def test_comments_and_docstrings_are_left_out_and_strings_are_kept(text: str, code: str) -> None:
    assert code_of(text) == code


@given(texts(surrogates=True))
def test_code_is_made_of_the_text_s_own_characters_in_their_order(text: str) -> None:
    rest = iter(text)
    assert all(char in rest for char in code_of(text))


@pytest.mark.parametrize(
    "unit", ["\"'\\", '"""\\', " ", " \n", '\n"""', '"""a"""b', " #", "\nr'''"]
)
def test_an_odd_text_takes_no_longer_than_another(unit: str) -> None:
    code_of(unit * (LONG // len(unit)))  # would take minutes where anything is tried twice
