"""What each language is called, where its grammar is, and what the grammar calls its parts.

A table; it loads no grammar and knows no tree.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import PurePath


@dataclass(frozen=True, slots=True)
class Language:
    """One row. `openers` are the tokens after which a block may be due, `closers` those before
    which it ends; a block without closers ends where the indentation does."""

    grammar: str  # the module that holds it
    function: str = "language"  # the function in it that returns it
    imports: tuple[str, ...] = ()
    definitions: tuple[str, ...] = ()
    openers: frozenset[str] = frozenset("{")
    closers: frozenset[str] = frozenset("}")
    unit: str = "    "  # one step of indentation where the file shows none
    comment: str = "//"  # what begins a line that only people read
    comment_end: str = ""


_SCRIPT = Language(
    "tree_sitter_javascript",
    imports=("import_statement",),
    definitions=(
        "class_declaration",
        "function_declaration",
        "generator_function_declaration",
        "method_definition",
    ),
    unit="  ",
)
_TYPED = (
    "abstract_class_declaration",
    "interface_declaration",
    "type_alias_declaration",
    "enum_declaration",
    "internal_module",
)
_C = ("function_definition", "struct_specifier", "enum_specifier", "type_definition")


def _typescript(function: str) -> Language:
    return Language(
        "tree_sitter_typescript",
        function,
        _SCRIPT.imports,
        _SCRIPT.definitions + _TYPED,
        unit="  ",
    )


LANGUAGES: dict[str, Language] = {
    "python": Language(
        "tree_sitter_python",
        imports=("import_statement", "import_from_statement", "future_import_statement"),
        definitions=("function_definition", "class_definition"),
        openers=frozenset(":"),
        closers=frozenset(),
        comment="#",
    ),
    "javascript": _SCRIPT,
    "javascriptreact": _SCRIPT,
    "typescript": _typescript("language_typescript"),
    "typescriptreact": _typescript("language_tsx"),
    "rust": Language(
        "tree_sitter_rust",
        imports=("use_declaration", "extern_crate_declaration"),
        definitions=(
            "function_item",
            "function_signature_item",
            "struct_item",
            "enum_item",
            "trait_item",
            "impl_item",
            "mod_item",
        ),
    ),
    "go": Language(
        "tree_sitter_go",
        imports=("import_declaration",),
        definitions=("function_declaration", "method_declaration", "type_declaration"),
        unit="\t",
    ),
    "c": Language("tree_sitter_c", imports=("preproc_include",), definitions=_C),
    "cpp": Language(
        "tree_sitter_cpp",
        imports=("preproc_include", "using_declaration"),
        definitions=(*_C, "class_specifier", "namespace_definition"),
    ),
    "java": Language(
        "tree_sitter_java",
        imports=("import_declaration",),
        definitions=(
            "class_declaration",
            "interface_declaration",
            "enum_declaration",
            "record_declaration",
            "method_declaration",
            "constructor_declaration",
        ),
    ),
    "lua": Language(
        "tree_sitter_lua",
        definitions=("function_declaration",),
        openers=frozenset(("then", "do", "else", "repeat", ")")),
        closers=frozenset(("end", "else", "elseif", "until")),
        unit="  ",
        comment="--",
    ),
    "shellscript": Language(
        "tree_sitter_bash",
        definitions=("function_definition",),
        openers=frozenset(("then", "do", "else", "{")),
        closers=frozenset(("fi", "done", "esac", "else", "elif", "}", ";;")),
        unit="  ",
        comment="#",
    ),
    "json": Language("tree_sitter_json", openers=frozenset(), unit="  "),
    "jsonc": Language("tree_sitter_json", openers=frozenset(), unit="  "),
    "html": Language(
        "tree_sitter_html", openers=frozenset(), unit="  ", comment="<!--", comment_end=" -->"
    ),
    "css": Language(
        "tree_sitter_css",
        imports=("import_statement",),
        definitions=("media_statement",),
        unit="  ",
        comment="/*",
        comment_end=" */",
    ),
}
ALIASES = {"bash": "shellscript", "sh": "shellscript", "zsh": "shellscript"}
_IDS = {
    "python": "py pyi pyw",
    "javascript": "js mjs cjs",
    "javascriptreact": "jsx",
    "typescript": "ts mts cts",
    "typescriptreact": "tsx",
    "rust": "rs",
    "go": "go",
    "c": "c h",
    "cpp": "cpp cc cxx hpp hh hxx ipp inl",
    "java": "java",
    "lua": "lua",
    "shellscript": "sh bash zsh bashrc zshrc bash_profile profile",
    "json": "json",
    "jsonc": "jsonc",
    "html": "html htm xhtml",
    "css": "css",
}
_SUFFIXES = {suffix: name for name, suffixes in _IDS.items() for suffix in suffixes.split()}


def language_named(name: str) -> Language | None:
    """The row of an LSP language id, or None for one that is not in the table."""
    return LANGUAGES.get(ALIASES.get(name, name))


def language_of(path: str | PurePath) -> str:
    """The LSP language id that the file's name suggests, "plaintext" where it suggests none."""
    name = PurePath(path).name.lower()
    return _SUFFIXES.get(name.rpartition(".")[2], "plaintext") if "." in name else "plaintext"
