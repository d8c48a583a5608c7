"""The window: a Gradio page around one viewer of traces. Only this package knows Gradio."""

import os
import tempfile
from functools import cache


@cache
def temporary_folder() -> tempfile.TemporaryDirectory:
    """One folder per process for uploads and previews, closed to other users and removed at exit."""
    return tempfile.TemporaryDirectory(prefix="multimodal-attn-")


# Read by Gradio when it is imported, which happens in the modules below this package and so after these lines.
os.environ["GRADIO_ANALYTICS_ENABLED"] = "False"
os.environ["HF_HUB_OFFLINE"] = "1"
os.environ["GRADIO_TEMP_DIR"] = temporary_folder().name
