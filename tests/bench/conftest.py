"""The bench is no package of the distribution: it is found from the top of the project."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[2]))
