"""The installed package: what stands on ``lavad_core``, under one name, so that nothing called ``tasks`` or ``flows`` is at the
top of a user's environment.

The parts are folders of the repository's root; here are links to them, which the wheel follows.
"""

from pathlib import Path

if not (Path(__file__).parent / "flows").is_dir():
    raise ImportError(
        f"{Path(__file__).parent} has text files in place of links: git wrote them so (core.symlinks=false). In the checkout: "
        "`git config core.symlinks true`, then `git checkout -- lavad`; on Windows this needs the developer mode"
    )
