"""The window: a Gradio page around one viewer of traces. Only this package knows Gradio."""

import os

# Read by Gradio when it is imported, which happens in the modules below this package and so after these lines.
os.environ["GRADIO_ANALYTICS_ENABLED"] = "False"
os.environ["HF_HUB_OFFLINE"] = "1"
