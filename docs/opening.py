"""Writes the example that a tab of the app opens with, from a released checkpoint.

    python docs/opening.py checkpoints/captioning-flickr8k photo.jpg --by "A. Photographer, CC BY 2.0" --url https://...
    python docs/opening.py checkpoints/whisper-tiny.en multimodal_attn/senses/sound/static/sisters.flac

A photograph needs a licence that lets it be passed on, and its maker's name. An example belongs to the checkpoint that
made it: when that is replaced, write it anew.
"""

import argparse
from pathlib import Path

from multimodal_attn.predictor import load
from multimodal_attn.ui.opening import opening_json
from multimodal_attn.viewer.share import inline_media
from multimodal_attn.viewer.sources import static_of


def main() -> None:
    parser = argparse.ArgumentParser(description="Write the example that a tab opens with.")
    parser.add_argument("checkpoint", type=Path)
    parser.add_argument("source", help="a photograph, a sound or a sentence")
    parser.add_argument("--by", help="who made the photograph, and its licence")
    parser.add_argument("--url", help="where it was published")
    options = parser.parse_args()

    predictor = load(options.checkpoint)
    trace = predictor(options.source, needed=True)
    media = inline_media(predictor.sense, predictor.read(options.source))
    if options.by:
        media["credit"] = {"by": options.by, "url": options.url}
    path = static_of(predictor.sense) / "opening.json"
    path.write_text(opening_json(media, trace.to_dict()), "utf-8")
    print(f"{path}: {trace.text}")


if __name__ == "__main__":
    main()
