"""Opens the app: `python app.py`, then http://127.0.0.1:7860 in a browser."""

import argparse
import sys
from pathlib import Path

from multimodal_attn.errors import UserError

CHECKPOINT = Path(__file__).parent / "checkpoints" / "captioning-flickr8k"


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description="Caption photographs and see where the model looked.")
    parser.add_argument("--checkpoint", default=CHECKPOINT, metavar="FOLDER", help="the model (default: %(default)s)")
    parser.add_argument("--host", default="127.0.0.1", help="address to listen on (default: this computer only)")
    parser.add_argument("--port", type=int, default=7860, help="default: %(default)s")
    options = parser.parse_args(arguments)

    # after the options, so that --help and mistakes answer at once
    from multimodal_attn.predictor import load
    from multimodal_attn.ui.app import launch

    try:
        launch(load(options.checkpoint), options.host, options.port)
    except UserError as error:
        print(f"app.py: {error}", file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
