"""The exceptions of the library, one tree.

::

    LavadError
    ├── InputError                 the user's input is bad; asking again gives the same answer
    │   ├── ConfigError            a configuration key or value
    │   ├── VideoRejected          this video cannot be scored (the reason is a word and a sentence)
    │   ├── ModelError             a model cannot be found, loaded or used as configured
    │   └── RequestRejected        a server refused this request (4xx but 408, 409, 425 and 429)
    │       └── ContentRefused     its content filter did; an answer without text, not a failure
    ├── ServiceError               something outside is down or slow; the only branch that is retried
    │   ├── ServiceUnavailable
    │   └── ServiceTimeout
    ├── StoreError                 the store cannot be read or written
    │   ├── StoreUnavailable       no space, no permission, an I/O error
    │   └── DamagedResult          bytes that do not match their commit; recomputed or reported, never used
    ├── DeviceOutOfMemory          one item alone does not fit the device
    ├── NotAsked                   its model was of no use for other videos; tried again by a later run
    ├── GivenUp                    its service, its model or the store has just failed for other videos; likewise
    ├── Interrupted                the run is being stopped; what was in progress is not committed
    └── InternalError              our bug

Whether a failure is retried is decided by its class, never by the words of its message.
"""

from __future__ import annotations


class LavadError(Exception):
    """Base of every error that this library raises on purpose."""


class InputError(LavadError):
    """The input is bad and will be bad again."""


class ConfigError(InputError):
    """A configuration key is unknown or a value is out of its range."""


class VideoRejected(InputError):
    """A video that cannot be scored.

    Attributes:
        reason: one of :data:`lavad_core.video.types.REJECTIONS`, for tables and counts.
    """

    def __init__(self, reason: str, message: str) -> None:
        super().__init__(message)
        self.reason = reason

    def __reduce__(self) -> tuple[type, tuple[str, str]]:
        return type(self), (self.reason, str(self))


class ModelError(InputError):
    """A model cannot be found, loaded, or used as configured."""


class RequestRejected(InputError):
    """A model server understood the request and refused it.

    Attributes:
        status: the HTTP status.
        field: the field of the request that it names as the reason; empty if it names none.
        words: what the server said, without the address; empty if it is not it that refuses.
    """

    def __init__(self, status: int, message: str, field: str = "", words: str = "") -> None:
        super().__init__(message)
        self.status, self.field, self.words = status, field, words

    def __reduce__(self) -> tuple[type, tuple[int, str, str, str]]:
        return type(self), (self.status, str(self), self.field, self.words)


class ContentRefused(RequestRejected):
    """A server's content filter refused what was asked. Not of the server or the settings: of this one question."""


class ServiceError(LavadError):
    """A service that may answer if it is asked again later."""


class ServiceUnavailable(ServiceError):
    """No connection, 408, 409, 425, 429, 5xx, or an answer that was cut off.

    Attributes:
        answered: the server is there: it answered, with something that is of no use.
        busy: it asks for patience: 408, 409, 425 or 429.
    """

    answered = False
    busy = False


class ServiceTimeout(ServiceError):
    """No complete answer within the request's total time."""


class StoreError(LavadError):
    """The store cannot be read or written."""


class StoreUnavailable(StoreError):
    """No space, no permission or an I/O error; the message names the path and what is needed."""


class DamagedResult(StoreError):
    """Bytes in the store that do not match what their commit says."""


class DeviceOutOfMemory(LavadError):
    """A single item does not fit the device; smaller batches were tried."""


class NotAsked(LavadError):
    """A stage was not tried for a video, since its model's answers were of no use for the first ones. Not committed."""


class GivenUp(LavadError):
    """A stage was not tried for a video: what it needs has just failed for reasons that are not the video's."""


class Interrupted(LavadError):
    """The run is being stopped (a signal); the stage in progress ends without a result. Not retried."""


class InternalError(LavadError):
    """Something that the program itself promised does not hold."""


def bad_again(name: str) -> bool:
    """Whether what ended with an error of this class, by its name in a record, would end so again."""
    return isinstance(found := globals().get(name), type) and issubclass(found, InputError)
