"""The command line `spm`, which the extra `cli` is for."""

import sys


def main() -> None:
    """Runs it, or says what is missing for that."""
    try:
        import rich  # noqa: F401
        import typer  # noqa: F401
    except ImportError:
        needed = "spm needs typer and rich. In the repository: pip install './sdk/python[cli]'"
        print(needed, file=sys.stderr)
        sys.exit(1)
    from .commands import run

    run()
