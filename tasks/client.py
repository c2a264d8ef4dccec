"""The errors of Prefect's client, which are those of the HTTP library in it. Only this module knows that."""

from __future__ import annotations

from httpx import Client, HTTPError, HTTPStatusError, InvalidURL

ClientError = HTTPError
"""Every failure of a request of Prefect's client: no connection, no answer, a status of refusal."""

StatusError = HTTPStatusError
"""The server answered with a 4xx or 5xx, which ``response`` has."""

AddressError = InvalidURL
"""What was given is not an address."""


def is_away(error: Exception) -> bool:
    """Whether a server did not answer, or says that it cannot now: the same request may be taken later."""
    return not isinstance(error, StatusError) or error.response.status_code >= 500


def check_proxies() -> None:
    """Whether a client can be made with the proxies of the environment: one is made for each of them, needed or not.

    Raises:
        ImportError, ValueError, InvalidURL: it cannot.
    """
    Client(verify=False).close()  # nothing is sent


__all__ = ["AddressError", "Client", "ClientError", "StatusError", "check_proxies", "is_away"]
