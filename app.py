"""Opens the app: `python app.py`, then http://127.0.0.1:7860 in a browser."""

import argparse
import sys
from pathlib import Path

from multimodal_attn.errors import UserError

CHECKPOINTS = Path(__file__).parent / "checkpoints"


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description="Caption photographs, transcribe speech, and see where it came from.")
    parser.add_argument("--checkpoint", metavar="FOLDER", help="a model for its task instead of the bundled one")
    parser.add_argument("--host", default="127.0.0.1", help="address to listen on (default: this computer only)")
    parser.add_argument("--port", type=int, default=7860, help="default: %(default)s")
    options = parser.parse_args(arguments)

    # after the options, so that --help and mistakes answer at once
    from multimodal_attn.ui.app import launch
    from multimodal_attn.ui.senses import SENSES, Later

    bundled = {task: sense.bundled(CHECKPOINTS) for task, sense in SENSES.items()}
    readers = {task: Later(folder) for task, folder in bundled.items() if folder}
    try:
        if options.checkpoint:
            from multimodal_attn.predictor import load

            predictor = load(options.checkpoint)
            readers[predictor.config["task"]] = predictor
        launch(readers, options.host, options.port)
    except UserError as error:
        print(f"app.py: {error}", file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
