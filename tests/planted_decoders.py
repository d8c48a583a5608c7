"""A reading process whose PNG decoder misbehaves as the picture's width says; see tests/senses/test_reading.py."""

import os
import signal

from PIL.PngImagePlugin import PngImageFile

from multimodal_attn.senses import reading_process

HANGS, CRASHES, GROWS, FAILS = 3, 5, 7, 11

load = PngImageFile.load


def planted(image: PngImageFile) -> object:
    if image.width == HANGS:
        while True:
            pass
    if image.width == CRASHES:
        os.kill(os.getpid(), signal.SIGSEGV)
    if image.width == GROWS:
        bytearray(reading_process.MAX_MEMORY)
    if image.width == FAILS:
        raise KeyboardInterrupt  # what no handler of Exception sees
    return load(image)


if __name__ == "__main__":
    PngImageFile.load = planted
    reading_process.MAX_CPU = 1
    reading_process.main()
