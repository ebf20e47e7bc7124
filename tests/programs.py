"""Python programs for property tests, small and whole, with every kind of name in them."""

from __future__ import annotations

from hypothesis import strategies as st

HEAD = "import os.path as paths\nfrom json import dumps\n\nLIMIT_OF_ALL = 7\n\n\n"
NAMES = ("total", "item_count", "x", "rest", "limit", "fooBar", "_inner", "value2")
EXPRESSIONS = (
    "{a}", "{a} + {b}", "dumps({a})", "len({a})", "{a}.append", "f'{{{a}!r:>{{{b}}}}} {b}'",
    "[{a} for {a} in range({b})]", "(lambda {a}: {a})", "paths.join({a}, key={b})", "sorted({a})",
    "'{a} (text)'", "Holder({a}).read({a}={b})", "helper({a}={b})", "{a}.other", "LIMIT_OF_ALL",
)  # fmt: skip
STATEMENTS = (
    "{a} = {e}", "return {e}", "# {a}, and `{b}`", "{a} += {e}", "for {a} in {e}:\n        pass",
    "if {e}:\n        {b} = {e}\n    else:\n        return {a}", "del {a}", "assert {e}",
    "with open({e}) as {b}:\n        {a} = {b}.read()",
    "try:\n        {a} = {e}\n    except ValueError as {b}:\n        raise {b}", '"é" + {e}',
)  # fmt: skip


@st.composite
def statements(draw: st.DrawFn) -> str:
    names = {key: draw(st.sampled_from(NAMES)) for key in ("a", "b")}
    expression = draw(st.sampled_from(EXPRESSIONS)).format(**names)
    return "    " + draw(st.sampled_from(STATEMENTS)).format(**names, e=expression)


@st.composite
def programs(draw: st.DrawFn) -> str:
    """A function, a class with state of its own, and statements of chance in both."""
    body = "\n".join(draw(st.lists(statements(), min_size=1, max_size=8)))
    second = "\n".join(draw(st.lists(statements(), max_size=4)))
    first, other = draw(st.lists(st.sampled_from(NAMES), min_size=2, max_size=2, unique=True))
    return (
        f"{HEAD}def helper({first}, *, {other}=None):\n"
        f'    """Asks helper({first}) of `{other}`."""\n'
        f"{body}\n    pass\n\n\nclass Holder:\n    def __init__(self, {first}):\n"
        f"        self.kept_{first} = {first}\n        self.{other} = dumps({first})\n\n"
        f"    def read(self, {first}):\n        return self.kept_{first} or self.{other}\n\n\n"
        f"def last({other}):\n{second}\n    return {other}\n"
    )
