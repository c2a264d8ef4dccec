"""Where the ``lavad`` command begins: signals first, then the imports of all commands."""

from lavad.deployments.cli import early

early.install()


def main() -> None:
    """Entry point of the ``lavad`` command."""
    from lavad.deployments.cli.main import main as run

    run()


if __name__ == "__main__":
    main()
