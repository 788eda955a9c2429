"""`lexigraft predict RUN`: texts in, JSON lines out."""

import argparse
import json
import sys
from collections.abc import Iterator
from itertools import batched_texts
from pathlib import Path
