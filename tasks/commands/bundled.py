"""The table of released models: where the folder lies that each task opens unless told otherwise."""

from pathlib import Path

CHECKPOINTS = Path(__file__).resolve().parents[2] / "checkpoints"
BUNDLED = {
    "captioning": CHECKPOINTS / "captioning-flickr8k",
    "speech": CHECKPOINTS / "whisper-tiny.en",
    "translation": CHECKPOINTS / "translation-en-zh",
}
TRAINED = BUNDLED | {"speech": CHECKPOINTS / "speech-english"}  # by the commands of this project
