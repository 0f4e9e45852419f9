"""Serves the bundle in the working directory: what the Runner starts."""

import os
import sys

# This file's own folder, which has the package funcatron, goes behind the bundle:
# what the bundle brings wins.
sys.path[0] = os.getcwd()
sys.path.append(os.path.dirname(os.path.abspath(__file__)))

from funcatron import serve  # noqa: E402

serve()
