"""`python -m tinyops` is the `tinyops` command."""

from tinyops.cli import main

main()
