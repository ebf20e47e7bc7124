"""The answer to `initialize`, and what of it matters later. Knows only what is in the message.

Kept apart from the handlers and free of the protocol's types: those take half a second to import,
and an editor need not wait for them to be greeted.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from importlib import metadata
from typing import Any, cast

ENCODINGS = ("utf-8", "utf-16", "utf-32")
ACT = "infill.act"
ACCEPTED = "infill.accepted"
COMMANDS = ("infill.why", "infill.status", ACT, "infill.cancel", ACCEPTED)
START, CANVAS = "infill/start", "infill/canvas"  # see lsp/drafts.py
CANVAS_VERSION = 1
ACTION_KINDS = ("refactor.rewrite", "quickfix")

NAME = "infill-lsp"

Message = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Greeting:
    """What a client said of itself. A part of it that cannot be read counts as not said."""

    msg_id: str | int = 0
    editor: str = NAME  # by its own name
    encoding: str = "utf-16"
    folders: tuple[str, ...] = ()  # URIs
    shows_progress: bool = False
    applies_edits: bool = False  # when the server asks for it
    asks_users: bool = False  # shows a message with something to choose from
    keeps_more: bool = False  # lets such an entry have more than a title
    takes_actions: bool = False  # code actions as objects, not only as commands
    ghost_text: bool = True  # fills are offered as inline completion
    menu: bool = False  # fills are offered in the completion menu
    watches: bool = False  # takes `infill/canvas`
    options: object = None


def greeting_in(message: object) -> Greeting | None:
    """What stands in a request to initialize; None when the message is none."""
    match message:
        case {
            "jsonrpc": "2.0",
            "id": str() | int() as msg_id,
            "method": "initialize",
            "params": {"capabilities": dict()} as params,  # pyright: ignore[reportUnknownVariableType]
        } if not isinstance(msg_id, bool):
            return greeting_from(msg_id, cast(Message, params))
        case _:
            return None


def greeting_from(msg_id: str | int, params: Message) -> Greeting:
    offered = part(params, "capabilities", "general", "positionEncodings")
    known = [name for name in cast(list[object], offered) if name in ENCODINGS] \
        if isinstance(offered, list) else []  # fmt: skip
    action = part(params, "capabilities", "textDocument", "codeAction")
    asking = part(params, "capabilities", "window", "showMessage")
    ghost_text, menu = where_shown(params)
    editor = part(params, "clientInfo", "name")
    return Greeting(
        msg_id=msg_id,
        editor=editor if isinstance(editor, str) and editor else NAME,
        encoding=str(known[0]) if known else "utf-16",
        folders=tuple(folders_in(params)),
        shows_progress=part(params, "capabilities", "window", "workDoneProgress") is True,
        # Not asked for is `documentChanges`: Neovim takes them, but does not say so.
        applies_edits=part(params, "capabilities", "workspace", "applyEdit") is True,
        asks_users=isinstance(asking, dict),
        keeps_more=part(asking, "messageActionItem", "additionalPropertiesSupport") is True,
        takes_actions=isinstance(part(action, "codeActionLiteralSupport"), dict),
        ghost_text=ghost_text,
        menu=menu,
        watches=wants_to_watch(params),
        options=params.get("initializationOptions"),
    )


def where_shown(params: Message) -> tuple[bool, bool]:
    """Whether fills are offered as ghost text, and whether in the completion menu. The former is
    offered also to a client that does not say it knows it, as some that do forget to."""
    options = params.get("initializationOptions")
    wanted = part(options, "infill", "menu") or part(options, "menu")
    if wanted in ("always", "never"):
        return wanted == "never", wanted == "always"
    return True, part(params, "capabilities", "textDocument", "inlineCompletion") is None


def wants_to_watch(params: Message) -> bool:
    """Said as an option, which a user of any editor can set, or by the client itself. An option
    that says no counts more."""
    options = params.get("initializationOptions")
    said = (part(options, "infill", "canvas"), part(options, "canvas"))
    able = part(params, "capabilities", "experimental", "infillCanvas") is True
    return next((each for each in said if isinstance(each, bool)), able)


def folders_in(params: Message) -> Iterator[str]:
    folders = params.get("workspaceFolders")
    if isinstance(folders, list) and folders:
        uris = (part(folder, "uri") for folder in cast(list[object], folders))
    else:
        uris = iter([params.get("rootUri")])
    return (uri for uri in uris if isinstance(uri, str))


def part(value: object, *names: str) -> object:
    """What stands under the names, one within the other; None when there is nothing."""
    for name in names:
        value = cast(Message, value).get(name) if isinstance(value, dict) else None
    return value


def welcome(greeting: Greeting) -> Message:
    """The response to a request to initialize: all that this server offers."""
    capabilities: Message = {
        "positionEncoding": greeting.encoding,
        "textDocumentSync": {"openClose": True, "change": 2},  # 2: incremental
        "executeCommandProvider": {"commands": list(COMMANDS)},
        "workspace": {"workspaceFolders": {"supported": True, "changeNotifications": True}},
        "experimental": {"infill": {"version": CANVAS_VERSION}},
    }
    if greeting.ghost_text:
        capabilities["inlineCompletionProvider"] = {}
    if greeting.menu:
        capabilities["completionProvider"] = {
            "triggerCharacters": ["."],  # others make menus open in the middle of a line's typing
            "completionItem": {"labelDetailsSupport": True},
        }
    if greeting.applies_edits:  # without `resolve`: Helix stands still while it resolves
        capabilities["codeActionProvider"] = {"codeActionKinds": list(ACTION_KINDS)}
    info = {"name": NAME, "version": version()}
    result = {"capabilities": capabilities, "serverInfo": info}
    return {"jsonrpc": "2.0", "id": greeting.msg_id, "result": result}


def version() -> str:
    try:
        return metadata.version("infill-lsp")
    except metadata.PackageNotFoundError:  # run from a checkout that is not installed
        return "0"
