"""Video streams beside the one that is decoded. Pure."""

from __future__ import annotations

MIN_PACKETS = 8
"""Streams of fewer packets do not show whether they lie beside each other."""

LATE_PACKETS = 3
"""The last packets of a transport stream come with the end of the file, whatever is between: a parser waits for the next."""


class OtherStreams:
    """Where in the file the packets of other video streams are, by how many of ours came before them."""

    def __init__(self) -> None:
        self._seen: dict[int, tuple[int, int, int]] = {}

    def note(self, stream: int, before: int) -> None:
        """A packet of ``stream`` came after ``before`` packets of ours."""
        first, _, count = self._seen.get(stream, (before, before, 0))
        self._seen[stream] = (first, before, count + 1)

    def apart(self, packets: int) -> int:
        """Packets of streams that all lie before or after our ``packets``: a second camera or programme lies beside them."""
        return sum(
            count
            for first, last, count in self._seen.values()
            if min(count, packets) >= MIN_PACKETS and (not last or first >= packets - LATE_PACKETS)
        )
