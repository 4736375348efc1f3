"""Errors as Stripe shapes them. Source: Stripe's API reference, "Errors" and "Error codes"."""

from typing import Any

from schemas.errors import TillstreamError

Json = dict[str, Any]


class ApiError(TillstreamError):
    """An error answer: `status`, and `body()` as the value of `error`."""

    def __init__(
        self,
        status: int,
        code: str | None,
        message: str,
        param: str | None = None,
        *,
        kind: str = "invalid_request_error",
        headers: dict[str, str] | None = None,
    ) -> None:
        super().__init__(message)
        self.status, self.code, self.param, self.kind = status, code, param, kind
        self.headers = headers or {}

    def body(self) -> Json:
        """Its members are absent when unknown, as with Stripe."""
        body: Json = {"message": str(self), "type": self.kind}
        if self.code:
            body |= {"code": self.code, "doc_url": f"https://stripe.com/docs/error-codes/{self.code}"}
        return body | ({"param": self.param} if self.param else {})


def missing(noun: str, object_id: str, param: str) -> ApiError:
    """No such object: 404 when the path names it, 400 when a parameter does."""
    status = 404 if param == "id" else 400
    return ApiError(status, "resource_missing", f"No such {noun.replace('_', ' ')}: '{object_id}'", param)


def unknown_url(method: str, path: str) -> ApiError:
    """A path that Stripe doesn't have."""
    message = (
        f"Unrecognized request URL ({method}: {path}). Please see https://stripe.com/docs or we can help at "
        "https://support.stripe.com/."
    )
    return ApiError(404, None, message)


def unknown_parameter(name: str) -> ApiError:
    """Stripe refuses what it doesn't know, rather than ignore a filter."""
    return ApiError(400, "parameter_unknown", f"Received unknown parameter: {name}", name)


def bad_value(name: str, why: str, *, code: str | None = None) -> ApiError:
    """A parameter whose value makes no sense."""
    return ApiError(400, code, why, name)
