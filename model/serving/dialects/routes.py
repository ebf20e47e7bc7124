"""Which paths the dialects are asked at."""

from __future__ import annotations

import time

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import BaseRoute, Route

from model.serving.dialects import completions, llama
from model.serving.dialects.answering import endpoint
from model.serving.dialects.completions import COMPLETIONS
from model.serving.dialects.llama import LLAMA
from model.serving.dialects.mistral import MISTRAL
from model.serving.dialects.telling import Choose, chosen_here
from model.serving.runtime import version
from model.serving.service import Service


def routes(service: Service, choose: Choose = chosen_here) -> list[BaseRoute]:
    created = int(time.time())

    def name() -> str:
        """As the answers have it; what was asked for until it is loaded."""
        return service.weights.card.name if service.weights.card else service.name

    async def models(request: Request) -> Response:
        return JSONResponse(completions.models(name(), created))

    async def model(request: Request) -> Response:
        """Whatever it is called by the client: plugins have names of their own for it."""
        return JSONResponse(completions.model(name(), created))

    async def health(request: Request) -> Response:
        weights = service.weights
        status, told = llama.health(weights.state, weights.card is not None, weights.failure)
        return JSONResponse(told, status)

    async def props(request: Request) -> Response:
        return JSONResponse(llama.props(name(), version()))

    return [
        Route("/v1/completions", endpoint(service, COMPLETIONS, choose), methods=["POST"]),
        Route("/v1/models", models),
        Route("/v1/models/{name:path}", model),
        Route("/infill", endpoint(service, LLAMA, choose), methods=["POST"]),
        Route("/health", health),
        Route("/props", props),
        Route("/v1/fim/completions", endpoint(service, MISTRAL, choose), methods=["POST"]),
    ]
