"""`python -m sales_pipeline_client.cli`."""

from . import main

main()
