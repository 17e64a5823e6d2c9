"""Requests that are answered with an error, in the shape that OpenAI's clients read."""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from starlette.requests import Request
    from starlette.responses import Response

RETRY_AFTER_S = 2
"""When to ask again where the service is busy or about to end; clients wait longer each time."""


class Refusal(Exception):  # noqa: N818  it is an answer, and no fault of the program
    """An answer other than 200.

    Args:
        status: HTTP's number for it.
        message: What was expected and received; it is shown to whoever asked.
        param: The field of the request that it is about.
        code: A word for programs to tell it by.
    """

    def __init__(
        self, status: int, message: str, *, param: str | None = None, code: str | None = None
    ) -> None:
        super().__init__(message)
        self.status, self.message, self.param, self.code = status, message, param, code

    def to_json(self) -> dict[str, Any]:
        """Returns OpenAI's error object."""
        kind = "invalid_request_error" if self.status < 500 else "server_error"
        about = {"param": self.param, "code": self.code}
        return {"error": {"message": self.message, "type": kind, **about}}

    def to_response(self) -> "Response":
        """Returns the answer."""
        from starlette.responses import JSONResponse

        headers = {}
        if self.status == 401:
            headers["WWW-Authenticate"] = "Bearer"
        if self.status == 503:
            headers["Retry-After"] = str(RETRY_AFTER_S)
        return JSONResponse(self.to_json(), status_code=self.status, headers=headers)


def answer_refusal(_: "Request", error: Exception) -> "Response":
    """Answers a request that was refused; as Starlette's exception handlers are called."""
    assert isinstance(error, Refusal)  # noqa: S101  registered for no other
    return error.to_response()


def answer_http_error(request: "Request", error: Exception) -> "Response":
    """Answers what Starlette refuses by itself: an unknown path or method, a broken form."""
    status, detail = getattr(error, "status_code", 400), getattr(error, "detail", str(error))
    if status == 404:
        detail = f"there is nothing at {request.url.path}"
    if status == 405:
        detail = f"{request.url.path} does not take {request.method}"
    answer = Refusal(status, detail).to_response()
    answer.headers.update(getattr(error, "headers", None) or {})  # Allow, of a 405
    return answer


def answer_fault(_: "Request", __: Exception) -> "Response":
    """Answers where the program itself failed; what failed is for its log, not for strangers."""
    return Refusal(500, "the service failed at this request").to_response()
