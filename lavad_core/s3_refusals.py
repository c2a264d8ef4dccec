"""What an S3-compatible storage answers with an error: what would help, and whether it is about one object or about all.

By the code that it gives. Codes that are not here are put down to the object or address that was asked for, in neutral words.
"""

from __future__ import annotations

from typing import Literal

Concern = Literal["one", "all", "nobody"]
"""``one``: another object, or another request, may well be answered; an object has permissions, a key and a storage class of
its own. ``all``: any other request would be answered so, or may be while the storage has too much to do. ``nobody``: no answer,
or that something went wrong."""

AWAY = "the storage to answer (see the network and AWS_ENDPOINT_URL), then run again: what is committed stays"
"""What helps where nobody answers, or the answer is that it cannot for now."""

CREDENTIALS = "credentials of the AWS SDK: AWS_PROFILE, AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or a role"
"""What helps where there are none, or none that count."""

_PERMISSION = (
    "permission: to list and read there, for a store also to write and delete (AccessDenied may also mean a missing "
    "ListBucket, or a key of KMS that may not be used)"
)
_REGION = (
    "the region or endpoint where the bucket is: AWS_DEFAULT_REGION, or `region` of the profile, and AWS_ENDPOINT_URL"
)
_CLOCK = "a clock of this machine that is right: it differs too much from the storage's"
_BUCKET = "a bucket of that name; it is not made"
_KEY = "the key of KMS that it is encrypted with: enabled, and with permission to use it (kms:Decrypt)"
_RESTORED = (
    "the object to be restored from the archive, or copied to a storage class that is read at once, then run again"
)
_NEUTRAL = "what the answer names to be put right, then run again: what is committed stays"

_OF_ALL = {
    "NoSuchBucket": _BUCKET,
    "InvalidBucketName": _BUCKET,
    "InvalidAccessKeyId": CREDENTIALS,
    "SignatureDoesNotMatch": CREDENTIALS,
    "ExpiredToken": CREDENTIALS,
    "TokenRefreshRequired": CREDENTIALS,
    "InvalidToken": CREDENTIALS,
    "InvalidClientTokenId": CREDENTIALS,
    "UnrecognizedClientException": CREDENTIALS,
    "AuthFailure": CREDENTIALS,
    "InvalidSecurity": CREDENTIALS,
    "AccountProblem": "an account of the storage that is in order",
    "NotSignedUp": "an account of the storage that is in order",
    "AllAccessDisabled": "an account of the storage that is in order",
    "RequestTimeTooSkewed": _CLOCK,
    "RequestExpired": _CLOCK,
    "PermanentRedirect": _REGION,
    "TemporaryRedirect": _REGION,
    "Redirect": _REGION,
    "301": _REGION,
    "307": _REGION,
    "AuthorizationHeaderMalformed": _REGION,
    "IllegalLocationConstraintException": _REGION,
    "NotImplemented": "a storage that knows this request of S3",
}

_OF_ONE = {
    "AccessDenied": _PERMISSION,
    "403": _PERMISSION,
    "InvalidObjectState": _RESTORED,
    "ObjectNotInActiveTierError": _RESTORED,
}


_BUSY = ("SlowDown", "ServiceUnavailable", "RequestTimeout", "TooManyRequests", "RequestLimitExceeded")


def way_out(code: str, status: int) -> str:
    """What would help, for the end of a sentence that begins with "it needs".

    Args:
        code: the answer's code: a word, or the status where it has no words.
        status: the answer's status of HTTP; 0 if it has none.
    """
    if code in _OF_ALL or code in _OF_ONE:
        return _OF_ALL.get(code) or _OF_ONE[code]
    if code.startswith("KMS."):
        return _KEY
    return _NEUTRAL if concern_of(code, status) == "one" else AWAY


def concern_of(code: str, status: int) -> Concern:
    """Whom an answer is about; arguments as those of :func:`way_out`."""
    if code in _OF_ALL or code in _BUSY or status in (429, 503):
        return "all"
    return "nobody" if status >= 500 or status == 0 else "one"
