"""The errors of Prefect's client, which are those of the HTTP library in it: one place that knows so."""

from __future__ import annotations

from httpx import HTTPError, HTTPStatusError, InvalidURL

ClientError = HTTPError
"""Every failure of a request of Prefect's client: no connection, no answer, a status of refusal."""

StatusError = HTTPStatusError
"""The server answered with a 4xx or 5xx, which ``response`` has."""

AddressError = InvalidURL
"""What was given is no address."""

__all__ = ["AddressError", "ClientError", "StatusError"]
