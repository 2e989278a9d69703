"""``python -m bayes_causal`` is the command line."""

import sys

from bayes_causal.cli import main

sys.exit(main())
