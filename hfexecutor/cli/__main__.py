"""`python -m hfexecutor.cli`."""

import sys

from hfexecutor.cli.program import main

sys.exit(main())
