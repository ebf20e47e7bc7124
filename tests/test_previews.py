"""What a client is told of the variants of a rewrite, so that they can be seen where they would
stand before one is chosen."""

from __future__ import annotations

from contextlib import AbstractAsyncContextManager
from typing import Any

import pytest

from model.scripted import Scripted
from tests.raw_client import Message
from tests.test_actions import CAPABILITIES, STATUS, URI
from tests.test_server import Client
from tests.test_server import client as served

TEXT = "s = '🙂'; area = width * height\r\n"
AT = {"start": {"line": 0, "character": 17}, "end": {"line": 0, "character": 31}}  # in UTF-16
KEEPS = {"messageActionItem": {"additionalPropertiesSupport": True}}


def serving(asks: Message, **more: Any) -> AbstractAsyncContextManager[Client]:
    texts = iter(["height * width", "width * (height)"] * 9)
    window = {"workDoneProgress": True, "showMessage": asks}
    capabilities = {**CAPABILITIES, "window": window}
    denoiser = Scripted(lambda canvas: (next(texts),) * len(canvas.holes))
    return served(denoiser, capabilities=capabilities, **more)


async def question(client: Client) -> Message:
    """What is asked once the selection has been rewritten."""
    client.notify("textDocument/didClose", {"textDocument": {"uri": URI}})
    client.open(URI, TEXT)
    wish = {"deed": "rewrite-freely", "uri": URI, "range": AT}
    client.request("workspace/executeCommand", {"command": "infill.act", "arguments": [wish]})
    return await client.message(lambda it: it.get("method") == "window/showMessageRequest")


async def test_each_variant_comes_with_the_edit_that_it_would_be() -> None:
    async with serving(KEEPS) as client:
        asked = await question(client)
        assert "in a.py?" in asked["params"]["message"]
        edits = [it["edit"] for it in asked["params"]["actions"]]
        assert {it["newText"] for it in edits} == {"height * width", "width * (height)"}
        for edit in edits:
            assert edit["textDocument"] == {"uri": URI, "version": 1}
            assert edit["range"] == AT
        client.send({"id": asked["id"], "result": asked["params"]["actions"][1]})
        edit = await client.message(lambda it: it.get("method") == "workspace/applyEdit")
        (change,) = edit["params"]["edit"]["documentChanges"]
        assert change["edits"][0]["newText"] == edits[1]["newText"]


async def test_a_client_that_keeps_no_more_than_titles_gets_no_more() -> None:
    async with serving({}) as client:
        asked = await question(client)
        assert [set(it) for it in asked["params"]["actions"]] == [{"title"}, {"title"}]
        client.send({"id": asked["id"], "result": None})


async def test_drafts_are_gone_before_the_question_comes() -> None:
    async with serving(KEEPS, options={"canvas": True}) as client:
        asked = await question(client)
        messages = client.output.messages
        before = messages[: messages.index(asked)]
        told = [it["params"] for it in before if it.get("method") == "infill/canvas"]
        assert [it for it in told if it["holes"]]
        assert told[-1]["holes"] == []
        assert not {"final", "cancelled"} & set(told[-1])
        client.send({"id": asked["id"], "result": None})


@pytest.mark.parametrize("withdrawn", [True, False], ids=["refused", "chosen all the same"])
async def test_cancelling_withdraws_the_question_and_changes_nothing(withdrawn: bool) -> None:
    async with serving(KEEPS) as client:
        asked = await question(client)
        cancel = {"command": "infill.cancel", "arguments": [URI]}
        await client.answer(client.request("workspace/executeCommand", cancel))
        taken_back = await client.message(lambda it: it.get("method") == "$/cancelRequest")
        assert taken_back["params"]["id"] == asked["id"]
        error = {"code": -32800, "message": "cancelled"}
        answer = {"error": error} if withdrawn else {"result": asked["params"]["actions"][0]}
        client.send({"id": asked["id"], **answer})
        for _ in range(3):
            await client.answer(client.request("workspace/executeCommand", STATUS))
        methods = [it.get("method") for it in client.output.messages]
        assert "workspace/applyEdit" not in methods
