"""The names that a Python file defines, and plausible other ones in the same style.

The new ones are words that programmers use, so that a renamed file is as good code as before. Knows
not where in the text a name stands, and changes nothing.
"""

from __future__ import annotations

import ast
import builtins
import keyword
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from random import Random
from string import ascii_lowercase

WORD = re.compile(r"\w+")
HUMP = re.compile(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+|\d+")
SELF = frozenset({"self", "cls", "mcs"})
STAY = frozenset({*keyword.kwlist, *keyword.softkwlist, *dir(builtins), *SELF})
HARMLESS = frozenset({"object", "Generic", "Protocol", "ABC", "NamedTuple", "Enum"})  # as bases

WORDS = re.findall(
    r"\w+",
    """
account action anchor answer ant arc area arrow badge bag balance bar basket batch bay beacon bed
bee bell bird boat bone border bottle bow branch bridge bucket budget bulb bundle button cabin
candle cap card cargo carrier cart castle cell cellar chapter charge choice circle clock cloud
coal coat coin column copper cord corner course cover cow cup curve dealer degree demand desert
desk detail device dinner dish dock doctor door drawer driver drum ear effect energy engine
estate factor family fan farm farmer figure finger fish flag flight flower folder foot forest fork
formula fortune friend game garden gate gear goal gold ground growth guest handle harbor hat
height hill hook horn hunter impact income iron island jacket jar joke journey kernel kite ladder
lake lamp lantern layer leader leaf ledger lesson letter level linen liquid lock locker magnet
marble margin market meadow member menu metal mile minute mirror moment moon motion mountain
museum nail native nature needle nest nose note notice office orange orbit outcome oven owner
packet page palace panel parcel partner patch payment pear pen pencil phase phrase piece pilot pin
planet player pocket pole policy pond pool port portal poster prize profit prompt puzzle quarter
quota rabbit radius rain reason region relay report review reward ribbon ring river road rocket
roof root rope rose routine rug safety sail salt sample sand school season seat secret sector seed
segment shadow shelf ship shop sign signal silk silver sketch snow soap song source speaker spirit
square stable stage star station step stream street studio subject summer supply surface symbol
tail tank target temple tenant tent theory thread ticket tide timber toe tool tower town track
trader travel tray tree tube tunnel unit valley vase vector vendor vessel village visit volume
voyage walker wall wave weather weight well window wing winner winter wire wolf wonder wood yard
""",
)


@dataclass(frozen=True, slots=True)
class Own:
    """What a file defines. `keywords` are the parameters that its callables can be given by name;
    `foreign` are names that somebody else decides."""

    names: set[str] = field(default_factory=set[str])
    attributes: set[str] = field(default_factory=set[str])
    classes: set[str] = field(default_factory=set[str])
    keywords: dict[str, set[str]] = field(default_factory=dict[str, set[str]])
    foreign: set[str] = field(default_factory=set[str])

    @property
    def all(self) -> set[str]:
        """All that may be called something else."""
        names = (self.names | self.attributes) - self.foreign - STAY
        return {name for name in names if name.isascii() and name.strip("_") and not is_magic(name)}

    @property
    def receivers(self) -> set[str]:
        """What an attribute is surely the file's own of."""
        return self.classes | SELF | {"super()"}


def own_names(tree: ast.Module) -> Own:
    own = Own()
    for node in ast.walk(tree):
        match node:
            case ast.FunctionDef(name=name, args=args) | ast.AsyncFunctionDef(name=name, args=args):
                own.names.add(name)
                own.keywords.setdefault(name, set()).update(parameters_of(args))
            case ast.ClassDef():
                define_class(node, own)
            case ast.arg(arg=name) | ast.Name(id=name, ctx=ast.Store() | ast.Del()):
                own.names.add(name)
            case ast.ExceptHandler(name=str(name)) | ast.MatchAs(name=str(name)):
                own.names.add(name)
            case ast.MatchStar(name=str(name)) | ast.MatchMapping(rest=str(name)):
                own.names.add(name)
            case ast.Attribute(value=ast.Name(id="self" | "cls"), attr=name, ctx=ast.Store()):
                own.attributes.add(name)
            case ast.Import(names=names) | ast.ImportFrom(names=names):
                own.foreign.update(part for it in names for part in imported(it))
            case _:
                pass
    return own


def define_class(node: ast.ClassDef, own: Own) -> None:
    """What a class of somebody else's asks for by a method's name keeps that name."""
    own.names.add(node.name)
    own.classes.add(node.name)
    methods = {it.name: it for it in node.body if isinstance(it, FUNCTIONS)}
    variables = {
        target.id for it in node.body for target in targets_of(it) if isinstance(target, ast.Name)
    }
    own.attributes.update(methods, variables)
    keywords = own.keywords.setdefault(node.name, set())
    keywords |= variables
    for name in ("__init__", "__new__"):
        if name in methods:
            keywords.update(parameters_of(methods[name].args))
    if not all(is_harmless(base) for base in node.bases) or node.keywords:
        own.foreign.update(methods, variables)


FUNCTIONS = (ast.FunctionDef, ast.AsyncFunctionDef)


def is_harmless(base: ast.expr) -> bool:
    base = base.value if isinstance(base, ast.Subscript) else base
    name = base.attr if isinstance(base, ast.Attribute) else getattr(base, "id", "")
    return name in HARMLESS


def targets_of(statement: ast.stmt) -> Iterable[ast.expr]:
    if isinstance(statement, ast.AnnAssign):
        return (statement.target,)
    return statement.targets if isinstance(statement, ast.Assign) else ()


def parameters_of(arguments: ast.arguments) -> Iterator[str]:
    yield from (it.arg for it in (*arguments.args, *arguments.kwonlyargs))


def imported(alias: ast.alias) -> Iterator[str]:
    yield from alias.name.split(".")
    if alias.asname:
        yield alias.asname


def is_magic(name: str) -> bool:
    return name.startswith("__") and name.endswith("__")


def new_names(names: Iterable[str], taken: set[str], random: Random) -> dict[str, str]:
    """Another name for each, none twice, none that is taken."""
    taken = taken | STAY
    new: dict[str, str] = {}
    for name in sorted(names):
        new[name] = next(it for it in proposals(name, random) if it not in taken)
        taken.add(new[name])
    return new


def proposals(name: str, random: Random) -> Iterator[str]:
    """In the name's own style, longer ones when the short are taken; never ends."""
    core = name.strip("_")
    before, _, after = name.partition(core)
    if len(core) == 1:
        letters = random.sample(ascii_lowercase, len(ascii_lowercase))
        yield from (before + (it.upper() if core.isupper() else it) + after for it in letters)
    parts = [part for part in HUMP.findall(core) if not part.isdigit()] or ["word"]
    for attempt in range(1_000_000):
        lengths = [len(part) for part in parts] + [4] * (attempt // 50)
        words = [random.choice(words_of(length)) for length in lengths]
        yield before + styled(words, core) + after


def words_of(length: int) -> list[str]:
    """Words about as long, for a name's length tells something, too."""
    length = min(max(length, 3), 8)
    return [word for word in WORDS if abs(len(word) - length) <= 1]


def styled(words: list[str], like: str) -> str:
    if like.isupper() and len(like) > 1:
        return "_".join(words).upper()
    if like[0].isupper():
        return "".join(map(str.capitalize, words))
    if "_" not in like and any(map(str.isupper, like)):
        return words[0] + "".join(map(str.capitalize, words[1:]))
    return "_".join(words)
