"""What the tests share: where the real data lies, and the skip for machines that do not have it."""

from pathlib import Path

import pytest

SHARED = Path(__file__).resolve().parents[2] / "shared"
FLICKR8K = SHARED / "data" / "flickr8k"
MOBILENET = SHARED / "weights" / "mobilenet_v2-imagenet1k.safetensors"

needs_shared = pytest.mark.skipif(not SHARED.is_dir(), reason="needs the real data and weights in ../shared")
