"""The command line `spm` (`pip install 'sales-pipeline-client[cli]'`)."""

import sys


def main() -> None:
    """Runs it, or says what is missing for that."""
    try:
        import rich  # noqa: F401
        import typer  # noqa: F401
    except ImportError:
        print("spm needs typer and rich: pip install 'sales-pipeline-client[cli]'", file=sys.stderr)
        sys.exit(1)
    from .commands import run

    run()
