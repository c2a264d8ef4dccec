"""Whether there is a store. Nothing heavy is imported for one on a disk: the shell's completion asks too."""

from __future__ import annotations

from pathlib import Path

from lavad_core.location import s3_address


def store_exists(root: Path) -> bool:
    """Whether there is a store.

    Raises:
        StoreUnavailable: the storage cannot be asked.
    """
    address = s3_address(root)
    if address is None:
        return root.is_dir()
    from lavad_core.store.s3 import S3Blobs

    return S3Blobs(root, address).exists()
