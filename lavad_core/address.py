"""Addresses of services: which are taken, and how they are shown. They may hold a user and a password."""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Sequence
from urllib.parse import urlsplit, urlunsplit

from lavad_core.escape import escape
from lavad_core.masking import MASK

ADDRESS = "base_url"
"""The field of addresses that may hold ``user:password@``."""

Addresses = str | tuple[str, ...]
"""The address of one server, or those of several."""

_NEXT = re.compile(r"""\s*,\s*(?=["']?[a-z][a-z0-9+.-]*://)""")

_UNREADABLE = "(an address that cannot be read; not shown, since it may hold a password)"


def checked_address(address: str) -> str:
    """``address``, if it is one that a client can use: http or https, a host, a port or none, a path.

    Raises:
        ValueError: it is not. The text is never repeated: it may hold a password, and where is not known.
    """
    try:
        parts = urlsplit(address)
        sound = parts.scheme in ("http", "https") and bool(parts.hostname) and (parts.port is None or parts.port > 0)
        sound = sound and "@" not in parts.path  # what is before it is a password with a slash, not a host
    except ValueError:
        sound = False
    if not sound or not address.isprintable() or " " in address or "\\" in address:
        raise ValueError(
            "is not an address such as http://127.0.0.1:8000/v1 (http or https, host, port, path; special characters of a "
            "password as %XX). It is not shown, since it may hold a password"
        )
    if parts.query or parts.fragment or "?" in address or "#" in address:
        raise ValueError(
            "holds a query (?…) or a fragment (#…), which no request of ours has; a key belongs into api_key, and a # or ? of "
            "a password is written %23 or %3F. The address is not shown, since it may hold one"
        )
    return address


def each_address(addresses: str | Sequence[str]) -> tuple[str, ...]:
    """One address, or several, as a tuple; a text may hold several with commas between, in brackets and quotes or not."""
    if not isinstance(addresses, str):
        return tuple(addresses)
    text = addresses.strip()
    if text.startswith("[") and text.endswith("]"):
        text = text[1:-1].strip()
    elif not _NEXT.search(text):
        return (addresses,)
    return tuple(part[1:-1] if part[:1] in "\"'" and part[-1:] == part[:1] else part for part in _NEXT.split(text))


def bare_address(address: str) -> str:
    """The address for messages: without user, password, query and fragment; a phrase in the place of what is not an address."""
    try:
        parts = urlsplit(address)
        host = parts.hostname or ""
        port = f":{parts.port}" if parts.port is not None else ""
    except ValueError:
        return _UNREADABLE
    if not parts.scheme or not host or "@" in parts.path:
        return _UNREADABLE
    place = f"[{host}]" if ":" in host else host
    shown = urlunsplit((parts.scheme, f"{place}{port}", parts.path, "", ""))
    return escape(shown)


def user_info(address: str) -> str:
    """User and password of an address as they stand in it; empty if there are none."""
    try:
        return urlsplit(address).netloc.rpartition("@")[0]
    except ValueError:  # no address at all; the configuration refuses it
        return ""


def mask_addresses(addresses: str | Sequence[str]) -> str | list[str]:
    """:func:`mask_address` of one address, or of each of several, also of those in one text."""
    each = each_address(addresses)
    return (
        mask_address(each[0]) if isinstance(addresses, str) and len(each) == 1 else [mask_address(one) for one in each]
    )


def mask_address(address: str) -> str:
    """The address with :data:`MASK` in place of user and password, and without query and fragment; nothing but :data:`MASK` of
    what is not an address, but may hold them."""
    try:
        parts = urlsplit(address)
    except ValueError:
        return MASK
    if "@" in parts.path:
        return MASK
    if parts.query or parts.fragment:
        parts = parts._replace(query="", fragment="")
    if "@" in parts.netloc:
        parts = parts._replace(netloc=f"{MASK}@{parts.netloc.rpartition('@')[2]}")
    return urlunsplit(parts)


def is_loopback(address: str) -> bool:
    """Whether the host of an address means the machine that asks, which no proxy can reach for it."""
    try:
        host = (urlsplit(address).hostname or "").rstrip(".")
        if host == "localhost" or host.endswith(".localhost"):
            return True
        number = ipaddress.ip_address(host)
    except ValueError:
        return False
    return number.is_loopback or number.is_unspecified
