"""`python -m emdsl`: the same as the command `emdsl`."""

import sys

from emdsl.cli.main import main

sys.exit(main())
