"""What beam search over 64 pictures costs, ours at once against the textbook one by one: `python -m benchmarks.beam_search`."""

import argparse

import torch
from torch import Tensor

from benchmarks import timing
from benchmarks.plausible import behave_as_trained, random_features
from benchmarks.textbook import TextbookDecoder
from benchmarks.textbook_search import search_one
from multimodal_attn.decoders import Decoder, DecoderConfig, build_decoder
from multimodal_attn.memory import Memory
from multimodal_attn.search import SearchConfig, beam_search
from multimodal_attn.tokens import END

N_PICTURES, N_PLACES, MEMORY_DIM, N_TOKENS = 64, 49, 1280, 3000
ROUNDS = 3

Sentences = list[list[int]]


def search_ours(decoder: Decoder, features: Tensor, config: SearchConfig) -> Sentences:
    best = beam_search(decoder, decoder.read(Memory(features)), config).tokens[:, 0].tolist()
    return [ids[: ids.index(END) + 1] for ids in best]


def search_textbook(decoder: TextbookDecoder, features: Tensor, config: SearchConfig) -> Sentences:
    return [search_one(decoder, picture, config)[0] for picture in features]


@torch.inference_mode()
def main() -> None:
    timing.one_thread()
    print(timing.machine())
    rows = []
    for form, score in [('between','scaled_dot'),('between','additive'),('before','scaled_dot'),('before','additive')]:
        torch.manual_seed(1)
        features = random_features(N_PICTURES, N_PLACES, MEMORY_DIM)
        decoder = build_decoder(DecoderConfig(form=form,attention={'score':score}), MEMORY_DIM, N_TOKENS).eval()
        behave_as_trained(decoder, features)
        textbook = TextbookDecoder(decoder)
        for k in (3, 5):
            config = SearchConfig(beam=k)
            forms = {
                "textbook": lambda: search_textbook(textbook, features, config),
                "ours": lambda: search_ours(decoder, features, config),
            }
            a,b = forms['ours'](), forms['textbook']()
            print(sorted(map(len,a)), len(set(map(tuple,a))))
            same = sum(x==y for x,y in zip(a,b))
            times = timing.interleave(forms, ROUNDS, 0)
            rows.append([form,score,str(k), *(f"{x:.3f}" for x in (min(times['textbook']), min(times['ours']))), f"{timing.ratio(times,'textbook','ours'):.2f}", f"{same} of {len(a)}"])
    timing.print_table(["form",'score', "k", "textbook s", "ours s", "times as fast", "identical"], rows)


if __name__ == "__main__":
    main()
