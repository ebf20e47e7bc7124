"""From a frame's body to a handler, and every id answered exactly once. Knows the protocol's rules
of conduct (what may be asked when, what an unreadable request gets), and no method's meaning."""

from __future__ import annotations

import json
import logging
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, cast

import cattrs
from lsprotocol import types
from pygls.exceptions import (
    JsonRpcException,
    JsonRpcInternalError,
    JsonRpcInvalidParams,
    JsonRpcInvalidRequest,
    JsonRpcMethodNotFound,
    JsonRpcParseError,
    JsonRpcServerNotInitialized,
)
from pygls.protocol import LanguageServerProtocol, default_converter

from lsp.convert import forgiven
from lsp.greeting import START, Greeting, Message, greeting_in, welcome

logger = logging.getLogger(__name__)

# It logs whole messages at INFO and the params of what failed at ERROR: the user's code.
logging.getLogger("pygls").setLevel(logging.CRITICAL)


@dataclass(frozen=True, slots=True)
class Own:
    """A request that is no part of the protocol; its handler reads the params itself."""

    id: Any
    method: str
    jsonrpc: str
    params: Any


class Wire(LanguageServerProtocol):
    """pygls' protocol behind a stricter door.

    pygls leaves a request unanswered when its params cannot be read, when it comes after shutdown
    and when a handler is known for notifications only; and it logs and sends tracebacks.
    """

    initialized = False
    on_greeting: Callable[[Greeting], None] | None = None
    on_unreadable: Callable[[Message], None] | None = None  # gets notifications nobody could read

    def receive(self, body: bytes) -> None:
        """Handles one frame. Whatever stands in it, this returns."""
        try:
            message: object = json.loads(body)
        except (ValueError, RecursionError):
            return self._refuse(None, JsonRpcParseError("the frame's body is not JSON"))
        if not isinstance(message, dict):
            error = JsonRpcInvalidRequest("a frame's body must be one JSON object")
            return self._refuse(None, error)
        message = cast(Message, message)
        if "method" not in message:
            self._receive_response(message)
        elif "id" not in message:
            self._receive_notification(message)
        else:
            self._receive_request(message)

    def _receive_request(self, message: Message) -> None:
        try:
            self._check(message)
            if message["method"] == types.INITIALIZE:
                return self._greet(message)
            structured = structure(self._converter, forgiven(message), self._request_type(message))
        except JsonRpcException as error:
            return self._refuse(message["id"], error)
        self.handle_message(structured)

    def _greet(self, message: Message) -> None:
        greeting = greeting_in(message)
        if greeting is None or self.on_greeting is None:
            raise JsonRpcInvalidParams("initialize needs an object with capabilities as its params")
        self.on_greeting(greeting)
        self._send_data(welcome(greeting))

    def _receive_notification(self, message: Message) -> None:
        method: object = message["method"]
        early = not self.initialized and method != types.EXIT
        if early or not isinstance(method, str) or method not in self._known_methods():
            return logger.debug("ignored notification %s", loggable(method))
        try:
            kind = self.get_message_type(method)
            self.handle_message(structure(self._converter, forgiven(message), kind))
        except Exception as error:  # pygls lets through what goes wrong in its own handlers
            logger.warning("could not follow %s (%s)", method, type(error).__name__)
            if self.on_unreadable is not None:
                self.on_unreadable(message)

    def _receive_response(self, message: Message) -> None:
        """An answer to a request of ours; one that nobody waits for any more does no harm."""
        try:
            self.handle_message(cast(Any, self.structure_message(message)))
        except Exception as error:
            logger.debug("ignored a response (%s)", type(error).__name__)

    def _check(self, message: Message) -> None:
        """Raises what must be answered to a request that cannot be served as it stands."""
        method: object = message["method"]
        if message.get("jsonrpc") != self.VERSION:
            raise JsonRpcInvalidRequest('a request must say "jsonrpc": "2.0"')
        if not isinstance(method, str) or answerable(message["id"]) is None:
            raise JsonRpcInvalidRequest("a method is a string, an id a string or a whole number")
        if self._shutdown:
            raise JsonRpcInvalidRequest("the server is shut down and waits for exit")
        if method == types.INITIALIZE and self.initialized:
            raise JsonRpcInvalidRequest("the server is initialized already")
        if method != types.INITIALIZE and not self.initialized:
            raise JsonRpcServerNotInitialized("the first request must be initialize")

    def _request_type(self, message: Message) -> type[Any]:
        method: str = message["method"]
        kind = self.get_message_type(method)
        if method not in self._known_methods() or kind is None or not hasattr(kind, "id"):
            raise JsonRpcMethodNotFound(f"there is no request {method!r}")
        return kind

    def get_message_type(self, method: str) -> type[Any] | None:  # pyright: ignore[reportIncompatibleVariableOverride]  # cached in pygls
        if method == types.WINDOW_SHOW_MESSAGE_REQUEST:
            return None  # only asked by us, with entries that the library's types have no room for
        return Own if method == START else super().get_message_type(method)

    def _known_methods(self) -> set[str]:
        features = cast(dict[str, Any], self.fm.features)  # pyright: ignore[reportUnknownMemberType]
        return {*self.handlers, *features, types.CANCEL_REQUEST}

    @property
    def handlers(self) -> dict[str, Callable[..., Any]]:
        """pygls' own handlers by method; one that is put here stands in for pygls'."""
        return cast(dict[str, Callable[..., Any]], self.fm.builtin_features)  # pyright: ignore[reportUnknownMemberType]

    @property
    def is_shut_down(self) -> bool:
        return self._shutdown

    def _refuse(self, msg_id: object, error: JsonRpcException) -> None:
        logger.info("refused request %s: %s", loggable(msg_id), error.code)
        known = answerable(msg_id)
        if known is None:  # the converter would leave the id out
            told = {"code": error.code, "message": error.message}
            self._send_data({"jsonrpc": self.VERSION, "id": None, "error": told})
        else:
            self._send_response(known, error=error.to_response_error())

    def _send_response(
        self, msg_id: Any, result: Any | None = None, error: types.ResponseError | None = None
    ) -> None:
        if error is not None and error.code == JsonRpcInternalError.CODE:
            error = types.ResponseError(error.code, error.message)  # without pygls' traceback
        super()._send_response(msg_id, result, error)


def strict_converter() -> cattrs.Converter:
    """lsprotocol's converter, which would take 5 for "5" and 1.5 for 1, made to refuse both."""
    converter = default_converter()

    def strictly(kind: type) -> Callable[[Any, Any], Any]:
        def structured(value: Any, wanted: Any) -> Any:
            if type(value) is not kind:
                raise TypeError(f"expected {kind.__name__}")
            return wanted(value)  # `kind` itself, or an enumeration made of it

        return structured

    for kind in (str, int, bool):
        converter.register_structure_hook(kind, strictly(kind))
    return converter


def structure(converter: cattrs.Converter, message: Message, kind: Any) -> Any:
    try:
        return converter.structure(message, kind)
    except Exception as error:
        wrong = "; ".join(cattrs.transform_error(error))
        raise JsonRpcInvalidParams(f"cannot read {message['method']}: {wrong}") from error


def answerable(msg_id: object) -> str | int | None:
    """The id as it may be sent back; null stands for one that nothing can be answered to."""
    return msg_id if isinstance(msg_id, str | int) and not isinstance(msg_id, bool) else None


def loggable(value: object) -> str:
    """What a client calls its messages, in a form that keeps a log readable."""
    return repr(value)[:80] if isinstance(value, str | int) else type(value).__name__
