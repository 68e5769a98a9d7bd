"""``python -m popflow`` is ``popflow``."""

import sys

from flows.cli.main import main

sys.exit(main())
